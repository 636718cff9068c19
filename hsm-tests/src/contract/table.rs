//! The differences between tokens, one row each. The clauses of the contract assert what stands here.

use chancery_proto::v1::{DigestAlgorithm, KeyRole, PinStatus, SignatureAlgorithm};

use crate::people::{KeyPair, Person};

/// How one kind of token differs from the others.
#[derive(Debug)]
pub struct Row {
    /// What people call it.
    pub name: &'static str,
    /// The keys that the tests put on it.
    pub keys: &'static [KeyRow],
    /// Those of [`MECHANISMS`] that its C_GetMechanismList has.
    pub mechanisms: &'static [&'static str],
    /// CK_TOKEN_INFO.ulMaxSessionCount, where it says a number.
    pub max_sessions: Option<u64>,
    /// What it does about PINs.
    pub pin: PinRow,
    /// What it says when it is taken away, if it can be: the CKR names that the daemon may meet first.
    pub removal: Option<&'static [&'static str]>,
}

/// How one key behaves.
#[derive(Debug)]
pub struct KeyRow {
    /// Whose.
    pub person: Person,
    /// Which of the person's pairs.
    pub pair: Pair,
    /// What it is for, in the order of the contract.
    pub roles: &'static [KeyRole],
    /// CKA_ALWAYS_AUTHENTICATE: the token wants the PIN for each use, and the daemon gives it.
    pub always_authenticate: bool,
    /// The signature algorithms that work. The others of its kind are refused as unsupported.
    pub signs: &'static [SignatureAlgorithm],
    /// The encryption schemes that work, if it is an RSA key for decryption. The others are refused as unsupported.
    pub decrypts: &'static [Scheme],
    /// Whether it agrees, if it is a key on a curve.
    pub agrees: bool,
}

/// One of a person's pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// The pair that signs.
    Signing,
    /// The pair that decrypts.
    Encryption,
}

/// An RSA encryption scheme; OAEP has one digest for the label and the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RSAES-PKCS1-v1_5.
    Pkcs1,
    /// RSAES-OAEP without a label.
    Oaep(DigestAlgorithm),
    /// RSAES-OAEP with a label.
    OaepWithLabel(DigestAlgorithm),
}

/// What a token does about PINs.
#[derive(Debug)]
pub struct PinRow {
    /// What it answers to one that is wrong.
    pub wrong: &'static str,
    /// What it then says about the tries that are left.
    pub after_one_wrong: PinStatus,
    /// How many wrong ones in a row lock it, if it can be locked.
    pub tries: Option<u32>,
    /// The reason that the daemon gives for refusing the last of them.
    pub last_wrong: &'static str,
    /// What the token says of its tries when it is locked.
    pub when_locked: PinStatus,
}

impl KeyRow {
    /// The key's files.
    #[must_use]
    pub fn files(&self) -> KeyPair {
        match self.pair {
            Pair::Signing => self.person.signing(),
            Pair::Encryption => self.person.encryption(),
        }
    }

    /// Whether it is for this.
    #[must_use]
    pub fn is_for(&self, role: KeyRole) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it is an RSA key.
    #[must_use]
    pub fn is_rsa(&self) -> bool {
        Person::RSA.contains(&self.person)
    }
}

/// The mechanisms that the daemon uses where there are any.
pub const MECHANISMS: [&str; 7] = [
    "CKM_RSA_PKCS",
    "CKM_RSA_X_509",
    "CKM_RSA_PKCS_PSS",
    "CKM_RSA_PKCS_OAEP",
    "CKM_ECDSA",
    "CKM_ECDH1_DERIVE",
    "CKM_EDDSA",
];

/// Every scheme that is asked of a key for decryption.
pub const SCHEMES: [Scheme; 6] = [
    Scheme::Pkcs1,
    Scheme::Oaep(DigestAlgorithm::Sha1),
    Scheme::Oaep(DigestAlgorithm::Sha256),
    Scheme::Oaep(DigestAlgorithm::Sha384),
    Scheme::Oaep(DigestAlgorithm::Sha512),
    Scheme::OaepWithLabel(DigestAlgorithm::Sha256),
];

/// Every signature algorithm of RSA keys.
pub const RSA: [SignatureAlgorithm; 6] = [
    SignatureAlgorithm::RsaPkcs1Sha256,
    SignatureAlgorithm::RsaPkcs1Sha384,
    SignatureAlgorithm::RsaPkcs1Sha512,
    SignatureAlgorithm::RsaPssSha256,
    SignatureAlgorithm::RsaPssSha384,
    SignatureAlgorithm::RsaPssSha512,
];

/// Every signature algorithm of keys on a curve.
pub const ECDSA: [SignatureAlgorithm; 3] = [
    SignatureAlgorithm::EcdsaSha256,
    SignatureAlgorithm::EcdsaSha384,
    SignatureAlgorithm::EcdsaSha512,
];

const SIGN: &[KeyRole] = &[KeyRole::Sign];
const DECRYPT: &[KeyRole] = &[KeyRole::Decrypt];

/// A key that signs, without being asked for the PIN each time.
const fn signer(person: Person, signs: &'static [SignatureAlgorithm]) -> KeyRow {
    KeyRow {
        person,
        pair: Pair::Signing,
        roles: SIGN,
        always_authenticate: false,
        signs,
        decrypts: &[],
        agrees: false,
    }
}

/// A key that decrypts or agrees.
const fn opener(person: Person, decrypts: &'static [Scheme]) -> KeyRow {
    KeyRow {
        person,
        pair: Pair::Encryption,
        roles: DECRYPT,
        always_authenticate: false,
        signs: &[],
        decrypts,
        agrees: decrypts.is_empty(),
    }
}

/// SoftHSM 2.6.
///
/// It has OAEP with SHA-1 and no label only; the other parameters go through CKM_RSA_X_509 and are un-padded by the daemon.
/// Wrong PINs never lock it, and it has no limit of sessions.
pub const SOFTHSM: Row = Row {
    name: "SoftHSM",
    keys: &[
        signer(Person::Alice, &RSA),
        opener(Person::Alice, &SCHEMES),
        signer(Person::Bob, &RSA),
        opener(Person::Bob, &SCHEMES),
        signer(Person::Carol, &ECDSA),
        opener(Person::Carol, &[]),
        signer(Person::Dave, &ECDSA),
        opener(Person::Dave, &[]),
        signer(Person::Erin, &[SignatureAlgorithm::Ed25519]),
        opener(Person::Erin, &[]),
        KeyRow {
            roles: &[KeyRole::Sign, KeyRole::Decrypt],
            decrypts: &SCHEMES,
            ..signer(Person::Frank, &RSA)
        },
        signer(Person::Grace, &ECDSA),
        opener(Person::Grace, &[]),
    ],
    mechanisms: &MECHANISMS,
    max_sessions: None,
    pin: PinRow {
        wrong: "CKR_PIN_INCORRECT",
        after_one_wrong: PinStatus::CountLow,
        tries: None,
        last_wrong: "PIN_INCORRECT",
        when_locked: PinStatus::Unspecified,
    },
    removal: None,
};

/// A PIV card (SP 800-73-4) through stock OpenSC 0.23 and pcscd.
///
/// The signature key wants the PIN for each use, right before it. OpenSC does not say that tries are spent before one is left,
/// and goes on saying so after a login that gave them all back. It sees that a card is gone only when it is asked about the
/// slot (C_GetSlotInfo) or the card is used: C_GetTokenInfo and C_GetSessionInfo answer as before.
pub const PIV: Row = Row {
    name: "OpenSC with a PIV card",
    keys: &[
        signer(Person::Carol, &ECDSA),
        KeyRow {
            always_authenticate: true,
            ..signer(Person::Alice, &RSA)
        },
        opener(Person::Alice, &SCHEMES),
        opener(Person::Carol, &[]),
    ],
    mechanisms: &[
        "CKM_RSA_PKCS",
        "CKM_RSA_X_509",
        "CKM_RSA_PKCS_PSS",
        "CKM_RSA_PKCS_OAEP",
        "CKM_ECDSA",
        "CKM_ECDH1_DERIVE",
    ],
    max_sessions: None,
    pin: PinRow {
        wrong: "CKR_PIN_INCORRECT",
        after_one_wrong: PinStatus::Unspecified,
        tries: Some(3),
        last_wrong: "PIN_LOCKED",
        when_locked: PinStatus::Locked,
    },
    removal: Some(&["CKR_DEVICE_REMOVED", "CKR_TOKEN_NOT_PRESENT"]),
};

/// tpm2-pkcs11 1.9 with swtpm, through tpm2-abrmd.
///
/// It cannot agree, and takes RSA-2048 and P-256 or P-384. It allows 1024 sessions. Its flags never say that tries are spent;
/// after three the TPM answers CKR_PIN_LOCKED to every PIN, until the time of its dictionary attack protection has passed.
pub const TPM2: Row = Row {
    name: "tpm2-pkcs11",
    keys: &[
        signer(Person::Alice, &RSA),
        opener(Person::Alice, &SCHEMES),
        signer(Person::Carol, &ECDSA),
        signer(Person::Dave, &ECDSA),
    ],
    mechanisms: &[
        "CKM_RSA_PKCS",
        "CKM_RSA_X_509",
        "CKM_RSA_PKCS_PSS",
        "CKM_RSA_PKCS_OAEP",
        "CKM_ECDSA",
    ],
    max_sessions: Some(1024),
    pin: PinRow {
        wrong: "CKR_PIN_INCORRECT",
        after_one_wrong: PinStatus::Unspecified,
        tries: Some(3),
        last_wrong: "PIN_INCORRECT",
        when_locked: PinStatus::Unspecified,
    },
    removal: None,
};

/// kryoptic 1.5.4, with OpenSSL 3.6 in it.
///
/// It does what SoftHSM does, and OAEP with every digest and with labels by itself. Its X25519 keys are CKK_EC_MONTGOMERY. It has
/// no limit of sessions, locks after ten wrong PINs, and says nothing of the tries before.
pub const KRYOPTIC: Row = Row {
    name: "kryoptic",
    keys: SOFTHSM.keys,
    mechanisms: &MECHANISMS,
    max_sessions: None,
    pin: PinRow {
        wrong: "CKR_PIN_INCORRECT",
        after_one_wrong: PinStatus::Unspecified,
        tries: Some(10),
        last_wrong: "PIN_LOCKED",
        when_locked: PinStatus::Locked,
    },
    removal: None,
};
