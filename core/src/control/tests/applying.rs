//! A configuration is applied entry by entry, within the operator's bounds, and restarts only what
//! it has to.

use super::*;

/// Lets the satellite fetch `servers` because it was told to.
fn refreshed(world: &mut World, servers: &str, settings: &str) -> serde_json::Value {
    world.command("configure", "{}");
    let body = format!(r#"{{"mcp_servers":{{{servers}}},"satellite_config":{settings}}}"#);
    world.answer(Channel::Configuration, 200, &body);
    world.result()
}

#[test]
fn an_entry_that_goes_wrong_keeps_its_last_good_version_and_the_others_apply() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    let wrong = server("i", "node").replace(r#""command":"node""#, r#""command":7"#);
    let result = refreshed(&mut world, &format!("{wrong},{}", server("j", "python3")), "{}");
    assert_eq!(result["status"], "completed", "{result}");
    let refused = result["result"]["refused"][0].as_str().unwrap();
    assert!(refused.starts_with("files-t-u-i: ") && refused.contains("last good"), "{refused}");
    assert_eq!(world.control.view().instances.len(), 2);
    assert!(world.terminated.is_empty());
    assert_eq!(world.status(), Some(InstanceStatus::Online));
    world.answer(Channel::Events, 200, r#"{"success":true,"processed":20}"#);
    world.later(4 * SECOND);
    let (_, events) = world.answer(Channel::Events, 200, r#"{"success":true,"processed":20}"#);
    assert!(events.contains("config.error") && events.contains("files-t-u-i refused"), "{events}");
}

#[test]
fn names_statuses_and_idle_times_restart_nothing() {
    let mut world = World::awake(&server("i", "node"));
    world.control.settings.idle_timeout_ms = 600 * SECOND;
    world.online();
    let renamed = server("i", "node")
        .replace(r#""server_name":"Files""#, r#""server_name":"Papers""#)
        .replace(r#""enabled":true"#, r#""enabled":true,"instance_status":"error""#);
    let settings = r#"{"resource_limits":{"idle_timeout_seconds":120}}"#;
    refreshed(&mut world, &renamed, settings);
    assert!(world.terminated.is_empty());
    let view = world.control.view();
    assert_eq!(view.instances.values().next().unwrap().names.server, "Papers");
    world.later(130 * SECOND);
    assert_eq!(world.terminated.len(), 1, "it is idle by the Backend's shorter time");
}

#[test]
fn rotated_credentials_restart_their_own_instance_only() {
    let other = server("j", "node");
    let mut world = World::awake(&format!("{},{other}", server("i", "node")));
    for number in 0..2 {
        let (key, incarnation) = world.spawned[number].clone();
        for report in [Report::Initialized, Report::Listed(Arc::new(Inventory::default()))] {
            world.event(Event::Relay { key: key.clone(), incarnation, report });
        }
    }
    let rotated = server("i", "node").replace(r#""env":{}"#, r#""env":{"TOKEN":"new"}"#);
    refreshed(&mut world, &format!("{rotated},{other}"), "{}");
    assert_eq!(world.terminated.len(), 1);
    assert_eq!(world.spawned[0].0.installation.as_str(), "i");
    world.event(Event::Exited {
        key: world.spawned[0].0.clone(),
        incarnation: world.spawned[0].1,
        ended: Ended::default(),
    });
    assert_eq!(world.spawned.len(), 3);
    assert_eq!(world.spawned[2].0.installation.as_str(), "i");
}

#[test]
fn the_backend_may_ask_for_fewer_processes_and_never_gets_more() {
    let mut world = World::awake("");
    let both = format!("{},{}", server("i", "node"), server("j", "node"));
    refreshed(&mut world, &both, r#"{"resource_limits":{"max_processes":1}}"#);
    assert_eq!(world.spawned.len(), 1);
    refreshed(&mut world, &both, r#"{"resource_limits":{"max_processes":100000}}"#);
    assert_eq!(world.spawned.len(), 2);
}

#[test]
fn a_server_that_is_not_allowed_here_is_refused_with_the_reason() {
    let mut world = World::awake("");
    let settings = r#"{"team_settings":{"allowed_servers":["docs"]}}"#;
    let result = refreshed(&mut world, &server("i", "node"), settings);
    assert!(result["result"]["refused"][0].as_str().unwrap().contains("allowed servers"));
    assert!(world.spawned.is_empty());
}

#[test]
fn what_a_configuration_asks_for_in_vain_is_said_once() {
    let mut world = World::awake("");
    let told = |world: &mut World| {
        let lines = core::mem::take(&mut world.logs);
        lines.iter().filter(|line| line.msg.contains("does not act on")).count()
    };
    let asked = r#"{"network":{"retry_attempts":3}}"#;
    refreshed(&mut world, "", asked);
    assert_eq!(told(&mut world), 1);
    refreshed(&mut world, "", asked);
    assert_eq!(told(&mut world), 0);
    refreshed(&mut world, "", r#"{"logging":{"level":"info"}}"#);
    assert_eq!(told(&mut world), 1);
    refreshed(&mut world, "", "{}");
    assert_eq!(told(&mut world), 0);
}
