//! How answers reach stdout: tables for people, JSON for programs.
//!
//! Works on the JSON of the views, the same as the HTTP interface answers, so a column is named by its field. Amounts in
//! minor units are shown in major ones. Refuses to know any resource.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use altyn_domain::money::{Currency, Money};
use altyn_service::page::Listed;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::exit::Failure;

/// The fields that lead in objects inside objects.
const LEADING: &[&str] = &["position", "id", "number", "code", "title", "used_start", "used_end", "quantity"];

/// What stands on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Aligned columns.
    #[default]
    Table,
    /// One JSON value.
    Json,
}

/// Writes to stdout; a reader that went away ends the program quietly.
pub fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Writes one line to stdout.
pub fn line(text: &str) {
    write(&format!("{text}\n"));
}

/// An amount in major units, thousands apart by a narrow space: `1 234 567.89`.
pub fn amount(money: Money) -> String {
    grouped(&money.to_major_string())
}

/// A count with its thousands apart.
pub fn count(number: i64) -> String {
    grouped(&number.to_string())
}

fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, part) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text.push_str(part);
    text
}

/// Rows of cells under headers; a column that only holds numbers is aligned to the right.
pub struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<H: Into<String>>(headers: impl IntoIterator<Item = H>) -> Self {
        Self { headers: headers.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are headers.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The text of the table, each line ended.
    pub fn render(&self) -> String {
        let width = |text: &str| text.chars().count();
        let widths: Vec<usize> = self
            .headers
            .iter()
            .enumerate()
            .map(|(at, header)| self.rows.iter().map(|row| width(&row[at])).fold(width(header), usize::max))
            .collect();
        let right: Vec<bool> = (0..self.headers.len())
            .map(|at| {
                let digits = self.rows.iter().any(|row| row[at].contains(|c: char| c.is_ascii_digit()));
                digits && self.rows.iter().all(|row| is_number(&row[at]))
            })
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&self.headers).chain(&self.rows) {
            let mut line = String::new();
            for (at, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[at] - width(cell));
                let (left, rest) = if right[at] { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line.push_str(left);
                line.push_str(cell);
                line.push_str(rest);
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn is_number(cell: &str) -> bool {
    // A lone dash stands for nothing and goes with the numbers around it.
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '\u{202f}'))
}

/// Prints in the chosen form.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// The form.
    pub output: Output,
    /// The currency of amounts whose object names none.
    pub currency: Option<Currency>,
}

impl Printer {
    /// The same, for objects without a currency of their own.
    pub fn in_currency(self, currency: Option<Currency>) -> Self {
        Self { currency, ..self }
    }

    /// One object: `first` names the fields that lead, the others follow.
    pub fn object(self, view: &impl Serialize, first: &[&str]) -> Result<(), Failure> {
        let value = json(view)?;
        if self.output == Output::Json {
            line(&format!("{value:#}"));
            return Ok(());
        }
        write(&self.object_text(&value, first));
        Ok(())
    }

    /// A page of objects with the named fields as columns.
    pub fn list<T: Serialize>(self, page: &Listed<T>, columns: &[&str]) -> Result<(), Failure> {
        let value = json(page)?;
        if self.output == Output::Json {
            line(&format!("{value:#}"));
            return Ok(());
        }
        let rows = value.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        write(&self.rows_text(rows, columns));
        if rows.is_empty() {
            eprintln!("nothing here");
        }
        if let Some(cursor) = &page.next_cursor {
            eprintln!("there is more: add --cursor {cursor}");
        }
        Ok(())
    }

    /// Objects as a table.
    pub fn rows_text(self, rows: &[Value], columns: &[&str]) -> String {
        let mut table = Table::new(columns.iter().map(|column| header(column)));
        for row in rows {
            let empty = Map::new();
            let object = row.as_object().unwrap_or(&empty);
            table.row(columns.iter().map(|column| self.cell(object, column)));
        }
        table.render()
    }

    fn object_text(self, value: &Value, first: &[&str]) -> String {
        let Some(object) = value.as_object() else { return format!("{value}\n") };
        let rest = object.keys().map(String::as_str).filter(|key| !first.contains(key));
        let keys: Vec<&str> = first.iter().copied().filter(|key| object.contains_key(*key)).chain(rest).collect();
        let width = keys.iter().map(|key| header(key).chars().count()).max().unwrap_or_default();
        let (mut text, mut below) = (String::new(), String::new());
        let inner = self.in_currency(self.currency_of(object));
        for key in keys {
            let name = header(key);
            match &object[key] {
                Value::Array(rows) if rows.first().is_some_and(Value::is_object) => {
                    let _ = write!(below, "\n{name}\n{}", inner.array_text(rows));
                }
                section @ Value::Object(fields)
                    if !is_period(fields) && !fields.is_empty() && money(fields).is_none() =>
                {
                    let _ = write!(below, "\n{name}\n{}", indented(&inner.object_text(section, LEADING)));
                }
                _ => {
                    let _ = writeln!(text, "{name:width$}  {}", self.cell(object, key));
                }
            }
        }
        text + &below
    }

    /// Objects of a list inside an object: a table, or one after the other when they hold lists themselves.
    fn array_text(self, rows: &[Value]) -> String {
        let deep = |row: &Value| row.as_object().is_some_and(|object| object.values().any(Value::is_array));
        if rows.iter().any(deep) {
            let texts: Vec<String> = rows.iter().map(|row| indented(&self.object_text(row, LEADING))).collect();
            return texts.join("\n");
        }
        let keys = rows[0].as_object().into_iter().flat_map(Map::keys).map(String::as_str);
        let mut columns: Vec<&str> = keys.collect();
        // A stable sort: what leads comes first, the others stay in their order.
        columns.sort_by_key(|column| LEADING.iter().position(|leading| leading == column).unwrap_or(LEADING.len()));
        self.rows_text(rows, &columns)
    }

    fn currency_of(self, object: &Map<String, Value>) -> Option<Currency> {
        let named = object.get("currency").and_then(Value::as_str).and_then(|code| Currency::parse(code).ok());
        named.or(self.currency)
    }

    fn cell(self, object: &Map<String, Value>, key: &str) -> String {
        let value = object.get(key).unwrap_or(&Value::Null);
        if let (true, Some(minor), Some(currency)) = (key.ends_with("_minor"), value.as_i64(), self.currency_of(object))
        {
            return amount(Money::new(minor, currency));
        }
        match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
            Value::Object(fields) if money(fields).is_some() => money(fields).map(amount).unwrap_or_default(),
            Value::Object(period)
                if period.len() == 2 && period.contains_key("start") && period.contains_key("end") =>
            {
                let day = |key: &str| period[key].as_str().unwrap_or_default().to_owned();
                format!("{}..{}", day("start"), day("end"))
            }
            other => other.to_string(),
        }
    }
}

fn json(view: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(view).map_err(|error| Failure::failed(format!("the answer cannot be shown: {error}")))
}

fn is_period(object: &Map<String, Value>) -> bool {
    object.len() == 2 && object.contains_key("start") && object.contains_key("end")
}

/// An amount with its currency, as objects inside objects name it.
fn money(object: &Map<String, Value>) -> Option<Money> {
    let (minor, code) = (object.get("minor")?.as_i64()?, object.get("currency")?.as_str()?);
    (object.len() == 2).then_some(())?;
    Currency::parse(code).ok().map(|currency| Money::new(minor, currency))
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| all + if line.is_empty() { "" } else { "  " } + line + "\n")
}

fn header(key: &str) -> String {
    key.strip_suffix("_minor").unwrap_or(key).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTER: Printer = Printer { output: Output::Table, currency: None };

    #[test]
    fn amounts_are_shown_in_major_units_with_thousands_apart() {
        let rub = |minor| amount(Money::new(minor, Currency::RUB)).replace('\u{202f}', " ");
        assert_eq!(rub(123_456_789), "1 234 567.89");
        assert_eq!(rub(-5), "-0.05");
        assert_eq!(rub(-100_000), "-1 000.00");
        assert_eq!(rub(99_999), "999.99");
        let yen = Money::new(1_234, Currency::parse("JPY").unwrap());
        assert_eq!(amount(yen).replace('\u{202f}', " "), "1 234");
    }

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let rows = [
            serde_json::json!({ "name": "Пётр", "amount_minor": 5, "currency": "RUB" }),
            serde_json::json!({ "name": "Я", "amount_minor": 123_400, "currency": "RUB" }),
        ];
        let text = PRINTER.rows_text(&rows, &["name", "amount_minor", "missing"]).replace('\u{202f}', " ");
        assert_eq!(text, "name    amount  missing\nПётр      0.05  -\nЯ     1 234.00  -\n");
    }

    #[test]
    fn an_amount_with_its_currency_is_shown_as_one() {
        let money = serde_json::json!({ "minor": 59_000, "currency": "RUB" });
        let view = serde_json::json!({ "id": "x", "total": money, "lines": [{ "net": money, "title": "TV" }] });
        let text = PRINTER.object_text(&view, &["id"]);
        assert_eq!(text, "id     x\ntotal  590.00\n\nlines\ntitle     net\nTV     590.00\n");
    }

    #[test]
    fn an_object_shows_its_leading_fields_first_and_its_lists_below() {
        let view = serde_json::json!({ "b": true, "id": "x", "currency": "RUB", "lines": [{ "net_minor": 100 }] });
        let text = PRINTER.object_text(&view, &["id", "absent"]);
        assert_eq!(text, "id        x\nb         yes\ncurrency  RUB\n\nlines\n net\n1.00\n");
    }
}
