//! The model of the Backend behind real HTTP.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method as HttpMethod, Response, StatusCode, Uri, header};
use satellite_core::http::{HttpAnswer, HttpRequest, Method};
use satellite_core::secret::Secret;
use satellite_core::time::SECOND;
use turmoil::net::{TcpListener, TcpStream};

use super::{PORT, World, now, shown};
use crate::stage::backend::Reply;
use crate::stage::describe;

/// Serves until the host crashes.
pub(super) async fn serve(world: World) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let router = Router::new().fallback(handle).with_state(world);
    axum::serve(Listener(listener), router).await?;
    Ok(())
}

/// turmoil's listener, as axum wants one.
struct Listener(TcpListener);

impl axum::serve::Listener for Listener {
    type Io = TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok(accepted) = self.0.accept().await {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

async fn handle(
    State(world): State<World>,
    method: HttpMethod,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<axum::body::Body> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let known =
        text(header::IF_NONE_MATCH).map(|value| (String::from("if-none-match"), value.to_string()));
    let request = HttpRequest {
        method: if method == HttpMethod::POST { Method::Post } else { Method::Get },
        path: uri.to_string(),
        bearer: bearer.map(Secret::new),
        headers: known.into_iter().collect(),
        body: Some(body.to_vec()).filter(|body| !body.is_empty()),
        timeout_ms: 10 * SECOND,
    };
    let reply = world.lock().backend.receive(now(), &request);
    let answer = match reply {
        Reply::Now(answer) => answer,
        // Long polls are granted in tier 1 only; a hold would end at once here.
        Reply::Held(_) => HttpAnswer { status: 204, ..HttpAnswer::default() },
    };
    world.note("backend", &format!("{} -> {}", describe::request(&request), shown(&answer)));
    respond(answer)
}

fn respond(answer: HttpAnswer) -> Response<axum::body::Body> {
    let mut response = Response::new(axum::body::Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    let headers = response.headers_mut();
    // hyper would put the machine's own time there.
    headers.insert(header::DATE, HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT"));
    if let Some(etag) = answer.etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
        headers.insert(header::ETAG, etag);
    }
    response
}
