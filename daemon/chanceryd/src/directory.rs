//! The keys and identities of all tokens together: which token has a replica of which key, which keys belong to which
//! mailbox, which certificates issued which. It decides nothing about who may use them; that is [`crate::policy`].
//!
//! ```text
//!   token catalogues ──┐
//!                      ├──► Index (immutable) ──► Arc, taken by every request
//!   issuers on disk ───┘        ▲
//!                               └ built anew on a blocking thread when a token says that something changed
//! ```
//!
//! Whether a token is there and unlocked is not part of the index: it changes too often, and is asked of the token itself.

mod address;
mod identity;
mod index;
mod issuers;
mod key;
#[cfg(test)]
pub(crate) mod test_certificates;

use std::sync::{Arc, RwLock};

use chancery_smime::certificate::Certificate;
use chancery_token::{Catalogue, TokenHandle};
use tokio::sync::watch;

use crate::sync;

pub use address::normal_address;
pub use identity::{Binding, Identity};
pub use index::Index;
pub use key::{Key, Replica, Roles};

/// What all tokens hold, as far as it is known now.
#[derive(Debug)]
pub struct Directory {
    tokens: Vec<TokenHandle>,
    changes: Vec<watch::Receiver<u64>>,
    certificates: RwLock<Arc<Vec<Certificate>>>,
    current: RwLock<Arc<Snapshot>>,
    building: tokio::sync::Mutex<()>,
}

/// An index, and what it was made from.
#[derive(Debug)]
struct Snapshot {
    versions: Vec<u64>,
    catalogues: Vec<Arc<Catalogue>>,
    certificates: Arc<Vec<Certificate>>,
    index: Arc<Index>,
}

impl Directory {
    /// A directory over `tokens`; `certificates` are those of the configured directory, for the issuers among them.
    #[must_use]
    pub fn new(tokens: Vec<TokenHandle>, certificates: &[Vec<u8>]) -> Self {
        let changes: Vec<_> = tokens.iter().map(TokenHandle::changes).collect();
        let certificates = Arc::new(readable(certificates));
        let empty = Snapshot {
            versions: Vec::new(),
            catalogues: Vec::new(),
            certificates: Arc::clone(&certificates),
            index: Arc::new(Index::default()),
        };
        Self {
            tokens,
            changes,
            certificates: RwLock::new(certificates),
            current: RwLock::new(Arc::new(empty)),
            building: tokio::sync::Mutex::new(()),
        }
    }

    /// The index of what the tokens hold now. Usually there at once; after a change the first to ask waits until it has
    /// been built.
    pub async fn index(&self) -> Arc<Index> {
        let snapshot = self.snapshot();
        if self.is_current(&snapshot) {
            return Arc::clone(&snapshot.index);
        }
        let _one_at_a_time = self.building.lock().await;
        let snapshot = self.snapshot();
        if self.is_current(&snapshot) {
            return Arc::clone(&snapshot.index);
        }
        let next = Arc::new(self.build(&snapshot).await);
        let index = Arc::clone(&next.index);
        *sync::write(&self.current) = next;
        index
    }

    /// Keeps the index up to date until the tokens have gone, so that no request has to wait for it.
    pub async fn follow(&self) {
        let mut changes = self.changes.clone();
        loop {
            self.index().await;
            if !any_changed(&mut changes).await {
                return;
            }
        }
    }

    /// Replaces the certificates of the configured directory, after a reload. Those that belong to keys reach the tokens
    /// on their own way; what counts here are the issuers.
    pub fn set_certificates(&self, certificates: &[Vec<u8>]) {
        *sync::write(&self.certificates) = Arc::new(readable(certificates));
    }

    /// The tokens, in the order that [`Replica::token`] counts in.
    #[must_use]
    pub fn tokens(&self) -> &[TokenHandle] {
        &self.tokens
    }

    /// The token of a replica.
    #[must_use]
    pub fn token_of(&self, replica: &Replica) -> Option<&TokenHandle> {
        self.tokens.get(replica.token)
    }

    /// Whether some token that holds the key is there, unlocked and not drained.
    #[must_use]
    pub fn is_available(&self, key: &Key) -> bool {
        key.replicas.iter().any(|replica| self.is_ready(replica))
    }

    /// Whether the replica's token is there, unlocked and not drained.
    #[must_use]
    pub fn is_ready(&self, replica: &Replica) -> bool {
        self.token_of(replica).is_some_and(|token| token.standing().serves())
    }

    /// A directory without tokens that holds `index` for good.
    #[cfg(test)]
    pub(crate) fn fixed(index: Index) -> Self {
        let directory = Self::new(Vec::new(), &[]);
        let fixed = Snapshot {
            versions: Vec::new(),
            catalogues: Vec::new(),
            certificates: directory.configured(),
            index: Arc::new(index),
        };
        *sync::write(&directory.current) = Arc::new(fixed);
        directory
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&sync::read(&self.current))
    }

    fn configured(&self) -> Arc<Vec<Certificate>> {
        Arc::clone(&sync::read(&self.certificates))
    }

    fn is_current(&self, snapshot: &Snapshot) -> bool {
        self.changes.len() == snapshot.versions.len()
            && self
                .changes
                .iter()
                .zip(&snapshot.versions)
                .all(|(change, seen)| *change.borrow() == *seen)
            && Arc::ptr_eq(&self.configured(), &snapshot.certificates)
    }

    async fn build(&self, before: &Snapshot) -> Snapshot {
        // The versions first: what changes while the catalogues are read is seen at the next look.
        let versions = self.changes.iter().map(|change| *change.borrow()).collect();
        let catalogues: Vec<_> = self.tokens.iter().map(TokenHandle::catalogue).collect();
        let certificates = self.configured();
        let same = catalogues.len() == before.catalogues.len()
            && catalogues
                .iter()
                .zip(&before.catalogues)
                .all(|(a, b)| Arc::ptr_eq(a, b))
            && Arc::ptr_eq(&certificates, &before.certificates);
        let index = if same {
            Arc::clone(&before.index)
        } else {
            let (catalogues, certificates) = (catalogues.clone(), Arc::clone(&certificates));
            let old = Arc::clone(&before.index);
            let built = tokio::task::spawn_blocking(move || Index::build(&catalogues, &certificates, &old)).await;
            built.map_or_else(
                |error| {
                    tracing::error!(%error, "the directory of keys could not be built; the old one stays");
                    Arc::clone(&before.index)
                },
                Arc::new,
            )
        };
        Snapshot {
            versions,
            catalogues,
            certificates,
            index,
        }
    }
}

/// Waits until one of the tokens says that something changed; false once a token has gone, that is at the end.
pub(crate) async fn any_changed(changes: &mut [watch::Receiver<u64>]) -> bool {
    if changes.is_empty() {
        return false;
    }
    let mut waiting: Vec<_> = changes.iter_mut().map(|change| Box::pin(change.changed())).collect();
    std::future::poll_fn(|context| {
        for one in &mut waiting {
            if let std::task::Poll::Ready(result) = one.as_mut().poll(context) {
                return std::task::Poll::Ready(result.is_ok());
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn readable(certificates: &[Vec<u8>]) -> Vec<Certificate> {
    certificates
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect()
}
