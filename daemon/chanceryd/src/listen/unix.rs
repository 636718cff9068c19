//! The Unix socket: made in a directory that others cannot write, under a lock, over a stale one if need be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Group;
use rustix::fs::{FlockOperation, Gid, chown, flock};
use tokio::net::UnixListener;

use super::ListenError;
use crate::config::UnixSocket;
use crate::permissions;

/// How often it is looked whether the socket is still there.
const LOOK: Duration = Duration::from_secs(10);

/// The socket in the file system and the lock on it. Dropped, the socket is removed, if it is still this one.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    /// `SOCKET.lock`. It stays in the file system: to remove it would let two daemons lock two files.
    _lock: File,
}

impl SocketFile {
    /// Returns once the socket has been seen to be gone from its place, or another to be there. It is looked for now and then.
    pub(super) fn gone(&self) -> impl Future<Output = PathBuf> + Send + use<> {
        let (path, own) = (self.path.clone(), self.identity);
        async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let found = tokio::fs::symlink_metadata(&path).await;
                if !found.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == own) {
                    return path;
                }
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on a Unix socket of this path, mode and group.
pub(crate) fn bind(socket: &UnixSocket) -> Result<(UnixListener, SocketFile), ListenError> {
    let path = &socket.path;
    let fail = |action| {
        move |source| ListenError::Io {
            place: path.display().to_string(),
            action,
            source,
        }
    };
    permissions::trusted_directory(path.parent().unwrap_or(Path::new("/")))?;
    let lock = lock(path)?;
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(fail("bind it"))?;
    let identity = identity(path).map_err(fail("look at it"))?;
    let file = SocketFile {
        path: path.clone(),
        identity,
        _lock: lock,
    };
    if let Some(name) = &socket.group {
        let group = Group::from_name(name).map_err(|error| fail("look up its group")(error.into()))?;
        let group = group.ok_or_else(|| ListenError::NoGroup {
            path: path.clone(),
            group: name.clone(),
        })?;
        chown(path, None, Some(Gid::from_raw(group.gid.as_raw())))
            .map_err(|error| fail("give it to its group")(error.into()))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(socket.mode)).map_err(fail("set its mode"))?;
    Ok((listener, file))
}

fn lock(path: &Path) -> Result<File, ListenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let fail = |source| ListenError::Io {
        place: path.display().to_string(),
        action: "open its lock file",
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(fail)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ListenError::InUse { path: path.to_owned() }),
        Err(error) => Err(fail(error.into())),
    }
}

/// Removes a socket that nobody listens on. Only called under the lock, so that no other daemon is about to.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let fail = |action| {
        move |source| ListenError::Io {
            place: path.display().to_string(),
            action,
            source,
        }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail("look at it")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ListenError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "nobody listens on the socket that is there; it is replaced");
            fs::remove_file(path).map_err(fail("remove the stale one"))
        }
        Err(error) => Err(fail("find out whether anybody serves it")(error)),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn socket(directory: &tempfile::TempDir) -> UnixSocket {
        UnixSocket {
            path: directory.path().join("s"),
            mode: 0o660,
            group: None,
        }
    }

    #[tokio::test]
    async fn the_socket_has_its_mode_and_goes_with_the_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let socket = socket(&directory);
        let (_listener, file) = bind(&socket).unwrap();
        assert_eq!(fs::metadata(&socket.path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(file);
        assert!(!socket.path.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_somebody_removes_is_missed() {
        let directory = tempfile::tempdir().unwrap();
        let socket = socket(&directory);
        let (_listener, file) = bind(&socket).unwrap();
        let gone = file.gone();
        tokio::pin!(gone);
        assert!(tokio::time::timeout(LOOK * 3, gone.as_mut()).await.is_err());
        fs::remove_file(&socket.path).unwrap();
        assert_eq!(tokio::time::timeout(LOOK * 3, gone).await.unwrap(), socket.path);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let socket = socket(&directory);
        drop(std::os::unix::net::UnixListener::bind(&socket.path).unwrap());
        assert!(socket.path.exists());
        let (_listener, _file) = bind(&socket).unwrap();
        UnixStream::connect(&socket.path).unwrap();
    }

    #[tokio::test]
    async fn a_second_daemon_is_refused_and_leaves_the_first_alone() {
        let directory = tempfile::tempdir().unwrap();
        let socket = socket(&directory);
        let (_listener, _file) = bind(&socket).unwrap();
        assert!(matches!(bind(&socket), Err(ListenError::InUse { .. })));
        UnixStream::connect(&socket.path).unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_another_program_serves_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let socket = socket(&directory);
        let _other = std::os::unix::net::UnixListener::bind(&socket.path).unwrap();
        assert!(matches!(bind(&socket), Err(ListenError::InUse { .. })));
    }

    #[tokio::test]
    async fn a_file_of_that_name_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let socket = socket(&directory);
        fs::write(&socket.path, "precious").unwrap();
        assert!(matches!(bind(&socket), Err(ListenError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&socket.path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_directory_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(bind(&socket(&directory)), Err(ListenError::Permissions(_))));
    }

    #[tokio::test]
    async fn an_unknown_group_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixSocket {
            group: Some("no-such-group".to_owned()),
            ..socket(&directory)
        };
        assert!(bind(&socket).unwrap_err().to_string().contains("no-such-group"));
    }
}
