//! In which order a record is written and the work done.

use super::*;

#[tokio::test]
async fn a_refusal_of_a_private_key_is_written_down_and_one_of_a_list_is_not() {
    let fixture = Fixture::new(ALICES);
    let before = fixture.records().len();
    keys::find(&fixture.context, &call(), id(3)).await.unwrap_err();
    assert_eq!(fixture.records().len(), before);
    sign::sign(&fixture.context, &call(), to_sign(id(3))).await.unwrap_err();
    let last = fixture.records().pop().unwrap();
    assert_eq!(
        (&last["event"], &last["reason"]),
        (&"refusal".into(), &"NOT_PERMITTED".into())
    );
    assert_eq!(last["key"], id(3).to_string());
}

#[tokio::test]
async fn the_intent_is_written_before_and_the_outcome_after_the_work() {
    let fixture = Fixture::new(ALICES);
    let call = call();
    let event = call.event(Operation::Sign, Some("alice"));
    let work = async {
        assert_eq!(fixture.records().pop().unwrap()["event"], "intent");
        Ok(())
    };
    private_key::run(&fixture.context, &call, &event, work).await.unwrap();
    let last = fixture.records().pop().unwrap();
    assert_eq!((&last["event"], &last["result"]), (&"outcome".into(), &"done".into()));

    let failing = async {
        Err::<(), _>(TokenError::Absent {
            token: "card".to_owned(),
        })
    };
    let error = private_key::run(&fixture.context, &call, &event, failing)
        .await
        .unwrap_err();
    assert!(matches!(error, OpError::Token(TokenError::Absent { .. })));
    let last = fixture.records().pop().unwrap();
    assert_eq!(
        (&last["result"], &last["reason"]),
        (&"failed".into(), &"TOKEN_ABSENT".into())
    );
}

#[tokio::test]
async fn nothing_happens_when_the_trail_cannot_be_written() {
    let Fixture { directory, context } = Fixture::new(ALICES);
    directory.close().unwrap();
    context.audit.reopen().unwrap_err();
    let begun = AtomicBool::new(false);
    let work = async {
        begun.store(true, Ordering::Relaxed);
        Ok(())
    };
    let call = call();
    let event = call.event(Operation::Sign, Some("alice"));
    let error = private_key::run(&context, &call, &event, work).await.unwrap_err();
    assert_eq!(error.reason(), "AUDIT_UNAVAILABLE");
    assert!(!begun.load(Ordering::Relaxed));
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_started() {
    let fixture = Fixture::new(ALICES);
    let before = fixture.records().len();
    let call = Call {
        deadline: Some(Instant::now()),
        ..call()
    };
    let event = call.event(Operation::Sign, Some("alice"));
    let work = async { panic!("it was started") };
    let error = private_key::run::<()>(&fixture.context, &call, &event, work)
        .await
        .unwrap_err();
    assert!(matches!(error, OpError::DeadlineExceeded));
    assert_eq!(fixture.records().len(), before);
}

#[tokio::test]
async fn a_caller_who_goes_leaves_an_intent_that_is_closed_as_abandoned() {
    let fixture = Fixture::new(ALICES);
    let call = call();
    let event = call.event(Operation::Sign, Some("alice"));
    let work = std::future::pending::<Result<(), TokenError>>();
    let mut running = Box::pin(private_key::run(&fixture.context, &call, &event, work));
    assert!(
        std::future::poll_fn(|context| std::task::Poll::Ready(running.as_mut().poll(context)))
            .await
            .is_pending()
    );
    drop(running);
    assert_eq!(fixture.records().pop().unwrap()["result"], "abandoned");
}

#[tokio::test]
async fn what_came_of_insisting_on_a_pin_is_written_down_though_the_call_ends_before_its_intent() {
    let fixture = Fixture::new(ALICES);
    let insistence = tokens::Insistence::of(&fixture.context, &call(), "card", || 0).unwrap();
    assert_eq!(fixture.records().pop().unwrap()["what"], "pin-insisted-on");
    let late = Call {
        deadline: Some(Instant::now()),
        ..call()
    };
    let event = late.event(Operation::Admin, Some("alice"));
    let work = async move {
        insistence.end(&Ok(()));
        Ok(())
    };
    let error = private_key::run(&fixture.context, &late, &event, work)
        .await
        .unwrap_err();
    assert!(matches!(error, OpError::DeadlineExceeded));
    let last = fixture.records().pop().unwrap();
    assert_eq!(last["what"], "pin-insistence-ended");
    let detail = last["detail"].as_str().unwrap();
    assert!(detail.contains("request-1, nothing was sent"), "{detail}");
}
