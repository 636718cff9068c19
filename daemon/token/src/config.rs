//! What is asked for: modules, and tokens found through them. Already checked by whoever read the configuration.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{guard::PinMemory, pin::Pin, uri::TokenUri};

/// A PKCS#11 shared library.
#[derive(Debug, Clone)]
pub struct ModuleConfig {
    /// The name by which tokens refer to it.
    pub name: String,
    /// The shared library.
    pub path: PathBuf,
    /// The environment of its process, and nothing else is in it.
    pub environment: BTreeMap<String, String>,
    /// It may use the network, as modules for network HSMs must.
    pub network: bool,
    /// It may start programs.
    pub programs: bool,
    /// Absolute paths of files and directories that it cannot open, nor copies of such a file that have its name and an ending.
    pub hidden: Vec<PathBuf>,
    /// How long it may take to load and initialise before its process is ended and another one started.
    pub load_time: Duration,
}

/// How a token is found among those that its module shows. Slot numbers play no part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TokenSelector {
    /// An RFC 7512 URI.
    Uri(TokenUri),
    /// Exact label, serial number, or both. With neither, nothing matches.
    Attributes {
        /// CK_TOKEN_INFO's label, without padding.
        label: Option<String>,
        /// CK_TOKEN_INFO's serialNumber, without padding.
        serial: Option<String>,
    },
}

/// One token to be served.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The name in status, errors and logs; unique.
    pub name: String,
    /// The name of its module.
    pub module: String,
    /// How it is found.
    pub selector: TokenSelector,
    /// Worker sessions, each on a thread of its own; at least one. Fewer are used where the token allows fewer.
    pub sessions: usize,
    /// Jobs that may wait; more are refused with [`TokenError::QueueFull`](crate::TokenError::QueueFull).
    pub queue: usize,
    /// The PIN to log in with as soon as the token is there; without one it stays locked until
    /// [`TokenHandle::unlock`](crate::TokenHandle::unlock).
    pub pin: Option<Pin>,
    /// Somebody is asked for the PIN at the token's own PIN pad as soon as the token is there, if it has one; otherwise only
    /// when it is unlocked by hand.
    pub pin_pad: bool,
    /// Where it is written down which PINs have failed, so that none is tried again after a restart; without it, that is known
    /// until the process ends.
    pub pin_memory: Option<PinMemory>,
    /// DER certificates from outside the token, matched to its keys by public key.
    pub certificates: Vec<Vec<u8>>,
    /// How long a job may wait before it is started. The caller's deadline may be nearer, never farther.
    pub call_deadline: Duration,
    /// How much longer than that a call may go without an answer before the module's process is ended. The two together are what
    /// a call may take by which the token is looked after, too.
    pub call_grace: Duration,
    /// After so long without a job, a worker sees to it that its session lives: by a call that does nothing, which keeps a
    /// firewall from dropping the connection. `None`: never.
    pub keep_alive: Option<Duration>,
}
