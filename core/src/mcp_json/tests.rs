use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> McpJsonError {
    decode(text.as_bytes()).unwrap_err()
}

fn place(text: &str) -> (usize, usize, String) {
    let error = refused(text);
    (error.line, error.column, error.path)
}

#[test]
fn the_file_people_have_is_read_in_order() {
    let servers = decode(
        br#"{
          "mcpServers": {
            "Zed Files": {"command": "npx", "args": ["-y", "x"], "env": {"KEY": "v"}, "cwd": "/tmp"},
            "docs": {"url": "https://docs.example/mcp", "headers": {"Authorization": "Bearer t"}},
            "old": {"type": "sse", "url": "http://127.0.0.1:9/sse", "disabled": true}
          },
          "inputs": []
        }"#,
    )
    .unwrap();
    let names: Vec<&str> = servers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["Zed Files", "docs", "old"]);
    assert_eq!(servers[0].slug, "zed-files");
    assert_eq!(
        servers[0].target,
        McpTarget::Stdio {
            command: "npx".to_string(),
            args: alloc::vec!["-y".to_string(), "x".to_string()],
            env: alloc::vec![("KEY".to_string(), Secret::new("v"))],
            cwd: Some("/tmp".to_string()),
        }
    );
    assert_eq!(
        servers[1].target,
        McpTarget::Remote {
            url: "https://docs.example/mcp".to_string(),
            headers: alloc::vec![("Authorization".to_string(), Secret::new("Bearer t"))],
            protocol: RemoteProtocol::Http,
            oauth: false,
        }
    );
    assert!(servers[2].disabled);
    assert!(matches!(servers[2].target, McpTarget::Remote { protocol: RemoteProtocol::Sse, .. }));
}

#[test]
fn an_entry_says_whether_users_sign_in_the_way_its_author_is_used_to() {
    let oauth = |more: &str| {
        let text =
            format!(r#"{{"mcpServers": {{"a": {{"url": "https://a.example/mcp"{more}}}}}}}"#);
        decode(text.as_bytes()).map(|servers| match &servers[0].target {
            McpTarget::Remote { oauth, .. } => *oauth,
            McpTarget::Stdio { .. } => panic!("it has a URL"),
        })
    };
    for (more, expected) in [
        ("", false),
        (r#", "oauth": true"#, true),
        (r#", "oauth": {}"#, true),
        (r#", "oauth": {"clientId": "c", "callbackPort": 8080}"#, true),
        (r#", "oauth": {"enabled": true, "scopes": ["read"]}"#, true),
        (r#", "oauth": {"enabled": false}"#, false),
        (r#", "oauth": false"#, false),
        (r#", "auth": {"CLIENT_ID": "c"}"#, true),
        (r#", "auth": "oauth""#, true),
    ] {
        assert_eq!(oauth(more).unwrap(), expected, "{more}");
    }
    assert_eq!(oauth(r#", "auth": 7"#).unwrap_err().path, "mcpServers.a.auth");
    assert_eq!(
        oauth(r#", "oauth": {"enabled": 7}"#).unwrap_err().path,
        "mcpServers.a.oauth.enabled"
    );
}

#[test]
fn the_spelling_of_vs_code_and_a_byte_order_mark_are_read() {
    let text = "\u{feff}{\"servers\": {\"a\": {\"type\": \"stdio\", \"command\": \"node\"}}}";
    assert_eq!(decode(text.as_bytes()).unwrap().len(), 1);
}

#[test]
fn a_wrong_type_is_named_with_its_path_line_and_column() {
    let text = "{\n  \"mcpServers\": {\n    \"files\": {\"command\": \"npx\", \"args\": [\"-y\", 7]}\n  }\n}";
    let error = refused(text);
    assert_eq!(error.path, "mcpServers.files.args[1]");
    assert_eq!((error.line, error.column), (3, 48));
    assert_eq!(error.hint, "put it in quotes: \"7\"");
    assert_eq!(
        error.to_string(),
        "line 3, column 48: mcpServers.files.args[1]: must be a string, but is a number"
    );
}

#[test]
fn columns_count_characters() {
    let text = r#"{"mcpServers": {"größe": {"command": 1}}}"#;
    assert_eq!(place(text), (1, 38, "mcpServers.größe.command".to_string()));
}

#[test]
fn a_name_that_occurs_twice_is_refused_where_it_occurs_again() {
    let text = "{\"mcpServers\": {\n\"a\": {\"command\": \"x\"},\n\"a\": {\"command\": \"y\"}}}";
    let error = refused(text);
    assert_eq!((error.line, error.column), (3, 1));
    assert_eq!(error.problem, "`a` occurs twice");
    // The same name, written with an escape.
    let text = r#"{"mcpServers": {"a": {"command": "x"}, "\u0061": {"command": "y"}}}"#;
    assert_eq!(refused(text).problem, "`a` occurs twice");
}

#[test]
fn comments_and_trailing_commas_are_recognised() {
    let comment = "{\n  // my servers\n  \"mcpServers\": {}\n}";
    let error = refused(comment);
    assert_eq!((error.line, error.column), (2, 3));
    assert!(error.hint.contains("no comments"), "{error:?}");
    let inner = "{\"mcpServers\": /* none */ {}}";
    assert!(refused(inner).hint.contains("no comments"), "{:?}", refused(inner));
    let comma = "{\"mcpServers\": {\"a\": {\"command\": \"x\",\n}}}";
    let error = refused(comma);
    assert_eq!(error.line, 2);
    assert!(error.hint.contains("remove the comma"), "{error:?}");
    let comma = r#"{"mcpServers": {"a": {"command": "x", "args": ["1",]}}}"#;
    assert!(refused(comma).hint.contains("remove the comma"), "{:?}", refused(comma));
    let missing = "{\"mcpServers\": {\"a\": {\"command\": \"x\"\n \"args\": []}}}";
    let error = refused(missing);
    assert_eq!((error.line, error.column), (2, 2));
    assert!(error.hint.contains("missing comma"), "{error:?}");
    assert!(refused("{'mcpServers': {}}").hint.contains("double quotes"));
    assert!(refused("{\"mcpServers\": {").hint.contains("ends before"));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_path() {
    let server = |body: &str| format!("{{\"mcpServers\": {{\"a\": {body}}}}}");
    for (body, path, problem) in [
        (r#"{}"#, "mcpServers.a", "has neither `command` nor `url`"),
        (r#"{"command":"x","url":"https://y"}"#, "mcpServers.a", "has both `command` and `url`"),
        (r#"[]"#, "mcpServers.a", "must be an object, but is an array"),
        (r#"{"command":null}"#, "mcpServers.a.command", "must be a string, but is null"),
        (r#"{"command":" "}"#, "mcpServers.a.command", "names no program"),
        (
            r#"{"command":"npx -y x"}"#,
            "mcpServers.a.command",
            "\"npx -y x\" holds a space; no shell takes it apart",
        ),
        (
            r#"{"command":"x","args":"-y"}"#,
            "mcpServers.a.args",
            "must be an array of strings, but is a string",
        ),
        (
            r#"{"command":"x","env":{"A":true}}"#,
            "mcpServers.a.env.A",
            "must be a string, but is true or false",
        ),
        (
            r#"{"command":"x","env":{"A=B":""}}"#,
            "mcpServers.a.env[\"A=B\"]",
            "\"A=B\" cannot be a name here",
        ),
        (r#"{"url":"docs.example"}"#, "mcpServers.a.url", "\"docs.example\" is no address"),
        (r#"{"url":"https:///x"}"#, "mcpServers.a.url", "\"https:///x\" is no address"),
        (r#"{"url":"https://x","type":"ws"}"#, "mcpServers.a.type", "\"ws\" is no known type"),
        (
            r#"{"url":"https://x","type":"stdio"}"#,
            "mcpServers.a.type",
            "\"stdio\" goes with `command`, but there is a `url`",
        ),
        (
            r#"{"command":"x","type":"http"}"#,
            "mcpServers.a.type",
            "\"http\" goes with `url`, but there is a `command`",
        ),
        (
            r#"{"command":"x","disabled":"no"}"#,
            "mcpServers.a.disabled",
            "must be true or false, but is a string",
        ),
        (
            r#"{"command":"\ud800"}"#,
            "mcpServers.a.command",
            "the string cannot be read: unexpected end of hex escape",
        ),
    ] {
        let error = refused(&server(body));
        assert_eq!((error.path.as_str(), error.problem.as_str()), (path, problem), "{body}");
        assert!(!error.hint.is_empty(), "{body}");
    }
}

#[test]
fn another_shape_is_named_and_the_right_one_shown() {
    assert_eq!(refused(r#"{"a": {"command": "x"}}"#).problem, "there is no `mcpServers`, only `a`");
    assert_eq!(refused("{}").problem, "there is no `mcpServers`");
    assert_eq!(refused("[]").problem, "must be an object, but is an array");
    assert_eq!(refused(" \n").problem, "the file is empty");
    assert!(refused(r#"{"mcpServers": {}, "servers": {}}"#).problem.contains("already"));
    assert!(refused("{}").hint.contains("mcpServers"));
    let error = decode(b"{\n\"\xff\"").unwrap_err();
    assert_eq!((error.line, error.column, error.problem.as_str()), (2, 2, "the text is not UTF-8"));
}

#[test]
fn a_file_over_the_bound_is_refused_unread() {
    let bytes = alloc::vec![b' '; crate::limits::MCP_JSON_MAX_BYTES + 1];
    assert!(decode(&bytes).unwrap_err().problem.contains("at most"));
}

#[test]
fn deep_nesting_does_no_harm() {
    let deep = "[".repeat(200_000);
    assert!(decode(deep.as_bytes()).is_err());
    let closed = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let text = format!("{{\"other\": {closed}, \"mcpServers\": {{}}}}");
    assert_eq!(decode(text.as_bytes()), Ok(Vec::new()));
}

#[test]
fn slugs_are_plain_and_unique_in_the_file() {
    assert_eq!(slug("  My  Server (v2)! "), "my-server-v2");
    assert_eq!(slug("日本"), "server");
    assert_eq!(slug("a:b|c_d"), "a-b-c_d");
    assert_eq!(slug(&"x".repeat(100)).len(), 63);
    let servers = decode(
        br#"{"mcpServers": {"A": {"command":"x"}, "a": {"command":"x"}, "a!": {"command":"x"}}}"#,
    )
    .unwrap();
    let slugs: Vec<&str> = servers.iter().map(|it| it.slug.as_str()).collect();
    assert_eq!(slugs, ["a", "a-2", "a-3"]);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn every_error_lies_within_the_text(cut in 0_usize..400, insert in "\\PC{0,3}") {
        let whole = r#"{"mcpServers": {"a": {"command": "npx", "args": ["-y", "x"], "env": {"K": "v"}},
"b": {"url": "https://example.com/mcp", "headers": {"A": "b"}, "type": "http"}}}"#;
        let cut = (0..=cut.min(whole.len())).rev().find(|&at| whole.is_char_boundary(at)).unwrap_or(0);
        let text = format!("{}{insert}{}", &whole[..cut], &whole[cut..]);
        if let Err(error) = decode(text.as_bytes()) {
            let line = text.split('\n').nth(error.line - 1);
            prop_assert!(line.is_some(), "{error:?}");
            prop_assert!(error.column <= line.map_or(0, |it| it.chars().count()) + 1, "{error:?}");
            prop_assert!(!error.hint.is_empty());
        }
    }
}
