//! Recorded calls of gateways, asked of another component; nothing of it is sent.
//!
//! For shadow runs. A component that is asked what another was asked may ask the vault something else, so that what the vault
//! answered then is not enough: it is asked again, over the same secrets. Invariant: a rehearsal gives its caller an answer
//! that passed the checks of shape of one that decides, and leaves no trace but its usage.

use std::sync::Arc;

use super::{GatewayAnswer, to};
use crate::call::{Call, Export};
use crate::engine::Runtime;
use crate::evidence;
use crate::install::Plugin;
use crate::keyring::Keyring;
use crate::vault::{Entry, VaultUse};

/// A recorded call of the gateway world.
#[derive(Debug)]
pub struct GatewayCall {
    export: Export,
    args: Args,
}

#[derive(Debug)]
enum Args {
    Begin(evidence::Begin),
    Resume(evidence::Resume),
    Receive(evidence::Receive),
}

/// What answers for the vault in a rehearsal.
#[derive(Debug, Clone, Copy)]
pub enum RehearsedVault<'a> {
    /// These secrets.
    Live(&'a Arc<Keyring>),
    /// What the vault answered when the call was recorded, as long as the same is asked of it in the same order.
    Recorded,
}

impl GatewayCall {
    /// Reads the input of a recorded call of an export.
    pub fn read(export: &str, input: &[u8]) -> Result<Self, String> {
        let known = Export::named(export);
        let export = known.ok_or_else(|| format!("\"{export}\" is not an export of this contract"))?;
        let args = match export {
            Export::Begin => Args::Begin(evidence::value(input)?),
            Export::Resume | Export::ReceiveResume => Args::Resume(evidence::value(input)?),
            Export::Receive => Args::Receive(evidence::value(input)?),
            _ => return Err(format!("{} is no step of an exchange", export.as_str())),
        };
        Ok(Self { export, args })
    }

    /// The same call with another configuration.
    #[must_use]
    pub fn with_config(mut self, config: String) -> Self {
        match &mut self.args {
            Args::Begin(args) => args.ctx.config = config,
            Args::Resume(args) => args.ctx.config = config,
            Args::Receive(args) => args.ctx.config = config,
        }
        self
    }

    /// The same call with what the asked component wanted back itself; for calls that go on with something.
    #[must_use]
    pub fn with_continuation(mut self, continuation: Vec<u8>) -> Self {
        if let Args::Resume(args) = &mut self.args {
            args.continuation = continuation;
        }
        self
    }

    /// Whether the vault was asked when the call was recorded.
    pub fn asked_the_vault(&self) -> bool {
        !self.transcript().is_empty()
    }

    fn transcript(&self) -> &[Entry] {
        match &self.args {
            Args::Begin(args) => &args.vault,
            Args::Resume(args) => &args.vault,
            Args::Receive(args) => &args.vault,
        }
    }

    fn now_ms(&self) -> i64 {
        match &self.args {
            Args::Begin(args) => args.ctx.now,
            Args::Resume(args) => args.ctx.now,
            Args::Receive(args) => args.ctx.now,
        }
    }
}

impl Runtime {
    /// Asks a component a recorded question of a gateway, to see what it says.
    pub fn rehearse_gateway(
        &self,
        plugin: &Plugin,
        call: &GatewayCall,
        vault: RehearsedVault<'_>,
    ) -> Call<GatewayAnswer> {
        let plugin = &plugin.rehearsing();
        let vault = match vault {
            RehearsedVault::Live(keyring) => VaultUse::live(Arc::clone(keyring), call.now_ms()),
            RehearsedVault::Recorded => VaultUse::recorded(call.transcript().to_vec()),
        };
        match &call.args {
            Args::Begin(args) => {
                let made = self.call_begin(plugin, args, evidence::bytes(args, 0), vault).0.convert(to::step);
                answered(made, GatewayAnswer::Step)
            }
            Args::Resume(args) if call.export == Export::ReceiveResume => {
                let made = self.call_receive_resume(plugin, args, evidence::bytes(args, 0), vault).0;
                answered(made.convert(to::receive_step), GatewayAnswer::Received)
            }
            Args::Resume(args) => {
                let made = self.call_resume(plugin, args, evidence::bytes(args, 0), vault).0.convert(to::step);
                answered(made, GatewayAnswer::Step)
            }
            Args::Receive(args) => {
                let made = self.call_receive(plugin, args, evidence::bytes(args, 0), vault).0;
                answered(made.convert(to::receive_step), GatewayAnswer::Received)
            }
        }
    }
}

fn answered<T>(made: Call<T>, answer: impl FnOnce(T) -> GatewayAnswer) -> Call<GatewayAnswer> {
    Call { record: made.record, result: made.result.map(answer) }
}
