//! Files that a module cannot open, hidden by Landlock; and with it TCP, signals to other processes and abstract sockets.
//!
//! Landlock only allows. So everything is refused at first, and then every name beside the way that leads from `/` to a hidden
//! path is allowed with all that lies beneath. Symbolic links are left out: what they lead to is allowed or hidden by its own
//! place. Left out, too, are copies that editors, packages and rotation leave beside a hidden file, which have its name and an
//! ending.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
    path_beneath_rules,
};

use super::{ConfineError, Landlock};

/// Names that are looked at. Each takes a few microseconds.
const MAX_NAMES: usize = 65_536;

/// Hides these paths, as far as the kernel knows how to.
pub(super) fn hide(hidden: &[PathBuf], network: bool) -> Result<Landlock, ConfineError> {
    let open = neighbours(hidden)?;
    let status = restrict(&open, !hidden.is_empty(), network).map_err(ConfineError::Rules)?;
    Ok(match status {
        LandlockStatus::Available { effective_abi, .. } => Landlock::Enforced {
            abi: effective_abi as i32,
        },
        _ => Landlock::Missing,
    })
}

fn restrict(open: &[PathBuf], files: bool, network: bool) -> Result<LandlockStatus, RulesetError> {
    // Not what came after: with ABI 9, a daemon that makes its socket's directory anew, as pcscd does when it is started again,
    // could not be reached any more.
    let access = AccessFs::from_all(ABI::V5);
    let mut rules = Ruleset::default().scope(Scope::from_all(ABI::V6))?;
    if files {
        rules = rules.handle_access(access)?;
    }
    if !network {
        rules = rules.handle_access(AccessNet::from_all(ABI::V4))?;
    }
    let mut rules = rules.create()?;
    if files {
        // A name that is gone by now needs no rule.
        rules = rules.add_rules(path_beneath_rules(open, access))?;
    }
    Ok(rules.restrict_self()?.landlock)
}

/// Directories on the way to hidden paths, by name.
#[derive(Default)]
struct Way {
    hidden: bool,
    onward: BTreeMap<OsString, Way>,
}

/// Everything that is not on the way to a hidden path.
fn neighbours(hidden: &[PathBuf]) -> Result<Vec<PathBuf>, ConfineError> {
    let mut root = Way::default();
    for path in hidden {
        let real = real(path).map_err(|source| ConfineError::Hidden {
            path: path.clone(),
            source,
        })?;
        let mut way = &mut root;
        for component in real.components() {
            if let Component::Normal(name) = component {
                way = way.onward.entry(name.to_owned()).or_default();
            }
        }
        way.hidden = true;
    }
    let mut open = Vec::new();
    let mut seen = 0;
    if !hidden.is_empty() {
        walk(Path::new("/"), &root, &mut open, &mut seen)?;
    }
    Ok(open)
}

fn walk(directory: &Path, way: &Way, open: &mut Vec<PathBuf>, seen: &mut usize) -> Result<(), ConfineError> {
    let mut files: Vec<&OsStr> = Vec::new();
    for (name, onward) in &way.onward {
        if onward.hidden && !directory.join(name).is_dir() {
            files.push(name);
        }
    }
    // What cannot be listed stays closed, but for the directories on the way.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        *seen += 1;
        if *seen > MAX_NAMES {
            return Err(ConfineError::Crowded {
                directory: directory.to_owned(),
                limit: MAX_NAMES,
            });
        }
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let name = entry.file_name();
        let is_left_out = is_link || way.onward.contains_key(&name) || files.iter().any(|file| is_copy(&name, file));
        if !is_left_out {
            open.push(entry.path());
        }
    }
    for (name, onward) in &way.onward {
        if !onward.hidden {
            walk(&directory.join(name), onward, open, seen)?;
        }
    }
    Ok(())
}

/// Whether this is the name of a copy of that file, such as `file~`, `file.bak`, `file-20260102.gz`, `#file#` or `.file.swp`.
fn is_copy(name: &OsStr, file: &OsStr) -> bool {
    let name = name.as_bytes();
    let marked = name.strip_prefix(b".").or(name.strip_prefix(b"#"));
    // The file's own name may begin with a mark as well.
    [Some(name), marked].into_iter().flatten().any(|name| {
        let rest = name.strip_prefix(file.as_bytes());
        rest.is_some_and(|rest| rest.first().is_none_or(|next| !next.is_ascii_alphanumeric()))
    })
}

/// Where a path leads, links followed, as far as it exists.
fn real(path: &Path) -> io::Result<PathBuf> {
    if !path.is_absolute() || path.components().count() < 2 {
        let detail = "it has to be absolute, and not the root";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, detail));
    }
    let mut existing = path;
    let mut missing = Vec::new();
    loop {
        match fs::canonicalize(existing) {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Ok(real);
            }
            Err(error) => match (error.kind(), existing.file_name(), existing.parent()) {
                (io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied, Some(name), Some(parent)) => {
                    missing.push(name.to_owned());
                    existing = parent;
                }
                _ => return Err(error),
            },
        }
    }
}
