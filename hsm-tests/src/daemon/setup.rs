//! What a daemon is to find: modules, tokens with people's keys on them, and its configuration.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    Daemon,
    world::{MadeToken, Module, World},
};
use crate::{
    people::{Person, intermediate_certificate, root_certificate},
    softhsm::{SoftHsm, Token},
};

/// The user PIN of every token.
pub const PIN: &str = "471147";

/// What [`Pin::Wrong`] is.
pub const WRONG_PIN: &str = "111111";

/// Where the daemon has a token's PIN from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// From a file with the right PIN.
    Right,
    /// From a file with a wrong PIN.
    Wrong,
    /// Nowhere: the token stays locked until somebody unlocks it.
    None,
}

/// How the world around a daemon is to be. Whoever is not granted anything else may do everything: see [`Setup::grant`].
#[derive(Debug, Default)]
pub struct Setup {
    tokens: Vec<TokenPlan>,
    further_modules: Vec<String>,
    grants: Vec<String>,
    settings: BTreeMap<String, Vec<String>>,
    softhsm_lines: String,
    elsewhere: Option<Elsewhere>,
    faulty: bool,
    log_level: Option<String>,
}

/// A token that is not SoftHSM's, prepared by whoever knows its kind.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// What the module needs in its environment.
    pub environment: Vec<(String, String)>,
    /// The line of `[[token]]` that says which token it is, such as `label = "…"`. Its user PIN is [`PIN`].
    pub selector: String,
}

#[derive(Debug)]
struct TokenPlan {
    name: String,
    people: Vec<Person>,
    pin: Pin,
    module: String,
}

/// The module that tokens are on if nothing else is said.
const FIRST_MODULE: &str = "softhsm";

impl Setup {
    /// No token yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token with the keys and certificates of these people, unlocked at start.
    #[must_use]
    pub fn token(self, name: &str, people: &[Person]) -> Self {
        self.token_with_pin(name, people, Pin::Right)
    }

    /// A token whose PIN the daemon has from elsewhere.
    #[must_use]
    pub fn token_with_pin(mut self, name: &str, people: &[Person], pin: Pin) -> Self {
        self.tokens.push(TokenPlan {
            name: name.to_owned(),
            people: people.to_vec(),
            pin,
            module: self
                .further_modules
                .last()
                .map_or(FIRST_MODULE, String::as_str)
                .to_owned(),
        });
        self
    }

    /// A further module, with a SoftHSM of its own: the tokens that follow are on it.
    #[must_use]
    pub fn module(mut self, name: &str) -> Self {
        self.further_modules.push(name.to_owned());
        self
    }

    /// One token of another module, in place of all of SoftHSM's.
    #[must_use]
    pub fn elsewhere(self, name: &str, token: Elsewhere, pin: Pin) -> Self {
        Self {
            elsewhere: Some(token),
            ..self.token_with_pin(name, &[], pin)
        }
    }

    /// A `[[grant]]`, without its first line. With the first one, the grant of everything to the user who runs the test is
    /// gone.
    #[must_use]
    pub fn grant(mut self, toml: &str) -> Self {
        self.grants.push(toml.to_owned());
        self
    }

    /// Lines in a table of the configuration, such as `("limits", "nesting = 4")`; they join what the harness writes there.
    #[must_use]
    pub fn configure(mut self, table: &str, lines: &str) -> Self {
        self.settings
            .entry(table.to_owned())
            .or_default()
            .push(lines.to_owned());
        self
    }

    /// Lines for SoftHSM's own configuration, such as `slots.mechanisms = …`.
    #[must_use]
    pub fn softhsm_lines(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.softhsm_lines);
        self
    }

    /// Puts the fault module in front of every SoftHSM, each with its own control file: see [`Daemon::faults`].
    #[must_use]
    pub fn faulty(mut self) -> Self {
        self.faulty = true;
        self
    }

    /// The level of the daemon's log, in place of debug.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = Some(level.to_owned());
        self
    }

    /// Makes the tokens, writes the configuration, starts the daemon and waits until it is ready.
    pub fn start(self) -> Result<Daemon> {
        Daemon::start(self.build()?)
    }

    fn build(self) -> Result<World> {
        let module = |name: &str, is_further| {
            let softhsm = SoftHsm::with_configuration(&self.softhsm_lines)?;
            Module::new(name, softhsm, self.faulty, is_further)
        };
        let mut world = World {
            first: module(FIRST_MODULE, false)?,
            further: self
                .further_modules
                .iter()
                .map(|name| module(name, true))
                .collect::<Result<_>>()?,
            tokens: Vec::new(),
        };
        for plan in &self.tokens {
            let token = match self.elsewhere {
                None => make_token(&world.module(&plan.module)?.softhsm, &plan.name, &plan.people)?,
                Some(_) => Token {
                    label: plan.name.clone(),
                    serial: String::new(),
                    pin: PIN.to_owned(),
                },
            };
            world.tokens.push(MadeToken {
                name: plan.name.clone(),
                pin: plan.pin,
                token,
            });
        }
        let certificates = world.directory().join("certificates");
        fs::create_dir(&certificates)?;
        for file in [root_certificate(), intermediate_certificate()] {
            fs::copy(&file, certificates.join(file.file_name().context("a file name")?))?;
        }
        fs::create_dir(world.spool_directory())?;
        self.write_configuration(&world)?;
        Ok(world)
    }

    fn write_configuration(&self, world: &World) -> Result<()> {
        let mut settings = self.settings.clone();
        for (table, lines) in defaults(world.directory(), self.log_level.as_deref().unwrap_or("debug")) {
            settings.entry(table.to_owned()).or_default().push(lines);
        }
        let mut toml = String::new();
        if self.tokens.is_empty() {
            writeln!(toml, "without = [\"token\"]")?;
        }
        for (table, lines) in &settings {
            writeln!(toml, "[{table}]\n{}\n", lines.join("\n"))?;
        }
        for module in world.modules() {
            writeln!(toml, "{}", module.configuration(self.elsewhere.as_ref())?)?;
        }
        for plan in &self.tokens {
            let selector = match &self.elsewhere {
                None => format!("serial = \"{}\"", world.token(&plan.name)?.serial),
                Some(elsewhere) => elsewhere.selector.clone(),
            };
            writeln!(
                toml,
                "\n[[token]]\nname = \"{}\"\nmodule = \"{}\"\n{selector}",
                plan.name, plan.module
            )?;
            if let Some(file) = pin_file(world, plan)? {
                writeln!(toml, "pin = {{ file = \"{}\" }}", file.display())?;
            }
        }
        let everything = format!(
            "name = \"everything\"\ncaller = {{ uid = {} }}\nidentities = [\"*\"]\n\
             operations = [\"sign\", \"decrypt\", \"sign-raw\", \"decrypt-raw\", \"list\", \"admin\"]",
            rustix::process::getuid().as_raw()
        );
        let default = self.grants.is_empty().then_some(&everything);
        for grant in self.grants.iter().chain(default) {
            writeln!(toml, "\n[[grant]]\n{grant}")?;
        }
        fs::write(world.configuration_file(), toml)?;
        Ok(())
    }
}

/// What the harness writes into the tables of the configuration.
fn defaults(directory: &Path, log_level: &str) -> [(&'static str, String); 6] {
    let directory = directory.display();
    [
        ("listen", format!("unix = \"{directory}/chanceryd.sock\"")),
        ("audit", format!("file = \"{directory}/audit.jsonl\"")),
        ("state", format!("directory = \"{directory}/state\"")),
        ("log", format!("level = \"{log_level}\"\nformat = \"text\"")),
        ("mail", format!("spool_directory = \"{directory}/spool\"")),
        ("certificates", format!("directory = \"{directory}/certificates\"")),
    ]
}

fn pin_file(world: &World, plan: &TokenPlan) -> Result<Option<PathBuf>> {
    let pin = match plan.pin {
        Pin::Right => PIN,
        Pin::Wrong => WRONG_PIN,
        Pin::None => return Ok(None),
    };
    let file = world.directory().join(format!("{}.pin", plan.name));
    fs::write(&file, pin)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    Ok(Some(file))
}

/// A token with the keys and certificates of these people.
pub(crate) fn make_token(softhsm: &SoftHsm, name: &str, people: &[Person]) -> Result<Token> {
    let token = softhsm.init_token(name, PIN)?;
    let pairs = people.iter().flat_map(|person| person.pairs());
    for (number, pair) in (1_u8..).zip(pairs) {
        let id = [number];
        softhsm.import(
            &token,
            pair.name(),
            &id,
            pair.pkcs8()?.as_bytes(),
            &pair.spki()?,
            pair.usage(),
        )?;
        softhsm.write_certificate(&token, pair.name(), &id, &pair.certificate()?)?;
    }
    Ok(token)
}
