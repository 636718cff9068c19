//! Connections and what is on them before, beside and in place of requests: how long they may say nothing, how many there may
//! be of one caller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "process/daemon.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod daemon;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use daemon::{DEADLINE, Daemon, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_does_not_get_more_connections_than_its_share() {
    let scene = Scene::new("[limits]\nconnections_per_caller = 1\n");
    let _daemon = Daemon::start(&scene);
    let mut first = HealthClient::new(scene.connect().await.unwrap());
    first.check(HealthCheckRequest::default()).await.unwrap();
    let second = async {
        HealthClient::new(scene.connect().await.ok()?)
            .check(HealthCheckRequest::default())
            .await
            .ok()
    };
    assert!(second.await.is_none());
    first.check(HealthCheckRequest::default()).await.unwrap();
    assert!(scene.log().contains("connections_per_caller"), "{}", scene.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nobody_begins_to_speak_http2_is_closed_and_its_place_is_free() {
    let scene = Scene::new("[limits]\nconnections_per_caller = 3\npreface = \"2s\"\n");
    let _daemon = Daemon::start(&scene);
    let mut silent = Vec::new();
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let mut connection = UnixStream::connect(scene.socket()).await.unwrap();
        connection.write_all(beginning.as_bytes()).await.unwrap();
        silent.push(connection);
    }
    for mut connection in silent {
        let mut said = Vec::new();
        let read = connection.read_to_end(&mut said);
        // It may say GOAWAY first; then it ends.
        let _ = tokio::time::timeout(DEADLINE, read).await.expect("not hung up on");
    }
    let mut health = HealthClient::new(scene.connect().await.unwrap());
    health.check(HealthCheckRequest::default()).await.unwrap();
}
