//! The baseline: a PKCS#11 module driven directly through cryptoki, as many sessions as threads, handles looked up before.
//!
//! It runs as a process of its own, since a module takes its configuration from the environment.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, ObjectClass},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};

use crate::statistics::median;

/// What a driver says once it has logged in.
pub(crate) const READY: &str = "ready";

/// What one turn came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Operations a second over all threads.
    pub(crate) per_second: f64,
    /// Median duration of one operation in microseconds.
    pub(crate) latency: f64,
}

impl Turn {
    /// From the durations of all operations, in microseconds, that took so long together.
    pub(crate) fn of(latencies: &[f64], elapsed: Duration) -> Result<Self> {
        #[expect(clippy::cast_precision_loss, reason = "a count of operations")]
        let per_second = latencies.len() as f64 / elapsed.as_secs_f64();
        Ok(Self {
            per_second,
            latency: median(latencies)?,
        })
    }
}

/// Which key is driven, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa2048,
    P256,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::P256 => "p-256",
        }
    }

    pub(crate) fn from_name(name: &str) -> Result<Self> {
        [Self::Rsa2048, Self::P256]
            .into_iter()
            .find(|kind| kind.name() == name)
            .with_context(|| format!("{name} is no kind of key"))
    }

    /// The mechanism and what it signs: a DigestInfo of SHA-256 for RSA, a digest for ECDSA.
    fn mechanism(self) -> (Mechanism<'static>, Vec<u8>) {
        match self {
            Self::Rsa2048 => {
                let mut info = vec![
                    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
                    0x00, 0x04, 0x20,
                ];
                info.extend([0x5a; 32]);
                (Mechanism::RsaPkcs, info)
            }
            Self::P256 => (Mechanism::Ecdsa, vec![0x5a; 32]),
        }
    }
}

/// A driver process and the pipe to it.
#[derive(Debug)]
pub(crate) struct Driver {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Driver {
    /// Starts a driver of the key with CKA_LABEL `key` in the token with this label.
    pub(crate) fn start(
        module: &Path,
        environment: &[(&str, String)],
        (token, pin): (&str, &str),
        key: &str,
        kind: Kind,
    ) -> Result<Self> {
        let module = module.to_str().context("the module's path is text")?;
        Self::spawn(&["drive", module, token, pin, key, kind.name()], environment)
    }

    /// Starts this program with these arguments, which make it a driver.
    pub(crate) fn spawn(arguments: &[&str], environment: &[(&str, String)]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut driver = Self {
            orders: child.stdin.take().context("the driver has a standard input")?,
            answers: BufReader::new(child.stdout.take().context("the driver has a standard output")?),
            child,
        };
        // Two processes that log in at once can lose SoftHSM's token.
        ensure!(driver.answer()?.trim() == READY, "the driver cannot start");
        Ok(driver)
    }

    /// One turn.
    pub(crate) fn turn(&mut self, threads: usize, duration: Duration) -> Result<Turn> {
        writeln!(self.orders, "{threads} {}", duration.as_millis())?;
        self.orders.flush()?;
        let answer = self.answer()?;
        let (per_second, latency) = answer.trim().split_once(' ').context("the driver gave up")?;
        Ok(Turn {
            per_second: per_second.parse()?,
            latency: latency.parse()?,
        })
    }

    /// The next line that the driver says.
    pub(crate) fn answer(&mut self) -> Result<String> {
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("the driver gave up");
        }
        Ok(answer)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            println!("the driver could not be stopped: {error}");
        }
    }
}

/// The driver's side: `bench drive MODULE TOKEN PIN KEY KIND`, orders on standard input, answers on standard output.
pub(crate) fn serve(arguments: &[&str]) -> Result<()> {
    let [module, token, pin, key, kind] = *arguments else {
        bail!("bench drive MODULE TOKEN PIN KEY KIND");
    };
    let kind = Kind::from_name(kind)?;
    let (module, slot, _anchor) = login(module, token, pin)?;
    println!("{READY}");
    for order in std::io::stdin().lines() {
        let order = order?;
        let (threads, milliseconds) = order.split_once(' ').context("THREADS MILLISECONDS")?;
        let sessions = (0..threads.parse::<usize>()?)
            .map(|_| module.open_ro_session(slot))
            .collect::<Result<Vec<_>, _>>()?;
        let turn = drive(sessions, key, kind, Duration::from_millis(milliseconds.parse()?))?;
        println!("{} {}", turn.per_second, turn.latency);
    }
    Ok(())
}

/// The module, the slot with the token of that label, and a session that has logged in.
pub(crate) fn login(module: &str, token: &str, pin: &str) -> Result<(Pkcs11, Slot, Session)> {
    let module = Pkcs11::new(module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = module
        .get_slots_with_token()?
        .into_iter()
        .find(|slot| {
            module
                .get_token_info(*slot)
                .is_ok_and(|info| info.label().trim_end() == token)
        })
        .with_context(|| format!("no token {token}"))?;
    let anchor = module.open_rw_session(slot)?;
    anchor.login(UserType::User, Some(&AuthPin::new(pin.into())))?;
    Ok((module, slot, anchor))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the length of a turn, not a wait for something"
)]
fn drive(sessions: Vec<Session>, key: &str, kind: Kind, duration: Duration) -> Result<Turn> {
    let stop = AtomicBool::new(false);
    let start = Barrier::new(sessions.len() + 1);
    let (elapsed, latencies) = thread::scope(|scope| {
        let workers: Vec<_> = sessions
            .into_iter()
            .map(|session| {
                scope.spawn(|| {
                    let session = session;
                    let ready = prepare(&session, key, kind);
                    start.wait();
                    let (handle, mechanism, data) = ready?;
                    let mut latencies = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        session.sign(&mechanism, handle, &data)?;
                        latencies.push(begun.elapsed().as_secs_f64() * 1e6);
                    }
                    anyhow::Ok(latencies)
                })
            })
            .collect();
        start.wait();
        let begun = Instant::now();
        thread::sleep(duration);
        stop.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(own) => latencies.extend(own?),
                Err(_) => bail!("a thread of the driver panicked"),
            }
        }
        Ok((begun.elapsed(), latencies))
    })?;
    Turn::of(&latencies, elapsed)
}

fn prepare(
    session: &Session,
    key: &str,
    kind: Kind,
) -> Result<(cryptoki::object::ObjectHandle, Mechanism<'static>, Vec<u8>)> {
    let handle = session
        .find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(key.into())])?
        .pop()
        .with_context(|| format!("no key {key}"))?;
    let (mechanism, data) = kind.mechanism();
    Ok((handle, mechanism, data))
}
