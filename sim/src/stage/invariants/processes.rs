//! Processes and instances.

use std::collections::BTreeMap;
use std::sync::Arc;

use satellite_core::cgroup::LimitKill;
use satellite_core::id::{InstanceKey, TeamId};
use satellite_core::view::{InstanceStatus, InstanceView, ProcessStatus};

use super::Invariant;
use crate::stage::Stage;

/// No instance has two processes, of whatever start of the daemon.
pub(super) fn one_per_instance(stage: &Stage, index: usize) -> Result<(), String> {
    let mut previous = None;
    for (key, process) in stage.processes.of(index) {
        // They come in order of their keys.
        if let Some((other, pid)) = previous.replace((key, process.pid))
            && other == key
        {
            return Err(format!("{key} of satellite {index} has {pid} and {}", process.pid));
        }
    }
    Ok(())
}

/// No process outlives its instance.
pub(super) fn have_instances(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    let view = control.view();
    let own = stage.processes.of(index).filter(|(_, process)| process.boot == subject.boot);
    for (key, process) in own {
        if !view.instances.contains_key(key) {
            let name = &subject.name;
            return Err(format!("{name}: {} runs for {key}, which is gone", process.pid));
        }
    }
    Ok(())
}

/// No more processes run, none more of any team, and no more are being started, than the operator
/// allows.
pub(super) fn within_bounds(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    let bounds = subject.bounds;
    let mut teams: BTreeMap<&TeamId, usize> = BTreeMap::new();
    for (key, _) in stage.processes.of(index).filter(|(_, it)| it.boot == subject.boot) {
        *teams.entry(&key.team).or_default() += 1;
    }
    let all: usize = teams.values().sum();
    let most = teams.values().max().copied().unwrap_or_default();
    if all > bounds.processes || bounds.per_team.is_some_and(|quota| most > quota) {
        return Err(format!("{}: {teams:?} processes, {bounds:?} are allowed", subject.name));
    }
    let view = control.view();
    let is_starting = |it: &&Arc<InstanceView>| {
        it.process.is_some_and(|process| process.status == ProcessStatus::Starting)
    };
    let starting = view.instances.values().filter(is_starting).count();
    if starting > bounds.starts || starting != view.places.starting {
        let shown = &view.places;
        return Err(format!("{}: {starting} are being started: {shown:?}", subject.name));
    }
    Ok(())
}

/// An instance that takes calls has a process that runs.
pub(super) fn ready_means_running(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    for (key, instance) in &control.view().instances {
        let Some(incarnation) = instance.ready else { continue };
        let process = stage.processes.find(index, key, incarnation, subject.boot);
        if process.is_some_and(|process| process.frost.is_frozen) {
            return Err(format!("{}: {key} is ready and stands still", subject.name));
        }
        let has_process = process.is_some();
        if !has_process && !super::remotes::is_ready(stage, index, instance) {
            return Err(format!("{}: {key} is ready without a process", subject.name));
        }
        if instance.status == InstanceStatus::PermanentlyFailed {
            return Err(format!("{}: {key} is ready and permanently failed", subject.name));
        }
    }
    Ok(())
}

/// No start waits for a place, be it of the satellite or of its team, that a frozen instance could
/// give up: one is on its way out at least.
pub(super) fn room_is_made(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    let (view, bounds) = (control.view(), subject.bounds);
    let places = &view.places;
    if view.draining || places.waiting == 0 || places.starting >= bounds.starts {
        return Ok(());
    }
    let is_leaving = |it: &InstanceView| {
        it.process.is_some_and(|process| process.status == ProcessStatus::Terminating)
    };
    let all = || view.instances.values();
    let leaving = all().filter(|it| is_leaving(it)).count();
    let could = |team: Option<&TeamId>| {
        let of_team = |it: &&Arc<InstanceView>| team.is_none_or(|team| it.key.team == *team);
        let frozen = all().filter(of_team).find(|it| it.frozen_since.is_some())?;
        let is_under_way = all().filter(of_team).any(|it| is_leaving(it));
        (!is_under_way).then_some(&frozen.key)
    };
    // A place that is held without a process is that of a start which goes on in it.
    let processes = all().filter(|it| it.process.is_some()).count();
    let again = places.held.saturating_sub(processes);
    let for_teams: usize = places.full_teams.values().sum();
    let for_place = places.waiting.saturating_sub(again + for_teams);
    if for_place > 0
        && places.held >= bounds.processes
        && let Some(frozen) = could(None)
    {
        return Err(format!("{}: {frozen} is frozen: {places:?}", subject.name));
    }
    for team in places.full_teams.keys().filter(|_| places.starting + leaving < bounds.starts) {
        if let Some(frozen) = could(Some(team)) {
            return Err(format!("{}: {frozen} of {team} is frozen: {places:?}", subject.name));
        }
    }
    Ok(())
}

/// How many ends of an instance's processes a daemon counts as a limit's.
pub(in crate::stage) fn limit_kills(stage: &Stage, index: usize, key: &InstanceKey) -> u64 {
    let control = stage.satellites.get(index).and_then(|subject| subject.control.as_ref());
    let figures = control.and_then(|control| control.view().figures.get(key).cloned());
    let ended = figures.map(|figures| figures.ended).unwrap_or_default();
    ended.iter().filter(|(why, _)| why.ends_with("_limit")).map(|(_, count)| count).sum()
}

/// A daemon was told that a limit ended a process which nobody had told to end: it says so, with the
/// limit and how to raise it, and counts it as that.
pub(in crate::stage) fn limit_kill_told(
    stage: &mut Stage,
    index: usize,
    key: &InstanceKey,
    kill: &LimitKill,
    counted_before: u64,
) {
    let Some(subject) = stage.satellites.get(index) else { return };
    let Some(control) = &subject.control else { return };
    let Some(instance) = control.view().instances.get(key).cloned() else { return };
    let expected = kill.explain(&instance.names.slug);
    let counted = limit_kills(stage, index, key);
    let outcome = if instance.status_message.as_deref() != Some(expected.as_str()) {
        let said = &instance.status_message;
        Err(format!("{}: {key} was ended by a limit, and it says {said:?}", subject.name))
    } else if counted != counted_before + 1 {
        Err(format!("{}: {key}: {counted} kills after {counted_before}", subject.name))
    } else {
        Ok(())
    };
    stage.watch.holds(Invariant::LimitKillTold, outcome);
}
