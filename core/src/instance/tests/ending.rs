//! What is asked of an instance while its process ends, and what follows that end.

use super::*;
use crate::cgroup::{Limit, LimitKill, MIB, Owner};
use crate::process::SpawnFailure;
use crate::view::HealthStatus;

/// One whose process has been told to end, by this.
fn ending(by: Event) -> Life {
    let mut life = Life::online();
    assert_eq!(life.event(by), Verdict::Moved);
    assert_eq!(life.instance.state().name(), "stopping");
    life
}

fn falling_asleep() -> Life {
    let mut life = Life::online();
    assert_eq!(life.idle(), Verdict::Moved);
    life
}

fn restart() -> Event {
    Event::RestartRequested(Restart::Commanded("cmd_8".into()))
}

impl Life {
    /// What the last event told of a process that was ended on purpose: its id, and why.
    fn told_stopped(&self) -> Option<(Option<u64>, &str)> {
        self.last.iter().find_map(|effect| match effect {
            Effect::Emit(EventData::ServerStopped(told)) => {
                Some((told.process_id, told.reason.as_str()))
            }
            _ => None,
        })
    }

    /// The value of [`COMMAND_ID`] that the last event gave a process, if it started one.
    fn told_command(&self) -> Option<Option<&str>> {
        self.last.iter().find_map(|effect| match effect {
            Effect::Spawn { process, .. } => {
                let found = process.env.iter().find(|(name, _)| name == COMMAND_ID);
                Some(found.map(|(_, command)| command.expose()))
            }
            _ => None,
        })
    }
}

#[test]
fn a_shutdown_overtakes_every_other_end_but_a_removal() {
    for mut life in [ending(Event::KillRequested), ending(restart()), falling_asleep()] {
        assert_eq!(life.event(Event::DrainRequested), Verdict::Handled);
        assert_eq!(life.event(Event::Wanted), Verdict::Refused(Refusal::Draining));
        assert_eq!(life.event(restart()), Verdict::Refused(Refusal::Draining));
        assert!(matches!(life.event(Event::KillRequested), Verdict::Ignored(_)));
        life.exit();
        assert_eq!(life.told_stopped(), Some((Some(101), "satellite shutdown")));
        assert_eq!(life.instance.state().name(), "stopped");
    }
    let mut removed = ending(Event::RemoveRequested);
    assert!(matches!(removed.event(Event::DrainRequested), Verdict::Ignored(_)));
    removed.exit();
    assert_eq!(removed.instance.state().name(), "removed");
}

#[test]
fn a_killed_process_that_is_wanted_again_is_followed_by_another_at_once() {
    let mut life = ending(Event::KillRequested);
    assert_eq!(life.event(Event::Wanted), Verdict::Handled);
    assert!(matches!(life.event(Event::Wanted), Verdict::Ignored(_)), "it is due already");
    assert_eq!(life.instance.status(), InstanceStatus::Offline, "until then nothing serves");
    life.exit();
    assert_eq!(life.words(), ["stopping->waiting", "mcp.server.stopped", "claim"]);
    life.event(Event::Placed);
    assert_eq!(life.words(), ["waiting->connecting", "connecting", "spawn 2"]);
}

#[test]
fn the_last_word_of_those_who_ask_for_an_end_counts() {
    let mut killed = ending(restart());
    assert_eq!(killed.event(Event::KillRequested), Verdict::Handled);
    killed.exit();
    assert_eq!(killed.told_stopped(), Some((Some(101), "killed by command")));
    let mut removed = ending(Event::KillRequested);
    assert_eq!(removed.event(Event::RemoveRequested), Verdict::Handled);
    assert_eq!(removed.event(Event::Wanted), Verdict::Refused(Refusal::Unknown));
    removed.exit();
    assert_eq!(removed.instance.state().name(), "removed");
}

#[test]
fn a_restart_asked_for_during_another_end_forgets_the_crashes_and_names_its_command() {
    let mut life = Life::online();
    for _ in 0..3 {
        life.later(SECOND).exit();
        life.now = life.instance.next_deadline().unwrap().at;
        life.event(Event::Tick);
        life.start();
    }
    life.event(Event::KillRequested);
    assert_eq!(life.event(restart()), Verdict::Handled);
    assert_eq!(life.instance.status(), InstanceStatus::Restarting);
    life.exit();
    life.event(Event::Placed);
    assert_eq!(life.told_command(), Some(Some("cmd_8")));
    life.later(SECOND).exit();
    assert_eq!(life.instance.state().name(), "restarting", "not the fourth crash but the first");
}

#[test]
fn a_process_id_that_is_learned_while_the_process_ends_is_told_with_its_end() {
    let mut life = Life::new();
    life.event(Event::Tick);
    life.event(Event::Placed);
    let incarnation = life.incarnation();
    life.event(Event::KillRequested);
    assert_eq!(life.event(Event::Spawned { incarnation, pid: 77 }), Verdict::Handled);
    assert_eq!(life.instance.view().process.and_then(|process| process.pid), Some(77));
    life.exit();
    assert_eq!(life.told_stopped(), Some((Some(77), "killed by command")));
}

#[test]
fn what_can_no_longer_be_started_says_so_when_its_turn_comes() {
    let mut life = Life::new();
    life.event(Event::Tick);
    let reason = String::from("command \"rm\" is not on the allow list");
    life.event(Event::Configured(Spec { launch: Err(reason.clone()), ..spec() }));
    life.event(Event::Placed);
    assert_eq!(life.words(), ["waiting->failed", "error", "release"]);
    assert_eq!(life.instance.view().status_message.as_ref(), Some(&reason));
    let failure = life.instance.lifecycle().failure.clone().expect("a failure is told");
    assert_eq!((failure.step.as_str(), failure.error), ("configuration", reason));
}

#[test]
fn what_has_no_process_is_neither_healthy_nor_unhealthy() {
    let ends: [fn(&mut Life); 2] = [
        |life| {
            life.exit();
        },
        |life| {
            life.event(Event::KillRequested);
            life.exit();
        },
    ];
    for end in ends {
        for answered in [true, false] {
            let mut life = Life::online();
            let incarnation = life.incarnation();
            life.event(Event::Probed { incarnation, answered });
            assert_ne!(life.instance.view().health, HealthStatus::Unknown);
            end(&mut life);
            let (life, state) = (life.instance.lifecycle(), life.instance.state().name());
            assert_eq!((life.health, life.health_at), (HealthStatus::Unknown, None), "{state}");
        }
    }
}

#[test]
fn whatever_goes_wrong_is_told_with_its_step_its_error_and_the_last_words() {
    /// How it goes wrong, and what is told of that.
    type Way = (fn(&mut Life), &'static str, &'static str, &'static [&'static str]);
    fn exits(life: &mut Life) {
        let incarnation = life.incarnation();
        let last_stderr = vec![String::from("out of tea")];
        let ended = Ended { code: Some(3), last_stderr, ..Ended::default() };
        life.event(Event::Exited { incarnation, ended });
    }
    let ways: [Way; 4] = [
        (exits, "run", "exited with code 3", &["out of tea"]),
        (
            |life| {
                let incarnation = life.incarnation();
                let reason = String::from("speaks another protocol");
                life.event(Event::Unusable { incarnation, step: "initialize", reason });
            },
            "initialize",
            "initialize: speaks another protocol",
            &[],
        ),
        (
            |life| {
                let incarnation = life.incarnation();
                let reason = String::from("speaks another protocol");
                life.event(Event::Unusable { incarnation, step: "initialize", reason });
                exits(life);
            },
            "initialize",
            "initialize: speaks another protocol",
            &["out of tea"],
        ),
        (
            |life| {
                life.event(restart());
                exits(life);
                life.event(Event::Placed);
                let incarnation = life.incarnation();
                let failure = SpawnFailure {
                    step: String::from("exec"),
                    error: String::from("no such file"),
                    retryable: false,
                };
                life.event(Event::SpawnFailed { incarnation, failure });
            },
            "exec",
            "no such file",
            &[],
        ),
    ];
    for (goes_wrong, step, error, words) in ways {
        let mut life = Life::online();
        goes_wrong(&mut life);
        let failure = life.instance.lifecycle().failure.clone().expect("a failure is told");
        assert_eq!((failure.step.as_str(), failure.error.as_str()), (step, error));
        assert_eq!(failure.last_stderr, words);
        life.event(restart());
        if life.instance.state().process().is_some() {
            life.exit();
        }
        life.start();
        assert_eq!(life.instance.lifecycle().failure, None, "until all is well again");
        assert_eq!(life.instance.view().status_message, None);
    }
}

#[test]
fn how_long_a_start_took_is_told_of_the_last_start_alone() {
    let mut life = Life::new();
    life.event(Event::Tick);
    life.event(Event::Placed);
    let incarnation = life.incarnation();
    life.later(40).event(Event::Spawned { incarnation, pid: 7 });
    assert_eq!(life.instance.lifecycle().spawn_ms, Some(40));
    life.event(restart());
    life.exit();
    life.event(Event::Placed);
    assert_eq!(life.instance.lifecycle().spawn_ms, None, "this one is not known yet");
}

#[test]
fn a_crash_is_told_with_what_the_process_was_at() {
    for (events, step) in ["spawn", "initialize", "tools/list", "run"].into_iter().enumerate() {
        let mut life = Life::new();
        life.event(Event::Tick);
        life.event(Event::Placed);
        let incarnation = life.incarnation();
        let greeting = [
            Event::Spawned { incarnation, pid: 7 },
            Event::Initialized { incarnation },
            Event::Listed { incarnation, inventory: Arc::default() },
        ];
        for event in greeting.into_iter().take(events) {
            life.event(event);
        }
        life.exit();
        let failure = life.instance.lifecycle().failure.clone().expect("a failure is told");
        assert_eq!(failure.step, step);
    }
}

#[test]
fn a_process_that_a_limit_ended_says_which_and_how_to_raise_it() {
    let mut life = Life::online();
    let incarnation = life.incarnation();
    let limit = LimitKill { limit: Limit::Memory, owner: Owner::Process, value: 100 * MIB };
    let ended = Ended { signal: Some("SIGKILL".into()), limit: Some(limit), ..Ended::default() };
    life.event(Event::Exited { incarnation, ended });
    let message = life.instance.view().status_message.clone().unwrap_or_default();
    assert!(message.contains("100 MB") && message.contains(":memory=256"), "{message}");
}
