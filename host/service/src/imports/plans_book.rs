//! Plans: one plan per product and period, with one recurring component and a price that includes VAT.

use std::collections::{HashMap, HashSet};

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, ComponentKind, PlanStatus, StubPolicy, Visibility},
    money::{Currency, Money},
    tax::PriceMode,
};
use altyn_store::{
    Tx, catalogue,
    catalogue::{ComponentRow, PlanRow, PlanVersionRow, ProductRow},
};
use chrono::{DateTime, NaiveDate, Utc};

use super::{
    book::{Book, Books, Cells, Saved},
    table::{Problem, Row},
};
use crate::{error::ServiceError, products::is_code};

const PRODUCT: &str = "Продукт";
const PERIOD: &str = "Период";
const PRICE: &str = "Цена с НДС";
const CURRENCY: &str = "Валюта";
const VAT: &str = "Ставка НДС";
const TITLE: &str = "Название";

/// Books do not say since when a price holds, so an imported plan has always been on sale.
const SINCE: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date of the calendar");

/// The code of the plan of a product and a period: `home-100-1m`.
pub(super) fn plan_code(product: &str, cadence: Cadence) -> String {
    format!("{product}-{cadence}")
}

pub(super) struct PlansBook<'b> {
    books: &'b Books,
}

impl<'b> PlansBook<'b> {
    pub(super) fn new(books: &'b Books) -> Self {
        Self { books }
    }
}

/// A row that reads well.
pub(super) struct Entry {
    code: String,
    product: String,
    title: String,
    cadence: Cadence,
    price: Money,
    tax_category: &'static str,
}

/// The tax category of a rate as books write it; rates of the base move with the law, so they share one.
fn tax_category(text: &str) -> Result<&'static str, &'static str> {
    match text.trim_end_matches('%').trim() {
        "22" | "20" | "18" => Ok("standard"),
        "10" => Ok("reduced"),
        "0" => Ok("zero"),
        other if other.to_lowercase() == "без ндс" => Ok("none"),
        _ => Err("is not a rate of VAT; write 22, 20, 18, 10, 0 or \"без НДС\""),
    }
}

impl Book for PlansBook<'_> {
    const COLUMNS: &'static [&'static str] = &[PRODUCT, PERIOD, PRICE, CURRENCY, VAT, TITLE];
    type Entry = Entry;

    fn parse(&self, row: &Row<'_>) -> Result<Entry, Vec<Problem>> {
        let mut cells = Cells::new(row);
        let product = cells.required(PRODUCT, 60);
        if !product.is_empty() && !is_code(&product) {
            cells.refuse(PRODUCT, "bad-code", "a code has 1 to 60 letters, digits, `-`, `_` and `.`");
        }
        let cadence = cells.parsed(PERIOD, "bad-period", str::parse::<Cadence>);
        let currency = cells.parsed(CURRENCY, "bad-currency", Currency::parse);
        let price = currency.and_then(|currency| {
            let price = cells.parsed(PRICE, "bad-amount", |text| Money::parse_major(text, currency))?;
            if price.minor < 0 {
                cells.refuse(PRICE, "bad-amount", "a price is zero or more");
            }
            Some(price)
        });
        let tax_category = cells.parsed(VAT, "bad-vat-rate", tax_category);
        let title = cells.required(TITLE, 300);
        cells.finish(|| {
            let cadence = cadence?;
            let code = plan_code(&product, cadence);
            Some(Entry { code, product, title, cadence, price: price?, tax_category: tax_category? })
        })
    }

    fn key(&self, entry: &Entry) -> (&'static str, &'static str, (String, String)) {
        (PRODUCT, "duplicate-plan", (String::new(), entry.code.clone()))
    }

    async fn save(&self, tx: &mut Tx, now: DateTime<Utc>, entries: &[(i64, Entry)]) -> Result<Saved, ServiceError> {
        let ids = &self.books.altyn.ids;
        let tenant = self.books.tenant.id;
        let codes = entries.iter().map(|(_, entry)| entry.code.clone()).collect();
        let known: HashSet<String> =
            catalogue::plans_by_code(tx, tenant, codes).await?.into_iter().map(|plan| plan.code).collect();
        let fresh: Vec<&Entry> =
            entries.iter().map(|(_, entry)| entry).filter(|entry| !known.contains(&entry.code)).collect();

        let wanted: HashSet<String> = fresh.iter().map(|entry| entry.product.clone()).collect();
        let found = catalogue::products_by_code(tx, tenant, wanted.into_iter().collect()).await?;
        let mut product_of: HashMap<String, uuid::Uuid> =
            found.into_iter().map(|product| (product.code, product.id)).collect();
        let (mut products, mut plans, mut versions, mut components) = (vec![], vec![], vec![], vec![]);
        for entry in &fresh {
            let product = *product_of.entry(entry.product.clone()).or_insert_with(|| {
                let id = ids.next();
                products.push(ProductRow {
                    id,
                    code: entry.product.clone(),
                    title: entry.title.clone(),
                    tax_category: entry.tax_category.to_owned(),
                    version: 1,
                    created_at: now,
                });
                id
            });
            let (plan, version) = (ids.next(), ids.next());
            plans.push(PlanRow {
                id: plan,
                code: entry.code.clone(),
                title: entry.title.clone(),
                status: PlanStatus::Active.as_str().to_owned(),
                visibility: Visibility::Public.as_str().to_owned(),
                version: 1,
                created_at: now,
            });
            versions.push(PlanVersionRow {
                id: version,
                plan_id: plan,
                ordinal: 1,
                effective_from: SINCE,
                existing_from: None,
                cadence: entry.cadence.to_string(),
                currency: entry.price.currency.code().to_owned(),
                price_mode: PriceMode::Included.as_str().to_owned(),
                billing_day: BillingDay::Anniversary.to_string(),
                stub: StubPolicy::Prorate.to_string(),
                created_at: now,
            });
            components.push(ComponentRow {
                id: ids.next(),
                plan_version_id: version,
                product_id: product,
                position: 0,
                code: "recurring".into(),
                title: entry.title.clone(),
                kind: ComponentKind::Recurring.as_str().to_owned(),
                unit_price_minor: entry.price.minor,
                tax_category: entry.tax_category.to_owned(),
                prepayment_percent: 100,
                included: "0".into(),
                min_quantity: None,
                max_quantity: None,
                meter_id: None,
                metered: None,
            });
        }
        catalogue::products_insert(tx, tenant, now, &products).await?;
        catalogue::plans_insert(tx, tenant, now, &plans).await?;
        catalogue::versions_insert(tx, tenant, now, &versions).await?;
        catalogue::components_insert(tx, tenant, &components).await?;
        Ok(Saved { created: count(fresh.len()), unchanged: count(entries.len() - fresh.len()), refused: Vec::new() })
    }
}

/// A number of rows.
pub(super) fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
