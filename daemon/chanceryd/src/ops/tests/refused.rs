//! Who is told what, and what is refused to whom.

use super::*;

#[tokio::test]
async fn without_a_grant_a_key_that_exists_and_one_that_does_not_have_the_same_answer() {
    let Fixture { context, .. } = &Fixture::new(ALICES);
    let call = &call();
    for key in [id(3), id(4), unknown()] {
        let answers = [
            keys::find(context, call, key).await.unwrap_err(),
            sign::sign(context, call, to_sign(key)).await.unwrap_err(),
            decrypt::decrypt(context, call, to_decrypt(key)).await.unwrap_err(),
            agree::agree(context, call, to_agree(key)).await.unwrap_err(),
        ];
        for answer in answers {
            assert!(matches!(answer, OpError::NotPermitted), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn without_a_grant_an_identity_that_exists_and_one_that_does_not_have_the_same_answer() {
    let Fixture { context, .. } = &Fixture::new(ALICES);
    let call = &call();
    for address in [BOB, NOBODY] {
        let answer = identities::find(context, call, address).await.unwrap_err();
        assert!(matches!(answer, OpError::NotPermitted), "{answer:?}");
    }
    assert!(identities::find(context, call, "alice@EXAMPLE.org").await.is_ok());
}

#[tokio::test]
async fn with_a_grant_what_does_not_exist_is_not_found() {
    let Fixture { context, .. } = &Fixture::new(EVERYTHING);
    let answer = identities::find(context, &call(), NOBODY).await.unwrap_err();
    assert!(matches!(answer, OpError::IdentityNotFound(address) if address == NOBODY));
}

#[tokio::test]
async fn lists_show_what_the_caller_may_list_and_nothing_else() {
    let Fixture { context, .. } = &Fixture::new(ALICES);
    let page = PageRequest::new(0, "").unwrap();
    let keys = keys::list(context, &call(), &page).await.unwrap();
    let mut expected = [id(1), id(2)];
    expected.sort();
    assert_eq!(keys.entries.iter().map(|key| key.id).collect::<Vec<_>>(), expected);
    assert!(keys.next_page_token.is_empty(), "that there is more must not show");
    let identities = identities::list(context, &call(), &page).await.unwrap();
    assert_eq!(
        identities
            .entries
            .iter()
            .map(|one| one.address.as_str())
            .collect::<Vec<_>>(),
        [ALICE]
    );

    let stranger = Call {
        caller: Arc::new(Caller::of_uid(2000)),
        ..call()
    };
    assert!(keys::list(context, &stranger, &page).await.unwrap().entries.is_empty());
    assert!(matches!(
        tokens::list(context, &stranger, &page),
        Err(OpError::NotPermitted)
    ));
    assert!(matches!(
        tokens::lock(context, &call(), "card", false).await,
        Err(OpError::NotPermitted)
    ));
}

#[tokio::test]
async fn no_grant_lets_a_key_do_the_work_of_the_other_role() {
    let Fixture { context, .. } = &Fixture::new(EVERYTHING);
    let call = &call();
    let signed = sign::sign(context, call, to_sign(id(2))).await.unwrap_err();
    assert!(
        matches!(signed, OpError::KeyRoleMismatch { wanted: "signing", .. }),
        "{signed:?}"
    );
    let decrypted = decrypt::decrypt(context, call, to_decrypt(id(1))).await.unwrap_err();
    assert!(
        matches!(
            decrypted,
            OpError::KeyRoleMismatch {
                wanted: "decryption",
                ..
            }
        ),
        "{decrypted:?}"
    );
    let agreed = agree::agree(context, call, to_agree(id(1))).await.unwrap_err();
    assert!(matches!(agreed, OpError::KeyRoleMismatch { .. }), "{agreed:?}");
    // With the right role, the next thing to be missed is the token.
    let signed = sign::sign(context, call, to_sign(id(1))).await.unwrap_err();
    assert!(matches!(signed, OpError::KeyNotFound(_)), "{signed:?}");
}

#[tokio::test]
async fn what_does_not_fit_the_key_is_refused_before_the_token_is_asked() {
    let Fixture { context, .. } = &Fixture::new(EVERYTHING);
    let call = &call();
    let request = sign::Request {
        algorithm: SignatureAlgorithm::Ed25519,
        ..to_sign(id(1))
    };
    let error = sign::sign(context, call, request).await.unwrap_err();
    assert!(
        matches!(error, OpError::Invalid(Invalid::AlgorithmMismatch { .. })),
        "{error:?}"
    );
    let request = sign::Request {
        input: sign::Input::Digest(Bytes::from_static(&[1; 31])),
        ..to_sign(id(1))
    };
    let error = sign::sign(context, call, request).await.unwrap_err();
    assert!(
        matches!(error, OpError::Invalid(Invalid::Length { field: "digest", .. })),
        "{error:?}"
    );
    for (ciphertext, plaintext_length) in [
        (vec![1; 256], 16),
        (vec![0xff; 257], 16),
        (vec![1; 257], 0),
        (vec![1; 257], 257),
    ] {
        let request = decrypt::Request {
            ciphertext: ciphertext.into(),
            scheme: decrypt::Scheme::Pkcs1 { plaintext_length },
            ..to_decrypt(id(2))
        };
        let error = decrypt::decrypt(context, call, request).await.unwrap_err();
        assert!(matches!(error, OpError::Invalid(_)), "{error:?}");
    }
    let error = agree::agree(context, call, to_agree(id(2))).await.unwrap_err();
    assert!(
        matches!(error, OpError::Invalid(Invalid::AlgorithmMismatch { .. })),
        "{error:?}"
    );
}

#[test]
fn why_a_token_failed_is_told_to_those_alone_who_may_look_at_tokens() {
    let failed = || TokenError::Failed {
        token: "card".to_owned(),
        detail: "/usr/lib/odd.so: CKR_GENERAL_ERROR, as token other said".to_owned(),
    };
    let lost = || TokenError::ModuleEnded {
        token: "card".to_owned(),
        how: "token other: it did not answer".to_owned(),
    };
    let with = |operation| {
        format!(
            "[[grant]]\nname = \"one\"\ncaller = {{ uid = 1000 }}\noperations = [{operation:?}]\nidentities = [\"*\"]\n"
        )
    };
    for (operation, is_told) in [("sign", false), ("list", true), ("admin", true)] {
        let fixture = Fixture::new(&with(operation));
        for error in [failed(), lost()] {
            let (token, reason) = (error.token().to_owned(), OpError::Token(error.clone()).reason());
            let told = fixture.context.as_told(&call(), OpError::Token(error));
            let text = told.to_string();
            assert_eq!(text.contains("other"), is_told, "{operation}: {text}");
            assert_eq!(text.contains("request-1"), !is_told, "{operation}: {text}");
            assert!(text.contains(&token) && told.reason() == reason, "{text}");
        }
    }
}

#[tokio::test]
async fn nothing_is_encrypted_to_a_certificate_that_has_expired_or_is_not_valid_yet() {
    let Fixture { context, .. } = &Fixture::new(ALICES);
    let encrypt = async |from, to| {
        let certificate = Made::new(2, ALICE).usage(RSA_ENCIPHER).validity(from, to).der();
        let options = mail_encrypt::Options {
            certificates: vec![mail_encrypt::Recipient {
                certificate: certificate.into(),
                key_management: None,
            }],
            identities: Vec::new(),
            content_encryption: None,
        };
        let (sink, _pieces) = Sink::new();
        let content = tokio_stream::iter([Ok(Bytes::from_static(b"\r\nA letter.\r\n"))]);
        match mail_encrypt::encrypt(context, &call(), options, content, sink).await {
            Err(OpError::Invalid(error @ Invalid::RecipientNotValid { .. })) => error.to_string(),
            // The key is made up, so that whether the rest succeeds says nothing.
            _ => String::new(),
        }
    };
    // The call comes at 2030-01-01T00:00:00Z.
    let expired = encrypt("200101000000Z", "291231235959Z").await;
    assert!(expired.contains("CN=Subject 2"), "{expired}");
    assert!(expired.contains("expired on 2029-12-31T23:59:59Z"), "{expired}");
    let early = encrypt("300101000001Z", "490101000000Z").await;
    assert!(early.contains("is not valid before 2030-01-01T00:00:01Z"), "{early}");
    assert_eq!(encrypt("300101000000Z", "490101000000Z").await, "");
    assert_eq!(encrypt("200101000000Z", "300101000000Z").await, "");
}
