//! Processes and instances.

use satellite_core::view::InstanceStatus;

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

/// An instance that takes calls has a process that runs.
pub(super) fn ready_means_running(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    for (key, instance) in &control.view().instances {
        let Some(incarnation) = instance.ready else { continue };
        let has_process = stage.processes.find(index, key, incarnation, subject.boot).is_some();
        if !has_process && !super::remotes::is_ready(stage, index, instance) {
            return Err(format!("{}: {key} is ready without a process", subject.name));
        }
        if instance.status == InstanceStatus::PermanentlyFailed {
            return Err(format!("{}: {key} is ready and permanently failed", subject.name));
        }
    }
    Ok(())
}
