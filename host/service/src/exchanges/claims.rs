//! Notifications: what a gateway claims, what the host knows, and what is answered.
//!
//! A notification is a stranger's word until the plugin has verified it, and a claim until it agrees with the payment that
//! was begun: the same binding, the same amount, the same currency. One that proves nothing leaves no row behind, so
//! nobody fills the database from outside.
//!
//! The present component reads a notification first. What names a payment that began on trial is read by the component that
//! began it, whatever the present one made of it; what the present one does not recognise is read by those with payments in
//! flight, on trial or former, and they speak of payments that they began and of no others.

use altyn_domain::{
    exchange::{HttpReply, Incoming},
    gateway::{ExchangeKind, Outcome, Received, Subject, check_outcome},
    id::{BindingId, ExchangeId, Id as _, TenantId},
    money::{Currency, Money},
};
use altyn_store::{Scope, Tx, exchanges as rows};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Asked,
    lessons::learn,
    machine::{Hold, step},
    written,
};
use crate::{
    context::Altyn,
    error::{Result, ServiceError},
    gateways::{Gateway, Origin, Question, Told},
    plugins::digest_of,
    ports::{Clock as _, SystemClock},
};

/// Most components that a binding had before and that are asked about one notification: anybody may send one.
const MOST_FORMER: usize = 3;

/// What became of the claims of a notification.
pub(super) struct Judged {
    pub(super) reply: HttpReply,
    /// Why they were not taken.
    pub(super) refused: Option<String>,
    /// The component that is to be asked instead.
    pub(super) belongs_to: Option<Origin>,
}

/// Whose payments a component may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// What the binding has now: of all, but for those that began on trial.
    Present,
    /// Named by the present one: of all that the notification names.
    Named,
    /// What nobody else recognised the notification for: of those that it began.
    Former,
}

/// What became of a notification with one component.
struct Heard {
    /// Whether it was proven and says something.
    recognised: bool,
    reply: HttpReply,
    /// The component that is to be asked instead.
    belongs_to: Option<Origin>,
}

/// The answer when nothing could be decided: gateways send a notification again.
pub(super) fn try_again() -> HttpReply {
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    HttpReply { status: 503, headers, body: b"try again later".to_vec() }
}

impl Altyn {
    /// Takes a notification that came to the address of a binding, and answers what the gateway wants to hear.
    pub async fn gateway_notification(&self, binding: BindingId, incoming: Incoming) -> Result<HttpReply> {
        let tenant = self.gateway_tenant(binding).await?;
        self.acting_for(tenant).await?.notification_of(tenant, binding, incoming).await
    }

    /// Whose gateway has the address of a binding.
    pub async fn gateway_tenant(&self, binding: BindingId) -> Result<TenantId> {
        let mut tx = self.db.read(Scope::Platform).await?;
        let tenant = rows::endpoint_tenant(&mut tx, binding.0).await?;
        tenant.map(TenantId).ok_or(ServiceError::NotFound("gateway"))
    }

    /// Asks what the binding has now and, when that does not recognise the notification, what it had when payments that
    /// are still in flight were begun: they stay with it, and so does what is said of them.
    async fn notification_of(&self, tenant: TenantId, binding: BindingId, incoming: Incoming) -> Result<HttpReply> {
        let gateway = self.gateway_open(tenant, binding, None).await?;
        let present = gateway.origin();
        let heard = self.notification_to(tenant, gateway, Standing::Present, &incoming).await?;
        if let Some(origin) = heard.belongs_to {
            let gateway = self.gateway_open(tenant, binding, Some(origin)).await?;
            return Ok(self.notification_to(tenant, gateway, Standing::Named, &incoming).await?.reply);
        }
        if heard.recognised {
            return Ok(heard.reply);
        }
        for former in self.former_origins(tenant, binding, &present).await? {
            let component = former.digest;
            let asked = match self.gateway_open(tenant, binding, Some(former)).await {
                Ok(gateway) => self.notification_to(tenant, gateway, Standing::Former, &incoming).await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(heard) if heard.recognised => return Ok(heard.reply),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(target: "altyn::gateway", %binding, %component, %error, "a former gateway was not asked");
                }
            }
        }
        Ok(heard.reply)
    }

    /// What is on trial in the binding, or was, and what it had before, of which payments are in flight; the latest first,
    /// and few of each.
    async fn former_origins(&self, tenant: TenantId, binding: BindingId, present: &Origin) -> Result<Vec<Origin>> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let limit = i64::try_from(MOST_FORMER + 1).unwrap_or(i64::MAX);
        let on_trial = rows::in_flight_on_trial(&mut tx, tenant.0, binding.0, limit).await?;
        let former = rows::in_flight(&mut tx, tenant.0, binding.0, limit).await?;
        let mut origins: Vec<Origin> = Vec::new();
        for found in [on_trial, former] {
            let most = origins.len() + MOST_FORMER;
            for (digest, config) in found {
                let origin = Origin { digest: digest_of(&digest)?, config: Some(config) };
                if origins.len() < most && origin != *present && !origins.contains(&origin) {
                    origins.push(origin);
                }
            }
        }
        Ok(origins)
    }

    async fn notification_to(
        &self,
        tenant: TenantId,
        gateway: Gateway,
        standing: Standing,
        incoming: &Incoming,
    ) -> Result<Heard> {
        let unheard = |reply| Ok(Heard { recognised: false, reply, belongs_to: None });
        let (binding, now) = (gateway.binding, self.clock.now());
        let (record, told) = gateway.ask(Question::Receive(incoming.clone()), now).await?;
        match &told {
            Ok(Told::Received(Received::Rejected { reason, reply })) => {
                tracing::warn!(target: "altyn::gateway", %binding, source = incoming.source, reason, "a notification proves nothing");
                return unheard(reply.clone());
            }
            Err(failure) => {
                tracing::warn!(target: "altyn::gateway", %binding, code = failure.code(), "a notification was not understood");
                return unheard(try_again());
            }
            Ok(_) => {}
        }
        let asked = Asked::Notification(incoming.clone());
        let row = self.notification_store(tenant, binding, gateway.origin(), &asked, now).await?;
        let mut hold = Hold::new(self, tenant, gateway, row, asked);
        hold.standing = standing;
        let mut fresh = None;
        if hold.store_told(&record, told, &mut fresh).await? {
            hold.go_on(fresh).await?;
        }
        let (reply, belongs_to) = (hold.reply.take().unwrap_or_else(try_again), hold.belongs_to.take());
        Ok(Heard { recognised: hold.recognised, reply, belongs_to })
    }

    /// Begins the exchange of a notification, held by this host.
    async fn notification_store(
        &self,
        tenant: TenantId,
        binding: BindingId,
        origin: Origin,
        asked: &Asked,
        now: DateTime<Utc>,
    ) -> Result<rows::ExchangeRow> {
        let row = rows::ExchangeRow {
            id: self.ids.next(),
            binding_id: binding.0,
            component_digest: origin.digest.0.to_vec(),
            config: origin.config,
            canary_id: None,
            kind: ExchangeKind::Notification.as_str().to_owned(),
            about_id: None,
            number: 0,
            amount_minor: 0,
            currency: String::new(),
            asked: written(asked)?,
            state: "begun".into(),
            requests: 0,
            verdict: None,
            external_id: String::new(),
            outcome: None,
            fault_code: None,
            fault: None,
            fence: 0,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let (owner, wall) = (super::owner(self), SystemClock.now());
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        rows::insert(&mut tx, tenant.0, &row).await?;
        rows::take(&mut tx, tenant.0, row.id, &owner, wall + TimeDelta::seconds(60), wall).await?;
        tx.commit().await?;
        Ok(rows::ExchangeRow { fence: 1, ..row })
    }
}

/// Compares claims with what is known, and takes all of them or none.
pub(super) async fn judge(
    tx: &mut Tx,
    tenant: TenantId,
    reader: &rows::ExchangeRow,
    standing: Standing,
    received: Received,
    now: DateTime<Utc>,
) -> Result<Judged> {
    let binding = BindingId(reader.binding_id);
    let refuse = |reply, reason, belongs_to| Ok(Judged { reply, refused: Some(reason), belongs_to });
    let (claims, taken, refused) = match received {
        Received::Rejected { reason, reply } => return refuse(reply, reason, None),
        Received::Authentic { claims, taken, refused } => (claims, taken, refused),
    };
    let mut agreed: Vec<(uuid::Uuid, Outcome)> = Vec::with_capacity(claims.len());
    for claim in claims {
        let Some(payment) = payment_of(tx, tenant, binding, &claim.subject).await? else {
            return refuse(refused, format!("no payment {:?} was begun here", claim.subject), None);
        };
        let began = payment.component_digest == reader.component_digest && payment.config == reader.config;
        let id = ExchangeId(payment.id);
        match standing {
            Standing::Present if payment.canary_id.is_some() && !began => {
                let reason = format!("{id} began with a component on trial, which reads this");
                return refuse(refused, reason, Some(Origin::of(&payment)?));
            }
            Standing::Former if !began => {
                return refuse(refused, format!("{id} began with another component"), None);
            }
            _ => {}
        }
        let currency = Currency::parse(&payment.currency)
            .map_err(|error| ServiceError::Internal(format!("stored value of exchanges.currency: {error}")))?;
        let asked = Money::new(payment.amount_minor, currency);
        if let Err(error) = check_outcome(ExchangeKind::Notification, asked, &claim.outcome) {
            return refuse(refused, format!("{id}: {error}"), None);
        }
        agreed.push((payment.id, claim.outcome));
    }
    // In one order, so that two notifications about the same payments wait for each other and never for ever.
    agreed.sort_by_key(|(id, _)| *id);
    for (id, outcome) in agreed {
        let note = Some(written(&outcome)?);
        learn(tx, tenant, id, outcome, now).await?;
        let claimed = rows::StepRow { note, ..step("claim", now) };
        rows::step_insert(tx, tenant.0, id, claimed).await?;
    }
    Ok(Judged { reply: taken, refused: None, belongs_to: None })
}

/// The payment that a claim is about, begun through the same binding.
pub(crate) async fn payment_of(
    tx: &mut Tx,
    tenant: TenantId,
    binding: BindingId,
    subject: &Subject,
) -> Result<Option<rows::ExchangeRow>> {
    let row = match subject {
        Subject::Intent(id) => match id.parse::<ExchangeId>() {
            Ok(id) => rows::find(tx, tenant.0, id.uuid()).await?,
            Err(_) => None,
        },
        Subject::Number(number) => match i64::try_from(*number) {
            Ok(number) if number > 0 => rows::find_by_number(tx, tenant.0, binding.0, number).await?,
            _ => None,
        },
        Subject::External(name) if name.is_empty() => None,
        Subject::External(name) => rows::find_by_external(tx, tenant.0, binding.0, name).await?,
    };
    Ok(row.filter(|row| row.binding_id == binding.0 && row.kind == ExchangeKind::Pay.as_str()))
}
