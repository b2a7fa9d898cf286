//! Group commit for single postings.
//!
//! A posting waits for the database's log to reach the disk. When many callers post at once, whoever finds nobody
//! writing takes all that wait and writes them in one transaction; each still gets its own answer. A caller alone is
//! written at once: nothing is delayed to fill a group.

use std::sync::{Arc, Mutex, PoisonError};

use altyn_domain::{id::TenantId, ledger::Transaction};
use altyn_store::{Scope, StoreError};
use tokio::sync::oneshot;

use crate::{
    context::Altyn,
    error::{Result, ServiceError},
    ledger::{Posted, post_each},
};

/// The most postings one transaction takes.
const LARGEST_GROUP: usize = 500;
/// How often a group is tried again when others post to the same accounts at the same time.
const ATTEMPTS: u32 = 5;

struct Waiting {
    tenant: TenantId,
    transaction: Transaction,
    answer: oneshot::Sender<Result<Posted>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    writing: bool,
}

/// Groups the postings of concurrent callers.
#[derive(Clone, Default)]
pub struct Poster(Arc<Mutex<Queue>>);

impl Poster {
    /// Posts one transaction; `fresh` is `false` when its source key was posted before.
    pub async fn post(&self, altyn: &Altyn, tenant: TenantId, transaction: Transaction) -> Result<Posted> {
        let (answer, answered) = oneshot::channel();
        let lead = {
            let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.push(Waiting { tenant, transaction, answer });
            !std::mem::replace(&mut queue.writing, true)
        };
        if lead {
            // The writer is a task of its own: a caller that gives up must not take the others' answers along.
            let (poster, altyn) = (self.clone(), altyn.clone());
            tokio::spawn(async move { poster.drain(&altyn).await });
        }
        answered.await.map_err(|_| ServiceError::Internal("the ledger's writer stopped".into()))?
    }

    async fn drain(&self, altyn: &Altyn) {
        loop {
            let group = {
                let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if queue.waiting.is_empty() {
                    queue.writing = false;
                    return;
                }
                let tenant = queue.waiting[0].tenant;
                let mut group = Vec::new();
                let mut rest = Vec::new();
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
            write(altyn, group).await;
        }
    }
}

async fn write(altyn: &Altyn, group: Vec<Waiting>) {
    let (mut transactions, mut answers) = (Vec::new(), Vec::new());
    let Some(tenant) = group.first().map(|waiting| waiting.tenant) else { return };
    for waiting in group {
        transactions.push(waiting.transaction);
        answers.push(waiting.answer);
    }
    match post(altyn, tenant, &transactions).await {
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
                let posted = post(altyn, tenant, &[transaction]).await;
                let _ = answer.send(posted.and_then(|posted| {
                    posted.first().copied().ok_or_else(|| ServiceError::Internal("a posting has no answer".into()))
                }));
            }
        }
    }
}

async fn post(altyn: &Altyn, tenant: TenantId, transactions: &[Transaction]) -> Result<Vec<Posted>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let posted = async {
            let mut tx = altyn.db.write(Scope::Tenant(tenant.0)).await?;
            tx.prefer_indexes().await?;
            let posted =
                post_each(&mut tx, &*altyn.ids, tenant, altyn.clock.now(), transactions, None).await?;
            tx.commit().await?;
            Ok(posted)
        };
        match posted.await {
            // Somebody posted the same key or locked the same accounts between our reading and our writing.
            Err(ServiceError::Store(error))
                if attempt < ATTEMPTS && (error.is_transient() || matches!(error, StoreError::Duplicate(_))) => {}
            other => return other,
        }
    }
}
