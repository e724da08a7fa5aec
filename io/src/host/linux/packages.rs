//! Servers that are published as packages: installed once for each team, then started directly.
//!
//! The installation lies in the team's directory and is made there by the team's own user, in a jail
//! where servers are jailed. What is known of it is kept apart ([`records`]), where no server can
//! reach it. An installation that lacks a file, or holds another than was installed, is left and made
//! anew under the next number; so is one that was never completed.

mod records;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use satellite_core::cgroup::{MIB, ProcessLimits};
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::limits::PACKAGE_INSTALL_TIMEOUT_MS;
use satellite_core::package::{self, Package, Record, Registry, Wanted};
use satellite_core::process::{ProcessSpec, SpawnFailure};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::records::Records;
use super::{LinuxHost, failure};
use crate::host::{Launch, Order};

/// How often it is said that an installation goes on.
const PROGRESS: Duration = Duration::from_secs(10);
/// What an installer may use to end after it was told to, in milliseconds.
const GRACE_MS: u64 = 2_000;
/// What an installer may use: more than most servers (npm at its peak takes 166 MB).
const INSTALLER_LIMITS: ProcessLimits =
    ProcessLimits { cpu_percent: 100, memory_bytes: 512 * MIB, processes: 256 };
/// What is kept of an installer's last words.
const LAST_WORDS_BYTES: usize = 2_000;

/// Installations, and what makes them.
#[derive(Debug)]
pub(super) struct Packages {
    records: Records,
    npm: Option<PathBuf>,
    node: Option<PathBuf>,
    uv: Option<PathBuf>,
    /// One installation of a package is made at a time; who comes meanwhile finds it made.
    busy: Mutex<BTreeMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

/// How a server is started.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// Where a package of a team is, and what it is known by.
#[derive(Clone)]
struct Place {
    key: InstanceKey,
    /// The directory of the team's packages.
    packages: PathBuf,
    /// The name of the package's record and the beginning of its directories'.
    name: String,
}

impl Packages {
    /// Looks for the installers in `path`; `directory` is for what is known of installations.
    pub(super) fn new(directory: PathBuf, path: &OsStr) -> Self {
        let find = |name: &str| {
            let places = std::env::split_paths(path).filter(|place| place.is_absolute());
            places.map(|place| place.join(name)).find(|place| place.is_file())
        };
        Packages {
            records: Records::new(directory),
            npm: find("npm"),
            node: find("node"),
            uv: find("uv"),
            busy: Mutex::default(),
        }
    }

    /// Whether this machine has what installs and starts packages of that registry.
    fn serves(&self, package: &Package) -> bool {
        if package.registry == Registry::Npm {
            self.npm.is_some() && self.node.is_some()
        } else {
            self.uv.is_some()
        }
    }

    fn busy(&self, place: PathBuf) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(busy.entry(place).or_default())
    }

    /// How what is installed is started.
    fn start(&self, place: &Place, record: &Record, arguments: Vec<String>) -> Start {
        let directory = place.directory(record.generation);
        let file = directory.join(&record.executable);
        let mut all: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
        match &self.node {
            Some(node) if record.by_node => {
                all.insert(0, file.into_os_string());
                Start { executable: node.clone(), arguments: all }
            }
            _ => Start { executable: file, arguments: all },
        }
    }
}

impl Place {
    fn directory(&self, generation: u64) -> PathBuf {
        self.packages.join(format!("{}-{generation}", self.name))
    }
}

impl LinuxHost {
    /// How the process of `launch` is started: as its configuration says, with the executable found
    /// for it, or directly where a wrapper would install a package first.
    pub(super) async fn start_of(
        &self,
        launch: &Launch,
        executable: &Path,
    ) -> Result<Start, SpawnFailure> {
        let process = &launch.process;
        let packages = &self.inner.packages;
        let wanted = package::parse(&process.command, &process.args)
            .filter(|wanted| packages.serves(&wanted.package));
        let Some(Wanted { package, arguments }) = wanted else {
            let arguments = process.args.iter().map(OsString::from).collect();
            return Ok(Start { executable: executable.to_owned(), arguments });
        };
        let hash = Sha256::digest(package.key().as_bytes());
        let place = Place {
            key: launch.key.clone(),
            packages: self.inner.own(&launch.key.team).join("packages"),
            name: hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        };
        let busy = packages.busy(place.packages.join(&place.name));
        let _one = busy.lock().await;
        let (known, next) = packages.records.known(&place).await;
        if let Some(record) = known {
            return Ok(packages.start(&place, &record, arguments));
        }
        let record = self.install(&place, package, next).await?;
        Ok(packages.start(&place, &record, arguments))
    }

    /// Installs a package, whatever is left of it.
    async fn install(
        &self,
        place: &Place,
        package: Package,
        generation: u64,
    ) -> Result<Record, SpawnFailure> {
        let (asked, key) = (package.requirement.clone(), place.key.clone());
        let began = Instant::now();
        tracing::info!(operation = "install_package", package = asked, instance = %key, "Installing a package");
        let until = began + Duration::from_millis(PACKAGE_INSTALL_TIMEOUT_MS);
        for (executable, arguments) in self.steps(place, &package, generation) {
            self.carry_out(place, &executable, arguments, (began, until))
                .await
                .map_err(|error| explain(&package, &error))?;
        }
        let kept = self.inner.packages.records.keep(place, package, generation).await;
        let record =
            kept.map_err(|(error, retryable)| failure("install package", error, retryable))?;
        tracing::info!(
            operation = "install_package",
            package = asked,
            version = record.version,
            files = record.files.len(),
            duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "Installed a package"
        );
        Ok(record)
    }

    /// The programs that install, in their order. The first removes what earlier attempts left: as
    /// the team's own user, since what lies in its directory may lead anywhere.
    fn steps(
        &self,
        place: &Place,
        package: &Package,
        generation: u64,
    ) -> Vec<(PathBuf, Vec<OsString>)> {
        let packages = &self.inner.packages;
        let directory = place.directory(generation);
        let text = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<OsString>>();
        let mut remove = text(&["-rf", "--"]);
        remove.extend(
            (1..=generation).rev().take(8).map(|old| place.directory(old).into_os_string()),
        );
        let mut steps = vec![(PathBuf::from("/bin/rm"), remove)];
        if let (Some(npm), true) = (&packages.npm, package.registry == Registry::Npm) {
            let mut install =
                text(&["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
            install.push(directory.into_os_string());
            install.extend(text(&["--", &package.requirement]));
            steps.push((npm.clone(), install));
        } else if let Some(uv) = &packages.uv {
            let mut environment = text(&["venv", "--quiet", "--no-project"]);
            if let Some(python) = &package.python {
                environment.extend(text(&["--python", python]));
            }
            environment.push(directory.clone().into_os_string());
            let mut install = text(&["pip", "install", "--quiet", "--python"]);
            install.push(directory.join("bin/python").into_os_string());
            install.push("--".into());
            install.extend(
                [&package.requirement].into_iter().chain(&package.with).map(OsString::from),
            );
            steps.extend([(uv.clone(), environment), (uv.clone(), install)]);
        }
        steps
    }

    /// Runs a program of an installation to its end. An error holds its last words.
    async fn carry_out(
        &self,
        place: &Place,
        executable: &Path,
        arguments: Vec<OsString>,
        (began, until): (Instant, Instant),
    ) -> Result<(), String> {
        let (sender, orders) = mpsc::unbounded_channel();
        let process = ProcessSpec {
            command: executable.display().to_string(),
            args: Vec::new(),
            env: Vec::new(),
            handshake_timeout_ms: PACKAGE_INSTALL_TIMEOUT_MS,
            limits: INSTALLER_LIMITS,
        };
        let launch = Launch {
            key: place.key.clone(),
            // No process of an instance has this one.
            incarnation: Incarnation(0),
            process,
            orders,
        };
        let start = Start { executable: executable.to_owned(), arguments };
        let process = self.spawn_at(launch, start).await.map_err(|failed| failed.error)?;
        drop(process.stdin);
        let words = tokio::spawn(last_words(process.stdout));
        let complaints = tokio::spawn(last_words(process.stderr));
        let mut exited = process.exited;
        let mut progress = tokio::time::interval_at(Instant::now() + PROGRESS, PROGRESS);
        let mut is_late = false;
        let exit = loop {
            tokio::select! {
                exit = &mut exited => break exit.unwrap_or_default(),
                () = tokio::time::sleep_until(until), if !is_late => {
                    is_late = true;
                    let _ = sender.send(Order::Terminate { grace_ms: GRACE_MS });
                }
                _ = progress.tick() => tracing::info!(
                    operation = "install_package",
                    instance = %place.key,
                    seconds = began.elapsed().as_secs(),
                    "Still installing a package"
                ),
            }
        };
        let _ = process.gone.await;
        let said = [complaints.await, words.await].map(Result::unwrap_or_default);
        if is_late {
            return Err(format!("it took longer than {} s", PACKAGE_INSTALL_TIMEOUT_MS / 1_000));
        }
        if exit.code == Some(0) {
            return Ok(());
        }
        let said = said.into_iter().find(|it| !it.is_empty()).unwrap_or_else(|| exit.to_string());
        Err(said)
    }
}

/// The end of what a program writes.
async fn last_words(mut stream: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut chunk) = (Vec::new(), vec![0; 4_096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        kept.extend_from_slice(chunk.get(..length).unwrap_or_default());
        let over = kept.len().saturating_sub(LAST_WORDS_BYTES);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// What an installation failed of, and whether it may work later.
fn explain(package: &Package, said: &str) -> SpawnFailure {
    let unknown =
        ["E404", "No matching version", "ETARGET", "was not found in the package registry"];
    let is_unknown = unknown.iter().any(|mark| said.contains(mark))
        || said.contains("No solution found when resolving");
    let advice = if is_unknown {
        "check its name and its version"
    } else {
        "check that the registry can be reached and the disk has room"
    };
    let asked = &package.requirement;
    let error = format!("{} cannot install {asked}: {said}; {advice}", package.registry.as_str());
    failure("install package", error, !is_unknown)
}

#[cfg(test)]
mod tests;
