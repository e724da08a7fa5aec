//! A remote and an authorisation server, played by a script.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use satellite_core::http::HttpFailure;
use serde_json::{Value, json};

use crate::backend::{Fetch, Reply};

/// How the authorisation server is disposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Fine,
    /// Every request fails before an answer.
    Gone,
    /// Every refresh token is revoked.
    Revoked,
    /// It names an authorisation endpoint that no browser should open.
    Odd,
}

#[derive(Debug, Default)]
struct Inner {
    mood: Mood,
    /// The refresh token that counts; each renewal makes another.
    number: u64,
    log: Vec<String>,
}

/// Answers at once at `https://remote.example/mcp` and `https://as.example`; a token takes a while.
#[derive(Clone, Debug, Default)]
pub(super) struct Provider(Arc<Mutex<Inner>>);

impl Provider {
    pub(super) fn be(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    /// How often something of this name was asked for.
    pub(super) fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().log.iter().filter(|line| *line == what).count()
    }

    fn answer(&self, address: &str, body: &str) -> Result<Reply, HttpFailure> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = address.strip_prefix("https://").unwrap_or(address);
        if inner.mood == Mood::Gone {
            return Err(HttpFailure::Refused("refused".to_owned()));
        }
        let (status, reply) = match path {
            "remote.example/mcp" => (401, Value::Null),
            "remote.example/meta" => (
                200,
                json!({"resource": "https://remote.example/mcp", "scopes_supported": ["read"],
                    "authorization_servers": ["https://as.example"]}),
            ),
            "as.example/.well-known/oauth-authorization-server" => {
                let odd = inner.mood == Mood::Odd;
                let endpoint = if odd { "file:///bin/sh" } else { "https://as.example/auth" };
                (
                    200,
                    json!({"issuer": "https://as.example", "authorization_endpoint": endpoint,
                        "token_endpoint": "https://as.example/token",
                        "registration_endpoint": "https://as.example/register",
                        "code_challenge_methods_supported": ["S256"],
                        "authorization_response_iss_parameter_supported": true}),
                )
            }
            "as.example/register" => {
                inner.log.push("register".to_owned());
                (201, json!({"client_id": "c1", "client_secret": "client-secret"}))
            }
            "as.example/token" => inner.token(body),
            _ => (404, Value::Null),
        };
        let challenge = r#"Bearer resource_metadata="https://remote.example/meta""#;
        Ok(Reply {
            status,
            challenges: if status == 401 { vec![challenge.to_owned()] } else { Vec::new() },
            body: reply.to_string().into_bytes(),
        })
    }
}

impl Inner {
    fn token(&mut self, form: &str) -> (u16, Value) {
        let has = |field: &str| form.split('&').any(|pair| pair == field);
        assert!(has("resource=https%3A%2F%2Fremote.example%2Fmcp"), "{form}");
        if has("grant_type=authorization_code") {
            self.log.push("code".to_owned());
            assert!(form.contains("code_verifier="), "{form}");
            if !has("code=good-code") {
                return (400, json!({"error": "invalid_grant"}));
            }
        } else {
            self.log.push("refresh".to_owned());
            let current = format!("refresh_token=refresh-{}", self.number);
            if self.mood == Mood::Revoked || !has(&current) {
                return (400, json!({"error": "invalid_grant"}));
            }
        }
        self.number += 1;
        (
            200,
            json!({"access_token": format!("access-{}", self.number), "token_type": "Bearer",
                "refresh_token": format!("refresh-{}", self.number), "expires_in": 3_600}),
        )
    }
}

impl Fetch for Provider {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, HttpFailure>> + Send + '_>> {
        Box::pin(async move {
            let address = request.uri().to_string();
            if address.ends_with("/token") {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            self.answer(&address, std::str::from_utf8(request.body()).unwrap())
        })
    }
}
