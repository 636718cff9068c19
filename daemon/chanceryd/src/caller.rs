//! Who is on the other end of a connection. Made once, when the connection is accepted, and carried with every request.
//!
//! Nothing here decides anything: that is [`crate::policy`].

mod certificate;
mod directory;
mod request;

use std::fmt;

pub use certificate::CertificateError;
pub use request::caller_of;

/// The other end of a connection, as the kernel or the TLS handshake vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caller {
    /// A process on this machine, from `SO_PEERCRED`. The ids are those at the time of its `connect`.
    Unix {
        /// Effective user id.
        uid: u32,
        /// Effective group id.
        gid: u32,
        /// Process id, if the kernel told it. Good for a log; it may name another process by now.
        pid: Option<i32>,
        /// The user's name in the system's user database, if it has one.
        user: Option<String>,
        /// The effective group and the groups that the system's database lists for the user, ordered by id.
        groups: Vec<Group>,
    },
    /// The holder of a client certificate that chains to the configured authority.
    Tls {
        /// SHA-256 of the certificate's DER SubjectPublicKeyInfo.
        spki_sha256: [u8; 32],
        /// The certificate's subjectAltName entries of the kinds that a grant can name.
        sans: Vec<San>,
        /// The certificate's subject (RFC 4514), for people; no grant looks at it.
        subject: String,
    },
}

/// A Unix group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub gid: u32,
    /// Its name in the system's database, if it has one.
    pub name: Option<String>,
}

/// One subjectAltName. The kinds are kept apart, so that a dNSName that looks like an address does not pass for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum San {
    /// dNSName, lower-cased.
    Dns(String),
    /// uniformResourceIdentifier, as it is.
    Uri(String),
    /// rfc822Name with the domain lower-cased.
    Email(String),
}

impl San {
    /// Reads what a grant names: with a scheme it is a URI, with an `@` an address, otherwise a DNS name.
    #[must_use]
    pub fn from_pattern(text: &str) -> Self {
        if text.contains("://") || text.starts_with("urn:") {
            Self::Uri(text.to_owned())
        } else if text.contains('@') {
            Self::Email(fold_domain(text))
        } else {
            Self::Dns(text.to_ascii_lowercase())
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) | Self::Uri(name) | Self::Email(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix {
                uid, gid, pid, user, ..
            } => {
                write!(f, "uid={uid}")?;
                if let Some(user) = user {
                    write!(f, "({user})")?;
                }
                write!(f, " gid={gid}")?;
                pid.map_or(Ok(()), |pid| write!(f, " pid={pid}"))
            }
            Self::Tls {
                spki_sha256, subject, ..
            } => write!(f, "spki={} subject={subject:?}", hex(spki_sha256)),
        }
    }
}

#[cfg(test)]
impl Caller {
    /// A user of this machine of whom nothing else is known.
    pub(crate) const fn of_uid(uid: u32) -> Self {
        Self::Unix {
            uid,
            gid: uid,
            pid: None,
            user: None,
            groups: Vec::new(),
        }
    }
}

/// Lower-case hexadecimal. Written into every audit record, hence without the formatting machinery.
pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// An addr-spec with its domain in lower case; the local part is left alone (RFC 5321, section 2.4).
pub(crate) fn fold_domain(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
        None => address.to_owned(),
    }
}
