//! Where clients learn how to sign in: RFC 9728 and RFC 8414 documents.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::{Surface, reply};

/// The path of the resource's metadata, with the resource's own path behind it (RFC 9728 §3.1).
pub(super) const PROTECTED_RESOURCE_PATH: &str = "/.well-known/oauth-protected-resource/mcp";

#[derive(Serialize)]
struct ProtectedResource<'a> {
    resource: &'a str,
    authorization_servers: [&'a str; 1],
    scopes_supported: [&'static str; 2],
    bearer_methods_supported: [&'static str; 1],
    resource_documentation: &'a str,
}

#[derive(Serialize)]
struct AuthorizationServer<'a> {
    issuer: &'a str,
    authorization_endpoint: String,
    token_endpoint: String,
    introspection_endpoint: String,
    registration_endpoint: String,
    response_types_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    code_challenge_methods_supported: [&'static str; 1],
    scopes_supported: [&'static str; 3],
}

pub(super) async fn protected_resource(State(surface): State<Arc<Surface>>) -> Response {
    let options = &surface.options;
    let document = ProtectedResource {
        resource: surface.audience.resource(),
        authorization_servers: [&options.backend_public_url],
        scopes_supported: ["mcp:read", "mcp:tools:execute"],
        bearer_methods_supported: ["header"],
        resource_documentation: &options.shown.resource_documentation,
    };
    reply::value(StatusCode::OK, &document)
}

pub(super) async fn authorization_server(State(surface): State<Arc<Surface>>) -> Response {
    let issuer = &surface.options.backend_public_url;
    let endpoint = |name: &str| format!("{issuer}/api/oauth2/{name}");
    let document = AuthorizationServer {
        issuer,
        authorization_endpoint: endpoint("auth"),
        token_endpoint: endpoint("token"),
        introspection_endpoint: endpoint("introspect"),
        registration_endpoint: endpoint("register"),
        response_types_supported: ["code"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        code_challenge_methods_supported: ["S256"],
        scopes_supported: ["mcp:read", "mcp:tools:execute", "offline_access"],
    };
    reply::value(StatusCode::OK, &document)
}
