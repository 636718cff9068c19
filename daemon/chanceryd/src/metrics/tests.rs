//! What is documented is what is told, requests are counted once and under the right name, and the endpoint keeps its bounds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tower::{Layer as _, Service as _};

use super::*;
use crate::audit::Sync;
use crate::config::{MetricsListen, UnixSocket};

fn metrics(requests: &Requests) -> Metrics {
    let directory = tempfile::tempdir().unwrap();
    let audit = Trail::open(&directory.path().join("audit.jsonl"), Sync::Never).unwrap();
    Metrics::new(Sources {
        requests: requests.clone(),
        tokens: Vec::new(),
        audit,
    })
}

fn line(requests: &Requests, metric: &str) -> Option<String> {
    let rendered = metrics(requests).render().unwrap();
    let value = rendered.lines().find_map(|line| line.strip_prefix(metric))?;
    Some(value.trim_start().to_owned())
}

#[test]
fn the_document_and_the_endpoint_name_the_same_metrics_of_the_same_types() {
    let document = include_str!("../../../../docs/metrics.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<(String, String)> = rows
        .map(|row| {
            let (name, rest) = row.split_once("` | ").expect("a name and a type");
            (name.to_owned(), rest.split(" | ").next().unwrap().to_owned())
        })
        .collect();
    let rendered = metrics(&Requests::new()).render().unwrap();
    let told: Vec<(String, String)> = rendered
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            (format!("{name}{suffix}"), kind.to_owned())
        })
        .collect();
    assert_eq!(documented, told);
    for (name, kind) in &told {
        assert!(name.starts_with("chancery_"), "{name}");
        assert_eq!(kind == "histogram", name.ends_with("_seconds"), "{name}");
    }
    assert!(rendered.ends_with("# EOF\n"));
}

#[test]
fn every_rpc_of_the_contract_is_known_from_the_start() {
    let requests = Requests::new();
    for rpc in [
        "chancery.v1.KeyService/Sign",
        "chancery.v1.TokenService/WatchTokens",
        "grpc.health.v1.Health/Check",
        "unknown",
    ] {
        let metric = format!("chancery_requests_total{{rpc=\"{rpc}\",code=\"OK\"}}");
        assert_eq!(line(&requests, &metric).as_deref(), Some("0"), "{rpc}");
    }
}

/// An answer that is given as it stands: headers, and a body that may have trailers.
#[derive(Default)]
struct Answer {
    headers: HeaderMap,
    trailers: Option<HeaderMap>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

fn status(code: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), code.parse().unwrap())])
}

/// Sends a request through the layer and reads its answer.
fn pass(requests: &Requests, path: &str, answer: Answer) {
    let inner = tower::service_fn(move |_: Request<()>| {
        let mut response = Response::new(Answer {
            headers: HeaderMap::new(),
            trailers: answer.trailers.clone(),
        });
        *response.headers_mut() = answer.headers.clone();
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = Request::builder().uri(path).body(()).unwrap();
    let context = &mut Context::from_waker(Waker::noop());
    let mut answer = CountLayer(requests.clone()).layer(inner).call(request);
    let Poll::Ready(Ok(response)) = Pin::new(&mut answer).poll(context) else {
        panic!("no answer");
    };
    let mut body = response.into_body();
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(context) {
        frame.unwrap();
    }
}

#[test]
fn a_request_is_counted_once_by_its_trailers_its_headers_or_its_end() {
    let requests = Requests::new();
    let by_trailers = |code| Answer {
        trailers: Some(status(code)),
        ..Answer::default()
    };
    let by_headers = Answer {
        headers: status("7"),
        ..Answer::default()
    };
    pass(&requests, "/chancery.v1.KeyService/Sign", by_trailers("0"));
    pass(&requests, "/chancery.v1.KeyService/Sign", by_trailers("3"));
    pass(&requests, "/chancery.v1.KeyService/Sign", by_headers);
    pass(&requests, "/chancery.v1.KeyService/Sign", Answer::default());
    pass(&requests, "/nonsense/of/a/caller", by_trailers("12"));
    for (rpc, code) in [
        ("chancery.v1.KeyService/Sign", "OK"),
        ("chancery.v1.KeyService/Sign", "INVALID_ARGUMENT"),
        ("chancery.v1.KeyService/Sign", "PERMISSION_DENIED"),
        ("chancery.v1.KeyService/Sign", "CANCELLED"),
        ("unknown", "UNIMPLEMENTED"),
    ] {
        let metric = format!("chancery_requests_total{{rpc=\"{rpc}\",code=\"{code}\"}}");
        assert_eq!(line(&requests, &metric).as_deref(), Some("1"), "{metric}");
    }
    let rpc = "{rpc=\"chancery.v1.KeyService/Sign\"}";
    let durations = format!("chancery_request_duration_seconds_count{rpc}");
    assert_eq!(line(&requests, &durations).as_deref(), Some("4"));
    let running = format!("chancery_requests_in_flight{rpc}");
    assert_eq!(line(&requests, &running).as_deref(), Some("0"));
    assert!(!metrics(&requests).render().unwrap().contains("nonsense"));
}

#[test]
fn a_ciphertext_that_does_not_decrypt_is_counted_like_one_that_does() {
    let rendered = ["0", "3"].map(|code| {
        let requests = Requests::new();
        let trailers = Some(status(code));
        let answer = Answer {
            trailers,
            ..Answer::default()
        };
        pass(&requests, "/chancery.v1.MailService/Decrypt", answer);
        let rendered = metrics(&requests).render().unwrap();
        let counted = rendered
            .lines()
            .filter(|line| line.contains("requests_total{rpc=\"chancery.v1.MailService/Decrypt\""));
        counted.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(rendered[0], rendered[1]);
    assert!(rendered[0][0].ends_with(",code=\"OK\"} 1"), "{rendered:?}");
}

/// An endpoint on a free port.
fn start() -> (SocketAddr, JoinHandle<()>) {
    let endpoint = Endpoint::bind(&MetricsListen::Loopback("127.0.0.1:0".parse().unwrap())).unwrap();
    let address = endpoint.address().strip_prefix("http://").unwrap().parse().unwrap();
    (address, tokio::spawn(endpoint.serve(metrics(&Requests::new()))))
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_get_of_metrics_is_answered_in_openmetrics_and_nothing_else_is() {
    let (address, _serving) = start();
    let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("connection: close\r\n") && answer.ends_with("# EOF\n"),
        "{answer}"
    );
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        (
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            "405",
        ),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = ask(address, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn a_request_with_endless_headers_is_refused() {
    let (address, _serving) = start();
    let many: String = (0..100).map(|number| format!("x-{number}: 1\r\n")).collect();
    let long = format!("x: {}\r\n", "1".repeat(64 << 10));
    for headers in [many, long] {
        let answer = ask(address, &format!("GET /metrics HTTP/1.1\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_connect_and_say_nothing_do_not_keep_others_out_for_long() {
    let (address, _serving) = start();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    // The clock runs as fast as nothing else happens.
    let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_goes_with_the_endpoint() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.sock");
    let endpoint = Endpoint::bind(&MetricsListen::Unix(UnixSocket {
        path: path.clone(),
        mode: 0o640,
        group: None,
    }));
    let serving = tokio::spawn(endpoint.unwrap().serve(metrics(&Requests::new())));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    serving.abort();
    let _cancelled = serving.await;
    assert!(!path.exists());
}
