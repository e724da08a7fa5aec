//! `satellite run`, and the satellite that `dev` runs beside its Backend.

use std::collections::BTreeSet;
use std::net::SocketAddr;
#[cfg(feature = "backend")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use satellite_core::id::TeamId;
use satellite_core::log::{Level, LogLine};
use satellite_core::view::View;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::arguments::RunArguments;
use super::isolation;
use super::jail;
use super::output;
use super::signals::Signals;
use crate::clock::Clock;
use crate::daemon::{Daemon, Surroundings};
use crate::egress::EgressClient;
use crate::entropy::Kernel;
use crate::exit::{DONE, Exit, INTERRUPTED, fault, usage};
use crate::host::{ControlGroups, HostOptions, LinuxHost, StandIns};
use crate::host_sample::HostSampler;
use crate::http_client::ReqwestClient;
use crate::mcp;
use crate::recording::RecordingFile;
use crate::settings::{DaemonSettings, LogSettings, Sources};
use crate::state_dir::StateDir;
use crate::telemetry;

/// From SIGTERM to SIGKILL for what a killed daemon left.
const SWEEP_GRACE: Duration = Duration::from_secs(2);

/// Runs the daemon until it is asked to end, or has to.
pub(super) async fn run(arguments: &RunArguments, sources: Sources) -> Result<(), Exit> {
    let mut signals = Signals::watch()?;
    let sources = match &arguments.config {
        Some(path) => sources.with_file(path)?,
        None => sources,
    };
    let sources = sources
        .flag("SATELLITE_STATE_DIR", "--state-dir", arguments.state_dir.as_ref())
        .flag("DEPLOYSTACK_SATELLITE_NAME", "--name", arguments.name.as_ref())
        .flag("DEPLOYSTACK_BACKEND_URL", "--backend", arguments.backend.as_ref())
        .flag("HOST", "--host", arguments.host.as_ref())
        .flag("PORT", "--port", arguments.port)
        .flag("SATELLITE_ISOLATION", "--isolation", arguments.isolation.as_ref())
        .flag("LOG_LEVEL", "--log-level", arguments.log_level.as_ref());
    telemetry::start(LogSettings::read(&sources)?);
    let outcome = async {
        let settings = DaemonSettings::read(&sources)?;
        for warning in &settings.warnings {
            tracing::warn!(operation = "settings", "{warning}");
        }
        let mut satellite = begin(&settings, arguments).await?;
        Ok((satellite.until_told(&mut signals).await, settings.backend_url))
    };
    let (exit, line) = match outcome.await {
        Ok((Ok(DONE), _)) => return Ok(()),
        Ok((Ok(code), _)) => return Err(Exit { code, error: String::new(), hint: String::new() }),
        Ok((Err(exit), backend_url)) => {
            let line = last_words("exit", &exit).with("backend_url", backend_url);
            (exit, line)
        }
        Err(exit) => {
            let line = last_words("start", &exit);
            (exit, line)
        }
    };
    // Everything else that might log has ended: an exit nobody asked for has the last line.
    telemetry::log(&line);
    Err(Exit { error: String::new(), ..exit })
}

async fn begin(settings: &DaemonSettings, arguments: &RunArguments) -> Result<Satellite, Exit> {
    let state = StateDir::open(&settings.state_dir)?;
    let (host, port) = &settings.listen;
    let listener = mcp::bind(host, *port).await?;
    let record = arguments.record.as_deref();
    let record = record.map(|path| RecordingFile::create(path, arguments.record_max_mib));
    Satellite::start(settings, state, listener, record.transpose()?).await
}

/// A satellite of this process, with its listener.
pub(super) struct Satellite {
    pub(super) daemon: Daemon,
    #[cfg(feature = "backend")]
    pub(super) address: SocketAddr,
    marker: String,
    groups: Option<ControlGroups>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Satellite {
    /// Ends what an earlier one left, and starts.
    pub(super) async fn start(
        settings: &DaemonSettings,
        state: StateDir,
        listener: mcp::Bound,
        record: Option<RecordingFile>,
    ) -> Result<Self, Exit> {
        let stored = state.load()?;
        let marker = String::from(state.marker());
        let mut settings = settings.clone();
        let groups = isolation::establish(&mut settings, &marker)?;
        isolation::sweep(groups.as_ref(), &marker, SWEEP_GRACE).await;
        let options = HostOptions {
            marker: marker.clone(),
            allowed_commands: settings.core.allowed_commands.clone(),
            environment: settings.environment.0.clone(),
            homes: settings.homes.clone(),
            packages: state.path().join("packages"),
            shared_home: settings.shared_home.clone(),
            jail: None,
            groups: groups.clone(),
            stand_ins: StandIns::of(&settings.core.isolation),
        };
        let (host, missing) = jail::host(&settings, state.path(), options)
            .await
            .map_err(|error| cannot("start processes", &error))?;
        isolation::note_jail(&mut settings, missing).inspect_err(|_| {
            if let Some(groups) = &groups {
                groups.leave();
            }
        })?;
        let sampler = HostSampler::new(state.path())
            .map_err(|error| cannot("measure this machine", &error))?;
        let client = ReqwestClient::new(&settings.outbound.client).map_err(|failure| {
            usage(
                format!("cannot make HTTP requests: {failure}"),
                "check the settings of proxies and certificates",
            )
        })?;
        let address = listener.address().map_err(|error| cannot("listen", &error))?;
        let remote = EgressClient::new(settings.egress(address.port())).map_err(|failure| {
            usage(
                format!("cannot reach servers elsewhere: {failure}"),
                "check the settings of proxies and certificates",
            )
        })?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| cannot("draw random numbers", &error))?;
        // Said first: should the daemon end at once, its last words come last.
        tracing::info!(operation = "listen", address = %address, "Serving MCP clients");
        let daemon = Daemon::start(
            &settings,
            Surroundings {
                client,
                remote,
                host: host.clone(),
                store: state,
                sampler,
                stored,
                clock: Clock::start(),
                seed: u64::from_le_bytes(seed),
                entropy: Arc::new(Kernel),
                record,
            },
        );
        tokio::spawn(keep_users(host, daemon.view()));
        let base_url = match &settings.core.public_url {
            Some(url) => url.clone(),
            None => format!("http://{}", reachable(address)),
        };
        let router = daemon.router(&settings, base_url);
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(mcp::serve(listener, router, async {
            // A dropped sender stops as well.
            let _ = stopped.await;
        }));
        Ok(Satellite {
            daemon,
            #[cfg(feature = "backend")]
            address,
            marker,
            groups,
            stop: Some(stop),
            serving,
        })
    }

    /// Runs until a signal or an end of its own; gives the exit code.
    pub(super) async fn until_told(&mut self, signals: &mut Signals) -> Result<u8, Exit> {
        let code = tokio::select! {
            exit = self.daemon.ended() => {
                self.close().await;
                return if exit.error.is_empty() { Ok(exit.code) } else { Err(exit) };
            }
            code = signals.next() => code,
        };
        self.shut_down(signals, code).await
    }

    /// Ends in order; Ctrl-C meanwhile ends at once. `code` is that of a good end.
    pub(super) async fn shut_down(&mut self, signals: &mut Signals, code: u8) -> Result<u8, Exit> {
        self.daemon.shut_down();
        let exit = tokio::select! {
            exit = self.daemon.ended() => exit,
            () = signals.interrupted() => {
                output::note("ending at once");
                isolation::sweep(self.groups.as_ref(), &self.marker, Duration::ZERO).await;
                self.leave();
                return Ok(INTERRUPTED);
            }
        };
        self.close().await;
        if exit.error.is_empty() && exit.code == DONE { Ok(code) } else { Err(exit) }
    }

    async fn close(&mut self) {
        drop(self.stop.take());
        // Streams that clients hold open would keep it for ever.
        if tokio::time::timeout(Duration::from_secs(1), &mut self.serving).await.is_err() {
            self.serving.abort();
        }
        self.leave();
    }

    fn leave(&self) {
        if let Some(groups) = &self.groups {
            groups.leave();
        }
    }
}

/// Has the host keep the users of the teams that have servers, and only those, while the daemon runs.
async fn keep_users(host: LinuxHost, mut changes: watch::Receiver<Arc<View>>) {
    let mut known: Option<BTreeSet<TeamId>> = None;
    loop {
        let teams = {
            let view = changes.borrow_and_update();
            let servers = view.servers.values().map(|server| server.team.clone());
            let instances = view.instances.keys().map(|key| key.team.clone());
            // Until the Backend has said so, nobody is known to be gone.
            view.link.configuration_fresh.then(|| servers.chain(instances).collect())
        };
        if teams.is_some() && teams != known {
            host.keep_users(teams.clone().unwrap_or_default()).await;
            known = teams;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The address as a client on this machine writes it.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = match address {
            SocketAddr::V4(_) => std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        };
        return SocketAddr::new(loopback, address.port());
    }
    address
}

#[cfg(feature = "backend")]
/// Makes a directory that only its owner may enter.
pub(super) fn private_directory(path: &Path) -> Result<(), Exit> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        usage(
            format!("cannot make the directory {}: {error}", path.display()),
            "name one that can be written with --dir",
        )
    })
}

fn cannot(what: &str, error: &dyn std::fmt::Display) -> Exit {
    fault(format!("cannot {what}: {error}"), "check the limits of this user and machine")
}

fn last_words(operation: &'static str, exit: &Exit) -> LogLine {
    LogLine::new(Level::Fatal, exit.error.clone())
        .with("operation", operation)
        .with("code", u32::from(exit.code))
        .with("hint", exit.hint.as_str())
}
