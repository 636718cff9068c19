//! Where the metrics are served: on this machine, and nowhere else.

use std::net::SocketAddr;

use super::super::raw::RawMetrics;
use super::super::{MetricsListen, UnixSocket};
use super::Found;

impl Found {
    pub(super) fn metrics(&mut self, raw: RawMetrics) -> Option<MetricsListen> {
        let listen = raw.listen?;
        if let Some(path) = listen.strip_prefix("unix:") {
            let mode = self.mode("metrics.unix_mode", raw.unix_mode.as_deref());
            let path = self.socket_path("metrics.listen", path.to_owned());
            return Some(MetricsListen::Unix(UnixSocket {
                path,
                mode,
                group: raw.unix_group,
            }));
        }
        for (key, given) in [
            ("metrics.unix_mode", raw.unix_mode.is_some()),
            ("metrics.unix_group", raw.unix_group.is_some()),
        ] {
            if given {
                self.problem(key, "only goes with listen = \"unix:/PATH\"");
            }
        }
        match listen.parse::<SocketAddr>() {
            Ok(address) if address.ip().to_canonical().is_loopback() => Some(MetricsListen::Loopback(address)),
            Ok(address) => {
                let message = format!(
                    "{address} can be reached from elsewhere, and whoever reaches it may read: listen on \
                     \"127.0.0.1:{port}\", \"[::1]:{port}\" or \"unix:/PATH\", and let something that knows its callers \
                     pass on what is to be read from elsewhere",
                    port = address.port()
                );
                self.problem("metrics.listen", message);
                None
            }
            Err(_) => {
                let message =
                    format!("{listen:?} is neither \"unix:/PATH\" nor a loopback address, such as \"127.0.0.1:9464\"");
                self.problem("metrics.listen", message);
                None
            }
        }
    }
}
