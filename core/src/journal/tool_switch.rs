//! Switches of tools by command, and which of them a configuration settles.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{InstallationId, InstanceKey, TeamId, UserId};

/// A tool, switched on or off for instances of an installation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ToolSwitch {
    /// The installation.
    pub installation: InstallationId,
    /// The team, if the command named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// The user, if the command named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The tool.
    pub tool: String,
    /// Whether it is off.
    pub disabled: bool,
    /// The version of the first configuration that holds it, if the Backend counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<u64>,
    /// Requests for the configuration sent before it by the daemon that runs; 0 for a switch of an
    /// earlier daemon.
    #[serde(skip)]
    pub asked: u64,
}

/// When a configuration was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Its version, if the Backend counts.
    pub(crate) version: Option<u64>,
    /// The number of the request it answers; none if it was found on disk.
    pub(crate) answers: Option<u64>,
}

impl ToolSwitch {
    /// Whether both are about the same tool of the same instances.
    pub fn concerns_same(&self, other: &ToolSwitch) -> bool {
        (&self.installation, &self.team, &self.user, &self.tool)
            == (&other.installation, &other.team, &other.user, &other.tool)
    }

    /// Puts `switch` in the place of an earlier one about the same. The last said comes last.
    pub fn remember(switches: &mut Vec<ToolSwitch>, switch: ToolSwitch) {
        switches.retain(|other| !other.concerns_same(&switch));
        switches.push(switch);
    }

    /// Whether it is about a tool of this instance.
    pub(crate) fn concerns(&self, key: &InstanceKey) -> bool {
        self.installation == key.installation
            && self.team.as_ref().is_none_or(|team| *team == key.team)
            && self.user.as_ref().is_none_or(|user| *user == key.user)
    }

    /// Whether a configuration made then holds it, or something later: what the configuration says
    /// of tools stands. Where both are counted, the versions say so. Else only an entry that lists
    /// switched-off tools tells of them (`lists_tools`), and it must have been asked for after the
    /// switch.
    pub(crate) fn is_settled_by(&self, standing: Standing, lists_tools: bool) -> bool {
        match self.config_version.zip(standing.version) {
            Some((switched, made)) => made >= switched,
            None => lists_tools && standing.answers.is_some_and(|number| number > self.asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switched(config_version: Option<u64>, asked: u64) -> ToolSwitch {
        ToolSwitch {
            installation: "i".into(),
            team: None,
            user: None,
            tool: "t".into(),
            disabled: true,
            config_version,
            asked,
        }
    }

    #[test]
    fn where_both_are_counted_the_versions_decide() {
        let switch = switched(Some(7), 3);
        for (version, is_settled) in [(6, false), (7, true), (8, true)] {
            for (answers, lists_tools) in [(None, false), (Some(1), true), (Some(9), false)] {
                let standing = Standing { version: Some(version), answers };
                assert_eq!(switch.is_settled_by(standing, lists_tools), is_settled, "{version}");
            }
        }
    }

    #[test]
    fn else_a_list_of_tools_that_was_asked_for_after_the_switch_decides() {
        for (config_version, version) in [(None, None), (Some(7), None), (None, Some(9))] {
            let settles = |answers, lists_tools| {
                let standing = Standing { version, answers };
                switched(config_version, 3).is_settled_by(standing, lists_tools)
            };
            assert!(settles(Some(4), true));
            assert!(!settles(Some(3), true), "it was on its way before");
            assert!(!settles(Some(4), false), "it says nothing of tools");
            assert!(!settles(None, true), "nobody knows when it was made");
        }
    }
}
