//! What the daemon and a module's process say to each other.
//!
//! Two kinds of sockets join them. The *control* socket (a stream; each frame a little-endian length of four octets and as much
//! postcard) carries what is said once in a while: what to load, status, catalogues, PINs and what the token said of them.
//! Each token has a *job* socket besides (SOCK_SEQPACKET: one packet a job, one an answer), from which every worker
//! takes the next packet by itself.
//!
//! Both ends are the same executable: there is no version. But the process has a vendor's code in it, so what it sends
//! is read as if it came from a stranger: lengths are bounded, and anything senseless ends the process.

use std::{
    io::{self, ErrorKind, Read, Write},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{
    catalogue::Catalogue,
    clock::Moment,
    config::TokenSelector,
    confine::Confinement,
    error::{ModuleError, TokenError},
    job::Work,
    key::KeyId,
    metrics::MetricsSnapshot,
    pin::{Pin, PinEntry},
    pins::{Purpose, Verdict},
    status::TokenStatus,
};

/// A longer control frame is refused: a catalogue of 10,000 keys with their certificates takes less than half of it.
const MAX_FRAME: usize = 64 << 20;

/// A longer job goes through a memory file whose descriptor is in the packet: a packet has to fit a socket's buffer.
pub(crate) const MAX_PACKET: usize = 32 << 10;

/// The longest job: a message that the token signs as a whole (Ed25519), and a little.
pub(crate) const MAX_JOB: u64 = 2 << 20;

/// A PIN on the control socket. It is wiped on either side.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PinOctets(pub(crate) Zeroizing<Vec<u8>>);

impl PinOctets {
    pub(crate) fn new(pin: &Pin) -> Self {
        Self(Zeroizing::new(pin.bytes().to_vec()))
    }

    /// None for one that is entered at the token's own PIN pad.
    pub(crate) fn of(entry: &PinEntry) -> Option<Self> {
        match entry {
            PinEntry::Given(pin) => Some(Self::new(pin)),
            PinEntry::AtPad => None,
        }
    }

    /// What [`PinOctets::of`] was made of.
    pub(crate) fn entry(octets: Option<Self>) -> PinEntry {
        octets.map_or(PinEntry::AtPad, |octets| PinEntry::Given(Pin::new(octets.0)))
    }
}

/// What the daemon says.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToProcess {
    /// First of all.
    Start(Start),
    /// Log in with this PIN, which an administrator gave.
    Unlock {
        token: u16,
        number: u64,
        pin: Option<PinOctets>,
        /// Two tries with it came to no end, and somebody insists.
        once_more: bool,
    },
    /// Have the token replace its PIN.
    ChangePin {
        token: u16,
        number: u64,
        pins: Option<(PinOctets, PinOctets)>,
    },
    /// Log out.
    Lock { token: u16, number: u64 },
    /// The answer to [`FromProcess::WantPin`] and [`FromProcess::Begin`].
    Pin {
        token: u16,
        pin: Result<Option<PinOctets>, String>,
    },
    /// Certificates from outside the token, in place of those before.
    Certificates { token: u16, certificates: Vec<Vec<u8>> },
    /// Finish what has been started, log out, finalise, and end.
    Stop,
}

/// The module and its tokens, in the order of the job sockets that were sent before.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) module: PathBuf,
    /// Processes before this one have ended or hung: nothing is wanted of the module that can be done without.
    pub(crate) is_frail: bool,
    pub(crate) confinement: Confinement,
    pub(crate) tokens: Vec<StartToken>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StartToken {
    pub(crate) name: String,
    pub(crate) module: String,
    pub(crate) selector: TokenSelector,
    pub(crate) sessions: u32,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) certificates: Vec<Vec<u8>>,
}

/// What a module's process says.
#[derive(Serialize, Deserialize)]
pub(crate) enum FromProcess {
    /// The module is loaded and initialised, or cannot be.
    Loaded(Result<(), ModuleError>),
    /// A token's status has changed.
    Status { token: u16, status: Box<TokenStatus> },
    /// A token's keys have changed.
    Catalogue { token: u16, catalogue: Catalogue },
    /// The anchor or a worker is about to log in by itself.
    WantPin { token: u16, purpose: Purpose },
    /// The anchor is about to log in with a PIN that somebody gave, if it may.
    Begin { token: u16, pin: Option<PinOctets> },
    /// What the token said of a PIN, whoever gave it.
    Verdict {
        token: u16,
        pin: Option<PinOctets>,
        verdict: Verdict,
    },
    /// An `Unlock`, `ChangePin` or `Lock` ended like this.
    Done {
        token: u16,
        number: u64,
        result: Result<(), TokenError>,
    },
    /// What has been counted of a token since the process began.
    Metrics { token: u16, metrics: Box<MetricsSnapshot> },
    /// Whatever can be done anew in this process has been, and the token goes on failing: it asks for another process.
    Spent { token: u16, why: String },
    /// The library is about to be initialised anew, or has been.
    Initializing(bool),
    /// The token's anchor turns, and its workers have so many sessions open.
    Alive { token: u16, sessions: u32 },
}

/// A job in a packet.
#[derive(Serialize, Deserialize)]
pub(crate) struct JobFrame<W> {
    pub(crate) id: u64,
    pub(crate) key: KeyId,
    /// When it is no longer worth starting.
    pub(crate) deadline: Moment,
    pub(crate) work: W,
}

/// The form in which a job is read.
pub(crate) type OwnedJobFrame = JobFrame<Work>;

/// An answer in a packet.
#[derive(Serialize, Deserialize)]
pub(crate) struct AnswerFrame {
    pub(crate) id: u64,
    pub(crate) answer: AnswerBody,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum AnswerBody {
    /// A signature, a plaintext or a shared secret.
    Done(Zeroizing<Vec<u8>>),
    Failed(TokenError),
    /// The same, and the key has surely not been used.
    Unused(TokenError),
    /// Not started: the worker has no session for it, and others have.
    NotStarted,
}

/// Writes one control frame.
pub(crate) fn write(mut to: impl Write, frame: &impl Serialize) -> io::Result<()> {
    let mut octets = Zeroizing::new(vec![0; 4]);
    // Grows without leaving copies of a PIN behind only as long as it need not grow: frames with PINs are short.
    octets.reserve(1024);
    let mut octets = Zeroizing::new(postcard::to_extend(frame, std::mem::take(&mut *octets)).map_err(invalid)?);
    let length = octets.len() - 4;
    if length > MAX_FRAME {
        return Err(io::Error::new(ErrorKind::InvalidData, "a frame is too long"));
    }
    if let (Some(header), Ok(length)) = (octets.first_chunk_mut::<4>(), u32::try_from(length)) {
        *header = length.to_le_bytes();
    }
    to.write_all(&octets)
}

/// Reads one control frame; `None` at the end.
pub(crate) fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut header = [0; 4];
    match from.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(io::Error::new(ErrorKind::InvalidData, "a frame is too long"));
    }
    let mut octets = Zeroizing::new(vec![0; length]);
    from.read_exact(&mut octets)?;
    parse(&octets).map(Some)
}

/// Whether this came of the other side's having closed the socket, as it does by ending, perhaps in the middle of a frame.
pub(crate) fn has_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
    )
}

/// What one packet holds.
pub(crate) fn parse<T: DeserializeOwned>(octets: &[u8]) -> io::Result<T> {
    match postcard::take_from_bytes(octets).map_err(invalid)? {
        (value, []) => Ok(value),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "something follows a frame")),
    }
}

/// One packet, written over `buffer`.
pub(crate) fn pack(frame: &impl Serialize, buffer: &mut Zeroizing<Vec<u8>>) -> io::Result<()> {
    buffer.clear();
    let octets = std::mem::take(&mut **buffer);
    **buffer = postcard::to_extend(frame, octets).map_err(invalid)?;
    Ok(())
}

fn invalid(error: postcard::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_went() {
        let mut stream = Vec::new();
        let pin = PinEntry::Given(Pin::new(b"123456".to_vec()));
        let frame = ToProcess::Unlock {
            token: 3,
            number: 1 << 40,
            pin: PinOctets::of(&pin),
            once_more: true,
        };
        write(&mut stream, &frame).unwrap();
        write(&mut stream, &ToProcess::Stop).unwrap();
        let mut stream = stream.as_slice();
        let Some(ToProcess::Unlock {
            token: 3,
            number,
            pin: received,
            once_more: true,
        }) = read(&mut stream).unwrap()
        else {
            unreachable!("another frame")
        };
        assert_eq!((number, PinOctets::entry(received)), (1 << 40, pin));
        assert!(matches!(read(&mut stream).unwrap(), Some(ToProcess::Stop)));
        assert!(read::<ToProcess>(&mut stream).unwrap().is_none());
    }

    #[test]
    fn frames_that_are_too_long_cut_off_or_senseless_are_errors() {
        for octets in [
            &[0xff, 0xff, 0xff, 0xff, 1][..],
            &[9, 0, 0, 0, 1],
            &[1, 0, 0, 0, 0xee],
            &[2, 0, 0, 0, 5, 5],
        ] {
            assert!(read::<ToProcess>(octets).is_err(), "{octets:?}");
        }
    }
}
