//! Whether the other side's public key may be shown to a private key. A point off the curve would make the token compute
//! on another, weaker curve and give the private key away piece by piece.

use chancery_token::KeyAlgorithm;
use subtle::ConstantTimeEq;

use super::Invalid;

/// Checks `peer` against the curve of `algorithm`: the form (uncompressed point, or 32 bytes for X25519), the coordinates'
/// range and the curve equation.
pub(super) fn check(algorithm: KeyAlgorithm, peer: &[u8]) -> Result<(), Invalid> {
    match algorithm {
        KeyAlgorithm::P256 => on_curve("P-256", 65, peer, |point| {
            p256::PublicKey::from_sec1_bytes(point).is_ok()
        }),
        KeyAlgorithm::P384 => on_curve("P-384", 97, peer, |point| {
            p384::PublicKey::from_sec1_bytes(point).is_ok()
        }),
        KeyAlgorithm::P521 => on_curve("P-521", 133, peer, |point| {
            p521::PublicKey::from_sec1_bytes(point).is_ok()
        }),
        KeyAlgorithm::X25519 if peer.len() == 32 => Ok(()),
        KeyAlgorithm::X25519 => Err(length(peer.len(), 32)),
        KeyAlgorithm::Rsa { .. } | KeyAlgorithm::Ed25519 => Err(Invalid::AlgorithmMismatch {
            key: super::keys::describe(algorithm),
            wanted: "key agreement",
        }),
    }
}

/// Refuses the secret of all zeros that X25519 gives for a peer's key of small order (RFC 7748, section 6.1).
pub(super) fn check_secret(algorithm: KeyAlgorithm, secret: &[u8]) -> Result<(), Invalid> {
    let zero = secret.iter().fold(0, |sum, byte| sum | byte).ct_eq(&0);
    if algorithm == KeyAlgorithm::X25519 && bool::from(zero) {
        return Err(Invalid::PeerPublicKey {
            curve: "X25519",
            why: "it is a point of small order",
        });
    }
    Ok(())
}

fn on_curve(curve: &'static str, wanted: usize, peer: &[u8], check: impl Fn(&[u8]) -> bool) -> Result<(), Invalid> {
    if peer.len() != wanted {
        return Err(length(peer.len(), wanted));
    }
    if peer.first() != Some(&0x04) {
        let why = "it does not begin with 0x04, the mark of an uncompressed point";
        return Err(Invalid::PeerPublicKey { curve, why });
    }
    if !check(peer) {
        let why = "it is not on the curve";
        return Err(Invalid::PeerPublicKey { curve, why });
    }
    Ok(())
}

fn length(found: usize, wanted: usize) -> Invalid {
    Invalid::Length {
        field: "peer_public_key",
        found,
        wanted: format!("exactly {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    /// The base point of P-256 (SEC 2, section 2.4.2).
    const P256_G: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                          4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

    fn base_point() -> Vec<u8> {
        (0..130)
            .step_by(2)
            .map(|i| u8::from_str_radix(&P256_G[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn a_point_on_the_curve_is_taken() {
        assert_eq!(check(KeyAlgorithm::P256, &base_point()), Ok(()));
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let mut point = base_point();
        point[64] ^= 1;
        assert!(matches!(
            check(KeyAlgorithm::P256, &point),
            Err(Invalid::PeerPublicKey { curve: "P-256", .. })
        ));
    }

    #[test]
    fn a_point_of_another_curve_or_form_is_refused() {
        let mut point = base_point();
        assert!(matches!(check(KeyAlgorithm::P384, &point), Err(Invalid::Length { .. })));
        assert!(matches!(
            check(KeyAlgorithm::P256, &point[..33]),
            Err(Invalid::Length { .. })
        ));
        assert!(matches!(check(KeyAlgorithm::P256, &[]), Err(Invalid::Length { .. })));
        point[0] = 0x06;
        assert!(matches!(
            check(KeyAlgorithm::P256, &point),
            Err(Invalid::PeerPublicKey { .. })
        ));
        assert!(matches!(
            check(KeyAlgorithm::P256, &[0; 65]),
            Err(Invalid::PeerPublicKey { .. })
        ));
    }

    #[test]
    fn coordinates_beyond_the_field_are_refused() {
        let mut point = vec![0xff; 65];
        point[0] = 0x04;
        assert!(matches!(
            check(KeyAlgorithm::P256, &point),
            Err(Invalid::PeerPublicKey { .. })
        ));
        let mut point = vec![0xff; 133];
        point[0] = 0x04;
        assert!(matches!(
            check(KeyAlgorithm::P521, &point),
            Err(Invalid::PeerPublicKey { .. })
        ));
    }

    #[test]
    fn keys_that_cannot_agree_are_refused() {
        let rsa = KeyAlgorithm::Rsa { bits: 2048 };
        assert!(matches!(
            check(rsa, &base_point()),
            Err(Invalid::AlgorithmMismatch { .. })
        ));
        assert!(matches!(
            check(KeyAlgorithm::Ed25519, &[1; 32]),
            Err(Invalid::AlgorithmMismatch { .. })
        ));
    }

    #[test]
    fn a_secret_of_zeros_is_refused_for_x25519() {
        assert!(check_secret(KeyAlgorithm::X25519, &[0; 32]).is_err());
        let mut secret = [0; 32];
        secret[31] = 1;
        assert_eq!(check_secret(KeyAlgorithm::X25519, &secret), Ok(()));
    }
}
