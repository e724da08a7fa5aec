//! Conversations with servers elsewhere.

use satellite_core::id::InstanceKey;
use satellite_core::relay::CallOutcome;
use satellite_core::remote::Request;
use satellite_core::view::{InstanceStatus, InstanceView, Transport};

use super::Invariant;
use crate::stage::remotes::server::{Form, Rpc};
use crate::stage::remotes::{Conversation, End, Origin, header, may_repeat, parameter, read_token};
use crate::stage::{SECRET, Stage};

/// A conversation has an instance, and an instance has one conversation: nothing of an instance that
/// is gone goes on.
pub(super) fn have_instances(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    let view = control.view();
    let mut seen: Vec<&InstanceKey> = Vec::new();
    for (number, it) in subject.conversations.iter().filter(|(_, it)| it.end == End::None) {
        let name = &subject.name;
        if !view.instances.contains_key(&it.key) {
            return Err(format!("{name}: conversation {number} of {}, which is gone", it.key));
        }
        if seen.contains(&&it.key) {
            return Err(format!("{name}: {} has two conversations", it.key));
        }
        seen.push(&it.key);
    }
    Ok(())
}

fn of<'a>(stage: &'a Stage, index: usize, instance: &InstanceView) -> Option<&'a Conversation> {
    let ready = instance.ready?;
    let conversations = &stage.satellites.get(index)?.conversations;
    // What broke of itself counts until its daemon hears of it: that is a step away.
    let mut own =
        conversations.values().filter(|it| it.key == instance.key && it.incarnation == ready);
    own.find(|it| it.end == End::None || it.is_broken)
}

/// A status says what was seen: an instance is online only where its server has told its lists, and
/// asks for its user only where its access was refused.
pub(super) fn statuses_have_reasons(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    for (key, instance) in &control.view().instances {
        if instance.transport == Transport::Stdio {
            continue;
        }
        let name = &subject.name;
        match instance.status {
            InstanceStatus::Online
                if !of(stage, index, instance).is_some_and(|it| it.was_listed) =>
            {
                return Err(format!("{name}: {key} is online, and was told no lists"));
            }
            InstanceStatus::RequiresReauth
                if !stage.remotes.refused.contains(&(index, key.clone())) =>
            {
                return Err(format!("{name}: {key} asks for its user, and nobody refused it"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether an instance that takes calls has a conversation that goes on.
pub(super) fn is_ready(stage: &Stage, index: usize, instance: &InstanceView) -> bool {
    of(stage, index, instance).is_some()
}

/// What a server offered stays on offer until more is known.
pub(super) fn tools_stay(stage: &mut Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    let (view, boot) = (control.view(), subject.boot);
    let known = stage.watch.tools.entry(index).or_default();
    if known.0 != boot {
        *known = (boot, Default::default());
    }
    known.1.retain(|key| view.instances.contains_key(key));
    for (key, instance) in &view.instances {
        if instance.transport == Transport::Stdio {
            continue;
        }
        if !instance.inventory.tools.is_empty() {
            known.1.insert(key.clone());
        } else if known.1.contains(key) {
            let (name, status) = (&subject.name, instance.status.as_str());
            return Err(format!("{name}: the tools of {key}, which is {status}, are gone"));
        }
    }
    Ok(())
}

/// A server tells its lists: it was asked.
pub(in crate::stage) fn listed(stage: &mut Stage, index: usize, number: u64) {
    let conversation = stage.satellites.get(index).and_then(|it| it.conversations.get(&number));
    let was_listed = conversation.is_none_or(|it| it.was_listed);
    let outcome = match was_listed {
        true => Ok(()),
        false => Err(format!("conversation {number} reports lists that nobody told it")),
    };
    stage.watch.holds(Invariant::StatusHasReason, outcome);
}

/// A peer sends a request: one greeting and one question for lists at a time, and after the end
/// nothing but the goodbye.
pub(in crate::stage) fn sent(stage: &mut Stage, origin: &Origin, rpc: Rpc) {
    let number = origin.conversation;
    let subject = stage.satellites.get(origin.satellite);
    let Some(it) = subject.and_then(|it| it.conversations.get(&number)) else { return };
    // In the older transport answers come on another exchange, perhaps before the message's own.
    let is_legacy = stage.remotes.form_of(&origin.key) == Some(Form::Legacy);
    if let (Rpc::Initialize | Rpc::List, false) = (rpc, is_legacy) {
        let again = it.running.values().any(|(other, is_heard)| *other == rpc && !is_heard);
        let outcome = match again {
            true => Err(format!("conversation {number} asks twice at once: {rpc:?}")),
            false => Ok(()),
        };
        stage.watch.holds(Invariant::OneDiscovery, outcome);
    }
    let subject = stage.satellites.get(origin.satellite);
    let Some(it) = subject.and_then(|it| it.conversations.get(&number)) else { return };
    let outcome = match it.end {
        End::Heard if rpc != Rpc::Goodbye => {
            Err(format!("conversation {number} has ended, and sends {rpc:?}"))
        }
        _ => Ok(()),
    };
    stage.watch.holds(Invariant::EndedIsSilent, outcome);
}

/// A request reaches a server: what it bears is its own user's.
pub(in crate::stage) fn knocked(stage: &mut Stage, origin: &Origin, request: &Request, slug: &str) {
    let outcome = own(stage, origin, request, slug)
        .map_err(|what| format!("a request of {} to {slug} bears {what}", origin.key));
    stage.watch.holds(Invariant::IdentitiesApart, outcome);
}

fn own(stage: &Stage, origin: &Origin, request: &Request, slug: &str) -> Result<(), String> {
    let user = origin.key.user.as_str();
    let secret = format!("{SECRET}-of-{slug}-{user}");
    if header(request, "x-user-key") != Some(&secret) {
        return Err(String::from("the key of another"));
    }
    if parameter(request, "key") != Some(&secret) {
        return Err(String::from("the parameter of another"));
    }
    if let Some(token) = header(request, "authorization") {
        let whose = token.strip_prefix("Bearer ").and_then(read_token);
        if whose.is_none_or(|(of, whose, _)| (of, whose) != (slug, user)) {
            return Err(String::from("the token of another"));
        }
    }
    let session = header(request, "mcp-session-id").or_else(|| parameter(request, "session"));
    let server = stage.remotes.servers.get(slug);
    match server.zip(session).and_then(|(server, session)| server.user_of(session)) {
        Some(whose) if whose != user => Err(String::from("the session of another")),
        _ => Ok(()),
    }
}

/// A server does what a call asks for.
pub(in crate::stage) fn ran(stage: &mut Stage, number: u64) {
    let times = stage.watch.ran.entry(number).or_default();
    *times += 1;
    let outcome = if *times > 1 && !may_repeat(number) {
        Err(format!("call {number} may not be repeated, and ran {times} times"))
    } else if stage.watch.unsent.contains(&number) {
        Err(format!("call {number} runs, of which it was said that it would not"))
    } else {
        Ok(())
    };
    stage.watch.holds(Invariant::RunsOnce, outcome);
}

/// A call of a server elsewhere ended: one that was never sent has not run, and will not.
pub(super) fn ended(stage: &mut Stage, number: u64, outcome: &CallOutcome) {
    if let CallOutcome::RejectedBeforeSend(why) = outcome {
        stage.watch.unsent.insert(number);
        let outcome = match stage.watch.ran.get(&number) {
            Some(_) => Err(format!("call {number} ran, and was said not to have: {why:?}")),
            None => Ok(()),
        };
        stage.watch.holds(Invariant::RunsOnce, outcome);
    }
}
