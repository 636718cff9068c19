//! The module's side: the exported C_GetFunctionList, and one function for each that is counted.

use std::{
    fs::File,
    os::raw::c_void,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use cryptoki_sys::*;
use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::{ALWAYS, COUNTS_VARIABLE, FILE_LEN, MODULE_VARIABLE};

/// The real module and the mapped file, for the life of the process.
struct Shim {
    _library: Pkcs11,
    real: CK_FUNCTION_LIST,
    /// The list handed out: the real one with the counted functions replaced.
    list: CK_FUNCTION_LIST,
    cells: &'static [AtomicU64],
}

static SHIM: OnceLock<Option<Shim>> = OnceLock::new();

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
    let Some(shim) = SHIM.get_or_init(load) else {
        return CKR_LIBRARY_LOAD_FAILED;
    };
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: the caller vouches for `list`. PKCS#11 callers only read through the pointer they get.
    unsafe { *list = (&raw const shim.list).cast_mut() };
    CKR_OK
}

fn load() -> Option<Shim> {
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
    let file = File::options()
        .read(true)
        .write(true)
        .open(std::env::var_os(COUNTS_VARIABLE)?)
        .ok()?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping that nothing else in this process refers to. It is never unmapped.
    let cells = unsafe { mmap(std::ptr::null_mut(), FILE_LEN, protection, MapFlags::SHARED, &file, 0) }.ok()?;
    // SAFETY: the mapping is FILE_LEN bytes, page-aligned, lives as long as the process, and is used through atomics alone.
    let cells = unsafe { std::slice::from_raw_parts(cells.cast::<AtomicU64>(), FILE_LEN / 8) };
    let mut list = real;
    replace(&mut list);
    Some(Shim {
        _library: library,
        real,
        list,
        cells,
    })
}

/// Counts a call; the return value to answer with, if the test wants it to fail.
fn count(shim: &Shim, index: usize) -> Option<CK_RV> {
    shim.cells.get(2 * index)?.fetch_add(1, Ordering::Relaxed);
    let fault = shim.cells.get(2 * index + 1)?;
    let rv = fault.load(Ordering::Relaxed);
    if rv == 0 {
        return None;
    }
    if rv & ALWAYS == 0 {
        // Of several threads one gets it.
        fault
            .compare_exchange(rv, 0, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
    }
    Some(rv & !ALWAYS)
}

macro_rules! counted {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        #[allow(non_camel_case_types, clippy::enum_variant_names, reason = "PKCS#11's names")]
        enum Index { $($name),* }

        fn replace(list: &mut CK_FUNCTION_LIST) {
            $(if list.$name.is_some() { list.$name = Some(calls::$name); })*
        }

        #[allow(non_snake_case, clippy::too_many_arguments, reason = "PKCS#11's names and signatures")]
        mod calls {
            use super::*;

            $(pub(super) unsafe extern "C" fn $name($($argument: $kind),*) -> CK_RV {
                let Some(Some(shim)) = SHIM.get() else { return CKR_CRYPTOKI_NOT_INITIALIZED };
                if let Some(rv) = count(shim, Index::$name as usize) {
                    return rv;
                }
                match shim.real.$name {
                    // SAFETY: the real module's function gets the arguments that the caller meant for it.
                    Some(real) => unsafe { real($($argument),*) },
                    None => CKR_FUNCTION_NOT_SUPPORTED,
                }
            })*
        }
    };
}

counted! {
    C_Initialize(arguments: *mut c_void);
    C_Finalize(reserved: *mut c_void);
    C_GetSlotList(present: CK_BBOOL, list: *mut CK_SLOT_ID, count: *mut CK_ULONG);
    C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO);
    C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, data: *mut c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE);
    C_CloseSession(session: CK_SESSION_HANDLE);
    C_CloseAllSessions(slot: CK_SLOT_ID);
    C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO);
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, len: CK_ULONG);
    C_Logout(session: CK_SESSION_HANDLE);
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_FindObjects(session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, max: CK_ULONG, count: *mut CK_ULONG);
    C_FindObjectsFinal(session: CK_SESSION_HANDLE);
    C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Decrypt(session: CK_SESSION_HANDLE, input: *mut CK_BYTE, input_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Sign(session: CK_SESSION_HANDLE, input: *mut CK_BYTE, input_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
    C_DeriveKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, derived: *mut CK_OBJECT_HANDLE);
}
