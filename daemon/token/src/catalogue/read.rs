//! Reads objects from a token: one C_FindObjects pass for each class, then the attributes of each handle in one batch.

use std::num::NonZeroUsize;

use cryptoki::{
    error::Error,
    object::{Attribute, AttributeType, CertificateType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use cryptoki_sys::CKR_GENERAL_ERROR;

use crate::{
    catalogue::{
        KeyAlgorithm,
        assemble::{Objects, PrivateKey, PublicHalf, PublicKey},
        spki,
    },
    ckr::Failure,
};

/// Handles fetched by one C_FindObjects.
const BATCH: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// More objects of a class than this are not read: a bound for what a broken module can make of memory.
const MAX_OBJECTS: usize = 200_000;

/// The function that says what an object is.
pub(crate) const READ: &str = "C_GetAttributeValue";

/// How often an object is tried before it is passed over for an error that is not plainly its own.
const TRIES: usize = 5;

const OF_A_PRIVATE_KEY: [AttributeType; 12] = [
    AttributeType::KeyType,
    AttributeType::Id,
    AttributeType::Label,
    AttributeType::Sign,
    AttributeType::Decrypt,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::AlwaysAuthenticate,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::EcParams,
    AttributeType::PublicKeyInfo,
];

const OF_A_PUBLIC_KEY: [AttributeType; 7] = [
    AttributeType::KeyType,
    AttributeType::Id,
    AttributeType::Label,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::EcParams,
    AttributeType::EcPoint,
];

const OF_A_CERTIFICATE: [AttributeType; 2] = [AttributeType::Id, AttributeType::Value];

/// Reads all private keys, public keys and X.509 certificates that the session can see, and says after each that it goes on.
///
/// An object that cannot be read for a reason of its own is passed over. Any other error is the token's, and a list without the
/// objects that it hides would be believed: so there is none, unless that has been so often enough (`is_stubborn`) for the
/// others to count more. Whether nothing was hidden is told beside the list.
pub(crate) fn read(session: &Session, is_stubborn: bool, alive: &mut dyn FnMut()) -> Result<(Objects, bool), Failure> {
    let mut objects = Objects::default();
    let mut reader = Reader {
        session,
        is_stubborn,
        alive,
        has_read: false,
        passed_over: None,
    };
    let class = |class| Attribute::Class(class);
    reader.each(
        &[class(ObjectClass::PRIVATE_KEY)],
        &OF_A_PRIVATE_KEY,
        |handle, attributes| {
            objects.private.extend(private_key(handle, attributes));
        },
    )?;
    // The public objects are needed only where a private key does not describe its public half.
    if objects
        .private
        .iter()
        .any(|key| !matches!(key.public, PublicHalf::Spki(_)))
    {
        reader.each(&[class(ObjectClass::PUBLIC_KEY)], &OF_A_PUBLIC_KEY, |_, attributes| {
            objects.public.extend(public_key(attributes));
        })?;
    }
    let certificates = [
        class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
    ];
    reader.each(&certificates, &OF_A_CERTIFICATE, |_, attributes| {
        objects.certificates.extend(certificate(attributes));
    })?;
    match reader.passed_over {
        Some(failure) if !reader.has_read => Err(failure),
        passed_over => Ok((objects, passed_over.is_none())),
    }
}

struct Reader<'a> {
    session: &'a Session,
    is_stubborn: bool,
    alive: &'a mut dyn FnMut(),
    has_read: bool,
    /// Why the last object was that was passed over, if that was not the object's own affair.
    passed_over: Option<Failure>,
}

impl Reader<'_> {
    /// Reads the objects that match.
    fn each(
        &mut self,
        template: &[Attribute],
        wanted: &[AttributeType],
        mut read: impl FnMut(ObjectHandle, Vec<Attribute>),
    ) -> Result<(), Failure> {
        for handle in find(self.session, &mut *self.alive, template)? {
            let tries = if self.is_stubborn { TRIES } else { 1 };
            let attributes = try_to_read(tries, || self.session.get_attributes(handle, wanted));
            match attributes {
                Ok(attributes) => {
                    self.has_read = true;
                    read(handle, attributes);
                }
                Err(Unreadable::Object) => {}
                Err(Unreadable::Perhaps(failure)) if self.is_stubborn => self.passed_over = Some(failure),
                Err(Unreadable::Perhaps(failure)) => return Err(failure),
            }
            (self.alive)();
        }
        Ok(())
    }
}

/// Why an object could not be read.
#[derive(Debug, PartialEq, Eq)]
enum Unreadable {
    /// It is the object's own affair.
    Object,
    /// It may be the token that is in trouble.
    Perhaps(Failure),
}

/// Tries so often.
fn try_to_read<T>(tries: usize, mut read: impl FnMut() -> Result<T, Error>) -> Result<T, Unreadable> {
    let mut last = Unreadable::Perhaps(Failure::new(READ, CKR_GENERAL_ERROR));
    for _ in 0..tries {
        let error = match read() {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        tracing::warn!(%error, "the attributes of an object could not be read");
        last = match error {
            Error::Pkcs11(..) | Error::NullFunctionPointer => Unreadable::Perhaps(error.into()),
            // The answer was good, and makes no sense.
            _ => return Err(Unreadable::Object),
        };
        if matches!(last, Unreadable::Perhaps(failure) if failure.ckr.is_about_the_object()) {
            return Err(Unreadable::Object);
        }
    }
    Err(last)
}

fn find(session: &Session, alive: &mut dyn FnMut(), template: &[Attribute]) -> Result<Vec<ObjectHandle>, Failure> {
    let mut handles = Vec::new();
    for handle in session.iter_objects_with_cache_size(template, BATCH)?.take(MAX_OBJECTS) {
        handles.push(handle?);
        alive();
    }
    Ok(handles)
}

fn private_key(handle: ObjectHandle, attributes: Vec<Attribute>) -> Option<PrivateKey> {
    let mut key = PrivateKey {
        handle: handle.handle(),
        ..PrivateKey::default()
    };
    let (mut key_type, mut modulus, mut exponent, mut params, mut info) = (None, None, None, None, None);
    for attribute in attributes {
        match attribute {
            Attribute::KeyType(value) => key_type = Some(value),
            Attribute::Id(value) => key.object_id = value,
            Attribute::Label(value) => key.label = text(&value),
            Attribute::Sign(value) => key.sign = value,
            Attribute::Decrypt(value) => key.decrypt = value,
            Attribute::Unwrap(value) => key.unwrap = value,
            Attribute::Derive(value) => key.derive = value,
            Attribute::AlwaysAuthenticate(value) => key.always_authenticate = value,
            Attribute::Modulus(value) => modulus = Some(value),
            Attribute::PublicExponent(value) => exponent = Some(value),
            Attribute::EcParams(value) => params = Some(value),
            Attribute::PublicKeyInfo(value) => info = Some(value),
            _ => {}
        }
    }
    let from_info = info.and_then(|info| spki::canonical(&info));
    key.public = match key_type? {
        KeyType::RSA => match (modulus, exponent) {
            (Some(modulus), Some(exponent)) => spki::rsa(&modulus, &exponent).map(|(_, spki)| spki),
            _ => None,
        }
        .or(from_info)
        .map_or(PublicHalf::Unknown, PublicHalf::Spki),
        KeyType::EC | KeyType::EC_EDWARDS | KeyType::EC_MONTGOMERY => match from_info {
            Some(info) => PublicHalf::Spki(info),
            None => params
                .and_then(|params| spki::curve(&params))
                .map_or(PublicHalf::Unknown, PublicHalf::Curve),
        },
        _ => return None,
    };
    Some(key)
}

fn public_key(attributes: Vec<Attribute>) -> Option<PublicKey> {
    let (mut object_id, mut label, mut key_type) = (Vec::new(), String::new(), None);
    let (mut modulus, mut exponent, mut params, mut point) = (None, None, None, None);
    for attribute in attributes {
        match attribute {
            Attribute::KeyType(value) => key_type = Some(value),
            Attribute::Id(value) => object_id = value,
            Attribute::Label(value) => label = text(&value),
            Attribute::Modulus(value) => modulus = Some(value),
            Attribute::PublicExponent(value) => exponent = Some(value),
            Attribute::EcParams(value) => params = Some(value),
            Attribute::EcPoint(value) => point = Some(value),
            _ => {}
        }
    }
    let (algorithm, spki_der): (KeyAlgorithm, Vec<u8>) = match key_type? {
        KeyType::RSA => spki::rsa(&modulus?, &exponent?)?,
        KeyType::EC | KeyType::EC_EDWARDS | KeyType::EC_MONTGOMERY => {
            let curve = spki::curve(&params?)?;
            (curve, spki::ec(curve, &point?)?)
        }
        _ => return None,
    };
    Some(PublicKey {
        object_id,
        label,
        algorithm,
        spki_der,
    })
}

fn certificate(attributes: Vec<Attribute>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut id, mut der) = (Vec::new(), None);
    for attribute in attributes {
        match attribute {
            Attribute::Id(value) => id = value,
            Attribute::Value(value) => der = Some(value),
            _ => {}
        }
    }
    Some((id, der?))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use cryptoki::{context::Function, error::RvError};

    use super::*;

    fn answer(error: RvError) -> Error {
        Error::Pkcs11(error, Function::GetAttributeValue)
    }

    #[test]
    fn only_what_is_the_objects_own_affair_hides_it_alone() {
        for error in [
            RvError::ObjectHandleInvalid,
            RvError::AttributeTypeInvalid,
            RvError::AttributeSensitive,
        ] {
            assert_eq!(
                try_to_read::<()>(1, || Err(answer(error))),
                Err(Unreadable::Object),
                "{error}"
            );
        }
        assert_eq!(
            try_to_read::<()>(1, || Err(Error::InvalidValue)),
            Err(Unreadable::Object)
        );
        for error in [
            RvError::DeviceError,
            RvError::SessionHandleInvalid,
            RvError::DeviceRemoved,
            RvError::GeneralError,
        ] {
            let failure = Failure::from(answer(error));
            assert_eq!(
                try_to_read::<()>(TRIES, || Err(answer(error))),
                Err(Unreadable::Perhaps(failure))
            );
        }
    }

    #[test]
    fn an_object_that_is_passed_over_has_been_tried_several_times() {
        let mut tries = 0;
        let read = try_to_read(TRIES, || {
            tries += 1;
            if tries < TRIES {
                Err(answer(RvError::DeviceError))
            } else {
                Ok(tries)
            }
        });
        assert_eq!(read, Ok(TRIES));
    }
}
