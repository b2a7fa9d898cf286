//! What the example books promise to those who import them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn default_books() -> Books {
    write(CUSTOMERS, SEED).unwrap()
}

/// The rows of a file that are not wrong on purpose, as decoded fields.
fn good_rows(books: &Books, name: &str) -> Vec<Vec<String>> {
    let table = books.files.iter().find(|table| table.name == name).unwrap();
    let wrong: BTreeSet<usize> =
        books.faults.iter().filter(|fault| fault.file == name).map(|fault| fault.line).collect();
    let lines = table.rows.iter().enumerate().skip(1).filter(|(index, _)| !wrong.contains(&(index + 1)));
    lines.map(|(_, row)| fields(&cp1251::decode(row).unwrap())).collect()
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut signs = line.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '"' if quoted && signs.peek() == Some(&'"') => field.push(signs.next().unwrap()),
            '"' => quoted = !quoted,
            ';' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(sign),
        }
    }
    fields.push(field);
    fields
}

#[test]
fn the_files_in_the_repository_are_what_the_generator_writes() {
    let folder = crate::root().join("examples").join("operator");
    for table in default_books().files {
        let stored = fs::read(folder.join(table.name)).unwrap();
        assert!(stored == table.bytes(), "{} differs: run `cargo xtask books`", table.name);
    }
}

#[test]
fn another_seed_gives_other_books_and_the_same_seed_the_same() {
    let bytes = |seed| write(300, seed).unwrap().files.iter().map(Table::bytes).collect::<Vec<_>>();
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn every_wrong_row_is_documented_where_it_stands() {
    let text = fs::read_to_string(crate::root().join("examples/operator/README.md")).unwrap();
    let books = default_books();
    assert_eq!(books.faults.len(), 8);
    for fault in &books.faults {
        assert!(text.contains(&fault.documented()), "the README misses: {}", fault.documented());
    }
}

#[test]
fn the_wrong_encoding_stands_in_one_row_only() {
    let books = default_books();
    let broken: Vec<usize> = books.files[1]
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.contains(&0x98))
        .map(|(index, _)| index + 1)
        .collect();
    let documented: Vec<usize> =
        books.faults.iter().filter(|fault| fault.what.contains("0x98")).map(|fault| fault.line).collect();
    assert_eq!(broken, documented);
    assert_eq!(broken.len(), 1);
    let table = &books.files[1].rows[broken[0] - 1];
    assert!(cp1251::decode(table).is_none());
}

#[test]
fn the_books_are_large_enough_and_refer_only_to_what_is_in_them() {
    let books = default_books();
    let customers = good_rows(&books, "customers.csv");
    let contracts = good_rows(&books, "contracts.csv");
    let subscriptions = good_rows(&books, "subscriptions.csv");
    assert!(customers.len() >= 2_000, "{}", customers.len());
    assert!(subscriptions.len() >= 2_900, "{}", subscriptions.len());

    let column = |rows: &[Vec<String>], index: usize| {
        let values: BTreeSet<String> = rows.iter().map(|row| row[index].clone()).collect();
        assert_eq!(values.len(), rows.len(), "column {index} has a value twice");
        values
    };
    let customer_ids = column(&customers, 3);
    let contract_numbers = column(&contracts, 0);
    column(&subscriptions, 6);
    assert!(contracts.iter().all(|row| customer_ids.contains(&row[1])));
    assert!(subscriptions.iter().all(|row| contract_numbers.contains(&row[0])));
    let plans: BTreeSet<(String, String)> =
        good_rows(&books, "plans.csv").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert!(subscriptions.iter().all(|row| plans.contains(&(row[1].clone(), row[2].clone()))));
}

#[test]
fn every_tax_number_that_is_not_wrong_on_purpose_carries_its_checksum() {
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    for row in good_rows(&default_books(), "customers.csv") {
        let (kind, inn, kpp, ogrn) = (&row[1], &row[5], &row[6], &row[7]);
        *kinds.entry(kind.clone()).or_default() += 1;
        match kind.as_str() {
            "ЮЛ" => {
                assert_eq!((inn.len(), kpp.len(), ogrn.len()), (10, 9, 13), "{row:?}");
                assert_eq!(kpp[..4], inn[..4]);
            }
            "ИП" => assert_eq!((inn.len(), kpp.len(), ogrn.len()), (12, 0, 15), "{row:?}"),
            "ФЛ" => assert!((inn.is_empty() || inn.len() == 12) && kpp.is_empty() && ogrn.is_empty(), "{row:?}"),
            other => panic!("no such kind: {other}"),
        }
        if !inn.is_empty() {
            assert!(requisites::is_inn(inn), "{row:?}");
            assert!(numbers.insert(inn.clone()), "{inn} stands twice");
        }
        if !ogrn.is_empty() {
            assert!(requisites::is_ogrn(ogrn), "{row:?}");
            assert!(numbers.insert(ogrn.clone()), "{ogrn} stands twice");
        }
    }
    assert!(kinds.values().all(|count| *count > 150), "{kinds:?}");
    assert_eq!(kinds.len(), 3);
}

#[test]
fn every_day_of_november_2026_has_charges_and_some_fall_due_later() {
    let mut days: BTreeMap<String, u32> = BTreeMap::new();
    for row in good_rows(&default_books(), "subscriptions.csv") {
        assert!(row[3].as_str() >= "2026-11-01", "{row:?}");
        *days.entry(row[3].clone()).or_default() += 1;
    }
    for day in 1..=30 {
        assert!(days.get(&format!("2026-11-{day:02}")).is_some_and(|count| *count >= 20), "{day}");
    }
    assert!(days.keys().any(|date| date.as_str() > "2027-06-01"));
    assert!(days.contains_key("2027-01-31"));
}

#[test]
fn amounts_have_two_digits_and_keep_their_sign() {
    assert_eq!([major(-5), major(0), major(123_456)], ["-0.05", "0.00", "1234.56"]);
}
