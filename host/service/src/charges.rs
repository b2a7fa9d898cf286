//! Charges, read side: what a contract owes for, and who decided the amount. Billing runs make them, [`crate::credits`]
//! gives parts of them back.

use altyn_domain::{
    calendar::Period,
    charge::{ChargeKind, ChargeStatus},
    id::{CallId, ChargeId, ComponentId, ContractId, Id as _, InvoiceId, RunId, SubscriptionId},
};
use altyn_store::{charges, charges::ChargeRow, charges::Filter};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    page::{Listed, Page},
};

/// A charge.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChargeView {
    /// Its id.
    pub id: ChargeId,
    /// The contract that pays.
    pub contract_id: ContractId,
    /// The subscription that it is for.
    pub subscription_id: SubscriptionId,
    /// The component that it is for.
    pub component_id: ComponentId,
    /// The invoice that it stands on.
    pub invoice_id: InvoiceId,
    /// The billing run that made it.
    pub run_id: Option<RunId>,
    /// What it is for.
    pub kind: ChargeKind,
    /// How far it has come.
    pub status: ChargeStatus,
    /// The full period.
    pub period: Period,
    /// First day of the part in service.
    pub used_start: NaiveDate,
    /// The day after the part in service.
    pub used_end: NaiveDate,
    /// The day after the last one that it still covers, when a change gave back what follows; absent: all of it.
    pub covered_until: Option<NaiveDate>,
    /// Charge date: the service begins.
    pub charged_on: NaiveDate,
    /// Realisation date: the service ends.
    pub realises_on: NaiveDate,
    /// The day whose close recognised the revenue; absent until then.
    pub realised_on: Option<NaiveDate>,
    /// Payment date.
    pub paid_on: Option<NaiveDate>,
    /// ISO 4217 code.
    pub currency: String,
    /// The amount as the plan states prices (with or without tax), minor units.
    pub amount_minor: i64,
    /// The part of the gross amount that was taken when the charge fell due; absent: all of it.
    pub prepaid_minor: Option<i64>,
    /// What was given back so far, gross.
    pub credited_minor: i64,
    /// The recorded plugin call that shared the price over the part in service.
    pub proration_call_id: Option<CallId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Which charges a list holds; at most one of the fields is given.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChargeFilter {
    /// Only those of this contract.
    pub contract_id: Option<ContractId>,
    /// Only those of this subscription.
    pub subscription_id: Option<SubscriptionId>,
    /// Only those of this invoice.
    pub invoice_id: Option<InvoiceId>,
}

fn view(row: ChargeRow) -> Result<ChargeView> {
    Ok(ChargeView {
        id: ChargeId(row.id),
        contract_id: ContractId(row.contract_id),
        subscription_id: SubscriptionId(row.subscription_id),
        component_id: ComponentId(row.component_id),
        invoice_id: InvoiceId(row.invoice_id),
        run_id: row.run_id.map(RunId),
        kind: stored("charges.kind", &row.kind)?,
        status: stored("charges.status", &row.status)?,
        period: Period::try_new(row.period_start, row.period_end)
            .map_err(|error| ServiceError::Internal(error.to_string()))?,
        used_start: row.used_start,
        used_end: row.used_end,
        covered_until: row.covered_until,
        charged_on: row.charged_on,
        realises_on: row.realises_on,
        realised_on: row.realised_on,
        paid_on: row.paid_on,
        currency: row.currency,
        amount_minor: row.amount_minor,
        prepaid_minor: row.prepaid_minor,
        credited_minor: row.credited_minor,
        proration_call_id: row.proration_call_id.map(CallId),
        created_at: row.created_at,
    })
}

impl Altyn {
    /// One charge.
    pub async fn charge_get(&self, request: &Request, id: ChargeId) -> Result<ChargeView> {
        let mut tx = self.read(request).await?;
        view(charges::find(&mut tx, request.tenant.0, id.uuid()).await?.ok_or(ServiceError::NotFound("charge"))?)
    }

    /// A page of charges, oldest first.
    pub async fn charge_list(
        &self,
        request: &Request,
        filter: ChargeFilter,
        page: &Page,
    ) -> Result<Listed<ChargeView>> {
        let (limit, after) = page.bounds::<ChargeId>()?;
        let filter = match (filter.contract_id, filter.subscription_id, filter.invoice_id) {
            (None, None, None) => Filter::All,
            (Some(id), None, None) => Filter::Contract(id.uuid()),
            (None, Some(id), None) => Filter::Subscription(id.uuid()),
            (None, None, Some(id)) => Filter::Invoice(id.uuid()),
            _ => {
                return Err(ServiceError::invalid(
                    "/contract_id",
                    "filter by one of contract_id, subscription_id and invoice_id",
                ));
            }
        };
        let mut tx = self.read(request).await?;
        let rows = charges::list(&mut tx, request.tenant.0, filter, after, limit).await?;
        page.listed(rows, |row| ChargeId(row.id).to_string(), view).try_data()
    }
}
