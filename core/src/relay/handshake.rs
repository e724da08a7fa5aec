//! The handshake of the stateful revisions of MCP (2025-11-25, Lifecycle).

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::discovery::List;
use super::inventory::{object, shortened};
use crate::json::present;

pub(crate) const METHOD: &str = "initialize";
pub(crate) const INITIALIZED: &str = "notifications/initialized";

/// The parameters of `initialize`. No capability is claimed that is not served.
pub(crate) const PARAMS: &str = concat!(
    r#"{"protocolVersion":"2025-11-25","capabilities":{},"#,
    r#""clientInfo":{"name":"satellite","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}"#
);

/// The revisions spoken, newest first.
const REVISIONS: [&str; 4] = ["2025-11-25", "2025-06-18", WITH_BATCHES, "2024-11-05"];

/// The one revision in which messages may come in arrays.
const WITH_BATCHES: &str = "2025-03-26";

/// A peer after its handshake.
#[derive(Debug)]
pub(crate) struct Greeting {
    /// The revision it speaks.
    pub(crate) revision: &'static str,
    /// Whether its revision lets it send batches.
    pub(crate) may_batch: bool,
    /// The lists it says it has.
    pub(crate) lists: Vec<List>,
    /// Its whole answer.
    pub(crate) result: Box<RawValue>,
}

/// Reads the result of `initialize`; the error is for people.
pub(crate) fn read(result: &RawValue) -> Result<Greeting, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", expecting = "an object")]
    struct Initialized<'a> {
        #[serde(borrow)]
        protocol_version: Cow<'a, str>,
        #[serde(borrow)]
        capabilities: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Capabilities<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        tools: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        resources: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        prompts: Option<&'a RawValue>,
    }
    let Initialized { protocol_version, capabilities } = serde_json::from_str(result.get())
        .map_err(|error| format!("the answer is not as MCP wants it: {error}"))?;
    let Some(revision) = REVISIONS.into_iter().find(|known| *known == protocol_version) else {
        return Err(format!(
            "the server speaks MCP {}, this satellite {}; use a version of the server that speaks one of these",
            shortened(&protocol_version),
            REVISIONS.join(", ")
        ));
    };
    let Some(capabilities) = object::<Capabilities<'_>>(capabilities) else {
        return Err(String::from("the answer's `capabilities` are not an object"));
    };
    let has = |capability: Option<&RawValue>| {
        capability.is_some_and(|value| !matches!(value.get(), "null" | "false"))
    };
    let mut lists = Vec::new();
    if has(capabilities.tools) {
        lists.push(List::Tools);
    }
    if has(capabilities.resources) {
        lists.extend([List::Resources, List::Templates]);
    }
    if has(capabilities.prompts) {
        lists.push(List::Prompts);
    }
    Ok(Greeting { revision, may_batch: revision == WITH_BATCHES, lists, result: result.to_owned() })
}
