//! Rows of contracts. The balance stands on the contract's funds account and is read from there.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{Result, Rows, Tx, rows::column};

/// A contract.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ContractRow {
    /// Its id.
    pub id: Uuid,
    /// Who buys.
    pub customer_id: Uuid,
    /// Who sells.
    pub seller_id: Uuid,
    /// Its number, unique within the tenant.
    pub number: String,
    /// `prepaid`, `postpaid` or `mixed`.
    pub kind: String,
    /// ISO 4217 code.
    pub currency: String,
    /// An IANA time zone.
    pub zone: String,
    /// How far the balance may go below zero, minor units.
    pub credit_limit_minor: i64,
    /// The date on the contract.
    pub signed_on: NaiveDate,
    /// The ledger account that holds its money.
    pub funds_account_id: Uuid,
    /// The system that the contract came from.
    pub external_system: Option<String>,
    /// Its id there.
    pub external_id: Option<String>,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A contract with what its account holds.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ContractWithFunds {
    /// The contract.
    #[sqlx(flatten)]
    pub contract: ContractRow,
    /// Sum of the entries of the funds account, debit positive, minor units.
    pub funds_minor: i64,
    /// What it may spend: balance, active promises and the limit in effect, less what is reserved; minor units.
    pub available_minor: i64,
}

const INSERT_ALL: &str = "insert into contracts (tenant_id, id, customer_id, seller_id, number, kind, currency, zone,
        credit_limit_minor, signed_on, funds_account_id, external_system, external_id, version, created_at)
    select $1, v.id, v.customer_id, v.seller_id, v.number, v.kind, v.currency, v.zone,
        v.credit_limit_minor, v.signed_on, v.funds_account_id, v.external_system, v.external_id, 1, $2 from {rows}";
/// Adds contracts in their first version; their funds accounts are opened elsewhere.
pub async fn insert_all(tx: &mut Tx, tenant: Uuid, now: DateTime<Utc>, contracts: &[ContractRow]) -> Result<()> {
    let rows = Rows::new()
        .with("id", column(contracts, |row| row.id))
        .with("customer_id", column(contracts, |row| row.customer_id))
        .with("seller_id", column(contracts, |row| row.seller_id))
        .with("number", column(contracts, |row| row.number.clone()))
        .with("kind", column(contracts, |row| row.kind.clone()))
        .with("currency", column(contracts, |row| row.currency.clone()))
        .with("zone", column(contracts, |row| row.zone.clone()))
        .with("credit_limit_minor", column(contracts, |row| row.credit_limit_minor))
        .with("signed_on", column(contracts, |row| row.signed_on))
        .with("funds_account_id", column(contracts, |row| row.funds_account_id))
        .with("external_system", column(contracts, |row| row.external_system.clone()))
        .with("external_id", column(contracts, |row| row.external_id.clone()));
    tx.execute_rows(INSERT_ALL, (tenant, now), &rows).await.map(|_| ())
}

const FIND: &str =
    "select c.id, c.customer_id, c.seller_id, c.number, c.kind, c.currency, c.zone, c.credit_limit_minor,
        c.signed_on, c.funds_account_id, c.external_system, c.external_id, c.version, c.created_at,
        -m.balance_minor as funds_minor, m.available_minor
    from contracts c join contract_money m on m.tenant_id = c.tenant_id and m.contract_id = c.id
    where c.tenant_id = $1 and c.id = $2";
/// One contract.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<ContractWithFunds>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

/// Which contracts a list holds.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All of the tenant.
    All,
    /// Those of one customer.
    Customer(Uuid),
    /// The one with this number.
    Number(String),
}

const LIST: &str =
    "select c.id, c.customer_id, c.seller_id, c.number, c.kind, c.currency, c.zone, c.credit_limit_minor,
        c.signed_on, c.funds_account_id, c.external_system, c.external_id, c.version, c.created_at,
        -m.balance_minor as funds_minor, m.available_minor
    from contracts c join contract_money m on m.tenant_id = c.tenant_id and m.contract_id = c.id
    where c.tenant_id = $1 and c.id > $2 order by c.id limit $3";
const LIST_BY_NUMBER: &str = "select c.id, c.customer_id, c.seller_id, c.number, c.kind, c.currency, c.zone,
        c.credit_limit_minor, c.signed_on, c.funds_account_id, c.external_system, c.external_id, c.version, c.created_at,
        -m.balance_minor as funds_minor, m.available_minor
    from contracts c join contract_money m on m.tenant_id = c.tenant_id and m.contract_id = c.id
    where c.tenant_id = $1 and c.id > $2 and c.number = $4
    order by c.id limit $3";
const LIST_BY_CUSTOMER: &str = "select c.id, c.customer_id, c.seller_id, c.number, c.kind, c.currency, c.zone,
        c.credit_limit_minor, c.signed_on, c.funds_account_id, c.external_system, c.external_id, c.version, c.created_at,
        -m.balance_minor as funds_minor, m.available_minor
    from contracts c join contract_money m on m.tenant_id = c.tenant_id and m.contract_id = c.id
    where c.tenant_id = $1 and c.id > $2 and c.customer_id = $4
    order by c.id limit $3";
/// A page of contracts, by id.
pub async fn list(
    tx: &mut Tx,
    tenant: Uuid,
    filter: &Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<ContractWithFunds>> {
    match filter {
        Filter::All => tx.fetch_all(LIST, (tenant, after, limit)).await,
        Filter::Customer(customer) => tx.fetch_all(LIST_BY_CUSTOMER, (tenant, after, limit, *customer)).await,
        Filter::Number(number) => tx.fetch_all(LIST_BY_NUMBER, (tenant, after, limit, number.clone())).await,
    }
}

const UPDATE: &str = "update contracts set kind = $4, credit_limit_minor = $5, zone = $6, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves the kind, the credit limit and the zone of a contract; `false` when it is gone or its version is another.
pub async fn update(tx: &mut Tx, tenant: Uuid, row: &ContractRow, if_match: i64) -> Result<bool> {
    let params = (tenant, row.id, if_match, row.kind.clone(), row.credit_limit_minor, row.zone.clone());
    Ok(tx.execute(UPDATE, params).await? == 1)
}

/// A contract as an import finds it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Known {
    /// Its id.
    pub id: Uuid,
    /// Its number.
    pub number: String,
    /// ISO 4217 code.
    pub currency: String,
    /// The day on which it was signed.
    pub signed_on: NaiveDate,
}

const KNOWN: &str = "select c.id, c.number, c.currency, c.signed_on from {rows}
    join contracts c on c.tenant_id = $1 and c.number = v.number";
/// The contracts with these numbers; missing ones are absent.
pub async fn known(tx: &mut Tx, tenant: Uuid, numbers: Vec<String>) -> Result<Vec<Known>> {
    tx.fetch_rows(KNOWN, (tenant,), &Rows::new().with("number", numbers)).await
}
