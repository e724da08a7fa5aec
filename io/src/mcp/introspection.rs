//! The surface's own way to the Backend.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::limits::BACKEND_BODY_MAX_BYTES;

use crate::http_client::{HttpClient, exchange};

/// How an exchange with the Backend ends.
pub type Exchanged<'a> = Pin<Box<dyn Future<Output = Result<HttpAnswer, HttpFailure>> + Send + 'a>>;

/// Carries requests to the Backend. Behind a box: it is on no call's way but a token's first.
pub trait BackendExchange: fmt::Debug + Send + Sync + 'static {
    /// Sends `request` and reads the answer whole.
    fn exchange(&self, request: HttpRequest) -> Exchanged<'_>;
}

/// [`BackendExchange`] over an [`HttpClient`].
#[derive(Clone)]
pub struct BackendClient<C> {
    client: C,
    base: String,
}

impl<C> BackendClient<C> {
    /// A way to the Backend at `base`, without a trailing slash.
    pub fn new(client: C, base: impl Into<String>) -> Self {
        BackendClient { client, base: base.into() }
    }
}

impl<C> fmt::Debug for BackendClient<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendClient").field("base", &self.base).finish_non_exhaustive()
    }
}

impl<C: HttpClient> BackendExchange for BackendClient<C> {
    fn exchange(&self, request: HttpRequest) -> Exchanged<'_> {
        Box::pin(exchange(&self.client, &self.base, request, BACKEND_BODY_MAX_BYTES))
    }
}
