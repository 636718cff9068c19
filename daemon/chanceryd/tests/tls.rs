//! Mutual TLS: who gets in, as whom, and what a reload changes. The certificates are OpenSSL's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chanceryd::caller::{Caller, San};
use chanceryd::config::{Config, Limits, Listen, Tls};
use chanceryd::listen::{Activated, Incoming, ListenError, Listeners, LiveTls, TlsError};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;
use tonic::transport::server::Connected as _;

const DEADLINE: Duration = Duration::from_secs(20);

struct Authority {
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let authority = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=CA");
        authority
    }

    fn issue(&self, name: &str, san: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem -days 2 \
             -subj /CN={name} -CA ca.pem -CAkey ca.key -addext subjectAltName={san} -addext basicConstraints=CA:FALSE"
        ));
        for end in ["key", "pem"] {
            fs::set_permissions(self.path(&format!("{name}.{end}")), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.directory)
            .output();
        let output = output.expect("openssl is needed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn tls(&self) -> Tls {
        fs::set_permissions(self.path("ca.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        Tls {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: self.path("ca.pem"),
        }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap())
            .unwrap();
        Arc::new(roots)
    }

    /// A client of this authority's server, with a certificate of the same or another authority, or none.
    fn client(&self, identity: Option<(&Self, &str)>) -> TlsConnector {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = builder.with_root_certificates(self.roots());
        let mut config = match identity {
            Some((authority, name)) => {
                let certificate = CertificateDer::from_pem_file(authority.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

fn limits() -> Limits {
    let nothing = "without = [\"token\", \"grant\"]";
    Config::parse(nothing, Path::new("chanceryd.toml")).unwrap().limits
}

fn listen(tls: Tls, limits: &Limits) -> (Incoming, SocketAddr, LiveTls) {
    let listeners = Listeners::bind(
        &Listen {
            unix: None,
            tls: Some(tls),
        },
        Activated::none(),
    )
    .unwrap();
    let address = listeners.addresses()[0]
        .strip_prefix("https://")
        .unwrap()
        .parse()
        .unwrap();
    let live = listeners.tls().unwrap();
    (listeners.accept(limits).0, address, live)
}

/// Connects; whether the server keeps the connection. In TLS 1.3 a client learns only afterwards that it was refused.
async fn connect(connector: &TlsConnector, address: SocketAddr) -> Option<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    connector
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .ok()
}

async fn is_refused(stream: Option<tokio_rustls::client::TlsStream<TcpStream>>) -> bool {
    let Some(mut stream) = stream else { return true };
    let read = tokio::time::timeout(DEADLINE, stream.read(&mut [0]))
        .await
        .expect("neither refused nor let in");
    read.map_or(true, |length| length == 0)
}

async fn caller(incoming: &mut Incoming) -> Arc<Caller> {
    let connection = tokio::time::timeout(DEADLINE, incoming.next())
        .await
        .expect("nobody was let in");
    connection.unwrap().unwrap().connect_info().caller
}

#[tokio::test]
async fn a_client_with_a_certificate_is_known_by_its_key_and_names() {
    let authority = Authority::new();
    authority.issue("server", "DNS:localhost");
    authority.issue(
        "gateway",
        "DNS:Gateway.example.org,email:gw@EXAMPLE.org,URI:spiffe://example.org/gw,IP:10.0.0.1",
    );
    let (mut incoming, address, _) = listen(authority.tls(), &limits());
    let stream = connect(&authority.client(Some((&authority, "gateway"))), address).await;
    let caller = caller(&mut incoming).await;
    let Caller::Tls {
        spki_sha256,
        sans,
        subject,
    } = &*caller
    else {
        panic!("{caller:?}")
    };
    let expected = [
        San::Dns("gateway.example.org".to_owned()),
        San::Email("gw@example.org".to_owned()),
        San::Uri("spiffe://example.org/gw".to_owned()),
    ];
    assert_eq!(sans.as_slice(), expected);
    assert_eq!(subject, "CN=gateway");
    // What OpenSSL says the hash of the public key is.
    authority.openssl("pkey -in gateway.key -pubout -outform DER -out spki.der");
    authority.openssl("dgst -sha256 -binary -out spki.sha256 spki.der");
    assert_eq!(fs::read(authority.path("spki.sha256")).unwrap(), spki_sha256);
    drop(stream);
}

#[tokio::test]
async fn nobody_gets_in_without_a_certificate_or_with_one_of_another_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("server", "DNS:localhost");
    other.issue("gateway", "DNS:gateway.example.org");
    let (mut incoming, address, _) = listen(authority.tls(), &limits());
    for identity in [None, Some((&other, "gateway"))] {
        assert!(is_refused(connect(&authority.client(identity), address).await).await);
    }
    authority.issue("gateway", "DNS:gateway.example.org");
    let _stream = connect(&authority.client(Some((&authority, "gateway"))), address).await;
    let caller = caller(&mut incoming).await;
    assert!(
        matches!(&*caller, Caller::Tls { .. }),
        "the first to be let in is the first with a certificate"
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_is_hung_up_on_and_does_not_hold_up_others() {
    let authority = Authority::new();
    authority.issue("server", "DNS:localhost");
    authority.issue("gateway", "DNS:gateway.example.org");
    let limits = Limits {
        tls_handshake: Duration::from_millis(200),
        connections: 1,
        ..limits()
    };
    let (mut incoming, address, _) = listen(authority.tls(), &limits);
    let mut silent = TcpStream::connect(address).await.unwrap();
    let hung_up = tokio::time::timeout(DEADLINE, silent.read(&mut [0]))
        .await
        .expect("not hung up on")
        .unwrap();
    assert_eq!(hung_up, 0);
    // The only place is free again.
    let _stream = connect(&authority.client(Some((&authority, "gateway"))), address).await;
    caller(&mut incoming).await;
}

#[tokio::test]
async fn a_client_that_speaks_tls_and_no_http2_is_hung_up_on() {
    let authority = Authority::new();
    authority.issue("server", "DNS:localhost");
    authority.issue("gateway", "DNS:gateway.example.org");
    let limits = Limits {
        preface: Duration::from_secs(2),
        ..limits()
    };
    let (mut incoming, address, _) = listen(authority.tls(), &limits);
    let mut stream = connect(&authority.client(Some((&authority, "gateway"))), address)
        .await
        .unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let connection = tokio::time::timeout(DEADLINE, incoming.next()).await.unwrap();
    let mut connection = connection.unwrap().unwrap();
    let mut said = Vec::new();
    let read = connection.read_to_end(&mut said);
    let ended = tokio::time::timeout(DEADLINE, read).await.expect("not hung up on");
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_reload_changes_the_authority_for_the_next_connection_or_nothing_at_all() {
    let (old, new) = (Authority::new(), Authority::new());
    for authority in [&old, &new] {
        authority.issue("server", "DNS:localhost");
        authority.issue("gateway", "DNS:gateway.example.org");
    }
    let (mut incoming, address, live) = listen(old.tls(), &limits());
    let broken = Tls {
        client_ca: old.path("server.key"),
        ..old.tls()
    };
    assert!(matches!(live.reload(&broken), Err(TlsError::Content { .. })));
    let _stream = connect(&old.client(Some((&old, "gateway"))), address).await;
    caller(&mut incoming).await;
    live.reload(&new.tls()).unwrap();
    assert!(is_refused(connect(&old.client(Some((&old, "gateway"))), address).await).await);
    let _stream = connect(&new.client(Some((&new, "gateway"))), address).await;
    caller(&mut incoming).await;
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    let authority = Authority::new();
    authority.issue("server", "DNS:localhost");
    fs::set_permissions(authority.path("server.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = Listeners::bind(
        &Listen {
            unix: None,
            tls: Some(authority.tls()),
        },
        Activated::none(),
    )
    .unwrap_err();
    assert!(matches!(error, ListenError::Tls(TlsError::Permissions(_))), "{error}");
}
