//! Where a database is, and what a connection to it is like.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::ring;
use tokio_postgres::{Client, Config, Error};

use super::super::StoreError;
use super::tls::{Tls, Unverified};
use crate::http_client::{roots_of, tls_configuration};

/// How long a connection may take to come about, where the URL does not say.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long bytes may stay unanswered before the connection counts as broken.
const UNANSWERED: Duration = Duration::from_secs(10);
/// What a connection begins with: a statement ends after 30 s, waits 5 s for a row that another
/// holds, and a transaction that its Backend has left is undone.
const OPTIONS: &str = "-c statement_timeout=30000 -c lock_timeout=5000 \
                       -c idle_in_transaction_session_timeout=60000";

/// Where a database is.
#[derive(Clone)]
pub(in super::super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

impl Address {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?…`. Beside what tokio-postgres knows,
    /// `sslmode=verify-full` and `sslrootcert=FILE` are understood.
    pub(in super::super) fn read(url: &str) -> Result<Address, StoreError> {
        let (place, options) = url.split_once('?').unwrap_or((url, ""));
        let mut verified = false;
        let mut roots = None;
        let mut others = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", "verify-full")) => {
                    verified = true;
                    others.push("sslmode=require");
                }
                Some(("sslrootcert", file)) => roots = Some(file),
                _ => others.push(option),
            }
        }
        // What the parser finds wrong is not repeated: it may be half of a password.
        let mut config: Config = format!("{place}?{}", others.join("&")).parse().map_err(|_| {
            StoreError::Failed(
                "the database's URL cannot be read; write postgres://USER:PASSWORD@HOST/DATABASE, \
                 with what is special in a URL percent-encoded, and \
                 sslmode=disable, prefer, require or verify-full"
                    .to_owned(),
            )
        })?;
        if roots.is_some() && !verified {
            return Err(StoreError::Failed(
                "sslrootcert is of use only with sslmode=verify-full; add that".to_owned(),
            ));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNANSWERED);
        }
        // A way that broke in silence is found out also where nothing is said on it for long.
        config.keepalives_idle(UNANSWERED);
        if config.get_application_name().is_none() {
            config.application_name("satellite-backend");
        }
        let options = match config.get_options() {
            // Those of the URL come last, and stand.
            Some(given) => format!("{OPTIONS} {given}"),
            None => OPTIONS.to_owned(),
        };
        config.options(options);
        let tls = if verified { verifying(roots.map(Path::new))? } else { unverifying()? };
        Ok(Address { config, tls: Tls(Arc::new(tls)) })
    }

    /// A connection of its own, which ends with what is returned.
    pub(in super::super) async fn connect(&self) -> Result<Client, Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        // How it ended, whoever uses it hears.
        tokio::spawn(connection);
        Ok(client)
    }
}

fn verifying(roots: Option<&Path>) -> Result<ClientConfig, StoreError> {
    let refused = |error: &dyn fmt::Display| StoreError::Failed(format!("TLS: {error}"));
    let mut tls = match roots {
        Some(file) => {
            let roots = roots_of(file, "sslrootcert").map_err(|error| refused(&error))?;
            builder()?.with_root_certificates(roots).with_no_client_auth()
        }
        None => tls_configuration(None).map_err(|error| refused(&error))?,
    };
    tls.alpn_protocols.clear();
    Ok(tls)
}

fn unverifying() -> Result<ClientConfig, StoreError> {
    let verifier = Unverified(Arc::new(ring::default_provider()));
    let builder = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, StoreError> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Failed(format!("TLS: {error}")))
}
