use alloc::sync::Arc;

use serde_json::Value;

use super::*;
use crate::router::catalogue::Catalogue;
use crate::router::catalogue::tests::{instance, subject, view};
use crate::router::search::search;
use crate::time::Timestamp;
use crate::view::InstanceStatus;

fn params(text: &str) -> Box<RawValue> {
    RawValue::from_string(String::from(text)).unwrap()
}

#[test]
fn the_four_tools_are_listed_with_object_schemas() {
    let list: Value = serde_json::from_str(TOOLS).unwrap();
    let names: Vec<_> =
        list["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(
        names,
        ["discover_mcp_tools", "execute_mcp_tool", "list_mcp_resources", "read_mcp_resource"]
    );
    for tool in list["tools"].as_array().unwrap() {
        assert_eq!(tool["inputSchema"]["type"], "object");
    }
}

#[test]
fn calls_are_read_with_what_they_need() {
    let text = params(r#"{"name":"discover_mcp_tools","arguments":{"query":"a","limit":3.0}}"#);
    let call = MetaCall::decode(Some(&text)).unwrap();
    assert!(matches!(&call, MetaCall::Discover { query, limit: 3 } if query == "a"));
    assert_eq!(call.scope(), Scope::Read);

    let text = params(
        r#"{"name":"execute_mcp_tool","_meta":{"progressToken":7},
            "arguments":{"tool_path":"s:t","arguments":{"n":1.50}}}"#,
    );
    let call = MetaCall::decode(Some(&text)).unwrap();
    assert_eq!(call.scope(), Scope::Execute);
    let MetaCall::Execute { tool_path, arguments, meta } = call else { panic!() };
    assert_eq!(tool_path, "s:t");
    assert_eq!(
        child_call("t", arguments, meta).get(),
        r#"{"name":"t","arguments":{"n":1.50},"_meta":{"progressToken":7}}"#
    );
    assert_eq!(child_call("t", None, None).get(), r#"{"name":"t","arguments":{}}"#);
}

#[test]
fn wrong_arguments_are_refused_with_what_to_pass_instead() {
    let cases = [
        (r#"{}"#, "name"),
        (r#"{"name":"discover_mcp_tools"}"#, "keywords"),
        (r#"{"name":"discover_mcp_tools","arguments":{"query":1}}"#, "keywords"),
        (r#"{"name":"discover_mcp_tools","arguments":{"query":"a","limit":0}}"#, "limit"),
        (r#"{"name":"discover_mcp_tools","arguments":[]}"#, "arguments"),
        (r#"{"name":"discover_mcp_tools","arguments":{"query":"a","query":"b"}}"#, "duplicate"),
        (r#"{"name":"execute_mcp_tool","arguments":{"arguments":{}}}"#, "server:tool"),
        (
            r#"{"name":"execute_mcp_tool","arguments":{"tool_path":"a:b","arguments":"x"}}"#,
            "object",
        ),
        (r#"{"name":"read_mcp_resource","arguments":{}}"#, "server|uri"),
        (r#"{"name":"files:read","arguments":{}}"#, "execute_mcp_tool"),
    ];
    for (text, hint) in cases {
        let text = params(text);
        let denial = MetaCall::decode(Some(&text)).unwrap_err();
        assert!(denial.text.contains(hint), "{text}: {}", denial.text);
    }
    assert!(MetaCall::decode(None).is_err());
}

#[test]
fn a_discovered_tool_comes_with_its_schema_and_its_meta_under_this_router_s_names() {
    let mut server = instance("t", "i", "u", "files", &["read"]);
    let inventory = Arc::get_mut(&mut server.inventory).unwrap();
    inventory.tools[0].raw = params(
        r#"{"name":"read","inputSchema":{"type":"object","x":1.50},"outputSchema":{},
            "_meta":{"k":1,"ui":{"resourceUri":"ui://a"}}}"#,
    );
    let view = view([server]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
    let result = discovered(&search(&catalogue, "read", 10), "read", 4);
    let result: Value = serde_json::from_str(result.get()).unwrap();
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(r#""inputSchema":{"type":"object","x":1.50}"#), "{text}");
    let found: Value = serde_json::from_str(text).unwrap();
    assert_eq!(found["tools"][0]["tool_path"], "files:read");
    assert_eq!(found["tools"][0]["server_name"], "files");
    assert_eq!(found["tools"][0]["transport"], "stdio");
    assert_eq!(found["tools"][0]["relevance_score"], 1.0);
    assert_eq!(found["tools"][0]["_meta"]["k"], 1);
    assert_eq!(found["tools"][0]["_meta"]["ui"]["resourceUri"], "files|ui://a");
    assert_eq!((&found["total_found"], &found["search_time_ms"]), (&1.into(), &4.into()));
    assert_eq!(found["query"], "read");
    assert!(found.get("notice").is_none());
}

#[test]
fn what_a_server_out_of_reach_offers_is_found_and_marked() {
    let mut server = instance("t", "i", "u", "files", &["read"]);
    server.status = InstanceStatus::Offline;
    let view = view([server]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(1_500));
    let tools = discovered(&search(&catalogue, "read", 10), "read", 0);
    for result in [tools, crate::router::resources::listing(&catalogue)] {
        let result: Value = serde_json::from_str(result.get()).unwrap();
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(r#""_meta":{"satellite/stale":{"ageMs":1500}}"#), "{text}");
    }
    let list = crate::router::resources::list(&catalogue);
    assert!(list.get().contains(r#""satellite/stale":{"ageMs":1500}"#), "{list}");
}

#[test]
fn finding_nothing_says_what_to_try() {
    let view = view([]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
    for query in ["*", "x"] {
        let result = discovered(&search(&catalogue, query, 10), query, 0);
        assert!(result.get().contains("notice"), "{result}");
    }
}
