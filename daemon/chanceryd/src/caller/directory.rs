//! Callers from Unix peer credentials: names and supplementary groups from the system's user database.
//!
//! The database is whatever the name service switch says (files, systemd, sssd, LDAP), so a look-up may block for as long
//! as that takes: call it where blocking is allowed.

use std::ffi::CString;

use nix::unistd::{Gid, Group as DatabaseGroup, Uid, User, getgrouplist};

use super::{Caller, Group};

impl Caller {
    /// The caller behind peer credentials. Blocks on the user database.
    ///
    /// An entry that is missing or cannot be read leaves the name out: grants that name the id still match, grants that
    /// name the user or a group by name do not. That is a refusal at worst.
    #[must_use]
    pub fn from_peer_credentials(uid: u32, gid: u32, pid: Option<i32>) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).unwrap_or_else(|error| {
            tracing::warn!(uid, %error, "the user database did not answer; the caller has no name");
            None
        });
        let mut gids = vec![gid];
        if let Some(user) = &user
            && let Ok(name) = CString::new(user.name.as_str())
        {
            match getgrouplist(&name, user.gid) {
                Ok(listed) => gids.extend(listed.into_iter().map(Gid::as_raw)),
                Err(error) => tracing::warn!(uid, %error, "the group database did not answer"),
            }
        }
        gids.sort_unstable();
        gids.dedup();
        let groups = gids.into_iter().map(group).collect();
        Self::Unix {
            uid,
            gid,
            pid,
            user: user.map(|user| user.name),
            groups,
        }
    }
}

fn group(gid: u32) -> Group {
    let entry = DatabaseGroup::from_gid(Gid::from_raw(gid)).unwrap_or_default();
    Group {
        gid,
        name: entry.map(|entry| entry.name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn root_is_looked_up_with_its_groups() {
        let Caller::Unix { user, groups, .. } = Caller::from_peer_credentials(0, 0, Some(1)) else {
            panic!()
        };
        assert_eq!(user.as_deref(), Some("root"));
        assert!(groups.contains(&Group {
            gid: 0,
            name: Some("root".to_owned())
        }));
    }

    #[test]
    fn an_unknown_user_keeps_its_ids_and_has_no_name() {
        let caller = Caller::from_peer_credentials(3_999_999_001, 3_999_999_002, None);
        let expected = Caller::Unix {
            uid: 3_999_999_001,
            gid: 3_999_999_002,
            pid: None,
            user: None,
            groups: vec![Group {
                gid: 3_999_999_002,
                name: None,
            }],
        };
        assert_eq!(caller, expected);
    }
}
