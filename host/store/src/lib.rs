//! All SQL: one text for SQLite and PostgreSQL.
//!
//! One file per aggregate holds its records, its statements as constants and the functions that run them inside a [`Tx`]
//! the caller opened. The store decides nothing: it loads facts and saves decisions. Time and ids come in as arguments.

pub mod api_keys;
pub mod catalogue;
pub mod charges;
pub mod contracts;
pub mod customers;
pub mod db;
pub mod error;
pub mod exchanges;
pub mod explain;
pub mod idempotency;
pub mod imports;
pub mod invoices;
pub mod jobs;
pub mod ledger;
pub mod plugins;
pub mod rows;
pub mod runs;
pub mod sellers;
pub mod subscriptions;
pub mod tenants;
pub mod verify;

pub use db::{Db, Engine, Record, Result, Scope, Sql, Tx};
pub use error::StoreError;
pub use rows::{Column, Rows};
