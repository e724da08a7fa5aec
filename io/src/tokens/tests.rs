//! The task with a Backend played by a script.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use satellite_core::backend::sha256_hex;
use satellite_core::http::{HttpAnswer, HttpRequest};
use satellite_core::secret::Secret;
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::wire::tokens::TokensRequest;
use serde_json::json;

use super::*;
use crate::mcp::Exchanged;

/// Gives each user a token of their own, another at each request; nobody called `nobody`.
#[derive(Debug, Default)]
struct Script {
    count: AtomicU64,
    requests: Mutex<Vec<HttpRequest>>,
}

impl BackendExchange for Script {
    fn exchange(&self, request: HttpRequest) -> Exchanged<'_> {
        Box::pin(async move {
            let wanted: TokensRequest =
                serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
            self.requests.lock().unwrap().push(request);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            let user = wanted.user_id.as_str();
            let (status, body) = match user {
                "nobody" => (404, json!({"error": "none"})),
                _ => (200, json!({"access_token": format!("{user}-{number}")})),
            };
            let body = body.to_string().into_bytes();
            Ok(HttpAnswer { status, body, ..HttpAnswer::default() })
        })
    }
}

fn key(user: &str) -> InstanceKey {
    InstanceKey { team: "t".into(), installation: "i".into(), user: user.into() }
}

fn start(paired: bool) -> (Arc<Script>, BackendTokens, watch::Sender<Option<Credentials>>) {
    let credentials = Credentials {
        api_key: Secret::new("the key"),
        satellite_id: "sat".into(),
        satellite_name: "edge".to_owned(),
        team_id: None,
        backend_url: None,
        registered_at: IsoTime(Timestamp(0)),
        last_verified: IsoTime(Timestamp(0)),
    };
    let (sender, receiver) = watch::channel(paired.then_some(credentials));
    let script = Arc::new(Script::default());
    let backend: Arc<dyn BackendExchange> = Arc::clone(&script) as _;
    let clock = Clock::start();
    (script, BackendTokens::start(backend, receiver, Random::new(1), clock), sender)
}

#[tokio::test(start_paused = true)]
async fn each_user_gets_their_own_token_by_one_request_with_the_pairings_key() {
    let (script, tokens, _pairing) = start(true);
    let users: Vec<String> = (0..1_000).map(|at| format!("user{}", at % 4)).collect();
    let all = users.iter().map(async |user| tokens.token(&key(user), None).await.unwrap());
    for (user, token) in users.iter().zip(join_all(all).await) {
        assert!(token.token.expose().starts_with(&format!("{user}-")));
    }
    let requests = script.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0].path, "/api/satellites/sat/tokens/retrieve");
    assert_eq!(requests[0].bearer, Some(Secret::new("the key")));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_and_a_forgotten_user_cost_another_request() {
    let (script, tokens, _pairing) = start(true);
    let first = tokens.token(&key("ada"), None).await.unwrap();
    let second = tokens.token(&key("ada"), Some(first.id)).await.unwrap();
    assert_eq!(second.token.expose(), "ada-1");
    let body = script.requests.lock().unwrap()[1].body.clone().unwrap();
    let wanted: TokensRequest = serde_json::from_slice(&body).unwrap();
    assert_eq!(wanted.refused_token_sha256, Some(sha256_hex(b"ada-0")));
    assert_eq!(tokens.token(&key("ada"), None).await.unwrap(), second);
    tokens.forget(&"ada".into(), None);
    assert_eq!(tokens.token(&key("ada"), None).await.unwrap().token.expose(), "ada-2");
    let failure = tokens.token(&key("nobody"), None).await.unwrap_err();
    assert_eq!(failure.fault, Fault::AuthorisationNeeded);
}

#[tokio::test(start_paused = true)]
async fn a_satellite_without_a_pairing_has_no_token_and_says_so() {
    let (script, tokens, _pairing) = start(false);
    let failure = tokens.token(&key("ada"), None).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Unreachable);
    assert!(failure.message.contains("not paired"), "{}", failure.message);
    assert!(script.requests.lock().unwrap().is_empty());
}
