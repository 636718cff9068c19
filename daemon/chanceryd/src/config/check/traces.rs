//! Where traces are sent: to a collector on this machine, which may pass them on.

use std::net::SocketAddr;

use super::super::Traces;
use super::super::raw::RawTraces;
use super::Found;

impl Found {
    pub(super) fn traces(&mut self, raw: RawTraces) -> Option<Traces> {
        let Some(endpoint) = raw.endpoint else {
            if raw.sample_ratio.is_some() {
                self.problem("traces.sample_ratio", "only goes with an endpoint");
            }
            return None;
        };
        let sample_ratio = raw.sample_ratio.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&sample_ratio) {
            self.problem(
                "traces.sample_ratio",
                format!("{sample_ratio} is not between 0.0 and 1.0"),
            );
        }
        if let Some(path) = endpoint.strip_prefix("unix:") {
            self.socket_path("traces.endpoint", path.to_owned());
        } else if !endpoint.strip_prefix("http://").is_some_and(is_on_the_loopback) {
            let message = format!(
                "{endpoint:?} is neither \"unix:/PATH\" nor http:// with an address of the loopback and a port, such as \
                 \"http://127.0.0.1:4317\": send them to a collector on this machine, and let it pass them on"
            );
            self.problem("traces.endpoint", message);
        }
        Some(Traces { endpoint, sample_ratio })
    }
}

fn is_on_the_loopback(authority: &str) -> bool {
    let address = authority.trim_end_matches('/').parse::<SocketAddr>();
    address.is_ok_and(|address| address.ip().to_canonical().is_loopback())
}
