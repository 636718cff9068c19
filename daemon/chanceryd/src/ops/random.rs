//! The system's random number generator, in the shape that the S/MIME core wants.

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;

/// The system's generator. It does not fail after the start: who has read from it once can read again.
pub(super) fn os() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
