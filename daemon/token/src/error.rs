//! Why a token cannot do what it was asked for, and why a start failed.

use std::{borrow::Cow, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::key::KeyId;

/// An operation on a token failed. Every variant names the token as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TokenError {
    /// No slot holds the token, or its module has not answered yet. Trying again later helps.
    #[error("token {token} is absent: insert or reconnect it")]
    Absent {
        /// The token.
        token: String,
    },
    /// The token goes on failing, or its module cannot be used. Whether trying again later helps is in the detail.
    #[error("token {token} cannot be used: {detail}")]
    Failed {
        /// The token.
        token: String,
        /// Why, and what is done about it.
        detail: String,
    },
    /// The token finishes what it has and takes nothing new. Trying again helps when that is over.
    #[error("token {token} takes no new work: it is in maintenance, or drained until it is unlocked")]
    Draining {
        /// The token.
        token: String,
    },
    /// Nobody is logged in. Trying again helps after an unlock.
    #[error("token {token} is locked: unlock it with its PIN")]
    Locked {
        /// The token.
        token: String,
    },
    /// The token refused this PIN (CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE). One try was spent.
    #[error("token {token} refused the PIN ({ckr}); one of its tries is spent and this PIN will not be tried again")]
    PinIncorrect {
        /// The token.
        token: String,
        /// The token's answer.
        ckr: Cow<'static, str>,
    },
    /// The token refused the PIN that was entered at its PIN pad. One try was spent.
    #[error("token {token} refused the PIN that was entered at its PIN pad ({ckr}); one of its tries is spent")]
    PinIncorrectAtPad {
        /// The token.
        token: String,
        /// The token's answer.
        ckr: Cow<'static, str>,
    },
    /// Nobody entered a PIN at the token's PIN pad: it was cancelled there, or nobody came in time. No try was spent.
    #[error(
        "no PIN was entered at the PIN pad of token {token} ({ckr}): it was cancelled there, or nobody came in time; try again, \
         with somebody at the pad"
    )]
    PinNotEntered {
        /// The token.
        token: String,
        /// The token's answer.
        ckr: Cow<'static, str>,
    },
    /// This PIN has failed before and was not tried. No try was spent.
    #[error("token {token} has refused this PIN before: it was not tried again")]
    PinAlreadyFailed {
        /// The token.
        token: String,
    },
    /// Two tries with this PIN came to no end, because the module was gone; it was not tried again. No try was spent now. Somebody
    /// who is sure of the PIN can insist ([`Unlock::even_if_unanswered`](crate::Unlock)).
    #[error(
        "two tries with this PIN on token {token} never came to an end, so nobody knows whether it is right, and each may have \
         spent a try of the token's: it was not tried again. Whoever is sure of it can unlock with it even if unanswered"
    )]
    PinUnanswered {
        /// The token.
        token: String,
    },
    /// As [`PinUnanswered`](Self::PinUnanswered), and insisting does not help: the token says that one try is left. Nothing was
    /// sent to it.
    #[error(
        "two tries with this PIN on token {token} never came to an end, and the token says that one is left: if the PIN is wrong, \
         another would lock it, so it was not tried again. Find out with the token's own tools whether it is right"
    )]
    PinUnansweredAtFinalTry {
        /// The token.
        token: String,
    },
    /// As [`PinUnanswered`](Self::PinUnanswered), and somebody has insisted twice since the token last said whether a PIN is right:
    /// neither was answered. Nothing was sent to it.
    #[error(
        "two tries with this PIN on token {token} never came to an end, nor did the last {} that somebody insisted on: it was not \
         tried again. A login with another PIN, or at a PIN pad, frees it: find out with the token's own tools whether the PIN is \
         right and how many tries are left, set another one with them, and unlock with that. Only if they cannot, {remedy}",
        crate::guard::MAX_INSISTED
    )]
    PinInsistenceSpent {
        /// The token.
        token: String,
        /// What is to be done before anybody can insist again.
        remedy: String,
    },
    /// This is not the PIN that the token was unlocked with. It was compared with that one and not sent: no try was spent.
    #[error(
        "this is not the PIN that token {token} was unlocked with, or too many have been compared since; it was not sent to the \
         token, and no try is spent: lock the token to have the next one sent"
    )]
    PinMismatch {
        /// The token.
        token: String,
    },
    /// There is nothing to compare a PIN with: that of the token was entered at its PIN pad, or nobody knows it since a change
    /// of the PIN came to no end.
    #[error(
        "what is the PIN of token {token} is not known here, so the one that came with the call cannot be compared: lock the \
         token, and unlock it by giving its PIN"
    )]
    PinUnknown {
        /// The token.
        token: String,
    },
    /// The token does not take the new PIN; the old one stands.
    #[error("token {token} does not take the new PIN ({detail}): the old one stands, choose another")]
    NewPinRefused {
        /// The token.
        token: String,
        /// The length that it wants, or its answer.
        detail: Cow<'static, str>,
    },
    /// The token failed in the middle of a change of its PIN.
    #[error(
        "token {token} answered {ckr} when its PIN was to be changed; whether it was is not known: look at the token, and unlock \
         it with the old PIN or the new one"
    )]
    PinChangeUnclear {
        /// The token.
        token: String,
        /// Its answer.
        ckr: Cow<'static, str>,
    },
    /// It could not be written down that this PIN was about to be tried, so it was not: the disk is full, or the like. Trying
    /// again helps once that has been seen to.
    #[error("token {token}: the PIN was not tried: {detail}")]
    PinMemory {
        /// The token.
        token: String,
        /// Which file, and what the system said.
        detail: String,
    },
    /// The token has locked its user PIN. Only its security officer can help.
    #[error("the PIN of token {token} is locked: its security officer has to set a new one")]
    PinLocked {
        /// The token.
        token: String,
    },
    /// The token says that one wrong PIN will lock it, so the kept PIN was not used. Unlocking by hand helps.
    #[error("token {token} has one PIN try left and nothing is tried automatically: unlock it by hand")]
    PinFinalTry {
        /// The token.
        token: String,
    },
    /// The token's catalogue has no such key.
    #[error("token {token} has no key {key}")]
    KeyNotFound {
        /// The token.
        token: String,
        /// The key.
        key: KeyId,
    },
    /// The key's attributes do not allow the operation.
    #[error("key {key} on token {token} may not be used to {operation}")]
    KeyRole {
        /// The token.
        token: String,
        /// The key.
        key: KeyId,
        /// `sign`, `decrypt` or `agree`.
        operation: Cow<'static, str>,
    },
    /// The key's algorithm does not go with the mechanism, or the token does not offer it.
    #[error("token {token} cannot do {mechanism} with this key")]
    MechanismUnsupported {
        /// The token.
        token: String,
        /// The mechanism.
        mechanism: Cow<'static, str>,
    },
    /// Too many jobs are waiting. Trying again helps.
    #[error("the queue of token {token} is full: try again later, or configure more sessions")]
    QueueFull {
        /// The token.
        token: String,
    },
    /// The deadline passed before the job was started. Trying again may help.
    #[error("token {token} did not get to the job before its deadline")]
    DeadlineExceeded {
        /// The token.
        token: String,
    },
    /// The job was started and its deadline passed before the token answered. Whether it was done is not known.
    #[error(
        "token {token} was given the job and did not answer before the deadline; whether it was done is not known, and the module \
         is started anew if it goes on like that"
    )]
    TimedOut {
        /// The token.
        token: String,
    },
    /// The module's process ended with the job in it, and no other is given it: one was before, or another token can have it, or it is
    /// an administrator's, or what the token was unlocked for is spent. Whether it was done is not known.
    #[error(
        "the module of token {token} ended while it had the job ({how}); whether it was done is not known: try again later"
    )]
    ModuleEnded {
        /// The token.
        token: String,
        /// How the process ended, such as the signal.
        how: String,
    },
    /// The ciphertext does not decrypt under this key. Deliberately says no more than that.
    #[error("token {token}: decryption failed")]
    DecryptionFailed {
        /// The token.
        token: String,
    },
    /// The input has the wrong length or form; only public facts decide.
    #[error("token {token}: input refused: {detail}")]
    InputRefused {
        /// The token.
        token: String,
        /// What is wrong with it.
        detail: Cow<'static, str>,
    },
    /// The module answered with an error that has no variant of its own. The session has been closed; trying again may help.
    #[error("token {token}: {function} answered {ckr}")]
    Ckr {
        /// The token.
        token: String,
        /// The PKCS#11 function.
        function: Cow<'static, str>,
        /// Its answer.
        ckr: Cow<'static, str>,
    },
    /// The process is shutting down.
    #[error("token {token}: shutting down")]
    Shutdown {
        /// The token.
        token: String,
    },
}

impl TokenError {
    /// The token's configured name.
    pub fn token(&self) -> &str {
        match self {
            Self::Absent { token }
            | Self::Failed { token, .. }
            | Self::Draining { token }
            | Self::Locked { token }
            | Self::PinIncorrect { token, .. }
            | Self::PinIncorrectAtPad { token, .. }
            | Self::PinNotEntered { token, .. }
            | Self::PinAlreadyFailed { token }
            | Self::PinUnanswered { token }
            | Self::PinUnansweredAtFinalTry { token }
            | Self::PinInsistenceSpent { token, .. }
            | Self::PinMismatch { token }
            | Self::PinUnknown { token }
            | Self::NewPinRefused { token, .. }
            | Self::PinChangeUnclear { token, .. }
            | Self::PinMemory { token, .. }
            | Self::PinLocked { token }
            | Self::PinFinalTry { token }
            | Self::KeyNotFound { token, .. }
            | Self::KeyRole { token, .. }
            | Self::MechanismUnsupported { token, .. }
            | Self::QueueFull { token }
            | Self::DeadlineExceeded { token }
            | Self::TimedOut { token }
            | Self::ModuleEnded { token, .. }
            | Self::DecryptionFailed { token }
            | Self::InputRefused { token, .. }
            | Self::Ckr { token, .. }
            | Self::Shutdown { token } => token,
        }
    }

    /// The CKR name behind the error, where there is one that may be shown.
    pub fn ckr(&self) -> Option<&str> {
        match self {
            Self::PinIncorrect { ckr, .. }
            | Self::PinIncorrectAtPad { ckr, .. }
            | Self::PinNotEntered { ckr, .. }
            | Self::PinChangeUnclear { ckr, .. }
            | Self::Ckr { ckr, .. } => Some(ckr),
            Self::PinLocked { .. } => Some("CKR_PIN_LOCKED"),
            _ => None,
        }
    }
}

/// The configuration cannot be served: nothing has been started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two modules or two tokens have the same name.
    #[error("{kind} {name} is configured twice: give each its own name")]
    Duplicate {
        /// `module` or `token`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A token names a module that is not configured.
    #[error("token {token} names module {module}, which is not configured")]
    UnknownModule {
        /// The token.
        token: String,
        /// The module.
        module: String,
    },
    /// A token's selector matches every token, or its sessions or queue are zero.
    #[error("token {token}: {detail}")]
    InvalidToken {
        /// The token.
        token: String,
        /// What is wrong and what to do.
        detail: &'static str,
    },
    /// The shared library could not be loaded or initialised.
    #[error("module {module} ({}) for {tokens} cannot be used: {source}", path.display())]
    Module {
        /// The module.
        module: String,
        /// Its file.
        path: PathBuf,
        /// The tokens that need it.
        tokens: String,
        /// Why.
        #[source]
        source: Box<ModuleError>,
    },
    /// The operating system refused a thread.
    #[error("a thread for {name} could not be started")]
    Thread {
        /// The token or module.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A PKCS#11 shared library cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ModuleError {
    /// The file could not be loaded as a shared library, or is not a PKCS#11 module.
    #[error("it could not be loaded: {0}")]
    Load(String),
    /// Others could have changed the file, so it was not loaded. Trying again helps once its owner and mode, and those of the
    /// directories that lead to it, have been put right.
    #[error("it was not loaded: {0}")]
    Untrusted(String),
    /// The library answered with an error.
    #[error("{function} answered {ckr}")]
    Ckr {
        /// The PKCS#11 function.
        function: Cow<'static, str>,
        /// Its answer.
        ckr: Cow<'static, str>,
    },
    /// The process that was to load it ended.
    #[error("its process ended while it was loaded: {0}")]
    Ended(String),
    /// The library's two interfaces describe different libraries: it hands out those of another module it is linked to.
    #[error("its C_GetInterface belongs to another library ({interface}) than its C_GetFunctionList ({list})")]
    ForeignInterface {
        /// C_GetInfo through C_GetInterface.
        interface: String,
        /// C_GetInfo through C_GetFunctionList.
        list: String,
    },
    /// The library speaks a version of PKCS#11 that is too old.
    #[error("it speaks PKCS#11 {major}.{minor}; 2.20 or later is needed")]
    Version {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
}
