//! The file system that machines boot from: a minimal Debian, made once below `target` and never written to again.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{command::run, softhsm::beside_executable};

/// systemd with what its credentials need, the module, and what `apt` itself brings: a shell, Perl, util-linux.
const PACKAGES: [&str; 5] = ["dbus", "libsofthsm2", "libssl3", "systemd", "systemd-sysv"];

/// The tree, made if it is not there or was made from another recipe. Of the same release as the machine that builds, so
/// that what was built here runs there.
pub(super) fn ready() -> Result<PathBuf> {
    ensure!(rustix::process::geteuid().is_root(), "only root can boot a container");
    let target = beside_executable("chanceryd")?
        .ancestors()
        .nth(2)
        .context("target has no PROFILE")?
        .to_owned();
    let home = target.join("systemd-machine");
    // Tests run beside one another; one of them makes the tree, and the others wait for it.
    let lock = File::create(target.join("systemd-machine.lock"))?;
    lock.lock()?;
    let (suite, components) = release()?;
    let packages = PACKAGES.join(",");
    let recipe = format!("{suite} {components} {packages}\n");
    let (tree, made) = (home.join("tree"), home.join("recipe.txt"));
    if fs::read_to_string(&made).is_ok_and(|text| text == recipe) {
        return Ok(tree);
    }
    match fs::remove_dir_all(&home) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir(&home)?,
    }
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--mode=root", "--variant=apt", "--format=directory"])
        .arg(format!("--components={components}"))
        .arg(format!("--include={packages}"))
        .arg(suite)
        .arg(&tree);
    run(&mut command, b"")?.success()?;
    fs::write(made, recipe)?;
    Ok(tree)
}

/// The code name of this machine's release, and where in it SoftHSM is.
fn release() -> Result<(String, &'static str)> {
    let text = fs::read_to_string("/etc/os-release")?;
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
    };
    let suite = value("VERSION_CODENAME").context("/etc/os-release names no release of Debian or Ubuntu")?;
    let ubuntu = value("ID").is_some_and(|id| id == "ubuntu");
    Ok((suite, if ubuntu { "main,universe" } else { "main" }))
}
