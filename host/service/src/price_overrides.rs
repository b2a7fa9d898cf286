//! Price overrides: what single contracts, or single subscriptions of them, pay for a component instead of the plan's price.
//!
//! Owns how overrides are set, shown and removed, and how they are read for many contracts at once. Which of them holds for a
//! period is the domain's decision. Invariants: of one component no two overrides of one contract, or of one subscription, hold
//! on the same day; an override is never edited, and one that is removed keeps its row and changes nothing that was billed.

use std::collections::HashMap;

use altyn_domain::{
    catalogue::ComponentKind,
    id::{ContractId, Id as _, PlanId, PriceOverrideId, SubscriptionId},
    money::Money,
    price_override::{PriceOverride, overlap},
};
use altyn_store::{
    Tx, catalogue, contracts, price_overrides as rows, price_overrides::PriceOverrideRow, subscriptions,
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
};

/// The most overrides of one contract that stand.
const MOST: usize = 10_000;

/// A new price of a contract, or of one of its subscriptions. The plan is named by its id or by its code.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPriceOverride {
    /// The contract, with all its subscriptions; or leave it out and name a subscription.
    #[serde(default)]
    pub contract_id: Option<ContractId>,
    /// The subscription; its price goes before that of the whole contract.
    #[serde(default)]
    pub subscription_id: Option<SubscriptionId>,
    /// The plan, by its id; it holds in every version of it.
    #[serde(default)]
    pub plan_id: Option<PlanId>,
    /// The plan, by its code.
    #[serde(default)]
    pub plan_code: Option<String>,
    /// Code of the component; one that is not metered.
    pub component: String,
    /// Price per unit and whole period, minor units of the contract's currency, on the side of the tax that the plan states
    /// prices on.
    pub unit_price_minor: i64,
    /// The first day on which a period may begin that it holds for.
    pub from: NaiveDate,
    /// The day after the last one; for ever when absent.
    #[serde(default)]
    pub until: Option<NaiveDate>,
    /// Why, up to 500 characters.
    pub comment: String,
}

/// The removal of an override.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovePriceOverride {
    /// Why, up to 500 characters.
    pub comment: String,
}

/// A price of a contract.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PriceOverrideView {
    /// Its id.
    pub id: PriceOverrideId,
    /// The contract that pays.
    pub contract_id: ContractId,
    /// The subscription, when it is for one only.
    pub subscription_id: Option<SubscriptionId>,
    /// The plan.
    pub plan_id: PlanId,
    /// Code of the component.
    pub component: String,
    /// Price per unit and whole period, minor units.
    pub unit_price_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// The first day on which a period may begin that it holds for.
    pub from: NaiveDate,
    /// The day after the last one.
    pub until: Option<NaiveDate>,
    /// Why.
    pub comment: String,
    /// The credential that set it.
    pub set_by: String,
    /// When it was set.
    pub created_at: DateTime<Utc>,
    /// When it was removed.
    pub removed_at: Option<DateTime<Utc>>,
    /// The credential that removed it.
    pub removed_by: Option<String>,
    /// Why it was removed.
    pub remove_comment: Option<String>,
    /// Version of the object.
    pub version: i64,
}

/// Which overrides a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PriceOverrideFilter {
    /// Only those of this contract and its subscriptions.
    pub contract_id: Option<ContractId>,
    /// Only those that were not removed.
    pub standing: Option<bool>,
}

/// What contracts pay instead of their plans' prices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prices(HashMap<Uuid, OfContract>);

#[derive(Clone, Debug, Default)]
struct OfContract {
    whole: Vec<PriceOverride>,
    single: HashMap<Uuid, Vec<PriceOverride>>,
}

impl Prices {
    /// What a subscription of a contract pays, its own prices before the contract's.
    pub(crate) fn of(&self, contract: Uuid, subscription: Uuid) -> Vec<PriceOverride> {
        let Some(of) = self.0.get(&contract) else { return Vec::new() };
        let single = of.single.get(&subscription).into_iter().flatten();
        single.chain(&of.whole).cloned().collect()
    }
}

/// Reads what these contracts pay, in one statement.
pub(crate) async fn prices_of(tx: &mut Tx, tenant: Uuid, contracts: Vec<Uuid>) -> Result<Prices> {
    let mut prices = Prices::default();
    for row in rows::of_contracts(tx, tenant, contracts).await? {
        let currency = stored("contracts.currency", &row.currency)?;
        let price = PriceOverride {
            plan: PlanId(row.plan_id),
            component: row.component,
            unit_price: Money::new(row.unit_price_minor, currency),
            from: row.from_on,
            until: row.until_on,
        };
        let of = prices.0.entry(row.contract_id).or_default();
        match row.subscription_id {
            Some(subscription) => of.single.entry(subscription).or_default().push(price),
            None => of.whole.push(price),
        }
    }
    Ok(prices)
}

fn view(row: PriceOverrideRow) -> PriceOverrideView {
    PriceOverrideView {
        id: PriceOverrideId(row.id),
        contract_id: ContractId(row.contract_id),
        subscription_id: row.subscription_id.map(SubscriptionId),
        plan_id: PlanId(row.plan_id),
        component: row.component,
        unit_price_minor: row.unit_price_minor,
        currency: row.currency,
        from: row.from_on,
        until: row.until_on,
        comment: row.comment,
        set_by: row.set_by,
        created_at: row.created_at,
        removed_at: row.removed_at,
        removed_by: row.removed_by,
        remove_comment: row.remove_comment,
        version: row.version,
    }
}

/// The contract that is named, by itself or by its subscription.
async fn contract_named(tx: &mut Tx, tenant: Uuid, command: &SetPriceOverride, fields: &mut Fields) -> Result<Uuid> {
    match (command.contract_id, command.subscription_id) {
        (Some(contract), None) => Ok(contract.uuid()),
        (None, Some(subscription)) => {
            let found = subscriptions::find(tx, tenant, subscription.uuid()).await?;
            if found.is_none() {
                fields.refuse("/subscription_id", "there is no such subscription");
            }
            Ok(found.map_or(Uuid::nil(), |row| row.contract_id))
        }
        _ => {
            fields.refuse("/contract_id", "name either contract_id or subscription_id");
            Ok(Uuid::nil())
        }
    }
}

/// The plan that is named, when it has such a component in the currency.
async fn plan_named(
    tx: &mut Tx,
    tenant: Uuid,
    command: &SetPriceOverride,
    currency: Option<&str>,
    fields: &mut Fields,
) -> Result<Uuid> {
    let (pointer, plan) = match (command.plan_id, &command.plan_code) {
        (Some(id), None) => ("/plan_id", catalogue::plan_find(tx, tenant, id.uuid()).await?),
        (None, Some(code)) => ("/plan_code", catalogue::plans_by_code(tx, tenant, vec![code.clone()]).await?.pop()),
        _ => {
            fields.refuse("/plan_id", "name the plan by plan_id or by plan_code, one of them");
            return Ok(Uuid::nil());
        }
    };
    let Some(plan) = plan else {
        fields.refuse(pointer, "there is no such plan");
        return Ok(Uuid::nil());
    };
    let versions = catalogue::versions_of(tx, tenant, vec![plan.id]).await?;
    let fitting = versions.iter().filter(|version| currency.is_none_or(|currency| version.currency == currency));
    let ids: Vec<Uuid> = fitting.map(|version| version.id).collect();
    if ids.is_empty() {
        fields.refuse(pointer, "the plan is priced in another currency than the contract's");
        return Ok(plan.id);
    }
    let components = catalogue::components_of(tx, tenant, ids).await?;
    let mut named = components.iter().filter(|component| component.code == command.component).peekable();
    if named.peek().is_none() {
        fields.refuse("/component", format!("plan {} has no such component", plan.code));
    } else if named.any(|component| component.kind == ComponentKind::Metered.as_str()) {
        fields.refuse("/component", "is metered: its price is in tiers, which a plan version of its own states");
    }
    Ok(plan.id)
}

impl Altyn {
    /// Gives a contract, or one of its subscriptions, a price of its own; it holds for periods that begin within its days.
    pub async fn price_override_set(
        &self,
        request: &Request,
        command: SetPriceOverride,
    ) -> Result<Reply<PriceOverrideView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let mut fields = Fields::default();
        fields.text("/comment", &command.comment, 500);
        if command.unit_price_minor < 0 {
            fields.refuse("/unit_price_minor", "must be zero or more");
        }
        if command.until.is_some_and(|until| until <= command.from) {
            fields.refuse("/until", format!("must be after {}, the first day", command.from));
        }
        let contract = contract_named(&mut work.tx, tenant, &command, &mut fields).await?;
        // The contract's row is the lock: whoever moves its version compares with all that was set before.
        let locked = rows::lock(&mut work.tx, tenant, contract).await?;
        let found = contracts::find(&mut work.tx, tenant, contract).await?;
        if !locked && command.contract_id.is_some() && command.subscription_id.is_none() {
            fields.refuse("/contract_id", "there is no such contract");
        }
        let currency = found.as_ref().map(|found| found.contract.currency.clone());
        let plan = plan_named(&mut work.tx, tenant, &command, currency.as_deref(), &mut fields).await?;
        fields.finish()?;
        let currency = currency.ok_or(ServiceError::NotFound("contract"))?;
        let standing = rows::of_contracts(&mut work.tx, tenant, vec![contract]).await?;
        let single = command.subscription_id.map(SubscriptionId::uuid);
        let days = (command.from, command.until);
        let same = |row: &&PriceOverrideRow| {
            (row.subscription_id, row.plan_id, row.component.as_str()) == (single, plan, command.component.as_str())
        };
        if let Some(row) = standing.iter().filter(same).find(|row| overlap((row.from_on, row.until_on), days)) {
            let until = row.until_on.map_or_else(|| "on".to_owned(), |until| format!("to {until}"));
            return Err(ServiceError::conflict(
                "price-override-overlaps",
                format!(
                    "{} holds from {} {until}; remove it, or choose other days",
                    PriceOverrideId(row.id),
                    row.from_on
                ),
            ));
        }
        if standing.len() >= MOST {
            return Err(ServiceError::conflict(
                "too-many-price-overrides",
                format!("the contract has {MOST} prices of its own; make a plan for it"),
            ));
        }
        let row = PriceOverrideRow {
            id: self.ids.next(),
            contract_id: contract,
            subscription_id: single,
            plan_id: plan,
            component: command.component,
            unit_price_minor: command.unit_price_minor,
            currency,
            from_on: command.from,
            until_on: command.until,
            comment: command.comment.trim().to_owned(),
            set_by: request.credential.clone(),
            created_at: work.now,
            removed_at: None,
            removed_by: None,
            remove_comment: None,
            version: 1,
        };
        rows::insert(&mut work.tx, tenant, &row).await?;
        work.finish(201, view(row)).await
    }

    /// Removes a price of a contract: periods that are not charged yet cost what the plan says. What was billed stays billed.
    pub async fn price_override_remove(
        &self,
        request: &Request,
        id: PriceOverrideId,
        command: RemovePriceOverride,
    ) -> Result<Reply<PriceOverrideView>> {
        let mut fields = Fields::default();
        fields.text("/comment", &command.comment, 500);
        fields.finish()?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let absent = || ServiceError::NotFound("price override");
        let row = rows::find(&mut work.tx, tenant, id.uuid()).await?.ok_or_else(absent)?;
        rows::lock(&mut work.tx, tenant, row.contract_id).await?;
        let comment = command.comment.trim();
        if !rows::remove(&mut work.tx, tenant, row.id, work.now, &request.credential, comment).await? {
            return Err(ServiceError::conflict(
                "price-override-removed",
                "the price was removed before; there is nothing to remove",
            ));
        }
        let row = rows::find(&mut work.tx, tenant, id.uuid()).await?.ok_or_else(absent)?;
        work.finish(200, view(row)).await
    }

    /// One price of a contract.
    pub async fn price_override_get(&self, request: &Request, id: PriceOverrideId) -> Result<PriceOverrideView> {
        let mut tx = self.read(request).await?;
        let row = rows::find(&mut tx, request.tenant.0, id.uuid()).await?;
        Ok(view(row.ok_or(ServiceError::NotFound("price override"))?))
    }

    /// A page of prices of contracts with those that were removed, oldest first.
    pub async fn price_override_list(
        &self,
        request: &Request,
        filter: PriceOverrideFilter,
        page: &Page,
    ) -> Result<Listed<PriceOverrideView>> {
        let (limit, after) = page.bounds::<PriceOverrideId>()?;
        let contract = filter.contract_id.map(ContractId::uuid);
        let standing = filter.standing.unwrap_or(false);
        let mut tx = self.read(request).await?;
        let found = rows::list(&mut tx, request.tenant.0, contract, standing, after, limit).await?;
        Ok(page.listed(found, |row| PriceOverrideId(row.id).to_string(), view))
    }
}
