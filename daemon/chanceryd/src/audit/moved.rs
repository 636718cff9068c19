//! Where the chain ends if its file was moved away, as for a rotation, and the daemon killed before `FILE.head` named the last
//! record: in a file beside the trail whose name begins as its own does.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::file::{CAREFULLY, End, window};
use super::record;

/// More files than that are not looked into.
const MAX_FILES: usize = 256;

/// The last record that follows `known` in a file beside `path`, if one does.
pub(super) fn end_behind(path: &Path, known: End) -> Option<End> {
    let stem = path.file_stem()?.as_encoded_bytes();
    let beside = fs::read_dir(path.parent()?).ok()?.filter_map(Result::ok);
    let named_alike = beside.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(stem));
    named_alike
        .take(MAX_FILES)
        .filter(|entry| entry.path() != path)
        .filter_map(|entry| follow(&entry.path(), known).ok().flatten())
        .max_by_key(|end| end.seq)
}

/// As far as the records at the end of a file follow `known`.
fn follow(path: &Path, known: End) -> io::Result<Option<End>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(CAREFULLY.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let (octets, _) = window(&file)?;
    let lines = octets.split(|&octet| octet == b'\n');
    let mut records = lines.filter_map(record::decode).filter(|record| record.intact);
    if !records.any(|record| record.seq == known.seq && record.hash == known.hash) {
        return Ok(None);
    }
    let mut end = known;
    for record in records {
        if record.seq != end.seq + 1 || record.previous != end.hash {
            break;
        }
        end = End {
            seq: record.seq,
            hash: record.hash,
        };
    }
    Ok((end != known).then_some(end))
}
