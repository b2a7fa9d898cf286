//! Writing: a computed chunk becomes rows, all in one transaction.

use std::collections::HashMap;

use altyn_domain::{
    charge::ChargeStatus,
    id::{ChargeId, ContractId},
    order::OrderStatus,
    run::{PlanLine, PlanState, RunMode},
};
use altyn_store::{
    Db, Rows, Scope, StoreError, Tx, credit, ledger, orders, plugins, runs as rows,
    usage_windows::{self, Billed, NewWindow},
};
use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    ask::Fault,
    compute::{Computed, Inputs, Parked, Planned},
    fallen,
    follow::FollowRows,
    number::{Number, Numbered, SequenceName, TakenNumbers},
    post::{SharedAccounts, ledger_rows},
    short_funds::{Advance, ShortFundsRows, Withheld},
};
use crate::{
    canary::outcomes::{Counting, Outcomes, Refusal},
    credits::PlannedCredit,
    error::{Result, ServiceError},
    evidence::Recorded,
};

/// What the writer is to do with the plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Keep them until somebody decides.
    Propose,
    /// Execute them.
    Execute,
}

/// The lease under which a chunk is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub fence: i64,
    pub until: DateTime<Utc>,
    /// How long this host may be silent in a transaction before it loses that, milliseconds.
    pub silence_ms: u32,
}

/// Rows of a chunk, prepared away from the transaction.
pub(super) struct Prepared {
    plans: Rows,
    renewals: Rows,
    realised: Rows,
    billed: Vec<Billed>,
    pub(super) windows: Vec<NewWindow>,
    charges: Rows,
    periods: Rows,
    invoices: Rows,
    lines: Rows,
    entries: Rows,
    headers: Rows,
    balances: Rows,
    /// Balances that every chunk of the run moves.
    shared_balances: Rows,
    taken: Vec<(SequenceName, i64, i64)>,
    calls: Vec<plugins::CallRow>,
    evidence: Vec<Blob>,
    progress: rows::Progress,
    cursor: Option<Uuid>,
    numbers: Vec<(Uuid, String)>,
    short_funds: ShortFundsRows,
    follows: FollowRows,
    events: Vec<(&'static str, String)>,
    outcomes: Outcomes,
    /// Why contracts are parked, where a recorded call tells.
    refused: Vec<(Uuid, String)>,
    orders: ChargedOrders,
    /// What is given back of use that fell.
    credits: Vec<PlannedCredit>,
}

/// The paid orders that a chunk charges.
#[derive(Default)]
struct ChargedOrders {
    /// Each with its version.
    orders: Vec<(Uuid, i64)>,
    /// The funds accounts of their contracts.
    accounts: Vec<Uuid>,
}

impl ChargedOrders {
    fn of(planned: &[Planned]) -> Self {
        let with_orders = || planned.iter().filter(|plan| !plan.reserved.is_empty());
        Self {
            orders: with_orders().flat_map(|plan| &plan.reserved).map(|order| (order.id, order.version)).collect(),
            accounts: with_orders().map(|plan| plan.funds_account).collect(),
        }
    }

    /// Ends them; `false` when one of them moved.
    async fn write(&self, tx: &mut Tx, tenant: Uuid, at: DateTime<Utc>) -> std::result::Result<bool, StoreError> {
        if self.orders.is_empty() {
            return Ok(true);
        }
        let rows = orders::ended(&self.orders, OrderStatus::Closed.as_str());
        Ok(orders::end_all(tx, tenant, at, "run", &rows).await? == self.orders.len() as u64)
    }
}

impl Prepared {
    /// With periods of contracts that have nothing but periods that wait for money.
    pub(super) fn also_withheld(mut self, withheld: Vec<Withheld>) -> Self {
        self.short_funds.withheld.extend(withheld);
        self
    }

    /// The same rows for contracts the run's report has counted before.
    pub(super) fn counted_before(mut self) -> Self {
        self.progress.contracts = 0;
        self.progress.parked = 0;
        self.progress.awaiting = 0;
        self
    }
}

/// Why a chunk was not written.
pub(super) enum Refused {
    /// Somebody changed what the chunk was computed from; compute again.
    Moved,
    /// Another host has taken the run over.
    LeaseLost,
    /// A component on trial decided here whose trial was changed or is over; compute again with what decides now.
    Canary,
    /// These contracts' periods are charged already.
    Taken(HashMap<Uuid, Fault>),
    /// These numbers stand on invoices already.
    Numbers(TakenNumbers),
    /// Anything else.
    Failed(ServiceError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        // A unique key that appeared meanwhile is somebody else's progress, as is a deadlock.
        if error.is_race() {
            tracing::warn!(?error, "a chunk of a run is computed again");
            Self::Moved
        } else {
            Self::Failed(error.into())
        }
    }
}

/// Rows of named columns from items and one function a column.
macro_rules! columns {
    ($rows:expr, { $($name:ident: $value:expr),* $(,)? }) => {{
        let mut rows = Rows::new();
        $(rows = rows.with(stringify!($name), $rows.iter().map($value).collect::<Vec<_>>());)*
        rows
    }};
}

pub(super) use columns;

fn plan_rows(action: Action, planned: &[Planned], parked: &[Parked]) -> Result<Rows> {
    let mut effects = Vec::with_capacity(planned.len() + parked.len());
    for plan in planned {
        effects.push(match action {
            Action::Execute => None,
            Action::Propose => Some(
                serde_json::to_string(&plan.plan)
                    .map_err(|error| ServiceError::Internal(format!("a plan cannot be stored: {error}")))?,
            ),
        });
    }
    effects.resize(planned.len() + parked.len(), None);
    let state = match action {
        Action::Propose => PlanState::Awaiting,
        Action::Execute => PlanState::Done,
    };
    let both = |of_plan: &dyn Fn(&Planned) -> i64| -> Vec<i64> {
        planned.iter().map(of_plan).chain(parked.iter().map(|_| 0)).collect()
    };
    let fault = |get: &dyn Fn(&Fault) -> String| -> Vec<Option<String>> {
        planned.iter().map(|_| None).chain(parked.iter().map(|parked| Some(get(&parked.fault)))).collect()
    };
    Ok(Rows::new()
        .with(
            "contract_id",
            planned.iter().map(|p| p.contract).chain(parked.iter().map(|p| p.contract)).collect::<Vec<_>>(),
        )
        .with(
            "state",
            planned
                .iter()
                .map(|_| state.as_str().to_owned())
                .chain(parked.iter().map(|_| PlanState::Parked.as_str().to_owned()))
                .collect::<Vec<_>>(),
        )
        .with(
            "plan_hash",
            planned.iter().map(|p| Some(p.hash.to_vec())).chain(parked.iter().map(|_| None)).collect::<Vec<_>>(),
        )
        .with("lines", both(&|p| i64::try_from(p.plan.lines.len()).unwrap_or(i64::MAX)))
        .with("net_minor", both(&|p| p.plan.totals.net.minor))
        .with("tax_minor", both(&|p| p.plan.totals.tax.minor))
        .with("gross_minor", both(&|p| p.plan.totals.gross.minor))
        .with("realised", both(&|p| count(p.plan.realisations.len())))
        .with("realised_net_minor", both(&|p| p.realised.net.minor))
        .with("realised_tax_minor", both(&|p| p.realised.tax.minor))
        .with("realised_gross_minor", both(&|p| p.realised.gross.minor))
        .with("changes_minor", both(&|p| fallen::given_back(&p.credits)))
        .with("effects", effects)
        .with("reason_code", fault(&|fault| fault.code.clone()))
        .with("reason", fault(&|fault| fault.reason.chars().take(2_000).collect()))
        .with(
            "call_id",
            planned
                .iter()
                .map(|_| None)
                .chain(parked.iter().map(|parked| parked.fault.call.map(|call| call.0)))
                .collect::<Vec<Option<Uuid>>>(),
        ))
}

/// Why contracts are parked, where a recorded call tells.
fn refused(parked: &[Parked]) -> Vec<(Uuid, String)> {
    let told = |parked: &Parked| Some((parked.fault.call?.0, parked.fault.reason.clone()));
    parked.iter().filter_map(told).collect()
}

/// Lays out the rows of a chunk that is only proposed.
pub(super) fn prepare_proposal(computed: Computed) -> Result<Prepared> {
    let Computed { planned, parked, recorded, calls, withheld, outcomes, last: cursor } = computed;
    let (planned, parked) = (planned.as_slice(), parked.as_slice());
    // A proposal is computed again when it is confirmed; only the evidence of failures is worth keeping.
    let recorded: Vec<Recorded> = recorded.into_iter().filter(|call| call.row.fault_code.is_some()).collect();
    let (call_rows, evidence) = split(recorded);
    let prepared = Prepared {
        plans: plan_rows(Action::Propose, planned, parked)?,
        renewals: Rows::new(),
        realised: Rows::new(),
        billed: Vec::new(),
        windows: Vec::new(),
        charges: Rows::new(),
        periods: Rows::new(),
        invoices: Rows::new(),
        lines: Rows::new(),
        entries: Rows::new(),
        headers: Rows::new(),
        balances: Rows::new(),
        shared_balances: Rows::new(),
        taken: Vec::new(),
        calls: call_rows,
        evidence,
        progress: rows::Progress {
            contracts: count(planned.len() + parked.len()),
            awaiting: count(planned.len()),
            parked: count(parked.len()),
            plugin_calls: calls,
            ..rows::Progress::default()
        },
        cursor,
        numbers: Vec::new(),
        short_funds: ShortFundsRows::default(),
        follows: FollowRows::default(),
        events: Vec::new(),
        outcomes,
        refused: refused(parked),
        orders: ChargedOrders::default(),
        credits: Vec::new(),
    };
    Ok(prepared.also_withheld(withheld))
}

/// (SHA-256, plain size, compressed bytes).
type Blob = (Vec<u8>, i64, Vec<u8>);

fn split(recorded: Vec<Recorded>) -> (Vec<plugins::CallRow>, Vec<Blob>) {
    let mut calls = Vec::with_capacity(recorded.len());
    let mut evidence = Vec::with_capacity(recorded.len() * 2);
    for call in recorded {
        calls.push(call.row);
        evidence.extend(call.blobs);
    }
    (calls, evidence)
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// How far a charge has come when it is made on the day `on`.
fn status_of(line: &PlanLine, on: NaiveDate) -> ChargeStatus {
    if line.realises_on <= on {
        ChargeStatus::Closed
    } else if line.prepayment_percent == 100 {
        ChargeStatus::Blocked
    } else {
        ChargeStatus::Opened
    }
}

/// Lays out the rows of a chunk that is executed.
#[expect(clippy::too_many_arguments, reason = "everything a chunk came to")]
pub(super) fn prepare_execution(
    inputs: &Inputs,
    planned: &[Planned],
    parked: &[Parked],
    mut recorded: Vec<Recorded>,
    numbered: Numbered,
    accounts: &SharedAccounts,
    calls: i64,
    outcomes: Outcomes,
    cursor: Option<Uuid>,
    at: DateTime<Utc>,
) -> Result<Prepared> {
    recorded.extend(numbered.recorded);
    let (call_rows, evidence) = split(recorded);
    let renewals: Vec<_> = planned.iter().flat_map(|plan| &plan.renewals).collect();
    let invoices: Vec<_> = planned
        .iter()
        .flat_map(|plan| plan.invoices.iter().map(move |invoice| (plan, invoice)))
        .zip(&numbered.numbers)
        .collect();
    let mut charges = Vec::new();
    for ((plan, invoice), _) in &invoices {
        for (position, index) in invoice.lines.clone().enumerate() {
            let id = ChargeId(inputs.ids.next());
            charges.push((id, *plan, *invoice, position, &plan.plan.lines[index], &plan.evidence[index]));
        }
    }
    let ledger = ledger_rows(inputs, planned, accounts)?;
    let short_funds = ShortFundsRows::of(inputs, planned);
    let paid_for = short_funds.advances.iter().filter(|advance| Advance::is_charged(advance)).count();
    let total = |of: &dyn Fn(&Planned) -> i64| planned.iter().map(of).sum::<i64>();
    let progress = rows::Progress {
        contracts: count(planned.len() + parked.len()),
        subscriptions: count(renewals.len() + paid_for),
        charges: count(charges.len()),
        invoices: count(invoices.len()),
        parked: count(parked.len()),
        awaiting: 0,
        net_minor: total(&|plan| plan.plan.totals.net.minor),
        tax_minor: total(&|plan| plan.plan.totals.tax.minor),
        gross_minor: total(&|plan| plan.plan.totals.gross.minor),
        plugin_calls: calls,
        realised: total(&|plan| count(plan.plan.realisations.len())),
        realised_net_minor: total(&|plan| plan.realised.net.minor),
        realised_tax_minor: total(&|plan| plan.realised.tax.minor),
        realised_gross_minor: total(&|plan| plan.realised.gross.minor),
    };
    let realised: Vec<_> = planned
        .iter()
        .flat_map(|plan| &plan.plan.realisations)
        .filter_map(|realisation| realisation.charge.map(|charge| (charge, realisation)))
        .collect();
    let of_run = |count: i64, gross_minor: i64| {
        serde_json::json!({
            "run": inputs.run,
            "business_on": inputs.on,
            "first_contract": planned.first().map(|plan| ContractId(plan.contract)),
            "last_contract": planned.last().map(|plan| ContractId(plan.contract)),
            "charges": count,
            "gross_minor": gross_minor,
        })
    };
    let mut events = Vec::new();
    if progress.realised > 0 {
        events.push(("charges.realised", of_run(progress.realised, progress.realised_gross_minor).to_string()));
    }
    let issued = (!invoices.is_empty()).then(|| {
        serde_json::json!({
            "run": inputs.run,
            "business_on": inputs.on,
            "mode": RunMode::Automatic.as_str(),
            "first_contract": planned.first().map(|plan| ContractId(plan.contract)),
            "last_contract": planned.last().map(|plan| ContractId(plan.contract)),
            "invoices": invoices.len(),
            "gross_minor": progress.gross_minor,
        })
        .to_string()
    });
    events.extend(issued.map(|issued| ("invoices.issued", issued)));
    Ok(Prepared {
        plans: plan_rows(Action::Execute, planned, parked)?,
        renewals: columns!(renewals, {
            id: |renewal| renewal.subscription,
            version: |renewal| renewal.version,
            status: |renewal| renewal.next.status.as_str().to_owned(),
            next_index: |renewal| renewal.next.next_index,
            next_charge_on: |renewal| renewal.next.next_charge_on,
            charges_left: |renewal| renewal.next.charges_left.map(|left| i32::try_from(left).unwrap_or(i32::MAX)),
            once_due: |renewal| i32::from(renewal.next.once_due),
        }),
        realised: columns!(realised, {
            id: |(charge, _)| charge.0,
            credited_minor: |(_, realisation)| realisation.credited.minor,
            status: |(_, realisation)| {
                // What was given back whole stays so; what never cost anything was provided all the same.
                let refunded = realisation.gross.is_zero() && !realisation.credited.is_zero();
                if refunded { ChargeStatus::Refunded } else { ChargeStatus::Closed }.as_str().to_owned()
            },
        }),
        billed: planned.iter().flat_map(|plan| plan.billed.iter().cloned()).collect(),
        windows: planned.iter().flat_map(|plan| plan.windows.iter().cloned()).collect(),
        charges: columns!(charges, {
            id: |(id, ..)| id.0,
            contract_id: |(_, plan, ..)| plan.contract,
            subscription_id: |(.., line, _)| line.subscription.0,
            component_id: |(.., line, _)| line.component.0,
            invoice_id: |(_, _, invoice, ..)| invoice.id.0,
            invoice_position: |(_, _, _, position, ..)| i32::try_from(*position).unwrap_or(i32::MAX),
            kind: |(.., line, _)| line.kind.as_str().to_owned(),
            status: |(.., line, _)| status_of(line, inputs.on).as_str().to_owned(),
            period_start: |(.., line, _)| line.period.start,
            period_end: |(.., line, _)| line.period.end,
            used_start: |(.., line, _)| line.used.start,
            used_end: |(.., line, _)| line.used.end,
            charged_on: |(.., line, _)| line.charged_on,
            realises_on: |(.., line, _)| line.realises_on,
            realised_on: |(.., line, _)| (line.realises_on <= inputs.on).then_some(inputs.on),
            currency: |(_, plan, ..)| plan.currency.code().to_owned(),
            amount_minor: |(.., line, _)| line.amount.minor,
            prepaid_minor: |(.., line, _)| if line.prepayment_percent == 100 { None } else { line.prepaid().ok().map(|prepaid| prepaid.minor) },
            proration_call_id: |(.., evidence)| evidence.proration_call.map(|call| call.0),
            call_line: |(.., evidence)| Some(evidence.call_line),
            change_ordinal: |(.., evidence)| evidence.change_ordinal,
        }),
        periods: columns!(charges, {
            subscription_id: |(.., line, _)| line.subscription.0,
            component_id: |(.., line, _)| line.component.0,
            period_start: |(.., line, _)| line.period.start,
            change_ordinal: |(.., evidence)| evidence.change_ordinal,
        }),
        invoices: columns!(invoices, {
            id: |((_, invoice), _)| invoice.id.0,
            contract_id: |((plan, _), _)| plan.contract,
            seller_id: |((plan, _), _)| plan.seller,
            number: |(_, number): &(_, &Number)| number.text.clone(),
            sequence_key: |(_, number): &(_, &Number)| number.sequence.1.clone(),
            sequence_value: |(_, number): &(_, &Number)| number.value,
            currency: |((plan, _), _)| plan.currency.code().to_owned(),
            price_mode: |((_, invoice), _)| invoice.mode.as_str().to_owned(),
            net_minor: |((_, invoice), _)| invoice.totals.net.minor,
            tax_minor: |((_, invoice), _)| invoice.totals.tax.minor,
            gross_minor: |((_, invoice), _)| invoice.totals.gross.minor,
            numbering_call_id: |(_, number): &(_, &Number)| Some(number.call.0),
            call_line: |(_, number): &(_, &Number)| Some(number.call_line),
        }),
        lines: columns!(charges, {
            invoice_id: |(_, _, invoice, ..)| invoice.id.0,
            position: |(_, _, _, position, ..)| i32::try_from(*position).unwrap_or(i32::MAX),
            charge_id: |(id, ..)| id.0,
            title: |(.., line, _)| line.title.clone(),
            quantity: |(.., evidence)| evidence.quantity.clone(),
            net_minor: |(.., line, _)| line.net.minor,
            tax_minor: |(.., line, _)| line.tax.minor,
            gross_minor: |(.., line, _)| line.gross.minor,
            tax_code: |(.., line, _)| line.tax_code.clone(),
            tax_rate: |(.., line, _)| line.tax_rate.map(|rate| rate.to_string()),
            tax_call_id: |(.., evidence)| evidence.tax_call.map(|call| call.0),
            call_line: |(.., evidence)| Some(evidence.call_line),
        }),
        entries: ledger.entries,
        headers: ledger.headers,
        balances: ledger.balances,
        shared_balances: ledger.shared_balances,
        taken: numbered.taken,
        calls: call_rows,
        evidence,
        progress,
        cursor,
        events,
        short_funds,
        follows: FollowRows::of(inputs, planned, at)?,
        outcomes,
        refused: refused(parked),
        orders: ChargedOrders::of(planned),
        credits: planned.iter().flat_map(|plan| &plan.credits).map(|given| given.credit.clone()).collect(),
        numbers: invoices.iter().map(|((plan, _), number)| (plan.seller, number.text.clone())).collect(),
    })
}

/// How long a chunk waits for a row that somebody else has locked, milliseconds.
const LONGEST_WAIT_MS: u32 = 2_000;

/// Writes a prepared chunk in one transaction.
///
/// Order: the renewals and realisations first (they check that every subscription and charge is as it was read), then new rows, then what the next
/// chunk wants too: the checkpoint (it locks the run's row and checks the fence), the lock of recording use, shared balances, sequences. That last
/// part waits for the chunk before to commit, so chunks commit in order while most of their work overlaps.
///
/// That wait is none of the database's, which therefore cannot see a circle it is part of: this chunk waits for the one
/// before, that one for a row which somebody else locked, and they for a row of this chunk. So no chunk waits long for a
/// row; one that gave up is computed again.
pub(super) async fn write(
    db: &Db,
    inputs: &Inputs,
    prepared: &Prepared,
    lease: Lease,
    at: DateTime<Utc>,
    turn: Option<oneshot::Receiver<()>>,
) -> std::result::Result<(), Refused> {
    let (tenant, run) = (inputs.tenant.0, inputs.run.0);
    let mut tx = db.write(Scope::Tenant(tenant)).await?;
    tx.prefer_indexes().await?;
    tx.bound_waits(LONGEST_WAIT_MS, lease.silence_ms).await?;
    if !prepared.orders.accounts.is_empty() {
        // All at once, in the order of their ids, before the orders: whoever moves an order does so.
        let decided = prepared.short_funds.funded.iter().map(|funded| funded.account);
        credit::lock(&mut tx, tenant, prepared.orders.accounts.iter().copied().chain(decided).collect()).await?;
    }
    if !prepared.orders.write(&mut tx, tenant, at).await? {
        return Err(Refused::Moved);
    }
    if rows::renew(&mut tx, tenant, &prepared.renewals).await? != prepared.renewals.len() as u64 {
        return Err(Refused::Moved);
    }
    if !prepared.short_funds.write(&mut tx, tenant, run, at).await? {
        return Err(Refused::Moved);
    }
    if !prepared.follows.write(&mut tx, tenant, at).await? {
        return Err(Refused::Moved);
    }
    if rows::realise(&mut tx, tenant, inputs.on, &prepared.realised).await? != prepared.realised.len() as u64 {
        return Err(Refused::Moved);
    }
    usage_windows::open(&mut tx, tenant, at, &prepared.windows).await?;
    plugins::evidence_insert(&mut tx, tenant, prepared.evidence.clone()).await?;
    plugins::calls_insert(&mut tx, tenant, at, &prepared.calls).await?;
    let issued = rows::invoices_insert(&mut tx, tenant, Some(run), inputs.on, at, &prepared.invoices).await?;
    if issued != prepared.invoices.len() as u64 {
        tx.rollback().await?;
        return Err(numbers_taken(db, inputs, prepared).await?);
    }
    let charged = rows::charges_insert(&mut tx, tenant, Some(run), at, &prepared.charges).await?;
    if charged != prepared.charges.len() as u64 {
        tx.rollback().await?;
        return Err(periods_charged(db, inputs, prepared).await?);
    }
    rows::invoice_lines_insert(&mut tx, tenant, &prepared.lines).await?;
    ledger::entries_insert(&mut tx, tenant, &prepared.entries).await?;
    ledger::transactions_insert(&mut tx, tenant, at, &prepared.headers).await?;
    rows::plans_put(&mut tx, tenant, run, at, &prepared.plans).await?;
    for (kind, event) in &prepared.events {
        let (subject, id) = (inputs.run.to_string(), inputs.ids.next());
        rows::outbox_insert(&mut tx, tenant, id, kind, &subject, event, at).await?;
    }
    if ledger::balances_add(&mut tx, tenant, &prepared.balances).await? != prepared.balances.len() as u64 {
        return Err(Refused::Failed(ServiceError::Internal("a contract has no funds account".into())));
    }
    if let Some(turn) = turn
        && turn.await.is_err()
    {
        // The chunk before was not written: this one was computed on top of it.
        return Err(Refused::Moved);
    }
    if !rows::checkpoint(&mut tx, tenant, run, lease.fence, prepared.cursor, lease.until, prepared.progress).await? {
        return Err(Refused::LeaseLost);
    }
    // Alone with the recording of events from here to the end, in turn like all that chunks share.
    if !usage_windows::bill(&mut tx, tenant, &prepared.billed).await? {
        return Err(Refused::Moved);
    }
    fallen::save(&mut tx, inputs, &prepared.credits, at).await?;
    let shared = &prepared.shared_balances;
    if ledger::balances_add(&mut tx, tenant, shared).await? != shared.len() as u64 {
        return Err(Refused::Failed(ServiceError::Internal("a shared ledger account vanished".into())));
    }
    for ((seller, key), from, to) in &prepared.taken {
        if !rows::sequence_take(&mut tx, tenant, *seller, key, *from, *to).await? {
            return Err(Refused::Moved);
        }
    }
    // Last, because tenants who share a binding meet here.
    match prepared.outcomes.count(&mut tx).await? {
        Counting::Done => {}
        Counting::Moved => return Err(Refused::Canary),
        Counting::Beyond(canary) => {
            tx.rollback().await?;
            return Err(roll_back(db, inputs, prepared, canary, at).await?);
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Ends the trial that this chunk passes the bound of; the chunk is computed again by what decides then.
async fn roll_back(
    db: &Db,
    inputs: &Inputs,
    prepared: &Prepared,
    canary: Uuid,
    at: DateTime<Utc>,
) -> std::result::Result<Refused, Refused> {
    let candidate = prepared.outcomes.candidate(canary).map(|digest| digest.0.to_vec());
    let of_call = |(id, reason): &(Uuid, String)| {
        let call = prepared.calls.iter().find(|call| call.id == *id)?;
        let by_candidate = Some(&call.component_digest) == candidate.as_ref();
        by_candidate.then(|| Refusal { reason: reason.clone(), call: call.clone() })
    };
    let mut refused: Vec<Refusal> = prepared.refused.iter().filter_map(of_call).collect();
    // One call may have failed for many.
    refused.sort_by_key(|refusal| refusal.call.id);
    refused.dedup_by_key(|refusal| refusal.call.id);
    let tells = |blob: &&Blob| {
        refused
            .iter()
            .any(|refusal| refusal.call.input_digest == blob.0 || refusal.call.output_digest.as_ref() == Some(&blob.0))
    };
    let blobs = prepared.evidence.iter().filter(tells).cloned().collect();
    prepared.outcomes.roll_back((db, &*inputs.ids), (inputs.tenant, at), canary, &refused, blobs).await?;
    Ok(Refused::Canary)
}

async fn numbers_taken(db: &Db, inputs: &Inputs, prepared: &Prepared) -> std::result::Result<Refused, Refused> {
    let mut tx = db.read(Scope::Tenant(inputs.tenant.0)).await?;
    let taken = rows::numbers_taken(&mut tx, inputs.tenant.0, &prepared.numbers).await?;
    // Somebody who took the same values of the sequence issued those numbers: they will be others next time.
    for ((seller, key), from, _) in &prepared.taken {
        let standing = rows::sequence_find(&mut tx, inputs.tenant.0, *seller, key).await?;
        if standing.is_some_and(|(_, next)| next > *from) {
            return Ok(Refused::Moved);
        }
    }
    let taken: TakenNumbers = taken.into_iter().collect();
    Ok(if taken.is_empty() { Refused::Moved } else { Refused::Numbers(taken) })
}

async fn periods_charged(db: &Db, inputs: &Inputs, prepared: &Prepared) -> std::result::Result<Refused, Refused> {
    let mut tx = db.read(Scope::Tenant(inputs.tenant.0)).await?;
    let refused: HashMap<Uuid, Fault> = rows::charged(&mut tx, inputs.tenant.0, &prepared.periods)
        .await?
        .into_iter()
        .map(|(contract,)| {
            let fault = Fault {
                code: "already-charged".to_owned(),
                reason: "a period that is due was charged before; correct the subscription's next charge".to_owned(),
                call: None,
            };
            (contract, fault)
        })
        .collect();
    Ok(if refused.is_empty() { Refused::Moved } else { Refused::Taken(refused) })
}
