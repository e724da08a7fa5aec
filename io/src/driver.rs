//! The one loop: it waits for an event or a deadline, lets a machine decide, and performs what it
//! decided. Everything it does not know comes in through [`World`].

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::future::Future;

use satellite_core::{Machine, Refusal, Verdict};
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep_until};

use crate::clock::Clock;

/// Where a machine's events are put. Never blocks the sender; senders are bounded in number or rate
/// (requests in flight, relays, clients admitted by the surface).
pub type Inbox<E> = mpsc::UnboundedSender<E>;

/// What performing an effect came to.
#[derive(Debug)]
pub enum Performed<Event, End> {
    /// It is done, or under way.
    Done,
    /// It is done, and this is its answer: handled before anything that waits in the inbox.
    Answered(Event),
    /// It was the last: the loop ends.
    Ended(End),
}

/// What surrounds a machine of type `M`.
pub trait World<M: Machine>: Send {
    /// What the loop returns.
    type End: Send;

    /// The event that tells the machine the time.
    fn tick(&self) -> M::Event;

    /// The event's name, for logs. Never its content.
    fn name(&self, event: &M::Event) -> &'static str;

    /// Performs one effect. What it awaits delays everything behind it, so only what must be done
    /// before the next effect is awaited; everything else is begun.
    fn perform(
        &mut self,
        effect: M::Effect,
    ) -> impl Future<Output = Performed<M::Event, Self::End>> + Send;

    /// Called after all effects of an event are performed: publish what others may see.
    fn publish(&mut self, machine: &M);
}

/// Runs `machine` until an effect ends it.
///
/// A deadline that is due comes before the inbox, so that a busy inbox cannot starve a timer; one
/// event of the inbox follows each, so that a deadline that stays due cannot starve the inbox.
pub async fn run<M, W>(
    mut machine: M,
    mut inbox: mpsc::UnboundedReceiver<M::Event>,
    clock: Clock,
    mut world: W,
) -> W::End
where
    M: Machine + Send,
    M::Event: Send,
    M::Effect: Send,
    W: World<M>,
{
    // A deadline that a tick did not move is retried after this, not at once.
    const STUCK: Duration = Duration::from_millis(50);

    let mut step = Step { effects: Vec::new(), answers: VecDeque::new(), refused: BTreeMap::new() };
    world.publish(&machine);
    loop {
        let due = machine.next_deadline().filter(|deadline| deadline.at <= clock.now());
        if due.is_some() {
            let tick = world.tick();
            if let Some(end) = step.take(&mut machine, &mut world, clock, tick).await {
                return end;
            }
        }
        if let Ok(event) = inbox.try_recv() {
            if let Some(end) = step.take(&mut machine, &mut world, clock, event).await {
                return end;
            }
            continue;
        }
        let deadline = machine.next_deadline();
        let wake = deadline.map(|deadline| {
            let at = clock.instant(deadline.at);
            let stuck = due.is_some_and(|due| due == deadline);
            if stuck { at.max(tokio::time::Instant::now() + STUCK) } else { at }
        });
        let event = tokio::select! {
            biased;
            () = async { match wake { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => continue,
            // The world holds a sender of its own, so the inbox outlives everybody else.
            Some(event) = inbox.recv() => event,
        };
        if let Some(end) = step.take(&mut machine, &mut world, clock, event).await {
            return end;
        }
    }
}

/// What one step needs, kept between steps so that nothing is allocated anew.
struct Step<M: Machine> {
    effects: Vec<M::Effect>,
    answers: VecDeque<M::Event>,
    refused: BTreeMap<Refusal, u64>,
}

impl<M: Machine> Step<M> {
    /// One event and all its effects, and then the answers those had at once.
    async fn take<W: World<M>>(
        &mut self,
        machine: &mut M,
        world: &mut W,
        clock: Clock,
        event: M::Event,
    ) -> Option<W::End> {
        self.answers.push_back(event);
        while let Some(event) = self.answers.pop_front() {
            let name = world.name(&event);
            let verdict = machine.handle(clock.now(), event, &mut self.effects);
            self.note(name, verdict);
            for effect in self.effects.drain(..) {
                match world.perform(effect).await {
                    Performed::Done => {}
                    Performed::Answered(answer) => self.answers.push_back(answer),
                    Performed::Ended(end) => {
                        world.publish(machine);
                        return Some(end);
                    }
                }
            }
            world.publish(machine);
        }
        None
    }

    fn note(&mut self, event: &'static str, verdict: Verdict) {
        match verdict {
            Verdict::Moved | Verdict::Handled => {}
            Verdict::Ignored(why) => tracing::trace!(operation = event, why, "Event ignored"),
            Verdict::Refused(refusal) => {
                let count = self.refused.entry(refusal).or_default();
                *count += 1;
                let (reason, count) = (refusal.as_str(), *count);
                tracing::warn!(operation = event, reason, count, "Event refused");
            }
        }
    }
}

#[cfg(test)]
mod tests;
