//! Entries of lists, read as far as routers need them and kept word for word.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{present, text_of};
use crate::view::{Resource, Tool};

/// Longest text of a peer that is repeated in a message for people, in characters.
const REPEATED_MAX: usize = 300;

/// What tools, resources and templates have in common. A key that comes twice refuses the entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    uri: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    uri_template: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    description: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    mime_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    annotations: Option<&'a RawValue>,
}

/// Reads an object; `None` for anything else (serde would take an array for a struct).
pub(crate) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok())?
}

fn text(value: Option<&RawValue>) -> Option<String> {
    value.and_then(text_of).map(Cow::into_owned)
}

/// A tool, if it has a name.
pub(crate) fn tool(raw: &RawValue) -> Option<Tool> {
    let entry: Entry<'_> = object(raw)?;
    Some(Tool {
        name: text(entry.name).filter(|name| !name.is_empty())?,
        description: text(entry.description).unwrap_or_default(),
        repeatable: entry.annotations.is_some_and(is_repeatable),
        raw: raw.to_owned(),
    })
}

/// A resource or a template, if it has a URI.
pub(crate) fn resource(raw: &RawValue) -> Option<Resource> {
    let entry: Entry<'_> = object(raw)?;
    Some(Resource {
        uri: text(entry.uri.or(entry.uri_template)).filter(|uri| !uri.is_empty())?,
        name: text(entry.name).unwrap_or_default(),
        description: text(entry.description).unwrap_or_default(),
        mime_type: text(entry.mime_type),
        raw: raw.to_owned(),
    })
}

fn is_repeatable(annotations: &RawValue) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Annotations<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        read_only_hint: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        idempotent_hint: Option<&'a RawValue>,
    }
    let is_true = |value: Option<&RawValue>| value.is_some_and(|value| value.get() == "true");
    object::<Annotations<'_>>(annotations)
        .is_some_and(|hints| is_true(hints.read_only_hint) || is_true(hints.idempotent_hint))
}

/// A JSON-RPC error object as a phrase for people; `None` if it is not one.
pub(crate) fn error_phrase(error: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Shape<'a> {
        code: i64,
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    let shape: Shape<'_> = object(error)?;
    Some(format!("error {}: {}", shape.code, shortened(&shape.message)))
}

/// Whether `error` is an error object by JSON-RPC 2.0 §5.1.
pub(crate) fn is_error_object(error: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Shape<'a> {
        #[serde(rename = "code")]
        _code: i64,
        #[serde(borrow, rename = "message")]
        _message: Cow<'a, str>,
    }
    object::<Shape<'_>>(error).is_some()
}

/// Text of a peer, fit for a log: bounded, and without control characters.
pub(crate) fn shortened(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(REPEATED_MAX).map(clean).collect();
    if short.len() < text.len() && text.chars().nth(REPEATED_MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("valid JSON")
    }

    #[test]
    fn a_tool_keeps_its_definition_and_says_whether_it_may_be_repeated() {
        let text = r#"{"name":"a\u0062","title":1,"annotations":{"readOnlyHint":true}, "x":[]}"#;
        let found = tool(raw(text)).expect("a tool");
        assert_eq!((found.name.as_str(), found.repeatable, found.raw.get()), ("ab", true, text));
        for (annotations, repeatable) in [
            (r#"{"idempotentHint":true}"#, true),
            (r#"{"readOnlyHint":false,"idempotentHint":false}"#, false),
            (r#"{"readOnlyHint":"true"}"#, false),
            (r#"{"readOnlyHint":true,"readOnlyHint":false}"#, false),
            ("[true]", false),
            ("null", false),
        ] {
            let text = format!(r#"{{"name":"a","annotations":{annotations}}}"#);
            assert_eq!(tool(raw(&text)).map(|t| t.repeatable), Some(repeatable), "{text}");
        }
    }

    #[test]
    fn an_entry_without_its_name_is_none() {
        for text in ["{}", "[]", "5", r#"["a"]"#, r#"{"name":5}"#, r#"{"name":""}"#] {
            assert!(tool(raw(text)).is_none(), "{text}");
        }
        assert!(tool(raw(r#"{"name":"a","name":"b"}"#)).is_none());
        assert!(resource(raw(r#"{"name":"a"}"#)).is_none());
    }

    #[test]
    fn resources_and_templates_are_read_alike() {
        let found = resource(raw(r#"{"uri":"file:///a","name":"a","mimeType":"text/plain"}"#));
        assert_eq!(
            found.map(|r| (r.uri, r.mime_type)),
            Some(("file:///a".into(), Some("text/plain".into())))
        );
        let found = resource(raw(r#"{"uriTemplate":"file:///{p}","description":"d"}"#));
        assert_eq!(found.map(|r| (r.uri, r.description)), Some(("file:///{p}".into(), "d".into())));
    }

    #[test]
    fn what_a_peer_says_is_bounded_and_clean() {
        assert_eq!(shortened("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(shortened(&"é".repeat(301)).chars().count(), 301);
        assert_eq!(shortened(&"é".repeat(300)).chars().count(), 300);
        assert_eq!(
            error_phrase(raw(r#"{"code":-32601,"message":"no"}"#)).as_deref(),
            Some("error -32601: no")
        );
    }
}
