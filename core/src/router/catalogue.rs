//! What one user has: filtered by identity before anything else looks at it.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::authorise;
use super::denial::{Denial, DenialKind};
use super::freshness::{self, Freshness};
use super::identity::Subject;
use crate::id::{InstallationId, InstanceKey, UserId};
use crate::time::Timestamp;
use crate::view::{InstanceStatus, InstanceView, Resource, Tool, View};

/// Between a server and a tool in a tool path. Tools may have it in their names, servers not.
pub const TOOL_SEPARATOR: char = ':';
/// Between a server and a URI in a resource path.
pub const RESOURCE_SEPARATOR: char = '|';

/// The instances of one user in one team, in a stable order.
#[derive(Clone, Debug)]
pub struct Catalogue<'v> {
    servers: Vec<Server<'v>>,
}

/// One of the user's instances, under the name it has in paths.
#[derive(Clone, Debug)]
pub struct Server<'v> {
    /// The name in tool and resource paths. Where two of the user's installations share a slug,
    /// each is called `slug@installation`, so that no path ever leads to the wrong one.
    pub label: Cow<'v, str>,
    /// The instance.
    pub instance: &'v Arc<InstanceView>,
    /// Whether its offers are shown, and how old they are.
    freshness: Option<Freshness>,
}

/// A tool that may be shown.
#[derive(Clone, Copy, Debug)]
pub struct ListedTool<'c> {
    /// Its server.
    pub server: &'c Server<'c>,
    /// The tool.
    pub tool: &'c Tool,
    /// Whether it is known to be on offer at this moment.
    pub freshness: Freshness,
}

/// A resource, or a resource template, that may be shown.
#[derive(Clone, Copy, Debug)]
pub struct ListedResource<'c> {
    /// Its server.
    pub server: &'c Server<'c>,
    /// The resource.
    pub resource: &'c Resource,
    /// Whether it is known to be on offer at this moment.
    pub freshness: Freshness,
}

impl ListedTool<'_> {
    /// The path by which it is executed.
    pub fn path(&self) -> String {
        format!("{}{TOOL_SEPARATOR}{}", self.server.label, self.tool.name)
    }
}

impl<'v> Catalogue<'v> {
    /// What `subject` has in `view`.
    pub fn of(view: &'v View, subject: &Subject, now: Timestamp) -> Self {
        // Keys begin with the team, so the other teams' instances are not even looked at.
        let start = InstanceKey {
            team: subject.team.clone(),
            installation: InstallationId::new(""),
            user: UserId::new(""),
        };
        let own: Vec<_> = view
            .instances
            .range(start..)
            .take_while(|(key, _)| key.team == subject.team)
            .filter(|(key, _)| authorise::owns(subject, key))
            .map(|(_, instance)| instance)
            .collect();
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        for instance in &own {
            *uses.entry(instance.names.slug.as_str()).or_default() += 1;
        }
        let mut servers: Vec<_> = own
            .into_iter()
            .map(|instance| {
                let slug = instance.names.slug.as_str();
                let label = if uses.get(slug).is_some_and(|uses| *uses > 1) {
                    Cow::Owned(format!("{slug}@{}", instance.key.installation))
                } else {
                    Cow::Borrowed(slug)
                };
                Server { label, instance, freshness: freshness::of(instance, now) }
            })
            .collect();
        servers.sort_by(|left, right| left.label.cmp(&right.label));
        Catalogue { servers }
    }

    /// The user's servers, whatever their status.
    pub fn servers(&self) -> &[Server<'v>] {
        &self.servers
    }

    /// The servers whose offers are shown.
    fn shown(&self) -> impl Iterator<Item = (&Server<'v>, Freshness)> {
        self.servers.iter().filter_map(|server| Some((server, server.freshness?)))
    }

    /// The tools that may be shown, without those switched off.
    pub fn tools(&self) -> impl Iterator<Item = ListedTool<'_>> {
        self.shown().flat_map(|(server, freshness)| {
            let disabled = &server.instance.disabled_tools;
            server
                .instance
                .inventory
                .tools
                .iter()
                .filter(|tool| !disabled.contains(&tool.name))
                .map(move |tool| ListedTool { server, tool, freshness })
        })
    }

    /// The resources that may be shown.
    pub fn resources(&self) -> impl Iterator<Item = ListedResource<'_>> {
        self.shown().flat_map(|(server, freshness)| {
            let resources = server.instance.inventory.resources.iter();
            resources.map(move |resource| ListedResource { server, resource, freshness })
        })
    }

    /// The resource templates that may be shown.
    pub fn resource_templates(&self) -> impl Iterator<Item = ListedResource<'_>> {
        self.shown().flat_map(|(server, freshness)| {
            let templates = server.instance.inventory.resource_templates.iter();
            templates.map(move |resource| ListedResource { server, resource, freshness })
        })
    }

    /// The instance and the tool that a tool path names, if it may be called.
    ///
    /// # Errors
    ///
    /// [`DenialKind::TargetUnknown`], [`DenialKind::ToolDisabled`] or
    /// [`DenialKind::InstanceBlocked`].
    pub fn tool<'p>(&self, path: &'p str) -> Result<(&'v Arc<InstanceView>, &'p str), Denial> {
        let Some((label, tool)) = path.split_once(TOOL_SEPARATOR) else {
            return Err(Denial::new(
                DenialKind::TargetUnknown,
                format!(
                    "`{}` is no tool path: it has the form server:tool, as discover_mcp_tools \
                     returns it.",
                    quoted(path)
                ),
            ));
        };
        let instance = self.server(label, "discover_mcp_tools")?;
        authorise::tool_callable(instance, tool)?;
        // An instance that never listed its tools may have this one; it will say so itself.
        let listed = &instance.inventory.tools;
        if instance.status == InstanceStatus::Online
            && !listed.iter().any(|listed| listed.name == tool)
        {
            return Err(Denial::new(
                DenialKind::TargetUnknown,
                format!(
                    "The server {label} has no tool called `{}`. Call discover_mcp_tools to see \
                     which it has.",
                    quoted(tool)
                ),
            ));
        }
        Ok((instance, tool))
    }

    /// The instance and the URI that a resource path names, if it may be read.
    ///
    /// # Errors
    ///
    /// [`DenialKind::TargetUnknown`] or [`DenialKind::InstanceBlocked`].
    pub fn resource<'p>(&self, path: &'p str) -> Result<(&'v Arc<InstanceView>, &'p str), Denial> {
        let Some((label, uri)) = path.split_once(RESOURCE_SEPARATOR) else {
            return Err(Denial::new(
                DenialKind::TargetUnknown,
                format!(
                    "`{}` is no resource path: it has the form server|uri, as list_mcp_resources \
                     returns it.",
                    quoted(path)
                ),
            ));
        };
        let instance = self.server(label, "list_mcp_resources")?;
        authorise::callable(instance)?;
        Ok((instance, uri))
    }

    fn server(&self, label: &str, list_with: &str) -> Result<&'v Arc<InstanceView>, Denial> {
        if let Some(server) = self.servers.iter().find(|server| server.label == label) {
            return Ok(server.instance);
        }
        let namesakes: Vec<&str> = self
            .servers
            .iter()
            .filter(|server| server.instance.names.slug == label)
            .map(|server| &*server.label)
            .collect();
        let text = if namesakes.is_empty() {
            format!(
                "You have no server called `{}`. Call {list_with} to see what you have.",
                quoted(label)
            )
        } else {
            format!("Several of your servers are called {label}: use {}.", namesakes.join(" or "))
        };
        Err(Denial::new(DenialKind::TargetUnknown, text))
    }
}

/// What a client sent, cut to a length that fits a message.
fn quoted(text: &str) -> &str {
    const LONGEST: usize = 200;
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
