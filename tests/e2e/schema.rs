//! The OpenAPI document, taken at its word: by schemathesis, which asks what it allows and what it
//! does not, and by the page that shows it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Dev, node, state, tools};
use crate::mcp::http;

/// What is checked of every answer. Not among it: that whatever the document does not allow is
/// refused, for readers pass over what they do not know, and take `null` for what is missing.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance";

/// Far more than the run takes.
const BOUND: Duration = Duration::from_secs(300);

async fn asked(dev: &Dev, method: reqwest::Method, path: &str, token: &str, body: &Value) -> Value {
    let url = format!("{}{path}", dev.running.text("/backend_url"));
    let request = http().request(method, url).bearer_auth(token).body(body.to_string());
    let response = request.send().await.expect("the Backend answers");
    let (status, text) = (response.status(), response.text().await.expect("an answer"));
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Runs schemathesis over the operations of some paths, as who holds `token`. The ids are those of
/// things that are there; what deletes is given others.
async fn schemathesis(dev: &Dev, name: &str, paths: &str, token: &str, ids: &[(&str, &str)]) {
    let ids: Vec<String> =
        ids.iter().map(|(name, id)| format!("\"path.{name}\" = \"{id}\"")).collect();
    let settings = format!(
        "[[operations]]\nexclude-method = \"DELETE\"\nparameters = {{ {} }}\n",
        ids.join(", ")
    );
    let settings = dev.scratch.write(&format!("{name}.toml"), &settings);
    let document = format!("{}/api/openapi.json", dev.running.text("/backend_url"));
    let mut run = tokio::process::Command::new(tools().join("python/bin/schemathesis"));
    run.current_dir(&dev.scratch.0).kill_on_drop(true);
    run.arg("--config-file").arg(settings).args(["run", &document]);
    run.args(["--header", &format!("Authorization: Bearer {token}")]);
    run.args(["--include-path-regex", paths, "--checks", CHECKS, "--continue-on-failure"]);
    run.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--no-shrink"]);
    run.args(["--seed", "1", "--warnings", "off", "--request-timeout", "60"]);
    let began = Instant::now();
    let output = timeout(BOUND, run.output()).await.expect("it ends").expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaint}");
    let line = |about: &str| {
        let line = said.lines().find(|line| line.contains(about));
        line.unwrap_or_else(|| panic!("no {about:?} in {said}")).trim().to_owned()
    };
    let (tested, cases) = (line("Tested:"), line("generated"));
    assert!(!tested.ends_with(" 0"), "{said}");
    let took = began.elapsed().as_secs();
    state(&format!("schemathesis, {name}: operations {tested}; cases {cases}; {took} s"));
}

#[tokio::test]
async fn schemathesis_finds_no_fault_with_any_route() {
    let mut dev = Dev::start("schema", None).await;
    let admin = dev.running.text("/admin_token").to_owned();
    let team = dev.running.text("/team_id").to_owned();
    let installation = dev.running.text("/instances/0/installation_id").to_owned();
    // A satellite of its own, that offers no held polls.
    let path = "/api/satellites/global/registration-tokens";
    let token = asked(&dev, reqwest::Method::POST, path, &admin, &json!({})).await;
    let token = token["data"]["token"]["token"].as_str().expect("a token").to_owned();
    let body = json!({"name": "schema-satellite-01", "capabilities": ["stdio"]});
    let paired =
        asked(&dev, reqwest::Method::POST, "/api/satellites/register", &token, &body).await;
    let satellite = paired["satellite"]["id"].as_str().expect("an id").to_owned();
    let key = paired["satellite"]["api_key"].as_str().expect("a key").to_owned();

    let ids = [("satellite", satellite.as_str()), ("installation", &installation), ("team", &team)];
    let paths = r"^/api/(health|oauth2|openapi|docs|satellites/register|satellites/(global/)?\{satellite\}|teams/\{team\}/satellites/\{satellite\})|^/connect";
    schemathesis(&dev, "what satellites and others call", paths, &key, &ids).await;
    let ids = [&ids[..], &[("user", dev.running.text("/user_id"))]].concat();
    let paths = r"^/api/(teams|users|servers|jobs|events|satellites/(manage|global/registration|registration))(?!/\{team\}/satellites/\{satellite\})";
    schemathesis(&dev, "administration", paths, &admin, &ids).await;
    assert_eq!(dev.running.stop().await, Some(0));
}

#[tokio::test]
async fn the_page_of_the_api_shows_every_operation_and_tries_one() {
    let mut dev = Dev::start("docs", None).await;
    let document = http().get(format!("{}/api/openapi.json", dev.running.text("/backend_url")));
    let document = document.send().await.expect("a document").text().await.expect("text");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").values();
    let operations: usize = paths.filter_map(Value::as_object).map(serde_json::Map::len).sum();
    let screenshot = std::env::var_os("SATELLITE_SCREENSHOTS")
        .map_or_else(|| dev.scratch.0.clone(), std::path::PathBuf::from);
    let output = node("docs.mjs", include_str!("docs.mjs"))
        .arg(format!("{}/api/docs", dev.running.text("/backend_url")))
        .arg(dev.running.text("/admin_token"))
        .arg(Path::new(&screenshot).join("docs.png"))
        .output()
        .await
        .expect("the browser runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(seen["operations"], operations, "{seen:#}");
    assert_eq!((&seen["complaints"], &seen["others"]), (&json!([]), &json!([])), "{seen:#}");
    assert_eq!(seen["found"].as_array().map(Vec::len), Some(1), "{seen:#}");
    let made = seen["made"].as_str().unwrap_or_default();
    assert!(made.contains("<b>From the page</b>") && made.contains("from-the-page"), "{made}");
    assert_eq!(seen["kept"], json!([0, 0, ""]), "{seen:#}");
    assert_eq!(seen["tokenAfterwards"], "", "{seen:#}");
    assert_eq!(dev.running.stop().await, Some(0));
}
