//! The older `openssl smime`, which writes and reads PKCS #7 as programs of twenty years ago did.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::ffi::OsString;

use hsm_tests::{
    daemon::{Daemon, Setup},
    messages::{ENTITY, letter},
    openssl,
    people::{Person, intermediate_certificate, root_certificate},
};

fn chancery(daemon: &Daemon, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    daemon.chancery(arguments, input).unwrap().success().unwrap()
}

fn smime<const N: usize>(options: &[&str], files: [(&str, OsString); N], input: &[u8]) -> Vec<u8> {
    let files = files.into_iter().flat_map(|(option, file)| [option.into(), file]);
    let arguments = options
        .iter()
        .map(OsString::from)
        .chain(files.filter(|each| !each.is_empty()));
    openssl::smime(arguments, input).unwrap().success().unwrap()
}

#[test]
fn pkcs7_programs_verify_what_is_signed() {
    let daemon = Setup::new().token("cards", &Person::OPENSSL).start().unwrap();
    let root = root_certificate().into_os_string();
    for person in Person::OPENSSL {
        for form in [&["sign"][..], &["sign", "--opaque"]] {
            let signed = chancery(&daemon, form, &letter(person));
            let content = smime(&["-verify"], [("-CAfile", root.clone())], &signed);
            assert_eq!(content, ENTITY, "{person:?} {form:?}");
        }
    }
}

#[test]
fn what_pkcs7_programs_sign_is_verified() {
    let daemon = Setup::new().start().unwrap();
    for person in Person::OPENSSL {
        let pair = person.signing();
        for form in [
            &["-sign"][..],
            &["-sign", "-nodetach"],
            &["-sign", "-nodetach", "-outform", "DER"],
        ] {
            let files = [
                ("-signer", pair.certificate_file().into_os_string()),
                ("-inkey", pair.private_key_file().into_os_string()),
                ("-certfile", intermediate_certificate().into_os_string()),
            ];
            chancery(&daemon, &["verify"], &smime(form, files, ENTITY));
        }
    }
}

#[test]
fn pkcs7_programs_decrypt_what_is_encrypted_to_rsa_keys() {
    let daemon = Setup::new().token("cards", &Person::RSA).start().unwrap();
    for person in Person::RSA {
        for cipher in ["aes128-cbc", "aes256-cbc"] {
            let to = person.address();
            let options = ["encrypt", "--to", &to, "--key-management", "rsa-pkcs1"];
            let sealed = chancery(
                &daemon,
                &[&options[..], &["--content-encryption", cipher]].concat(),
                &letter(person),
            );
            let pair = person.encryption();
            let files = [
                ("-recip", pair.certificate_file().into_os_string()),
                ("-inkey", pair.private_key_file().into_os_string()),
            ];
            assert_eq!(smime(&["-decrypt"], files, &sealed), ENTITY, "{person:?} {cipher}");
        }
    }
}

#[test]
fn what_pkcs7_programs_encrypt_is_decrypted() {
    let daemon = Setup::new().token("cards", &Person::RSA).start().unwrap();
    for person in Person::RSA {
        for cipher in ["-aes128", "-aes192", "-aes256"] {
            for form in [&["-encrypt", cipher][..], &["-encrypt", cipher, "-outform", "DER"]] {
                let certificate = person.encryption().certificate_file().into_os_string();
                let sealed = smime(form, [("", certificate)], ENTITY);
                let opened = chancery(&daemon, &["decrypt"], &sealed);
                assert!(opened.ends_with(ENTITY), "{person:?} {form:?}");
            }
        }
    }
}
