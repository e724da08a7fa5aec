//! Servers elsewhere, from their configuration to the Backend's word about them.

use serde_json::Value;

use super::*;
use crate::remote::{Failure, Fault};

fn remote(user: &str, url: &str) -> String {
    format!(
        r#""far-t-{user}-i":{{"installation_id":"i","team_id":"t","user_id":"{user}",
        "server_name":"Far","server_slug":"far","transport_type":"http","url":"{url}",
        "headers":{{"X-Key":"k-{user}"}}}}"#
    )
}

fn two_users() -> String {
    let url = "https://far.example/mcp";
    format!("{},{}", remote("u", url), remote("v", url))
}

impl World {
    fn far(servers: &str) -> World {
        let mut world = World::configured(servers);
        for number in 0..world.connected.len() {
            world.discovered(number);
        }
        world
    }

    fn tells(&mut self, number: usize, report: Report) {
        let (key, incarnation) = self.connected[number].clone();
        self.event(Event::Relay { key, incarnation, report });
    }

    fn discovered(&mut self, number: usize) {
        self.tells(number, Report::Reached { round_trip_ms: 3, discovers: true });
        self.tells(number, Report::Initialized);
        self.tells(number, Report::Listed(Arc::default()));
    }

    fn failed(&mut self, number: usize, fault: Fault) {
        self.tells(number, Report::Failed(Failure::new(fault, "it says no")));
    }

    fn statuses(&self) -> Vec<InstanceStatus> {
        self.control.view().instances.values().map(|instance| instance.status).collect()
    }
}

fn result_of(world: &mut World) -> (String, Value) {
    let result = world.result();
    (String::from(result["status"].as_str().unwrap_or_default()), result)
}

#[test]
fn each_user_of_a_remote_has_a_conversation_and_none_has_a_place() {
    let world = World::far(&two_users());
    assert_eq!((world.connected.len(), world.spawned.len()), (2, 0));
    assert_eq!(world.statuses(), [InstanceStatus::Online; 2]);
    assert_eq!(world.control.places.held(), 0);
}

#[test]
fn another_address_of_one_server_reaches_no_other() {
    let mut world = World::far(&two_users());
    let servers =
        format!("{},{}", remote("u", "https://far.example/mcp"), remote("v", "https://b.example/"));
    world.command("configure", r#"{"event":"config_changed"}"#);
    world.answer(Channel::Configuration, 200, &configuration(&servers));
    assert_eq!(world.disconnected.len(), 1);
    assert_eq!(world.disconnected[0].0.user.as_str(), "v");
    let (key, incarnation) = world.disconnected[0].clone();
    let report = Report::Closed { reason: String::from("ended") };
    world.event(Event::Relay { key, incarnation, report });
    assert_eq!(world.connected.len(), 3);
    world.discovered(2);
    assert_eq!(world.statuses(), [InstanceStatus::Online; 2]);
}

#[test]
fn a_recovery_discovers_for_every_user_and_tells_how_it_ended() {
    let mut world = World::far(&two_users());
    for number in [0, 1] {
        world.failed(number, Fault::Unreachable);
    }
    let payload = r#"{"event":"mcp_recovery","installation_id":"i","team_id":"t"}"#;
    world.renewed.clear();
    world.command("configure", payload);
    assert_eq!(world.statuses(), [InstanceStatus::Connecting; 2]);
    for number in [0, 1] {
        world.discovered(number);
    }
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    let result = &result["result"];
    assert_eq!((&result["server_name"], &result["tools_discovered"]), (&"Far".into(), &0.into()));
    assert_eq!(result["instances"].as_array().unwrap().len(), 2);
    world.failed(1, Fault::Unreachable);
    world.command("configure", payload);
    world.failed(1, Fault::AuthorisationNeeded);
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "failed", "{result}");
    assert_eq!(result["result"]["resulting_status"], "requires_reauth");
}

#[test]
fn a_user_who_has_connected_is_known_anew_and_nobody_else_is_touched() {
    let servers =
        two_users().replace(r#""transport_type""#, r#""requires_oauth":true,"transport_type""#);
    let mut world = World::far(&servers);
    world.failed(0, Fault::AuthorisationNeeded);
    world.renewed.clear();
    let payload = |user| {
        format!(
            r#"{{"event":"mcp_recovery","installation_id":"i","team_id":"t","user_id":"{user}"}}"#
        )
    };
    world.command("configure", &payload("u"));
    assert_eq!(world.statuses(), [InstanceStatus::Connecting, InstanceStatus::Online]);
    world.discovered(0);
    // Who was connected before may have become somebody else there.
    world.command("configure", &payload("v"));
    assert_eq!(world.statuses(), [InstanceStatus::Online; 2]);
    let users = |keys: &[InstanceKey]| -> Vec<String> {
        keys.iter().map(|key| key.user.to_string()).collect()
    };
    assert_eq!(users(&world.untrusted), ["u", "v"]);
    let renewed: Vec<InstanceKey> = world.renewed.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(users(&renewed), ["u", "v"]);
    assert!(world.relisted.is_empty());
}

#[test]
fn a_check_of_credentials_asks_each_user_s_own_way_and_shuts_only_who_is_refused() {
    let mut world = World::far(&two_users());
    let payload = r#"{"check_type":"credential_validation","installation_id":"i","team_id":"t"}"#;
    world.command("health_check", payload);
    assert_eq!(world.relisted.len(), 2, "what is offered is asked for, not a sign of life");
    world.failed(0, Fault::AuthorisationNeeded);
    world.tells(1, Report::Listed(Arc::default()));
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    assert_eq!(world.statuses(), [InstanceStatus::RequiresReauth, InstanceStatus::Online]);
    let validation = &result["result"]["credential_validation"];
    assert_eq!((&validation["valid"], &validation["needs_reauth"]), (&false.into(), &true.into()));
    assert_eq!(validation["error"], "it says no");
    assert_eq!(validation["instances"][1]["valid"], true);
    // Once the access is back, the same question opens the way again.
    world.command("health_check", payload);
    world.discovered(0);
    world.tells(1, Report::Listed(Arc::default()));
    let (_, result) = result_of(&mut world);
    assert_eq!(result["result"]["credential_validation"]["valid"], true, "{result}");
    assert_eq!(world.statuses(), [InstanceStatus::Online; 2]);
}

#[test]
fn a_health_check_finds_a_server_that_is_back() {
    let mut world = World::far(&remote("u", "https://far.example/mcp"));
    world.failed(0, Fault::Unreachable);
    world.command("health_check", r#"{"check_type":"connectivity","installation_id":"i"}"#);
    world.discovered(0);
    let (status, result) = result_of(&mut world);
    assert_eq!((status.as_str(), &result["result"]["healthy_servers"]), ("completed", &1.into()));
    assert_eq!(world.statuses(), [InstanceStatus::Online]);
}

#[test]
fn a_shutdown_waits_for_the_end_of_a_conversation() {
    let mut world = World::far(&remote("u", "https://far.example/mcp"));
    world.event(Event::ShutdownRequested);
    assert_eq!((world.disconnected.len(), world.exit.is_none()), (1, true));
    world.tells(0, Report::Closed { reason: String::from("ended") });
    assert_eq!(world.control.instances.values().filter(|it| it.state().is_online()).count(), 0);
}

#[test]
fn the_last_word_of_a_server_that_was_removed_is_not_taken_for_one_that_came_after() {
    let far = remote("u", "https://far.example/mcp");
    let mut world = World::far(&far);
    let configure = |world: &mut World, servers: &str| {
        world.command("configure", r#"{"event":"config_changed"}"#);
        world.answer(Channel::Configuration, 200, &configuration(servers));
    };
    configure(&mut world, "");
    assert_eq!(world.disconnected.len(), 1);
    // Its conversation does not say that it has ended, and is no longer waited for.
    world.later(crate::limits::REMOTE_DISCONNECT_MS);
    assert!(world.control.instances.is_empty());
    configure(&mut world, &far);
    world.discovered(1);
    world.tells(0, Report::Closed { reason: String::from("ended") });
    assert_eq!(world.statuses(), [InstanceStatus::Online]);
}
