//! The text with its positions: values are borrowed from it, so each one's offset is known.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::McpJsonError;
use crate::limits::MCP_JSON_MAX_BYTES;

const EXAMPLE: &str =
    r#"the file looks like {"mcpServers": {"files": {"command": "npx", "args": ["-y", "…"]}}}"#;

/// A file that is UTF-8 and JSON.
pub(super) struct Document<'a> {
    text: &'a str,
}

/// One entry of an object.
pub(super) struct Entry<'a> {
    /// Its key.
    pub(super) name: String,
    /// Its path in the file.
    pub(super) path: String,
    /// Its value, as it stands in the file.
    pub(super) value: &'a RawValue,
}

impl<'a> Document<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, McpJsonError> {
        if bytes.len() > MCP_JSON_MAX_BYTES {
            return Err(McpJsonError {
                line: 1,
                column: 1,
                path: String::new(),
                problem: format!(
                    "the file has {} bytes; at most {MCP_JSON_MAX_BYTES} are read",
                    bytes.len()
                ),
                hint: EXAMPLE.to_owned(),
            });
        }
        match core::str::from_utf8(bytes) {
            // Editors on Windows put a byte order mark in front.
            Ok(text) => Ok(Document { text: text.strip_prefix('\u{feff}').unwrap_or(text) }),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let before = Document { text: core::str::from_utf8(valid).unwrap_or_default() };
                Err(before.error_at(
                    valid.len(),
                    "",
                    "the text is not UTF-8".to_owned(),
                    "save the file as UTF-8".to_owned(),
                ))
            }
        }
    }

    /// The entries of `mcpServers` (VS Code calls it `servers`).
    pub(super) fn servers(&self) -> Result<Vec<Entry<'a>>, McpJsonError> {
        if self.text.trim().is_empty() {
            return Err(self.error_at(0, "", "the file is empty".to_owned(), EXAMPLE.to_owned()));
        }
        let root: &RawValue =
            serde_json::from_str(self.text).map_err(|error| self.syntax(&error))?;
        let entries = self.object(root, "")?;
        let mut found: Option<&Entry<'a>> = None;
        for entry in entries.iter().filter(|it| it.name == "mcpServers" || it.name == "servers") {
            if let Some(first) = found {
                return Err(self.error(
                    entry.value,
                    &entry.path,
                    format!("there is `{}` already", first.name),
                    "put all servers under `mcpServers`".to_owned(),
                ));
            }
            found = Some(entry);
        }
        match found {
            Some(entry) => self.object(entry.value, &entry.path),
            None => {
                let keys: Vec<&str> = entries.iter().take(5).map(|it| it.name.as_str()).collect();
                let problem = if keys.is_empty() {
                    "there is no `mcpServers`".to_owned()
                } else {
                    format!("there is no `mcpServers`, only `{}`", keys.join("`, `"))
                };
                Err(self.error(root, "", problem, EXAMPLE.to_owned()))
            }
        }
    }

    /// The entries of an object; a key that occurs twice is an error.
    pub(super) fn object(
        &self,
        value: &'a RawValue,
        path: &str,
    ) -> Result<Vec<Entry<'a>>, McpJsonError> {
        let Pairs(pairs) = serde_json::from_str(value.get())
            .map_err(|_| self.wrong_type(value, path, "an object"))?;
        let mut entries: Vec<Entry<'a>> = Vec::with_capacity(pairs.len());
        let mut seen = alloc::collections::BTreeSet::new();
        for (key, value) in pairs {
            let name = self.string(key, path)?;
            let path = child(path, &name);
            if !seen.insert(name.clone()) {
                return Err(self.error(
                    key,
                    &path,
                    format!("`{name}` occurs twice"),
                    "keep one of them, or give the other another name".to_owned(),
                ));
            }
            entries.push(Entry { name, path, value });
        }
        Ok(entries)
    }

    /// The items of an array, each with its path.
    pub(super) fn array(
        &self,
        value: &'a RawValue,
        path: &str,
    ) -> Result<Vec<(String, &'a RawValue)>, McpJsonError> {
        let items: Vec<&'a RawValue> = serde_json::from_str(value.get())
            .map_err(|_| self.wrong_type(value, path, "an array of strings"))?;
        Ok(items.into_iter().enumerate().map(|(at, it)| (format!("{path}[{at}]"), it)).collect())
    }

    /// The text of a string.
    pub(super) fn string(&self, value: &RawValue, path: &str) -> Result<String, McpJsonError> {
        if !value.get().starts_with('"') {
            return Err(self.wrong_type(value, path, "a string"));
        }
        serde_json::from_str(value.get()).map_err(|error| {
            self.error(
                value,
                path,
                format!("the string cannot be read: {}", without_position(&error)),
                "write the character itself, or a complete \\u escape".to_owned(),
            )
        })
    }

    /// The value of a boolean.
    pub(super) fn boolean(&self, value: &RawValue, path: &str) -> Result<bool, McpJsonError> {
        serde_json::from_str(value.get()).map_err(|_| self.wrong_type(value, path, "true or false"))
    }

    /// An error about a value.
    pub(super) fn error(
        &self,
        value: &RawValue,
        path: &str,
        problem: String,
        hint: String,
    ) -> McpJsonError {
        // Both point into the same text, whose start is the lower of the two.
        let offset = (value.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.error_at(offset, path, problem, hint)
    }

    fn wrong_type(&self, value: &RawValue, path: &str, wanted: &str) -> McpJsonError {
        let found = kind(value.get());
        let hint = match found {
            "a number" | "true or false" if wanted == "a string" => {
                format!("put it in quotes: \"{}\"", value.get())
            }
            "a string" if wanted == "an array of strings" => {
                format!("put it in brackets: [{}]", value.get())
            }
            "null" => "give it a value, or remove the key".to_owned(),
            _ if path.is_empty() => EXAMPLE.to_owned(),
            _ => format!("write {wanted} here"),
        };
        self.error(value, path, format!("must be {wanted}, but is {found}"), hint)
    }

    fn syntax(&self, error: &serde_json::Error) -> McpJsonError {
        let offset = self.offset(error.line(), error.column());
        let rest = self.text.get(offset..).unwrap_or_default();
        let before = self.text.get(..offset).unwrap_or_default();
        let hint = if rest.starts_with("//")
            || rest.starts_with("/*")
            || rest.starts_with('#')
            || (rest.starts_with(['/', '*']) && before.ends_with('/'))
        {
            "JSON has no comments: remove it"
        } else if before.trim_end().ends_with(',') && rest.starts_with(['}', ']']) {
            "remove the comma before the closing bracket"
        } else if rest.starts_with(['\'', '\u{2018}', '\u{201c}']) {
            "JSON strings stand in double quotes: \"…\""
        } else if error.is_eof() {
            "the file ends before everything is closed: look for a missing quote or bracket"
        } else if rest.starts_with(['"', '{', '[']) {
            "look for a missing comma just before"
        } else {
            "check the brackets, quotes and commas here and just before"
        };
        self.error_at(
            offset,
            "",
            format!("no valid JSON: {}", without_position(error)),
            hint.to_owned(),
        )
    }

    fn error_at(&self, offset: usize, path: &str, problem: String, hint: String) -> McpJsonError {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        McpJsonError {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            path: path.to_owned(),
            problem,
            hint,
        }
    }

    /// The offset of a line and column in bytes as serde_json counts them, at a character's start.
    fn offset(&self, line: usize, column: usize) -> usize {
        let start: usize =
            self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let mut offset = (start + column.saturating_sub(1)).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// The path of `name` below `path`; names that are no identifiers are quoted.
fn child(path: &str, name: &str) -> String {
    let plain =
        !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || matches!(it, '_' | '-'));
    match (plain, path.is_empty()) {
        (true, true) => name.to_owned(),
        (true, false) => format!("{path}.{name}"),
        (false, _) => format!("{path}[{name:?}]"),
    }
}

fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.find(" at line ") {
        Some(at) => text.get(..at).unwrap_or_default().to_owned(),
        None => text,
    }
}

/// An object as it stands, keys and values, repetitions included.
struct Pairs<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Collect).map(Pairs)
    }
}
