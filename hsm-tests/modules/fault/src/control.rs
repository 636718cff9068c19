//! The module's side of the control file: the mapped words.

use std::{
    fs::File,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::{
    FILE_VARIABLE,
    layout::{FILE_LEN, WORDS},
};

/// The words of the file.
pub(crate) struct Control {
    words: &'static [AtomicU64],
}

/// A word that is read where there is none, which would be a defect of this module's own.
static NOWHERE: AtomicU64 = AtomicU64::new(0);

impl Control {
    /// Maps the file that the environment names.
    pub(crate) fn from_environment() -> Option<Self> {
        let path = std::env::var_os(FILE_VARIABLE)?;
        let file = File::options().read(true).write(true).open(path).ok()?;
        if file.metadata().ok()?.len() != FILE_LEN as u64 {
            return None;
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping that nothing else in this process refers to. It is never unmapped.
        let start = unsafe { mmap(std::ptr::null_mut(), FILE_LEN, protection, MapFlags::SHARED, &file, 0) }.ok()?;
        // SAFETY: the mapping is WORDS words, page-aligned, lives as long as the process, and is used through atomics alone.
        let words = unsafe { std::slice::from_raw_parts(start.cast::<AtomicU64>(), WORDS) };
        Some(Self { words })
    }

    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        self.words.get(index).unwrap_or(&NOWHERE)
    }

    pub(crate) fn read(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Acquire)
    }
}
