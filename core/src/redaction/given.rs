//! What may be secret in arguments and addresses, where nothing says which of them is.
//!
//! Environment variables, headers and query parameters are taken for secrets whole. Arguments are
//! mostly names that a log must show (`-y`, `@acme/files`, `/data`), so only these are: the value of
//! what is named like a secret (`--token=…`, `--api-key …`, `KEY=…`, `Authorization: …`, a key of an
//! argument that is JSON), and what addresses hold.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::names::names_a_secret;
use crate::wire::path::unescape;

/// Longer parts of a path may be keys, if letters and digits mix in them; shorter ones are words.
const PATH_PART_MIN: usize = 16;

/// What may be secret in a command's arguments.
pub(crate) fn in_arguments(args: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut flag_before = false;
    for arg in args {
        if flag_before {
            take_value(arg, &mut found);
        }
        flag_before = arg.starts_with('-') && is_name(arg) && names_a_secret(arg);
        in_argument(arg, &mut found);
    }
    found
}

fn in_argument(arg: &str, found: &mut Vec<String>) {
    let mut rest = arg;
    // `--env=KEY=value` and `--header=Name: value` hold one name in another's value.
    while let Some((name, value)) = rest.split_once(['=', ':']) {
        if !is_name(name) {
            break;
        }
        if names_a_secret(name) {
            take_value(value.trim_start(), found);
        }
        rest = value.trim_start();
    }
    if arg.starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str(arg)
    {
        in_json(&value, false, found);
    }
    for (at, _) in arg.match_indices("://") {
        let url = arg.get(at..).unwrap_or_default();
        let end = url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'));
        in_address(url.get(..end.unwrap_or(url.len())).unwrap_or_default(), found);
    }
}

/// A value, and what stands behind its scheme (`Bearer …`).
fn take_value(value: &str, found: &mut Vec<String>) {
    found.push(String::from(value));
    if let Some((_, behind)) = value.rsplit_once(' ') {
        found.push(String::from(behind));
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The decoder bounds the depth.
fn in_json(value: &Value, is_secret: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret => take_value(text, found),
        Value::String(text) if text.contains("://") => in_address(text, found),
        Value::Array(values) => values.iter().for_each(|value| in_json(value, is_secret, found)),
        Value::Object(members) => {
            for (key, value) in members {
                in_json(value, is_secret || names_a_secret(key), found);
            }
        }
        _ => {}
    }
}

/// What may be secret in an address: user and password, long parts of the path, and every value of
/// the query and the fragment, as they stand and as they are meant.
pub(crate) fn in_address(url: &str, found: &mut Vec<String>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let mut take = |part: &str| {
        let meant = String::from_utf8(unescape(part)).ok().filter(|meant| meant != part);
        found.extend(meant);
        found.push(String::from(part));
    };
    if let Some((user, _)) = authority.rsplit_once('@') {
        take(user.split_once(':').map_or(user, |(_, password)| password));
    }
    let path = behind.split(['?', '#']).next().unwrap_or_default();
    for part in path.split('/').filter(|part| part.len() >= PATH_PART_MIN) {
        let has = |kind: fn(&u8) -> bool| part.as_bytes().iter().any(kind);
        if has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) {
            take(part);
        }
    }
    for pair in behind.split(['?', '#', '&']).skip(1) {
        take(pair.split_once('=').map_or(pair, |(_, value)| value));
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::super::Redaction;
    use super::*;
    use crate::secret::Secret;

    fn shown(args: &[&str], text: &str) -> String {
        let args: Vec<String> = args.iter().map(|arg| String::from(*arg)).collect();
        let secrets: Vec<Secret> = in_arguments(&args).into_iter().map(Secret::new).collect();
        Redaction::new(&secrets).apply(text.into())
    }

    #[test]
    fn the_value_of_an_argument_named_like_a_secret_is_not_shown() {
        for args in [
            &["--token=s3cret-value"][..],
            &["--api-key", "s3cret-value"],
            &["-e", "GITHUB_TOKEN=s3cret-value"],
            &["--env=DB_PASSWORD=s3cret-value"],
            &["--header", "Authorization: Bearer s3cret-value"],
            &["--header=X-Api-Key:s3cret-value"],
            &["--key", "s3cret-value"],
            &["--config", r#"{"a":[{"clientSecret":"s3cret-value"}]}"#],
            &["--client-secret", "-s3cret-value"],
            &["mcp-remote", "https://h.example/mcp?k=s3cret-value#f"],
            &["postgresql://app:s3cret-value@db/main"],
            &["https://s3cret-value@h.example/"],
            &["--url=https://h.example/s/s3cret-value-of-1-user/mcp"],
            &[r#"{"url":"https://h.example/?k=s3cret-value"}"#],
        ] {
            let text = shown(args, &args.join(" "));
            assert!(!text.contains("s3cret-value"), "{args:?}: {text}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let args = [
            "-y",
            "@acme/files-mcp@1.2.3",
            "--root=/srv/data",
            "--verbose",
            "https://h/mcp",
            "C:\\x",
        ];
        let text = args.join(" ");
        assert_eq!(shown(&args, &text), text);
    }

    #[test]
    fn an_address_is_searched_as_it_stands_and_as_it_is_meant() {
        let mut found = vec![];
        in_address("https://u:p%40ss@h/?a=x%20y&b#c", &mut found);
        assert_eq!(found, ["p@ss", "p%40ss", "x y", "x%20y", "b", "c"]);
    }

    proptest! {
        #[test]
        fn no_argument_is_too_strange(args in prop::collection::vec("\\PC{0,12}|[-=:/?#&@{}\"a]{0,12}", 0..4)) {
            in_arguments(&args);
        }
    }
}
