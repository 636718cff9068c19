//! What the token has on it, and what it says of itself.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context as _, Result, ensure};
use chancery_proto::v1::{Key, KeyAlgorithm, KeyRole, TokenState};

use super::{
    Bench, TOKEN, TokenUnderTest,
    table::{KeyRow, MECHANISMS},
};
use crate::{command::run, daemon::Pin, people::Person, softhsm::beside_executable};

/// Every key of the row and no other, with its role, its certificate, and what can be asked of it.
pub fn its_keys_are_listed_with_their_roles<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::Right)?;
    let listed = bench.caller.keys()?;
    let names: BTreeSet<&str> = listed.iter().map(|key| key.name.as_str()).collect();
    let expected: Vec<String> = T::ROW.keys.iter().map(|row| row.files().key()).collect::<Result<_>>()?;
    ensure!(names == expected.iter().map(String::as_str).collect(), "{listed:#?}");
    for row in T::ROW.keys {
        let key = find(&listed, row)?;
        check(row, key).with_context(|| format!("{} is listed as {key:#?}", row.files().name()))?;
    }
    let shown = bench.caller.token()?;
    ensure!(shown.state() == TokenState::Ready, "{shown:?}");
    ensure!(usize::try_from(shown.key_count)? == T::ROW.keys.len(), "{shown:?}");
    Ok(())
}

/// The listed key of a row.
pub(super) fn find<'a>(listed: &'a [Key], row: &KeyRow) -> Result<&'a Key> {
    let name = row.files().key()?;
    listed
        .iter()
        .find(|key| key.name == name)
        .with_context(|| format!("{} is not listed", row.files().name()))
}

fn check(row: &KeyRow, key: &Key) -> Result<()> {
    let roles: Vec<KeyRole> = key.roles().collect();
    ensure!(roles == row.roles, "roles");
    let algorithm = match row.person {
        Person::Alice | Person::Bob | Person::Frank => KeyAlgorithm::Rsa,
        Person::Carol => KeyAlgorithm::EcP256,
        Person::Dave => KeyAlgorithm::EcP384,
        Person::Grace => KeyAlgorithm::EcP521,
        Person::Erin if row.is_for(KeyRole::Sign) => KeyAlgorithm::Ed25519,
        Person::Erin => KeyAlgorithm::X25519,
    };
    ensure!(key.algorithm() == algorithm, "algorithm");
    ensure!(key.public_key == row.files().spki()?, "public key");
    ensure!(key.certificates == [row.files().certificate()?], "certificates");
    let signs: Vec<_> = key.signature_algorithms().collect();
    ensure!(signs == row.signs, "signature algorithms");
    let [replica] = key.replicas.as_slice() else {
        anyhow::bail!("replicas");
    };
    ensure!(replica.token == format!("tokens/{TOKEN}"), "token");
    ensure!(replica.available, "availability");
    ensure!(
        replica.always_authenticate == row.always_authenticate,
        "always authenticate"
    );
    Ok(())
}

/// Mechanisms and sessions, asked of the module itself.
pub fn the_module_says_of_itself_what_the_table_says<T: TokenUnderTest>(token: T) -> Result<()> {
    let mut bench = Bench::start(token, Pin::None)?;
    bench.caller.wait_for(TokenState::Locked)?;
    let module = bench.token.module(&bench.daemon);
    let mut tool = Command::new(beside_executable("token-tool")?);
    tool.arg(&module.module).arg("describe").envs(module.environment);
    let described = String::from_utf8(run(&mut tool, b"")?.success()?)?;
    let value = |name: &str| {
        let mut values = described
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        values.next().with_context(|| format!("no {name} in {described}"))
    };
    let all: BTreeSet<&str> = value("mechanisms")?.split(' ').collect();
    let has: Vec<&str> = MECHANISMS.into_iter().filter(|name| all.contains(name)).collect();
    ensure!(has == T::ROW.mechanisms, "{described}");
    ensure!(
        value("max-sessions")?.parse().ok() == T::ROW.max_sessions,
        "{described}"
    );
    Ok(())
}
