//! The readers of what remotes and authorisation servers say about letting a user in.

use satellite_core::backend::oauth::authorisation::{self, Answer};
use satellite_core::backend::oauth::{challenge, client, issuer, resource, token};
use satellite_core::egress::{Rules, Target};
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;

const ISSUER: &str = "https://as.example";

/// Reads everything as each document, reply, header and answer.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let rules = Rules::default();
    let Ok(server) = Target::parse("https://h.example/a/mcp") else { return };
    if let Ok(resource) = resource::read(data, &server, &rules) {
        assert!(!resource.issuers.is_empty());
        for issuer in &resource.issuers {
            assert!(issuer.starts_with("https://") || issuer.starts_with("HTTPS://"), "{issuer}");
        }
    }
    if let Ok(issuer) = issuer::read(data, ISSUER, &rules) {
        let secret = Secret::new("s");
        let request = authorisation::Request {
            client: "c",
            redirect: "https://b.example/back",
            state: &secret,
            verifier: &secret,
            resource: "https://h.example/a",
            scopes: &[],
        };
        if let Ok(address) = authorisation::address(&issuer, &request) {
            assert!(address.starts_with("https://"), "{address}");
            assert!(rules.admit(&address).is_ok() || address.len() > 8 * 1024, "{address}");
        }
        for endpoint in [Some(&issuer.token_endpoint), issuer.registration_endpoint.as_ref()] {
            assert!(endpoint.is_none_or(|it| rules.admit(it).is_ok()), "{endpoint:?}");
        }
    }
    for status in [200, 400, 503] {
        if let Ok(granted) = token::granted(status, data, Timestamp(0)) {
            assert!(granted.access_token.expose().bytes().all(|it| it.is_ascii_graphic()));
        }
        if let Ok(client) = client::registered(status, data) {
            let secret = Secret::new("r");
            let _ = token::request(&client, ISSUER, token::Grant::Refresh(&secret));
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for scope in challenge::read([text]).scopes {
        assert!(!scope.contains([' ', '"']), "{scope}");
    }
    if let Ok(code) = Answer::read(text).and_then(|answer| answer.code(ISSUER, false)) {
        assert!(code.expose().bytes().all(|it| it.is_ascii_graphic()));
    }
}
