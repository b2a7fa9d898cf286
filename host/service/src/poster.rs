//! Posting many transactions at once: group commit for callers that come one by one, and batches.
//!
//! A posting waits for the database's log to reach the disk. When many callers post at once, whoever finds a writer free
//! takes all that wait and writes them, with the answers their idempotency keys remember, in one transaction. A caller
//! alone is written at once: nothing is delayed to fill a group.
//!
//! A group is written in the belief that all of it is new (keys, source keys, accounts that exist) and that no payment
//! among it has consequences. If anything is not so, nothing of the group is kept and each posting goes the careful way of [`Altyn::transaction_post_alone`], which looks
//! first and has an answer for every case.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use altyn_domain::{
    id::{TenantId, TransactionId},
    ledger::{AccountCode, Transaction},
    money::Currency,
};
use altyn_store::{Engine, Rows, Scope, Tx, idempotency, ledger as rows};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError},
    funds,
    ledger::{
        Accounts, EntryView, PostTransaction, Posted, TransactionView, accounts_for, post_each, transaction_view, write,
    },
};

/// The most postings one database transaction takes.
const LARGEST: usize = 1_000;
/// From how many postings on the planner must be kept from guessing; below, a cached plan is cheaper.
const LARGE: usize = 64;
/// How often a posting is tried again when others post to the same accounts at the same time.
const ATTEMPTS: u32 = 5;
/// The most account ids remembered for one tenant.
const MOST_ACCOUNTS: usize = 100_000;

/// Many manual postings that are made together or not at all.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostTransactions {
    /// 1 to 1,000 postings, each with its own source key.
    pub transactions: Vec<PostTransaction>,
}

/// What became of each posting of a batch.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PostedTransactions {
    /// How many were posted now.
    pub posted: i64,
    /// How many stood in the ledger already, equal in every field, and were left as they are.
    pub repeated: i64,
    /// In the order of the request.
    pub transactions: Vec<PostedTransaction>,
}

/// One posting of a batch.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PostedTransaction {
    /// The transaction.
    pub id: TransactionId,
    /// Its source key.
    pub source_key: String,
    /// Whether this request posted it.
    pub posted: bool,
}

type Answer = Result<Reply<TransactionView>>;

struct Waiting {
    request: Request,
    transaction: Transaction,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    writers: usize,
}

/// Groups the postings of concurrent callers.
#[derive(Clone, Default)]
pub struct Poster {
    queue: Arc<Mutex<Queue>>,
    accounts: Arc<Mutex<HashMap<TenantId, Accounts>>>,
}

impl Poster {
    /// Posts one transaction and remembers the answer under the request's key.
    pub(crate) async fn post(&self, altyn: &Altyn, request: &Request, transaction: Transaction) -> Answer {
        let (answer, answered) = oneshot::channel();
        // One group waits for the disk while the next is written; SQLite has one writing connection.
        let most = match altyn.db.engine() {
            Engine::Sqlite => 1,
            Engine::Postgres => 2,
        };
        let lead = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.push(Waiting { request: request.clone(), transaction, answer });
            let free = queue.writers < most;
            queue.writers += usize::from(free);
            free
        };
        if lead {
            // The writer is a task of its own: a caller that gives up must not take the others' answers along.
            let (poster, altyn) = (self.clone(), altyn.clone());
            tokio::spawn(async move { poster.drain(&altyn).await });
        }
        answered.await.map_err(|_| ServiceError::Internal("the ledger's writer stopped".into()))?
    }

    /// The remembered ids of the accounts these transactions name.
    fn known<'a>(&self, tenant: TenantId, transactions: impl Iterator<Item = &'a Transaction>) -> Accounts {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = accounts.get(&tenant) else { return Accounts::new() };
        let names = transactions.flat_map(|transaction| {
            transaction.entries.iter().map(|entry| (entry.account.to_string(), transaction.currency))
        });
        names.filter_map(|name| known.get(&name).map(|id| (name, *id))).collect()
    }

    /// Only what is committed may be remembered: an account opened in a lost transaction does not exist.
    fn remember(&self, tenant: TenantId, learnt: Accounts) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accounts.entry(tenant).or_default();
        if known.len() + learnt.len() > MOST_ACCOUNTS {
            known.clear();
        }
        known.extend(learnt);
    }

    async fn drain(&self, altyn: &Altyn) {
        let mut place = Place { poster: self, altyn, left: false };
        loop {
            let group = {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(first) = queue.waiting.first() else {
                    queue.writers -= 1;
                    place.left = true;
                    return;
                };
                let tenant = first.request.tenant;
                let (mut group, mut rest) = (Vec::new(), Vec::new());
                for waiting in queue.waiting.drain(..) {
                    if waiting.request.tenant == tenant && group.len() < LARGEST {
                        group.push(waiting);
                    } else {
                        rest.push(waiting);
                    }
                }
                queue.waiting = rest;
                group
            };
            self.write(altyn, group).await;
        }
    }

    async fn write(&self, altyn: &Altyn, group: Vec<Waiting>) {
        if let Ok(Some(views)) = self.write_new(altyn, &group).await {
            for (waiting, value) in group.into_iter().zip(views) {
                let _ = waiting.answer.send(Ok(Reply { status: 201, replayed: false, value }));
            }
            return;
        }
        // Whatever it was, each finds out for itself.
        for Waiting { request, transaction, answer } in group {
            let _ = answer.send(altyn.transaction_post_alone(&request, &transaction).await);
        }
    }

    /// Writes a group of one tenant in one transaction; nothing is written and `None` answered if any of it is not new.
    async fn write_new(&self, altyn: &Altyn, group: &[Waiting]) -> Result<Option<Vec<TransactionView>>> {
        let Some(tenant) = group.first().map(|waiting| waiting.request.tenant) else { return Ok(None) };
        let transactions = || group.iter().map(|waiting| &waiting.transaction);
        let mut accounts = self.known(tenant, transactions());
        let before = accounts.len();
        let mut tx = altyn.db.write(Scope::Tenant(tenant.0)).await?;
        if group.len() > LARGE {
            tx.prefer_indexes().await?;
        }
        let now = altyn.clock.now();
        if missing_contract(&mut tx, altyn, tenant, transactions(), &mut accounts).await?.is_some() {
            return Ok(None);
        }
        let fresh: Vec<(Uuid, &Transaction)> = transactions().map(|one| (altyn.ids.next(), one)).collect();
        let views = fresh
            .iter()
            .map(|(id, one)| view_of(*id, one, now, &accounts))
            .collect::<Result<Vec<TransactionView>>>()?;
        let claims = claims(group, &views)?;
        if idempotency::answers_insert(&mut tx, tenant.0, now, &claims).await? < claims.len() as u64 {
            return Ok(None);
        }
        write(&mut tx, tenant, now, &fresh, &accounts, None).await?;
        // The accounts are locked by now: what is decided about their contracts is seen here or waits.
        if funds::concerned(&mut tx, tenant, transactions()).await? {
            return Ok(None);
        }
        tx.commit().await?;
        if accounts.len() > before {
            self.remember(tenant, accounts);
        }
        Ok(Some(views))
    }
}

/// A writer's place. Whoever loses it by a panic leaves it to a new writer: callers wait in the queue.
struct Place<'a> {
    poster: &'a Poster,
    altyn: &'a Altyn,
    /// Whether it was given back, in the moment in which nobody waited.
    left: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let mut queue = self.poster.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !queue.waiting.is_empty() => {
                let (poster, altyn) = (self.poster.clone(), self.altyn.clone());
                runtime.spawn(async move { poster.drain(&altyn).await });
            }
            _ => queue.writers -= 1,
        }
    }
}

/// The answers that the callers' keys will remember.
fn claims(group: &[Waiting], views: &[TransactionView]) -> Result<Rows> {
    let (mut credential, mut request, mut key) = (Vec::new(), Vec::new(), Vec::new());
    let (mut fingerprint, mut body) = (Vec::new(), Vec::new());
    for (waiting, view) in group.iter().zip(views) {
        let Some(claimed) = &waiting.request.key else { continue };
        credential.push(waiting.request.credential.clone());
        request.push(claimed.request.clone());
        key.push(claimed.key.clone());
        fingerprint.push(claimed.fingerprint.to_vec());
        let text = serde_json::to_string(view);
        body.push(text.map_err(|error| ServiceError::Internal(format!("the answer cannot be stored: {error}")))?);
    }
    let status = vec![201_i32; key.len()];
    Ok(Rows::new()
        .with("credential", credential)
        .with("request", request)
        .with("idempotency_key", key)
        .with("fingerprint", fingerprint)
        .with("status", status)
        .with("body", body))
}

/// Learns the ids of the accounts; opens missing ones, but answers the first contract's account that does not exist: a
/// contract brings its accounts along, so a wrong name must not open one.
async fn missing_contract<'a>(
    tx: &mut Tx,
    altyn: &Altyn,
    tenant: TenantId,
    transactions: impl Iterator<Item = &'a Transaction>,
    accounts: &mut Accounts,
) -> Result<Option<(AccountCode, Currency)>> {
    let mut unknown = Vec::new();
    let mut contracts = HashMap::new();
    for transaction in transactions {
        for entry in &transaction.entries {
            let name = (entry.account.to_string(), transaction.currency);
            if accounts.contains_key(&name) {
                continue;
            }
            if entry.account.contract().is_some() {
                contracts.insert((name.0, name.1.code().to_owned()), (entry.account.clone(), name.1));
            }
            unknown.push(transaction);
        }
    }
    if unknown.is_empty() {
        return Ok(None);
    }
    if !contracts.is_empty() {
        let keys: Vec<(String, String)> = contracts.keys().cloned().collect();
        for found in rows::accounts_by_code(tx, tenant.0, &keys).await? {
            contracts.remove(&(found.code, found.currency));
        }
        if let Some(missing) = contracts.into_values().next() {
            return Ok(Some(missing));
        }
    }
    accounts.extend(accounts_for(tx, &*altyn.ids, tenant, unknown.into_iter()).await?);
    Ok(None)
}

/// What a posted transaction will read as.
fn view_of(id: Uuid, transaction: &Transaction, now: DateTime<Utc>, accounts: &Accounts) -> Result<TransactionView> {
    let id = TransactionId(id);
    let entry = |(position, entry): (usize, &altyn_domain::ledger::Entry)| {
        let name = (entry.account.to_string(), transaction.currency);
        let account = accounts.get(&name);
        let account = account.ok_or_else(|| ServiceError::Internal(format!("account {} was not opened", name.0)))?;
        Ok(EntryView {
            transaction_id: id,
            position: i32::try_from(position).unwrap_or(i32::MAX),
            account_id: altyn_domain::id::AccountId(*account),
            account: name.0,
            amount_minor: entry.amount_minor,
        })
    };
    Ok(TransactionView {
        id,
        source_key: transaction.source_key.clone(),
        kind: transaction.kind.as_str().to_owned(),
        currency: transaction.currency.code().to_owned(),
        effective_on: transaction.effective_on,
        description: transaction.description.clone(),
        reverses_id: None,
        posted_at: now,
        entries: transaction.entries.iter().enumerate().map(entry).collect::<Result<_>>()?,
    })
}

impl Altyn {
    /// Posts many manual transactions together or none of them.
    ///
    /// What stands in the ledger already under the same source key is left alone if it is equal in every field but the
    /// description, and refuses the batch if it is not.
    pub async fn transaction_post_batch(
        &self,
        request: &Request,
        command: PostTransactions,
    ) -> Result<Reply<PostedTransactions>> {
        let transactions = checked(command)?;
        let mut careful = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.try_batch(request, &transactions, careful).await {
                // Somebody posted one of the source keys or locked the same accounts meanwhile.
                Err(ServiceError::Store(error)) if attempt < ATTEMPTS && error.is_race() => {
                    careful = true;
                }
                other => return other,
            }
        }
    }

    async fn try_batch(
        &self,
        request: &Request,
        transactions: &[Transaction],
        careful: bool,
    ) -> Result<Reply<PostedTransactions>> {
        let tenant = request.tenant;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        if transactions.len() > LARGE {
            work.tx.prefer_indexes().await?;
        }
        let mut accounts = self.poster.known(tenant, transactions.iter());
        let missing = missing_contract(&mut work.tx, self, tenant, transactions.iter(), &mut accounts).await?;
        if let Some((account, currency)) = missing {
            return Err(no_account(transactions, &account, currency));
        }
        let posted = if careful {
            let posted = post_each(&mut work.tx, &*self.ids, tenant, work.now, transactions, None).await?;
            for (transaction, posted) in transactions.iter().zip(&posted) {
                if !posted.fresh {
                    stands_equal(&mut work.tx, tenant, posted.id, transaction).await?;
                }
            }
            posted
        } else {
            let fresh: Vec<(Uuid, &Transaction)> = transactions.iter().map(|one| (self.ids.next(), one)).collect();
            write(&mut work.tx, tenant, work.now, &fresh, &accounts, None).await?;
            fresh.iter().map(|(id, _)| Posted { id: TransactionId(*id), fresh: true }).collect()
        };
        let new: Vec<(TransactionId, &Transaction)> = posted
            .iter()
            .zip(transactions)
            .filter(|(posted, _)| posted.fresh)
            .map(|(posted, one)| (posted.id, one))
            .collect();
        funds::arrived(self, &mut work.tx, request, work.now, &new).await?;
        let fresh = posted.iter().filter(|posted| posted.fresh).count();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let one = |(transaction, posted): (&Transaction, &Posted)| PostedTransaction {
            id: posted.id,
            source_key: transaction.source_key.clone(),
            posted: posted.fresh,
        };
        let view = PostedTransactions {
            posted: count(fresh),
            repeated: count(posted.len() - fresh),
            transactions: transactions.iter().zip(&posted).map(one).collect(),
        };
        let reply = work.finish(201, view).await?;
        if self.rehearsal.is_none() {
            self.poster.remember(tenant, accounts);
        }
        Ok(reply)
    }
}

/// The transactions of a batch, all of their faults named at once.
fn checked(command: PostTransactions) -> Result<Vec<Transaction>> {
    let mut fields = Fields::default();
    if !(1..=LARGEST).contains(&command.transactions.len()) {
        fields.refuse("/transactions", format!("a batch has 1 to {LARGEST} transactions"));
    }
    let mut keys = HashSet::new();
    let mut transactions = Vec::with_capacity(command.transactions.len().min(LARGEST));
    for (index, one) in command.transactions.into_iter().take(LARGEST).enumerate() {
        if !keys.insert(one.source_key.clone()) {
            fields.refuse(format!("/transactions/{index}/source_key"), "a source key stands once in a batch");
        }
        match one.checked() {
            Ok(transaction) => transactions.push(transaction),
            Err(ServiceError::Invalid(faults)) => {
                for fault in faults {
                    fields.refuse(format!("/transactions/{index}{}", fault.pointer), fault.message);
                }
            }
            Err(other) => return Err(other),
        }
    }
    fields.finish()?;
    Ok(transactions)
}

fn no_account(transactions: &[Transaction], account: &AccountCode, currency: Currency) -> ServiceError {
    let place = transactions.iter().enumerate().find_map(|(index, transaction)| {
        let entry = transaction.entries.iter().position(|entry| entry.account == *account)?;
        (transaction.currency == currency).then_some((index, entry))
    });
    let (index, entry) = place.unwrap_or_default();
    ServiceError::invalid(
        format!("/transactions/{index}/entries/{entry}/account"),
        format!("there is no account {account} in {}; name an existing contract", currency.code()),
    )
}

/// Refuses a repetition that says something else than what was posted.
async fn stands_equal(tx: &mut Tx, tenant: TenantId, id: TransactionId, asked: &Transaction) -> Result<()> {
    let stands = transaction_view(tx, tenant, id).await?;
    let entries = stands.entries.iter().map(|entry| (entry.account.clone(), entry.amount_minor));
    let equal = stands.kind == asked.kind.as_str()
        && stands.currency == asked.currency.code()
        && stands.effective_on == asked.effective_on
        && entries.eq(asked.entries.iter().map(|entry| (entry.account.to_string(), entry.amount_minor)));
    if equal {
        return Ok(());
    }
    Err(ServiceError::conflict(
        "source-key-taken",
        format!(
            "{} is posted already with other contents, as {id}; read it, and give this posting another key",
            asked.source_key
        ),
    ))
}
