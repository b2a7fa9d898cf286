//! Contracts. The first contract of a customer takes the balance that was imported with the customer.

use std::collections::{HashMap, HashSet};

use altyn_domain::{
    id::{Id as _, TenantId},
    money::Currency,
    party::ContractKind,
};
use altyn_store::{Tx, contracts, contracts::ContractRow, customers, customers::Known};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::{
    MOST_SYSTEMS,
    book::{Book, Books, Cells, Saved},
    plans_book::count,
    table::{Problem, Row},
};
use crate::{contracts::open, error::ServiceError};

const NUMBER: &str = "Номер договора";
const CUSTOMER: &str = "Внешний ID клиента";
const DATE: &str = "Дата";
const KIND: &str = "Тип расчётов";
const CURRENCY: &str = "Валюта";
const LIMIT: &str = "Кредитный лимит";

pub(super) struct ContractsBook<'b> {
    books: &'b Books,
    /// The external systems that a customer is looked for in.
    systems: Vec<String>,
}

impl<'b> ContractsBook<'b> {
    /// The file names customers by their external id alone, so the systems to look in must be few.
    pub(super) fn try_new(books: &'b Books) -> Result<Self, ServiceError> {
        let systems = match &books.options.external_system {
            Some(system) => vec![system.clone()],
            None => books.systems.clone(),
        };
        if i64::try_from(systems.len()).is_ok_and(|systems| systems > MOST_SYSTEMS) {
            return Err(ServiceError::invalid(
                "/external_system",
                format!(
                    "customers came from more than {MOST_SYSTEMS} systems; name the one that these contracts are from"
                ),
            ));
        }
        Ok(Self { books, systems })
    }
}

/// A row that reads well.
pub(super) struct Entry {
    number: String,
    customer: String,
    signed_on: NaiveDate,
    kind: ContractKind,
    currency: Currency,
    credit_limit_minor: i64,
}

impl Book for ContractsBook<'_> {
    const COLUMNS: &'static [&'static str] = &[NUMBER, CUSTOMER, DATE, KIND, CURRENCY, LIMIT];
    type Entry = Entry;

    fn parse(&self, row: &Row<'_>) -> Result<Entry, Vec<Problem>> {
        let mut cells = Cells::new(row);
        let number = cells.required(NUMBER, 100);
        let customer = cells.required(CUSTOMER, 200);
        let signed_on = cells.date(DATE);
        let kind = cells.parsed(KIND, "bad-kind", str::parse::<ContractKind>);
        let currency = cells.parsed(CURRENCY, "bad-currency", Currency::parse);
        let limit = currency.and_then(|currency| cells.amount(LIMIT, currency));
        if limit.is_some_and(|limit| !(0..=crate::contracts::LARGEST_CREDIT_LIMIT_MINOR).contains(&limit)) {
            cells.refuse(
                LIMIT,
                "bad-amount",
                "a credit limit is zero or more; a debt is allowed by a limit above zero",
            );
        }
        cells.finish(|| {
            Some(Entry {
                number,
                customer,
                signed_on: signed_on?,
                kind: kind?,
                currency: currency?,
                credit_limit_minor: limit?,
            })
        })
    }

    fn key(&self, entry: &Entry) -> (&'static str, &'static str, (String, String)) {
        (NUMBER, "duplicate-contract", (String::new(), entry.number.clone()))
    }

    async fn save(&self, tx: &mut Tx, now: DateTime<Utc>, entries: &[(i64, Entry)]) -> Result<Saved, ServiceError> {
        let (books, tenant) = (self.books, self.books.tenant.id);
        let numbers = entries.iter().map(|(_, entry)| entry.number.clone()).collect();
        let known: HashSet<String> =
            contracts::known(tx, tenant, numbers).await?.into_iter().map(|contract| contract.number).collect();
        let fresh: Vec<&(i64, Entry)> = entries.iter().filter(|(_, entry)| !known.contains(&entry.number)).collect();
        let wanted: HashSet<&str> = fresh.iter().map(|(_, entry)| entry.customer.as_str()).collect();
        let pairs: Vec<(String, String)> =
            self.systems.iter().flat_map(|system| wanted.iter().map(|id| (system.clone(), (*id).to_owned()))).collect();
        let mut customers_of: HashMap<String, Vec<Known>> = HashMap::new();
        for customer in customers::known(tx, tenant, &pairs).await? {
            customers_of.entry(customer.external_id.clone()).or_default().push(customer);
        }

        let mut saved = Saved { unchanged: count(entries.len() - fresh.len()), ..Saved::default() };
        let mut rows = Vec::with_capacity(fresh.len());
        let mut waiting: HashMap<Uuid, i64> = HashMap::new();
        for (line, entry) in fresh {
            let mut refuse = |code, message: String| {
                saved.refused.push(Problem { row: *line, column: CUSTOMER.to_owned(), code, message });
            };
            let customer = match customers_of.get(&entry.customer).map(Vec::as_slice) {
                Some([customer]) => customer,
                None | Some([]) => {
                    refuse("unknown-customer", "there is no customer with this external id; import it first".into());
                    continue;
                }
                Some([first, second, ..]) => {
                    refuse(
                        "ambiguous-customer",
                        format!(
                            "systems {} and {} both have this external id; name the external system of the import",
                            first.external_system, second.external_system
                        ),
                    );
                    continue;
                }
            };
            if let Some(minor) = customer.opening_balance_minor {
                waiting.insert(customer.id, minor);
            }
            rows.push(ContractRow {
                id: books.altyn.ids.next(),
                customer_id: customer.id,
                seller_id: books.options.seller.uuid(),
                number: entry.number.clone(),
                kind: entry.kind.as_str().to_owned(),
                currency: entry.currency.code().to_owned(),
                zone: books.tenant.zone.clone(),
                credit_limit_minor: entry.credit_limit_minor,
                signed_on: entry.signed_on,
                funds_account_id: books.altyn.ids.next(),
                external_system: None,
                external_id: None,
                version: 1,
                created_at: now,
            });
        }
        saved.created = count(rows.len());
        open(&books.altyn, tx, TenantId(tenant), now, &rows, waiting, books.currency).await?;
        Ok(saved)
    }
}
