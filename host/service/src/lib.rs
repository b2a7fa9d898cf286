//! Use cases: load, decide, save everything decided in one transaction.
//!
//! One file per aggregate. Each use case takes facts from the store, asks plugins with what was loaded, lets the domain
//! decide, and writes rows, postings, events, jobs and the idempotency record in one transaction. No plugin and no
//! network is waited for while a transaction is open. Edges call methods of [`Altyn`] and translate, nothing else.

pub mod api_keys;
pub mod bindings;
pub mod blocks;
pub mod canary;
pub mod changes;
pub mod charges;
pub mod context;
pub mod contracts;
pub mod credit;
pub mod credits;
pub mod customers;
pub mod declared;
pub mod dunning;
pub mod egress;
pub mod error;
pub mod events;
pub mod evidence;
pub mod exchanges;
pub mod explain;
pub mod forms;
pub mod funds;
pub mod gateways;
pub mod grants;
pub mod imports;
pub mod install;
pub mod invoices;
pub mod ledger;
pub mod lives;
pub mod manual_operations;
pub mod metering;
pub mod meters;
pub mod notices;
pub mod orders;
pub mod page;
pub mod plans;
pub mod plugin_keys;
pub mod plugins;
pub mod ports;
pub mod poster;
pub mod price_overrides;
pub mod products;
pub mod promises;
pub mod rechecks;
pub mod recommend;
pub mod rehearsal;
pub mod retention;
pub mod runs;
pub mod sandbox;
pub mod scheduler;
pub mod secrets;
pub mod sellers;
pub mod service_terms;
pub mod settings;
pub mod signing;
pub mod stays;
pub mod subscriptions;
pub mod tenants;
pub mod usage;
pub mod vault;
pub mod verify;

#[cfg(test)]
mod forms_fuzz;
mod requisites;

pub use context::{Altyn, IdempotencyKey, Reply, Request};
pub use error::{FieldError, ServiceError};
