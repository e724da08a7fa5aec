//! The administration commands against a Backend on a port of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::backend::store::Inline;
use crate::backend::{Backend, BackendSettings, Kernel, serve};
use crate::cli::arguments::{Arguments, Command};
use crate::clock::Clock;
use crate::exit::{FAULT, UNREACHABLE, USAGE};
use crate::http_client::ClientOptions;

const ADMIN: &str = "ds_admin_for_tests";

/// A Backend that serves, and a satellite paired with it.
struct World {
    url: String,
    satellite: String,
    api: Api,
    key: Api,
}

impl World {
    async fn new() -> World {
        let settings = BackendSettings {
            database_url: "sqlite::memory:".to_owned(),
            jwt_secret: None,
            admin_token: Some(Secret::new(ADMIN)),
            public_url: "http://127.0.0.1:3000".to_owned(),
            oauth: None,
        };
        let opened = Backend::open(settings, Arc::new(Inline), Clock::start(), Arc::new(Kernel));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, opened.await.unwrap().backend, std::future::pending()));
        let api = Api::new(url.clone(), Secret::new(ADMIN), &ClientOptions::default()).unwrap();
        let token: Value =
            api.post("/api/satellites/global/registration-tokens", &json!({})).await.unwrap();
        let token = token["data"]["token"]["token"].as_str().unwrap();
        let pairing = Api::new(url.clone(), Secret::new(token), &ClientOptions::default()).unwrap();
        let registration = json!({"name": "edge-satellite-01"});
        let paired: Value = pairing.post("/api/satellites/register", &registration).await.unwrap();
        let text = |name: &str| paired["satellite"][name].as_str().unwrap().to_owned();
        let key =
            Api::new(url.clone(), Secret::new(text("api_key")), &ClientOptions::default()).unwrap();
        World { url, satellite: text("id"), api, key }
    }

    /// Runs a command line, as a shell would.
    async fn run(&self, words: &[&str]) -> Result<(), Exit> {
        let access = ["--backend", &self.url, "--admin-token", ADMIN];
        let line = [&["satellite"], words, &access].concat();
        let parsed =
            Arguments::try_parse_from(line).map_err(|error| usage(error.to_string(), ""))?;
        let Command::Administration(command) = parsed.command else { panic!("{words:?}") };
        run(&command, &Sources::default()).await
    }

    async fn shown(&self) -> Value {
        let path = format!("/api/satellites/manage/{}", self.satellite);
        let shown: Value = self.api.get(&path).await.unwrap();
        shown["data"]["satellite"].clone()
    }

    async fn poll(&self) -> Value {
        self.key.get(&format!("/api/satellites/{}/commands", self.satellite)).await.unwrap()
    }

    /// Fetches a command as the satellite does and reports it, step by step.
    async fn carry_out(&self, reports: &[Value]) {
        let id = loop {
            let polled = self.poll().await;
            if let Some(id) = polled["commands"][0]["id"].as_str() {
                break id.to_owned();
            }
            tokio::task::yield_now().await;
        };
        let path = format!("/api/satellites/{}/command-result", self.satellite);
        for report in reports {
            let mut report = report.clone();
            report["command_id"] = json!(id);
            let _: Value = self.key.post(&path, &report).await.unwrap();
        }
    }

    fn send<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let send = ["command", "send", "--satellite", &self.satellite, "--type", "configure"];
        [&send[..], more].concat()
    }
}

#[tokio::test]
async fn maintenance_disabling_and_enabling_decide_what_a_satellite_is_handed() {
    let world = World::new().await;
    let id = world.satellite.clone();
    world.run(&world.send(&["--priority", "immediate"])).await.unwrap();

    world.run(&["satellite", "maintenance", &id]).await.unwrap();
    assert_eq!(world.shown().await["status"], "maintenance");
    let polled = world.poll().await;
    assert_eq!((&polled["commands"], &polled["maintenance"]), (&json!([]), &json!(true)));

    let window = ["--from", "2999-01-01T00:00:00Z", "--until", "2999-01-01T02:00:00+01:00"];
    let set = [&["satellite", "maintenance", &id], &window[..]].concat();
    world.run(&set).await.unwrap();
    let shown = world.shown().await;
    assert_eq!(shown["status"], "inactive", "the window is not open, and nobody has beaten");
    assert_eq!(shown["admin_state"]["until"], "2999-01-01T01:00:00.000Z");
    let told = admin_state(&shown["admin_state"]);
    let expected = "maintenance from 2999-01-01T00:00:00.000Z until 2999-01-01T01:00:00.000Z";
    assert_eq!(told.as_deref(), Some(expected));

    world.run(&["satellite", "disable", &id]).await.unwrap();
    assert_eq!(world.poll().await["commands"], json!([]));
    world.run(&["satellite", "enable", &id]).await.unwrap();
    assert_eq!(world.shown().await["admin_state"], json!({"state": "enabled"}));
    assert_eq!(world.poll().await["commands"].as_array().map(Vec::len), Some(1));

    let backwards = ["--from", "2999-01-02T00:00:00Z", "--until", "2999-01-01T00:00:00Z"];
    let refused = world.run(&[&["satellite", "maintenance", &id], &backwards[..]].concat()).await;
    let refused = refused.unwrap_err();
    assert!(refused.error.contains("ends before it begins"), "{}", refused.error);
    let unclear = world.run(&["satellite", "maintenance", &id, "--until", "noon"]).await;
    let unclear = unclear.unwrap_err();
    assert_eq!(unclear.code, USAGE);
    assert!(unclear.error.contains("2026-02-01T22:00:00Z"), "{}", unclear.error);
}

#[tokio::test]
async fn a_command_that_is_waited_for_ends_as_it_went() {
    let world = World::new().await;
    let done = [
        json!({"status": "acknowledged"}),
        json!({"status": "completed", "result": {"configuration_applied": true}}),
    ];
    let send = world.send(&["--wait"]);
    let (ended, ()) = tokio::join!(world.run(&send), world.carry_out(&done));
    assert_eq!(ended, Ok(()));

    let failed = [json!({"status": "failed", "error_message": "out of tea"})];
    let (ended, ()) = tokio::join!(world.run(&send), world.carry_out(&failed));
    let exit = ended.unwrap_err();
    assert_eq!(exit.code, FAULT);
    assert_eq!(exit.error, "the command failed: out of tea");
    let send = world.send(&["--wait", "--json"]);
    let (ended, ()) = tokio::join!(world.run(&send), world.carry_out(&failed));
    let exit = ended.unwrap_err();
    assert_eq!((exit.code, exit.error.as_str()), (FAULT, ""), "the reply alone is printed");
}

#[tokio::test]
async fn a_command_that_does_not_end_in_time_is_told_so_and_goes_on() {
    let world = World::new().await;
    let exit = world.run(&world.send(&["--wait", "--timeout", "0"])).await.unwrap_err();
    assert_eq!(exit.code, FAULT);
    assert!(exit.error.contains("is still pending after 0 s"), "{}", exit.error);
    assert!(exit.hint.contains("satellite command get cmd_"), "{}", exit.hint);
    let polled = world.poll().await;
    assert_eq!(polled["commands"].as_array().map(Vec::len), Some(1), "it was filed");
    // A wait as long as the command line can say it is no fault.
    let done = [json!({"status": "completed"})];
    let longest = u64::MAX.to_string();
    let send = world.send(&["--wait", "--timeout", &longest]);
    let (ended, ()) = tokio::join!(world.run(&send), world.carry_out(&done));
    assert_eq!(ended, Ok(()));
}

#[tokio::test]
async fn each_step_is_told_once_and_an_outage_is_waited_out() {
    let world = World::new().await;
    let sent = json!({"command_type": "configure"});
    let path = requests::commands_of(&world.satellite);
    let sent: Value = world.api.post(&path, &sent).await.unwrap();
    let id = sent["data"]["command"]["id"].as_str().unwrap().to_owned();
    let steps = Mutex::new(Vec::new());
    let note = |text: &str| steps.lock().unwrap().push(text.replace(&id, "it"));
    let reports = async {
        for [before, status] in
            [["pending", "acknowledged"], ["acknowledged", "executing"], ["executing", "completed"]]
        {
            // The step before must have been seen, or it may pass between two questions.
            while !steps.lock().unwrap().last().is_some_and(|told| told.ends_with(before)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let path = format!("/api/satellites/{}/command-result", world.satellite);
            let report = json!({"command_id": id, "status": status});
            let _: Value = world.key.post(&path, &report).await.unwrap();
        }
    };
    let minute = Duration::from_secs(60);
    let waited = waiting::reported(&world.api, &world.satellite, sent.clone(), minute, note);
    let (ended, ()) = tokio::join!(waited, reports);
    assert_eq!(ended.unwrap()["data"]["command"]["status"], "completed");
    let told = ["pending", "acknowledged", "executing", "completed"];
    let expected: Vec<String> =
        told.iter().map(|status| format!("command it is {status}")).collect();
    assert_eq!(*steps.lock().unwrap(), expected);

    // Nobody listens there: it is asked again until the time is up.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let away = Api::new(nowhere, Secret::new(ADMIN), &ClientOptions::default()).unwrap();
    let mut told = Vec::new();
    let soon = Duration::from_millis(300);
    let note = |text: &str| told.push(String::from(text));
    let exit = waiting::reported(&away, &world.satellite, sent, soon, note).await.unwrap_err();
    assert_eq!(exit.code, UNREACHABLE);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test]
async fn a_server_elsewhere_is_created_with_all_its_addresses() {
    let world = World::new().await;
    let create = ["server", "create", "both", "--url", "https://a.example/mcp"];
    world.run(&[&create[..], &["--url", "https://b.example/mcp"]].concat()).await.unwrap();
    let shown: Value = world.api.get("/api/servers").await.unwrap();
    let remote = json!({"url": "https://a.example/mcp", "urls": ["https://b.example/mcp"]});
    assert_eq!(shown["data"]["servers"][0]["remotes"], json!([remote]));
    let refused = world.run(&[&create[..], &["--url", "b.example/mcp"]].concat()).await;
    assert!(refused.unwrap_err().error.contains("URL 2 is no http or https URL"));
}

#[tokio::test]
async fn a_list_is_gathered_of_its_parts_up_to_its_limit() {
    let world = World::new().await;
    for number in 0..7 {
        let name = json!({"name": format!("Team {number}")});
        world.api.post::<Value>("/api/teams", &name).await.unwrap();
    }
    let slugs = |reply: &Value| -> Vec<String> {
        let teams = reply["data"]["teams"].as_array().unwrap();
        teams.iter().map(|team| team["slug"].as_str().unwrap().to_owned()).collect()
    };
    let whole: Vec<String> = (0..7).map(|number| format!("team-{number}")).collect();
    for (part, limit, expected) in [(2, None, 7), (3, Some(5), 5), (7, None, 7), (500, Some(9), 7)]
    {
        let path = "/api/teams";
        let reply = pages::in_parts(&world.api, path, "/data/teams", limit, part).await.unwrap();
        assert_eq!(slugs(&reply), whole[..expected], "{part} {limit:?}");
        assert_eq!(reply["data"]["next_cursor"].is_string(), expected < 7);
    }
    world.run(&["team", "list", "--limit", "3"]).await.unwrap();
    assert_eq!(world.run(&["team", "list", "--limit", "0"]).await.unwrap_err().code, USAGE);
}

#[tokio::test]
async fn events_are_those_of_a_satellite_or_of_a_team() {
    let world = World::new().await;
    let team: Value = world.api.post("/api/teams", &json!({"name": "Acme"})).await.unwrap();
    let team = team["data"]["team"]["id"].as_str().unwrap();
    for of in [["--satellite", &world.satellite], ["--team", team]] {
        world.run(&[&["events", "--after", "0"], &of[..]].concat()).await.unwrap();
    }
    let unknown = world.run(&["events", "--team", "team_nobody"]).await.unwrap_err();
    assert_eq!(unknown.code, FAULT, "{}", unknown.error);
    for wrong in [&["events"][..], &["events", "--team", team, "--satellite", "sat_1"]] {
        assert_eq!(world.run(wrong).await.unwrap_err().code, USAGE, "{wrong:?}");
    }
}
