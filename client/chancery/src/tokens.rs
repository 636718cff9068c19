//! Administration of the tokens: what is there, how it changes, unlocking, locking.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use chancery_proto::v1::token_service_client::TokenServiceClient;
use chancery_proto::v1::{
    ChangePinRequest, ListTokensRequest, LockTokenRequest, Token, UnlockTokenRequest, WatchTokensRequest,
    WatchTokensResponse,
};
use tonic::Streaming;

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

    /// Watches the tokens. `refresh` is how often the numbers are to be looked at that change all the time (sessions, jobs
    /// that wait); without it they only come along with other changes.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn watch_tokens(&self, refresh: Option<Duration>) -> Result<TokenWatch, Error> {
        let mut client = TokenServiceClient::new(self.channel()).max_decoding_message_size(UNARY_LEN);
        let request = WatchTokensRequest {
            // More than a proto's duration can say is as good as never.
            refresh_interval: refresh.and_then(|refresh| refresh.try_into().ok()),
        };
        Ok(TokenWatch {
            responses: client.watch_tokens(request).await?.into_inner(),
            is_first: true,
            ended: None,
        })
    }

    /// Logs in to a token, by its name `tokens/{token}` (see [`name::token`](crate::name::token)). One call is one try:
    /// never call it in a loop, because a few wrong PINs lock a card for good.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn unlock(&self, name: &str, pin: Pin) -> Result<Token, Error> {
        self.unlock_on(name, pin, UnlockTerms::default()).await
    }

    /// Does what [`unlock`](Self::unlock) does, until the terms say that the token is to be locked again.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn unlock_on(&self, name: &str, pin: Pin, terms: UnlockTerms) -> Result<Token, Error> {
        self.unlock_with(name, pin.into_bytes(), terms).await
    }

    async fn unlock_with(&self, name: &str, pin: Bytes, terms: UnlockTerms) -> Result<Token, Error> {
        let request = UnlockTokenRequest {
            name: name.to_owned(),
            pin,
            // Never more than a proto's duration can say; no time at all is refused.
            expire_after: terms
                .expire_after
                .map(|time| time.min(MAX_DURATION).try_into().unwrap_or_default()),
            max_uses: terms.max_uses.map_or(0, NonZeroU64::get),
            even_if_unanswered: terms.even_if_unanswered,
        };
        let response = TokenServiceClient::new(self.channel())
            .unlock_token(request)
            .await?
            .into_inner();
        response.token.ok_or(Error::Contract(Breach::EmptyResponse))
    }

    /// Does what [`unlock_on`](Self::unlock_on) does with a PIN that somebody enters at the token's own PIN pad while the call
    /// lasts, for a token with a `protected_authentication_path`.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn unlock_at_pad(&self, name: &str, terms: UnlockTerms) -> Result<Token, Error> {
        self.unlock_with(name, Bytes::new(), terms).await
    }

    /// Has a token replace its user PIN. One call is one try; if it fails in the middle, do not repeat it before you have seen
    /// which PIN unlocks the token.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn change_pin(&self, name: &str, old: Pin, new: Pin) -> Result<ChangedPin, Error> {
        self.change_pin_with(name, old.into_bytes(), new.into_bytes()).await
    }

    /// The same with both PINs entered at the token's own PIN pad while the call lasts.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn change_pin_at_pad(&self, name: &str) -> Result<ChangedPin, Error> {
        self.change_pin_with(name, Bytes::new(), Bytes::new()).await
    }

    async fn change_pin_with(&self, name: &str, old_pin: Bytes, new_pin: Bytes) -> Result<ChangedPin, Error> {
        let request = ChangePinRequest {
            name: name.to_owned(),
            old_pin,
            new_pin,
        };
        let response = TokenServiceClient::new(self.channel())
            .change_pin(request)
            .await?
            .into_inner();
        Ok(ChangedPin {
            token: response.token.ok_or(Error::Contract(Breach::EmptyResponse))?,
            configured_in: Some(response.configured_in).filter(|place| !place.is_empty()),
        })
    }

    /// Logs out of a token and makes the daemon forget its PIN. Operations that already run are finished first.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn lock(&self, name: &str) -> Result<Token, Error> {
        self.lock_when(name, false).await
    }

    /// Has a token take no new work, finish what it has, and be locked then; it returns when that is done. The token takes
    /// work again when it is unlocked.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn drain(&self, name: &str) -> Result<Token, Error> {
        self.lock_when(name, true).await
    }

    async fn lock_when(&self, name: &str, drain: bool) -> Result<Token, Error> {
        let name = name.to_owned();
        let request = LockTokenRequest { name, drain };
        let response = TokenServiceClient::new(self.channel())
            .lock_token(request)
            .await?
            .into_inner();
        response.token.ok_or(Error::Contract(Breach::EmptyResponse))
    }
}

/// A token with another PIN.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChangedPin {
    /// The token.
    pub token: Token,
    /// Where the daemon has the PIN from when it starts, for people: the new one has to be put there.
    pub configured_in: Option<String>,
}

/// How a token is to be unlocked, and how long: until the first of these has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnlockTerms {
    /// So much time has passed; at most 366 days.
    pub expire_after: Option<Duration>,
    /// So many operations with its private keys have been done.
    pub max_uses: Option<NonZeroU64>,
    /// The PIN is sent though two tries with it never came to an end (`PIN_UNANSWERED`). Only for somebody who is sure of it: each
    /// of those may have been spent.
    pub even_if_unanswered: bool,
}

/// The longest that a proto's duration can say.
const MAX_DURATION: Duration = Duration::from_secs(315_576_000_000);

/// A call of [`Client::watch_tokens`]. Dropped, it ends.
#[derive(Debug)]
pub struct TokenWatch {
    responses: Streaming<WatchTokensResponse>,
    is_first: bool,
    /// How it ended, behind a response that has to be told before.
    ended: Option<Result<(), Error>>,
}

impl TokenWatch {
    /// All tokens and the daemon's version when called first, then the tokens that have changed, once there are any. `None`
    /// when the daemon stops. A caller who is slow gets the latest state of each and misses those in between.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the connection broke, [`Error::Failed`] as the daemon says.
    pub async fn next(&mut self) -> Result<Option<WatchTokensResponse>, Error> {
        if let Some(ended) = self.ended.take() {
            return ended.map(|()| None);
        }
        let Some(mut latest) = self.responses.message().await? else {
            return Ok(None);
        };
        if std::mem::take(&mut self.is_first) {
            return Ok(Some(latest));
        }
        // What has come meanwhile is taken at once.
        while self.ended.is_none() {
            tokio::select! {
                biased;
                next = self.responses.message() => match next {
                    Ok(Some(next)) => merge(&mut latest.tokens, next.tokens),
                    Ok(None) => self.ended = Some(Ok(())),
                    Err(status) => self.ended = Some(Err(status.into())),
                },
                () = std::future::ready(()) => break,
            }
        }
        Ok(Some(latest))
    }
}

/// Later tokens in the place of earlier ones of the same name.
fn merge(tokens: &mut Vec<Token>, later: Vec<Token>) {
    for token in later {
        match tokens.iter_mut().find(|known| known.name == token.name) {
            Some(known) => *known = token,
            None => tokens.push(token),
        }
    }
}
