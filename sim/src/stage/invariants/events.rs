//! Events at the Backend: none is missing, none is two.

use serde::Deserialize;

use super::Invariant;
use crate::stage::Stage;
use crate::stage::backend::Stored;

/// Looks at each event that has arrived since.
pub(super) fn stored(stage: &mut Stage) {
    for event in std::mem::take(&mut stage.backend.fresh) {
        let outcome = same_as_before(&event);
        stage.watch.holds(Invariant::EventKeepsItsId, outcome);
        if event.before.is_some() {
            continue;
        }
        let refused = |seq: u64| {
            let row = stage.backend.satellites.get(&event.satellite);
            row.and_then(|row| row.ledger.refused_through(seq))
        };
        let (holes, twice) = (without_holes(&event, refused), once(&event));
        stage.watch.holds(Invariant::NumbersWithoutHoles, holes);
        stage.watch.holds(Invariant::EventOnceOrInGap, twice);
    }
}

/// What a daemon has accepted its disk knows of, unless nothing at all can be written to it; and the
/// daemon after it gives none of those numbers again.
pub(super) fn accepted(stage: &mut Stage, index: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get_mut(index) else { return Ok(()) };
    let Some(control) = &subject.control else { return Ok(()) };
    let next = control.next_event();
    if next < subject.accepted {
        return Err(format!(
            "{} accepted events before number {}, and goes on with {next}",
            subject.name, subject.accepted
        ));
    }
    let outbox = control.view().outbox;
    let none_yet = subject.disk.is_blank() && outbox.waiting == 0 && outbox.dropped == 0;
    if none_yet || subject.disk.knows(next.saturating_sub(1)) {
        subject.accepted = next;
    } else if !subject.disk.is_unmarkable {
        return Err(format!(
            "{} accepted events before number {next}; its disk knows of those before {} and {} more",
            subject.name, subject.disk.next_event, subject.disk.marked
        ));
    }
    Ok(())
}

/// A batch leaves: whatever becomes of the daemon, the next one does not give its numbers again.
pub(in crate::stage) fn batch(stage: &mut Stage, index: usize, body: &[u8]) {
    #[derive(Deserialize)]
    struct Batch {
        events: Vec<Numbered>,
    }
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    let Some(subject) = stage.satellites.get(index) else { return };
    let batch: Batch = serde_json::from_slice(body).unwrap_or(Batch { events: Vec::new() });
    let unknown = batch.events.iter().find(|event| !subject.disk.knows(event.seq));
    let outcome = unknown.map_or(Ok(()), |event| {
        Err(format!("{} sent number {}, of which its disk knows nothing", subject.name, event.seq))
    });
    stage.watch.holds(Invariant::AcceptedEventsKept, outcome);
}

/// What comes again under an id is what came first.
fn same_as_before(event: &Stored) -> Result<(), String> {
    match event.before {
        Some(before) if before != (event.seq, event.digest) => {
            Err(format!("{} came as number {} and as {}", event.id, before.0, event.seq))
        }
        _ if event.id.is_empty() || event.seq == 0 => {
            Err(format!("number {} has the id {:?}", event.seq, event.id))
        }
        _ => Ok(()),
    }
}

/// A new event follows the last one, but for those declared lost and those the Backend refused.
///
/// `refused` says how far the numbers go that were refused together with one.
fn without_holes(event: &Stored, refused: impl Fn(u64) -> Option<u64>) -> Result<(), String> {
    let Some(last) = event.last else { return Ok(()) };
    // A gap may name anew what an earlier copy of itself named, never skip anything.
    let from = event.gap.map_or(event.seq, |(from, _)| from);
    let mut next = last + 1;
    while next < from {
        let Some(through) = refused(next) else {
            return Err(format!("number {next} is missing before {} ({})", event.seq, event.id));
        };
        next = through + 1;
    }
    Ok(())
}

/// No two events have one number. One that was refused, or that a gap has named, may yet come: in a
/// copy that was overtaken.
fn once(event: &Stored) -> Result<(), String> {
    match event.last {
        Some(last) if event.seq <= last && !event.was_refused && !event.was_named => {
            Err(format!("number {} came as a new event {} after {last}", event.seq, event.id))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(last: Option<u64>, seq: u64) -> Stored {
        Stored {
            satellite: String::from("sat_0"),
            id: format!("evt_{seq}"),
            seq,
            before: None,
            digest: 1,
            last,
            gap: None,
            was_refused: false,
            was_named: false,
        }
    }

    #[test]
    fn a_hole_is_seen_unless_a_gap_or_a_refusal_explains_it() {
        let never = |_| None;
        assert!(without_holes(&event(None, 17), never).is_ok());
        assert!(without_holes(&event(Some(16), 17), never).is_ok());
        assert!(without_holes(&event(Some(15), 17), never).is_err());
        let one = |number| (number == 16).then_some(number);
        assert!(without_holes(&event(Some(15), 17), one).is_ok());
        assert!(without_holes(&event(Some(15), 18), one).is_err());
        let several = |number| (number == 16).then_some(20);
        assert!(without_holes(&event(Some(15), 21), several).is_ok());
        let gap = Stored { gap: Some((16, 17)), ..event(Some(15), 17) };
        assert!(without_holes(&gap, never).is_ok());
        let short = Stored { gap: Some((17, 17)), ..event(Some(15), 17) };
        assert!(without_holes(&short, never).is_err());
    }

    #[test]
    fn a_number_that_comes_again_under_another_id_is_seen() {
        assert!(once(&event(Some(17), 17)).is_err());
        assert!(once(&event(Some(17), 18)).is_ok());
        assert!(once(&Stored { was_refused: true, ..event(Some(18), 17) }).is_ok());
        assert!(once(&Stored { was_named: true, ..event(Some(18), 17) }).is_ok());
    }

    #[test]
    fn an_event_that_changed_on_its_way_is_seen() {
        let again = Stored { before: Some((17, 1)), ..event(Some(20), 17) };
        assert!(same_as_before(&again).is_ok());
        assert!(same_as_before(&Stored { digest: 2, ..again }).is_err());
        assert!(same_as_before(&Stored { id: String::new(), ..event(None, 1) }).is_err());
    }
}
