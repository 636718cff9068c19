//! Sessions to tokens through PKCS#11: signing, decrypting and agreeing with keys that stay where they are.
//!
//! The only crate that links cryptoki, and the only place where anything blocks. Here live modules, tokens, sessions, PINs
//! and the list of keys; who may use a key, what a message is and how requests arrive do not: nothing of the daemon is
//! known here.
//!
//! ```text
//!                 chanceryd                         │        the module's process
//!                                                   │
//!  TokenHandle::sign ──► Job ──► Queue ──► Courier ─┼─► Worker ─── session ──┐
//!        ▲                      (bounded,           │   Worker ─── session ──┤
//!        └──── oneshot ◄──────── two priorities) ◄──┼── …                    ├──► module ──► token
//!                                                   │     │ repair           │
//!  unlock, lock ──► Supervisor ─────────────────────┼─► Anchor ─── session ──┘
//!  status, catalogue ◄── Board ◄────────────────────┼── finds, logs in, lists keys, watches
//! ```
//!
//! - **Async ends at [`TokenHandle`].** Answers are read by tasks of the runtime that [`Tokens::start`] is called in; all else
//!   here is threads, and there is no runtime in the module's process.
//! - **A process for every module** (ADR 9): it crashes and hangs alone, and another takes its place. [`serve_module`] is what
//!   runs in it.
//! - **The anchor** (one thread for each token) logs in on a session that stays open, so that the login does. It alone
//!   searches, logs in and out. **Workers** (one thread and one session each) do nothing but C_SignInit and C_Sign and the
//!   like: no C_FindObjects, C_Login or C_OpenSession is on their way while all is well.
//! - **Generations**: object handles are good for one generation. Whatever makes them doubtful raises it, and workers fetch
//!   the new ones. A session that saw an error which is not plainly the caller's is closed.
//! - **Absent is not deleted**: keys of a token that is gone stay in the [`Catalogue`], and the token is looked for.
//! - **The gate** lets nobody new to a token that is drained, and knows who is inside: what it has it finishes.
//! - **The PIN guard** never tries a PIN twice that the token has refused once. A try with a PIN that this process has not proved
//!   is written down before it is made, so that after a restart it knows as much; of a proved one it counts those without an
//!   answer.
#![deny(unsafe_code)]

mod allowance;
mod anchor;
mod backlog;
mod board;
mod capabilities;
mod catalogue;
mod child;
mod ckr;
mod clock;
mod config;
mod confine;
mod duration;
mod engine;
mod error;
mod front;
mod gate;
mod guard;
mod handle;
mod job;
mod jobs;
mod key;
mod mechanism;
mod metrics;
mod module;
mod notice;
mod oaep;
mod packet;
mod pin;
mod pins;
mod point;
mod process;
mod protocol;
mod queue;
#[expect(unsafe_code, reason = "calls through the module's function list; see the file")]
mod raw;
pub mod remedy;
mod shared;
mod signature;
mod status;
mod sync;
mod tokens;
mod trace;
mod tries;
mod uri;
mod wait;
mod worker;

pub use allowance::Allowance;
pub use backlog::Backlog;
pub use catalogue::{Catalogue, KeyAlgorithm, KeyEntry};
pub use child::{ModuleProcessError, serve as serve_module};
pub use config::{ModuleConfig, TokenConfig, TokenSelector};
pub use error::{ModuleError, StartError, TokenError};
pub use gate::{Drain, Place};
pub use guard::{MemoryError, PinMemory};
pub use handle::{Standing, TokenHandle};
pub use job::{Dispatch, Retry};
pub use key::{InvalidKeyId, KeyId};
pub use mechanism::{DecryptScheme, Digest, SignInput, SignMechanism};
pub use metrics::{
    BOUNDS, CallsSnapshot, FailuresSnapshot, Histogram, HistogramSnapshot, Login, MetricsSnapshot, Operation,
};
pub use notice::{Ending, Notice};
pub use pin::{Pin, PinChange, PinEntry, Unlock};
pub use process::Launch;
pub use queue::Priority;
pub use status::{PinStatus, TokenState, TokenStatus};
pub use tokens::{Loads, Reviver, Tokens};
pub use trace::TRACES;
pub use uri::{TokenUri, UriError};
