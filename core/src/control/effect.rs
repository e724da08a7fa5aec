//! Everything the control machine can ask for.

use alloc::vec::Vec;

use serde::Serialize;

use crate::credentials::Credentials;
use crate::exit::Exit;
use crate::http::HttpRequest;
use crate::id::{Incarnation, InstanceKey, TeamId, UserId};
use crate::log::LogLine;
use crate::process::ProcessSpec;
use crate::remote::RemoteSpec;
use crate::request::RequestKey;

/// An effect of the control machine. They are performed in order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Write a record before the next effect, and sync it unless the record says otherwise; answered
    /// by `Persisted`, in the order of writing.
    Persist(Record),
    /// Send a request to the Backend; answered by `Answered`.
    Send {
        /// Which.
        request: RequestKey,
        /// The request.
        http: HttpRequest,
    },
    /// Start a process and open its relay; answered by `Spawned` or `SpawnFailed`.
    Spawn {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// What to start.
        process: ProcessSpec,
    },
    /// End a process and everything it started: close its input, SIGTERM, wait, SIGKILL.
    /// Answered by `Exited`.
    Terminate {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// From SIGTERM to SIGKILL.
        grace_ms: u64,
    },
    /// Begin a conversation with a server elsewhere; its relay reports what becomes of it.
    Connect {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's conversations.
        incarnation: Incarnation,
        /// With whom.
        remote: RemoteSpec,
    },
    /// End a conversation; the last report of its relay, that it is closed, answers this.
    Disconnect {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's conversations.
        incarnation: Incarnation,
    },
    /// Freeze a process and everything it started; answered by `Frozen` or `FreezeFailed`.
    Freeze {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
    },
    /// Let a frozen process go on; answered by `Thawed` or `ThawFailed`, after the answer to what
    /// was asked before. One that is not frozen has been thawed.
    Thaw {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
    },
    /// Have a remote's relay greet the server and ask for its lists anew, unless it does so already.
    /// What was known stays known, and calls go on.
    Reconnect {
        /// The instance.
        key: InstanceKey,
        /// Which of the instance's conversations.
        incarnation: Incarnation,
    },
    /// Have an instance's relay ask for its lists anew.
    Relist {
        /// The instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
    },
    /// Have an instance's relay ask its process for a sign of life; answered by a report of the
    /// relay, within the time of a probe.
    Probe {
        /// The instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
    },
    /// Have the surface forget what it remembers of a user's access tokens, and end the user's
    /// sessions; answered by `UserForgotten`.
    ForgetUser {
        /// Names the question in its answer.
        request: u64,
        /// The user.
        user: UserId,
        /// The team, if only what the user was in it is to be forgotten.
        team: Option<TeamId>,
    },
    /// Forget what is kept of an instance's user's access tokens towards servers elsewhere: the
    /// Backend may have others.
    ForgetTokens {
        /// The instance.
        key: InstanceKey,
    },
    /// Print a log line.
    Log(LogLine),
    /// End the daemon. Nothing follows.
    Exit(Exit),
}

/// What survives a restart.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The pairing.
    Credentials(Credentials),
    /// The last good configuration, as the Backend sent it; sealed on disk.
    Configuration(#[serde(with = "crate::recording::bytes")] Vec<u8>),
    /// The pairing is void: remove the credentials.
    Unpaired,
    /// Append to the journal.
    Journal {
        /// Whole lines of it.
        #[serde(with = "crate::recording::bytes")]
        bytes: Vec<u8>,
        /// Whether they must outlive a power cut before this is answered; a killed process they
        /// outlive in any case.
        sync: bool,
    },
    /// Replace the journal as a whole: after a crash there is the old one or this one.
    JournalRewrite(#[serde(with = "crate::recording::bytes")] Vec<u8>),
    /// Mark the journal in place, which needs no room on its disk, and sync all of it: so many numbers
    /// of events beyond its last one may be in use. The mark is [`crate::journal::mark`]'s.
    JournalMark(u64),
}

impl Record {
    /// Its name, for answers and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Record::Credentials(_) => "credentials",
            Record::Configuration(_) => "configuration",
            Record::Unpaired => "unpaired",
            Record::Journal { .. } | Record::JournalRewrite(_) | Record::JournalMark(_) => {
                "journal"
            }
        }
    }
}
