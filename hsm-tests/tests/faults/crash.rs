//! Modules that take their process with them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use chancery_proto::v1::TokenState;
use cryptoki_sys::CKR_DEVICE_ERROR;
use hsm_tests::{
    daemon::{Daemon, PIN, Setup},
    people::Person,
    softhsm::fault::Fault,
};
use rustix::process::{Pid, Signal, kill_process};
use tonic::Code;

use crate::{
    PATIENCE, assert_every_intent_has_its_outcome, block_on,
    client::{Client, PLAINTEXT, ciphertext, reason},
    frail_and_sound, notes,
};

#[test]
fn a_job_whose_process_crashes_is_done_by_the_next_and_the_caller_does_not_notice() {
    let daemon = frail_and_sound();
    let faults = daemon.faults().unwrap();
    let ciphertext = ciphertext(Person::Alice);
    let mut processes = daemon.children().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let signature = client.sign(Person::Alice, 7).await.unwrap();
        let mut generation = client.token("frail").await.generation;
        for fault in [Fault::segfault(), Fault::abort(), Fault::exit(0)] {
            faults.put("C_Sign", fault.once()).unwrap();
            assert_eq!(client.sign(Person::Alice, 7).await.unwrap(), signature);
            client.sign(Person::Carol, 7).await.unwrap();
            let now = daemon.children().unwrap();
            let kept = processes.iter().filter(|pid| now.contains(pid)).count();
            assert_eq!((now.len(), kept), (2, 1), "{processes:?} became {now:?}");
            processes = now;
            let token = client.ready("frail").await.unwrap();
            assert!(token.generation > generation, "{generation}, then {token:?}");
            generation = token.generation;
        }
        // Even if it had done the work already: a second signature or decryption does no harm.
        faults
            .put("C_Decrypt", Fault::segfault().behind_the_call().once())
            .unwrap();
        assert_eq!(client.decrypt(Person::Alice, &ciphertext).await.unwrap(), PLAINTEXT);
    });
    let log = daemon.log().unwrap();
    for how in ["signal 11", "signal 6", "exit status 0"] {
        assert!(log.contains(how), "the log does not tell of {how}");
    }
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 4);
    assert_eq!(notes(&daemon, "module-replaced", "other"), 0);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_job_that_two_processes_crashed_with_is_not_given_to_a_third() {
    let daemon = frail_and_sound();
    let faults = daemon.faults().unwrap();
    faults.put("C_Sign", Fault::segfault().times(2)).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let status = client.sign(Person::Alice, 7).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unavailable, "MODULE_ENDED")
        );
        assert_eq!(faults.hits("C_Sign").unwrap(), 2);
        client.sign(Person::Carol, 7).await.unwrap();
        client.serves_again(Person::Alice).await.unwrap();
    });
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_crash_at_the_login_of_the_next_process_is_survived_as_well() {
    let daemon = frail_and_sound();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        for fault in [Fault::abort(), Fault::segfault().behind_the_call()] {
            faults.put("C_Login", fault.once()).unwrap();
            faults.put("C_Sign", Fault::segfault().once()).unwrap();
            client.sign(Person::Alice, 7).await.unwrap();
        }
    });
    assert_eq!(faults.hits("C_Login").unwrap(), 2);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_crash_or_an_error_while_the_module_is_loaded_is_survived_as_well() {
    let mut daemon = frail_and_sound();
    for fault in [Fault::segfault(), Fault::exit(3), Fault::answer(CKR_DEVICE_ERROR)] {
        daemon.faults().unwrap().put("C_Initialize", fault.once()).unwrap();
        daemon.restart().unwrap();
        block_on(async {
            let client = Client::of(&daemon).await;
            client.sign(Person::Alice, 7).await.unwrap();
        });
    }
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 3);
}

#[test]
fn a_module_that_keeps_crashing_is_parked_and_said_to_be_and_a_reload_brings_it_back_sooner() {
    let mut daemon = frail_and_sound();
    let started = Instant::now();
    daemon.faults().unwrap().put("C_Initialize", Fault::segfault()).unwrap();
    daemon
        .faults()
        .unwrap()
        .put("C_Sign", Fault::segfault().once())
        .unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let crashed = tokio::spawn({
            let client = client.clone();
            async move { client.sign(Person::Alice, 7).await }
        });
        let parked = client
            .token_when("frail", |token| token.state() == TokenState::Failed)
            .await
            .unwrap();
        eprintln!("parked after {:?}: {}", started.elapsed(), parked.detail);
        // How it ended, when it is tried again, and what makes that sooner.
        for part in ["signal 11, SIGSEGV", "after 60s", "reload"] {
            assert!(parked.detail.contains(part), "{part} is not in: {}", parked.detail);
        }
        // The one who waited has been told, whoever comes now is told at once, and the other module knows nothing of it.
        crashed.await.unwrap().unwrap_err();
        for status in [
            client.sign(Person::Alice, 7).await.unwrap_err(),
            client.unlock("frail", PIN).await.unwrap_err(),
        ] {
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::Unavailable, "TOKEN_FAILED")
            );
            // What is to be done is in the token's detail, and callers have the same.
            assert!(status.message().contains(&parked.detail), "{status:?}");
        }
        client.sign(Person::Carol, 7).await.unwrap();
    });
    assert_eq!(daemon.children().unwrap().len(), 1);
    assert_eq!(notes(&daemon, "module-parked", "softhsm"), 1);
    daemon.faults().unwrap().take_back_all().unwrap();
    daemon.reload().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.serves_again(Person::Alice).await.unwrap();
    });
    assert_eq!(daemon.children().unwrap().len(), 2);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_module_whose_processes_are_killed_from_outside_is_not_parked_and_the_reason_says_so() {
    let mut daemon = Setup::new().token("card", &[Person::Alice]).start().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        for _ in 0..6 {
            client.serves_again(Person::Alice).await.unwrap();
            let [process] = daemon.children().unwrap()[..] else {
                panic!("one module has one process");
            };
            let pid = Pid::from_raw(process.try_into().unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
            let begun = Instant::now();
            while daemon.children().unwrap().contains(&process) {
                assert!(begun.elapsed() < PATIENCE, "nobody notices that the process is gone");
                tokio::task::yield_now().await;
            }
        }
        let token = client
            .token_when("card", |token| token.state() == TokenState::Failed)
            .await
            .unwrap();
        for part in ["SIGKILL", "killed from outside", "after 60s", "reload"] {
            assert!(token.detail.contains(part), "{part} is not in: {}", token.detail);
        }
    });
    assert_eq!(notes(&daemon, "module-parked", "softhsm"), 0);
    daemon.reload().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.serves_again(Person::Alice).await.unwrap();
    });
}

/// The directory of the module called other.
fn directory_of_other(daemon: &Daemon) -> PathBuf {
    let configuration = fs::read_to_string(daemon.configuration_file()).unwrap();
    let module = configuration.split('"').find(|text| text.ends_with("/libmodule.so"));
    Path::new(module.unwrap()).parent().unwrap().to_owned()
}

#[test]
fn a_module_that_others_could_have_changed_meanwhile_is_not_loaded_again_before_that_is_mended() {
    let mut daemon = frail_and_sound();
    let directory = directory_of_other(&daemon);
    let chmod = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    let other = daemon.faults_of("other").unwrap();
    other.put("C_Sign", Fault::segfault().once()).unwrap();
    let loaded = other.of("C_Initialize").unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        chmod(0o777);
        // Given up with the process; the next one has nothing to do it with.
        client.sign(Person::Carol, 7).await.unwrap_err();
        let token = client
            .token_when("sound", |token| token.state() == TokenState::Failed)
            .await
            .unwrap();
        for part in [directory.to_str().unwrap(), "mode 0777", "chmod go-w"] {
            assert!(token.detail.contains(part), "{part} is not in: {}", token.detail);
        }
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!(daemon.faults_of("other").unwrap().of("C_Initialize").unwrap(), loaded);
    chmod(0o700);
    daemon.reload().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.serves_again(Person::Carol).await.unwrap();
    });
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 0);
}
