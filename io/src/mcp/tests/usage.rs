//! What the surface tells of its clients.

use satellite_core::control::Event;
use satellite_core::redaction::Redaction;
use satellite_core::router::outcome::Outcome;
use satellite_core::secret::Secret;
use satellite_core::usage::Report;
use satellite_core::wire::event::DisconnectReason;
use serde_json::json;

use super::world::{ONE, World, bearer, call_of, user};

impl World {
    /// The next report about a client.
    async fn reported(&mut self) -> Report {
        if let Some(report) = self.reports.pop_front() {
            return report;
        }
        loop {
            if let Event::Used { reports, .. } = self.wanted.recv().await.unwrap() {
                self.reports.extend(reports.reports.iter().cloned());
                return self.reports.pop_front().unwrap();
            }
        }
    }

    async fn call_reported(&mut self) -> satellite_core::usage::EndedCall {
        loop {
            if let Report::Called(call) = self.reported().await {
                return call;
            }
        }
    }
}

fn call_with(text: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read",
        "arguments": {"path": text, "api_key": "k"}}})
    .to_string()
}

#[tokio::test]
async fn a_session_is_told_from_its_start_to_its_end() {
    let mut world = World::start().await;
    let session = world.session().await;
    world.post(&session, r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await;
    let headers = [bearer(), ("mcp-session-id", session.as_str())];
    assert_eq!(world.open("DELETE", ONE, &headers, b"").await.status, 200);
    let Report::Connected { client } = world.reported().await else { panic!("no connection") };
    assert_eq!((client.user.as_str(), client.team.as_str()), ("u", "t"));
    assert_eq!(client.session.as_str(), session);
    assert_eq!(
        (client.name.as_deref(), client.oauth_client.as_str()),
        (Some("c"), "instance-token")
    );
    assert_eq!(client.ip_address.as_deref(), Some("127.0.0.1"));
    assert!(matches!(world.reported().await, Report::Requested { .. }));
    let Report::Disconnected { reason, client: whose, .. } = world.reported().await else {
        panic!("no end")
    };
    assert_eq!((reason, whose), (DisconnectReason::ClientClose, client));
}

#[tokio::test]
async fn a_call_is_told_once_with_excerpts_that_hold_no_secret() {
    let mut world = World::start().await;
    let session = world.session().await;
    world.change(|instance| {
        instance.redaction = Redaction::new(&[Secret::new("hunter2-hunter2")]).into();
    });
    let (reply, call) = world.call_with(&session, &call_with("a hunter2-hunter2 b")).await;
    let large = "x".repeat(1_000_000);
    let result = json!({"content": [{"type": "text", "text": format!("hunter2-hunter2 {large}")}],
        "isError": true});
    world.answer(&call, &result);
    assert_eq!(reply.await.unwrap().1["result"], result, "the client gets it whole");
    let told = world.call_reported().await;
    assert_eq!((told.tool.as_str(), told.outcome), ("read", Outcome::ToolError));
    assert_eq!(told.key, super::world::key("files"));
    let detail = told.detail.unwrap();
    assert_eq!(detail.params, json!({"path": "a [secret] b", "api_key": "[secret]"}));
    let response = detail.response.unwrap().to_string();
    assert!(response.len() < 5_000 && !response.contains("hunter2"), "{}", response.len());
    assert!(response.contains("[secret] xxx") && response.contains("[cut]"));
}

#[tokio::test]
async fn each_outcome_is_told_as_what_it_was() {
    let mut world = World::start().await;
    let session = world.session().await;
    let (reply, call) = world.call_with(&session, &call_of(1, "read")).await;
    world.answer(&call, &json!({"content": []}));
    reply.await.unwrap();
    assert_eq!(world.call_reported().await.outcome, Outcome::Ok);
    let (reply, _) = world.call_with(&session, &call_of(2, "read")).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#;
    world.post(&session, cancel).await;
    reply.await.unwrap();
    assert_eq!(world.lines.recv().await.unwrap()["method"], "notifications/cancelled");
    assert_eq!(world.call_reported().await.outcome, Outcome::Cancelled);
    // A client that goes away has taken its call back too.
    let (reply, _) = world.call_with(&session, &call_of(3, "read")).await;
    reply.abort();
    assert_eq!(world.call_reported().await.outcome, Outcome::Cancelled);
    world.change(|instance| {
        instance.ready = None;
        instance.status = satellite_core::view::InstanceStatus::Error;
    });
    world.post(&session, &call_of(4, "read")).await;
    assert_eq!(world.call_reported().await.outcome, Outcome::RejectedBeforeSend);
}

#[tokio::test]
async fn an_installation_that_wants_no_details_has_none_told() {
    let mut world = World::start().await;
    let session = world.session().await;
    world.change(|instance| instance.request_logging = false);
    let (reply, call) = world.call_with(&session, &call_with("private")).await;
    world.answer(&call, &json!({"content": []}));
    reply.await.unwrap();
    let told = world.call_reported().await;
    assert!(!told.is_logged && told.detail.is_none(), "{told:?}");
}

#[tokio::test]
async fn who_shows_a_bad_credential_is_told_and_who_shows_none_is_not() {
    let mut world = World::start().await;
    let body = super::world::initialize("2025-11-25");
    assert_eq!(world.open("POST", "/mcp", &[], body.as_bytes()).await.status, 401);
    assert_eq!(world.open("POST", ONE, &[], body.as_bytes()).await.status, 401);
    let (name, value) = user("bad");
    let bad = [(name, value.as_str())];
    assert_eq!(world.open("POST", "/mcp", &bad, body.as_bytes()).await.status, 401);
    let Report::Refused(refused) = world.reported().await else { panic!("another report") };
    assert_eq!(
        (refused.reason, refused.ip_address.as_deref()),
        ("token_invalid", Some("127.0.0.1"))
    );
    assert_eq!(
        world.open("POST", "/i/wild-fox/mcp", &[bearer()], body.as_bytes()).await.status,
        404
    );
    let Report::Refused(refused) = world.reported().await else { panic!("another report") };
    assert_eq!(refused.reason, "instance_path_unknown");
}

#[tokio::test]
async fn a_control_machine_that_is_busy_costs_no_call_and_the_loss_is_counted() {
    let world = World::start().await;
    let usage = super::super::usage::Usage::start(world.control.clone(), world.clock);
    let mut wanted = world.wanted;
    let client = || satellite_core::usage::RefusedCredential {
        team: None,
        client: None,
        reason: "token_invalid",
        ip_address: None,
        at: satellite_core::time::Timestamp(0),
    };
    // Nobody takes the batches: the first goes out, the others wait, and then there is no room.
    for _ in 0..10_000 {
        usage.tell(Report::Refused(client()));
        tokio::task::yield_now().await;
    }
    let (mut told, mut lost) = (0, 0);
    let mut most = 0;
    while told + lost < 10_000 {
        if let Event::Used { reports, lost: some } = wanted.recv().await.unwrap() {
            told += reports.reports.len() as u64;
            most = most.max(reports.reports.len());
            lost += some;
        }
    }
    assert!(lost > 0 && told <= 1_024 + 2 * 256, "{told} told, {lost} lost");
    assert!(most <= 256);
}
