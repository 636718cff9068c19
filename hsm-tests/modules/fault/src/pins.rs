//! PINs, which are counted, and no longer looked at once the token has locked itself; and the PIN pad, at which somebody
//! enters what the control file says when no PIN is in the call.

use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::*;

use crate::{
    layout::{
        self, PAD, PAD_CANCELS, PAD_NEW_PIN, PAD_PIN, PAD_PROMPTS, PIN_LIMIT, PIN_TRIES, PIN_WRONG, PIN_WRONG_IN_A_ROW,
    },
    module::Module,
};

/// C_Login.
pub(crate) unsafe fn login(
    module: &Module,
    real: unsafe extern "C" fn(CK_SESSION_HANDLE, CK_USER_TYPE, *mut CK_UTF8CHAR, CK_ULONG) -> CK_RV,
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    len: CK_ULONG,
) -> CK_RV {
    let counters = Counters::of(module, session).filter(|_| user != CKU_SO);
    if pin.is_null() {
        match ask_at_pad(module, session) {
            Some(Ok([mut pin, _])) => {
                let (pin, len) = (pin.as_mut_ptr(), pin.len() as CK_ULONG);
                // SAFETY: the pointer and the length of a live vector, which is only read.
                return count(counters, || unsafe { real(session, user, pin, len) });
            }
            Some(Err(rv)) => return rv,
            None => {}
        }
    }
    // SAFETY: the caller's own arguments.
    count(counters, || unsafe { real(session, user, pin, len) })
}

/// C_SetPIN, which looks at the old PIN.
pub(crate) unsafe fn set_pin(
    module: &Module,
    real: unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_UTF8CHAR, CK_ULONG, *mut CK_UTF8CHAR, CK_ULONG) -> CK_RV,
    session: CK_SESSION_HANDLE,
    old: *mut CK_UTF8CHAR,
    old_len: CK_ULONG,
    new: *mut CK_UTF8CHAR,
    new_len: CK_ULONG,
) -> CK_RV {
    let counters = Counters::of(module, session);
    if old.is_null() && new.is_null() {
        match ask_at_pad(module, session) {
            Some(Ok([mut old, mut new])) => {
                let (old_len, new_len) = (old.len() as CK_ULONG, new.len() as CK_ULONG);
                let (old, new) = (old.as_mut_ptr(), new.as_mut_ptr());
                // SAFETY: pointers and lengths of live vectors, which are only read.
                return count(counters, || unsafe { real(session, old, old_len, new, new_len) });
            }
            Some(Err(rv)) => return rv,
            None => {}
        }
    }
    // SAFETY: the caller's own arguments.
    count(counters, || unsafe { real(session, old, old_len, new, new_len) })
}

/// What somebody enters at the PIN pad of a session's token, the PIN and the new PIN; `None` if it has no pad.
fn ask_at_pad(module: &Module, session: CK_SESSION_HANDLE) -> Option<Result<[Vec<u8>; 2], CK_RV>> {
    let first = layout::token(module.token_of(session)?);
    let pad = Some(module.control.read(first + PAD)).filter(|pad| *pad != 0)?;
    module.control.word(first + PAD_PROMPTS).fetch_add(1, Ordering::AcqRel);
    if pad == PAD_CANCELS {
        return Some(Err(CKR_FUNCTION_CANCELED));
    }
    let entered = |word| layout::text([module.control.read(first + word), module.control.read(first + word + 1)]);
    Some(Ok([entered(PAD_PIN), entered(PAD_NEW_PIN)]))
}

/// What is counted of a token's PINs.
struct Counters<'a> {
    limit: &'a AtomicU64,
    in_a_row: &'a AtomicU64,
    wrong: &'a AtomicU64,
    tries: &'a AtomicU64,
}

impl<'a> Counters<'a> {
    /// Those of the token that a session is to, if the test has to do with it.
    fn of(module: &'a Module, session: CK_SESSION_HANDLE) -> Option<Self> {
        let first = layout::token(module.token_of(session)?);
        let word = |word| module.control.word(first + word);
        Some(Self {
            limit: word(PIN_LIMIT),
            in_a_row: word(PIN_WRONG_IN_A_ROW),
            wrong: word(PIN_WRONG),
            tries: word(PIN_TRIES),
        })
    }
}

/// Lets the token look at a PIN, unless it is locked.
fn count(counters: Option<Counters<'_>>, real: impl FnOnce() -> CK_RV) -> CK_RV {
    let Some(counters) = counters else { return real() };
    let limit = counters.limit.load(Ordering::Acquire);
    if limit > 0 && counters.in_a_row.load(Ordering::Acquire) >= limit {
        return CKR_PIN_LOCKED;
    }
    let rv = real();
    match rv {
        CKR_OK => {
            counters.tries.fetch_add(1, Ordering::AcqRel);
            counters.in_a_row.store(0, Ordering::Release);
        }
        CKR_PIN_INCORRECT | CKR_PIN_LEN_RANGE | CKR_PIN_INVALID => {
            counters.tries.fetch_add(1, Ordering::AcqRel);
            counters.wrong.fetch_add(1, Ordering::AcqRel);
            counters.in_a_row.fetch_add(1, Ordering::AcqRel);
        }
        _ => {}
    }
    rv
}
