//! Reading the identities that the caller may see.

use chancery_proto::v1::identity_service_client::IdentityServiceClient;
use chancery_proto::v1::{GetIdentityRequest, Identity, ListIdentitiesRequest};

use crate::client::pages::{Pages, UNARY_LEN};
use crate::{Breach, Client, Error};

impl Client {
    /// Lists every identity that the caller may see, ordered by name.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn identities(&self) -> Result<Vec<Identity>, Error> {
        let mut client = IdentityServiceClient::new(self.channel()).max_decoding_message_size(UNARY_LEN);
        let mut pages = Pages::new();
        while let Some((page_size, page_token)) = pages.next_request() {
            let page = client
                .list_identities(ListIdentitiesRequest { page_size, page_token })
                .await?
                .into_inner();
            pages.take(page.identities, page.next_page_token)?;
        }
        Ok(pages.into_items())
    }

    /// Describes one identity, by its name `identities/{addr-spec}` (see [`name::identity`](crate::name::identity)).
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says; with `NOT_FOUND` there is no such identity, or none that the caller may see.
    pub async fn identity(&self, name: &str) -> Result<Identity, Error> {
        let mut client = IdentityServiceClient::new(self.channel()).max_decoding_message_size(UNARY_LEN);
        let response = client
            .get_identity(GetIdentityRequest { name: name.to_owned() })
            .await?
            .into_inner();
        response.identity.ok_or(Error::Contract(Breach::EmptyResponse))
    }
}
