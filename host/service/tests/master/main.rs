//! Master data and the import of an operator's books, on both engines.

#[path = "../support/mod.rs"]
mod support;

mod books;
mod catalogue;
mod parties;
mod tenants;
