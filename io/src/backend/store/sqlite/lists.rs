//! Parts of lists.

use rusqlite::types::ToSqlOutput;
use rusqlite::{Row, ToSql, Transaction, params_from_iter};
use satellite_core::id::{SatelliteId, TeamId, UserId};

use super::super::StoreError;
use super::super::records::{
    AccessToken, Bound, Heartbeat, Installation, ListOf, Page, RegistrationToken, Satellite,
    SatelliteCommand, Server, Team, User,
};
use super::row::list;
use super::{accounts, commands, health, installations, pairing, satellites, servers};

fn part<T>(
    tx: &Transaction<'_>,
    of: ListOf,
    owner: Option<&str>,
    page: &Page,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let (sql, bounds) = of.statement(owner, page, '?');
    list(tx, &sql, params_from_iter(&bounds), read)
}

impl ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Bound::Text(text) => text.to_sql(),
            Bound::Moment(at) => Ok(at.0.to_iso().into()),
            Bound::Number(number) => number.to_sql(),
        }
    }
}

pub(in super::super) fn teams_page(
    tx: &Transaction<'_>,
    page: Page,
) -> Result<Vec<Team>, StoreError> {
    part(tx, ListOf::TEAMS, None, &page, accounts::read_team)
}

pub(in super::super) fn users_page(
    tx: &Transaction<'_>,
    page: Page,
) -> Result<Vec<User>, StoreError> {
    part(tx, ListOf::USERS, None, &page, accounts::read_user)
}

pub(in super::super) fn servers_page(
    tx: &Transaction<'_>,
    page: Page,
) -> Result<Vec<Server>, StoreError> {
    part(tx, ListOf::SERVERS, None, &page, servers::read_server)
}

pub(in super::super) fn satellites_page(
    tx: &Transaction<'_>,
    page: Page,
) -> Result<Vec<Satellite>, StoreError> {
    part(tx, ListOf::SATELLITES, None, &page, satellites::read_satellite)
}

pub(in super::super) fn registration_tokens_page(
    tx: &Transaction<'_>,
    page: Page,
) -> Result<Vec<RegistrationToken>, StoreError> {
    part(tx, ListOf::REGISTRATION_TOKENS, None, &page, pairing::read_token)
}

pub(in super::super) fn access_tokens_page(
    tx: &Transaction<'_>,
    user: UserId,
    page: Page,
) -> Result<Vec<AccessToken>, StoreError> {
    part(tx, ListOf::ACCESS_TOKENS, Some(user.as_str()), &page, accounts::read_token)
}

pub(in super::super) fn installations_page(
    tx: &Transaction<'_>,
    team: TeamId,
    page: Page,
) -> Result<Vec<Installation>, StoreError> {
    part(tx, ListOf::INSTALLATIONS, Some(team.as_str()), &page, installations::read_installation)
}

pub(in super::super) fn commands_page(
    tx: &Transaction<'_>,
    satellite: SatelliteId,
    page: Page,
) -> Result<Vec<SatelliteCommand>, StoreError> {
    part(tx, ListOf::COMMANDS, Some(satellite.as_str()), &page, commands::read_command)
}

pub(in super::super) fn heartbeats_page(
    tx: &Transaction<'_>,
    satellite: SatelliteId,
    page: Page,
) -> Result<Vec<Heartbeat>, StoreError> {
    part(tx, ListOf::HEARTBEATS, Some(satellite.as_str()), &page, health::read_heartbeat)
}
