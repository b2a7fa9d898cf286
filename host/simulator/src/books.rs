//! The books as text that can be compared: on another engine, after a crash, after the same run once more.
//!
//! Everything is read by the use cases. Ids are replaced by the order in which they first appear, so that two lives that were
//! the same read the same whichever ids they were given. What belongs to hosts and not to business is left out: leases,
//! attempts, the time a computation took.

use std::collections::HashMap;

use altyn_service::{
    Altyn, Request, ServiceError,
    blocks::BlockFilter,
    charges::ChargeFilter,
    contracts::ContractFilter,
    invoices::InvoiceFilter,
    manual_operations::OperationFilter,
    orders::OrderFilter,
    page::{Listed, Page},
    price_overrides::PriceOverrideFilter,
    promises::PromiseFilter,
    subscriptions::SubscriptionFilter,
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::operator::Operator;

/// Fields that tell of hosts, of hashes over ids, of the order of attempts, or of how many questions were asked in one call.
const LEFT_OUT: [&str; 10] = [
    "plan_hash",
    "call_id",
    "numbering_call_id",
    "proration_call_id",
    "tax_call_id",
    "started_at",
    "attempts",
    "version",
    "plugin_calls",
    "updated_at",
];

/// The books of an operator, a line an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// The lines.
    pub lines: Vec<String>,
}

impl Books {
    /// The first line in which two books differ.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let longest = self.lines.len().max(other.lines.len());
        (0..longest).find_map(|index| {
            let (one, two) = (self.lines.get(index), other.lines.get(index));
            let told = |line: Option<&String>| line.map_or("(nothing)".to_owned(), Clone::clone);
            (one != two).then(|| format!("line {index}:\n  {}\n  {}", told(one), told(two)))
        })
    }
}

/// SHA-256 over the lines of some books, hexadecimal.
pub fn digest(of: &[Books]) -> String {
    let mut hash = Sha256::new();
    for line in of.iter().flat_map(|books| &books.lines) {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    hex::encode(hash.finalize())
}

/// Names for ids, in the order in which they appear.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn text(&mut self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('_') {
            let id = rest.get(at + 1..at + 33).filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
            match id {
                Some(id) if at >= 3 => {
                    let next = self.0.len();
                    let number = *self.0.entry(id.to_owned()).or_insert(next);
                    told.push_str(&rest[..=at]);
                    told.push_str(&number.to_string());
                    rest = &rest[at + 33..];
                }
                _ => {
                    told.push_str(&rest[..=at]);
                    rest = &rest[at + 1..];
                }
            }
        }
        told.push_str(rest);
        told
    }

    fn value(&mut self, value: Value, but: &[&str]) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(values) => Value::Array(values.into_iter().map(|value| self.value(value, but)).collect()),
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()) && !but.contains(&name.as_str()))
                    .map(|(name, value)| (name, self.value(value, but)))
                    .collect(),
            ),
            other => other,
        }
    }
}

/// All objects of a list.
async fn all<T, F>(mut list: impl FnMut(Page) -> F) -> Result<Vec<T>, ServiceError>
where
    F: Future<Output = Result<Listed<T>, ServiceError>>,
{
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(Page { limit: Some(100), cursor }).await?;
        found.extend(page.data);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(found),
        }
    }
}

struct Writer {
    names: Names,
    books: Books,
    /// Fields that are left out besides those that always are.
    but: &'static [&'static str],
}

impl Writer {
    fn without(but: &'static [&'static str]) -> Self {
        Self { names: Names::default(), books: Books::default(), but }
    }

    fn put<T: Serialize>(&mut self, kind: &str, of: Vec<T>) -> anyhow::Result<usize> {
        let count = of.len();
        for one in of {
            let value = self.names.value(serde_json::to_value(one)?, self.but);
            self.books.lines.push(format!("{kind} {value}"));
        }
        Ok(count)
    }
}

/// Reads the books of an operator.
pub async fn books(altyn: &Altyn, operator: &Operator) -> anyhow::Result<Books> {
    let request: &Request = &operator.request();
    let mut writer = Writer::without(&[]);
    let contracts = all(|page| async move { altyn.contract_list(request, ContractFilter::default(), &page).await });
    writer.put("contract", contracts.await?)?;
    let filter = || SubscriptionFilter::default();
    let subscriptions = all(|page| async move { altyn.subscription_list(request, filter(), &page).await }).await?;
    let ids: Vec<_> = subscriptions.iter().map(|one| one.id).collect();
    writer.put("subscription", subscriptions)?;
    for id in ids {
        let changes = all(|page| async move { altyn.change_list(request, id, &page).await }).await?;
        writer.put("change", changes)?;
        writer.put("life", vec![altyn.subscription_life(request, id).await?])?;
        let windows = all(|page| async move { altyn.usage_windows(request, id, &page).await }).await?;
        writer.put("window", windows)?;
        let moves = all(|page| async move { altyn.subscription_transitions(request, id, &page).await }).await?;
        writer.put("transition", moves)?;
    }
    writer.put("run", all(|page| async move { altyn.run_list(request, &page).await }).await?)?;
    write_invoices(altyn, request, &mut writer).await?;
    let charges = all(|page| async move { altyn.charge_list(request, ChargeFilter::default(), &page).await }).await?;
    let ids: Vec<_> = charges.iter().filter(|one| one.credited_minor != 0).map(|one| one.id).collect();
    writer.put("charge", charges)?;
    for id in ids {
        writer.put("credit", all(|page| async move { altyn.charge_credits(request, id, &page).await }).await?)?;
    }
    writer.put("posting", all(|page| async move { altyn.transaction_list(request, &page).await }).await?)?;
    writer.put("account", all(|page| async move { altyn.account_list(request, &page).await }).await?)?;
    let promises =
        all(|page| async move { altyn.promise_list(request, PromiseFilter { contract_id: None }, &page).await });
    writer.put("promise", promises.await?)?;
    let prices =
        all(|page| async move { altyn.price_override_list(request, PriceOverrideFilter::default(), &page).await });
    writer.put("price", prices.await?)?;
    let orders = all(|page| async move { altyn.order_list(request, OrderFilter::default(), &page).await });
    writer.put("order", orders.await?)?;
    let blocks = all(|page| async move { altyn.block_list(request, BlockFilter::default(), &page).await });
    writer.put("block", blocks.await?)?;
    let operations =
        all(|page| async move { altyn.manual_operation_list(request, OperationFilter::default(), &page).await });
    writer.put("operation", operations.await?)?;
    for contract in &operator.contracts {
        let id = *contract;
        writer.put("dunning", all(|page| async move { altyn.dunning_step_list(request, id, &page).await }).await?)?;
    }
    Ok(writer.books)
}

async fn write_invoices(altyn: &Altyn, request: &Request, writer: &mut Writer) -> anyhow::Result<()> {
    let invoices =
        all(|page| async move { altyn.invoice_list(request, InvoiceFilter::default(), &page).await }).await?;
    let ids: Vec<_> = invoices.iter().map(|one| one.id).collect();
    writer.put("invoice", invoices)?;
    for id in ids {
        writer.put("line", all(|page| async move { altyn.invoice_lines(request, id, &page).await }).await?)?;
    }
    Ok(())
}

/// Only the invoices of an operator with their lines, whenever and by whichever run they were written.
pub async fn invoices(altyn: &Altyn, operator: &Operator) -> anyhow::Result<Books> {
    let mut writer = Writer::without(&["created_at", "run_id"]);
    write_invoices(altyn, &operator.request(), &mut writer).await?;
    Ok(writer.books)
}
