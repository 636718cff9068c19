//! A PKCS#11 module between a program and its real module: it counts calls, and does on request what bad modules, cards and
//! cables do: answers an error, is slow, hangs, crashes, has its token pulled, locks its PIN.
//!
//! [`MODULE_VARIABLE`] names the real module, [`FILE_VARIABLE`] the control file, which is mapped into the process: a test
//! writes into it and reads it, and shares nothing else with the module. So what is counted there survives the process. The
//! file's layout is in [`layout`]; the test's side of it is `hsm_tests::softhsm::fault`.
//!
//! ```text
//!  program ──► calls ──► faults: count, answer, delay, hang, crash ──► tokens: presence, PIN tries ──► real module
//!                           │                                             │
//!                           └──────────────── control file ───────────────┘
//! ```

mod calls;
mod control;
mod faults;
pub mod layout;
mod module;
mod pins;
mod tokens;

/// Environment variable: the real module.
pub const MODULE_VARIABLE: &str = "CHANCERY_FAULT_MODULE";

/// Environment variable: the control file, of [`layout::FILE_LEN`] bytes.
pub const FILE_VARIABLE: &str = "CHANCERY_FAULT_FILE";

/// The functions that are counted, and that faults can be put into.
pub const FUNCTIONS: &[&str] = calls::NAMES;
