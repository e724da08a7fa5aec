//! The command queue.

use satellite_core::id::{CommandId, SatelliteId, TeamId};
use satellite_core::time::{IsoTime, Timestamp};
use serde::Serialize;

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
    /// Until when the satellite it was handed to has it alone.
    pub leased_until: Option<IsoTime>,
    /// When it goes stale.
    pub expires_at: IsoTime,
    /// When the satellite reported its end.
    pub reported_at: Option<IsoTime>,
    /// Who created it.
    pub created_by: Option<String>,
    /// When it was created.
    pub created_at: IsoTime,
    /// When it last changed.
    pub updated_at: IsoTime,
}

impl SatelliteCommand {
    /// Gives it to its satellite alone, for `lease_ms`.
    pub fn hand_out(&mut self, now: Timestamp, lease_ms: u64) {
        self.status = "acknowledged".to_owned();
        self.leased_until = Some(IsoTime(now.after(lease_ms)));
        self.updated_at = IsoTime(now);
    }

    /// Ends it if it went stale or was delivered too often; takes it back if its lease is over. Says
    /// whether anything changed.
    pub fn lapse(&mut self, now: Timestamp) -> bool {
        let stale = self.expires_at.0 <= now;
        let lease_over = self.leased_until.is_some_and(|until| until.0 <= now);
        match self.status.as_str() {
            "pending" if stale => self.fail("It went stale before its satellite fetched it."),
            "acknowledged" | "executing" if !lease_over => return false,
            "acknowledged" | "executing" if stale => {
                self.fail("Its satellite fetched it and never reported its end.");
            }
            "acknowledged" | "executing" if self.retry_count >= self.max_retries => {
                let deliveries = self.retry_count + 1;
                self.fail(&format!("It was delivered {deliveries} times; no end was reported."));
            }
            "acknowledged" | "executing" => {
                self.status = "pending".to_owned();
                self.retry_count += 1;
            }
            _ => return false,
        }
        self.leased_until = None;
        self.updated_at = IsoTime(now);
        true
    }

    fn fail(&mut self, why: &str) {
        self.status = "failed".to_owned();
        self.error_message = Some(why.to_owned());
    }
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
    /// `immediate`, `high`, `normal` or `low`.
    pub priority: String,
    /// The rank of the priority, 0 first.
    pub priority_rank: u8,
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

    /// The command that brings it to `satellite`.
    pub fn to(&self, satellite: &SatelliteId, team: &TeamId, number: usize) -> NewCommand {
        NewCommand {
            id: CommandId::from(format!("{}{number}", self.id_prefix)),
            satellite_id: satellite.clone(),
            command_type: self.command_type.to_owned(),
            priority: "immediate".to_owned(),
            priority_rank: 0,
            payload: self.payload.clone(),
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
    pub limit: u32,
    /// How long the satellite has a command alone, in milliseconds.
    pub lease_ms: u64,
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
    /// The priority of the most urgent one that still waits.
    pub waiting: Option<String>,
}

/// A command as it is handed out.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The command.
    pub command: SatelliteCommand,
    /// Which delivery of it this is, from 1.
    pub attempt: u32,
}

/// What a satellite says a command came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Who says it.
    pub satellite_id: SatelliteId,
    /// Of which command.
    pub command_id: CommandId,
    /// What.
    pub reported: Reported,
    /// The time.
    pub now: Timestamp,
}

/// What a satellite reports of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Reported {
    /// It has it, or works on it: the lease is renewed for so many milliseconds.
    Progress {
        /// `acknowledged` or `executing`.
        status: &'static str,
        /// The lease, in milliseconds.
        lease_ms: u64,
    },
    /// It is done with it.
    End {
        /// Whether it succeeded.
        success: bool,
        /// Its result.
        result: Option<JsonText>,
        /// Why it failed.
        error: Option<String>,
    },
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It is stored.
    Recorded,
    /// The command's end was known already; the first report stands.
    AlreadyEnded,
    /// The satellite has no such command.
    Unknown,
}
