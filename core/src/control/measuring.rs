//! What the processes of servers use, as the host measured it: kept for whoever asks, and told once
//! when one of them comes near a limit. Beside it the counts of starts, ends and calls.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Control, Effect, Event};
use crate::Verdict;
use crate::cgroup::{Alarm, Crossing, Limit};
use crate::id::{Incarnation, InstanceKey, TeamId};
use crate::instance::{Launch, State};
use crate::log::Level;
use crate::process::{Ended, Sample};
use crate::time::Timestamp;
use crate::usage::Report;
use crate::view::figures::{Calls, Figures, Measured};
use crate::wire::event::{EventData, LimitExceeded, ResourceType};

/// What is known of how much everybody uses.
#[derive(Debug, Default)]
pub(super) struct Measuring {
    alarms: BTreeMap<InstanceKey, (Incarnation, Alarm)>,
    /// Shared with the view: changing it leaves what was published as it was.
    instances: Arc<BTreeMap<InstanceKey, Figures>>,
    calls: Arc<BTreeMap<TeamId, Calls>>,
}

impl Measuring {
    pub(super) fn instances(&self) -> &Arc<BTreeMap<InstanceKey, Figures>> {
        &self.instances
    }

    pub(super) fn calls(&self) -> &Arc<BTreeMap<TeamId, Calls>> {
        &self.calls
    }

    fn of(&mut self, key: &InstanceKey) -> &mut Figures {
        Arc::make_mut(&mut self.instances).entry(key.clone()).or_default()
    }

    /// A process has ended; `was_told` to, or not.
    fn ended(
        &mut self,
        key: &InstanceKey,
        incarnation: Incarnation,
        ended: &Ended,
        was_told: bool,
    ) {
        if self.alarms.get(key).is_some_and(|(of, _)| *of == incarnation) {
            self.alarms.remove(key);
        }
        let figures = self.of(key);
        figures.measured = figures.measured.take().filter(|it| it.incarnation != incarnation);
        let count = figures.ended.entry(reason(ended, was_told)).or_default();
        *count = count.saturating_add(1);
    }

    /// An instance is gone.
    pub(super) fn forget(&mut self, key: &InstanceKey) {
        self.alarms.remove(key);
        Arc::make_mut(&mut self.instances).remove(key);
    }

    /// Counts calls that have ended.
    pub(super) fn called(&mut self, reports: &[Report]) {
        for report in reports {
            let Report::Called(call) = report else { continue };
            let calls = Arc::make_mut(&mut self.calls).entry(call.key.team.clone()).or_default();
            calls.count = calls.count.saturating_add(1);
            if call.error.is_some() {
                calls.errors = calls.errors.saturating_add(1);
            }
        }
    }

    /// How many instances are near each limit, one phrase each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        [Limit::Cpu, Limit::Memory, Limit::Processes].into_iter().filter_map(|limit| {
            let near =
                self.alarms.values().filter(|(_, alarm)| alarm.near().contains(&limit)).count();
            (near > 0).then(|| match near {
                1 => format!("a server is near its limit of {limit}"),
                _ => format!("{near} servers are near their limits of {limit}"),
            })
        })
    }
}

/// Why a process ended, in one word.
fn reason(ended: &Ended, was_told: bool) -> &'static str {
    match (&ended.limit, &ended.signal, ended.code) {
        _ if was_told => "told",
        (Some(kill), ..) => match kill.limit {
            Limit::Cpu => "cpu_limit",
            Limit::Memory => "memory_limit",
            Limit::Processes => "process_limit",
        },
        (None, Some(_), _) => "signal",
        (None, None, Some(0)) => "exit",
        (None, None, _) => "failure",
    }
}

impl Control {
    /// Takes what processes used at the moment `at`.
    pub(super) fn measured(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        samples: Vec<Sample>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let mut crossed = Vec::new();
        for Sample { key, incarnation, usage } in samples {
            let Some(instance) = self.instances.get(&key) else { continue };
            let Ok(Launch::Process(process)) = &instance.lifecycle().spec.launch else { continue };
            let (limits, state) = (process.limits, instance.state());
            // A process that was replaced, or has not been heard of, is nobody's.
            if state.incarnation() != Some(incarnation) {
                continue;
            }
            let boosted = !state.is_online();
            let (of, alarm) = self.measuring.alarms.entry(key.clone()).or_default();
            if *of != incarnation {
                (*of, *alarm) = (incarnation, Alarm::default());
            }
            for crossing in alarm.observe(at, &limits, usage, boosted) {
                crossed.push((key.clone(), crossing));
            }
            let cpu_percent = alarm.cpu_percent();
            let near = alarm.near().clone();
            let measured = Measured { incarnation, usage, cpu_percent, near, limits };
            self.measuring.of(&key).measured = Some(measured);
        }
        for (key, crossing) in crossed {
            self.tell_crossing(now, &key, &crossing, out);
        }
        Verdict::Handled
    }

    fn tell_crossing(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        crossing: &Crossing,
        out: &mut Vec<Effect>,
    ) {
        let Some(instance) = self.instances.get(key) else { return };
        let (level, message) = if crossing.is_near {
            (Level::Warn, "a server is near a limit")
        } else {
            (Level::Info, "a server is no longer near a limit")
        };
        let explanation = crossing.explain(&instance.lifecycle().spec.names.slug);
        let line = self
            .line(key, level, message)
            .with("operation", "resource_limit")
            .with("limit", crossing.limit.as_str())
            .with("used", crossing.used)
            .with("value", crossing.value);
        if !crossing.is_near {
            out.push(Effect::Log(line));
            return;
        }
        out.push(Effect::Log(line.with("hint", &explanation)));
        let exceeded = LimitExceeded {
            team_id: key.team.clone(),
            resource_type: match crossing.limit {
                Limit::Cpu => ResourceType::Cpu,
                Limit::Memory => ResourceType::Memory,
                Limit::Processes => ResourceType::Processes,
            },
            current_value: crossing.used as f64,
            limit_value: crossing.value as f64,
            installation_id: Some(key.installation.clone()),
            user_id: Some(key.user.clone()),
            percent: Some(crossing.percent()),
            message: Some(explanation),
        };
        self.emit(now, EventData::LimitExceeded(exceeded), out);
    }

    /// Counts the starts and ends of processes of instances that there are.
    pub(super) fn tally(&mut self, event: &Event) {
        match event {
            Event::Spawned { key, .. } if self.instances.contains_key(key) => {
                let figures = self.measuring.of(key);
                figures.spawned = figures.spawned.saturating_add(1);
            }
            Event::SpawnFailed { key, .. } if self.instances.contains_key(key) => {
                let figures = self.measuring.of(key);
                figures.not_spawned = figures.not_spawned.saturating_add(1);
            }
            Event::Exited { key, incarnation, ended } => {
                let Some(instance) = self.instances.get(key) else { return };
                let was_told = matches!(instance.state(), State::Stopping { .. });
                self.measuring.ended(key, *incarnation, ended, was_told);
            }
            _ => {}
        }
    }
}
