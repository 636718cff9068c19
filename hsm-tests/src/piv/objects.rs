//! The card's data objects (SP 800-73-4 part 1, section 3 and appendix A), and GET DATA.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    AID, Slot,
    apdu::{Command, Status},
    tlv::{element, find},
};
use crate::people::KeyPair;

/// Card capability container, cardholder unique identifier, key history.
const CAPABILITIES: [u8; 3] = [0x5f, 0xc1, 0x07];
const HOLDER: [u8; 3] = [0x5f, 0xc1, 0x02];
const HISTORY: [u8; 3] = [0x5f, 0xc1, 0x0c];

/// The discovery object, which alone has a tag of one byte and is not wrapped.
const DISCOVERY: u8 = 0x7e;

/// The other objects by tag.
#[derive(Debug)]
pub(super) struct Objects(BTreeMap<[u8; 3], Vec<u8>>);

impl Objects {
    pub(super) fn new(keys: &[(Slot, KeyPair)]) -> Result<Self> {
        let mut objects = BTreeMap::from([(CAPABILITIES, capabilities()), (HOLDER, holder())]);
        for (slot, pair) in keys {
            objects.insert(slot.certificate(), certificate(&pair.certificate()?));
        }
        let retired = keys.iter().filter(|(slot, _)| *slot == Slot::Retired).count();
        objects.insert(HISTORY, history(u8::try_from(retired)?));
        Ok(Self(objects))
    }

    /// GET DATA (part 2, section 3.1.2): a tag list in, the object out.
    pub(super) fn read(&self, command: &Command, data: &[u8]) -> Result<Vec<u8>, Status> {
        if (command.p1, command.p2) != (0x3f, 0xff) {
            return Err(Status::WRONG_PARAMETERS);
        }
        let tag = find(data, 0x5c).ok_or(Status::WRONG_DATA)?;
        if tag == [DISCOVERY] {
            return Ok(discovery());
        }
        let tag: [u8; 3] = tag.try_into().map_err(|_| Status::NOT_FOUND)?;
        let value = self.0.get(&tag).ok_or(Status::NOT_FOUND)?;
        Ok(element(&[0x53], value))
    }
}

/// The application property template, for SELECT (part 2, table 4).
pub(super) fn application() -> Vec<u8> {
    let provider = element(&[0x4f], &[0xa0, 0x00, 0x00, 0x03, 0x08]);
    let version = [0x00, 0x00, 0x10, 0x00, 0x01, 0x00];
    let template = [element(&[0x4f], &version), element(&[0x79], &provider)].concat();
    element(&[0x61], &template)
}

/// The application, and that the application's PIN is the only one (part 1, section 3.3.2).
fn discovery() -> Vec<u8> {
    let policy = element(&[0x5f, 0x2f], &[0x40, 0x00]);
    element(&[DISCOVERY], &[element(&[0x4f], &AID), policy].concat())
}

fn certificate(der: &[u8]) -> Vec<u8> {
    // Not compressed; no error detection code.
    [element(&[0x70], der), element(&[0x71], &[0]), element(&[0xfe], &[])].concat()
}

/// The agency code 9999 says that the GUID names the card.
fn holder() -> Vec<u8> {
    let fasc_n = [
        0xd4, 0xe7, 0x39, 0xda, 0x73, 0x9c, 0xed, 0x39, 0xce, 0x73, 0x9d, 0x83, 0x68, 0x58, 0x21, 0x08, 0x42, 0x10,
        0x84, 0x21, 0xc8, 0x42, 0x10, 0xc3, 0xeb,
    ];
    [
        element(&[0x30], &fasc_n),
        element(&[0x34], b"ChanceryTestCard"),
        element(&[0x35], b"99991231"),
        element(&[0x3e], &[]),
        element(&[0xfe], &[]),
    ]
    .concat()
}

/// Every element that has to be there, and nothing in it.
fn capabilities() -> Vec<u8> {
    let identifier = [
        0xa0, 0x00, 0x00, 0x01, 0x16, 0xff, 0x02, 0x43, 0x68, 0x61, 0x6e, 0x63, 0x65, 0x72, 0x79, 0, 0, 0, 0, 0, 1,
    ];
    let mut out = element(&[0xf0], &identifier);
    out.extend(element(&[0xf1], &[0x21]));
    out.extend(element(&[0xf2], &[0x21]));
    for tag in [0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe] {
        out.extend(element(&[tag], &[]));
    }
    out
}

/// So many retired keys, their certificates on the card.
fn history(retired: u8) -> Vec<u8> {
    [
        element(&[0xc1], &[retired]),
        element(&[0xc2], &[0]),
        element(&[0xfe], &[]),
    ]
    .concat()
}
