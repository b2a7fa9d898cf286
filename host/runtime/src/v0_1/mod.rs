//! The track 0.1 of the contract: its types, their conversion to the domain's and back, and its evidence.
//!
//! Owns everything that is worded in the types of `altyn:billing@0.1`. Refuses to know authority: which imports a world
//! may have, which limits a call has and what an answer may say is judged in one place below all tracks (`install`,
//! `guard`, [`altyn_domain`]). Invariant: it only converts; a question that is put through another track is the same
//! question of the domain.
//!
//! While 0.1 is the newest track, its types are generated from `wit/`. When the next one begins, they are generated from
//! the last frozen copy of 0.1 (`path` in [`bindings`]) and stay so for ever: components of that track, and the evidence
//! of their calls, are read by what stands here.

pub(crate) mod bindings;
pub(crate) mod convert;
pub(crate) mod convert_gateway;
pub(crate) mod evidence;

use altyn_domain::plugin::{Descriptor, World};
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::contract::{Import, Undescribed};
use crate::state::State;
use bindings::gateway::PaymentGatewayPre;
use bindings::numbering::NumberingSchemePre;
use bindings::proration::ProrationStrategyPre;
use bindings::tax::TaxRulePre;
use bindings::{wit_exchange, wit_log, wit_types, wit_vault};

/// A component of this track, linked for its world.
pub(crate) enum Linked {
    Proration(ProrationStrategyPre<State>),
    Tax(TaxRulePre<State>),
    Numbering(NumberingSchemePre<State>),
    Gateway(PaymentGatewayPre<State>),
}

impl Linked {
    /// Finds the exports of a world; their types are compared when the component is instantiated.
    pub(crate) fn new(linker: &Linker<State>, component: &Component, world: World) -> wasmtime::Result<Self> {
        let pre = linker.instantiate_pre(component)?;
        Ok(match world {
            World::ProrationStrategy => Self::Proration(ProrationStrategyPre::new(pre)?),
            World::TaxRule => Self::Tax(TaxRulePre::new(pre)?),
            World::NumberingScheme => Self::Numbering(NumberingSchemePre::new(pre)?),
            World::PaymentGateway => Self::Gateway(PaymentGatewayPre::new(pre)?),
        })
    }

    /// Instantiates the component, which compares the types of its exports, and asks it who it is.
    pub(crate) fn describe(&self, store: &mut Store<State>) -> Result<Descriptor, Undescribed> {
        let instance = Undescribed::Instance;
        let described = match self {
            Self::Proration(pre) => {
                let guest = pre.instantiate(&mut *store).map_err(instance)?;
                guest.altyn_billing_metadata().call_describe(store)
            }
            Self::Tax(pre) => {
                let guest = pre.instantiate(&mut *store).map_err(instance)?;
                guest.altyn_billing_metadata().call_describe(store)
            }
            Self::Numbering(pre) => {
                let guest = pre.instantiate(&mut *store).map_err(instance)?;
                guest.altyn_billing_metadata().call_describe(store)
            }
            Self::Gateway(pre) => {
                let guest = pre.instantiate(&mut *store).map_err(instance)?;
                guest.altyn_billing_metadata().call_describe(store)
            }
        };
        described.map(convert::descriptor).map_err(Undescribed::Answer)
    }
}

/// Gives guests of this track what its worlds import. Which world may import what is checked at installation.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wit_types::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    wit_log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    wit_vault::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    wit_exchange::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

/// Who may import an interface of this track; None when nobody may.
pub(crate) fn import(interface: &str) -> Option<Import> {
    match interface {
        "types" | "log" => Some(Import::AllWorlds),
        "vault" | "exchange" => Some(Import::Gateway),
        _ => None,
    }
}

/// The world whose decision an interface of this track is.
pub(crate) fn decision(interface: &str) -> Option<(World, &'static str)> {
    match interface {
        "proration" => Some((World::ProrationStrategy, "proration")),
        "tax" => Some((World::TaxRule, "tax")),
        "numbering" => Some((World::NumberingScheme, "numbering")),
        "gateway" => Some((World::PaymentGateway, "gateway")),
        _ => None,
    }
}
