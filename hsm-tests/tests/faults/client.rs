//! A caller of the daemon under test.

use std::{path::Path, time::Duration};

use anyhow::{Result, bail};
use chancery_proto::v1::{
    ChangePinRequest, ChangePinResponse, DigestAlgorithm, KeyManagementAlgorithm, KeyServiceDecryptRequest,
    KeyServiceSignRequest, ListTokensRequest, LockTokenRequest, OaepParameters, SignatureAlgorithm, Token, TokenState,
    UnlockTokenRequest, WatchTokensRequest, key_service_client::KeyServiceClient, key_service_sign_request::Input,
    token_service_client::TokenServiceClient,
};
use hsm_tests::{command::run, daemon::Daemon, people::Person};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::PATIENCE;

/// What the ciphertexts of [`ciphertext`] hold.
pub(crate) const PLAINTEXT: &[u8] = b"a key for the content";

#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
}

impl Client {
    pub(crate) async fn of(daemon: &Daemon) -> Self {
        let channel = daemon.channel().await.unwrap();
        Self { channel }
    }

    /// Of whoever listens there, if somebody does.
    pub(crate) async fn at(socket: &Path) -> Result<Self> {
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()))?;
        let channel = endpoint.connect().await?;
        Ok(Self { channel })
    }

    /// A signature by a person with RSA keys, which is always the same for the same number, or by Carol.
    pub(crate) async fn sign(&self, person: Person, number: u8) -> Result<Vec<u8>, Status> {
        self.sign_within(person, number, None).await
    }

    pub(crate) async fn sign_within(
        &self,
        person: Person,
        number: u8,
        time: Option<Duration>,
    ) -> Result<Vec<u8>, Status> {
        self.signed(person, number, time).await.map(|(signature, _)| signature)
    }

    /// The name of the token that signs.
    pub(crate) async fn signed_by(&self, person: Person) -> Result<String, Status> {
        let (_, token) = self.signed(person, 7, None).await?;
        Ok(token.trim_start_matches("tokens/").to_owned())
    }

    async fn signed(&self, person: Person, number: u8, time: Option<Duration>) -> Result<(Vec<u8>, String), Status> {
        let algorithm = match person {
            Person::Carol => SignatureAlgorithm::EcdsaSha256,
            _ => SignatureAlgorithm::RsaPkcs1Sha256,
        };
        let mut request = Request::new(KeyServiceSignRequest {
            name: person.signing().key().unwrap(),
            algorithm: algorithm.into(),
            input: Some(Input::Digest(vec![number; 32].into())),
            ..Default::default()
        });
        if let Some(time) = time {
            request.set_timeout(time);
        }
        let answer = KeyServiceClient::new(self.channel.clone()).sign(request).await?;
        let answer = answer.into_inner();
        Ok((answer.signature.to_vec(), answer.token))
    }

    pub(crate) async fn decrypt(&self, person: Person, ciphertext: &[u8]) -> Result<Vec<u8>, Status> {
        let request = KeyServiceDecryptRequest {
            name: person.encryption().key().unwrap(),
            algorithm: KeyManagementAlgorithm::RsaOaep.into(),
            oaep: Some(OaepParameters {
                digest: DigestAlgorithm::Sha256.into(),
                mgf1_digest: DigestAlgorithm::Sha256.into(),
                ..Default::default()
            }),
            ciphertext: ciphertext.to_vec().into(),
            ..Default::default()
        };
        let answer = KeyServiceClient::new(self.channel.clone()).decrypt(request).await?;
        Ok(answer.into_inner().plaintext.to_vec())
    }

    pub(crate) async fn token(&self, name: &str) -> Token {
        let mut tokens = TokenServiceClient::new(self.channel.clone());
        let listed = tokens.list_tokens(ListTokensRequest::default()).await.unwrap();
        let tokens = listed.into_inner().tokens;
        tokens.into_iter().find(|token| is(token, name)).unwrap()
    }

    /// Waits until a token is as wanted, and returns it.
    pub(crate) async fn token_when(&self, name: &str, wanted: impl Fn(&Token) -> bool) -> Result<Token> {
        let mut last = None;
        let waited = tokio::time::timeout(PATIENCE, async {
            let mut tokens = TokenServiceClient::new(self.channel.clone());
            let mut changes = tokens.watch_tokens(WatchTokensRequest::default()).await?.into_inner();
            while let Some(change) = changes.message().await? {
                last = change.tokens.into_iter().find(|token| is(token, name)).or(last.take());
                if let Some(token) = last.take_if(|token| wanted(token)) {
                    return Ok(token);
                }
            }
            bail!("the daemon no longer says how its tokens are")
        });
        match waited.await {
            Ok(token) => token,
            Err(_) => bail!("in {PATIENCE:?} the token was never as wanted; it is {last:?}"),
        }
    }

    pub(crate) async fn ready(&self, name: &str) -> Result<Token> {
        self.token_when(name, |token| token.state() == TokenState::Ready).await
    }

    pub(crate) async fn locked(&self, name: &str) -> Result<Token> {
        self.token_when(name, |token| token.state() == TokenState::Locked).await
    }

    pub(crate) async fn unlock(&self, name: &str, pin: &str) -> Result<(), Status> {
        self.try_to_unlock(name, pin, false).await
    }

    /// With a PIN whose tries have had no answer.
    pub(crate) async fn insist(&self, name: &str, pin: &str) -> Result<(), Status> {
        self.try_to_unlock(name, pin, true).await
    }

    async fn try_to_unlock(&self, name: &str, pin: &str, even_if_unanswered: bool) -> Result<(), Status> {
        let request = UnlockTokenRequest {
            name: format!("tokens/{name}"),
            pin: pin.as_bytes().to_vec().into(),
            even_if_unanswered,
            ..Default::default()
        };
        let mut tokens = TokenServiceClient::new(self.channel.clone());
        tokens.unlock_token(request).await.map(drop)
    }

    pub(crate) async fn change_pin(&self, name: &str, old: &str, new: &str) -> Result<ChangePinResponse, Status> {
        let request = ChangePinRequest {
            name: format!("tokens/{name}"),
            old_pin: old.as_bytes().to_vec().into(),
            new_pin: new.as_bytes().to_vec().into(),
        };
        let mut tokens = TokenServiceClient::new(self.channel.clone());
        Ok(tokens.change_pin(request).await?.into_inner())
    }

    /// Locks it, when it is drained or at once.
    pub(crate) async fn lock(&self, name: &str, drain: bool) -> Result<Token, Status> {
        let name = format!("tokens/{name}");
        let mut tokens = TokenServiceClient::new(self.channel.clone());
        let answer = tokens.lock_token(LockTokenRequest { name, drain }).await?;
        Ok(answer.into_inner().token.unwrap())
    }

    /// Waits until so many operations wait for the token or run on it.
    pub(crate) async fn busy_with(&self, name: &str, jobs: u32) {
        let wait = async {
            loop {
                let token = self.token(name).await;
                if token.jobs_waiting + token.jobs_running >= jobs {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("{name} was never busy with {jobs} operations"));
    }

    /// Signs until it works, however long the token takes to come back.
    pub(crate) async fn serves_again(&self, person: Person) -> Result<Vec<u8>> {
        let mut last = None;
        let again = tokio::time::timeout(PATIENCE, async {
            loop {
                match self.sign(person, 7).await {
                    Ok(signature) => return signature,
                    Err(status) => last = Some(status),
                }
            }
        });
        match again.await {
            Ok(signature) => Ok(signature),
            Err(_) => bail!("{person:?} cannot sign after {PATIENCE:?}: {last:?}"),
        }
    }
}

fn is(token: &Token, name: &str) -> bool {
    token.name == format!("tokens/{name}")
}

/// The reason in the error's details.
#[track_caller]
pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no reason in {status:?}"));
    info.reason.clone()
}

/// [`PLAINTEXT`] encrypted to a person with RSA keys.
pub(crate) fn ciphertext(person: Person) -> Vec<u8> {
    let mut command = std::process::Command::new("openssl");
    command
        .args(["pkeyutl", "-encrypt", "-certin", "-inkey"])
        .arg(person.encryption().certificate_file())
        .args(["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"]);
    run(&mut command, PLAINTEXT).unwrap().success().unwrap()
}
