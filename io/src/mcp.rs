//! The satellite's HTTP surface: what MCP clients, load balancers and people see.
//!
//! Two routers speak Streamable HTTP: `/mcp` with the tools of all of a user's servers behind four
//! meta tools, `/i/{path}/mcp` with one instance's own. What they may see and do is decided in
//! [`satellite_core::router`]; this module carries it.

mod batch;
mod discovery;
mod executor;
mod gate;
mod identities;
mod introspection;
mod listening;
mod metrics;
mod reply;
mod serve;
mod sessions;
mod status;
mod stream;
mod transport;
mod usage;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use satellite_core::control::Event;
use satellite_core::router::Audience;
use satellite_core::view::View;
use tokio::sync::watch;

pub use self::introspection::{BackendClient, BackendExchange, Exchanged};
pub use self::serve::{Bound, bind, serve};
pub use self::users::{Forgotten, Users};
use crate::clock::Clock;
use crate::driver::Inbox;
use crate::relays::Relays;
use crate::settings::SurfaceSettings;

/// What the surface works with.
#[derive(Debug)]
pub struct SurfaceState {
    /// The published state.
    pub view: watch::Receiver<Arc<View>>,
    /// The control machine's inbox: instances that sleep are asked for here.
    pub control: Inbox<Event>,
    /// The relays that run.
    pub relays: Relays,
    /// The way to the Backend, for introspection and its status.
    pub backend: Arc<dyn BackendExchange>,
    /// What it remembers of users.
    pub users: Users,
    /// The time.
    pub clock: Clock,
    /// Its addresses and what it shows.
    pub options: SurfaceOptions,
}

/// The surface's addresses, and what it shows.
#[derive(Clone, Debug)]
pub struct SurfaceOptions {
    /// The satellite's own base URL, without a trailing slash.
    pub base_url: String,
    /// The Backend's base URL, without a trailing slash.
    pub backend_url: String,
    /// The Backend's base URL as clients reach it, without a trailing slash.
    pub backend_public_url: String,
    /// What the operator chose.
    pub shown: SurfaceSettings,
}

/// The surface at work.
#[derive(Debug)]
pub(crate) struct Surface {
    view: watch::Receiver<Arc<View>>,
    control: Inbox<Event>,
    relays: Relays,
    backend: Arc<dyn BackendExchange>,
    clock: Clock,
    options: SurfaceOptions,
    audience: Audience,
    gate: gate::Gate,
    identities: Arc<identities::Identities>,
    sessions: Arc<sessions::SessionTable>,
    usage: Arc<usage::Usage>,
    metadata_uri: String,
    probe: status::Probe,
}

impl Surface {
    /// The published state as it is now.
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }
}

/// The surface's routes.
pub fn router(state: SurfaceState) -> Router {
    let SurfaceState { view, control, relays, backend, users, clock, options } = state;
    let Users { identities, sessions, usage, .. } = users;
    tokio::spawn(sessions::attend(Arc::downgrade(&sessions), view.clone(), clock));
    let surface = Arc::new(Surface {
        audience: Audience::new(&options.base_url),
        gate: gate::Gate::new(&options),
        identities,
        sessions,
        usage,
        metadata_uri: format!("{}{}", options.base_url, discovery::PROTECTED_RESOURCE_PATH),
        probe: status::Probe::new(clock),
        view,
        control,
        relays,
        backend,
        clock,
        options,
    });
    let rest = Router::new()
        .route("/", get(status::overview))
        .route("/live", get(status::live))
        .route("/ready", get(status::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/api/status/backend", get(status::backend))
        .route("/api/status/debug", get(status::debug))
        .route("/.well-known/oauth-protected-resource", get(discovery::protected_resource))
        .route("/.well-known/oauth-protected-resource/mcp", get(discovery::protected_resource))
        .route("/.well-known/oauth-authorization-server", get(discovery::authorization_server))
        .route("/.well-known/openid-configuration", get(discovery::authorization_server))
        .fallback(status::unknown)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&surface), gate::check));
    // The two routers check for themselves: a layer would cost every call a boxed future.
    Router::new()
        .route(
            "/mcp",
            get(transport::listen_all).post(transport::post_all).delete(transport::delete_all),
        )
        .route(
            "/i/{path}/mcp",
            get(transport::listen_one).post(transport::post_one).delete(transport::delete_one),
        )
        .merge(rest)
        .with_state(surface)
}

#[cfg(test)]
mod tests;
