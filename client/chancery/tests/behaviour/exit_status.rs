//! Each way to end has its number.

use chancery::v1;
use chancery::v1::layer::Kind;
use tonic::{Code, Status};

use crate::command_line::run;
use crate::fake::{Answer, Fake, Script, status};

async fn refused_with(code: Code, reason: &str) -> i32 {
    let fake = Fake::start(Script {
        answer: Answer::Refuse(status(code, reason, "no")),
        ..Script::default()
    });
    fake.run(&["decrypt"]).await.status
}

fn verdict(valid: bool) -> v1::Report {
    let signer = v1::Signer {
        subject: "CN=Alice".to_owned(),
        ..v1::Signer::default()
    };
    let layer = v1::SignedLayer {
        valid,
        signers: vec![signer],
        ..v1::SignedLayer::default()
    };
    v1::Report {
        layers: vec![v1::Layer {
            kind: Some(Kind::Signed(layer)),
        }],
    }
}

#[tokio::test]
async fn what_is_done_ends_with_0() {
    let fake = Fake::start(Script::default());
    let run = fake
        .run(&[
            "sign",
            "--from",
            "alice@EXAMPLE.org",
            "--opaque",
            "--digest",
            "sha384",
            "--pss",
        ])
        .await;
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(run.stdout, "Subject: x\r\n\r\nHello.\r\n");
    assert_eq!(run.stderr, "");
    let options = fake.first_call().await.options;
    for part in [
        "identities/alice@example.org",
        "form: Opaque",
        "digest: Sha384",
        "rsa_pss: true",
    ] {
        assert!(options.contains(part), "{part} is not in {options}");
    }
}

#[tokio::test]
async fn a_verdict_of_valid_ends_with_0_and_one_of_not_valid_with_1() {
    for (valid, status) in [(true, 0), (false, 1)] {
        let fake = Fake::start(Script {
            report: verdict(valid),
            ..Script::default()
        });
        let run = fake.run(&["verify"]).await;
        assert_eq!(run.status, status, "{}", run.stderr);
        assert!(run.stdout.contains("Trust was not evaluated"), "{}", run.stdout);
        let json = fake.run(&["verify", "--json"]).await;
        assert_eq!(json.status, status);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["valid"], valid);
        assert_eq!(json["layers"][0]["signers"][0]["subject"], "CN=Alice");
        assert_eq!(json["layers"][0]["signers"][0]["checks"]["trust"]["result"], "not-made");
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_decrypted_ends_with_1() {
    assert_eq!(refused_with(Code::InvalidArgument, "DECRYPTION_FAILED").await, 1);
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2() {
    let fake = Fake::start(Script::default());
    for args in [
        &["sing"][..],
        &["encrypt"],
        &["sign", "--digest", "md5"],
        &["sign", "--address", "ftp://x"],
        &["sign", "--tls-ca", "x"],
        &["keys", "--address", "https://127.0.0.1:1"],
    ] {
        let run = fake.run(args).await;
        assert_eq!(run.status, 2, "{args:?}: {}", run.stderr);
    }
    assert_eq!(refused_with(Code::InvalidArgument, "INVALID_NAME").await, 2);
}

#[tokio::test]
async fn a_refusal_by_policy_ends_with_3_and_is_explained() {
    assert_eq!(refused_with(Code::PermissionDenied, "NOT_PERMITTED").await, 3);
    assert_eq!(refused_with(Code::Unauthenticated, "").await, 3);
    let answer = Answer::Refuse(status(Code::PermissionDenied, "NOT_PERMITTED", "no grant allows it"));
    let run = Fake::start(Script {
        answer,
        ..Script::default()
    })
    .run(&["sign"])
    .await;
    assert_eq!(
        run.stderr,
        "chancery: cannot sign the message: no grant allows it (NOT_PERMITTED)\n"
    );
}

#[tokio::test]
async fn a_token_or_key_that_is_not_available_ends_with_4() {
    assert_eq!(refused_with(Code::Unavailable, "TOKEN_ABSENT").await, 4);
    assert_eq!(refused_with(Code::FailedPrecondition, "TOKEN_LOCKED").await, 4);
    assert_eq!(refused_with(Code::FailedPrecondition, "NO_DECRYPTION_KEY").await, 4);
    assert_eq!(refused_with(Code::NotFound, "KEY_NOT_FOUND").await, 4);
}

#[tokio::test]
async fn a_malformed_message_ends_with_5() {
    assert_eq!(refused_with(Code::InvalidArgument, "MALFORMED_MESSAGE").await, 5);
}

#[tokio::test]
async fn a_daemon_that_is_not_there_ends_with_69_and_one_that_hangs_up_too() {
    let run_without = run("unix:/nonexistent/chanceryd.sock", &["sign"], b"x").await;
    assert_eq!(run_without.status, 69);
    assert!(
        run_without.stderr.contains("unix:/nonexistent/chanceryd.sock"),
        "{}",
        run_without.stderr
    );
    assert!(run_without.stderr.contains("No such file"), "{}", run_without.stderr);

    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    let run_hung_up = run(&format!("unix:{}", socket.display()), &["sign"], b"x").await;
    assert_eq!(run_hung_up.status, 69, "{}", run_hung_up.stderr);
}

#[tokio::test]
async fn a_defect_ends_with_70_a_file_that_cannot_be_read_with_74_and_a_busy_daemon_with_75() {
    assert_eq!(refused_with(Code::Internal, "INTERNAL").await, 70);
    assert_eq!(refused_with(Code::ResourceExhausted, "QUEUE_FULL").await, 75);
    let fake = Fake::start(Script::default());
    let run = fake.run(&["sign", "--in", "/nonexistent/message"]).await;
    assert_eq!(run.status, 74);
    assert!(run.stderr.contains("/nonexistent/message"), "{}", run.stderr);
}

#[tokio::test]
async fn a_daemon_that_breaks_the_contract_is_a_defect() {
    let fake = Fake::start(Script {
        answer: Answer::NoReport,
        ..Script::default()
    });
    assert_eq!(fake.run(&["sign"]).await.status, 70);
}

#[tokio::test]
async fn what_a_daemon_says_cannot_drive_the_terminal() {
    let answer = Answer::Refuse(Status::internal("evil\u{1b}]0;title\u{7}"));
    let run = Fake::start(Script {
        answer,
        ..Script::default()
    })
    .run(&["sign"])
    .await;
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
}
