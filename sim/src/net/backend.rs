//! The Backend as it ships, on SQLite in memory, behind simulated sockets.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use satellite_core::random::Random;
use satellite_core::secret::Secret;
use satellite_core::wire::path;
use satellite_io::backend::store::Inline;
use satellite_io::backend::{Backend, BackendSettings, Entropy, router, run_jobs};
use satellite_io::clock::Clock;
use tower_service::Service;
use turmoil::net::TcpListener;

use super::http::Listener;
use super::{ADMIN_TOKEN, BACKEND_PORT, BACKEND_URL, World, now};

/// More than any body here.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// Random bytes that follow from the seed.
struct Seeded(Mutex<Random>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.fill_with(|| random.next().to_le_bytes()[0]);
    }
}

/// Serves until the host crashes.
pub(super) async fn serve(seed: u64, world: World) -> turmoil::Result {
    let settings = BackendSettings {
        database_url: String::from("sqlite::memory:"),
        jwt_secret: None,
        admin_token: Some(Secret::new(ADMIN_TOKEN)),
        public_url: String::from(BACKEND_URL),
    };
    let clock = Clock::starting_at(now());
    let entropy = Arc::new(Seeded(Mutex::new(Random::new(seed).fork("backend"))));
    let opened = Backend::open(settings, Arc::new(Inline), clock, entropy).await?;
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
    let is_registration = head.uri.path() == path::REGISTER;
    let asked = format!("{} {} {}", head.method, head.uri, shown(&body));
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
    watched.world.note("backend", &format!("{} {}", head.status.as_u16(), shown(&body)));
    Response::from_parts(head, Body::from(body))
}

fn shown(body: &Bytes) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(body)
}
