//! The SoftHSM fixture itself: what other tests build on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::process::Command;

use hsm_tests::softhsm::{Curve, SoftHsm, Usage};
use x509_cert::{der::Decode, spki::SubjectPublicKeyInfoOwned};

#[test]
fn a_token_holds_keys_of_every_kind() {
    let softhsm = SoftHsm::new().unwrap();
    let token = softhsm.init_token("fixture", "123456").unwrap();
    assert_eq!(token.serial.len(), 16);
    let keys = [
        softhsm.generate_rsa(&token, "rsa", &[1], 2048, Usage::Both).unwrap(),
        softhsm
            .generate_ec(&token, "p256", &[2], Curve::P256, Usage::Sign)
            .unwrap(),
        softhsm
            .generate_ec(&token, "p384", &[3], Curve::P384, Usage::Decrypt)
            .unwrap(),
        softhsm
            .generate_ec(&token, "p521", &[4], Curve::P521, Usage::Sign)
            .unwrap(),
        softhsm.generate_ed25519(&token, "ed25519", &[5], Usage::Sign).unwrap(),
        softhsm.generate_x25519(&token, "x25519", &[6], Usage::Decrypt).unwrap(),
    ];
    let algorithms: Vec<String> = keys
        .iter()
        .map(|key| {
            SubjectPublicKeyInfoOwned::from_der(key)
                .unwrap()
                .algorithm
                .oid
                .to_string()
        })
        .collect();
    assert_eq!(
        algorithms,
        [
            "1.2.840.113549.1.1.1",
            "1.2.840.10045.2.1",
            "1.2.840.10045.2.1",
            "1.2.840.10045.2.1",
            "1.3.101.112",
            "1.3.101.110"
        ]
    );
}

#[test]
fn keys_made_by_openssl_are_imported() {
    let softhsm = SoftHsm::new().unwrap();
    let token = softhsm.init_token("fixture", "123456").unwrap();
    for (number, algorithm) in [
        ["RSA", "rsa_keygen_bits:2048"],
        ["EC", "ec_paramgen_curve:P-256"],
        ["EC", "ec_paramgen_curve:P-521"],
        ["ED25519", ""],
        ["X25519", ""],
    ]
    .into_iter()
    .enumerate()
    {
        let pem = softhsm.directory().join("key.pem");
        let mut command = Command::new("openssl");
        command.args(["genpkey", "-algorithm", algorithm[0], "-out"]).arg(&pem);
        if !algorithm[1].is_empty() {
            command.args(["-pkeyopt", algorithm[1]]);
        }
        assert!(command.output().unwrap().status.success());
        let convert = |arguments: &[&str]| {
            Command::new("openssl")
                .args(arguments)
                .arg(&pem)
                .output()
                .unwrap()
                .stdout
        };
        // genpkey's own DER output is not PKCS#8 for RSA.
        let key = convert(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in"]);
        let public = convert(&["pkey", "-pubout", "-outform", "DER", "-in"]);
        let id = [u8::try_from(number).unwrap()];
        softhsm
            .import(&token, algorithm[0], &id, &key, &public, Usage::Both)
            .unwrap();
    }
}

#[test]
fn a_wrong_pin_is_reported() {
    let softhsm = SoftHsm::new().unwrap();
    let mut token = softhsm.init_token("fixture", "123456").unwrap();
    token.pin = "654321".into();
    let error = softhsm
        .generate_ed25519(&token, "ed25519", &[5], Usage::Sign)
        .unwrap_err();
    assert!(error.to_string().contains("PIN"), "{error}");
}
