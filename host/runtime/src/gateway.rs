//! Calls of the `payment-gateway` world: as any call, and with a vault whose transcript becomes part of the evidence.
//!
//! Refuses to know how requests are sent; [`altyn_domain::gateway::check_outcome`] judges outcomes. Invariant: the
//! recorded input of a call holds names of secrets and what the vault answered, never a secret.

use std::sync::Arc;

use altyn_domain::exchange::{Answer, Incoming};
use altyn_domain::gateway::{Capabilities, Operation, ReceiveStep, Step};
use altyn_domain::plugin::CallContext;

use serde::Serialize;
use wasmtime::Store;

use crate::bindings::{wit_exchange, wit_gateway, wit_types};
use crate::call::{Asked, Call, Export};
use crate::convert;
use crate::convert_gateway as to;
use crate::engine::Runtime;
use crate::evidence;
use crate::install::{Plugin, Pre};
use crate::keyring::Keyring;
use crate::state::State;
use crate::v0_1;
use crate::vault::{Entry, VaultUse};

mod rehearsal;

pub use rehearsal::{GatewayCall, RehearsedVault};

type Ran<R> = (Call<R>, Vec<Entry>);

/// What a gateway answered, read back from evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayAnswer {
    /// What it can do.
    Capabilities(Capabilities),
    /// What comes next in an operation.
    Step(Step),
    /// What comes next with a notification.
    Received(ReceiveStep),
}

/// Reads the recorded answer of a call of the gateway world, with the checks of shape that it passed when it was given.
pub fn read_gateway_answer(export: &str, output: &[u8]) -> Result<GatewayAnswer, String> {
    match Export::named(export) {
        Some(Export::Capabilities) => {
            evidence::value(output).and_then(to::capabilities).map(GatewayAnswer::Capabilities)
        }
        Some(Export::Begin | Export::Resume) => evidence::value(output).and_then(to::step).map(GatewayAnswer::Step),
        Some(Export::Receive | Export::ReceiveResume) => {
            evidence::value(output).and_then(to::receive_step).map(GatewayAnswer::Received)
        }
        _ => Err(format!("\"{export}\" is not an export of the gateway world")),
    }
}

impl Runtime {
    /// Asks a gateway what it can do with this configuration.
    pub fn gateway_capabilities(&self, plugin: &Plugin, ctx: &CallContext) -> Call<Capabilities> {
        let args = evidence::Capabilities { ctx: convert::context(ctx) };
        let input = evidence::bytes(&args, 0);
        self.call_capabilities(plugin, &args, input).convert(to::capabilities)
    }

    /// Begins an operation. The answer is structurally sound and not yet checked against what was asked.
    pub fn gateway_begin(
        &self,
        plugin: &Plugin,
        ctx: &CallContext,
        keyring: &Arc<Keyring>,
        operation: &Operation,
    ) -> Call<Step> {
        let args =
            evidence::Begin { ctx: convert::context(ctx), operation: to::operation(operation), vault: Vec::new() };
        let vault = VaultUse::live(Arc::clone(keyring), ctx.now_ms);
        let (mut call, transcript) = self.call_begin(plugin, &args, evidence::bytes(&args, 0), vault);
        if !transcript.is_empty() {
            call.record.input = evidence::bytes(&evidence::Begin { vault: transcript, ..args }, 0);
        }
        call.convert(to::step)
    }

    /// Goes on with an operation.
    pub fn gateway_resume(
        &self,
        plugin: &Plugin,
        ctx: &CallContext,
        keyring: &Arc<Keyring>,
        continuation: &[u8],
        answer: &Answer,
    ) -> Call<Step> {
        let args = resume(ctx, continuation, answer);
        let vault = VaultUse::live(Arc::clone(keyring), ctx.now_ms);
        let (mut call, transcript) = self.call_resume(plugin, &args, evidence::bytes(&args, 0), vault);
        if !transcript.is_empty() {
            call.record.input = evidence::bytes(&evidence::Resume { vault: transcript, ..args }, 0);
        }
        call.convert(to::step)
    }

    /// Reads a notification.
    pub fn gateway_receive(
        &self,
        plugin: &Plugin,
        ctx: &CallContext,
        keyring: &Arc<Keyring>,
        notification: &Incoming,
    ) -> Call<ReceiveStep> {
        let args = evidence::Receive {
            ctx: convert::context(ctx),
            notification: to::incoming(notification),
            vault: Vec::new(),
        };
        let vault = VaultUse::live(Arc::clone(keyring), ctx.now_ms);
        let (mut call, transcript) = self.call_receive(plugin, &args, evidence::bytes(&args, 0), vault);
        if !transcript.is_empty() {
            call.record.input = evidence::bytes(&evidence::Receive { vault: transcript, ..args }, 0);
        }
        call.convert(to::receive_step)
    }

    /// Goes on with a notification.
    pub fn gateway_receive_resume(
        &self,
        plugin: &Plugin,
        ctx: &CallContext,
        keyring: &Arc<Keyring>,
        continuation: &[u8],
        answer: &Answer,
    ) -> Call<ReceiveStep> {
        let args = resume(ctx, continuation, answer);
        let vault = VaultUse::live(Arc::clone(keyring), ctx.now_ms);
        let (mut call, transcript) = self.call_receive_resume(plugin, &args, evidence::bytes(&args, 0), vault);
        if !transcript.is_empty() {
            call.record.input = evidence::bytes(&evidence::Resume { vault: transcript, ..args }, 0);
        }
        call.convert(to::receive_step)
    }

    pub(crate) fn call_capabilities(
        &self,
        plugin: &Plugin,
        args: &evidence::Capabilities,
        input: Vec<u8>,
    ) -> Call<wit_gateway::Capabilities> {
        let vault = VaultUse::closed();
        let asked = Asked { export: Export::Capabilities, ctx: &args.ctx, lines: 0, input, vault };
        self.in_gateway(plugin, asked, |guest, store| guest.call_capabilities_of(store, &args.ctx)).0
    }

    /// Makes a call of the gateway interface in a fresh instance.
    fn in_gateway<R: Serialize>(
        &self,
        plugin: &Plugin,
        asked: Asked<'_>,
        call: impl FnOnce(&wit_gateway::Guest, &mut Store<State>) -> wasmtime::Result<Result<R, wit_types::Fault>>,
    ) -> Ran<R> {
        self.shared.run_with(plugin, asked, |pre, store| {
            let Pre::V0_1(linked) = pre;
            let v0_1::Linked::Gateway(pre) = linked else { return Ok(None) };
            let guest = pre.instantiate(&mut *store)?;
            call(guest.altyn_billing_gateway(), store).map(Some)
        })
    }

    fn call_begin(
        &self,
        plugin: &Plugin,
        args: &evidence::Begin,
        input: Vec<u8>,
        vault: VaultUse,
    ) -> Ran<wit_gateway::Step> {
        let asked = Asked { export: Export::Begin, ctx: &args.ctx, lines: 0, input, vault };
        self.in_gateway(plugin, asked, |guest, store| guest.call_begin(store, &args.ctx, &args.operation))
    }

    fn call_resume(
        &self,
        plugin: &Plugin,
        args: &evidence::Resume,
        input: Vec<u8>,
        vault: VaultUse,
    ) -> Ran<wit_gateway::Step> {
        let asked = Asked { export: Export::Resume, ctx: &args.ctx, lines: 0, input, vault };
        self.in_gateway(plugin, asked, |guest, store| {
            guest.call_resume(store, &args.ctx, &args.continuation, &args.answer)
        })
    }

    fn call_receive(
        &self,
        plugin: &Plugin,
        args: &evidence::Receive,
        input: Vec<u8>,
        vault: VaultUse,
    ) -> Ran<wit_gateway::ReceiveStep> {
        let asked = Asked { export: Export::Receive, ctx: &args.ctx, lines: 0, input, vault };
        self.in_gateway(plugin, asked, |guest, store| guest.call_receive(store, &args.ctx, &args.notification))
    }

    fn call_receive_resume(
        &self,
        plugin: &Plugin,
        args: &evidence::Resume,
        input: Vec<u8>,
        vault: VaultUse,
    ) -> Ran<wit_gateway::ReceiveStep> {
        let asked = Asked { export: Export::ReceiveResume, ctx: &args.ctx, lines: 0, input, vault };
        self.in_gateway(plugin, asked, |guest, store| {
            guest.call_receive_resume(store, &args.ctx, &args.continuation, &args.answer)
        })
    }

    pub(crate) fn replay_begin(
        &self,
        plugin: &Plugin,
        mut args: evidence::Begin,
        input: Vec<u8>,
    ) -> Call<wit_gateway::Step> {
        let vault = VaultUse::recorded(std::mem::take(&mut args.vault));
        self.call_begin(plugin, &args, input, vault).0
    }

    pub(crate) fn replay_resume(
        &self,
        plugin: &Plugin,
        export: Export,
        mut args: evidence::Resume,
        input: Vec<u8>,
    ) -> Call<Vec<u8>> {
        let vault = VaultUse::recorded(std::mem::take(&mut args.vault));
        match export {
            Export::ReceiveResume => self.call_receive_resume(plugin, &args, input, vault).0.into_bytes(),
            _ => self.call_resume(plugin, &args, input, vault).0.into_bytes(),
        }
    }

    pub(crate) fn replay_receive(
        &self,
        plugin: &Plugin,
        mut args: evidence::Receive,
        input: Vec<u8>,
    ) -> Call<wit_gateway::ReceiveStep> {
        let vault = VaultUse::recorded(std::mem::take(&mut args.vault));
        self.call_receive(plugin, &args, input, vault).0
    }
}

fn resume(ctx: &CallContext, continuation: &[u8], answer: &Answer) -> evidence::Resume {
    let answer: wit_exchange::Answer = to::answer(answer);
    evidence::Resume { ctx: convert::context(ctx), continuation: continuation.to_vec(), answer, vault: Vec::new() }
}
