//! The billing run proved on both engines: what it bills, what it parks, and that nothing is billed twice or left out.

#![expect(clippy::unwrap_used, reason = "a test stops where something goes wrong")]

mod approval;
mod canary;
mod changes;
mod confirmation;
mod control;
mod credits;
mod dunning;
mod editing;
mod ends;
mod fallen;
mod hosts;
mod large;
mod lives;
mod metering;
mod next_run;
mod notices;
mod operator;
mod orders;
mod plugins;
mod previews;
mod prices;
mod realisation;
mod rechecks;
mod recommend;
mod repeat;
mod sandbox;
mod scheduled;
mod shadow;
mod short_funds;
mod stays;
mod switches;
mod usage;
mod versions;
mod world;
mod zones;
