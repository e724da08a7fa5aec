//! The file of `--config`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::variables::{COMMAND_VARIABLES, VARIABLES};
use crate::exit::{Exit, usage};

/// Reads the file into texts by lower-case name. A list becomes its items with commas between.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, Exit> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        usage(format!("cannot read {name}: {error}"), "check the path given to --config")
    })?;
    let table: BTreeMap<String, Value> = basic_toml::from_slice(&bytes).map_err(|error| {
        usage(format!("{name}: {error}"), "the file is TOML: lines such as port = 3001")
    })?;
    let mut texts = BTreeMap::new();
    for (key, value) in table {
        let known = |it: &&super::Variable| it.name.eq_ignore_ascii_case(&key);
        if !VARIABLES.iter().chain(COMMAND_VARIABLES).any(|it| known(&it)) || key == "path" {
            return Err(usage(
                format!("{name}: there is no setting {key:?}"),
                "keys are the names of the README's environment table, in lower case",
            ));
        }
        let text = text(&value).ok_or_else(|| {
            usage(
                format!("{name}: {key} must be a text, a number, true, false or a list of texts"),
                format!("write {key} = \"…\""),
            )
        })?;
        // An empty text is no value, as in the environment.
        if !text.is_empty() {
            texts.insert(key, text);
        }
    }
    Ok(texts)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Some(items?.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}
