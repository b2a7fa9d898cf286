//! Deciding a change: everything that it depends on is read in one transaction, and the domain decides. Asks no plugin, writes
//! nothing.

use std::{collections::HashMap, sync::Arc};

use altyn_domain::{
    calendar::boundary,
    catalogue::PlanVersion,
    change::{
        ChangeError, ChangeKind, Covered, Decision, Direction, Facts, Order, Phase, Terms, Timing, TimingFacts,
        charged_until, classify, decide, effective_on, period_change,
    },
    id::{ChangeId, ChargeId, ComponentId, Id as _, PlanId, SubscriptionId},
    invoice::Amounts,
    money::{Currency, Money},
    proration::CurrentDay,
    subscription::Subscription,
};
use altyn_store::{
    StoreError, Tx, catalogue, changes as rows, lives,
    orders::{self, OrderRow},
    runs,
    subscriptions::{self, SubscriptionRow},
};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    command::ChangeSubscription,
    timings,
    view::{ReplacedChange, SkippedRenewal},
};
use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    price_overrides::{Prices, prices_of},
    runs::{compute::plan_versions, follow::with_successors, metered::zones},
    subscriptions::{not_sold, subscription_of, version_sold},
    tenants,
};

/// A change of one subscription, decided.
pub(super) struct Item {
    pub row: SubscriptionRow,
    pub subscription: Subscription,
    pub command: ChangeSubscription,
    pub decision: Decision,
    pub direction: Direction,
    pub direction_reason: String,
    pub timing: Timing,
    pub timing_reason: String,
    pub effective_on: NaiveDate,
    pub change: ChangeId,
    pub target: Arc<PlanVersion>,
    /// What waits for the same subscription and gives way, should this one wait, too.
    pub replaces: Vec<ReplacedChange>,
    pub current_day: CurrentDay,
}

/// What the changes of one contract have in common.
struct Wanted {
    facts: rows::ContractFactsRow,
    currency: Currency,
    /// Today in the contract's zone.
    today: NaiveDate,
    prices: Prices,
    scheduled: Option<Scheduled>,
}

/// What is decided about, before any plugin is asked.
pub(super) struct Loaded {
    pub contract: rows::ContractFactsRow,
    pub currency: Currency,
    pub today: NaiveDate,
    pub zone: String,
    pub locale: String,
    pub seller: runs::SellerRow,
    pub items: Vec<Item>,
    pub orders: Vec<OrderRow>,
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over errors")]
pub(super) fn internal(error: impl ToString) -> ServiceError {
    ServiceError::Internal(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over errors")]
fn refused(error: ChangeError) -> ServiceError {
    let text = error.to_string();
    match error {
        ChangeError::Transitional(_) => ServiceError::conflict("subscription-transitional", text),
        ChangeError::Status { .. } | ChangeError::Ended(_) => ServiceError::conflict("change-not-possible", text),
        ChangeError::Unbilled(_) => ServiceError::conflict("change-unbilled", text),
        ChangeError::Nothing(_) => ServiceError::conflict("change-nothing", text),
        ChangeError::TooEarly { .. } => ServiceError::invalid("/on", text),
        ChangeError::Range(_) => ServiceError::invalid("/days", text),
        ChangeError::Schedule(_) | ChangeError::Calendar(_) | ChangeError::Money(_) => {
            ServiceError::invalid("/on", text)
        }
    }
}

fn covered_of(row: &rows::CoveredRow, currency: Currency) -> Result<Covered> {
    let money = |minor| Money::new(minor, currency);
    Ok(Covered {
        charge: ChargeId(row.id),
        component: ComponentId(row.component_id),
        used: altyn_domain::calendar::Period::try_new(row.used_start, row.used_end).map_err(internal)?,
        until: row.covered_until.unwrap_or(row.used_end),
        billed: Amounts { net: money(row.net_minor), tax: money(row.tax_minor), gross: money(row.gross_minor) },
        credited: Amounts {
            net: money(row.credited_minor - row.credited_tax_minor),
            tax: money(row.credited_tax_minor),
            gross: money(row.credited_minor),
        },
    })
}

/// A scheduled change that a run executes: which it is, the run's business day, and the day and timing it was scheduled with.
#[derive(Clone, Copy)]
pub(super) struct Scheduled {
    pub change: ChangeId,
    pub business_on: NaiveDate,
    pub effective_on: NaiveDate,
    pub timing: Timing,
}

impl Altyn {
    /// Refuses the end of a subscription that a decision table forbids.
    pub(crate) async fn cancel_allowed(&self, tx: &mut Tx, tenant: Uuid, row: &SubscriptionRow) -> Result<()> {
        let subscription =
            subscription_of(row, prices_of(tx, tenant, vec![row.contract_id]).await?.of(row.contract_id, row.id))?;
        let (plan, plan_id) = version(tx, tenant, row.plan_version_id, false).await?;
        let here = (&*plan, subscription.quantity);
        let (direction, ..) = classify(here, here).map_err(internal)?;
        let first = boundary(subscription.anchor_on, plan.cadence, subscription.next_index).map_err(internal)?;
        let asked = TimingFacts {
            kind: ChangeKind::Cancel,
            direction,
            from_plan: plan_id,
            to_plan: plan_id,
            period: period_change(plan.cadence, plan.cadence),
            phase: phase(&subscription, &plan, first)?,
        };
        match timings::decide(tx, tenant, &asked).await? {
            (Timing::Forbidden, reason) => Err(forbidden(&reason)),
            _ => Ok(()),
        }
    }

    pub(super) async fn load(
        &self,
        request: &Request,
        wishes: &[(SubscriptionId, ChangeSubscription)],
        scheduled: Option<Scheduled>,
        mut skipped: Option<&mut Vec<SkippedRenewal>>,
    ) -> Result<(Loaded, HashMap<ChargeId, NaiveDate>)> {
        let tenant = request.tenant.0;
        let mut tx = self.read(request).await?;
        let acting = tenants::acting(&mut tx, request).await?;
        let mut wanted: Option<Wanted> = None;
        let mut items = Vec::with_capacity(wishes.len());
        let mut covered_until = HashMap::new();
        for (id, command) in wishes {
            let row = subscriptions::find(&mut tx, tenant, id.uuid()).await?;
            let row = row.ok_or(ServiceError::NotFound("subscription"))?;
            let wanted = match &wanted {
                Some(wanted) => wanted,
                None => wanted.insert(self.wanted(&mut tx, tenant, &row, scheduled).await?),
            };
            match self.decided(&mut tx, request, wanted, row, command).await {
                Ok((item, covered)) => {
                    covered_until.extend(covered.iter().map(|charge| (charge.charge, charge.until)));
                    items.push(item);
                }
                Err(error @ (ServiceError::Conflict { .. } | ServiceError::Invalid(_))) => match &mut skipped {
                    Some(skipped) => skipped.push(SkippedRenewal {
                        subscription_id: *id,
                        reason_code: error.code().to_owned(),
                        reason: told(&error),
                    }),
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        let Wanted { facts, currency, today, .. } = wanted.ok_or(ServiceError::NotFound("subscription"))?;
        let seller = runs::sellers(&mut tx, tenant).await?.into_iter().find(|seller| seller.id == facts.seller_id);
        let orders = orders::standing_among(&mut tx, tenant, items.iter().map(|item| item.row.id).collect()).await?;
        let loaded = Loaded {
            orders,
            seller: seller.ok_or_else(|| internal("a contract has no seller"))?,
            contract: facts,
            currency,
            today,
            zone: acting.zone,
            locale: acting.locale,
            items,
        };
        Ok((loaded, covered_until))
    }

    /// What the changes of one contract have in common, told by one of its subscriptions.
    async fn wanted(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        row: &SubscriptionRow,
        scheduled: Option<Scheduled>,
    ) -> Result<Wanted> {
        let facts = rows::contract_facts(tx, tenant, row.contract_id).await?;
        let facts = facts.ok_or_else(|| internal("a subscription has no contract"))?;
        let zones = zones(&facts.zone, row.former_zone.as_ref(), row.former_zone_until)?;
        Ok(Wanted {
            currency: stored("contracts.currency", &facts.currency)?,
            today: zones.day_of(self.clock.now()),
            prices: prices_of(tx, tenant, vec![row.contract_id]).await?,
            facts,
            scheduled,
        })
    }

    /// Decides one change; with the charges that it looked at.
    #[expect(clippy::too_many_lines, reason = "everything a change is decided from, read in one transaction")]
    async fn decided(
        &self,
        tx: &mut Tx,
        request: &Request,
        wanted: &Wanted,
        row: SubscriptionRow,
        command: &ChangeSubscription,
    ) -> Result<(Item, Vec<Covered>)> {
        let (tenant, scheduled) = (request.tenant.0, wanted.scheduled);
        let today = scheduled.map_or(wanted.today, |scheduled| scheduled.business_on);
        let subscription = subscription_of(&row, wanted.prices.of(row.contract_id, row.id))?;
        let wished = command.on.unwrap_or(today);
        check_self_service(request, command, today)?;
        let (plan, plan_id) = version(tx, tenant, row.plan_version_id, command.kind == ChangeKind::Renew).await?;
        let target = match command.kind {
            ChangeKind::ChangePlan => {
                // Deferred changes sell the version of their day; the end of the term is known well enough here.
                let day = scheduled.map_or(wished.max(today), |scheduled| scheduled.effective_on);
                self.target(tx, request, command, day, &wanted.facts).await?
            }
            _ => (Arc::clone(&plan), plan_id),
        };
        let quantity = command.quantity.as_deref().map(|text| stored("quantity", text)).transpose()?;
        let new_quantity: Decimal = quantity.unwrap_or(subscription.quantity);
        if matches!(command.kind, ChangeKind::ChangePlan | ChangeKind::ChangeQuantity) {
            not_sold(target.0.takes(new_quantity))?;
        }
        let (mut direction, _, mut direction_reason) =
            classify((&plan, subscription.quantity), (&target.0, new_quantity)).map_err(internal)?;
        if let Some(overruled) = command.direction {
            direction_reason = format!("said so; the classifier says {direction}: {direction_reason}");
            direction = overruled;
        }
        let first = boundary(subscription.anchor_on, plan.cadence, subscription.next_index).map_err(internal)?;
        let asked = TimingFacts {
            kind: command.kind,
            direction,
            from_plan: plan_id,
            to_plan: target.1,
            period: period_change(plan.cadence, target.0.cadence),
            phase: phase(&subscription, &plan, first)?,
        };
        let (mut timing, mut timing_reason) = timings::decide(tx, tenant, &asked).await?;
        if timing == Timing::Forbidden {
            return Err(forbidden(&timing_reason));
        }
        if let Some(wished) = command.timing {
            timing_reason = format!("wished; {timing_reason} says {timing}");
            timing = wished;
        }
        if let Some(scheduled) = scheduled {
            timing = scheduled.timing;
        }
        let term = effective_on(timing, &subscription, &plan, wished).map_err(refused)?.unwrap_or(wished);
        let on = match scheduled {
            Some(scheduled) if timing != Timing::EndOfTerm => scheduled.effective_on,
            // What has not begun, or has run out, is changed on the wished day at the earliest.
            _ if timing == Timing::EndOfTerm && command.on.is_some() => term.max(wished),
            _ => term,
        };
        if command.kind.takes_days()
            && let Some(out) = lives::out_on(tx, tenant, row.id, on).await?
            && let Some(until) = out.until_on
        {
            return Err(ServiceError::conflict(
                "change-not-possible",
                format!("the days from {} are neither served nor charged; choose {until} or a later day", out.from_on),
            ));
        }
        let order = match command.kind {
            ChangeKind::Cancel => Order::Cancel,
            ChangeKind::ChangePlan => Order::ChangePlan(&target.0, quantity),
            ChangeKind::ChangeQuantity => Order::ChangeQuantity(new_quantity),
            ChangeKind::Pause => Order::Pause,
            ChangeKind::Resume => Order::Resume,
            ChangeKind::ChangeBillingDay => Order::ChangeBillingDay(command.billing_day.unwrap_or(0)),
            ChangeKind::Renew => Order::Renew,
            ChangeKind::Prolong => Order::Prolong(command.days.unwrap_or(0)),
            ChangeKind::Shift => Order::Shift(command.days.unwrap_or(0)),
        };
        let covered = rows::covered(tx, tenant, row.id, on).await?;
        let covered: Vec<Covered> =
            covered.iter().map(|row| covered_of(row, wanted.currency)).collect::<Result<_>>()?;
        let current_day = command.current_day.unwrap_or(CurrentDay::New);
        let asked =
            Facts { subscription: &subscription, plan: &plan, covered: &covered, signed_on: wanted.facts.signed_on };
        let decision = match decide(&asked, &order, on, current_day) {
            Ok(decision) => decision,
            // Its periods up to that day will have been charged by then; a renewal does not wait for its day.
            Err(ChangeError::Unbilled(_)) if on > today && scheduled.is_none() && command.kind != ChangeKind::Renew => {
                nothing_yet(&subscription, command.kind, on)
            }
            Err(error) => return Err(refused(error)),
        };
        let effective_on = if command.kind == ChangeKind::Renew { today } else { on };
        let waits = scheduled.is_none() && effective_on > today;
        let replaces = if waits { replaced(tx, tenant, row.id, command.kind).await? } else { Vec::new() };
        // A renewal by hand goes over to the version of the plan that has come, like one by a run.
        let moved = plan.version(decision.terms.plan_version).filter(|moved| moved.id != plan.id);
        let target = moved.map_or(target.0, |moved| Arc::new(moved.clone()));
        let item = Item {
            effective_on,
            replaces,
            // What it posts, credits and tells names the change by the id that callers know.
            change: scheduled.map_or_else(|| ChangeId(self.ids.next()), |scheduled| scheduled.change),
            command: command.clone(),
            row,
            subscription,
            decision,
            direction,
            direction_reason,
            timing,
            timing_reason,
            target,
            current_day,
        };
        Ok((item, covered))
    }

    /// The plan version that a change of the plan leads to.
    async fn target(
        &self,
        tx: &mut Tx,
        request: &Request,
        command: &ChangeSubscription,
        day: NaiveDate,
        contract: &rows::ContractFactsRow,
    ) -> Result<(Arc<PlanVersion>, PlanId)> {
        let tenant = request.tenant.0;
        let plan = match (command.plan_id, &command.plan_code) {
            (Some(id), _) => catalogue::plan_find(tx, tenant, id.uuid()).await?,
            (None, Some(code)) => catalogue::plans_by_code(tx, tenant, vec![code.clone()]).await?.pop(),
            (None, None) => None,
        };
        let plan = plan.ok_or_else(|| ServiceError::invalid("/plan_id", "there is no such plan"))?;
        request.authority.sells(&plan.code, &plan.visibility)?;
        let sold = version_sold(tx, tenant, &plan, day).await?;
        if sold.currency != contract.currency {
            return Err(ServiceError::conflict(
                "currency-mismatch",
                format!(
                    "plan {} is priced in {}, contract {} is in {}; choose a plan in the contract's currency",
                    plan.code, sold.currency, contract.number, contract.currency
                ),
            ));
        }
        version(tx, tenant, sold.id, false).await
    }
}

fn phase(subscription: &Subscription, plan: &PlanVersion, next: NaiveDate) -> Result<Phase> {
    let until = charged_until(subscription, plan).map_err(refused)?;
    let first = boundary(subscription.anchor_on, plan.cadence, subscription.next_index - 1).map_err(internal)?;
    let in_first = subscription.terms_from == subscription.starts_on && first <= subscription.starts_on;
    Ok(if in_first || until <= subscription.starts_on || next <= subscription.starts_on {
        Phase::First
    } else {
        Phase::Later
    })
}

/// A decision whose amounts cannot be known before its day.
fn nothing_yet(subscription: &Subscription, kind: ChangeKind, on: NaiveDate) -> Decision {
    let terms = Terms::of(subscription);
    Decision { kind, on, credits: Vec::new(), lines: Vec::new(), terms, gift: None, gap: None }
}

/// A refusal in words, with the words of its fields.
fn told(error: &ServiceError) -> String {
    match error {
        ServiceError::Invalid(fields) => {
            fields.iter().map(|field| field.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

fn forbidden(by: &str) -> ServiceError {
    ServiceError::conflict("change-forbidden", format!("{by} forbids this change; ask whoever keeps the table"))
}

/// What a change of a kind that is scheduled takes the place of: everything that waits for the subscription, but for its end.
async fn replaced(tx: &mut Tx, tenant: Uuid, subscription: Uuid, kind: ChangeKind) -> Result<Vec<ReplacedChange>> {
    let mut waiting = Vec::new();
    for row in rows::scheduled_for(tx, tenant, subscription).await? {
        let change = ReplacedChange {
            change_id: ChangeId(row.id),
            kind: stored("subscription_changes.kind", &row.kind)?,
            effective_on: row.effective_on,
        };
        // What dunning decided is taken back by a payment, or by somebody who withdraws it, never by another wish.
        if change.kind == ChangeKind::Cancel && (kind != ChangeKind::Cancel || row.dunning_scope.is_some()) {
            return Err(ServiceError::conflict(
                "cancellation-scheduled",
                format!(
                    "the subscription ends on {} by {}, which waits; withdraw that first if it shall go on",
                    change.effective_on, change.change_id
                ),
            ));
        }
        waiting.push(change);
    }
    Ok(waiting)
}

/// Refuses what a customer who helps himself does not do, and terms that he does not give himself.
fn check_self_service(request: &Request, command: &ChangeSubscription, today: NaiveDate) -> Result<()> {
    use ChangeKind::{Cancel, ChangePlan, ChangeQuantity, Renew};
    let told = [
        (!matches!(command.kind, Cancel | ChangePlan | ChangeQuantity | Renew), "such a change"),
        (command.timing.is_some(), "when a change takes effect, but by its day,"),
        (command.direction.is_some(), "the direction of a change"),
        (command.current_day.is_some(), "who pays for the day of a change"),
        (command.on.is_some_and(|on| on < today), "a change in the past"),
    ];
    told.into_iter().filter(|(given, _)| *given).try_for_each(|(_, what)| request.authority.manager(what))
}

/// A plan version and its plan; with the later versions that renewals go over to, if `renews`.
async fn version(tx: &mut Tx, tenant: Uuid, id: Uuid, renews: bool) -> Result<(Arc<PlanVersion>, PlanId)> {
    let found = if renews {
        with_successors(tx, tenant, vec![id]).await?
    } else {
        plan_versions(runs::plan_components(tx, tenant, vec![id]).await?)?
    };
    match found.into_iter().next() {
        Some((_, version)) => {
            let plan = version.plan;
            Ok((version, plan))
        }
        _ => Err(StoreError::Corrupt("plan_versions.id", id.to_string()).into()),
    }
}
