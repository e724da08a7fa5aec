//! Which instances a payload names. An installation has one per user, so a name alone is never
//! taken for the first that fits.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::Refusal;
use crate::commands::Payload;
use crate::control::Control;
use crate::id::{InstallationId, InstanceKey};
use crate::instance::Instance;

impl Control {
    /// The instances a payload names: those of an installation, of one user of it, or one by its
    /// own name.
    pub(super) fn named(&self, payload: &Payload) -> Result<Vec<InstanceKey>, (Refusal, String)> {
        let (what, keys) = self.fitting(payload)?;
        let team = payload.team_id.as_ref();
        let Some(first) = keys.first() else {
            let error = format!(
                "{what} is not served by this satellite; see which satellite it is bound to, or \
                 send `configure` first"
            );
            return Err((Refusal::Unknown, error));
        };
        if let Some(team) = team
            && keys.iter().all(|key| key.team != *team)
        {
            let error = format!("{what} belongs to team {}, not to team {team}", first.team);
            return Err((Refusal::ForeignTenant, error));
        }
        let keys: Vec<InstanceKey> = keys
            .into_iter()
            .filter(|key| team.is_none_or(|team| *team == key.team))
            .filter(|key| payload.user_id.as_ref().is_none_or(|user| *user == key.user))
            .collect();
        if keys.is_empty() {
            let user = payload.user_id.as_ref().map(ToString::to_string).unwrap_or_default();
            let error = format!("user {user} has no instance of {what} on this satellite");
            return Err((Refusal::Unknown, error));
        }
        self.check_generation(payload, &what, &keys)?;
        Ok(keys)
    }

    /// What the payload names, in words, and every instance that fits it.
    fn fitting(&self, payload: &Payload) -> Result<(String, Vec<InstanceKey>), (Refusal, String)> {
        let present = |fits: &dyn Fn(&Instance) -> bool| -> Vec<InstanceKey> {
            let instances = self.instances.iter();
            let fitting =
                instances.filter(|(_, instance)| !instance.is_leaving() && fits(instance));
            fitting.map(|(key, _)| key.clone()).collect()
        };
        if let Some(installation) = &payload.installation_id {
            let instance_id = payload.instance_id.as_ref();
            let keys = present(&|instance| {
                let spec = &instance.lifecycle().spec;
                spec.key.installation == *installation
                    && instance_id.is_none_or(|id| spec.instance_id.as_ref() == Some(id))
            });
            return Ok((format!("installation {installation}"), keys));
        }
        let Some(name) = payload.process_id.as_ref().or(payload.server_name.as_ref()) else {
            let error = "the payload names no installation; add `installation_id`, and `user_id` \
                         for one user's instance only";
            return Err((Refusal::Unknown, String::from(error)));
        };
        let what = format!("server {name}");
        let exact = present(&|instance| instance.lifecycle().spec.names.process == *name);
        if !exact.is_empty() {
            return Ok((what, exact));
        }
        let user = payload.user_id.as_ref();
        let team = payload.team_id.as_ref();
        let keys = present(&|instance| {
            let spec = &instance.lifecycle().spec;
            (spec.names.server == *name || spec.names.slug == *name)
                && user.is_none_or(|user| *user == spec.key.user)
                && team.is_none_or(|team| *team == spec.key.team)
        });
        if keys.len() > 1 {
            let installations: BTreeSet<&InstallationId> =
                keys.iter().map(|key| &key.installation).collect();
            let names: Vec<String> = installations.iter().map(ToString::to_string).collect();
            let error = format!(
                "{what} fits {} instances of installations {}; name the one by `installation_id` \
                 and `user_id`",
                keys.len(),
                names.join(", ")
            );
            return Err((Refusal::Unknown, error));
        }
        Ok((what, keys))
    }

    /// A command that was made for what has been replaced since must not touch what replaced it.
    fn check_generation(
        &self,
        payload: &Payload,
        what: &str,
        keys: &[InstanceKey],
    ) -> Result<(), (Refusal, String)> {
        let Some(meant) = payload.generation else { return Ok(()) };
        let of = |key| self.instances.get(key).map(|one| one.lifecycle().spec.generation);
        let present = keys.iter().filter_map(of).max().unwrap_or_default();
        if meant >= present {
            return Ok(());
        }
        let error = format!(
            "the command is for generation {meant} of {what}, which has been replaced by \
             generation {present}; send it again if it is still wanted"
        );
        Err((Refusal::Stale, error))
    }
}
