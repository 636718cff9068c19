//! Reading the keys that the caller may see.

use chancery_proto::v1::key_service_client::KeyServiceClient;
use chancery_proto::v1::{GetKeyRequest, Key, ListKeysRequest};

use crate::client::pages::{Pages, UNARY_LEN};
use crate::{Breach, Client, Error};

impl Client {
    /// Lists every key that the caller may see, ordered by name.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn keys(&self) -> Result<Vec<Key>, Error> {
        let mut client = KeyServiceClient::new(self.channel()).max_decoding_message_size(UNARY_LEN);
        let mut pages = Pages::new();
        while let Some((page_size, page_token)) = pages.next_request() {
            let page = client
                .list_keys(ListKeysRequest { page_size, page_token })
                .await?
                .into_inner();
            pages.take(page.keys, page.next_page_token)?;
        }
        Ok(pages.into_items())
    }

    /// Describes one key, by its name `keys/{sha256}`.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says; with `NOT_FOUND` there is no such key, or none that the caller may see.
    pub async fn key(&self, name: &str) -> Result<Key, Error> {
        let mut client = KeyServiceClient::new(self.channel()).max_decoding_message_size(UNARY_LEN);
        let response = client
            .get_key(GetKeyRequest { name: name.to_owned() })
            .await?
            .into_inner();
        response.key.ok_or(Error::Contract(Breach::EmptyResponse))
    }
}
