//! What callers see of a plan: its versions with their components.

use std::collections::HashMap;

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, ComponentKind, ExistingSubscribers, PlanStatus, StubPolicy, Visibility},
    id::{ComponentId, PlanId, PlanVersionId, ProductId},
    metered::MeteredTerms,
    tax::PriceMode,
};
use altyn_store::{
    Tx, catalogue,
    catalogue::{ComponentRow, PlanRow, PlanVersionRow},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Result, ServiceError, stored};

/// A priced component of a plan version.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComponentView {
    /// Its id.
    pub id: ComponentId,
    /// Its code.
    pub code: String,
    /// Name on documents.
    pub title: String,
    /// How it is charged.
    pub kind: ComponentKind,
    /// The product whose revenue it is.
    pub product_id: ProductId,
    /// Price per unit and whole period, minor units.
    pub unit_price_minor: i64,
    /// Tax category.
    pub tax_category: String,
    /// How much of the price is taken when it falls due, per cent.
    pub prepayment_percent: i32,
    /// Units that cost nothing, decimal.
    pub included: String,
    /// The fewest units that may be taken, decimal.
    pub min_quantity: Option<String>,
    /// The most units that may be taken, decimal.
    pub max_quantity: Option<String>,
    /// What is counted and what it costs, when it is metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metered: Option<MeteredTerms>,
}

/// A version of a plan.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanVersionView {
    /// Its id.
    pub id: PlanVersionId,
    /// Its place among the plan's versions, from 1.
    pub ordinal: i32,
    /// From which day new subscriptions get it.
    pub effective_from: NaiveDate,
    /// What becomes of the subscribers of older versions.
    pub existing_subscribers: ExistingSubscribers,
    /// Length of a period.
    pub cadence: Cadence,
    /// ISO 4217 code of all prices.
    pub currency: String,
    /// Whether prices include tax.
    pub price_mode: PriceMode,
    /// On which day periods begin.
    pub billing_day: BillingDay,
    /// What a short first period costs.
    pub stub: StubPolicy,
    /// What is charged, in the order of documents.
    pub components: Vec<ComponentView>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A plan with all its versions.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanView {
    /// Its id.
    pub id: PlanId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub title: String,
    /// Whether it may be sold.
    pub status: PlanStatus,
    /// Who may sell it.
    pub visibility: Visibility,
    /// Its versions, oldest first.
    pub versions: Vec<PlanVersionView>,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// Reads the terms of a metered component as they are kept.
pub(crate) fn metered_terms(text: &str) -> Result<MeteredTerms> {
    serde_json::from_str(text).map_err(|error| {
        ServiceError::Internal(format!("stored value of plan_components.metered is not valid: {error}"))
    })
}

fn component_view(row: ComponentRow) -> Result<ComponentView> {
    Ok(ComponentView {
        id: ComponentId(row.id),
        kind: stored("plan_components.kind", &row.kind)?,
        code: row.code,
        title: row.title,
        product_id: ProductId(row.product_id),
        unit_price_minor: row.unit_price_minor,
        tax_category: row.tax_category,
        prepayment_percent: row.prepayment_percent,
        included: row.included,
        min_quantity: row.min_quantity,
        max_quantity: row.max_quantity,
        metered: row.metered.as_deref().map(metered_terms).transpose()?,
    })
}

fn version_view(row: PlanVersionRow, components: Vec<ComponentRow>) -> Result<PlanVersionView> {
    Ok(PlanVersionView {
        id: PlanVersionId(row.id),
        ordinal: row.ordinal,
        effective_from: row.effective_from,
        existing_subscribers: row.existing_from.into(),
        cadence: stored("plan_versions.cadence", &row.cadence)?,
        price_mode: stored("plan_versions.price_mode", &row.price_mode)?,
        billing_day: stored("plan_versions.billing_day", &row.billing_day)?,
        stub: stored("plan_versions.stub", &row.stub)?,
        currency: row.currency,
        components: components.into_iter().map(component_view).collect::<Result<_>>()?,
        created_at: row.created_at,
    })
}

/// The plans of these rows with their versions and components, in the order of the rows.
pub(super) async fn views(tx: &mut Tx, tenant: Uuid, plans: Vec<PlanRow>) -> Result<Vec<PlanView>> {
    let versions = catalogue::versions_of(tx, tenant, plans.iter().map(|plan| plan.id).collect()).await?;
    let components = catalogue::components_of(tx, tenant, versions.iter().map(|row| row.id).collect()).await?;
    let mut components_of: HashMap<Uuid, Vec<ComponentRow>> = HashMap::new();
    for row in components {
        components_of.entry(row.plan_version_id).or_default().push(row);
    }
    let mut versions_of: HashMap<Uuid, Vec<PlanVersionView>> = HashMap::new();
    for row in versions {
        let of_version = components_of.remove(&row.id).unwrap_or_default();
        versions_of.entry(row.plan_id).or_default().push(version_view(row, of_version)?);
    }
    plans
        .into_iter()
        .map(|row| {
            Ok(PlanView {
                id: PlanId(row.id),
                status: stored("plans.status", &row.status)?,
                visibility: stored("plans.visibility", &row.visibility)?,
                code: row.code,
                title: row.title,
                versions: versions_of.remove(&row.id).unwrap_or_default(),
                version: row.version,
                created_at: row.created_at,
            })
        })
        .collect()
}

pub(super) async fn one(tx: &mut Tx, tenant: Uuid, row: PlanRow) -> Result<PlanView> {
    views(tx, tenant, vec![row]).await?.pop().ok_or(ServiceError::NotFound("plan"))
}
