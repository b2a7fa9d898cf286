//! All SQL: one text for SQLite and PostgreSQL.
//!
//! One file per aggregate holds its records, its statements as constants and the functions that run them inside a [`Tx`]
//! the caller opened. The store decides nothing: it loads facts and saves decisions. Time and ids come in as arguments.

pub mod api_keys;
pub mod approvals;
pub mod bindings;
pub mod blocks;
pub mod canaries;
pub mod catalogue;
pub mod changes;
pub mod charges;
pub mod clock;
pub mod contracts;
pub mod credit;
pub mod customers;
pub mod db;
pub mod dunning;
pub mod error;
pub mod events;
pub mod exchanges;
pub mod explain;
pub mod fuse;
pub mod idempotency;
pub mod imports;
pub mod invoices;
pub mod jobs;
pub mod ledger;
pub mod lives;
pub mod manual_operations;
pub mod metering;
pub mod meters;
pub mod notices;
pub mod orders;
pub mod plugin_keys;
pub mod plugins;
pub mod price_overrides;
pub mod promises;
pub mod retention;
pub mod rows;
pub mod runs;
pub mod sandboxes;
pub mod secrets;
pub mod sellers;
pub mod service_terms;
pub mod shadow;
pub mod stays;
pub mod subscriptions;
pub mod tenants;
pub mod usage;
pub mod usage_windows;
pub mod verify;

pub use db::{Db, Engine, Record, Result, Scope, Sql, Tx};
pub use error::StoreError;
pub use fuse::Fuse;
pub use rows::{Column, Rows};
