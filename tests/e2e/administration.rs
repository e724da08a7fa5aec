//! The administration commands of the program, against a Backend and a satellite that run.

use std::process::Output;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Dev, command, eventually, state};
use crate::mcp::{Session, http};

impl Dev {
    /// Runs an administration command against its Backend.
    async fn administer(&self, words: &[&str]) -> Output {
        let mut command = command(words);
        command.args(["--backend", self.running.text("/backend_url"), "--json"]);
        command.env("SATELLITE_ADMIN_TOKEN", self.running.text("/admin_token"));
        command.output().await.expect("the program runs")
    }
}

#[tokio::test]
async fn a_command_that_is_waited_for_gives_its_result_and_its_exit_code() {
    let mut dev = Dev::start("administration", None).await;
    let satellite = dev.running.text("/satellite_id").to_owned();
    let installation = dev.running.text("/instances/0/installation_id").to_owned();
    let send = |payload: Value| {
        let payload = payload.to_string();
        let (dev, satellite) = (&dev, &satellite);
        async move {
            let words =
                ["command", "send", "--satellite", satellite, "--type", "restart", "--wait"];
            let words = [&words[..], &["--priority", "immediate", "--payload", &payload]].concat();
            let output = dev.administer(&words).await;
            let reply: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let steps = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), reply["data"]["command"].clone(), steps)
        }
    };
    let (code, done, steps) = send(json!({"installation_id": installation})).await;
    assert_eq!((code, &done["status"]), (Some(0), &json!("completed")), "{done} {steps}");
    assert!(done["duration_ms"].is_u64(), "{done}");
    assert!(steps.contains("is pending") && steps.contains("is completed"), "{steps}");

    let (code, failed, _) = send(json!({"installation_id": "none-of-this-name"})).await;
    assert_eq!((code, &failed["status"]), (Some(1), &json!("failed")), "{failed}");
    let why = failed["error_message"].as_str().unwrap_or_default();
    assert!(why.contains("none-of-this-name"), "{failed}");

    let closed = dev.administer(&["satellite", "maintenance", &satellite]).await;
    let closed: Value = serde_json::from_slice(&closed.stdout).unwrap_or_default();
    assert_eq!(closed["data"]["satellite"]["status"], "maintenance", "{closed}");
    let directory = dev.scratch.0.join("state").display().to_string();
    let status = command(&["status", "--dir", &directory]).output().await.expect("it runs");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("as maintenance (an administrator's word: maintenance)"), "{status}");
    let words = ["command", "send", "--satellite", &satellite, "--type", "configure", "--wait"];
    let held = dev.administer(&[&words[..], &["--timeout", "1"]].concat()).await;
    let told: Value = serde_json::from_slice(&held.stdout).unwrap_or_default();
    assert_eq!(held.status.code(), Some(1));
    assert!(told["error"].as_str().is_some_and(|why| why.contains("still pending")), "{told}");
    assert_eq!(dev.running.stop().await, Some(0));
}

/// Asks until the door is closed; how many milliseconds that took.
async fn closes(door: &Session, message: &Value) -> u128 {
    let began = Instant::now();
    eventually("a closed door", || async {
        let answer = door.try_post(message.to_string()).await?;
        matches!(answer.status.as_u16(), 401 | 403).then_some(())
    })
    .await;
    began.elapsed().as_millis()
}

#[tokio::test]
async fn every_door_closes_when_its_key_is_taken_away() {
    let mut dev = Dev::start("revoked", None).await;
    let (team, user) = (dev.running.text("/team_id").to_owned(), dev.running.text("/user_id"));
    let user = user.to_owned();
    let said = |output: Output| -> Value {
        let (stdout, stderr) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{} {stderr}", String::from_utf8_lossy(stdout));
        serde_json::from_slice(stdout).expect("JSON")
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});

    // A token of a client.
    let create = ["access", "create", "--team", &team, "--user"];
    let issued = said(dev.administer(&[&create[..], &[&user]].concat()).await);
    let issued = &issued["data"]["access_token"];
    let door = Session::open(dev.running.text("/mcp_url"), &text(&issued["token"])).await;
    assert_eq!(door.post(ask.to_string()).await.status, 200);
    let id = text(&issued["id"]);
    said(dev.administer(&["access", "revoke", &id, "--user", &user]).await);
    let token_ms = closes(&door, &ask).await;

    // A member, who managed the team.
    let bob = said(dev.administer(&["user", "create", "bob"]).await);
    let bob = text(&bob["data"]["user"]["id"]);
    let member = ["member", "set", &bob, "--team", &team, "--role", "team_admin"];
    said(dev.administer(&member).await);
    let issued = said(dev.administer(&[&create[..], &[&bob]].concat()).await);
    let client = text(&issued["data"]["access_token"]["token"]);
    let issued = said(dev.administer(&[&create[..], &[&bob, "--manage"]].concat()).await);
    let manages = text(&issued["data"]["access_token"]["token"]);
    let door = Session::open(dev.running.text("/mcp_url"), &client).await;
    assert_eq!(door.post(ask.to_string()).await.status, 200);
    let own = format!("{}/api/teams/{team}", dev.running.text("/backend_url"));
    let look = || http().get(&own).bearer_auth(&manages).send();
    assert_eq!(look().await.expect("an answer").status(), 200);
    said(dev.administer(&["member", "remove", &bob, "--team", &team]).await);
    assert_eq!(look().await.expect("an answer").status(), 401, "the Backend knows at once");
    let member_ms = closes(&door, &ask).await;

    // A satellite's key.
    let token = said(dev.administer(&["token", "create"]).await);
    let backend = dev.running.text("/backend_url");
    let register = http().post(format!("{backend}/api/satellites/register"));
    let register = register.bearer_auth(text(&token["data"]["token"]["token"]));
    let register = register.body(json!({"name": "edge-satellite-99"}).to_string());
    let reply = register.send().await.expect("an answer").text().await.expect("a text");
    let reply: Value = serde_json::from_str(&reply).expect("JSON");
    let (id, key) = (text(&reply["satellite"]["id"]), text(&reply["satellite"]["api_key"]));
    let poll = || http().get(format!("{backend}/api/satellites/{id}/commands")).bearer_auth(&key);
    assert_eq!(poll().send().await.expect("an answer").status(), 200);
    said(dev.administer(&["satellite", "delete", &id]).await);
    assert_eq!(poll().send().await.expect("an answer").status(), 401);

    state(&format!(
        "the satellite turned a client away {token_ms} ms after its token was revoked, and \
         {member_ms} ms after its user was taken out of the team"
    ));
    assert_eq!(dev.running.stop().await, Some(0));
}
