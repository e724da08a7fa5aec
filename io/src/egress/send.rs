//! One request, through its redirects.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderMap,
    HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT,
};
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use satellite_core::egress::{Refusal, Step, Target, Trail, may_leave_its_origin};
use satellite_core::http::HttpFailure;

use super::{EgressBody, EgressClient};
use crate::http_client::{Stage, classify_pooled};

/// Headers that belong to the connection, or that say whom a request is for: who supplied a
/// request does not choose them.
const OURS: [HeaderName; 9] = [
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Sends a request, and sends it on as its redirects say.
pub(super) async fn follow(
    client: &EgressClient,
    request: Request<Bytes>,
) -> Result<Response<EgressBody>, HttpFailure> {
    let (head, body) = request.into_parts();
    let first = client.rules.admit(&head.uri.to_string()).map_err(forbidden)?;
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let mut headers = head.headers;
    for name in OURS {
        headers.remove(name);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("satellite/", env!("CARGO_PKG_VERSION"))));
    let mut trail = Trail::new(first);
    loop {
        if trail.is_off_origin() {
            headers = without_credentials(&headers);
        }
        let request = prepare(client, &trail, &head.method, &headers, body.clone())?;
        let answer = client
            .pool
            .request(request)
            .await
            .map_err(|error| classify_pooled(&error, Stage::Head))?;
        let location = answer.headers().get(LOCATION).map(|value| {
            value.to_str().map_err(|_| {
                forbidden(Refusal::Malformed("holds characters that a URL must encode"))
            })
        });
        let step = trail
            .answered(&client.rules, reads, answer.status().as_u16(), location.transpose()?)
            .map_err(forbidden)?;
        match step {
            // A redirect's body is not read: its connection ends, or is reset.
            Step::Onward => {}
            Step::Arrived => return arrived(client, answer),
        }
    }
}

fn prepare(
    client: &EgressClient,
    trail: &Trail,
    method: &Method,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, HttpFailure> {
    let uri = uri_of(trail.current())?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers.clone();
    // A tunnel carries its credentials itself; a request that the proxy forwards carries them.
    if !trail.current().is_https()
        && let Some(proxy) = client.proxies.of(&uri)
        && let Some(credentials) = proxy.basic_auth()
    {
        request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
    }
    *request.uri_mut() = uri;
    Ok(request)
}

fn arrived(
    client: &EgressClient,
    answer: Response<Incoming>,
) -> Result<Response<EgressBody>, HttpFailure> {
    for encoding in answer.headers().get_all(CONTENT_ENCODING) {
        if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(HttpFailure::Malformed(format!(
                "its body is encoded ({}) although no encoding was asked for",
                encoding.to_str().unwrap_or("unknown")
            )));
        }
    }
    let (head, incoming) = answer.into_parts();
    let body = EgressBody::new(incoming, &head, client.limits)?;
    Ok(Response::from_parts(head, body))
}

fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if may_leave_its_origin(name.as_str()) || name == ACCEPT_ENCODING {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// The URL in its one form, so that nobody reads it otherwise than the rules did.
pub(super) fn uri_of(target: &Target) -> Result<Uri, HttpFailure> {
    target
        .to_string()
        .parse()
        .map_err(|_| forbidden(Refusal::Malformed("holds characters that a URL must encode")))
}

#[expect(clippy::needless_pass_by_value, reason = "a step of map_err")]
pub(super) fn forbidden(refusal: Refusal) -> HttpFailure {
    HttpFailure::Forbidden { what: refusal.to_string() }
}
