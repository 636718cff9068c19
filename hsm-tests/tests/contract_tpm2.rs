//! The contract of `hsm_tests::contract` on tpm2-pkcs11 with a TPM in software.
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
        table::{Row, TPM2},
    },
    contract_tests,
    daemon::{Daemon, Elsewhere, PIN, Pin, Setup},
    tpm::{self, Algorithm, Tpm},
};

/// A token in a TPM of its own.
struct Tpm2(Tpm);

impl TokenUnderTest for Tpm2 {
    const ROW: &'static Row = &TPM2;

    fn prepare() -> Result<Self> {
        tpm::module()?;
        let tpm = Tpm::start(TOKEN, PIN)?;
        for row in TPM2.keys {
            let algorithm = if row.is_rsa() { Algorithm::Rsa } else { Algorithm::Ecc };
            tpm.import(&row.files(), algorithm)?;
        }
        Ok(Self(tpm))
    }

    fn setup(&self, pin: Pin) -> Setup {
        Setup::new().elsewhere(TOKEN, self.elsewhere(), pin).faulty()
    }

    fn module(&self, _daemon: &Daemon) -> Elsewhere {
        self.elsewhere()
    }
}

impl Tpm2 {
    fn elsewhere(&self) -> Elsewhere {
        Elsewhere {
            module: tpm::module().unwrap().to_owned(),
            environment: self.0.environment(),
            selector: format!("label = \"{TOKEN}\""),
        }
    }
}

contract_tests!(Tpm2);
