//! The functions that are watched: one for each in the list that is handed out.

use std::os::raw::c_void;

use cryptoki_sys::*;

use crate::{
    layout::Cure,
    module::{Module, Subject},
    pins, tokens,
};

macro_rules! watched {
    ($($subject:ident $name:ident($first:ident: $first_kind:ty $(, $argument:ident: $kind:ty)*) $(=> $own:path)?;)*) => {
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        #[allow(non_camel_case_types, clippy::enum_variant_names, reason = "PKCS#11's names")]
        enum Index { $($name),* }

        /// Puts the watched functions in the place of the real ones.
        pub(crate) fn replace(list: &mut CK_FUNCTION_LIST) {
            $(if list.$name.is_some() { list.$name = Some(exported::$name); })*
        }

        #[allow(non_snake_case, clippy::too_many_arguments, reason = "PKCS#11's names and signatures")]
        mod exported {
            use super::*;

            $(pub(super) unsafe extern "C" fn $name($first: $first_kind $(, $argument: $kind)*) -> CK_RV {
                let Some(module) = Module::loaded() else { return CKR_CRYPTOKI_NOT_INITIALIZED };
                let Some(real) = module.real.$name else { return CKR_FUNCTION_NOT_SUPPORTED };
                module.pass(Index::$name as usize, watched!(@subject $subject $first), || {
                    watched!(@pass module real [$first $(, $argument)*] $($own)?)
                })
            })*
        }
    };
    (@subject module $first:ident) => { Subject::Module };
    (@subject slot $first:ident) => { Subject::Slot($first) };
    (@subject session $first:ident) => { Subject::Session($first) };
    // SAFETY: the real module's function gets the arguments that the caller meant for it.
    (@pass $module:ident $real:ident [$($argument:ident),*]) => { unsafe { $real($($argument),*) } };
    // SAFETY: as above; in between, the arguments are used as PKCS#11 says that the caller made them.
    (@pass $module:ident $real:ident [$($argument:ident),*] $own:path) => { unsafe { $own($module, $real, $($argument),*) } };
}

/// What a call that succeeded is the end of.
pub(crate) fn cure(function: usize) -> Option<Cure> {
    match function {
        _ if function == Index::C_Login as usize => Some(Cure::Login),
        _ if function == Index::C_Finalize as usize => Some(Cure::Finalize),
        _ => None,
    }
}

watched! {
    module C_Initialize(arguments: *mut c_void);
    module C_Finalize(reserved: *mut c_void) => tokens::finalize;
    module C_GetInfo(info: *mut CK_INFO);
    module C_GetSlotList(present: CK_BBOOL, list: *mut CK_SLOT_ID, count: *mut CK_ULONG) => tokens::slot_list;
    module C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) => tokens::slot_info;
    module C_WaitForSlotEvent(flags: CK_FLAGS, slot: *mut CK_SLOT_ID, reserved: *mut c_void) => tokens::slot_event;
    slot C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) => tokens::token_info;
    slot C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG);
    slot C_GetMechanismInfo(slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO);
    slot C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, data: *mut c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE) => tokens::open_session;
    session C_CloseSession(session: CK_SESSION_HANDLE) => tokens::close_session;
    slot C_CloseAllSessions(slot: CK_SLOT_ID) => tokens::close_all_sessions;
    session C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO);
    session C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, len: CK_ULONG) => pins::login;
    session C_Logout(session: CK_SESSION_HANDLE);
    session C_SetPIN(session: CK_SESSION_HANDLE, old: *mut CK_UTF8CHAR, old_len: CK_ULONG, new: *mut CK_UTF8CHAR, new_len: CK_ULONG) => pins::set_pin;
    session C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    session C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    session C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    session C_FindObjects(session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, max: CK_ULONG, count: *mut CK_ULONG);
    session C_FindObjectsFinal(session: CK_SESSION_HANDLE);
    session C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    session C_Decrypt(session: CK_SESSION_HANDLE, input: *mut CK_BYTE, input_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
    session C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    session C_Sign(session: CK_SESSION_HANDLE, input: *mut CK_BYTE, input_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
    session C_DeriveKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, derived: *mut CK_OBJECT_HANDLE);
}
