//! Whatever BER leaves to the writer, the reader gives the same parts.

use super::*;

#[test]
fn every_framing_of_signed_data_gives_the_same_parts() {
    for form in [Form::Definite, Form::LongLengths, Form::Indefinite] {
        for content in strings(0x04) {
            assert_eq!(
                read(&signed(form, Some(&content))).unwrap(),
                signed_record(Some(b"hello world"))
            );
        }
        assert_eq!(read(&signed(form, None)).unwrap(), signed_record(None));
    }
}

#[test]
fn every_framing_of_auth_enveloped_data_gives_the_same_parts() {
    let expected = read(&auth_enveloped(Form::Definite, &tlv(0x80, b"hello world"))).unwrap();
    assert_eq!(expected.elements[7], (Field::UnprotectedAttrs, vec![0xa2, 0]));
    assert_eq!(expected.elements[6], (Field::Mac, tlv(0x04, b"mac")));
    assert_eq!(expected.elements[5], (Field::AuthAttrs, vec![0xa1, 2, 0x30, 0]));
    for form in [Form::Definite, Form::LongLengths, Form::Indefinite] {
        for content in strings(0x80) {
            assert_eq!(read(&auth_enveloped(form, &content)).unwrap(), expected);
        }
    }
}

#[test]
fn it_does_not_matter_where_the_input_is_cut() {
    for form in [Form::Definite, Form::Indefinite] {
        for content in strings(0x80) {
            let bytes = auth_enveloped(form, &content);
            let expected = read(&bytes).unwrap();
            let octets: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read_with(&Limits::default(), &octets).unwrap(), expected);
            for cut in 0..bytes.len() {
                let (one, other) = bytes.split_at(cut);
                assert_eq!(read_with(&Limits::default(), &[one, other]).unwrap(), expected);
            }
        }
    }
}

#[test]
fn content_is_a_slice_of_the_input() {
    struct Addresses(Vec<usize>);
    impl CmsVisitor for Addresses {
        type Error = BerError;
        fn content_type(&mut self, _: ObjectIdentifier) -> Result<(), BerError> {
            Ok(())
        }
        fn element(&mut self, _: Field, _: &[u8]) -> Result<(), BerError> {
            Ok(())
        }
        fn content(&mut self, bytes: &[u8]) -> Result<(), BerError> {
            self.0.push(bytes.as_ptr().addr());
            Ok(())
        }
        fn content_end(&mut self, _: bool) -> Result<(), BerError> {
            Ok(())
        }
    }
    let bytes = signed(Form::Definite, Some(&tlv(0x04, b"hello world")));
    let at = bytes.windows(11).position(|window| window == b"hello world").unwrap();
    let mut addresses = Addresses(Vec::new());
    CmsReader::new(&Limits::default()).push(&bytes, &mut addresses).unwrap();
    assert_eq!(addresses.0, [bytes[at..].as_ptr().addr()]);
}

#[test]
fn padding_behind_the_object_is_passed_over_and_anything_else_is_refused() {
    for form in [Form::Definite, Form::Indefinite] {
        let bytes = signed(form, None);
        let padded = [bytes.as_slice(), b"\0\0\r\n \t\n"].concat();
        assert_eq!(read(&padded).unwrap(), signed_record(None));
        let spoilt = [bytes.as_slice(), b"\r\n0"].concat();
        assert_eq!(
            read(&spoilt),
            Err(BerError::TrailingData {
                offset: bytes.len() as u64 + 2
            })
        );
    }
}

#[test]
fn a_malformed_certificate_is_handed_on_as_received() {
    let certificates = tlv(0xa0, &tlv(0x30, &[0x02, 0x7f]));
    let parts = [
        tlv(0x02, &[1]),
        tlv(0x31, &[]),
        tlv(0x30, &oid(ID_DATA)),
        certificates.clone(),
        tlv(0x31, &[]),
    ];
    let bytes = tlv(
        0x30,
        &[oid(ID_SIGNED_DATA), tlv(0xa0, &tlv(0x30, &parts.concat()))].concat(),
    );
    assert!(
        read(&bytes)
            .unwrap()
            .elements
            .contains(&(Field::Certificates, certificates))
    );
}

#[test]
fn to_definite_keeps_values_and_rejects_leftovers() {
    let limits = Limits::default();
    let der = signed(Form::Definite, Some(&tlv(0x04, &[3; 300])));
    assert_eq!(to_definite(&der, &limits).unwrap(), der);
    for form in [Form::LongLengths, Form::Indefinite] {
        let string = wrap(
            form,
            0x24,
            &[tlv(0x04, &[3; 100]), wrap(form, 0x24, &[tlv(0x04, &[3; 200])])],
        );
        assert_eq!(to_definite(&signed(form, Some(&string)), &limits).unwrap(), der);
    }
    assert!(matches!(
        to_definite(&[0x05, 0, 0], &limits),
        Err(BerError::TrailingData { offset: 2 })
    ));
    assert!(to_definite(&[0x30, 0x80, 0x05, 0], &limits).is_err());
    assert!(to_definite(&[0x30, 2, 0, 0], &limits).is_err());
    assert!(to_definite(&[], &limits).is_err());
}

#[test]
fn what_the_writer_writes_the_reader_reads() {
    let mut out = Vec::new();
    let mut writer = CmsWriter::start_signed(1, &[0x31, 0], ID_DATA, false, &mut out);
    let content: Vec<u8> = (0..200_000u32).map(|n| n.to_le_bytes()[0]).collect();
    writer.content(&content[..100_000], &mut out);
    writer.piece_head(100_000, &mut out);
    out.extend_from_slice(&content[100_000..]);
    writer.end_content(&mut out);
    writer.raw(&tlv(0x31, &[]), &mut out);
    writer.end(&mut out);
    let record = read(&out).unwrap();
    assert_eq!(record.content, content);
    assert_eq!(record.elements.last().unwrap(), &(Field::SignerInfos, vec![0x31, 0]));

    let mut out = Vec::new();
    let mut writer = CmsWriter::start_auth_enveloped(&tlv(0x31, &[]), ID_DATA, &tlv(0x30, &[]), &mut out);
    writer.content(b"secret", &mut out);
    writer.end_content(&mut out);
    writer.raw(&tlv(0x04, b"mac"), &mut out);
    writer.end(&mut out);
    let record = read(&out).unwrap();
    assert_eq!(record.content, b"secret");
    assert_eq!(record.content_end, Some(true));

    let mut out = Vec::new();
    let mut writer = CmsWriter::start_enveloped(2, &tlv(0x31, &[]), ID_DATA, &tlv(0x30, &[]), &mut out);
    writer.content(b"secret", &mut out);
    writer.end(&mut out);
    assert_eq!(read(&out).unwrap().elements[0], (Field::Version, vec![2, 1, 2]));

    let mut out = Vec::new();
    let mut writer = CmsWriter::start_signed(1, &[0x31, 0], ID_DATA, true, &mut out);
    writer.end_content(&mut out);
    writer.raw(&tlv(0x31, &[]), &mut out);
    writer.end(&mut out);
    assert_eq!(read(&out).unwrap().content_end, Some(false));
}
