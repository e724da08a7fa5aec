//! The administration commands of the program, against a Backend and a satellite that run.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Dev, command};

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
