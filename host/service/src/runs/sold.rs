//! What was sold: plan versions with their components, from their rows.

use std::sync::Arc;

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, Component, PlanVersion, StubPolicy},
    id::{ComponentId, PlanId, PlanVersionId, ProductId},
    money::{Currency, Money},
    tax::PriceMode,
};
use altyn_store::{StoreError, runs as rows};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::error::{Result, ServiceError};

/// Plan versions from their rows.
pub(crate) fn plan_versions(rows: Vec<rows::PlanComponentRow>) -> Result<Vec<(Uuid, Arc<PlanVersion>)>> {
    let corrupt = |column: &'static str, text: String| ServiceError::from(StoreError::Corrupt(column, text));
    let mut found: Vec<(Uuid, PlanVersion)> = Vec::new();
    for row in rows {
        let currency: Currency =
            row.currency.parse().map_err(|_| corrupt("plan_versions.currency", row.currency.clone()))?;
        if found.last().is_none_or(|(id, _)| *id != row.plan_version_id) {
            let version = PlanVersion {
                id: PlanVersionId(row.plan_version_id),
                plan: PlanId(row.plan_id),
                cadence: row
                    .cadence
                    .parse::<Cadence>()
                    .map_err(|_| corrupt("plan_versions.cadence", row.cadence.clone()))?,
                price_mode: row
                    .price_mode
                    .parse::<PriceMode>()
                    .map_err(|_| corrupt("plan_versions.price_mode", row.price_mode.clone()))?,
                billing_day: row
                    .billing_day
                    .parse::<BillingDay>()
                    .map_err(|_| corrupt("plan_versions.billing_day", row.billing_day.clone()))?,
                stub: row.stub.parse::<StubPolicy>().map_err(|_| corrupt("plan_versions.stub", row.stub.clone()))?,
                components: Vec::new(),
                successors: Vec::new(),
            };
            found.push((row.plan_version_id, version));
        }
        let quantity = |column: &'static str, text: &str| -> Result<Decimal> {
            text.parse().map_err(|_| corrupt(column, text.to_owned()))
        };
        let bound = |column, text: Option<&String>| text.map(|text| quantity(column, text)).transpose();
        let component = Component {
            included: quantity("plan_components.included", &row.included)?,
            min_quantity: bound("plan_components.min_quantity", row.min_quantity.as_ref())?,
            max_quantity: bound("plan_components.max_quantity", row.max_quantity.as_ref())?,
            id: ComponentId(row.id),
            code: row.code,
            title: row.title,
            kind: row.kind.parse().map_err(|_| corrupt("plan_components.kind", row.kind.clone()))?,
            unit_price: Money::new(row.unit_price_minor, currency),
            prepayment_percent: u8::try_from(row.prepayment_percent)
                .map_err(|_| corrupt("plan_components.prepayment_percent", row.prepayment_percent.to_string()))?,
            tax_category: row.tax_category,
            product: ProductId(row.product_id),
            metered: row.metered.as_deref().map(crate::plans::metered_terms).transpose()?,
        };
        if let Some((_, version)) = found.last_mut() {
            version.components.push(component);
        }
    }
    Ok(found.into_iter().map(|(id, version)| (id, Arc::new(version))).collect())
}
