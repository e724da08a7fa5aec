//! One life told whole: after each event its verdict, what was asked for, what the Backend is told
//! and what is shown, as text to review (`story.txt`).

use core::fmt::Write;

use serde_json::value::to_raw_value;

use super::*;
use crate::process::SpawnFailure;
use crate::time::IsoTime;
use crate::view::Tool;
use crate::wire;

pub(super) struct Story {
    pub(super) life: Life,
    pub(super) text: String,
}

impl Story {
    /// Tells an event, so many milliseconds after the one before.
    pub(super) fn tell(&mut self, after: u64, event: Event) {
        let name = alloc::format!("{event:?}");
        let name = name.split([' ', '(', '{']).next().unwrap_or_default();
        let verdict = self.life.later(after).event(event);
        let _ = writeln!(self.text, "+{after} {name}: {verdict:?}");
        for effect in &self.life.last {
            let _ = match effect {
                Effect::Emit(data) => {
                    let event = wire::event::Event {
                        id: None,
                        seq: None,
                        timestamp: IsoTime(self.life.now),
                        data: data.clone(),
                    };
                    writeln!(self.text, "  {}", String::from_utf8_lossy(&wire::encode(&event)))
                }
                Effect::Spawn { incarnation, .. } => writeln!(self.text, "  spawn {incarnation:?}"),
                other => writeln!(self.text, "  {other:?}"),
            };
        }
        let view = self.life.instance.view();
        let _ = writeln!(
            self.text,
            "  = {:?} {:?} process {:?} ready {:?} dormant {:?} calls {} errors {} restarts {} \
             health {:?} used {} message {:?} until {:?}",
            self.life.instance.state().name(),
            view.status,
            view.process.map(|process| (process.pid, process.status)),
            view.ready,
            view.dormant_since,
            view.message_count,
            view.error_count,
            view.restarts,
            view.health,
            view.last_activity,
            view.status_message,
            self.life.instance.next_deadline(),
        );
    }

    fn incarnation(&self) -> Incarnation {
        self.life.incarnation()
    }

    fn exited(&mut self, after: u64, code: Option<i32>, words: &[&str]) {
        let ended = Ended {
            code,
            signal: code.is_none().then(|| String::from("SIGKILL")),
            limit: None,
            last_stderr: words.iter().map(|word| String::from(*word)).collect(),
        };
        let incarnation = self.incarnation();
        self.tell(after, Event::Exited { incarnation, ended });
    }

    /// From the place to serving.
    fn serves(&mut self, tools: &[&str]) {
        if matches!(self.life.instance.state(), State::Waiting { .. }) {
            self.tell(10, Event::Placed);
        }
        let incarnation = self.incarnation();
        self.tell(100, Event::Spawned { incarnation, pid: 4_000 + incarnation.0 as u32 });
        self.tell(1_000, Event::Initialized { incarnation });
        self.listed(tools);
    }

    fn listed(&mut self, tools: &[&str]) {
        let incarnation = self.incarnation();
        let tools = tools.iter().map(|name| {
            let raw = serde_json::json!({
                "name": name, "description": "does it", "inputSchema": {"type": "object"},
            });
            Tool {
                name: String::from(*name),
                description: String::from("does it"),
                repeatable: false,
                raw: to_raw_value(&raw).expect("JSON is written"),
            }
        });
        let inventory = Inventory {
            tools: tools.collect(),
            discovered_at: self.life.now,
            ..Inventory::default()
        };
        self.tell(250, Event::Listed { incarnation, inventory: Arc::new(inventory) });
    }

    fn used(&mut self, after: u64, messages: u64, errors: u64, in_flight: usize) {
        let incarnation = self.incarnation();
        let activity = Activity { messages, errors, in_flight, late: 0 };
        self.tell(after, Event::Used { incarnation, activity });
    }

    fn idle(&mut self) {
        self.tell(spec().idle_ms, Event::Tick);
    }

    fn due(&mut self) {
        let at = self.life.instance.next_deadline().expect("something is due").at;
        self.tell(at.since(self.life.now), Event::Tick);
    }
}

#[test]
fn a_life_is_told_as_it_is_written_down() {
    let mut story = Story { life: Life::new(), text: String::new() };
    let restart = || Event::RestartRequested(Restart::Commanded("c1".into()));
    story.tell(0, Event::Tick);
    story.serves(&["read", "write"]);
    story.used(2_000, 5, 1, 2);
    story.used(1_000, 7, 1, 0);
    let incarnation = story.incarnation();
    story.tell(500, Event::Probed { incarnation, answered: false });
    story.tell(500, Event::Probed { incarnation, answered: true });
    story.listed(&["read", "write"]);
    story.listed(&["read", "list"]);
    // A crash with words, one without, and the same tools afterwards.
    story.exited(3_500, Some(3), &["first", "out of tea"]);
    story.due();
    story.serves(&["read", "list"]);
    story.used(1_000, 2, 2, 0);
    story.exited(70_000, None, &[]);
    story.due();
    // A start that fails in passing, and one whose pipes close.
    story.tell(10, Event::Placed);
    let failure = |retryable| SpawnFailure {
        step: String::from("fork"),
        error: String::from("no more processes"),
        retryable,
    };
    let incarnation = story.incarnation();
    story.tell(10, Event::SpawnFailed { incarnation, failure: failure(true) });
    story.due();
    story.serves(&["read"]);
    let incarnation = story.incarnation();
    let reason = String::from("end of stream");
    story.tell(400_000, Event::PipesClosed { incarnation, reason: reason.clone() });
    story.tell(10, Event::PipesClosed { incarnation, reason });
    story.due();
    story.exited(40, Some(0), &["good-bye"]);
    story.due();
    story.serves(&["read"]);
    // Asked for: restarted, killed, wanted again, asleep, awake.
    story.tell(1_000, restart());
    story.exited(20, Some(0), &[]);
    story.serves(&["read"]);
    story.tell(1_000, Event::KillRequested);
    story.exited(20, Some(0), &[]);
    story.tell(1_000, Event::KillRequested);
    story.tell(1_000, Event::Wanted);
    story.serves(&["read"]);
    story.used(4_000, 3, 0, 0);
    story.idle();
    story.used(5, 4, 0, 0);
    story.exited(20, Some(0), &[]);
    story.tell(90_500, Event::Wanted);
    story.serves(&["read"]);
    // It falls asleep again and is wanted meanwhile.
    story.idle();
    story.tell(5, Event::Wanted);
    story.exited(20, Some(0), &[]);
    story.tell(5, Event::Placed);
    let incarnation = story.incarnation();
    story.tell(5, Event::SpawnFailed { incarnation, failure: failure(false) });
    story.tell(5, Event::Wanted);
    story.tell(5, restart());
    // Silent, unusable, and crashed for good.
    story.tell(5, Event::Placed);
    story.due();
    story.exited(40, Some(0), &[]);
    story.due();
    story.tell(5, Event::Placed);
    let incarnation = story.incarnation();
    story.tell(5, Event::Initialized { incarnation });
    story.due();
    story.exited(40, Some(0), &[]);
    story.due();
    story.tell(5, Event::Placed);
    let incarnation = story.incarnation();
    let reason = String::from("speaks another protocol");
    story.tell(5, Event::Unusable { incarnation, step: "initialize", reason });
    story.exited(40, Some(0), &["I speak German"]);
    story.due();
    story.serves(&["read"]);
    story.exited(30, Some(1), &["at last"]);
    story.tell(5, Event::Wanted);
    story.tell(5, Event::DrainRequested);
    story.tell(5, restart());
    story.serves(&["read"]);
    story.tell(5, Event::DrainRequested);
    story.tell(5, Event::Wanted);
    story.tell(5, restart());
    story.exited(30, Some(0), &[]);
    story.tell(5, Event::RemoveRequested);
    assert_eq!(story.text, include_str!("story.txt"), "{}", story.text);
}

#[test]
fn what_is_being_removed_cannot_be_taken_over_as_it_is() {
    let mut life = Life::online();
    assert!(!life.instance.needs_restart_for(&spec()));
    life.event(Event::RemoveRequested);
    assert!(life.instance.needs_restart_for(&spec()));
}
