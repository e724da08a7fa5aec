//! Parts of lists.

use satellite_core::id::{SatelliteId, TeamId, UserId};
use tokio_postgres::Row;

use super::super::records::{
    AccessToken, Bound, Heartbeat, Installation, ListOf, Page, RegistrationToken, Satellite,
    SatelliteCommand, Server, Team, User,
};
use super::row::{Value, list};
use super::{Outcome, Tx, accounts, commands, health, installations, pairing, satellites, servers};

async fn part<T>(
    tx: &Tx<'_>,
    of: ListOf,
    owner: Option<&str>,
    page: &Page,
    read: fn(&Row) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    let (sql, bounds) = of.statement(owner, page, '$');
    let values: Vec<Value<'_>> = bounds.iter().map(Value::from).collect();
    list(tx, &sql, &values, read).await
}

impl<'a> From<&'a Bound> for Value<'a> {
    fn from(bound: &'a Bound) -> Value<'a> {
        match bound {
            Bound::Text(text) => Value::from(text),
            Bound::Moment(at) => Value::Moment(at.0),
            Bound::Number(number) => Value::from(*number),
        }
    }
}

pub(in super::super) async fn teams_page(tx: &Tx<'_>, page: &Page) -> Outcome<Vec<Team>> {
    part(tx, ListOf::TEAMS, None, page, accounts::read_team).await
}

pub(in super::super) async fn users_page(tx: &Tx<'_>, page: &Page) -> Outcome<Vec<User>> {
    part(tx, ListOf::USERS, None, page, accounts::read_user).await
}

pub(in super::super) async fn servers_page(tx: &Tx<'_>, page: &Page) -> Outcome<Vec<Server>> {
    part(tx, ListOf::SERVERS, None, page, servers::read_server).await
}

pub(in super::super) async fn satellites_page(tx: &Tx<'_>, page: &Page) -> Outcome<Vec<Satellite>> {
    part(tx, ListOf::SATELLITES, None, page, satellites::read_satellite).await
}

pub(in super::super) async fn registration_tokens_page(
    tx: &Tx<'_>,
    page: &Page,
) -> Outcome<Vec<RegistrationToken>> {
    part(tx, ListOf::REGISTRATION_TOKENS, None, page, pairing::read_token).await
}

pub(in super::super) async fn access_tokens_page(
    tx: &Tx<'_>,
    user: &UserId,
    page: &Page,
) -> Outcome<Vec<AccessToken>> {
    part(tx, ListOf::ACCESS_TOKENS, Some(user.as_str()), page, accounts::read_token).await
}

pub(in super::super) async fn installations_page(
    tx: &Tx<'_>,
    team: &TeamId,
    page: &Page,
) -> Outcome<Vec<Installation>> {
    part(tx, ListOf::INSTALLATIONS, Some(team.as_str()), page, installations::read_installation)
        .await
}

pub(in super::super) async fn commands_page(
    tx: &Tx<'_>,
    satellite: &SatelliteId,
    page: &Page,
) -> Outcome<Vec<SatelliteCommand>> {
    part(tx, ListOf::COMMANDS, Some(satellite.as_str()), page, commands::read_command).await
}

pub(in super::super) async fn heartbeats_page(
    tx: &Tx<'_>,
    satellite: &SatelliteId,
    page: &Page,
) -> Outcome<Vec<Heartbeat>> {
    part(tx, ListOf::HEARTBEATS, Some(satellite.as_str()), page, health::read_heartbeat).await
}
