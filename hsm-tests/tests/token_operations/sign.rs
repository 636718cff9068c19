//! Signatures, judged by OpenSSL.

use chancery_token::{SignInput, SignMechanism};

use crate::{DIGESTS, hash, with_token};

#[test]
fn openssl_accepts_rsa_signatures_of_both_paddings() {
    with_token(
        "sign::openssl_accepts_rsa_signatures_of_both_paddings",
        |bench| async move {
            for (digest, name) in DIGESTS {
                let value = hash(digest, b"message");
                let option = format!("digest:{name}");
                let signature = bench
                    .sign("rsa", SignMechanism::RsaPkcs1(digest), SignInput::Digest(value.clone()))
                    .await?;
                bench.verify("rsa", &value, &signature, &[&option])?;
                // Hashing on this side comes to the same.
                let again = bench
                    .sign(
                        "rsa",
                        SignMechanism::RsaPkcs1(digest),
                        SignInput::Data(b"message".to_vec()),
                    )
                    .await?;
                assert_eq!(again, signature);
                let signature = bench
                    .sign("rsa", SignMechanism::RsaPss(digest), SignInput::Digest(value.clone()))
                    .await?;
                let pss = [option.as_str(), "rsa_padding_mode:pss", "rsa_pss_saltlen:digest"];
                bench.verify("rsa", &value, &signature, &pss)?;
                let other = hash(digest, b"another message");
                bench.verify("rsa", &other, &signature, &pss).unwrap_err();
            }
            Ok(())
        },
    );
}

#[test]
fn openssl_accepts_ecdsa_signatures_with_every_digest_on_every_curve() {
    with_token(
        "sign::openssl_accepts_ecdsa_signatures_with_every_digest_on_every_curve",
        |bench| async move {
            for label in ["p256", "p384", "p521"] {
                for (digest, _) in DIGESTS {
                    let value = hash(digest, b"message");
                    for _ in 0..4 {
                        let input = SignInput::Digest(value.clone());
                        let signature = bench.sign(label, SignMechanism::Ecdsa(digest), input).await?;
                        bench.verify(label, &value, &signature, &[])?;
                    }
                }
            }
            Ok(())
        },
    );
}

#[test]
fn openssl_accepts_ed25519_signatures() {
    with_token("sign::openssl_accepts_ed25519_signatures", |bench| async move {
        let data = SignInput::Data(b"message".to_vec());
        let signature = bench.sign("ed25519", SignMechanism::Ed25519, data).await?;
        bench.verify("ed25519", b"message", &signature, &["-rawin"])?;
        bench
            .verify("ed25519", b"massage", &signature, &["-rawin"])
            .unwrap_err();
        Ok(())
    });
}
