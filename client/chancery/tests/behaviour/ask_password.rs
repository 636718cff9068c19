//! The PIN where there is no terminal: through systemd-ask-password, ours and the real one.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use chancery::v1;
use rustix::fs::inotify;

use crate::command_line::command;
use crate::fake::{Fake, Script};

const PATIENCE: Duration = Duration::from_secs(20);

fn one_token(name: &str) -> Fake {
    let token = v1::Token {
        name: format!("tokens/{name}"),
        state: v1::TokenState::Ready.into(),
        ..v1::Token::default()
    };
    Fake::start(Script {
        tokens: vec![token],
        ..Script::default()
    })
}

/// `setsid` without `--ctty`: a session without a terminal, as a service has it.
pub(crate) fn without_terminal(fake: &Fake, path: &str, args: &[&str]) -> tokio::process::Command {
    let inner = command(&fake.address, args);
    let inner = inner.as_std();
    let setsid = ["/usr/bin/setsid", "/bin/setsid"]
        .into_iter()
        .find(|file| Path::new(file).exists());
    let mut outer = tokio::process::Command::new(setsid.expect("util-linux"));
    outer
        .arg("--wait")
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("CHANCERY_ADDRESS", &fake.address)
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    outer
}

/// Unlocks the token `card` with this shell script in the place of systemd-ask-password.
async fn unlock_with(fake: &Fake, script: &str) -> Output {
    let file = fake.path().join("systemd-ask-password");
    fs::write(&file, format!("#!/bin/sh\ncd '{}'\n{script}\n", fake.path().display())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    let path = fake.path().to_str().unwrap();
    let run = without_terminal(fake, path, &["unlock", "card"]);
    finish(run).await
}

async fn finish(mut command: tokio::process::Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn without_a_terminal_the_pin_comes_from_systemd_ask_password() {
    let fake = one_token("card");
    let output = unlock_with(&fake, r#"for word in "$@"; do echo "$word"; done > asked; echo 648219"#).await;
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("card   ready"));
    let asked = fs::read_to_string(fake.path().join("asked")).unwrap();
    let asked: Vec<&str> = asked.lines().collect();
    assert!(
        asked.contains(&"--id=chancery:card") && asked.contains(&"--no-tty"),
        "{asked:?}"
    );
    assert_eq!(asked.last(), Some(&"PIN for card:"));
}

#[tokio::test]
async fn a_question_that_nobody_answers_says_why_and_what_was_written_before_is_not_sent() {
    let fake = one_token("card");
    let script = "echo 648219; echo 'Failed to query password: Timer expired' >&2; exit 1";
    let output = unlock_with(&fake, script).await;
    assert_eq!(output.status.code(), Some(4));
    let complaint = complaint(&output);
    assert!(
        complaint.contains("Timer expired") && complaint.contains("--pin-stdin"),
        "{complaint}"
    );
    assert!(!complaint.contains("648219"), "{complaint}");
    let output = unlock_with(&fake, "exit 3").await;
    assert_eq!(output.status.code(), Some(4));
}

#[tokio::test]
async fn an_answer_without_a_pin_is_not_sent() {
    let fake = one_token("card");
    let output = unlock_with(&fake, "echo").await;
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("empty"), "{}", complaint(&output));
}

#[tokio::test]
async fn without_a_terminal_and_without_systemd_there_is_nobody_to_ask() {
    let fake = one_token("card");
    let output = finish(without_terminal(&fake, "/nonexistent", &["unlock", "card"])).await;
    assert_eq!(output.status.code(), Some(2));
    let complaint = complaint(&output);
    assert!(
        complaint.contains("systemd-ask-password") && complaint.contains("--pin-stdin"),
        "{complaint}"
    );
}

/// Where systemd-ask-password puts its questions, and agents find them.
const QUESTIONS: &str = "/run/systemd/ask-password";

#[tokio::test]
async fn the_real_systemd_ask_password_brings_the_pin_from_whoever_answers_it() {
    let path = std::env::var("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).any(|place| place.join("systemd-ask-password").exists());
    if !installed || !rustix::process::geteuid().is_root() {
        assert!(
            std::env::var_os("CI").is_none(),
            "systemd-ask-password is needed, and root"
        );
        eprintln!("SKIPPED: the real systemd-ask-password needs systemd, and root to answer it");
        return;
    }
    fs::create_dir_all(QUESTIONS).unwrap();
    let token = format!("card-{}", std::process::id());
    let fake = one_token(&token);
    let news = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&news, QUESTIONS, inotify::WatchFlags::ALL_EVENTS).unwrap();
    let child = without_terminal(&fake, &path, &["unlock", &token]).spawn().unwrap();
    let id = format!("Id=chancery:{token}");
    let answered = tokio::task::spawn_blocking(move || {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(news, &mut buffer);
        loop {
            if let Some(question) = question(&id).unwrap() {
                return answer(&question, b"648219");
            }
            events.next().unwrap();
        }
    });
    let answered = tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("no question came");
    let question = answered.unwrap();
    assert!(question.contains(&format!("Message=PIN for {token}:")), "{question}");
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
}

/// The question with this line, if it has been asked.
fn question(id: &str) -> io::Result<Option<String>> {
    let files: Vec<PathBuf> = fs::read_dir(QUESTIONS)?
        .map(|file| Ok(file?.path()))
        .collect::<io::Result<_>>()?;
    // Of somebody else's, any may be gone by now.
    let questions = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    Ok(questions
        .into_iter()
        .find(|question| question.lines().any(|line| line == id)))
}

/// Answers as an agent does: a datagram that begins with a plus. Returns the question.
fn answer(question: &str, pin: &[u8]) -> String {
    let socket = question.lines().find_map(|line| line.strip_prefix("Socket=")).unwrap();
    let agent = UnixDatagram::unbound().unwrap();
    agent.send_to(&[b"+", pin].concat(), socket).unwrap();
    question.to_owned()
}
