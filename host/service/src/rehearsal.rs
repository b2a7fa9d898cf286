//! Rehearsing: what an action would post, found out by doing it in a transaction that is never committed.
//!
//! Owns the previews of the actions that are done in one transaction of their own. An action is not described a second
//! time: the very use case runs, [`Work::finish`](crate::context::Work::finish) looks at the ledger instead of
//! committing, and everything is rolled back. So a preview cannot differ from the execution, refusals included, nor leave
//! anything behind. Refuses to know what any action does. Whatever a use case does beside its transaction must not happen
//! in a rehearsal; those that ask plugins or gateways keep previews of their own.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use altyn_domain::{
    id::{ContractId, Id as _, ManualOperationId, OrderId, PromiseId, SubscriptionId, TransactionId},
    ledger::{AccountCode, Entry, TransactionKind},
};
use altyn_store::{Tx, credit, ledger as rows};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Reply, Request},
    contracts::{ContractView, CreateContract},
    error::{Result, ServiceError, stored},
    funds::TransferFunds,
    ledger::{PostTransaction, ReverseTransaction, TransactionView},
    manual_operations::ManualOperationView,
    orders::OrderView,
    ports::Ids,
    poster::{PostTransactions, PostedTransactions},
    promises::{GivePromise, PromiseView},
    subscriptions::{ActivateSubscription, CancelSubscription, SubscriptionView},
};

/// What an action would do; nothing of it is written.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ActionPreview<T> {
    /// The action's answer as it would be; what it would create gets another id when it is done.
    pub outcome: T,
    /// Everything that it would post, in order, with what follows from it: promises that are consumed, orders that are
    /// paid, debts below that are covered.
    pub postings: Vec<PlannedPosting>,
    /// The contracts whose money it would move, by id.
    pub contracts: Vec<PlannedMoney>,
}

/// A posting as it would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedPosting {
    /// What it records.
    pub kind: TransactionKind,
    /// ISO 4217 code.
    pub currency: String,
    /// The business date.
    pub effective_on: NaiveDate,
    /// For people.
    pub description: String,
    /// The transaction that it would reverse.
    pub reverses_id: Option<TransactionId>,
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// What a contract has before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedMoney {
    /// The contract.
    pub contract_id: ContractId,
    /// ISO 4217 code.
    pub currency: String,
    /// Its balance now, minor units; below zero a debt.
    pub balance_before_minor: i64,
    /// Its balance afterwards.
    pub balance_after_minor: i64,
    /// What it may spend now: funds, promises and credit less what is reserved.
    pub available_before_minor: i64,
    /// What it may spend afterwards.
    pub available_after_minor: i64,
}

/// A rehearsal under way: the ids that were given in it, and what it came to.
#[derive(Clone)]
pub struct Rehearsal(Arc<Inner>);

struct Inner {
    ids: Arc<dyn Ids>,
    given: Mutex<Vec<Uuid>>,
    seen: Mutex<Option<Seen>>,
}

/// What the transaction held when it ended.
struct Seen {
    postings: Vec<PlannedPosting>,
    contracts: Vec<PlannedMoney>,
}

impl fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rehearsal")
    }
}

impl Ids for Rehearsal {
    fn next(&self) -> Uuid {
        let id = self.0.ids.next();
        self.0.given.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        id
    }

    fn secret(&self) -> [u8; 32] {
        self.0.ids.secret()
    }
}

impl Rehearsal {
    /// Looks at what the transaction posted: the ledger's transactions among the ids that were given in it.
    pub(crate) async fn look(&self, tx: &mut Tx, tenant: Uuid) -> Result<()> {
        let given = self.0.given.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut headers = rows::transactions_among(tx, tenant, given).await?;
        // Ids ascend as they are given, so this is the order of the postings.
        headers.sort_unstable_by_key(|row| row.id);
        let mut entries: BTreeMap<Uuid, Vec<rows::EntryRow>> = BTreeMap::new();
        for row in rows::entries_among(tx, tenant, headers.iter().map(|row| row.id).collect()).await? {
            entries.entry(row.transaction_id).or_default().push(row);
        }
        let mut postings = Vec::with_capacity(headers.len());
        for row in headers {
            let mut of = entries.remove(&row.id).unwrap_or_default();
            of.sort_unstable_by_key(|entry| entry.position);
            postings.push(PlannedPosting {
                kind: stored("ledger_transactions.kind", &row.kind)?,
                currency: row.currency,
                effective_on: row.effective_on,
                description: row.description,
                reverses_id: row.reverses_id.map(TransactionId),
                entries: of
                    .into_iter()
                    .map(|entry| {
                        let account = stored("ledger_accounts.code", &entry.code)?;
                        Ok(Entry { account, amount_minor: entry.amount_minor })
                    })
                    .collect::<Result<_>>()?,
            });
        }
        let contracts = moved(tx, tenant, &postings).await?;
        *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { postings, contracts });
        Ok(())
    }
}

/// What the contracts among the postings have afterwards, and had before them.
async fn moved(tx: &mut Tx, tenant: Uuid, postings: &[PlannedPosting]) -> Result<Vec<PlannedMoney>> {
    // How far balance and what may be spent rise.
    let mut rises: BTreeMap<Uuid, (i128, i128)> = BTreeMap::new();
    for entry in postings.iter().flat_map(|posting| &posting.entries) {
        let Some(contract) = entry.account.contract() else { continue };
        let (balance, available) = rises.entry(contract.uuid()).or_default();
        let credit = -i128::from(entry.amount_minor);
        match entry.account {
            AccountCode::ContractFunds(_) => {
                *balance += credit;
                *available += credit;
            }
            // Reserving credits the account of what is reserved against the funds, which stay the contract's balance.
            AccountCode::ContractBlocked(_) => *balance += credit,
            AccountCode::ContractPromised(_) => *available += credit,
            _ => {}
        }
    }
    let before = |after: i64, rise: i128| {
        i64::try_from(i128::from(after) - rise).map_err(|_| ServiceError::Internal("a balance is out of range".into()))
    };
    let mut monies = credit::money_of(tx, tenant, rises.keys().copied().collect()).await?;
    monies.sort_unstable_by_key(|money| money.contract_id);
    monies
        .into_iter()
        .map(|money| {
            let (balance, available) = rises.get(&money.contract_id).copied().unwrap_or_default();
            Ok(PlannedMoney {
                contract_id: ContractId(money.contract_id),
                currency: money.currency,
                balance_before_minor: before(money.balance_minor, balance)?,
                balance_after_minor: money.balance_minor,
                available_before_minor: before(money.available_minor, available)?,
                available_after_minor: money.available_minor,
            })
        })
        .collect()
}

impl Altyn {
    /// The application and the request with which an action is rehearsed instead of done.
    fn rehearsing(&self, request: &Request) -> (Self, Request) {
        let inner = Inner { ids: Arc::clone(&self.ids), given: Mutex::default(), seen: Mutex::default() };
        let rehearsal = Rehearsal(Arc::new(inner));
        let altyn = Self { ids: Arc::new(rehearsal.clone()), rehearsal: Some(rehearsal), ..self.clone() };
        (altyn, Request { key: None, ..request.clone() })
    }

    /// What the rehearsal of an action came to.
    fn rehearsed<T>(&self, reply: Reply<T>) -> Result<ActionPreview<T>> {
        let seen = self.rehearsal.as_ref().and_then(|rehearsal| {
            let mut seen = rehearsal.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.take()
        });
        let seen = seen.ok_or_else(|| ServiceError::Internal("an action was not rehearsed to its end".into()))?;
        Ok(ActionPreview { outcome: reply.value, postings: seen.postings, contracts: seen.contracts })
    }

    /// What [`Altyn::contract_create`] would do.
    pub async fn contract_create_preview(
        &self,
        request: &Request,
        command: CreateContract,
    ) -> Result<ActionPreview<ContractView>> {
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.contract_create(&request, command).await?)
    }

    /// What [`Altyn::promise_give`] would do.
    pub async fn promise_give_preview(
        &self,
        request: &Request,
        command: GivePromise,
    ) -> Result<ActionPreview<PromiseView>> {
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.promise_give(&request, command).await?)
    }

    /// What [`Altyn::promise_revoke`] would do.
    pub async fn promise_revoke_preview(&self, request: &Request, id: PromiseId) -> Result<ActionPreview<PromiseView>> {
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.promise_revoke(&request, id).await?)
    }

    /// What [`Altyn::contract_transfer`] would do.
    pub async fn contract_transfer_preview(
        &self,
        request: &Request,
        command: TransferFunds,
    ) -> Result<ActionPreview<TransactionView>> {
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.contract_transfer(&request, command).await?)
    }

    /// What [`Altyn::transaction_post`] would do.
    pub async fn transaction_post_preview(
        &self,
        request: &Request,
        command: PostTransaction,
    ) -> Result<ActionPreview<TransactionView>> {
        let (altyn, request) = self.rehearsing(request);
        // Alone: what others post at the same time is not rolled back with it.
        altyn.rehearsed(altyn.transaction_post_alone(&request, &command.checked()?).await?)
    }

    /// What [`Altyn::transaction_post_batch`] would do; what stands in the ledger already is not among its postings.
    pub async fn transaction_post_batch_preview(
        &self,
        request: &Request,
        command: PostTransactions,
    ) -> Result<ActionPreview<PostedTransactions>> {
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.transaction_post_batch(&request, command).await?)
    }

    /// What [`Altyn::transaction_reverse`] would do.
    pub async fn transaction_reverse_preview(
        &self,
        request: &Request,
        id: TransactionId,
        command: ReverseTransaction,
    ) -> Result<ActionPreview<TransactionView>> {
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.transaction_reverse(&request, id, command).await?)
    }

    /// What [`Altyn::order_cancel`] would do.
    pub async fn order_cancel_preview(&self, request: &Request, id: OrderId) -> Result<ActionPreview<OrderView>> {
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.order_cancel(&request, id).await?)
    }

    /// What [`Altyn::subscription_activate`] would do to the subscription as it stands.
    pub async fn subscription_activate_preview(
        &self,
        request: &Request,
        id: SubscriptionId,
        command: ActivateSubscription,
    ) -> Result<ActionPreview<SubscriptionView>> {
        let version = self.subscription_get(request, id).await?.version;
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.subscription_activate(&request, id, version, command).await?)
    }

    /// What [`Altyn::subscription_cancel`] would do to the subscription as it stands.
    pub async fn subscription_cancel_preview(
        &self,
        request: &Request,
        id: SubscriptionId,
        command: CancelSubscription,
    ) -> Result<ActionPreview<SubscriptionView>> {
        let version = self.subscription_get(request, id).await?.version;
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.subscription_cancel(&request, id, version, command).await?)
    }

    /// What [`Altyn::manual_operation_approve`] would do.
    pub async fn manual_operation_approve_preview(
        &self,
        request: &Request,
        id: ManualOperationId,
    ) -> Result<ActionPreview<ManualOperationView>> {
        let (altyn, request) = self.rehearsing(request);
        altyn.rehearsed(altyn.manual_operation_approve(&request, id).await?)
    }
}
