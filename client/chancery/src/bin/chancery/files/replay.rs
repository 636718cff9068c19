//! A message that can be sent once more from its beginning, as long as little of it has been read: also one that comes through
//! a pipe.

use std::io;

use bytes::{Bytes, BytesMut};
use chancery::Source;

use super::Input;
use crate::progress::Meter;

/// What is kept of a message, at most. The daemon says what it lacks before it has taken as much.
const MOST: usize = 8 << 20;

pub(crate) struct Replay {
    input: Input,
    /// The chunks from the beginning, the empty one at the end too; `None` once there were too many.
    kept: Option<Vec<Bytes>>,
    len: usize,
    /// The next of them to be sent.
    position: usize,
}

impl Replay {
    pub(crate) fn new(input: Input) -> Self {
        Self {
            input,
            kept: Some(Vec::new()),
            len: 0,
            position: 0,
        }
    }

    /// Goes back to the beginning, if it still can.
    pub(crate) fn rewind(&mut self) -> bool {
        self.position = 0;
        self.kept.is_some()
    }

    /// Counts what is read.
    pub(crate) fn meter(&self) -> Meter {
        self.input.meter()
    }
}

impl Source for &mut Replay {
    async fn next(&mut self, scratch: &mut BytesMut) -> io::Result<Bytes> {
        let again = self.kept.as_ref().and_then(|kept| kept.get(self.position));
        if let Some(chunk) = again.cloned() {
            self.position += 1;
            return Ok(chunk);
        }
        let chunk = self.input.next(scratch).await?;
        self.len += chunk.len();
        if self.len > MOST {
            self.kept = None;
        } else if let Some(kept) = &mut self.kept {
            kept.push(chunk.clone());
            self.position += 1;
        }
        Ok(chunk)
    }
}
