//! The administration commands: each is one request to the Backend's API.

mod pages;
mod people;
mod requests;
#[cfg(test)]
#[cfg(feature = "backend")]
mod tests;
mod waiting;
mod words;

use std::time::Duration;

use clap::{Args, Subcommand};
use satellite_core::secret::Secret;
use satellite_core::time::IsoTime;
use serde_json::Value;

use self::people::{AccessCommand, MemberCommand};
use self::requests::{ApiRequest, Shown, request};
pub(super) use self::words::admin_state;
use super::api::Api;
use super::output;
use crate::exit::{Exit, usage};
use crate::settings::{OutboundSettings, Sources, backend_url};

/// Administration through the Backend's API.
#[derive(Debug, Subcommand)]
pub(super) enum Administration {
    /// Registration tokens, with which satellites pair.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite token create                       for a satellite of everybody's
  satellite token create --team team_1a2b --expires-in-hours 48"
    )]
    Token(TokenCommand),
    /// Paired satellites.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite satellite list
  satellite satellite get sat_1a2b --json
  satellite satellite maintenance sat_1a2b                      until `enable`
  satellite satellite maintenance sat_1a2b --from 2026-02-01T22:00:00Z --until 2026-02-02T02:00:00Z
  satellite satellite enable sat_1a2b

In maintenance and while it is disabled a satellite goes on serving its MCP clients; the
Backend keeps what is sent to it and hands nothing out. In maintenance it asks every five
minutes, so it may take that long until it hears that a window was ended early."
    )]
    Satellite(SatelliteCommand),
    /// Teams.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite team create \"Field engineering\"
  satellite team list --json"
    )]
    Team(NamedCommand),
    /// Users.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite user create ada
  satellite user delete user_1a2b"
    )]
    User(NamedCommand),
    /// Members of teams, and what they may do there.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite member set user_1a2b --team team_3c4d
  satellite member set user_1a2b --team team_3c4d --role team_admin
  satellite member remove user_1a2b --team team_3c4d"
    )]
    Member(MemberCommand),
    /// Access tokens of users: for their MCP clients, and for managing their teams.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite access create --user user_1a2b --team team_3c4d            for an MCP client
  satellite access create --user user_1a2b --team team_3c4d --manage   for administration
  satellite access list --user user_1a2b
  satellite access revoke atok_5e6f --user user_1a2b

With --manage the token opens the administration API as far as its user's role goes. Do not
give such a token to an MCP client."
    )]
    Access(AccessCommand),
    /// Server templates that teams install.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite server create files --command npx --arg -y --arg @modelcontextprotocol/server-filesystem --arg /data
  satellite server create docs --url https://docs.example.com/mcp
  satellite server create both --url https://a.example.com/mcp --url https://b.example.com/mcp"
    )]
    Server(ServerCommand),
    /// Commands to a satellite.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite command send --satellite sat_1a2b --type configure --wait
  satellite command send --satellite sat_1a2b --type restart --payload '{\"installation_id\": \"inst_9\"}'"
    )]
    Command(QueueCommand),
    /// Background jobs of the Backend: what is removed, ended and noticed without a request.
    #[command(
        subcommand,
        after_help = "\
Examples:
  satellite jobs list
  satellite jobs run retention

Backends that share a database run each job once."
    )]
    Jobs(JobsCommand),
    /// What satellites reported.
    #[command(after_help = "\
Examples:
  satellite events --satellite sat_1a2b
  satellite events --satellite sat_1a2b --after 120 --json
  satellite events --team team_1a2b")]
    Events {
        /// The satellite.
        #[arg(long, value_name = "ID", required_unless_present = "team")]
        satellite: Option<String>,
        /// The team, instead: what its servers told and were given, at all satellites.
        #[arg(long, value_name = "ID", conflicts_with = "satellite")]
        team: Option<String>,
        /// Only what came after this sequence number.
        #[arg(long, value_name = "SEQ")]
        after: Option<u64>,
        #[command(flatten)]
        listed: Listed,
    },
}

/// How the Backend is reached.
#[derive(Debug, Args)]
pub(super) struct Access {
    /// The Backend [env: DEPLOYSTACK_BACKEND_URL] [default: http://localhost:3000]
    #[arg(long, value_name = "URL")]
    pub(super) backend: Option<String>,
    /// The administration token, printed at a Backend's first start, or an access token made with
    /// `satellite access create --manage` [env: SATELLITE_ADMIN_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub(super) admin_token: Option<String>,
    /// Print the API's own reply.
    #[arg(long)]
    pub(super) json: bool,
}

/// How much of a list is shown, and how the Backend is reached.
#[derive(Debug, Args)]
pub(super) struct Listed {
    /// Show so many at most [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: Option<u32>,
    #[command(flatten)]
    pub(super) access: Access,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// All registration tokens.
    List(Listed),
    /// Issue one; it is shown this once.
    Create {
        /// The team whose satellite will pair [default: none, a satellite of everybody's]
        #[arg(long, value_name = "ID")]
        team: Option<String>,
        /// Its life: up to 24 hours, for a team's 72 [default: 1, for a team's 24]
        #[arg(long, value_name = "HOURS")]
        expires_in_hours: Option<u32>,
        #[command(flatten)]
        access: Access,
    },
    /// Remove one that nobody has used.
    Delete(Identified),
}

#[derive(Debug, Subcommand)]
pub(super) enum SatelliteCommand {
    /// All satellites.
    List(Listed),
    /// One satellite.
    Get(Identified),
    /// Hold its commands back for a while.
    Maintenance {
        /// When it begins, such as 2026-02-01T22:00:00Z [default: at once]
        #[arg(long, value_name = "TIME", value_parser = words::moment)]
        from: Option<IsoTime>,
        /// When it ends, such as 2026-02-02T02:00:00Z [default: with `enable`]
        #[arg(long, value_name = "TIME", value_parser = words::moment)]
        until: Option<IsoTime>,
        #[command(flatten)]
        it: Identified,
    },
    /// Let it work again: ends maintenance, and what `disable` did.
    Enable(Identified),
    /// Hand it no commands and show it as inactive, whatever its heartbeats say.
    Disable(Identified),
    /// Remove one; its key stops working.
    Delete(Identified),
}

#[derive(Debug, Subcommand)]
pub(super) enum NamedCommand {
    /// All of them.
    List(Listed),
    /// One of them.
    Get(Identified),
    /// Create one.
    Create {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        access: Access,
    },
    /// Remove one, with all that is its own.
    Delete(Identified),
}

#[derive(Debug, Subcommand)]
pub(super) enum ServerCommand {
    /// All server templates.
    List(Listed),
    /// One server template.
    Get(Identified),
    /// Create one.
    Create(NewServer),
    /// Remove one that no team has installed.
    Delete(Identified),
    /// Print a link that lets a user connect to an installed server that wants OAuth.
    ///
    /// The link is good once, for 15 minutes. Whoever opens it connects their own account at the
    /// server to that user: hand it to nobody else.
    Connect {
        /// The installation.
        #[arg(value_name = "INSTALLATION")]
        installation: String,
        /// The team that installed it.
        #[arg(long, value_name = "ID")]
        team: String,
        /// The user who connects.
        #[arg(long, value_name = "ID")]
        user: String,
        #[command(flatten)]
        access: Access,
    },
}

#[derive(Debug, Args)]
pub(super) struct NewServer {
    /// Its name, in tool paths too.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The program to start.
    #[arg(long, value_name = "PROGRAM", required_unless_present = "url", conflicts_with = "url")]
    pub(super) command: Option<String>,
    /// An argument of it; may be given several times.
    #[arg(long = "arg", value_name = "TEXT", allow_hyphen_values = true, requires = "command")]
    pub(super) args: Vec<String>,
    /// A variable of its environment, NAME=VALUE; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", requires = "command")]
    pub(super) env: Vec<String>,
    /// The address of a remote server; given several times, they are all the same server's, and
    /// calls go on where one of them fails.
    #[arg(long, value_name = "URL")]
    pub(super) url: Vec<String>,
    /// A header for it, NAME: VALUE; may be given several times.
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    pub(super) header: Vec<String>,
    /// Its users connect to it at an authorisation server (OAuth).
    #[arg(long, requires = "url")]
    pub(super) oauth: bool,
    #[command(flatten)]
    pub(super) access: Access,
}

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// A satellite's commands, newest first.
    List {
        /// The satellite.
        #[arg(long, value_name = "ID")]
        satellite: String,
        #[command(flatten)]
        listed: Listed,
    },
    /// One command, with its result.
    Get {
        /// The command.
        #[arg(value_name = "ID")]
        id: String,
        /// Its satellite.
        #[arg(long, value_name = "ID")]
        satellite: String,
        #[command(flatten)]
        access: Access,
    },
    /// Send one.
    Send(NewCommand),
}

#[derive(Debug, Args)]
pub(super) struct NewCommand {
    /// The satellite.
    #[arg(long, value_name = "ID")]
    pub(super) satellite: String,
    /// configure, spawn, kill, restart, health_check or invalidate_user_token_cache.
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) command_type: String,
    /// immediate, high, normal or low.
    #[arg(long, value_name = "PRIORITY", default_value = "normal")]
    pub(super) priority: String,
    /// What the command needs to know, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(super) payload: String,
    /// Wait until the satellite has reported how it went; exit with 1 if it failed. Its steps go
    /// to standard error.
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to wait at most; the command goes on after it.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "wait")]
    pub(super) timeout: u64,
    #[command(flatten)]
    pub(super) access: Access,
}

#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// All jobs: when each is due, and how it went last.
    List(Access),
    /// Run one now; its ID is its name.
    Run(Identified),
}

#[derive(Debug, Args)]
pub(super) struct Identified {
    /// Its id.
    #[arg(value_name = "ID")]
    pub(super) id: String,
    #[command(flatten)]
    pub(super) access: Access,
}

/// Makes the command's request and prints the reply.
pub(super) async fn run(command: &Administration, sources: &Sources) -> Result<(), Exit> {
    let access = command.access();
    let request = request(command)?;
    let api = api(access, sources)?;
    let mut reply: Value = match &request.shown {
        Shown::List(at, _) => pages::gathered(&api, &request.path, at, command.limit()).await?,
        _ => api.call(request.method.clone(), &request.path, request.body.as_ref()).await?,
    };
    let Administration::Command(QueueCommand::Send(new)) = command else {
        show(&request, &reply, access.json);
        return Ok(());
    };
    if new.wait {
        let at_most = Duration::from_secs(new.timeout);
        reply = waiting::reported(&api, &new.satellite, reply, at_most, output::note).await?;
    }
    show(&request, &reply, access.json);
    waiting::verdict(&reply, access.json)
}

fn api(access: &Access, sources: &Sources) -> Result<Api, Exit> {
    let sources = sources
        .clone()
        .flag("DEPLOYSTACK_BACKEND_URL", "--backend", access.backend.as_ref())
        .flag("SATELLITE_ADMIN_TOKEN", "--admin-token", access.admin_token.as_ref());
    let Some(token) = sources.given("SATELLITE_ADMIN_TOKEN") else {
        return Err(usage(
            "there is no administration token",
            "pass --admin-token or set SATELLITE_ADMIN_TOKEN; the Backend printed it at its first start",
        ));
    };
    let url = sources.text("DEPLOYSTACK_BACKEND_URL");
    let allowed = sources.text("SATELLITE_ALLOW_INSECURE_BACKEND");
    let url = backend_url(&url, "the Backend's URL", matches!(allowed.as_str(), "true" | "1"))?;
    Api::new(url, Secret::new(token), &OutboundSettings::read(&sources)?.client)
}

fn show(request: &ApiRequest, reply: &Value, json: bool) {
    if json {
        return output::line(&reply.to_string());
    }
    let place = |place: &str| reply.pointer(place).cloned().unwrap_or_default();
    match &request.shown {
        Shown::List(at, columns) => match place(at) {
            Value::Array(rows) if rows.is_empty() => output::note("there are none"),
            Value::Array(mut rows) => {
                rows.iter_mut().for_each(words::tell_admin_state);
                output::line(&output::table(&rows, columns));
            }
            _ => output::line(&reply.to_string()),
        },
        Shown::One(at) => {
            let mut one = place(at);
            words::tell_admin_state(&mut one);
            output::line(&output::record(&one));
        }
        Shown::Done(text) => output::line(text),
    }
}

impl Administration {
    /// How the Backend is reached, and whether the reply is printed as it came.
    pub(super) fn access(&self) -> &Access {
        match self {
            Administration::Token(it) => match it {
                TokenCommand::List(it) => &it.access,
                TokenCommand::Create { access, .. } => access,
                TokenCommand::Delete(it) => &it.access,
            },
            Administration::Satellite(it) => match it {
                SatelliteCommand::List(it) => &it.access,
                SatelliteCommand::Get(it)
                | SatelliteCommand::Maintenance { it, .. }
                | SatelliteCommand::Enable(it)
                | SatelliteCommand::Disable(it)
                | SatelliteCommand::Delete(it) => &it.access,
            },
            Administration::Team(it) | Administration::User(it) => match it {
                NamedCommand::List(it) => &it.access,
                NamedCommand::Create { access, .. } => access,
                NamedCommand::Get(it) | NamedCommand::Delete(it) => &it.access,
            },
            Administration::Member(it) => it.access(),
            Administration::Access(it) => it.access(),
            Administration::Server(it) => match it {
                ServerCommand::List(it) => &it.access,
                ServerCommand::Get(it) | ServerCommand::Delete(it) => &it.access,
                ServerCommand::Create(new) => &new.access,
                ServerCommand::Connect { access, .. } => access,
            },
            Administration::Command(it) => match it {
                QueueCommand::List { listed, .. } => &listed.access,
                QueueCommand::Get { access, .. } => access,
                QueueCommand::Send(new) => &new.access,
            },
            Administration::Jobs(it) => match it {
                JobsCommand::List(access) => access,
                JobsCommand::Run(it) => &it.access,
            },
            Administration::Events { listed, .. } => &listed.access,
        }
    }

    /// How much of a list is shown, at most.
    fn limit(&self) -> Option<u32> {
        let listed = match self {
            Administration::Token(TokenCommand::List(it))
            | Administration::Satellite(SatelliteCommand::List(it))
            | Administration::Team(NamedCommand::List(it))
            | Administration::User(NamedCommand::List(it))
            | Administration::Server(ServerCommand::List(it)) => it,
            Administration::Command(QueueCommand::List { listed, .. })
            | Administration::Access(AccessCommand::List { listed, .. })
            | Administration::Events { listed, .. } => listed,
            _ => return None,
        };
        listed.limit
    }
}
