//! Where a handler finds the caller of a request.

use std::sync::Arc;

use tonic::{Request, Status};

use super::Caller;
use crate::listen::ConnectInfo;

/// The caller of a request, as the listener put it there.
///
/// # Errors
/// `UNAUTHENTICATED` if there is none: the request did not come through one of the daemon's listeners.
// tonic's own type; boxing it would only be undone by every handler.
#[allow(clippy::result_large_err, reason = "handlers return this very Status")]
pub fn caller_of<T>(request: &Request<T>) -> Result<Arc<Caller>, Status> {
    request
        .extensions()
        .get::<ConnectInfo>()
        .map(|info| Arc::clone(&info.caller))
        .ok_or_else(|| Status::unauthenticated("the connection has no caller; connect through the daemon's own socket"))
}
