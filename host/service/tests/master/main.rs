//! Master data and the import of an operator's books, on both engines.

#![expect(clippy::unwrap_used, reason = "a test ends where a step fails")]

#[path = "../support/mod.rs"]
mod support;

mod books;
mod catalogue;
mod events;
mod parties;
mod postings;
mod service_terms;
mod tenants;
