//! Tokens in maintenance, as the configuration says: at the start, and whenever it is read anew. What a token does then is its
//! own business.

use chancery_token::TokenHandle;

use crate::audit::Trail;
use crate::config::Token;

/// Begins and ends maintenance, and records each change. A token that is not in the configuration any more stays as it is: that
/// takes a restart.
pub fn apply(configured: &[Token], tokens: &[TokenHandle], audit: &Trail) {
    for token in tokens {
        let name = token.name();
        let Some(wanted) = configured.iter().find(|configured| configured.name == name) else {
            continue;
        };
        if !token.set_maintenance(wanted.maintenance) {
            continue;
        }
        let what = if wanted.maintenance {
            "maintenance-begun"
        } else {
            "maintenance-ended"
        };
        audit.remark(what, name);
    }
}
