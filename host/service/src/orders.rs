//! Orders: a subscription that is paid for before it is in service.
//!
//! Owns placing an order with its preview, taking it back, and for how long one waits for money; what becomes of the money
//! is in [`money`]. The first period is priced as its run will do it (see [`crate::runs`]); what is charged in the end is
//! decided by that run, and the rest of what was reserved stays with the contract. Invariants: the ledger's account of a
//! contract's reserved money is the sum of its paid orders after every transaction; a subscription in service has no order
//! that waits.

pub(crate) mod money;

use altyn_domain::{
    calendar::Period,
    calendar::{instant_of, local_date, next_day},
    charge::{ChargeKind, ChargeStatus},
    id::{ComponentId, ContractId, Id as _, OrderId, PlanVersionId, SubscriptionId},
    money::{Currency, Money},
    order::{OrderStatus, Waiting, expires_on, reserve},
    run::{PlanLine, PluginPin},
};
use altyn_store::{
    Tx, changes, changes::ContractFactsRow, credit, credit::MoneyRow, jobs, orders as rows, orders::OrderRow, runs,
    subscriptions, subscriptions::SubscriptionRow,
};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    changes::PostingEffect,
    context::{Altyn, Begun, Reply, Request},
    error::{FieldError, Result, ServiceError, stored},
    evidence::sha256,
    funds::ATTEMPTS,
    ledger::post_all,
    page::{Listed, Page},
    promises::{money_of, out_of_range},
    subscriptions::{CreateSubscription, duplicate},
};

pub(crate) use money::refuse_while_ordered;

/// The kind of the job that takes back an order which nobody paid for.
pub(crate) const ORDER_EXPIRE_JOB: &str = "order-expire";

/// An order of a subscription.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// What is ordered. It waits until it is activated; `starts_on` is when that is expected, and its first period is priced
    /// as if it began then.
    pub subscription: CreateSubscription,
    /// The hash that the preview answered: another outcome is refused then. Absent, the order is placed as things stand.
    pub plan_hash: Option<String>,
}

/// A line of the first period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderLineView {
    /// The component.
    pub component_id: ComponentId,
    /// What it is for.
    pub kind: ChargeKind,
    /// Name on documents.
    pub title: String,
    /// How many units, decimal.
    pub quantity: String,
    /// The full period.
    pub period: Period,
    /// The part of it that is charged.
    pub used: Period,
    /// Without tax, minor units.
    pub net_minor: i64,
    /// The tax.
    pub tax_minor: i64,
    /// With tax.
    pub gross_minor: i64,
    /// The part that is taken in advance, and so reserved.
    pub prepaid_minor: i64,
    /// Code of the tax treatment.
    pub tax_code: String,
    /// Rate in per cent; none when the line is not taxed.
    pub tax_rate: Option<String>,
    /// How the amount came about.
    pub explanation: String,
}

/// What placing an order does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderEffects {
    /// The contract that pays.
    pub contract_id: ContractId,
    /// The plan version that is sold.
    pub plan_version_id: PlanVersionId,
    /// When the service is expected to begin.
    pub starts_on: NaiveDate,
    /// ISO 4217 code.
    pub currency: String,
    /// What the first period consists of.
    pub lines: Vec<OrderLineView>,
    /// What it costs, with tax, minor units.
    pub gross_minor: i64,
    /// What of it is taken in advance, and so is reserved.
    pub amount_minor: i64,
    /// `blocked` when the money is there and is reserved at once, `opened` when the order waits for it.
    pub status: OrderStatus,
    /// The last day on which it waits.
    pub expires_on: Option<NaiveDate>,
    /// The postings.
    pub postings: Vec<PostingEffect>,
    /// The plugins that priced it, in the order of their worlds.
    pub plugins: Vec<PluginPin>,
}

/// What an order would do, and the hash to place exactly that.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderPreview {
    /// SHA-256 over the effects, 64 hexadecimal digits.
    pub plan_hash: String,
    /// The effects.
    pub effects: OrderEffects,
    /// What the contract may spend now, minor units.
    pub available_minor: i64,
}

/// An order.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderView {
    /// Its id.
    pub id: OrderId,
    /// The contract that pays.
    pub contract_id: ContractId,
    /// The subscription that was ordered.
    pub subscription_id: SubscriptionId,
    /// Where it stands.
    pub status: OrderStatus,
    /// How far its charges have come: `opened` while they wait for money, `blocked` when it is reserved, `refunded` when it
    /// was given back. Once the order is `closed` the charges themselves tell.
    pub charge_status: ChargeStatus,
    /// ISO 4217 code.
    pub currency: String,
    /// What is reserved, minor units.
    pub amount_minor: i64,
    /// What the first period costs, with tax.
    pub gross_minor: i64,
    /// What it consists of, as it was priced when it was ordered.
    pub lines: Vec<OrderLineView>,
    /// The day on which it was made.
    pub ordered_on: NaiveDate,
    /// When it was made.
    pub ordered_at: DateTime<Utc>,
    /// The credential that made it.
    pub ordered_by: String,
    /// The last day on which it waits for money; none for ever, or when it was paid at once.
    pub expires_on: Option<NaiveDate>,
    /// When its money was reserved.
    pub paid_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The credential that ended it; `run` when its first period was charged.
    pub ended_by: Option<String>,
    /// Version of the object.
    pub version: i64,
}

/// Which orders a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrderFilter {
    /// Only those of this contract.
    pub contract_id: Option<ContractId>,
    /// Only those in this status.
    pub status: Option<OrderStatus>,
}

/// For how long orders wait for money.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetOrderPolicy {
    /// After how many days an order that nobody paid for is taken back, 0 to 366; never when absent.
    pub cancel_unpaid_days: Option<i32>,
}

/// For how long orders wait for money.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderPolicyView {
    /// After how many days an order that nobody paid for is taken back.
    pub cancel_unpaid_days: Option<i32>,
    /// Version, for `If-Match`; 0 while nothing was set.
    pub version: i64,
    /// When it changed last.
    pub updated_at: Option<DateTime<Utc>>,
}

fn view(row: OrderRow) -> Result<OrderView> {
    let status: OrderStatus = stored("orders.status", &row.status)?;
    let lines = serde_json::from_str(&row.lines);
    Ok(OrderView {
        id: OrderId(row.id),
        contract_id: ContractId(row.contract_id),
        subscription_id: SubscriptionId(row.subscription_id),
        status,
        charge_status: status.charges(row.paid_at.is_some()),
        currency: row.currency,
        amount_minor: row.amount_minor,
        gross_minor: row.gross_minor,
        lines: lines.map_err(|error| ServiceError::Internal(format!("the lines of an order do not read: {error}")))?,
        ordered_on: row.ordered_on,
        ordered_at: row.ordered_at,
        ordered_by: row.ordered_by,
        expires_on: row.expires_on,
        paid_at: row.paid_at,
        ended_at: row.ended_at,
        ended_by: row.ended_by,
        version: row.version,
    })
}

fn policy_view(row: Option<rows::OrderPolicyRow>) -> OrderPolicyView {
    OrderPolicyView {
        cancel_unpaid_days: row.as_ref().and_then(|row| row.cancel_unpaid_days),
        version: row.as_ref().map_or(0, |row| row.version),
        updated_at: row.map(|row| row.updated_at),
    }
}

fn line_view((line, quantity): (&PlanLine, &String)) -> Result<OrderLineView> {
    Ok(OrderLineView {
        component_id: line.component,
        kind: line.kind,
        title: line.title.clone(),
        quantity: quantity.clone(),
        period: line.period,
        used: line.used,
        net_minor: line.net.minor,
        tax_minor: line.tax.minor,
        gross_minor: line.gross.minor,
        prepaid_minor: line.prepaid().map_err(out_of_range)?.minor,
        tax_code: line.tax_code.clone(),
        tax_rate: line.tax_rate.map(|rate| rate.normalize().to_string()),
        explanation: line.proration_explanation.clone(),
    })
}

/// An order that is priced and not placed.
struct Draft {
    row: SubscriptionRow,
    contract: ContractFactsRow,
    currency: Currency,
    lines: Vec<OrderLineView>,
    gross_minor: i64,
    amount: Money,
    plugins: Vec<PluginPin>,
    cancel_unpaid_days: Option<u32>,
}

fn hash_of(effects: &OrderEffects) -> Result<String> {
    // Fields are written in the order of their declaration, so equal effects have equal texts.
    Ok(hex::encode(sha256(&serde_json::to_vec(effects).map_err(out_of_range)?)))
}

/// A refused field of the subscription stands below it in the order.
fn within(error: ServiceError) -> ServiceError {
    match error {
        ServiceError::Invalid(fields) => ServiceError::Invalid(
            fields
                .into_iter()
                .map(|field| FieldError { pointer: format!("/subscription{}", field.pointer), ..field })
                .collect(),
        ),
        other => other,
    }
}

impl Draft {
    /// What placing it does with the money that is there.
    fn effects(&self, money: &MoneyRow, now: DateTime<Utc>) -> Result<OrderEffects> {
        let available = Money::new(money.available_minor, self.currency);
        let waiting = [Waiting { id: OrderId(Uuid::nil()), amount: self.amount }];
        let paid = reserve(&waiting, stored("contracts.kind", &money.kind)?, available).map_err(out_of_range)?;
        let today = self.today(now)?;
        let (status, expires) = match self.cancel_unpaid_days {
            _ if !paid.is_empty() => (OrderStatus::Blocked, None),
            None => (OrderStatus::Opened, None),
            Some(days) => (OrderStatus::Opened, expires_on(today, days)),
        };
        let mut postings = Vec::new();
        if status == OrderStatus::Blocked && !self.amount.is_zero() {
            let posting = money::blocking(OrderId(Uuid::nil()), ContractId(self.contract.id), self.amount, today)?;
            postings.push(PostingEffect { kind: posting.kind, entries: posting.entries });
        }
        Ok(OrderEffects {
            contract_id: ContractId(self.contract.id),
            plan_version_id: PlanVersionId(self.row.plan_version_id),
            starts_on: self.row.starts_on,
            currency: self.currency.code().to_owned(),
            lines: self.lines.clone(),
            gross_minor: self.gross_minor,
            amount_minor: self.amount.minor,
            status,
            expires_on: expires,
            postings,
            plugins: self.plugins.clone(),
        })
    }

    fn today(&self, now: DateTime<Utc>) -> Result<NaiveDate> {
        Ok(local_date(now, stored::<Tz>("contracts.zone", &self.contract.zone)?))
    }
}

impl Altyn {
    /// Shows what an order would do: what its first period costs, whether the money is there, and the postings.
    pub async fn order_preview(&self, request: &Request, command: PlaceOrder) -> Result<OrderPreview> {
        let draft = Box::pin(self.order_draft(request, command.subscription)).await?;
        let mut tx = self.read(request).await?;
        let money = money_of(&mut tx, request.tenant.0, draft.contract.id).await?;
        let effects = draft.effects(&money, self.clock.now())?;
        Ok(OrderPreview { plan_hash: hash_of(&effects)?, effects, available_minor: money.available_minor })
    }

    /// Orders a subscription. When the contract may spend what its first period costs in advance, that is reserved at once;
    /// else the order waits for the money.
    pub async fn order_place(&self, request: &Request, command: PlaceOrder) -> Result<Reply<OrderView>> {
        let hash = command.plan_hash;
        // Boxed, like the saving below: whoever calls would carry the room for a whole computation.
        let draft = match Box::pin(self.order_draft(request, command.subscription)).await {
            Ok(draft) => draft,
            // What was placed by this very request, sent again, cannot be drafted once more.
            Err(error) => {
                return match self.begin(request).await? {
                    Begun::Replay(reply) => Ok(reply),
                    Begun::Work(_) => Err(error),
                };
            }
        };
        let mut attempt = 1;
        loop {
            match Box::pin(self.order_save(request, &draft, hash.as_deref())).await {
                Err(ServiceError::Store(error)) if attempt < ATTEMPTS && error.is_race() => attempt += 1,
                other => return other,
            }
        }
    }

    /// Checks and prices an order.
    async fn order_draft(&self, request: &Request, command: CreateSubscription) -> Result<Draft> {
        if command.pending == Some(false) {
            let message =
                "is ordered, so it waits until it is activated; leave this out, or subscribe without an order";
            return Err(ServiceError::invalid("/subscription/pending", message));
        }
        let command = CreateSubscription { pending: Some(true), ..command };
        let (tenant, now) = (request.tenant.0, self.clock.now());
        let mut tx = self.read(request).await?;
        let row = self.subscription_row(&mut tx, request, now, command).await.map_err(within)?;
        let contract = changes::contract_facts(&mut tx, tenant, row.contract_id).await?;
        let contract = contract.ok_or(ServiceError::NotFound("contract"))?;
        let policy = rows::policy_find(&mut tx, tenant).await?;
        drop(tx);
        let quote = self.quote(request.tenant, &row, &contract).await?;
        Ok(Draft {
            currency: stored("contracts.currency", &contract.currency)?,
            lines: quote.lines().map(line_view).collect::<Result<_>>()?,
            gross_minor: quote.plan.totals.gross.minor,
            amount: quote.plan.prepaid().map_err(out_of_range)?,
            plugins: quote.plan.plugins,
            cancel_unpaid_days: policy
                .and_then(|policy| policy.cancel_unpaid_days)
                .and_then(|days| u32::try_from(days).ok()),
            row,
            contract,
        })
    }

    async fn order_save(&self, request: &Request, draft: &Draft, hash: Option<&str>) -> Result<Reply<OrderView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, now, tx) = (request.tenant, work.now, &mut work.tx);
        let account = money_of(tx, tenant.0, draft.contract.id).await?.funds_account_id;
        credit::lock(tx, tenant.0, vec![account]).await?;
        let money = money_of(tx, tenant.0, draft.contract.id).await?;
        let effects = draft.effects(&money, now)?;
        if let Some(seen) = hash
            && hash_of(&effects)? != seen
        {
            return Err(moved(&effects, money.available_minor));
        }
        let inserted = subscriptions::insert_all(tx, tenant.0, now, std::slice::from_ref(&draft.row)).await;
        inserted.map_err(duplicate).map_err(within)?;
        let today = draft.today(now)?;
        let zone: Tz = stored("contracts.zone", &draft.contract.zone)?;
        let expires_at = effects.expires_on.map(|day| {
            let next = next_day(day).map_err(out_of_range)?;
            Ok::<_, ServiceError>(instant_of(next, NaiveTime::MIN, zone))
        });
        let paid = effects.status == OrderStatus::Blocked;
        let row = OrderRow {
            id: self.ids.next(),
            contract_id: draft.contract.id,
            subscription_id: draft.row.id,
            status: effects.status.as_str().to_owned(),
            currency: effects.currency,
            amount_minor: draft.amount.minor,
            gross_minor: draft.gross_minor,
            lines: serde_json::to_string(&draft.lines).map_err(out_of_range)?,
            ordered_on: today,
            ordered_at: now,
            ordered_by: request.credential.clone(),
            expires_on: effects.expires_on,
            expires_at: expires_at.transpose()?,
            paid_at: paid.then_some(now),
            ended_at: None,
            ended_by: None,
            version: 1,
        };
        rows::insert(tx, tenant.0, &row).await?;
        let id = OrderId(row.id);
        if paid && !draft.amount.is_zero() {
            let posting = money::blocking(id, ContractId(row.contract_id), draft.amount, today)?;
            post_all(tx, &*self.ids, tenant, now, &[posting]).await?;
        }
        if let Some(at) = row.expires_at {
            let key = id.to_string();
            jobs::put(tx, tenant.0, self.ids.next(), ORDER_EXPIRE_JOB, &key, &key, at, now).await?;
        }
        self.order_tell(tx, tenant.0, "order.placed", &row, now).await?;
        if paid {
            self.order_tell(tx, tenant.0, "order.paid", &row, now).await?;
        }
        let view = view(row)?;
        work.finish(201, view).await
    }

    /// Tells the world of an order: one event in the outbox.
    async fn order_tell(
        &self,
        tx: &mut Tx,
        tenant: Uuid,
        kind: &str,
        order: &OrderRow,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let id = OrderId(order.id);
        let event = serde_json::json!({
            "order": id,
            "contract": ContractId(order.contract_id),
            "subscription": SubscriptionId(order.subscription_id),
            "amount_minor": order.amount_minor,
            "currency": order.currency,
        });
        let (event_id, subject) = (self.ids.next(), id.to_string());
        Ok(runs::outbox_insert(tx, tenant, event_id, kind, &subject, &event.to_string(), now).await?)
    }

    /// Takes an order back whose subscription is not in service yet: what was reserved is free again, and the subscription
    /// is cancelled.
    pub async fn order_cancel(&self, request: &Request, id: OrderId) -> Result<Reply<OrderView>> {
        let mut attempt = 1;
        loop {
            match self.order_cancel_try(request, id).await {
                Err(ServiceError::Store(error)) if attempt < ATTEMPTS && error.is_race() => attempt += 1,
                other => return other,
            }
        }
    }

    async fn order_cancel_try(&self, request: &Request, id: OrderId) -> Result<Reply<OrderView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant;
        let (order, subscription) = self.order_locked(&mut work.tx, tenant.0, id).await?;
        let status: OrderStatus = stored("orders.status", &order.status)?;
        if !status.is_standing() {
            let message = format!("the order is {status} already; there is nothing to take back");
            return Err(ServiceError::conflict("order-ended", message));
        }
        if subscription.status != altyn_domain::subscription::SubscriptionStatus::Pending.as_str() {
            let message = format!(
                "the subscription is {}; cancel that: what is reserved is charged with its first period, or free again",
                subscription.status
            );
            return Err(ServiceError::conflict("order-in-service", message));
        }
        let by = &request.credential;
        self.order_withdraw(&mut work.tx, tenant, work.now, &order, &subscription, OrderStatus::Cancelled, by).await?;
        let row = rows::find(&mut work.tx, tenant.0, id.uuid()).await?;
        let view = view(row.ok_or(ServiceError::NotFound("order"))?)?;
        work.finish(200, view).await
    }

    /// An order and its subscription, with the contract's funds locked.
    async fn order_locked(&self, tx: &mut Tx, tenant: Uuid, id: OrderId) -> Result<(OrderRow, SubscriptionRow)> {
        let found = rows::find(tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("order"))?;
        let account = money_of(tx, tenant, found.contract_id).await?.funds_account_id;
        credit::lock(tx, tenant, vec![account]).await?;
        // Again: somebody may have moved it before the lock.
        let order = rows::find(tx, tenant, id.uuid()).await?.ok_or(ServiceError::NotFound("order"))?;
        let subscription = subscriptions::find(tx, tenant, order.subscription_id).await?;
        Ok((order, subscription.ok_or_else(|| out_of_range("an order has no subscription"))?))
    }

    /// One order.
    pub async fn order_get(&self, request: &Request, id: OrderId) -> Result<OrderView> {
        let mut tx = self.read(request).await?;
        view(rows::find(&mut tx, request.tenant.0, id.uuid()).await?.ok_or(ServiceError::NotFound("order"))?)
    }

    /// A page of orders with those that have ended, oldest first.
    pub async fn order_list(&self, request: &Request, filter: OrderFilter, page: &Page) -> Result<Listed<OrderView>> {
        let (limit, after) = page.bounds::<OrderId>()?;
        let contract = filter.contract_id.map(ContractId::uuid);
        let status = filter.status.map_or("", OrderStatus::as_str);
        let mut tx = self.read(request).await?;
        let found = rows::list(&mut tx, request.tenant.0, contract, status, after, limit).await?;
        page.listed(found, |row| OrderId(row.id).to_string(), view).try_data()
    }

    /// For how long orders wait for money.
    pub async fn order_policy_get(&self, request: &Request) -> Result<OrderPolicyView> {
        let mut tx = self.read(request).await?;
        Ok(policy_view(rows::policy_find(&mut tx, request.tenant.0).await?))
    }

    /// Says for how long orders wait for money that are placed from now on.
    pub async fn order_policy_set(
        &self,
        request: &Request,
        if_match: i64,
        command: SetOrderPolicy,
    ) -> Result<Reply<OrderPolicyView>> {
        if command.cancel_unpaid_days.is_some_and(|days| !(0..=366).contains(&days)) {
            return Err(ServiceError::invalid(
                "/cancel_unpaid_days",
                "must be between 0 and 366; leave it out for never",
            ));
        }
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, days) = (request.tenant.0, command.cancel_unpaid_days);
        if !rows::policy_put(&mut work.tx, tenant, days, work.now, if_match).await? {
            return Err(ServiceError::Stale);
        }
        let view = policy_view(rows::policy_find(&mut work.tx, tenant).await?);
        work.finish(200, view).await
    }
}

/// The refusal of an order that would do something else than was seen.
fn moved(now: &OrderEffects, available_minor: i64) -> ServiceError {
    ServiceError::Conflict {
        code: "order-moved",
        message: "the order would do something else than you saw; look at a new preview and send its hash".to_owned(),
        details: vec![
            format!("now it costs {} minor units, {} of them in advance", now.gross_minor, now.amount_minor),
            format!("now the contract may spend {available_minor}, and the order is {}", now.status),
        ],
    }
}
