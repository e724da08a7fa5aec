//! The fleet generator, of which long runs rely on what it says: it is compared with the database.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::{Dev, LONG, eventually, program, tail};
use crate::mcp::http;

const SATELLITES: usize = 4;

/// What the generator is given.
fn generator(dev: &Dev, arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program().with_file_name("sim"));
    command.arg("drive").args(arguments).kill_on_drop(true).stdin(Stdio::null());
    command.env("SATELLITE_ADMIN_TOKEN", dev.running.text("/admin_token"));
    command
}

#[tokio::test]
async fn what_the_fleet_generator_says_is_what_the_database_holds() {
    let mut dev = Dev::start("generator", None).await;
    let (ids, log) = (dev.scratch.0.join("ids"), dev.scratch.0.join("generator"));
    let (backend, satellites) = (dev.running.text("/backend_url"), SATELLITES.to_string());
    let arguments = ["--backend", backend, "--satellites", &satellites, "--over", "1"];
    let child = generator(&dev, &arguments)
        .args(["--seconds", "600", "--calls", "3600", "--json", "yes", "--ids"])
        .arg(&ids)
        .stdout(Stdio::piped())
        .stderr(File::create(&log).expect("a log can be made"))
        .spawn()
        .expect("the generator starts");

    let generated =
        r"SELECT id FROM satellites WHERE name LIKE 'generated-%' AND status = 'active'";
    let satellites = eventually("all of them", || async {
        Some(dev.query(generated)).filter(|found| found.len() == SATELLITES)
    })
    .await;
    let path = format!("{backend}/api/satellites/manage/{}/commands", satellites[0]);
    let body = json!({"command_type": "health_check", "priority": "immediate", "payload": {}});
    let filed = http().post(path).bearer_auth(dev.running.text("/admin_token"));
    let filed = filed.body(body.to_string()).send().await.expect("the Backend answers");
    assert_eq!(filed.status(), 201);
    eventually("the command's end and some events", || async {
        let done = "SELECT id FROM satelliteCommands WHERE status = 'completed' AND command_type = \
                    'health_check'";
        let used = "SELECT id FROM satelliteUsageLogs";
        (dev.query(done).len() == 1 && dev.query(used).len() > 5).then_some(())
    })
    .await;

    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("it can be told to end");
    let output = tokio::time::timeout(LONG, child.wait_with_output()).await;
    let output = output.expect("it ends").expect("it can be waited for");
    assert!(output.status.success(), "{}", tail(&log));
    let figures: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let said = |pointer: &str| figures.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    assert_eq!(said("/whole_run/commands_begun"), 1, "{figures:#}");
    assert_eq!(said("/whole_run/commands_begun_again"), 0, "{figures:#}");
    assert_eq!(said("/whole_run/results_confirmed"), 1, "{figures:#}");
    assert_eq!(said("/pairing/routes/registration/statuses/200"), SATELLITES as u64);
    assert_eq!(said("/satellites_ended"), 0, "{figures:#}");

    let stored = dev.query(
        "SELECT e.satellite_id || ' ' || e.event_id FROM satelliteEvents e
         JOIN satellites s ON s.id = e.satellite_id WHERE s.name LIKE 'generated-%'",
    );
    let mut book: BTreeMap<String, Value> = BTreeMap::new();
    for line in std::fs::read_to_string(&ids).expect("the ids are there").lines() {
        let it: Value = serde_json::from_str(line).expect("a line is JSON");
        if let (Some(satellite), Some(event)) = (it["satellite"].as_str(), it["event"].as_str()) {
            book.insert(format!("{satellite} {event}"), it["is"].clone());
        }
    }
    assert!(stored.iter().all(|id| book.contains_key(id)), "{stored:?}\n{book:#?}");
    let confirmed = book.iter().filter(|(_, is)| **is == "confirmed");
    assert!(confirmed.clone().all(|(id, _)| stored.iter().filter(|it| *it == id).count() == 1));
    assert_eq!(said("/whole_run/events_confirmed"), confirmed.count() as u64);
    assert!(said("/whole_run/events_confirmed") > 5, "{figures:#}");
    dev.running.stop().await;
}

#[tokio::test]
async fn the_generator_says_what_it_cannot_use() {
    let dev = Dev::start("generator-refused", None).await;
    let backend = dev.running.text("/backend_url").to_owned();
    let elsewhere = backend.replace("http://", "https://");
    for (arguments, token, expected) in [
        (["--backend", &elsewhere, "--over", "1"], None, "http://HOST:PORT"),
        (["--backend", "http://127.0.0.1:1", "--satellites", "1"], None, "connection refused"),
        (["--backend", &backend, "--satellites", "1"], Some("wrong"), "401"),
        (["--backend", &backend, "--hold", "perhaps"], None, "--hold takes yes or no"),
    ] {
        let mut command = generator(&dev, &arguments);
        command.envs(token.map(|token| ("SATELLITE_ADMIN_TOKEN", token)));
        let output = command.output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    }
}
