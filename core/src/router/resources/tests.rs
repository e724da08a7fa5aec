use serde_json::Value;

use super::*;
use crate::router::catalogue::tests::{instance, subject, view};
use crate::time::Timestamp;

#[test]
fn resources_are_listed_word_for_word_under_their_server_s_name() {
    let view = view([instance("t", "i", "u", "files", &[])]);
    let subject = subject("t", "u");
    let catalogue = Catalogue::of(&view, &subject, Timestamp(0));
    assert_eq!(
        list(&catalogue).get(),
        r#"{"resources":[{"name":"a", "uri" : "files|file:///a","x":[1.50]}]}"#
    );
    assert_eq!(list_templates(&catalogue).get(), r#"{"resourceTemplates":[]}"#);
    let result: Value = serde_json::from_str(listing(&catalogue).get()).unwrap();
    let text = result["content"][0]["text"].as_str().unwrap();
    let listing: Value = serde_json::from_str(text).unwrap();
    assert_eq!(listing["resources"][0]["uri"], "files|file:///a");
    assert_eq!(listing["resources"][0]["mimeType"], "text/plain");
    assert_eq!(listing["total_resources"], 1);
    assert_eq!(listing["total_templates"], 0);
}

#[test]
fn what_is_read_keeps_texts_and_binary_contents() {
    let child = RawValue::from_string(String::from(
        r#"{"contents":[{"uri":"a","text":"x\ny"},{"uri":"b","blob":"AAA=","mimeType":"m"}]}"#,
    ))
    .unwrap();
    assert_eq!(
        read_result(&child).get(),
        r#"{"content":[{"type":"text","text":"x\ny"},{"type":"resource","resource":{"uri":"b","blob":"AAA=","mimeType":"m"}}]}"#
    );
    let odd = RawValue::from_string(String::from(r#"{"other":1}"#)).unwrap();
    assert!(read_result(&odd).get().contains("other"));
}

#[test]
fn a_read_without_a_uri_is_refused_and_one_with_it_passes_on() {
    let missing = RawValue::from_string(String::from("{}")).unwrap();
    assert_eq!(requested_uri(Some(&missing)).unwrap_err().kind, DenialKind::Arguments);
    assert!(requested_uri(None).is_err());
    let meta = RawValue::from_string(String::from(r#"{"progressToken":1}"#)).unwrap();
    let params = read_params("a\"b", Some(&meta));
    assert_eq!(params.get(), r#"{"uri":"a\"b","_meta":{"progressToken":1}}"#);
    assert_eq!(requested_uri(Some(&params)).unwrap(), "a\"b");
}
