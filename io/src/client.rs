//! A small MCP client over Streamable HTTP, for `satellite tools` and `satellite call`.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use satellite_core::http::HttpFailure;
use satellite_core::limits::{DISCOVERY_PAGES_MAX, MESSAGE_MAX_BYTES};
use satellite_core::secret::Secret;
use satellite_core::sse::Events;
use serde_json::{Value, json};

use crate::exit::{Exit, UNREACHABLE, fault, usage};
use crate::http_client::{Chunks, HttpClient, read_whole};

const REVISION: &str = "2025-11-25";
const REVISIONS: &[&str] = &[REVISION, "2025-06-18", "2025-03-26"];
const SESSION: &str = "mcp-session-id";
const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// How long a server may be silent within a request.
const SILENCE_MAX: Duration = Duration::from_secs(330);

/// A conversation with one MCP endpoint.
#[derive(Debug)]
pub struct McpClient<C> {
    client: C,
    url: String,
    token: Secret,
    session: Option<HeaderValue>,
    revision: String,
    requests: u64,
}

impl<C: HttpClient> McpClient<C> {
    /// Connects to `url` with `token` and introduces itself.
    ///
    /// Fails with exit code 3 when nobody answers, and 1 when the endpoint refuses.
    pub async fn connect(client: C, url: String, token: Secret) -> Result<Self, Exit> {
        let mut this = McpClient {
            client,
            url,
            token,
            session: None,
            revision: String::from(REVISION),
            requests: 0,
        };
        let params = json!({
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": {"name": "satellite-cli", "version": env!("CARGO_PKG_VERSION")},
        });
        let result = this.request("initialize", params, &mut |_| {}).await?;
        let revision = result.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        if !REVISIONS.contains(&revision) {
            return Err(fault(
                format!("the server at {} speaks MCP revision {revision:?}", this.url),
                format!("this client speaks {}", REVISIONS.join(", ")),
            ));
        }
        this.revision = String::from(revision);
        let greeting = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let response = this.post(&greeting).await?;
        this.check(response).await?;
        Ok(this)
    }

    /// Sends a request and waits for its result; `notified` hears of notifications meanwhile.
    pub async fn request(
        &mut self,
        method: &str,
        params: Value,
        notified: &mut dyn FnMut(&Value),
    ) -> Result<Value, Exit> {
        self.requests += 1;
        let id = self.requests;
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let response = self.post(&message).await?;
        let response = self.check(response).await?;
        if let Some(session) = response.headers().get(SESSION) {
            self.session = Some(session.clone());
        }
        let is_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|it| it.to_str().ok())
            .is_some_and(|it| it.trim_start().starts_with("text/event-stream"));
        let mut body = response.into_body();
        if !is_stream {
            let whole = self.patiently(read_whole(&mut body, MESSAGE_MAX_BYTES)).await?;
            return self.answer(&parse(&whole)?, id).unwrap_or_else(|| Err(no_answer(method)));
        }
        let mut events = Events::new(MESSAGE_MAX_BYTES);
        while let Some(chunk) = self.patiently(next(&mut body)).await? {
            for data in events.take(&chunk).map_err(|problem| fault(problem.to_string(), ""))? {
                let message = parse(&data)?;
                if let Some(answer) = self.answer(&message, id) {
                    return answer;
                }
                if message.get("method").is_some() && message.get("id").is_none() {
                    notified(&message);
                }
            }
        }
        Err(no_answer(method))
    }

    /// All items of a list method, over all its pages.
    pub async fn list(&mut self, method: &str, key: &str) -> Result<Vec<Value>, Exit> {
        let mut items = Vec::new();
        let mut params = json!({});
        for _ in 0..DISCOVERY_PAGES_MAX {
            let mut page = self.request(method, params, &mut |_| {}).await?;
            if let Some(Value::Array(more)) = page.get_mut(key).map(Value::take) {
                items.extend(more);
            }
            match page.get("nextCursor") {
                Some(Value::String(cursor)) => params = json!({"cursor": cursor}),
                _ => return Ok(items),
            }
        }
        Err(fault(format!("{method} does not end after {DISCOVERY_PAGES_MAX} pages"), ""))
    }

    /// Ends the session. A server that does not end sessions on request is no error.
    pub async fn close(self) {
        if self.session.is_some()
            && let Ok(request) = self.prepare(Method::DELETE, Bytes::new())
        {
            let _ = tokio::time::timeout(Duration::from_secs(5), self.client.send(request)).await;
        }
    }

    async fn post(&self, message: &Value) -> Result<Response<C::Body>, Exit> {
        let request = self.prepare(Method::POST, Bytes::from(message.to_string()))?;
        self.patiently(self.client.send(request)).await
    }

    fn prepare(&self, method: Method, body: Bytes) -> Result<Request<Bytes>, Exit> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .map_err(|_| usage("the token holds characters that no header may carry", ""))?;
        bearer.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(&self.url)
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json, text/event-stream")
            .header(CONTENT_TYPE, "application/json");
        if let Some(session) = &self.session {
            request = request.header(SESSION, session).header(PROTOCOL_VERSION, &self.revision);
        }
        request.body(body).map_err(|_| {
            usage("the URL is not valid", "write it in full: http://127.0.0.1:3001/mcp")
        })
    }

    /// Waits for the server, but not for ever.
    async fn patiently<T>(
        &self,
        step: impl Future<Output = Result<T, HttpFailure>>,
    ) -> Result<T, Exit> {
        let outcome = tokio::time::timeout(SILENCE_MAX, step).await;
        outcome.unwrap_or(Err(HttpFailure::TimedOut)).map_err(|failure| Exit {
            code: UNREACHABLE,
            error: format!("no answer from {}: {failure}", self.url),
            hint: String::from("check that a satellite runs there: satellite dev"),
        })
    }

    /// The response, unless it is a refusal.
    async fn check(&self, response: Response<C::Body>) -> Result<Response<C::Body>, Exit> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let challenged = response.headers().contains_key(WWW_AUTHENTICATE);
        let mut body = response.into_body();
        let whole = self.patiently(read_whole(&mut body, MESSAGE_MAX_BYTES)).await?;
        let body: Value = serde_json::from_slice(&whole).unwrap_or_default();
        let said = ["/error/data/message", "/error/message", "/message", "/error"]
            .into_iter()
            .find_map(|it| body.pointer(it).and_then(Value::as_str))
            .unwrap_or("no reason given");
        let hint = match status {
            StatusCode::UNAUTHORIZED => "pass the token of this endpoint with --token",
            _ if challenged => "pass the token of this endpoint with --token",
            StatusCode::NOT_FOUND => "an endpoint ends in /mcp; the session may also have ended",
            _ => "the satellite's log says more",
        };
        Err(fault(format!("{} answered {status}: {said}", self.url), hint))
    }

    /// The outcome of request `id`, if `message` is its answer.
    fn answer(&self, message: &Value, id: u64) -> Option<Result<Value, Exit>> {
        // An answer to a message that could not be read carries no id.
        let is_ours = match message.get("id") {
            Some(Value::Null) | None => message.get("error").is_some(),
            Some(other) => other.as_u64() == Some(id) && message.get("method").is_none(),
        };
        if !is_ours {
            return None;
        }
        if let Some(error) = message.get("error") {
            let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
            let text = error.get("message").and_then(Value::as_str).unwrap_or_default();
            let hint = match code {
                -32_602 => "check the name and the arguments: `satellite tools` lists them",
                _ => "",
            };
            return Some(Err(fault(format!("{text} ({code})"), hint)));
        }
        Some(Ok(message.get("result").cloned().unwrap_or_default()))
    }
}

async fn next(body: &mut impl Chunks) -> Result<Option<Bytes>, HttpFailure> {
    body.next().await.transpose()
}

fn parse(bytes: &[u8]) -> Result<Value, Exit> {
    serde_json::from_slice(bytes).map_err(|error| {
        fault(format!("the answer is no JSON: {error}"), "is this an MCP endpoint?")
    })
}

fn no_answer(method: &str) -> Exit {
    fault(format!("the answer to {method} ended before it was complete"), "try again")
}

#[cfg(test)]
mod tests;
