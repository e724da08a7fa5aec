//! The record of who was given what is secret.

use serde_json::{Value, json};

use super::*;

#[test]
fn what_a_server_is_given_in_secret_is_on_record_by_name_and_never_by_value() {
    const VALUE: &str = "s3cret-value";
    let stdio = server("i", "node")
        .replace(r#""env":{}"#, &format!(r#""env":{{"API_KEY":"{VALUE}","MODE":"{VALUE}-2"}}"#));
    let far = format!(
        r#""far":{{"installation_id":"far","team_id":"t","user_id":"u","server_name":"Far",
        "server_slug":"far","transport_type":"http","url":"https://far.example/mcp?{VALUE}",
        "requires_oauth":true,"headers":{{"X-Key":"{VALUE}"}},
        "url_query_params":{{"k":"{VALUE}"}}}}"#
    );
    let plain = server("j", "node");
    let mut world = World::configured(&[stdio, far, plain].join(","));
    let all = world.events();
    let on_record: Vec<&(String, Value, String)> =
        all.iter().filter(|(kind, ..)| kind == "security.credentials.accessed").collect();
    let of = |data: Value| {
        let mut of = json!({"team_id": "t", "user_id": "u", "incarnation": 1});
        of.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        of
    };
    let process = |environment: &[&str]| {
        of(json!({"installation_id": "i", "server_slug": "files-t-u-i",
            "environment": environment, "access_token": false}))
    };
    let requests = of(json!({"installation_id": "far", "server_slug": "far",
        "headers": ["X-Key"], "query_parameters": ["k"], "access_token": true}));
    let data: Vec<&Value> = on_record.iter().map(|(_, data, _)| data).collect();
    assert_eq!(data.len(), 2, "what has no secrets has no record: {data:?}");
    assert!(data.contains(&&process(&["API_KEY", "MODE"])), "{data:?}");
    assert!(data.contains(&&requests), "{data:?}");

    // Each process anew; the command that asked for it is no secret.
    world.command("restart", r#"{"installation_id":"i"}"#);
    let (key, incarnation) =
        world.spawned.iter().find(|(key, _)| key.installation.as_str() == "i").cloned().unwrap();
    world.event(Event::Exited { key, incarnation, ended: Ended::default() });
    let again = world.told("security.credentials.accessed");
    let [again] = &again[..] else { panic!("{again:?}") };
    assert_eq!(again["incarnation"], 2);
    assert_eq!(again["environment"], json!(["API_KEY", "MODE"]));

    let told = format!("{all:?}{again:?}");
    assert!(told.contains("API_KEY") && !told.contains("s3cret"), "{told}");
    assert!(world.logs.iter().all(|line| !format!("{line:?}").contains("s3cret")));
}
