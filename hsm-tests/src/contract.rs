//! One contract for every token there is: what a caller of `chanceryd` may rely on, whatever the keys are on.
//!
//! [`table`] says in which way each token differs; the clauses of the contract are in the other files, and assert what the
//! table says, so that a wrong table fails. A test file is one line: [`contract_tests!`](crate::contract_tests) with the
//! [`TokenUnderTest`] that knows how to prepare such a token.

mod agreeing;
mod caller;
mod decrypting;
mod listing;
mod peer;
mod pins;
mod presence;
mod signing;
pub mod table;

use anyhow::{Result, bail};
use caller::Caller;
use table::Row;

use crate::daemon::{Daemon, Elsewhere, Pin, Setup};
pub use {
    agreeing::{a_key_agrees_where_the_table_says_so, a_point_off_the_curve_is_refused},
    decrypting::{a_bad_ciphertext_is_one_error, every_scheme_of_the_table_decrypts},
    listing::{its_keys_are_listed_with_their_roles, the_module_says_of_itself_what_the_table_says},
    pins::{
        a_locked_token_keeps_its_keys_listed, a_wrong_pin_by_hand_costs_one_try, a_wrong_pin_costs_one_try,
        without_a_pin_it_waits_for_one, wrong_pins_in_a_row_lock_it_where_the_table_says_so,
    },
    presence::{it_comes_back_by_itself, what_is_asked_of_it_while_it_goes_fails_clearly},
    signing::{every_algorithm_of_the_table_signs, many_signatures_at_once_are_all_valid},
};

/// What the configuration calls the token.
pub const TOKEN: &str = "token";

/// A token of one kind, prepared, with the keys that its row in the table names.
pub trait TokenUnderTest: Sized {
    /// How it differs.
    const ROW: &'static Row;

    /// Makes the token.
    ///
    /// # Errors
    /// What stands in the way on this machine: then the test is skipped, and says so.
    fn prepare() -> Result<Self>;

    /// A daemon that serves it as [`TOKEN`].
    fn setup(&self, pin: Pin) -> Setup;

    /// Its module, as `daemon` has it configured.
    fn module(&self, daemon: &Daemon) -> Elsewhere;

    /// How many times it has been given a user PIN, right or wrong, to log in with. A token that does not count by itself is
    /// behind the fault module, which does.
    fn logins(&self, daemon: &Daemon) -> Result<u64> {
        daemon.faults()?.of("C_Login")
    }

    /// Takes it away.
    fn remove(&mut self) -> Result<()> {
        bail!("{} stays where it is", Self::ROW.name)
    }

    /// Brings it back.
    fn insert(&mut self) -> Result<()> {
        bail!("{} stays where it is", Self::ROW.name)
    }
}

/// A daemon with the token, and a caller.
struct Bench<T> {
    // Dropped in this order: nothing that is used goes before who uses it.
    caller: Caller,
    daemon: Daemon,
    token: T,
}

impl<T: TokenUnderTest> Bench<T> {
    fn start(token: T, pin: Pin) -> Result<Self> {
        Self::start_with(token, pin, |setup| setup)
    }

    fn start_with(token: T, pin: Pin, change: impl FnOnce(Setup) -> Setup) -> Result<Self> {
        let daemon = change(token.setup(pin)).start()?;
        Ok(Self {
            caller: Caller::connect(&daemon)?,
            daemon,
            token,
        })
    }

    fn logins(&self) -> Result<u64> {
        self.token.logins(&self.daemon)
    }

    /// The same with a daemon that has been started anew.
    fn restart(self) -> Result<Self> {
        let Self {
            caller,
            mut daemon,
            token,
        } = self;
        // The daemon would wait for it.
        drop(caller);
        daemon.restart()?;
        Ok(Self {
            caller: Caller::connect(&daemon)?,
            daemon,
            token,
        })
    }
}

/// Runs one clause of the contract, or says why it cannot be run here.
///
/// # Panics
/// When the clause does not hold. A token that takes root, a namespace or a program that is not there is skipped.
#[expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "part of a test: where it cannot run is said in its output"
)]
pub fn run<T: TokenUnderTest>(clause: fn(T) -> Result<()>) {
    let name = T::ROW.name;
    match T::prepare() {
        Ok(token) => clause(token).unwrap_or_else(|error| panic!("{name}: {error:#}")),
        Err(error) => eprintln!("SKIPPED: {name} cannot be had here: {error:#}"),
    }
}

/// The tests of a token's file: every clause of the contract; `contract_tests!(Token, removable)` for one that can be taken
/// away.
#[macro_export]
macro_rules! contract_tests {
    ($token:ty, removable) => {
        $crate::contract_tests!($token);
        $crate::contract_tests!(
            $token:
            it_comes_back_by_itself
            what_is_asked_of_it_while_it_goes_fails_clearly
        );
    };
    ($token:ty) => {
        $crate::contract_tests!(
            $token:
            its_keys_are_listed_with_their_roles
            the_module_says_of_itself_what_the_table_says
            every_algorithm_of_the_table_signs
            many_signatures_at_once_are_all_valid
            every_scheme_of_the_table_decrypts
            a_bad_ciphertext_is_one_error
            a_key_agrees_where_the_table_says_so
            a_point_off_the_curve_is_refused
            a_wrong_pin_costs_one_try
            a_wrong_pin_by_hand_costs_one_try
            without_a_pin_it_waits_for_one
            wrong_pins_in_a_row_lock_it_where_the_table_says_so
            a_locked_token_keeps_its_keys_listed
        );
    };
    ($token:ty: $($clause:ident)*) => {
        $(
            #[test]
            fn $clause() {
                $crate::contract::run::<$token>($crate::contract::$clause);
            }
        )*
    };
}
