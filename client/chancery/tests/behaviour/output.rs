//! Files appear whole or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tonic::Code;

use crate::command_line::command;
use crate::fake::{Answer, Fake, Script, status};

#[tokio::test]
async fn a_failure_after_the_content_leaves_no_file() {
    let answer = Answer::EchoThenFail(status(
        Code::InvalidArgument,
        "DECRYPTION_FAILED",
        "it cannot be decrypted",
    ));
    let fake = Fake::start(Script {
        answer,
        ..Script::default()
    });
    let run = fake.run(&["decrypt", "--out", &fake.file("plain.eml")]).await;
    assert_eq!(run.status, 1);
    assert_eq!(fake.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_failure_leaves_what_was_there_before() {
    let answer = Answer::EchoThenFail(status(Code::InvalidArgument, "MALFORMED_MESSAGE", "no"));
    let fake = Fake::start(Script {
        answer,
        ..Script::default()
    });
    fs::write(fake.file("out.eml"), "old").unwrap();
    fake.run(&["decrypt", "--out", &fake.file("out.eml")]).await;
    assert_eq!(fs::read_to_string(fake.file("out.eml")).unwrap(), "old");
    assert_eq!(fake.files(), ["out.eml"]);
}

#[tokio::test]
async fn a_file_can_be_its_own_result() {
    let fake = Fake::start(Script::default());
    fs::write(fake.file("mail.eml"), "Subject: itself\n\n").unwrap();
    let run = fake
        .run(&["sign", "--in", &fake.file("mail.eml"), "--out", &fake.file("mail.eml")])
        .await;
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(
        fs::read_to_string(fake.file("mail.eml")).unwrap(),
        "Subject: itself\n\n"
    );
}

#[tokio::test]
async fn what_was_decrypted_is_for_its_owner_alone() {
    let fake = Fake::start(Script::default());
    let run = fake.run(&["decrypt", "--out", &fake.file("plain.eml")]).await;
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(
        fs::metadata(fake.file("plain.eml")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn a_link_keeps_pointing_to_the_file_that_is_replaced() {
    let fake = Fake::start(Script::default());
    fs::write(fake.file("target"), "old").unwrap();
    std::os::unix::fs::symlink("target", fake.file("link")).unwrap();
    let run = fake.run(&["sign", "--out", &fake.file("link")]).await;
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(fs::symlink_metadata(fake.file("link")).unwrap().is_symlink());
    assert_ne!(fs::read_to_string(fake.file("target")).unwrap(), "old");
}

#[tokio::test]
async fn a_device_is_written_and_not_replaced() {
    let fake = Fake::start(Script::default());
    let run = fake.run(&["sign", "--out", "/dev/null"]).await;
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[tokio::test]
async fn content_that_does_not_verify_is_not_kept() {
    let fake = Fake::start(Script::default());
    let run = fake.run(&["verify", "--out", &fake.file("content.eml")]).await;
    assert_eq!(run.status, 1);
    assert_eq!(fake.files(), Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_command_leaves_nothing_and_says_128_and_the_signal() {
    let fake = Fake::start(Script::default());
    let mut child = command(&fake.address, &["decrypt", "--out", &fake.file("plain.eml")])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"the first half").await.unwrap();
    fake.received().wait_for(|received| *received > 0).await.unwrap();
    assert_eq!(fake.files().len(), 1, "the temporary file is there");
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    assert_eq!(fake.files(), Vec::<String>::new());
    assert!(
        !fake.first_call().await.complete,
        "the daemon took the first half for the whole message"
    );
}

#[tokio::test]
async fn a_closed_pipe_ends_quietly_with_74() {
    let fake = Fake::start(Script::default());
    let mut child = command(&fake.address, &["sign"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let feed = tokio::spawn(async move {
        let line = [b'x'; 4096];
        while stdin.write_all(&line).await.is_ok() {}
    });
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    feed.await.unwrap();
}
