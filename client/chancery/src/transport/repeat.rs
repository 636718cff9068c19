//! Makes a call again that the daemon surely never began with.
//!
//! A connection that has brought a PIN is ended by the daemon soon after (GOAWAY), and any connection is when the daemon stops.
//! Who makes a call just then loses it: hyper has taken it and can no longer send it, or it is on the way and the daemon has
//! already said that it will not read it. Both sides know of such a call that it has had no effect, so it is made again, on a new
//! connection. Of every other lost call nobody here knows that, and it is never repeated.

mod body;

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use h2::Reason;
use tonic::ConnectError;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::Channel;
use tower::{BoxError, Service, ServiceExt as _};

use body::Kept;

/// A call is made again once; and once more, because the connection that is ending may be what takes the first repetition.
const REPETITIONS: usize = 2;

/// A channel whose calls survive the end of a connection, if they were surely not begun.
#[derive(Clone, Debug)]
pub(crate) struct Repeating(pub(super) Channel);

/// The daemon never began with the call.
#[derive(Debug, thiserror::Error)]
#[error("the call did not reach chanceryd")]
pub(crate) struct NotBegun(#[source] tonic::transport::Error);

impl Service<Request<Body>> for Repeating {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (head, body) = request.into_parts();
        let kept = Kept::new(body);
        let mut channel = self.0.clone();
        let first = self.0.call(Request::from_parts(head.clone(), kept.body()));
        Box::pin(async move {
            let mut outcome = first.await;
            for _ in 0..REPETITIONS {
                match &outcome {
                    Err(error) if was_never_sent_or_refused_unread(error) && kept.is_whole() => {}
                    _ => break,
                }
                outcome = match channel.ready().await {
                    Ok(channel) => channel.call(Request::from_parts(head.clone(), kept.body())).await,
                    Err(error) => Err(error),
                };
            }
            kept.let_go();
            outcome.map_err(|error| {
                if was_never_sent_or_refused_unread(&error) || chain(&error).any(|cause| cause.is::<ConnectError>()) {
                    NotBegun(error).into()
                } else {
                    error.into()
                }
            })
        })
    }
}

/// hyper says "cancelled" of a request that it still has when the connection takes no more. RFC 9113 says of a stream above the
/// last one in a GOAWAY (6.8), and of one that was reset with REFUSED_STREAM (8.7), that nothing was done for it. As long as a
/// GOAWAY is no error itself, h2 gives it as the error of no other streams. hyper does, though: it asks h2 once more whether the
/// connection goes on after it has handed over a request, and if not, gives that as the request's error. Of such a request
/// the header alone may have gone, no content, and its stream is reset: the daemon has had no message of it, and a call that
/// begins with its header, as Attend does, ends there.
fn was_never_sent_or_refused_unread(error: &tonic::transport::Error) -> bool {
    chain(error).any(|cause| {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            return error.is_canceled();
        }
        cause.downcast_ref::<h2::Error>().is_some_and(|error| {
            let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
            let above_the_last = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
            error.is_remote() && (refused || above_the_last)
        })
    })
}

/// The error and what it came from.
pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
