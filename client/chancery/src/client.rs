//! One connection to the daemon. The calls themselves are in the files named after what they work on.

pub(crate) mod pages;

use std::time::Duration;

use crate::transport::{self, Repeating};
use crate::{Address, Error, TlsFiles};

/// A connection to the daemon. Clones share it, and any number of calls may run on it at once. When it breaks, the next
/// call connects again; a call that was just being made and that the daemon surely has not begun with is made again by itself.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Repeating,
}

/// How to connect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The files for mutual TLS; needed for `https://` addresses alone.
    pub tls: Option<TlsFiles>,
    /// How long connecting may take, TLS included.
    pub timeout: Duration,
}

impl Default for ConnectOptions {
    /// No TLS files, and ten seconds.
    fn default() -> Self {
        Self {
            tls: None,
            timeout: Duration::from_secs(10),
        }
    }
}

impl ConnectOptions {
    /// The same options with these files for mutual TLS.
    #[must_use]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// The same options with this much time to connect.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Client {
    /// Connects to `unix:/path` and waits until the connection stands.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if the text is no address, [`Error::Connect`] if nobody answers there, [`Error::Tls`] for an
    /// `https://` address, which needs [`Client::connect_with`].
    pub async fn connect(address: &str) -> Result<Self, Error> {
        Self::connect_with(&address.parse()?, &ConnectOptions::default()).await
    }

    /// Connects to a Unix socket, or over TCP with mutual TLS, and waits until the connection stands.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), chancery::Error> {
    /// use chancery::{Client, ConnectOptions, TlsFiles};
    ///
    /// let files = TlsFiles {
    ///     certificate: "/etc/gateway/client.pem".into(),
    ///     key: "/etc/gateway/client.key".into(),
    ///     ca: "/etc/gateway/ca.pem".into(),
    /// };
    /// let address = "https://hsm.example.org:8443".parse()?;
    /// let client = Client::connect_with(&address, &ConnectOptions::default().tls(files)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] if nobody answers there or the handshake fails, [`Error::Tls`] if the files cannot be used.
    pub async fn connect_with(address: &Address, options: &ConnectOptions) -> Result<Self, Error> {
        Ok(Self {
            channel: transport::connect(address, options).await?,
        })
    }

    pub(crate) fn channel(&self) -> Repeating {
        self.channel.clone()
    }
}
