//! What the anchor and the workers of one token know together.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::SyncSender,
    },
};

use cryptoki::slot::Slot;

use crate::{
    anchor::Command, board::Board, capabilities::Capabilities, catalogue::KeyAlgorithm, jobs::Jobs, key::KeyId,
    module::Module, pins::Pins, sync::lock, tries::Tries,
};

pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) board: Arc<Board>,
    pub(crate) jobs: Jobs,
    pub(crate) anchor: SyncSender<Command>,
    pub(crate) pins: Arc<dyn Pins>,
    pub(crate) tries: Tries,
    /// Held for reading around every call on the token, for writing while a key has the token to itself.
    pub(crate) calls: RwLock<()>,
    /// A worker has succeeded since the anchor looked last.
    worked: AtomicBool,
    /// The number of the attachment under which sessions are open; 0 if there is none. Changes under `calls`.
    attachment: AtomicU64,
    /// Changes whenever `live` does.
    generation: AtomicU64,
    live: Mutex<Option<Arc<Live>>>,
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
    pub(crate) fn new(board: Arc<Board>, jobs: Jobs, anchor: SyncSender<Command>, pins: Arc<dyn Pins>) -> Self {
        Self {
            name: board.name.clone(),
            board,
            jobs,
            anchor,
            pins,
            tries: Tries::default(),
            calls: RwLock::new(()),
            worked: AtomicBool::new(false),
            attachment: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            live: Mutex::new(None),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Sessions are opened under this attachment from now on.
    pub(crate) fn attached(&self, number: u64) {
        self.attachment.store(number, Ordering::Release);
    }

    /// All sessions of the attachment have been closed. The caller has the token to itself.
    pub(crate) fn detached(&self) {
        self.attachment.store(0, Ordering::Release);
    }

    /// Whether sessions of this attachment are open, and will be as long as the caller's share of `calls` is held.
    pub(crate) fn is_attached(&self, number: u64) -> bool {
        self.attachment.load(Ordering::Acquire) == number
    }

    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        lock(&self.live).clone()
    }

    /// The token did what it was asked.
    pub(crate) fn note_success(&self) {
        self.board.note_success();
        if !self.worked.load(Ordering::Relaxed) {
            self.worked.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it has done so since the last call.
    pub(crate) fn take_success(&self) -> bool {
        self.worked.load(Ordering::Relaxed) && self.worked.swap(false, Ordering::Relaxed)
    }

    /// Makes keys usable, as a new generation.
    pub(crate) fn set_live(&self, live: impl FnOnce(u64) -> Live) {
        let mut place = lock(&self.live);
        let generation = self.generation() + 1;
        *place = Some(Arc::new(live(generation)));
        self.generation.store(generation, Ordering::Release);
        self.board.update(|status| status.generation = generation);
    }

    /// Makes keys unusable.
    pub(crate) fn clear_live(&self) {
        let mut place = lock(&self.live);
        if place.take().is_some() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }
}
