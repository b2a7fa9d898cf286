//! Customers. An opening balance stays with the customer until a contract takes it.

use std::collections::HashSet;

use altyn_domain::party::CustomerKind;
use altyn_store::{Tx, customers, customers::CustomerRow};
use chrono::{DateTime, Utc};

use super::{
    book::{Book, Books, Cells, EXTERNAL_ID, SYSTEM, Saved, external_key},
    plans_book::count,
    table::{Problem, Row},
};
use crate::{
    error::ServiceError,
    requisites::{Fault, Requisite, Requisites},
};

const NAME: &str = "Название";
const KIND: &str = "Тип";
const BALANCE: &str = "Начальный баланс";
const INN: &str = "ИНН";
const KPP: &str = "КПП";
const OGRN: &str = "ОГРН";
const EMAIL: &str = "E-mail";
const PHONE: &str = "Телефон";
const ADDRESS: &str = "Адрес";

pub(super) struct CustomersBook<'b> {
    books: &'b Books,
}

impl<'b> CustomersBook<'b> {
    pub(super) fn new(books: &'b Books) -> Self {
        Self { books }
    }
}

/// A row that reads well.
pub(super) struct Entry {
    kind: CustomerKind,
    name: String,
    inn: Option<String>,
    kpp: Option<String>,
    ogrn: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    address: Option<String>,
    key: (String, String),
    /// Minor units of the tenant's currency; above zero the customer has money.
    balance_minor: i64,
}

fn kind(text: &str) -> Result<CustomerKind, &'static str> {
    match text {
        "ЮЛ" => Ok(CustomerKind::LegalEntity),
        "ИП" => Ok(CustomerKind::SoleProprietor),
        "ФЛ" => Ok(CustomerKind::Individual),
        _ => Err("is not a type of customer; write ЮЛ, ИП or ФЛ"),
    }
}

impl Book for CustomersBook<'_> {
    const COLUMNS: &'static [&'static str] =
        &[NAME, KIND, BALANCE, EXTERNAL_ID, SYSTEM, INN, KPP, OGRN, EMAIL, PHONE, ADDRESS];
    type Entry = Entry;

    fn parse(&self, row: &Row<'_>) -> Result<Entry, Vec<Problem>> {
        let mut cells = Cells::new(row);
        let name = cells.required(NAME, 500);
        let kind = cells.parsed(KIND, "bad-type", kind);
        let balance = cells.amount(BALANCE, self.books.currency);
        let key = external_key(&mut cells, &self.books.options);
        let (inn, kpp, ogrn) = (cells.optional(INN, 40), cells.optional(KPP, 40), cells.optional(OGRN, 40));
        if let Some(kind) = kind {
            let given =
                Requisites { kind, country: "RU", inn: inn.as_deref(), kpp: kpp.as_deref(), ogrn: ogrn.as_deref() };
            for (which, fault) in given.faults() {
                let (column, bad) = match which {
                    Requisite::Inn => (INN, "bad-inn"),
                    Requisite::Kpp => (KPP, "bad-kpp"),
                    Requisite::Ogrn => (OGRN, "bad-ogrn"),
                };
                // A cell that does not decode has its own problem already.
                if row.get(column).is_some() {
                    let code = if matches!(fault, Fault::Missing(_)) { "missing-value" } else { bad };
                    cells.refuse(column, code, fault.message());
                }
            }
        }
        let email = cells.optional(EMAIL, 254);
        if email.as_deref().is_some_and(|email| !email.contains('@')) {
            cells.refuse(EMAIL, "bad-email", "is not an e-mail address");
        }
        let phone = cells.optional(PHONE, 40);
        let address = cells.optional(ADDRESS, 1_000);
        cells.finish(|| {
            let (kind, balance_minor) = (kind?, balance?);
            Some(Entry { kind, name, inn, kpp, ogrn, email, phone, address, key, balance_minor })
        })
    }

    fn key(&self, entry: &Entry) -> (&'static str, &'static str, (String, String)) {
        (EXTERNAL_ID, "duplicate-external-id", entry.key.clone())
    }

    async fn save(&self, tx: &mut Tx, now: DateTime<Utc>, entries: &[(i64, Entry)]) -> Result<Saved, ServiceError> {
        let tenant = self.books.tenant.id;
        let keys: Vec<(String, String)> = entries.iter().map(|(_, entry)| entry.key.clone()).collect();
        let known: HashSet<(String, String)> = customers::known(tx, tenant, &keys)
            .await?
            .into_iter()
            .map(|known| (known.external_system, known.external_id))
            .collect();
        let rows: Vec<CustomerRow> = entries
            .iter()
            .map(|(_, entry)| entry)
            .filter(|entry| !known.contains(&entry.key))
            .map(|entry| CustomerRow {
                id: self.books.altyn.ids.next(),
                kind: entry.kind.as_str().to_owned(),
                name: entry.name.clone(),
                country: "RU".into(),
                inn: entry.inn.clone(),
                kpp: entry.kpp.clone(),
                ogrn: entry.ogrn.clone(),
                email: entry.email.clone(),
                phone: entry.phone.clone(),
                address: entry.address.clone(),
                external_system: Some(entry.key.0.clone()),
                external_id: Some(entry.key.1.clone()),
                opening_balance_minor: Some(entry.balance_minor).filter(|minor| *minor != 0),
                version: 1,
                created_at: now,
            })
            .collect();
        customers::insert_all(tx, tenant, now, &rows).await?;
        Ok(Saved { created: count(rows.len()), unchanged: count(entries.len() - rows.len()), refused: Vec::new() })
    }
}
