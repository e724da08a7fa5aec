use std::sync::{Arc, Mutex};

use satellite_core::time::Timestamp;
use satellite_core::{Deadline, Machine, Refusal, Verdict};

use super::*;

#[derive(Debug, PartialEq)]
enum Event {
    Said(u64),
    Stored(u64),
    Ended,
    Tick,
}

#[derive(Debug)]
enum Effect {
    Print(String),
    Store(u64),
    Exit,
}

/// Stores each number it hears, says so, and wants a tick every ten milliseconds.
struct Diary {
    next: Timestamp,
    stuck: bool,
}

impl Machine for Diary {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        match event {
            Event::Said(0) => return Verdict::Refused(Refusal::Unknown),
            Event::Said(number) => {
                out.push(Effect::Store(number));
                out.push(Effect::Print(format!("said {number}")));
            }
            Event::Stored(number) => out.push(Effect::Print(format!("stored {number}"))),
            Event::Ended => out.extend([Effect::Exit, Effect::Print("never".into())]),
            Event::Tick => {
                out.push(Effect::Print("tick".into()));
                if !self.stuck {
                    self.next = now.after(10);
                }
            }
        }
        Verdict::Handled
    }

    fn next_deadline(&self) -> Option<Deadline> {
        Some(Deadline::new(self.next, "tick"))
    }
}

struct Paper {
    lines: Arc<Mutex<Vec<String>>>,
    published: Arc<Mutex<u64>>,
}

impl World<Diary> for Paper {
    type End = &'static str;

    fn tick(&self) -> Event {
        Event::Tick
    }

    fn name(&self, event: &Event) -> &'static str {
        if *event == Event::Tick { "tick" } else { "event" }
    }

    async fn perform(&mut self, effect: Effect) -> Performed<Event, &'static str> {
        match effect {
            Effect::Print(line) => self.lines.lock().unwrap().push(line),
            Effect::Store(number) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                return Performed::Answered(Event::Stored(number));
            }
            Effect::Exit => return Performed::Ended("over"),
        }
        Performed::Done
    }

    fn publish(&mut self, _: &Diary) {
        *self.published.lock().unwrap() += 1;
    }
}

async fn diary(events: Vec<Event>, first_tick: u64, stuck: bool) -> (Vec<String>, u64) {
    let (lines, published) = (Arc::default(), Arc::default());
    let paper = Paper { lines: Arc::clone(&lines), published: Arc::clone(&published) };
    let (inbox, events_of_inbox) = mpsc::unbounded_channel();
    for event in events {
        inbox.send(event).unwrap();
    }
    let machine = Diary { next: Timestamp(first_tick), stuck };
    let end = run(machine, events_of_inbox, Clock::starting_at(Timestamp(1_000)), paper).await;
    assert_eq!(end, "over");
    let lines = lines.lock().unwrap().clone();
    let published = *published.lock().unwrap();
    (lines, published)
}

#[tokio::test(start_paused = true)]
async fn effects_come_in_order_and_an_answer_before_the_next_event() {
    let events = vec![Event::Said(1), Event::Said(2), Event::Said(0), Event::Ended];
    let (lines, published) = diary(events, 100_000, false).await;
    assert_eq!(lines, ["said 1", "stored 1", "said 2", "stored 2"]);
    assert_eq!(published, 7, "once at the start and once after each of six events");
}

#[tokio::test(start_paused = true)]
async fn a_due_deadline_comes_before_a_full_inbox() {
    let mut events: Vec<Event> = (1..=30).map(Event::Said).collect();
    events.push(Event::Ended);
    let (lines, _) = diary(events, 0, false).await;
    assert_eq!(lines[0], "tick");
    let between = &lines[1..lines.len() - 1];
    assert!(between.contains(&"tick".into()), "each tenth millisecond of thirty: {lines:?}");
    assert_eq!(lines.iter().rfind(|line| *line != "tick").unwrap(), "stored 30");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_stays_due_does_not_starve_the_inbox() {
    let events = vec![Event::Said(1), Event::Said(2), Event::Ended];
    let (lines, _) = diary(events, 0, true).await;
    let said: Vec<_> = lines.iter().filter(|line| *line != "tick").collect();
    assert_eq!(said, ["said 1", "stored 1", "said 2", "stored 2"]);
}
