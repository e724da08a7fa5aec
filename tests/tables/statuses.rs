//! The statuses that the outside sees, in their order, for each way through an instance's life.

use satellite_core::Machine;
use satellite_core::id::Incarnation;
use satellite_core::instance::{Effect, Event, Instance, Restart, State};
use satellite_core::remote::Fault;
use satellite_core::time::{HOUR, MINUTE, Timestamp};
use satellite_core::view::Inventory;
use satellite_core::wire::event::EventData;

use crate::instance::{PRESENT, ended, failed, new};
use crate::remote::new as elsewhere;

struct Told {
    instance: Instance,
    now: Timestamp,
    statuses: Vec<&'static str>,
}

impl Told {
    fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.instance.handle(self.now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Emit(EventData::StatusChanged(change)) => {
                    self.statuses.push(change.status.as_str());
                }
                // There is always room, and every process starts.
                Effect::Claim => self.event(Event::Placed),
                Effect::Spawn { incarnation, .. } => self.start(incarnation),
                _ => {}
            }
        }
    }

    fn start(&mut self, incarnation: Incarnation) {
        let inventory = Inventory { discovered_at: self.now, ..Inventory::default() };
        self.event(Event::Spawned { incarnation, pid: 7 });
        self.event(Event::Initialized { incarnation });
        self.event(Event::Listed { incarnation, inventory: inventory.into() });
    }

    fn exit(&mut self) {
        let process = self.instance.state().process().expect("a process to end");
        self.event(Event::Exited { incarnation: process.incarnation, ended: ended() });
    }

    fn later(&mut self) {
        self.now = self.now.after(10 * MINUTE);
        self.event(Event::Tick);
    }

    fn online() -> Told {
        let now = Timestamp(HOUR);
        let mut told = Told { instance: new(now), now, statuses: Vec::new() };
        told.event(Event::Tick);
        assert_eq!(told.statuses, ["connecting", "discovering_tools", "online"]);
        told.statuses.clear();
        told
    }

    fn asleep() -> Told {
        let mut told = Told::online();
        told.later();
        told.exit();
        assert!(matches!(told.instance.state(), State::Dormant { .. }));
        told
    }

    fn killed() -> Told {
        let mut told = Told::online();
        told.event(Event::KillRequested);
        told.exit();
        told
    }
}

#[test]
fn each_way_through_a_life_shows_its_documented_statuses() {
    let again =
        |first: &[&'static str]| [first, &["connecting", "discovering_tools", "online"]].concat();
    let command = || Event::RestartRequested(Restart::Commanded("c".into()));
    let recovered = || Event::RestartRequested(Restart::Recovered);

    let mut sleeper = Told::asleep();
    sleeper.event(Event::Wanted);
    assert_eq!(sleeper.statuses, Vec::<&str>::new(), "sleep and waking are not to be seen");
    assert!(matches!(sleeper.instance.state(), State::Online { .. }));

    let mut crashed = Told::online();
    crashed.exit();
    crashed.later();
    assert_eq!(crashed.statuses, again(&["restarting"]), "after a crash");

    let mut restarted = Told::online();
    restarted.event(command());
    restarted.exit();
    assert_eq!(restarted.statuses, again(&["restarting"]), "restarted by command");

    let mut woken = Told::asleep();
    woken.event(command());
    assert_eq!(woken.statuses, again(&["command_received"]), "restarted by command in its sleep");

    let mut started = Told::killed();
    started.event(command());
    let expected = again(&["offline", "command_received"]);
    assert_eq!(started.statuses, expected, "killed, then restarted by command");

    let mut wanted = Told::killed();
    wanted.event(Event::Wanted);
    assert_eq!(wanted.statuses, again(&["offline"]), "killed, then wanted by a client");

    let mut back = Told::online();
    back.event(recovered());
    back.exit();
    assert_eq!(back.statuses, again(&["offline"]), "recovery of what runs");

    let mut failed = Told::online();
    for _ in 0..4 {
        failed.exit();
        failed.now = failed.now.after(20_000);
        failed.event(Event::Tick);
    }
    assert_eq!(failed.statuses.last(), Some(&"permanently_failed"));
    failed.statuses.clear();
    failed.event(recovered());
    assert_eq!(failed.statuses, again(&["offline"]), "recovery of what had failed for good");
}

#[test]
fn every_recovery_of_a_server_elsewhere_is_told_in_four_words() {
    let incarnation = PRESENT;
    let listed = |told: &mut Told| {
        told.event(Event::Initialized { incarnation });
        let inventory = Inventory { discovered_at: told.now, ..Inventory::default() };
        told.event(Event::Listed { incarnation, inventory: inventory.into() });
    };
    let by_a_call: fn(&mut Told) =
        |told| told.event(Event::Reached { incarnation: PRESENT, discovers: false });
    let by_the_backend: fn(&mut Told) =
        |told| told.event(Event::RestartRequested(Restart::Recovered));
    let by_a_probe: fn(&mut Told) = |told| {
        for answers in
            [failed(Fault::Unreachable), Event::Reached { incarnation: PRESENT, discovers: false }]
        {
            told.now = told.instance.next_deadline().expect("an attempt is due").at;
            told.event(Event::Tick);
            told.event(answers);
        }
    };
    for recover in [by_a_call, by_the_backend, by_a_probe] {
        let now = Timestamp(HOUR);
        let mut told = Told { instance: elsewhere(now), now, statuses: Vec::new() };
        told.event(Event::Tick);
        listed(&mut told);
        assert_eq!(told.statuses, ["connecting", "discovering_tools", "online"]);
        told.statuses.clear();
        told.event(failed(Fault::Unreachable));
        recover(&mut told);
        listed(&mut told);
        assert_eq!(told.statuses, ["offline", "connecting", "discovering_tools", "online"]);
    }
}
