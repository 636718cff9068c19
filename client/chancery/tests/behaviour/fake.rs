//! A daemon in the test's own process: the services of the contract over a Unix socket, doing what a `Script` says.

mod lists;
mod mail;

use std::path::Path;
use std::sync::{Arc, Mutex};

use chancery::v1;
use chancery::v1::agent_service_server::AgentServiceServer;
use chancery::v1::identity_service_server::IdentityServiceServer;
use chancery::v1::key_service_server::KeyServiceServer;
use chancery::v1::mail_service_server::MailServiceServer;
use chancery::v1::token_service_server::TokenServiceServer;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::{Notify, watch};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What the daemon does with a streaming call.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Sends the content back as it comes, then the report.
    Echo,
    /// The same, and the status in place of the report.
    EchoThenFail(Status),
    /// Refuses at once, without reading.
    Refuse(Status),
    /// Sends the content back, and ends well without a report.
    NoReport,
    /// Sends the report without waiting for the end of the message.
    EarlyReport,
    /// Reads everything, then waits for the signal, then answers like `Echo`, with nothing of the content.
    HoldUntil(Arc<Notify>),
}

/// What the daemon does, and what it has.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) answer: Answer,
    /// The report of Decrypt and Verify.
    pub(crate) report: v1::Report,
    pub(crate) keys: Vec<v1::Key>,
    pub(crate) identities: Vec<v1::Identity>,
    pub(crate) tokens: Vec<v1::Token>,
    /// What WatchTokens tells after them, before it ends.
    pub(crate) token_changes: Vec<Vec<v1::Token>>,
    /// The PIN that unlocks every token.
    pub(crate) pin: Vec<u8>,
    /// It has had no answer twice.
    pub(crate) wants_insistence: bool,
    /// Sign and Decrypt want it with the call.
    pub(crate) wants_pin: bool,
    /// What agents are asked, and what they answer.
    pub(crate) questions: Vec<v1::Question>,
    pub(crate) answers: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What every unary call answers, if it is to fail.
    pub(crate) refuse_unary: Option<Status>,
    /// The most entries in a page.
    pub(crate) page_len: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            answer: Answer::Echo,
            report: v1::Report::default(),
            keys: Vec::new(),
            identities: Vec::new(),
            tokens: Vec::new(),
            token_changes: Vec::new(),
            pin: b"648219".to_vec(),
            wants_insistence: false,
            wants_pin: false,
            questions: Vec::new(),
            answers: Arc::default(),
            refuse_unary: None,
            page_len: 1000,
        }
    }
}

/// What one streaming call brought.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The options, as Debug writes them.
    pub(crate) options: String,
    /// The whole content.
    pub(crate) content: Vec<u8>,
    /// Whether the caller said that the message was complete.
    pub(crate) complete: bool,
    /// The longest content in one request.
    pub(crate) longest: usize,
}

/// A running daemon. It ends with the test's process.
pub(crate) struct Fake {
    pub(crate) address: String,
    directory: TempDir,
    calls: Calls,
}

/// What was called so far.
#[derive(Clone, Default)]
pub(crate) struct Calls {
    list: Arc<Mutex<Vec<Call>>>,
    changed: Arc<Notify>,
    received: watch::Sender<usize>,
}

impl Calls {
    fn push(&self, call: Call) {
        self.list.lock().unwrap().push(call);
        self.changed.notify_waiters();
    }
}

impl Fake {
    /// Starts a daemon on a socket in a directory of its own.
    pub(crate) fn start(script: Script) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("chanceryd.sock");
        let calls = Calls::default();
        let listener = UnixListener::bind(&socket).unwrap();
        let script = Arc::new(script);
        let (health, service) = tonic_health::server::health_reporter();
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .max_frame_size(1 << 20)
            .add_service(service)
            .add_service(MailServiceServer::new(mail::Mail {
                script: Arc::clone(&script),
                calls: calls.clone(),
            }))
            .add_service(AgentServiceServer::new(lists::Lists(Arc::clone(&script))))
            .add_service(KeyServiceServer::new(lists::Lists(Arc::clone(&script))))
            .add_service(IdentityServiceServer::new(lists::Lists(Arc::clone(&script))))
            .add_service(TokenServiceServer::new(lists::Lists(Arc::clone(&script))));
        tokio::spawn(async move {
            for token in &script.tokens {
                let status = match token.state() {
                    v1::TokenState::Ready => tonic_health::ServingStatus::Serving,
                    _ => tonic_health::ServingStatus::NotServing,
                };
                health.set_service_status(&token.name, status).await;
            }
            server
                .serve_with_incoming(UnixListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self {
            address: format!("unix:{}", socket.display()),
            directory,
            calls,
        }
    }

    /// Waits for the first streaming call to be over, however it ended.
    pub(crate) async fn first_call(&self) -> Call {
        loop {
            let changed = self.calls.changed.notified();
            if let Some(call) = self.calls.list.lock().unwrap().first() {
                return call.clone();
            }
            tokio::time::timeout(std::time::Duration::from_secs(20), changed)
                .await
                .expect("no call came to its end");
        }
    }

    /// Bytes of content that have come in, over all calls.
    pub(crate) fn received(&self) -> watch::Receiver<usize> {
        self.calls.received.subscribe()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A status as the daemon makes it.
pub(crate) fn status(code: Code, reason: &str, message: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, chancery::ERROR_DOMAIN, std::collections::HashMap::new());
    Status::with_error_details(code, message, details)
}
