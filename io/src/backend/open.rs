//! Opening a Backend.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use satellite_core::backend::sha256_hex;
use satellite_core::secret::Secret;

use super::oauth::{Oauth, OauthSettings};
use super::store::{AnyStore, Executor, Model, Postgres, Sqlite, Store, StoreError};
use super::waiting::Waiting;
use crate::clock::Clock;
use crate::entropy::Entropy;

/// What a Backend needs to know before it starts.
#[derive(Clone)]
pub struct BackendSettings {
    /// `postgres://USER:PASSWORD@HOST/DATABASE`, `sqlite:PATH`, `sqlite::memory:` or `model:` (in
    /// memory, without a database).
    pub database_url: String,
    /// The key that signs registration tokens, at least 32 bytes; none: one is made at the first
    /// start and kept in the database.
    pub jwt_secret: Option<Secret>,
    /// The token of the administration API; none: one is made at the first start and shown once.
    pub admin_token: Option<Secret>,
    /// The Backend's own URL, which introspection names as issuer.
    pub public_url: String,
    /// What connecting users to remotes needs; none: nobody can connect.
    pub oauth: Option<OauthSettings>,
}

impl fmt::Debug for BackendSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The database's URL may hold a password.
        f.debug_struct("BackendSettings")
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

/// A Backend: its storage, its clock, its secrets.
pub struct Backend {
    pub(super) store: AnyStore,
    pub(super) clock: Clock,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) jwt_secret: Secret,
    pub(super) admin_token_hash: String,
    pub(super) issuer: String,
    pub(super) waiting: Waiting,
    pub(super) oauth: Option<Arc<Oauth>>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A Backend that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The Backend.
    pub backend: Arc<Backend>,
    /// The administration token, if this start made it: it is shown once and kept only as a hash.
    pub admin_token: Option<Secret>,
}

impl Backend {
    /// Opens the database, brings its schema up to date and makes the secrets that are missing.
    ///
    /// `executor` runs SQLite's transactions: a [`super::store::Thread`] in production,
    /// [`super::store::Inline`] in a simulation.
    ///
    /// # Errors
    ///
    /// The URL names no database this program knows, the database cannot be opened, or a secret that
    /// was given is too short.
    pub async fn open(
        settings: BackendSettings,
        executor: Arc<dyn Executor>,
        clock: Clock,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Opened, StoreError> {
        let store = match settings.database_url.as_str() {
            "model:" => AnyStore::Model(Model::new()),
            "sqlite::memory:" => AnyStore::Sqlite(Sqlite::in_memory(executor)?),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                AnyStore::Postgres(Postgres::open(url).await?)
            }
            url => {
                let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
                let path = path.filter(|path| !path.is_empty()).ok_or_else(|| {
                    // A database URL may hold a password: only its scheme is repeated.
                    let scheme = url.split(':').next().unwrap_or_default();
                    StoreError::Failed(format!(
                        "the scheme {scheme} is not known; give sqlite:PATH, sqlite::memory: or postgres://…"
                    ))
                })?;
                AnyStore::Sqlite(Sqlite::open(Path::new(path), executor)?)
            }
        };
        let jwt_secret = match settings.jwt_secret {
            Some(secret) if secret.expose().len() < 32 => {
                return Err(StoreError::Failed(
                    "the signing key is shorter than 32 bytes; set a longer one".to_owned(),
                ));
            }
            Some(secret) => secret,
            None => {
                let candidate = draw(&*entropy, "");
                let (value, _) = store.secret("jwt_secret".to_owned(), candidate).await?;
                Secret::new(value)
            }
        };
        let (admin_token_hash, admin_token) = match settings.admin_token {
            Some(token) => (sha256_hex(token.expose().as_bytes()), None),
            None => {
                let token = draw(&*entropy, "ds_admin_");
                let hash = sha256_hex(token.as_bytes());
                let (hash, made) = store.secret("admin_token_sha256".to_owned(), hash).await?;
                (hash, made.then(|| Secret::new(token)))
            }
        };
        let backend = Backend {
            store,
            clock,
            entropy,
            jwt_secret,
            admin_token_hash,
            issuer: settings.public_url,
            waiting: Waiting::default(),
            oauth: settings.oauth.map(Oauth::open).transpose()?.map(Arc::new),
        };
        Ok(Opened { backend: Arc::new(backend), admin_token })
    }

    /// Where its data is kept.
    pub fn store(&self) -> &AnyStore {
        &self.store
    }

    /// Random bytes.
    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// An id: `prefix` and 24 hexadecimal digits.
    pub(super) fn id(&self, prefix: &str) -> String {
        let digits = sha256_hex(&self.random::<16>());
        format!("{prefix}{}", digits.get(..24).unwrap_or_default())
    }
}

fn draw(entropy: &dyn Entropy, prefix: &str) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{digits}")
}
