//! Rows of sellers: the legal entities of a tenant.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Result, Tx};

/// A seller.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SellerRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// `legal-entity`, `sole-proprietor` or `individual`.
    pub kind: String,
    /// ISO 3166-1 alpha-2 code.
    pub country: String,
    /// ИНН.
    pub inn: Option<String>,
    /// КПП.
    pub kpp: Option<String>,
    /// ОГРН or ОГРНИП.
    pub ogrn: Option<String>,
    /// `general`, `usn-5`, `usn-7` or `none`.
    pub vat_regime: String,
    /// Settlement account.
    pub bank_account: Option<String>,
    /// БИК of its bank.
    pub bank_bik: Option<String>,
    /// For optimistic locking.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

const INSERT: &str = "insert into sellers
    (tenant_id, id, name, kind, country, inn, kpp, ogrn, vat_regime, bank_account, bank_bik, version, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
/// Adds a seller.
pub async fn insert(tx: &mut Tx, tenant: Uuid, row: &SellerRow) -> Result<()> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        row.name,
        row.kind,
        row.country,
        row.inn,
        row.kpp,
        row.ogrn,
        row.vat_regime,
        row.bank_account,
        row.bank_bik,
        row.version,
        row.created_at,
    );
    tx.execute(INSERT, params).await.map(|_| ())
}

const FIND: &str =
    "select id, name, kind, country, inn, kpp, ogrn, vat_regime, bank_account, bank_bik, version, created_at
    from sellers where tenant_id = $1 and id = $2";
/// One seller.
pub async fn find(tx: &mut Tx, tenant: Uuid, id: Uuid) -> Result<Option<SellerRow>> {
    tx.fetch_optional(FIND, (tenant, id)).await
}

const LIST: &str =
    "select id, name, kind, country, inn, kpp, ogrn, vat_regime, bank_account, bank_bik, version, created_at
    from sellers where tenant_id = $1 and id > $2 order by id limit $3";
/// A page of sellers, by id.
pub async fn list(tx: &mut Tx, tenant: Uuid, after: Uuid, limit: i64) -> Result<Vec<SellerRow>> {
    tx.fetch_all(LIST, (tenant, after, limit)).await
}

const UPDATE: &str = "update sellers set name = $4, kind = $5, country = $6, inn = $7, kpp = $8, ogrn = $9,
    vat_regime = $10, bank_account = $11, bank_bik = $12, version = version + 1
    where tenant_id = $1 and id = $2 and version = $3";
/// Saves a seller; `false` when it is gone or its version is another.
pub async fn update(tx: &mut Tx, tenant: Uuid, row: &SellerRow, if_match: i64) -> Result<bool> {
    let row = row.clone();
    let params = (
        tenant,
        row.id,
        if_match,
        row.name,
        row.kind,
        row.country,
        row.inn,
        row.kpp,
        row.ogrn,
        row.vat_regime,
        row.bank_account,
        row.bank_bik,
    );
    Ok(tx.execute(UPDATE, params).await? == 1)
}
