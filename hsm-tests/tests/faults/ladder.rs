//! Tokens that go on failing until there is another process, or for good.

use std::time::{Duration, Instant};

use chancery_proto::v1::TokenState;
use cryptoki_sys::CKR_DEVICE_ERROR;
use hsm_tests::{
    people::Person,
    softhsm::fault::{Cure, Fault},
};

use crate::{
    PATIENCE, assert_every_intent_has_its_outcome, block_on,
    client::{Client, reason},
    frail_and_sound, notes,
};

#[test]
fn what_another_process_cures_is_cured_by_one_and_the_audit_trail_says_why() {
    let daemon = frail_and_sound();
    let faults = daemon.faults().unwrap();
    let before = daemon.children().unwrap();
    let logins = faults.of("C_Login").unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        let signature = client.sign(Person::Alice, 7).await.unwrap();
        faults
            .put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR).until(Cure::Process))
            .unwrap();
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            match client.sign(Person::Alice, 7).await {
                Ok(again) => {
                    assert_eq!(again, signature);
                    break;
                }
                Err(status) => {
                    let reason = reason(&status);
                    let expected = ["TOKEN_ERROR", "TOKEN_ABSENT", "TOKEN_FAILED"];
                    assert!(expected.contains(&reason.as_str()), "{status:?}");
                    failures += 1;
                }
            }
            client.sign(Person::Carol, 7).await.unwrap();
            assert!(begun.elapsed() < PATIENCE, "nothing helps");
        }
        // Three for each rung, but for those that the next process is given; and what was tried before the last was heard of.
        assert!((7..1000).contains(&failures), "{failures}");
    });
    let after = daemon.children().unwrap();
    let kept = before.iter().filter(|pid| after.contains(pid)).count();
    assert_eq!((after.len(), kept), (2, 1), "{before:?} became {after:?}");
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 1);
    let log = daemon.log().unwrap();
    assert!(log.contains("C_SignInit went on answering CKR_DEVICE_ERROR"));
    // A new session, a new start of the library, a new process: each with the right PIN.
    assert_eq!(faults.of("C_Login").unwrap() - logins, 3);
    let frail = faults.token(&daemon.token("frail").unwrap().serial).unwrap();
    assert_eq!(frail.wrong_pins().unwrap(), 0);
    assert_every_intent_has_its_outcome(&daemon);
}

#[test]
fn a_token_that_nothing_helps_costs_one_process_and_rests_in_between() {
    let daemon = frail_and_sound();
    let faults = daemon.faults().unwrap();
    block_on(async {
        let client = Client::of(&daemon).await;
        faults.put("C_SignInit", Fault::answer(CKR_DEVICE_ERROR)).unwrap();
        let begun = Instant::now();
        let mut rested = 0;
        // The first process asks for another one; the second is refused a third, and rests a second, then two.
        while rested < 3 {
            let status = client.sign(Person::Alice, 7).await.unwrap_err();
            let token = client.token("frail").await;
            if token.state() == TokenState::Failed && token.detail.contains("C_SignInit goes on answering") {
                rested += 1;
                client.ready("frail").await.unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "{rested} rests: {status:?}, {token:?}");
        }
        assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
        faults.take_back_all().unwrap();
        client.serves_again(Person::Alice).await.unwrap();
    });
    assert_eq!(notes(&daemon, "module-replaced", "softhsm"), 1);
    assert_eq!(notes(&daemon, "module-parked", "softhsm"), 0);
    assert_every_intent_has_its_outcome(&daemon);
}
