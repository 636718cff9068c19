//! Waiting until tokens can be used, by watching their health.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

/// Longer than a login takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);

/// Connects to a daemon's socket.
pub(super) async fn connect(socket: &Path) -> Result<Channel> {
    let socket = socket.display();
    Endpoint::try_from(format!("unix://{socket}"))?
        .connect()
        .await
        .with_context(|| format!("no daemon at {socket}"))
}

/// Returns once every one of these tokens is serving.
pub(crate) fn wait_for_tokens(socket: &Path, tokens: &[&str]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut health = HealthClient::new(connect(socket).await?);
        for token in tokens {
            tokio::time::timeout(DEADLINE, wait_for(&mut health, token))
                .await
                .with_context(|| format!("token {token} was not ready in {DEADLINE:?}"))??;
        }
        Ok(())
    })
}

async fn wait_for(health: &mut HealthClient<Channel>, token: &str) -> Result<()> {
    let request = HealthCheckRequest {
        service: format!("tokens/{token}"),
    };
    let mut changes = loop {
        match health.watch(request.clone()).await {
            Ok(response) => break response.into_inner(),
            // The daemon has said that it is ready, and is about to say the same of its tokens.
            Err(status) if status.code() == Code::NotFound => tokio::task::yield_now().await,
            Err(status) => return Err(status.into()),
        }
    };
    while let Some(change) = changes.message().await? {
        if change.status() == ServingStatus::Serving {
            return Ok(());
        }
    }
    bail!("the daemon no longer says how token {token} is")
}
