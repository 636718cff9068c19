//! What is known about a token at a moment.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TokenState {
    /// The module is being loaded, or the token looked for the first time.
    #[default]
    Starting,
    /// No slot holds the token. Its keys, if they were seen before, stay listed; it is looked for again and again.
    Absent,
    /// The token is there, but nobody is logged in.
    Locked,
    /// Keys can be used.
    Ready,
    /// The module or the token cannot be used; `detail` says why.
    Failed,
}

/// What the token says about the user PIN, and what was seen when logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PinStatus {
    /// Nothing to report.
    #[default]
    Ok,
    /// CKF_USER_PIN_COUNT_LOW: a wrong PIN has been tried since the last login.
    CountLow,
    /// CKF_USER_PIN_FINAL_TRY: the next wrong PIN locks the token. Nothing is tried automatically.
    FinalTry,
    /// CKF_USER_PIN_LOCKED, or CKR_PIN_LOCKED from a login.
    Locked,
}

/// A token's state, identity and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenStatus {
    /// Where it stands.
    pub state: TokenState,
    /// Why it stands there and what to do, for the operator; empty when ready.
    pub detail: String,
    /// The name of the CKR that the token answered last, other than CKR_OK; none since the last success. A ciphertext that
    /// could not be decrypted counts here as one that could.
    pub last_error: Option<Cow<'static, str>>,
    /// The module's name in the configuration.
    pub module: String,
    /// CK_TOKEN_INFO's label; empty until the token has been seen.
    pub label: String,
    /// CK_TOKEN_INFO's serialNumber.
    pub serial: String,
    /// CK_TOKEN_INFO's manufacturerID.
    pub manufacturer: String,
    /// CK_TOKEN_INFO's model.
    pub model: String,
    /// Keys in the catalogue.
    pub key_count: usize,
    /// Worker sessions in use.
    pub sessions: usize,
    /// Raised each time object handles are looked up anew.
    pub generation: u64,
    /// The user PIN.
    pub pin: PinStatus,
    /// CKF_PROTECTED_AUTHENTICATION_PATH: the token, or its reader, has a PIN pad or the like of its own.
    pub protected_authentication_path: bool,
}
