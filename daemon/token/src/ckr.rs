//! PKCS#11 return values and the functions that gave them. What each leads to is in [`crate::remedy`].

use cryptoki::{
    context::Function,
    error::{Error, Rv, RvError},
};
use cryptoki_sys::*;

pub(crate) use crate::remedy::Remedy;
use crate::remedy::{self, Says};

/// A return value other than CKR_OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ckr(pub(crate) CK_RV);

/// A PKCS#11 function that failed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) function: &'static str,
    pub(crate) ckr: Ckr,
}

impl Ckr {
    /// `CKR_…`, or a common name for the codes that vendors define.
    pub(crate) fn name(self) -> &'static str {
        if let Some((_, name)) = remedy::names().find(|(code, _)| *code == self.0) {
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
        match remedy::names().any(|(code, _)| code == self.0) {
            true => self,
            false if self.0 & CKR_VENDOR_DEFINED == 0 => Self(CKR_VENDOR_DEFINED - 1),
            false => Self(CKR_VENDOR_DEFINED),
        }
    }

    pub(crate) fn remedy(self) -> Remedy {
        remedy::of(self.0)
    }

    /// The token says that it cannot do this with these parameters or this key.
    pub(crate) fn is_unsupported(self) -> bool {
        remedy::says(self.0) == Says::Unsupported
    }

    /// From C_GetAttributeValue: it is one object that cannot be read like that, or is there no more.
    pub(crate) fn is_about_the_object(self) -> bool {
        remedy::says(self.0) == Says::Object
    }

    /// The token looked at a PIN and refused it.
    pub(crate) fn is_wrong_pin(self) -> bool {
        remedy::says(self.0) == Says::WrongPin
    }

    /// Whether somebody broke it off, or nobody came to do what was asked for, as at a PIN pad.
    pub(crate) fn is_broken_off(self) -> bool {
        remedy::says(self.0) == Says::BrokenOff
    }

    /// Whether C_Decrypt may have failed for what the ciphertext holds. Modules say that in many ways (SoftHSM:
    /// CKR_GENERAL_ERROR), and one that is told apart from the others is an oracle. So it may be the padding unless the answer
    /// says that it was something else, or the session is lost as well. Who does not know of the session takes it to be alive.
    pub(crate) fn may_be_the_padding(self, session_is_alive: bool) -> bool {
        match self.remedy() {
            Remedy::Caller => true,
            Remedy::Examine | Remedy::Refused => {
                !matches!(
                    self.0,
                    CKR_HOST_MEMORY | CKR_DEVICE_MEMORY | CKR_FUNCTION_CANCELED | CKR_CRYPTOKI_NOT_INITIALIZED
                ) && session_is_alive
            }
            Remedy::LookUp | Remedy::NewSession | Remedy::CloseSession | Remedy::LogIn | Remedy::Absent => false,
        }
    }
}

impl Failure {
    pub(crate) const fn new(function: &'static str, rv: CK_RV) -> Self {
        Self { function, ckr: Ckr(rv) }
    }

    /// Whether it comes before the call that uses the key.
    pub(crate) fn is_before_use(self) -> bool {
        matches!(
            self.function,
            "C_OpenSession" | "C_SignInit" | "C_DecryptInit" | "C_Login"
        )
    }

    /// Whether the token is in trouble if it goes on like that. What C_Login says is the PIN guard's business.
    pub(crate) fn climbs(self) -> bool {
        self.function != "C_Login" && self.ckr.remedy().climbs()
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
        _ => remedy::names()
            .map(|(code, _)| code)
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
}
