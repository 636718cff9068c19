//! What a person at a terminal sees: progress, and the prompt for a PIN.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::Arc;

use chancery::v1;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use tokio::sync::Notify;

use crate::command_line::command;
use crate::fake::{Answer, Fake, Script};

/// A terminal, seen from the side of the person.
struct Terminal {
    person: File,
    program: File,
}

impl Terminal {
    fn open() -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let program = rustix::fs::open(
            name.as_c_str(),
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        Self {
            person: person.into(),
            program: program.into(),
        }
    }

    fn stdio(&self) -> Stdio {
        self.program.as_fd().try_clone_to_owned().map(Stdio::from).unwrap()
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.program).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Reads what is shown until it contains a text.
    async fn shows(&self, text: &'static str) -> String {
        let mut person = self.person.try_clone().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut shown, mut buffer) = (String::new(), [0_u8; 256]);
            while !shown.contains(text) {
                let length = person.read(&mut buffer).unwrap();
                shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
            shown
        });
        tokio::time::timeout(std::time::Duration::from_secs(20), reading)
            .await
            .expect(text)
            .unwrap()
    }
}

/// `setsid` makes the terminal the program's own, so that /dev/tty is it.
fn with_terminal(fake: &Fake, terminal: &Terminal, args: &[&str]) -> tokio::process::Command {
    let inner = [&[env!("CARGO_BIN_EXE_chancery")], args].concat();
    in_terminal(fake, terminal, &inner)
}

/// The same for another program.
fn in_terminal(fake: &Fake, terminal: &Terminal, inner: &[impl AsRef<OsStr>]) -> tokio::process::Command {
    let mut outer = tokio::process::Command::new("setsid");
    outer
        .args(["--ctty", "--wait"])
        .args(inner)
        .env("CHANCERY_ADDRESS", &fake.address);
    outer
        .stdin(terminal.stdio())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    outer
}

fn locked_token() -> Script {
    let token = v1::Token {
        name: "tokens/card".to_owned(),
        state: v1::TokenState::Ready.into(),
        ..v1::Token::default()
    };
    Script {
        tokens: vec![token],
        ..Script::default()
    }
}

#[tokio::test]
async fn work_that_takes_more_than_a_second_shows_progress_and_takes_it_away() {
    let signal = Arc::new(Notify::new());
    let fake = Fake::start(Script {
        answer: Answer::HoldUntil(Arc::clone(&signal)),
        ..Script::default()
    });
    std::fs::write(fake.file("mail"), vec![b'x'; 3 << 20]).unwrap();
    let terminal = Terminal::open();
    let mut child = command(
        &fake.address,
        &["sign", "--in", &fake.file("mail"), "--out", &fake.file("out")],
    )
    .stderr(terminal.stdio())
    .spawn()
    .unwrap();
    let shown = terminal.shows("MiB/s").await;
    assert!(shown.contains("3.0 MiB"), "{shown:?}");
    signal.notify_one();
    assert!(child.wait().await.unwrap().success());
    assert!(terminal.shows("\r\u{1b}[K").await.ends_with("\r\u{1b}[K"));
}

#[tokio::test]
async fn a_watched_status_has_a_screen_of_its_own_and_gives_it_back() {
    let mut script = locked_token();
    let mut changed = script.tokens.clone();
    changed[0].detail = "somebody pulled it".to_owned();
    script.token_changes.push(changed);
    let fake = Fake::start(script);
    let terminal = Terminal::open();
    let mut child = command(&fake.address, &["status", "--watch"])
        .stdout(terminal.stdio())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let shown = terminal.shows("\u{1b}[?1049l").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(69));
    assert!(shown.starts_with("\u{1b}[?1049h\u{1b}[?25l\u{1b}[H"), "{shown:?}");
    assert!(shown.ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{shown:?}");
    let screens: Vec<&str> = shown.split("\u{1b}[H").skip(1).collect();
    assert_eq!(screens.len(), 2, "{shown:?}");
    assert!(
        !screens[0].contains("somebody") && screens[1].contains("somebody"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_pin_is_asked_for_without_echo_and_the_echo_comes_back() {
    let fake = Fake::start(locked_token());
    let terminal = Terminal::open();
    let child = with_terminal(&fake, &terminal, &["unlock", "card"]).spawn().unwrap();
    terminal.shows("PIN for card: ").await;
    assert!(!terminal.echoes());
    (&terminal.person).write_all(b"648219\n").unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("card   ready"));
    assert!(terminal.echoes());
    assert!(!terminal.shows("\n").await.contains("648219"));
}

#[tokio::test]
async fn a_pin_is_changed_with_the_old_one_and_the_new_one_twice() {
    let fake = Fake::start(locked_token());
    for (again, status) in [("112233\n", 0), ("112234\n", 2)] {
        let terminal = Terminal::open();
        let child = with_terminal(&fake, &terminal, &["pin", "card"]).spawn().unwrap();
        terminal.shows("Old PIN for card: ").await;
        (&terminal.person).write_all(b"648219\n").unwrap();
        terminal.shows("New PIN for card: ").await;
        (&terminal.person).write_all(b"112233\n").unwrap();
        terminal.shows("New PIN once more for card: ").await;
        assert!(!terminal.echoes());
        (&terminal.person).write_all(again.as_bytes()).unwrap();
        let output = child.wait_with_output().await.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{complaint}");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(shown.contains("112233"), status == 0, "{shown}");
        let hint = if status == 0 {
            "the file /etc/card.pin"
        } else {
            "not the same"
        };
        assert!(complaint.contains(hint), "{complaint}");
        assert!(terminal.echoes());
    }
}

#[tokio::test]
async fn a_script_gives_the_old_and_the_new_pin_on_two_lines() {
    let fake = Fake::start(locked_token());
    let args = ["pin", "card", "--pin-stdin"];
    let changed = crate::command_line::run(&fake.address, &args, b"648219\n112233\n").await;
    assert_eq!(changed.status, 0, "{}", changed.stderr);
    assert!(changed.stdout.contains("112233"), "{}", changed.stdout);
    let wrong = crate::command_line::run(&fake.address, &args, b"000000\n112233\n").await;
    assert_eq!(wrong.status, 4, "{}", wrong.stderr);
    let one = crate::command_line::run(&fake.address, &args, b"648219\n").await;
    assert_eq!(one.status, 2, "{}", one.stderr);
}

#[tokio::test]
async fn of_a_token_with_a_pin_pad_nobody_types_the_pin_here() {
    let mut script = locked_token();
    script.tokens[0].protected_authentication_path = true;
    let fake = Fake::start(script);
    for command in ["unlock", "pin"] {
        let run = crate::command_line::run(&fake.address, &[command, "card"], b"").await;
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(run.stderr.contains("at the PIN pad of card"), "{}", run.stderr);
    }
    // Who wants to give one may: the token decides.
    let given = crate::command_line::run(&fake.address, &["unlock", "card", "--pin-stdin"], b"000000\n").await;
    assert_eq!(given.status, 4, "{}", given.stderr);
}

#[tokio::test]
async fn a_key_that_wants_its_pin_each_time_has_it_asked_for_and_the_message_sent_again() {
    let fake = Fake::start(Script {
        wants_pin: true,
        ..Script::default()
    });
    let message = vec![b'x'; 300_000];
    std::fs::write(fake.file("mail"), &message).unwrap();
    for (command, pin, status) in [("sign", "648219", 0), ("decrypt", "648219", 0), ("sign", "000000", 4)] {
        let terminal = Terminal::open();
        let inner = command_line_from_pipe(&fake, command);
        let child = in_terminal(&fake, &terminal, &inner).spawn().unwrap();
        terminal.shows("PIN for card: ").await;
        assert!(!terminal.echoes());
        (&terminal.person).write_all(format!("{pin}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().await.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{complaint}");
        let whole = std::fs::read(fake.file("out")).is_ok_and(|out| out == message);
        assert_eq!(whole, status == 0);
        let _ = std::fs::remove_file(fake.file("out"));
    }
}

/// A command whose message comes through a pipe, which cannot be read twice.
fn command_line_from_pipe(fake: &Fake, name: &str) -> [String; 3] {
    let program = env!("CARGO_BIN_EXE_chancery");
    let (mail, out) = (fake.file("mail"), fake.file("out"));
    ["sh", "-c", &format!("cat '{mail}' | '{program}' {name} --out '{out}'")].map(str::to_owned)
}

#[tokio::test]
async fn without_a_terminal_a_key_that_wants_its_pin_is_an_error() {
    let fake = Fake::start(Script {
        wants_pin: true,
        ..Script::default()
    });
    let output = crate::ask_password::without_terminal(&fake, "/nonexistent", &["sign"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.contains("PIN_REQUIRED") && complaint.contains("On a terminal"),
        "{complaint}"
    );
}

#[tokio::test]
async fn an_agent_shows_who_wants_what_and_answers_with_the_pin_or_a_refusal() {
    let question = |id, caller: &str| v1::Question {
        question_id: id,
        token: "tokens/card".to_owned(),
        key: "keys/00ff".to_owned(),
        identity: "identities/alice@example.org".to_owned(),
        operation: "sign".to_owned(),
        caller: caller.to_owned(),
        ..v1::Question::default()
    };
    let script = Script {
        questions: vec![question(7, "uid 1000"), question(8, "CN=\u{1b}[2JMallory")],
        ..Script::default()
    };
    let answers = Arc::clone(&script.answers);
    let fake = Fake::start(script);
    let terminal = Terminal::open();
    let child = with_terminal(&fake, &terminal, &["agent"]).spawn().unwrap();
    let shown = terminal.shows("PIN for card: ").await;
    assert!(
        shown.contains("uid 1000 wants to sign with keys/00ff as alice@example.org"),
        "{shown}"
    );
    assert!(!terminal.echoes());
    (&terminal.person).write_all(b"648219\n").unwrap();
    let shown = terminal.shows("PIN for card: ").await;
    assert!(shown.contains("Mallory") && !shown.contains('\u{1b}'), "{shown:?}");
    (&terminal.person).write_all(b"\n").unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(
        output.status.code(),
        Some(69),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(*answers.lock().unwrap(), [&b"648219"[..], b""]);
}

#[tokio::test]
async fn ctrl_c_at_the_prompt_gives_the_echo_back() {
    let fake = Fake::start(locked_token());
    let terminal = Terminal::open();
    let mut child = with_terminal(&fake, &terminal, &["unlock", "card"]).spawn().unwrap();
    terminal.shows("PIN for card: ").await;
    (&terminal.person).write_all(b"64\x03").unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    assert!(terminal.echoes());
}

#[tokio::test]
async fn a_script_gives_the_pin_on_stdin_and_a_wrong_one_ends_with_4() {
    let fake = Fake::start(locked_token());
    let args = ["unlock", "card", "--pin-stdin"];
    assert_eq!(
        crate::command_line::run(&fake.address, &args, b"648219\r\n")
            .await
            .status,
        0
    );
    let wrong = crate::command_line::run(&fake.address, &args, b"000000\n").await;
    assert_eq!(wrong.status, 4, "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("000000"), "{}", wrong.stderr);
    let empty = crate::command_line::run(&fake.address, &args, b"\n").await;
    assert_eq!(empty.status, 2, "{}", empty.stderr);
    let none = crate::command_line::run(&fake.address, &["unlock", "other", "--pin-stdin"], b"648219\n").await;
    assert_eq!(none.status, 4, "{}", none.stderr);
}

#[tokio::test]
async fn only_whoever_insists_sends_a_pin_whose_tries_were_not_answered() {
    let mut world = locked_token();
    world.wants_insistence = true;
    let fake = Fake::start(world);
    let args = ["unlock", "card", "--pin-stdin", "--even-if-unanswered"];
    let refused = crate::command_line::run(&fake.address, &args[..3], b"648219\n").await;
    assert_eq!(refused.status, 4, "{}", refused.stderr);
    let unlocked = crate::command_line::run(&fake.address, &args, b"648219\n").await;
    assert_eq!(unlocked.status, 0, "{}", unlocked.stderr);
}

#[tokio::test]
async fn a_token_is_unlocked_for_a_time_or_a_number_of_uses() {
    let fake = Fake::start(locked_token());
    let unlock = async |terms: &[&str]| {
        let args = [&["unlock", "card", "--pin-stdin"], terms].concat();
        crate::command_line::run(&fake.address, &args, b"648219\n").await
    };
    for (terms, shown) in [
        (
            &["--for", "8h", "--uses", "100"][..],
            "until 1970-01-01T08:00:00Z or for 100 more uses\n",
        ),
        (&["--for", "90s"], "until 1970-01-01T00:01:30Z\n"),
        (&["--for", "2d"], "until 1970-01-03T00:00:00Z\n"),
        (&["--uses", "1"], "for 1 more uses\n"),
    ] {
        let unlocked = unlock(terms).await;
        assert!(
            unlocked.stdout.ends_with(shown),
            "{} {}",
            unlocked.stdout,
            unlocked.stderr
        );
    }
    for wrong in [
        "8",
        "8x",
        "0h",
        "-1h",
        "h",
        "1.5h",
        "99999999999999999999d",
        "9999999999999999d",
    ] {
        assert_eq!(unlock(&["--for", wrong]).await.status, 2, "{wrong}");
    }
    assert_eq!(unlock(&["--uses", "0"]).await.status, 2);
}
