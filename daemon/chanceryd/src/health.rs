//! `grpc.health.v1`: the daemon as a whole, and each token under its resource name.

use chancery_token::TokenHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The service name that stands for the whole daemon.
const OVERALL: &str = "";

/// Says how everything is, and keeps the health service up to date until the returned set is dropped. The daemon as a whole
/// serves as long as its audit trail takes records; a token serves while it is ready and takes work.
pub async fn follow(reporter: &HealthReporter, audit: watch::Receiver<bool>, tokens: &[TokenHandle]) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut overall = Service::new(reporter, OVERALL.to_owned());
    overall.tell(*audit.borrow()).await;
    tasks.spawn(follow_audit(overall, audit));
    for token in tokens {
        let mut service = Service::new(reporter, format!("tokens/{}", token.name()));
        service.tell(token.standing().serves()).await;
        tasks.spawn(follow_token(service, token.clone()));
    }
    tasks
}

async fn follow_audit(mut overall: Service, mut open: watch::Receiver<bool>) {
    loop {
        let serving = *open.borrow_and_update();
        overall.tell(serving).await;
        if open.changed().await.is_err() {
            return;
        }
    }
}

async fn follow_token(mut service: Service, token: TokenHandle) {
    let mut changes = token.changes();
    loop {
        changes.mark_unchanged();
        let now = token.status();
        tracing::debug!(token = token.name(), state = ?now.state, detail = now.detail, "token");
        service.tell(token.standing().serves()).await;
        if changes.changed().await.is_err() {
            service.tell(false).await;
            return;
        }
    }
}

/// A service name, and what those who watch it have been told last.
struct Service {
    reporter: HealthReporter,
    name: String,
    serving: Option<bool>,
}

impl Service {
    fn new(reporter: &HealthReporter, name: String) -> Self {
        Self {
            reporter: reporter.clone(),
            name,
            serving: None,
        }
    }

    /// Whoever watches is told of changes alone; the reporter would repeat itself.
    async fn tell(&mut self, serving: bool) {
        if self.serving.replace(serving) != Some(serving) {
            self.reporter.set_service_status(&self.name, status(serving)).await;
        }
    }
}

const fn status(serving: bool) -> ServingStatus {
    if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio_stream::StreamExt as _;
    use tonic::Request;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as OnTheWire;
    use tonic_health::pb::health_server::Health as _;
    use tonic_health::server::HealthService;

    use super::*;

    #[tokio::test]
    async fn whoever_watches_is_told_of_changes_alone() {
        let reporter = HealthReporter::new();
        let service = HealthService::from_health_reporter(reporter.clone());
        let (trail, is_open) = watch::channel(true);
        let _tasks = follow(&reporter, is_open, &[]).await;
        let watched = service.watch(Request::new(HealthCheckRequest::default())).await;
        let mut watched = watched.unwrap().into_inner();
        let mut next = async || watched.next().await.unwrap().unwrap().status();
        assert_eq!(next().await, OnTheWire::Serving);
        trail.send(true).unwrap();
        // The task that follows the trail runs, and sees no change.
        tokio::task::yield_now().await;
        trail.send(false).unwrap();
        assert_eq!(next().await, OnTheWire::NotServing);
    }
}
