//! What a token can do with RSA-OAEP, decided once when its keys become usable.

use std::sync::atomic::{AtomicU16, Ordering};

use cryptoki::{
    mechanism::{
        Mechanism, MechanismType,
        rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource},
    },
    slot::Slot,
};

use crate::{mechanism::Digest, module::Module};

const DIGESTS: [Digest; 4] = [Digest::Sha1, Digest::Sha256, Digest::Sha384, Digest::Sha512];

/// How OAEP ciphertexts are decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OaepRoute {
    /// CKM_RSA_PKCS_OAEP.
    Native,
    /// CKM_RSA_X_509, un-padded here.
    Bare,
    /// Not at all.
    None,
}

/// The combinations of digest and mask generation function that the token accepts.
#[derive(Debug, Default)]
pub(crate) struct Capabilities {
    /// One bit for each combination.
    native: AtomicU16,
    bare: bool,
}

impl Capabilities {
    /// Reads the mechanism list and tries every combination with an RSA key. C_DecryptInit judges the parameters; the
    /// session it leaves with an active operation is closed. `key` is a handle of an RSA key that decrypts, if there is one.
    /// `alive` is told between the calls.
    pub(crate) fn probe(module: &Module, slot: Slot, key: Option<u64>, alive: &mut dyn FnMut()) -> Self {
        // A token that cannot say what it can do is tried with everything.
        let list = module.context.get_mechanism_list(slot).ok();
        let has = |kind: MechanismType| list.as_ref().is_none_or(|list| list.contains(&kind));
        let mut native = 0;
        if let (Some(key), true) = (key, has(MechanismType::RSA_PKCS_OAEP)) {
            for digest in DIGESTS {
                for mgf1 in DIGESTS {
                    alive();
                    let Ok(session) = module.context.open_ro_session(slot) else {
                        continue;
                    };
                    alive();
                    if module.raw.decrypt_init(&session, &oaep(digest, mgf1, &[]), key).is_ok() {
                        native |= bit(digest, mgf1);
                    }
                }
            }
        }
        Self {
            native: AtomicU16::new(native),
            bare: has(MechanismType::RSA_X_509),
        }
    }

    /// The way for these parameters. A label that is not empty goes the bare way where there is one: tokens that take
    /// other digests often refuse it.
    pub(crate) fn oaep_route(&self, digest: Digest, mgf1: Digest, label: &[u8]) -> OaepRoute {
        let native = self.native.load(Ordering::Relaxed) & bit(digest, mgf1) != 0;
        match (native, self.bare) {
            (true, true) if !label.is_empty() => OaepRoute::Bare,
            (true, _) => OaepRoute::Native,
            (false, true) => OaepRoute::Bare,
            (false, false) => OaepRoute::None,
        }
    }

    /// C_DecryptInit took the parameters and C_Decrypt did not: from now on the other way.
    pub(crate) fn not_native(&self, digest: Digest, mgf1: Digest) {
        self.native.fetch_and(!bit(digest, mgf1), Ordering::Relaxed);
    }
}

/// The mechanism with its parameters.
pub(crate) fn oaep(digest: Digest, mgf1: Digest, label: &[u8]) -> Mechanism<'_> {
    // SoftHSM insists on a null pointer for an empty label.
    let source = if label.is_empty() {
        PkcsOaepSource::empty()
    } else {
        PkcsOaepSource::data_specified(label)
    };
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(digest.mechanism(), mgf1.mgf1(), source))
}

fn bit(digest: Digest, mgf1: Digest) -> u16 {
    let position = |digest: Digest| match digest {
        Digest::Sha1 => 0_u16,
        Digest::Sha256 => 1,
        Digest::Sha384 => 2,
        Digest::Sha512 => 3,
    };
    1 << (position(digest) * 4 + position(mgf1))
}

impl Digest {
    pub(crate) const fn mechanism(self) -> MechanismType {
        match self {
            Self::Sha1 => MechanismType::SHA1,
            Self::Sha256 => MechanismType::SHA256,
            Self::Sha384 => MechanismType::SHA384,
            Self::Sha512 => MechanismType::SHA512,
        }
    }

    pub(crate) const fn mgf1(self) -> PkcsMgfType {
        match self {
            Self::Sha1 => PkcsMgfType::MGF1_SHA1,
            Self::Sha256 => PkcsMgfType::MGF1_SHA256,
            Self::Sha384 => PkcsMgfType::MGF1_SHA384,
            Self::Sha512 => PkcsMgfType::MGF1_SHA512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_a_bit_of_its_own() {
        let all = DIGESTS
            .iter()
            .flat_map(|digest| DIGESTS.iter().map(|mgf1| bit(*digest, *mgf1)));
        assert_eq!(all.fold(0, |bits, bit| bits + u32::from(bit)), 0xffff);
    }

    #[test]
    fn what_the_token_refuses_goes_the_bare_way_if_there_is_one() {
        let sha1 = bit(Digest::Sha1, Digest::Sha1);
        let both = Capabilities {
            native: AtomicU16::new(sha1),
            bare: true,
        };
        assert_eq!(both.oaep_route(Digest::Sha1, Digest::Sha1, b""), OaepRoute::Native);
        assert_eq!(both.oaep_route(Digest::Sha1, Digest::Sha1, b"label"), OaepRoute::Bare);
        assert_eq!(both.oaep_route(Digest::Sha256, Digest::Sha256, b""), OaepRoute::Bare);
        both.not_native(Digest::Sha1, Digest::Sha1);
        assert_eq!(both.oaep_route(Digest::Sha1, Digest::Sha1, b""), OaepRoute::Bare);
        let native = Capabilities {
            native: AtomicU16::new(sha1),
            bare: false,
        };
        assert_eq!(
            native.oaep_route(Digest::Sha1, Digest::Sha1, b"label"),
            OaepRoute::Native
        );
        assert_eq!(native.oaep_route(Digest::Sha256, Digest::Sha256, b""), OaepRoute::None);
    }
}
