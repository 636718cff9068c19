//! The three functions by which a PKCS#11 module is entered; everything behind them is kryoptic's.

use kryoptic_lib::{
    fns::general::{fn_get_function_list, fn_get_interface, fn_get_interface_list},
    pkcs11::{
        CK_FLAGS, CK_FUNCTION_LIST_PTR_PTR, CK_INTERFACE_PTR, CK_INTERFACE_PTR_PTR, CK_RV, CK_ULONG_PTR,
        CK_UTF8CHAR_PTR, CK_VERSION_PTR,
    },
};

/// C_GetFunctionList (PKCS#11 v3.2, section 5.4).
// SAFETY: a name that PKCS#11 gives, exported by this library alone.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    fn_get_function_list(list)
}

/// C_GetInterfaceList.
// SAFETY: a name that PKCS#11 gives, exported by this library alone.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterfaceList(list: CK_INTERFACE_PTR, count: CK_ULONG_PTR) -> CK_RV {
    fn_get_interface_list(list, count)
}

/// C_GetInterface.
// SAFETY: a name that PKCS#11 gives, exported by this library alone.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterface(
    name: CK_UTF8CHAR_PTR,
    version: CK_VERSION_PTR,
    interface: CK_INTERFACE_PTR_PTR,
    flags: CK_FLAGS,
) -> CK_RV {
    fn_get_interface(name, version, interface, flags)
}
