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

/// Runs MCP servers at the edge, close to what they work on, and serves them to MCP clients.
#[derive(Debug, Parser)]
#[command(
    name = "satellite",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_long_help = EXIT_CODES
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    #[command(flatten)]
    Administration(Administration),
    /// The built-in demo server, over standard input and output.
    #[command(hide = true)]
    DemoServer,
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
