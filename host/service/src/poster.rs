//! Group commit for postings.
//!
//! A posting waits for the database's log to reach the disk. When many callers post at once, whoever finds a writer free
//! takes all that wait and writes them in one transaction; each still gets its own answer. A caller alone is written at
//! once: nothing is delayed to fill a group.
//!
//! A group is written in the belief that its source keys are new. When one is not, the group is written again the careful
//! way, which looks first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use altyn_domain::{id::TenantId, ledger::Transaction};
use altyn_store::{Engine, Scope, StoreError};
use tokio::sync::oneshot;

use crate::{
    context::Altyn,
    error::{Result, ServiceError},
    ledger::{Accounts, Posted, post_each, post_new},
};

/// The most postings one transaction takes.
const LARGEST_GROUP: usize = 500;
/// From how many postings on the planner must be kept from guessing; below, a cached plan is cheaper.
const LARGE: usize = 64;
/// How often a group is tried again when others post to the same accounts at the same time.
const ATTEMPTS: u32 = 5;
/// The most account ids remembered for one tenant.
const MOST_ACCOUNTS: usize = 100_000;

struct Waiting {
    tenant: TenantId,
    transaction: Transaction,
    answer: oneshot::Sender<Result<Posted>>,
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
    /// Posts one transaction; `fresh` is `false` when its source key was posted before.
    pub async fn post(&self, altyn: &Altyn, tenant: TenantId, transaction: Transaction) -> Result<Posted> {
        let (answer, answered) = oneshot::channel();
        // One group waits for the disk while the next is written; SQLite has one writing connection.
        let most = match altyn.db.engine() {
            Engine::Sqlite => 1,
            Engine::Postgres => 2,
        };
        let lead = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.push(Waiting { tenant, transaction, answer });
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

    /// Posts many transactions in one database transaction and answers for each.
    pub async fn post_many(
        &self,
        altyn: &Altyn,
        tenant: TenantId,
        transactions: &[Transaction],
    ) -> Result<Vec<Posted>> {
        let mut careful = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let posted = if careful {
                self.try_careful(altyn, tenant, transactions).await
            } else {
                self.try_new(altyn, tenant, transactions).await
            };
            match posted {
                // Somebody posted the same key or locked the same accounts meanwhile.
                Err(ServiceError::Store(error))
                    if attempt < ATTEMPTS && (error.is_transient() || matches!(error, StoreError::Duplicate(_))) =>
                {
                    careful = true;
                }
                other => return other,
            }
        }
    }

    async fn try_new(&self, altyn: &Altyn, tenant: TenantId, transactions: &[Transaction]) -> Result<Vec<Posted>> {
        let mut accounts = self.known(tenant, transactions);
        let before = accounts.len();
        let mut tx = altyn.db.write(Scope::Tenant(tenant.0)).await?;
        if transactions.len() > LARGE {
            tx.prefer_indexes().await?;
        }
        let now = altyn.clock.now();
        let posted = post_new(&mut tx, &*altyn.ids, tenant, now, transactions, &mut accounts).await?;
        tx.commit().await?;
        // Only what is committed is remembered: an account opened in a lost transaction does not exist.
        if accounts.len() > before {
            self.remember(tenant, accounts);
        }
        Ok(posted)
    }

    async fn try_careful(&self, altyn: &Altyn, tenant: TenantId, transactions: &[Transaction]) -> Result<Vec<Posted>> {
        let mut tx = altyn.db.write(Scope::Tenant(tenant.0)).await?;
        tx.prefer_indexes().await?;
        let posted = post_each(&mut tx, &*altyn.ids, tenant, altyn.clock.now(), transactions, None).await?;
        tx.commit().await?;
        Ok(posted)
    }

    /// The remembered ids of the accounts these transactions name.
    fn known(&self, tenant: TenantId, transactions: &[Transaction]) -> Accounts {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = accounts.get(&tenant) else { return Accounts::new() };
        let names = transactions.iter().flat_map(|transaction| {
            transaction.entries.iter().map(|entry| (entry.account.to_string(), transaction.currency))
        });
        names.filter_map(|name| known.get(&name).map(|id| (name, *id))).collect()
    }

    fn remember(&self, tenant: TenantId, learnt: Accounts) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accounts.entry(tenant).or_default();
        if known.len() + learnt.len() > MOST_ACCOUNTS {
            known.clear();
        }
        known.extend(learnt);
    }

    async fn drain(&self, altyn: &Altyn) {
        loop {
            let group = {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(first) = queue.waiting.first() else {
                    queue.writers -= 1;
                    return;
                };
                let tenant = first.tenant;
                let (mut group, mut rest) = (Vec::new(), Vec::new());
                for waiting in queue.waiting.drain(..) {
                    if waiting.tenant == tenant && group.len() < LARGEST_GROUP {
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
        let (mut transactions, mut answers) = (Vec::new(), Vec::new());
        let Some(tenant) = group.first().map(|waiting| waiting.tenant) else { return };
        for waiting in group {
            transactions.push(waiting.transaction);
            answers.push(waiting.answer);
        }
        match self.post_many(altyn, tenant, &transactions).await {
            Ok(posted) => {
                for (answer, posted) in answers.into_iter().zip(posted) {
                    let _ = answer.send(Ok(posted));
                }
            }
            Err(error) if answers.len() == 1 => {
                if let Some(answer) = answers.pop() {
                    let _ = answer.send(Err(error));
                }
            }
            // One of them spoils the group: each for itself.
            Err(_) => {
                for (answer, transaction) in answers.into_iter().zip(transactions) {
                    let posted = self.post_many(altyn, tenant, &[transaction]).await;
                    let _ = answer.send(posted.and_then(|posted| {
                        posted.first().copied().ok_or_else(|| ServiceError::Internal("a posting has no answer".into()))
                    }));
                }
            }
        }
    }
}
