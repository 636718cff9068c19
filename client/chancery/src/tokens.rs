//! Administration of the tokens: what is there, unlocking, locking.

use chancery_proto::v1::token_service_client::TokenServiceClient;
use chancery_proto::v1::{ListTokensRequest, LockTokenRequest, Token, UnlockTokenRequest};

use crate::client::pages::{Pages, UNARY_LEN};
use crate::{Breach, Client, Error, Pin};

impl Client {
    /// Lists the configured tokens, present or not, ordered by name.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        let mut client = TokenServiceClient::new(self.channel()).max_decoding_message_size(UNARY_LEN);
        let mut pages = Pages::new();
        while let Some((page_size, page_token)) = pages.next_request() {
            let page = client
                .list_tokens(ListTokensRequest { page_size, page_token })
                .await?
                .into_inner();
            pages.take(page.tokens, page.next_page_token)?;
        }
        Ok(pages.into_items())
    }

    /// Logs in to a token, by its name `tokens/{token}` (see [`name::token`](crate::name::token)). One call is one try:
    /// never call it in a loop, because a few wrong PINs lock a card for good.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn unlock(&self, name: &str, pin: Pin) -> Result<Token, Error> {
        let request = UnlockTokenRequest {
            name: name.to_owned(),
            pin: pin.into_bytes(),
        };
        let response = TokenServiceClient::new(self.channel())
            .unlock_token(request)
            .await?
            .into_inner();
        response.token.ok_or(Error::Contract(Breach::EmptyResponse))
    }

    /// Logs out of a token and makes the daemon forget its PIN. Operations that already run are finished first.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn lock(&self, name: &str) -> Result<Token, Error> {
        let request = LockTokenRequest { name: name.to_owned() };
        let response = TokenServiceClient::new(self.channel())
            .lock_token(request)
            .await?
            .into_inner();
        response.token.ok_or(Error::Contract(Breach::EmptyResponse))
    }
}
