//! The document says what is served, and nothing else is.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use tower_service::Service;

use super::*;
use crate::backend::store::Inline;
use crate::backend::{Backend, BackendSettings, Kernel, router};
use crate::clock::Clock;

const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

async fn ask(router: &axum::Router, method: &Method, path: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.clone().call(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn served() -> axum::Router {
    let settings = BackendSettings {
        database_url: "model:".to_owned(),
        jwt_secret: None,
        admin_token: Some(Secret::new("the right one")),
        public_url: "http://127.0.0.1:3000".to_owned(),
        oauth: None,
    };
    let clock = Clock::starting_at(Timestamp(0));
    let opened = Backend::open(settings, Arc::new(Inline), clock, Arc::new(Kernel)).await;
    router(opened.unwrap().backend)
}

#[tokio::test]
async fn every_method_of_every_path_is_in_the_document_if_it_is_served_and_only_then() {
    let router = served().await;
    let (status, document) = ask(&router, &Method::GET, "/api/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let mut operations = 0;
    for (path, told) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let is_told = told.get(method.as_str().to_ascii_lowercase()).is_some();
            // Strangers are turned away, and what is wrong is refused: either way it is served.
            let (status, body) = ask(&router, &method, &path.replace(['{', '}'], "")).await;
            let is_served = status != StatusCode::METHOD_NOT_ALLOWED
                && body["error"] != "This route was not found";
            assert_eq!(is_told, is_served, "{method} {path}: {status} {body}");
            operations += usize::from(is_told);
        }
    }
    assert_eq!(operations, super::super::operations().len(), "an operation is there twice");
    assert!(operations > 50, "{operations} operations");
    // The router is made of operations alone.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend");
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("routes/operation.rs") && !path.ends_with("openapi/tests.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let is_one = text.contains(".route(") || text.contains(".route_service(");
                assert!(!is_one, "{}: a route that is no operation", path.display());
            }
        }
    }
}

#[test]
fn what_is_referred_to_is_there_and_what_is_there_is_referred_to() {
    let document = document(&super::super::operations());
    let defined: BTreeSet<String> =
        document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    let mut referred = BTreeSet::new();
    let mut rest = vec![&document];
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(at)) = fields.get("$ref") {
                    let name = at.strip_prefix("#/components/schemas/");
                    referred.insert(name.unwrap_or_else(|| panic!("{at}")).to_owned());
                }
                rest.extend(fields.values());
            }
            Value::Array(items) => rest.extend(items),
            _ => {}
        }
    }
    assert_eq!(referred, defined);
    let mut names = BTreeSet::new();
    for operation in super::super::operations() {
        assert!(names.insert(name(&operation)), "{} is there twice", name(&operation));
        assert!(!operation.tag.is_empty() && !operation.summary.is_empty());
    }
}

#[test]
fn what_is_sent_may_lack_what_is_always_answered() {
    let document = document(&super::super::operations());
    let schemas = &document["components"]["schemas"];
    let required = |name: &str| -> Vec<&str> {
        let list = schemas[name]["required"].as_array();
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    };
    assert_eq!(required("CreateTeam"), ["name"]);
    assert_eq!(schemas["CreateTeam"]["properties"]["name"]["maxLength"], NAME_CHARS_MAX);
    assert!(required("Team").contains(&"members"));
    let post = &document["paths"]["/api/teams"]["post"];
    let asked = &post["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(asked, "#/components/schemas/CreateTeam");
    assert!(post["responses"]["409"]["content"]["application/problem+json"].is_object());
    let status = &document["paths"]["/api/satellites/{satellite}/status"]["get"];
    assert!(status["responses"]["401"]["content"]["application/json"].is_object());
    assert_eq!(status["security"].as_array().map(Vec::len), Some(2));
}
