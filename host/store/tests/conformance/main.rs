//! One conformance suite of the store: what it promises, it promises on SQLite and on PostgreSQL.
//!
//! Most tests run on both engines from one text. Each works in tenants of its own: on PostgreSQL they share a database, so
//! that every test is also a neighbour that must not be seen.
#![expect(clippy::unwrap_used, reason = "a test ends where a step fails")]

mod append_only;
mod errors;
mod idempotency;
mod isolation;
mod jobs;
mod ledger;
mod place;
mod rows;
mod runs;
mod schema;
mod sequences;
mod snapshots;
mod values;
