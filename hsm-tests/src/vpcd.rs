//! A card reader without hardware: pcscd with the driver of vsmartcard-vpcd, to which cards are connected by TCP.
//!
//! The driver listens on every address and has its port in its configuration, and pcscd's socket has a fixed place. So each
//! reader here runs in network and mount namespaces of its own, which takes root: nobody outside reaches the port, and
//! readers do not get into each other's way. The driver's other mode, in which it connects to the card, aborts in version
//! 3.3 when the card goes.
//!
//! ```text
//!  test process: Card ◄─ thread inside the network namespace ─► vpcd in pcscd ◄─ Unix socket ─► the module in chanceryd
//! ```

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpStream},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    net::sockopt::set_tcp_quickack,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tempfile::TempDir;

use crate::{command::program, piv::Card};

/// The driver, where Debian puts it.
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// The port inside the namespace.
const PORT: u16 = 35963;

/// Longer than anything here takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often a wait looks.
const TICK: Duration = Duration::from_millis(20);

/// A reader with a card in it or none. Gone when dropped.
#[derive(Debug)]
pub struct Reader {
    directory: TempDir,
    pcscd: Child,
    inserted: Option<Inserted>,
}

/// A card that is in the reader: its connection, and the thread that serves it.
#[derive(Debug)]
struct Inserted {
    connection: TcpStream,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Starts a reader, empty.
    ///
    /// # Errors
    /// Without root, pcscd, or the driver.
    pub fn start() -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "namespaces of one's own take root"
        );
        ensure!(fs::exists(DRIVER)?, "there is no {DRIVER}: install vsmartcard-vpcd");
        let directory = tempfile::Builder::new().prefix("pcscd-").tempdir()?;
        for name in ["run/pcscd", "readers"] {
            fs::create_dir_all(directory.path().join(name))?;
        }
        fs::write(
            directory.path().join("readers/vpcd"),
            format!(
                "FRIENDLYNAME \"Chancery test reader\"\nDEVICENAME /dev/null:{PORT}\nLIBPATH {DRIVER}\nCHANNELID {PORT}\n"
            ),
        )?;
        let log = File::create(directory.path().join("log"))?;
        let script =
            "ip link set lo up && mount --bind \"$1/run\" /run && exec \"$0\" --foreground --config \"$1/readers\"";
        program("ip", "iproute2")?;
        let pcscd = Command::new(program("unshare", "util-linux")?)
            .args(["--net", "--mount", "--propagation", "private", "--", "sh", "-c", script])
            .arg(program("pcscd", "pcscd")?)
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("unshare could not be started")?;
        let mut reader = Self {
            directory,
            pcscd,
            inserted: None,
        };
        reader.wait_until_it_answers()?;
        Ok(reader)
    }

    /// pcscd's socket, the value of `PCSCLITE_CSOCK_NAME` for those who use the reader.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("run/pcscd/pcscd.comm")
    }

    /// Puts a card into the empty reader. pcscd notices within half a second.
    pub fn insert(&mut self, card: &Card) -> Result<()> {
        ensure!(self.inserted.is_none(), "there is a card in the reader");
        card.reset();
        let connection = self.connect()?;
        connection.set_nodelay(true)?;
        let (mut served, card) = (connection.try_clone()?, card.clone());
        let thread = std::thread::Builder::new().name("card".to_owned()).spawn(move || {
            // An error is how a card that is pulled out ends.
            let _pulled_out = serve(&mut served, &card);
        })?;
        self.inserted = Some(Inserted { connection, thread });
        Ok(())
    }

    /// Pulls the card out, whatever it is doing.
    pub fn remove(&mut self) -> Result<()> {
        let Inserted { connection, thread } = self.inserted.take().context("there is no card in the reader")?;
        connection.shutdown(Shutdown::Both)?;
        thread.join().ok().context("the card's thread panicked")
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = self.pcscd.try_wait()? {
                bail!("pcscd ended with {status}: {}", self.log());
            }
            ensure!(Instant::now() < deadline, "pcscd is not ready: {}", self.log());
            std::thread::park_timeout(TICK);
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// A connection to the driver's port. A socket belongs to the namespace that its thread was in.
    fn connect(&self) -> Result<TcpStream> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pcscd.id()))?;
        let thread = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            let deadline = Instant::now() + DEADLINE;
            loop {
                match TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)) {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                        std::thread::park_timeout(TICK);
                    }
                    done => return done,
                }
            }
        });
        let connection = thread.join().ok().context("the connecting thread panicked")?;
        connection.with_context(|| format!("the driver cannot be reached: {}", self.log()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.inserted.is_some() {
            let _done = self.remove();
        }
        // It may have ended by itself.
        let _done = self.pcscd.kill();
        let _done = self.pcscd.wait();
    }
}

/// vpcd's protocol: two bytes of length, then that many of one message. A single byte is about the power, or asks for the
/// answer to reset; everything else is a command APDU.
fn serve(connection: &mut TcpStream, card: &Card) -> std::io::Result<()> {
    const ANSWER_TO_RESET: u8 = 4;
    loop {
        let mut length = [0; 2];
        connection.read_exact(&mut length)?;
        // The driver writes the length and the message apart, and the second waits for the first to be acknowledged.
        set_tcp_quickack(&connection, true)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        connection.read_exact(&mut message)?;
        let answer = match message.as_slice() {
            [ANSWER_TO_RESET] => card.atr().to_vec(),
            [_power] => {
                card.reset();
                continue;
            }
            command => card.exchange(command),
        };
        let length = u16::try_from(answer.len()).map_err(|_| ErrorKind::InvalidData)?;
        connection.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())?;
    }
}
