//! A request on its way from the handle to a worker.

use std::time::Instant;

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::{
    error::TokenError,
    key::KeyId,
    mechanism::{DecryptScheme, SignMechanism},
    queue::Priority,
};

/// How a request is to be scheduled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dispatch {
    /// Which queue it waits in.
    pub priority: Priority,
    /// When it is no longer worth starting; the token's own limit counts where there is none.
    pub deadline: Option<Instant>,
}

/// Signatures, plaintexts and shared secrets travel alike.
pub(crate) type Answer = Result<Zeroizing<Vec<u8>>, TokenError>;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) key: KeyId,
    pub(crate) work: Work,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Answer>,
}

#[derive(Debug)]
pub(crate) enum Work {
    /// `data` is what C_Sign is given, apart from the cut of ECDSA digests.
    Sign {
        mechanism: SignMechanism,
        data: Vec<u8>,
    },
    Decrypt {
        scheme: DecryptScheme,
        ciphertext: Vec<u8>,
    },
    Agree {
        peer: Vec<u8>,
    },
}

impl Job {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(crate) fn answer(self, answer: Answer) {
        // The caller may have gone meanwhile; then nobody wants the answer.
        let _ = self.reply.send(answer);
    }
}
