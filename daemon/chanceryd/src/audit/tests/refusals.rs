//! Refusals, of which a caller can cause many.

use super::*;

#[test]
fn refusals_of_one_caller_are_written_a_few_times_and_then_counted_and_what_uses_a_key_never_is() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    let (mallory, alice) = (Caller::of_uid(666), caller());
    let written = (0..1000)
        .filter(|_| trail.refusal(&event(&mallory), "NOT_PERMITTED").unwrap())
        .count();
    assert_eq!((written, trail.refusals_left_out()), (30, 970));
    assert!(trail.refusal(&event(&alice), "NOT_PERMITTED").unwrap());
    for _ in 0..100 {
        trail.intent(&event(&mallory)).unwrap().outcome(Outcome::Done).unwrap();
    }
    trail.tick();
    assert_eq!(lines(&path).len(), 30 + 1 + 200, "it is not told before its time");
    trail.finish();
    trail.finish();
    let lines = lines(&path);
    assert_eq!(lines.len(), 30 + 1 + 200 + 1);
    let told = lines.last().unwrap();
    assert_eq!((&told["event"], &told["count"]), (&"refusals".into(), &970.into()));
    assert_eq!(
        (&told["callers"][0]["uid"], &told["callers"][0]["count"]),
        (&666.into(), &970.into())
    );
    assert_eq!(verify(&[&path]).unwrap().findings, []);
}

#[test]
fn refusals_while_the_trail_is_closed_are_counted() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    fill(&trail);
    for _ in 0..5 {
        trail.refusal(&event(&caller()), "NOT_PERMITTED").unwrap_err();
    }
    trail.finish();
    assert_eq!(lines(&path).last().unwrap()["count"], 5);
    assert_eq!(trail.refusals_left_out(), 5);
}
