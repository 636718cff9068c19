//! Tokens that are pulled and put in again, and that say that their PIN is locked: what SoftHSM's tokens never do.
//!
//! A pulled token is gone from its slot, and its sessions with it: each answers CKR_DEVICE_REMOVED once, and is unknown from
//! then on. Putting it in again brings back neither them nor the login.

use std::{
    collections::HashMap,
    os::raw::c_void,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use cryptoki_sys::*;

use crate::{
    control::Control,
    layout::{self, EPOCH, PAD, PIN_LIMIT, PIN_WRONG_IN_A_ROW, PRESENCE, SERIAL, SESSIONS, TOKENS},
    module::{Module, Subject},
};

/// What is remembered of the tokens and their sessions.
#[derive(Default)]
pub(crate) struct Tokens {
    /// The epoch of the control file that `presence` is of.
    epoch: AtomicU64,
    /// The epoch of which C_WaitForSlotEvent has told.
    told: AtomicU64,
    /// Every call holds it for reading, so that no session is closed under one.
    presence: RwLock<[u64; TOKENS]>,
    sessions: Mutex<HashMap<CK_SESSION_HANDLE, Session>>,
}

struct Session {
    slot: CK_SLOT_ID,
    pulled: bool,
}

impl Tokens {
    pub(crate) fn new(control: &Control) -> Self {
        control.word(SESSIONS).store(0, Ordering::Release);
        Self {
            told: AtomicU64::new(control.read(EPOCH)),
            ..Self::default()
        }
    }

    /// Makes a call, unless its token has been pulled.
    pub(crate) fn unless_gone(&self, module: &Module, subject: Subject, real: impl FnOnce() -> CK_RV) -> CK_RV {
        self.catch_up(module);
        let presence = self.presence.read().unwrap_or_else(PoisonError::into_inner);
        match subject {
            Subject::Session(session) if self.was_pulled(session) => CKR_DEVICE_REMOVED,
            Subject::Slot(slot) if module.is_out(&presence, slot) => CKR_TOKEN_NOT_PRESENT,
            _ => real(),
        }
    }

    /// Ends the sessions of tokens that were pulled since the last call, even if they are back.
    fn catch_up(&self, module: &Module) {
        let epoch = module.control.read(EPOCH);
        if self.epoch.load(Ordering::Acquire) == epoch {
            return;
        }
        let mut presence = self.presence.write().unwrap_or_else(PoisonError::into_inner);
        for (index, seen) in presence.iter_mut().enumerate() {
            let first = layout::token(index);
            let now = module.control.read(first + PRESENCE);
            if std::mem::replace(seen, now) == now {
                continue;
            }
            for slot in module.slots() {
                if module.token_in(slot) == Some(index) {
                    if let Some(close) = module.real.C_CloseAllSessions {
                        // SAFETY: it takes a number; no other call is under way, as `presence` is held for writing.
                        unsafe { close(slot) };
                    }
                    self.change_sessions(module, |sessions| {
                        for session in sessions.values_mut().filter(|session| session.slot == slot) {
                            session.pulled = true;
                        }
                    });
                }
            }
        }
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Makes an answer true that says that the session is gone: nobody will close it.
    pub(crate) fn believe(&self, module: &Module, subject: Subject, rv: CK_RV) {
        let gone = [
            CKR_SESSION_HANDLE_INVALID,
            CKR_SESSION_CLOSED,
            CKR_DEVICE_REMOVED,
            CKR_TOKEN_NOT_PRESENT,
            CKR_TOKEN_NOT_RECOGNIZED,
            CKR_SLOT_ID_INVALID,
        ];
        if let (Subject::Session(session), true, Some(close)) =
            (subject, gone.contains(&rv), module.real.C_CloseSession)
        {
            // SAFETY: it takes a number, and close_session() the real function.
            unsafe { close_session(module, close, session) };
        }
    }

    /// Whether the session's token was pulled; said once.
    fn was_pulled(&self, session: CK_SESSION_HANDLE) -> bool {
        let mut sessions = self.sessions();
        let pulled = sessions.get(&session).is_some_and(|session| session.pulled);
        if pulled {
            sessions.remove(&session);
        }
        pulled
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<CK_SESSION_HANDLE, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of sessions is in the control file afterwards.
    fn change_sessions(&self, module: &Module, change: impl FnOnce(&mut HashMap<CK_SESSION_HANDLE, Session>)) {
        let mut sessions = self.sessions();
        change(&mut sessions);
        let open = sessions.values().filter(|session| !session.pulled).count();
        module.control.word(SESSIONS).store(open as u64, Ordering::Release);
    }
}

impl Module {
    /// The slots in which the real module has a token.
    fn slots(&self) -> Vec<CK_SLOT_ID> {
        let Some(list) = self.real.C_GetSlotList else {
            return Vec::new();
        };
        let mut count: CK_ULONG = 0;
        // SAFETY: without a list, only the number is written.
        if unsafe { list(CK_TRUE, std::ptr::null_mut(), &raw mut count) } != CKR_OK {
            return Vec::new();
        }
        let mut slots = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: `slots` has room for as many as `count` says.
        if unsafe { list(CK_TRUE, slots.as_mut_ptr(), &raw mut count) } != CKR_OK {
            return Vec::new();
        }
        slots.truncate(usize::try_from(count).unwrap_or(0));
        slots
    }

    /// The place in the control file of the token that a session is to, if the test has to do with it.
    pub(crate) fn token_of(&self, session: CK_SESSION_HANDLE) -> Option<usize> {
        let slot = self.tokens.sessions().get(&session).map(|session| session.slot)?;
        self.token_in(slot)
    }

    /// The place in the control file of the token in a slot, if the test has to do with it.
    fn token_in(&self, slot: CK_SLOT_ID) -> Option<usize> {
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: `info` outlives the call.
        let rv = unsafe { self.real.C_GetTokenInfo?(slot, &raw mut info) };
        (rv == CKR_OK).then(|| self.control.token(&info.serialNumber)).flatten()
    }

    fn is_out(&self, presence: &[u64; TOKENS], slot: CK_SLOT_ID) -> bool {
        presence.iter().any(|count| is_odd(*count))
            && self
                .token_in(slot)
                .and_then(|token| presence.get(token))
                .is_some_and(|count| is_odd(*count))
    }

    /// Whether the token in a slot is out, for calls that are not about the token alone.
    fn is_out_now(&self, slot: CK_SLOT_ID) -> bool {
        self.token_in(slot)
            .is_some_and(|token| is_odd(self.control.read(layout::token(token) + PRESENCE)))
    }
}

impl Control {
    /// The place of the token with this serial number.
    fn token(&self, serial: &[u8]) -> Option<usize> {
        let wanted = layout::serial(serial);
        (0..TOKENS).find(|index| {
            let first = layout::token(*index) + SERIAL;
            wanted != [0, 0] && [self.read(first), self.read(first + 1)] == wanted
        })
    }
}

fn is_odd(count: u64) -> bool {
    count % 2 == 1
}

/// C_Finalize, which forgets every session.
pub(crate) unsafe fn finalize(
    module: &Module,
    real: unsafe extern "C" fn(*mut c_void) -> CK_RV,
    reserved: *mut c_void,
) -> CK_RV {
    module.tokens.change_sessions(module, HashMap::clear);
    // SAFETY: the caller's own argument.
    unsafe { real(reserved) }
}

/// C_GetSlotList, without the slots whose token is out if only those with a token are asked for.
pub(crate) unsafe fn slot_list(
    module: &Module,
    real: unsafe extern "C" fn(CK_BBOOL, *mut CK_SLOT_ID, *mut CK_ULONG) -> CK_RV,
    present: CK_BBOOL,
    list: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    let mut slots = module.slots();
    let all = slots.len();
    slots.retain(|slot| !module.is_out_now(*slot));
    if present == CK_FALSE || slots.len() == all {
        // SAFETY: the caller's own arguments.
        return unsafe { real(present, list, count) };
    }
    // SAFETY: the caller made `count` a pointer to a number, or null.
    let Some(count) = (unsafe { count.as_mut() }) else {
        return CKR_ARGUMENTS_BAD;
    };
    let room = usize::try_from(*count).unwrap_or(usize::MAX);
    *count = slots.len() as CK_ULONG;
    if list.is_null() {
        return CKR_OK;
    }
    if room < slots.len() {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: the caller made room for `room` slots, which is enough.
    unsafe { list.copy_from_nonoverlapping(slots.as_ptr(), slots.len()) };
    CKR_OK
}

/// C_WaitForSlotEvent, which tells once, without waiting, that a token was pulled or put in again.
pub(crate) unsafe fn slot_event(
    module: &Module,
    real: unsafe extern "C" fn(CK_FLAGS, *mut CK_SLOT_ID, *mut c_void) -> CK_RV,
    flags: CK_FLAGS,
    slot: *mut CK_SLOT_ID,
    reserved: *mut c_void,
) -> CK_RV {
    let epoch = module.control.read(EPOCH);
    if flags & CKF_DONT_BLOCK == 0 || module.tokens.told.swap(epoch, Ordering::AcqRel) == epoch {
        // SAFETY: the caller's own arguments.
        return unsafe { real(flags, slot, reserved) };
    }
    // SAFETY: the caller made `slot` a pointer to a number, or null.
    if let (Some(slot), Some(first)) = (unsafe { slot.as_mut() }, module.slots().first()) {
        // Nobody says which one it was.
        *slot = *first;
    }
    CKR_OK
}

/// C_GetSlotInfo, which says whether the token is out, and of one that the test has to do with that it can be taken out.
pub(crate) unsafe fn slot_info(
    module: &Module,
    real: unsafe extern "C" fn(CK_SLOT_ID, *mut CK_SLOT_INFO) -> CK_RV,
    slot: CK_SLOT_ID,
    info: *mut CK_SLOT_INFO,
) -> CK_RV {
    // SAFETY: the caller's own arguments.
    let rv = unsafe { real(slot, info) };
    // SAFETY: the caller made `info` a pointer to the structure, or null.
    if let Some(info) = unsafe { info.as_mut() }
        && rv == CKR_OK
        && module.token_in(slot).is_some()
    {
        info.flags |= CKF_REMOVABLE_DEVICE;
        if module.is_out_now(slot) {
            info.flags &= !CKF_TOKEN_PRESENT;
        }
    }
    rv
}

/// C_GetTokenInfo, with the flags of a token that locks its PIN.
pub(crate) unsafe fn token_info(
    module: &Module,
    real: unsafe extern "C" fn(CK_SLOT_ID, *mut CK_TOKEN_INFO) -> CK_RV,
    slot: CK_SLOT_ID,
    info: *mut CK_TOKEN_INFO,
) -> CK_RV {
    // SAFETY: the caller's own arguments.
    let rv = unsafe { real(slot, info) };
    // SAFETY: the caller made `info` a pointer to the structure, or null.
    if let Some(info) = unsafe { info.as_mut() }
        && rv == CKR_OK
        && let Some(token) = module.control.token(&info.serialNumber)
    {
        let first = layout::token(token);
        let (limit, wrong) = (
            module.control.read(first + PIN_LIMIT),
            module.control.read(first + PIN_WRONG_IN_A_ROW),
        );
        if module.control.read(first + PAD) != 0 {
            info.flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
        }
        if limit > 0 {
            info.flags &= !(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
            info.flags |= match limit.saturating_sub(wrong) {
                0 => CKF_USER_PIN_LOCKED,
                1 => CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY,
                _ if wrong > 0 => CKF_USER_PIN_COUNT_LOW,
                _ => 0,
            };
        }
    }
    rv
}

/// C_OpenSession, which is remembered.
pub(crate) unsafe fn open_session(
    module: &Module,
    real: unsafe extern "C" fn(CK_SLOT_ID, CK_FLAGS, *mut c_void, CK_NOTIFY, *mut CK_SESSION_HANDLE) -> CK_RV,
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    data: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's own arguments.
    let rv = unsafe { real(slot, flags, data, notify, session) };
    if rv == CKR_OK {
        // SAFETY: after CKR_OK the real module has written there.
        let session = unsafe { *session };
        module.tokens.change_sessions(module, |sessions| {
            sessions.insert(session, Session { slot, pulled: false });
        });
    }
    rv
}

/// C_CloseSession, which is forgotten.
pub(crate) unsafe fn close_session(
    module: &Module,
    real: unsafe extern "C" fn(CK_SESSION_HANDLE) -> CK_RV,
    session: CK_SESSION_HANDLE,
) -> CK_RV {
    module.tokens.change_sessions(module, |sessions| {
        sessions.remove(&session);
    });
    // SAFETY: it takes a number.
    unsafe { real(session) }
}

/// C_CloseAllSessions, which are forgotten.
pub(crate) unsafe fn close_all_sessions(
    module: &Module,
    real: unsafe extern "C" fn(CK_SLOT_ID) -> CK_RV,
    slot: CK_SLOT_ID,
) -> CK_RV {
    module
        .tokens
        .change_sessions(module, |sessions| sessions.retain(|_, session| session.slot != slot));
    // SAFETY: it takes a number.
    unsafe { real(slot) }
}
