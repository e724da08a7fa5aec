//! The Backend: what satellites are paired with, poll, and report to.
//!
//! Rules are in `satellite_core::backend`; this module serves them over HTTP, keeps their data and
//! runs what is due without a request.

mod answer;
mod authority;
mod jobs;
mod oauth;
mod open;
mod routes;
mod serve;
pub mod store;
#[cfg(test)]
mod tests;
mod waiting;

pub use crate::entropy::{Entropy, Kernel};
pub use jobs::run_jobs;
pub use oauth::{Fetch, OauthSettings, Reply};
pub use open::{Backend, BackendSettings, Opened};
pub use routes::router;
pub use serve::serve;
