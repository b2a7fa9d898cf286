//! All SQL: one text for SQLite and PostgreSQL.
//!
//! One file per aggregate holds its records, its statements as constants and the functions that run them inside a [`Tx`]
//! the caller opened. The store decides nothing: it loads facts and saves decisions. Time and ids come in as arguments.

pub mod db;
pub mod error;
pub mod idempotency;
pub mod ledger;
pub mod plugins;
pub mod rows;
pub mod runs;

pub use db::{Db, Engine, Record, Result, Scope, Sql, Tx};
pub use error::StoreError;
pub use rows::{Column, Rows};
