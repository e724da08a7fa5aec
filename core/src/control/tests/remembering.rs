//! One daemon after another over the same journal, on disks that work and disks that do not.

use super::*;
use crate::limits::JOURNAL_RETRY_MS;

impl World {
    /// Kills the daemon and starts another one over what it left.
    fn restarted(self, configured: &str) -> World {
        let start = Start {
            credentials: Some(credentials()),
            configuration: Some(configuration(configured).into_bytes()),
            journal: self.journal.clone(),
            ..Start::default()
        };
        let mut world = World::start_at(self.now, start);
        if world.journal.is_empty() {
            world.journal = self.journal;
        }
        world
    }

    fn reasons(&self) -> String {
        let health = &self.control.view().health;
        health.reasons.iter().cloned().collect::<Vec<_>>().join("; ")
    }

    fn sent(&self, channel: Channel) -> usize {
        self.asked.iter().filter(|(request, ..)| request.channel == channel).count()
    }
}

#[test]
fn a_switched_tool_stays_switched_after_a_restart_and_a_configuration_without_it() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    let payload = r#"{"action":"update_tool_status","installation_id":"i","team_id":"t",
        "server_slug":"files","tool_name":"write","is_disabled":true}"#;
    world.command("configure", payload);
    assert_eq!(world.result()["status"], "completed");
    let mut world = world.restarted(&server("i", "node"));
    let is_off = |world: &World| {
        let view = world.control.view();
        view.instances.values().all(|instance| instance.disabled_tools.contains("write"))
    };
    assert!(is_off(&world));
    world.answer(Channel::Poll, 200, NONE);
    world.answer(Channel::Configuration, 200, &configuration(&server("i", "node")));
    assert!(is_off(&world));
}

#[test]
fn a_command_that_was_received_and_not_begun_is_begun_by_the_next_daemon() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.command("configure", "{}");
    world.answer(Channel::Configuration, 500, "");
    // The first one waits for a configuration; the second waits for the first.
    world.command("kill", r#"{"installation_id":"i"}"#);
    let mut world = world.restarted(&server("i", "node"));
    world.online();
    world.answer(Channel::Poll, 200, NONE);
    world.answer(Channel::Configuration, 200, &configuration(&server("i", "node")));
    let mut results = vec![world.result()];
    if !world.terminated.is_empty() {
        world.exited();
    }
    results.push(world.result());
    assert!(results.iter().all(|result| result["status"].is_string()), "{results:?}");
    assert_eq!(world.sent(Channel::Result), 0);
}

#[test]
fn what_a_shutdown_could_not_deliver_is_delivered_by_the_next_daemon() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.event(Event::ShutdownRequested);
    world.exited();
    world.later(MINUTE);
    assert!(world.exit.is_some(), "the budget is spent");
    let (_, lost) = world.unanswered(Channel::Events);
    let mut world = world.restarted("");
    world.later(4 * SECOND);
    let (_, again) = world.unanswered(Channel::Events);
    let id = |body: &str| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["events"][0]["id"].clone()
    };
    assert_eq!(id(&lost), id(&again));
}

#[test]
fn a_full_disk_is_said_in_the_heartbeat_and_holds_up_commands_but_no_event() {
    let mut world = World::configured(&server("i", "node"));
    world.is_full = true;
    world.online();
    assert!(world.reasons().contains("disk full"), "{}", world.reasons());
    assert_eq!(world.control.view().health.status, SatelliteStatus::Degraded);
    world.later(4 * SECOND);
    assert_eq!(world.sent(Channel::Events), 1);
    world.command("kill", r#"{"installation_id":"i"}"#);
    assert_eq!(world.control.commands.executing(), None);
    assert_eq!(world.sent(Channel::Result) + world.sent(Channel::Acknowledgement), 0);

    world.is_full = false;
    world.later(JOURNAL_RETRY_MS);
    assert!(!world.reasons().contains("disk full"), "{}", world.reasons());
    world.command("kill", r#"{"installation_id":"i"}"#);
    assert!(world.control.commands.executing().is_some(), "it came again");
    assert!(crate::journal::condition(&world.journal).is_whole());
}

#[test]
fn an_unreadable_journal_is_replaced_and_the_backend_is_told() {
    let start = Start {
        credentials: Some(credentials()),
        journal: b"neither this\nnor that\n".to_vec(),
        ..Start::default()
    };
    let mut world = World::start(start);
    assert!(crate::journal::condition(&world.journal).is_whole());
    world.later(4 * SECOND);
    let (_, body) = world.unanswered(Channel::Events);
    assert!(body.contains("satellite.events.gap") && body.contains("journal_damaged"), "{body}");
}

#[test]
fn a_clock_that_was_set_back_a_day_changes_no_number_and_no_wait() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.later(4 * SECOND);
    let (_, before) = world.unanswered(Channel::Events);
    world.now = Timestamp(world.now.0 - crate::time::DAY);
    let mut world = world.restarted(&server("i", "node"));
    world.online();
    world.later(4 * SECOND);
    let (_, after) = world.unanswered(Channel::Events);
    let last = |body: &str| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["events"].as_array().unwrap().last().unwrap()["seq"].as_u64().unwrap()
    };
    assert!(last(&after) > last(&before));
    assert!(last(&after) < last(&before) + 100, "{} after {}", last(&after), last(&before));
}
