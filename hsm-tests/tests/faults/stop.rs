//! Stops that meet the processes of the modules at something: the whole group is told at once, or a process is at its start.

use std::time::{Duration, Instant};

use hsm_tests::{
    daemon::{Daemon, Setup},
    people::Person,
    softhsm::fault::Fault,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{PATIENCE, assert_every_intent_has_its_outcome, block_on, client::Client, notes};

/// Less than what a process is given that does not end by itself.
const SOON: Duration = Duration::from_secs(6);

fn daemon() -> Daemon {
    Setup::new().faulty().token("card", &[Person::Alice]).start().unwrap()
}

fn signal(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
    kill_process(process, signal).unwrap();
}

#[track_caller]
fn assert_stops_soon(daemon: Daemon) {
    let begun = Instant::now();
    daemon.stop().unwrap();
    let took = begun.elapsed();
    assert!(took < SOON, "it took {took:?}");
}

/// As a terminal does it, or a container.
#[test]
fn a_signal_that_reaches_the_processes_of_modules_as_well_is_the_daemons_to_heed() {
    let daemon = daemon();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let signature = client.sign(Person::Alice, 7).await.unwrap();
        faults
            .put("C_Sign", Fault::delay(Duration::from_secs(1)).once())
            .unwrap();
        let signing = tokio::spawn(async move { client.sign(Person::Alice, 7).await });
        tokio::time::timeout(PATIENCE, async {
            while faults.hits("C_Sign").unwrap() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        let processes = daemon.children().unwrap();
        for all_hear in [Signal::INT, Signal::TERM] {
            processes.iter().for_each(|process| signal(*process, all_hear));
        }
        signal(daemon.pid(), Signal::TERM);
        assert_eq!(signing.await.unwrap().unwrap(), signature);
    });
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 0);
    assert_every_intent_has_its_outcome(&daemon);
    assert_stops_soon(daemon);
}

#[test]
fn a_process_that_asks_for_its_pin_during_a_stop_gets_an_answer() {
    let daemon = daemon();
    let faults = daemon.faults().unwrap();
    // The next process asks a while after it was told to stop.
    faults
        .put("C_OpenSession", Fault::delay(Duration::from_millis(1500)).once())
        .unwrap();
    for process in daemon.children().unwrap() {
        signal(process, Signal::KILL);
    }
    let begun = Instant::now();
    while faults.hits("C_OpenSession").unwrap() == 0 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    assert_stops_soon(daemon);
}
