//! The decoder of `mcp.json`.

use satellite_core::mcp_json::{decode, slug};

/// Decodes any bytes; what it accepts keeps what the decoder promises.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    match decode(data) {
        Ok(servers) => {
            for (at, server) in servers.iter().enumerate() {
                assert!(server.slug.starts_with(&slug(&server.name)));
                assert!(!servers[..at].iter().any(|it| it.slug == server.slug));
                assert!(!servers[..at].iter().any(|it| it.name == server.name));
            }
        }
        Err(error) => {
            let text = String::from_utf8_lossy(data);
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&error.line), "{error:?}");
            assert!(!error.problem.is_empty() && !error.hint.is_empty(), "{error:?}");
        }
    }
}
