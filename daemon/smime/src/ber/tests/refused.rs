//! What the reader refuses: what is malformed, of another kind, too deep or too long.

use super::*;

#[test]
fn a_truncated_object_is_refused_wherever_it_ends() {
    for form in [Form::Definite, Form::Indefinite] {
        let bytes = signed(form, Some(&strings(0x04)[3]));
        for length in 0..bytes.len() {
            assert_eq!(
                read(&bytes[..length]),
                Err(BerError::Truncated { offset: length as u64 })
            );
        }
    }
}

#[test]
fn no_bit_flip_makes_the_reader_panic() {
    for form in [Form::Definite, Form::Indefinite] {
        let bytes = auth_enveloped(form, &strings(0x80)[5]);
        for bit in 0..bytes.len() * 8 {
            let mut spoilt = bytes.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            let whole = read(&spoilt);
            let octets: Vec<&[u8]> = spoilt.chunks(1).collect();
            assert_eq!(read_with(&Limits::default(), &octets), whole);
        }
    }
}

#[test]
fn multi_byte_tags_are_refused() {
    assert_eq!(
        read(&[0x3f, 0x81, 0x01, 0x00]),
        Err(BerError::MultiByteTag { offset: 0 })
    );
    let inside = wrap(Form::Indefinite, 0x30, &[oid(ID_SIGNED_DATA), vec![0xbf, 0x20, 0x80]]);
    assert_eq!(read(&inside), Err(BerError::MultiByteTag { offset: 13 }));
}

#[test]
fn reserved_lengths_and_indefinite_primitives_are_refused() {
    assert_eq!(read(&[0x30, 0xff]), Err(BerError::InvalidLength { offset: 1 }));
    assert_eq!(read(&[0x30, 0x89]), Err(BerError::InvalidLength { offset: 1 }));
    assert_eq!(
        read(&[0x30, 0x80, 0x06, 0x80]),
        Err(BerError::InvalidLength { offset: 3 })
    );
}

#[test]
fn an_element_longer_than_the_one_around_it_is_refused() {
    let mut bytes = signed(Form::Definite, Some(&tlv(0x04, b"hello world")));
    let at = bytes.windows(11).position(|window| window == b"hello world").unwrap();
    bytes[at - 1] += 1;
    assert_eq!(read(&bytes), Err(BerError::Overrun { offset: at as u64 - 2 }));
    let huge = [0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(read(&huge), Err(BerError::Overrun { offset: 0 }));
}

#[test]
fn an_end_of_contents_in_a_definite_element_is_refused() {
    let bytes = tlv(0x30, &[0, 0]);
    assert!(matches!(
        read(&bytes),
        Err(BerError::Unexpected {
            tag: 0,
            offset: 2,
            within: "ContentInfo"
        })
    ));
}

#[test]
fn elements_out_of_order_or_missing_are_refused() {
    let wrong = tlv(0x30, &[oid(ID_SIGNED_DATA), tlv(0x31, &[])].concat());
    assert!(matches!(
        read(&wrong),
        Err(BerError::Unexpected {
            tag: 0x31,
            within: "ContentInfo",
            ..
        })
    ));
    let body = tlv(0x30, &tlv(0x02, &[1]));
    let short = tlv(0x30, &[oid(ID_SIGNED_DATA), tlv(0xa0, &body)].concat());
    assert!(matches!(
        read(&short),
        Err(BerError::Incomplete {
            within: "SignedData",
            ..
        })
    ));
}

#[test]
fn other_content_types_are_refused_by_name() {
    let bytes = tlv(0x30, &[oid(ID_DATA), tlv(0xa0, &tlv(0x04, b"x"))].concat());
    assert_eq!(read(&bytes), Err(BerError::UnsupportedContentType(ID_DATA)));
}

#[test]
fn nesting_is_bounded() {
    let limits = Limits {
        nesting: 8,
        ..Limits::default()
    };
    let mut string = tlv(0x04, b"x");
    for _ in 0..3 {
        string = wrap(Form::Indefinite, 0x24, &[string]);
    }
    let fits = signed(Form::Indefinite, Some(&string));
    assert!(read_with(&limits, &[&fits]).is_ok());
    let deep = signed(Form::Indefinite, Some(&wrap(Form::Indefinite, 0x24, &[string])));
    assert_eq!(read_with(&limits, &[&deep]), Err(BerError::TooDeep { limit: 8 }));
    let endless = [&[0x30, 0x80][..]; 100_000].concat();
    assert_eq!(to_definite(&endless, &limits), Err(BerError::TooDeep { limit: 8 }));
}

#[test]
fn collected_elements_are_bounded_and_content_is_not() {
    let limits = Limits {
        cms_element_len: 64,
        ..Limits::default()
    };
    let content = tlv(0x04, &[7; 10_000]);
    let recipients = |form, count: usize| wrap(form, 0x31, &vec![tlv(0x30, &[]); count]);
    for form in [Form::Definite, Form::Indefinite] {
        assert_eq!(
            read_with(&limits, &[&signed(form, Some(&content))])
                .unwrap()
                .content
                .len(),
            10_000
        );
        let enveloped = |count| {
            let parts = [tlv(0x02, &[0]), recipients(form, count)];
            let body = wrap(Form::Indefinite, 0x30, &parts);
            wrap(
                Form::Indefinite,
                0x30,
                &[oid(grammar::ID_ENVELOPED_DATA), wrap(Form::Indefinite, 0xa0, &[body])],
            )
        };
        assert_eq!(
            read_with(&limits, &[&enveloped(50)]),
            Err(BerError::ElementTooLong {
                element: "recipientInfos",
                limit: 64
            })
        );
        assert!(matches!(
            read_with(&limits, &[&enveloped(20)]),
            Err(BerError::Incomplete { .. })
        ));
    }
}
