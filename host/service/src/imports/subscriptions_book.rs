//! Subscriptions: they go on from their next charge date, which becomes the anchor of all later periods.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, PlanStatus, PlanVersion},
    subscription::{Schedule, ShortFunds, SubscriptionStatus},
};
use altyn_store::{
    Tx, catalogue,
    catalogue::{PlanRow, PlanVersionRow},
    contracts,
    contracts::Known,
    runs, subscriptions,
    subscriptions::SubscriptionRow,
};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::{
    book::{Book, Books, Cells, EXTERNAL_ID, SYSTEM, Saved, external_key},
    plans_book::{count, plan_code},
    table::{Problem, Row},
};
use crate::{
    error::{ServiceError, stored},
    plans::version_on,
    runs::compute::plan_versions,
    subscriptions::{discount, quantity},
};

const CONTRACT: &str = "Номер договора";
const PRODUCT: &str = "Продукт";
const PERIOD: &str = "Период";
const RENEWS: &str = "Дата продления";
const QUANTITY: &str = "Количество";
const DISCOUNT: &str = "Скидка, %";

pub(super) struct SubscriptionsBook<'b> {
    books: &'b Books,
}

impl<'b> SubscriptionsBook<'b> {
    pub(super) fn new(books: &'b Books) -> Self {
        Self { books }
    }
}

/// A row that reads well.
pub(super) struct Entry {
    contract: String,
    plan: String,
    renews_on: NaiveDate,
    quantity: String,
    discount_percent: String,
    key: (String, String),
}

/// The contracts and plans that a chunk names.
struct Found {
    contracts: HashMap<String, Known>,
    plans: HashMap<String, (PlanRow, Vec<PlanVersionRow>)>,
    /// The versions with their components; one without any sells any quantity.
    versions: HashMap<Uuid, Arc<PlanVersion>>,
}

/// What an entry names.
struct Resolved {
    contract_id: Uuid,
    plan_version_id: Uuid,
    schedule: Schedule,
}

impl Found {
    async fn load(tx: &mut Tx, tenant: Uuid, entries: &[&(i64, Entry)]) -> Result<Self, ServiceError> {
        let numbers: HashSet<String> = entries.iter().map(|(_, entry)| entry.contract.clone()).collect();
        let contracts = contracts::known(tx, tenant, numbers.into_iter().collect()).await?;
        let codes: HashSet<String> = entries.iter().map(|(_, entry)| entry.plan.clone()).collect();
        let plans = catalogue::plans_by_code(tx, tenant, codes.into_iter().collect()).await?;
        let mut versions: HashMap<Uuid, Vec<PlanVersionRow>> = HashMap::new();
        for version in catalogue::versions_of(tx, tenant, plans.iter().map(|plan| plan.id).collect()).await? {
            versions.entry(version.plan_id).or_default().push(version);
        }
        let known = versions.values().flatten().map(|version| version.id).collect();
        let sold = plan_versions(runs::plan_components(tx, tenant, known).await?)?;
        Ok(Self {
            versions: sold.into_iter().collect(),
            contracts: contracts.into_iter().map(|contract| (contract.number.clone(), contract)).collect(),
            plans: plans
                .into_iter()
                .map(|plan| (plan.code.clone(), (plan.clone(), versions.remove(&plan.id).unwrap_or_default())))
                .collect(),
        })
    }

    /// What an entry names, or the column, code and message of what is wrong.
    fn resolve(&self, entry: &Entry) -> Result<Resolved, (&'static str, &'static str, String)> {
        let Some(contract) = self.contracts.get(&entry.contract) else {
            return Err((
                CONTRACT,
                "unknown-contract",
                "there is no contract with this number; import it first".into(),
            ));
        };
        let Some((plan, versions)) = self.plans.get(&entry.plan) else {
            return Err((PRODUCT, "unknown-plan", format!("there is no plan {}; import it first", entry.plan)));
        };
        // What was sold goes on, so an archived plan is good enough for a subscription that exists elsewhere.
        if stored::<PlanStatus>("plans.status", &plan.status).is_ok_and(|status| status == PlanStatus::Draft) {
            return Err((PRODUCT, "plan-not-on-sale", format!("plan {} is a draft; activate it", plan.code)));
        }
        let Some(version) = version_on(versions, entry.renews_on) else {
            return Err((PRODUCT, "plan-not-in-effect", format!("plan {} begins later", plan.code)));
        };
        if version.currency != contract.currency {
            return Err((
                PRODUCT,
                "currency-mismatch",
                format!("the plan is priced in {}, the contract is in {}", version.currency, contract.currency),
            ));
        }
        let quantity = entry.quantity.parse().unwrap_or_default();
        if let Some(Err(error)) = self.versions.get(&version.id).map(|version| version.takes(quantity)) {
            return Err((QUANTITY, "quantity-not-sold", error.to_string()));
        }
        let schedule = schedule(version, entry.renews_on, contract.signed_on)
            .map_err(|error| (RENEWS, "bad-date", error.to_string()))?;
        Ok(Resolved { contract_id: contract.id, plan_version_id: version.id, schedule })
    }
}

/// Where the periods begin of a subscription that renews on a day, by the billing day of its plan.
fn schedule(version: &PlanVersionRow, renews_on: NaiveDate, signed_on: NaiveDate) -> Result<Schedule, ServiceError> {
    let cadence: Cadence = stored("plan_versions.cadence", &version.cadence)?;
    let billing_day: BillingDay = stored("plan_versions.billing_day", &version.billing_day)?;
    let day = billing_day.day_of_month(cadence, renews_on, signed_on);
    Schedule::imported(renews_on, cadence, day).map_err(|error| ServiceError::invalid("", error.to_string()))
}

impl Book for SubscriptionsBook<'_> {
    const COLUMNS: &'static [&'static str] =
        &[CONTRACT, PRODUCT, PERIOD, RENEWS, QUANTITY, DISCOUNT, EXTERNAL_ID, SYSTEM];
    type Entry = Entry;

    fn parse(&self, row: &Row<'_>) -> Result<Entry, Vec<Problem>> {
        let mut cells = Cells::new(row);
        let contract = cells.required(CONTRACT, 100);
        let product = cells.required(PRODUCT, 60);
        let cadence = cells.parsed(PERIOD, "bad-period", str::parse::<Cadence>);
        let renews_on = cells.date(RENEWS);
        let mut number = |column, otherwise: &str, code, read: fn(&str) -> Result<String, String>| {
            let text = cells.optional(column, 40).unwrap_or_else(|| otherwise.to_owned());
            read(&text).map_err(|message| cells.refuse(column, code, message)).ok()
        };
        let quantity = number(QUANTITY, "1", "bad-quantity", quantity);
        let discount_percent = number(DISCOUNT, "0", "bad-discount", discount);
        let key = external_key(&mut cells, &self.books.options);
        cells.finish(|| {
            Some(Entry {
                contract,
                plan: plan_code(&product, cadence?),
                renews_on: renews_on?,
                quantity: quantity?,
                discount_percent: discount_percent?,
                key,
            })
        })
    }

    fn key(&self, entry: &Entry) -> (&'static str, &'static str, (String, String)) {
        (EXTERNAL_ID, "duplicate-external-id", entry.key.clone())
    }

    async fn save(&self, tx: &mut Tx, now: DateTime<Utc>, entries: &[(i64, Entry)]) -> Result<Saved, ServiceError> {
        let tenant = self.books.tenant.id;
        let keys: Vec<(String, String)> = entries.iter().map(|(_, entry)| entry.key.clone()).collect();
        let known: HashSet<(String, String)> = subscriptions::known(tx, tenant, &keys).await?.into_iter().collect();
        let fresh: Vec<&(i64, Entry)> = entries.iter().filter(|(_, entry)| !known.contains(&entry.key)).collect();
        let found = Found::load(tx, tenant, &fresh).await?;

        let mut saved = Saved { unchanged: count(entries.len() - fresh.len()), ..Saved::default() };
        let mut rows = Vec::with_capacity(fresh.len());
        for (line, entry) in fresh {
            let Resolved { contract_id, plan_version_id, schedule } = match found.resolve(entry) {
                Ok(resolved) => resolved,
                Err((column, code, message)) => {
                    saved.refused.push(Problem { row: *line, column: column.to_owned(), code, message });
                    continue;
                }
            };
            rows.push(SubscriptionRow {
                id: self.books.altyn.ids.next(),
                contract_id,
                plan_version_id,
                status: SubscriptionStatus::Active.as_str().to_owned(),
                quantity: entry.quantity.clone(),
                discount_percent: entry.discount_percent.clone(),
                anchor_on: schedule.anchor_on,
                next_index: schedule.next_index,
                starts_on: entry.renews_on,
                ends_on: None,
                next_charge_on: entry.renews_on,
                charges_left: None,
                // What is charged once was charged by the books that it comes from.
                once_due: 0,
                discount_minor: 0,
                discount_from: None,
                discount_until: None,
                manual: 0,
                documents_on_activation: 0,
                notify_on_activation: 0,
                description: None,
                short_funds: ShortFunds::Debt.as_str().to_owned(),
                retry_days: None,
                waits_from: None,
                former_zone: None,
                former_zone_until: None,
                terms_from: None,
                change_ordinal: 0,
                external_system: Some(entry.key.0.clone()),
                external_id: Some(entry.key.1.clone()),
                version: 1,
                created_at: now,
            });
        }
        saved.created = count(rows.len());
        subscriptions::insert_all(tx, tenant, now, &rows).await?;
        Ok(saved)
    }
}
