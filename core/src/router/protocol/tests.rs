use alloc::sync::Arc;

use serde_json::Value;

use super::*;
use crate::router::catalogue::tests::instance;

fn params(text: &str) -> Box<RawValue> {
    RawValue::from_string(String::from(text)).unwrap()
}

#[test]
fn a_known_revision_is_agreed_on_and_any_other_becomes_the_newest() {
    for revision in Revision::ALL {
        let text = params(&alloc::format!(r#"{{"protocolVersion":"{}"}}"#, revision.as_str()));
        assert_eq!(requested_revision(Some(&text)), Ok(revision));
    }
    let text = params(r#"{"protocolVersion":"2099-01-01"}"#);
    assert_eq!(requested_revision(Some(&text)), Ok(Revision::LATEST));
    assert!(requested_revision(Some(&params("{}"))).is_err());
    assert!(requested_revision(None).is_err());
}

#[test]
fn a_server_introduces_itself_in_its_own_words_with_what_is_carried() {
    let mut server = instance("t", "i", "u", "files", &[]);
    Arc::get_mut(&mut server.inventory).unwrap().initialize = Some(params(
        r#"{"protocolVersion":"2024-11-05","serverInfo":{"name":"n","version":"1.0","icons":[]},
            "instructions":"do","capabilities":{"tools":{"listChanged":true},"tasks":{},
            "resources":{"subscribe":true,"listChanged":true},"prompts":{},"logging":{},
            "experimental":{"x":1}}}"#,
    ));
    let result = instance_initialize(&server, Revision::V2025_06_18);
    let result: Value = serde_json::from_str(result.get()).unwrap();
    let expected: Value = serde_json::from_str(
        r#"{"protocolVersion":"2025-06-18","serverInfo":{"name":"n","version":"1.0","icons":[]},
            "instructions":"do","capabilities":{"tools":{"listChanged":true},
            "resources":{"listChanged":true},"prompts":{},"logging":{}}}"#,
    )
    .unwrap();
    assert_eq!(result, expected);
}

#[test]
fn a_server_not_yet_known_is_introduced_by_its_name() {
    let server = instance("t", "i", "u", "files", &[]);
    let result: Value =
        serde_json::from_str(instance_initialize(&server, Revision::LATEST).get()).unwrap();
    assert_eq!(result["serverInfo"]["name"], "files");
    assert!(result["capabilities"]["tools"].is_object());
}

#[test]
fn the_router_of_all_introduces_itself() {
    let result: Value = serde_json::from_str(router_initialize(Revision::LATEST).get()).unwrap();
    assert_eq!(result["serverInfo"]["name"], "deploystack-satellite");
    assert_eq!(result["protocolVersion"], "2025-11-25");
}

#[test]
fn lists_leave_out_what_is_switched_off_and_errors_are_readable_results() {
    let mut server = instance("t", "i", "u", "files", &["a", "b"]);
    server.disabled_tools = Arc::new([String::from("a")].into());
    let list: Value = serde_json::from_str(instance_tools(&server).get()).unwrap();
    assert_eq!(list["tools"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["tools"][0]["name"], "b");
    let error: Value = serde_json::from_str(tool_error("a \"b\"\n").get()).unwrap();
    assert_eq!(error["isError"], true);
    assert_eq!(error["content"][0]["text"], "a \"b\"\n");
}
