//! A loaded PKCS#11 module, and the search for a token among its slots.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11},
    error::{Error, RvError},
    slot::{Slot, TokenInfo},
};

use crate::{
    ckr::Failure,
    config::TokenSelector,
    error::ModuleError,
    raw::{LoadFailure, RawModule},
    sync::lock,
};

/// Events of slots that are fetched at once: a module that always has one more is not listened to for ever.
const MAX_EVENTS: u64 = 8;

/// A module that has been initialised.
pub(crate) struct Module {
    pub(crate) context: Pkcs11,
    pub(crate) raw: RawModule,
    /// Which configured token has which slot: two of them must not share one login.
    claims: Mutex<HashMap<u64, String>>,
    /// Configured tokens that go on failing.
    ailing: Mutex<HashSet<String>>,
    /// A token of its has been seen in a slot from which it can be taken.
    can_be_taken: AtomicBool,
    /// It does not say when a token comes or goes, or is not asked because that may be what it died of before.
    is_silent: AtomicBool,
    events: AtomicU64,
}

/// What a search came to.
pub(crate) enum Search {
    /// One matches, and its slot is reserved.
    Found(Slot, Box<TokenInfo>),
    /// The one that matches is another configured token's, which is named.
    Taken(String),
    /// Nothing matches.
    Nothing {
        /// How many tokens were looked at.
        seen: usize,
        /// Why the one in the slot where it was last could not be.
        unreadable: Option<Failure>,
    },
    /// Several match; what tells them apart.
    Ambiguous(String),
}

impl Module {
    /// Loads and initialises a shared library, with the operating system's locks.
    ///
    /// Of a frail one nothing is wanted that can be done without.
    pub(crate) fn load(path: &Path, is_frail: bool) -> Result<Self, ModuleError> {
        let context = Pkcs11::new(path).map_err(|error| match error {
            Error::Pkcs11(..) => ckr(error.into()),
            other => ModuleError::Load(other.to_string()),
        })?;
        let raw = RawModule::load(path).map_err(|failure| match failure {
            LoadFailure::Library(text) => ModuleError::Load(text),
            LoadFailure::Call(failure) => ckr(failure),
        })?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another configured module is the same library.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, Function::Initialize)) => {}
            Err(error) => return Err(ckr(error.into())),
        }
        let module = Self {
            context,
            raw,
            claims: Mutex::new(HashMap::new()),
            ailing: Mutex::new(HashSet::new()),
            can_be_taken: AtomicBool::new(false),
            is_silent: AtomicBool::new(is_frail),
            events: AtomicU64::new(0),
        };
        module.check_identity().inspect_err(|_| module.finalize())?;
        Ok(module)
    }

    /// cryptoki takes the module's functions from C_GetInterface where there is one, and a module that is linked to another
    /// (p11-kit's, OpenSC's) may answer with the other's.
    fn check_identity(&self) -> Result<(), ModuleError> {
        let info = self.context.get_library_info().map_err(|error| ckr(error.into()))?;
        let interface = format!("{} {}", info.manufacturer_id(), info.library_description());
        let (version, list) = match self.raw.library_name() {
            Ok(answer) => answer,
            Err(failure) => {
                return Err(ModuleError::ForeignInterface {
                    interface,
                    list: failure.ckr.name().to_owned(),
                });
            }
        };
        if interface != list {
            return Err(ModuleError::ForeignInterface { interface, list });
        }
        if (version.major, version.minor) < (2, 20) {
            return Err(ModuleError::Version {
                major: version.major,
                minor: version.minor,
            });
        }
        Ok(())
    }

    /// Looks through the slots that hold a token and reserves the slot of the one that matches for `token`.
    ///
    /// Search and reservation are one step: nobody restarts the module in between, under whose feet a call would crash it
    /// and a slot's number become another's.
    /// `last` is the slot where it was last. `alive` is told between the calls.
    pub(crate) fn find(
        &self,
        selector: &TokenSelector,
        token: &str,
        last: Option<Slot>,
        alive: &mut dyn FnMut(),
    ) -> Result<Search, Failure> {
        let mut claims = lock(&self.claims);
        let (mut seen, mut unreadable) = (0, None);
        let mut found: Vec<(Slot, TokenInfo)> = Vec::new();
        for slot in self.context.get_slots_with_token()? {
            alive();
            // A slot that cannot be read now does not stand in the way of the others.
            let info = match self.context.get_token_info(slot) {
                Ok(info) => info,
                Err(error) => {
                    unreadable = unreadable.or_else(|| (Some(slot) == last).then(|| error.into()));
                    continue;
                }
            };
            if !info.token_initialized() {
                continue;
            }
            seen += 1;
            if selector.matches(&info) {
                found.push((slot, info));
            }
        }
        if found.len() > 1 {
            let names: Vec<String> = found
                .iter()
                .map(|(_, info)| format!("\"{}\" (serial {})", info.label(), info.serial_number()))
                .collect();
            return Ok(Search::Ambiguous(names.join(", ")));
        }
        let Some((slot, info)) = found.pop() else {
            return Ok(Search::Nothing { seen, unreadable });
        };
        match claims.get(&slot.id()) {
            Some(owner) if owner != token => Ok(Search::Taken(owner.clone())),
            _ => {
                claims.insert(slot.id(), token.to_owned());
                Ok(Search::Found(slot, Box::new(info)))
            }
        }
    }

    pub(crate) fn release(&self, slot: Slot) {
        lock(&self.claims).remove(&slot.id());
    }

    /// A token of this module is in a slot from which it can be taken.
    pub(crate) fn can_be_taken(&self) {
        self.can_be_taken.store(true, Ordering::Relaxed);
    }

    /// Whether it is worth asking for events.
    pub(crate) fn has_events(&self) -> bool {
        self.can_be_taken.load(Ordering::Relaxed) && !self.is_silent.load(Ordering::Relaxed)
    }

    /// How many times the module has said that a token came or went. It is asked now, and does not wait for one.
    pub(crate) fn events(&self) -> u64 {
        // One asks at a time, and nobody finalises the library meanwhile.
        if let Ok(_claims) = self.claims.try_lock() {
            for _ in 0..MAX_EVENTS {
                match self.context.get_slot_event() {
                    Ok(Some(_)) => self.events.fetch_add(1, Ordering::Relaxed),
                    Ok(None) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => break,
                    Err(error) => {
                        tracing::debug!(%error, "the module does not say when tokens come or go");
                        self.is_silent.store(true, Ordering::Relaxed);
                        break;
                    }
                };
            }
        }
        self.events.load(Ordering::Relaxed)
    }

    /// Finalises and initialises the library anew, if nobody has a token through it: some libraries look for new tokens
    /// only then, or come to their senses. Whether it has been done.
    ///
    /// # Errors
    /// What C_Initialize answered; the library is of no use until it has been asked again.
    pub(crate) fn restart_if_unused(&self) -> Result<bool, Failure> {
        let claims = lock(&self.claims);
        if !claims.is_empty() {
            return Ok(false);
        }
        self.finalize();
        self.context
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .inspect_err(|error| tracing::warn!(%error, "a module could not be initialised again"))?;
        Ok(true)
    }

    /// This token goes on failing.
    pub(crate) fn is_ailing(&self, token: &str) {
        lock(&self.ailing).insert(token.to_owned());
    }

    /// This token works.
    pub(crate) fn is_well(&self, token: &str) {
        lock(&self.ailing).remove(token);
    }

    /// Whether every other token that somebody has through it goes on failing, too, so that a new process would disturb none.
    pub(crate) fn others_are_ailing(&self, token: &str) -> bool {
        let claims = lock(&self.claims);
        let ailing = lock(&self.ailing);
        claims.values().all(|owner| owner == token || ailing.contains(owner))
    }

    pub(crate) fn finalize(&self) {
        if let Err(error) = self.context.clone().finalize() {
            tracing::debug!(%error, "C_Finalize failed");
        }
    }
}

impl TokenSelector {
    fn matches(&self, info: &TokenInfo) -> bool {
        let fits = |wanted: Option<&str>, is: &str| wanted.is_none_or(|wanted| wanted == is);
        match self {
            Self::Uri(uri) => {
                fits(uri.token(), info.label())
                    && fits(uri.serial(), info.serial_number())
                    && fits(uri.manufacturer(), info.manufacturer_id())
                    && fits(uri.model(), info.model())
            }
            Self::Attributes {
                label: None,
                serial: None,
            } => false,
            Self::Attributes { label, serial } => {
                fits(label.as_deref(), info.label()) && fits(serial.as_deref(), info.serial_number())
            }
        }
    }
}

/// A module that is being loaded on a thread of its own: C_Initialize may hang with a network HSM.
#[derive(Default)]
pub(crate) struct Loading {
    outcome: Mutex<Option<Result<Arc<Module>, ModuleError>>>,
    done: Condvar,
}

impl Loading {
    pub(crate) fn finish(&self, outcome: Result<Arc<Module>, ModuleError>) {
        *lock(&self.outcome) = Some(outcome);
        self.done.notify_all();
    }

    /// The outcome, whenever it comes.
    pub(crate) fn outcome(&self) -> Result<Arc<Module>, ModuleError> {
        let mut outcome = lock(&self.outcome);
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone();
            }
            outcome = self.done.wait(outcome).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The outcome, if it comes within this time.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Result<Arc<Module>, ModuleError>> {
        let outcome = lock(&self.outcome);
        let (outcome, _) = self
            .done
            .wait_timeout_while(outcome, patience, |outcome| outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        outcome.clone()
    }
}

fn ckr(failure: Failure) -> ModuleError {
    ModuleError::Ckr {
        function: failure.function.into(),
        ckr: failure.ckr.name().into(),
    }
}
