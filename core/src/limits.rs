//! Every bound and every fixed duration, with its unit in its name.
//!
//! What an operator may choose is in [`Settings`]; its defaults are those of the product's
//! specification (poll, heartbeat and event intervals, per-process limits).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::cgroup::{Change, ProcessLimits, TeamLimits};
use crate::isolation::Isolation;
use crate::time::{HOUR, MINUTE, SECOND};

/// Shortest wait after a failure.
pub const BACKOFF_MIN_MS: u64 = 2 * SECOND;
/// Longest wait after failures, and the cap of `Retry-After`.
pub const BACKOFF_MAX_MS: u64 = 300 * SECOND;

/// Poll interval while an immediate command waits.
pub const POLL_IMMEDIATE_MS: u64 = 2 * SECOND;
/// Poll interval after a high-priority command.
pub const POLL_HIGH_MS: u64 = 10 * SECOND;
/// Poll interval after any other command.
pub const POLL_NORMAL_MS: u64 = 30 * SECOND;
/// Poll interval when nothing waits; the longest the Backend may ask for.
pub const POLL_QUIET_MS: u64 = 60 * SECOND;
/// Poll interval in a maintenance window; the longest the Backend may ask for in one.
pub const POLL_MAINTENANCE_MS: u64 = 300 * SECOND;
/// Commands asked for by one poll.
pub const POLL_LIMIT: u32 = 10;
/// Time-out of a poll that is not held.
pub const POLL_TIMEOUT_MS: u64 = 15 * SECOND;
/// Longest hold of a poll, in the whole seconds of its `wait` parameter.
pub const POLL_WAIT_MAX_SECONDS: u64 = 25;

/// Registrations tried while the failures are of the kind that passes.
pub const REGISTRATION_ATTEMPTS_MAX: u32 = 6;
/// Time-out of `GET /api/health`.
pub const HEALTH_TIMEOUT_MS: u64 = 5 * SECOND;
/// Time-out of every other call to the Backend.
pub const BACKEND_TIMEOUT_MS: u64 = 10 * SECOND;
/// Longest body accepted from the Backend.
pub const BACKEND_BODY_MAX_BYTES: usize = 32 * 1024 * 1024;

/// How long a Backend must have sent nothing but configurations of lower versions until it is
/// followed backwards.
pub const CONFIGURATION_INSISTENCE_MS: u64 = 10 * MINUTE;

/// Heartbeat interval, fixed.
pub const HEARTBEAT_INTERVAL_MS: u64 = 30 * SECOND;
/// Payload size above which a heartbeat is logged as a warning.
pub const HEARTBEAT_LARGE_BYTES: usize = 64 * 1024;
/// Tool names a heartbeat carries at most.
pub const HEARTBEAT_TOOL_NAMES_MAX: usize = 500;
/// Instances from which the normalised form is sent as well.
pub const HEARTBEAT_NORMALIZED_FROM_INSTANCES: usize = 100;

/// Characters of what administrators call things by: an index of PostgreSQL takes 2.7 kB for a key,
/// and a character may need four bytes.
pub const NAME_CHARS_MAX: usize = 500;
/// Bytes of what satellites call things by; up to four of them are one key.
pub const REPORTED_KEY_MAX_BYTES: usize = 500;

/// How long the first waiting event waits for company.
pub const EVENT_WINDOW_MS: u64 = 3 * SECOND;
/// First wait after a 429 on events; doubles up to [`EVENT_THROTTLE_MAX_MS`].
pub const EVENT_THROTTLE_MIN_MS: u64 = 3 * SECOND;
/// Longest wait after 429s on events.
pub const EVENT_THROTTLE_MAX_MS: u64 = 48 * SECOND;
/// Largest batch a Backend accepts.
pub const EVENT_BATCH_MAX: usize = 100;
/// Bytes of events in one batch; a single larger event still goes, alone. Half of what common
/// servers take as a body.
pub const EVENT_BATCH_MAX_BYTES: usize = 512 * 1024;
/// Bytes of events kept while the Backend is away.
pub const EVENT_QUEUE_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What may be appended to the journal beyond its last rewriting's length before it is rewritten.
pub const JOURNAL_SLACK_BYTES: usize = 1024 * 1024;
/// Switches of tools that are remembered.
pub const TOOL_SWITCHES_MAX: usize = 10_000;
/// Wait after the journal could not be written.
pub const JOURNAL_RETRY_MS: u64 = 30 * SECOND;
/// Largest journal that is read; several times what the bounds of its content allow.
pub const JOURNAL_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Longest MCP message from a child or a client.
pub const MESSAGE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Deepest nesting of a message.
pub const MESSAGE_MAX_DEPTH: usize = 128;
/// Messages in one batch.
pub const MESSAGE_BATCH_MAX: usize = 100;
/// Requests in flight at one child.
pub const CALLS_IN_FLIGHT_MAX: usize = 1_024;
/// URLs of one remote server.
pub const ENDPOINTS_MAX: usize = 8;
/// Exchanges with one remote at once; further messages wait for their turn.
pub const REMOTE_EXCHANGES_MAX: usize = 256;
/// Waits before a failed exchange with a remote is repeated, each with jitter.
pub const REMOTE_RETRY_DELAYS_MS: [u64; 3] = [500, SECOND, 2 * SECOND];
/// Longest `Retry-After` that a call waits for; with a longer one it fails at once.
pub const REMOTE_RETRY_AFTER_MAX_MS: u64 = 10 * SECOND;
/// How long a remote may take to accept a message that has no answer.
pub const REMOTE_ACCEPT_TIMEOUT_MS: u64 = 30 * SECOND;
/// How long a remote's stream is read on after the answer it was for.
pub const REMOTE_LINGER_MS: u64 = SECOND;
/// Shortest wait before a lost stream of a remote is asked for again, unless the remote names one.
pub const REMOTE_STREAM_RETRY_MIN_MS: u64 = SECOND;
/// Longest such wait.
pub const REMOTE_STREAM_RETRY_MAX_MS: u64 = MINUTE;
/// Times in a row that an answer's stream is taken up again without hearing anything.
pub const REMOTE_RESUMPTIONS_MAX: u32 = 3;
/// Longest id of a remote's session.
pub const REMOTE_SESSION_ID_MAX_BYTES: usize = 4 * 1024;
/// Bytes read of the body of a remote's refusal.
pub const REMOTE_REFUSAL_MAX_BYTES: usize = 64 * 1024;
/// Failures in a row after which an endpoint is left alone for a while.
pub const BREAKER_FAILURES_MAX: u32 = 5;
/// How long it is first left alone; doubles up to [`BREAKER_REST_MAX_MS`].
pub const BREAKER_REST_MIN_MS: u64 = SECOND;
/// Longest time an endpoint is left alone, unless it asks for more.
pub const BREAKER_REST_MAX_MS: u64 = 5 * SECOND;
/// How long an endpoint that came back takes to get its full share.
pub const SLOW_START_MS: u64 = 30 * SECOND;
/// How long a call may take unless it reports progress.
pub const CALL_TIMEOUT_MS: u64 = 60 * SECOND;
/// How long a call may take in all, progress or not.
pub const CALL_TIMEOUT_MAX_MS: u64 = 30 * MINUTE;
/// How long an `initialize` may take once the process runs.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 30 * SECOND;
/// The same where the launcher may have to download the server first (`npx`, `uvx`).
pub const HANDSHAKE_DOWNLOAD_TIMEOUT_MS: u64 = 300 * SECOND;

/// How long the installation of a package may take: what is left of the time above is the
/// server's own.
pub const PACKAGE_INSTALL_TIMEOUT_MS: u64 = 240 * SECOND;
/// How long listing tools, resources and prompts may take.
pub const DISCOVERY_TIMEOUT_MS: u64 = 30 * SECOND;
/// Pages followed in one list.
pub const DISCOVERY_PAGES_MAX: usize = 100;
/// Tools taken from one server, and likewise resources, templates and prompts.
pub const TOOLS_MAX: usize = 10_000;
/// Bytes of definitions taken from one server.
pub const INVENTORY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Shortest time between two listings that a server's own changes cause.
pub const RELIST_INTERVAL_MS: u64 = SECOND;
/// How long a probe of a server may take.
pub const PROBE_TIMEOUT_MS: u64 = 10 * SECOND;
/// From the last call of a process, or the last ping, to the next ping.
pub const PING_INTERVAL_MS: u64 = 30 * SECOND;
/// After this many pings in a row without an answer a process is ended and started afresh.
pub const PINGS_UNANSWERED_MAX: u32 = 3;
/// Bytes shown of a call's arguments in a request log, and of its answer.
pub const REQUEST_EXCERPT_MAX_BYTES: usize = 4 * 1024;
/// Calls reported in detail, per second once the burst is used up.
pub const REQUEST_DETAILS_PER_SECOND: u64 = 50;
/// Calls reported in detail at once.
pub const REQUEST_DETAILS_BURST: u64 = 200;
/// How long the lines of a log wait for company.
pub const LOG_WINDOW_MS: u64 = 3 * SECOND;
/// Lines of a log in one event.
pub const LOG_LINES_MAX: usize = 20;
/// Bytes of lines that wait for company; with more, all logs are told at once.
pub const LOG_BUFFER_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long a client's requests are counted before the count is told.
pub const ACTIVITY_WINDOW_MS: u64 = 30 * SECOND;
/// Clients whose requests are counted at once; with more, all counts are told.
pub const ACTIVITY_CLIENTS_MAX: usize = 1_000;
/// Calls told one by one, per second once the burst is used up. More than that a Backend would be
/// kept busy with nothing else.
pub const TOOL_USES_PER_SECOND: u64 = 200;
/// Calls told one by one at once: half of what the outbox holds.
pub const TOOL_USES_BURST: u64 = 5_000;
/// Refused credentials told one by one, per second once the burst is used up.
pub const REFUSALS_PER_SECOND: u64 = 1;
/// Refused credentials told one by one at once.
pub const REFUSALS_BURST: u64 = 10;
/// How long counts are kept of what was too much to be told one by one.
pub const UNTOLD_WINDOW_MS: u64 = 30 * SECOND;
/// Bytes kept of what a client says of itself.
pub const CLIENT_TEXT_MAX_BYTES: usize = 256;
/// Reports about clients that wait for the control machine; further ones are counted.
pub const USAGE_REPORTS_MAX: usize = 1_024;
/// Shortest time between two reports of a relay's traffic.
pub const ACTIVITY_INTERVAL_MS: u64 = SECOND;

/// Between two looks at what processes use.
pub const USAGE_INTERVAL_MS: u64 = 5 * SECOND;

/// How long a process that starts may use a whole processor, unless it is online before.
pub const BOOST_MAX_MS: u64 = 30 * SECOND;

/// From SIGTERM to SIGKILL.
pub const TERMINATE_GRACE_MS: u64 = 10 * SECOND;
/// How long the end of a killed process may take before it is reported as stuck.
pub const TERMINATE_STUCK_MS: u64 = 30 * SECOND;

/// How long a frozen process may take to be thawed.
pub const THAW_TIMEOUT_MS: u64 = 10 * SECOND;

/// Sliding window in which crashes count together.
pub const CRASH_WINDOW_MS: u64 = 5 * MINUTE;
/// Restarts within the window; the crash after them is final.
pub const CRASH_RESTARTS_MAX: usize = 3;
/// Uptime after which a crash is answered by a restart at once.
pub const HEALTHY_UPTIME_MS: u64 = MINUTE;
/// Delay of the first, second and third restart after a short life.
pub const RESTART_DELAYS_MS: [u64; CRASH_RESTARTS_MAX] = [SECOND, 5 * SECOND, 15 * SECOND];

/// Instances one satellite keeps.
pub const INSTANCES_MAX: usize = 10_000;
/// Commands that wait for their turn.
pub const COMMANDS_WAITING_MAX: usize = 1_000;
/// Commands whose outcome is remembered, to answer a repeated delivery.
pub const COMMANDS_REMEMBERED_MAX: usize = 1_000;
/// Longest result of one command; a longer one is replaced by a note.
pub const COMMAND_RESULT_MAX_BYTES: usize = 256 * 1024;
/// Bytes of all remembered results.
pub const COMMAND_RESULTS_MAX_BYTES: usize = 8 * 1024 * 1024;
/// After this long a command has failed and the next one has its turn. Longer than any start of a
/// server, its download included.
pub const COMMAND_TIMEOUT_MS: u64 = 10 * MINUTE;

/// How long a session lives without traffic.
pub const SESSION_IDLE_MS: u64 = 30 * MINUTE;
/// How long a session that was just used is not taken for its owner's next one.
pub const SESSION_YOUNG_MS: u64 = MINUTE;
/// Sessions of one subject.
pub const SESSIONS_PER_SUBJECT_MAX: usize = 1_000;
/// Sessions in all.
pub const SESSIONS_MAX: usize = 20_000;
/// Longest life of a cached introspection.
pub const INTROSPECTION_CACHE_MS: u64 = 5 * MINUTE;
/// How long an identity that was confirmed stays good while the Backend can't be asked.
pub const INTROSPECTION_OUTAGE_MS: u64 = HOUR;
/// How long a Backend that did not answer about an identity is not asked about it again, if the
/// identity stays good meanwhile: else each call would wait for the Backend first.
pub const INTROSPECTION_RETRY_MS: u64 = 30 * SECOND;
/// Life of a cached refusal.
pub const INTROSPECTION_NEGATIVE_CACHE_MS: u64 = 10 * SECOND;

/// From one sign of life of a remote to the next that it is asked for. Calls are signs as well; a
/// server that is down is found within this time even if nobody calls, and one request a minute is
/// no burden on it.
pub const REMOTE_PROBE_INTERVAL_MS: u64 = MINUTE;
/// After this long without a call nobody cares how a remote is, until the next one.
pub const REMOTE_CARE_MS: u64 = 30 * MINUTE;
/// How long the end of a conversation with a remote is waited for.
pub const REMOTE_DISCONNECT_MS: u64 = 5 * SECOND;

/// Largest `mcp.json` that is read.
pub const MCP_JSON_MAX_BYTES: usize = 1024 * 1024;

/// Longest URL that is read.
pub const URL_MAX_BYTES: usize = 8 * 1024;
/// Redirects followed for one request.
pub const EGRESS_REDIRECTS_MAX: u32 = 5;
/// Addresses of one host that are tried.
pub const ADDRESSES_MAX: usize = 16;
/// Time for a connection to be made: look-up, proxy and TLS included.
pub const CONNECT_TIMEOUT_MS: u64 = 10 * SECOND;
/// Time until the head of an answer from an address that somebody else supplied, redirects included:
/// a call may take this long.
pub const EGRESS_HEAD_TIMEOUT_MS: u64 = CALL_TIMEOUT_MAX_MS;
/// Time for the body of an answer that is no event stream.
pub const EGRESS_BODY_TIMEOUT_MS: u64 = 5 * MINUTE;
/// Largest body of an answer that is no event stream.
pub const EGRESS_BODY_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Headers of an answer.
pub const HTTP_HEADERS_MAX: usize = 100;
/// Largest head of an answer.
pub const HTTP_HEAD_MAX_BYTES: usize = 64 * 1024;

/// Lines of standard error passed on per second and process, unless the operator says otherwise.
pub const STDERR_LINES_PER_SECOND: u32 = 20;
/// Bytes kept of a line of standard error.
pub const STDERR_LINE_MAX_BYTES: usize = 1_024;

const _: () = assert!(BACKOFF_MIN_MS < BACKOFF_MAX_MS);
const _: () = assert!(POLL_QUIET_MS <= POLL_MAINTENANCE_MS);
const _: () = assert!(EVENT_THROTTLE_MIN_MS < EVENT_THROTTLE_MAX_MS);

/// What the operator chose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// The satellite's name: 10 to 32 of `a-z0-9_-`.
    pub name: String,
    /// The satellite's public base URL, if it has one.
    pub public_url: Option<String>,
    /// The Backend's base URL, without a slash at its end. Kept with the credentials, which are
    /// shown to no other.
    pub backend_url: Option<String>,
    /// What this machine is, for the registration.
    pub system: SystemInfo,
    /// Poll interval until the Backend guides.
    pub poll_interval_ms: u64,
    /// Events in one batch.
    pub event_batch_max: usize,
    /// How long events wait for company.
    pub event_window_ms: u64,
    /// Events kept while the Backend is away.
    pub event_queue_max: usize,
    /// Idle time after which a process is ended; 0 never ends it.
    pub idle_timeout_ms: u64,
    /// Idle time after which a process is frozen; 0 never freezes it.
    #[serde(default)]
    pub freeze_after_ms: u64,
    /// Whether the machine can freeze processes.
    #[serde(default)]
    pub can_freeze: bool,
    /// Time after its start in which a process is not idle.
    pub spawn_grace_ms: u64,
    /// Lines of standard error passed on per second and process.
    pub stderr_lines_per_second: u32,
    /// Instances with a process.
    pub processes_max: usize,
    /// Instances of one team with a process, if that is bounded.
    #[serde(default)]
    pub team_processes_max: Option<usize>,
    /// Starts under way at once; at least one.
    #[serde(default = "starts_max")]
    pub starts_max: usize,
    /// How long a call waits for the turn of its instance, before that is started.
    #[serde(default = "place_wait_ms")]
    pub place_wait_ms: u64,
    /// How long a shutdown may take.
    pub drain_budget_ms: u64,
    /// Executables that a configuration may name.
    pub allowed_commands: BTreeSet<String>,
    /// What each process may use.
    #[serde(default)]
    pub process_limits: ProcessLimits,
    /// What all processes of a team may use together.
    #[serde(default)]
    pub team_limits: TeamLimits,
    /// What the operator chose otherwise for the servers of these slugs.
    #[serde(default)]
    pub server_limits: BTreeMap<String, Change>,
    /// How far processes are isolated on this machine.
    #[serde(default)]
    pub isolation: Isolation,
}

fn starts_max() -> usize {
    8
}

fn place_wait_ms() -> u64 {
    MINUTE
}

/// What the machine is, as registration reports it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SystemInfo {
    /// Operating system and release.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Memory in MiB.
    pub memory_mb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: String::new(),
            public_url: None,
            backend_url: None,
            system: SystemInfo::default(),
            poll_interval_ms: POLL_NORMAL_MS,
            event_batch_max: 20,
            event_window_ms: EVENT_WINDOW_MS,
            event_queue_max: 10_000,
            idle_timeout_ms: 300 * SECOND,
            freeze_after_ms: MINUTE,
            can_freeze: false,
            spawn_grace_ms: 60 * SECOND,
            stderr_lines_per_second: STDERR_LINES_PER_SECOND,
            processes_max: 50,
            team_processes_max: None,
            starts_max: starts_max(),
            place_wait_ms: place_wait_ms(),
            drain_budget_ms: 20 * SECOND,
            allowed_commands: ["npx", "node", "uvx", "python", "python3"]
                .into_iter()
                .map(String::from)
                .collect(),
            process_limits: ProcessLimits::default(),
            team_limits: TeamLimits::default(),
            server_limits: BTreeMap::new(),
            isolation: Isolation::default(),
        }
    }
}

impl Settings {
    /// Idle time after which a process is frozen, where that can be done and is wanted.
    pub fn freezes_after_ms(&self) -> Option<u64> {
        Some(self.freeze_after_ms).filter(|after| self.can_freeze && *after > 0)
    }
}
