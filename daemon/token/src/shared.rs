//! What the handle, the anchor and the workers of one token know together.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    time::Duration,
};

use cryptoki::slot::Slot;
use tokio::sync::watch;

use crate::{
    anchor::Command,
    capabilities::Capabilities,
    catalogue::{Catalogue, KeyAlgorithm},
    error::TokenError,
    guard::PinGuard,
    job::Job,
    key::KeyId,
    module::Module,
    queue::Queue,
    status::{PinStatus, TokenState, TokenStatus},
    wait::Waiting,
};

pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) call_deadline: Duration,
    pub(crate) queue: Queue<Job>,
    pub(crate) waiting: Waiting,
    pub(crate) anchor: SyncSender<Command>,
    /// Certificates from outside the token that the anchor has not taken yet: the latest alone.
    certificates: Mutex<Option<Vec<Vec<u8>>>>,
    pub(crate) guard: Mutex<PinGuard>,
    /// Held for reading around every call on the token, for writing while a key has the token to itself.
    pub(crate) calls: RwLock<()>,
    /// Sessions that workers have open.
    pub(crate) sessions: AtomicUsize,
    /// Changes whenever `live` does.
    generation: AtomicU64,
    live: Mutex<Option<Arc<Live>>>,
    status: Mutex<TokenStatus>,
    /// Whether the status has a last error, so that the next success clears it and those after need not look.
    failing: AtomicBool,
    catalogue: Mutex<Arc<Catalogue>>,
    changes: watch::Sender<u64>,
}

/// A token whose keys can be used, as of one generation.
pub(crate) struct Live {
    pub(crate) generation: u64,
    /// Sessions opened under another attachment are dead.
    pub(crate) attachment: u64,
    pub(crate) module: Arc<Module>,
    pub(crate) slot: Slot,
    pub(crate) keys: HashMap<KeyId, LiveKey>,
    pub(crate) capabilities: Arc<Capabilities>,
}

/// What a worker has to know of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LiveKey {
    pub(crate) id: KeyId,
    pub(crate) handle: u64,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) can_sign: bool,
    pub(crate) can_decrypt: bool,
    pub(crate) always_authenticate: bool,
}

impl Shared {
    pub(crate) fn new(
        name: String,
        module: String,
        call_deadline: Duration,
        queue: Queue<Job>,
        anchor: SyncSender<Command>,
        guard: PinGuard,
    ) -> Self {
        let status = TokenStatus {
            module,
            detail: "the module is being loaded".into(),
            ..TokenStatus::default()
        };
        Self {
            name,
            call_deadline,
            queue,
            waiting: Waiting::new(),
            anchor,
            certificates: Mutex::new(None),
            guard: Mutex::new(guard),
            calls: RwLock::new(()),
            sessions: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            live: Mutex::new(None),
            status: Mutex::new(status),
            failing: AtomicBool::new(false),
            catalogue: Mutex::new(Arc::default()),
            changes: watch::Sender::new(0),
        }
    }

    /// Leaves certificates for the anchor, in place of any that it has not taken.
    pub(crate) fn leave_certificates(&self, certificates: Vec<Vec<u8>>) {
        *lock(&self.certificates) = Some(certificates);
    }

    /// What has been left since the last call.
    pub(crate) fn take_certificates(&self) -> Option<Vec<Vec<u8>>> {
        lock(&self.certificates).take()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        lock(&self.live).clone()
    }

    /// Whether keys can be used now.
    pub(crate) fn is_live(&self) -> bool {
        lock(&self.live).is_some()
    }

    pub(crate) fn status(&self) -> TokenStatus {
        let mut status = lock(&self.status).clone();
        status.sessions = self.sessions.load(Ordering::Relaxed);
        status
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&lock(&self.catalogue))
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Makes keys usable, as a new generation.
    pub(crate) fn set_live(&self, live: impl FnOnce(u64) -> Live) {
        let mut place = lock(&self.live);
        let generation = self.generation() + 1;
        *place = Some(Arc::new(live(generation)));
        self.generation.store(generation, Ordering::Release);
        lock(&self.status).generation = generation;
    }

    /// Makes keys unusable.
    pub(crate) fn clear_live(&self) {
        let mut place = lock(&self.live);
        if place.take().is_some() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Changes the status, and tells those who watch if that made a difference.
    pub(crate) fn update(&self, change: impl FnOnce(&mut TokenStatus)) {
        let mut status = lock(&self.status);
        let before = status.clone();
        change(&mut status);
        let (different, state) = (*status != before, status.state);
        if state != before.state {
            tracing::info!(token = self.name, ?state, detail = status.detail, "token state");
        }
        drop(status);
        if different {
            self.announce();
        }
    }

    pub(crate) fn set_catalogue(&self, catalogue: Catalogue) {
        lock(&self.status).key_count = catalogue.keys.len();
        *lock(&self.catalogue) = Arc::new(catalogue);
        self.announce();
    }

    fn announce(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn note_error(&self, ckr: &'static str) {
        self.update(|status| status.last_error = Some(ckr));
        // After the status: a success between the two leaves the error for the next one to clear.
        self.failing.store(true, Ordering::Relaxed);
    }

    /// The token did what it was asked: whatever it failed at before is past.
    pub(crate) fn note_success(&self) {
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            self.update(|status| status.last_error = None);
        }
    }

    /// The error for a request to a token that is not ready.
    pub(crate) fn unavailable(&self) -> TokenError {
        let token = self.name.clone();
        let status = lock(&self.status);
        match (status.state, status.pin) {
            (TokenState::Locked, PinStatus::Locked) => TokenError::PinLocked { token },
            (TokenState::Locked, PinStatus::FinalTry) => TokenError::PinFinalTry { token },
            (TokenState::Locked, _) => TokenError::Locked { token },
            _ => TokenError::Absent { token },
        }
    }
}

/// Nothing in this crate leaves a value half changed when it panics, so a poisoned lock is as good as another.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
