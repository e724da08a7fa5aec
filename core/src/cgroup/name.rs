//! Names of groups' directories: ids are any text, these are plain, short and told apart.

use alloc::format;
use alloc::string::String;

use sha2::{Digest, Sha256};

use crate::id::{Incarnation, InstanceKey, TeamId};

/// The directory of a team's group.
pub fn team_name(team: &TeamId) -> String {
    format!("team-{}", short(team.as_str().as_bytes()))
}

/// The directory of the group of one of an instance's processes, below its team's.
pub fn instance_name(key: &InstanceKey, incarnation: Incarnation) -> String {
    let InstanceKey { team, installation, user } = key;
    // No id holds the separator unescaped in this form, so no two keys have the same text.
    let text = format!("{:?}", (team.as_str(), installation.as_str(), user.as_str()));
    format!("{}-{}", short(text.as_bytes()), incarnation.0)
}

/// 16 hexadecimal digits of the SHA-256.
fn short(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_gives_a_plain_name_of_its_own() {
        let names: alloc::collections::BTreeSet<String> =
            ["", "..", "a/b", "a", "cgroup.procs", "ä"]
                .map(|id| team_name(&TeamId::from(id)))
                .into();
        assert_eq!(names.len(), 6);
        for name in names {
            let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
            assert!(name.chars().all(plain) && name.len() == 21, "{name}");
        }
    }
}
