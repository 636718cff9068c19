//! Work with a key that may want the token's PIN with each use.

use bytes::Bytes;

use crate::error::CommandError;
use crate::files::Replay;
use crate::prompt::{self, Question};

/// Does the work without a PIN; if the daemon wants one and there is a terminal, asks there and does it once more.
pub(super) async fn with_pin<T>(
    input: &mut Replay,
    mut work: impl AsyncFnMut(&mut Replay, Bytes) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let error = match work(input, Bytes::new()).await {
        Err(error) => error,
        done => return done,
    };
    let Some(token) = error.token_whose_pin_is_wanted().map(str::to_owned) else {
        return Err(error);
    };
    if !input.rewind() {
        return Err(error);
    }
    let (what, token) = ("PIN", token.as_str());
    match prompt::ask_on_terminal(Question { what, token }).await? {
        Some(pin) => work(input, pin.into_bytes()).await,
        None => Err(error),
    }
}
