//! The OpenAPI 3.1 document, made of the operations that are served and of the types of the wire.

mod schemas;
#[cfg(test)]
mod tests;
mod viewer;

use std::sync::{Arc, OnceLock};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use satellite_core::backend::roles::Permission;
use satellite_core::limits::NAME_CHARS_MAX;
use satellite_core::wire::error::{ErrorBody, Problem};
use serde_json::{Map, Value, json};

use self::schemas::Schemas;
use super::operation::{Access, Content, Operation, Shows, about};
use crate::backend::open::Backend;

/// What the document says of the whole.
const DESCRIPTION: &str = "The Backend of Satellite. Routes of administration answer errors with \
    `application/problem+json` (RFC 9457), whose members `success` and `error` say the same to \
    older clients; satellites are answered with those members alone. Readers are tolerant on both \
    sides: members that are not known are ignored.";

/// What administration may always answer beside what was asked for.
const ADMINISTRATION: [(StatusCode, &str); 6] = [
    (
        StatusCode::BAD_REQUEST,
        "Path, query or body is not as it must be; `detail` names the place.",
    ),
    (StatusCode::UNAUTHORIZED, "The token is missing, unknown, or has ended."),
    (StatusCode::FORBIDDEN, "The holder of the token may not do this."),
    (StatusCode::NOT_FOUND, "There is no such thing, or not for this token."),
    (StatusCode::INTERNAL_SERVER_ERROR, "The database failed; the log says why."),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "The database is away; `Retry-After` says when to try again.",
    ),
];
const SATELLITES: [(StatusCode, &str); 5] = [
    (StatusCode::BAD_REQUEST, "The request is not as it must be. Sending it again is useless."),
    (StatusCode::UNAUTHORIZED, "The key is missing, unknown, revoked, or of a deleted satellite."),
    (StatusCode::FORBIDDEN, "The satellite may not do this."),
    (StatusCode::INTERNAL_SERVER_ERROR, "The database failed; the log says why."),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "The database is away; `Retry-After` says when to try again.",
    ),
];
const TOO_LARGE: (StatusCode, &str) = (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.");
const NO_SUCH: (StatusCode, &str) = (StatusCode::NOT_FOUND, "There is no such thing.");

pub(super) fn operations() -> Vec<Operation<Arc<Backend>>> {
    let document = Operation::get(
        "/api/openapi.json",
        Access::Open,
        "This document",
        Shows::document(),
        serve_document,
    );
    about("This API", [vec![document], viewer::operations()].concat())
}

/// It says nothing that is not in the program, and is made once.
async fn serve_document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let text = DOCUMENT.get_or_init(|| Bytes::from(document(&super::operations()).to_string()));
    ([(header::CONTENT_TYPE, "application/json")], text.clone()).into_response()
}

/// The document of `operations`.
fn document(operations: &[Operation]) -> Value {
    let mut schemas = Schemas::default();
    let problem = schemas.reply(|generator| generator.subschema_for::<Problem>());
    let error = schemas.reply(|generator| generator.subschema_for::<ErrorBody>());
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<&str> = Vec::new();
    for operation in operations {
        if !tags.contains(&operation.tag) {
            tags.push(operation.tag);
        }
        let method = operation.method.as_str().to_ascii_lowercase();
        let told = tell(operation, &mut schemas, &problem, &error);
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        path[method] = told;
    }
    let tags: Vec<Value> = tags.into_iter().map(|name| json!({"name": name})).collect();
    let bearer =
        |description: &str| json!({"type": "http", "scheme": "bearer", "description": description});
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Satellite Backend",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "administration": bearer(
                    "The administration token, or an access token with the scope `satellite:manage`.",
                ),
                "satellite": bearer("The key that a satellite was given when it was paired."),
                "registration": bearer("A registration token, good once."),
            },
        },
    });
    document["components"]["schemas"] = schemas.finish(&mut document["paths"]);
    document
}

fn tell(operation: &Operation, schemas: &mut Schemas, problem: &Value, error: &Value) -> Value {
    let is_administration = matches!(operation.access, Access::Administration(_));
    let mut replies = Map::new();
    replies.insert(operation.shows.status.as_str().to_owned(), shown(operation, schemas));
    let refused = |(status, when): &(StatusCode, &str)| {
        let (kind, schema) = match (is_administration, operation.shows.content) {
            (true, _) => ("application/problem+json", problem),
            (false, Content::Text(kind)) => (kind, &json!({"type": "string"})),
            (false, _) => ("application/json", error),
        };
        let mut example = json!({"success": false, "error": "what went wrong"});
        if is_administration {
            let title = status.canonical_reason().unwrap_or_default();
            example = json!({"type": "about:blank", "title": title, "status": status.as_u16(),
                "detail": "what went wrong", "success": false, "error": "what went wrong"});
        }
        let mut content = json!({"schema": schema});
        if schema["$ref"].is_string() {
            content["example"] = example;
        }
        let mut reply = json!({"description": when, "content": {kind: content}});
        if *status == StatusCode::NOT_MODIFIED {
            reply = json!({"description": when});
        }
        if kind == "text/html" && status.is_server_error() {
            // What is wrong before there is a page to say it on.
            reply["content"]["application/json"] = json!({"schema": error});
        }
        (status.as_str().to_owned(), reply)
    };
    let common: &[(StatusCode, &str)] = match operation.access {
        Access::Administration(_) => &ADMINISTRATION,
        Access::Satellite | Access::SatelliteOrAdministrator | Access::Registration => &SATELLITES,
        Access::Open => &[],
    };
    let large = operation.body.is_some().then_some(TOO_LARGE);
    let names_something = !is_administration && operation.path.contains('{');
    let missing = names_something.then_some(NO_SUCH);
    for answer in common.iter().chain(&large).chain(&missing).chain(&operation.others) {
        replies.extend([refused(answer)]);
    }
    let mut told = json!({
        "operationId": name(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": description(operation.access),
        "security": security(operation.access),
        "responses": replies,
    });
    let parameters = parameters(operation, schemas);
    if !parameters.is_empty() {
        told["parameters"] = Value::Array(parameters);
    }
    if let Some((schema, required)) = operation.body {
        let schema = schemas.request(schema);
        told["requestBody"] =
            json!({"required": required, "content": {"application/json": {"schema": schema}}});
    }
    told
}

fn shown(operation: &Operation, schemas: &mut Schemas) -> Value {
    let json = |schema: Value| json!({"application/json": {"schema": schema}});
    let content = match operation.shows.content {
        Content::Data(schema) => {
            let data = schemas.reply(schema);
            json(json!({
                "type": "object",
                "required": ["success", "data"],
                "properties": {
                    "success": {"const": true},
                    "data": data,
                    "message": {"type": "string", "description": "For people."},
                },
            }))
        }
        Content::Json(schema) => json(schemas.reply(schema)),
        Content::Document => json(json!({"type": "object"})),
        Content::Text(kind) => json!({kind: {"schema": {"type": "string"}}}),
    };
    json!({"description": "Done.", "content": content})
}

/// Parameters of the path and the query.
fn parameters(operation: &Operation, schemas: &mut Schemas) -> Vec<Value> {
    let names = operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let schema = json!({"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX});
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect();
    let Some(query) = operation.query else { return parameters };
    let schema = schemas.inline(query);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let mut schema = schema.clone();
        let told = schema.as_object_mut().and_then(|it| it.remove("description"));
        // What is not in a query is missing; nothing can be `null` there.
        if let Some(kinds) = schema["type"].as_array() {
            schema["type"] =
                kinds.iter().find(|kind| **kind != "null").cloned().unwrap_or_default();
        }
        parameters.push(json!({
            "name": name,
            "in": "query",
            "required": required.iter().any(|one| one.as_str() == Some(name)),
            "description": told.unwrap_or_default(),
            "schema": schema,
        }));
    }
    parameters
}

/// `GET /api/teams/{team}` is `get_teams_team`.
fn name(operation: &Operation) -> String {
    let path = operation.path.trim_start_matches("/api/");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    format!("{}_{}", operation.method.as_str().to_ascii_lowercase(), words.join("_"))
}

fn description(access: Access) -> &'static str {
    match access {
        Access::Open => "Open to everybody.",
        Access::Registration => "Wants a registration token.",
        Access::Satellite => "Wants the key of the satellite that the path names, if it names one.",
        Access::SatelliteOrAdministrator => {
            "Wants the key of the satellite that the path names, or the administration token."
        }
        Access::Administration(Permission::Administer) => {
            "Permission `administer`: the administrator alone."
        }
        Access::Administration(Permission::ManageTeam) => {
            "Permission `manage_team`: the team's administrators, and the administrator."
        }
        Access::Administration(Permission::SeeTeam) => {
            "Permission `see_team`: the team's members, and the administrator."
        }
        Access::Administration(Permission::ActForUser) => {
            "Permission `act_for_user`: the user as a member of the team, the team's \
             administrators, and the administrator."
        }
        Access::Administration(Permission::OwnUser) => {
            "Permission `own_user`: the user, and the administrator."
        }
    }
}

fn security(access: Access) -> Value {
    match access {
        Access::Open => json!([]),
        Access::Registration => json!([{"registration": []}]),
        Access::Satellite => json!([{"satellite": []}]),
        Access::SatelliteOrAdministrator => json!([{"satellite": []}, {"administration": []}]),
        Access::Administration(_) => json!([{"administration": []}]),
    }
}
