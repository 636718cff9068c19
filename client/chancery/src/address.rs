//! Where the daemon listens: `unix:/path` or `https://host:port`. Nothing is opened here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a daemon that was installed from a package listens.
pub const DEFAULT_ADDRESS: &str = "unix:/run/chancery/chanceryd.sock";

/// Where the daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A Unix socket; the daemon knows its callers by their user id.
    Unix(PathBuf),
    /// TCP with mutual TLS; the daemon knows its callers by their certificates.
    Https {
        /// Host name, IPv4 address, or IPv6 address without brackets. The daemon's certificate must be for it.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// Text that is not an address of the daemon.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins with neither `unix:` nor `https://`.
    #[error("the address {0:?} begins with neither unix: nor https://")]
    Scheme(String),
    /// The socket's path is relative; the daemon's socket has one place, whatever the working directory.
    #[error("the address {0:?} needs an absolute path after unix:")]
    Path(String),
    /// The host is missing, or there is more than a host and a port.
    #[error("the address {0:?} is not https://HOST:PORT")]
    Host(String),
    /// The port is missing or not a number from 1 to 65535.
    #[error("the address {0:?} needs a port from 1 to 65535 after the host")]
    Port(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/…` is how gRPC writes it; the authority between the slashes is empty.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(AddressError::Path(text.to_owned()));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let Some(authority) = text.strip_prefix("https://") else {
            return Err(AddressError::Scheme(text.to_owned()));
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let Some((host, port)) = authority.rsplit_once(':') else {
            return Err(AddressError::Port(text.to_owned()));
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host_is_odd = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_err(),
            None => {
                host.is_empty() || host.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
            }
        };
        if host_is_odd {
            return Err(AddressError::Host(text.to_owned()));
        }
        match port.parse::<u16>() {
            Ok(port) if port != 0 => Ok(Self::Https {
                host: bracketed.unwrap_or(host).to_owned(),
                port,
            }),
            _ => Err(AddressError::Port(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Https { host, port } if host.contains(':') => write!(f, "https://[{host}]:{port}"),
            Self::Https { host, port } => write!(f, "https://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn addresses_survive_being_written_and_read_again() {
        for text in [
            DEFAULT_ADDRESS,
            "https://hsm.example.org:8443",
            "https://127.0.0.1:1",
            "https://[::1]:65535",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_three_slashes_of_grpc_are_understood() {
        assert_eq!(
            "unix:///tmp/s".parse::<Address>().unwrap(),
            Address::Unix(PathBuf::from("/tmp/s"))
        );
    }

    #[test]
    fn what_is_not_an_address_is_refused_for_its_own_reason() {
        let refused = |text: &str| text.parse::<Address>().unwrap_err();
        assert!(matches!(refused("http://host:1"), AddressError::Scheme(_)));
        assert!(matches!(refused(""), AddressError::Scheme(_)));
        assert!(matches!(refused("unix:relative.sock"), AddressError::Path(_)));
        assert!(matches!(refused("https://host"), AddressError::Port(_)));
        assert!(matches!(refused("https://host:0"), AddressError::Port(_)));
        assert!(matches!(refused("https://host:65536"), AddressError::Port(_)));
        assert!(matches!(refused("https://:1"), AddressError::Host(_)));
        assert!(matches!(refused("https://user@host:1"), AddressError::Host(_)));
        assert!(matches!(refused("https://[::1:1"), AddressError::Host(_)));
    }
}
