//! Short funds: periods of a plan that are not charged because the contract cannot pay for them in advance.
//!
//! Owns what a policy does to a plan that is priced already: lines go, the schedule stays or moves on, days out of service
//! are noted. The decision about each period is the domain's. Refuses to know how money comes. Invariants: what falls due
//! without a policy is taken first, then subscriptions are looked at in the order of the plan, each with what is left; what
//! is written was decided on the money that is there when it is written (see [`Funded`]).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use altyn_domain::{
    calendar::period,
    catalogue::PlanVersion,
    charge::ChargeKind,
    id::{ContractId, RunId, SubscriptionId, TenantId},
    money::{Money, MoneyError},
    party::ContractKind,
    run::{PlanWithheld, WithheldOutcome},
    subscription::{
        Due, DuePeriod, Renewed, ShortFunds, Subscription, SubscriptionError, SubscriptionStatus, Verdict, VersionMove,
        due, is_used_up, verdict,
    },
};
use altyn_store::{Rows, Scope, StoreError, Tx, credit, lives, runs as rows};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    compute::{Inputs, Planned},
    follow::Follow,
};
use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    page::{Listed, Page},
};

/// What contracts with such subscriptions may spend, by contract.
pub(super) type Funds = HashMap<Uuid, i64>;

/// The money that a plan was decided on; it is looked at again under a lock before the plan is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Funded {
    pub contract: Uuid,
    pub account: Uuid,
    pub available_minor: i64,
}

/// A subscription that is charged only as far as the contract can pay.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// As it was asked for what is due.
    subscription: Subscription,
    plan: Arc<PlanVersion>,
    policy: ShortFunds,
    retry_days: Option<u16>,
    /// The first day of the period that waits already.
    waits_from: Option<NaiveDate>,
    /// Whether it was charged before; one that was not begins later instead of passing a period.
    begun: bool,
    /// How many changes of it were executed.
    changes: i32,
    /// What fell due.
    periods: Vec<Span>,
}

/// What is charged together.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// The charge date.
    charged_on: NaiveDate,
    /// The day after the last one of service.
    until: NaiveDate,
    /// The day after the last one of the whole period.
    full_until: NaiveDate,
}

/// Where a gated subscription goes on.
#[derive(Clone, Debug)]
pub(super) struct Advance {
    subscription: Uuid,
    version: i64,
    next: Renewed,
    waits_from: Option<NaiveDate>,
    /// Its new first day of service, when it never began.
    starts_on: Option<NaiveDate>,
    /// Days that were neither served nor charged.
    passed: Vec<(NaiveDate, NaiveDate)>,
    /// Whether any period was charged.
    charged: bool,
}

impl Advance {
    /// Whether any period was charged.
    pub(super) fn is_charged(&self) -> bool {
        self.charged
    }
}

/// The record of a period that was not charged.
#[derive(Clone, Debug)]
pub(super) struct Withheld {
    contract: Uuid,
    told: PlanWithheld,
}

/// What a policy comes to in a plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Gated {
    pub gates: Vec<Gate>,
    pub available_minor: i64,
    pub advances: Vec<Advance>,
}

impl Gate {
    /// The subscription of a row under its policy; none when the period is charged whatever money there is.
    ///
    /// One that was suspended is asked for what is due as if it returned on the day: periods that are over are passed.
    pub fn of(
        row: &rows::DueRow,
        mut subscription: Subscription,
        plan: &Arc<PlanVersion>,
        on: NaiveDate,
    ) -> std::result::Result<Option<Self>, String> {
        let policy: ShortFunds = row.short_funds.parse().map_err(|error| format!("{error}"))?;
        if policy == ShortFunds::Debt {
            return Ok(None);
        }
        // What was taken over from other books began there.
        let begun = row.next_charge_on > row.starts_on || row.once_due == 0;
        let suspended = policy == ShortFunds::Suspend && begun && row.waits_from.is_some();
        if suspended && subscription.ends_on.is_none_or(|end| on < end) {
            let at = |index| period(subscription.anchor_on, plan.cadence, index).map_err(|error| error.to_string());
            let mut index = subscription.next_index;
            while at(index)?.end <= on {
                index += 1;
            }
            subscription.next_index = index;
            subscription.terms_from = subscription.terms_from.max(on);
        }
        Ok(Some(Self {
            plan: Arc::clone(plan),
            policy,
            retry_days: row.retry_days.and_then(|days| u16::try_from(days).ok()),
            waits_from: row.waits_from,
            begun,
            changes: row.change_ordinal,
            periods: Vec::new(),
            subscription,
        }))
    }

    /// The subscription as it is asked for what is due.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Takes in what is due.
    pub fn take_in(&mut self, found: &Due) {
        let mut periods: BTreeMap<NaiveDate, Span> = BTreeMap::new();
        for line in &found.lines {
            let of_line = Span { charged_on: line.charged_on, until: line.used.end, full_until: line.period.end };
            let span = periods.entry(line.charged_on).or_insert(of_line);
            span.until = span.until.max(line.used.end);
            span.full_until = span.full_until.max(line.period.end);
        }
        self.periods = periods.into_values().collect();
    }

    /// Whether its service stands still already.
    fn suspended(&self) -> bool {
        self.policy == ShortFunds::Suspend && self.begun && self.waits_from.is_some()
    }

    /// How the schedule goes on behind `periods` periods of which `charged` were charged, and to which versions of the plan.
    fn behind(
        &self,
        on: NaiveDate,
        periods: usize,
        charged: u32,
    ) -> std::result::Result<(Renewed, Vec<VersionMove>), SubscriptionError> {
        let endless = Subscription { charges_left: None, ..self.subscription.clone() };
        let Due { next, moves, .. } = due(&endless, &self.plan, on, periods)?;
        let charges_left = self.subscription.charges_left.map(|left| left.saturating_sub(charged));
        let done = next.status.is_charged() && is_used_up(charges_left, next.next_charge_on, on);
        let status = if done { SubscriptionStatus::Completed } else { next.status };
        let once_due = self.subscription.once_due && charged == 0;
        Ok((Renewed { charges_left, once_due, status, ..next }, moves))
    }
}

/// Takes out of a priced plan what the contract cannot pay for.
pub(super) fn hold_back(inputs: &Inputs, plan: &mut Planned) -> std::result::Result<(), String> {
    let gates = std::mem::take(&mut plan.gated.gates);
    if gates.is_empty() {
        return Ok(());
    }
    let mut left = unconditional(inputs, plan, &gates).map_err(|error| error.to_string())?;
    // By subscription: the first charge date whose lines go, and up to which day they reach.
    let mut gone: HashMap<SubscriptionId, Vec<(NaiveDate, NaiveDate)>> = HashMap::new();
    for gate in gates {
        let id = gate.subscription.id;
        let costs = costs(plan, id).map_err(|error| error.to_string())?;
        // What was reserved for it is there for it alone.
        let reserved: i64 =
            plan.reserved.iter().filter(|order| order.subscription_id == id.0).map(|o| o.amount_minor).sum();
        left += reserved;
        let (mut done, mut charged) = (0, 0);
        let mut advance = Advance {
            subscription: id.0,
            version: gate.subscription.version,
            next: gate.behind(inputs.on, 0, 0).map_err(|error| error.to_string())?.0,
            waits_from: None,
            starts_on: None,
            passed: Vec::new(),
            charged: false,
        };
        let mut stopped = false;
        for Span { charged_on, until, full_until } in gate.periods.iter().copied() {
            if stopped {
                gone.entry(id).or_default().push((charged_on, until));
                continue;
            }
            let cost_minor = costs.get(&charged_on).copied().unwrap_or(0);
            let asked = DuePeriod { charged_on, until, cost_minor };
            let mut decided = verdict(gate.policy, gate.retry_days, asked, left, inputs.on);
            // What passed while it was suspended is never charged.
            if gate.suspended() && until <= inputs.on {
                decided = Verdict::Pass;
            }
            // Terms that were changed before the first charge have a first day of their own, which stays.
            if decided == Verdict::Pass && !gate.begun && charged == 0 && gate.changes > 0 {
                decided = Verdict::Wait;
            }
            if decided != Verdict::Charge {
                gone.entry(id).or_default().push((charged_on, until));
                let from = gate.waits_from.filter(|_| charged == 0 && done == 0).unwrap_or(charged_on);
                plan.plan.withheld.push(PlanWithheld {
                    subscription: id,
                    policy: gate.policy,
                    outcome: if decided == Verdict::Pass { WithheldOutcome::Skipped } else { WithheldOutcome::Waits },
                    from,
                    until,
                    needed: Money::new(cost_minor, plan.currency),
                    available: Money::new(left, plan.currency),
                });
            }
            match decided {
                Verdict::Charge => {
                    left -= cost_minor;
                    charged += 1;
                    done += 1;
                    advance.charged = true;
                    // What was suspended comes back on the day that it is charged from.
                    if let Some(from) = gate.waits_from.filter(|from| done == 1 && *from < charged_on) {
                        advance.passed.push((from, charged_on));
                    }
                }
                Verdict::Pass => {
                    done += 1;
                    if gate.begun || charged > 0 {
                        advance.passed.push((charged_on, full_until));
                    } else {
                        stopped = true;
                    }
                }
                Verdict::Wait => {
                    advance.waits_from = Some(gate.waits_from.filter(|_| done == 0).unwrap_or(charged_on));
                    stopped = true;
                }
            }
        }
        if charged == 0 {
            left -= reserved;
        }
        let (next, moves) = gate.behind(inputs.on, done, charged).map_err(|error| error.to_string())?;
        advance.next = next;
        plan.follows.extend(Follow::of(&gate.subscription, gate.changes, &gate.plan, &moves));
        let never_began = !gate.begun && charged == 0 && done > 0;
        if never_began && advance.next.status.is_charged() {
            advance.starts_on = Some(advance.next.next_charge_on);
        }
        // Nothing moves while it waits on.
        if done > 0 || advance.waits_from != gate.waits_from || advance.next.status != gate.subscription.status {
            plan.gated.advances.push(advance);
        }
    }
    take_out(plan, &gone);
    Ok(())
}

/// What is left when everything is taken that is charged whatever money there is.
fn unconditional(inputs: &Inputs, plan: &Planned, gates: &[Gate]) -> std::result::Result<i64, MoneyError> {
    let mut left = plan.gated.available_minor;
    for line in &plan.plan.lines {
        if line.kind == ChargeKind::Usage {
            if line.realises_on <= inputs.on {
                left -= line.gross.minor;
            }
        } else if gates.iter().all(|gate| gate.subscription.id != line.subscription) {
            left -= line.prepaid()?.minor;
        }
    }
    for realisation in &plan.plan.realisations {
        left -= realisation.gross.minor - realisation.prepaid.minor;
    }
    for order in &plan.reserved {
        let gated = gates.iter().any(|gate| gate.subscription.id.0 == order.subscription_id);
        if !gated && plan.charges(order.subscription_id) {
            left += order.amount_minor;
        }
    }
    Ok(left)
}

/// What is taken in advance for each charge date of a subscription.
fn costs(plan: &Planned, subscription: SubscriptionId) -> std::result::Result<HashMap<NaiveDate, i64>, MoneyError> {
    let mut costs = HashMap::new();
    let lines =
        plan.plan.lines.iter().filter(|line| line.subscription == subscription && line.kind != ChargeKind::Usage);
    for line in lines {
        *costs.entry(line.charged_on).or_insert(0) += line.prepaid()?.minor;
    }
    Ok(costs)
}

/// Takes lines and usage windows of periods out of a plan, and documents that have none left.
fn take_out(plan: &mut Planned, gone: &HashMap<SubscriptionId, Vec<(NaiveDate, NaiveDate)>>) {
    if gone.is_empty() {
        return;
    }
    let is_gone = |subscription: SubscriptionId, day: NaiveDate| {
        gone.get(&subscription).is_some_and(|periods| periods.iter().any(|(from, until)| *from <= day && day < *until))
    };
    let keep: Vec<bool> = plan
        .plan
        .lines
        .iter()
        .map(|line| line.kind == ChargeKind::Usage || !is_gone(line.subscription, line.charged_on))
        .collect();
    let mut from = 0;
    for invoice in &mut plan.invoices {
        let kept = keep[invoice.lines.clone()].iter().filter(|kept| **kept).count();
        invoice.lines = from..from + kept;
        from += kept;
    }
    plan.invoices.retain(|invoice| !invoice.lines.is_empty());
    let mut kept = keep.iter();
    plan.plan.lines.retain(|_| kept.next().copied().unwrap_or(true));
    let mut kept = keep.iter();
    plan.evidence.retain(|_| kept.next().copied().unwrap_or(true));
    plan.windows.retain(|window| !is_gone(SubscriptionId(window.subscription), window.used.0));
}

/// Whether a plan does anything besides waiting.
pub(super) fn has_effect(plan: &Planned) -> bool {
    !(plan.plan.lines.is_empty()
        && plan.plan.realisations.is_empty()
        && plan.renewals.is_empty()
        && plan.gated.advances.is_empty()
        && plan.billed.is_empty()
        && plan.windows.is_empty())
}

/// The records of a plan.
pub(super) fn withheld(plan: &Planned) -> impl Iterator<Item = Withheld> {
    plan.plan.withheld.iter().map(|told| Withheld { contract: plan.contract, told: told.clone() })
}

/// The money that a plan was decided on; none when no money decided.
pub(super) fn funded(plan: &Planned) -> Option<Funded> {
    let decided = !plan.gated.advances.is_empty() || !plan.plan.withheld.is_empty();
    decided.then_some(Funded {
        contract: plan.contract,
        account: plan.funds_account,
        available_minor: plan.gated.available_minor,
    })
}

/// What a chunk writes about short funds.
#[derive(Default)]
pub(super) struct ShortFundsRows {
    pub funded: Vec<Funded>,
    pub advances: Vec<Advance>,
    /// Days that were neither served nor charged, each with an id and its subscription.
    passed: Vec<(Uuid, Uuid, (NaiveDate, NaiveDate))>,
    pub withheld: Vec<Withheld>,
}

impl ShortFundsRows {
    /// Those of executed plans.
    pub fn of(inputs: &Inputs, planned: &[Planned]) -> Self {
        let advances: Vec<Advance> = planned.iter().flat_map(|plan| plan.gated.advances.iter().cloned()).collect();
        let passed = advances
            .iter()
            .flat_map(|advance| advance.passed.iter().map(|days| (inputs.ids.next(), advance.subscription, *days)))
            .collect();
        Self {
            funded: planned.iter().filter_map(funded).collect(),
            advances,
            passed,
            withheld: planned.iter().flat_map(withheld).collect(),
        }
    }

    /// Writes them; `false` when money or a subscription moved since it was read.
    pub async fn write(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        run: Uuid,
        at: DateTime<Utc>,
    ) -> std::result::Result<bool, StoreError> {
        if !self.funded.is_empty() {
            credit::lock(tx, tenant, self.funded.iter().map(|funded| funded.account).collect()).await?;
            let contracts = self.funded.iter().map(|funded| funded.contract).collect();
            let monies = credit::money_of(tx, tenant, contracts).await?;
            let now: HashMap<Uuid, i64> =
                monies.into_iter().map(|money| (money.contract_id, money.available_minor)).collect();
            if self.funded.iter().any(|funded| now.get(&funded.contract) != Some(&funded.available_minor)) {
                return Ok(false);
            }
        }
        let advances = &self.advances;
        macro_rules! column {
            (|$row:ident| $value:expr) => {
                advances.iter().map(|$row| $value).collect::<Vec<_>>()
            };
        }
        let moved = Rows::new()
            .with("id", column!(|row| row.subscription))
            .with("version", column!(|row| row.version))
            .with("status", column!(|row| row.next.status.as_str().to_owned()))
            .with("next_index", column!(|row| row.next.next_index))
            .with("next_charge_on", column!(|row| row.next.next_charge_on))
            .with(
                "charges_left",
                column!(|row| row.next.charges_left.map(|left| i32::try_from(left).unwrap_or(i32::MAX))),
            )
            .with("once_due", column!(|row| i32::from(row.next.once_due)))
            .with("waits_from", column!(|row| row.waits_from))
            .with("starts_on", column!(|row| row.starts_on));
        if rows::advance(tx, tenant, &moved).await? != advances.len() as u64 {
            return Ok(false);
        }
        let passed: Vec<_> = self.passed.iter().map(|(id, subscription, days)| (*id, *subscription, *days)).collect();
        let passed = Rows::new()
            .with("id", passed.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
            .with("subscription_id", passed.iter().map(|(_, id, _)| *id).collect::<Vec<_>>())
            .with("from_on", passed.iter().map(|(.., (from, _))| *from).collect::<Vec<_>>())
            .with("until_on", passed.iter().map(|(.., (_, until))| *until).collect::<Vec<_>>());
        lives::stops_passed(tx, tenant, &passed).await?;
        // A run that is late may withhold several periods of one subscription: the last tells where it stands.
        let mut last: BTreeMap<Uuid, &Withheld> = BTreeMap::new();
        for one in &self.withheld {
            last.insert(one.told.subscription.0, one);
        }
        let last: Vec<&Withheld> = last.into_values().collect();
        let told = Rows::new()
            .with("contract_id", last.iter().map(|one| one.contract).collect::<Vec<_>>())
            .with("subscription_id", last.iter().map(|one| one.told.subscription.0).collect::<Vec<_>>())
            .with("period_start", last.iter().map(|one| one.told.from).collect::<Vec<_>>())
            .with("period_end", last.iter().map(|one| one.told.until).collect::<Vec<_>>())
            .with("outcome", last.iter().map(|one| one.told.outcome.as_str().to_owned()).collect::<Vec<_>>())
            .with("policy", last.iter().map(|one| one.told.policy.as_str().to_owned()).collect::<Vec<_>>())
            .with("needed_minor", last.iter().map(|one| one.told.needed.minor).collect::<Vec<_>>())
            .with("available_minor", last.iter().map(|one| one.told.available.minor).collect::<Vec<_>>())
            .with("currency", last.iter().map(|one| one.told.needed.currency.code().to_owned()).collect::<Vec<_>>());
        rows::withheld_put(tx, tenant, run, at, &told).await?;
        Ok(true)
    }
}

/// A period that a run did not charge for want of money.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WithheldView {
    /// The contract.
    pub contract_id: ContractId,
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// What it does when money is short.
    pub policy: ShortFunds,
    /// Whether the period waits for money or is skipped.
    pub outcome: WithheldOutcome,
    /// The first day of it.
    pub from: NaiveDate,
    /// The day after its last one.
    pub until: NaiveDate,
    /// What would have been taken in advance, minor units.
    pub needed_minor: i64,
    /// What the contract could spend then, minor units.
    pub available_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// The reason in words.
    pub reason: String,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

impl Altyn {
    /// What the contracts of due subscriptions may spend, for those whose policy asks.
    pub(super) async fn funds_for(&self, tenant: TenantId, due: &[rows::DueRow]) -> Result<Funds> {
        let debt = ShortFunds::Debt.as_str();
        let mut contracts: Vec<Uuid> =
            due.iter().filter(|row| row.short_funds != debt).map(|row| row.contract_id).collect();
        contracts.dedup();
        if contracts.is_empty() {
            return Ok(Funds::new());
        }
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        let monies = credit::money_of(&mut tx, tenant.0, contracts).await?;
        // Who pays afterwards is never short of an advance.
        Ok(monies
            .into_iter()
            .filter(|money| money.kind != ContractKind::Postpaid.as_str())
            .map(|money| (money.contract_id, money.available_minor))
            .collect())
    }

    /// A page of the subscriptions that a run did not renew for want of money, by subscription.
    pub async fn run_withheld(&self, request: &Request, id: RunId, page: &Page) -> Result<Listed<WithheldView>> {
        let (limit, after) = page.bounds::<SubscriptionId>()?;
        let mut tx = self.read(request).await?;
        if rows::find(&mut tx, request.tenant.0, id.0).await?.is_none() {
            return Err(ServiceError::NotFound("run"));
        }
        let found = rows::withheld_list(&mut tx, request.tenant.0, id.0, after, limit).await?;
        let views = found
            .into_iter()
            .map(|row| {
                let outcome: WithheldOutcome = stored("run_withheld.outcome", &row.outcome)?;
                let fate = match outcome {
                    WithheldOutcome::Waits => "waits for money",
                    WithheldOutcome::Skipped => "is skipped",
                };
                let currency = stored("run_withheld.currency", &row.currency)?;
                let (needed, available) =
                    (Money::new(row.needed_minor, currency), Money::new(row.available_minor, currency));
                Ok(WithheldView {
                    contract_id: ContractId(row.contract_id),
                    subscription_id: SubscriptionId(row.subscription_id),
                    policy: stored("run_withheld.policy", &row.policy)?,
                    outcome,
                    from: row.period_start,
                    until: row.period_end,
                    needed_minor: row.needed_minor,
                    available_minor: row.available_minor,
                    reason: format!("{needed} is needed, {available} is there: the period {fate}"),
                    currency: row.currency,
                    recorded_at: row.recorded_at,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(page.listed(views, |view| view.subscription_id.to_string(), |view| view))
    }
}
