//! What a PKCS#11 return value leads to: the one table.
//!
//! Workers ask it after a call on the way of an operation has failed, and the anchor after one of its own has. How a remedy
//! is carried out is theirs. If one and the same token goes on failing, with nothing that works in between, the anchor climbs
//! a ladder: sessions and login anew, then C_Finalize and C_Initialize, then a new process (`anchor/ladder.rs`, ADR 13). A
//! value counts towards that unless its remedy says otherwise. Four things are decided before the table is asked:
//!
//! - what C_Login says about a PIN ([the PIN guard](crate) counts those),
//! - what C_Decrypt says about a ciphertext, which must not be told apart,
//! - CKR_SESSION_COUNT from C_OpenSession while other workers have sessions: they get the work,
//! - CKR_BUFFER_TOO_SMALL from C_Sign and C_Decrypt: they get a larger one.

use cryptoki_sys::*;

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// The object handle is of another time: the anchor looks the keys up again, and the job is tried once more.
    LookUp,
    /// The session is dead: it is forgotten, since its number may be another's by now, and the job is tried once more on
    /// another.
    NewSession,
    /// The session is in the middle of something: it is closed, and the job is tried once more on another. The anchor is not
    /// asked.
    CloseSession,
    /// The token forgot the login: the anchor logs in again, and the job is tried once more.
    LogIn,
    /// The token is gone: the caller is told, and the token is looked for until it is back.
    Absent,
    /// The module or the token is in trouble: the session is closed, the caller gets the error, the anchor looks at the token.
    Examine,
    /// Somebody at the token said no: as [`Examine`](Self::Examine), and no rung of the ladder would help.
    Refused,
    /// The request was wrong, and the token is well: the caller gets the error. It says nothing about the token.
    Caller,
}

impl Remedy {
    /// Whether the job is tried once more, so that the caller does not notice if it helps.
    #[must_use]
    pub const fn tries_again(self) -> bool {
        matches!(self, Self::LookUp | Self::NewSession | Self::CloseSession | Self::LogIn)
    }

    /// Whether the ladder is climbed when the token goes on like that.
    #[must_use]
    pub const fn climbs(self) -> bool {
        !matches!(self, Self::Refused | Self::Caller)
    }
}

/// What a return value says besides, to those who want to know it more exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Says {
    /// Nothing that anybody asks.
    Nothing,
    /// The token cannot do this with these parameters or this key.
    Unsupported,
    /// The token looked at a PIN and refused it.
    WrongPin,
    /// Somebody broke it off, or nobody came to do what was asked for, as at a PIN pad.
    BrokenOff,
    /// From C_GetAttributeValue: it is one object that cannot be read like that, or is there no more.
    Object,
}

/// Return values that have the same meaning here.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What they lead to.
    pub remedy: Remedy,
    /// What they say besides.
    pub says: Says,
    /// Why.
    pub why: &'static str,
    /// The values and their names.
    pub ckrs: &'static [(u64, &'static str)],
}

macro_rules! ckrs {
    [$($name:ident)*] => { &[$(($name, stringify!($name))),*] };
}

/// The table. A value that is not in it, a vendor's own for instance, leads to [`Remedy::Examine`].
pub const RULES: &[Rule] = &[
    Rule {
        remedy: Remedy::LookUp,
        says: Says::Object,
        why: "Handles do not outlive the session that found them, or the token's removal; or somebody destroyed the key.",
        ckrs: ckrs![CKR_OBJECT_HANDLE_INVALID CKR_KEY_HANDLE_INVALID],
    },
    Rule {
        remedy: Remedy::NewSession,
        says: Says::Nothing,
        why: "The token, a firewall or a restarted HSM ended the session.",
        ckrs: ckrs![CKR_SESSION_HANDLE_INVALID CKR_SESSION_CLOSED],
    },
    Rule {
        remedy: Remedy::CloseSession,
        says: Says::Nothing,
        why: "The session is in the middle of something, or not where it should be. The token is well.",
        ckrs: ckrs![CKR_OPERATION_ACTIVE CKR_OPERATION_NOT_INITIALIZED],
    },
    Rule {
        remedy: Remedy::LogIn,
        says: Says::Nothing,
        why: "The token was reset, or somebody else in the process logged out.",
        ckrs: ckrs![CKR_USER_NOT_LOGGED_IN],
    },
    Rule {
        remedy: Remedy::Absent,
        says: Says::Nothing,
        why: "The card was pulled, the partition taken away, or the slot renumbered.",
        ckrs: ckrs![CKR_DEVICE_REMOVED CKR_TOKEN_NOT_PRESENT CKR_TOKEN_NOT_RECOGNIZED CKR_SLOT_ID_INVALID],
    },
    Rule {
        remedy: Remedy::Caller,
        says: Says::Nothing,
        why: "The input has a length or a form that the token does not take.",
        ckrs: ckrs![
            CKR_DATA_INVALID CKR_DATA_LEN_RANGE CKR_ENCRYPTED_DATA_INVALID CKR_ENCRYPTED_DATA_LEN_RANGE
            CKR_AEAD_DECRYPT_FAILED
        ],
    },
    Rule {
        remedy: Remedy::Caller,
        says: Says::Unsupported,
        why: "The token does not have the mechanism, not with these parameters, or not with this key.",
        ckrs: ckrs![
            CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID CKR_ARGUMENTS_BAD CKR_FUNCTION_NOT_SUPPORTED
            CKR_KEY_TYPE_INCONSISTENT CKR_KEY_SIZE_RANGE CKR_CURVE_NOT_SUPPORTED
        ],
    },
    Rule {
        remedy: Remedy::Caller,
        says: Says::Nothing,
        why: "The other party's public key is not one that the token takes.",
        ckrs: ckrs![CKR_DOMAIN_PARAMS_INVALID CKR_PUBLIC_KEY_INVALID],
    },
    Rule {
        remedy: Remedy::Caller,
        says: Says::Nothing,
        why: "The key's attributes do not allow it.",
        ckrs: ckrs![CKR_KEY_FUNCTION_NOT_PERMITTED],
    },
    Rule {
        remedy: Remedy::Examine,
        says: Says::Nothing,
        why: "It may be a hiccup or the end of the token's context; the modules themselves do not know. The anchor finds out.",
        ckrs: ckrs![CKR_GENERAL_ERROR CKR_FUNCTION_FAILED CKR_DEVICE_ERROR CKR_FIPS_SELF_TEST_FAILED],
    },
    Rule {
        remedy: Remedy::Examine,
        says: Says::Nothing,
        why: "The library has lost its state, or was finalised. The anchor finds no token in it and initialises it again.",
        ckrs: ckrs![CKR_CRYPTOKI_NOT_INITIALIZED CKR_CRYPTOKI_ALREADY_INITIALIZED CKR_LIBRARY_LOAD_FAILED],
    },
    Rule {
        remedy: Remedy::Examine,
        says: Says::Nothing,
        why: "Something has run out. A session less is some of it back.",
        ckrs: ckrs![CKR_HOST_MEMORY CKR_DEVICE_MEMORY CKR_TOKEN_RESOURCE_EXCEEDED CKR_SESSION_COUNT],
    },
    Rule {
        remedy: Remedy::Refused,
        says: Says::BrokenOff,
        why: "Somebody broke it off, at the PIN pad for instance. Trying again by itself would be a nuisance.",
        ckrs: ckrs![CKR_CANCEL CKR_FUNCTION_CANCELED CKR_FUNCTION_REJECTED],
    },
    Rule {
        remedy: Remedy::Refused,
        says: Says::WrongPin,
        why: "The token looked at a PIN and refused it. From C_Login that is decided by the guard; from anything else it says that \
              the login is in doubt, and a login more might cost a try.",
        ckrs: ckrs![CKR_PIN_INCORRECT CKR_PIN_INVALID CKR_PIN_LEN_RANGE],
    },
    Rule {
        remedy: Remedy::Refused,
        says: Says::Nothing,
        why: "From C_Login it is about the PIN and decided by the guard. From anything else it says that the login is in doubt, \
              and a login more might cost a try.",
        ckrs: ckrs![
            CKR_PIN_EXPIRED CKR_PIN_LOCKED CKR_PIN_TOO_WEAK CKR_USER_PIN_NOT_INITIALIZED CKR_USER_ALREADY_LOGGED_IN CKR_USER_TYPE_INVALID
            CKR_USER_ANOTHER_ALREADY_LOGGED_IN CKR_USER_TOO_MANY_TYPES CKR_NEW_PIN_MODE CKR_NEXT_OTP
        ],
    },
    Rule {
        remedy: Remedy::Examine,
        says: Says::Object,
        why: "From C_GetAttributeValue it is that object's affair. Nothing else that is called here has such an answer.",
        ckrs: ckrs![
            CKR_ATTRIBUTE_SENSITIVE CKR_ATTRIBUTE_TYPE_INVALID CKR_ATTRIBUTE_VALUE_INVALID CKR_BUFFER_TOO_SMALL
        ],
    },
    Rule {
        remedy: Remedy::Examine,
        says: Says::Nothing,
        why: "The calls made here have no such answer. A module that gives it is in a state that nobody knows.",
        ckrs: ckrs![
            CKR_NO_EVENT CKR_NEED_TO_CREATE_THREADS CKR_CANT_LOCK CKR_ATTRIBUTE_READ_ONLY
            CKR_ACTION_PROHIBITED CKR_FUNCTION_NOT_PARALLEL
            CKR_KEY_NOT_NEEDED CKR_KEY_CHANGED CKR_KEY_NEEDED CKR_KEY_INDIGESTIBLE CKR_KEY_NOT_WRAPPABLE
            CKR_KEY_UNEXTRACTABLE CKR_KEY_EXHAUSTED CKR_SESSION_PARALLEL_NOT_SUPPORTED CKR_SESSION_READ_ONLY
            CKR_SESSION_EXISTS CKR_SESSION_READ_ONLY_EXISTS CKR_SESSION_READ_WRITE_SO_EXISTS CKR_SIGNATURE_INVALID
            CKR_SIGNATURE_LEN_RANGE CKR_TEMPLATE_INCOMPLETE CKR_TEMPLATE_INCONSISTENT CKR_TOKEN_WRITE_PROTECTED
            CKR_UNWRAPPING_KEY_HANDLE_INVALID CKR_UNWRAPPING_KEY_SIZE_RANGE CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT
            CKR_WRAPPED_KEY_INVALID CKR_WRAPPED_KEY_LEN_RANGE CKR_WRAPPING_KEY_HANDLE_INVALID
            CKR_WRAPPING_KEY_SIZE_RANGE CKR_WRAPPING_KEY_TYPE_INCONSISTENT CKR_RANDOM_SEED_NOT_SUPPORTED
            CKR_RANDOM_NO_RNG CKR_SAVED_STATE_INVALID CKR_INFORMATION_SENSITIVE
            CKR_STATE_UNSAVEABLE CKR_MUTEX_BAD CKR_MUTEX_NOT_LOCKED CKR_EXCEEDED_MAX_ITERATIONS
            CKR_OPERATION_CANCEL_FAILED
        ],
    },
];

/// What a return value leads to.
pub(crate) fn of(ckr: CK_RV) -> Remedy {
    rule(ckr).map_or(Remedy::Examine, |rule| rule.remedy)
}

/// What it says besides.
pub(crate) fn says(ckr: CK_RV) -> Says {
    rule(ckr).map_or(Says::Nothing, |rule| rule.says)
}

fn rule(ckr: CK_RV) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.ckrs.iter().any(|(code, _)| *code == ckr))
}

/// All values of the table with their names.
pub(crate) fn names() -> impl Iterator<Item = (CK_RV, &'static str)> {
    RULES.iter().flat_map(|rule| rule.ckrs.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_value_is_in_the_table_twice() {
        let mut seen = HashSet::new();
        for (code, name) in names() {
            assert!(seen.insert(code), "{name}");
        }
    }

    #[test]
    fn a_value_that_is_not_in_the_table_is_examined() {
        assert_eq!(of(0x0fff_0000), Remedy::Examine);
        assert_eq!(of(CKR_VENDOR_DEFINED | 1), Remedy::Examine);
    }

    #[test]
    fn the_ladder_is_not_climbed_for_what_a_caller_or_a_pin_did() {
        for ckr in [
            CKR_DATA_LEN_RANGE,
            CKR_PIN_INCORRECT,
            CKR_PIN_LOCKED,
            CKR_FUNCTION_CANCELED,
        ] {
            assert!(!of(ckr).climbs(), "{ckr:#x}");
        }
        for ckr in [
            CKR_DEVICE_ERROR,
            CKR_SESSION_CLOSED,
            CKR_KEY_HANDLE_INVALID,
            CKR_DEVICE_REMOVED,
        ] {
            assert!(of(ckr).climbs(), "{ckr:#x}");
        }
    }
}
