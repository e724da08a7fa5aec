//! The table of every environment variable: the reader, the README and the tests follow it.

use std::fmt::Write as _;

/// An environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name. In the settings file it is the key, in lower case.
    pub name: &'static str,
    /// Its value when nobody sets it; empty for none.
    pub default: &'static str,
    /// What it does, for the README.
    pub about: &'static str,
}

const fn variable(name: &'static str, default: &'static str, about: &'static str) -> Variable {
    Variable { name, default, about }
}

/// Every variable that is read.
pub const VARIABLES: &[Variable] = &[
    variable(
        "DEPLOYSTACK_SATELLITE_NAME",
        "",
        "The satellite's name, 10 to 32 of `a-z0-9_-`. Required by `run`.",
    ),
    variable(
        "DEPLOYSTACK_BACKEND_URL",
        "http://localhost:3000",
        "The Backend. `http://` only on loopback, unless allowed.",
    ),
    variable(
        "SATELLITE_ALLOW_INSECURE_BACKEND",
        "false",
        "`true` allows a Backend at `http://` beyond loopback.",
    ),
    variable(
        "DEPLOYSTACK_REGISTRATION_TOKEN",
        "",
        "For the first pairing; not read while credentials are stored.",
    ),
    variable(
        "SATELLITE_STATE_DIR",
        "persistent_data",
        "Where credentials and the last good configuration are kept.",
    ),
    variable("HOST", "0.0.0.0", "The address MCP clients are served on."),
    variable("PORT", "3001", "The port; `0` picks a free one."),
    variable("DEPLOYSTACK_SATELLITE_URL", "", "The satellite's public base URL, without a path."),
    variable(
        "DEPLOYSTACK_BACKEND_PUBLIC_URL",
        "",
        "The Backend as MCP clients reach it; the Backend's URL if unset.",
    ),
    variable(
        "DEPLOYSTACK_BACKEND_POLLING_INTERVAL",
        "30",
        "Seconds between polls until the Backend guides, 2 to 300.",
    ),
    variable(
        "SATELLITE_ALLOWED_HOSTS",
        "",
        "Further host names that requests may carry, with commas between.",
    ),
    variable(
        "SATELLITE_METRICS_TOKEN",
        "",
        "The token that `/metrics` wants as the Bearer token; it is off without one.",
    ),
    variable(
        "SATELLITE_ALLOWED_COMMANDS",
        "",
        "Executables allowed beside `npx, node, uvx, python, python3`: names or absolute paths, with commas between.",
    ),
    variable(
        "SATELLITE_SERVER_JAIL",
        "true",
        "`false` lets servers run as the satellite's user and see what it sees. `dev` does so unless this is set or isolation is required.",
    ),
    variable(
        "SATELLITE_READABLE_PATHS",
        "",
        "Absolute paths that jailed servers may read beside the system and their own programs, with commas between.",
    ),
    variable(
        "SATELLITE_SERVERS_OFFLINE",
        "false",
        "`true` lets jailed servers reach nothing but themselves: neither this machine nor a network.",
    ),
    variable(
        "SATELLITE_TEAM_ACCOUNTS",
        "true",
        "Whether the teams of a satellite started as root get accounts, `satellite-team-…`; `false` gives them unused numbers of users.",
    ),
    variable(
        "SATELLITE_EGRESS_ALLOW",
        "",
        "What remote servers may be beside public addresses at `https://`: hosts, `host:port`, addresses and networks such as `10.0.0.0/8`, with commas between.",
    ),
    variable(
        "SATELLITE_EGRESS_ALLOW_HTTP",
        "false",
        "`true` allows `http://` to what `SATELLITE_EGRESS_ALLOW` lists.",
    ),
    variable(
        "SATELLITE_CA_FILE",
        "",
        "A PEM file of certificates to trust beside the machine's own.",
    ),
    variable(
        "HTTPS_PROXY",
        "",
        "The proxy for `https://`, as `http://user:password@host:port`; in lower case too, as the next three.",
    ),
    variable("HTTP_PROXY", "", "The proxy for `http://`."),
    variable("ALL_PROXY", "", "The proxy for both, where they name none."),
    variable(
        "NO_PROXY",
        "",
        "Domains, addresses and networks reached without a proxy, with commas between; `*` is everything.",
    ),
    variable(
        "MCP_PROCESS_IDLE_TIMEOUT_SECONDS",
        "300",
        "Idle time after which a process is ended until it is called again; `0` is never.",
    ),
    variable(
        "SATELLITE_FREEZE_AFTER_SECONDS",
        "60",
        "Idle time after which a process is frozen until it is called again, where the machine can do that; `0` is never.",
    ),
    variable(
        "MCP_PROCESS_SPAWN_GRACE_PERIOD_SECONDS",
        "60",
        "Time after its start in which a process does not count as idle.",
    ),
    variable(
        "SATELLITE_ISOLATION",
        "best-effort",
        "`required` does not start where servers cannot be isolated and limited, `best-effort` warns, `off` does neither.",
    ),
    variable("MCP_PROCESS_MEMORY_MB", "100", "Memory of a server, in MiB."),
    variable(
        "MCP_PROCESS_CPU_PERCENT",
        "10",
        "Processor time of a server, in hundredths of one processor.",
    ),
    variable("MCP_PROCESS_MAX_PROCESSES", "256", "Processes and threads of a server."),
    variable(
        "SATELLITE_SERVER_LIMITS",
        "",
        "Other limits for some servers, by slug: `files:memory=256,cpu=50;docs:processes=64`.",
    ),
    variable("SATELLITE_INSTANCES", "50", "Servers with a process at once, frozen ones included."),
    variable(
        "SATELLITE_TEAM_INSTANCES",
        "0",
        "Those of one team; `0` is no limit but the satellite's.",
    ),
    variable(
        "SATELLITE_STARTS",
        "0",
        "Servers that are being started at once; `0` is two for each processor, at least 4.",
    ),
    variable(
        "SATELLITE_START_WAIT_SECONDS",
        "60",
        "How long a call waits for its server's turn to start. The start itself has its own time.",
    ),
    variable(
        "SATELLITE_TEAM_MEMORY_MB",
        "0",
        "Memory of all servers of a team together, in MiB; `0` is no limit.",
    ),
    variable("SATELLITE_TEAM_CPU_PERCENT", "0", "Their processor time together; `0` is no limit."),
    variable(
        "SATELLITE_TEAM_PROCESSES",
        "0",
        "Their processes and threads together; `0` is no limit.",
    ),
    variable("EVENT_BATCH_INTERVAL_MS", "3000", "How long events wait for company."),
    variable("EVENT_MAX_BATCH_SIZE", "20", "Events in one batch, 1 to 100."),
    variable("EVENT_MAX_QUEUE_SIZE", "10000", "Events kept while the Backend is away."),
    variable("EVENT_FLUSH_TIMEOUT_MS", "5000", "How long a shutdown may wait for the last events."),
    variable("LOG_LEVEL", "info", "`trace`, `debug`, `info`, `warn`, `error` or `fatal`."),
    variable(
        "NODE_ENV",
        "",
        "`production` logs JSON, `development` for people; unset, a terminal decides.",
    ),
    variable(
        "LOG_RATE_LIMIT_PER_SECOND",
        "20",
        "Lines of a server's standard error passed on per second.",
    ),
    variable("LOG_MAX_LINE_LENGTH_BYTES", "1024", "Bytes kept of such a line."),
    variable(
        "LOG_RATE_LIMIT_WARNING_INTERVAL_MS",
        "60000",
        "How far apart warnings about dropped lines are.",
    ),
    variable(
        "DEPLOYSTACK_RESOURCE_DOCUMENTATION",
        "https://docs.deploystack.io/",
        "`resource_documentation` of the discovery documents.",
    ),
    variable("DEPLOYSTACK_STATUS_SHOW_UPTIME", "true", "`false` hides the uptime at `/`."),
    variable("DEPLOYSTACK_STATUS_SHOW_VERSION", "true", "`false` hides the version at `/`."),
    variable(
        "DEPLOYSTACK_STATUS_SHOW_MCP_DEBUG_ROUTE",
        "false",
        "`true` turns on `/api/status/debug`.",
    ),
    variable(
        "HOME",
        "/opt/deploystack",
        "Below `mcp-cache` in it each team has a home for its servers.",
    ),
    variable(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "Where executables are looked for.",
    ),
];

/// Variables of the commands that talk to a Backend or are one.
pub(super) const COMMAND_VARIABLES: &[Variable] = &[
    variable("SATELLITE_ADMIN_TOKEN", "", "The Backend's administration token."),
    variable(
        "DATABASE_URL",
        "sqlite:satellite.db",
        "The Backend's database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.",
    ),
    variable(
        "JWT_SECRET",
        "",
        "Signs registration tokens; the Backend makes and keeps one if unset.",
    ),
    variable(
        "DEPLOYSTACK_ENCRYPTION_SECRET",
        "",
        "Seals the tokens of users for remote servers, at least 32 characters; without it nobody \
         can connect to one. `dev` makes its own.",
    ),
    variable(
        "DEPLOYSTACK_ENCRYPTION_SECRET_FILE",
        "",
        "A file that holds it instead, readable by its owner alone.",
    ),
];

/// Known names that have no effect here; a warning says so.
pub(super) const WITHOUT_EFFECT: &[&str] = &[
    "DEPLOYSTACK_SKIP_RUNTIME_CHECKS",
    "MCP_DEPLOYMENT_BASE_DIR",
    "MCP_USE_TMPFS",
    "SATELLITE_ID",
];

/// Variables that other programs write in lower case.
pub(super) const LOWER_CASE_TOO: &[&str] = &["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];

/// What the names of the jail's settings start with; they have no effect either.
pub(super) const JAIL_PREFIX: &str = "NSJAIL_";

/// The default of a variable; empty for one without.
pub(super) fn default_of(name: &str) -> &'static str {
    VARIABLES.iter().chain(COMMAND_VARIABLES).find(|it| it.name == name).map_or("", |it| it.default)
}

/// The README's table, in Markdown.
pub fn environment_table() -> String {
    let mut table = String::from("| variable | default | what it does |\n|---|---|---|\n");
    for variable in VARIABLES.iter().chain(COMMAND_VARIABLES) {
        let default = match variable.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        // Writing to a String has no way to fail.
        let _ = writeln!(table, "| `{}` | {default} | {} |", variable.name, variable.about);
    }
    table
}
