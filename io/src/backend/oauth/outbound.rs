//! Requests to authorisation servers and remotes: whoever they belong to may be slow, endless or
//! hostile.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request};
use satellite_core::backend::oauth::{DOCUMENT_MAX_BYTES, Problem, token};
use satellite_core::http::HttpFailure;
use satellite_core::secret::Secret;

use super::Oauth;
use crate::http_client::{HttpClient, read_whole};

/// How long one request may take, its answer included.
const TIMEOUT: Duration = Duration::from_secs(10);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// The values of `WWW-Authenticate`.
    pub challenges: Vec<String>,
    /// Its body; empty where none was wanted.
    pub body: Vec<u8>,
}

/// A client of HTTP servers that can be given from outside.
pub trait Fetch: Send + Sync {
    /// Sends `request` and reads the answer; its body, up to `limit` bytes, unless that is 0.
    fn fetch(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, HttpFailure>> + Send + '_>>;
}

impl<C: HttpClient> Fetch for C {
    fn fetch(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, HttpFailure>> + Send + '_>> {
        let whole = async move {
            let (head, mut body) = self.send(request).await?.into_parts();
            let challenges = head.headers.get_all(WWW_AUTHENTICATE).iter();
            Ok(Reply {
                status: head.status.as_u16(),
                challenges: challenges
                    .filter_map(|it| it.to_str().ok().map(String::from))
                    .collect(),
                body: if limit == 0 { Vec::new() } else { read_whole(&mut body, limit).await? },
            })
        };
        Box::pin(async move {
            tokio::time::timeout(TIMEOUT, whole).await.unwrap_or(Err(HttpFailure::TimedOut))
        })
    }
}

impl Oauth {
    /// A document at `address`, which has been judged.
    pub(super) async fn document(&self, address: &str) -> Result<Reply, Problem> {
        let mut request = prepared(Method::GET, address, Bytes::new())?;
        request.headers_mut().insert(ACCEPT, JSON);
        self.send(address, request, DOCUMENT_MAX_BYTES).await
    }

    /// What a remote replies to somebody it does not know.
    pub(super) async fn knock(&self, address: &str) -> Result<Reply, Problem> {
        const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"satellite","version":"1"}}}"#;
        let mut request = prepared(Method::POST, address, Bytes::from_static(HELLO.as_bytes()))?;
        let both = HeaderValue::from_static("application/json, text/event-stream");
        request.headers_mut().insert(ACCEPT, both);
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        self.send(address, request, 0).await
    }

    /// Registers a client.
    pub(super) async fn register(&self, address: &str, body: Vec<u8>) -> Result<Reply, Problem> {
        let mut request = prepared(Method::POST, address, Bytes::from(body))?;
        request.headers_mut().insert(ACCEPT, JSON);
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        self.send(address, request, DOCUMENT_MAX_BYTES).await
    }

    /// Asks for a token.
    pub(super) async fn exchange(
        &self,
        address: &str,
        asked: &token::Request,
    ) -> Result<Reply, Problem> {
        let body = Bytes::from(asked.form.expose().to_owned());
        let mut request = prepared(Method::POST, address, body)?;
        request.headers_mut().insert(ACCEPT, JSON);
        request.headers_mut().insert(CONTENT_TYPE, FORM);
        if let Some(value) = &asked.authorisation {
            request.headers_mut().insert(AUTHORIZATION, sensitive(value)?);
        }
        self.send(address, request, DOCUMENT_MAX_BYTES).await
    }

    async fn send(
        &self,
        address: &str,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Reply, Problem> {
        // Stored addresses are judged again: the operator's list may have become shorter.
        let target = self.rules.admit(address).map_err(|refusal| {
            Problem::Unacceptable(format!("an address may not be reached: {refusal}"))
        })?;
        self.outbound.fetch(request, limit).await.map_err(|failure| {
            let text = format!("{} cannot be reached: {failure}", target.origin());
            if failure.is_retryable() {
                Problem::Temporary(text)
            } else {
                Problem::Unacceptable(text)
            }
        })
    }
}

fn prepared(method: Method, address: &str, body: Bytes) -> Result<Request<Bytes>, Problem> {
    Request::builder().method(method).uri(address).body(body).map_err(|error| {
        Problem::Unacceptable(format!("an address is not one of a web server: {error}"))
    })
}

fn sensitive(value: &Secret) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::try_from(value.expose())
        .map_err(|_| Problem::Unacceptable("the client's secret fits no header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
