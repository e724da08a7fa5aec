//! What each method of the two routers comes to: an answer at once, or a call of one instance.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::authorise;
use super::catalogue::Catalogue;
use super::denial::{Denial, DenialKind};
use super::freshness;
use super::identity::Subject;
use super::meta_tools::{self, MetaCall};
use super::protocol::{self, list_result, object, raw};
use super::resources;
use super::scope::Scope;
use crate::id::InstanceKey;
use crate::time::Timestamp;
use crate::view::{InstanceView, View};

/// What a request comes to.
#[derive(Debug)]
pub enum Step {
    /// It is answered with this result.
    Answer(Box<RawValue>),
    /// The caller's tools are to be searched.
    Search {
        /// Keywords, or `*`.
        query: String,
        /// Hits wanted.
        limit: usize,
    },
    /// An instance answers it.
    Call(Plan),
    /// The instance must be running before this can be answered; then it is asked anew.
    Start(InstanceKey),
    /// There is no such method here.
    NoMethod,
}

/// A call of an instance.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The instance.
    pub key: InstanceKey,
    /// The method.
    pub method: Cow<'static, str>,
    /// The tool, by its own name, where one is called.
    pub tool: Option<String>,
    /// The parameters, word for word where they are the client's.
    pub params: Option<Box<RawValue>>,
    /// Whether the call may be sent again after it may have been carried out.
    pub is_repeatable: bool,
    /// What its result becomes.
    pub form: Form,
}

/// What the result of a call becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A tool's: it passes untouched, and what keeps the call from happening is shown to the model.
    Tool,
    /// A resource's contents, as a tool's result.
    ResourceAsTool,
    /// Anything else: it passes untouched.
    Plain,
}

/// A request at the router of all of a user's instances.
///
/// # Errors
///
/// A [`Denial`] that says what is missing or wrong.
pub fn all_instances(
    view: &View,
    subject: &Subject,
    now: Timestamp,
    method: &str,
    params: Option<&RawValue>,
) -> Result<Step, Denial> {
    authorise::router_access(view, subject, Scope::Read, now)?;
    let catalogue = || Catalogue::of(view, subject, now);
    Ok(match method {
        "ping" => Step::Answer(raw(String::from("{}"))),
        "tools/list" => Step::Answer(raw(String::from(meta_tools::TOOLS))),
        "tools/call" => {
            let call = MetaCall::decode(params)?;
            authorise::router_access(view, subject, call.scope(), now)?;
            meta_call(&catalogue(), call)?
        }
        "resources/list" => Step::Answer(resources::list(&catalogue())),
        "resources/templates/list" => Step::Answer(resources::list_templates(&catalogue())),
        "resources/read" => {
            let path = resources::requested_uri(params)?;
            Step::Call(read(&catalogue(), &path, meta_of(params), Form::Plain)?)
        }
        _ => Step::NoMethod,
    })
}

fn meta_call(catalogue: &Catalogue<'_>, call: MetaCall<'_>) -> Result<Step, Denial> {
    Ok(match call {
        MetaCall::Discover { query, limit } => Step::Search { query, limit },
        MetaCall::Execute { tool_path, arguments, meta } => {
            let (instance, tool) = catalogue.tool(&tool_path)?;
            Step::Call(Plan {
                key: instance.key.clone(),
                method: Cow::Borrowed("tools/call"),
                tool: Some(String::from(tool)),
                params: Some(meta_tools::child_call(tool, arguments, meta)),
                is_repeatable: is_repeatable(instance, tool),
                form: Form::Tool,
            })
        }
        MetaCall::ListResources => Step::Answer(resources::listing(catalogue)),
        MetaCall::ReadResource { uri, meta } => {
            Step::Call(read(catalogue, &uri, meta, Form::ResourceAsTool)?)
        }
    })
}

fn read(
    catalogue: &Catalogue<'_>,
    path: &str,
    meta: Option<&RawValue>,
    form: Form,
) -> Result<Plan, Denial> {
    let (instance, uri) = catalogue.resource(path)?;
    Ok(Plan {
        key: instance.key.clone(),
        method: Cow::Borrowed("resources/read"),
        tool: None,
        params: Some(resources::read_params(uri, meta)),
        is_repeatable: true,
        form,
    })
}

/// A request at the router of one instance.
///
/// # Errors
///
/// A [`Denial`] that says what is missing or wrong.
pub fn one_instance(
    instance: &Arc<InstanceView>,
    now: Timestamp,
    method: &str,
    params: Option<&RawValue>,
) -> Result<Step, Denial> {
    let inventory = &instance.inventory;
    // Where nothing is shown, it is said why.
    let list = |result: Box<RawValue>| match freshness::of(instance, now) {
        Some(freshness) => Ok(Step::Answer(freshness.mark(&result))),
        None => authorise::callable(instance).map(|()| Step::Answer(result)),
    };
    let plain = |method: &'static str, is_repeatable| {
        Step::Call(Plan {
            key: instance.key.clone(),
            method: Cow::Borrowed(method),
            tool: None,
            params: params.map(ToOwned::to_owned),
            is_repeatable,
            form: Form::Plain,
        })
    };
    Ok(match method {
        "ping" => Step::Answer(raw(String::from("{}"))),
        "tools/call" => {
            let tool = called_tool(params)?;
            authorise::tool_callable(instance, &tool)?;
            Step::Call(Plan {
                key: instance.key.clone(),
                method: Cow::Borrowed("tools/call"),
                tool: Some(String::from(&*tool)),
                params: params.map(ToOwned::to_owned),
                is_repeatable: is_repeatable(instance, &tool),
                form: Form::Tool,
            })
        }
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list"
            if inventory.initialize.is_none() =>
        {
            Step::Start(instance.key.clone())
        }
        "tools/list" => list(protocol::instance_tools(instance))?,
        "resources/list" => {
            let members = inventory.resources.iter().map(|resource| &*resource.raw);
            list(list_result("resources", members))?
        }
        "resources/templates/list" => {
            let members = inventory.resource_templates.iter().map(|template| &*template.raw);
            list(list_result("resourceTemplates", members))?
        }
        "prompts/list" => {
            let members = inventory.prompts.iter().map(|prompt| &**prompt);
            list(list_result("prompts", members))?
        }
        "resources/read" => plain("resources/read", true),
        "prompts/get" => plain("prompts/get", true),
        "completion/complete" => plain("completion/complete", true),
        "logging/setLevel" => plain("logging/setLevel", true),
        _ => Step::NoMethod,
    })
}

/// The tool that the parameters of `tools/call` name. A name that comes twice is refused: the
/// server might read the other.
fn called_tool(params: Option<&RawValue>) -> Result<Cow<'_, str>, Denial> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    let wrong = |text: String| Denial::new(DenialKind::Arguments, text);
    let params =
        params.ok_or_else(|| wrong(String::from("`params` is missing: a call names a tool.")))?;
    let params: Params<'_> =
        object(params).map_err(|error| wrong(format!("`params` of tools/call: {error}.")))?;
    Ok(params.name)
}

fn meta_of(params: Option<&RawValue>) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, default, rename = "_meta")]
        meta: Option<&'a RawValue>,
    }
    object::<Params<'_>>(params?).ok()?.meta
}

fn is_repeatable(instance: &InstanceView, tool: &str) -> bool {
    instance.inventory.tools.iter().any(|listed| listed.repeatable && listed.name == tool)
}

#[cfg(test)]
mod tests;
