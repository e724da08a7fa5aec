//! Parts of lists.

use satellite_core::id::{SatelliteId, TeamId, UserId};

use super::super::StoreError;
use super::super::records::{
    AccessToken, Heartbeat, Installation, ListOf, Page, RegistrationToken, Satellite,
    SatelliteCommand, Server, Team, User,
};
use super::tables::Tables;

pub(in super::super) fn teams_page(
    tables: &mut Tables,
    page: Page,
) -> Result<Vec<Team>, StoreError> {
    Ok(ListOf::TEAMS.part_of(tables.teams.values(), None, &page))
}

pub(in super::super) fn users_page(
    tables: &mut Tables,
    page: Page,
) -> Result<Vec<User>, StoreError> {
    Ok(ListOf::USERS.part_of(tables.users.values(), None, &page))
}

pub(in super::super) fn servers_page(
    tables: &mut Tables,
    page: Page,
) -> Result<Vec<Server>, StoreError> {
    Ok(ListOf::SERVERS.part_of(tables.servers.values(), None, &page))
}

pub(in super::super) fn satellites_page(
    tables: &mut Tables,
    page: Page,
) -> Result<Vec<Satellite>, StoreError> {
    Ok(ListOf::SATELLITES.part_of(tables.satellites.values(), None, &page))
}

pub(in super::super) fn registration_tokens_page(
    tables: &mut Tables,
    page: Page,
) -> Result<Vec<RegistrationToken>, StoreError> {
    Ok(ListOf::REGISTRATION_TOKENS.part_of(tables.registration_tokens.values(), None, &page))
}

pub(in super::super) fn access_tokens_page(
    tables: &mut Tables,
    user: UserId,
    page: Page,
) -> Result<Vec<AccessToken>, StoreError> {
    Ok(ListOf::ACCESS_TOKENS.part_of(tables.access_tokens.values(), Some(user.as_str()), &page))
}

pub(in super::super) fn installations_page(
    tables: &mut Tables,
    team: TeamId,
    page: Page,
) -> Result<Vec<Installation>, StoreError> {
    Ok(ListOf::INSTALLATIONS.part_of(tables.installations.values(), Some(team.as_str()), &page))
}

pub(in super::super) fn commands_page(
    tables: &mut Tables,
    satellite: SatelliteId,
    page: Page,
) -> Result<Vec<SatelliteCommand>, StoreError> {
    Ok(ListOf::COMMANDS.part_of(tables.commands.values(), Some(satellite.as_str()), &page))
}

pub(in super::super) fn heartbeats_page(
    tables: &mut Tables,
    satellite: SatelliteId,
    page: Page,
) -> Result<Vec<Heartbeat>, StoreError> {
    Ok(ListOf::HEARTBEATS.part_of(tables.heartbeats.values(), Some(satellite.as_str()), &page))
}
