//! A trail that cannot be written for a while, and what it is told meanwhile.

use super::*;

#[test]
fn half_a_record_is_taken_back() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.note("before", "").unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [whole.as_slice(), br#"{"seq":2,"time"#].concat()).unwrap();
    trail.state().writer.take_back(br#"{"seq":2,"time"#.len());
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn a_write_that_fails_closes_the_trail_until_it_is_reopened() {
    let (directory, path) = scene();
    // Every write to /dev/full says that the disk is full; reads give zeros without end, so the trail starts on a file.
    let trail = Trail::open(&path, Sync::Never).unwrap();
    trail.note("before", "").unwrap();
    fill(&trail);
    let open = trail.is_open();
    assert!(*open.borrow());
    assert!(trail.intent(&event(&caller())).is_err());
    assert!(!*open.borrow());
    let error = trail.intent(&event(&caller())).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    trail.tick();
    assert!(*open.borrow());
    trail.note("after", "").unwrap();
    let report = verify(&[&path]).unwrap();
    assert_eq!((report.records, report.findings), (2, Vec::new()));
    drop(directory);
}

#[test]
fn an_intent_that_lacks_only_its_line_end_has_failed_and_so_has_that_of_an_act() {
    type Announce = fn(&Trail, &Event<'_>) -> Result<Intent, AuditError>;
    let ways: [(Announce, &str); 2] = [
        (Trail::intent, "AUDIT_UNAVAILABLE"),
        (Trail::intent_in_any_case, "RECORDED_AS_ACT"),
    ];
    for (announce, reason) in ways {
        let (_directory, path) = scene();
        let trail = Trail::open(&path, Sync::Never).unwrap();
        trail.note("before", "").unwrap();
        fill(&trail);
        announce(&trail, &event(&caller())).unwrap_err();
        let line = trail.state().writer.line().strip_suffix(b"\n").unwrap().to_vec();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(&mut file, &line).unwrap();
        trail.reopen().unwrap();
        let report = verify(&[&path]).unwrap();
        assert_eq!((report.findings, report.open_intents.len()), (Vec::new(), 0));
        assert_eq!(lines(&path).last().unwrap()["reason"], reason);
    }
}

#[test]
fn what_ended_while_the_trail_was_closed_is_written_before_anything_else() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Never).unwrap();
    let caller = caller();
    let [done, failed, abandoned] = [(); 3].map(|()| trail.intent(&event(&caller)).unwrap());
    fill(&trail);
    done.outcome(Outcome::Done).unwrap_err();
    let reason = "TOKEN_ABSENT";
    failed.outcome(Outcome::Failed { reason }).unwrap_err();
    drop(abandoned);
    trail.act(&event(&caller), Outcome::Done).unwrap_err();
    trail.remark("token locked", "card");
    assert!(trail.intent(&event(&caller)).is_err());
    trail.tick();
    trail.intent(&event(&caller)).unwrap().outcome(Outcome::Done).unwrap();
    let lines = lines(&path);
    let told = |index: usize| format!("{} {}", lines[index]["event"], lines[index]["result"]).replace('"', "");
    assert_eq!(
        [3, 4, 5, 6].map(told),
        ["outcome done", "outcome failed", "outcome abandoned", "act done"]
    );
    assert_eq!((&lines[4]["intent"], &lines[4]["reason"]), (&2.into(), &reason.into()));
    assert_eq!(
        (&lines[6]["caller"]["user"], &lines[6]["token"]),
        (&"alice".into(), &"card".into())
    );
    assert_eq!(lines[7]["what"], "token locked");
    assert_eq!(lines[8]["event"], "intent");
    assert!(lines[3..8].iter().all(|line| line["happened"].is_string()));
    let report = verify(&[&path]).unwrap();
    assert_eq!((report.findings.len(), report.open_intents.len()), (0, 0));
}

#[test]
fn an_outcome_that_is_in_the_file_though_its_writing_failed_is_not_written_again() {
    let (_directory, path) = scene();
    let trail = Trail::open(&path, Sync::Always).unwrap();
    let intent = trail.intent(&event(&caller())).unwrap();
    // The record itself is written, and FILE.head after it is not.
    let while_head_fails = |work: &mut dyn FnMut()| {
        let unwritable = fs::File::open(head_path(&path)).unwrap();
        let head = trail.state().writer.replace_head(unwritable);
        work();
        trail.state().writer.replace_head(head);
        trail.reopen().unwrap();
    };
    let mut intent = Some(intent);
    while_head_fails(&mut || drop(intent.take().unwrap().outcome(Outcome::Done).unwrap_err()));
    // And an intent in that place is one of something that was not done.
    while_head_fails(&mut || drop(trail.intent(&event(&caller())).unwrap_err()));
    trail.note("after", "").unwrap();
    let report = verify(&[&path]).unwrap();
    assert_eq!(
        (report.records, report.findings.len(), report.open_intents.len()),
        (5, 0, 0)
    );
    assert_eq!(lines(&path)[3]["reason"], "AUDIT_UNAVAILABLE");
}
