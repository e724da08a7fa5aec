//! The one authorisation point. Both routers, every method and every protocol revision pass here.

use alloc::format;
use alloc::sync::Arc;

use subtle::{Choice, ConstantTimeEq};

use super::denial::{Denial, DenialKind};
use super::identity::Subject;
use super::scope::Scope;
use crate::backend::instance_token;
use crate::id::InstanceKey;
use crate::time::Timestamp;
use crate::view::{InstanceStatus, InstanceView, View};

/// Whether `subject` may use the routers of this satellite for what `scope` stands for.
///
/// # Errors
///
/// A [`Denial`] if the token has ended since it was looked up, is for a team this satellite does
/// not serve, or lacks the scope.
pub fn router_access(
    view: &View,
    subject: &Subject,
    scope: Scope,
    now: Timestamp,
) -> Result<(), Denial> {
    if subject.expires.is_some_and(|end| end <= now) {
        return Err(Denial::new(
            DenialKind::TokenInvalid,
            "The access token has expired. Refresh it or sign in again.",
        ));
    }
    let own_team = view.satellite.as_ref().and_then(|satellite| satellite.team.as_ref());
    if own_team.is_some_and(|team| *team != subject.team) {
        return Err(Denial::new(
            DenialKind::WrongTeam,
            "This satellite serves another team. Sign in with the team it belongs to.",
        ));
    }
    if !subject.has(scope) {
        return Err(Denial::new(
            DenialKind::ScopeMissing(scope),
            format!(
                "The access token lacks the scope {}. Sign in again and grant it.",
                scope.as_str()
            ),
        ));
    }
    Ok(())
}

/// Which instance `token` opens at `path`.
///
/// The answer depends on nothing a stranger could probe: a token that belongs to no instance is
/// refused in the same way at every path, and one that belongs to another instance finds nothing
/// at any path but its own.
///
/// # Errors
///
/// [`DenialKind::InstanceToken`] or [`DenialKind::InstancePath`].
pub fn instance_by_token<'v>(
    view: &'v View,
    path: &str,
    token: Option<&str>,
) -> Result<&'v Arc<InstanceView>, Denial> {
    let Some(token) = token else {
        return Err(Denial::new(
            DenialKind::InstanceToken,
            "The instance token is missing. Send it as `Authorization: Bearer ds_inst_…`.",
        ));
    };
    let digits = token.strip_prefix(instance_token::PREFIX);
    if token.len() != instance_token::LENGTH
        || !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(Denial::new(
            DenialKind::InstanceToken,
            "This is no instance token: it is `ds_inst_` and 64 hexadecimal digits. Copy it again \
             from the installation's page.",
        ));
    }
    let hash = instance_token::hash(token);
    let at_path = view.paths.get(path).and_then(|key| view.instances.get(key));
    if let Some(instance) = at_path
        && opens(instance, &hash)
    {
        return Ok(instance);
    }
    // Only a refusal looks further, and always at every instance.
    let leads_elsewhere = view
        .instances
        .values()
        .fold(Choice::from(0), |found, instance| found | matches(instance, &hash));
    Err(if bool::from(leads_elsewhere) {
        Denial::new(
            DenialKind::InstancePath,
            "No instance answers to this token at this path. Copy the URL and the token again \
             from the installation's page.",
        )
    } else {
        Denial::new(
            DenialKind::InstanceToken,
            "The instance token is not valid. Copy it again from the installation's page, or \
             have it issued anew.",
        )
    })
}

fn opens(instance: &InstanceView, hash: &str) -> bool {
    matches(instance, hash).into()
}

fn matches(instance: &InstanceView, hash: &str) -> Choice {
    // Slices of unequal length, such as no hash at all, never match.
    let stored = instance.address.as_ref().map_or("", |address| address.token_hash.as_str());
    stored.as_bytes().ct_eq(hash.as_bytes())
}

/// Whether calls may be sent to an instance in its present status, starting it if need be.
///
/// `offline` and `error` let calls through: a call is how they recover.
///
/// # Errors
///
/// [`DenialKind::InstanceBlocked`] where only a person can help.
pub fn callable(instance: &InstanceView) -> Result<(), Denial> {
    let advice = match instance.status {
        InstanceStatus::RequiresReauth => {
            "it needs to be authorised again: its user must connect to it"
        }
        InstanceStatus::PermanentlyFailed => {
            "it crashed too often: look at its log, then restart it from the installation's page"
        }
        InstanceStatus::AwaitingUserConfig => {
            "it waits for your own settings: fill them in on the installation's page"
        }
        _ => return Ok(()),
    };
    let mut text = format!("The server {} can't be used: {advice}.", instance.names.slug);
    if let Some(message) = &instance.status_message {
        text.push_str(" Last error: ");
        text.push_str(message);
    }
    Err(Denial::new(DenialKind::InstanceBlocked(instance.status), text))
}

/// Whether `tool` may be called on an instance that the caller may use.
///
/// # Errors
///
/// [`DenialKind::ToolDisabled`], or what [`callable`] says.
pub fn tool_callable(instance: &InstanceView, tool: &str) -> Result<(), Denial> {
    if instance.disabled_tools.contains(tool) {
        return Err(Denial::new(
            DenialKind::ToolDisabled,
            format!(
                "The tool {tool} of {} is switched off. A team administrator can switch it on.",
                instance.names.slug
            ),
        ));
    }
    callable(instance)
}

/// Whether `key` is an instance of `subject`: same user and same team.
pub fn owns(subject: &Subject, key: &InstanceKey) -> bool {
    key.user == subject.user && key.team == subject.team
}

#[cfg(test)]
mod tests;
