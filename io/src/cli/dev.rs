//! `satellite dev`: a Backend and a satellite in one process, paired over HTTP as they would be
//! apart, with everything they need in one directory.

mod connect;
mod memory;
mod pairing;
mod progress;
mod servers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use satellite_core::control::Record;
use satellite_core::credentials::Credentials;
use satellite_core::id::SatelliteId;
use satellite_core::isolation::Asked;
use satellite_core::secret::Secret;
use satellite_core::view::InstanceStatus;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::memory::Memory;
use self::pairing::{Owner, Pairing};
use self::progress::Settled;
use self::servers::Wanted;
use super::api::Api;
use super::arguments::DevArguments;
use super::dev_file::{DevFile, DevInstance};
use super::run::{Satellite, private_directory};
use super::signals::Signals;
use super::{oauth, output};
use crate::backend::store::Thread;
use crate::backend::{Backend, BackendSettings, Kernel, OauthSettings};
use crate::clock::Clock;
use crate::exit::{DONE, Exit, PORT_IN_USE, fault, usage};
use crate::mcp;
use crate::settings::{DaemonSettings, OutboundSettings, Sources};
use crate::state_dir::{RecordStore, StateDir};
use crate::telemetry;

const HOST: &str = "127.0.0.1";
const NAME: &str = "dev-satellite";

/// Runs until it is told to end.
pub(super) async fn run(arguments: &DevArguments, sources: Sources) -> Result<(), Exit> {
    let mut signals = Signals::watch()?;
    let wanted = servers::read(arguments.servers.as_deref())?;
    private_directory(&arguments.dir)?;
    let directory = std::fs::canonicalize(&arguments.dir).map_err(|error| {
        usage(format!("cannot use {}: {error}", arguments.dir.display()), "name another with --dir")
    })?;
    // Owned by one `dev` at a time, and taken before anything in the directory is touched.
    let state = StateDir::open(&directory.join("satellite"))?;
    let listener = mcp::bind(HOST, arguments.port).await.map_err(|exit| port(exit, "--port"))?;
    let address =
        listener.address().map_err(|error| fault(format!("cannot listen: {error}"), ""))?;
    let mut outbound = OutboundSettings::read(&sources)?;
    outbound.allow_named(servers::remotes(&wanted));
    let mut settings = settings(sources, &directory, address.port(), arguments.isolation.as_ref())?;
    telemetry::start(settings.log);
    for warning in &settings.warnings {
        output::note(&format!("warning: {warning}"));
    }
    let database_url = database_url(arguments, &directory);
    let mut memory = recall(&directory, &database_url)?;
    let oauth = memory.encryption_secret.clone();
    let oauth = oauth.map(|secret| oauth::settings(&outbound, None, secret)).transpose()?;
    let backend = RunningBackend::start(&memory, oauth, arguments.backend_port).await?;
    let url = backend.url.clone();
    let api = Api::new(url.clone(), memory.admin_token.clone(), &settings.outbound.client)?;
    let started = async {
        let prepared = prepare(&mut settings, &directory, &api, &url, &mut memory, &state, &wanted);
        let owner = tokio::select! {
            prepared = prepared => prepared?,
            code = signals.next() => return Err(quiet(code)),
        };
        let satellite = Satellite::start(&settings, state, listener, None).await?;
        Ok((owner, satellite))
    };
    let outcome = match started.await {
        Ok((owner, mut satellite)) => {
            let wanted = &wanted;
            let dev =
                Dev { arguments, directory: &directory, memory: &memory, api, url, owner, wanted };
            dev.serve(&mut satellite, &mut signals).await
        }
        Err(exit) => Err(exit),
    };
    backend.stop().await;
    match outcome {
        Ok(DONE) => Ok(()),
        Ok(code) => Err(quiet(code)),
        Err(exit) => Err(exit),
    }
}

/// Pairs the two over HTTP, or finds what an earlier start paired.
async fn prepare(
    settings: &mut DaemonSettings,
    directory: &Path,
    api: &Api,
    url: &str,
    memory: &mut Memory,
    state: &StateDir,
    wanted: &[Wanted],
) -> Result<Owner, Exit> {
    let now = Clock::start().now();
    let mut pairing = Pairing { api, directory, memory, now };
    let owner = pairing.owner().await?;
    pairing.servers(&owner, wanted).await?;
    settings.backend_url = String::from(url);
    // Who administers this Backend may see what its servers use.
    settings.surface.metrics_token.get_or_insert_with(|| pairing.memory.admin_token.clone());
    settings.backend_public_url = String::from(url);
    settings.core.allowed_commands.extend(servers::commands(wanted));
    settings.outbound.allow_named(servers::remotes(wanted));
    match state.load()?.credentials {
        None => {
            settings.registration_token = Some(pairing.registration_token(&owner.team).await?);
        }
        // The same Backend, at a port of this start.
        Some(credentials) if credentials.backend_url.as_deref() != Some(url) => {
            let backend_url = Some(String::from(url));
            let moved = Record::Credentials(Credentials { backend_url, ..credentials });
            state.persist(moved).await.map_err(|error| {
                fault(error, "make the directory of --dir writable, or name another")
            })?;
        }
        Some(_) => {}
    }
    Ok(owner)
}

/// A `dev` whose satellite has been started.
struct Dev<'a> {
    arguments: &'a DevArguments,
    directory: &'a Path,
    memory: &'a Memory,
    api: Api,
    url: String,
    owner: Owner,
    wanted: &'a [Wanted],
}

impl Dev<'_> {
    async fn serve(&self, satellite: &mut Satellite, signals: &mut Signals) -> Result<u8, Exit> {
        let view = satellite.daemon.view();
        let outcomes = tokio::select! {
            outcomes = progress::watch(view.clone(), self.memory) => outcomes,
            exit = satellite.daemon.ended() => return Err(ended(exit)),
            code = signals.next() => return satellite.shut_down(signals, code).await,
        };
        let id = view.borrow().satellite.as_ref().map(|it| it.id.clone());
        let mut dev = self.file(satellite, id, &outcomes);
        self.invite(&mut dev).await;
        dev.write(self.directory)?;
        if self.arguments.json {
            let line = Ready { ready: true, dev: &dev };
            output::line(
                &serde_json::to_string(&line)
                    .map_err(|error| fault(format!("cannot write the ready line: {error}"), ""))?,
            );
        } else {
            self.introduce(&dev);
        }
        satellite.until_told(signals).await
    }

    fn file(
        &self,
        satellite: &Satellite,
        id: Option<SatelliteId>,
        outcomes: &BTreeMap<String, Settled>,
    ) -> DevFile {
        let base = format!("http://{}", satellite.address);
        let instances = self.memory.servers.iter().map(|(name, server)| {
            let settled = outcomes.get(name);
            DevInstance {
                server: name.clone(),
                installation_id: server.installation_id.clone(),
                instance_url: format!("{base}/i/{}/mcp", server.instance_path),
                instance_token: server.instance_token.clone(),
                status: settled.map(|it| it.status.as_str()).unwrap_or("offline").to_owned(),
                error: settled.and_then(|it| it.error.clone()),
                connect_url: None,
            }
        });
        DevFile {
            backend_url: self.url.clone(),
            mcp_url: format!("{base}/mcp"),
            satellite_url: base.clone(),
            token: self.owner.token.clone(),
            admin_token: self.memory.admin_token.clone(),
            satellite_id: id.unwrap_or_else(|| SatelliteId::new("")),
            team_id: self.owner.team.clone(),
            user_id: self.owner.user.clone(),
            database_url: self.memory.database_url.clone(),
            instances: instances.collect(),
        }
    }

    /// Has links made for the servers that wait for their user to sign in.
    async fn invite(&self, dev: &mut DevFile) {
        let signs_in =
            |name: &str| self.wanted.iter().any(|it| it.name == name && it.template.requires_oauth);
        for instance in &mut dev.instances {
            let waits = instance.status == InstanceStatus::RequiresReauth.as_str();
            if !waits || !signs_in(&instance.server) {
                continue;
            }
            match pairing::link(&self.api, &self.owner, &instance.installation_id).await {
                Ok(link) => instance.connect_url = Some(link),
                Err(exit) => output::note(&format!("{}: {}", instance.server, exit.error)),
            }
        }
    }

    fn introduce(&self, dev: &DevFile) {
        let failed = dev.instances.iter().filter(|it| it.error.is_some()).count();
        output::line(&format!(
            "ready: {} of {} servers online at {}\n",
            dev.instances.len() - failed,
            dev.instances.len(),
            dev.mcp_url
        ));
        output::line(&connect::instructions(dev, &self.arguments.dir.display().to_string()));
        output::line("Ctrl-C ends everything that was started here.");
    }
}

/// The line of `--json`.
#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    #[serde(flatten)]
    dev: &'a DevFile,
}

/// The Backend of this process.
struct RunningBackend {
    url: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl RunningBackend {
    async fn start(
        memory: &Memory,
        oauth: Option<OauthSettings>,
        backend_port: u16,
    ) -> Result<Self, Exit> {
        let listener = TcpListener::bind((HOST, backend_port)).await.map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::AddrInUse => PORT_IN_USE,
                _ => crate::exit::FAULT,
            };
            let error = format!("cannot listen on {HOST}:{backend_port}: {error}");
            port(Exit { code, error, hint: String::new() }, "--backend-port")
        })?;
        let address =
            listener.local_addr().map_err(|error| fault(format!("cannot listen: {error}"), ""))?;
        let url = format!("http://{address}");
        let settings = BackendSettings {
            database_url: memory.database_url.clone(),
            jwt_secret: None,
            admin_token: Some(memory.admin_token.clone()),
            public_url: url.clone(),
            oauth,
        };
        let opened = open(settings).await?;
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(crate::backend::serve(listener, opened.backend, async {
            // A dropped sender stops as well.
            let _ = stopped.await;
        }));
        Ok(RunningBackend { url, stop, serving })
    }

    async fn stop(self) {
        drop(self.stop);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), self.serving).await;
    }
}

/// Opens a Backend with a thread of its own for SQLite.
pub(super) async fn open(settings: BackendSettings) -> Result<crate::backend::Opened, Exit> {
    let executor = Thread::start().map_err(|error| {
        fault(format!("cannot start a thread: {error}"), "check this user's limits")
    })?;
    Backend::open(settings, Arc::new(executor), Clock::start(), Arc::new(Kernel)).await.map_err(
        |error| {
            usage(
                format!("cannot open the database: {error}"),
                "check --database-url, its directory's permissions, and that no other program holds it",
            )
        },
    )
}

fn settings(
    sources: Sources,
    directory: &Path,
    port: u16,
    isolation: Option<&String>,
) -> Result<DaemonSettings, Exit> {
    // What is in the environment is meant for a daemon that runs apart.
    let quiet = if sources.given("LOG_LEVEL").is_some() { None } else { Some("warn") };
    let sources = sources
        .flag("DEPLOYSTACK_SATELLITE_NAME", "dev", Some(NAME))
        .flag("DEPLOYSTACK_BACKEND_URL", "dev", Some("http://127.0.0.1"))
        .flag("DEPLOYSTACK_BACKEND_PUBLIC_URL", "dev", Some("http://127.0.0.1"))
        .flag("DEPLOYSTACK_SATELLITE_URL", "dev", Some(format!("http://{HOST}:{port}")))
        .flag("HOST", "dev", Some(HOST))
        .flag("PORT", "--port", Some(port))
        .flag("SATELLITE_ISOLATION", "--isolation", isolation)
        .flag("LOG_LEVEL", "dev", quiet);
    let mut settings = DaemonSettings::read(&sources)?;
    settings.registration_token = None;
    settings.state_dir = directory.join("satellite");
    settings.homes = directory.join("homes");
    // A developer's servers work on the developer's files.
    settings.jail.is_wanted &= sources.given("SATELLITE_SERVER_JAIL").is_some()
        || settings.core.isolation.asked == Asked::Required;
    // A developer's caches of npm and uv are the ones to use.
    settings.shared_home = sources.given("HOME").map(PathBuf::from);
    Ok(settings)
}

fn database_url(arguments: &DevArguments, directory: &Path) -> String {
    match &arguments.database_url {
        Some(url) => url.clone(),
        None => format!("sqlite:{}", directory.join("backend.db").display()),
    }
}

/// What an earlier start made, or a new memory with a token for the Backend to be.
fn recall(directory: &Path, database_url: &str) -> Result<Memory, Exit> {
    if let Some(mut memory) = Memory::read(directory, database_url)? {
        if memory.encryption_secret.is_none() {
            memory.encryption_secret = Some(Secret::new(draw("")?));
            memory.write(directory)?;
        }
        return Ok(memory);
    }
    let memory = Memory {
        admin_token: Secret::new(draw("ds_admin_")?),
        database_url: String::from(database_url),
        encryption_secret: Some(Secret::new(draw("")?)),
        team_id: None,
        user_id: None,
        access: None,
        servers: BTreeMap::new(),
    };
    memory.write(directory)?;
    Ok(memory)
}

/// 64 random hexadecimal digits after a prefix.
fn draw(prefix: &str) -> Result<String, Exit> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| fault(format!("cannot draw random numbers: {error}"), ""))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{prefix}{digits}"))
}

fn port(exit: Exit, flag: &str) -> Exit {
    let hint =
        format!("stop what listens there, or choose another port with {flag}; 0 picks a free one");
    Exit { hint, ..exit }
}

/// The satellite ended before it was told to.
fn ended(exit: Exit) -> Exit {
    if exit.error.is_empty() {
        return fault("the satellite ended by itself", "its log says why");
    }
    exit
}

fn quiet(code: u8) -> Exit {
    Exit { code, error: String::new(), hint: String::new() }
}
