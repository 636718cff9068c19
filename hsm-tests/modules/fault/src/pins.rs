//! PINs, which are counted, and no longer looked at once the token has locked itself.

use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::*;

use crate::{
    layout::{self, PIN_LIMIT, PIN_TRIES, PIN_WRONG, PIN_WRONG_IN_A_ROW},
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
    // SAFETY: the caller's own arguments.
    count(Counters::of(module, session), || unsafe {
        real(session, old, old_len, new, new_len)
    })
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
