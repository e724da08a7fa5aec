//! Resources of all of a user's servers, each under `server|uri`.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::catalogue::{Catalogue, ListedResource, RESOURCE_SEPARATOR};
use super::denial::{Denial, DenialKind};
use super::protocol::{list_result, object, raw, to_raw, tool_text};
use crate::json;

/// The URI of a resource as the router of all instances shows it.
pub fn namespaced(server: &str, uri: &str) -> String {
    format!("{server}{RESOURCE_SEPARATOR}{uri}")
}

/// The result of `resources/list` at the router of all instances: each definition word for word,
/// only its URI namespaced.
pub fn list(catalogue: &Catalogue<'_>) -> Box<RawValue> {
    let members: Vec<_> = catalogue.resources().map(|listed| under_own_name(&listed)).collect();
    list_result("resources", members.iter().map(|member| &**member))
}

/// The result of `resources/templates/list` at the router of all instances, likewise.
pub fn list_templates(catalogue: &Catalogue<'_>) -> Box<RawValue> {
    let members: Vec<_> =
        catalogue.resource_templates().map(|listed| under_own_name(&listed)).collect();
    list_result("resourceTemplates", members.iter().map(|member| &**member))
}

/// A definition with its URI, or URI template, namespaced.
fn under_own_name(listed: &ListedResource<'_>) -> Box<RawValue> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Definition<'a> {
        #[serde(borrow, default)]
        uri: Option<&'a RawValue>,
        #[serde(borrow, default)]
        uri_template: Option<&'a RawValue>,
    }
    let ListedResource { server, resource, freshness } = listed;
    let text = resource.raw.get();
    let definition: Result<Definition<'_>, _> = serde_json::from_str(text);
    let token = definition.ok().and_then(|found| found.uri.or(found.uri_template));
    match replace_token(text, token, &namespaced(&server.label, &resource.uri)) {
        Some(named) => freshness.mark(&named),
        None => freshness.mark(&resource.raw),
    }
}

/// `text` with the JSON value `token`, which is borrowed from it, replaced by a string.
pub(super) fn replace_token(
    text: &str,
    token: Option<&RawValue>,
    with: &str,
) -> Option<Box<RawValue>> {
    let span = json::span_within(text, token?.get())?;
    let mut string = Vec::new();
    json::append_string(&mut string, with);
    Some(raw(json::replaced(text, span, core::str::from_utf8(&string).ok()?)))
}

/// The URI in the parameters of `resources/read`.
///
/// # Errors
///
/// [`DenialKind::Arguments`].
pub fn requested_uri(params: Option<&RawValue>) -> Result<String, Denial> {
    #[derive(Deserialize)]
    struct Params {
        uri: String,
    }
    params.and_then(|params| object(params).ok()).map(|params: Params| params.uri).ok_or_else(
        || {
            Denial::new(
                DenialKind::Arguments,
                "`uri` is missing: pass the server|uri of a listed resource.",
            )
        },
    )
}

/// The parameters of `resources/read` for the server itself, the client's `_meta` kept.
pub fn read_params(uri: &str, meta: Option<&RawValue>) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Params<'a> {
        uri: &'a str,
        #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
        meta: Option<&'a RawValue>,
    }
    to_raw(&Params { uri, meta })
}

/// The result of the meta tool `list_mcp_resources`.
pub fn listing(catalogue: &Catalogue<'_>) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Listing<'a> {
        resources: Vec<Shown<'a>>,
        resource_templates: Vec<Shown<'a>>,
        total_resources: usize,
        total_templates: usize,
    }
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        uri: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        uri_template: Option<String>,
        name: &'a str,
        description: &'a str,
        #[serde(rename = "mimeType")]
        mime_type: Option<&'a str>,
        server: &'a str,
        #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
        meta: Option<Box<RawValue>>,
    }
    fn shown<'a>(listed: &ListedResource<'a>) -> Shown<'a> {
        let ListedResource { server, resource, freshness } = listed;
        #[derive(Deserialize)]
        struct Definition<'a> {
            #[serde(borrow, default, rename = "_meta")]
            meta: Option<&'a RawValue>,
        }
        let definition: Option<Definition<'a>> = serde_json::from_str(resource.raw.get()).ok();
        Shown {
            uri: None,
            uri_template: None,
            name: &resource.name,
            description: &resource.description,
            mime_type: resource.mime_type.as_deref(),
            server: &server.label,
            meta: freshness.mark_meta(definition.and_then(|definition| definition.meta)),
        }
    }
    let resources: Vec<_> = catalogue
        .resources()
        .map(|listed| Shown {
            uri: Some(namespaced(&listed.server.label, &listed.resource.uri)),
            ..shown(&listed)
        })
        .collect();
    let resource_templates: Vec<_> = catalogue
        .resource_templates()
        .map(|listed| Shown {
            uri_template: Some(namespaced(&listed.server.label, &listed.resource.uri)),
            ..shown(&listed)
        })
        .collect();
    let listing = Listing {
        total_resources: resources.len(),
        total_templates: resource_templates.len(),
        resources,
        resource_templates,
    };
    tool_text(to_raw(&listing).get(), false)
}

/// What the meta tool `read_mcp_resource` makes of a server's `resources/read` result: texts as
/// text, everything else embedded word for word. A result of another form is shown as it is.
pub fn read_result(child: &RawValue) -> Box<RawValue> {
    #[derive(Deserialize)]
    struct Read<'a> {
        #[serde(borrow)]
        contents: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        text: &'a RawValue,
    }
    let Ok(read) = serde_json::from_str::<Read<'_>>(child.get()) else {
        return tool_text(child.get(), false);
    };
    let mut text = String::with_capacity(child.get().len() + 64);
    text.push_str("{\"content\":[");
    for (index, content) in read.contents.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let (head, body) = match serde_json::from_str::<Content<'_>>(content.get()) {
            Ok(content) if content.text.get().starts_with('"') => {
                ("{\"type\":\"text\",\"text\":", content.text.get())
            }
            _ => ("{\"type\":\"resource\",\"resource\":", content.get()),
        };
        text.push_str(head);
        text.push_str(body);
        text.push('}');
    }
    text.push_str("]}");
    raw(text)
}

#[cfg(test)]
mod tests;
