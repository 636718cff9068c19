//! The contract of `hsm_tests::contract` on kryoptic.
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
        table::{KRYOPTIC, Row},
    },
    contract_tests,
    daemon::{Daemon, Elsewhere, PIN, Pin, Setup},
    kryoptic::Kryoptic,
};

/// A token in a file of its own.
struct Token(Kryoptic);

impl TokenUnderTest for Token {
    const ROW: &'static Row = &KRYOPTIC;

    fn prepare() -> Result<Self> {
        let token = Kryoptic::new(TOKEN, PIN);
        // `make test` builds the module; without that it is left out, and said so.
        if std::env::var_os("CI").is_some() {
            assert!(token.is_ok(), "{token:?}");
        }
        let token = token?;
        for (row, id) in KRYOPTIC.keys.iter().zip(1..) {
            token.import(&row.files(), id)?;
        }
        Ok(Self(token))
    }

    fn setup(&self, pin: Pin) -> Setup {
        Setup::new().elsewhere(TOKEN, self.elsewhere(), pin).faulty()
    }

    fn module(&self, _daemon: &Daemon) -> Elsewhere {
        self.elsewhere()
    }
}

impl Token {
    fn elsewhere(&self) -> Elsewhere {
        Elsewhere {
            module: self.0.module().to_owned(),
            environment: self.0.environment(),
            selector: format!("label = \"{TOKEN}\""),
        }
    }
}

contract_tests!(Token);
