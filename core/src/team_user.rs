//! What a team's user of the operating system is called.

use alloc::string::String;
use core::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::id::TeamId;

/// What every such name begins with.
pub const PREFIX: &str = "satellite-team-";
/// Longest name of a user that Linux's tools accept (useradd(8)).
const NAME_MAX_CHARACTERS: usize = 32;
/// Digits of the hash that stands for an id.
const HASH_DIGITS: usize = 16;

/// The name of the team's user: `satellite-team-` and the id, or instead of an id that is too long
/// or holds other characters than `a-z0-9_-`, the first 16 hex digits of its SHA-256.
///
/// An id that reads like such a hash is hashed as well: no team is named after another's.
pub fn team_user(team: &TeamId) -> String {
    let id = team.as_str();
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let is_hash_like =
        id.len() == HASH_DIGITS && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut name = String::from(PREFIX);
    if !id.is_empty()
        && PREFIX.len() + id.len() <= NAME_MAX_CHARACTERS
        && id.bytes().all(is_plain)
        && !is_hash_like
    {
        name.push_str(id);
        return name;
    }
    for byte in Sha256::digest(id.as_bytes()).iter().take(HASH_DIGITS / 2) {
        // Writing to a text cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn name(id: &str) -> String {
        team_user(&id.into())
    }

    #[test]
    fn a_short_plain_id_is_part_of_the_name_and_any_other_is_hashed() {
        assert_eq!(name("123"), "satellite-team-123");
        assert_eq!(name("a_b-c"), "satellite-team-a_b-c");
        assert_eq!(name("12345678901234567"), "satellite-team-12345678901234567");
        // sha256sum of the ids.
        assert_eq!(name("123456789012345678"), "satellite-team-37f96542b663971b");
        assert_eq!(name(""), "satellite-team-e3b0c44298fc1c14");
        for id in ["Team", "a b", "a/b", "ä", "a\n", "0123456789abcdef"] {
            let hashed = name(id);
            assert!(hashed.len() == 31 && !hashed.ends_with(id), "{id}: {hashed}");
        }
    }

    proptest! {
        #[test]
        fn every_name_can_be_a_users_and_no_two_teams_share_one(
            ids in proptest::collection::btree_set("[a-z0-9]{0,18}|[a-f0-9]{16}|\\PC{0,40}", 1..50),
        ) {
            let mut named: BTreeMap<String, String> = BTreeMap::new();
            for id in &ids {
                let name = name(id);
                let rest = name.strip_prefix(PREFIX).unwrap();
                prop_assert!(name.len() <= NAME_MAX_CHARACTERS && !rest.is_empty());
                prop_assert!(rest.bytes().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')));
                let other = named.insert(name, id.to_string());
                prop_assert!(other.is_none(), "{}", format!("{other:?} and {id:?}"));
            }
        }
    }
}
