//! The four tools of the router of all instances: find, execute, list resources, read a resource.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::catalogue::ListedTool;
use super::denial::{Denial, DenialKind};
use super::protocol::{object, raw, to_raw, tool_text};
use super::resources::{namespaced, replace_token};
use super::scope::Scope;
use super::search::{EVERYTHING, EVERYTHING_MAX, Found, Hit, LIMIT_DEFAULT, LIMIT_MAX};

/// The result of `tools/list`.
pub const TOOLS: &str = include_str!("meta_tools/tools.json");

/// A call of one of the four, its arguments read.
#[derive(Clone, Debug)]
pub enum MetaCall<'a> {
    /// `discover_mcp_tools`
    Discover {
        /// Keywords, or `*`.
        query: String,
        /// Hits wanted.
        limit: usize,
    },
    /// `execute_mcp_tool`
    Execute {
        /// `server:tool`.
        tool_path: String,
        /// The tool's arguments, word for word: an object.
        arguments: Option<&'a RawValue>,
        /// The call's `_meta`, word for word.
        meta: Option<&'a RawValue>,
    },
    /// `list_mcp_resources`
    ListResources,
    /// `read_mcp_resource`
    ReadResource {
        /// `server|uri`.
        uri: String,
        /// The call's `_meta`, word for word.
        meta: Option<&'a RawValue>,
    },
}

/// The parameters of `tools/call`.
#[derive(Deserialize)]
struct Params<'a> {
    name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

/// The arguments of all four; each takes its own.
#[derive(Deserialize, Default)]
struct Arguments<'a> {
    #[serde(borrow, default)]
    query: Option<&'a RawValue>,
    #[serde(borrow, default)]
    limit: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_path: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
}

impl<'a> MetaCall<'a> {
    /// Reads the parameters of a `tools/call`.
    ///
    /// # Errors
    ///
    /// A [`Denial`] of kind [`DenialKind::Arguments`] or [`DenialKind::TargetUnknown`] that says
    /// what to pass instead.
    pub fn decode(params: Option<&'a RawValue>) -> Result<MetaCall<'a>, Denial> {
        let params = params.ok_or_else(|| wrong("`params` is missing: a call names a tool."))?;
        let params: Params<'a> =
            object(params).map_err(|error| wrong(format!("`params` of tools/call: {error}.")))?;
        let arguments: Arguments<'a> = match params.arguments {
            None => Arguments::default(),
            Some(arguments) => object(arguments)
                .map_err(|error| wrong(format!("`arguments` of {}: {error}.", params.name)))?,
        };
        match params.name.as_str() {
            "discover_mcp_tools" => Ok(MetaCall::Discover {
                query: text(
                    arguments.query,
                    "`query` is missing: pass 1 to 3 keywords, or `*` for everything.",
                )?,
                limit: limit(arguments.limit)?,
            }),
            "execute_mcp_tool" => {
                let tool_path = text(
                    arguments.tool_path,
                    "`tool_path` is missing: pass server:tool, as discover_mcp_tools returns it.",
                )?;
                if arguments.arguments.is_some_and(|value| !value.get().starts_with('{')) {
                    return Err(wrong(
                        "`arguments` must be an object: the tool's own arguments, by name.",
                    ));
                }
                let meta = params.meta;
                Ok(MetaCall::Execute { tool_path, arguments: arguments.arguments, meta })
            }
            "list_mcp_resources" => Ok(MetaCall::ListResources),
            "read_mcp_resource" => Ok(MetaCall::ReadResource {
                uri: text(
                    arguments.uri,
                    "`uri` is missing: pass server|uri, as list_mcp_resources returns it.",
                )?,
                meta: params.meta,
            }),
            _ => Err(Denial::new(
                DenialKind::TargetUnknown,
                "There is no such tool here. The tools of your servers are found with \
                 discover_mcp_tools and called with execute_mcp_tool.",
            )),
        }
    }

    /// What a token must permit for this call.
    pub fn scope(&self) -> Scope {
        match self {
            MetaCall::Execute { .. } => Scope::Execute,
            MetaCall::Discover { .. } | MetaCall::ListResources | MetaCall::ReadResource { .. } => {
                Scope::Read
            }
        }
    }
}

fn wrong(text: impl Into<String>) -> Denial {
    Denial::new(DenialKind::Arguments, text)
}

fn text(value: Option<&RawValue>, missing: &'static str) -> Result<String, Denial> {
    let text: Option<String> = value.and_then(|value| serde_json::from_str(value.get()).ok());
    text.filter(|text| !text.trim().is_empty()).ok_or_else(|| wrong(missing))
}

fn limit(value: Option<&RawValue>) -> Result<usize, Denial> {
    let Some(value) = value else { return Ok(LIMIT_DEFAULT) };
    match serde_json::from_str::<f64>(value.get()) {
        // Saturates at both ends.
        Ok(limit) if limit >= 1.0 => Ok((limit as usize).min(LIMIT_MAX)),
        _ => Err(wrong(format!("`limit` must be a number from 1 to {LIMIT_MAX}."))),
    }
}

/// The parameters of `tools/call` for the server itself.
pub fn child_call(
    tool: &str,
    arguments: Option<&RawValue>,
    meta: Option<&RawValue>,
) -> Box<RawValue> {
    let mut bytes = Vec::with_capacity(
        tool.len()
            + arguments.map_or(2, |a| a.get().len())
            + meta.map_or(0, |m| m.get().len())
            + 48,
    );
    bytes.extend_from_slice(b"{\"name\":");
    crate::json::append_string(&mut bytes, tool);
    bytes.extend_from_slice(b",\"arguments\":");
    bytes.extend_from_slice(arguments.map_or("{}", RawValue::get).as_bytes());
    if let Some(meta) = meta {
        bytes.extend_from_slice(b",\"_meta\":");
        bytes.extend_from_slice(meta.get().as_bytes());
    }
    bytes.push(b'}');
    raw(String::from_utf8(bytes).unwrap_or_default())
}

#[derive(Serialize)]
struct Discovered<'a> {
    tools: Vec<ShownTool<'a>>,
    total_found: usize,
    search_time_ms: u64,
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_available: Option<usize>,
}

#[derive(Serialize)]
struct ShownTool<'a> {
    tool_path: String,
    description: &'a str,
    server_name: &'a str,
    transport: &'static str,
    relevance_score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a RawValue>,
    #[serde(rename = "inputSchema", skip_serializing_if = "Option::is_none")]
    input_schema: Option<&'a RawValue>,
    #[serde(rename = "outputSchema", skip_serializing_if = "Option::is_none")]
    output_schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a RawValue>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<Box<RawValue>>,
}

/// What of a tool's definition is shown word for word.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Definition<'a> {
    #[serde(borrow, default)]
    title: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input_schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output_schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

/// The result of `discover_mcp_tools`. `took_ms` is how long the search took.
pub fn discovered(found: &Found<'_>, query: &str, took_ms: u64) -> Box<RawValue> {
    let is_everything = query.trim() == EVERYTHING;
    let left_out = found.total > found.hits.len();
    let notice = if found.total == 0 {
        Some(String::from(if is_everything {
            "None of your servers is online. Their status is shown on the installations' pages."
        } else {
            "Nothing fits. Try other keywords, or `*` for everything."
        }))
    } else if left_out && is_everything {
        Some(format!(
            "`*` shows at most {EVERYTHING_MAX} tools. Search by keyword to find the others."
        ))
    } else {
        None
    };
    let discovered = Discovered {
        tools: found.hits.iter().map(shown).collect(),
        total_found: found.hits.len(),
        search_time_ms: took_ms,
        query,
        notice,
        total_available: left_out.then_some(found.total),
    };
    tool_text(to_raw(&discovered).get(), false)
}

fn shown<'c>(hit: &Hit<'c>) -> ShownTool<'c> {
    let ListedTool { server, tool, freshness } = hit.tool;
    let definition: Definition<'c> = serde_json::from_str(tool.raw.get()).unwrap_or_default();
    let own_meta = definition.meta.map(|meta| meta_for_router(meta, &server.label));
    ShownTool {
        tool_path: hit.tool.path(),
        description: &tool.description,
        server_name: &server.label,
        transport: server.instance.transport.as_str(),
        relevance_score: f64::from(hit.relevance) / 1_000.0,
        title: definition.title,
        input_schema: definition.input_schema,
        output_schema: definition.output_schema,
        annotations: definition.annotations,
        meta: freshness.mark_meta(own_meta.as_deref()),
    }
}

/// A tool's `_meta`, with `ui.resourceUri` in the form that this router's resources have.
fn meta_for_router(meta: &RawValue, server: &str) -> Box<RawValue> {
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow)]
        ui: Ui<'a>,
    }
    #[derive(Deserialize)]
    struct Ui<'a> {
        #[serde(borrow, rename = "resourceUri")]
        resource_uri: &'a RawValue,
    }
    let rewritten = || {
        let found: Meta<'_> = serde_json::from_str(meta.get()).ok()?;
        let uri: String = serde_json::from_str(found.ui.resource_uri.get()).ok()?;
        replace_token(meta.get(), Some(found.ui.resource_uri), &namespaced(server, &uri))
    };
    rewritten().unwrap_or_else(|| meta.to_owned())
}

#[cfg(test)]
mod tests;
