//! Credit control, blocks, promised payments, transfers and hierarchies, on both engines.

#![expect(clippy::unwrap_used, reason = "a test ends where a step fails")]

#[path = "../support/mod.rs"]
mod support;

mod blocks;
mod control;
mod dunning;
mod funds;
mod previews;
mod promises;
mod recommend;
mod world;
