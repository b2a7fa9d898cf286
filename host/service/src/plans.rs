//! Plans: at which price and for which period something is sold.
//!
//! A plan version is never edited: a new price is a new version with its own first day. What was sold before goes on under the
//! version that it was sold with, unless the new version says from which day on existing subscribers go over to it. A private
//! plan is sold by managers; who helps himself does not see it.

mod view;

use std::collections::{HashMap, HashSet};

use altyn_domain::{
    calendar::{Cadence, local_date},
    catalogue::{
        BillingDay, Component, ComponentKind, ExistingSubscribers, PlanStatus, PlanVersion, StubPolicy, Visibility,
    },
    id::{ComponentId, Id as _, PlanId, PlanVersionId, ProductId},
    metered::MeteredTerms,
    money::{Currency, Money},
    tax::PriceMode,
};
use altyn_store::{
    StoreError, Tx, catalogue,
    catalogue::{ComponentRow, MOST_COMPONENTS, MOST_VERSIONS, PlanRow, PlanVersionRow},
    meters,
};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Authority, Begun, Reply, Request, Work},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
    products::{check_code, check_tax_category},
    tenants,
};

pub(crate) use view::metered_terms;
pub use view::{ComponentView, PlanVersionView, PlanView};
use view::{one, views};

/// A priced component of a new plan version.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateComponent {
    /// Its code, unique within the version.
    pub code: String,
    /// Name on documents.
    pub title: String,
    /// How it is charged; `recurring` when absent.
    pub kind: Option<ComponentKind>,
    /// The product whose revenue it is.
    pub product_id: ProductId,
    /// Price per unit and whole period, minor units; 0 for what is metered.
    pub unit_price_minor: i64,
    /// Tax category; the product's when absent.
    pub tax_category: Option<String>,
    /// How much of the price is taken when it falls due, per cent, 0 to 100; the rest is taken when the service was
    /// provided. 100 when absent.
    #[serde(default)]
    pub prepayment_percent: Option<u8>,
    /// Units that cost nothing, for what recurs: a decimal from 0 to 1000000; `0` when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2")]
    pub included: Option<Decimal>,
    /// The fewest units that may be taken, for what recurs; any when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "1")]
    pub min_quantity: Option<Decimal>,
    /// The most units that may be taken, for what recurs; any when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "10")]
    pub max_quantity: Option<Decimal>,
    /// What is counted and what it costs, for a component of the kind `metered`; its `unit_price_minor` is 0, and it is
    /// billed at the close of the period.
    #[serde(default)]
    pub metered: Option<MeteredTerms>,
}

/// A new version of a plan.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePlanVersion {
    /// From which day new subscriptions get it; today in the tenant's zone when absent.
    pub effective_from: Option<NaiveDate>,
    /// What becomes of the subscribers of the plan's older versions; they stay when absent. With a day, each goes over at its
    /// first renewal on or after it; the older versions must have the same currency and cadence, and schedules stay.
    #[serde(default)]
    pub existing_subscribers: Option<ExistingSubscribers>,
    /// Length of a period: `Nd` or `Nm`.
    pub cadence: Cadence,
    /// ISO 4217 code of all prices; the tenant's when absent.
    pub currency: Option<String>,
    /// Whether prices include tax.
    pub price_mode: PriceMode,
    /// On which day periods begin; `anniversary` when absent.
    pub billing_day: Option<BillingDay>,
    /// What a short first period costs; its share when absent.
    pub stub: Option<StubPolicy>,
    /// What is charged, in the order of documents.
    pub components: Vec<CreateComponent>,
}

/// A new plan with its first version.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePlan {
    /// Its code, unique within the tenant: 1 to 60 letters, digits, `-`, `_` and `.`.
    pub code: String,
    /// Its name.
    pub title: String,
    /// Whether it may be sold at once; `draft` when absent.
    pub status: Option<PlanStatus>,
    /// Who may sell it; `public` when absent.
    #[serde(default)]
    pub visibility: Option<Visibility>,
    /// The first version.
    pub version: CreatePlanVersion,
}

/// Changes to a plan; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePlan {
    /// Its name.
    pub title: Option<String>,
    /// Whether it may be sold: a draft becomes active, an active plan archived, an archived plan active again.
    pub status: Option<PlanStatus>,
    /// Who may sell it.
    #[serde(default)]
    pub visibility: Option<Visibility>,
}

/// Which plans a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlanFilter {
    /// Only those in this status.
    pub status: Option<PlanStatus>,
    /// Only those of this visibility.
    pub visibility: Option<Visibility>,
}

/// The version that subscriptions starting on a day get; none when the plan begins later.
pub(crate) fn version_on(versions: &[PlanVersionRow], day: NaiveDate) -> Option<&PlanVersionRow> {
    versions.iter().filter(|row| row.effective_from <= day).max_by_key(|row| (row.effective_from, row.ordinal))
}

/// Checks that the subscribers of older versions can go over to a new one.
fn check_existing(older: &[PlanVersionRow], added: &PlanVersionRow) -> Result<()> {
    let differs = |row: &&PlanVersionRow| row.currency != added.currency || row.cadence != added.cadence;
    match older.iter().find(differs).filter(|_| added.existing_from.is_some()) {
        Some(row) => Err(ServiceError::conflict(
            "plan-version-incompatible",
            format!(
                "subscribers of version {} pay every {} in {}, the new version is charged every {} in {}; keep them, or \
                 make a version with their period and currency",
                row.ordinal, row.cadence, row.currency, added.cadence, added.currency
            ),
        )),
        None => Ok(()),
    }
}

/// Which of the meters that components name exist.
async fn known_meters(tx: &mut Tx, tenant: Uuid, components: &[CreateComponent]) -> Result<HashSet<Uuid>> {
    let named = components.iter().filter_map(|component| component.metered.as_ref());
    let wanted: HashSet<Uuid> = named.map(|terms| terms.meter_id.uuid()).collect();
    let found = meters::by_id(tx, tenant, wanted.into_iter().collect()).await?;
    Ok(found.into_iter().map(|meter| meter.id).collect())
}

/// A checked version, ready to be written.
struct NewVersion {
    row: PlanVersionRow,
    components: Vec<ComponentRow>,
}

impl Altyn {
    /// Checks a version of a plan against the products and the domain's rules.
    async fn version_checked(
        &self,
        work: &mut Work,
        request: &Request,
        plan: Uuid,
        ordinal: i32,
        command: CreatePlanVersion,
        (mut fields, prefix): (Fields, &str),
    ) -> Result<NewVersion> {
        let (tx, now) = (&mut work.tx, work.now);
        let tenant = tenants::acting(tx, request).await?;
        let currency_text = command.currency.unwrap_or_else(|| tenant.currency.clone());
        let currency = fields.take(&format!("{prefix}/currency"), Currency::parse(&currency_text));
        let effective_from = match command.effective_from {
            Some(day) => day,
            None => local_date(now, stored("tenants.zone", &tenant.zone)?),
        };
        let existing_from = command.existing_subscribers.and_then(ExistingSubscribers::from_day);
        if let Some(day) = existing_from {
            let today = local_date(now, stored("tenants.zone", &tenant.zone)?);
            if ordinal == 1 {
                fields.refuse(
                    format!("{prefix}/existing_subscribers"),
                    "has no meaning for the first version; leave it out",
                );
            } else if day < effective_from.max(today) {
                let first = effective_from.max(today);
                let message = format!("is {first} at the earliest: not before new subscriptions get it, and not past");
                fields.refuse(format!("{prefix}/existing_subscribers"), message);
            }
        }
        if command.components.len() > MOST_COMPONENTS {
            fields.refuse(format!("{prefix}/components"), format!("at most {MOST_COMPONENTS}; make several plans"));
            fields.finish()?;
            return Err(ServiceError::Internal("too many components".into()));
        }
        let wanted: HashSet<Uuid> = command.components.iter().map(|component| component.product_id.uuid()).collect();
        let products = catalogue::products_by_id(tx, request.tenant.0, wanted.into_iter().collect()).await?;
        let category_of: HashMap<Uuid, String> =
            products.into_iter().map(|product| (product.id, product.tax_category)).collect();
        let meters = known_meters(tx, request.tenant.0, &command.components).await?;
        let version = self.ids.next();
        let mut rows = Vec::with_capacity(command.components.len());
        for (position, component) in command.components.into_iter().enumerate() {
            let at = |field: &str| format!("{prefix}/components/{position}/{field}");
            check_code(&mut fields, &at("code"), &component.code);
            fields.text(&at("title"), &component.title, 300);
            let category = component.tax_category.or_else(|| category_of.get(&component.product_id.uuid()).cloned());
            if !category_of.contains_key(&component.product_id.uuid()) {
                fields.refuse(at("product_id"), "there is no such product");
            } else if let Some(category) = &category {
                check_tax_category(&mut fields, &at("tax_category"), category);
            }
            if component.metered.as_ref().is_some_and(|terms| !meters.contains(&terms.meter_id.uuid())) {
                fields.refuse(at("metered/meter_id"), "there is no such meter");
            }
            let kind = component.kind.unwrap_or(ComponentKind::Recurring);
            let in_advance = if kind == ComponentKind::Metered { 0 } else { 100 };
            let metered = component.metered.as_ref().map(serde_json::to_string).transpose();
            rows.push(ComponentRow {
                id: self.ids.next(),
                plan_version_id: version,
                product_id: component.product_id.uuid(),
                position: i32::try_from(position).unwrap_or(i32::MAX),
                code: component.code,
                title: component.title,
                kind: kind.as_str().to_owned(),
                unit_price_minor: component.unit_price_minor,
                tax_category: category.unwrap_or_default(),
                prepayment_percent: i32::from(component.prepayment_percent.unwrap_or(in_advance)),
                included: component.included.unwrap_or_default().normalize().to_string(),
                min_quantity: component.min_quantity.map(|least| least.normalize().to_string()),
                max_quantity: component.max_quantity.map(|most| most.normalize().to_string()),
                meter_id: component.metered.as_ref().map(|terms| terms.meter_id.uuid()),
                metered: metered.map_err(|error| ServiceError::Internal(error.to_string()))?,
            });
        }
        let billing_day = command.billing_day.unwrap_or(BillingDay::Anniversary);
        let stub = command.stub.unwrap_or_default();
        if let Some(currency) = currency {
            let checked = PlanVersion {
                id: PlanVersionId(version),
                plan: PlanId(plan),
                cadence: command.cadence,
                price_mode: command.price_mode,
                billing_day,
                stub,
                components: rows
                    .iter()
                    .map(|row| Component {
                        id: ComponentId(row.id),
                        code: row.code.clone(),
                        title: row.title.clone(),
                        kind: row.kind.parse().unwrap_or(ComponentKind::Recurring),
                        unit_price: Money::new(row.unit_price_minor, currency),
                        prepayment_percent: u8::try_from(row.prepayment_percent).unwrap_or(u8::MAX),
                        tax_category: row.tax_category.clone(),
                        product: ProductId(row.product_id),
                        included: row.included.parse().unwrap_or(Decimal::NEGATIVE_ONE),
                        min_quantity: row.min_quantity.as_deref().and_then(|text| text.parse().ok()),
                        max_quantity: row.max_quantity.as_deref().and_then(|text| text.parse().ok()),
                        metered: row.metered.as_deref().and_then(|text| serde_json::from_str(text).ok()),
                    })
                    .collect(),
                successors: Vec::new(),
            };
            fields.take(&format!("{prefix}/components"), checked.check());
        }
        fields.finish()?;
        let row = PlanVersionRow {
            id: version,
            plan_id: plan,
            ordinal,
            effective_from,
            existing_from,
            cadence: command.cadence.to_string(),
            currency: currency_text,
            price_mode: command.price_mode.as_str().to_owned(),
            billing_day: billing_day.to_string(),
            stub: stub.to_string(),
            created_at: now,
        };
        Ok(NewVersion { row, components: rows })
    }

    /// Creates a plan with its first version.
    pub async fn plan_create(&self, request: &Request, command: CreatePlan) -> Result<Reply<PlanView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, now) = (request.tenant.0, work.now);
        let mut fields = Fields::default();
        check_code(&mut fields, "/code", &command.code);
        fields.text("/title", &command.title, 300);
        let plan = PlanRow {
            id: self.ids.next(),
            code: command.code,
            title: command.title,
            status: command.status.unwrap_or(PlanStatus::Draft).as_str().to_owned(),
            visibility: command.visibility.unwrap_or(Visibility::Public).as_str().to_owned(),
            version: 1,
            created_at: now,
        };
        let version =
            self.version_checked(&mut work, request, plan.id, 1, command.version, (fields, "/version")).await?;
        catalogue::plans_insert(&mut work.tx, tenant, now, std::slice::from_ref(&plan)).await.map_err(|error| {
            match error {
                StoreError::Duplicate(_) => ServiceError::conflict(
                    "duplicate-plan",
                    "another plan has this code; use another, or add a version",
                ),
                other => other.into(),
            }
        })?;
        catalogue::versions_insert(&mut work.tx, tenant, now, &[version.row]).await?;
        catalogue::components_insert(&mut work.tx, tenant, &version.components).await?;
        let view = one(&mut work.tx, tenant, plan).await?;
        work.finish(201, view).await
    }

    /// Adds a version to a plan; it begins after the version before it.
    pub async fn plan_version_add(
        &self,
        request: &Request,
        id: PlanId,
        if_match: i64,
        command: CreatePlanVersion,
    ) -> Result<Reply<PlanView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, now) = (request.tenant.0, work.now);
        let plan = catalogue::plan_find(&mut work.tx, tenant, id.uuid()).await?;
        let mut plan = plan.ok_or(ServiceError::NotFound("plan"))?;
        // The plan's row is the lock: whoever moves its version adds the next ordinal.
        if !catalogue::plan_update(&mut work.tx, tenant, &plan, if_match).await? {
            return Err(ServiceError::Stale);
        }
        plan.version = if_match + 1;
        let versions = catalogue::versions_of(&mut work.tx, tenant, vec![plan.id]).await?;
        let last = versions.last();
        let ordinal = last.map_or(1, |row| row.ordinal + 1);
        if ordinal > MOST_VERSIONS {
            return Err(ServiceError::conflict(
                "too-many-plan-versions",
                format!("a plan has at most {MOST_VERSIONS} versions; create another plan"),
            ));
        }
        let added =
            self.version_checked(&mut work, request, plan.id, ordinal, command, (Fields::default(), "")).await?;
        if let Some(last) = last.filter(|last| added.row.effective_from <= last.effective_from) {
            return Err(ServiceError::invalid(
                "/effective_from",
                format!("must be after {}, the first day of the version before", last.effective_from),
            ));
        }
        check_existing(&versions, &added.row)?;
        catalogue::versions_insert(&mut work.tx, tenant, now, &[added.row]).await?;
        catalogue::components_insert(&mut work.tx, tenant, &added.components).await?;
        let view = one(&mut work.tx, tenant, plan).await?;
        work.finish(201, view).await
    }

    /// Changes the name of a plan, whether it is sold and by whom; what was sold goes on.
    pub async fn plan_update(
        &self,
        request: &Request,
        id: PlanId,
        if_match: i64,
        command: UpdatePlan,
    ) -> Result<Reply<PlanView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let plan = catalogue::plan_find(&mut work.tx, tenant, id.uuid()).await?;
        let mut plan = plan.ok_or(ServiceError::NotFound("plan"))?;
        if let Some(title) = command.title {
            let mut fields = Fields::default();
            fields.text("/title", &title, 300);
            fields.finish()?;
            plan.title = title;
        }
        if let Some(status) = command.status {
            let before: PlanStatus = stored("plans.status", &plan.status)?;
            if before != status && status == PlanStatus::Draft {
                return Err(ServiceError::conflict(
                    "plan-was-on-sale",
                    "a plan that was on sale does not become a draft again; archive it instead",
                ));
            }
            status.as_str().clone_into(&mut plan.status);
        }
        if let Some(visibility) = command.visibility {
            visibility.as_str().clone_into(&mut plan.visibility);
        }
        if !catalogue::plan_update(&mut work.tx, tenant, &plan, if_match).await? {
            return Err(ServiceError::Stale);
        }
        plan.version = if_match + 1;
        let view = one(&mut work.tx, tenant, plan).await?;
        work.finish(200, view).await
    }

    /// One plan with all its versions; who helps himself sees it when it is public and on sale.
    pub async fn plan_get(&self, request: &Request, id: PlanId) -> Result<PlanView> {
        let mut tx = self.read(request).await?;
        let row = catalogue::plan_find(&mut tx, request.tenant.0, id.uuid()).await?;
        let row = row.filter(|row| request.authority.sees(&row.status, &row.visibility));
        one(&mut tx, request.tenant.0, row.ok_or(ServiceError::NotFound("plan"))?).await
    }

    /// A page of plans with all their versions, oldest first; who helps himself sees those that are public and on sale.
    pub async fn plan_list(&self, request: &Request, filter: PlanFilter, page: &Page) -> Result<Listed<PlanView>> {
        let (limit, after) = page.bounds::<PlanId>()?;
        let mut status = filter.status.map_or("", PlanStatus::as_str);
        let mut visibility = filter.visibility.map_or("", Visibility::as_str);
        if request.authority == Authority::SelfService {
            let (on_sale, public) = (PlanStatus::Active.as_str(), Visibility::Public.as_str());
            if ![on_sale, ""].contains(&status) || ![public, ""].contains(&visibility) {
                return Ok(page.listed(Vec::new(), |plan: &PlanView| plan.id.to_string(), |plan| plan));
            }
            (status, visibility) = (on_sale, public);
        }
        let mut tx = self.read(request).await?;
        let rows = catalogue::plans_list(&mut tx, request.tenant.0, status, visibility, after, limit).await?;
        let plans = views(&mut tx, request.tenant.0, rows).await?;
        Ok(page.listed(plans, |plan| plan.id.to_string(), |plan| plan))
    }
}
