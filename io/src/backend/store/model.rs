//! The storage in memory: what the transactions mean, without a database.

pub(super) mod accounts;
pub(super) mod commands;
pub(super) mod connections;
pub(super) mod events;
pub(super) mod health;
pub(super) mod installations;
pub(super) mod instances;
pub(super) mod jobs;
pub(super) mod lists;
pub(super) mod pairing;
pub(super) mod satellites;
pub(super) mod servers;
mod tables;

use std::fmt;
use std::sync::{Arc, Mutex};

use super::StoreError;
use tables::Tables;

/// A Backend's data in memory.
#[derive(Clone, Default)]
pub struct Model {
    tables: Arc<Mutex<Tables>>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}

impl Model {
    /// An empty one.
    pub fn new() -> Model {
        Model::default()
    }

    /// Runs `work` as one transaction: what it changes is kept if it succeeds.
    pub(super) fn run<T>(
        &self,
        work: impl FnOnce(&mut Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut tables = self.tables.lock().unwrap_or_else(|broken| broken.into_inner());
        let mut changed = tables.clone();
        let output = work(&mut changed)?;
        *tables = changed;
        Ok(output)
    }
}
