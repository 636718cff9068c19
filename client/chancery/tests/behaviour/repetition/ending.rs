//! What stands before a fake daemon and speaks just enough HTTP/2 to end the first connection as a test wants it. Every later
//! connection it passes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::fake::Fake;

const PATIENCE: Duration = Duration::from_secs(20);
const PREFACE_LEN: usize = 24;
const ALL_STREAMS: u32 = i32::MAX.cast_unsigned();

/// The types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;

/// What a request meets on the first connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// No further requests are taken. Those that are there go on, and this one does for ever.
    GoAwayAtAll,
    /// The same, and then it is closed.
    GoAwayAtAllAndClose,
    /// The request was not read, though so much of its body has come.
    GoAwayBelow { after: usize },
    /// Every request is reset.
    Reset(Reason),
    /// It is closed.
    Close,
}

/// What stands before the daemon.
pub(super) struct Front {
    pub(super) address: String,
    path: PathBuf,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// The client has read what it was told.
    said: Notify,
}

impl Front {
    pub(super) fn of(fake: &Fake, ending: Ending) -> Self {
        let path = fake.path().join("front.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = fake.path().join("chanceryd.sock");
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    let (mut client, _) = listener.accept().await.unwrap();
                    if seen.connections.fetch_add(1, Ordering::Relaxed) == 0 {
                        let seen = Arc::clone(&seen);
                        // It ends when its client goes.
                        tokio::spawn(async move { end(&mut client, ending, &seen).await });
                        continue;
                    }
                    let mut daemon = UnixStream::connect(&daemon).await.unwrap();
                    tokio::spawn(async move { io::copy_bidirectional(&mut client, &mut daemon).await });
                }
            }
        });
        Self {
            address: format!("unix:{}", path.display()),
            path,
            seen,
            task,
        }
    }

    /// Waits until the client has read the GOAWAY.
    pub(super) async fn said(&self) {
        tokio::time::timeout(PATIENCE, self.seen.said.notified()).await.unwrap();
    }

    /// Requests on the first connection.
    pub(super) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Nobody answers any more.
    pub(super) async fn stop(self) {
        std::fs::remove_file(&self.path).unwrap();
        self.task.abort();
        let _aborted = self.task.await;
    }
}

/// Serves the connection that is to end.
async fn end(client: &mut UnixStream, ending: Ending, seen: &Seen) -> io::Result<()> {
    let mut preface = [0; PREFACE_LEN];
    client.read_exact(&mut preface).await?;
    // As much as the body of a request may be: SETTINGS_INITIAL_WINDOW_SIZE, and the same for the connection.
    let window: u32 = 8 << 20;
    let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
    write(client, SETTINGS, 0, 0, &settings).await?;
    write(client, WINDOW_UPDATE, 0, 0, &window.to_be_bytes()).await?;
    let mut came = 0;
    loop {
        let (kind, flags, stream, payload) = read(client).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => write(client, SETTINGS, ACK, 0, &[]).await?,
            PING if flags & ACK == 0 => write(client, PING, ACK, 0, &payload).await?,
            PING => seen.said.notify_one(),
            HEADERS => {
                seen.requests.fetch_add(1, Ordering::Relaxed);
                match ending {
                    Ending::GoAwayAtAll => {
                        go_away(client, ALL_STREAMS).await?;
                        write(client, PING, 0, 0, &[0; 8]).await?;
                    }
                    Ending::GoAwayAtAllAndClose => return go_away(client, ALL_STREAMS).await,
                    Ending::GoAwayBelow { after: 0 } => go_away(client, stream - 1).await?,
                    Ending::GoAwayBelow { .. } => {}
                    Ending::Reset(reason) => {
                        write(client, RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes()).await?;
                    }
                    Ending::Close => return Ok(()),
                }
            }
            DATA => {
                came += payload.len();
                if let Ending::GoAwayBelow { after } = ending
                    && (1..=came).contains(&after)
                {
                    go_away(client, stream - 1).await?;
                }
            }
            _ => {}
        }
    }
}

async fn go_away(client: &mut UnixStream, last_stream: u32) -> io::Result<()> {
    let payload = [last_stream.to_be_bytes(), u32::from(Reason::NO_ERROR).to_be_bytes()].concat();
    write(client, GOAWAY, 0, 0, &payload).await
}

async fn write(client: &mut UnixStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let frame = [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
    client.write_all(&frame).await
}

async fn read(client: &mut UnixStream) -> io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    client.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]).try_into().unwrap()];
    client.read_exact(&mut payload).await?;
    Ok((kind, flags, u32::from_be_bytes(stream), payload))
}
