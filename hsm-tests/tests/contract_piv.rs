//! The contract of `hsm_tests::contract` on a PIV card: stock OpenSC, pcscd, and a card in software.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hsm_tests::{
    contract::{
        TOKEN, TokenUnderTest,
        table::{PIV, Row},
    },
    contract_tests,
    daemon::{Daemon, Elsewhere, PIN, Pin, Setup},
    people::Person,
    piv::{Card, Slot},
    vpcd::Reader,
};

/// OpenSC's module, where distributions put it.
const MODULES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib64/opensc-pkcs11.so",
];

/// A card in a reader of its own.
struct Piv {
    card: Card,
    reader: Reader,
    module: PathBuf,
}

impl TokenUnderTest for Piv {
    const ROW: &'static Row = &PIV;

    fn prepare() -> Result<Self> {
        let module = MODULES.iter().map(Path::new).find(|file| file.exists());
        let module = module.context("there is no opensc-pkcs11.so: install opensc-pkcs11")?;
        let card = Card::new(
            PIN,
            &[
                (Slot::Authentication, Person::Carol.signing()),
                (Slot::Signature, Person::Alice.signing()),
                (Slot::KeyManagement, Person::Alice.encryption()),
                (Slot::Retired, Person::Carol.encryption()),
            ],
        )?;
        let mut reader = Reader::start()?;
        reader.insert(&card)?;
        Ok(Self {
            card,
            reader,
            module: module.to_owned(),
        })
    }

    fn setup(&self, pin: Pin) -> Setup {
        Setup::new().elsewhere(TOKEN, self.elsewhere(), pin)
    }

    fn module(&self, _daemon: &Daemon) -> Elsewhere {
        self.elsewhere()
    }

    fn logins(&self, _daemon: &Daemon) -> Result<u64> {
        Ok(self.card.presented())
    }

    fn remove(&mut self) -> Result<()> {
        self.reader.remove()
    }

    fn insert(&mut self) -> Result<()> {
        self.reader.insert(&self.card)
    }
}

impl Piv {
    fn elsewhere(&self) -> Elsewhere {
        let socket = self.reader.socket().display().to_string();
        Elsewhere {
            module: self.module.clone(),
            environment: vec![("PCSCLITE_CSOCK_NAME".to_owned(), socket)],
            // The end of the card's GUID, as OpenSC shows it.
            selector: "serial = \"5465737443617264\"".to_owned(),
        }
    }
}

contract_tests!(Piv, removable);
