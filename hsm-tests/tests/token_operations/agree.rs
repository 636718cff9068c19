//! Key agreement, with OpenSSL on the other side.

use chancery_token::{Dispatch, TokenError};
use hsm_tests::softhsm::serve;

use crate::{openssl, with_token};

#[test]
fn both_sides_of_a_key_agreement_get_the_same_secret() {
    with_token(
        "agree::both_sides_of_a_key_agreement_get_the_same_secret",
        |bench| async move {
            for (label, algorithm, point_len, secret_len) in [
                ("p256", "EC:P-256", 65, 32),
                ("p384", "EC:P-384", 97, 48),
                ("p521", "EC:P-521", 133, 66),
                ("x25519", "X25519", 32, 32),
            ] {
                let peer = bench.directory.join("peer.pem").to_str().unwrap().to_owned();
                match algorithm.strip_prefix("EC:") {
                    Some(curve) => {
                        let option = format!("ec_paramgen_curve:{curve}");
                        openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", &option, "-out", &peer])?;
                    }
                    None => drop(openssl(&["genpkey", "-algorithm", algorithm, "-out", &peer])?),
                }
                let peer_spki = openssl(&["pkey", "-in", &peer, "-pubout", "-outform", "DER"])?;
                let point = peer_spki[peer_spki.len() - point_len..].to_vec();
                let key = serve::key(&bench.token, label)?;
                let secret = bench.token.agree(key, point, Dispatch::default()).await?;
                let public = bench.public(label);
                let theirs = openssl(&[
                    "pkeyutl",
                    "-derive",
                    "-inkey",
                    &peer,
                    "-peerkey",
                    &public,
                    "-peerform",
                    "DER",
                ])?;
                assert_eq!(*secret, theirs, "{label}");
                assert_eq!(secret.len(), secret_len);
            }
            Ok(())
        },
    );
}

#[test]
fn points_that_are_no_public_keys_are_refused() {
    with_token(
        "agree::points_that_are_no_public_keys_are_refused",
        |bench| async move {
            let off_curve = [&[4][..], &[1; 64]].concat();
            let short = vec![4; 64];
            let infinity = vec![0];
            for (label, peer) in [
                ("p256", off_curve),
                ("p256", short),
                ("p256", infinity),
                ("x25519", vec![0; 32]),
            ] {
                let key = serve::key(&bench.token, label)?;
                let error = bench
                    .token
                    .agree(key, peer.clone(), Dispatch::default())
                    .await
                    .unwrap_err();
                // SoftHSM itself refuses the X25519 point of small order, with an error that says nothing.
                let expected = matches!(error, TokenError::InputRefused { .. })
                    || (label == "x25519" && matches!(error, TokenError::Ckr { .. }));
                assert!(expected, "{label}: {error}");
            }
            Ok(())
        },
    );
}
