//! The contract stands without Rust: a Python client, made from the .proto files alone, does everything that a caller does.
//!
//! Where Python or pip cannot run, the client is not tried, and the first test here says so in the run's summary. With `CI` in
//! the environment, that is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use hsm_tests::{
    daemon::{PIN, Pin, Setup},
    messages::{ENTITY, letter},
    openssl::{self, Recipient},
    people::Person,
    python::Python,
};

#[test]
fn a_python_client_can_be_made_from_the_contract() {
    let _told = Python::if_it_can_run();
}

#[test]
fn a_python_client_signs_with_every_key() {
    let Some(python) = Python::if_it_can_run() else { return };
    let daemon = Setup::new().token("cards", &Person::ALL).start().unwrap();
    python.script("key_sign.py", &daemon, b"").unwrap();
}

#[test]
fn a_python_client_decrypts_and_agrees_with_every_key() {
    let Some(python) = Python::if_it_can_run() else { return };
    let daemon = Setup::new().token("cards", &Person::ALL).start().unwrap();
    python.script("key_decrypt.py", &daemon, b"").unwrap();
}

#[test]
fn a_python_client_signs_and_verifies_a_message_in_pieces() {
    let Some(python) = Python::if_it_can_run() else { return };
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    let signed = python.script("mail_sign.py", &daemon, &letter(Person::Alice)).unwrap();
    assert_eq!(openssl::verify(&[], &signed).unwrap(), ENTITY);
}

#[test]
fn a_python_client_encrypts_and_decrypts_a_message_in_pieces() {
    let Some(python) = Python::if_it_can_run() else { return };
    let daemon = Setup::new().token("cards", &[Person::Carol]).start().unwrap();
    let recipient = Recipient {
        person: Person::Carol,
        options: &[],
    };
    let sealed = openssl::encrypt(&[recipient], &["-aes-256-gcm"], ENTITY).unwrap();
    let letter = python.script("mail_decrypt.py", &daemon, &sealed).unwrap();
    assert!(letter.ends_with(ENTITY), "{}", String::from_utf8_lossy(&letter));
}

#[test]
fn a_python_client_watches_a_token_being_locked() {
    let Some(python) = Python::if_it_can_run() else { return };
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    python.script("token_watch.py", &daemon, b"").unwrap();
}

#[test]
fn a_pin_does_not_stay_in_memory_though_the_channel_that_brought_it_is_kept() {
    let Some(python) = Python::if_it_can_run() else { return };
    if !rustix::process::getuid().is_root() {
        eprintln!("SKIPPED: only root can look into the daemon's memory");
        return;
    }
    // Nobody knows it but who unlocks.
    let daemon = Setup::new()
        .token_with_pin("cards", &[Person::Alice], Pin::None)
        .start()
        .unwrap();
    let input = format!("{} {PIN}", daemon.pid());
    python.script("pin_wiped.py", &daemon, input.as_bytes()).unwrap();
}

#[test]
fn calls_that_overlap_and_bring_a_pin_are_all_answered_while_their_connections_are_ended() {
    let Some(python) = Python::if_it_can_run() else { return };
    let daemon = Setup::new().token("cards", &[Person::Alice]).start().unwrap();
    python.script("pins_overlap.py", &daemon, PIN.as_bytes()).unwrap();
}

#[test]
fn a_python_client_reads_why_it_was_refused() {
    let Some(python) = Python::if_it_can_run() else { return };
    let grant = format!(
        "name = \"alice\"\ncaller = {{ uid = {} }}\nidentities = [\"alice@example.org\"]\n\
         operations = [\"sign\", \"decrypt\", \"sign-raw\", \"decrypt-raw\", \"list\"]",
        rustix::process::getuid().as_raw()
    );
    let daemon = Setup::new()
        .token("cards", &[Person::Alice, Person::Bob])
        .grant(&grant)
        .start()
        .unwrap();
    python.script("refusals.py", &daemon, b"").unwrap();
}
