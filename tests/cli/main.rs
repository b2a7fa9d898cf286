//! The program as its users meet it: words in, exit code and two streams out.

#![expect(clippy::unwrap_used, reason = "a test stops where something goes wrong")]

mod answers;
mod authors;
mod books;
mod changes;
mod credit;
mod desk;
mod gateways;
mod metering;
mod orders;
mod sandbox;
mod scheduler;
mod settings;
mod subscriptions;
mod trust;
