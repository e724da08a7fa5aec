//! Statuses at the Backend: what a satellite may say of an instance, and what a satellite's own
//! status is.

use super::Owner;
use super::admission::serves_installation;
use crate::id::{SatelliteId, TeamId};
use crate::time::{IsoTime, MINUTE, Timestamp};
use crate::view::InstanceStatus;
use crate::wire::admin::AdminState;

/// Silence after which a satellite counts as inactive.
pub const STALE_AFTER_MS: u64 = 5 * MINUTE;

/// An instance as storage has it when a report comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported<'a> {
    /// The team of its installation.
    pub team: &'a TeamId,
    /// The satellite its installation is bound to, if it is.
    pub bound_to: Option<&'a SatelliteId>,
    /// Its status.
    pub status: InstanceStatus,
    /// Since when.
    pub since: Timestamp,
}

/// What a report does to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusReport {
    /// The instance takes the status, as of the moment given.
    Takes(Timestamp),
    /// Nothing: a later status is known already.
    Stale,
    /// It is refused: the satellite does not serve the installation, or names another team.
    Foreign,
    /// It is refused: the status is the Backend's to decide. An instance that waits for its user's
    /// settings is in no satellite's configuration, so whatever is said of it is late.
    NotYours,
}

/// Decides on a satellite's report of an instance's status.
///
/// The satellite runs the instance and so knows best: of the statuses that are its own, any may
/// follow any, since the reports between may have been lost. Order is by the time of the events,
/// not of their arrival. A satellite's clock may run ahead, but nothing happened after `now`.
pub fn report(
    satellite: &SatelliteId,
    owner: &Owner,
    instance: &Reported<'_>,
    team: &TeamId,
    status: InstanceStatus,
    at: Timestamp,
    now: Timestamp,
) -> StatusReport {
    if team != instance.team
        || !serves_installation(satellite, owner, instance.team, instance.bound_to)
    {
        return StatusReport::Foreign;
    }
    if status == InstanceStatus::AwaitingUserConfig
        || instance.status == InstanceStatus::AwaitingUserConfig
    {
        return StatusReport::NotYours;
    }
    let at = at.min(now);
    if at < instance.since { StatusReport::Stale } else { StatusReport::Takes(at) }
}

/// Whether a maintenance window may be set.
///
/// # Errors
///
/// Its end is not after its beginning, or is past: in words for people.
pub fn check_window(
    from: Option<IsoTime>,
    until: Option<IsoTime>,
    now: Timestamp,
) -> Result<(), &'static str> {
    match until {
        Some(until) if until.0 <= now => Err("the end of the window is past; name a later one"),
        Some(until) if from.is_some_and(|from| until <= from) => {
            Err("the window ends before it begins; `until` must be later than `from`")
        }
        _ => Ok(()),
    }
}

/// Whether a maintenance window is open.
pub fn in_maintenance(admin: &AdminState, now: Timestamp) -> bool {
    match admin {
        AdminState::Maintenance { from, until } => {
            from.is_none_or(|from| from.0 <= now) && until.is_none_or(|until| now < until.0)
        }
        AdminState::Enabled | AdminState::Disabled => false,
    }
}

/// Whether the satellite is handed commands.
pub fn takes_commands(admin: &AdminState, now: Timestamp) -> bool {
    *admin != AdminState::Disabled && !in_maintenance(admin, now)
}

/// The value of `satellites.status`: `active`, `inactive` or `maintenance`.
///
/// Heartbeats make a satellite active and silence makes it inactive; neither touches what an
/// administrator decided.
pub fn satellite_status(
    admin: &AdminState,
    last_heartbeat: Option<Timestamp>,
    now: Timestamp,
) -> &'static str {
    if *admin == AdminState::Disabled {
        "inactive"
    } else if in_maintenance(admin, now) {
        "maintenance"
    } else if last_heartbeat.is_some_and(|last| now.since(last) < STALE_AFTER_MS) {
        "active"
    } else {
        "inactive"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(10_000_000);

    fn say(current: InstanceStatus, said: InstanceStatus, at: u64) -> StatusReport {
        let instance = Reported {
            team: &"t".into(),
            bound_to: None,
            status: current,
            since: Timestamp(5_000),
        };
        report(&"s".into(), &Owner::Global, &instance, &"t".into(), said, Timestamp(at), NOW)
    }

    #[test]
    fn reports_are_ordered_by_the_time_of_the_event() {
        use InstanceStatus::{Error, Online};
        assert_eq!(say(Error, Online, 5_000), StatusReport::Takes(Timestamp(5_000)));
        assert_eq!(say(Online, Error, 4_999), StatusReport::Stale);
        assert_eq!(say(Online, Error, u64::MAX), StatusReport::Takes(NOW));
    }

    #[test]
    fn waiting_for_the_users_settings_is_the_backends_to_say() {
        use InstanceStatus::{AwaitingUserConfig, Online};
        assert_eq!(say(Online, AwaitingUserConfig, 6_000), StatusReport::NotYours);
        assert_eq!(say(AwaitingUserConfig, Online, 6_000), StatusReport::NotYours);
    }

    #[test]
    fn nobody_reports_on_what_they_do_not_serve() {
        let (team, other) = (TeamId::from("t"), TeamId::from("x"));
        let elsewhere = SatelliteId::from("elsewhere");
        let ask = |owner: &Owner, bound_to: Option<&SatelliteId>, named: &TeamId| {
            let instance = Reported {
                team: &team,
                bound_to,
                status: InstanceStatus::Online,
                since: Timestamp(0),
            };
            report(&"s".into(), owner, &instance, named, InstanceStatus::Error, NOW, NOW)
        };
        assert_eq!(ask(&Owner::Team(other.clone()), None, &team), StatusReport::Foreign);
        assert_eq!(ask(&Owner::Global, None, &other), StatusReport::Foreign);
        assert_eq!(ask(&Owner::Global, Some(&elsewhere), &team), StatusReport::Foreign);
        assert_eq!(ask(&Owner::Team(team.clone()), None, &team), StatusReport::Takes(NOW));
    }

    #[test]
    fn silence_makes_a_satellite_inactive_and_an_administrators_word_stands() {
        let beat = Some(NOW);
        let shown = |admin: &AdminState, later| satellite_status(admin, beat, NOW.after(later));
        assert_eq!(satellite_status(&AdminState::Enabled, None, NOW), "inactive");
        assert_eq!(shown(&AdminState::Enabled, STALE_AFTER_MS - 1), "active");
        assert_eq!(shown(&AdminState::Enabled, STALE_AFTER_MS), "inactive");
        assert_eq!(shown(&AdminState::Disabled, 0), "inactive");
        let window = AdminState::Maintenance {
            from: Some(IsoTime(NOW.after(10))),
            until: Some(IsoTime(NOW.after(20))),
        };
        assert_eq!(shown(&window, 9), "active");
        assert_eq!(shown(&window, 10), "maintenance");
        assert_eq!(shown(&window, 20), "active");
        assert!(!takes_commands(&window, NOW.after(10)));
        assert!(takes_commands(&window, NOW.after(20)));
        let open = AdminState::Maintenance { from: None, until: None };
        assert_eq!(shown(&open, STALE_AFTER_MS), "maintenance");
    }

    #[test]
    fn a_window_ends_after_it_begins_and_not_in_the_past() {
        let at = |offset| Some(IsoTime(NOW.after(offset)));
        for (from, until) in [(None, None), (at(0), None), (None, at(1)), (at(1), at(2))] {
            assert_eq!(check_window(from, until, NOW), Ok(()));
        }
        for (from, until) in [(None, at(0)), (at(2), at(2)), (at(3), at(2))] {
            assert!(check_window(from, until, NOW).is_err(), "{from:?} {until:?}");
        }
    }
}
