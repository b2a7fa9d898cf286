//! Rows of customers. `(external system, external id)` names at most one customer of a tenant.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// A customer.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CustomerRow {
    /// Its id.
    pub id: Uuid,
    /// `legal-entity`, `sole-proprietor` or `individual`.
    pub kind: String,
    /// Its name.
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
    /// The system that the customer came from.
    pub external_system: Option<String>,
    /// Its id there.
    pub external_id: Option<String>,
    /// Imported balance that waits for the first contract, minor units of the tenant's currency.
    pub opening_balance_minor: Option<i64>,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

const INSERT_ALL: &str =
    "insert into customers (tenant_id, id, kind, name, country, inn, kpp, ogrn, email, phone, address,
        external_system, external_id, opening_balance_minor, version, created_at)
    select $1, v.id, v.kind, v.name, v.country, v.inn, v.kpp, v.ogrn, v.email, v.phone, v.address,
        v.external_system, v.external_id, v.opening_balance_minor, 1, $2 from {rows}";
/// Adds customers in their first version.
pub async fn insert_all(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, customers: &[CustomerRow]) -> Result<()> {
    let rows = Rows::new()
        .with("id", column(customers, |row| row.id))
        .with("kind", column(customers, |row| row.kind.clone()))
        .with("name", column(customers, |row| row.name.clone()))
        .with("country", column(customers, |row| row.country.clone()))
        .with("inn", column(customers, |row| row.inn.clone()))
        .with("kpp", column(customers, |row| row.kpp.clone()))
        .with("ogrn", column(customers, |row| row.ogrn.clone()))
        .with("email", column(customers, |row| row.email.clone()))
        .with("phone", column(customers, |row| row.phone.clone()))
        .with("address", column(customers, |row| row.address.clone()))
        .with("external_system", column(customers, |row| row.external_system.clone()))
        .with("external_id", column(customers, |row| row.external_id.clone()))
        .with("opening_balance_minor", column(customers, |row| row.opening_balance_minor));
    tx.execute_rows(INSERT_ALL, (tenant, now), &rows).await.map(|_| ())
}

const FIND: &str =
    "select id, kind, name, country, inn, kpp, ogrn, email, phone, address, external_system, external_id,
        opening_balance_minor, version, created_at
    from customers where tenant_id = $1 and id = $2";
/// One customer.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<CustomerRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

/// Which customers a list holds; absent fields let everybody through.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those with this ИНН.
    pub inn: Option<String>,
    /// Only those of this external system.
    pub external_system: Option<String>,
    /// Only those with this external id.
    pub external_id: Option<String>,
}

const LIST: &str =
    "select id, kind, name, country, inn, kpp, ogrn, email, phone, address, external_system, external_id,
        opening_balance_minor, version, created_at
    from customers where tenant_id = $1 and id > $2
        and (cast($4 as text) is null or inn = $4)
        and (cast($5 as text) is null or external_system = $5)
        and (cast($6 as text) is null or external_id = $6)
    order by id limit $3";
// The whole key is looked up by its index, whatever plan the others get.
const LIST_BY_KEY: &str =
    "select id, kind, name, country, inn, kpp, ogrn, email, phone, address, external_system, external_id,
        opening_balance_minor, version, created_at
    from customers where tenant_id = $1 and id > $2
        and (cast($4 as text) is null or inn = $4) and external_system = $5 and external_id = $6
    order by id limit $3";
/// A page of customers, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, filter: &Filter, after: Uuid, limit: i64) -> Result<Vec<CustomerRow>> {
    let filter = filter.clone();
    if filter.external_system.is_some() && filter.external_id.is_some() {
        let params = (tenant, after, limit, filter.inn, filter.external_system, filter.external_id);
        return tx.fetch_all(LIST_BY_KEY, params).await;
    }
    tx.fetch_all(LIST, (tenant, after, limit, filter.inn, filter.external_system, filter.external_id)).await
}

const UPDATE: &str =
    "update customers set kind = $4, name = $5, country = $6, inn = $7, kpp = $8, ogrn = $9, email = $10,
        phone = $11, address = $12, external_system = $13, external_id = $14, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves a customer; `false` when it is gone or its version is another.
pub async fn update(tx: &mut Tx, tenant: Uuid, row: &CustomerRow, if_match: i64) -> Result<bool> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        if_match,
        row.kind,
        row.name,
        row.country,
        row.inn,
        row.kpp,
        row.ogrn,
        row.email,
        row.phone,
        row.address,
        row.external_system,
        row.external_id,
    );
    Ok(tx.execute(UPDATE, params).await? == 1)
}

/// A customer as an import finds it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Known {
    /// Its id.
    pub id: Uuid,
    /// The system that it came from.
    pub external_system: String,
    /// Its id there.
    pub external_id: String,
    /// Imported balance that waits for the first contract, minor units of the tenant's currency.
    pub opening_balance_minor: Option<i64>,
}

const KNOWN: &str = "select c.id, c.external_system, c.external_id, c.opening_balance_minor from {rows}
    join customers c on c.tenant_id = $1 and c.external_system = v.external_system and c.external_id = v.external_id";
/// The customers with these pairs of external system and id; missing ones are absent.
pub async fn known(tx: &mut Tx, tenant: Uuid, pairs: &[(String, String)]) -> Result<Vec<Known>> {
    let rows = Rows::new()
        .with("external_system", column(pairs, |pair| pair.0.clone()))
        .with("external_id", column(pairs, |pair| pair.1.clone()));
    tx.fetch_rows(KNOWN, (tenant,), &rows).await
}

const EXTERNAL_SYSTEMS: &str = "select distinct external_system from customers
    where tenant_id = $1 and external_system is not null order by external_system limit $2";
/// The external systems that a tenant's customers came from.
pub async fn external_systems(tx: &mut Tx, tenant: Uuid, limit: i64) -> Result<Vec<String>> {
    let rows = tx.fetch_all::<(String,)>(EXTERNAL_SYSTEMS, (tenant, limit)).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

const OPENING_BALANCES_TAKE: &str = "update customers set opening_balance_minor = null, version = version + 1
    where tenant_id = $1 and opening_balance_minor is not null and id in (select v.id from {rows})";
/// Takes waiting balances off customers; answers how many waited, so that two takers never both have one.
pub async fn opening_balances_take(tx: &mut Tx, tenant: Uuid, ids: Vec<Uuid>) -> Result<u64> {
    tx.execute_rows(OPENING_BALANCES_TAKE, (tenant,), &Rows::new().with("id", ids)).await
}
