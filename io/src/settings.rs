//! What the operator chose: the only reader of the environment.
//!
//! A flag comes before the environment, that before the file of `--config`, that before the default.
//! The file is TOML; its keys are the environment's names in lower case.

mod check;
mod file;
mod jail;
mod limits;
mod outbound;
mod sources;
mod variables;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use satellite_core::isolation::Isolation;
use satellite_core::limits::{Settings, SystemInfo};
use satellite_core::log::Level;
use satellite_core::secret::Secret;

pub use check::backend_url;
pub use jail::JailSettings;
pub use outbound::OutboundSettings;
pub use sources::{Environment, Sources, Value};
pub use variables::{VARIABLES, Variable, environment_table};

use crate::egress::EgressOptions;
use crate::exit::{Exit, usage};

/// Everything the daemon needs to know before it starts.
#[derive(Clone, Debug)]
pub struct DaemonSettings {
    /// What the core needs.
    pub core: Settings,
    /// The Backend's address, without a trailing slash.
    pub backend_url: String,
    /// The Backend's address as clients of the satellite reach it, without a trailing slash.
    pub backend_public_url: String,
    /// For the first pairing. Not looked at while credentials are stored.
    pub registration_token: Option<Secret>,
    /// Where credentials and the last good configuration are kept.
    pub state_dir: PathBuf,
    /// Where MCP clients are served: a host name or address, and a port (0 picks a free one).
    pub listen: (String, u16),
    /// How logs are written.
    pub log: LogSettings,
    /// The satellite's HTTP surface.
    pub surface: SurfaceSettings,
    /// How connections are made.
    pub outbound: OutboundSettings,
    /// What is passed on of a child's standard error.
    pub stderr: StderrSettings,
    /// This process's environment. Children see a short list of it.
    pub environment: Environment,
    /// Below this directory each team has a home of its own for its servers.
    pub homes: PathBuf,
    /// One home for all instead, for a developer's own machine.
    pub shared_home: Option<PathBuf>,
    /// What servers see and reach.
    pub jail: JailSettings,
    /// What the operator should know of these settings, a sentence each.
    pub warnings: Vec<String>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The least level that is written.
    pub level: Level,
    /// In which form; `None` is human on a terminal and JSON elsewhere.
    pub format: Option<LogFormat>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

/// The satellite's HTTP surface.
#[derive(Clone, Debug)]
pub struct SurfaceSettings {
    /// Host names that requests may carry beside loopback names and that of the public URL.
    pub allowed_hosts: BTreeSet<String>,
    /// `resource_documentation` of the discovery documents.
    pub resource_documentation: String,
    /// Whether `/` shows the uptime.
    pub show_uptime: bool,
    /// Whether `/` shows version, build time and source.
    pub show_version: bool,
    /// Whether `/api/status/debug` answers.
    pub debug_route: bool,
    /// The token that `/metrics` wants; nobody is answered without one.
    pub metrics_token: Option<Secret>,
}

/// What is passed on of a child's standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StderrSettings {
    /// Lines a second.
    pub lines_per_second: u32,
    /// Bytes of a line.
    pub line_max_bytes: usize,
    /// How far apart warnings about dropped lines are at least.
    pub warning_interval: Duration,
}

impl DaemonSettings {
    /// Reads the settings of a daemon that must know its name.
    pub fn read(sources: &Sources) -> Result<Self, Exit> {
        let name = check::satellite_name(sources)?;
        let allow_insecure = check::boolean(sources, "SATELLITE_ALLOW_INSECURE_BACKEND")?;
        let backend_url =
            check::backend_url_of(sources, "DEPLOYSTACK_BACKEND_URL", allow_insecure)?;
        let backend_public_url = match sources.given("DEPLOYSTACK_BACKEND_PUBLIC_URL") {
            Some(_) => check::base_url(sources, "DEPLOYSTACK_BACKEND_PUBLIC_URL")?,
            None => backend_url.clone(),
        };
        let public_url = match sources.given("DEPLOYSTACK_SATELLITE_URL") {
            Some(_) => Some(check::base_url(sources, "DEPLOYSTACK_SATELLITE_URL")?),
            None => None,
        };
        let defaults = Settings::default();
        let mut allowed_commands = defaults.allowed_commands;
        allowed_commands.extend(check::list(sources, "SATELLITE_ALLOWED_COMMANDS"));
        let places = limits::of_places(sources)?;
        let stderr_lines_per_second =
            check::number(sources, "LOG_RATE_LIMIT_PER_SECOND", 1, 100_000)?;
        let core = Settings {
            name,
            public_url,
            // Set by the daemon, from below: `dev` learns late where its Backend is.
            backend_url: None,
            system: system(),
            poll_interval_ms: 1_000
                * check::number::<u64>(sources, "DEPLOYSTACK_BACKEND_POLLING_INTERVAL", 2, 300)?,
            event_batch_max: check::number(sources, "EVENT_MAX_BATCH_SIZE", 1, 100)?,
            event_window_ms: check::number(sources, "EVENT_BATCH_INTERVAL_MS", 1, 60_000)?,
            event_queue_max: check::number(sources, "EVENT_MAX_QUEUE_SIZE", 1, 1_000_000)?,
            idle_timeout_ms: 1_000
                * check::number::<u64>(sources, "MCP_PROCESS_IDLE_TIMEOUT_SECONDS", 0, 31_536_000)?,
            freeze_after_ms: 1_000
                * check::number::<u64>(sources, "SATELLITE_FREEZE_AFTER_SECONDS", 0, 31_536_000)?,
            // The machine says it, where this is looked for.
            can_freeze: false,
            spawn_grace_ms: 1_000
                * check::number::<u64>(
                    sources,
                    "MCP_PROCESS_SPAWN_GRACE_PERIOD_SECONDS",
                    0,
                    86_400,
                )?,
            // Ending the children takes 10 s at worst, and the rest of the goodbye 5.
            drain_budget_ms: 15_000
                + check::number::<u64>(sources, "EVENT_FLUSH_TIMEOUT_MS", 0, 60_000)?,
            processes_max: places.processes,
            team_processes_max: places.per_team,
            starts_max: places.starts,
            place_wait_ms: places.wait_ms,
            stderr_lines_per_second,
            allowed_commands,
            process_limits: limits::of_processes(sources)?,
            team_limits: limits::of_teams(sources)?,
            server_limits: limits::of_servers(sources)?,
            // The machine says it, where this is looked for.
            isolation: Isolation { asked: limits::isolation(sources)?, ..Isolation::default() },
        };
        Ok(DaemonSettings {
            core,
            backend_url,
            backend_public_url,
            registration_token: sources.given("DEPLOYSTACK_REGISTRATION_TOKEN").map(Secret::new),
            state_dir: PathBuf::from(sources.text("SATELLITE_STATE_DIR")),
            listen: (sources.text("HOST"), check::number(sources, "PORT", 0, u64::from(u16::MAX))?),
            log: LogSettings::read(sources)?,
            surface: SurfaceSettings {
                allowed_hosts: check::list(sources, "SATELLITE_ALLOWED_HOSTS"),
                resource_documentation: sources.text("DEPLOYSTACK_RESOURCE_DOCUMENTATION"),
                show_uptime: check::boolean(sources, "DEPLOYSTACK_STATUS_SHOW_UPTIME")?,
                show_version: check::boolean(sources, "DEPLOYSTACK_STATUS_SHOW_VERSION")?,
                debug_route: check::boolean(sources, "DEPLOYSTACK_STATUS_SHOW_MCP_DEBUG_ROUTE")?,
                metrics_token: sources.given("SATELLITE_METRICS_TOKEN").map(Secret::new),
            },
            outbound: OutboundSettings::read(sources)?,
            stderr: StderrSettings {
                lines_per_second: stderr_lines_per_second,
                line_max_bytes: check::number(
                    sources,
                    "LOG_MAX_LINE_LENGTH_BYTES",
                    16,
                    1024 * 1024,
                )?,
                warning_interval: Duration::from_millis(check::number(
                    sources,
                    "LOG_RATE_LIMIT_WARNING_INTERVAL_MS",
                    0,
                    86_400_000,
                )?),
            },
            environment: sources.environment(),
            homes: PathBuf::from(sources.text("HOME")).join("mcp-cache"),
            shared_home: None,
            jail: JailSettings::read(sources, limits::isolation(sources)?)?,
            warnings: sources.warnings(),
        })
    }

    /// The options of the client for addresses that somebody else supplied; `listener` is the port
    /// that is served.
    pub fn egress(&self, listener: u16) -> EgressOptions {
        let ourselves = [&self.backend_url, &self.backend_public_url];
        let ourselves = ourselves.into_iter().chain(&self.core.public_url).map(String::as_str);
        self.outbound.egress(ourselves, Some(listener))
    }
}

impl LogSettings {
    /// Reads how logs are written.
    pub fn read(sources: &Sources) -> Result<Self, Exit> {
        let level = match sources.text("LOG_LEVEL").to_ascii_lowercase().as_str() {
            "trace" => Level::Trace,
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" => Level::Warn,
            "error" => Level::Error,
            "fatal" => Level::Fatal,
            other => {
                return Err(usage(
                    format!("LOG_LEVEL is {other:?}"),
                    "use trace, debug, info, warn, error or fatal",
                ));
            }
        };
        let format = match sources.text("NODE_ENV").as_str() {
            "production" => Some(LogFormat::Json),
            "development" => Some(LogFormat::Human),
            _ => None,
        };
        Ok(LogSettings { level, format })
    }
}

/// What this machine is, in the words the field uses (`linux linux`).
fn system() -> SystemInfo {
    let memory = sysinfo::System::new().map_or(0, |mut machine| {
        machine.refresh_memory();
        machine.total_memory()
    });
    SystemInfo {
        os: format!("{0} {0}", std::env::consts::OS),
        arch: String::from(std::env::consts::ARCH),
        memory_mb: memory / (1024 * 1024),
    }
}

#[cfg(test)]
mod tests;
