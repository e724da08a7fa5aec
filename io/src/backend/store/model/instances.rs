//! Users' instances of installations, and their tools.

use std::collections::BTreeMap;

use satellite_core::id::{InstallationId, InstanceId, UserId};
use satellite_core::time::{IsoTime, Timestamp};

use super::super::StoreError;
use super::super::records::{Instance, Notice, Tool};
use super::tables::Tables;

/// Gives `user` an instance of `installation`, unless there is one.
pub(super) fn add_instance(
    tables: &mut Tables,
    id: InstanceId,
    installation: &InstallationId,
    user: &UserId,
    now: Timestamp,
) {
    let known = |one: &Instance| one.installation_id == *installation && one.user_id == *user;
    if tables.instances.values().any(known) {
        return;
    }
    let instance = Instance {
        id: id.clone(),
        installation_id: installation.clone(),
        user_id: user.clone(),
        instance_path: None,
        token_hash: None,
        status: "provisioning".to_owned(),
        status_message: None,
        status_updated_at: None,
        created_at: IsoTime(now),
        updated_at: IsoTime(now),
    };
    tables.instances.insert(id, instance);
}

pub(in super::super) fn instances(
    tables: &mut Tables,
    installation: InstallationId,
) -> Result<Vec<Instance>, StoreError> {
    let instances = tables.instances.values();
    let mut instances: Vec<_> =
        instances.filter(|one| one.installation_id == installation).cloned().collect();
    instances.sort_by(|left, right| left.user_id.cmp(&right.user_id));
    Ok(instances)
}

pub(in super::super) fn set_instance_token(
    tables: &mut Tables,
    id: InstanceId,
    path: String,
    token_hash: String,
    notice: Notice,
) -> Result<Instance, StoreError> {
    let taken = |one: &Instance| one.id != id && one.instance_path.as_ref() == Some(&path);
    let path_taken = tables.instances.values().any(taken);
    let instance = tables.instances.get_mut(&id).ok_or(StoreError::Missing("instance"))?;
    if instance.instance_path.is_none() {
        if path_taken {
            return Err(StoreError::Conflict(
                "mcpServerInstances.instance_path exists already".to_owned(),
            ));
        }
        instance.instance_path = Some(path);
    }
    instance.token_hash = Some(token_hash);
    instance.updated_at = IsoTime(notice.now);
    let instance = instance.clone();
    let installation = tables.installation(&instance.installation_id)?.clone();
    tables.file_notice(&installation.team_id, &[installation.satellite_id], &notice)?;
    Ok(instance)
}

pub(in super::super) fn tools(
    tables: &mut Tables,
    installation: InstallationId,
) -> Result<Vec<Tool>, StoreError> {
    let mut tools: BTreeMap<&str, &Tool> = BTreeMap::new();
    for ((owner, _, name), tool) in &tables.tools {
        if *owner == installation {
            tools.insert(name, tool);
        }
    }
    Ok(tools.into_values().cloned().collect())
}

pub(in super::super) fn set_tool_disabled(
    tables: &mut Tables,
    id: InstallationId,
    tool: String,
    disabled: bool,
    notice: Notice,
) -> Result<(), StoreError> {
    let installation = tables.installation(&id)?.clone();
    let mut found = false;
    for ((owner, _, name), row) in &mut tables.tools {
        if *owner == id && *name == tool {
            row.is_disabled = disabled;
            found = true;
        }
    }
    if !found {
        return Err(StoreError::Missing("tool"));
    }
    tables.file_notice(&installation.team_id, &[installation.satellite_id], &notice)
}
