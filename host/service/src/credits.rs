//! Credits: a part of a charge is given back to the contract's funds.
//!
//! Owns the one way in which a charge is given back: by a person (refund to balance), by a change of a subscription, or by a
//! run when use fell.
//! Planning and saving are apart, so that a preview shows exactly the amounts and postings that saving makes. Refuses to
//! know how much is given back; who asks has decided that. Invariant: the credits of a charge never exceed it, whoever
//! credits at the same time; the domain, the charge's row and the database each hold it.

use std::collections::{BTreeMap, HashMap, hash_map};

use altyn_domain::{
    calendar::local_date,
    charge::{ChargeStatus, CreditAmount, CreditError, Creditable},
    id::{ChargeId, ContractId, CreditId, Id as _, ProductId, TenantId, TransactionId},
    invoice::Amounts,
    ledger::{self, Entry, Realised, Transaction},
    money::{Currency, Money},
};
use altyn_store::{Rows, StoreError, Tx, charges as rows, tenants};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    ledger::post_each,
    page::{Listed, Page},
    ports::Ids,
};

/// A part of a charge to give back.
#[derive(Clone, Debug)]
pub struct ChargeCredit {
    /// The charge.
    pub charge: ChargeId,
    /// How much.
    pub amount: CreditAmount,
    /// First day given back, and the day after the last one; the same day twice when money alone is given back, absent
    /// for the end of the service.
    pub used: Option<(NaiveDate, NaiveDate)>,
    /// For people, 1 to 500 characters.
    pub reason: String,
    /// The change of the subscription that it belongs to.
    pub change: Option<Uuid>,
}

/// A credit that is decided and not saved: what a preview shows.
#[derive(Clone, Debug)]
pub struct PlannedCredit {
    /// Its id, once it is saved.
    pub id: CreditId,
    /// The charge.
    pub charge: ChargeId,
    /// The contract that gets it.
    pub contract: ContractId,
    /// Net, tax and gross; all zero for a credit of nothing, which is not saved.
    pub amounts: Amounts,
    /// First day given back, and the day after the last one.
    pub used: (NaiveDate, NaiveDate),
    /// Whether the charge was realised before.
    pub after_realisation: bool,
    /// The posting; none when no money had been taken for this part.
    pub transaction: Option<Transaction>,
    reason: String,
    change: Option<Uuid>,
    /// The run that gives back use that fell, and the window of that use.
    of_use: Option<(Uuid, Uuid)>,
    /// What the charge was before all credits planned with this one, and its status after this one.
    before: (i64, String),
    after_status: ChargeStatus,
}

impl PlannedCredit {
    /// Given back by a run because the use of a window fell.
    pub(crate) fn of_use(self, run: Uuid, window: Uuid) -> Self {
        Self { of_use: Some((run, window)), ..self }
    }
}

/// Decides credits from what the charges are now; writes nothing. Credits of one charge follow one another.
///
/// An unknown charge is [`ServiceError::NotFound`]; more than is left is the conflict `credit-exceeds-charge`.
pub async fn credits_plan(
    tx: &mut Tx,
    ids: &dyn Ids,
    tenant: TenantId,
    on: NaiveDate,
    credits: &[ChargeCredit],
) -> Result<Vec<PlannedCredit>> {
    let mut wanted: Vec<Uuid> = credits.iter().map(|credit| credit.charge.0).collect();
    wanted.sort_unstable();
    wanted.dedup();
    credits_decide(ids, on, credits, &rows::creditable(tx, tenant.0, wanted).await?)
}

/// What is left of a charge.
pub(crate) fn left_of(row: &rows::CreditableRow) -> Result<Amounts> {
    creditable(row)?.left().map_err(|error| ServiceError::Internal(error.to_string()))
}

/// Decides credits of charges that were read, as [`credits_plan`] does.
pub(crate) fn credits_decide(
    ids: &dyn Ids,
    on: NaiveDate,
    credits: &[ChargeCredit],
    charges: &[rows::CreditableRow],
) -> Result<Vec<PlannedCredit>> {
    let mut known: HashMap<Uuid, (rows::CreditableRow, Creditable)> = HashMap::with_capacity(charges.len());
    for row in charges {
        known.insert(row.id, (row.clone(), creditable(row)?));
    }
    credits.iter().map(|credit| plan_one(ids, on, credit, &mut known)).collect()
}

fn creditable(row: &rows::CreditableRow) -> Result<Creditable> {
    let currency: Currency = stored("charges.currency", &row.currency)?;
    let money = |minor| Money::new(minor, currency);
    let credited_net = row.credited_minor - row.credited_tax_minor;
    Ok(Creditable {
        charged: Amounts { net: money(row.net_minor), tax: money(row.tax_minor), gross: money(row.gross_minor) },
        credited: Amounts {
            net: money(credited_net),
            tax: money(row.credited_tax_minor),
            gross: money(row.credited_minor),
        },
        prepaid: money(row.prepaid_minor.unwrap_or(row.gross_minor)),
        realised: row.realised_on.is_some(),
    })
}

fn plan_one(
    ids: &dyn Ids,
    on: NaiveDate,
    credit: &ChargeCredit,
    known: &mut HashMap<Uuid, (rows::CreditableRow, Creditable)>,
) -> Result<PlannedCredit> {
    let hash_map::Entry::Occupied(mut entry) = known.entry(credit.charge.0) else {
        return Err(ServiceError::NotFound("charge"));
    };
    let (row, charge) = entry.get_mut();
    let decided = charge.credit(credit.amount).map_err(|error| match error {
        CreditError::Exceeds { .. } => {
            ServiceError::conflict("credit-exceeds-charge", format!("{}: {error}", credit.charge))
        }
        CreditError::Negative(_) | CreditError::Money(_) => ServiceError::invalid("/amount_minor", error.to_string()),
    })?;
    let sum = |a: Money, b: Money| a.add(b).map_err(|error| ServiceError::Internal(error.to_string()));
    charge.credited = Amounts {
        net: sum(charge.credited.net, decided.amounts.net)?,
        tax: sum(charge.credited.tax, decided.amounts.tax)?,
        gross: sum(charge.credited.gross, decided.amounts.gross)?,
    };
    let id = CreditId(ids.next());
    let contract = ContractId(row.contract_id);
    let moved = if charge.realised { decided.realised.gross } else { decided.deferred };
    let transaction = if moved.is_zero() {
        None
    } else {
        let about =
            ledger::About { source_key: format!("credit/{id}"), effective_on: on, description: credit.reason.clone() };
        let part = Realised {
            product: ProductId(row.product_id),
            tax_code: row.tax_code.clone(),
            net: decided.realised.net,
            tax: decided.realised.tax,
        };
        let parts = if charge.realised { std::slice::from_ref(&part) } else { &[] };
        let posting = ledger::credit_unused(about, contract, decided.deferred, parts);
        Some(posting.map_err(|error| ServiceError::Internal(error.to_string()))?)
    };
    let spent = charge.credited.gross == charge.charged.gross && !charge.charged.gross.is_zero();
    let after_status = if spent { ChargeStatus::Refunded } else { stored("charges.status", &row.status)? };
    Ok(PlannedCredit {
        id,
        charge: credit.charge,
        contract,
        amounts: decided.amounts,
        used: credit.used.unwrap_or((row.used_end, row.used_end)),
        after_realisation: charge.realised,
        transaction,
        reason: credit.reason.clone(),
        change: credit.change,
        of_use: None,
        before: (row.credited_minor, row.status.clone()),
        after_status,
    })
}

/// Gives parts of charges back: decides them as [`credits_plan`] does, posts them and keeps them, in the caller's
/// transaction. Credits of nothing are answered and not kept.
///
/// When a charge changed at the same time, the answer is the conflict `busy` and the caller's transaction must end.
pub async fn charges_credit(
    tx: &mut Tx,
    ids: &dyn Ids,
    tenant: TenantId,
    now: DateTime<Utc>,
    on: NaiveDate,
    credits: &[ChargeCredit],
) -> Result<Vec<CreditView>> {
    let planned = credits_plan(tx, ids, tenant, on, credits).await?;
    credits_save(tx, ids, tenant, now, on, planned).await
}

/// Saves planned credits.
pub(crate) async fn credits_save(
    tx: &mut Tx,
    ids: &dyn Ids,
    tenant: TenantId,
    now: DateTime<Utc>,
    on: NaiveDate,
    planned: Vec<PlannedCredit>,
) -> Result<Vec<CreditView>> {
    let kept: Vec<&PlannedCredit> = planned.iter().filter(|credit| !credit.amounts.gross.is_zero()).collect();
    let mut raised: BTreeMap<Uuid, (i64, &PlannedCredit)> = BTreeMap::new();
    for credit in &kept {
        let gross = raised.get(&credit.charge.0).map_or(0, |(gross, _)| *gross) + credit.amounts.gross.minor;
        // The last credit of a charge knows the status it ends in.
        raised.insert(credit.charge.0, (gross, credit));
    }
    let charges = Rows::new()
        .with("id", raised.keys().copied().collect::<Vec<_>>())
        .with("credited_minor", raised.values().map(|(_, credit)| credit.before.0).collect::<Vec<_>>())
        .with("before_status", raised.values().map(|(_, credit)| credit.before.1.clone()).collect::<Vec<_>>())
        .with("gross_minor", raised.values().map(|(gross, _)| *gross).collect::<Vec<_>>())
        .with("status", raised.values().map(|(_, credit)| credit.after_status.as_str().to_owned()).collect::<Vec<_>>());
    if rows::credited_add(tx, tenant.0, &charges).await? != raised.len() as u64 {
        return Err(ServiceError::conflict("busy", "a charge changed at the same time; send the request again"));
    }
    let transactions: Vec<Transaction> = kept.iter().filter_map(|credit| credit.transaction.clone()).collect();
    let mut posted = post_each(tx, ids, tenant, now, &transactions, None).await?.into_iter();
    let posted: Vec<Option<Uuid>> = kept
        .iter()
        .map(|credit| credit.transaction.as_ref().and_then(|_| posted.next()).map(|posted| posted.id.0))
        .collect();
    let column = |of: &dyn Fn(&PlannedCredit) -> i64| -> Vec<i64> { kept.iter().map(|credit| of(credit)).collect() };
    let credits = Rows::new()
        .with("id", kept.iter().map(|credit| credit.id.0).collect::<Vec<_>>())
        .with("charge_id", kept.iter().map(|credit| credit.charge.0).collect::<Vec<_>>())
        .with("contract_id", kept.iter().map(|credit| credit.contract.0).collect::<Vec<_>>())
        .with("change_id", kept.iter().map(|credit| credit.change).collect::<Vec<_>>())
        .with("used_start", kept.iter().map(|credit| credit.used.0).collect::<Vec<_>>())
        .with("used_end", kept.iter().map(|credit| credit.used.1).collect::<Vec<_>>())
        .with("currency", kept.iter().map(|credit| credit.amounts.gross.currency.code().to_owned()).collect::<Vec<_>>())
        .with("net_minor", column(&|credit| credit.amounts.net.minor))
        .with("tax_minor", column(&|credit| credit.amounts.tax.minor))
        .with("gross_minor", column(&|credit| credit.amounts.gross.minor))
        .with("after", kept.iter().map(|credit| i32::from(credit.after_realisation)).collect::<Vec<_>>())
        .with("reason", kept.iter().map(|credit| credit.reason.clone()).collect::<Vec<_>>())
        .with("transaction_id", posted.clone())
        .with("run_id", kept.iter().map(|credit| credit.of_use.map(|(run, _)| run)).collect::<Vec<_>>())
        .with("window_id", kept.iter().map(|credit| credit.of_use.map(|(_, window)| window)).collect::<Vec<_>>());
    rows::credits_insert(tx, tenant.0, on, now, &credits).await?;
    let mut posted = posted.into_iter();
    let views = planned.iter().map(|credit| {
        let transaction = if credit.amounts.gross.is_zero() { None } else { posted.next().flatten() };
        view_of(credit, on, now, transaction)
    });
    Ok(views.collect())
}

/// A credit of a charge.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreditView {
    /// Its id.
    pub id: CreditId,
    /// The charge that it gives a part of back.
    pub charge_id: ChargeId,
    /// The contract whose balance gets it.
    pub contract_id: ContractId,
    /// First day given back.
    pub used_start: NaiveDate,
    /// The day after the last one given back; the same as the first when money alone is given back.
    pub used_end: NaiveDate,
    /// ISO 4217 code.
    pub currency: String,
    /// Net, minor units.
    pub net_minor: i64,
    /// Tax, minor units.
    pub tax_minor: i64,
    /// Gross, minor units.
    pub gross_minor: i64,
    /// Whether the charge was realised before: then revenue and tax were taken back, else deferred revenue.
    pub after_realisation: bool,
    /// Why.
    pub reason: String,
    /// The day it counts on.
    pub credited_on: NaiveDate,
    /// The posting; absent when no money had been taken for this part.
    pub transaction_id: Option<TransactionId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

fn view_of(credit: &PlannedCredit, on: NaiveDate, now: DateTime<Utc>, transaction: Option<Uuid>) -> CreditView {
    CreditView {
        id: credit.id,
        charge_id: credit.charge,
        contract_id: credit.contract,
        used_start: credit.used.0,
        used_end: credit.used.1,
        currency: credit.amounts.gross.currency.code().to_owned(),
        net_minor: credit.amounts.net.minor,
        tax_minor: credit.amounts.tax.minor,
        gross_minor: credit.amounts.gross.minor,
        after_realisation: credit.after_realisation,
        reason: credit.reason.clone(),
        credited_on: on,
        transaction_id: transaction.map(TransactionId),
        created_at: now,
    }
}

fn stored_view(row: rows::CreditRow) -> CreditView {
    CreditView {
        id: CreditId(row.id),
        charge_id: ChargeId(row.charge_id),
        contract_id: ContractId(row.contract_id),
        used_start: row.used_start,
        used_end: row.used_end,
        currency: row.currency,
        net_minor: row.net_minor,
        tax_minor: row.tax_minor,
        gross_minor: row.gross_minor,
        after_realisation: row.after_realisation,
        reason: row.reason,
        credited_on: row.credited_on,
        transaction_id: row.transaction_id.map(TransactionId),
        created_at: row.created_at,
    }
}

/// A request to give a part of a charge back to the contract's balance.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditCharge {
    /// How much with tax, minor units; all that is left when absent.
    pub amount_minor: Option<i64>,
    /// Why, for people, 1 to 500 characters.
    pub reason: String,
    /// The day it counts on: at most the tenant's today, which it is when absent.
    pub credited_on: Option<NaiveDate>,
}

/// What a credit would be.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreditPreview {
    /// The charge.
    pub charge_id: ChargeId,
    /// The contract whose balance would get it.
    pub contract_id: ContractId,
    /// ISO 4217 code.
    pub currency: String,
    /// Net, minor units.
    pub net_minor: i64,
    /// Tax, minor units.
    pub tax_minor: i64,
    /// Gross, minor units.
    pub gross_minor: i64,
    /// Whether the charge is realised.
    pub after_realisation: bool,
    /// The day it would count on.
    pub credited_on: NaiveDate,
    /// The entries it would post; none when no money was taken for this part.
    pub entries: Vec<Entry>,
}

impl Altyn {
    /// Gives a part of a charge back to the contract's balance.
    pub async fn charge_credit(
        &self,
        request: &Request,
        id: ChargeId,
        command: CreditCharge,
    ) -> Result<Reply<CreditView>> {
        check(&command)?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (on, credit) = asked(&mut work.tx, request, work.now, id, command).await?;
        let planned = credits_plan(&mut work.tx, &*self.ids, request.tenant, on, &[credit]).await?;
        refuse_nothing(&planned)?;
        let mut saved = credits_save(&mut work.tx, &*self.ids, request.tenant, work.now, on, planned).await?;
        let view = saved.pop().ok_or_else(|| ServiceError::Internal("a credit has no answer".into()))?;
        work.finish(201, view).await
    }

    /// What giving a part of a charge back would post; writes nothing.
    pub async fn charge_credit_preview(
        &self,
        request: &Request,
        id: ChargeId,
        command: CreditCharge,
    ) -> Result<CreditPreview> {
        check(&command)?;
        let mut tx = self.read(request).await?;
        let (on, credit) = asked(&mut tx, request, self.clock.now(), id, command).await?;
        let mut planned = credits_plan(&mut tx, &*self.ids, request.tenant, on, &[credit]).await?;
        refuse_nothing(&planned)?;
        let credit = planned.pop().ok_or_else(|| ServiceError::Internal("a credit has no answer".into()))?;
        Ok(CreditPreview {
            charge_id: id,
            contract_id: credit.contract,
            currency: credit.amounts.gross.currency.code().to_owned(),
            net_minor: credit.amounts.net.minor,
            tax_minor: credit.amounts.tax.minor,
            gross_minor: credit.amounts.gross.minor,
            after_realisation: credit.after_realisation,
            credited_on: on,
            entries: credit.transaction.map(|transaction| transaction.entries).unwrap_or_default(),
        })
    }

    /// A page of a charge's credits, oldest first.
    pub async fn charge_credits(&self, request: &Request, id: ChargeId, page: &Page) -> Result<Listed<CreditView>> {
        let (limit, after) = page.bounds::<CreditId>()?;
        let mut tx = self.read(request).await?;
        if rows::find(&mut tx, request.tenant.0, id.uuid()).await?.is_none() {
            return Err(ServiceError::NotFound("charge"));
        }
        let found = rows::credits(&mut tx, request.tenant.0, id.uuid(), after, limit).await?;
        Ok(page.listed(found, |row| CreditId(row.id).to_string(), stored_view))
    }
}

fn check(command: &CreditCharge) -> Result<()> {
    let mut fields = Fields::default();
    fields.text("/reason", &command.reason, 500);
    if command.amount_minor.is_some_and(|minor| minor <= 0) {
        fields.refuse("/amount_minor", "must be above zero; leave it out to give back all that is left");
    }
    fields.finish()
}

fn refuse_nothing(planned: &[PlannedCredit]) -> Result<()> {
    if planned.iter().any(|credit| credit.amounts.gross.is_zero()) {
        return Err(ServiceError::conflict("credit-exceeds-charge", "nothing of the charge is left to give back"));
    }
    Ok(())
}

/// The day and the credit a person asks for.
async fn asked(
    tx: &mut Tx,
    request: &Request,
    now: DateTime<Utc>,
    id: ChargeId,
    command: CreditCharge,
) -> Result<(NaiveDate, ChargeCredit)> {
    let tenant = tenants::find(tx, request.tenant.0).await?.ok_or(ServiceError::NotFound("tenant"))?;
    let zone: chrono_tz::Tz =
        tenant.zone.parse().map_err(|_| StoreError::Corrupt("tenants.zone", tenant.zone.clone()))?;
    let today = local_date(now, zone);
    let on = command.credited_on.unwrap_or(today);
    if on > today {
        return Err(ServiceError::invalid("/credited_on", format!("{on} lies ahead; it is {today} at the tenant's")));
    }
    let charge = rows::find(tx, request.tenant.0, id.uuid()).await?.ok_or(ServiceError::NotFound("charge"))?;
    let currency: Currency = stored("charges.currency", &charge.currency)?;
    let amount =
        command.amount_minor.map_or(CreditAmount::Rest, |minor| CreditAmount::Gross(Money::new(minor, currency)));
    Ok((on, ChargeCredit { charge: id, amount, used: None, reason: command.reason, change: None }))
}
