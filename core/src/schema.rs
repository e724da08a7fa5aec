//! JSON Schemas of what the wire's types do not derive: texts of their own, and events.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::id::EventId;
use crate::secret::Secret;
use crate::time::IsoTime;
use crate::wire::command::{CommandType, PollingMode, Priority};
use crate::wire::event::{Event, EventData, MAX_BATCH};

macro_rules! texts {
    ($($name:ident: $schema:expr;)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

texts! {
    Secret: json_schema!({"type": "string", "format": "password"});
    IsoTime: json_schema!({
        "type": "string",
        "format": "date-time",
        "examples": ["2026-01-31T09:15:02.123Z"],
    });
    CommandType: one_of(&CommandType::KNOWN.each_ref().map(CommandType::as_str));
    Priority: one_of(&["immediate", "high", "normal", "low"]);
    PollingMode: one_of(&["immediate", "normal", "slow"]);
}

fn one_of(words: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": words})
}

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Value> = EventData::schemas(generator)
            .into_iter()
            .map(|(kind, data)| {
                json!({
                    "title": kind,
                    "type": "object",
                    "required": ["type", "timestamp", "data"],
                    "properties": {
                        "type": {"const": kind},
                        "timestamp": generator.subschema_for::<IsoTime>(),
                        "data": data,
                        "id": generator.subschema_for::<EventId>(),
                        "seq": {"type": "integer", "minimum": 0},
                    },
                })
            })
            .collect();
        json_schema!({"oneOf": kinds})
    }
}

/// The body of a batch of events, which is read one by one.
#[derive(Clone, Copy, Debug)]
pub struct EventBatch;

impl JsonSchema for EventBatch {
    fn schema_name() -> Cow<'static, str> {
        "EventBatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let event = generator.subschema_for::<Event>();
        json_schema!({
            "type": "object",
            "required": ["events"],
            "properties": {
                "events": {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": event},
            },
        })
    }
}
