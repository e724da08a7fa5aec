//! Serving a Backend.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::jobs::run_jobs;
use super::open::Backend;
use super::routes::router;

/// Serves the Backend on `listener` until `stop` completes; requests in flight are answered.
///
/// # Errors
///
/// The listener fails for good.
pub async fn serve(
    listener: TcpListener,
    backend: Arc<Backend>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let jobs = tokio::spawn(run_jobs(Arc::clone(&backend)));
    let held = Arc::clone(&backend);
    let stop = async move {
        stop.await;
        held.waiting.release_all();
    };
    let served = axum::serve(listener, router(backend)).with_graceful_shutdown(stop).await;
    jobs.abort();
    served
}
