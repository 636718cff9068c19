//! The contract of `hsm_tests::contract` on SoftHSM.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use anyhow::Result;
use hsm_tests::{
    contract::{
        TOKEN, TokenUnderTest,
        table::{Row, SOFTHSM},
    },
    contract_tests,
    daemon::{Daemon, Elsewhere, Pin, Setup},
    people::Person,
};

/// The daemon's harness makes it, with everybody's keys.
struct SoftHsm;

impl TokenUnderTest for SoftHsm {
    const ROW: &'static Row = &SOFTHSM;

    fn prepare() -> Result<Self> {
        Ok(Self)
    }

    fn setup(&self, pin: Pin) -> Setup {
        Setup::new().token_with_pin(TOKEN, &Person::ALL, pin).faulty()
    }

    fn module(&self, daemon: &Daemon) -> Elsewhere {
        let softhsm = daemon.softhsm();
        Elsewhere {
            module: softhsm.module_path().to_owned(),
            environment: vec![("SOFTHSM2_CONF".to_owned(), softhsm.conf_path().display().to_string())],
            selector: String::new(),
        }
    }
}

contract_tests!(SoftHsm);
