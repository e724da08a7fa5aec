//! The table of the server machine.

use satellite_core::Machine;
use satellite_core::server::{Effect, Event, Server};
use satellite_core::time::Timestamp;
use satellite_core::view::ServerStatus;

use crate::{Named, Occurrence, Way, table};

impl Named for Server {
    fn state_name(&self) -> &'static str {
        self.state().name()
    }

    fn describe(effect: &Effect) -> String {
        let Effect::Moved { from, to } = effect;
        format!("told {from}->{to}")
    }
}

const STATUSES: [(&str, ServerStatus); 6] = [
    ("best is offline", ServerStatus::Offline),
    ("best is connecting", ServerStatus::Connecting),
    ("best is discovering_tools", ServerStatus::DiscoveringTools),
    ("best is online", ServerStatus::Online),
    ("best is error", ServerStatus::Error),
    ("best is requires_reauth", ServerStatus::RequiresReauth),
];

fn after(event: Event) -> Server {
    let mut server = Server::new();
    server.handle(Timestamp(0), event, &mut Vec::new());
    server
}

#[test]
fn every_state_of_a_server_answers_every_event() {
    let mut states: Vec<Way<Server>> = STATUSES
        .iter()
        .map(|(name, status)| -> Way<Server> {
            let status = *status;
            let name = name.trim_start_matches("best is ");
            (name, Box::new(move || after(Event::BestChanged(Some(status)))))
        })
        .collect();
    states.push(("gone", Box::new(|| after(Event::Removed))));
    let mut events: Vec<Occurrence<Server>> = STATUSES
        .iter()
        .map(|(name, status)| -> Occurrence<Server> {
            let status = *status;
            (*name, Box::new(move |_| Event::BestChanged(Some(status))))
        })
        .collect();
    events.push(("no instances", Box::new(|_| Event::BestChanged(None))));
    events.push(("removed", Box::new(|_| Event::Removed)));
    events.push(("tick", Box::new(|_| Event::Tick)));
    let text = table(Timestamp(0), &states, &events);
    satellite_tests::golden::compare("tests/tables/server.txt", &text);
}
