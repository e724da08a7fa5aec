//! What was said later stands: commands, configurations, and both of the same tool.

use super::*;
use serde_json::{Value, json};

const SWITCH: &str = r#"{"action":"update_tool_status","installation_id":"i","team_id":"t",
    "tool_name":"write","is_disabled":true}"#;

impl World {
    /// Several commands in one reply to a poll.
    fn commands(&mut self, payloads: &[Value]) {
        self.later(5 * MINUTE);
        let commands: Vec<Value> = payloads
            .iter()
            .enumerate()
            .map(|(number, payload)| {
                json!({"id": format!("c{}-{number}", self.now.0), "command_type": "configure",
                    "priority": "immediate", "payload": payload})
            })
            .collect();
        let reply = json!({"commands": commands, "polling_mode": "immediate",
            "next_poll_interval": 2});
        self.answer(Channel::Poll, 200, &reply.to_string());
    }

    fn is_off(&self) -> bool {
        let view = self.control.view();
        view.instances.values().all(|instance| instance.disabled_tools.contains("write"))
    }

    /// Fetches a configuration because of a command; what the command brought.
    fn fetched(&mut self, configuration: &str) -> Value {
        self.command("configure", "{}");
        self.answer(Channel::Configuration, 200, configuration);
        self.result()
    }
}

fn versioned(version: u64, entry: &str) -> String {
    format!(r#"{{"mcp_servers":{{{entry}}},"version":{version}}}"#)
}

/// The installation's entry with a list of tools that are switched off.
fn listing(tools: &str) -> String {
    server("i", "node").replace(r#""args":[]"#, &format!(r#""args":[],"disabled_tools":[{tools}]"#))
}

/// The switch as a Backend that counts files it.
fn switch_at(version: u64) -> String {
    SWITCH.replace(r#""tool_name""#, &format!(r#""config_version":{version},"tool_name""#))
}

#[test]
fn a_configuration_made_after_a_switch_settles_it_and_one_made_before_does_not() {
    let mut world = World::awake("");
    world.fetched(&versioned(5, &server("i", "node")));
    world.online();
    world.command("configure", &switch_at(7));
    assert_eq!(world.result()["status"], "completed");
    assert!(world.is_off());
    world.fetched(&versioned(6, &server("i", "node")));
    assert!(world.is_off(), "it was made before the switch");
    world.fetched(&versioned(8, &server("i", "node")));
    assert!(!world.is_off(), "it was switched on again, and that command was lost");
    world.fetched(&versioned(9, &listing(r#""write""#)));
    assert!(world.is_off());
    assert!(world.control.switches.is_empty(), "nothing is remembered that is settled");
}

#[test]
fn a_switch_that_comes_after_a_configuration_that_holds_it_does_nothing() {
    let mut world = World::awake("");
    world.fetched(&versioned(8, &server("i", "node")));
    world.online();
    world.command("configure", &switch_at(7));
    let result = world.result();
    assert_eq!(
        (&result["status"], &result["result"]["superseded"]),
        (&json!("completed"), &json!(true))
    );
    assert!(!world.is_off());
}

#[test]
fn a_settled_switch_does_not_come_back_with_the_next_daemon() {
    let mut world = World::configured("");
    let entry = server("i", "node");
    world.fetched(&versioned(5, &entry));
    world.command("configure", &switch_at(7));
    world.result();
    let start = |world: &World, configuration: String| Start {
        credentials: Some(credentials()),
        configuration: Some(configuration.into_bytes()),
        journal: world.journal.clone(),
        ..Start::default()
    };
    // Killed before the next configuration: the switch is newer than what is on disk.
    let next = World::start_at(world.now, start(&world, versioned(5, &entry)));
    assert!(next.is_off());
    // Killed after it was stored, with the journal as it was: the versions tell.
    let next = World::start_at(world.now, start(&world, versioned(8, &entry)));
    assert!(!next.is_off());
}

#[test]
fn without_versions_a_list_of_tools_that_was_asked_for_later_settles_a_switch() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    // A fetch is on its way when the tool is switched: its answer is from before.
    world.commands(&[json!({}), serde_json::from_str(SWITCH).unwrap()]);
    world.answer(Channel::Configuration, 200, &configuration(&listing("")));
    world.result();
    world.result();
    assert!(world.is_off());
    world.fetched(&configuration(&server("i", "node")));
    assert!(world.is_off(), "such a Backend says nothing of tools in its configuration");
    world.fetched(&configuration(&listing("")));
    assert!(!world.is_off());
    let recovered = crate::journal::recover(&world.journal, world.now, || "evt_1".into());
    assert_eq!(recovered.switches, [], "the next daemon finds nothing to switch");
}

#[test]
fn a_notice_that_comes_while_a_fetch_is_under_way_waits_for_the_one_after_it() {
    let deleted = r#"{"event":"user_deleted","user_id":"u"}"#;
    let is_told =
        |world: &World| world.asked.iter().any(|(request, ..)| request.channel == Channel::Result);
    let mut world = World::start(Start { credentials: Some(credentials()), ..Start::default() });
    world.answer(Channel::Poll, 200, NONE);
    world.command("configure", deleted);
    // What was asked before the notice fails, and says nothing of what came of the notice.
    world.answer(Channel::Configuration, 500, "");
    assert!(!is_told(&world));
    world.answer(Channel::Configuration, 200, &configuration(""));
    assert_eq!(world.result()["status"], "completed");

    let entry = server("i", "node");
    let mut world = World::start(Start { credentials: Some(credentials()), ..Start::default() });
    world.answer(Channel::Poll, 200, NONE);
    world.command("configure", deleted);
    // The answer from before the notice is passed over: the user is still in it.
    world.answer(Channel::Configuration, 200, &configuration(&entry));
    assert!(!is_told(&world) && world.spawned.is_empty());
    world.answer(Channel::Configuration, 200, &configuration(""));
    let result = world.result();
    assert_eq!(result["result"]["total_instances"], 0, "{result}");
}
