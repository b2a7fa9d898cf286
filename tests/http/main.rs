//! The HTTP interface from outside: a real listener, a real client, both database engines.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod document;
mod requests;
