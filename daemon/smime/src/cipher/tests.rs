//! The ciphers against published vectors, in pieces of every size.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use super::*;
use crate::test_hex::hex;
use crate::test_rng::TestRng;

fn key(octets: Vec<u8>) -> ContentKey {
    ContentKey::from_octets(Zeroizing::new(octets))
}

/// Cuts input into pieces of random lengths, empty ones among them.
fn pieces<'a>(mut input: &'a [u8], rng: &mut TestRng) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !input.is_empty() {
        let longest = [1, 5, 16, 17, 40, 400][rng.below(6)];
        let (piece, rest) = input.split_at(rng.below(longest + 1).min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

const TEXT: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
                    30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";

/// NIST SP 800-38A, sections F.2.1, F.2.3 and F.2.5, to which a block of padding is added.
#[test]
fn cbc_gives_the_ciphertexts_of_sp_800_38a() {
    let iv = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    for (secret, expected) in [
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
             73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
        ),
        (
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a
             571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
        ),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d
             39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
    ] {
        let mut ciphertext = Vec::new();
        let mut encryptor = CbcEncryptor::new(&key(hex(secret)), &iv).unwrap();
        encryptor.update(&hex(TEXT), &mut ciphertext);
        assert_eq!(ciphertext, hex(expected));
        encryptor.finish(&mut ciphertext);
        assert_eq!(ciphertext.len(), 80);
    }
}

#[test]
fn cbc_decrypts_what_it_encrypted_however_both_are_cut() {
    let mut rng = TestRng::new(1);
    for len in (0..70).chain([1000, 70_001]) {
        let plaintext = rng.octets(len);
        let key = key(rng.octets([16, 24, 32][len % 3]));
        let iv = rng.octets(16).try_into().unwrap();

        let mut ciphertext = Vec::new();
        let mut encryptor = CbcEncryptor::new(&key, &iv).unwrap();
        for piece in pieces(&plaintext, &mut rng) {
            encryptor.update(piece, &mut ciphertext);
        }
        encryptor.finish(&mut ciphertext);
        assert_eq!(ciphertext.len(), len / 16 * 16 + 16);

        let mut decrypted = Vec::new();
        let mut decryptor = CbcDecryptor::new(&key, &iv).unwrap();
        for piece in pieces(&ciphertext, &mut rng) {
            decryptor.update(piece, &mut decrypted);
        }
        decryptor.finish(&mut decrypted).unwrap();
        assert_eq!(decrypted, plaintext);
    }
}

/// The octets of a last block that are text; nothing if the padding is refused.
fn unpad(block: [u8; 16]) -> Option<usize> {
    let (secret, iv) = (key(vec![7; 16]), [9; 16]);
    let mut ciphertext = Vec::new();
    CbcEncryptor::new(&secret, &iv).unwrap().update(&block, &mut ciphertext);
    let mut decryptor = CbcDecryptor::new(&secret, &iv).unwrap();
    let mut plaintext = Vec::new();
    decryptor.update(&ciphertext, &mut plaintext);
    decryptor.finish(&mut plaintext).ok().map(|()| plaintext.len())
}

#[test]
fn only_padding_of_one_to_sixteen_equal_octets_is_accepted() {
    for padding in 0..=255 {
        let mut block = [0xaa; 16];
        for octet in block.iter_mut().rev().take(usize::from(padding).clamp(1, 16)) {
            *octet = padding;
        }
        let expected = (1..=16).contains(&padding).then(|| 16 - usize::from(padding));
        assert_eq!(unpad(block), expected, "{padding}");
        for wrong in 1..usize::from(padding).min(16) {
            let mut changed = block;
            changed[15 - wrong] ^= 0x40;
            assert_eq!(unpad(changed), None, "{padding}, octet {wrong} from the end");
        }
    }
}

#[test]
fn cbc_refuses_no_ciphertext_and_parts_of_blocks() {
    for len in [0, 1, 15, 17, 31] {
        let mut decryptor = CbcDecryptor::new(&key(vec![7; 32]), &[0; 16]).unwrap();
        let mut plaintext = Vec::new();
        decryptor.update(&vec![0; len], &mut plaintext);
        assert_eq!(decryptor.finish(&mut plaintext), Err(PaddingError), "{len}");
    }
}

struct GcmCase {
    key: &'static str,
    nonce: &'static str,
    plaintext_len: usize,
    additional_data: &'static str,
    ciphertext: &'static str,
    tag: &'static str,
}

const GCM_KEY: &str = "feffe9928665731c6d6a8f9467308308";
const GCM_TEXT: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                        1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";

/// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 3, 4, 6 and 16.
const GCM_CASES: [GcmCase; 4] = [
    GcmCase {
        key: GCM_KEY,
        nonce: "cafebabefacedbaddecaf888",
        plaintext_len: 64,
        additional_data: "",
        ciphertext: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
                     21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
        tag: "4d5c2af327cd64a62cf35abd2ba6fab4",
    },
    GcmCase {
        key: GCM_KEY,
        nonce: "cafebabefacedbaddecaf888",
        plaintext_len: 60,
        additional_data: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        ciphertext: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
                     21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        tag: "5bc94fbc3221a5db94fae95ae7121a47",
    },
    GcmCase {
        key: GCM_KEY,
        nonce: "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728
                c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
        plaintext_len: 60,
        additional_data: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        ciphertext: "8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca7
                     01e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca417034c34aee5",
        tag: "619cc5aefffe0bfa462af43c1699d050",
    },
    GcmCase {
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        nonce: "cafebabefacedbaddecaf888",
        plaintext_len: 60,
        additional_data: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        ciphertext: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                     8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        tag: "76fc6ece0f4e1768cddf8853bb2d551b",
    },
];

#[test]
fn gcm_agrees_with_the_published_test_cases_although_the_additional_data_comes_last() {
    let mut rng = TestRng::new(2);
    for case in GCM_CASES {
        let secret = key(hex(case.key));
        let plaintext = &hex(GCM_TEXT)[..case.plaintext_len];
        let mut sealer = GcmSealer::new(&secret, &hex(case.nonce)).unwrap();
        let mut ciphertext = Vec::new();
        for piece in pieces(plaintext, &mut rng) {
            sealer.update(piece, &mut ciphertext).unwrap();
        }
        assert_eq!(ciphertext, hex(case.ciphertext));
        if case.additional_data.is_empty() {
            assert_eq!(sealer.finish().to_vec(), hex(case.tag));
        }

        for tag_len in [16, 12] {
            let mut verifier = GcmVerifier::new(&secret, &hex(case.nonce)).unwrap();
            for piece in pieces(&ciphertext, &mut rng) {
                verifier.update(piece).unwrap();
            }
            let tag = &hex(case.tag)[..tag_len];
            let mut decryptor = verifier.verify(&hex(case.additional_data), tag).unwrap();
            let mut decrypted = Vec::new();
            for piece in pieces(&ciphertext, &mut rng) {
                decryptor.update(piece, &mut decrypted).unwrap();
            }
            assert_eq!(decrypted, plaintext);
        }
    }
}

#[test]
fn any_changed_bit_of_ciphertext_data_or_tag_is_found() {
    let case = &GCM_CASES[1];
    let (ciphertext, data, tag) = (hex(case.ciphertext), hex(case.additional_data), hex(case.tag));
    let verify = |ciphertext: &[u8], data: &[u8], tag: &[u8]| {
        let mut verifier = GcmVerifier::new(&key(hex(case.key)), &hex(case.nonce)).unwrap();
        verifier.update(ciphertext).unwrap();
        verifier.verify(data, tag).is_some()
    };
    assert!(verify(&ciphertext, &data, &tag));
    let flipped = |octets: &[u8], bit: usize| {
        let mut octets = octets.to_vec();
        octets[bit / 8] ^= 1 << (bit % 8);
        octets
    };
    for bit in 0..ciphertext.len() * 8 {
        assert!(!verify(&flipped(&ciphertext, bit), &data, &tag));
    }
    for bit in 0..data.len() * 8 {
        assert!(!verify(&ciphertext, &flipped(&data, bit), &tag));
    }
    for bit in 0..tag.len() * 8 {
        assert!(!verify(&ciphertext, &data, &flipped(&tag, bit)));
    }
    assert!(!verify(&ciphertext, &[], &tag));
    assert!(!verify(&ciphertext, &data, &[]));
    assert!(!verify(&ciphertext, &data, &[tag.clone(), vec![0]].concat()));
    assert!(!verify(&ciphertext[1..], &data, &tag));
}

#[test]
fn the_tag_does_not_depend_on_how_content_is_cut_and_long_content_is_authenticated_with_data() {
    let mut rng = TestRng::new(3);
    let (secret, nonce, content) = (key(rng.octets(24)), rng.octets(12), rng.octets(100_003));
    let mut whole = GcmSealer::new(&secret, &nonce).unwrap();
    let mut ciphertext = Vec::new();
    whole.update(&content, &mut ciphertext).unwrap();
    let tag = whole.finish();
    let mut cut = GcmSealer::new(&secret, &nonce).unwrap();
    let mut again = Vec::new();
    for piece in pieces(&content, &mut rng) {
        cut.update(piece, &mut again).unwrap();
    }
    assert_eq!((again, cut.finish()), (ciphertext.clone(), tag));

    let mut verifier = GcmVerifier::new(&secret, &nonce).unwrap();
    verifier.update(&ciphertext).unwrap();
    assert!(verifier.verify(&[], &tag).is_some());
}

#[test]
fn a_content_key_shows_nothing_of_itself() {
    assert_eq!(format!("{:?}", key(vec![0x5a; 16])), "ContentKey(…)");
}

#[test]
fn keys_that_are_no_aes_keys_are_refused() {
    for len in [0, 15, 33] {
        assert!(CbcEncryptor::new(&key(vec![0; len]), &[0; 16]).is_err());
        assert!(CbcDecryptor::new(&key(vec![0; len]), &[0; 16]).is_err());
        assert!(GcmSealer::new(&key(vec![0; len]), &[0; 12]).is_err());
    }
}
