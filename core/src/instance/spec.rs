//! From an entry of the configuration to what an instance needs to know.

mod remote;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{InstanceId, InstanceKey};
use crate::limits::{self, Settings};
use crate::process::ProcessSpec;
use crate::redaction::{self, Redaction};
use crate::remote::RemoteSpec;
use crate::secret::Secret;
use crate::view::{InstanceAddress, ServerNames, Transport};
use crate::wire::configuration::{self, Server};

/// What the configuration says of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its key.
    pub key: InstanceKey,
    /// Its id at the Backend, once there is one.
    pub instance_id: Option<InstanceId>,
    /// Its server's names.
    pub names: Arc<ServerNames>,
    /// How it is spoken to.
    pub transport: Transport,
    /// What to start or to reach, or what stands in the way of it and what to do about that.
    pub launch: Result<Launch, String>,
    /// The way to it from outside.
    pub address: Option<InstanceAddress>,
    /// Tools an administrator switched off.
    pub disabled_tools: Arc<BTreeSet<String>>,
    /// Whether its calls are reported in detail.
    pub request_logging: bool,
    /// Keeps its secrets out of what is told of it.
    pub redaction: Arc<Redaction>,
    /// Grows when it must be started afresh, whatever else has changed or not.
    pub generation: u64,
    /// Idle time after which its process is ended; 0 never ends it.
    pub idle_ms: u64,
}

/// What an instance is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Launch {
    /// A child process.
    Process(ProcessSpec),
    /// A conversation with a server elsewhere.
    Remote(RemoteSpec),
}

impl Spec {
    /// Reads an entry; `None` if it is switched off.
    pub fn from_configuration(server: &Server, settings: &Settings) -> Option<Spec> {
        server.enabled.then(|| Spec {
            key: server.key(),
            instance_id: server.instance.clone(),
            names: Arc::clone(&server.names),
            transport: server.launch.transport(),
            launch: match &server.launch {
                configuration::Launch::Stdio { command, args, env } => {
                    process(&server.names.slug, command, args, env, settings).map(Launch::Process)
                }
                configuration::Launch::Remote {
                    transport,
                    url,
                    others,
                    headers,
                    query,
                    timeout_ms,
                } => {
                    let entry = remote::Entry {
                        transport: *transport,
                        urls: core::iter::once(url).chain(others).collect(),
                        headers,
                        query,
                        timeout_ms: *timeout_ms,
                        requires_oauth: server.requires_oauth,
                    };
                    remote::read(&entry).map(Launch::Remote)
                }
            },
            address: server.address.clone(),
            disabled_tools: Arc::clone(&server.disabled_tools),
            request_logging: server.request_logging,
            redaction: Arc::new(redaction(server)),
            generation: server.generation,
            idle_ms: settings.idle_timeout_ms,
        })
    }
}

/// Every value that the configuration hands to the server may be a secret, but of its arguments and
/// its address only what the Backend or its look says.
fn redaction(server: &Server) -> Redaction {
    let mut found = Vec::new();
    let named: Vec<&Secret> = match &server.launch {
        configuration::Launch::Stdio { args, env, .. } => {
            found.extend(redaction::in_arguments(args));
            found.extend(server.secrets.args.iter().filter_map(|at| args.get(*at).cloned()));
            env.values().collect()
        }
        configuration::Launch::Remote { url, others, headers, query, .. } => {
            for url in core::iter::once(url).chain(others) {
                redaction::in_address(url.expose(), &mut found);
            }
            headers.values().chain(query.values()).collect()
        }
    };
    let found: Vec<Secret> = found.into_iter().map(Secret::new).collect();
    Redaction::new(named.into_iter().chain(&found))
}

fn process(
    slug: &str,
    command: &str,
    args: &[String],
    env: &BTreeMap<String, Secret>,
    settings: &Settings,
) -> Result<ProcessSpec, String> {
    if !settings.allowed_commands.contains(command) {
        let allowed: Vec<&str> = settings.allowed_commands.iter().map(String::as_str).collect();
        return Err(format!(
            "command {command:?} is not on the allow list; add it to SATELLITE_ALLOWED_COMMANDS \
             or use one of {}",
            allowed.join(", ")
        ));
    }
    let downloads = matches!(command, "npx" | "uvx");
    Ok(ProcessSpec {
        command: command.to_string(),
        args: args.to_vec(),
        env: env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        handshake_timeout_ms: if downloads {
            limits::HANDSHAKE_DOWNLOAD_TIMEOUT_MS
        } else {
            limits::HANDSHAKE_TIMEOUT_MS
        },
        limits: match settings.server_limits.get(slug) {
            Some(change) => settings.process_limits.changed(change),
            None => settings.process_limits,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_server_was_given_in_secret_is_told_of_it() {
        for launch in [
            r#""transport_type":"stdio","command":"npx","args":["-y","s3cret-value"],
                "secret_metadata":{"args":[1]}"#,
            r#""transport_type":"stdio","command":"npx","args":["--token","s3cret-value"]"#,
            r#""transport_type":"stdio","command":"npx","args":[],"env":{"A":"s3cret-value"}"#,
            r#""transport_type":"http","url":"https://h/mcp?k=s3cret-value""#,
            r#""transport_type":"http","url":"https://u:s3cret-value@h/mcp""#,
            r#""transport_type":"sse","url":"https://h/","headers":{"X":"s3cret-value"}"#,
            r#""transport_type":"sse","url":"https://h/","url_query_params":{"k":"s3cret-value"}"#,
        ] {
            let entry = format!(
                r#"{{"installation_id":"i","team_id":"t","user_id":"u","server_slug":"s",{launch}}}"#
            );
            let raw = serde_json::value::RawValue::from_string(entry).unwrap();
            let server = Server::decode("p", &raw).unwrap();
            let spec = Spec::from_configuration(&server, &Settings::default()).unwrap();
            let shown = spec.redaction.apply("got s3cret-value of @acme/files".into());
            assert_eq!(shown, "got [secret] of @acme/files", "{launch}");
        }
    }
}
