//! A payment gateway ready to be asked: its component, its configuration, its secrets, and the hosts it may reach.
//!
//! What a binding may have is [`Altyn::granted`]'s to say; [`Altyn::gateway_open`] takes that and nothing else. Invariant: a
//! secret that was not granted is in no keyring, a host that was not granted is on no list, and a secret that is sent as it
//! is goes to the hosts that it is bound to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use altyn_domain::{
    calendar::local_date,
    exchange::{HttpCall, Incoming, Segment},
    gateway::{Capabilities, Operation, ReceiveStep, Received, Step},
    grant::Asked,
    id::{BindingId, CallId, TenantId},
};
use altyn_runtime::{CallContext, CallFailure, CallRecord, Captured, Digest, Keyring, Masks, Plugin, Runtime, World};
use altyn_store::{Scope, exchanges, plugins as bindings, tenants};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    context::{Altyn, Request},
    egress::{Outgoing, Target},
    error::{Result, ServiceError, stored},
    grants::asked,
    plugins::{blocking, digest_of},
    secrets::OpenSecret,
    usage::limits_read,
};

/// A bound gateway and what it can do.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GatewayView {
    /// The binding.
    pub binding_id: BindingId,
    /// SHA-256 of its component.
    pub component: String,
    /// Where the gateway sends notifications, below the address of this interface.
    pub notifications_path: String,
    /// What it can do with its configuration.
    pub capabilities: Capabilities,
    /// Secrets that it asks for.
    pub secrets: Vec<String>,
    /// Those of them that were not granted, or that the tenant does not keep.
    pub missing_secrets: Vec<String>,
    /// Hosts that it asks to reach.
    pub hosts: Vec<String>,
    /// Those of them that were not granted.
    pub missing_hosts: Vec<String>,
}

/// A gateway ready to be asked.
pub(crate) struct Gateway {
    pub(crate) binding: BindingId,
    pub(crate) digest: Digest,
    /// Whether new payments may begin through it.
    pub(crate) open_for_payments: bool,
    /// The first day, in the tenant's zone, on which they may.
    pub(crate) effective_from: NaiveDate,
    runtime: Arc<Runtime>,
    plugin: Plugin,
    config: String,
    tenant: TenantId,
    zone: String,
    locale: String,
    asked: Asked,
    /// The hosts that it was granted.
    hosts: BTreeSet<String>,
    /// The secrets that it was granted and the tenant keeps.
    secrets: BTreeMap<String, OpenSecret>,
    keyring: Arc<Keyring>,
}

/// What an exchange is begun with, and goes on with whatever its binding has meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) digest: Digest,
    /// None for exchanges from before configurations were kept: they go on with the binding's present one.
    pub(crate) config: Option<String>,
}

impl Origin {
    /// The origin of an exchange.
    pub(crate) fn of(row: &exchanges::ExchangeRow) -> Result<Self> {
        Ok(Self { digest: digest_of(&row.component_digest)?, config: row.config.clone() })
    }
}

/// What a gateway is asked.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    Begin(Operation),
    Receive(Incoming),
    Resume { notification: bool, continuation: Vec<u8>, answer: altyn_domain::exchange::Answer },
}

/// What it says.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Send(HttpCall),
    Outcome(altyn_domain::gateway::Outcome),
    Received(Received),
}

impl Altyn {
    /// A bound gateway and what it can do.
    pub async fn gateway_get(&self, request: &Request, binding: BindingId) -> Result<GatewayView> {
        let gateway = self.gateway_open(request.tenant, binding, None).await?;
        let capabilities = gateway.capabilities(self.clock.now()).await?;
        Ok(GatewayView {
            binding_id: binding,
            component: gateway.digest.to_string(),
            notifications_path: format!("/v1/gateways/{binding}/notifications"),
            capabilities,
            missing_secrets: gateway
                .asked
                .secrets
                .iter()
                .filter(|&name| !gateway.secrets.contains_key(name))
                .cloned()
                .collect(),
            missing_hosts: gateway.asked.hosts.difference(&gateway.hosts).cloned().collect(),
            secrets: gateway.asked.secrets.into_iter().collect(),
            hosts: gateway.asked.hosts.into_iter().collect(),
        })
    }

    /// Opens a gateway: with what the binding has now, or with what began an exchange.
    pub(crate) async fn gateway_open(
        &self,
        tenant: TenantId,
        binding: BindingId,
        origin: Option<Origin>,
    ) -> Result<Gateway> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let row = bindings::binding_find(&mut tx, tenant.0, binding.0).await?;
        let settings = tenants::find(&mut tx, tenant.0).await?.ok_or(ServiceError::NotFound("tenant"))?;
        drop(tx);
        let row = row
            .filter(|row| row.extension_point == World::PaymentGateway.as_str())
            .ok_or(ServiceError::NotFound("gateway"))?;
        let (digest, config) = match origin {
            Some(Origin { digest, config }) => (digest, config.unwrap_or(row.config)),
            None => (digest_of(&row.component_digest)?, row.config),
        };
        let asked = asked(&self.plugin_row(&digest.to_string()).await?)?;
        let granted = self.granted(tenant, digest).await?;
        let limits = limits_read("bindings.limits", &row.limits)?.narrowed(granted.limits);
        let limits = self.limits_lowered(tenant, World::PaymentGateway).await?.narrowed(limits);
        let plugin = self.plugins.component(&self.db, digest).await?.within(limits);
        let (mut secrets, mut keyring) = (BTreeMap::new(), Keyring::new());
        for name in granted.secrets {
            match self.secret_open(tenant, &name).await {
                Ok(secret) => {
                    let added = keyring.add(&name, secret.for_digest().as_bytes());
                    added.map_err(|error| ServiceError::Internal(error.to_string()))?;
                    secrets.insert(name, secret);
                }
                Err(ServiceError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Gateway {
            binding,
            digest,
            open_for_payments: row.ended_at.is_none(),
            effective_from: row.effective_from,
            runtime: self.plugins.runtime(),
            plugin,
            config,
            tenant,
            zone: settings.zone,
            locale: settings.locale,
            asked,
            hosts: granted.hosts,
            secrets,
            keyring: Arc::new(keyring),
        })
    }
}

impl Gateway {
    fn context(&self, now: DateTime<Utc>) -> CallContext {
        CallContext {
            tenant: self.tenant.to_string(),
            binding: self.binding.to_string(),
            config: self.config.clone(),
            now_ms: now.timestamp_millis(),
            zone: self.zone.clone(),
            locale: self.locale.clone(),
        }
    }

    /// Whether it takes payments already: the day of an instant, in the tenant's zone, against the binding's first.
    pub(crate) fn has_begun(&self, now: DateTime<Utc>) -> Result<bool> {
        Ok(self.effective_from <= local_date(now, stored::<Tz>("tenants.zone", &self.zone)?))
    }

    /// What an exchange that begins now is begun with.
    pub(crate) fn origin(&self) -> Origin {
        Origin { digest: self.digest, config: Some(self.config.clone()) }
    }

    /// What it can do with its configuration.
    pub(crate) async fn capabilities(&self, now: DateTime<Utc>) -> Result<Capabilities> {
        let (runtime, plugin, ctx) = (Arc::clone(&self.runtime), self.plugin.clone(), self.context(now));
        let call = blocking(move || runtime.gateway_capabilities(&plugin, &ctx)).await?;
        call.result.map_err(|failure| plugin_failed(&failure))
    }

    /// Asks the component; the instant is stored with what it is about, so that asking twice is asking the same.
    pub(crate) async fn ask(
        &self,
        question: Question,
        now: DateTime<Utc>,
    ) -> Result<(CallRecord, std::result::Result<Told, CallFailure>)> {
        let (runtime, plugin, ctx) = (Arc::clone(&self.runtime), self.plugin.clone(), self.context(now));
        let keyring = Arc::clone(&self.keyring);
        blocking(move || match question {
            Question::Begin(operation) => {
                let call = runtime.gateway_begin(&plugin, &ctx, &keyring, &operation);
                (call.record, call.result.map(Told::from))
            }
            Question::Receive(incoming) => {
                let call = runtime.gateway_receive(&plugin, &ctx, &keyring, &incoming);
                (call.record, call.result.map(Told::from))
            }
            Question::Resume { notification: false, continuation, answer } => {
                let call = runtime.gateway_resume(&plugin, &ctx, &keyring, &continuation, &answer);
                (call.record, call.result.map(Told::from))
            }
            Question::Resume { notification: true, continuation, answer } => {
                let call = runtime.gateway_receive_resume(&plugin, &ctx, &keyring, &continuation, &answer);
                (call.record, call.result.map(Told::from))
            }
        })
        .await
    }

    /// Lets an answered call be made a second time in the background, if it is one of those.
    pub(crate) fn recheck_later(&self, call: CallId, record: &CallRecord) {
        self.runtime.recheck_later(&self.plugin, call.0.as_u128(), record, || {
            (self.tenant.to_string(), self.binding.to_string())
        });
    }

    /// Fills a request in: the only place where a secret meets what is sent. The text of an error names, never shows.
    /// What is sent with a secret in it is noted in `captured`, so that no answer shows it.
    pub(crate) fn fill(&self, call: &HttpCall, captured: &mut Captured) -> std::result::Result<Outgoing, String> {
        let request = &call.request;
        request.check().map_err(|error| error.to_string())?;
        let url = self.joined(&request.url, captured)?;
        let url = std::str::from_utf8(&url).map_err(|_| "the URL is not text".to_owned())?;
        let target = Target::parse(url, &self.hosts).map_err(|error| error.to_string())?;
        for name in request.secrets() {
            // An unknown secret is named by the filling below.
            if self.secrets.get(name).is_some_and(|secret| secret.for_host(&target.authority()).is_none()) {
                return Err(format!("the secret {name} is not bound to {}", target.authority()));
            }
        }
        for name in request.captured() {
            if let Some(origin) = captured.origin(name).filter(|origin| !self.carries(origin, &target.authority())) {
                return Err(format!("the captured value {name} is of {origin} and not sent to {}", target.authority()));
            }
        }
        let mut headers = Vec::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            let value = self.joined(value, captured)?;
            if !value.iter().all(|b| (b' '..=b'~').contains(b)) {
                return Err(format!("the value of the header {name} is not printable"));
            }
            headers.push((name.to_ascii_lowercase(), value));
        }
        Ok(Outgoing { method: request.method, target, headers, body: self.joined(&request.body, captured)? })
    }

    /// Whether what a host answered may be sent to another one. It may hold whatever was sent to the first, so that every
    /// secret that may be sent there must be bound to the other, too.
    fn carries(&self, origin: &str, to: &str) -> bool {
        let mut known = self.secrets.values().filter(|secret| secret.for_host(origin).is_some()).peekable();
        origin == to || (known.peek().is_some() && known.all(|secret| secret.for_host(to).is_some()))
    }

    fn joined(&self, segments: &[Segment], captured: &mut Captured) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
        let mut joined = Zeroizing::new(Vec::with_capacity(1_024));
        for segment in segments {
            let part = self.keyring.segment(segment, captured).map_err(|error| error.to_string())?;
            captured.note_sent(segment, &part);
            joined.extend_from_slice(&part);
        }
        Ok(joined)
    }

    /// The secrets that digests are computed over, those of these names alone.
    pub(crate) fn keyring_of(&self, names: &[String]) -> Keyring {
        self.keyring.only(names)
    }

    /// What is taken out of whatever comes back.
    pub(crate) fn masks(&self, captured: &Captured) -> Masks {
        self.keyring.masks(captured)
    }
}

impl From<Step> for Told {
    fn from(step: Step) -> Self {
        match step {
            Step::Send(call) => Self::Send(call),
            Step::Done(outcome) => Self::Outcome(outcome),
        }
    }
}

impl From<ReceiveStep> for Told {
    fn from(step: ReceiveStep) -> Self {
        match step {
            ReceiveStep::Send(call) => Self::Send(call),
            ReceiveStep::Done(received) => Self::Received(received),
        }
    }
}

/// A failed call as the caller hears of it.
pub(crate) fn plugin_failed(failure: &CallFailure) -> ServiceError {
    ServiceError::Plugin { code: failure.code(), message: failure.to_string() }
}
