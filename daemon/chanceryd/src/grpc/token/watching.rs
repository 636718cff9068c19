//! The answer to WatchTokens: a stream that looks at the tokens when the transport asks for the next response, and not before.

use std::pin::Pin;
use std::task::{Context, Poll};

use chancery_proto::v1::WatchTokensResponse;
use tokio_stream::Stream;
use tonic::Status;

use super::{call, describe};
use crate::ops::Call;
use crate::ops::tokens::{Described, Watch};

/// The responses of one call.
pub(crate) struct Watching {
    /// None after the last.
    next: Option<Next>,
    is_first: bool,
}

type Next = Pin<Box<dyn Future<Output = (Call, Watch, Result<Option<Vec<Described>>, Status>)> + Send>>;

impl Watching {
    pub(super) fn new(call: Call, watch: Watch) -> Self {
        Self {
            next: Some(next(call, watch)),
            is_first: true,
        }
    }
}

fn next(call: Call, mut watch: Watch) -> Next {
    Box::pin(async move {
        let tokens = call::within(&call, watch.next()).await;
        (call, watch, tokens)
    })
}

impl Stream for Watching {
    type Item = Result<WatchTokensResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(step) = &mut self.next else {
            return Poll::Ready(None);
        };
        let Poll::Ready((call, watch, tokens)) = step.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.next = None;
        Poll::Ready(tokens.transpose().map(|tokens| {
            let tokens = tokens?;
            self.next = Some(next(call, watch));
            let daemon_version = match std::mem::take(&mut self.is_first) {
                true => env!("CARGO_PKG_VERSION").to_owned(),
                false => String::new(),
            };
            Ok(WatchTokensResponse {
                tokens: tokens.into_iter().map(describe).collect(),
                daemon_version,
            })
        }))
    }
}
