//! The command queue.

use std::collections::BTreeMap;

use satellite_core::backend::queue::{self, Queued, Report, Standing};
use satellite_core::id::{CommandId, SatelliteId, TeamId};
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::wire::admin::AdminState;
use satellite_core::wire::command::{CommandStatus, Priority};
use serde::Serialize;
use serde_json::Value;

use super::JsonText;

/// A command of the queue, with what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SatelliteCommand {
    /// Its id.
    pub id: CommandId,
    /// The satellite it is for.
    pub satellite_id: SatelliteId,
    /// One of the wire's six types.
    pub command_type: String,
    /// `immediate`, `high`, `normal` or `low`.
    pub priority: String,
    /// Its payload.
    pub payload: JsonText,
    /// `pending`, `acknowledged`, `executing`, `completed` or `failed`.
    pub status: String,
    /// The team it concerns.
    pub target_team_id: Option<TeamId>,
    /// Shared by the commands of one cause.
    pub correlation_id: Option<String>,
    /// Deliveries after the first.
    pub retry_count: u32,
    /// How many there may be.
    pub max_retries: u32,
    /// Why it failed.
    pub error_message: Option<String>,
    /// What the satellite answered.
    pub result: Option<JsonText>,
    /// When the satellite began it, by its own clock.
    pub started_at: Option<IsoTime>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Until when the satellite it was handed to has it alone.
    pub leased_until: Option<IsoTime>,
    /// When it goes stale.
    pub expires_at: IsoTime,
    /// Who created it.
    pub created_by: Option<String>,
    /// When it was created.
    pub created_at: IsoTime,
    /// When it last changed.
    pub updated_at: IsoTime,
}

impl SatelliteCommand {
    /// The command as the queue's rules see it.
    fn queued(&self) -> Queued {
        let begun = self.leased_until.is_some();
        Queued {
            id: self.id.clone(),
            priority: Priority::from_wire(&self.priority).unwrap_or_default(),
            status: self.status(),
            attempt: if begun { u64::from(self.retry_count) + 1 } else { 0 },
            max_retries: u64::from(self.max_retries),
            created_at: self.created_at.0,
            leased_until: self.leased_until.map(|until| until.0),
            expires_at: Some(self.expires_at.0),
        }
    }

    fn status(&self) -> CommandStatus {
        CommandStatus::from_wire(&self.status).unwrap_or(CommandStatus::Failed)
    }

    /// Ends it if it went stale, or was handed out too often; says whether it did.
    pub fn lapse(&mut self, now: Timestamp) -> bool {
        let Standing::Spent(why) = self.queued().standing(now) else { return false };
        self.fail(why, now);
        true
    }

    fn fail(&mut self, why: String, now: Timestamp) {
        self.status = CommandStatus::Failed.as_str().to_owned();
        self.error_message = Some(why);
        self.updated_at = IsoTime(now);
    }

    /// Takes in what its satellite reports; says whether that changed anything.
    pub fn report(&mut self, completion: Completion) -> bool {
        let now = completion.now;
        let Report::Takes(status, lease) = queue::report(self.status(), completion.status, now)
        else {
            return false;
        };
        self.status = status.as_str().to_owned();
        self.updated_at = IsoTime(now);
        // A lease that ended with the command still says that it was handed out.
        self.leased_until = lease.map(IsoTime).or(self.leased_until);
        if status.is_final() {
            self.result = completion.result;
            self.error_message = completion.error;
            self.started_at = completion.started_at;
            self.duration_ms = completion.duration_ms;
        }
        true
    }
}

/// What a poll makes of a satellite's open commands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// What the poll yields.
    pub taken: Taken,
    /// The commands that ended instead, to be stored.
    pub spent: Vec<SatelliteCommand>,
}

/// Draws from `open`, a satellite's commands that have not ended.
pub fn draw(open: Vec<SatelliteCommand>, take: &Take) -> Drawn {
    let queue = open.iter().map(SatelliteCommand::queued).collect();
    let draw = queue::draw(queue, take.limit, take.now);
    let mut open: BTreeMap<CommandId, SatelliteCommand> =
        open.into_iter().map(|command| (command.id.clone(), command)).collect();
    let mut drawn = Drawn::default();
    for queued in draw.handed_out {
        let Some(mut command) = open.remove(&queued.id) else { continue };
        command.status = queued.status.as_str().to_owned();
        command.retry_count = u32::try_from(queued.attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        command.leased_until = queued.leased_until.map(IsoTime);
        command.updated_at = IsoTime(take.now);
        drawn.taken.commands.push(Delivery { command, attempt: queued.attempt });
    }
    for (id, why) in draw.spent {
        let Some(mut command) = open.remove(&id) else { continue };
        command.fail(why, take.now);
        drawn.spent.push(command);
    }
    drawn.taken.most_urgent = draw.most_urgent;
    drawn
}

/// A command to be put into the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCommand {
    /// Its id.
    pub id: CommandId,
    /// The satellite it is for.
    pub satellite_id: SatelliteId,
    /// One of the wire's six types.
    pub command_type: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Its payload.
    pub payload: JsonText,
    /// The team it concerns.
    pub target_team_id: Option<TeamId>,
    /// Shared by the commands of one cause.
    pub correlation_id: String,
    /// When it goes stale.
    pub expires_at: Timestamp,
    /// Who creates it.
    pub created_by: Option<String>,
    /// The time.
    pub now: Timestamp,
}

/// An immediate command for every satellite that a change concerns, filed in the transaction of the
/// change itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// `configure`, or `invalidate_user_token_cache`.
    pub command_type: &'static str,
    /// The ids of the commands: this and a number.
    pub id_prefix: String,
    /// Shared by them.
    pub correlation_id: String,
    /// Their payload.
    pub payload: JsonText,
    /// When they go stale.
    pub expires_at: Timestamp,
    /// The time.
    pub now: Timestamp,
}

impl Notice {
    /// The same with ids of their own, where one change files several.
    #[must_use]
    pub fn numbered(&self, number: usize) -> Notice {
        Notice { id_prefix: format!("{}{number}_", self.id_prefix), ..self.clone() }
    }

    /// The command that brings it to `satellite`, whose configuration holds the change from
    /// `config_version` on.
    pub fn to(
        &self,
        satellite: &SatelliteId,
        team: &TeamId,
        number: usize,
        config_version: u64,
    ) -> NewCommand {
        let mut payload = self.payload.value();
        if self.command_type == "configure"
            && let Value::Object(payload) = &mut payload
        {
            payload.insert("config_version".to_owned(), config_version.into());
        }
        NewCommand {
            id: CommandId::from(format!("{}{number}", self.id_prefix)),
            satellite_id: satellite.clone(),
            command_type: self.command_type.to_owned(),
            priority: Priority::Immediate,
            payload: JsonText::of(&payload),
            target_team_id: Some(team.clone()),
            correlation_id: self.correlation_id.clone(),
            expires_at: self.expires_at,
            created_by: None,
            now: self.now,
        }
    }
}

/// A poll.
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    /// Who polls.
    pub satellite_id: SatelliteId,
    /// Commands wanted at most.
    pub limit: usize,
    /// What the satellite says of its last poll; kept, never used to withhold anything.
    pub last_poll: Option<Timestamp>,
    /// The time.
    pub now: Timestamp,
}

/// What a poll yields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// The commands handed out, most urgent first.
    pub commands: Vec<Delivery>,
    /// The priority of the most urgent one that was handed out or still waits.
    pub most_urgent: Option<Priority>,
    /// What an administrator has decided about the satellite: where that closes the queue, nothing
    /// was handed out.
    pub admin: AdminState,
}

/// A command as it is handed out.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The command.
    pub command: SatelliteCommand,
    /// Which delivery of it this is, from 1.
    pub attempt: u64,
}

/// What a satellite says a command came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Who says it.
    pub satellite_id: SatelliteId,
    /// Of which command.
    pub command_id: CommandId,
    /// What: anything but `pending`.
    pub status: CommandStatus,
    /// Its result.
    pub result: Option<JsonText>,
    /// When it was begun.
    pub started_at: Option<IsoTime>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// The time.
    pub now: Timestamp,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It is stored.
    Recorded,
    /// It changes nothing: an end that is known stands, and so does a later step.
    Repeated,
    /// The satellite has no such command.
    Unknown,
}
