//! From an entry of the configuration to what an instance needs to know.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{InstanceId, InstanceKey};
use crate::limits::{self, Settings};
use crate::process::ProcessSpec;
use crate::redaction::Redaction;
use crate::secret::Secret;
use crate::view::{InstanceAddress, ServerNames, Transport};
use crate::wire::configuration::{Launch, Server};

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
    /// What to start, or what stands in the way of it and what to do about that.
    pub process: Result<ProcessSpec, String>,
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

impl Spec {
    /// Reads an entry; `None` if it is switched off.
    pub fn from_configuration(server: &Server, settings: &Settings) -> Option<Spec> {
        server.enabled.then(|| Spec {
            key: server.key(),
            instance_id: server.instance.clone(),
            names: Arc::clone(&server.names),
            transport: server.launch.transport(),
            process: match &server.launch {
                Launch::Stdio { command, args, env } => process(command, args, env, settings),
                Launch::Remote { transport, .. } => Err(format!(
                    "this satellite does not proxy {} servers; configure a stdio server",
                    transport.as_str()
                )),
            },
            address: server.address.clone(),
            disabled_tools: Arc::clone(&server.disabled_tools),
            request_logging: server.request_logging,
            redaction: Arc::new(redaction(&server.launch)),
            generation: server.generation,
            idle_ms: settings.idle_timeout_ms,
        })
    }
}

/// Every value that the configuration hands to the server may be a secret.
fn redaction(launch: &Launch) -> Redaction {
    match launch {
        Launch::Stdio { env, .. } => Redaction::new(env.values()),
        Launch::Remote { headers, query, .. } => {
            Redaction::new(headers.values().chain(query.values()))
        }
    }
}

fn process(
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
    })
}
