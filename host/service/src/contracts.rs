//! Contracts: where money lives. A contract is born together with the ledger account of its funds.
//!
//! A balance that was imported with a customer waits there for the customer's first contract in the tenant's currency
//! and is posted to it once, whichever way the contract comes in.

use std::{collections::HashMap, str::FromStr as _};

use altyn_domain::{
    calendar,
    id::{ContractId, CustomerId, Id as _, SellerId, TenantId},
    ledger::{About, AccountCode, Transaction, opening_balance},
    money::{Currency, Money},
    party::ContractKind,
};
use altyn_store::{
    StoreError, Tx, contracts,
    contracts::{ContractRow, ContractWithFunds, Filter},
    customers,
    ledger::{NewAccount, accounts_open},
    sellers, subscriptions,
};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Begun, Reply, Request},
    customers::check_external,
    error::{Fields, Result, ServiceError, stored},
    ledger,
    page::{Listed, Page},
    tenants,
};

/// A new contract.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateContract {
    /// Who buys.
    pub customer_id: CustomerId,
    /// Who sells.
    pub seller_id: SellerId,
    /// Its number, unique within the tenant.
    pub number: String,
    /// When it pays.
    pub kind: ContractKind,
    /// ISO 4217 code; the tenant's when absent. It never changes.
    pub currency: Option<String>,
    /// Time zone of its days; the tenant's when absent.
    pub zone: Option<String>,
    /// How far the balance may go below zero, minor units; 0 when absent.
    pub credit_limit_minor: Option<i64>,
    /// The date on the contract; today in its zone when absent.
    pub signed_on: Option<NaiveDate>,
    /// The system that the contract is known in; given together with `external_id`.
    pub external_system: Option<String>,
    /// The contract's id there; unique within the system.
    pub external_id: Option<String>,
}

/// Changes to a contract; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateContract {
    /// When it pays.
    pub kind: Option<ContractKind>,
    /// How far the balance may go below zero, minor units.
    pub credit_limit_minor: Option<i64>,
    /// Time zone of its days; a subscription that has begun takes it at the boundary of its next period that is not charged.
    pub zone: Option<String>,
}

/// A contract.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ContractView {
    /// Its id.
    pub id: ContractId,
    /// Who buys.
    pub customer_id: CustomerId,
    /// Who sells.
    pub seller_id: SellerId,
    /// Its number.
    pub number: String,
    /// When it pays.
    pub kind: ContractKind,
    /// ISO 4217 code.
    pub currency: String,
    /// Time zone of its days.
    pub zone: String,
    /// How far the balance may go below zero, minor units.
    pub credit_limit_minor: i64,
    /// The date on the contract.
    pub signed_on: NaiveDate,
    /// What the customer has, minor units; below zero is a debt.
    pub balance_minor: i64,
    /// What the customer may spend: balance, active promises and the limit in effect, less what is reserved; minor units.
    pub available_minor: i64,
    /// The system that the contract is known in.
    pub external_system: Option<String>,
    /// The contract's id there.
    pub external_id: Option<String>,
    /// Version of the object, for `If-Match`; a movement of money does not change it.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// Which contracts a list holds.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContractFilter {
    /// Only those of this customer.
    pub customer_id: Option<CustomerId>,
    /// Only the one with this number.
    pub number: Option<String>,
}

fn view(found: ContractWithFunds) -> Result<ContractView> {
    let row = found.contract;
    let out_of_range = || ServiceError::Internal("a balance is out of range".into());
    let balance_minor = found.funds_minor.checked_neg().ok_or_else(out_of_range)?;
    Ok(ContractView {
        id: ContractId(row.id),
        customer_id: CustomerId(row.customer_id),
        seller_id: SellerId(row.seller_id),
        kind: stored("contracts.kind", &row.kind)?,
        number: row.number,
        currency: row.currency,
        zone: row.zone,
        credit_limit_minor: row.credit_limit_minor,
        signed_on: row.signed_on,
        balance_minor,
        available_minor: found.available_minor,
        external_system: row.external_system,
        external_id: row.external_id,
        version: row.version,
        created_at: row.created_at,
    })
}

fn duplicate(error: ServiceError) -> ServiceError {
    match error {
        ServiceError::Store(StoreError::Duplicate(_)) => ServiceError::conflict(
            "duplicate-contract",
            "another contract has this number or this external id; use another",
        ),
        other => other,
    }
}

const NO_ZONE: &str = "is not a time zone; write an IANA name such as Europe/Moscow";

/// The most a credit limit may be: beyond it sums of a tenant could leave the range of 64 bits.
pub(crate) const LARGEST_CREDIT_LIMIT_MINOR: i64 = 1_000_000_000_000_000;

fn check_credit_limit(fields: &mut Fields, limit_minor: i64) {
    if !(0..=LARGEST_CREDIT_LIMIT_MINOR).contains(&limit_minor) {
        fields.refuse(
            "/credit_limit_minor",
            format!("must be between 0 and {LARGEST_CREDIT_LIMIT_MINOR}; a debt is allowed by a limit above zero"),
        );
    }
}

/// Writes new contracts with their funds accounts and posts the balances that wait for them.
///
/// `waiting` holds the customers' waiting balances in minor units of `currency`; the first contract of a customer in
/// that currency gets it. Fails as stale when somebody else took one of the balances meanwhile.
pub(crate) async fn open(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    rows: &[ContractRow],
    mut waiting: HashMap<Uuid, i64>,
    currency: Currency,
) -> Result<()> {
    let accounts: Vec<NewAccount> = rows
        .iter()
        .map(|row| NewAccount {
            id: row.funds_account_id,
            code: AccountCode::ContractFunds(ContractId(row.id)).to_string(),
            currency: row.currency.clone(),
        })
        .collect();
    contracts::insert_all(tx, tenant.0, now, rows).await?;
    accounts_open(tx, tenant.0, &accounts).await?;
    let mut transactions: Vec<Transaction> = Vec::new();
    let mut taken = Vec::new();
    for row in rows.iter().filter(|row| row.currency == currency.code()) {
        let Some(balance_minor) = waiting.remove(&row.customer_id) else { continue };
        let id = ContractId(row.id);
        let zone: Tz = stored("contracts.zone", &row.zone)?;
        let about = About {
            source_key: format!("opening/{id}"),
            effective_on: calendar::local_date(now, zone),
            description: format!("opening balance of contract {}", row.number),
        };
        let posting = opening_balance(about, id, Money::new(balance_minor, currency))
            .map_err(|error| ServiceError::Internal(error.to_string()))?;
        transactions.push(posting);
        taken.push(row.customer_id);
    }
    if !taken.is_empty() {
        let expected = taken.len() as u64;
        if customers::opening_balances_take(tx, tenant.0, taken).await? != expected {
            return Err(ServiceError::Stale);
        }
        ledger::post_all(tx, &*altyn.ids, tenant, now, &transactions).await?;
    }
    Ok(())
}

impl Altyn {
    /// Creates a contract and opens its account.
    pub async fn contract_create(&self, request: &Request, command: CreateContract) -> Result<Reply<ContractView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = tenants::acting(&mut work.tx, request).await?;
        let mut fields = Fields::default();
        fields.text("/number", &command.number, 100);
        check_external(&mut fields, command.external_system.as_deref(), command.external_id.as_deref());
        let credit_limit_minor = command.credit_limit_minor.unwrap_or(0);
        check_credit_limit(&mut fields, credit_limit_minor);
        let currency = command.currency.unwrap_or_else(|| tenant.currency.clone());
        fields.take("/currency", Currency::parse(&currency));
        let zone = command.zone.unwrap_or_else(|| tenant.zone.clone());
        let parsed_zone = Tz::from_str(&zone).ok();
        if parsed_zone.is_none() {
            fields.refuse("/zone", NO_ZONE);
        }
        let customer = customers::find(&mut work.tx, request.tenant.0, command.customer_id.uuid()).await?;
        if customer.is_none() {
            fields.refuse("/customer_id", "there is no such customer");
        }
        if sellers::find(&mut work.tx, request.tenant.0, command.seller_id.uuid()).await?.is_none() {
            fields.refuse("/seller_id", "there is no such seller");
        }
        fields.finish()?;
        let today = calendar::local_date(work.now, parsed_zone.unwrap_or(Tz::UTC));
        let row = ContractRow {
            id: self.ids.next(),
            customer_id: command.customer_id.uuid(),
            seller_id: command.seller_id.uuid(),
            number: command.number,
            kind: command.kind.as_str().to_owned(),
            currency,
            zone,
            credit_limit_minor,
            signed_on: command.signed_on.unwrap_or(today),
            funds_account_id: self.ids.next(),
            external_system: command.external_system,
            external_id: command.external_id,
            version: 1,
            created_at: work.now,
        };
        let waiting = customer
            .and_then(|customer| customer.opening_balance_minor.map(|minor| (customer.id, minor)))
            .into_iter()
            .collect();
        let currency = stored("tenants.currency", &tenant.currency)?;
        let id = row.id;
        open(self, &mut work.tx, request.tenant, work.now, &[row], waiting, currency).await.map_err(duplicate)?;
        let found = contracts::find(&mut work.tx, request.tenant.0, id).await?;
        let found = found.ok_or(ServiceError::NotFound("contract"))?;
        work.finish(201, view(found)?).await
    }

    /// One contract.
    pub async fn contract_get(&self, request: &Request, id: ContractId) -> Result<ContractView> {
        let mut tx = self.read(request).await?;
        let found = contracts::find(&mut tx, request.tenant.0, id.uuid()).await?;
        view(found.ok_or(ServiceError::NotFound("contract"))?)
    }

    /// A page of contracts, oldest first.
    pub async fn contract_list(
        &self,
        request: &Request,
        filter: ContractFilter,
        page: &Page,
    ) -> Result<Listed<ContractView>> {
        let (limit, after) = page.bounds::<ContractId>()?;
        let (filter, customer) = match (filter.customer_id, filter.number) {
            (None, None) => (Filter::All, None),
            (Some(customer), None) => (Filter::Customer(customer.uuid()), None),
            (customer, Some(number)) => (Filter::Number(number), customer),
        };
        let mut tx = self.read(request).await?;
        let mut rows = contracts::list(&mut tx, request.tenant.0, &filter, after, limit).await?;
        // A number names one contract at most, so the other condition is cheaper to check here.
        rows.retain(|row| customer.is_none_or(|customer| customer.uuid() == row.contract.customer_id));
        page.listed(rows, |row| ContractId(row.contract.id).to_string(), view).try_data()
    }

    /// Changes when a contract pays, how far it may go into debt, and its zone.
    ///
    /// What its subscriptions have begun ends by the zone in which it began.
    pub async fn contract_update(
        &self,
        request: &Request,
        id: ContractId,
        if_match: i64,
        command: UpdateContract,
    ) -> Result<Reply<ContractView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = request.tenant.0;
        let found = contracts::find(&mut work.tx, tenant, id.uuid()).await?;
        let mut found = found.ok_or(ServiceError::NotFound("contract"))?;
        let row = &mut found.contract;
        row.credit_limit_minor = command.credit_limit_minor.unwrap_or(row.credit_limit_minor);
        if let Some(kind) = command.kind {
            kind.as_str().clone_into(&mut row.kind);
        }
        let mut fields = Fields::default();
        check_credit_limit(&mut fields, row.credit_limit_minor);
        let former = row.zone.clone();
        if let Some(zone) = command.zone {
            if Tz::from_str(&zone).is_err() {
                fields.refuse("/zone", NO_ZONE);
            }
            row.zone = zone;
        }
        fields.finish()?;
        if row.zone != former {
            subscriptions::zone_keep(&mut work.tx, tenant, row.id, &former).await?;
        }
        if !contracts::update(&mut work.tx, tenant, row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        // The limit changes what is available.
        let found = contracts::find(&mut work.tx, tenant, id.uuid()).await?;
        work.finish(200, view(found.ok_or(ServiceError::NotFound("contract"))?)?).await
    }
}
