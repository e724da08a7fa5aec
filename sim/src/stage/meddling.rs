//! What people and machines do at the worst moment: while a server starts, ends, or waits for either.

use satellite_core::id::InstanceKey;
use satellite_core::time::{MINUTE, SECOND};
use serde_json::json;

use super::Stage;
use super::backend::Change;
use super::faults::Fault;

/// Some of what is done, by its number.
pub(super) const KILL: u64 = 0;
pub(super) const RESTART: u64 = 1;
pub(super) const SHUTDOWN: u64 = 3;
pub(super) const SWITCH: u64 = 7;
pub(super) const REMOVAL: u64 = 9;
pub(super) const RECOVERY: u64 = 13;

impl Stage {
    /// An instance moves: perhaps somebody does something about it within the next `within_ms`.
    /// Says whether that is so.
    pub(super) fn meddle(&mut self, satellite: usize, key: &InstanceKey, within_ms: u64) -> bool {
        let strikes = self.strikes(satellite, Fault::Meddling);
        if strikes {
            let what = self.dice.below(14);
            self.meddle_within(satellite, key, within_ms, what);
        }
        strikes
    }

    /// Somebody does something about an instance within the next `within_ms`.
    pub(super) fn meddle_within(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        within_ms: u64,
        what: u64,
    ) {
        let key = key.clone();
        let after = self.dice.between(0, within_ms);
        self.later(after, move |stage| stage.meddle_now(satellite, &key, what));
    }

    fn meddle_now(&mut self, satellite: usize, key: &InstanceKey, what: u64) {
        let Some(name) = self.satellites.get(satellite).map(|subject| subject.name.clone()) else {
            return;
        };
        let Some(id) = self.backend.named(&name).map(|(id, _)| id.to_string()) else { return };
        let about = json!({"installation_id": key.installation.as_str(), "team_id": key.team.as_str(),
            "user_id": key.user.as_str()});
        let mut changed = None;
        match what {
            KILL => self.file(&id, "kill", &about),
            RESTART => self.file(&id, "restart", &about),
            2 => self.file(&id, "spawn", &about),
            SHUTDOWN => self.shut_down(satellite),
            4 => self.want_all(satellite),
            5 => {
                self.use_all(satellite);
                self.use_elsewhere(satellite);
            }
            6 => self.jump(satellite),
            SWITCH => {
                let payload = json!({"action": "update_tool_status", "team_id": key.team.as_str(),
                    "installation_id": key.installation.as_str(), "tool_name": "echo",
                    "is_disabled": true});
                self.file(&id, "configure", &payload);
            }
            8 => self.file(&id, "health_check", &json!({})),
            REMOVAL | 10 => changed = self.backend.change(key, Change::Removed),
            11 => changed = self.backend.change(key, Change::CommandLine),
            RECOVERY if self.remotes.serves(key) => {
                let mut recovery = about;
                recovery["event"] = json!("mcp_recovery");
                self.file(&id, "configure", &recovery);
            }
            _ => changed = self.backend.change(key, Change::Name),
        }
        if let Some(before) = changed {
            self.file_with_all("configure", &json!({"event": "changed"}));
            // What was taken away is missed, sooner or later.
            let wait = match self.dice.below(3) {
                0 => self.dice.between(SECOND / 10, 5 * SECOND),
                _ => self.dice.between(SECOND, 20 * MINUTE),
            };
            if what <= 10 {
                self.later(wait, move |stage| {
                    stage.backend.put_back(before);
                    stage.file_with_all("configure", &json!({"event": "changed"}));
                });
            }
        }
    }
}
