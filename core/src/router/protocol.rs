//! The protocol revisions that clients may speak, and what we tell them at the start.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json;
use crate::view::InstanceView;

/// A revision of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// 2025-03-26: Streamable HTTP, batches.
    V2025_03_26,
    /// 2025-06-18: structured output, the `MCP-Protocol-Version` header.
    V2025_06_18,
    /// 2025-11-25: the last stateful one.
    V2025_11_25,
}

impl Revision {
    /// The newest that an `initialize` can agree on.
    pub const LATEST: Revision = Revision::V2025_11_25;
    /// Every one that clients may speak.
    pub const ALL: [Revision; 3] =
        [Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Revision::V2025_03_26 => "2025-03-26",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_11_25 => "2025-11-25",
        }
    }

    /// Reads the wire's spelling.
    pub fn parse(text: &str) -> Option<Revision> {
        Revision::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// What to answer a client that asks for `requested`: the same if it is known, else the newest.
    pub fn agree(requested: &str) -> Revision {
        Revision::parse(requested).unwrap_or(Revision::LATEST)
    }

    /// Whether several messages may come in one array.
    pub fn allows_batches(self) -> bool {
        self == Revision::V2025_03_26
    }
}

/// The revision an `initialize` asks for.
///
/// # Errors
///
/// What is wrong with the parameters, for people.
pub fn requested_revision(params: Option<&RawValue>) -> Result<Revision, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        protocol_version: String,
    }
    let params = params.ok_or("`params` is missing: initialize names a `protocolVersion`")?;
    let params: Params =
        object(params).map_err(|error| alloc::format!("`params` of initialize: {error}"))?;
    Ok(Revision::agree(&params.protocol_version))
}

/// What a client calls itself in `initialize`.
pub fn client_name(params: Option<&RawValue>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        client_info: Info,
    }
    #[derive(Deserialize)]
    struct Info {
        name: String,
    }
    object::<Params>(params?).ok().map(|params| params.client_info.name)
}

/// What a server says of itself in answer to `initialize`. Values are kept word for word.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChildInitialize<'a> {
    #[serde(borrow, default)]
    capabilities: Option<ChildCapabilities<'a>>,
    #[serde(borrow, default)]
    server_info: Option<&'a RawValue>,
    #[serde(borrow, default)]
    instructions: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct ChildCapabilities<'a> {
    #[serde(default)]
    tools: Option<ListChanged>,
    #[serde(default)]
    resources: Option<ListChanged>,
    #[serde(default)]
    prompts: Option<ListChanged>,
    #[serde(borrow, default)]
    logging: Option<&'a RawValue>,
    #[serde(borrow, default)]
    completions: Option<&'a RawValue>,
}

/// A capability of which only this is carried.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListChanged {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list_changed: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Initialize<'a> {
    protocol_version: &'static str,
    capabilities: Capabilities<'a>,
    server_info: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Capabilities<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<ListChanged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<ListChanged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompts: Option<ListChanged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logging: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completions: Option<&'a RawValue>,
}

/// The result of `initialize` at the router of one instance: the server's own words, its
/// capabilities reduced to what is carried (no subscriptions, no tasks, nothing experimental).
///
/// A server whose own result is not known yet is described by its name.
pub fn instance_initialize(instance: &InstanceView, revision: Revision) -> Box<RawValue> {
    let known = instance.inventory.initialize.as_deref();
    let child: Option<ChildInitialize<'_>> =
        known.and_then(|known| serde_json::from_str(known.get()).ok());
    let (capabilities, server_info, instructions) = match child {
        Some(child) => {
            (child.capabilities.unwrap_or_default(), child.server_info, child.instructions)
        }
        None => {
            let tools = Some(ListChanged { list_changed: Some(true) });
            (ChildCapabilities { tools, ..ChildCapabilities::default() }, None, None)
        }
    };
    let own = own_server_info(&instance.names.slug);
    to_raw(&Initialize {
        protocol_version: revision.as_str(),
        capabilities: Capabilities {
            tools: capabilities.tools,
            resources: capabilities.resources,
            prompts: capabilities.prompts,
            logging: capabilities.logging,
            completions: capabilities.completions,
        },
        server_info: server_info.unwrap_or(&own),
        instructions,
    })
}

/// The result of `initialize` at the router of all of a user's instances.
pub fn router_initialize(revision: Revision) -> Box<RawValue> {
    let own = own_server_info("deploystack-satellite");
    let instructions = to_raw(
        &"Call discover_mcp_tools to find tools by keyword (or `*` for all); each comes with its \
          input schema. Then call execute_mcp_tool with the tool_path and arguments. \
          list_mcp_resources and read_mcp_resource do the same for resources.",
    );
    to_raw(&Initialize {
        protocol_version: revision.as_str(),
        capabilities: Capabilities {
            tools: Some(ListChanged { list_changed: None }),
            resources: Some(ListChanged { list_changed: None }),
            prompts: None,
            logging: None,
            completions: None,
        },
        server_info: &own,
        instructions: Some(&instructions),
    })
}

fn own_server_info(name: &str) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Info<'a> {
        name: &'a str,
        version: &'static str,
    }
    to_raw(&Info { name, version: env!("CARGO_PKG_VERSION") })
}

/// A list result made of the members' own words: `{"tools":[…]}`.
pub fn list_result<'a>(key: &str, members: impl Iterator<Item = &'a RawValue>) -> Box<RawValue> {
    let mut text = String::from("{\"");
    text.push_str(key);
    text.push_str("\":[");
    for (index, member) in members.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(member.get());
    }
    text.push_str("]}");
    raw(text)
}

/// The tools of one instance, without those switched off.
pub fn instance_tools(instance: &InstanceView) -> Box<RawValue> {
    let disabled = &instance.disabled_tools;
    let tools = instance.inventory.tools.iter().filter(|tool| !disabled.contains(&tool.name));
    list_result("tools", tools.map(|tool| &*tool.raw))
}

/// A tool result that a model can read as an error.
pub fn tool_error(text: &str) -> Box<RawValue> {
    tool_text(text, true)
}

/// A tool result of one text item.
pub(super) fn tool_text(text: &str, is_error: bool) -> Box<RawValue> {
    let mut bytes = Vec::with_capacity(text.len() + text.len() / 8 + 64);
    bytes.extend_from_slice(b"{\"content\":[{\"type\":\"text\",\"text\":");
    json::append_string(&mut bytes, text);
    bytes.extend_from_slice(if is_error { b"}],\"isError\":true}" } else { b"}]}" });
    raw(String::from_utf8(bytes).unwrap_or_default())
}

/// Reads a JSON object. Derived readers take arrays too, which no peer would read as we do.
pub(super) fn object<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, String> {
    if !value.get().starts_with('{') {
        return Err(String::from("expected an object"));
    }
    serde_json::from_str(value.get()).map_err(|error| alloc::format!("{error}"))
}

pub(super) fn to_raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    // Trees of text, numbers and maps with text keys: none can fail.
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Text that was put together from valid parts.
pub(super) fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests;
