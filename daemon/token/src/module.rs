//! A loaded PKCS#11 module, and the search for a token among its slots.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
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
};

/// A module that has been initialised.
pub(crate) struct Module {
    pub(crate) context: Pkcs11,
    pub(crate) raw: RawModule,
    /// Which configured token has which slot: two of them must not share one login.
    claims: Mutex<HashMap<u64, String>>,
}

/// What a search came to.
pub(crate) enum Search {
    /// One matches, and its slot is reserved.
    Found(Slot, Box<TokenInfo>),
    /// The one that matches is another configured token's, which is named.
    Taken(String),
    /// Nothing matches; how many tokens were looked at.
    Nothing(usize),
    /// Several match; what tells them apart.
    Ambiguous(String),
}

impl Module {
    /// Loads and initialises a shared library, with the operating system's locks.
    pub(crate) fn load(path: &Path) -> Result<Self, ModuleError> {
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
    pub(crate) fn find(&self, selector: &TokenSelector, token: &str) -> Result<Search, Failure> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        let mut found: Vec<(Slot, TokenInfo)> = Vec::new();
        for slot in self.context.get_slots_with_token()? {
            // A slot that cannot be read now does not stand in the way of the others.
            let Ok(info) = self.context.get_token_info(slot) else {
                continue;
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
            return Ok(Search::Nothing(seen));
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
        self.claims
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&slot.id());
    }

    /// Finalises and initialises the library anew, if nobody has a token through it: some libraries look for new tokens
    /// only then.
    pub(crate) fn restart_if_unused(&self) {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.is_empty() {
            self.finalize();
            if let Err(error) = self
                .context
                .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            {
                tracing::warn!(%error, "a module could not be initialised again");
            }
        }
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
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.done.notify_all();
    }

    /// The outcome, whenever it comes.
    pub(crate) fn outcome(&self) -> Result<Arc<Module>, ModuleError> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone();
            }
            outcome = self.done.wait(outcome).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The outcome, if it comes within this time.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Result<Arc<Module>, ModuleError>> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
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
