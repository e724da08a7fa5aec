//! The Backend as it ships, on SQLite in memory, behind simulated sockets. The memory outlives its
//! host: what a crashed Backend had committed is there when it starts again.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use satellite_core::secret::Secret;
use satellite_core::wire::path;
use satellite_io::backend::store::Inline;
use satellite_io::backend::{Backend, BackendSettings, router, run_jobs};
use satellite_io::clock::Clock;
use tokio::time::sleep;
use tower_service::Service;
use turmoil::net::TcpListener;

use super::entropy::Seeded;
use super::http::Listener;
use super::storm::{Trouble, refusal};
use super::{ADMIN_TOKEN, BACKEND_PORT, BACKEND_URL, World, now};

/// More than any body here.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// Serves until the host crashes.
pub(super) async fn serve(seed: u64, world: World) -> turmoil::Result {
    let (boot, database) = {
        let mut inner = world.lock();
        inner.backend_boots += 1;
        (inner.backend_boots, inner.database.clone())
    };
    world.note("backend", &format!("started, the {boot}. time"));
    let settings = BackendSettings {
        database_url: format!("sqlite:file:{database}?mode=memory&cache=shared"),
        jwt_secret: None,
        admin_token: Some(Secret::new(ADMIN_TOKEN)),
        public_url: String::from(BACKEND_URL),
        oauth: None,
    };
    let clock = Clock::starting_at(now());
    let entropy = Arc::new(Seeded::new(seed ^ (boot - 1), "backend"));
    let opened = Backend::open(settings, Arc::new(Inline), clock, entropy).await?;
    world.lock().backend = Some(Arc::clone(&opened.backend));
    tokio::spawn(run_jobs(Arc::clone(&opened.backend)));
    let listener = TcpListener::bind(("0.0.0.0", BACKEND_PORT)).await?;
    let watched = Watched { world, router: router(opened.backend) };
    let router = Router::new().fallback(watch).with_state(watched);
    axum::serve(Listener(listener), router).await?;
    Ok(())
}

/// The Backend's routes, and where to note what passes.
#[derive(Clone)]
struct Watched {
    world: World,
    router: Router,
}

/// Passes a request on, and notes it with its answer.
async fn watch(State(mut watched): State<Watched>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return refused;
    };
    let asked = format!("{} {} {}", head.method, head.uri, shown(&body));
    // Those who watch are not to be troubled.
    let is_watched = head
        .headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| !value.as_bytes().ends_with(ADMIN_TOKEN.as_bytes()));
    let trouble = watched.world.lock().trouble.filter(|_| is_watched);
    if let Some(Trouble::Slow(milliseconds)) = trouble {
        sleep(Duration::from_millis(milliseconds)).await;
    }
    if let Some(refused) = trouble.and_then(Trouble::refusal) {
        watched.world.note("backend", &format!("{} instead: {asked}", refused.status().as_u16()));
        return refused;
    }
    let is_registration = head.uri.path() == path::REGISTER;
    watched.world.note("backend", &asked);
    let answered = watched.router.call(Request::from_parts(head, Body::from(body))).await;
    let (mut head, body) = match answered {
        Ok(answer) => answer.into_parts(),
        Err(never) => match never {},
    };
    if is_registration && head.status.is_success() {
        watched.world.lock().registrations += 1;
    }
    // hyper would put the machine's own time there.
    let date = HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
    head.headers.insert(header::DATE, date);
    let body = to_bytes(body, BODY_MAX).await.unwrap_or_default();
    if trouble == Some(Trouble::Swallowed) {
        watched.world.note("backend", &format!("{} swallowed", head.status.as_u16()));
        return refusal(502, None, "<html>bad gateway</html>");
    }
    watched.world.note("backend", &format!("{} {}", head.status.as_u16(), shown(&body)));
    Response::from_parts(head, Body::from(body))
}

fn shown(body: &Bytes) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(body)
}
