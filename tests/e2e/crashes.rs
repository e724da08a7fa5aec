//! Servers that die: who is told, what is recorded, and who brings them back.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::harness::{Dev, eventually};
use crate::mcp::{Session, text_of};
use crate::peer::{self, peer};

/// The process id of the peer's own process, as it says itself; nothing while it is away.
async fn pid(session: &Session) -> Option<i32> {
    let answer = session.call("pid", json!({})).await;
    if !answer["result"].is_object() || answer["result"]["isError"] == true {
        return None;
    }
    text_of(&answer).parse().ok()
}

fn kill_hard(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the peer can be killed");
}

#[tokio::test]
async fn calls_pending_at_a_killed_server_fail_and_it_comes_back_by_itself() {
    let servers = json!({"mcpServers": {"victim": peer("well"), "bystander": peer("well")}});
    let mut dev = Dev::start("killed", Some(&servers)).await;
    let session = peer::session(&dev, "victim").await;
    let bystander = peer::session(&dev, "bystander").await;
    let first = pid(&session).await.expect("the peer says its process id");

    let pending: Vec<_> = (0..8)
        .map(|_| {
            let (url, token) = (session.url.clone(), session.token.clone());
            let id = session.id.clone();
            tokio::spawn(async move {
                let mut session = Session::closed(&url, token.as_deref());
                session.id = id;
                session.call("sleep", json!({"ms": 600_000})).await
            })
        })
        .collect();
    // All eight have reached the peer before it dies.
    eventually("eight calls at the peer", || async {
        let lines = session.call("lines", json!({})).await;
        (text_of(&lines).matches("600000").count() == 8).then_some(())
    })
    .await;
    kill_hard(first);
    for call in pending {
        let answer = call.await.expect("the call ends");
        assert!(
            answer["error"].is_object() || answer["result"]["isError"] == true,
            "a pending call ends in an error: {answer}"
        );
    }
    assert_eq!(text_of(&bystander.call("echo", json!({"text": "on"})).await), "on");

    let second = eventually("the peer again, in the same session", || pid(&session)).await;
    assert_ne!(first, second, "it is another process");
    for kind in ["mcp.server.crashed", "mcp.server.restarted"] {
        eventually(kind, || async { (peer::events(&dev, kind).len() == 1).then_some(()) }).await;
    }
    assert_eq!(dev.running.stop().await, Some(0));
}

#[tokio::test]
async fn the_fourth_crash_is_final_until_a_command_restarts_the_server() {
    let servers = json!({"mcpServers": {"victim": peer("well"), "bystander": peer("well")}});
    let mut dev = Dev::start("fourth-crash", Some(&servers)).await;
    let session = peer::session(&dev, "victim").await;
    for crash in 1..=4 {
        let pid = eventually("the peer", || pid(&session)).await;
        kill_hard(pid);
        eventually("the crash's event", || async {
            (peer::events(&dev, "mcp.server.crashed").len() == crash).then_some(())
        })
        .await;
    }
    eventually("permanently_failed", || async {
        (peer::events(&dev, "mcp.server.permanently_failed").len() == 1).then_some(())
    })
    .await;
    eventually("permanently_failed at the Backend", || async {
        peer::statuses(&dev, "victim").contains(&"permanently_failed".to_string()).then_some(())
    })
    .await;
    assert_eq!(pid(&session).await, None, "calls are refused meanwhile");
    assert_eq!(peer::events(&dev, "mcp.server.restarted").len(), 3, "three restarts in all");

    let installation = dev.running.instance("victim")["installation_id"].clone();
    let command = peer::command(&dev, "restart", json!({"installation_id": installation})).await;
    eventually("the peer after the command", || pid(&session)).await;
    eventually("the command's result", || async {
        (peer::command_status(&dev, &command).await == "completed").then_some(())
    })
    .await;
    assert_eq!(dev.running.stop().await, Some(0));
}
