//! The crash window against the rule in its plainest form: a list of every crash there ever was.

use core::ops::RangeInclusive;

use proptest::prelude::*;

use super::*;
use crate::process::SpawnFailure;

/// Every crash since somebody mended something, none ever thrown away.
#[derive(Default)]
struct Model {
    crashes: Vec<u64>,
}

/// What the rule wants after a crash.
#[derive(Debug)]
enum Wanted {
    /// The next start comes after so many milliseconds.
    Restart(RangeInclusive<u64>),
    Final,
}

impl Model {
    fn crashed(&mut self, now: u64, lived: u64) -> Wanted {
        self.crashes.push(now);
        let recent = self.crashes.iter().filter(|at| now - **at < 5 * 60_000).count();
        let delay = match recent {
            1 => 1_000,
            2 => 5_000,
            3 => 15_000,
            _ => return Wanted::Final,
        };
        if lived >= 60_000 {
            return Wanted::Restart(0..=0);
        }
        Wanted::Restart(delay..=delay + delay / 4)
    }
}

/// How a life goes on, after so many milliseconds online.
#[derive(Clone, Debug)]
enum Turn {
    Exits {
        code: Option<i32>,
    },
    /// Its pipes close, and the process ends only when it is told to.
    HangsUp,
    /// The next start fails before there is a process.
    CannotSpawn,
    /// The next start never gets an answer to its handshake.
    StaysSilent,
    /// Ends that were asked for, which are no crashes.
    Killed,
    Restarted(Restart),
}

fn turns() -> impl Strategy<Value = Vec<(Turn, u64)>> {
    let turn = prop_oneof![
        4 => prop_oneof![Just(None), (-1i32..3).prop_map(Some)]
            .prop_map(|code| Turn::Exits { code }),
        1 => Just(Turn::HangsUp),
        1 => Just(Turn::CannotSpawn),
        1 => Just(Turn::StaysSilent),
        1 => Just(Turn::Killed),
        1 => prop_oneof![Just(Restart::Commanded("c".into())), Just(Restart::Reconfigured)]
            .prop_map(Turn::Restarted),
    ];
    let lived = prop_oneof![
        4 => 0u64..3_000,
        2 => 50_000u64..70_000,
        1 => Just(60_000u64),
        2 => 100_000u64..250_000,
    ];
    proptest::collection::vec((turn, lived), 1..30)
}

impl Life {
    /// From a crash to the moment of the next start, as the model wants it. Says whether it lives.
    fn follows(&mut self, wanted: &Wanted) -> bool {
        let crashed_at = self.now;
        match wanted {
            Wanted::Final => {
                assert_eq!(self.instance.status(), InstanceStatus::PermanentlyFailed);
                assert_eq!(self.instance.next_deadline(), None);
                assert!(matches!(self.event(Event::Wanted), Verdict::Ignored(_)));
                false
            }
            Wanted::Restart(delays) => {
                assert_eq!(self.instance.status(), InstanceStatus::Restarting);
                let due = self.instance.next_deadline().expect("a restart has its time").at;
                let delay = due.since(crashed_at);
                assert!(delays.contains(&delay), "{delay} is not in {delays:?}");
                if delay > 0 {
                    self.now = Timestamp(due.0 - 1);
                    assert!(matches!(self.event(Event::Tick), Verdict::Ignored(_)));
                }
                self.now = due;
                assert_eq!(self.event(Event::Tick), Verdict::Moved);
                true
            }
        }
    }

    fn place(&mut self) -> Incarnation {
        assert_eq!(self.event(Event::Placed), Verdict::Moved);
        self.incarnation()
    }

    /// The process has been told to end, and does.
    fn ends_as_told(&mut self) {
        let told = |effect: &Effect| matches!(effect, Effect::Terminate { .. });
        assert!(self.last.iter().any(told), "{:?}", self.last);
        self.exit();
    }

    fn crashes_by(&mut self, turn: &Turn, lived: u64, model: &mut Model) -> Wanted {
        let born = self.instance.state().process().map_or(self.now, |process| process.since);
        match turn {
            Turn::Exits { code } => {
                self.later(lived);
                let signal = code.is_none().then(|| String::from("SIGKILL"));
                let ended = Ended { code: *code, signal, ..Ended::default() };
                let incarnation = self.incarnation();
                self.event(Event::Exited { incarnation, ended });
            }
            Turn::HangsUp => {
                let incarnation = self.incarnation();
                let reason = String::from("closed");
                self.later(lived).event(Event::PipesClosed { incarnation, reason });
                self.now = self.instance.next_deadline().expect("its end is awaited").at;
                self.event(Event::Tick);
                self.ends_as_told();
            }
            _ => unreachable!("asked for"),
        }
        model.crashed(self.now.0, self.now.since(born))
    }
}

proptest! {
    #[test]
    fn the_fourth_crash_within_any_five_minutes_is_final_and_no_other(
        turns in turns(),
        seed in any::<u64>(),
    ) {
        // Sleep is another matter, and has its own model.
        let spec = Spec { idle_ms: 0, ..spec() };
        let now = Timestamp(MINUTE);
        let instance = Instance::new(spec, &Settings::default(), Random::new(seed), now);
        let mut life = Life { instance, now, last: Vec::new() };
        let mut model = Model::default();
        life.event(Event::Tick);
        life.start();
        for (turn, lived) in turns {
            let lives = match &turn {
                Turn::Exits { .. } | Turn::HangsUp => {
                    let wanted = life.crashes_by(&turn, lived, &mut model);
                    life.follows(&wanted)
                }
                Turn::CannotSpawn | Turn::StaysSilent => {
                    // The process before it is ended by a command, so that only the start counts.
                    life.later(lived).event(Event::KillRequested);
                    life.ends_as_told();
                    life.event(Event::Wanted);
                    let incarnation = life.place();
                    let asked_at = life.now;
                    if matches!(turn, Turn::CannotSpawn) {
                        let failure = SpawnFailure {
                            step: String::from("fork"),
                            error: String::from("try again"),
                            retryable: true,
                        };
                        life.event(Event::SpawnFailed { incarnation, failure });
                    } else {
                        life.now = life.instance.next_deadline().expect("patience ends").at;
                        life.event(Event::Tick);
                        life.ends_as_told();
                    }
                    let wanted = model.crashed(life.now.0, life.now.since(asked_at));
                    life.follows(&wanted)
                }
                Turn::Killed => {
                    life.later(lived).event(Event::KillRequested);
                    life.ends_as_told();
                    prop_assert_eq!(life.event(Event::Wanted), Verdict::Moved);
                    true
                }
                Turn::Restarted(by) => {
                    life.later(lived).event(Event::RestartRequested(by.clone()));
                    life.ends_as_told();
                    model.crashes.clear();
                    life.place();
                    prop_assert_eq!(life.incarnation(), life.spawned());
                    life.greeted();
                    continue;
                }
            };
            if !lives {
                prop_assert_eq!(
                    life.event(Event::RestartRequested(Restart::Commanded("c".into()))),
                    Verdict::Moved
                );
                model.crashes.clear();
            }
            life.place();
            life.greeted();
        }
    }
}

impl Life {
    /// The process that the last event asked for.
    fn spawned(&self) -> Incarnation {
        let spawned = self.last.iter().find_map(|effect| match effect {
            Effect::Spawn { incarnation, .. } => Some(*incarnation),
            _ => None,
        });
        spawned.expect("a process was asked for")
    }

    /// From a process that was asked for to online.
    pub(super) fn greeted(&mut self) {
        let incarnation = self.incarnation();
        self.event(Event::Spawned { incarnation, pid: 100 });
        self.event(Event::Initialized { incarnation });
        self.event(Event::Listed { incarnation, inventory: Arc::default() });
        assert_eq!(self.instance.state().name(), "online");
    }
}
