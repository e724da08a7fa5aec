//! Who may speak to this listener at all: the `Host` and `Origin` of a request (DNS rebinding).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::{HOST, ORIGIN};

use super::{Surface, SurfaceOptions, reply};

/// The host names that requests may carry.
#[derive(Debug)]
pub(super) struct Gate {
    allowed: BTreeSet<String>,
}

impl Gate {
    pub(super) fn new(options: &SurfaceOptions) -> Self {
        let mut allowed: BTreeSet<String> =
            options.shown.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        allowed.extend(host_of_url(&options.base_url));
        Gate { allowed }
    }

    /// Why a request with these headers is refused, if it is.
    pub(super) fn refusal(&self, headers: &HeaderMap) -> Option<&'static str> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        if hosts.next().is_some() || !host.is_some_and(|host| self.allows(host_of(host))) {
            return Some(
                "The Host header names a host this satellite does not answer to. Add it to \
                 SATELLITE_ALLOWED_HOSTS, or set DEPLOYSTACK_SATELLITE_URL.",
            );
        }
        let is_foreign = headers.get_all(ORIGIN).iter().any(|origin| {
            let host = origin.to_str().ok().and_then(host_of_url);
            !host.is_some_and(|host| self.allows(&host))
        });
        is_foreign.then_some(
            "The Origin header names a site that may not use this satellite. Add its host to \
             SATELLITE_ALLOWED_HOSTS.",
        )
    }

    fn allows(&self, host: &str) -> bool {
        if matches!(host, "127.0.0.1" | "localhost" | "[::1]") || self.allowed.contains(host) {
            return true;
        }
        let host = host.to_ascii_lowercase();
        host == "localhost" || self.allowed.contains(&host)
    }
}

/// The host in a URL, in lower case.
fn host_of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    if authority.contains('@') {
        return None;
    }
    Some(host_of(authority).to_ascii_lowercase())
}

/// `host:port` without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The check as a layer.
pub(super) async fn check(
    State(surface): State<Arc<Surface>>,
    request: Request,
    next: Next,
) -> Response {
    match surface.gate.refusal(request.headers()) {
        Some(why) => reply::forbidden(why),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refuses(host: Option<&str>, origin: Option<&str>) -> bool {
        let gate = Gate {
            allowed: ["sat.example.com", "192.168.1.5"].map(String::from).into_iter().collect(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, host), (ORIGIN, origin)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        gate.refusal(&headers).is_some()
    }

    #[test]
    fn loopback_names_and_allowed_hosts_pass_with_any_port() {
        for host in [
            "localhost:3001",
            "127.0.0.1",
            "[::1]:9",
            "SAT.example.com",
            "sat.example.com:443",
            "LOCALHOST",
            "192.168.1.5:3001",
        ] {
            assert!(!refuses(Some(host), None), "{host}");
        }
        assert!(!refuses(Some("localhost"), Some("http://localhost:6274")));
        assert!(!refuses(Some("localhost"), Some("https://sat.example.com")));
    }

    #[test]
    fn other_hosts_and_origins_are_refused() {
        for host in [
            None,
            Some(""),
            Some("evil.example"),
            Some("localhost.evil.example"),
            Some("a@localhost"),
        ] {
            assert!(refuses(host, None), "{host:?}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "https://localhost.evil.example",
            "http://evil.example@localhost.evil",
            "http://x@localhost",
            "file://localhost",
            "localhost",
        ] {
            assert!(refuses(Some("localhost"), Some(origin)), "{origin}");
        }
        let mut twice = HeaderMap::new();
        twice.append(HOST, HeaderValue::from_static("localhost"));
        twice.append(HOST, HeaderValue::from_static("evil.example"));
        assert!(Gate { allowed: BTreeSet::new() }.refusal(&twice).is_some());
    }
}
