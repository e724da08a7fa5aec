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
use crate::log::{Level, LogLine};
use crate::process::{Ended, Sample, TeamSample};
use crate::time::Timestamp;
use crate::usage::Report;
use crate::view::figures::{Calls, Figures, Measured, TeamFigures};
use crate::wire::event::{EventData, LimitExceeded, ResourceType};

/// What is known of how much everybody uses.
#[derive(Debug, Default)]
pub(super) struct Measuring {
    alarms: BTreeMap<InstanceKey, (Incarnation, Alarm)>,
    team_alarms: BTreeMap<TeamId, Alarm>,
    /// Shared with the view: changing it leaves what was published as it was.
    instances: Arc<BTreeMap<InstanceKey, Figures>>,
    teams: Arc<BTreeMap<TeamId, TeamFigures>>,
    calls: Arc<BTreeMap<TeamId, Calls>>,
}

impl Measuring {
    pub(super) fn instances(&self) -> &Arc<BTreeMap<InstanceKey, Figures>> {
        &self.instances
    }

    pub(super) fn teams(&self) -> &Arc<BTreeMap<TeamId, TeamFigures>> {
        &self.teams
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

    /// How many instances and teams are near each limit, one phrase each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        [Limit::Cpu, Limit::Memory, Limit::Processes].into_iter().flat_map(|limit| {
            let servers = self.alarms.values().map(|(_, alarm)| alarm);
            let phrases = [
                phrase("server", servers.filter(|it| it.near().contains(&limit)).count(), limit),
                phrase(
                    "team",
                    self.team_alarms.values().filter(|it| it.near().contains(&limit)).count(),
                    limit,
                ),
            ];
            phrases.into_iter().flatten()
        })
    }
}

fn phrase(what: &str, near: usize, limit: Limit) -> Option<String> {
    match near {
        0 => None,
        1 => Some(format!("a {what} is near its limit of {limit}")),
        _ => Some(format!("{near} {what}s are near their limits of {limit}")),
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

/// The event about a limit of a team, or of one of its instances.
fn exceeded(
    team: &TeamId,
    key: Option<&InstanceKey>,
    crossing: &Crossing,
    explanation: String,
) -> LimitExceeded {
    LimitExceeded {
        team_id: team.clone(),
        resource_type: match crossing.limit {
            Limit::Cpu => ResourceType::Cpu,
            Limit::Memory => ResourceType::Memory,
            Limit::Processes => ResourceType::Processes,
        },
        current_value: crossing.used as f64,
        limit_value: crossing.value as f64,
        installation_id: key.map(|key| key.installation.clone()),
        user_id: key.map(|key| key.user.clone()),
        percent: Some(crossing.percent()),
        message: Some(explanation),
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
            let of = |limit| Some(limits.value(limit));
            for crossing in alarm.observe(at, of, usage, boosted) {
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

    /// Takes what all processes of each team used together at the moment `at`. Of a team that is not
    /// named none runs.
    pub(super) fn teams_measured(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        samples: Vec<TeamSample>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let limits = self.settings.team_limits;
        let mut before = core::mem::take(&mut self.measuring.team_alarms);
        let mut figures = BTreeMap::new();
        for TeamSample { team, usage } in samples {
            let mut alarm = before.remove(&team).unwrap_or_default();
            // The limit holds whatever is being started.
            for crossing in alarm.observe(at, |limit| limits.value(limit), usage, false) {
                self.tell_team(now, &team, &crossing, out);
            }
            let (cpu_percent, near) = (alarm.cpu_percent(), alarm.near().clone());
            figures.insert(team.clone(), TeamFigures { usage, cpu_percent, near, limits });
            self.measuring.team_alarms.insert(team, alarm);
        }
        self.measuring.teams = Arc::new(figures);
        Verdict::Handled
    }

    fn tell_team(
        &mut self,
        now: Timestamp,
        team: &TeamId,
        crossing: &Crossing,
        out: &mut Vec<Effect>,
    ) {
        let (level, message) = if crossing.is_near {
            (Level::Warn, "the servers of a team are near a limit together")
        } else {
            (Level::Info, "the servers of a team are no longer near a limit together")
        };
        let line = LogLine::new(level, message).with("teamId", team.as_str());
        let explanation = crossing.explain_of_team();
        self.log_crossing(line, crossing, &explanation, out);
        if crossing.is_near {
            let exceeded = exceeded(team, None, crossing, explanation);
            self.emit(now, EventData::LimitExceeded(exceeded), out);
        }
    }

    fn log_crossing(
        &self,
        line: LogLine,
        crossing: &Crossing,
        explanation: &str,
        out: &mut Vec<Effect>,
    ) {
        let line = line
            .with("operation", "resource_limit")
            .with("limit", crossing.limit.as_str())
            .with("used", crossing.used)
            .with("value", crossing.value);
        let line = if crossing.is_near { line.with("hint", explanation) } else { line };
        out.push(Effect::Log(line));
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
        self.log_crossing(self.line(key, level, message), crossing, &explanation, out);
        if crossing.is_near {
            let exceeded = exceeded(&key.team, Some(key), crossing, explanation);
            self.emit(now, EventData::LimitExceeded(exceeded), out);
        }
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
