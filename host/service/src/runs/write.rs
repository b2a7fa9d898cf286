//! Writing: a computed chunk becomes rows, all in one transaction.

use std::collections::HashMap;

use altyn_domain::{
    charge::{ChargeKind, ChargeStatus},
    id::{ChargeId, ContractId, TransactionId},
    ledger::{About, AccountCode, charge_due},
    money::Currency,
    run::{PlanState, RunMode},
};
use altyn_store::{Db, Rows, Scope, StoreError, ledger, plugins, runs as rows};
use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    ask::Fault,
    compute::{Inputs, Parked, Planned},
    number::{Number, Numbered, SequenceName},
};
use crate::{
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
}

/// Rows of a chunk, prepared away from the transaction.
pub(super) struct Prepared {
    plans: Rows,
    renewals: Rows,
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
    numbers: Vec<(Uuid, Uuid, String)>,
    event: Option<String>,
}

impl Prepared {
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
    /// These contracts' documents or periods exist already.
    Taken(HashMap<Uuid, Fault>),
    /// Anything else.
    Failed(ServiceError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        // A unique key that appeared meanwhile is somebody else's progress, as is a deadlock.
        if matches!(error, StoreError::Duplicate(_)) || error.is_transient() {
            tracing::warn!(?error, "a chunk of a run is computed again");
            Self::Moved
        } else {
            Self::Failed(error.into())
        }
    }
}

/// The ledger accounts a run posts to besides the contracts' funds.
pub(super) type DeferredAccounts = HashMap<Currency, Uuid>;

macro_rules! columns {
    ($rows:expr, { $($name:ident: $value:expr),* $(,)? }) => {{
        let mut rows = Rows::new();
        $(rows = rows.with(stringify!($name), $rows.iter().map($value).collect::<Vec<_>>());)*
        rows
    }};
}

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

/// Lays out the rows of a chunk that is only proposed.
pub(super) fn prepare_proposal(
    planned: &[Planned],
    parked: &[Parked],
    recorded: Vec<Recorded>,
    calls: i64,
    cursor: Option<Uuid>,
) -> Result<Prepared> {
    // A proposal is computed again when it is confirmed; only the evidence of failures is worth keeping.
    let recorded: Vec<Recorded> = recorded.into_iter().filter(|call| call.row.fault_code.is_some()).collect();
    let (call_rows, evidence) = split(recorded);
    Ok(Prepared {
        plans: plan_rows(Action::Propose, planned, parked)?,
        renewals: Rows::new(),
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
        event: None,
    })
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

/// Lays out the rows of a chunk that is executed.
#[expect(clippy::too_many_arguments, reason = "everything a chunk came to")]
pub(super) fn prepare_execution(
    inputs: &Inputs,
    planned: &[Planned],
    parked: &[Parked],
    mut recorded: Vec<Recorded>,
    numbered: Numbered,
    deferred: &DeferredAccounts,
    calls: i64,
    cursor: Option<Uuid>,
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
    let ledger = ledger_rows(inputs, planned, deferred)?;
    let total = |of: &dyn Fn(&Planned) -> i64| planned.iter().map(of).sum::<i64>();
    let progress = rows::Progress {
        contracts: count(planned.len() + parked.len()),
        subscriptions: count(renewals.len()),
        charges: count(charges.len()),
        invoices: count(invoices.len()),
        parked: count(parked.len()),
        awaiting: 0,
        net_minor: total(&|plan| plan.plan.totals.net.minor),
        tax_minor: total(&|plan| plan.plan.totals.tax.minor),
        gross_minor: total(&|plan| plan.plan.totals.gross.minor),
        plugin_calls: calls,
    };
    let event = (!invoices.is_empty()).then(|| {
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
    Ok(Prepared {
        plans: plan_rows(Action::Execute, planned, parked)?,
        renewals: columns!(renewals, {
            id: |renewal| renewal.subscription,
            version: |renewal| renewal.version,
            status: |renewal| renewal.next.status.as_str().to_owned(),
            next_index: |renewal| renewal.next.next_index,
            next_charge_on: |renewal| renewal.next.next_charge_on,
            charges_left: |renewal| renewal.next.charges_left.map(|left| i32::try_from(left).unwrap_or(i32::MAX)),
        }),
        charges: columns!(charges, {
            id: |(id, ..)| id.0,
            contract_id: |(_, plan, ..)| plan.contract,
            subscription_id: |(.., line, _)| line.subscription.0,
            component_id: |(.., line, _)| line.component.0,
            invoice_id: |(_, _, invoice, ..)| invoice.id.0,
            invoice_position: |(_, _, _, position, ..)| i32::try_from(*position).unwrap_or(i32::MAX),
            kind: |_| ChargeKind::Recurring.as_str().to_owned(),
            status: |_| ChargeStatus::Blocked.as_str().to_owned(),
            period_start: |(.., line, _)| line.period.start,
            period_end: |(.., line, _)| line.period.end,
            used_start: |(.., line, _)| line.used.start,
            used_end: |(.., line, _)| line.used.end,
            charged_on: |(.., line, _)| line.charged_on,
            realises_on: |(.., line, _)| line.realises_on,
            realised_on: |_| None::<NaiveDate>,
            currency: |(_, plan, ..)| plan.currency.code().to_owned(),
            amount_minor: |(.., line, _)| line.amount.minor,
            prepaid_minor: |_| None::<i64>,
            proration_call_id: |(.., evidence)| Some(evidence.proration_call.0),
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
            tax_call_id: |(.., evidence)| Some(evidence.tax_call.0),
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
        numbers: invoices.iter().map(|((plan, _), number)| (plan.seller, plan.contract, number.text.clone())).collect(),
        event,
    })
}

struct LedgerRows {
    entries: Rows,
    headers: Rows,
    balances: Rows,
    shared_balances: Rows,
}

/// One posting a contract: contract funds against deferred revenue.
fn ledger_rows(inputs: &Inputs, planned: &[Planned], deferred: &DeferredAccounts) -> Result<LedgerRows> {
    let mut entries = Vec::with_capacity(planned.len() * 2);
    let mut headers = Vec::with_capacity(planned.len());
    let mut moved: Vec<(Uuid, i64, i64)> = Vec::with_capacity(planned.len());
    let mut shared: HashMap<Uuid, (i64, i64)> = HashMap::new();
    for plan in planned {
        let gross = plan.plan.totals.gross;
        if gross.minor == 0 {
            continue;
        }
        let about = About {
            source_key: format!("run/{}/{}", inputs.on, ContractId(plan.contract)),
            effective_on: inputs.on,
            description: String::new(),
        };
        let transaction = charge_due(about, ContractId(plan.contract), gross)
            .map_err(|error| ServiceError::Internal(error.to_string()))?;
        let id = TransactionId(inputs.ids.next());
        for (position, entry) in transaction.entries.iter().enumerate() {
            let account = match &entry.account {
                AccountCode::ContractFunds(_) => {
                    moved.push((plan.funds_account, entry.amount_minor, 1));
                    plan.funds_account
                }
                AccountCode::DeferredRevenue => {
                    let account = *deferred
                        .get(&transaction.currency)
                        .ok_or_else(|| ServiceError::Internal("deferred revenue has no account".into()))?;
                    let sum = shared.entry(account).or_default();
                    sum.0 = sum
                        .0
                        .checked_add(entry.amount_minor)
                        .ok_or_else(|| ServiceError::Internal("a chunk's revenue is out of range".into()))?;
                    sum.1 += 1;
                    account
                }
                other => return Err(ServiceError::Internal(format!("a run does not post to {other}"))),
            };
            entries.push((id.0, i32::try_from(position).unwrap_or(i32::MAX), account, entry.amount_minor));
        }
        headers.push((id.0, transaction));
    }
    let shared: Vec<(Uuid, i64, i64)> =
        shared.into_iter().map(|(account, (amount, entries))| (account, amount, entries)).collect();
    Ok(LedgerRows {
        entries: columns!(entries, {
            transaction_id: |entry| entry.0,
            position: |entry| entry.1,
            account_id: |entry| entry.2,
            amount_minor: |entry| entry.3,
        }),
        headers: columns!(headers, {
            id: |(id, _)| *id,
            source_key: |(_, transaction)| transaction.source_key.clone(),
            kind: |(_, transaction)| transaction.kind.as_str().to_owned(),
            currency: |(_, transaction)| transaction.currency.code().to_owned(),
            effective_on: |(_, transaction)| transaction.effective_on,
            description: |(_, transaction)| transaction.description.clone(),
            reverses_id: |_| None::<Uuid>,
        }),
        balances: columns!(moved, {
            id: |moved| moved.0,
            amount_minor: |moved| moved.1,
            entries: |moved| moved.2,
        }),
        shared_balances: columns!(shared, {
            id: |moved| moved.0,
            amount_minor: |moved| moved.1,
            entries: |moved| moved.2,
        }),
    })
}

/// How long a chunk waits for a row that somebody else has locked, milliseconds.
const LONGEST_WAIT_MS: u32 = 2_000;

/// Writes a prepared chunk in one transaction.
///
/// Order: the renewals first (they check that every subscription is as it was read), then new rows, then what the next
/// chunk wants too: the checkpoint (it locks the run's row and checks the fence), shared balances, sequences. That last
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
    event_id: Uuid,
    at: DateTime<Utc>,
    turn: Option<oneshot::Receiver<()>>,
) -> std::result::Result<(), Refused> {
    let (tenant, run) = (inputs.tenant.0, inputs.run.0);
    let mut tx = db.write(Scope::Tenant(tenant)).await?;
    tx.prefer_indexes().await?;
    tx.wait_for_locks_at_most(LONGEST_WAIT_MS).await?;
    if rows::renew(&mut tx, tenant, &prepared.renewals).await? != prepared.renewals.len() as u64 {
        return Err(Refused::Moved);
    }
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
    if let Some(event) = &prepared.event {
        let subject = inputs.run.to_string();
        rows::outbox_insert(&mut tx, tenant, event_id, "invoices.issued", &subject, event, at).await?;
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
    let shared = &prepared.shared_balances;
    if ledger::balances_add(&mut tx, tenant, shared).await? != shared.len() as u64 {
        return Err(Refused::Failed(ServiceError::Internal("deferred revenue has no account".into())));
    }
    for ((seller, key), from, to) in &prepared.taken {
        if !rows::sequence_take(&mut tx, tenant, *seller, key, *from, *to).await? {
            return Err(Refused::Moved);
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn numbers_taken(db: &Db, inputs: &Inputs, prepared: &Prepared) -> std::result::Result<Refused, Refused> {
    let wanted: Vec<(Uuid, String)> =
        prepared.numbers.iter().map(|(seller, _, number)| (*seller, number.clone())).collect();
    let mut tx = db.read(Scope::Tenant(inputs.tenant.0)).await?;
    let taken = rows::numbers_taken(&mut tx, inputs.tenant.0, &wanted).await?;
    // Somebody who took the same values of the sequence issued those numbers: they will be others next time.
    for ((seller, key), from, _) in &prepared.taken {
        let standing = rows::sequence_find(&mut tx, inputs.tenant.0, *seller, key).await?;
        if standing.is_some_and(|(_, next)| next > *from) {
            return Ok(Refused::Moved);
        }
    }
    let mut refused = HashMap::new();
    for (seller, contract, number) in &prepared.numbers {
        if taken.iter().any(|(of, text)| of == seller && text == number) {
            refused.insert(*contract, super::number::number_taken(*contract, number));
        }
    }
    Ok(if refused.is_empty() { Refused::Moved } else { Refused::Taken(refused) })
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
