//! The one file with `unsafe`: the calls on the path of every operation, made straight through the module's function list.
//!
//! cryptoki covers everything else. It is passed by here because it asks C_Sign and C_Decrypt for the length first (two
//! calls into the module for one), has no single-part call between Init and the operation (which a context-specific login
//! needs), and leaves copies of derived secrets in memory. Nothing in here keeps state, retries or decides.

use std::path::Path;

use cryptoki::{mechanism::Mechanism, session::Session};
use cryptoki_sys::*;
use zeroize::Zeroizing;

use crate::{
    ckr::Failure,
    metrics::{Function, counted, logged_in},
    pin::PinEntry,
};

/// The functions of a module that is also loaded through cryptoki, which initialises it.
pub(crate) struct RawModule {
    functions: CK_FUNCTION_LIST,
    /// Keeps the shared library mapped while `functions` points into it.
    _library: Pkcs11,
}

/// Why the functions could not be had.
pub(crate) enum LoadFailure {
    Library(String),
    Call(Failure),
}

/// Enough for any answer of the mechanisms used here; a buffer never grows beyond it.
const MAX_ANSWER_LEN: usize = 4096;

macro_rules! call {
    ($self:expr, $name:ident($($argument:expr),* $(,)?)) => {
        match $self.functions.$name {
            Some(function) => {
                let rv = counted(Function::$name, || {
                    // SAFETY: the pointer comes from the module's own function list, and the library stays mapped as long
                    // as `self`. Every pointer among the arguments comes from a live reference or slice of the calling
                    // function, with the length beside it; the module writes only through those made from `&mut`, and
                    // keeps none of them (PKCS#11 v2.40 section 5). A session is used by one thread at a time because
                    // `Session` is not `Sync`.
                    unsafe { function($($argument),*) }
                });
                check(stringify!($name), rv)
            }
            None => Err(Failure::new(stringify!($name), CKR_FUNCTION_NOT_SUPPORTED)),
        }
    };
}

impl RawModule {
    /// Maps the library a second time (the same instance, counted by the loader) and takes its function list.
    pub(crate) fn load(path: &Path) -> Result<Self, LoadFailure> {
        // SAFETY: loading runs the library's initialisers. The operator named it as a PKCS#11 module, and cryptoki has
        // loaded the same file just before.
        let library = unsafe { Pkcs11::new(path) }.map_err(|error| LoadFailure::Library(error.to_string()))?;
        let Ok(entry) = &library.C_GetFunctionList else {
            return Err(LoadFailure::Library("it has no C_GetFunctionList".to_owned()));
        };
        let mut list: CK_FUNCTION_LIST_PTR = std::ptr::null_mut();
        // SAFETY: the symbol has the type that PKCS#11 gives C_GetFunctionList; `list` outlives the call.
        check("C_GetFunctionList", unsafe { entry(&raw mut list) }).map_err(LoadFailure::Call)?;
        // SAFETY: after CKR_OK the pointer is null or leads to the module's static function list, which begins with the
        // fields of CK_FUNCTION_LIST in every version of PKCS#11 since 2.0.
        let functions =
            *unsafe { list.as_ref() }.ok_or(LoadFailure::Call(Failure::new("C_GetFunctionList", CKR_GENERAL_ERROR)))?;
        Ok(Self {
            functions,
            _library: library,
        })
    }

    /// C_GetInfo: the library's manufacturer and description, to compare with what C_GetInterface leads to.
    pub(crate) fn library_name(&self) -> Result<(CK_VERSION, String), Failure> {
        let mut info = CK_INFO::default();
        call!(self, C_GetInfo(&raw mut info))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let name = format!("{} {}", text(&info.manufacturerID), text(&info.libraryDescription));
        Ok((info.cryptokiVersion, name))
    }

    /// C_SignInit, a context-specific C_Login if there is a PIN, C_Sign. `capacity` is the expected length.
    pub(crate) fn sign(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: u64,
        data: &[u8],
        capacity: usize,
        context_pin: Option<&PinEntry>,
    ) -> Result<Vec<u8>, Failure> {
        let mut mechanism = CK_MECHANISM::from(mechanism);
        call!(self, C_SignInit(session.handle(), &raw mut mechanism, key))?;
        if let Some(pin) = context_pin {
            self.context_login(session, pin)?;
        }
        let mut answer = vec![0; capacity];
        self.fill("C_Sign", &mut answer, |buffer, length| {
            call!(
                self,
                C_Sign(
                    session.handle(),
                    data.as_ptr().cast_mut(),
                    ulong(data.len()),
                    buffer,
                    length
                )
            )
        })?;
        Ok(answer)
    }

    /// C_DecryptInit, a context-specific C_Login if there is a PIN, C_Decrypt.
    pub(crate) fn decrypt(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: u64,
        ciphertext: &[u8],
        context_pin: Option<&PinEntry>,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.decrypt_init(session, mechanism, key)?;
        if let Some(pin) = context_pin {
            self.context_login(session, pin)?;
        }
        // No plaintext is longer than the ciphertext.
        let mut answer = Zeroizing::new(vec![0; ciphertext.len()]);
        self.fill("C_Decrypt", &mut answer, |buffer, length| {
            let input = ciphertext.as_ptr().cast_mut();
            call!(
                self,
                C_Decrypt(session.handle(), input, ulong(ciphertext.len()), buffer, length)
            )
        })?;
        Ok(answer)
    }

    /// C_DecryptInit alone: whether the token accepts a mechanism. The session has an active operation afterwards.
    pub(crate) fn decrypt_init(&self, session: &Session, mechanism: &Mechanism<'_>, key: u64) -> Result<(), Failure> {
        let mut mechanism = CK_MECHANISM::from(mechanism);
        call!(self, C_DecryptInit(session.handle(), &raw mut mechanism, key))
    }

    /// C_DeriveKey to a readable session secret of `length` bytes, its value, C_DestroyObject.
    pub(crate) fn derive(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: u64,
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut mechanism = CK_MECHANISM::from(mechanism);
        let mut class = CKO_SECRET_KEY;
        let mut key_type = CKK_GENERIC_SECRET;
        let mut value_len = ulong(length);
        let (mut yes, mut no) = (CK_TRUE, CK_FALSE);
        let (mut no_token, mut no_private) = (CK_FALSE, CK_FALSE);
        let mut template = [
            attribute(CKA_CLASS, &mut class),
            attribute(CKA_KEY_TYPE, &mut key_type),
            attribute(CKA_TOKEN, &mut no_token),
            attribute(CKA_PRIVATE, &mut no_private),
            attribute(CKA_SENSITIVE, &mut no),
            attribute(CKA_EXTRACTABLE, &mut yes),
            attribute(CKA_VALUE_LEN, &mut value_len),
        ];
        let mut derived: CK_OBJECT_HANDLE = 0;
        call!(
            self,
            C_DeriveKey(
                session.handle(),
                &raw mut mechanism,
                key,
                template.as_mut_ptr(),
                ulong(template.len()),
                &raw mut derived,
            )
        )?;
        let mut value = Zeroizing::new(vec![0; length]);
        let read = self.read_value(session, derived, &mut value);
        let destroyed = call!(self, C_DestroyObject(session.handle(), derived));
        read.and(destroyed)?;
        Ok(value)
    }

    fn read_value(&self, session: &Session, object: u64, value: &mut [u8]) -> Result<(), Failure> {
        let expected = ulong(value.len());
        let mut attribute = CK_ATTRIBUTE {
            type_: CKA_VALUE,
            pValue: value.as_mut_ptr().cast(),
            ulValueLen: ulong(value.len()),
        };
        call!(
            self,
            C_GetAttributeValue(session.handle(), object, &raw mut attribute, 1)
        )?;
        // A shorter secret than asked for would be padded with zeros by the buffer it was read into.
        if attribute.ulValueLen == expected {
            Ok(())
        } else {
            Err(Failure::new("C_GetAttributeValue", CKR_ATTRIBUTE_VALUE_INVALID))
        }
    }

    fn context_login(&self, session: &Session, pin: &PinEntry) -> Result<(), Failure> {
        let (pin, length) = pointer(pin);
        call!(self, C_Login(session.handle(), CKU_CONTEXT_SPECIFIC, pin, length))
    }

    /// C_Login as the user, with a PIN of any bytes.
    pub(crate) fn login(&self, session: &Session, pin: &PinEntry) -> Result<(), Failure> {
        let (pin, length) = pointer(pin);
        let result = call!(self, C_Login(session.handle(), CKU_USER, pin, length));
        logged_in(&result);
        result
    }

    /// C_SetPIN: another PIN for the user.
    pub(crate) fn set_pin(&self, session: &Session, old: &PinEntry, new: &PinEntry) -> Result<(), Failure> {
        let ((old, old_length), (new, new_length)) = (pointer(old), pointer(new));
        call!(self, C_SetPIN(session.handle(), old, old_length, new, new_length))
    }

    /// C_CloseAllSessions: what is left of sessions to a token that was lost, so that no old handle comes to life again.
    pub(crate) fn close_all_sessions(&self, slot: u64) -> Result<(), Failure> {
        call!(self, C_CloseAllSessions(slot))
    }

    /// Runs a call that fills a buffer, once more with a larger one if the module asks for it, and cuts it to the answer.
    fn fill(
        &self,
        function: &'static str,
        answer: &mut Vec<u8>,
        mut call: impl FnMut(*mut u8, *mut CK_ULONG) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for _ in 0..2 {
            let mut length = ulong(answer.len());
            let result = call(answer.as_mut_ptr(), &raw mut length);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            match result {
                Ok(()) if length <= answer.len() => {
                    answer.truncate(length);
                    return Ok(());
                }
                // CKR_BUFFER_TOO_SMALL leaves the operation active (PKCS#11 v2.40 section 5.2).
                Err(failure) if failure.ckr.0 == CKR_BUFFER_TOO_SMALL && length <= MAX_ANSWER_LEN => {
                    answer.resize(length, 0);
                }
                Ok(()) => return Err(Failure::new(function, CKR_GENERAL_ERROR)),
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::new(function, CKR_BUFFER_TOO_SMALL))
    }
}

fn check(function: &'static str, rv: CK_RV) -> Result<(), Failure> {
    if rv == CKR_OK {
        Ok(())
    } else {
        Err(Failure::new(function, rv))
    }
}

/// A PIN as C_Login and C_SetPIN take it: nothing at all sends the token to its own PIN pad.
fn pointer(pin: &PinEntry) -> (*mut u8, CK_ULONG) {
    match pin {
        PinEntry::Given(pin) => (pin.bytes().as_ptr().cast_mut(), ulong(pin.bytes().len())),
        PinEntry::AtPad => (std::ptr::null_mut(), 0),
    }
}

fn ulong(length: usize) -> CK_ULONG {
    // Slices are shorter than isize::MAX, which fits CK_ULONG on every platform with a 32-bit or wider unsigned long.
    CK_ULONG::try_from(length).unwrap_or(CK_ULONG::MAX)
}

fn attribute<T>(kind: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: kind,
        pValue: std::ptr::from_mut(value).cast(),
        ulValueLen: ulong(size_of::<T>()),
    }
}
