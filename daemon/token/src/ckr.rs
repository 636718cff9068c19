//! PKCS#11 return values: their names, and what each means for the session and the token behind it.

use cryptoki::{
    context::Function,
    error::{Error, Rv, RvError},
};
use cryptoki_sys::*;

/// A return value other than CKR_OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ckr(pub(crate) CK_RV);

/// A PKCS#11 function that failed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) function: &'static str,
    pub(crate) ckr: Ckr,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The object handle is of another time: look the keys up again, then try once more.
    LookUp,
    /// The session is dead: open another, then try once more.
    NewSession,
    /// The token forgot the login: the anchor logs in again, then try once more.
    LogIn,
    /// The token is gone: poll for it.
    Absent,
    /// The module or the token is in trouble: the anchor looks at it; the caller gets the error.
    Examine,
    /// The request was wrong, and the token is well.
    Caller,
}

impl Ckr {
    /// `CKR_…`, or a common name for the codes that vendors define.
    pub(crate) fn name(self) -> &'static str {
        if let Some((_, name)) = NAMES.iter().find(|(code, _)| *code == self.0) {
            return name;
        }
        if self.0 & CKR_VENDOR_DEFINED == 0 {
            "CKR unknown to this version"
        } else {
            "CKR_VENDOR_DEFINED"
        }
    }

    /// The same code if it has a name of its own; otherwise one code for all that vendors define or one for all that are
    /// unknown. There are few enough of these to count each.
    pub(crate) fn common(self) -> Self {
        match NAMES.iter().any(|(code, _)| *code == self.0) {
            true => self,
            false if self.0 & CKR_VENDOR_DEFINED == 0 => Self(CKR_VENDOR_DEFINED - 1),
            false => Self(CKR_VENDOR_DEFINED),
        }
    }

    pub(crate) fn remedy(self) -> Remedy {
        match self.0 {
            CKR_OBJECT_HANDLE_INVALID | CKR_KEY_HANDLE_INVALID => Remedy::LookUp,
            CKR_SESSION_HANDLE_INVALID | CKR_SESSION_CLOSED | CKR_OPERATION_ACTIVE | CKR_OPERATION_NOT_INITIALIZED => {
                Remedy::NewSession
            }
            CKR_USER_NOT_LOGGED_IN => Remedy::LogIn,
            CKR_DEVICE_REMOVED | CKR_TOKEN_NOT_PRESENT | CKR_TOKEN_NOT_RECOGNIZED | CKR_SLOT_ID_INVALID => {
                Remedy::Absent
            }
            CKR_DATA_INVALID
            | CKR_DATA_LEN_RANGE
            | CKR_ENCRYPTED_DATA_INVALID
            | CKR_ENCRYPTED_DATA_LEN_RANGE
            | CKR_MECHANISM_INVALID
            | CKR_MECHANISM_PARAM_INVALID
            | CKR_KEY_TYPE_INCONSISTENT
            | CKR_KEY_FUNCTION_NOT_PERMITTED
            | CKR_KEY_SIZE_RANGE
            | CKR_ARGUMENTS_BAD
            | CKR_FUNCTION_NOT_SUPPORTED
            | CKR_CURVE_NOT_SUPPORTED
            | CKR_DOMAIN_PARAMS_INVALID
            | CKR_PUBLIC_KEY_INVALID => Remedy::Caller,
            _ => Remedy::Examine,
        }
    }

    /// The token says that it cannot do this with these parameters or this key.
    pub(crate) fn is_unsupported(self) -> bool {
        matches!(
            self.0,
            CKR_MECHANISM_INVALID
                | CKR_MECHANISM_PARAM_INVALID
                | CKR_ARGUMENTS_BAD
                | CKR_FUNCTION_NOT_SUPPORTED
                | CKR_KEY_TYPE_INCONSISTENT
                | CKR_KEY_SIZE_RANGE
                | CKR_CURVE_NOT_SUPPORTED
        )
    }

    /// The token looked at a PIN and refused it.
    pub(crate) fn is_wrong_pin(self) -> bool {
        matches!(self.0, CKR_PIN_INCORRECT | CKR_PIN_LEN_RANGE | CKR_PIN_INVALID)
    }
}

impl Failure {
    pub(crate) const fn new(function: &'static str, rv: CK_RV) -> Self {
        Self { function, ckr: Ckr(rv) }
    }
}

impl From<Error> for Failure {
    /// Errors that cryptoki makes up itself come from answers that make no sense: they count as CKR_GENERAL_ERROR.
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(error, function) => Self {
                function: function_name(function),
                ckr: Ckr(code(error)),
            },
            Error::NullFunctionPointer => Self::new("a function that is missing", CKR_FUNCTION_NOT_SUPPORTED),
            other => {
                tracing::debug!(error = %other, "the module's answer makes no sense");
                Self::new("a function with a senseless answer", CKR_GENERAL_ERROR)
            }
        }
    }
}

fn code(error: RvError) -> CK_RV {
    match error {
        RvError::VendorDefined(code) | RvError::UnknownErrorCode(code) => code,
        _ => NAMES
            .iter()
            .map(|(code, _)| *code)
            .find(|code| Rv::from(*code) == Rv::Error(error))
            .unwrap_or(CKR_GENERAL_ERROR),
    }
}

fn function_name(function: Function) -> &'static str {
    match function {
        Function::Initialize => "C_Initialize",
        Function::Finalize => "C_Finalize",
        Function::GetInfo => "C_GetInfo",
        Function::GetFunctionList => "C_GetFunctionList",
        Function::GetInterface => "C_GetInterface",
        Function::GetSlotList => "C_GetSlotList",
        Function::GetSlotInfo => "C_GetSlotInfo",
        Function::GetTokenInfo => "C_GetTokenInfo",
        Function::GetMechanismList => "C_GetMechanismList",
        Function::OpenSession => "C_OpenSession",
        Function::CloseSession => "C_CloseSession",
        Function::GetSessionInfo => "C_GetSessionInfo",
        Function::Login => "C_Login",
        Function::Logout => "C_Logout",
        Function::GetAttributeValue => "C_GetAttributeValue",
        Function::FindObjectsInit => "C_FindObjectsInit",
        Function::FindObjects => "C_FindObjects",
        Function::FindObjectsFinal => "C_FindObjectsFinal",
        _ => "a PKCS#11 function",
    }
}

macro_rules! names {
    ($($name:ident)*) => { &[$(($name, stringify!($name))),*] };
}

const NAMES: &[(CK_RV, &str)] = names! {
    CKR_CANCEL CKR_HOST_MEMORY CKR_SLOT_ID_INVALID CKR_GENERAL_ERROR CKR_FUNCTION_FAILED CKR_ARGUMENTS_BAD CKR_NO_EVENT
    CKR_NEED_TO_CREATE_THREADS CKR_CANT_LOCK CKR_ATTRIBUTE_READ_ONLY CKR_ATTRIBUTE_SENSITIVE CKR_ATTRIBUTE_TYPE_INVALID
    CKR_ATTRIBUTE_VALUE_INVALID CKR_ACTION_PROHIBITED CKR_DATA_INVALID CKR_DATA_LEN_RANGE CKR_DEVICE_ERROR
    CKR_DEVICE_MEMORY CKR_DEVICE_REMOVED CKR_ENCRYPTED_DATA_INVALID CKR_ENCRYPTED_DATA_LEN_RANGE CKR_AEAD_DECRYPT_FAILED
    CKR_FUNCTION_CANCELED CKR_FUNCTION_NOT_PARALLEL CKR_FUNCTION_NOT_SUPPORTED CKR_KEY_HANDLE_INVALID CKR_KEY_SIZE_RANGE
    CKR_KEY_TYPE_INCONSISTENT CKR_KEY_NOT_NEEDED CKR_KEY_CHANGED CKR_KEY_NEEDED CKR_KEY_INDIGESTIBLE
    CKR_KEY_FUNCTION_NOT_PERMITTED CKR_KEY_NOT_WRAPPABLE CKR_KEY_UNEXTRACTABLE CKR_MECHANISM_INVALID
    CKR_MECHANISM_PARAM_INVALID CKR_OBJECT_HANDLE_INVALID CKR_OPERATION_ACTIVE CKR_OPERATION_NOT_INITIALIZED
    CKR_PIN_INCORRECT CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_PIN_EXPIRED CKR_PIN_LOCKED CKR_SESSION_CLOSED
    CKR_SESSION_COUNT CKR_SESSION_HANDLE_INVALID CKR_SESSION_PARALLEL_NOT_SUPPORTED CKR_SESSION_READ_ONLY
    CKR_SESSION_EXISTS CKR_SESSION_READ_ONLY_EXISTS CKR_SESSION_READ_WRITE_SO_EXISTS CKR_SIGNATURE_INVALID
    CKR_SIGNATURE_LEN_RANGE CKR_TEMPLATE_INCOMPLETE CKR_TEMPLATE_INCONSISTENT CKR_TOKEN_NOT_PRESENT
    CKR_TOKEN_NOT_RECOGNIZED CKR_TOKEN_WRITE_PROTECTED CKR_UNWRAPPING_KEY_HANDLE_INVALID CKR_UNWRAPPING_KEY_SIZE_RANGE
    CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT CKR_USER_ALREADY_LOGGED_IN CKR_USER_NOT_LOGGED_IN CKR_USER_PIN_NOT_INITIALIZED
    CKR_USER_TYPE_INVALID CKR_USER_ANOTHER_ALREADY_LOGGED_IN CKR_USER_TOO_MANY_TYPES CKR_WRAPPED_KEY_INVALID
    CKR_WRAPPED_KEY_LEN_RANGE CKR_WRAPPING_KEY_HANDLE_INVALID CKR_WRAPPING_KEY_SIZE_RANGE
    CKR_WRAPPING_KEY_TYPE_INCONSISTENT CKR_RANDOM_SEED_NOT_SUPPORTED CKR_RANDOM_NO_RNG CKR_DOMAIN_PARAMS_INVALID
    CKR_CURVE_NOT_SUPPORTED CKR_BUFFER_TOO_SMALL CKR_SAVED_STATE_INVALID CKR_INFORMATION_SENSITIVE CKR_STATE_UNSAVEABLE
    CKR_CRYPTOKI_NOT_INITIALIZED CKR_CRYPTOKI_ALREADY_INITIALIZED CKR_MUTEX_BAD CKR_MUTEX_NOT_LOCKED CKR_NEW_PIN_MODE
    CKR_NEXT_OTP CKR_EXCEEDED_MAX_ITERATIONS CKR_FIPS_SELF_TEST_FAILED CKR_LIBRARY_LOAD_FAILED CKR_PIN_TOO_WEAK
    CKR_PUBLIC_KEY_INVALID CKR_FUNCTION_REJECTED CKR_TOKEN_RESOURCE_EXCEEDED CKR_OPERATION_CANCEL_FAILED CKR_KEY_EXHAUSTED
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_cryptoki_gets_its_code_and_name_back() {
        for (error, name) in [
            (RvError::PinIncorrect, "CKR_PIN_INCORRECT"),
            (RvError::DeviceRemoved, "CKR_DEVICE_REMOVED"),
            (RvError::UserNotLoggedIn, "CKR_USER_NOT_LOGGED_IN"),
        ] {
            let failure = Failure::from(Error::Pkcs11(error, Function::Login));
            assert_eq!((failure.function, failure.ckr.name()), ("C_Login", name));
        }
        let vendor = Failure::from(Error::Pkcs11(
            RvError::VendorDefined(CKR_VENDOR_DEFINED | 7),
            Function::Login,
        ));
        assert_eq!(vendor.ckr.name(), "CKR_VENDOR_DEFINED");
    }

    #[test]
    fn an_unknown_code_is_examined() {
        assert_eq!(Ckr(0x0fff_0000).remedy(), Remedy::Examine);
        assert_eq!(Ckr(CKR_VENDOR_DEFINED | 1).remedy(), Remedy::Examine);
    }
}
