//! Processes and instances.

use std::collections::BTreeMap;
use std::sync::Arc;

use satellite_core::id::TeamId;
use satellite_core::view::{InstanceStatus, InstanceView, ProcessStatus};

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
