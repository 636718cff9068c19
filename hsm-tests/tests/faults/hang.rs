//! Calls into a module that are slow, or do not come back.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use chancery_proto::v1::TokenState;
use cryptoki_sys::CKR_DEVICE_ERROR;
use hsm_tests::{
    daemon::{Daemon, PIN, Pin, Setup},
    people::Person,
    softhsm::fault::{Cure, Fault},
};
use tonic::Code;

use crate::{
    PATIENCE, assert_every_intent_has_its_outcome, block_on,
    client::{Client, reason},
    notes,
};

/// A token called frail on one module, and one called sound on another.
fn daemon(pin: Pin) -> Daemon {
    Setup::new()
        .configure("limits", "call_deadline = \"1s\"\ncall_grace = \"1s\"")
        .faulty()
        .token_with_pin("frail", &[Person::Alice], pin)
        .module("other")
        .token("sound", &[Person::Carol])
        .start()
        .unwrap()
}

#[test]
fn whoever_comes_as_soon_as_the_daemon_is_ready_finds_the_keys_of_a_token_that_is_slow_to_log_in() {
    let mut daemon = daemon(Pin::Right);
    let slow = Fault::delay(Duration::from_millis(600)).once();
    daemon.faults().unwrap().put("C_Login", slow).unwrap();
    daemon.restart_at_once().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

/// What the daemon logs when it no longer waits for a module.
const GIVEN_UP: &str = "the module does not answer; its tokens are served when it does";

/// Starts the daemon anew, for the time of this number, while another module hangs. Whether a token is used before the daemon has
/// given up waiting for that module.
fn is_served_while_the_module_is_waited_for(daemon: &mut Daemon, start: usize) -> bool {
    let other = daemon.faults_of("other").unwrap();
    other.put("C_Initialize", Fault::hang().once()).unwrap();
    let (socket, trail) = (daemon.socket(), daemon.audit_file());
    let log = daemon.directory().join("chanceryd.log");
    let count = |file: &Path, what| fs::read_to_string(file).unwrap().matches(what).count();
    let given_up = count(&log, GIVEN_UP);
    let served = std::thread::spawn(move || {
        block_on(async {
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                // What the one before answers does not count.
                if count(&trail, "\"what\":\"started\"") == start
                    && let Ok(client) = Client::at(&socket).await
                    && client.sign(Person::Alice, 7).await.is_ok()
                {
                    return Some(count(&log, GIVEN_UP));
                }
                tokio::task::yield_now().await;
            }
            None
        })
    });
    daemon.restart_at_once().unwrap();
    let served = served.join().unwrap().expect("nobody was served");
    assert_eq!(daemon.log().unwrap().matches(GIVEN_UP).count(), given_up + 1);
    daemon.faults_of("other").unwrap().take_back_all().unwrap();
    served == given_up
}

#[test]
fn a_module_that_hangs_when_it_is_loaded_does_not_hold_up_the_other_tokens() {
    let mut daemon = daemon(Pin::Right);
    // A machine may be too busy to load the other module meanwhile; one that always is has another reason.
    let served = (2..5).any(|start| is_served_while_the_module_is_waited_for(&mut daemon, start));
    assert!(served, "the other token waited for it");
}

#[test]
fn a_call_that_hangs_is_given_up_its_process_replaced_and_the_other_module_goes_on() {
    let daemon = daemon(Pin::Right);
    let faults = daemon.faults().unwrap();
    let before = daemon.children().unwrap();
    assert_eq!(before.len(), 2, "one process for each module");
    block_on(async {
        let client = Client::of(&daemon).await;
        let signature = client.sign(Person::Alice, 7).await.unwrap();
        faults.put("C_Sign", Fault::hang().once()).unwrap();
        let started = Instant::now();
        let hanging = tokio::spawn({
            let client = client.clone();
            async move { client.sign(Person::Alice, 7).await }
        });
        while faults.hits("C_Sign").unwrap() == 0 {
            assert!(started.elapsed() < PATIENCE, "it does not hang");
            tokio::task::yield_now().await;
        }
        let mut others = 0;
        while !hanging.is_finished() {
            client.sign(Person::Carol, 7).await.unwrap();
            others += 1;
        }
        let status = hanging.await.unwrap().unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::DeadlineExceeded, "TOKEN_TIMEOUT")
        );
        assert!(status.message().contains("not known"), "{}", status.message());
        assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
        assert!(others > 1, "the other module waited, too");
        // The other sessions still serve; and once the grace is over, another process does.
        let ended = Instant::now() + PATIENCE;
        while daemon.children().unwrap() == before {
            client.serves_again(Person::Alice).await.unwrap();
            client.sign(Person::Carol, 7).await.unwrap();
            assert!(Instant::now() < ended, "the process that hangs is left alone");
        }
        assert_eq!(client.serves_again(Person::Alice).await.unwrap(), signature);
        client.sign(Person::Carol, 7).await.unwrap();
    });
    let after = daemon.children().unwrap();
    let kept: Vec<_> = before.iter().filter(|pid| after.contains(pid)).collect();
    assert_eq!((after.len(), kept.len()), (2, 1), "{before:?} became {after:?}");
    assert!(
        before
            .iter()
            .all(|pid| kept.contains(&pid) || !Path::new(&format!("/proc/{pid}")).exists()),
        "the process that hung is still there"
    );
    assert_eq!(faults.hits("C_Sign").unwrap(), 1, "it was not asked a second time");
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 1);
    assert_eq!(notes(&daemon, "module-replaced", "other"), 0);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_call_that_is_slow_is_waited_for_until_its_deadline() {
    let daemon = daemon(Pin::Right);
    let before = daemon.children().unwrap();
    daemon
        .faults()
        .unwrap()
        .put("C_Sign", Fault::delay(Duration::from_millis(600)))
        .unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        for _ in 0..3 {
            client.sign(Person::Alice, 7).await.unwrap();
        }
    });
    assert_eq!(daemon.children().unwrap(), before);
}

#[test]
fn everybody_who_waits_for_a_token_that_hangs_is_told_in_time() {
    let daemon = daemon(Pin::Right);
    daemon.faults().unwrap().put("C_Sign", Fault::hang().times(64)).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let started = Instant::now();
        let calls: Vec<_> = (0..64)
            .map(|number| {
                let client = client.clone();
                tokio::spawn(async move { client.sign(Person::Alice, number).await })
            })
            .collect();
        for call in calls {
            let status = call.await.unwrap().unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
            let reason = reason(&status);
            assert!(
                ["TOKEN_TIMEOUT", "DEADLINE_EXCEEDED"].contains(&reason.as_str()),
                "{reason}"
            );
        }
        // The deadline, and what it takes to notice on a busy machine.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        daemon.faults().unwrap().take_back_all().unwrap();
        client.serves_again(Person::Alice).await.unwrap();
    });
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_module_that_hangs_when_it_is_loaded_keeps_neither_the_daemon_nor_other_tokens_from_starting() {
    let mut daemon = daemon(Pin::None);
    daemon
        .faults()
        .unwrap()
        .put("C_Initialize", Fault::hang().once())
        .unwrap();
    daemon.restart().unwrap();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.sign(Person::Carol, 7).await.unwrap();
        assert_ne!(client.token("frail").await.state(), TokenState::Locked);
        let status = client.sign(Person::Alice, 7).await.unwrap_err();
        // Nobody knows yet what is on it.
        assert_eq!(reason(&status), "KEY_NOT_FOUND", "{status:?}");
        faults.go_on("C_Initialize").unwrap();
        client.locked("frail").await.unwrap();
        client.unlock("frail", PIN).await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
}

#[test]
fn a_module_that_hangs_for_good_when_it_is_loaded_is_replaced() {
    let mut daemon = Setup::new()
        .configure("limits", "module_load = \"1s\"")
        .faulty()
        .token("frail", &[Person::Alice])
        .start()
        .unwrap();
    daemon
        .faults()
        .unwrap()
        .put("C_Initialize", Fault::hang().once())
        .unwrap();
    daemon.restart().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 1);
}

#[test]
fn a_call_that_hangs_while_the_token_is_looked_after_is_not_waited_for_longer_than_another() {
    let daemon = daemon(Pin::Right);
    let faults = daemon.faults().unwrap();
    for function in ["C_GetSlotInfo", "C_GetTokenInfo", "C_GetSessionInfo"] {
        let before = notes(&daemon, "module-replaced", "softhsm");
        let begun = Instant::now();
        faults.put(function, Fault::hang().once()).unwrap();
        while notes(&daemon, "module-replaced", "softhsm") == before {
            // The deadline, the grace, a beat, and what it takes until it is called.
            assert!(
                begun.elapsed() < Duration::from_secs(8),
                "{function} hangs and nobody minds"
            );
            std::thread::yield_now();
        }
        block_on(async {
            let client = Client::of(&daemon).await;
            client.serves_again(Person::Alice).await.unwrap();
        });
    }
    assert_eq!(notes(&daemon, "module-replaced", "other"), 0);
}

#[test]
fn a_library_that_is_started_anew_has_the_time_that_it_had_to_load() {
    let daemon = daemon(Pin::Right);
    let faults = daemon.faults().unwrap();
    let frail = faults.token(&daemon.token("frail").unwrap().serial).unwrap();
    // More than any other call may take here.
    let slow = Fault::delay(Duration::from_secs(6)).once();
    faults.put("C_Initialize", slow).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        frail.pull().unwrap();
        let begun = Instant::now();
        while faults.hits("C_Initialize").unwrap() == 0 {
            client.sign(Person::Carol, 7).await.unwrap();
            assert!(begun.elapsed() < PATIENCE, "the library is not started anew");
        }
        frail.put_back().unwrap();
        client.ready("frail").await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 0);
}

#[test]
fn nobody_waits_for_a_library_that_is_started_anew_since_its_token_goes_on_failing() {
    let daemon = daemon(Pin::Right);
    let faults = daemon.faults().unwrap();
    let failing = Fault::answer(CKR_DEVICE_ERROR).until(Cure::Finalize);
    let slow = Fault::delay(Duration::from_secs(6)).once();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.sign(Person::Alice, 7).await.unwrap();
        faults.put("C_Initialize", slow).unwrap();
        faults.put("C_Sign", failing).unwrap();
        let begun = Instant::now();
        while faults.hits("C_Initialize").unwrap() == 0 {
            let _ = client.sign(Person::Alice, 7).await;
            assert!(begun.elapsed() < PATIENCE, "the library is not started anew");
        }
        // Whoever waited for the library would have a signature.
        for _ in 0..5 {
            let status = client.sign(Person::Alice, 7).await.unwrap_err();
            assert_eq!(reason(&status), "TOKEN_FAILED", "{status:?}");
        }
        client.ready("frail").await.unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 0);
}

#[test]
fn an_unlock_that_hangs_for_good_is_given_up_and_not_repeated() {
    let daemon = daemon(Pin::None);
    let faults = daemon.faults().unwrap();
    let frail = faults.token(&daemon.token("frail").unwrap().serial).unwrap();
    faults.put("C_Login", Fault::hang().once()).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("frail").await.unwrap();
        let begun = Instant::now();
        let status = client.unlock("frail", PIN).await.unwrap_err();
        assert_eq!(reason(&status), "MODULE_ENDED", "{status:?}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        client.locked("frail").await.unwrap();
        assert_eq!(faults.of("C_Login").unwrap(), 1);
        client.unlock("frail", PIN).await.unwrap();
    });
    assert_eq!(frail.wrong_pins().unwrap(), 0);
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 1);
}

#[test]
fn an_unlock_that_hangs_holds_up_nobody_else_and_is_not_repeated() {
    let daemon = daemon(Pin::None);
    let faults = daemon.faults().unwrap();
    let frail = faults.token(&daemon.token("frail").unwrap().serial).unwrap();
    faults.put("C_Login", Fault::hang().once()).unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        client.locked("frail").await.unwrap();
        let unlocking = tokio::spawn({
            let client = client.clone();
            async move { client.unlock("frail", PIN).await }
        });
        while faults.hits("C_Login").unwrap() == 0 {
            client.sign(Person::Carol, 7).await.unwrap();
        }
        for _ in 0..20 {
            client.sign(Person::Carol, 7).await.unwrap();
            assert_eq!(client.token("frail").await.state(), TokenState::Locked);
        }
        assert!(!unlocking.is_finished());
        faults.go_on("C_Login").unwrap();
        unlocking.await.unwrap().unwrap();
        client.sign(Person::Alice, 7).await.unwrap();
    });
    assert_eq!((faults.of("C_Login").unwrap(), frail.pin_tries().unwrap()), (1, 1));
}

#[test]
fn what_lies_ready_for_a_session_is_not_started_once_its_time_is_up() {
    const SESSIONS: u32 = 4;
    const OTHERS: u32 = 12;
    let daemon = Setup::new()
        .configure("limits", "call_deadline = \"2s\"\ncall_grace = \"1h\"")
        .faulty()
        .token("card", &[Person::Carol])
        .start()
        .unwrap();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let mut lay_ready = 0;
        let begun = Instant::now();
        while lay_ready == 0 {
            assert!(
                begun.elapsed() < PATIENCE,
                "the token is never so quick that jobs lie ready for it"
            );
            for _ in 0..50 {
                client.sign(Person::Carol, 7).await.unwrap();
            }
            faults.put("C_SignInit", Fault::hang().times(SESSIONS)).unwrap();
            let calls: Vec<_> = (0..SESSIONS + OTHERS)
                .map(|_| {
                    let client = client.clone();
                    tokio::spawn(async move { client.sign(Person::Carol, 7).await })
                })
                .collect();
            client.busy_with("card", SESSIONS + OTHERS).await;
            lay_ready = client.token("card").await.jobs_running.saturating_sub(SESSIONS);
            for call in calls {
                let status = call.await.unwrap().unwrap_err();
                assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
            }
            let started = faults.of("C_SignInit").unwrap();
            faults.take_back_all().unwrap();
            // Behind them all.
            client.sign(Person::Carol, 7).await.unwrap();
            assert_eq!(faults.of("C_SignInit").unwrap(), started + 1, "{lay_ready} lay ready");
        }
    });
    assert_every_intent_has_its_outcome(&daemon);
}
