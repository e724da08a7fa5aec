//! Servers elsewhere that do what they should not: each alone bears it, says why, and everybody
//! else goes on. `tests/tables/bad_remotes.txt` has the whole list.

mod server;

use std::fs;

use serde_json::{Map, Value, json};

use self::server::Hostile;
use crate::harness::{Dev, eventually, state};
use crate::mcp::{Session, text_of};
use crate::peer::{events, session};

/// Stands in the configuration, and nowhere else.
const SECRET: &str = "k3y-0f-th3-h05t1l3";

/// A server of `mcp.json` for a face of `hostile`.
fn entry(hostile: &Hostile, face: &str) -> Value {
    json!({"url": format!("http://{}/{face}/mcp?key={SECRET}", hostile.address),
        "headers": {"X-Key": SECRET}})
}

async fn start(name: &str, hostile: &Hostile, faces: &[&str]) -> Dev {
    let servers: Map<String, Value> =
        faces.iter().map(|face| ((*face).to_string(), entry(hostile, face))).collect();
    Dev::start(name, Some(&json!({"mcpServers": servers}))).await
}

/// The neighbour answers.
async fn assert_served(well: &Session) {
    assert_eq!(text_of(&well.call("echo", json!({})).await), "echo");
}

/// Waits until the Backend has been told a status of a server.
async fn told(dev: &Dev, server: &str, status: &str) {
    let installation = &dev.running.instance(server)["installation_id"];
    eventually(&format!("{server} is {status}"), || async {
        let told = events(dev, "mcp.server.status_changed");
        let is_it =
            |data: &Value| data["installation_id"] == *installation && data["status"] == status;
        told.iter().any(is_it).then_some(())
    })
    .await;
}

/// Nothing that was written down holds the secret of a configuration.
fn assert_secret_kept(dev: &Dev) {
    let log = fs::read_to_string(&dev.running.log).expect("the log can be read");
    assert!(!log.contains(SECRET), "the log holds a secret");
    for sql in [
        r#"SELECT data FROM "satelliteEvents""#,
        r#"SELECT status_message FROM "mcpServerInstances""#,
        r#"SELECT message FROM "mcpServerLogs""#,
    ] {
        assert!(!dev.query(sql).iter().any(|text| text.contains(SECRET)), "{sql}");
    }
}

/// The most memory the daemon ever had, in kilobytes.
fn peak(dev: &Dev) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", dev.running.pid()))
        .expect("the daemon has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn servers_elsewhere_that_are_none_say_why_and_leave_the_others_alone() {
    let elsewhere = Hostile::start(None).await;
    let hostile = Hostile::start(Some(elsewhere.address)).await;
    let cases = [
        ("html-at-once", "error", "neither JSON nor an event stream; check the address"),
        ("half-at-once", "error", "look into the server's own log"),
        ("unauthorised-at-once", "requires_reauth", "connect the server again"),
        ("forbidden-list", "requires_reauth", "connect the server again"),
        ("down-at-once", "offline", "status 503; check the server"),
        ("elsewhere-at-once", "error", "configure the address it points to"),
    ];
    let faces: Vec<&str> = cases.iter().map(|(face, ..)| *face).chain(["good"]).collect();
    let mut dev = start("remotes-that-are-none", &hostile, &faces).await;
    for (face, status, says) in cases {
        let instance = dev.running.instance(face);
        assert_eq!(instance["status"], status, "{instance}");
        let error = instance["error"].as_str().unwrap_or_default();
        assert!(error.contains(says), "{instance}");
        told(&dev, face, status).await;
    }
    assert_served(&session(&dev, "good").await).await;
    assert_eq!(elsewhere.seen().len(), 0, "nothing follows a message to another origin");
    assert_secret_kept(&dev);
    assert_eq!(dev.running.stop().await, Some(0));
}

/// A call of each face, what becomes of it, and what is said.
const CALLS: &[(&str, &str, &str)] = &[
    ("html", "outcome_unknown", "neither JSON nor an event stream; check the address"),
    ("half", "outcome_unknown", "look into the server's own log"),
    ("wrong-id", "outcome_unknown", "holds none to the request"),
    ("cut", "outcome_unknown", "check that the server"),
    ("gzip", "outcome_unknown", "encoded (gzip) although no encoding was asked for"),
    ("large", "outcome_unknown", "exceeds 33554432 bytes; ask the server for less at a time"),
    ("large-unsaid", "outcome_unknown", "exceeds 16777216 bytes; ask the server for less"),
    ("large-event", "outcome_unknown", "exceeds 16777216 bytes; ask the server for less"),
    ("unauthorised-call", "rejected_before_send", "sign in to it again"),
    ("busy-hour", "rejected_before_send", "status 503; check the server"),
    ("moved-301", "rejected_before_send", "would lose the request's body: configure"),
    ("moved-302", "rejected_before_send", "would lose the request's body: configure"),
    ("moved-303", "rejected_before_send", "would lose the request's body: configure"),
    ("moved-307", "rejected_before_send", "to another origin, http://127.0.0.1:"),
    ("moved-308", "rejected_before_send", "to another origin, http://127.0.0.1:"),
    ("moved-inside", "rejected_before_send", "to another origin, http://169.254.169.254:"),
    ("moved-nowhere", "rejected_before_send", "configure the address that it redirects to"),
    ("moved-in-circles", "rejected_before_send", "more than 5 redirects: configure"),
];

#[tokio::test]
async fn each_call_of_a_server_elsewhere_that_fails_says_why_and_costs_nobody_else_anything() {
    let elsewhere = Hostile::start(None).await;
    let hostile = Hostile::start(Some(elsewhere.address)).await;
    let faces: Vec<&str> = CALLS.iter().map(|(face, ..)| *face).chain(["good"]).collect();
    let mut dev = start("remotes-that-fail", &hostile, &faces).await;
    let well = session(&dev, "good").await;
    let before = peak(&dev);
    for (face, outcome, says) in CALLS {
        assert_eq!(dev.running.instance(face)["status"], "online", "{face}: {}", dev.running.ready);
        let answer = session(&dev, face).await.call("echo", json!({})).await;
        let error = &answer["error"];
        assert_eq!(error["data"]["outcome"], *outcome, "{face}: {answer}");
        let text = error["message"].as_str().unwrap_or_default();
        assert!(text.contains(says), "{face}: {text}");
        assert!(!text.contains(SECRET), "{face}: {text}");
        let times = hostile.count(face, "tools/call");
        // A circle is gone round as often as is allowed; nothing is asked again after that.
        let expected = if *face == "moved-in-circles" { 6 } else { 1 };
        assert_eq!(times, expected, "{face}");
        assert_served(&well).await;
    }
    let grown = peak(&dev).saturating_sub(before);
    state(&format!("three answers of 100 MiB, one of them announced: at most {grown} kB more"));
    assert!(grown < 100 * 1024, "{grown} kB for answers that are not taken");
    assert_eq!(elsewhere.seen().len(), 0, "nothing follows a message to another origin");
    for (face, status) in
        [("html", "error"), ("cut", "offline"), ("unauthorised-call", "requires_reauth")]
    {
        told(&dev, face, status).await;
    }
    assert_secret_kept(&dev);
    assert_eq!(dev.running.stop().await, Some(0));
}

#[tokio::test]
async fn what_is_odd_and_can_be_borne_is_borne() {
    let hostile = Hostile::start(None).await;
    let faces = [
        "two",
        "busy-seconds",
        "busy-date",
        "busy-garbage",
        "moved-at-home",
        "changes",
        "many",
        "endless-list",
        "colon",
        "silent",
        "comments",
        "good",
    ];
    let mut dev = start("remotes-that-are-odd", &hostile, &faces).await;
    for face in faces {
        assert_eq!(dev.running.instance(face)["status"], "online", "{}", dev.running.ready);
    }
    for (face, says) in [
        ("two", "through"),
        ("busy-seconds", "echo"),
        ("busy-date", "echo"),
        ("busy-garbage", "echo"),
        ("moved-at-home", "echo"),
        ("changes", "through"),
    ] {
        let answer = session(&dev, face).await.call("echo", json!({})).await;
        assert_eq!(text_of(&answer), says, "{face}");
    }
    let names = async |face: &str| {
        let listed = session(&dev, face).await.request("tools/list", json!({})).await;
        let tools = listed["result"]["tools"].as_array().expect("a list").clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap_or("").to_string()).collect::<Vec<_>>()
    };
    eventually("the tools that have changed", || async {
        (names("changes").await == ["echo", "grown"]).then_some(())
    })
    .await;
    assert_eq!(names("many").await.len(), 10_000);
    eventually("the Backend knows them all", || async {
        let count = r#"SELECT count(*) FROM "mcpToolMetadata" WHERE tool_name LIKE 'tool-%'"#;
        (dev.query(count) == ["10000"]).then_some(())
    })
    .await;
    assert_eq!(names("endless-list").await.len(), 100, "as many pages as are followed");
    assert_eq!(names("colon").await, ["a:b:c", "echo"]);
    let colon = session(&dev, "colon").await.call("a:b:c", json!({})).await;
    assert_eq!(text_of(&colon), "a:b:c");
    let router = Session::open(dev.running.text("/mcp_url"), dev.running.text("/token")).await;
    let path = json!({"tool_path": "colon:a:b:c", "arguments": {}});
    assert_eq!(text_of(&router.call("execute_mcp_tool", path).await), "a:b:c");

    // Whoever waits in vain may leave, and the server is told.
    for face in ["silent", "comments"] {
        let waiting = session(&dev, face).await;
        let call = tokio::spawn(async move { waiting.call("echo", json!({})).await });
        eventually("the call is there", || async {
            (hostile.count(face, "tools/call") == 1).then_some(())
        })
        .await;
        call.abort();
        eventually("the server is told", || async {
            (hostile.count(face, "notifications/cancelled") == 1).then_some(())
        })
        .await;
    }
    assert_served(&session(&dev, "good").await).await;
    assert_secret_kept(&dev);
    assert_eq!(dev.running.stop().await, Some(0));
}
