//! A caller of the daemon: every call of the contract, one after the other, and why it was refused.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chancery_proto::v1::{
    AgreeRequest, DigestAlgorithm, Key, KeyManagementAlgorithm, KeyServiceDecryptRequest, KeyServiceSignRequest,
    ListKeysRequest, ListTokensRequest, LockTokenRequest, OaepParameters, SignatureAlgorithm, Token, TokenState,
    UnlockTokenRequest, key_service_client::KeyServiceClient, key_service_sign_request::Input,
    token_service_client::TokenServiceClient,
};
use tokio::{runtime::Runtime, task::JoinSet};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use super::TOKEN;
use crate::daemon::Daemon;

/// Longer than anything here takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often a wait looks.
const TICK: Duration = Duration::from_millis(25);

/// A connection to a daemon.
#[derive(Debug)]
pub(super) struct Caller {
    runtime: Runtime,
    keys: KeyServiceClient<Channel>,
    tokens: TokenServiceClient<Channel>,
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The gRPC code.
    pub(super) code: Code,
    /// The reason of `ErrorInfo`.
    pub(super) reason: String,
    /// What people read.
    pub(super) message: String,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let reason = status.get_details_error_info().map(|info| info.reason);
        Self {
            code: status.code(),
            reason: reason.unwrap_or_default(),
            message: status.message().to_owned(),
        }
    }
}

/// Calls that are on their way.
pub(super) struct Signatures(JoinSet<Answer<Vec<u8>>>);

/// What came of a call.
pub(super) type Answer<T> = std::result::Result<T, Refusal>;

impl Caller {
    pub(super) fn connect(daemon: &Daemon) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let channel = runtime.block_on(daemon.channel())?;
        Ok(Self {
            runtime,
            keys: KeyServiceClient::new(channel.clone()),
            tokens: TokenServiceClient::new(channel),
        })
    }

    pub(super) fn keys(&mut self) -> Result<Vec<Key>> {
        let answer = self.runtime.block_on(self.keys.list_keys(ListKeysRequest::default()))?;
        Ok(answer.into_inner().keys)
    }

    pub(super) fn sign(&mut self, key: &str, algorithm: SignatureAlgorithm, input: Input) -> Answer<Vec<u8>> {
        let request = signing(key, algorithm, input);
        let answer = self.runtime.block_on(self.keys.sign(request))?.into_inner();
        Ok(answer.signature.to_vec())
    }

    /// The same `count` times at once.
    pub(super) fn begin_signing(
        &self,
        key: &str,
        algorithm: SignatureAlgorithm,
        input: &Input,
        count: usize,
    ) -> Signatures {
        let mut running = JoinSet::new();
        for _ in 0..count {
            let (mut keys, request) = (self.keys.clone(), signing(key, algorithm, input.clone()));
            let call = async move { Ok(keys.sign(request).await?.into_inner().signature.to_vec()) };
            running.spawn_on(call, self.runtime.handle());
        }
        Signatures(running)
    }

    /// The first answer that comes.
    pub(super) fn first_of(&self, signatures: &mut Signatures) -> Result<Answer<Vec<u8>>> {
        let first = self.runtime.block_on(signatures.0.join_next());
        Ok(first.context("there are no calls")??)
    }

    /// All that are left, in no order.
    pub(super) fn rest_of(&self, signatures: Signatures) -> Vec<Answer<Vec<u8>>> {
        self.runtime.block_on(signatures.0.join_all())
    }

    pub(super) fn decrypt(&mut self, request: KeyServiceDecryptRequest) -> Answer<Vec<u8>> {
        let answer = self.runtime.block_on(self.keys.decrypt(request))?.into_inner();
        Ok(answer.plaintext.to_vec())
    }

    pub(super) fn agree(&mut self, key: &str, peer: Vec<u8>) -> Answer<Vec<u8>> {
        let request = AgreeRequest {
            name: key.to_owned(),
            peer_public_key: peer.into(),
            ..Default::default()
        };
        let answer = self.runtime.block_on(self.keys.agree(request))?.into_inner();
        Ok(answer.secret.to_vec())
    }

    pub(super) fn unlock(&mut self, pin: &str) -> Answer<Token> {
        let request = UnlockTokenRequest {
            name: format!("tokens/{TOKEN}"),
            pin: pin.as_bytes().to_vec().into(),
            ..UnlockTokenRequest::default()
        };
        let answer = self.runtime.block_on(self.tokens.unlock_token(request))?.into_inner();
        Ok(answer.token.unwrap_or_default())
    }

    pub(super) fn lock(&mut self) -> Answer<Token> {
        let request = LockTokenRequest {
            name: format!("tokens/{TOKEN}"),
            ..Default::default()
        };
        let answer = self.runtime.block_on(self.tokens.lock_token(request))?.into_inner();
        Ok(answer.token.unwrap_or_default())
    }

    /// The token as the daemon has it now.
    pub(super) fn token(&mut self) -> Result<Token> {
        let request = self.tokens.list_tokens(ListTokensRequest::default());
        let tokens = self.runtime.block_on(request)?.into_inner().tokens;
        tokens
            .into_iter()
            .find(|token| token.name == format!("tokens/{TOKEN}"))
            .context("the token is not listed")
    }

    /// The token, once it is in this state; an error if it does not get there. How long it took, as well.
    pub(super) fn wait_for(&mut self, state: TokenState) -> Result<(Token, Duration)> {
        let start = Instant::now();
        loop {
            let token = self.token()?;
            if token.state() == state {
                return Ok((token, start.elapsed()));
            }
            if start.elapsed() > DEADLINE {
                bail!("after {DEADLINE:?} it is not {state:?} but {token:?}");
            }
            self.runtime.block_on(async { tokio::time::sleep(TICK).await });
        }
    }
}

/// A request to sign.
fn signing(key: &str, algorithm: SignatureAlgorithm, input: Input) -> KeyServiceSignRequest {
    KeyServiceSignRequest {
        name: key.to_owned(),
        algorithm: algorithm.into(),
        input: Some(input),
        ..Default::default()
    }
}

/// A request to decrypt by v1.5 what is `length` bytes long.
pub(super) fn pkcs1(key: &str, ciphertext: Vec<u8>, length: usize) -> KeyServiceDecryptRequest {
    KeyServiceDecryptRequest {
        name: key.to_owned(),
        algorithm: KeyManagementAlgorithm::RsaPkcs1.into(),
        ciphertext: ciphertext.into(),
        plaintext_length: u32::try_from(length).unwrap_or_default(),
        ..Default::default()
    }
}

/// A request to decrypt by OAEP, one digest for the label and the mask.
pub(super) fn oaep(key: &str, ciphertext: Vec<u8>, digest: DigestAlgorithm, label: &[u8]) -> KeyServiceDecryptRequest {
    KeyServiceDecryptRequest {
        name: key.to_owned(),
        algorithm: KeyManagementAlgorithm::RsaOaep.into(),
        ciphertext: ciphertext.into(),
        oaep: Some(OaepParameters {
            digest: digest.into(),
            label: label.to_vec().into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}
