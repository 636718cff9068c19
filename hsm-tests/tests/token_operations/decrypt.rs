//! What OpenSSL encrypted, and what nobody did.

use chancery_token::{DecryptScheme, Digest, TokenError};

use crate::{DIGESTS, with_token};

#[test]
fn what_openssl_encrypted_with_rsa_is_decrypted() {
    with_token(
        "decrypt::what_openssl_encrypted_with_rsa_is_decrypted",
        |bench| async move {
            let plain = b"0123456789abcdef0123456789abcdef";
            let ciphertext = bench.encrypt("rsa", plain, &["rsa_padding_mode:pkcs1"]);
            assert_eq!(bench.decrypt("rsa", DecryptScheme::RsaPkcs1, &ciphertext).await?, plain);
            let digests = [(Digest::Sha1, "sha1"), DIGESTS[0], DIGESTS[1], DIGESTS[2]];
            for (digest, name) in digests {
                for (mgf1, mgf1_name) in digests {
                    for label in [&b""[..], b"label"] {
                        let mut options = vec![
                            "rsa_padding_mode:oaep".to_owned(),
                            format!("rsa_oaep_md:{name}"),
                            format!("rsa_mgf1_md:{mgf1_name}"),
                        ];
                        if !label.is_empty() {
                            options.push("rsa_oaep_label:6c6162656c".to_owned());
                        }
                        let options: Vec<&str> = options.iter().map(String::as_str).collect();
                        let ciphertext = bench.encrypt("rsa", plain, &options);
                        let scheme = DecryptScheme::RsaOaep {
                            digest,
                            mgf1,
                            label: label.to_vec(),
                        };
                        assert_eq!(bench.decrypt("rsa", scheme, &ciphertext).await?, plain, "{options:?}");
                    }
                }
            }
            Ok(())
        },
    );
}

#[test]
fn whatever_is_wrong_with_a_ciphertext_gives_one_error() {
    with_token(
        "decrypt::whatever_is_wrong_with_a_ciphertext_gives_one_error",
        |bench| async move {
            let failed = TokenError::DecryptionFailed { token: "ops".into() };
            let oaep = |digest| DecryptScheme::RsaOaep {
                digest,
                mgf1: digest,
                label: vec![],
            };
            let schemes = [
                DecryptScheme::RsaPkcs1,
                oaep(Digest::Sha1),
                oaep(Digest::Sha256),
                oaep(Digest::Sha512),
            ];
            for scheme in schemes {
                for filler in [0x11, 0x42, 0x7f] {
                    let mut ciphertext = vec![filler; 256];
                    ciphertext[0] = 0;
                    let error = bench.decrypt("rsa", scheme.clone(), &ciphertext).await.unwrap_err();
                    assert_eq!(error, failed, "{scheme:?}");
                }
                // Of the right length, but not smaller than the modulus.
                let error = bench.decrypt("rsa", scheme.clone(), &[0xff; 256]).await.unwrap_err();
                assert_eq!(error, failed, "{scheme:?}");
            }
            let error = bench
                .decrypt("rsa", DecryptScheme::RsaPkcs1, &[1; 255])
                .await
                .unwrap_err();
            assert!(matches!(error, TokenError::InputRefused { .. }));
            // The token serves on.
            let ciphertext = bench.encrypt("rsa", b"key", &["rsa_padding_mode:pkcs1"]);
            assert_eq!(
                bench.decrypt("rsa", DecryptScheme::RsaPkcs1, &ciphertext).await?,
                b"key"
            );
            assert_eq!(bench.token.status().generation, 1);
            Ok(())
        },
    );
}
