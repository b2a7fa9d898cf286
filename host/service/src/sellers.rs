//! Sellers: the legal entities of a tenant that sign contracts and issue documents.

use altyn_domain::{
    id::{Id as _, SellerId},
    party::{CustomerKind, VatRegime},
    requisites::{BankAccount, Bik},
};
use altyn_store::{sellers, sellers::SellerRow};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
    requisites::{Requisites, check_country},
};

/// A new seller, or all that is known of one when it is changed.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSeller {
    /// Its name.
    pub name: String,
    /// What it is before the law.
    pub kind: CustomerKind,
    /// ISO 3166-1 alpha-2 code; `RU` when absent.
    pub country: Option<String>,
    /// ИНН: 10 digits of a legal entity, 12 of a person.
    pub inn: Option<String>,
    /// КПП of a legal entity.
    pub kpp: Option<String>,
    /// ОГРН of a legal entity, ОГРНИП of a sole proprietor.
    pub ogrn: Option<String>,
    /// How it stands towards value added tax.
    pub vat_regime: VatRegime,
    /// Settlement account: 20 digits.
    pub bank_account: Option<String>,
    /// БИК of its bank: 9 digits.
    pub bank_bik: Option<String>,
}

/// A seller.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SellerView {
    /// Its id.
    pub id: SellerId,
    /// Its name.
    pub name: String,
    /// What it is before the law.
    pub kind: CustomerKind,
    /// ISO 3166-1 alpha-2 code.
    pub country: String,
    /// ИНН.
    pub inn: Option<String>,
    /// КПП.
    pub kpp: Option<String>,
    /// ОГРН or ОГРНИП.
    pub ogrn: Option<String>,
    /// How it stands towards value added tax.
    pub vat_regime: VatRegime,
    /// Settlement account.
    pub bank_account: Option<String>,
    /// БИК of its bank.
    pub bank_bik: Option<String>,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

fn view(row: SellerRow) -> Result<SellerView> {
    Ok(SellerView {
        id: SellerId(row.id),
        kind: stored("sellers.kind", &row.kind)?,
        vat_regime: stored("sellers.vat_regime", &row.vat_regime)?,
        name: row.name,
        country: row.country,
        inn: row.inn,
        kpp: row.kpp,
        ogrn: row.ogrn,
        bank_account: row.bank_account,
        bank_bik: row.bank_bik,
        version: row.version,
        created_at: row.created_at,
    })
}

fn checked(command: CreateSeller, id: uuid::Uuid, now: DateTime<Utc>) -> Result<SellerRow> {
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
    match (&command.bank_account, &command.bank_bik) {
        (Some(account), Some(bik)) if country == "RU" => {
            if let Some(bik) = fields.take("/bank_bik", bik.parse::<Bik>()) {
                fields.take("/bank_account", BankAccount::try_new(account, &bik));
            }
        }
        (Some(_), None) if country == "RU" => fields.refuse("/bank_bik", "give the BIK of the account's bank"),
        (None, Some(_)) => fields.refuse("/bank_account", "give the account at this bank"),
        _ => {
            fields.optional_text("/bank_account", command.bank_account.as_deref(), 40);
            fields.optional_text("/bank_bik", command.bank_bik.as_deref(), 40);
        }
    }
    fields.finish()?;
    Ok(SellerRow {
        id,
        name: command.name,
        kind: command.kind.as_str().to_owned(),
        country,
        inn: command.inn,
        kpp: command.kpp,
        ogrn: command.ogrn,
        vat_regime: command.vat_regime.as_str().to_owned(),
        bank_account: command.bank_account,
        bank_bik: command.bank_bik,
        version: 1,
        created_at: now,
    })
}

impl Altyn {
    /// Creates a seller.
    pub async fn seller_create(&self, request: &Request, command: CreateSeller) -> Result<Reply<SellerView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = checked(command, self.ids.next(), work.now)?;
        sellers::insert(&mut work.tx, request.tenant.0, &row).await?;
        work.finish(201, view(row)?).await
    }

    /// One seller.
    pub async fn seller_get(&self, request: &Request, id: SellerId) -> Result<SellerView> {
        let mut tx = self.read(request).await?;
        view(sellers::find(&mut tx, request.tenant.0, id.uuid()).await?.ok_or(ServiceError::NotFound("seller"))?)
    }

    /// A page of sellers, oldest first.
    pub async fn seller_list(&self, request: &Request, page: &Page) -> Result<Listed<SellerView>> {
        let (limit, after) = page.bounds::<SellerId>()?;
        let mut tx = self.read(request).await?;
        let rows = sellers::list(&mut tx, request.tenant.0, after, limit).await?;
        page.listed(rows, |row| SellerId(row.id).to_string(), view).try_data()
    }

    /// Replaces all fields of a seller; documents that were issued keep what they say.
    pub async fn seller_update(
        &self,
        request: &Request,
        id: SellerId,
        if_match: i64,
        command: CreateSeller,
    ) -> Result<Reply<SellerView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let before = sellers::find(&mut work.tx, tenant, id.uuid()).await?;
        let before = before.ok_or(ServiceError::NotFound("seller"))?;
        let mut row = checked(command, before.id, before.created_at)?;
        if !sellers::update(&mut work.tx, tenant, &row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        row.version = if_match + 1;
        work.finish(200, view(row)?).await
    }
}
