//! One request, through its redirects.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderMap,
    HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use satellite_core::egress::{Refusal, Step, Target, Trail, may_leave_its_origin};
use satellite_core::http::HttpFailure;

use super::{EgressBody, EgressClient};
use crate::http_client::forbidden;

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
    let mut trail = Trail::new(first);
    loop {
        if trail.is_off_origin() {
            headers = without_credentials(&headers);
        }
        let mut request = Request::new(body.clone());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri_of(trail.current())?;
        *request.headers_mut() = headers.clone();
        let answer = client.client.dispatch(request).await?;
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
fn uri_of(target: &Target) -> Result<Uri, HttpFailure> {
    target
        .to_string()
        .parse()
        .map_err(|_| forbidden(Refusal::Malformed("holds characters that a URL must encode")))
}
