//! The money of orders: reserved when it is there, free again when an order ends.
//!
//! Owns the postings between a contract's funds and its reserved money, and when they are made: at ordering, when money
//! arrives, at the close of a day, when an order is taken back or runs out of time. A run, or a renewal by hand, that charges
//! the first period frees and takes it in one transaction (see [`crate::runs`] and [`crate::changes`]). Concurrency: the
//! contract's funds account is locked before its orders are read; a transaction that still runs into another is done again.

use std::collections::HashMap;

use altyn_domain::{
    calendar::local_date,
    id::{ContractId, OrderId, TenantId},
    ledger::{self, About, Transaction},
    money::Money,
    order::{OrderStatus, Waiting, reserve},
    party::ContractKind,
    subscription::SubscriptionStatus,
};
use altyn_store::{
    Rows, Scope, Tx, credit, credit::MoneyRow, lives, orders as rows, orders::OrderRow, subscriptions::SubscriptionRow,
};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use crate::{
    blocks::BY_ITSELF,
    context::Altyn,
    error::{Result, ServiceError, stored},
    funds::{ATTEMPTS, unblock},
    ledger::post_all,
    promises::{money_of, out_of_range},
};

/// How many contracts or orders the close of a day takes together.
const TOGETHER: i64 = 200;

/// The posting that reserves the money of an order.
pub(super) fn blocking(order: OrderId, contract: ContractId, amount: Money, on: NaiveDate) -> Result<Transaction> {
    let about = About {
        source_key: format!("order/{order}/blocked"),
        effective_on: on,
        description: "reserved for an order".to_owned(),
    };
    ledger::funds_blocked(about, contract, amount).map_err(out_of_range)
}

/// The posting that frees what is reserved for an order: the one place that knows its source key.
pub(crate) fn release(
    order: OrderId,
    contract: ContractId,
    amount: Money,
    on: NaiveDate,
    why: &str,
) -> Result<Transaction> {
    let about = About { source_key: format!("order/{order}/released"), effective_on: on, description: why.to_owned() };
    ledger::funds_released(about, contract, amount).map_err(out_of_range)
}

/// The posting that frees what is reserved for an order; none when nothing is.
pub(crate) fn releasing(order: &OrderRow, on: NaiveDate, why: &str) -> Result<Option<Transaction>> {
    if order.status != OrderStatus::Blocked.as_str() || order.amount_minor == 0 {
        return Ok(None);
    }
    let amount = Money::new(order.amount_minor, stored("orders.currency", &order.currency)?);
    release(OrderId(order.id), ContractId(order.contract_id), amount, on, why).map(Some)
}

fn today(money: &MoneyRow, now: DateTime<Utc>) -> Result<NaiveDate> {
    Ok(local_date(now, stored::<Tz>("contracts.zone", &money.zone)?))
}

/// Reserves money for the orders of contracts that wait for it, the oldest first; answers how many were paid. The contracts'
/// funds are locked.
pub(crate) async fn reserve_waiting(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    contracts: Vec<Uuid>,
) -> Result<usize> {
    let mut concerned = rows::waiting_among(tx, tenant.0, contracts).await?;
    concerned.sort_unstable();
    let mut count = 0;
    for contract in concerned {
        let money = money_of(tx, tenant.0, contract).await?;
        let orders = rows::waiting_of(tx, tenant.0, contract).await?;
        let currency = stored("contracts.currency", &money.currency)?;
        let waiting: Vec<Waiting> = orders
            .iter()
            .map(|order| Waiting { id: OrderId(order.id), amount: Money::new(order.amount_minor, currency) })
            .collect();
        let available = Money::new(money.available_minor, currency);
        let paid = reserve(&waiting, stored("contracts.kind", &money.kind)?, available).map_err(out_of_range)?;
        let on = today(&money, now)?;
        let mut postings = Vec::with_capacity(paid.len());
        for order in orders.iter().filter(|order| paid.contains(&OrderId(order.id))) {
            if !rows::pay(tx, tenant.0, order.id, order.version, now).await? {
                return Err(ServiceError::Stale);
            }
            if order.amount_minor > 0 {
                let amount = Money::new(order.amount_minor, currency);
                postings.push(blocking(OrderId(order.id), ContractId(contract), amount, on)?);
            }
            altyn.order_tell(tx, tenant.0, "order.paid", order, now).await?;
        }
        post_all(tx, &*altyn.ids, tenant, now, &postings).await?;
        count += paid.len();
    }
    Ok(count)
}

/// Refuses to end a subscription by its own means while an order of it waits: the order is taken back instead.
pub(crate) async fn refuse_while_ordered(tx: &mut Tx, tenant: Uuid, row: &SubscriptionRow) -> Result<()> {
    if row.status != SubscriptionStatus::Pending.as_str() {
        return Ok(());
    }
    match rows::standing_of(tx, tenant, row.id).await? {
        Some(order) => Err(ServiceError::conflict(
            "order-stands",
            format!("the subscription was ordered and is not in service yet; take {} back instead", OrderId(order.id)),
        )),
        None => Ok(()),
    }
}

/// Makes sure that the order of a subscription which is about to be in service is paid; one without an order passes.
pub(crate) async fn paid_before_service(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    subscription: Uuid,
) -> Result<()> {
    let Some(order) = rows::standing_of(tx, tenant.0, subscription).await? else { return Ok(()) };
    let account = money_of(tx, tenant.0, order.contract_id).await?.funds_account_id;
    credit::lock(tx, tenant.0, vec![account]).await?;
    reserve_waiting(altyn, tx, tenant, now, vec![order.contract_id]).await?;
    let order = rows::standing_of(tx, tenant.0, subscription).await?;
    let Some(order) = order.filter(|order| order.status == OrderStatus::Opened.as_str()) else { return Ok(()) };
    let available = money_of(tx, tenant.0, order.contract_id).await?.available_minor;
    let currency = stored("orders.currency", &order.currency)?;
    let (needed, there) = (Money::new(order.amount_minor, currency), Money::new(available, currency));
    let id = OrderId(order.id);
    let message = format!("{id} is not paid: {needed} is needed, {there} is there; pay, or take the order back");
    Err(ServiceError::conflict("order-unpaid", message))
}

impl Altyn {
    /// Ends an order whose subscription never began, frees what is reserved, and lets other orders have it. The contract's
    /// funds are locked.
    #[expect(clippy::too_many_arguments, reason = "an order, its subscription, and how and by whom they end")]
    pub(super) async fn order_withdraw(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        now: DateTime<Utc>,
        order: &OrderRow,
        subscription: &SubscriptionRow,
        status: OrderStatus,
        by: &str,
    ) -> Result<()> {
        if !rows::subscription_end(tx, tenant.0, subscription.id, subscription.version).await? {
            return Err(ServiceError::Stale);
        }
        let on = today(&money_of(tx, tenant.0, order.contract_id).await?, now)?;
        let cause = if status == OrderStatus::Expired { "order-expired" } else { "order-cancelled" };
        let transition = Rows::new()
            .with("id", vec![self.ids.next()])
            .with("subscription_id", vec![subscription.id])
            .with("from_status", vec![subscription.status.clone()])
            .with("to_status", vec![SubscriptionStatus::Cancelled.as_str().to_owned()])
            .with("cause", vec![cause.to_owned()])
            .with("business_on", vec![on])
            .with("operation_id", vec![None::<Uuid>]);
        lives::transitions_insert(tx, tenant.0, now, &transition).await?;
        self.order_end(tx, tenant, now, order, status, by).await?;
        reserve_waiting(self, tx, tenant, now, vec![order.contract_id]).await?;
        // What may be spent went up: a block of the credit control may have lost its reason.
        unblock(tx, tenant, now, vec![order.contract_id]).await?;
        Ok(())
    }

    /// Ends an order that stands, and frees what is reserved for it. The contract's funds are locked.
    async fn order_end(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        now: DateTime<Utc>,
        order: &OrderRow,
        status: OrderStatus,
        by: &str,
    ) -> Result<()> {
        if !rows::end(tx, tenant.0, order, status.as_str(), now, by).await? {
            return Err(ServiceError::Stale);
        }
        let on = today(&money_of(tx, tenant.0, order.contract_id).await?, now)?;
        if let Some(posting) = releasing(order, on, status.as_str())? {
            post_all(tx, &*self.ids, tenant, now, &[posting]).await?;
        }
        let kind = if status == OrderStatus::Expired { "order.expired" } else { "order.cancelled" };
        self.order_tell(tx, tenant.0, kind, order, now).await
    }

    /// Takes back an order that nobody paid for in time; one that was paid or has ended stays as it is.
    pub(crate) async fn order_expire(&self, tenant: TenantId, id: OrderId) -> Result<()> {
        let mut attempt = 1;
        loop {
            match self.order_expire_try(tenant, id).await {
                Err(ServiceError::Store(error)) if attempt < ATTEMPTS && error.is_race() => attempt += 1,
                // Somebody moved the order or its subscription between the reading and the writing.
                Err(ServiceError::Stale) if attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    async fn order_expire_try(&self, tenant: TenantId, id: OrderId) -> Result<()> {
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        let (mut order, mut subscription) = self.order_locked(&mut tx, tenant.0, id).await?;
        let opened = OrderStatus::Opened.as_str();
        let Some(at) = order.expires_at.filter(|_| order.status == opened) else { return Ok(()) };
        let now = self.clock.now().max(at);
        // Money may be there that nobody looked at: a limit that was raised, a credit.
        if reserve_waiting(self, &mut tx, tenant, now, vec![order.contract_id]).await? > 0 {
            (order, subscription) = self.order_locked(&mut tx, tenant.0, id).await?;
        }
        if order.status == opened {
            let expired = OrderStatus::Expired;
            self.order_withdraw(&mut tx, tenant, now, &order, &subscription, expired, BY_ITSELF).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The orders at the close of a day: those whose subscription has ended are taken back, those that can be paid are, and
    /// those that waited long enough go. Doing it again changes nothing; a tenant without standing orders is asked three times.
    pub(crate) async fn orders_day_close(&self, tenant: TenantId) -> Result<()> {
        let scope = Scope::Tenant(tenant.0);
        loop {
            let mut tx = self.db.read(scope).await?;
            tx.prefer_indexes().await?;
            let orphaned = rows::orphaned(&mut tx, tenant.0, TOGETHER).await?;
            drop(tx);
            if orphaned.is_empty() {
                break;
            }
            for order in orphaned {
                let mut tx = self.db.write(scope).await?;
                let (order, _) = self.order_locked(&mut tx, tenant.0, OrderId(order.id)).await?;
                if stored::<OrderStatus>("orders.status", &order.status)?.is_standing() {
                    let now = self.clock.now();
                    self.order_end(&mut tx, tenant, now, &order, OrderStatus::Cancelled, BY_ITSELF).await?;
                }
                tx.commit().await?;
            }
        }
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.db.read(scope).await?;
            tx.prefer_indexes().await?;
            let waiting = rows::waiting_contracts(&mut tx, tenant.0, after, TOGETHER).await?;
            let Some((last, _)) = waiting.last().copied() else { break };
            let monies = credit::money_of(&mut tx, tenant.0, waiting.iter().map(|(id, _)| *id).collect()).await?;
            drop(tx);
            after = last;
            let least: HashMap<Uuid, i64> = waiting.into_iter().collect();
            let payable = |money: &&MoneyRow| {
                let least = least.get(&money.contract_id).copied().unwrap_or(i64::MAX);
                least == 0 || money.available_minor >= least || money.kind == ContractKind::Postpaid.as_str()
            };
            let (contracts, accounts): (Vec<Uuid>, Vec<Uuid>) =
                monies.iter().filter(payable).map(|money| (money.contract_id, money.funds_account_id)).unzip();
            if contracts.is_empty() {
                continue;
            }
            let mut tx = self.db.write(scope).await?;
            credit::lock(&mut tx, tenant.0, accounts).await?;
            reserve_waiting(self, &mut tx, tenant, self.clock.now(), contracts).await?;
            tx.commit().await?;
        }
        loop {
            let mut tx = self.db.read(scope).await?;
            let expired = rows::expired(&mut tx, tenant.0, self.clock.now(), TOGETHER).await?;
            drop(tx);
            if expired.is_empty() {
                return Ok(());
            }
            for id in expired {
                self.order_expire(tenant, OrderId(id)).await?;
            }
        }
    }
}
