//! Mutual TLS, with certificates of OpenSSL and a TLS server in front of the fake daemon.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::command_line::run;
use crate::fake::{Fake, Script};

/// A directory with an authority, a server for 127.0.0.1 and a client, each NAME.pem and NAME.key.
fn certificates() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let authority = [
        "-addext",
        "keyUsage=critical,keyCertSign",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
    ];
    request(directory.path(), "ca", &authority);
    request(directory.path(), "stranger", &authority);
    let issued = [
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    request(
        directory.path(),
        "server",
        &[&issued[..], &["-addext", "subjectAltName=IP:127.0.0.1"]].concat(),
    );
    request(
        directory.path(),
        "client",
        &[&issued[..], &["-addext", "subjectAltName=DNS:gateway"]].concat(),
    );
    directory
}

fn request(directory: &Path, name: &str, more: &[&str]) {
    let (subject, key, certificate) = (format!("/CN={name}"), format!("{name}.key"), format!("{name}.pem"));
    let output = Command::new("openssl")
        .current_dir(directory)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "1",
        ])
        .args(["-subj", &subject, "-keyout", &key, "-out", &certificate])
        .args(more)
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Takes TLS off and hands the rest to the fake daemon. Gives the port.
async fn serve(fake: &Fake, directory: &Path) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = |name: &str| CertificateDer::from_pem_file(directory.join(name)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate("ca.pem")).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![certificate("server.pem")],
            PrivateKeyDer::from_pem_file(directory.join("server.key")).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = fake.path().join("chanceryd.sock");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut UnixStream::connect(socket).await?).await
            });
        }
    });
    port
}

/// `chancery sign` with these files of the directory.
async fn sign(address: &str, directory: &Path, [certificate, key, ca]: [&str; 3]) -> crate::command_line::Run {
    let file = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let (certificate, key, ca) = (file(certificate), file(key), file(ca));
    let args = [
        "sign",
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
        "--tls-ca",
        &ca,
    ];
    run(address, &args, b"Subject: x\r\n\r\n").await
}

#[tokio::test]
async fn a_message_passes_through_mutual_tls_and_nobody_else_does() {
    let fake = Fake::start(Script::default());
    let directory = certificates();
    let port = serve(&fake, directory.path()).await;
    let address = format!("https://127.0.0.1:{port}");

    let good = sign(&address, directory.path(), ["client.pem", "client.key", "ca.pem"]).await;
    assert_eq!(
        (good.status, good.stdout.as_str()),
        (0, "Subject: x\r\n\r\n"),
        "{}",
        good.stderr
    );

    let other_daemon = sign(&address, directory.path(), ["client.pem", "client.key", "stranger.pem"]).await;
    assert_eq!(other_daemon.status, 69, "{}", other_daemon.stderr);
    assert!(other_daemon.stderr.contains("UnknownIssuer"), "{}", other_daemon.stderr);

    let stranger = sign(&address, directory.path(), ["stranger.pem", "stranger.key", "ca.pem"]).await;
    assert_eq!(stranger.status, 69, "{}", stranger.stderr);

    let address = format!("https://localhost:{port}");
    let elsewhere = sign(&address, directory.path(), ["client.pem", "client.key", "ca.pem"]);
    assert_eq!(elsewhere.await.status, 69, "the certificate is for another name");
}

#[tokio::test]
async fn tls_files_that_cannot_be_used_end_with_2_and_are_named() {
    let directory = certificates();
    for files in [
        ["none.pem", "client.key", "ca.pem"],
        ["client.pem", "client.pem", "ca.pem"],
        ["client.pem", "server.key", "ca.pem"],
        ["client.pem", "client.key", "ca.key"],
    ] {
        let run = sign("https://127.0.0.1:1", directory.path(), files).await;
        assert_eq!(run.status, 2, "{files:?}: {}", run.stderr);
        assert!(
            run.stderr.contains(directory.path().to_str().unwrap()),
            "{}",
            run.stderr
        );
    }
}
