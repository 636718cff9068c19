//! The way that leads from `/` to a library: whoever can change any of it decides which code is loaded.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};

use super::{PermissionError, mode, not_of_others, open_trusted, unchanged_by_others};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;

const STICKY: u32 = 0o1000;

/// Checks a library as [`super::open_trusted`] does any file, and every directory from `/` down to it, those that symbolic links
/// lead through included. One that others can write may be among them if it is sticky, as `/tmp` is: what is root's or the own
/// user's in it stays where it is. The library's own directory may not.
///
/// # Errors
/// When it cannot be reached, or others could put something else in its place. The first thing on the way that they could
/// change is named.
pub fn trusted_library(path: &Path) -> Result<(), PermissionError> {
    walk(path)?;
    open_trusted(path).map(drop)
}

fn walk(path: &Path) -> Result<(), PermissionError> {
    let mut links = 0;
    let mut onward: VecDeque<OsString> = names(path).collect();
    let mut here = PathBuf::from("/");
    let mut sticky = steps_on(&here, &look(&here)?)?;
    while let Some(name) = onward.pop_front() {
        if name == ".." {
            here.pop();
            sticky = steps_on(&here, &look(&here)?)?;
            continue;
        }
        let next = here.join(name);
        let metadata = look(&next)?;
        if sticky {
            not_of_others(&next, &metadata)?;
        }
        if metadata.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(PermissionError::Links {
                    path: path.to_owned(),
                    limit: MAX_LINKS,
                });
            }
            let target = fs::read_link(&next).map_err(|source| PermissionError::Unreachable { path: next, source })?;
            if target.is_absolute() {
                here = PathBuf::from("/");
                sticky = steps_on(&here, &look(&here)?)?;
            }
            names(&target).rev().for_each(|name| onward.push_front(name));
        } else if metadata.is_dir() {
            sticky = steps_on(&next, &metadata)?;
            here = next;
        } else {
            // Whatever it is, it is the last, or what follows is not there.
            here = next;
        }
    }
    Ok(())
}

/// Whether a directory on the way can be written by others all the same, and is sticky.
fn steps_on(directory: &Path, metadata: &Metadata) -> Result<bool, PermissionError> {
    if mode(metadata) & STICKY != 0 && mode(metadata) & 0o022 != 0 {
        not_of_others(directory, metadata)?;
        return Ok(true);
    }
    unchanged_by_others(directory, metadata)?;
    Ok(false)
}

/// Of a link, itself.
fn look(path: &Path) -> Result<Metadata, PermissionError> {
    fs::symlink_metadata(path).map_err(|source| PermissionError::Unreachable {
        path: path.to_owned(),
        source,
    })
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]
    use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};

    use super::*;

    /// `above/middle/own/library.so`, in a directory of its own.
    fn scene() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("above/middle/own");
        fs::create_dir_all(&own).unwrap();
        let library = own.join("library.so");
        fs::write(&library, "x").unwrap();
        (directory, library)
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(library: &Path) -> PathBuf {
        match trusted_library(library).unwrap_err() {
            PermissionError::Writable { path, .. } | PermissionError::Owner { path, .. } => path,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_library_is_refused_for_any_directory_above_it_that_others_can_write() {
        let (directory, library) = scene();
        trusted_library(&library).unwrap();
        for name in [
            "above",
            "above/middle",
            "above/middle/own",
            "above/middle/own/library.so",
        ] {
            let place = directory.path().join(name);
            for mode in [0o775, 0o757] {
                chmod(&place, mode);
                assert_eq!(refused(&library), place, "{mode:o}");
            }
            chmod(&place, 0o755);
            trusted_library(&library).unwrap();
        }
    }

    #[test]
    fn a_sticky_directory_above_is_passed_and_its_own_directory_is_not_to_be_one() {
        let (directory, library) = scene();
        let [above, own] = ["above", "above/middle/own"].map(|name| directory.path().join(name));
        chmod(&above, 0o1777);
        trusted_library(&library).unwrap();
        chmod(&own, 0o1777);
        assert_eq!(refused(&library), own);
    }

    #[test]
    fn every_directory_that_links_lead_through_is_looked_at() {
        let (directory, library) = scene();
        let (elsewhere, hop, last) = (
            directory.path().join("elsewhere"),
            directory.path().join("elsewhere/hop"),
            directory.path().join("last.so"),
        );
        fs::create_dir_all(&hop).unwrap();
        // last.so → elsewhere/hop/to.so → ../way/own/library.so, where `way` is a link to a directory.
        symlink("elsewhere/hop/to.so", &last).unwrap();
        symlink("../way/own/library.so", hop.join("to.so")).unwrap();
        symlink(directory.path().join("above/middle"), elsewhere.join("way")).unwrap();
        trusted_library(&last).unwrap();
        for place in [&hop, &elsewhere, &directory.path().join("above"), &library] {
            chmod(place, 0o777);
            assert_eq!(&refused(&last), place);
            chmod(place, 0o755);
        }
        trusted_library(&last).unwrap();
    }

    #[test]
    fn links_that_lead_nowhere_or_around_are_refused() {
        let (directory, _library) = scene();
        let [around, nowhere] = ["around", "nowhere"].map(|name| directory.path().join(name));
        symlink("around", &around).unwrap();
        symlink("not-there", &nowhere).unwrap();
        assert!(matches!(trusted_library(&around), Err(PermissionError::Links { .. })));
        assert!(matches!(
            trusted_library(&nowhere),
            Err(PermissionError::Unreachable { .. })
        ));
    }

    #[test]
    fn what_belongs_to_another_user_is_refused_and_a_link_of_theirs_in_a_sticky_directory_too() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "this test has to run as root");
            eprintln!("SKIPPED: giving files to another user needs root");
            return;
        }
        let (directory, library) = scene();
        let middle = directory.path().join("above/middle");
        chown(&middle, Some(12345), None).unwrap();
        assert_eq!(refused(&library), middle);
        let said = trusted_library(&library).unwrap_err().to_string();
        assert!(said.contains("uid 12345") && said.contains("0755"), "{said}");
        chown(&middle, Some(0), None).unwrap();
        let (sticky, link) = (directory.path().join("sticky"), directory.path().join("sticky/link"));
        fs::create_dir(&sticky).unwrap();
        symlink(directory.path().join("above"), &link).unwrap();
        chmod(&sticky, 0o1777);
        trusted_library(&link.join("middle/own/library.so")).unwrap();
        lchown(&link, Some(12345), None).unwrap();
        assert_eq!(refused(&link.join("middle/own/library.so")), link);
    }
}
