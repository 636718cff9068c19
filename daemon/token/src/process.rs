//! The daemon's side of the module processes: one process for each module, and one supervisor thread for each process.
//!
//! ```text
//!   TokenHandle ──► queue ──► Courier ──► job socket ──► module process      (and answers the same way back)
//!        └── commands ──► Supervisor ──► control socket ──► module process   (and status, keys, wishes for a PIN)
//! ```
//!
//! - A [`Courier`] gives the process as many jobs of a token as it can do soon, and knows which are there. It never blocks: it
//!   runs on the threads that speak HTTP/2.
//! - A supervisor starts the process and everything that follows from that: what the process says goes to the board, a
//!   process that ends is replaced, one that hangs is ended, one that keeps ending is left alone for longer and longer.

mod courier;
mod launch;
mod life;
mod log;
mod pause;
mod renewals;
mod supervised_token;
mod supervisor;
mod window;

pub(crate) use courier::Courier;
pub use launch::Launch;
pub(crate) use supervised_token::SupervisedToken;
pub(crate) use supervisor::{Event, Supervisor};
