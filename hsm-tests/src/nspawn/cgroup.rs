//! The cgroup that a container lives in: what ends it for sure, and where its first process is found.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, getpid, test_kill_process};

const PREFIX: &str = "chancery-test-";

/// A cgroup of the unified hierarchy, of this process alone.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
    hierarchies: Hierarchies,
}

impl Cgroup {
    /// An empty one. Those of tests that were killed go.
    pub(super) fn create() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let hierarchies = Hierarchies::of_this_machine()?;
        let root = hierarchies
            .unified
            .as_ref()
            .context("there is no cgroup v2 hierarchy")?;
        hierarchies.sweep();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("{PREFIX}{}-{number}", getpid().as_raw_nonzero()));
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path, hierarchies })
    }

    /// The file that a process writes 0 into to join.
    pub(super) fn door(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// The last part of its path, which no other has.
    pub(super) fn name(&self) -> Result<&str> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.context("a cgroup has a name")
    }

    /// The container's first process, by its id in this process table.
    pub(super) fn leader(&self) -> Result<i32> {
        let file = self.path.join("payload/init.scope/cgroup.procs");
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let first = text.lines().next().context("the container has no first process")?;
        Ok(first.parse()?)
    }

    /// Kills what is in the container. Who watches over it tidies up and ends.
    pub(super) fn kill_payload(&self) {
        let _gone = fs::write(self.path.join("payload/cgroup.kill"), "1");
    }

    /// Kills everything.
    pub(super) fn kill(&self) {
        let _gone = fs::write(self.path.join("cgroup.kill"), "1");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Some(name) = self.path.file_name() {
            for root in self.hierarchies.all() {
                remove(&root.join(name));
            }
        }
    }
}

/// Where cgroups are: the unified hierarchy, and where there still is one, the older one that systemd keeps in step with it.
#[derive(Debug)]
struct Hierarchies {
    unified: Option<PathBuf>,
    older: Option<PathBuf>,
}

impl Hierarchies {
    fn of_this_machine() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let place = |kind: &str, option: &str| {
            mounts.lines().find_map(|line| {
                let mut words = line.split(' ').skip(1);
                let (place, its_kind, options) = (words.next()?, words.next()?, words.next()?);
                (its_kind == kind && options.split(',').any(|each| each == option)).then(|| PathBuf::from(place))
            })
        };
        Ok(Self {
            unified: place("cgroup2", "rw"),
            older: place("cgroup", "name=systemd"),
        })
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.unified.iter().chain(&self.older)
    }

    /// Removes the cgroups whose makers are gone. One with processes in it stays: the kernel sees to that.
    fn sweep(&self) {
        for entry in self.all().flat_map(fs::read_dir).flatten().flatten() {
            let name = entry.file_name();
            let maker = name
                .to_str()
                .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
            if let Some(maker) = maker.and_then(Pid::from_raw)
                && test_kill_process(maker).is_err()
            {
                remove(&entry.path());
            }
        }
    }
}

/// Removes a cgroup and those in it, the innermost first. What is not empty stays.
fn remove(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _stays = fs::remove_dir(path);
}
