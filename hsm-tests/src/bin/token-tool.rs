//! Prepares tokens for the tests: initialises them, generates and imports keys, writes certificates.
//!
//! `token-tool MODULE COMMAND …`; see `hsm_tests::softhsm`, its only caller. Each run is one process, so that
//! `SOFTHSM2_CONF` can be given to it. Not for real tokens: PINs stand on the command line.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the answer to the caller")]

use anyhow::{Context, Result, bail, ensure};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, CertificateType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Limit,
    types::AuthPin,
};
use der::{
    Decode, Encode,
    asn1::{AnyRef, BitString, ObjectIdentifier, OctetStringRef, UintRef},
};
use hsm_tests::hex;
use rsa::{
    pkcs1::{RsaPrivateKey, RsaPublicKey},
    pkcs8::PrivateKeyInfoRef,
};
use x509_cert::{
    Certificate,
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned},
};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (module, arguments) = arguments.split_first().context("token-tool MODULE COMMAND …")?;
    let module = Pkcs11::new(module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    match *arguments {
        ["describe"] => describe(&module)?,
        ["init", label, pin] => println!("{}", init(&module, label, pin)?),
        ["generate", serial, pin, kind, label, id, usage] => {
            let session = log_in(&module, serial, pin)?;
            println!(
                "{}",
                hex::encode(&generate(&session, kind, label, &hex::decode(id)?, usage)?)
            );
        }
        ["many", serial, pin, count] => {
            let session = log_in(&module, serial, pin)?;
            for number in 1..=count.parse::<u32>()? {
                generate(
                    &session,
                    "p256",
                    &format!("key {number}"),
                    &number.to_be_bytes(),
                    "sign",
                )?;
            }
        }
        ["import", serial, pin, label, id, usage, key, public] => {
            let session = log_in(&module, serial, pin)?;
            import(
                &session,
                label,
                &hex::decode(id)?,
                usage,
                &std::fs::read(key)?,
                &std::fs::read(public)?,
            )?;
        }
        ["certificate", serial, pin, label, id, file] => {
            let session = log_in(&module, serial, pin)?;
            write_certificate(&session, label, &hex::decode(id)?, std::fs::read(file)?)?;
        }
        ["destroy", serial, pin, id, class] => destroy(&log_in(&module, serial, pin)?, hex::decode(id)?, class)?,
        ["change-pin", serial, pin, new] => {
            log_in(&module, serial, pin)?.set_pin(&AuthPin::new(pin.into()), &AuthPin::new(new.into()))?;
        }
        _ => bail!("unknown command or wrong number of arguments: {arguments:?}"),
    }
    Ok(())
}

/// What the module says of its only token: the largest number of sessions, and the mechanisms.
fn describe(module: &Pkcs11) -> Result<()> {
    let slots = module.get_slots_with_initialized_token()?;
    let slot = *slots.first().context("there is no token")?;
    let sessions = match module.get_token_info(slot)?.max_session_count() {
        Limit::Max(count) => count.to_string(),
        Limit::Infinite | Limit::Unavailable => "unlimited".to_owned(),
    };
    println!("max-sessions {sessions}");
    let mechanisms = module.get_mechanism_list(slot)?;
    let names: Vec<String> = mechanisms.iter().map(ToString::to_string).collect();
    println!("mechanisms {}", names.join(" "));
    Ok(())
}

fn init(module: &Pkcs11, label: &str, pin: &str) -> Result<String> {
    let so_pin = AuthPin::new(pin.chars().rev().collect::<String>().into());
    let slots = module.get_slots_with_token()?;
    let mut free = None;
    for slot in slots {
        if !module.get_token_info(slot)?.token_initialized() {
            free = Some(slot);
        }
    }
    let slot = free.context("there is no free slot")?;
    module.init_token(slot, &so_pin, label)?;
    let session = module.open_rw_session(slot)?;
    session.login(UserType::So, Some(&so_pin))?;
    session.init_pin(&AuthPin::new(pin.into()))?;
    Ok(module.get_token_info(slot)?.serial_number().to_owned())
}

fn log_in(module: &Pkcs11, serial: &str, pin: &str) -> Result<Session> {
    for slot in module.get_slots_with_initialized_token()? {
        if module.get_token_info(slot)?.serial_number() == serial {
            let session = module.open_rw_session(slot)?;
            session.login(UserType::User, Some(&AuthPin::new(pin.into())))?;
            return Ok(session);
        }
    }
    bail!("there is no token with serial {serial}")
}

fn generate(session: &Session, kind: &str, label: &str, id: &[u8], usage: &str) -> Result<Vec<u8>> {
    let rsa = kind.starts_with("rsa:");
    let mut public = common(label, id);
    public.push(Attribute::Private(false));
    let mut private = private_template(label, id, rsa, usage)?;
    private.push(Attribute::Extractable(false));
    let (mechanism, curve) = match kind {
        "p256" => (Mechanism::EccKeyPairGen, Some(P256)),
        "p384" => (Mechanism::EccKeyPairGen, Some(P384)),
        "p521" => (Mechanism::EccKeyPairGen, Some(P521)),
        "ed25519" => (Mechanism::EccEdwardsKeyPairGen, Some(ED25519)),
        "x25519" => (Mechanism::EccEdwardsKeyPairGen, Some(X25519)),
        _ => (Mechanism::RsaPkcsKeyPairGen, None),
    };
    match curve {
        Some(curve) => public.extend([Attribute::EcParams(curve.to_der()?), Attribute::Verify(true)]),
        None => public.extend([
            Attribute::ModulusBits(kind.trim_start_matches("rsa:").parse::<u64>()?.into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
            Attribute::Verify(true),
            Attribute::Encrypt(true),
            Attribute::Wrap(true),
        ]),
    }
    let (public, _) = session.generate_key_pair(&mechanism, &public, &private)?;
    match curve {
        Some(curve) => ec_spki(session, public, curve),
        None => rsa_spki(session, public),
    }
}

fn import(session: &Session, label: &str, id: &[u8], usage: &str, pkcs8: &[u8], spki: &[u8]) -> Result<()> {
    // SoftHSM calls X25519 keys EC_EDWARDS, others EC_MONTGOMERY.
    import_as(KeyType::EC_EDWARDS, session, label, id, usage, pkcs8, spki)
        .or_else(|_| import_as(KeyType::EC_MONTGOMERY, session, label, id, usage, pkcs8, spki))
}

/// `other_curves` is the type of keys on curves that are not Weierstrass'.
fn import_as(
    other_curves: KeyType,
    session: &Session,
    label: &str,
    id: &[u8],
    usage: &str,
    pkcs8: &[u8],
    spki: &[u8],
) -> Result<()> {
    let key = PrivateKeyInfoRef::try_from(pkcs8).map_err(|error| anyhow::anyhow!("{error}"))?;
    let spki = SubjectPublicKeyInfoOwned::from_der(spki)?;
    let public_bits = spki.subject_public_key.raw_bytes();
    let rsa = key.algorithm.oid == RSA;
    let mut private = private_template(label, id, rsa, usage)?;
    private.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    let mut public = common(label, id);
    public.extend([Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Verify(true)]);
    if rsa {
        let parts = RsaPrivateKey::from_der(key.private_key.as_bytes())?;
        let bytes = |value: UintRef<'_>| value.as_bytes().to_vec();
        private.extend([
            Attribute::KeyType(KeyType::RSA),
            Attribute::Modulus(bytes(parts.modulus)),
            Attribute::PublicExponent(bytes(parts.public_exponent)),
            Attribute::PrivateExponent(bytes(parts.private_exponent)),
            Attribute::Prime1(bytes(parts.prime1)),
            Attribute::Prime2(bytes(parts.prime2)),
            Attribute::Exponent1(bytes(parts.exponent1)),
            Attribute::Exponent2(bytes(parts.exponent2)),
            Attribute::Coefficient(bytes(parts.coefficient)),
        ]);
        public.extend([
            Attribute::KeyType(KeyType::RSA),
            Attribute::Modulus(bytes(parts.modulus)),
            Attribute::PublicExponent(bytes(parts.public_exponent)),
            Attribute::Encrypt(true),
        ]);
    } else {
        let (curve, key_type, value) = if key.algorithm.oid == EC {
            let curve = key
                .algorithm
                .parameters_oid()
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            // ECPrivateKey (RFC 5915): version, privateKey, …
            let value = der::SliceReader::new(key.private_key.as_bytes()).and_then(|mut reader| {
                use der::Reader;
                reader.sequence(|reader: &mut der::SliceReader<'_>| {
                    u8::decode(reader)?;
                    let value = <&OctetStringRef>::decode(reader)?.as_bytes().to_vec();
                    reader.read_slice(reader.remaining_len())?;
                    Ok::<_, der::Error>(value)
                })
            })?;
            (curve, KeyType::EC, value)
        } else {
            let value = <&OctetStringRef>::from_der(key.private_key.as_bytes())?
                .as_bytes()
                .to_vec();
            (key.algorithm.oid, other_curves, value)
        };
        ensure!(
            [P256, P384, P521, ED25519, X25519].contains(&curve),
            "unknown curve {curve}"
        );
        let params = Attribute::EcParams(curve.to_der()?);
        private.extend([Attribute::KeyType(key_type), params.clone(), Attribute::Value(value)]);
        let point = OctetStringRef::new(public_bits)?.to_der()?;
        public.extend([Attribute::KeyType(key_type), params, Attribute::EcPoint(point)]);
    }
    session.create_object(&private)?;
    session.create_object(&public)?;
    Ok(())
}

fn write_certificate(session: &Session, label: &str, id: &[u8], der: Vec<u8>) -> Result<()> {
    let certificate = Certificate::from_der(&der)?;
    let certificate = certificate.tbs_certificate();
    let mut template = common(label, id);
    template.extend([
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Private(false),
        Attribute::Subject(certificate.subject().to_der()?),
        Attribute::Issuer(certificate.issuer().to_der()?),
        Attribute::SerialNumber(certificate.serial_number().to_der()?),
        Attribute::Value(der),
    ]);
    session.create_object(&template)?;
    Ok(())
}

fn destroy(session: &Session, id: Vec<u8>, class: &str) -> Result<()> {
    let mut template = vec![Attribute::Token(true), Attribute::Id(id)];
    match class {
        "private" => template.push(Attribute::Class(ObjectClass::PRIVATE_KEY)),
        "public" => template.push(Attribute::Class(ObjectClass::PUBLIC_KEY)),
        "certificate" => template.push(Attribute::Class(ObjectClass::CERTIFICATE)),
        _ => {}
    }
    for object in session.find_objects(&template)? {
        session.destroy_object(object)?;
    }
    Ok(())
}

fn common(label: &str, id: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Label(label.into()),
        Attribute::Id(id.to_vec()),
    ]
}

fn private_template(label: &str, id: &[u8], rsa: bool, usage: &str) -> Result<Vec<Attribute>> {
    let (sign, decrypt, always) = match usage {
        "sign" => (true, false, false),
        "decrypt" => (false, true, false),
        "both" => (true, true, false),
        "always-authenticate" => (true, true, true),
        other => bail!("unknown usage {other}"),
    };
    let mut template = common(label, id);
    template.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Sign(sign),
        Attribute::Decrypt(rsa && decrypt),
        Attribute::Unwrap(rsa && decrypt),
        Attribute::Derive(!rsa && decrypt),
    ]);
    if always {
        template.push(Attribute::AlwaysAuthenticate(true));
    }
    Ok(template)
}

fn rsa_spki(session: &Session, key: ObjectHandle) -> Result<Vec<u8>> {
    let modulus = attribute(session, key, AttributeType::Modulus)?;
    let exponent = attribute(session, key, AttributeType::PublicExponent)?;
    let bits = RsaPublicKey {
        modulus: UintRef::new(&modulus)?,
        public_exponent: UintRef::new(&exponent)?,
    }
    .to_der()?;
    spki(RSA, Some(AnyRef::NULL), &bits)
}

fn ec_spki(session: &Session, key: ObjectHandle, curve: ObjectIdentifier) -> Result<Vec<u8>> {
    let point = attribute(session, key, AttributeType::EcPoint)?;
    let point = <&OctetStringRef>::from_der(&point)?.as_bytes();
    if curve == ED25519 || curve == X25519 {
        spki(curve, None, point)
    } else {
        spki(EC, Some(AnyRef::from(&curve)), point)
    }
}

fn spki(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, bits: &[u8]) -> Result<Vec<u8>> {
    let parameters = parameters.map(Into::into);
    let algorithm = AlgorithmIdentifierOwned { oid, parameters };
    Ok(SubjectPublicKeyInfoOwned {
        algorithm,
        subject_public_key: BitString::from_bytes(bits)?,
    }
    .to_der()?)
}

fn attribute(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Vec<u8>> {
    match session.get_attributes(object, &[kind])?.pop() {
        Some(Attribute::Modulus(value) | Attribute::PublicExponent(value) | Attribute::EcPoint(value)) => Ok(value),
        other => bail!("{kind} is missing: {other:?}"),
    }
}
