//! Money that arrives on a contract, and money that moves between contracts.
//!
//! Owns what follows from an arrival, in the transaction of its posting: promises are consumed oldest first, what is left
//! flows to the debts of contracts below, orders that wait for money are paid, blocks of the credit control that lost their
//! reason are lifted, and dunning looks again. Refuses to know where money comes from. Concurrency: the funds accounts of the contract and of all below it are locked first, in
//! the order of their ids (the contract's own by the posting itself); a transaction that still runs into another is done
//! again from its beginning.

use std::collections::BTreeSet;

use altyn_domain::{
    calendar::local_date,
    credit::{Below, DEEPEST, flow_down, transferable},
    id::{ContractId, Id as _, TenantId, TransactionId},
    ledger::{About, AccountCode, Transaction, TransactionKind, transfer},
    money::{Currency, Money},
};
use altyn_store::{Tx, blocks, credit};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    blocks::BY_ITSELF,
    context::{Altyn, Begun, Reply, Request},
    dunning,
    error::{Fields, Result, ServiceError, stored},
    ledger::{Posted, TransactionView, post_each, transaction_view},
    orders,
    promises::{consume, money_of, out_of_range},
};

/// The most contracts below one.
pub(crate) const MOST_BELOW: i64 = 1_000;
/// How often a posting is tried when others post to the same accounts at the same time.
pub(crate) const ATTEMPTS: u32 = 5;

/// What a transaction brings to contracts, by contract; nothing unless it records a payment.
pub(crate) fn received(transaction: &Transaction) -> Vec<(ContractId, Money)> {
    if transaction.kind != TransactionKind::PaymentReceived {
        return Vec::new();
    }
    let to_funds = transaction.entries.iter().filter_map(|entry| match entry.account {
        AccountCode::ContractFunds(contract) if entry.amount_minor < 0 => {
            Some((contract, Money::new(entry.amount_minor.checked_neg()?, transaction.currency)))
        }
        _ => None,
    });
    to_funds.collect()
}

/// Money that moves between contracts.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferFunds {
    /// What makes the transfer happen once, 1 to 150 visible characters without spaces.
    pub source_key: String,
    /// The contract that gives.
    pub from_contract_id: ContractId,
    /// The contract that gets.
    pub to_contract_id: ContractId,
    /// How much, minor units of both contracts' currency.
    pub amount_minor: i64,
    /// The business date; today where the giving contract lives when absent.
    pub effective_on: Option<NaiveDate>,
    /// Why, for people.
    pub description: String,
}

/// Locks what an arrival on a contract may move: its funds and those of all contracts below it.
async fn lock_below(tx: &mut Tx, tenant: TenantId, contracts: &[Uuid]) -> Result<()> {
    let mut accounts = BTreeSet::new();
    for contract in contracts {
        let below = credit::below(tx, tenant.0, *contract, DEEPEST.cast_signed(), MOST_BELOW).await?;
        accounts.extend(below.into_iter().map(|row| row.funds_account_id));
        accounts.insert(money_of(tx, tenant.0, *contract).await?.funds_account_id);
    }
    Ok(credit::lock(tx, tenant.0, accounts.into_iter().collect()).await?)
}

/// Lifts the blocks of the credit control on those contracts that may spend zero or more again.
pub(crate) async fn unblock(tx: &mut Tx, tenant: TenantId, now: DateTime<Utc>, contracts: Vec<Uuid>) -> Result<u64> {
    let misfits = credit::misfits_of(tx, tenant.0, contracts).await?;
    let lifted: Vec<Uuid> = misfits.into_iter().filter_map(|row| row.block_id).collect();
    Ok(blocks::lift_all(tx, tenant.0, lifted, now, BY_ITSELF, "the money is there").await?)
}

/// What follows from `amount` that arrived on a contract and is posted: promises, the flow to contracts below, orders, blocks.
///
/// `cause` names the posting; transfers to contracts below have it in their source keys. The caller has locked the funds
/// accounts.
#[expect(clippy::too_many_arguments, reason = "an arrival and what it happens in")]
pub(crate) async fn funds_received(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    contract: ContractId,
    amount: Money,
    cause: &str,
    by: &str,
) -> Result<()> {
    let main = money_of(tx, tenant.0, contract.uuid()).await?;
    consume(altyn, tx, tenant, now, &main, amount, by).await?;
    let mut reached = vec![contract.uuid()];
    let below = credit::below(tx, tenant.0, contract.uuid(), DEEPEST.cast_signed(), MOST_BELOW).await?;
    if !below.is_empty() {
        let ids = below.iter().map(|row| row.contract_id).collect();
        let monies = credit::money_of(tx, tenant.0, ids).await?;
        let tree: Vec<Below> = below
            .iter()
            .filter_map(|row| {
                let money = monies.iter().find(|money| money.contract_id == row.contract_id)?;
                Some(Below {
                    contract: ContractId(row.contract_id),
                    parent: ContractId(row.parent_id),
                    priority: row.priority,
                    funds: Money::new(money.balance_minor, amount.currency),
                })
            })
            .collect();
        let funds = Money::new(main.balance_minor, amount.currency);
        let free = transferable(funds, Money::new(main.blocked_minor, amount.currency)).map_err(out_of_range)?;
        let zone: Tz = stored("contracts.zone", &main.zone)?;
        let given = flow_down(contract, free, &tree).map_err(out_of_range)?;
        let postings = given
            .iter()
            .map(|(to, part)| {
                let about = About {
                    source_key: format!("flow/{cause}/{to}"),
                    effective_on: local_date(now, zone),
                    description: format!("covers a debt below contract {}", main.number),
                };
                transfer(about, contract, *to, *part).map_err(out_of_range)
            })
            .collect::<Result<Vec<_>>>()?;
        post_each(tx, &*altyn.ids, tenant, now, &postings, None).await?;
        for (to, part) in given {
            let money = monies.iter().find(|money| money.contract_id == to.uuid());
            let money = money.ok_or(ServiceError::NotFound("contract"))?;
            consume(altyn, tx, tenant, now, money, part, by).await?;
            reached.push(to.uuid());
        }
    }
    orders::money::reserve_waiting(altyn, tx, tenant, now, reached.clone()).await?;
    unblock(tx, tenant, now, reached.clone()).await?;
    for contract in &reached {
        altyn.contract_returns(tx, tenant, ContractId(*contract), now).await?;
    }
    dunning::money_arrived(altyn, tx, tenant, now, &reached).await
}

/// Whether a payment among these postings concerns a contract that has promises, a block of the credit control, orders that
/// wait for money, contracts below it or subscriptions that are unpaid or stopped. The postings are written, so that their accounts are locked.
pub(crate) async fn concerned<'a>(
    tx: &mut Tx,
    tenant: TenantId,
    postings: impl Iterator<Item = &'a Transaction>,
) -> Result<bool> {
    let contracts: BTreeSet<Uuid> = postings.flat_map(received).map(|(contract, _)| contract.uuid()).collect();
    Ok(!credit::concerned(tx, tenant.0, contracts.into_iter().collect()).await?.is_empty())
}

/// Does what follows from the payments among postings that were written in this transaction.
pub(crate) async fn arrived(
    altyn: &Altyn,
    tx: &mut Tx,
    request: &Request,
    now: DateTime<Utc>,
    postings: &[(TransactionId, &Transaction)],
) -> Result<()> {
    let tenant = request.tenant;
    let arrivals: Vec<(TransactionId, ContractId, Money)> = postings
        .iter()
        .flat_map(|(id, one)| received(one).into_iter().map(|(contract, amount)| (*id, contract, amount)))
        .collect();
    let contracts: BTreeSet<Uuid> = arrivals.iter().map(|(_, contract, _)| contract.uuid()).collect();
    let concerned = credit::concerned(tx, tenant.0, contracts.into_iter().collect()).await?;
    if concerned.is_empty() {
        return Ok(());
    }
    let concerned: BTreeSet<Uuid> = concerned.into_iter().collect();
    lock_below(tx, tenant, &concerned.iter().copied().collect::<Vec<_>>()).await?;
    for (id, contract, amount) in arrivals {
        if concerned.contains(&contract.uuid()) {
            let cause = id.to_string();
            funds_received(altyn, tx, tenant, now, contract, amount, &cause, &request.credential).await?;
        }
    }
    Ok(())
}

fn source_key_taken() -> ServiceError {
    ServiceError::conflict(
        "source-key-taken",
        "a transaction with this source key is posted already; read it instead of posting again",
    )
}

impl Altyn {
    /// Moves money between two contracts of one customer, or of one hierarchy: never more than is there and not reserved.
    pub async fn contract_transfer(&self, request: &Request, command: TransferFunds) -> Result<Reply<TransactionView>> {
        let mut fields = Fields::default();
        fields.text("/source_key", &command.source_key, 150);
        fields.text("/description", &command.description, 500);
        if command.amount_minor <= 0 {
            fields.refuse("/amount_minor", "must be above zero");
        }
        if command.from_contract_id == command.to_contract_id {
            fields.refuse("/to_contract_id", "must be another contract");
        }
        fields.finish()?;
        let mut attempt = 1;
        loop {
            match self.transfer_try(request, &command).await {
                Err(ServiceError::Store(error)) if attempt < ATTEMPTS && error.is_race() => attempt += 1,
                other => return other,
            }
        }
    }

    async fn transfer_try(&self, request: &Request, command: &TransferFunds) -> Result<Reply<TransactionView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, now, tx) = (request.tenant, work.now, &mut work.tx);
        let (from, to) = (command.from_contract_id, command.to_contract_id);
        let mut fields = Fields::default();
        for (pointer, contract) in [("/from_contract_id", from), ("/to_contract_id", to)] {
            if credit::money(tx, tenant.0, contract.uuid()).await?.is_none() {
                fields.refuse(pointer, "there is no such contract");
            }
        }
        fields.finish()?;
        lock_below(tx, tenant, &[from.uuid(), to.uuid()]).await?;
        let (giver, getter) = (money_of(tx, tenant.0, from.uuid()).await?, money_of(tx, tenant.0, to.uuid()).await?);
        if giver.currency != getter.currency {
            let message = format!(
                "the contracts are in {} and {}; a transfer does not exchange",
                giver.currency, getter.currency
            );
            return Err(ServiceError::conflict("currency-mismatch", message));
        }
        if giver.customer_id != getter.customer_id {
            let mut family = credit::above(tx, tenant.0, from.uuid()).await?;
            let related = family.contains(&to.uuid()) || {
                family = credit::above(tx, tenant.0, to.uuid()).await?;
                family.contains(&from.uuid())
            };
            if !related {
                let message = "the contracts belong to different customers and neither stands above the other";
                return Err(ServiceError::conflict("contracts-not-related", message));
            }
        }
        let currency: Currency = stored("contracts.currency", &giver.currency)?;
        let money = |minor| Money::new(minor, currency);
        let free = transferable(money(giver.balance_minor), money(giver.blocked_minor)).map_err(out_of_range)?;
        if command.amount_minor > free.minor {
            let message = format!("contract {} can give {free}; promises and credit are not money", giver.number);
            return Err(ServiceError::conflict("not-enough-money", message));
        }
        let zone: Tz = stored("contracts.zone", &giver.zone)?;
        let about = About {
            source_key: format!("transfer/{}", command.source_key),
            effective_on: command.effective_on.unwrap_or_else(|| local_date(now, zone)),
            description: command.description.clone(),
        };
        let posting = transfer(about, from, to, money(command.amount_minor))
            .map_err(|error| ServiceError::invalid("/amount_minor", error.to_string()))?;
        let posted = post_each(tx, &*self.ids, tenant, now, &[posting], None).await?;
        let Some(Posted { id, fresh: true }) = posted.first().copied() else { return Err(source_key_taken()) };
        let (amount, cause) = (money(command.amount_minor), id.to_string());
        funds_received(self, tx, tenant, now, to, amount, &cause, &request.credential).await?;
        let view = transaction_view(tx, tenant, id).await?;
        work.finish(201, view).await
    }
}
