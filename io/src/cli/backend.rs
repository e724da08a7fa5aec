//! `satellite backend`.

use satellite_core::secret::Secret;
use tokio::net::TcpListener;

use super::arguments::{BackendArguments, BackendCommand};
use super::dev::open;
use super::signals::Signals;
use super::{migrate, oauth, output};
use crate::backend::BackendSettings;
use crate::exit::{DONE, Exit, FAULT, PORT_IN_USE, fault};
use crate::settings::{LogSettings, OutboundSettings, Sources};
use crate::telemetry;

/// Serves until told to end.
pub(super) async fn run(arguments: &BackendArguments, sources: Sources) -> Result<(), Exit> {
    if let Some(BackendCommand::MigrateTo(command)) = &arguments.command {
        return migrate::run(command, arguments.database_url.as_deref(), &sources).await;
    }
    let mut signals = Signals::watch()?;
    let sources = sources.flag("DATABASE_URL", "--database-url", arguments.database_url.as_ref());
    telemetry::start(LogSettings::read(&sources)?);
    let listener = TcpListener::bind(&arguments.listen).await.map_err(|error| Exit {
        code: if error.kind() == std::io::ErrorKind::AddrInUse { PORT_IN_USE } else { FAULT },
        error: format!("cannot listen on {}: {error}", arguments.listen),
        hint: String::from("choose another address with --listen; port 0 picks a free one"),
    })?;
    let address =
        listener.local_addr().map_err(|error| fault(format!("cannot listen: {error}"), ""))?;
    let url = match sources.given("DEPLOYSTACK_BACKEND_PUBLIC_URL") {
        Some(url) => String::from(url.trim_end_matches('/')),
        None => format!("http://{address}"),
    };
    let outbound = OutboundSettings::read(&sources)?;
    let oauth = oauth::secret(&sources)?
        .map(|secret| oauth::settings(&outbound, Some(&url), secret))
        .transpose()?;
    let opened = open(BackendSettings {
        database_url: sources.text("DATABASE_URL"),
        jwt_secret: sources.given("JWT_SECRET").map(Secret::new),
        admin_token: sources.given("SATELLITE_ADMIN_TOKEN").map(Secret::new),
        public_url: url.clone(),
        oauth,
    })
    .await?;
    output::note(&format!("Backend at {url}"));
    if let Some(token) = &opened.admin_token {
        output::note("The administration token, shown this once:");
        output::line(token.expose());
    }
    let code = std::sync::Arc::new(std::sync::atomic::AtomicU8::new(DONE));
    let told = std::sync::Arc::clone(&code);
    let stop = async move {
        let by = signals.next().await;
        told.store(by, std::sync::atomic::Ordering::Relaxed);
    };
    crate::backend::serve(listener, opened.backend, stop)
        .await
        .map_err(|error| fault(format!("cannot serve any more: {error}"), "start it again"))?;
    match code.load(std::sync::atomic::Ordering::Relaxed) {
        DONE => Ok(()),
        code => Err(Exit { code, error: String::new(), hint: String::new() }),
    }
}
