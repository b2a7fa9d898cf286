//! The HTTP interface from outside: a real listener, a real client, both database engines.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod books;
mod changes;
mod credit;
mod document;
mod exchanges;
mod metering;
mod objects;
mod orders;
mod plugins;
mod requests;
mod sandbox;
mod subscriptions;
mod trust;
