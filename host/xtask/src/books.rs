//! The example books: a made-up provider's customers, contracts and subscriptions, as handed over for migration.
//!
//! Owns what the data set looks like and the eight rows that are wrong on purpose. Refuses to know how it is imported.
//! Invariant: the same number of customers and the same seed give the same bytes on every machine, so the files in the
//! repository can be checked against this text. Names, addresses and numbers are invented: tax numbers carry valid
//! checksums with the region 00, which no tax office has.

mod cp1251;
mod people;
mod requisites;
mod splitmix;

use std::{fs, path::Path, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, ensure};

use self::splitmix::SplitMix;
use crate::shell::{self, Usage};

const CUSTOMERS: u32 = 2_200;
const SEED: u64 = 20_261_101;

/// The widest number that an external id and a tax number have room for.
const MOST_CUSTOMERS: u32 = 99_999;

const SYSTEM: &str = "meridian";

const PLANS_HEADER: &str = "Продукт;Период;Цена с НДС;Валюта;Ставка НДС;Название";
const CUSTOMERS_HEADER: &str =
    "Название;Тип;Начальный баланс;Внешний ID;Внешняя система;ИНН;КПП;ОГРН;E-mail;Телефон;Адрес";
const CONTRACTS_HEADER: &str = "Номер договора;Внешний ID клиента;Дата;Тип расчётов;Валюта;Кредитный лимит";
const SUBSCRIPTIONS_HEADER: &str =
    "Номер договора;Продукт;Период;Дата продления;Количество;Скидка, %;Внешний ID;Внешняя система";

/// A product as it is sold: code, period in months, price with VAT in roubles, title, and which customers take it.
struct Plan {
    code: &'static str,
    months: u32,
    price: &'static str,
    title: &'static str,
    buyers: Buyers,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Buyers {
    Homes,
    Firms,
    Everyone,
}

const PLANS: [Plan; 12] = [
    plan("net-50", 1, "450.00", "Интернет 50 Мбит/с", Buyers::Homes),
    plan("net-300", 1, "690.00", "Интернет 300 Мбит/с", Buyers::Homes),
    plan("net-900", 1, "1090.00", "Интернет 900 Мбит/с", Buyers::Homes),
    plan("biz-200", 1, "5300.00", "Бизнес-канал 200 Мбит/с", Buyers::Firms),
    plan("biz-1000", 1, "15750.00", "Бизнес-канал 1 Гбит/с", Buyers::Firms),
    plan("phone-line", 1, "333.33", "Городской номер", Buyers::Firms),
    plan("rack-unit", 3, "8640.00", "Размещение сервера, 1 юнит", Buyers::Firms),
    plan("ip-static", 1, "180.00", "Постоянный IP-адрес", Buyers::Everyone),
    plan("iptv", 1, "349.90", "Цифровое ТВ – «Всё включено»", Buyers::Homes),
    plan("camera", 3, "1199.97", "Видеонаблюдение, 1 камера", Buyers::Everyone),
    plan("mail-box", 12, "1788.00", "Почтовый ящик на своём домене", Buyers::Everyone),
    plan("name-ru", 12, "990.00", "Доменное имя .RU", Buyers::Everyone),
];

const fn plan(code: &'static str, months: u32, price: &'static str, title: &'static str, buyers: Buyers) -> Plan {
    Plan { code, months, price, title, buyers }
}

/// A row that is wrong on purpose.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    file: &'static str,
    /// Counted from 1, the header is line 1.
    line: usize,
    column: &'static str,
    what: &'static str,
}

/// The four files and what is wrong in them.
struct Books {
    files: Vec<Table>,
    faults: Vec<Fault>,
}

struct Table {
    name: &'static str,
    rows: Vec<Vec<u8>>,
}

impl Table {
    fn new(name: &'static str, header: &str) -> anyhow::Result<Self> {
        Ok(Self { name, rows: vec![cp1251::encode(header)?] })
    }

    fn push(&mut self, fields: &[&str]) -> anyhow::Result<()> {
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        self.rows.push(cp1251::encode(&fields.join(";"))?);
        Ok(())
    }

    /// Adds a row that is wrong, and remembers where.
    fn push_fault(
        &mut self,
        faults: &mut Vec<Fault>,
        fields: &[&str],
        column: &'static str,
        what: &'static str,
    ) -> anyhow::Result<()> {
        self.push(fields)?;
        faults.push(Fault { file: self.name, line: self.rows.len(), column, what });
        Ok(())
    }

    fn bytes(&self) -> Vec<u8> {
        self.rows.iter().flat_map(|row| row.iter().chain(b"\r\n")).copied().collect()
    }
}

/// A field as it stands in the file: in quotes when it holds the separator or a quote.
fn quoted(field: &str) -> String {
    if field.contains([';', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// `cargo xtask books`: writes the files.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (mut customers, mut seed, mut into) = (CUSTOMERS, SEED, root.join("examples").join("operator"));
    let mut rest = arguments;
    while let Some(first) = rest.first() {
        let taken;
        if let Some((value, words)) = shell::option(rest, "--customers")? {
            customers =
                value.parse().ok().filter(|customers| (100..=MOST_CUSTOMERS).contains(customers)).ok_or_else(|| {
                    Usage::new(format!("`--customers` is from 100 to {MOST_CUSTOMERS}, got `{value}`"))
                })?;
            taken = words;
        } else if let Some((value, words)) = shell::option(rest, "--seed")? {
            seed = value.parse().map_err(|_| Usage::new(format!("`--seed` is a number, got `{value}`")))?;
            taken = words;
        } else if let Some((value, words)) = shell::option(rest, "--into")? {
            into = PathBuf::from(value);
            taken = words;
        } else {
            return Err(Usage::new(format!("`cargo xtask books` does not know `{first}`")).into());
        }
        rest = &rest[taken..];
    }

    let books = write(customers, seed)?;
    fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
    for table in &books.files {
        let path = into.join(table.name);
        fs::write(&path, table.bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("{}: {} rows", path.display(), table.rows.len() - 1);
    }
    for fault in &books.faults {
        eprintln!("{}", fault.documented());
    }
    Ok(ExitCode::SUCCESS)
}

impl Fault {
    /// The row of the table in `examples/operator/README.md`.
    fn documented(&self) -> String {
        format!("| {} | {} | {} | {} |", self.file, self.line, self.column, self.what)
    }
}

/// All the files for a number of customers and a seed.
fn write(customers: u32, seed: u64) -> anyhow::Result<Books> {
    ensure!(customers >= 100, "the wrong rows need at least 100 customers around them");
    let mut random = SplitMix::new(seed);
    let mut faults = Vec::new();
    let mut plans = Table::new("plans.csv", PLANS_HEADER)?;
    for plan in &PLANS {
        plans.push(&[plan.code, &format!("{}m", plan.months), plan.price, "RUB", "22", plan.title])?;
    }

    let mut people = Table::new("customers.csv", CUSTOMERS_HEADER)?;
    let mut contracts = Table::new("contracts.csv", CONTRACTS_HEADER)?;
    let mut subscriptions = Table::new("subscriptions.csv", SUBSCRIPTIONS_HEADER)?;
    let mut contract_number = 0_u32;
    let mut subscription_number = 0_u32;

    for index in 1..=customers {
        let customer = people::customer(index, &mut random);
        people.push(&customer.fields())?;
        if index == customers / 7 {
            wrong_customers(&mut people, &mut faults, &customer)?;
        }

        // One in twenty firms keeps a second contract, as a branch office does.
        let second = customer.is_firm() && random.below(20) == 0;
        for _ in 0..=u32::from(second) {
            contract_number += 1;
            let date = format!("{:04}-{:02}-{:02}", 2022 + random.below(4), 1 + random.below(12), 1 + random.below(28));
            let number = format!("Л-{}/{contract_number:05}", &date[2..4]);
            let postpaid = random.below(100) < if customer.is_firm() { 40 } else { 4 };
            let limit = match random.below(20) {
                0 | 1 => "1000.00",
                2 if customer.is_firm() => "25000.00",
                _ => "0.00",
            };
            let terms = if postpaid { "postpaid" } else { "prepaid" };
            contracts.push(&[&number, &customer.external_id, &date, terms, "RUB", limit])?;
            for _ in 0..=random.weighted(&[55, 30, 10, 5]) {
                subscription_number += 1;
                let wanted = if customer.is_firm() { Buyers::Firms } else { Buyers::Homes };
                subscription(&mut subscriptions, &number, subscription_number, wanted, &mut random)?;
            }
            if index == customers / 3 && faults.iter().all(|fault| fault.file != "contracts.csv") {
                wrong_contracts(&mut contracts, &mut faults, &customer.external_id)?;
            }
            if index == customers / 2 && faults.iter().all(|fault| fault.file != "subscriptions.csv") {
                wrong_subscriptions(&mut subscriptions, &mut faults, &number)?;
            }
        }
    }
    Ok(Books { files: vec![plans, people, contracts, subscriptions], faults })
}

fn subscription(
    table: &mut Table,
    contract: &str,
    number: u32,
    wanted: Buyers,
    random: &mut SplitMix,
) -> anyhow::Result<()> {
    let suitable: Vec<&Plan> =
        PLANS.iter().filter(|plan| plan.buyers == wanted || plan.buyers == Buyers::Everyone).collect();
    let plan = suitable[random.index(suitable.len())];
    let date = next_charge(plan.months, random);
    let quantity = match random.below(25) {
        0 => 2 + random.below(2),
        1 if wanted == Buyers::Firms => 5 * (1 + random.below(4)),
        _ => 1,
    };
    let discount = match random.below(20) {
        0 | 1 => "10",
        2 => "5",
        3 => "25",
        4 if wanted == Buyers::Firms => "12.5",
        _ => "",
    };
    table.push(&[
        contract,
        plan.code,
        &format!("{}m", plan.months),
        &date,
        &quantity.to_string(),
        discount,
        &format!("US-{number:06}"),
        SYSTEM,
    ])
}

/// A next charge date from 1 November 2026 on, no further ahead than the period is long; ends of months are common,
/// because that is where anchored periods are difficult.
fn next_charge(months: u32, random: &mut SplitMix) -> String {
    let ahead = match months {
        1 => 0,
        // Half of the longer periods fall due at once, so that a month's run sees enough of them.
        _ if random.below(2) == 0 => 0,
        _ => random.below(u64::from(months)),
    };
    let (year, month) = if ahead < 2 { (2026, 11 + ahead) } else { (2027, ahead - 1) };
    let last = match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = if random.below(12) == 0 { last - random.below(3) } else { 1 + random.below(last) };
    format!("{year}-{month:02}-{day:02}")
}

fn wrong_customers(table: &mut Table, faults: &mut Vec<Fault>, good: &people::Customer) -> anyhow::Result<()> {
    let inn = requisites::wrong(&requisites::inn_of_firm(90_001, 77));
    let kpp = format!("{}01001", &inn[..4]);
    let ogrn = requisites::ogrn(9, 90_001);
    table.push_fault(
        faults,
        &["ООО \"Опечатка\"", "ЮЛ", "0.00", "AB-90001", SYSTEM, &inn, &kpp, &ogrn, "", "", ""],
        "ИНН",
        "the checksum of the tax number is wrong",
    )?;
    let twin = people::Customer {
        name: "Двойников Двойник Двойникович".into(),
        kind: people::Kind::Person,
        inn: String::new(),
        kpp: String::new(),
        ogrn: String::new(),
        ..good.clone()
    };
    table.push_fault(faults, &twin.fields(), "Внешний ID", "the customer two lines above has the same external id")?;
    let inn = requisites::inn_of_firm(90_003, 77);
    let kpp = format!("{}01001", &inn[..4]);
    let ogrn = requisites::ogrn(9, 90_003);
    table.push_fault(
        faults,
        &["ООО \"Кракозябра\"", "ЮЛ", "0.00", "AB-90003", SYSTEM, &inn, &kpp, &ogrn, "", "", ""],
        "Название",
        "byte 0x98, which windows-1251 does not define",
    )?;
    if let Some(row) = table.rows.last_mut() {
        // The second letter of the name: what a broken transfer leaves in a file.
        row[8] = 0x98;
    }
    Ok(())
}

fn wrong_contracts(table: &mut Table, faults: &mut Vec<Fault>, customer: &str) -> anyhow::Result<()> {
    table.push_fault(
        faults,
        &["Л-25/90001", customer, "2025-02-30", "prepaid", "RUB", "0.00"],
        "Дата",
        "30 February does not exist",
    )?;
    table.push_fault(
        faults,
        &["Л-25/90002", "AB-99999", "2025-03-14", "prepaid", "RUB", "0.00"],
        "Внешний ID клиента",
        "no customer has this external id",
    )
}

fn wrong_subscriptions(table: &mut Table, faults: &mut Vec<Fault>, contract: &str) -> anyhow::Result<()> {
    table.push_fault(
        faults,
        &[contract, "dial-up", "1m", "2026-11-10", "1", "", "US-900001", SYSTEM],
        "Продукт",
        "no plan has this code",
    )?;
    table.push_fault(
        faults,
        &["Л-25/99999", "net-300", "1m", "2026-11-11", "1", "", "US-900002", SYSTEM],
        "Номер договора",
        "no contract has this number",
    )?;
    table.push_fault(
        faults,
        &[contract, "ip-static", "1m", "31.11.2026", "1", "", "US-900003", SYSTEM],
        "Дата продления",
        "not a date in the form YYYY-MM-DD, and 31 November does not exist",
    )
}

/// Kopecks as roubles with two digits.
fn major(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", minor.unsigned_abs() / 100, minor.unsigned_abs() % 100)
}

#[cfg(test)]
mod tests;
