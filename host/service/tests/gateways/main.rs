//! Exchanges with gateways on both engines: the real components, a real server behind real TLS, crashes at every step.

#![expect(clippy::unwrap_used, reason = "a test ends where a step fails")]

#[expect(dead_code, reason = "each suite uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod crashes;
mod egress;
mod granted;
mod in_flight;
mod on_trial;
mod paypal;
mod robokassa;
mod sandbox;
mod shadow;
mod wire;
