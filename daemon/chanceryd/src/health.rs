//! `grpc.health.v1`: the daemon as a whole, and each token under its resource name.

use chancery_token::TokenHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The service name that stands for the whole daemon.
const OVERALL: &str = "";

/// Keeps the health service up to date until the returned set is dropped. The daemon as a whole serves as long as its
/// audit trail takes records; a token serves while it is ready and takes work.
pub fn follow(reporter: &HealthReporter, audit: watch::Receiver<bool>, tokens: &[TokenHandle]) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(follow_audit(reporter.clone(), audit));
    for token in tokens {
        tasks.spawn(follow_token(reporter.clone(), token.clone()));
    }
    tasks
}

async fn follow_audit(reporter: HealthReporter, mut open: watch::Receiver<bool>) {
    loop {
        let serving = *open.borrow_and_update();
        reporter.set_service_status(OVERALL, status(serving)).await;
        if open.changed().await.is_err() {
            return;
        }
    }
}

async fn follow_token(reporter: HealthReporter, token: TokenHandle) {
    let name = format!("tokens/{}", token.name());
    let mut changes = token.changes();
    loop {
        changes.mark_unchanged();
        let now = token.status();
        tracing::debug!(token = token.name(), state = ?now.state, detail = now.detail, "token");
        reporter
            .set_service_status(&name, status(token.standing().serves()))
            .await;
        if changes.changed().await.is_err() {
            reporter.set_service_status(&name, ServingStatus::NotServing).await;
            return;
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
