//! Serving a SoftHSM token with `chancery-token` inside a test's child process.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use chancery_token::{
    Digest, Dispatch, KeyId, ModuleConfig, Pin, SignInput, SignMechanism, TokenConfig, TokenError, TokenHandle,
    TokenSelector, TokenState, TokenStatus, Tokens,
};

use super::{SoftHsm, Token, built_library};

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration for this token, with its right PIN.
pub fn config(token: &Token) -> TokenConfig {
    TokenConfig {
        name: token.label.clone(),
        module: "softhsm".to_owned(),
        selector: TokenSelector::Attributes {
            label: Some(token.label.clone()),
            serial: None,
        },
        sessions: 2,
        queue: 256,
        pin: Some(pin(&token.pin)),
        pin_pad: false,
        pin_memory: None,
        certificates: Vec::new(),
        call_deadline: PATIENCE,
        call_grace: PATIENCE,
        keep_alive: None,
    }
}

/// A PIN from text.
pub fn pin(text: &str) -> Pin {
    Pin::new(text.as_bytes().to_vec())
}

/// Starts tokens on SoftHSM itself.
pub fn start(softhsm: &SoftHsm, tokens: Vec<TokenConfig>) -> Result<Tokens> {
    start_on(softhsm.module_path().to_owned(), tokens)
}

/// Starts tokens on SoftHSM behind the fault module.
pub fn start_faulty(tokens: Vec<TokenConfig>) -> Result<Tokens> {
    start_on(built_library("fault_module")?, tokens)
}

fn start_on(path: PathBuf, tokens: Vec<TokenConfig>) -> Result<Tokens> {
    Ok(Tokens::start_in_process(
        &[ModuleConfig {
            name: "softhsm".to_owned(),
            path,
            environment: BTreeMap::new(),
            network: false,
            programs: false,
            hidden: Vec::new(),
            load_time: PATIENCE,
        }],
        tokens,
    )?)
}

/// Runs a future on a runtime of its own, with the time that a test may take.
pub fn block_on<F: Future>(future: F) -> Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime
        .block_on(async { tokio::time::timeout(2 * PATIENCE, future).await })
        .context("the test took too long")
}

/// Waits for a token's status to become what is wanted.
pub async fn wait_for(token: &TokenHandle, wanted: impl Fn(&TokenStatus) -> bool) -> Result<TokenStatus> {
    let mut changes = token.changes();
    let waiting = async {
        loop {
            changes.borrow_and_update();
            let status = token.status();
            if wanted(&status) {
                return Ok(status);
            }
            changes.changed().await?;
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(status) => status,
        Err(_) => anyhow::bail!("token {} is still {:?}", token.name(), token.status()),
    }
}

/// Waits for a token to be ready.
pub async fn ready(token: &TokenHandle) -> Result<TokenStatus> {
    wait_for(token, |status| status.state == TokenState::Ready).await
}

/// The key with this label.
pub fn key(token: &TokenHandle, label: &str) -> Result<KeyId> {
    let catalogue = token.catalogue();
    let found = catalogue.keys.iter().find(|key| key.label == label);
    found
        .map(|key| key.id)
        .with_context(|| format!("{label} is not in {catalogue:?}"))
}

/// A signature with the P-256 key that is called `p256`.
///
/// # Panics
/// If there is none.
#[expect(clippy::panic, reason = "it is the test that ends")]
pub async fn sign(token: &TokenHandle) -> Result<Vec<u8>, TokenError> {
    let key = key(token, "p256").unwrap_or_else(|error| panic!("{error:#}"));
    let input = SignInput::Digest(vec![7; 32]);
    token
        .sign(key, SignMechanism::Ecdsa(Digest::Sha256), input, Dispatch::default())
        .await
}
