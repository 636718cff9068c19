//! The daemon as a process, without tokens: how it starts, reloads, stops, is activated and is watched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "process/daemon.rs"]
mod daemon;

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chancery_proto::v1::mail_service_client::MailServiceClient;
use chancery_proto::v1::token_service_client::TokenServiceClient;
use chancery_proto::v1::{ListTokensRequest, VerifyOptions, VerifyRequest, VerifyResponse};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_types::StatusExt as _;

use daemon::{Daemon, EX_CONFIG, Scene};

fn grant_to_me() -> String {
    let uid = rustix::process::getuid().as_raw();
    format!("[[grant]]\nname = \"me\"\ncaller = {{ uid = {uid} }}\nidentities = [\"*\"]\noperations = [\"list\"]\n")
}

async fn list_tokens(scene: &Scene) -> Result<(), Code> {
    let mut client = TokenServiceClient::new(scene.connect().await.unwrap());
    client
        .list_tokens(ListTokensRequest::default())
        .await
        .map(drop)
        .map_err(|status| status.code())
}

/// A request that runs as long as this is kept: a message that is still coming, of which some has gone back already.
async fn running(scene: &Scene) -> (mpsc::Sender<VerifyRequest>, Streaming<VerifyResponse>) {
    let beginning = "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=b\r\n\r\n\
                     --b\r\nContent-Type: text/plain\r\n\r\nHello\r\nHello\r\nHello\r\n";
    let (sender, requests) = mpsc::channel(1);
    let first = VerifyRequest {
        options: Some(VerifyOptions { return_content: true }),
        content: beginning.into(),
    };
    sender.send(first).await.unwrap();
    let mut mail = MailServiceClient::new(scene.connect().await.unwrap());
    let mut answer = mail.verify(ReceiverStream::new(requests)).await.unwrap().into_inner();
    assert!(!answer.message().await.unwrap().unwrap().content.is_empty());
    (sender, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_ready_when_it_serves_and_stopping_when_it_is_told_to_stop() {
    let scene = Scene::new("");
    let mut daemon = Daemon::start(&scene);
    let mut health = HealthClient::new(scene.connect().await.unwrap());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    drop(health);
    daemon.signal(Signal::TERM);
    let stopping = daemon.wait_for("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=49000000"), "{stopping}");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!scene.socket().exists(), "the socket is still there");
    let trail = fs::read_to_string(scene.audit()).unwrap();
    let notes: Vec<_> = ["started", "stopping", "stopped"]
        .map(|what| trail.contains(&format!("\"what\":\"{what}\"")))
        .into();
    assert_eq!(notes, [true; 3], "{trail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_reloaded_and_the_service_manager_is_told() {
    let scene = Scene::new("");
    let mut daemon = Daemon::start(&scene);
    assert_eq!(list_tokens(&scene).await, Err(Code::PermissionDenied));
    scene.configure(&grant_to_me());
    daemon.signal(Signal::HUP);
    let reloading = daemon.wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    daemon.wait_for("READY=1");
    assert_eq!(list_tokens(&scene).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_keeps_the_old_one_in_force_and_the_log_says_why() {
    let scene = Scene::new(&grant_to_me());
    let mut daemon = Daemon::start(&scene);
    for wrong in [
        "[limits]\nnesting = 0\n",
        "nonsense",
        "[certificates]\ndirectory = \"/nonexistent\"\n",
    ] {
        scene.configure(wrong);
        daemon.signal(Signal::HUP);
        daemon.wait_for("READY=1");
        assert_eq!(list_tokens(&scene).await, Ok(()), "{wrong}");
    }
    // A copy that is not finished.
    for torn in ["", "[listen]\nunix = \"/run/chancery/chanceryd.sock\"\n"] {
        fs::write(scene.configuration(), torn).unwrap();
        daemon.signal(Signal::HUP);
        daemon.wait_for("READY=1");
        assert_eq!(list_tokens(&scene).await, Ok(()), "{torn:?}");
        let (status, said) = Daemon::run_to_the_end(&scene, "check-config");
        assert!(
            status == Some(EX_CONFIG) && said.contains("there is no [[grant]]"),
            "{said}"
        );
    }
    let log = scene.log();
    assert!(log.contains("was the file cut off?"), "{log}");
    assert!(
        log.contains("limits.nesting: 0 is not between") && log.contains("/nonexistent"),
        "{log}"
    );
    assert!(fs::read_to_string(scene.audit()).unwrap().contains("reload-refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_is_reloaded() {
    let scene = Scene::new("");
    let mut daemon = Daemon::start(&scene);
    let _ = list_tokens(&scene).await;
    assert!(!scene.log().contains("DEBUG"), "{}", scene.log());
    scene.configure("[log]\nlevel = \"debug\"\n");
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY=1");
    let _ = list_tokens(&scene).await;
    assert!(scene.log().contains("DEBUG"), "{}", scene.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_goes_on_in_a_new_file_after_a_rotation() {
    let scene = Scene::new("");
    let mut daemon = Daemon::start(&scene);
    let rotated = scene.audit().with_extension("jsonl.1");
    fs::rename(scene.audit(), &rotated).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY=1");
    let report = chanceryd::audit::verify(&[rotated, scene.audit()]).unwrap();
    assert!(report.findings.is_empty() && report.records >= 2, "{report:?}");
    assert!(fs::read_to_string(scene.audit()).unwrap().contains("reloaded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_cannot_be_written_is_seen_in_the_health_and_so_is_its_recovery() {
    let scene = Scene::new("");
    let daemon = Daemon::start(&scene);
    let mut health = HealthClient::new(scene.connect().await.unwrap());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut next = async || {
        let next = tokio::time::timeout(daemon::DEADLINE, watch.message())
            .await
            .expect("no news of the health");
        next.unwrap().unwrap().status()
    };
    assert_eq!(next().await, ServingStatus::Serving);
    let (file, elsewhere) = (scene.audit(), scene.audit().with_extension("moved"));
    fs::rename(&file, &elsewhere).unwrap();
    fs::create_dir(&file).unwrap();
    daemon.signal(Signal::HUP);
    assert_eq!(next().await, ServingStatus::NotServing);
    // At once, or the daemon makes a new file in between.
    renameat_with(CWD, &elsewhere, CWD, &file, RenameFlags::EXCHANGE).unwrap();
    // It is tried again every second.
    assert_eq!(next().await, ServingStatus::Serving);
    assert_eq!(chanceryd::audit::verify(&[file]).unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_running_requests_but_takes_no_more_connections() {
    let scene = Scene::new("");
    let mut daemon = Daemon::start(&scene);
    let running = running(&scene).await;
    daemon.signal(Signal::TERM);
    daemon.wait_for("STOPPING=1");
    scene.wait_until_gone(scene.socket());
    assert!(scene.connect().await.is_err());
    assert!(daemon.is_running(), "{}", scene.log());
    drop(running);
    // Long before the deadline of 30 seconds.
    assert_eq!(daemon.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_not_held_up_by_clients_that_have_stopped() {
    let scene = Scene::new("[limits]\ndrain = \"1h\"\n");
    let mut daemon = Daemon::start(&scene);
    let mut stopped = Vec::new();
    // SETTINGS, and never a word after that, whatever is asked.
    for beginning in [b"".as_slice(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut stream = std::os::unix::net::UnixStream::connect(scene.socket()).unwrap();
        stream.write_all(beginning).unwrap();
        stopped.push(stream);
    }
    // By now both have been accepted.
    let mut health = HealthClient::new(scene.connect().await.unwrap());
    health.check(HealthCheckRequest::default()).await.unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_not_held_up_by_those_who_only_watch() {
    let scene = Scene::new("[limits]\ndrain = \"1h\"\n");
    let mut daemon = Daemon::start(&scene);
    let mut health = HealthClient::new(scene.connect().await.unwrap());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let mut reflection = ServerReflectionClient::new(scene.connect().await.unwrap());
    let asked = reflection.server_reflection_info(tokio_stream::pending()).await;
    let mut described = asked.unwrap().into_inner();
    daemon.signal(Signal::TERM);
    for status in [
        watch.message().await.unwrap_err(),
        described.message().await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert_eq!(status.get_details_error_info().unwrap().reason, "SHUTTING_DOWN");
    }
    assert_eq!(daemon.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_not_held_up_by_messages_that_have_not_begun() {
    let scene = Scene::new("[limits]\ndrain = \"1h\"\n");
    let mut daemon = Daemon::start(&scene);
    let mut mail = MailServiceClient::new(scene.connect().await.unwrap());
    let mut running = mail.verify(tokio_stream::pending()).await.unwrap().into_inner();
    daemon.signal(Signal::TERM);
    let status = running.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "SHUTTING_DOWN");
    assert_eq!(daemon.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_longer_than_its_deadline() {
    let scene = Scene::new("[limits]\ndrain = \"300ms\"\n");
    let mut daemon = Daemon::start(&scene);
    let _running = running(&scene).await;
    let told = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    assert!(told.elapsed() >= Duration::from_millis(300), "it did not wait");
    assert!(scene.log().contains("given up"), "{}", scene.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let scene = Scene::new("");
    let mut daemon = Daemon::start(&scene);
    let _running = running(&scene).await;
    daemon.signal(Signal::TERM);
    daemon.wait_for("STOPPING=1");
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_told_that_it_lives() {
    let scene = Scene::new("");
    let mut daemon = Daemon::start_with(&scene, |command| command.env("WATCHDOG_USEC", "100000"));
    for _ in 0..3 {
        daemon.wait_for("WATCHDOG=1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_the_socket_that_systemd_passes() {
    let scene = Scene::new("");
    let listener = UnixListener::bind(scene.socket()).unwrap();
    // The shell puts the socket where systemd does, at descriptor 3, and says for whom it is.
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    let mut daemon = Daemon::start_by(&scene, &["/bin/sh", "-c", script, "sh"], |command| {
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
    });
    assert_eq!(list_tokens(&scene).await, Err(Code::PermissionDenied));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    assert!(scene.socket().exists(), "a socket that belongs to systemd was removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_serve_tcp_from_systemd_without_tls() {
    let scene = Scene::new("");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    let (status, said) = Daemon::fail_by(&scene, &["/bin/sh", "-c", script, "sh"], |command| {
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
    });
    assert_eq!(status, Some(1));
    assert!(said.contains("mutual TLS"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_that_a_killed_daemon_left_is_replaced() {
    let scene = Scene::new("");
    let mut killed = Daemon::start(&scene);
    killed.signal(Signal::KILL);
    killed.wait();
    assert!(scene.socket().exists());
    let _daemon = Daemon::start(&scene);
    assert_eq!(list_tokens(&scene).await, Err(Code::PermissionDenied));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_do_not_fight_over_a_socket_or_a_trail() {
    let scene = Scene::new("");
    let _first = Daemon::start(&scene);
    let (status, said) = Daemon::fail(&scene);
    assert!(status == Some(1) && said.contains("another chanceryd"), "{said}");
    scene.configure_beside("[audit]\nfile = \"{directory}/other.jsonl\"\n");
    let (status, said) = Daemon::fail(&scene);
    assert!(
        status == Some(1) && said.contains("another process serves it"),
        "{said}"
    );
    assert_eq!(list_tokens(&scene).await, Err(Code::PermissionDenied));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_the_journal_reads_begin_with_their_priority() {
    use std::os::unix::fs::MetadataExt as _;
    let scene = Scene::new("");
    let log = fs::File::create(scene.directory().join("journal")).unwrap();
    let metadata = log.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let _daemon = Daemon::start_with(&scene, |command| command.env("JOURNAL_STREAM", stream).stderr(log));
    let lines = fs::read_to_string(scene.directory().join("journal")).unwrap();
    assert!(
        lines
            .lines()
            .any(|line| line.starts_with("<6>chanceryd::app: serving addresses=")),
        "{lines}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_comes_back_in_answers_and_errors() {
    let scene = Scene::new("");
    let _daemon = Daemon::start(&scene);
    let mut client = TokenServiceClient::new(scene.connect().await.unwrap());
    let mut request = Request::new(ListTokensRequest::default());
    request.metadata_mut().insert("x-request-id", "mine-1".parse().unwrap());
    let status = client.list_tokens(request).await.unwrap_err();
    assert_eq!(status.metadata().get("x-request-id").unwrap(), "mine-1");
    let mut health = HealthClient::new(scene.connect().await.unwrap());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap().len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_describes_itself_by_reflection() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let scene = Scene::new("");
    let _daemon = Daemon::start(&scene);
    let mut client = ServerReflectionClient::new(scene.connect().await.unwrap());
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services");
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for expected in [
        "chancery.v1.KeyService",
        "chancery.v1.TokenService",
        "grpc.health.v1.Health",
    ] {
        assert!(
            names.iter().any(|name| name == expected),
            "{expected} is not among {names:?}"
        );
    }
}
