use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::limits::{MESSAGE_BATCH_MAX, MESSAGE_MAX_DEPTH};

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).expect("valid JSON")
}

fn message(text: &str) -> Message<'_> {
    match parse(text.as_bytes()) {
        Ok(Parsed::Single(message)) => message,
        other => panic!("{text}: {other:?}"),
    }
}

fn refusal(text: &str) -> Invalid<'_> {
    match parse(text.as_bytes()) {
        Err(invalid) => invalid,
        Ok(parsed) => panic!("{text}: {parsed:?}"),
    }
}

#[test]
fn a_request_keeps_its_id_and_parameters_to_the_letter() {
    let text = r#"{"jsonrpc":"2.0","id":"a\u0062","method":"tools/call","params":{ "x" : 1e2 }}"#;
    let Message::Request { id, method, params } = message(text) else { panic!("no request") };
    assert_eq!(id.token(), r#""a\u0062""#);
    assert_eq!(method, "tools/call");
    assert_eq!(params.map(RawValue::get), Some(r#"{ "x" : 1e2 }"#));
}

#[test]
fn id_zero_is_a_request_and_no_id_is_a_notification() {
    assert!(matches!(
        message(r#"{"jsonrpc":"2.0","id":0,"method":"m"}"#),
        Message::Request { id, .. } if id.number() == Some(0)
    ));
    assert!(matches!(message(r#"{"jsonrpc":"2.0","method":"m"}"#), Message::Notification { .. }));
}

#[test]
fn a_response_says_which_request_it_answers() {
    assert!(matches!(
        message(r#"{"result":{},"jsonrpc":"2.0","id":7}"#),
        Message::Response { id: Some(id), answer: Answer::Result(_) } if id.number() == Some(7)
    ));
    assert!(matches!(
        message(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#),
        Message::Response { id: None, answer: Answer::Error(_) }
    ));
    assert!(matches!(
        message(r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1,"message":"no"}}"#),
        Message::Response { answer: Answer::Error(_), .. }
    ));
    assert!(matches!(
        message(r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#),
        Message::Response { answer: Answer::Result(_), .. }
    ));
}

#[test]
fn numbers_sent_back_in_other_spellings_are_still_ours() {
    for (token, number) in
        [("7", Some(7)), ("7.0", Some(7)), ("\"7\"", Some(7)), ("-7", None), ("7.5", None)]
    {
        assert_eq!(Id::from_token(raw(token)).and_then(Id::number), number, "{token}");
    }
    assert_eq!(Id::from_token(raw("\"\"")).and_then(Id::number), None);
}

#[test]
fn what_is_no_message_is_refused_with_its_code_and_its_id() {
    let with_id = [
        r#"{"id":1,"method":"m"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
        r#"{"jsonrpc":"2.0","id":1,"Method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":5}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
    ];
    for text in with_id {
        let invalid = refusal(text);
        assert_eq!(invalid.fault.code(), -32_600, "{text}");
        assert_eq!(invalid.id.map(Id::token), Some("1"), "{text}");
    }
    for text in [
        r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":[1],"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","id":2}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","\u006dethod":"n"}"#,
        "5",
        "\"text\"",
        "[]",
    ] {
        assert_eq!(refusal(text).fault.code(), -32_600, "{text}");
    }
    for text in ["", " ", "{", "nonsense", "{\"jsonrpc\":\"2.0\",}", "{}{}", "[1", "[1] 2"] {
        assert_eq!(refusal(text).fault.code(), -32_700, "{text}");
    }
    assert_eq!(parse(b"{\"a\":\"\xff\"}").map_err(|i| i.fault.code()).err(), Some(-32_700));
}

#[test]
fn a_newline_inside_a_string_is_refused_rather_than_repaired() {
    let text = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\nb\"}";
    assert_eq!(refusal(text).fault, Fault::Syntax);
}

#[test]
fn nesting_of_a_million_is_an_error() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let text = open.repeat(1_000_000);
        assert!(refusal(&text).reason.contains("nested deeper than 128 levels"));
        let hidden = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{text}");
        assert!(refusal(&hidden).reason.contains("nested deeper"));
    }
}

#[test]
fn depth_counts_brackets_outside_of_strings_only() {
    let deepest = format!("{}{}", "[".repeat(MESSAGE_MAX_DEPTH), "]".repeat(MESSAGE_MAX_DEPTH));
    assert_eq!(check_depth(deepest.as_bytes(), MESSAGE_MAX_DEPTH), Ok(()));
    assert!(check_depth(format!("[{deepest}]").as_bytes(), MESSAGE_MAX_DEPTH).is_err());
    let quoted = format!("[\"\\\"{}\\\\\"]", "[".repeat(1_000));
    assert_eq!(check_depth(quoted.as_bytes(), 1), Ok(()));
    let siblings = "[],".repeat(1_000);
    assert_eq!(check_depth(siblings.as_bytes(), 1), Ok(()));
}

#[test]
fn a_batch_is_told_apart_and_bounded() {
    match parse(br#" [{"jsonrpc":"2.0","method":"m"}, 5]"#) {
        Ok(Parsed::Batch(members)) => assert_eq!(members.len(), 2),
        other => panic!("{other:?}"),
    }
    let many = format!("[{}1]", "1,".repeat(MESSAGE_BATCH_MAX));
    assert!(refusal(&many).reason.contains("more than 100"));
}

#[test]
fn parameters_that_spell_a_second_request_stay_one_line() {
    let params = raw("{\"a\":1,\r\n\"b\":\n[\n]}");
    let line = request_line(5, "tools/call", Some(params), None);
    assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
    assert_eq!(
        String::from_utf8_lossy(&line),
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"a\":1,  \"b\": [ ]}}\n"
    );
}

#[test]
fn a_progress_token_is_replaced_and_nothing_else() {
    let params = raw(r#"{ "progressToken":1, "_meta" : {"x":[1.0], "progressToken" : "p-1" } }"#);
    let found = progress_token(params).expect("unambiguous").expect("a token");
    assert_eq!(found.token.token(), "\"p-1\"");
    let line = request_line(41, "m", Some(params), Some(found.span));
    assert_eq!(
        String::from_utf8_lossy(&line),
        "{\"jsonrpc\":\"2.0\",\"id\":41,\"method\":\"m\",\"params\":\
         { \"progressToken\":1, \"_meta\" : {\"x\":[1.0], \"progressToken\" : 41 } }}\n"
    );
}

#[test]
fn a_progress_token_cannot_hide() {
    let escaped = raw(r#"{"_meta":{"progress\u0054oken":3}}"#);
    assert_eq!(
        progress_token(escaped).map(|t| t.map(|t| t.token.token().to_string())),
        Ok(Some("3".to_string()))
    );
    let twice = raw(r#"{"_meta":{"progressToken":3},"_meta":{}}"#);
    assert_eq!(progress_token(twice), Err(Ambiguous));
    let inner = raw(r#"{"_meta":{"progressToken":3,"progressToken":4}}"#);
    assert_eq!(progress_token(inner), Err(Ambiguous));
    for none in [
        r#"["progressToken"]"#,
        r#"{"_meta":null,"a":"progressToken"}"#,
        r#"{"_meta":{"progressToken":null}}"#,
        r#"{"_meta":{"progressToken":{}}}"#,
        r#"{"arguments":{"_meta":{"progressToken":3}}}"#,
    ] {
        assert_eq!(progress_token(raw(none)), Ok(None), "{none}");
    }
}

#[test]
fn keys_that_readers_could_mistake_for_each_other_are_refused() {
    for two in [
        r#"{"name":1,"name":2}"#,
        r#"{"name":1,"x":{},"Name":2}"#,
        r#"{"name":1,"n\u0061me":2}"#,
        r#"{"arguments":{},"argument\u017f":{}}"#,
        r#"{"k":1,"\u212a":2}"#,
    ] {
        assert_eq!(check_keys(raw(two)), Err(Ambiguous), "{two}");
    }
    for fine in [
        "{}",
        "[1,1]",
        "5",
        r#"{"name":1,"names":2,"arguments":{"a":1,"A":2,"a":3}}"#,
        r#"{"é":1,"e":2,"\n":3}"#,
    ] {
        assert_eq!(check_keys(raw(fine)), Ok(()), "{fine}");
    }
}

#[test]
fn a_response_carries_the_askers_id_and_the_answer_word_for_word() {
    let id = Id::from_token(raw(r#""\u00e9""#));
    let text = response(id, Answer::Result(raw("{ \"a\":\r1 }")));
    assert_eq!(
        String::from_utf8_lossy(&text),
        r#"{"jsonrpc":"2.0","id":"\u00e9","result":{ "a": 1 }}"#
    );
    let error = error_object(CODE_METHOD_NOT_FOUND, "no \"m\"\u{1}", Some(raw("[1]")));
    let text = response(None, Answer::Error(&error));
    let value: Value = serde_json::from_slice(&text).expect("valid JSON");
    assert_eq!(
        value,
        json!({"jsonrpc": "2.0", "id": null,
            "error": {"code": -32601, "message": "no \"m\"\u{1}", "data": [1]}})
    );
}

#[test]
fn every_number_is_written_as_it_is() {
    for number in [0, 9, 10, 12_345, u64::MAX] {
        let line = request_line(number, "m", None, None);
        let value: Value = serde_json::from_slice(&line).expect("valid JSON");
        assert_eq!(value, json!({"jsonrpc": "2.0", "id": number, "method": "m"}));
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "jsonrpc",
            "id",
            "method",
            "params",
            "result",
            "error",
            "_meta",
            "progressToken",
            "Id"
        ])
        .prop_map(String::from),
    ]
}

fn envelope() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(json!("2.0")),
        Just(json!(null)),
        Just(json!(7)),
        Just(json!("7")),
        Just(json!("tools/call")),
        value()
    ];
    prop::collection::btree_map(key(), text, 0..6).prop_map(|mut map| {
        map.entry("jsonrpc".to_string()).or_insert_with(|| json!("2.0"));
        Value::Object(map.into_iter().collect())
    })
}

/// The same value with line ends between its tokens.
fn spread(value: &Value, ends: &str) -> String {
    serde_json::to_string_pretty(value).expect("writable").replace('\n', ends)
}

proptest! {
    #[test]
    fn one_line_is_one_line_of_the_same_value(value in value(), ends in "[\r\n]{1,3}") {
        let text = spread(&value, &ends);
        let line = one_line(&text);
        prop_assert!(!line.contains(['\r', '\n']));
        prop_assert_eq!(line.len(), text.len());
        prop_assert_eq!(serde_json::from_str::<Value>(&line).expect("valid"), value);
        let mut appended = vec![b'\n'];
        append_one_line(&mut appended, &text);
        prop_assert_eq!(&appended[1..], line.as_bytes());
    }

    #[test]
    fn the_envelope_agrees_with_a_full_parse(value in envelope(), ends in "[\r\n]{0,2}") {
        let text = spread(&value, &ends);
        let at = |key: &str| value.get(key).filter(|v| !v.is_null());
        match parse(text.as_bytes()) {
            Ok(Parsed::Batch(_)) => prop_assert!(false, "an object is no batch"),
            Ok(Parsed::Single(Message::Request { id, method, params })) => {
                prop_assert_eq!(at("id").expect("an id").to_string(), id.token());
                prop_assert_eq!(at("method").and_then(Value::as_str), Some(&*method));
                let params = params.map(|p| serde_json::from_str::<Value>(p.get()).expect("valid"));
                prop_assert_eq!(at("params"), params.as_ref());
            }
            Ok(Parsed::Single(Message::Notification { method, .. })) => {
                prop_assert!(value.get("id").is_none());
                prop_assert_eq!(at("method").and_then(Value::as_str), Some(&*method));
            }
            Ok(Parsed::Single(Message::Response { answer, .. })) => {
                prop_assert!(value.get("method").is_none());
                let (key, text) = match answer {
                    Answer::Result(text) => ("result", text),
                    Answer::Error(text) => ("error", text),
                };
                let said: Value = serde_json::from_str(text.get()).expect("valid");
                prop_assert_eq!(value.get(key), Some(&said));
            }
            Err(invalid) => {
                prop_assert_eq!(invalid.fault, Fault::Request);
                let plain = at("jsonrpc") == Some(&json!("2.0"))
                    && at("method").is_some_and(Value::is_string)
                    && value.get("id").is_none_or(|id| id.is_string() || id.is_number())
                    && at("params").is_none_or(|p| p.is_object() || p.is_array())
                    && value.get("result").is_none()
                    && value.get("error").is_none();
                prop_assert!(!plain, "{}: {}", invalid, text);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(parsed) = parse(&bytes) {
            prop_assert!(serde_json::from_slice::<&RawValue>(&bytes).is_ok(), "{:?}", parsed);
        }
    }

    #[test]
    fn brackets_and_quotes_are_read_without_panic(text in "[\\[\\]{}\",:\\\\a1 ]{0,60}") {
        if parse(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<&RawValue>(&text).is_ok());
        }
    }

    #[test]
    fn depth_agrees_with_a_full_parse(value in value()) {
        fn depth(value: &Value) -> usize {
            match value {
                Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
                Value::Object(items) => 1 + items.values().map(depth).max().unwrap_or(0),
                _ => 0,
            }
        }
        let text = value.to_string();
        let deep = depth(&value);
        prop_assert!(check_depth(text.as_bytes(), deep).is_ok());
        prop_assert!(deep == 0 || check_depth(text.as_bytes(), deep - 1).is_err());
    }

    #[test]
    fn a_token_swap_changes_the_token_only(
        mut meta in prop::collection::btree_map(key(), value(), 0..4),
        token in prop_oneof![any::<u32>().prop_map(Value::from), "[a-z]{0,9}".prop_map(Value::from)],
        id in any::<u64>(),
        rest in value(),
        ends in "[\r\n]{0,2}",
    ) {
        meta.insert("progressToken".to_string(), token.clone());
        let meta: Value = meta.into_iter().collect::<serde_json::Map<_, _>>().into();
        let mut params = json!({"_meta": meta, "arguments": rest});
        let text = spread(&params, &ends);
        let found = progress_token(raw(&text)).expect("unambiguous").expect("a token");
        prop_assert_eq!(found.token.token(), token.to_string());
        let line = request_line(id, "m", Some(raw(&text)), Some(found.span.clone()));
        let sent: Value = serde_json::from_slice(&line).expect("valid");
        prop_assert_eq!(line.iter().filter(|b| matches!(b, b'\r' | b'\n')).count(), 1);
        params["_meta"]["progressToken"] = json!(id);
        prop_assert_eq!(&sent["params"], &params);
        let back = replaced(&text, found.span, &token.to_string());
        prop_assert_eq!(back, text);
    }

    #[test]
    fn keys_that_differ_in_more_than_case_pass(
        keys in prop::collection::btree_set("[a-zž]{0,4}", 0..5),
        twin in any::<prop::sample::Index>(),
        value in value(),
    ) {
        let object = |keys: &[String]| {
            let members: Vec<String> =
                keys.iter().map(|key| format!("{}:{value}", Value::from(key.as_str()))).collect();
            RawValue::from_string(format!("{{{}}}", members.join(","))).expect("valid JSON")
        };
        let mut keys: Vec<String> = keys.into_iter().collect();
        prop_assert_eq!(check_keys(&object(&keys)), Ok(()));
        if !keys.is_empty() {
            keys.push(twin.get(&keys).to_uppercase());
            prop_assert_eq!(check_keys(&object(&keys)), Err(Ambiguous));
        }
    }

    #[test]
    fn strings_are_written_so_that_they_read_the_same(text in any::<String>()) {
        let mut out = Vec::new();
        append_string(&mut out, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("valid"), text);
    }
}
