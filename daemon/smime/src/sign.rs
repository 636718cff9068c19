//! Making signed messages, clear (multipart/signed) and opaque (SignedData with its content), while they pass. Here is the
//! state machine; private keys are somewhere else: the machine says what has to be signed and is given the signatures.
//!
//! ```text
//!   begin ─► push… ─► end ─► what each signer has to sign ─► finish(signatures)
//!              │        │                                        │
//!              ▼        ▼                                        ▼
//!   header, entity   rest of the entity              signature part, or rest of the CMS object
//! ```

mod attributes;
mod capabilities;
mod carrier;
mod error;
mod signed_data;

use std::time::SystemTime;

use rand_core::CryptoRng;

pub use self::error::SignError;

use self::carrier::Carrier;
use self::signed_data::SignerPlan;
use crate::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::digest::{Digester, digest};
use crate::limits::Limits;
use crate::mime::{EightBit, EntityMaker};

/// How the signed message carries its content (RFC 8551, section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// multipart/signed: everybody can read it.
    Clear,
    /// application/pkcs7-mime: no relay can change it without being noticed or stopped from it.
    Opaque,
}

/// One signer.
#[derive(Clone, Debug)]
pub struct SignerOptions {
    /// Its signing certificate.
    pub certificate: Certificate,
    /// The signature algorithm, which has to fit the certificate's key.
    pub algorithm: SignatureAlgorithm,
    /// The certificate to which answers should be encrypted. It goes with the message.
    pub encryption_certificate: Option<Certificate>,
}

/// How to sign.
#[derive(Clone, Debug)]
pub struct Options {
    /// Clear or opaque.
    pub form: Form,
    /// The signers, at least one.
    pub signers: Vec<SignerOptions>,
    /// Certificates of the chain; those of the signers are added by themselves.
    pub certificates: Vec<Certificate>,
    /// What goes into the signingTime attribute, in whole seconds.
    pub signing_time: SystemTime,
    /// Bounds on what is read.
    pub limits: Limits,
}

/// A message that is being signed.
#[derive(Debug)]
pub struct Signing {
    maker: EntityMaker,
    digester: Digester,
    content_length: u64,
    carrier: Carrier,
    signers: Vec<SignerPlan>,
    certificates: Vec<u8>,
    signing_time: SystemTime,
    /// Used again and again for the entity on its way.
    entity: Vec<u8>,
}

impl Signing {
    /// Before the first byte of the message. `rng` makes the boundary.
    ///
    /// # Errors
    /// [`SignError`] if there is no signer, or one's certificate, key and algorithm do not go together.
    pub fn begin(options: Options, rng: &mut impl CryptoRng) -> Result<Self, SignError> {
        error::check(&options)?;
        let digests = digest_algorithms(&options.signers);
        let carrier = match options.form {
            Form::Clear => Carrier::clear(&digests, rng),
            Form::Opaque => Carrier::opaque(&digests)?,
        };
        Ok(Self {
            maker: EntityMaker::new(EightBit::Encode, &options.limits),
            digester: Digester::new(&digests),
            content_length: 0,
            carrier,
            certificates: signed_data::certificates(&options),
            signers: options
                .signers
                .into_iter()
                .map(SignerPlan::new)
                .collect::<Result<_, _>>()?,
            signing_time: options.signing_time,
            entity: Vec::new(),
        })
    }

    /// The next bytes of the message. What can be sent on is appended to `out`.
    ///
    /// # Errors
    /// [`SignError::Mime`] for a message that cannot be signed as it is; the machine is of no use afterwards.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), SignError> {
        if self.carrier.takes_the_entity_as_it_is() {
            let before = out.len();
            self.maker.push(input, out)?;
            count(
                &mut self.digester,
                &mut self.content_length,
                out.get(before..).unwrap_or_default(),
            );
            return Ok(());
        }
        self.entity.clear();
        self.maker.push(input, &mut self.entity)?;
        self.pass_on(out);
        Ok(())
    }

    /// The message is complete: what has to be signed, in the order of the signers.
    ///
    /// # Errors
    /// [`SignError::Mime`] for a message that cannot be signed as it is.
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<(AwaitingSignatures, Vec<ToBeSigned>), SignError> {
        self.entity.clear();
        self.maker.end(&mut self.entity)?;
        self.pass_on(out);
        self.carrier.end_content(out);

        let digests = self.digester.finish();
        let signers = self
            .signers
            .into_iter()
            .map(|signer| signer.attributes(&digests, self.signing_time))
            .collect::<Result<Vec<_>, _>>()?;
        let to_be_signed = signers
            .iter()
            .map(|(signer, bytes)| ToBeSigned {
                algorithm: signer.algorithm(),
                bytes: bytes.clone(),
                content_digest: of(&digests, signer.algorithm().digest()),
            })
            .collect();
        let awaiting = AwaitingSignatures {
            carrier: self.carrier,
            signers,
            certificates: self.certificates,
            content_length: self.content_length,
        };
        Ok((awaiting, to_be_signed))
    }

    /// Sends on what is in `entity`.
    fn pass_on(&mut self, out: &mut Vec<u8>) {
        match self.maker.outer_header() {
            Some(outer_header) => self.carrier.begin(outer_header, out),
            // The header section is not complete, so that there is no entity yet.
            None => return,
        }
        count(&mut self.digester, &mut self.content_length, &self.entity);
        self.carrier.content(&self.entity, out);
    }
}

fn count(digester: &mut Digester, length: &mut u64, entity: &[u8]) {
    digester.update(entity);
    *length += entity.len() as u64;
}

/// The digest algorithms of the signers, each once, in their order.
fn digest_algorithms(signers: &[SignerOptions]) -> Vec<DigestAlgorithm> {
    let mut digests = Vec::new();
    for signer in signers {
        let digest = signer.algorithm.digest();
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    digests
}

/// The digest of this kind.
fn of(digests: &[(DigestAlgorithm, Vec<u8>)], algorithm: DigestAlgorithm) -> Vec<u8> {
    let found = digests.iter().find(|(of, _)| *of == algorithm);
    found.map(|(_, digest)| digest.clone()).unwrap_or_default()
}

/// What one private key has to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToBeSigned {
    /// With this algorithm.
    pub algorithm: SignatureAlgorithm,
    /// The DER of the signed attributes, a SET.
    pub bytes: Vec<u8>,
    /// The digest of the content, which is among the attributes: what a record of the signature should name.
    pub content_digest: Vec<u8>,
}

impl ToBeSigned {
    /// The digest of the bytes, for keys that sign digests. Of no use for Ed25519, which signs the bytes.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        digest(self.algorithm.digest(), &self.bytes)
    }
}

/// A message that is complete but for its signatures.
#[derive(Debug)]
pub struct AwaitingSignatures {
    carrier: Carrier,
    signers: Vec<(SignerPlan, Vec<u8>)>,
    certificates: Vec<u8>,
    content_length: u64,
}

impl AwaitingSignatures {
    /// Puts the signatures in, in the order of the signers, and ends the message. ECDSA signatures are DER
    /// ECDSA-Sig-Values.
    ///
    /// # Errors
    /// [`SignError::Signatures`] if there are not as many as signers, or one is empty.
    pub fn finish(self, signatures: Vec<Vec<u8>>, out: &mut Vec<u8>) -> Result<Signed, SignError> {
        if signatures.len() != self.signers.len() || signatures.iter().any(Vec::is_empty) {
            return Err(SignError::Signatures {
                expected: self.signers.len(),
            });
        }
        let signer_infos = self
            .signers
            .iter()
            .zip(&signatures)
            .map(|((signer, attributes), signature)| signer.signer_info(attributes, signature))
            .collect();
        let rest = signed_data::behind_content(&self.certificates, signer_infos);
        self.carrier.end(&rest, out)?;
        Ok(Signed {
            content_length: self.content_length,
        })
    }
}

/// What was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Octets of the signed entity.
    pub content_length: u64,
}
