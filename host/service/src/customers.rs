//! Customers: who buys. Money lives on their contracts, never here.

use altyn_domain::{
    id::{CustomerId, Id as _},
    party::CustomerKind,
};
use altyn_store::{
    StoreError, customers,
    customers::{CustomerRow, Filter},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
    requisites::{Requisites, check_country},
};

/// A new customer, or all that is known of one when it is changed.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCustomer {
    /// What the customer is before the law.
    pub kind: CustomerKind,
    /// Name.
    pub name: String,
    /// ISO 3166-1 alpha-2 code; `RU` when absent.
    pub country: Option<String>,
    /// ИНН: 10 digits of a legal entity, 12 of a person.
    pub inn: Option<String>,
    /// КПП of a legal entity.
    pub kpp: Option<String>,
    /// ОГРН of a legal entity, ОГРНИП of a sole proprietor.
    pub ogrn: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// The system that the customer is known in; given together with `external_id`.
    pub external_system: Option<String>,
    /// The customer's id there; unique within the system.
    pub external_id: Option<String>,
}

/// A customer.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CustomerView {
    /// Its id.
    pub id: CustomerId,
    /// What the customer is before the law.
    pub kind: CustomerKind,
    /// Name.
    pub name: String,
    /// ISO 3166-1 alpha-2 code.
    pub country: String,
    /// ИНН.
    pub inn: Option<String>,
    /// КПП.
    pub kpp: Option<String>,
    /// ОГРН or ОГРНИП.
    pub ogrn: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// The system that the customer is known in.
    pub external_system: Option<String>,
    /// The customer's id there.
    pub external_id: Option<String>,
    /// Imported balance that waits for the customer's first contract, minor units of the tenant's currency; above zero
    /// the customer has money.
    pub opening_balance_minor: Option<i64>,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// Which customers a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CustomerFilter {
    /// Only those with this ИНН.
    pub inn: Option<String>,
    /// Only those known in this system.
    pub external_system: Option<String>,
    /// Only those with this id in their system.
    pub external_id: Option<String>,
}

fn view(row: CustomerRow) -> Result<CustomerView> {
    Ok(CustomerView {
        id: CustomerId(row.id),
        kind: stored("customers.kind", &row.kind)?,
        name: row.name,
        country: row.country,
        inn: row.inn,
        kpp: row.kpp,
        ogrn: row.ogrn,
        email: row.email,
        phone: row.phone,
        address: row.address,
        external_system: row.external_system,
        external_id: row.external_id,
        opening_balance_minor: row.opening_balance_minor,
        version: row.version,
        created_at: row.created_at,
    })
}

/// Notes an external key that is given by half or malformed.
pub(crate) fn check_external(fields: &mut Fields, system: Option<&str>, id: Option<&str>) {
    fields.optional_text("/external_system", system, 100);
    fields.optional_text("/external_id", id, 200);
    match (system, id) {
        (Some(_), None) => fields.refuse("/external_id", "give the id within the external system"),
        (None, Some(_)) => fields.refuse("/external_system", "give the system that the external id belongs to"),
        _ => {}
    }
}

fn checked(command: CreateCustomer, id: uuid::Uuid, now: DateTime<Utc>) -> Result<CustomerRow> {
    let country = command.country.unwrap_or_else(|| "RU".into());
    let mut fields = Fields::default();
    fields.text("/name", &command.name, 500);
    check_country(&mut fields, &country);
    Requisites {
        kind: command.kind,
        country: &country,
        inn: command.inn.as_deref(),
        kpp: command.kpp.as_deref(),
        ogrn: command.ogrn.as_deref(),
    }
    .check(&mut fields);
    fields.optional_text("/email", command.email.as_deref(), 254);
    if command.email.as_deref().is_some_and(|email| !email.contains('@')) {
        fields.refuse("/email", "is not an e-mail address");
    }
    fields.optional_text("/phone", command.phone.as_deref(), 40);
    fields.optional_text("/address", command.address.as_deref(), 1_000);
    check_external(&mut fields, command.external_system.as_deref(), command.external_id.as_deref());
    fields.finish()?;
    Ok(CustomerRow {
        id,
        kind: command.kind.as_str().to_owned(),
        name: command.name,
        country,
        inn: command.inn,
        kpp: command.kpp,
        ogrn: command.ogrn,
        email: command.email,
        phone: command.phone,
        address: command.address,
        external_system: command.external_system,
        external_id: command.external_id,
        opening_balance_minor: None,
        version: 1,
        created_at: now,
    })
}

fn duplicate(error: StoreError) -> ServiceError {
    match error {
        StoreError::Duplicate(_) => ServiceError::conflict(
            "duplicate-external-id",
            "another customer has this external id in this external system; use another, or change that customer",
        ),
        other => other.into(),
    }
}

impl Altyn {
    /// Creates a customer.
    pub async fn customer_create(&self, request: &Request, command: CreateCustomer) -> Result<Reply<CustomerView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = checked(command, self.ids.next(), work.now)?;
        customers::insert_all(&mut work.tx, request.tenant.0, work.now, std::slice::from_ref(&row))
            .await
            .map_err(duplicate)?;
        work.finish(201, view(row)?).await
    }

    /// One customer.
    pub async fn customer_get(&self, request: &Request, id: CustomerId) -> Result<CustomerView> {
        let mut tx = self.read(request).await?;
        let row = customers::find(&mut tx, request.tenant.0, id.uuid()).await?;
        view(row.ok_or(ServiceError::NotFound("customer"))?)
    }

    /// A page of customers, oldest first.
    pub async fn customer_list(
        &self,
        request: &Request,
        filter: CustomerFilter,
        page: &Page,
    ) -> Result<Listed<CustomerView>> {
        let (limit, after) = page.bounds::<CustomerId>()?;
        let filter =
            Filter { inn: filter.inn, external_system: filter.external_system, external_id: filter.external_id };
        let mut tx = self.read(request).await?;
        let rows = customers::list(&mut tx, request.tenant.0, &filter, after, limit).await?;
        page.listed(rows, |row| CustomerId(row.id).to_string(), view).try_data()
    }

    /// Replaces all fields of a customer.
    pub async fn customer_update(
        &self,
        request: &Request,
        id: CustomerId,
        if_match: i64,
        command: CreateCustomer,
    ) -> Result<Reply<CustomerView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let before = customers::find(&mut work.tx, tenant, id.uuid()).await?;
        let before = before.ok_or(ServiceError::NotFound("customer"))?;
        let mut row = checked(command, before.id, before.created_at)?;
        if !customers::update(&mut work.tx, tenant, &row, if_match).await.map_err(duplicate)? {
            return Err(ServiceError::Stale);
        }
        row.version = if_match + 1;
        row.opening_balance_minor = before.opening_balance_minor;
        work.finish(200, view(row)?).await
    }
}
