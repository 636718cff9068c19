//! How the library and the command line behave towards a daemon that does what the test says. Nothing here is about
//! S/MIME: the fake daemon knows none. What the real daemon makes of a message is tested in `hsm-tests`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

mod ask_password;
mod certificate;
mod command_line;
mod exit_status;
mod fake;
mod library;
mod lists;
mod output;
mod recipients;
mod repetition;
mod terminal;
mod tls;
