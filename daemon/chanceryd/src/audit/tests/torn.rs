//! Files that end in something else than a whole record.

use super::*;

#[test]
fn a_half_written_record_stays_and_is_noted_by_the_next() {
    for torn in ["{\"seq\":2,\"time\":\"20", "\0\0\0\0", "garbage\nin two lines\n", "\n"] {
        let (_directory, path) = scene();
        Trail::open(&path, Sync::Never).unwrap().note("before", "").unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(torn.as_bytes());
        fs::write(&path, &bytes).unwrap();
        Trail::open(&path, Sync::Never).unwrap().note("after", "").unwrap();
        assert!(fs::read(&path).unwrap().starts_with(&bytes), "{torn:?}");
        let report = verify(&[&path]).unwrap();
        assert_eq!((report.records, report.findings), (3, Vec::new()), "{torn:?}");
        assert!(!report.torn.is_empty(), "{torn:?}");
    }
}

#[test]
fn the_very_first_record_may_be_the_torn_one() {
    let (_directory, path) = scene();
    fs::write(&path, "{\"seq\":1,").unwrap();
    Trail::open(&path, Sync::Never).unwrap().note("after", "").unwrap();
    let report = verify(&[&path]).unwrap();
    assert_eq!((report.records, report.torn, report.findings), (2, vec![1], Vec::new()));
}

#[test]
fn a_record_that_lacks_only_its_line_end_counts() {
    let (_directory, path) = scene();
    Trail::open(&path, Sync::Never).unwrap().note("before", "").unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, bytes.strip_suffix(b"\n").unwrap()).unwrap();
    Trail::open(&path, Sync::Never).unwrap().note("after", "").unwrap();
    let report = verify(&[&path]).unwrap();
    assert_eq!(
        (report.records, report.torn, report.findings),
        (2, Vec::new(), Vec::new())
    );
}

#[test]
fn a_file_without_any_record_near_its_end_is_not_appended_to() {
    let (_directory, path) = scene();
    fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
    assert!(matches!(
        Trail::open(&path, Sync::Never),
        Err(AuditError::Unreadable { .. })
    ));
}
