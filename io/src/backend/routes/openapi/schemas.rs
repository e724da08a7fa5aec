//! The document's schemas. What is sent and what is answered differ where a field has a default: it
//! may be missing from what is sent and never is from what is answered.

use std::collections::BTreeSet;

use satellite_core::limits::NAME_CHARS_MAX;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value};

use super::super::operation::SchemaOf;
use crate::backend::answer::NAMES;

const PLACE: &str = "#/components/schemas/";
/// What ends the name of a type as it is sent, where it is answered otherwise.
const SENT: &str = "Sent";

/// All schemas that a document refers to.
pub(super) struct Schemas {
    sent: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path =
                    PLACE.trim_start_matches('#').trim_end_matches('/').into();
                settings.meta_schema = None;
            })
        };
        Schemas {
            sent: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
        }
    }
}

impl Schemas {
    /// The schema of a body that is sent.
    pub(super) fn request(&mut self, of: SchemaOf) -> Value {
        let mut schema = of(&mut self.sent).to_value();
        mark(&mut schema);
        schema
    }

    /// The schema of what is answered.
    pub(super) fn reply(&mut self, of: SchemaOf) -> Value {
        of(&mut self.answered).to_value()
    }

    /// The schema of a query, which is no schema of the document but made into parameters.
    pub(super) fn inline(&mut self, of: SchemaOf) -> Value {
        let schema = of(&mut self.sent).to_value();
        let Some(name) = schema["$ref"].as_str().and_then(|at| at.strip_prefix(PLACE)) else {
            return schema;
        };
        self.sent.definitions_mut().remove(name).unwrap_or_default()
    }

    /// Everything that was referred to. In `paths`, what is sent is given the name under which its
    /// schema stands here.
    pub(super) fn finish(mut self, paths: &mut Value) -> Value {
        let mut all = self.answered.take_definitions(true);
        let mut sent = self.sent.take_definitions(true);
        for schema in sent.values_mut() {
            name_lengths(schema);
            mark(schema);
        }
        // A type differs if its schema does, or one that this refers to.
        let mut differing: BTreeSet<String> = BTreeSet::new();
        loop {
            let before = differing.len();
            for (name, schema) in &sent {
                let plain = renamed(schema, &|name| differing.contains(name));
                if all.get(name).is_some_and(|answered| *answered != plain) {
                    differing.insert(name.clone());
                }
            }
            if differing.len() == before {
                break;
            }
        }
        for (name, schema) in sent {
            let schema = renamed(&schema, &|name| differing.contains(name));
            let name = if differing.contains(&name) { format!("{name}{SENT}") } else { name };
            all.insert(name, schema);
        }
        *paths = renamed(paths, &|name| differing.contains(name));
        let sorted: Map<String, Value> = all.into_iter().collect();
        Value::Object(sorted)
    }
}

/// Marks the references of what is sent, so that they can be told from those of answers.
fn mark(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                match value {
                    Value::String(text) if key == "$ref" => text.push('!'),
                    _ => mark(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mark),
        _ => {}
    }
}

/// `schema` with its marked references led to what is sent where that differs.
fn renamed(schema: &Value, differs: &impl Fn(&str) -> bool) -> Value {
    match schema {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| {
                    let marked = value
                        .as_str()
                        .filter(|_| key == "$ref")
                        .and_then(|text| text.strip_prefix(PLACE)?.strip_suffix('!'));
                    let value = match marked {
                        Some(name) if differs(name) => format!("{PLACE}{name}{SENT}").into(),
                        Some(name) => format!("{PLACE}{name}").into(),
                        None => renamed(value, differs),
                    };
                    (key.clone(), value)
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(|item| renamed(item, differs)).collect(),
        other => other.clone(),
    }
}

/// Says of the fields that names are in how long they may be, as `check_texts` holds them to.
fn name_lengths(schema: &mut Value) {
    let Some(fields) = schema["properties"].as_object_mut() else { return };
    for (name, field) in fields {
        if NAMES.contains(&name.as_str()) && field["type"] != "object" {
            field["maxLength"] = NAME_CHARS_MAX.into();
        }
    }
}
