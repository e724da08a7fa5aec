//! A server's entry, checked: what the satellite works with.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde_json::value::RawValue;

use super::{SecretNames, ServerEntry};
use crate::id::{InstallationId, InstanceId, InstanceKey, TeamId, UserId};
use crate::secret::Secret;
use crate::view::{InstanceAddress, ServerNames, Transport};
use crate::wire::decode;

/// One user's instance of an installed server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its installation.
    pub installation: InstallationId,
    /// Its id at the Backend.
    pub instance: Option<InstanceId>,
    /// Its team.
    pub team: TeamId,
    /// Its user.
    pub user: UserId,
    /// Its names; `names.process` is the key of the configuration.
    pub names: Arc<ServerNames>,
    /// Whether it is served at all.
    pub enabled: bool,
    /// Whether calls need an OAuth token of the user.
    pub requires_oauth: bool,
    /// How it is started or reached.
    pub launch: Launch,
    /// Values that must not be shown.
    pub secrets: SecretNames,
    /// Whether calls are reported in detail.
    pub request_logging: bool,
    /// Its own path under `/i/`, if it has one.
    pub address: Option<InstanceAddress>,
    /// Tools an administrator switched off.
    pub disabled_tools: Arc<BTreeSet<String>>,
    /// Whether the entry says which tools are switched off, were it none.
    pub lists_tools: bool,
    /// Grows when the instance must be started anew.
    pub generation: u64,
    /// The entry as it came.
    pub raw: Box<RawValue>,
}

/// How a server is started or reached. Two servers with equal launches need no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launch {
    /// A child process.
    Stdio {
        /// The executable.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its own environment variables.
        env: BTreeMap<String, Secret>,
    },
    /// A remote server.
    Remote {
        /// Streamable HTTP or SSE.
        transport: Transport,
        /// The URL, http or https; its query may hold secrets.
        url: Secret,
        /// Further URLs of the same server.
        others: Vec<Secret>,
        /// Headers of every request.
        headers: BTreeMap<String, Secret>,
        /// Query parameters to add to the URL.
        query: BTreeMap<String, Secret>,
        /// How long a request may take.
        timeout_ms: Option<u64>,
    },
}

impl Launch {
    /// How the server is spoken to.
    pub fn transport(&self) -> Transport {
        match self {
            Launch::Stdio { .. } => Transport::Stdio,
            Launch::Remote { transport, .. } => *transport,
        }
    }
}

impl PartialEq for Server {
    /// Two servers are equal if their entries are, to the letter.
    fn eq(&self, other: &Self) -> bool {
        self.names.process == other.names.process && self.raw.get() == other.raw.get()
    }
}

impl Server {
    /// Reads the entry that stands under `process`.
    ///
    /// # Errors
    ///
    /// Which field is missing or wrong.
    pub fn decode(process: &str, raw: &RawValue) -> Result<Server, String> {
        let entry: ServerEntry = decode("entry", raw.get().as_bytes())?;
        let installation = required(entry.installation_id, "installation_id")?;
        let team = required(entry.team_id, "team_id")?;
        let user = required(entry.user_id.clone(), "user_id")?;
        let slug = required(entry.server_slug.clone(), "server_slug")?;
        for (name, id) in [
            ("installation_id", installation.as_str()),
            ("team_id", team.as_str()),
            ("user_id", user.as_str()),
            ("server_slug", slug.as_str()),
        ] {
            if id.is_empty() {
                return Err(format!("entry: `{name}`: must not be empty"));
            }
        }
        let names = ServerNames {
            process: process.to_owned(),
            server: entry.server_name.clone().unwrap_or_else(|| slug.clone()),
            team_slug: entry.team_slug.clone().unwrap_or_else(|| team.to_string()),
            installation: entry.installation_name.clone().unwrap_or_else(|| slug.clone()),
            slug,
        };
        let launch = launch(
            entry.transport_type.as_deref(),
            entry.command,
            entry.args,
            entry.env,
            Remote {
                url: entry.url,
                urls: entry.urls,
                headers: entry.headers,
                query: entry.url_query_params,
                timeout_ms: entry.timeout,
            },
        )?;
        let address =
            entry.instance_path.zip(entry.instance_token_hash).map(|(path, token_hash)| {
                InstanceAddress { path, token_hash: token_hash.to_ascii_lowercase() }
            });
        Ok(Server {
            installation,
            instance: entry.instance_id,
            team,
            user,
            names: Arc::new(names),
            enabled: entry.enabled.unwrap_or(true),
            requires_oauth: entry.requires_oauth.unwrap_or(false),
            launch,
            secrets: entry.secret_metadata.unwrap_or_default(),
            request_logging: entry
                .settings
                .and_then(|settings| settings.request_logging_enabled)
                .unwrap_or(true),
            address,
            lists_tools: entry.disabled_tools.is_some(),
            disabled_tools: Arc::new(
                entry.disabled_tools.unwrap_or_default().into_iter().collect(),
            ),
            generation: entry.generation.unwrap_or(0),
            raw: raw.to_owned(),
        })
    }

    /// What identifies the instance.
    pub fn key(&self) -> InstanceKey {
        InstanceKey {
            team: self.team.clone(),
            installation: self.installation.clone(),
            user: self.user.clone(),
        }
    }
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("entry: `{name}`: is missing"))
}

struct Remote {
    url: Option<Secret>,
    urls: Option<Vec<Secret>>,
    headers: Option<BTreeMap<String, Secret>>,
    query: Option<BTreeMap<String, Secret>>,
    timeout_ms: Option<u64>,
}

fn launch(
    transport: Option<&str>,
    command: Option<String>,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, Secret>>,
    remote: Remote,
) -> Result<Launch, String> {
    let transport = match transport {
        Some("stdio") => {
            let command = required(command, "command")?;
            if command.is_empty() {
                return Err("entry: `command`: must not be empty".to_owned());
            }
            let args = required(args, "args")?;
            let env = env.unwrap_or_default();
            check_process(&command, &args, &env)?;
            return Ok(Launch::Stdio { command, args, env });
        }
        Some("http") => Transport::Http,
        Some("sse") => Transport::Sse,
        Some(_) => return Err("entry: `transport_type`: is none of stdio, http, sse".to_owned()),
        None => return Err("entry: `transport_type`: is missing".to_owned()),
    };
    let mut urls = remote.url.into_iter().chain(remote.urls.into_iter().flatten());
    let url = required(urls.next(), "url")?;
    let others: Vec<Secret> = urls.filter(|other| *other != url).collect();
    if !is_http_url(url.expose()) {
        return Err("entry: `url`: is no http or https URL".to_owned());
    }
    if let Some(at) = others.iter().position(|url| !is_http_url(url.expose())) {
        return Err(format!("entry: `urls`: number {} is no http or https URL", at + 1));
    }
    if remote.timeout_ms == Some(0) {
        return Err("entry: `timeout`: must be more than 0".to_owned());
    }
    Ok(Launch::Remote {
        transport,
        url,
        others,
        headers: remote.headers.unwrap_or_default(),
        query: remote.query.unwrap_or_default(),
        timeout_ms: remote.timeout_ms,
    })
}

/// What the kernel would refuse or misread: a NUL ends a text early, an `=` ends a name.
fn check_process(
    command: &str,
    args: &[String],
    env: &BTreeMap<String, Secret>,
) -> Result<(), String> {
    if command.contains('\0') {
        return Err("entry: `command`: holds a NUL character".to_owned());
    }
    if let Some(at) = args.iter().position(|arg| arg.contains('\0')) {
        return Err(format!("entry: `args[{at}]`: holds a NUL character"));
    }
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err("entry: `env`: a name is empty, or holds `=` or a NUL character".to_owned());
        }
        if value.expose().contains('\0') {
            return Err(format!("entry: `env.{name}`: holds a NUL character"));
        }
    }
    Ok(())
}

/// Whether a text can be the address of a remote.
pub(crate) fn is_http_url(url: &str) -> bool {
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
        url.get(..scheme.len())
            .filter(|start| start.eq_ignore_ascii_case(scheme))
            .and_then(|_| url.get(scheme.len()..))
    });
    let Some(rest) = rest else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    !host.is_empty()
        && !host.starts_with(':')
        && !url.contains(|c: char| c.is_ascii_control() || c == ' ')
}
