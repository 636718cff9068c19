//! `grpc.health.v1.Health`: is the daemon serving, is a token?

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::{Client, Error};

/// What the daemon says about itself or about one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It can be used.
    Serving,
    /// It is there and cannot be used: starting, draining, or the token is absent, locked or failing.
    NotServing,
    /// The daemon has no such service or token, or does not say.
    Unknown,
}

impl Client {
    /// Asks for the daemon's health as a whole (the empty name), or for that of one service, such as `tokens/{token}`.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] or [`Error::Failed`] if there was no answer. An unknown name is [`Health::Unknown`], not an error.
    pub async fn health(&self, service: &str) -> Result<Health, Error> {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        match HealthClient::new(self.channel()).check(request).await {
            Ok(response) => Ok(match response.into_inner().status() {
                ServingStatus::Serving => Health::Serving,
                ServingStatus::NotServing => Health::NotServing,
                ServingStatus::Unknown | ServingStatus::ServiceUnknown => Health::Unknown,
            }),
            Err(status) if status.code() == Code::NotFound => Ok(Health::Unknown),
            Err(status) => Err(status.into()),
        }
    }
}
