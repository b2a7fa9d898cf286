//! Reading ahead: due subscriptions, charges to realise and use to bill, merged into chunks of whole contracts.
//!
//! Three streams in contract order, each read a page at a time and kept until the others have come as far: a day on which
//! one of them is long and another short reads each row once. Memory is bounded by three pages and the largest contract.

use std::collections::{HashMap, VecDeque};

use altyn_domain::id::TenantId;
use altyn_store::{
    Scope,
    orders::{self, ReservedRow},
    runs as rows, usage_windows,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    metered::{UsageDue, with_figures},
    short_funds::Funds,
};
use crate::{
    context::Altyn,
    error::Result,
    price_overrides::{Prices, prices_of},
    stays::Left,
};

/// What some contracts have due and to realise; whole contracts only.
#[derive(Default)]
pub(super) struct Chunk {
    pub due: Vec<rows::DueRow>,
    pub realisable: Vec<rows::RealisableRow>,
    pub usage: Vec<UsageDue>,
    /// What the contracts may spend whose subscriptions ask.
    pub funds: Funds,
    /// What the contracts pay instead of their plans' prices.
    pub prices: Prices,
    /// What is reserved for orders, by subscription.
    pub reserved: HashMap<Uuid, ReservedRow>,
    /// Which of the subscriptions were taken out of stays by name; known when the components are.
    pub left: Left,
}

/// A row of a contract.
trait OfContract {
    fn contract(&self) -> Uuid;
}

impl OfContract for rows::DueRow {
    fn contract(&self) -> Uuid {
        self.contract_id
    }
}

impl OfContract for rows::RealisableRow {
    fn contract(&self) -> Uuid {
        self.contract_id
    }
}

impl OfContract for UsageDue {
    fn contract(&self) -> Uuid {
        self.row.window.contract_id
    }
}

/// Rows that were read and not handed on yet.
struct Ahead<T> {
    rows: VecDeque<T>,
    /// All rows of contracts up to this one are read; the greatest id when there are no more.
    through: Uuid,
}

impl<T: OfContract> Ahead<T> {
    fn behind(cursor: Uuid) -> Self {
        Self { rows: VecDeque::new(), through: cursor }
    }

    /// Nothing is read at all.
    fn nothing() -> Self {
        Self { rows: VecDeque::new(), through: Uuid::max() }
    }

    fn is_wanting(&self) -> bool {
        self.rows.is_empty() && self.through != Uuid::max()
    }

    /// Takes in a page of at most `limit` rows; `false` when one contract is larger than the page.
    fn take_in(&mut self, mut found: Vec<T>, limit: i64) -> bool {
        if i64::try_from(found.len()).unwrap_or(i64::MAX) < limit {
            self.through = Uuid::max();
        } else {
            // The last contract may go on behind the limit: leave it for the next page.
            let last = found.last().map(OfContract::contract);
            let whole = found.iter().take_while(|row| Some(row.contract()) != last).count();
            if whole == 0 {
                return false;
            }
            found.truncate(whole);
            self.through = found.last().map_or(self.through, OfContract::contract);
        }
        self.rows.extend(found);
        true
    }

    fn hand_on(&mut self, through: Uuid) -> Vec<T> {
        let count = self.rows.iter().take_while(|row| row.contract() <= through).count();
        self.rows.drain(..count).collect()
    }
}

impl Altyn {
    /// Reads what is due behind the checkpoint, whole contracts at a time.
    pub(super) async fn read_chunks(self, tenant: TenantId, run: rows::RunRow, sender: mpsc::Sender<Result<Chunk>>) {
        let cursor = run.cursor.unwrap_or(Uuid::nil());
        let (mut due, mut realisable) = (Ahead::behind(cursor), Ahead::behind(cursor));
        let mut usage = match self.usage_pending(tenant).await {
            Ok(true) => Ahead::behind(cursor),
            // Who meters nothing reads nothing of it.
            Ok(false) => Ahead::nothing(),
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                return;
            }
        };
        loop {
            let read = async {
                self.read_due(tenant, &run, &mut due).await?;
                self.read_realisable(tenant, &run, &mut realisable).await?;
                self.read_usage(tenant, &run, &mut usage).await
            };
            if let Err(error) = read.await {
                let _ = sender.send(Err(error)).await;
                return;
            }
            let through = due.through.min(realisable.through).min(usage.through);
            let due = due.hand_on(through);
            let (realisable, usage) = (realisable.hand_on(through), usage.hand_on(through));
            let empty = due.is_empty() && realisable.is_empty() && usage.is_empty();
            let read = async {
                let (funds, prices) = (self.funds_for(tenant, &due).await?, self.prices_for(tenant, &due).await?);
                Ok((funds, prices, self.reserved_for(tenant, &due).await?))
            };
            let read: Result<_> = read.await;
            let chunk = read.map(|(funds, prices, reserved)| Chunk {
                due,
                realisable,
                usage,
                funds,
                prices,
                reserved,
                left: Left::default(),
            });
            let failed = chunk.is_err();
            if (!empty && sender.send(chunk).await.is_err()) || failed {
                return;
            }
            if through == Uuid::max() {
                return;
            }
        }
    }

    /// What is reserved for the orders of due subscriptions, whose rows come in contract order: few have any, so one look
    /// at the contracts between the first and the last finds them.
    async fn reserved_for(&self, tenant: TenantId, due: &[rows::DueRow]) -> Result<HashMap<Uuid, ReservedRow>> {
        let (Some(first), Some(last)) = (due.first(), due.last()) else { return Ok(HashMap::new()) };
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        tx.prefer_indexes().await?;
        let found = orders::reserved_between(&mut tx, tenant.0, first.contract_id, last.contract_id).await?;
        Ok(found.into_iter().map(|order| (order.subscription_id, order)).collect())
    }

    fn page_size(&self) -> i64 {
        i64::from(self.settings.run_chunk.max(1))
    }

    async fn read_due(&self, tenant: TenantId, run: &rows::RunRow, ahead: &mut Ahead<rows::DueRow>) -> Result<()> {
        let mut limit = self.page_size();
        while ahead.is_wanting() {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            tx.prefer_indexes().await?;
            let found = rows::due(&mut tx, tenant.0, ahead.through, run.business_on, limit).await?;
            if !ahead.take_in(found, limit) {
                limit *= 4;
            }
        }
        Ok(())
    }

    /// What the contracts of due subscriptions pay instead of their plans' prices, read for all of them together.
    pub(super) async fn prices_for(&self, tenant: TenantId, due: &[rows::DueRow]) -> Result<Prices> {
        let mut contracts: Vec<Uuid> = due.iter().map(|row| row.contract_id).collect();
        contracts.dedup();
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        prices_of(&mut tx, tenant.0, contracts).await
    }

    async fn usage_pending(&self, tenant: TenantId) -> Result<bool> {
        let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
        Ok(usage_windows::any_pending(&mut tx, tenant.0).await?)
    }

    async fn read_usage(&self, tenant: TenantId, run: &rows::RunRow, ahead: &mut Ahead<UsageDue>) -> Result<()> {
        let mut limit = self.page_size();
        while ahead.is_wanting() {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            tx.prefer_indexes().await?;
            let found = usage_windows::due(&mut tx, tenant.0, ahead.through, run.business_on, limit).await?;
            let found = with_figures(&mut tx, tenant.0, found).await?;
            if !ahead.take_in(found, limit) {
                limit *= 4;
            }
        }
        Ok(())
    }

    async fn read_realisable(
        &self,
        tenant: TenantId,
        run: &rows::RunRow,
        ahead: &mut Ahead<rows::RealisableRow>,
    ) -> Result<()> {
        let mut limit = self.page_size();
        while ahead.is_wanting() {
            let mut tx = self.db.read(Scope::Tenant(tenant.0)).await?;
            tx.prefer_indexes().await?;
            let found = rows::realisable(&mut tx, tenant.0, ahead.through, run.business_on, limit).await?;
            if !ahead.take_in(found, limit) {
                limit *= 4;
            }
        }
        Ok(())
    }
}
