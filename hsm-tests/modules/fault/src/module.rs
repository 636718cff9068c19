//! The module itself: the real one behind it, and the exported C_GetFunctionList.

use std::sync::OnceLock;

use cryptoki_sys::*;

use crate::{MODULE_VARIABLE, calls, control::Control, faults, layout::Cure, tokens::Tokens};

/// The real module and the control file, for the life of the process.
pub(crate) struct Module {
    _library: Pkcs11,
    pub(crate) real: CK_FUNCTION_LIST,
    /// The list handed out: the real one with the functions of `calls` replaced.
    list: CK_FUNCTION_LIST,
    pub(crate) control: Control,
    pub(crate) tokens: Tokens,
}

/// What a call is about, as far as a pulled token has to do with it.
#[derive(Clone, Copy)]
pub(crate) enum Subject {
    Module,
    Slot(CK_SLOT_ID),
    Session(CK_SESSION_HANDLE),
}

static MODULE: OnceLock<Option<Module>> = OnceLock::new();

/// The entry point of every PKCS#11 module.
///
/// # Safety
/// `list` is null or can be written to.
#[allow(
    non_snake_case,
    unreachable_pub,
    reason = "the name is PKCS#11's, and the loader finds it"
)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    let Some(module) = MODULE.get_or_init(Module::load) else {
        return CKR_LIBRARY_LOAD_FAILED;
    };
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: the caller vouches for `list`. PKCS#11 callers only read through the pointer they get.
    unsafe { *list = (&raw const module.list).cast_mut() };
    CKR_OK
}

impl Module {
    /// The one of this process, once C_GetFunctionList was called.
    pub(crate) fn loaded() -> Option<&'static Self> {
        MODULE.get()?.as_ref()
    }

    fn load() -> Option<Self> {
        let path = std::env::var_os(MODULE_VARIABLE)?;
        // SAFETY: the test names a PKCS#11 module, whose initialisers are harmless.
        let library = unsafe { Pkcs11::new(path) }.ok()?;
        let entry = *library.C_GetFunctionList.as_ref().ok()?;
        let mut list: *mut CK_FUNCTION_LIST = std::ptr::null_mut();
        // SAFETY: the symbol is the real module's C_GetFunctionList; `list` outlives the call.
        if unsafe { entry(&raw mut list) } != CKR_OK {
            return None;
        }
        // SAFETY: after CKR_OK the pointer leads to the module's static list.
        let real = *unsafe { list.as_ref() }?;
        let control = Control::from_environment()?;
        faults::end(&control, Cure::Process);
        let mut list = real;
        calls::replace(&mut list);
        Some(Self {
            _library: library,
            real,
            list,
            tokens: Tokens::new(&control),
            control,
        })
    }

    /// Passes a call on, or has happen to it what the control file says.
    pub(crate) fn pass(&self, function: usize, subject: Subject, real: impl FnOnce() -> CK_RV) -> CK_RV {
        let due = faults::count(&self.control, function);
        let happened = |after| due.filter(|due| due.after == after)?.happen(&self.control);
        let rv = match happened(false) {
            Some(rv) => rv,
            None => {
                let rv = self.tokens.unless_gone(self, subject, real);
                if let Some(cure) = calls::cure(function).filter(|_| rv == CKR_OK) {
                    faults::end(&self.control, cure);
                }
                let Some(instead) = happened(true) else { return rv };
                instead
            }
        };
        self.tokens.believe(self, subject, rv);
        rv
    }
}
