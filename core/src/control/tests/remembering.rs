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

/// The numbers and ids of a batch, and the last number of a gap in it with its reason.
fn told(body: &str) -> (Vec<(u64, String)>, Option<String>) {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let events = body["events"].as_array().unwrap();
    let numbered = events
        .iter()
        .map(|event| (event["seq"].as_u64().unwrap(), event["id"].as_str().unwrap().to_string()));
    let gap = events.iter().find(|event| event["type"] == "satellite.events.gap");
    (numbered.collect(), gap.map(|gap| gap["data"]["reason"].as_str().unwrap().to_string()))
}

#[test]
fn numbers_sent_from_memory_are_given_by_no_later_daemon_however_many_die_on_a_full_disk() {
    let mut world = World::configured(&server("i", "node"));
    world.is_full = true;
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    for life in 0..4 {
        world.online();
        world.later(4 * SECOND);
        let (_, body) = world.answer(Channel::Events, 200, r#"{"success":true}"#);
        let (numbered, gap) = told(&body);
        assert_eq!(gap.as_deref(), (life > 0).then_some("journal_unwritable"), "{body}");
        for (number, id) in numbered {
            assert_eq!(seen.insert(number, id.clone()).unwrap_or(id.clone()), id, "{number}");
        }
        world.is_full = life < 2;
        // The disk is what it was; the clock is set back, so that no number owes its place to it.
        world.now = Timestamp(world.now.0 - crate::time::DAY);
        let (is_full, journal) = (world.is_full, world.journal.clone());
        let start = Start {
            credentials: Some(credentials()),
            configuration: Some(configuration(&server("i", "node")).into_bytes()),
            journal: journal.clone(),
            ..Start::default()
        };
        world = World::start_on(world.now, start, is_full, journal);
    }
}

#[test]
fn where_nothing_can_be_written_events_wait_until_something_can() {
    let mut world = World::configured(&server("i", "node"));
    world.is_read_only = true;
    world.online();
    world.later(20 * SECOND);
    assert_eq!(world.sent(Channel::Events), 0);
    assert!(world.reasons().contains("disk full"), "{}", world.reasons());
    world.is_read_only = false;
    for _ in 0..2 {
        world.later(JOURNAL_RETRY_MS);
    }
    let (numbered, gap) = told(&world.unanswered(Channel::Events).1);
    assert!(!numbered.is_empty() && gap.is_none(), "{numbered:?} {gap:?}");
}

#[test]
fn a_power_cut_before_the_first_batch_of_a_daemon_is_told_though_the_one_before_ended_in_order() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.later(4 * SECOND);
    world.answer(Channel::Events, 200, r#"{"success":true}"#);
    world.event(Event::ShutdownRequested);
    world.exited();
    world.later(MINUTE);
    assert!(world.exit.is_some());
    let start = |journal: &[u8], boot: &str| Start {
        credentials: Some(credentials()),
        configuration: Some(configuration(&server("i", "node")).into_bytes()),
        journal: journal.to_vec(),
        boot: boot.to_string(),
        ..Start::default()
    };
    let before = world.journal.clone();
    let world = World::start_on(world.now, start(&before, "first"), false, before);
    // Of the last daemon the disk keeps what was synced.
    let world = World::start_at(world.now, start(&world.journal[..world.synced], "second"));
    assert!(String::from_utf8_lossy(&world.journal).contains("power_loss"));
}

#[test]
fn what_an_ended_pairing_left_is_replaced_before_the_next_one_is_on_disk() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.later(4 * SECOND);
    let journal = world.journal.clone();
    let (_, left) = world.unanswered(Channel::Events);
    let start = Start {
        registration_token: Some(Secret::new(
            "deploystack_satellite_global_eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
        )),
        journal: journal.clone(),
        ..Start::default()
    };
    let mut world = World::start_on(world.now, start, true, journal);
    world.is_full = false;
    world.answer(Channel::Pairing, 200, r#"{"status":"ok"}"#);
    assert!(world.persisted.is_empty(), "{:?}", world.persisted);
    world.answer(
        Channel::Pairing,
        200,
        r#"{"success":true,"message":"ok","satellite":{"id":"sat_2","name":"edge-satellite-01",
        "satellite_type":"global","team_id":null,"status":"inactive","api_key":"key"}}"#,
    );
    assert_eq!(world.persisted, ["credentials"]);
    let journal = String::from_utf8(world.journal).unwrap();
    assert!(left.contains("mcp.server.started"), "{left}");
    assert!(!journal.contains("mcp.server.started"), "{journal}");
    assert!(journal.contains("unpaired"), "{journal}");
}
