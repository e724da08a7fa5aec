//! What must be true after every step. One function per property.

use std::collections::BTreeMap;

use satellite_core::id::InstanceKey;
use satellite_core::view::InstanceStatus;

use super::{Stage, Violation};

type Check = fn(&Stage) -> Result<(), String>;

/// Every invariant, by name.
const ALL: [(&str, Check); 8] = [
    ("an instance has at most one process", one_process_per_instance),
    ("a process has an instance", processes_have_instances),
    ("calls go only to a process that runs", ready_means_running),
    ("one poll at a time", one_poll_at_a_time),
    ("a satellite is paired once", paired_once),
    ("a command has one result", one_result_per_command),
    ("an online server has an online instance", servers_follow_instances),
    ("the outbox keeps its bound", outbox_is_bounded),
];

/// Checks all of them; the first that does not hold is the answer.
pub fn check(stage: &Stage) -> Result<(), Violation> {
    if let Some(broken) = &stage.observer.broken {
        return Err(broken.clone());
    }
    for (invariant, holds) in ALL {
        holds(stage).map_err(|detail| Violation { invariant, detail })?;
    }
    Ok(())
}

fn one_process_per_instance(stage: &Stage) -> Result<(), String> {
    for (index, satellite) in stage.satellites.iter().enumerate() {
        if satellite.control.is_none() {
            continue;
        }
        let mut seen: BTreeMap<&InstanceKey, u32> = BTreeMap::new();
        for (key, process) in stage.processes.of(index) {
            if let Some(other) = seen.insert(key, process.pid) {
                return Err(format!("{}: {key} has {other} and {}", satellite.name, process.pid));
            }
        }
    }
    Ok(())
}

fn processes_have_instances(stage: &Stage) -> Result<(), String> {
    for (index, satellite) in stage.satellites.iter().enumerate() {
        let Some(control) = &satellite.control else { continue };
        let view = control.view();
        let own = stage.processes.of(index).filter(|(_, process)| process.boot == satellite.boot);
        for (key, process) in own {
            if !view.instances.contains_key(key) {
                let name = &satellite.name;
                return Err(format!("{name}: {} runs for {key}, which is gone", process.pid));
            }
        }
    }
    Ok(())
}

fn ready_means_running(stage: &Stage) -> Result<(), String> {
    for (index, satellite) in stage.satellites.iter().enumerate() {
        let Some(control) = &satellite.control else { continue };
        for (key, instance) in &control.view().instances {
            let Some(incarnation) = instance.ready else { continue };
            if stage.processes.find(index, key, incarnation, satellite.boot).is_none() {
                return Err(format!("{}: {key} is ready without a process", satellite.name));
            }
            if instance.status == InstanceStatus::PermanentlyFailed {
                return Err(format!("{}: {key} is ready and permanently failed", satellite.name));
            }
        }
    }
    Ok(())
}

fn one_poll_at_a_time(stage: &Stage) -> Result<(), String> {
    let many = stage.satellites.iter().find(|satellite| satellite.polls_in_flight > 1);
    many.map_or(Ok(()), |s| Err(format!("{} has {} polls in flight", s.name, s.polls_in_flight)))
}

fn paired_once(stage: &Stage) -> Result<(), String> {
    let twice = stage.backend.satellites.values().find(|row| row.registrations > 1);
    twice.map_or(Ok(()), |row| {
        Err(format!("{} was registered {} times", row.name, row.registrations))
    })
}

fn one_result_per_command(stage: &Stage) -> Result<(), String> {
    // A result whose answer was lost is sent again: it is the effect that must come once. That a
    // command is completed at all is each scenario's end.
    for command in &stage.backend.commands {
        if command.results > 0 && !matches!(command.status.as_str(), "completed" | "failed") {
            return Err(format!("{} has a result and is {}", command.body["id"], command.status));
        }
    }
    Ok(())
}

fn servers_follow_instances(stage: &Stage) -> Result<(), String> {
    use satellite_core::view::ServerStatus;
    for satellite in &stage.satellites {
        let Some(control) = &satellite.control else { continue };
        let view = control.view();
        for (id, server) in &view.servers {
            let online = view
                .instances
                .iter()
                .any(|(key, i)| key.installation == *id && i.status == InstanceStatus::Online);
            if online != (server.status == ServerStatus::Online) {
                return Err(format!("{}: server {id} is {:?}", satellite.name, server.status));
            }
        }
    }
    Ok(())
}

fn outbox_is_bounded(stage: &Stage) -> Result<(), String> {
    for satellite in &stage.satellites {
        let Some(control) = &satellite.control else { continue };
        let outbox = control.view().outbox;
        if outbox.waiting > outbox.capacity {
            return Err(format!("{}: {} of {}", satellite.name, outbox.waiting, outbox.capacity));
        }
    }
    Ok(())
}
