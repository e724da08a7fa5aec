//! Installations, and what a satellite's configuration is made of.

use satellite_core::backend::config_version::counted_on;
use satellite_core::id::{InstallationId, InstanceId, SatelliteId, TeamId};

use super::super::StoreError;
use super::super::records::{
    ConfigurationInput, ConfigurationSource, Installation, InstallationPatch, Notice,
    UserConfiguration,
};
use super::instances::add_instance;
use super::tables::Tables;

pub(in super::super) fn create_installation(
    tables: &mut Tables,
    installation: Installation,
    instance_prefix: String,
    notice: Notice,
) -> Result<(), StoreError> {
    if !tables.teams.contains_key(&installation.team_id)
        || !tables.servers.contains_key(&installation.server_id)
        || installation
            .satellite_id
            .as_ref()
            .is_some_and(|pin| !tables.satellites.contains_key(pin))
    {
        return Err(StoreError::Missing("something it refers to"));
    }
    tables.check_name(&installation)?;
    let (team, pin) = (installation.team_id.clone(), installation.satellite_id.clone());
    let members: Vec<_> = tables.members.keys().filter(|(of, _)| *of == team).cloned().collect();
    for (number, (_, user)) in members.iter().enumerate() {
        let id = InstanceId::from(format!("{instance_prefix}{number}"));
        add_instance(tables, id, &installation.id, user, notice.now);
    }
    tables.installations.insert(installation.id.clone(), installation);
    tables.file_notice(&team, &[pin], &notice)
}

pub(in super::super) fn installations(
    tables: &mut Tables,
    team: Option<TeamId>,
) -> Result<Vec<Installation>, StoreError> {
    let installations = tables.installations.values();
    Ok(installations
        .filter(|one| team.as_ref().is_none_or(|team| one.team_id == *team))
        .cloned()
        .collect())
}

pub(in super::super) fn installation(
    tables: &mut Tables,
    id: InstallationId,
) -> Result<Option<Installation>, StoreError> {
    Ok(tables.installations.get(&id).cloned())
}

pub(in super::super) fn update_installation(
    tables: &mut Tables,
    id: InstallationId,
    patch: InstallationPatch,
    notice: Notice,
) -> Result<Installation, StoreError> {
    let mut changed = tables.installation(&id)?.clone();
    let former_pin = changed.satellite_id.clone();
    changed.apply(patch, notice.now);
    if changed.satellite_id.as_ref().is_some_and(|pin| !tables.satellites.contains_key(pin)) {
        return Err(StoreError::Missing("something it refers to"));
    }
    tables.check_name(&changed)?;
    tables.installations.insert(id, changed.clone());
    let pins = [former_pin, changed.satellite_id.clone()];
    tables.file_notice(&changed.team_id, &pins, &notice)?;
    Ok(changed)
}

pub(in super::super) fn delete_installation(
    tables: &mut Tables,
    id: InstallationId,
    notice: Notice,
) -> Result<bool, StoreError> {
    let Some(removed) = tables.installations.get(&id).cloned() else { return Ok(false) };
    tables.drop_installation(&id);
    tables.file_notice(&removed.team_id, &[removed.satellite_id], &notice)?;
    Ok(true)
}

pub(in super::super) fn put_user_configuration(
    tables: &mut Tables,
    configuration: UserConfiguration,
    notice: Notice,
) -> Result<(), StoreError> {
    let installation = tables.installation(&configuration.installation_id)?.clone();
    if !tables.users.contains_key(&configuration.user_id) {
        return Err(StoreError::Missing("something it refers to"));
    }
    let key = (configuration.installation_id.clone(), configuration.user_id.clone());
    tables.user_configurations.insert(key, configuration);
    tables.file_notice(&installation.team_id, &[installation.satellite_id], &notice)
}

pub(in super::super) fn user_configurations(
    tables: &mut Tables,
    installation: InstallationId,
) -> Result<Vec<UserConfiguration>, StoreError> {
    let configurations = tables.user_configurations.values();
    Ok(configurations.filter(|one| one.installation_id == installation).cloned().collect())
}

pub(in super::super) fn configuration_source(
    tables: &mut Tables,
    satellite: SatelliteId,
    in_force: Option<u64>,
) -> Result<ConfigurationSource, StoreError> {
    let known = tables.satellites.get_mut(&satellite).ok_or(StoreError::Missing("satellite"))?;
    known.config_version = counted_on(known.config_version, in_force);
    let satellite = known.clone();
    let mut inputs = Vec::new();
    for installation in tables.installations.values().cloned().collect::<Vec<_>>() {
        let server = tables.servers.get(&installation.server_id).cloned();
        let team = tables.teams.get(&installation.team_id).cloned();
        let (Some(server), Some(team)) = (server, team) else { continue };
        let served = satellite.serves(&installation.team_id, installation.satellite_id.as_ref());
        if !served || server.status != "active" {
            continue;
        }
        let disabled = tables
            .tools
            .iter()
            .filter(|((owner, ..), tool)| *owner == installation.id && tool.is_disabled);
        inputs.push(ConfigurationInput {
            disabled_tools: disabled.map(|((.., name), _)| name.clone()).collect(),
            members: super::accounts::members(tables, team.id.clone())?,
            users: user_configurations(tables, installation.id.clone())?,
            instances: super::instances::instances(tables, installation.id.clone())?,
            installation,
            server,
            team,
        });
    }
    Ok(ConfigurationSource { version: satellite.config_version, inputs })
}

impl Tables {
    fn check_name(&self, installation: &Installation) -> Result<(), StoreError> {
        let taken = self.installations.values().any(|known| {
            known.id != installation.id
                && known.team_id == installation.team_id
                && known.installation_name == installation.installation_name
        });
        if taken {
            return Err(StoreError::Conflict(
                "mcpServerInstallations.installation_name exists already".to_owned(),
            ));
        }
        Ok(())
    }
}
