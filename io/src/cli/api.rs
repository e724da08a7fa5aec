//! The Backend's administration API, as the command line uses it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use satellite_core::http::HttpFailure;
use satellite_core::limits::BACKEND_BODY_MAX_BYTES;
use satellite_core::secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::{Exit, FAULT, UNREACHABLE, fault, usage};
use crate::http_client::{ClientOptions, HttpClient, ReqwestClient, read_whole};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A Backend, and the right to administer it.
#[derive(Clone, Debug)]
pub(super) struct Api {
    client: ReqwestClient,
    base: String,
    token: Secret,
}

impl Api {
    /// `base` has no trailing slash.
    pub(super) fn new(base: String, token: Secret, options: &ClientOptions) -> Result<Self, Exit> {
        let client = ReqwestClient::new(options).map_err(|failure| {
            let hint = "check the settings of proxies and certificates";
            usage(format!("cannot make HTTP requests: {failure}"), hint)
        })?;
        Ok(Api { client, base, token })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Exit> {
        self.call(Method::GET, path, None::<&()>).await
    }

    #[cfg(feature = "backend")]
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Exit> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Sends a request and reads the reply. The reply of a refusal becomes the error.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Exit> {
        let invalid = |what: &str| usage(format!("cannot send the request: {what}"), "");
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", self.token.expose())).map_err(|_| {
                invalid("the administration token holds characters no header may carry")
            })?;
        bearer.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, bearer);
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                let body = serde_json::to_vec(body).map_err(|it| invalid(&it.to_string()))?;
                Bytes::from(body)
            }
            None => Bytes::new(),
        };
        let request = request.body(body).map_err(|it| invalid(&it.to_string()))?;
        let exchange = async {
            let (head, mut body) = self.client.send(request).await?.into_parts();
            Ok::<_, HttpFailure>((
                head.status,
                read_whole(&mut body, BACKEND_BODY_MAX_BYTES).await?,
            ))
        };
        let (status, body) = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or(Err(HttpFailure::TimedOut))
            .map_err(|failure| self.unreachable(&failure))?;
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &body));
        }
        // A reply without a body is no data.
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| {
            fault(
                format!("{}{path} answered with something else than expected: {error}", self.base),
                "check that a Backend of this version is at this address",
            )
        })
    }

    fn unreachable(&self, failure: &HttpFailure) -> Exit {
        Exit {
            code: UNREACHABLE,
            error: format!("cannot reach the Backend at {}: {failure}", self.base),
            hint: String::from("start it with `satellite backend`, or name another with --backend"),
        }
    }

    fn refused(&self, status: u16, body: &[u8]) -> Exit {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let said = match (text("error"), text("message")) {
            (Some(error), Some(message)) => format!("{error}: {message}"),
            (Some(said), None) | (None, Some(said)) => String::from(said),
            (None, None) => String::from("no reason given"),
        };
        let hint = match status {
            401 | 403 => {
                "pass --admin-token or set SATELLITE_ADMIN_TOKEN; the Backend printed it at its first start"
            }
            404 => "list what there is with the command's `list`",
            400 | 422 => "see the command's --help",
            409 => "use another name, or delete the one that has it",
            _ => "the Backend's log says more",
        };
        let error = format!("the Backend answered {status}: {said}");
        Exit { code: FAULT, error, hint: String::from(hint) }
    }
}
