//! Reads objects from a token: one C_FindObjects pass for each class, then the attributes of each handle in one batch.

use std::num::NonZeroUsize;

use cryptoki::{
    object::{Attribute, AttributeType, CertificateType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

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

/// Reads all private keys, public keys and X.509 certificates that the session can see, and says after each that it goes on.
pub(crate) fn read(session: &Session, alive: &mut dyn FnMut()) -> Result<Objects, Failure> {
    let mut objects = Objects::default();
    for handle in find(session, alive, &[Attribute::Class(ObjectClass::PRIVATE_KEY)])? {
        objects.private.extend(private_key(session, handle));
        alive();
    }
    // The public objects are needed only where a private key does not describe its public half.
    if objects
        .private
        .iter()
        .any(|key| !matches!(key.public, PublicHalf::Spki(_)))
    {
        for handle in find(session, alive, &[Attribute::Class(ObjectClass::PUBLIC_KEY)])? {
            objects.public.extend(public_key(session, handle));
            alive();
        }
    }
    let certificates = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
    ];
    for handle in find(session, alive, &certificates)? {
        objects.certificates.extend(certificate(session, handle));
        alive();
    }
    Ok(objects)
}

fn find(session: &Session, alive: &mut dyn FnMut(), template: &[Attribute]) -> Result<Vec<ObjectHandle>, Failure> {
    let mut handles = Vec::new();
    for handle in session.iter_objects_with_cache_size(template, BATCH)?.take(MAX_OBJECTS) {
        handles.push(handle?);
        alive();
    }
    Ok(handles)
}

fn private_key(session: &Session, handle: ObjectHandle) -> Option<PrivateKey> {
    use AttributeType as Type;
    let wanted = [
        Type::KeyType,
        Type::Id,
        Type::Label,
        Type::Sign,
        Type::Decrypt,
        Type::Unwrap,
        Type::Derive,
        Type::AlwaysAuthenticate,
        Type::Modulus,
        Type::PublicExponent,
        Type::EcParams,
        Type::PublicKeyInfo,
    ];
    let mut key = PrivateKey {
        handle: handle.handle(),
        ..PrivateKey::default()
    };
    let (mut key_type, mut modulus, mut exponent, mut params, mut info) = (None, None, None, None, None);
    for attribute in attributes(session, handle, &wanted)? {
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

fn public_key(session: &Session, handle: ObjectHandle) -> Option<PublicKey> {
    use AttributeType as Type;
    let wanted = [
        Type::KeyType,
        Type::Id,
        Type::Label,
        Type::Modulus,
        Type::PublicExponent,
        Type::EcParams,
        Type::EcPoint,
    ];
    let (mut object_id, mut label, mut key_type) = (Vec::new(), String::new(), None);
    let (mut modulus, mut exponent, mut params, mut point) = (None, None, None, None);
    for attribute in attributes(session, handle, &wanted)? {
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

fn certificate(session: &Session, handle: ObjectHandle) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut id, mut der) = (Vec::new(), None);
    for attribute in attributes(session, handle, &[AttributeType::Id, AttributeType::Value])? {
        match attribute {
            Attribute::Id(value) => id = value,
            Attribute::Value(value) => der = Some(value),
            _ => {}
        }
    }
    Some((id, der?))
}

/// One object that cannot be read does not hide the others.
fn attributes(session: &Session, handle: ObjectHandle, wanted: &[AttributeType]) -> Option<Vec<Attribute>> {
    session
        .get_attributes(handle, wanted)
        .inspect_err(|error| tracing::warn!(%error, "the attributes of an object could not be read; it is passed over"))
        .ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
