//! The life of a server elsewhere told whole (`story_elsewhere.txt`), with what it knows beside its
//! state: whatever a handler forgets to note shows here.

use core::fmt::Write;

use super::story::Story;
use super::*;
use crate::remote::{Failure, Fault};

fn begin() -> Story {
    let mut story = Story { life: Life::elsewhere_unticked(), text: String::new() };
    tell(&mut story, 0, Event::Tick);
    story
}

fn tell(story: &mut Story, after: u64, event: Event) {
    story.tell(after, event);
    let life = story.life.instance.lifecycle();
    let _ = writeln!(
        story.text,
        "  ~ step {} failures {} spawn {:?} past {:?} present {:?} health at {:?} failure {:?} state {:?}",
        life.step,
        life.failures,
        life.spawn_ms,
        life.past,
        life.present,
        life.health_at,
        life.failure,
        story.life.instance.state(),
    );
}

fn link(story: &Story) -> Incarnation {
    story.life.instance.state().incarnation().unwrap_or_default()
}

fn reached(story: &mut Story, after: u64, discovers: bool) {
    let incarnation = link(story);
    tell(story, after, Event::Reached { incarnation, discovers });
}

fn initialized(story: &mut Story, after: u64) {
    let incarnation = link(story);
    tell(story, after, Event::Initialized { incarnation });
}

fn listed(story: &mut Story, after: u64) {
    let (incarnation, inventory) = (link(story), remote::inventory(story.life.now.after(after)));
    tell(story, after, Event::Listed { incarnation, inventory });
}

fn used(story: &mut Story, after: u64, messages: u64, in_flight: usize) {
    let incarnation = link(story);
    let activity = Activity { messages, errors: messages / 2, in_flight, late: 0 };
    tell(story, after, Event::Used { incarnation, activity });
}

fn probed(story: &mut Story, after: u64, answered: bool) {
    let incarnation = link(story);
    tell(story, after, Event::Probed { incarnation, answered });
}

fn failed(story: &mut Story, after: u64, fault: Fault, retry_after_ms: Option<u64>) {
    let incarnation = link(story);
    let failure = Failure { retry_after_ms, ..Failure::new(fault, "it says no") };
    tell(story, after, Event::Failed { incarnation, failure });
}

fn closed(story: &mut Story, after: u64) {
    let incarnation = link(story);
    tell(story, after, Event::PipesClosed { incarnation, reason: String::from("ended") });
}

/// A moment before what is due, and at that moment.
fn due(story: &mut Story) {
    let at = story.life.instance.next_deadline().expect("something is due").at;
    let wait = at.since(story.life.now);
    tell(story, wait.saturating_sub(1), Event::Tick);
    tell(story, wait.min(1), Event::Tick);
}

fn discovered(story: &mut Story) {
    reached(story, 20, true);
    initialized(story, 1);
    listed(story, 30);
}

#[test]
fn a_life_elsewhere_is_told_as_it_is_written_down() {
    let mut story = begin();
    let it = &mut story;
    let restart = || Event::RestartRequested(Restart::Commanded("c1".into()));
    let recovery = || Event::RestartRequested(Restart::Recovered);
    discovered(it);
    // Used, asked for a sign of life, found silent.
    used(it, 700, 4, 1);
    probed(it, 300, true);
    probed(it, 300, false);
    reached(it, 300, false);
    due(it);
    probed(it, 40, true);
    tell(it, 10, Event::Wanted);
    tell(it, 10, recovery());
    // It goes away, is tried again and again, and is back.
    failed(it, 900, Fault::Unreachable, None);
    used(it, 10, 6, 0);
    failed(it, 10, Fault::Unreachable, None);
    due(it);
    failed(it, 30, Fault::Unreachable, Some(20_000));
    due(it);
    due(it);
    tell(it, 100, Event::Wanted);
    tell(it, 5, Event::Wanted);
    discovered(it);
    // Broken, and away before anybody looked again; nobody cares for long.
    failed(it, 50, Fault::Broken, None);
    failed(it, 50, Fault::Unreachable, None);
    used(it, 60, 9, 0);
    tell(it, 60, Event::Wanted);
    failed(it, 60, Fault::Broken, None);
    reached(it, 60, false);
    discovered(it);
    // The access ends, is asked for, and is given again.
    failed(it, 50, Fault::AuthorisationNeeded, None);
    reached(it, 5, false);
    listed(it, 5);
    tell(it, 5, Event::Wanted);
    tell(it, 5, Event::CheckRequested);
    failed(it, 5, Fault::Unreachable, None);
    tell(it, 5, Event::CheckRequested);
    due(it);
    tell(it, 5, Event::CheckRequested);
    failed(it, 5, Fault::Broken, None);
    failed(it, 5, Fault::AuthorisationNeeded, None);
    tell(it, 9, recovery());
    discovered(it);
    // A handshake and a discovery that end too late.
    tell(it, 5, restart());
    used(it, 5, 11, 1);
    closed(it, 5);
    due(it);
    due(it);
    tell(it, 5, recovery());
    initialized(it, 5);
    due(it);
    // Nobody cares for long: it is left alone until somebody does.
    while it.life.instance.next_deadline().is_some() {
        due(it);
    }
    used(it, 3_600_000, 12, 0);
    due(it);
    discovered(it);
    // Its conversation ends by itself, while it is online and while it is down.
    closed(it, 70);
    closed(it, 70);
    tell(it, 70, Event::Wanted);
    discovered(it);
    failed(it, 70, Fault::AuthorisationNeeded, None);
    closed(it, 70);
    tell(it, 70, recovery());
    discovered(it);
    // Ended for good reasons, and at last for good.
    tell(it, 5, Event::KillRequested);
    due(it);
    tell(it, 5, Event::Wanted);
    discovered(it);
    tell(it, 5, Event::DrainRequested);
    closed(it, 5);
    tell(it, 5, Event::RemoveRequested);
    assert_eq!(story.text, include_str!("story_elsewhere.txt"), "{}", story.text);
}
