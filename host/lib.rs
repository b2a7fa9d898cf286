//! Altyn: a billing platform whose money rules are WebAssembly components.
//!
//! The host owns every effect: the database, the network, the clock, secrets, document numbers. A plugin owns one
//! decision and is a pure function of what the host hands it, so every invoice line can be explained years later by
//! asking the same component the same question again.
//!
//! # Three laws
//! 1. **Decisions are values.** Domain code takes facts and returns a decision: charges, postings, plans. It never reads
//!    a clock, a random number, a database or a socket, and mints no id.
//! 2. **One write, one transaction.** A use case loads, decides, and saves everything it decided at once: rows, ledger
//!    postings, jobs, the idempotency record. No plugin and no network is waited for while a transaction is open.
//! 3. **A plugin proposes, the host disposes.** Nothing a plugin returns is trusted: the host checks every money
//!    invariant again before a posting, and parks the contract with the evidence when one fails.
//!
//! # Rooms
//! Inner rooms are crates, so the compiler enforces who may know whom; the edges are modules of this package.
//!
//! ```text
//!               main → lib
//!    cli      http      scheduler         edges: translate, never decide
//!         \     |      /
//!           service                       load → decide → save
//!         /     |      \
//!     store  runtime   (ports: clock, ids, egress)
//!         \     |
//!          domain                         knows nobody
//! ```
//!
//! - `altyn-domain` is pure: money, calendar, catalogue, subscriptions, ledger, run plans. Only its `money` rounds.
//! - `altyn-runtime` names wasmtime and nobody else does; it knows no database.
//! - `altyn-store` contains all SQL; its `db` is the only file that knows there are two engines.
//! - `altyn-service` holds the use cases, one file per aggregate, as methods of [`Altyn`].
//! - [`config`] is the one tree of settings; [`compose`] turns it into an [`Altyn`], in the order store, plugins, services.
//! - [`cli`] and [`http`] turn words and JSON into commands, and answers into tables and JSON; [`scheduler`] claims due
//!   jobs and starts the daily runs. Time is an argument there, so a test lives through a month in seconds.
//! - [`bench`] measures all of it beside baselines taken on the same machine in the same minutes.

pub mod bench;
pub mod cli;
pub mod config;
pub mod http;
pub mod scheduler;

use std::sync::Arc;

use altyn_runtime::{Runtime, RuntimeError};
use altyn_service::{
    egress::{Egress, OwnError},
    plugins::Plugins,
    ports::{Clock, SystemClock, SystemIds},
};
use altyn_store::{Db, StoreError};

pub use altyn_service::Altyn;

use crate::config::Config;

/// Why the application could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The database cannot be reached.
    #[error("cannot open the database {url}")]
    Database {
        /// Its url, without the password.
        url: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A master key cannot be used.
    #[error("the master key cannot be used")]
    Secrets(#[from] config::SecretsError),
    /// What belongs to this installation cannot be told.
    #[error("egress.own is not usable")]
    Egress(#[from] OwnError),
    /// The plugin host did not start.
    #[error("the plugin host did not start")]
    Plugins(#[from] RuntimeError),
}

/// Puts the application together over the machine's clock.
///
/// The database must be migrated, see [`Db::migrate`]; nothing is read from it here.
pub async fn compose(config: &Config) -> Result<Altyn, ComposeError> {
    compose_at(config, Arc::new(SystemClock)).await
}

/// Puts the application together over any clock: a virtual one lets a month pass in seconds.
pub async fn compose_at(config: &Config, clock: Arc<dyn Clock>) -> Result<Altyn, ComposeError> {
    let database = &config.database;
    let db = Db::connect(&database.url, database.connections)
        .await
        .map_err(|source| ComposeError::Database { url: config::redacted(&database.url), source })?;
    let plugins = Plugins::new(Runtime::new(&config.plugins)?);
    let altyn = Altyn::new(db, clock, Arc::new(SystemIds::default()), plugins, config.runs.clone());
    let altyn = altyn.with_egress(Egress::public().without(config.own()?));
    let altyn = altyn.with_trust(config.trust).with_retention(config.retention);
    Ok(altyn.with_master_keys(config.secrets.master_keys()?))
}
