//! A PKCS#11 module between a program and its real module: counts calls, and fails them on request.
//!
//! `CHANCERY_COUNTED_MODULE` names the real module, `CHANCERY_COUNTS` a file of [`FILE_LEN`] bytes, which is mapped: sixteen
//! bytes for each of [`FUNCTIONS`], in that order. The first eight (little-endian) are the number of calls so far. The other
//! eight are a return value that the next call answers with instead of reaching the real module, after which they are zero
//! again; with [`ALWAYS`] added to it they stay. A test reads and writes that file, as [`Counts`] does; it shares no memory
//! with the module.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

mod shim;

/// Environment variable: the real module.
pub const MODULE_VARIABLE: &str = "CHANCERY_COUNTED_MODULE";

/// Environment variable: the file.
pub const COUNTS_VARIABLE: &str = "CHANCERY_COUNTS";

/// Added to a return value: every call fails, not the next alone.
pub const ALWAYS: u64 = 1 << 63;

/// The functions that are counted.
pub const FUNCTIONS: &[&str] = shim::NAMES;

/// The length of the file.
pub const FILE_LEN: usize = 16 * FUNCTIONS.len();

/// The test's view of the file.
#[derive(Debug)]
pub struct Counts {
    path: PathBuf,
    file: File,
}

impl Counts {
    /// Makes the file, all zero.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.set_len(FILE_LEN as u64)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Opens the file that the variable names.
    ///
    /// # Errors
    /// Whatever the file system says, or `NotFound` without the variable.
    pub fn open() -> io::Result<Self> {
        let path = std::env::var_os(COUNTS_VARIABLE).ok_or(io::ErrorKind::NotFound)?;
        let file = File::options().read(true).write(true).open(&path)?;
        Ok(Self {
            path: path.into(),
            file,
        })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls of a function so far.
    ///
    /// # Errors
    /// Whatever the file system says, or `NotFound` for a function that is not counted.
    pub fn of(&self, function: &str) -> io::Result<u64> {
        let mut count = [0; 8];
        self.file.read_exact_at(&mut count, offset(function)?)?;
        Ok(u64::from_le_bytes(count))
    }

    /// Calls of all functions so far, by name, without those that were never called.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn all(&self) -> io::Result<Vec<(&'static str, u64)>> {
        let counts = FUNCTIONS.iter().map(|name| Ok((*name, self.of(name)?)));
        counts
            .filter(|count| count.as_ref().is_ok_and(|(_, count)| *count > 0))
            .collect()
    }

    /// Makes the next call of a function (or, with [`ALWAYS`], each) answer with this value; zero takes that back.
    ///
    /// # Errors
    /// Whatever the file system says, or `NotFound` for a function that is not counted.
    pub fn fail(&self, function: &str, rv: u64) -> io::Result<()> {
        self.file.write_all_at(&rv.to_le_bytes(), offset(function)? + 8)
    }
}

fn offset(function: &str) -> io::Result<u64> {
    let index = FUNCTIONS
        .iter()
        .position(|name| *name == function)
        .ok_or(io::ErrorKind::NotFound)?;
    Ok(16 * index as u64)
}
