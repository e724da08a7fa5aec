//! Every command type: what it does to the fleet, and what whoever filed it is told.

use super::*;
use serde_json::Value;

/// One installation of two users.
fn two_users() -> String {
    let other = server("i", "node").replace(r#""user_id":"u""#, r#""user_id":"v""#);
    format!("{},{}", server("i", "node"), other.replace("files-t-u-i", "files-t-v-i"))
}

/// The installation at a generation.
fn at_generation(generation: u64) -> String {
    let entry = server("i", "node");
    entry.replace(r#""args":[]"#, &format!(r#""args":[],"generation":{generation}"#))
}

impl World {
    fn online_all(&mut self) {
        for number in 0..self.spawned.len() {
            let (key, incarnation) = self.spawned[number].clone();
            let pid = 4_700 + number as u32;
            self.event(Event::Spawned { key: key.clone(), incarnation, pid });
            for report in [Report::Initialized, Report::Listed(Arc::new(Inventory::default()))] {
                self.event(Event::Relay { key: key.clone(), incarnation, report });
            }
        }
    }

    fn probed(&mut self, number: usize, answered: bool) {
        let (key, incarnation) = self.probes[number].clone();
        let report = Report::Probe { answered };
        self.event(Event::Relay { key, incarnation, report });
    }

    fn refused(&self, why: &str) -> u64 {
        self.control.view().refused.get(why).copied().unwrap_or_default()
    }

    /// The process that was started last ends with these last words.
    fn crashed(&mut self, words: &[&str]) {
        let (key, incarnation) = self.spawned.last().cloned().unwrap();
        let last_stderr = words.iter().copied().map(String::from).collect();
        let ended = Ended { code: Some(3), last_stderr, ..Ended::default() };
        self.event(Event::Exited { key, incarnation, ended });
    }
}

fn result_of(world: &mut World) -> (String, Value) {
    let result = world.result();
    (String::from(result["status"].as_str().unwrap()), result)
}

#[test]
fn a_restart_touches_every_user_of_the_installation_and_says_so() {
    let mut world = World::awake(&two_users());
    world.online_all();
    world.spawned.clear();
    world.command("restart", r#"{"installation_id":"i"}"#);
    assert_eq!(world.terminated.len(), 2);
    for key in ["u", "v"] {
        let key = InstanceKey { team: "t".into(), installation: "i".into(), user: key.into() };
        let incarnation = Incarnation(1);
        world.event(Event::Exited { key, incarnation, ended: Ended::default() });
    }
    assert_eq!(world.spawned.len(), 2);
    world.later(SECOND);
    world.online_all();
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    let result = &result["result"];
    assert_eq!(result["process_id"], "files-t-u-i");
    assert_eq!(result["server_type"], "stdio");
    assert_eq!((&result["pid"], &result["restart_time_ms"]), (&4_700.into(), &1_000.into()));
    assert_eq!(result["instances"].as_array().unwrap().len(), 2);
    assert_eq!(result["instances"][1]["user_id"], "v");
    assert_eq!(result["instances"][1]["startup_time_ms"], 1_000);
}

#[test]
fn a_user_in_the_payload_spares_every_other_user() {
    let mut world = World::awake(&two_users());
    world.online_all();
    world.command("kill", r#"{"installation_id":"i","user_id":"v"}"#);
    assert_eq!(world.terminated.len(), 1);
    let key = InstanceKey { team: "t".into(), installation: "i".into(), user: "v".into() };
    world.event(Event::Exited { key, incarnation: Incarnation(1), ended: Ended::default() });
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    assert_eq!(result["result"]["process_id"], "files-t-v-i");
    assert!(result["result"]["shutdown_time_ms"].is_number());
    assert_eq!(result["result"]["instances"].as_array().unwrap().len(), 1);
}

#[test]
fn a_name_that_fits_several_users_is_not_taken_for_the_first() {
    let mut world = World::awake(&two_users());
    world.online_all();
    world.command("kill", r#"{"server_name":"files"}"#);
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "failed");
    assert!(result["error"].as_str().unwrap().contains("fits 2 instances"), "{result}");
    assert!(world.terminated.is_empty());
    world.command("kill", r#"{"server_name":"files-t-v-i"}"#);
    assert_eq!(world.terminated.len(), 1, "an instance's own name is enough");
}

#[test]
fn a_spawn_that_fails_tells_the_step_the_error_and_the_last_words() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    world.command("kill", r#"{"installation_id":"i"}"#);
    world.exited();
    world.result();
    world.command("spawn", r#"{"installation_id":"i"}"#);
    let (key, incarnation) = world.spawned.last().cloned().unwrap();
    world.later(30);
    world.event(Event::Spawned { key, incarnation, pid: 9 });
    world.crashed(&["Error: Cannot find module 'x'"]);
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "failed", "{result}");
    assert!(result["error_message"].as_str().unwrap().contains("initialize: exited with code 3"));
    let result = &result["result"];
    assert_eq!(
        (&result["step"], &result["error"]),
        (&"initialize".into(), &"exited with code 3".into())
    );
    assert_eq!(result["last_stderr"][0], "Error: Cannot find module 'x'");
    assert_eq!(
        (&result["spawn_outcome"], &result["spawn_duration_ms"]),
        (&"restarting".into(), &30.into())
    );
}

#[test]
fn a_spawn_of_what_runs_starts_nothing() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    world.command("spawn", r#"{"installation_id":"i"}"#);
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    assert_eq!(result["result"]["pid"], 4711);
    assert_eq!(world.spawned.len(), 1);
}

#[test]
fn a_command_for_another_team_or_a_generation_that_is_gone_is_refused_and_counted() {
    let mut world = World::awake(&at_generation(3));
    world.online();
    world.command("restart", r#"{"installation_id":"i","team_id":"x"}"#);
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "failed");
    assert!(result["error"].as_str().unwrap().contains("belongs to team t"), "{result}");
    assert_eq!(world.refused("foreign tenant"), 1);
    world.command("kill", r#"{"installation_id":"i","generation":2}"#);
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "failed");
    assert!(result["error"].as_str().unwrap().contains("generation 2"), "{result}");
    assert_eq!(world.refused("stale"), 1);
    assert!(world.terminated.is_empty());
    world.command("kill", r#"{"installation_id":"i","generation":3}"#);
    assert_eq!(world.terminated.len(), 1);
}

#[test]
fn the_report_of_a_process_that_was_replaced_is_refused_and_counted() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    let (key, old) = world.spawned[0].clone();
    world.command("restart", r#"{"installation_id":"i"}"#);
    world.exited();
    let report = Report::Unusable { step: "tools/list", reason: String::from("late") };
    let verdict = world.event(Event::Relay { key, incarnation: old, report });
    assert_eq!(verdict, Verdict::Refused(Refusal::Stale));
    assert_eq!(world.refused("stale"), 1);
    world.online();
    assert_eq!(world.status(), Some(InstanceStatus::Online));
}

#[test]
fn a_health_check_asks_each_process_and_reports_the_answer_with_its_age() {
    let mut world = World::awake(&two_users());
    world.online_all();
    world.command("health_check", r#"{"installation_id":"i"}"#);
    assert_eq!(world.probes.split_off(2).len(), 2, "beside the pings of the silent");
    world.later(7);
    world.probed(0, true);
    world.later(5);
    world.probed(1, false);
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    let result = &result["result"];
    assert_eq!((&result["total_servers"], &result["healthy_servers"]), (&2.into(), &1.into()));
    let [first, second] = &result["health_check_results"].as_array().unwrap()[..] else {
        panic!("{result}")
    };
    assert_eq!(
        (&first["health_status"], &first["response_time_ms"]),
        (&"healthy".into(), &7.into())
    );
    assert_eq!(
        (&first["server_name"], &first["process_id"]),
        (&"Files".into(), &"files-t-u-i".into())
    );
    assert_eq!(first["health_age_ms"], 5);
    assert_eq!(second["health_status"], "unhealthy");
    assert!(second["error"].as_str().unwrap().contains("no answer to ping"), "{second}");
}

#[test]
fn a_health_check_does_not_wait_for_a_process_that_died_or_keeps_silent() {
    let mut world = World::awake(&two_users());
    world.online_all();
    world.command("health_check", "{}");
    let key = world.probes[0].0.clone();
    world.event(Event::Exited { key, incarnation: Incarnation(1), ended: Ended::default() });
    assert!(!world.asked.iter().any(|(request, ..)| request.channel == Channel::Result));
    world.later(11 * SECOND);
    let (_, result) = result_of(&mut world);
    let results = result["result"]["health_check_results"].clone();
    assert!(
        results[0]["error"].as_str().unwrap().contains("ended while it was asked"),
        "{results}"
    );
    assert!(results[1]["error"].as_str().unwrap().contains("within 10000 ms"), "{results}");
}

#[test]
fn the_credentials_of_child_processes_are_their_own_affair() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    let payload = r#"{"check_type":"credential_validation","installation_id":"i","team_id":"t"}"#;
    world.command("health_check", payload);
    world.probed(0, true);
    let (_, result) = result_of(&mut world);
    let validation = &result["result"]["credential_validation"];
    assert_eq!((&validation["valid"], &validation["skipped"]), (&true.into(), &true.into()));
    assert_eq!(validation["reason"], "stdio_transport");
    assert_eq!(validation["instances"][0]["user_id"], "u");
    assert_eq!(result["result"]["healthy_servers"], 1);
}

#[test]
fn a_recovery_of_a_child_process_is_skipped_and_says_how_it_stands() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    world.command("configure", r#"{"event":"mcp_recovery","installation_id":"i","team_id":"t"}"#);
    let (status, result) = result_of(&mut world);
    assert_eq!((status.as_str(), &result["result"]["skipped"]), ("completed", &true.into()));
    assert!(result["result"]["message"].as_str().unwrap().contains("1 of 1"), "{result}");
    assert_eq!(result["result"]["instances"][0]["status"], "online");
    world.command("configure", r#"{"event":"mcp_recovery","installation_id":"j","team_id":"t"}"#);
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "every satellite is told, one has it");
    assert_eq!(result["result"]["reason"], "not_configured");
}

#[test]
fn a_redeploy_fetches_the_configuration_and_starts_every_instance_once() {
    let mut world = World::awake(&at_generation(1));
    world.online();
    world.command("configure", r#"{"event":"mcp_redeploy","installation_id":"i","team_id":"t"}"#);
    assert!(world.terminated.is_empty(), "not before the configuration is known");
    world.answer(Channel::Configuration, 200, &configuration(&at_generation(2)));
    assert_eq!(world.terminated.len(), 1);
    world.exited();
    assert_eq!(world.spawned.len(), 2);
    world.online();
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    let result = &result["result"];
    assert_eq!(
        (&result["redeploy_triggered"], &result["instance_count"]),
        (&true.into(), &1.into())
    );
    assert_eq!(result["instance_names"][0], "files-t-u-i");
    assert_eq!(result["instances"][0]["generation"], 2);
    world.later(MINUTE);
    assert_eq!(world.spawned.len(), 2);
}

#[test]
fn a_redeploy_without_a_configuration_fails_and_touches_nothing() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    world.command("configure", r#"{"event":"mcp_redeploy","installation_id":"i"}"#);
    world.answer(Channel::Configuration, 500, "");
    assert_eq!(result_of(&mut world).0, "failed");
    assert!(world.terminated.is_empty());
}

#[test]
fn who_left_a_team_has_no_process_no_session_and_no_configuration_there() {
    let mut world = World::awake(&two_users());
    world.online_all();
    let payload = r#"{"event":"team_member_removed","team_id":"t","user_id":"v"}"#;
    world.command("configure", payload);
    assert_eq!(world.terminated.len(), 1, "at once");
    let (request, user, team) = world.forgotten[0].clone();
    assert_eq!((user, team), ("v".into(), Some("t".into())));
    let verdict =
        world.event(Event::UserForgotten { request: request + 1, identities: 9, sessions: 9 });
    assert_eq!(verdict, Verdict::Ignored("late"));
    world.event(Event::UserForgotten { request, identities: 2, sessions: 1 });
    world.answer(Channel::Configuration, 200, &configuration(&server("i", "node")));
    let key = InstanceKey { team: "t".into(), installation: "i".into(), user: "v".into() };
    world.event(Event::Exited { key, incarnation: Incarnation(1), ended: Ended::default() });
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    let result = &result["result"];
    assert_eq!((&result["invalidated_count"], &result["sessions_ended"]), (&2.into(), &1.into()));
    assert_eq!(result["instances_ended"], 1);
    assert_eq!(world.control.view().instances.len(), 1);
    assert_eq!(world.status(), Some(InstanceStatus::Online), "the other user is not disturbed");
}

#[test]
fn a_users_identities_are_dropped_with_the_real_count() {
    let mut world = World::awake("");
    world.command(
        "invalidate_user_token_cache",
        r#"{"event":"user_deleted","user_id":"u","user_email":"u@example.com"}"#,
    );
    let (request, user, team) = world.forgotten[0].clone();
    assert_eq!((user, team), ("u".into(), None));
    world.event(Event::UserForgotten { request, identities: 3, sessions: 2 });
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    assert_eq!(result["result"]["invalidated_count"], 3);
    assert_eq!(result["result"]["user_email"], "u@example.com");
    let again = world.event(Event::UserForgotten { request, identities: 3, sessions: 2 });
    assert_eq!(again, Verdict::Ignored("late"));
}

#[test]
fn a_tool_is_switched_for_the_installation_and_team_that_are_named() {
    let mut world = World::awake(&two_users());
    world.online_all();
    let payload = |team: &str| {
        format!(
            r#"{{"action":"update_tool_status","installation_id":"i","team_id":"{team}",
            "server_slug":"files","tool_name":"write","is_disabled":true}}"#
        )
    };
    world.command("configure", &payload("x"));
    assert_eq!(result_of(&mut world).0, "failed");
    let off = |world: &World| {
        let view = world.control.view();
        view.instances.values().filter(|one| one.disabled_tools.contains("write")).count()
    };
    assert_eq!(off(&world), 0);
    world.command("configure", &payload("t"));
    let (status, result) = result_of(&mut world);
    assert_eq!(status, "completed", "{result}");
    assert_eq!((&result["result"]["is_disabled"], off(&world)), (&true.into(), 2));
}

#[test]
fn a_system_update_delivers_its_result_ends_everything_and_asks_for_a_restart() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    world.command("configure", r#"{"event":"system_update"}"#);
    assert_eq!(world.terminated.len(), 1);
    assert!(world.control.view().draining);
    world.exited();
    let (status, result) = result_of(&mut world);
    assert_eq!((status.as_str(), &result["result"]["exit_code"]), ("completed", &75.into()));
    while world.exit.is_none() {
        world.answer(Channel::Events, 200, r#"{"success":true,"processed":20}"#);
    }
    assert_eq!(world.exit.map(|exit| (exit.code, exit.error.is_empty())), Some((75, true)));
}
