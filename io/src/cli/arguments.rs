//! The command line: what it is called, what it takes, and what `--help` teaches.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::administration::Administration;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    something went wrong (for `call`: the tool answered with an error)
  2    the command line or a setting is wrong
  3    the Backend cannot be reached
  4    the Backend refused the pairing, or revoked it
  5    a port is taken
  75   a restart is wanted
  130  ended by Ctrl-C";

const START: &str =
    "Start with `satellite dev`: a Backend, a satellite and a demo server, ready to use.";

/// Runs MCP servers at the edge, close to what they work on, and serves them to MCP clients.
#[derive(Debug, Parser)]
#[command(
    name = "satellite",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = START,
    after_long_help = EXIT_CODES
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a Backend and a satellite on this machine, paired and ready to use.
    #[cfg(feature = "backend")]
    #[command(after_help = "\
Examples:
  satellite dev                          the built-in demo server
  satellite dev --servers mcp.json       the servers you already have
  satellite dev --port 0 --json          on free ports, one line of JSON when ready

What it creates is kept in --dir, so a second start needs no new pairing and
the same tokens go on working.")]
    Dev(DevArguments),
    /// Run the satellite daemon.
    #[command(after_help = "\
Every setting can stand in the environment, in the file of --config (TOML, the same
names in lower case) or here; a flag comes first, then the environment.

Examples:
  DEPLOYSTACK_SATELLITE_NAME=edge-satellite-01 \\
  DEPLOYSTACK_BACKEND_URL=https://cloud.example.com \\
  DEPLOYSTACK_REGISTRATION_TOKEN=deploystack_satellite_team_… satellite run
  satellite run --config /etc/satellite.toml --state-dir /var/lib/satellite")]
    Run(RunArguments),
    /// Run the Backend that satellites pair with.
    #[cfg(feature = "backend")]
    #[command(after_help = "\
Examples:
  satellite backend                                   SQLite in the current directory
  satellite backend --database-url sqlite:/var/lib/satellite/backend.db --listen 0.0.0.0:3000
  DATABASE_URL=postgres://satellite:PASSWORD@db.example.com/satellite?sslmode=verify-full satellite backend
  satellite backend migrate-to --help                 from SQLite to PostgreSQL

The first start prints the administration token, once.")]
    Backend(BackendArguments),
    /// List the tools that a satellite offers.
    #[command(after_help = "\
Examples:
  satellite tools                                     of the `satellite dev` in this directory
  satellite tools --url http://127.0.0.1:3001/mcp --token TOKEN --json")]
    Tools(ToolsArguments),
    /// Call a tool.
    #[command(after_help = "\
Examples:
  satellite call demo:add '{\"a\": 2, \"b\": 40}'
  satellite call demo:slow '{\"steps\": 10}'             progress goes to standard error
  satellite call files:read_file '{\"path\": \"notes.md\"}' --json")]
    Call(CallArguments),
    /// Show what runs, and what is degraded and why.
    #[command(after_help = "\
Examples:
  satellite status                                    of the `satellite dev` in this directory
  satellite status --url http://127.0.0.1:3001")]
    Status(StatusArguments),
    /// Look at this machine: what a satellite finds here, what it lacks, and the command that mends it.
    #[command(after_help = "\
Examples:
  satellite doctor                                    with the settings of the environment
  satellite doctor --config /etc/satellite.toml --json

It takes what a satellite would take (control groups, a jail, the port), and gives it
back: run it as the user and in the place the satellite will have. It ends with 1 when
something failed that a satellite cannot do without.")]
    Doctor(DoctorArguments),
    /// Print a unit of systemd for `satellite run`.
    #[command(after_help = "\
Examples:
  satellite systemd-unit > /etc/systemd/system/satellite.service
  systemctl daemon-reload && systemctl enable --now satellite

The unit reads its settings from /etc/satellite/environment: NAME=value, a line each.")]
    SystemdUnit,
    #[command(flatten)]
    Administration(Administration),
    /// The built-in demo server, over standard input and output.
    #[command(hide = true)]
    DemoServer,
}

#[cfg(feature = "backend")]
#[derive(Debug, Args)]
pub(super) struct DevArguments {
    /// The servers to run: {"mcpServers": {"files": {"command": "npx", "args": ["-y", "…"]}}}
    /// [default: the built-in demo server]
    #[arg(long, value_name = "FILE")]
    pub(super) servers: Option<PathBuf>,
    /// Where everything it creates is kept.
    #[arg(long, value_name = "DIR", default_value = super::DEV_DIRECTORY)]
    pub(super) dir: PathBuf,
    /// The satellite's port; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 3001)]
    pub(super) port: u16,
    /// The Backend's port; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    pub(super) backend_port: u16,
    /// The Backend's database [default: SQLite in --dir]
    #[arg(long, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// How servers are isolated and limited: required, best-effort or off.
    #[arg(long, value_name = "LEVEL")]
    pub(super) isolation: Option<String>,
    /// Print one line of JSON on standard output when every server is online or has failed.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// A file of settings (TOML).
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where credentials and the last good configuration are kept.
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<String>,
    /// The satellite's name: 10 to 32 of a-z, 0-9, _ and -.
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// The Backend.
    #[arg(long, value_name = "URL")]
    pub(super) backend: Option<String>,
    /// The address MCP clients are served on.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) host: Option<String>,
    /// The port MCP clients are served on; 0 picks a free one.
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// How servers are isolated and limited: required, best-effort or off.
    #[arg(long, value_name = "LEVEL")]
    pub(super) isolation: Option<String>,
    /// Record every decision in a file that must not exist, to be replayed with `sim replay`;
    /// secrets are replaced by handles.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// The most a recording may take; the satellite goes on without it.
    #[arg(long, value_name = "MIB", default_value_t = 256, requires = "record")]
    pub(super) record_max_mib: u64,
    /// The least level that is logged: trace, debug, info, warn, error or fatal.
    #[arg(long, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
}

#[cfg(feature = "backend")]
#[derive(Debug, Args)]
pub(super) struct BackendArguments {
    #[command(subcommand)]
    pub(super) command: Option<BackendCommand>,
    /// The database: `sqlite:PATH`, or `postgres://USER@HOST/DATABASE`, which several Backends may
    /// share. A URL with a password belongs in the environment's DATABASE_URL, where other users of
    /// this machine do not see it. [default: sqlite:satellite.db]
    #[arg(long, value_name = "URL", global = true)]
    pub(super) database_url: Option<String>,
    /// The address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub(super) listen: String,
}

#[cfg(feature = "backend")]
#[derive(Debug, Subcommand)]
pub(super) enum BackendCommand {
    /// Copy all that a Backend keeps in SQLite into an empty PostgreSQL, and compare every value.
    #[command(after_help = "\
Examples:
  satellite backend migrate-to postgres://satellite@db.example.com/satellite
  satellite backend migrate-to --database-url sqlite:/var/lib/satellite/backend.db
                                      to the DATABASE_URL of the environment

End the Backend first: while one runs on the source, nothing is copied. The target's schema
is made if it has none. Everything is copied and compared in one transaction, so that a
copy that fails leaves no row behind; the source stays as it is. Then start the Backend
with the new DATABASE_URL and the settings it had, DEPLOYSTACK_ENCRYPTION_SECRET among
them: what it sealed was copied as it is, and opens with that alone. Satellites, tokens
and links go on as before.")]
    MigrateTo(MigrateArguments),
}

#[cfg(feature = "backend")]
#[derive(Debug, Args)]
pub(super) struct MigrateArguments {
    /// The target, `postgres://USER@HOST/DATABASE`. A URL with a password belongs in the
    /// environment's DATABASE_URL, where other users of this machine do not see it.
    /// [default: DATABASE_URL; the source is then --database-url, or sqlite:satellite.db]
    #[arg(value_name = "TARGET")]
    pub(super) target: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Which satellite a client talks to.
#[derive(Debug, Args)]
pub(super) struct Endpoint {
    /// An MCP endpoint, such as http://127.0.0.1:3001/mcp.
    #[arg(long, value_name = "URL", requires = "token")]
    pub(super) url: Option<String>,
    /// The token for --url.
    #[arg(long, value_name = "TOKEN", requires = "url")]
    pub(super) token: Option<String>,
    /// The directory of a `satellite dev` that runs.
    #[arg(long, value_name = "DIR", default_value = super::DEV_DIRECTORY, conflicts_with = "url")]
    pub(super) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct ToolsArguments {
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CallArguments {
    /// The tool, as `satellite tools` lists it.
    #[arg(value_name = "SERVER:TOOL")]
    pub(super) tool: String,
    /// Its arguments, a JSON object.
    #[arg(value_name = "JSON", default_value = "{}")]
    pub(super) arguments: String,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
    /// Print the whole result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// The satellite's base URL, such as http://127.0.0.1:3001.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The directory of a `satellite dev` that runs.
    #[arg(long, value_name = "DIR", default_value = super::DEV_DIRECTORY, conflicts_with = "url")]
    pub(super) dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// A file of settings (TOML).
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where the satellite would keep its state.
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<String>,
    /// The Backend.
    #[arg(long, value_name = "URL")]
    pub(super) backend: Option<String>,
    /// How servers are to be isolated: required, best-effort or off.
    #[arg(long, value_name = "LEVEL")]
    pub(super) isolation: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}
