//! Every state of every lifecycle with every event: what becomes of it, as text to review.
//!
//! Each state is reached by events alone, as it would be in life. `BLESS=1` writes the files anew;
//! a change to one is a change of behaviour.

#[path = "tables/bad_remotes.rs"]
mod bad_remotes;
#[path = "tables/events.rs"]
mod events;
#[path = "tables/instance.rs"]
mod instance;
#[path = "tables/link.rs"]
mod link;
#[path = "tables/remote.rs"]
mod remote;
#[path = "tables/server.rs"]
mod server;
#[path = "tables/statuses.rs"]
mod statuses;

use satellite_core::{Machine, Verdict};

/// A machine whose state has a name.
trait Named: Machine {
    fn state_name(&self) -> &'static str;
    fn describe(effect: &Self::Effect) -> String;
}

/// A way to a state: its name, and how to make a machine that is in it.
type Way<M> = (&'static str, Box<dyn Fn() -> M>);
/// An event: its name, and how to make it for a machine, which it may have to answer.
type Occurrence<M> = (&'static str, Box<dyn Fn(&M) -> <M as Machine>::Event>);

/// The table of a machine: a line for each state and event.
fn table<M: Named>(
    now: satellite_core::time::Timestamp,
    states: &[Way<M>],
    events: &[Occurrence<M>],
) -> String {
    let mut text = String::new();
    for (state, reach) in states {
        text.push_str(&format!("{state}\n"));
        for (event, make) in events {
            let mut machine = reach();
            let expected = state.split([' ', ',']).next().unwrap_or_default();
            assert_eq!(machine.state_name(), expected, "the way to {state} leads elsewhere");
            let mut effects = Vec::new();
            let occurred = make(&machine);
            let verdict = match machine.handle(now, occurred, &mut effects) {
                Verdict::Moved => format!("-> {}", machine.state_name()),
                Verdict::Handled => String::from("handled"),
                Verdict::Ignored(why) => format!("ignored: {why}"),
                Verdict::Refused(why) => format!("refused: {}", why.as_str()),
            };
            let effects: Vec<String> = effects.iter().map(M::describe).collect();
            let line = format!("  {event:<28} {verdict:<32} {}", effects.join(", "));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push('\n');
    }
    text
}
