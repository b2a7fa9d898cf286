//! The operator's side of plugins, on both engines: whose components are installed, what they may reach, which secrets are
//! kept for them, and who decides for whom.

#![expect(clippy::unwrap_used, reason = "a test ends where a step fails")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with suites that need more of it")]
mod support;

mod bench;
mod bound;
mod declared;
mod kept;
mod signed;
