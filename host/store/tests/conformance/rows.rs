//! Many rows reach a statement as they are: none lost, none shifted, none changed by its own content.

use altyn_store::{Column, Rows};
use chrono::NaiveDate;
use uuid::Uuid;

use crate::place::{Place, accounts, day, id, on_both_engines};

on_both_engines!(
    no_rows_run_no_statement,
    every_number_of_rows_arrives_whole_and_in_order,
    every_kind_of_column_keeps_its_values_and_its_nulls,
    texts_arrive_as_they_are,
    a_statement_of_many_columns_keeps_them_apart,
    constants_are_found_in_any_order_and_as_often_as_named,
    more_than_nine_constants_are_told_apart,
    an_update_from_rows_changes_the_named_rows_only,
    a_failed_statement_of_many_rows_writes_none_of_them,
);

const SIZES: [usize; 7] = [1, 2, 255, 256, 257, 511, 5_000];

fn numbers(count: usize) -> Vec<i64> {
    (0..).take(count).collect()
}

async fn no_rows_run_no_statement(place: Place) {
    let mut tx = place.write().await;
    let rows = Rows::new().with("id", Vec::<Uuid>::new()).with("name", Vec::<String>::new());
    assert!(rows.is_empty());
    // The text is no statement at all: it is not even prepared.
    assert_eq!(tx.execute_rows("no statement {rows}", (), &rows).await.unwrap(), 0);
    assert_eq!(tx.fetch_rows::<(i64,)>("no statement {rows}", (), &Rows::new()).await.unwrap(), vec![]);
}

const OUTBOX: &str = "insert into outbox (tenant_id, id, kind, subject, payload, created_at, delivered_at)
    select $1, v.id, 'note', v.subject, '{}', '2026-11-01T09:00:00+00:00', null from {rows}";

async fn every_number_of_rows_arrives_whole_and_in_order(place: Place) {
    for size in SIZES {
        let mut tx = place.write().await;
        let ids: Vec<Uuid> = (0..size).map(|_| id()).collect();
        let subjects: Vec<String> = numbers(size).iter().map(ToString::to_string).collect();
        let rows = Rows::new().with("id", ids.clone()).with("subject", subjects.clone());
        let written = tx.execute_rows(OUTBOX, (place.tenant,), &rows).await.unwrap();
        assert_eq!(written, u64::try_from(size).unwrap());
        let read: Vec<(Uuid, String)> = tx
            .fetch_all("select id, subject from outbox where tenant_id = $1 order by id", (place.tenant,))
            .await
            .unwrap();
        assert_eq!(read, ids.iter().copied().zip(subjects.clone()).collect::<Vec<_>>());
        let joined = "select v.id, o.subject from {rows} join outbox o on o.tenant_id = $1 and o.id = v.id";
        let mut found: Vec<(Uuid, String)> = tx.fetch_rows(joined, (place.tenant,), &rows).await.unwrap();
        found.sort();
        assert_eq!(found, read, "{size} rows looked up");
        tx.rollback().await.unwrap();
    }
}

/// One row of every kind of column, and its optional twin.
type Mixed = (
    (i64, Uuid, Option<Uuid>, i32, Option<i32>, Option<i64>),
    (String, Option<String>, NaiveDate, Option<NaiveDate>, Vec<u8>, Option<Vec<u8>>),
);

fn mixed(number: i64) -> Mixed {
    let some = number % 3 != 0;
    let small = i32::try_from(number).unwrap();
    let date = day("2026-01-31") + chrono::Days::new(number.unsigned_abs());
    let bytes = vec![0, u8::try_from(number % 256).unwrap(), 255];
    (
        (
            number,
            Uuid::from_u128(u128::MAX - u128::from(number.unsigned_abs())),
            some.then(id),
            -small,
            some.then_some(small),
            some.then_some(i64::MIN + number),
        ),
        (
            format!("строка {number}"),
            some.then(String::new),
            date,
            some.then_some(date),
            bytes.clone(),
            some.then_some(bytes),
        ),
    )
}

/// One column of the rows.
fn of<T>(rows: &[Mixed], value: impl Fn(Mixed) -> T) -> Vec<T> {
    rows.iter().cloned().map(value).collect()
}

async fn every_kind_of_column_keeps_its_values_and_its_nulls(place: Place) {
    for size in [1, 300] {
        let expected: Vec<Mixed> = numbers(size).into_iter().map(mixed).collect();
        let rows = Rows::new()
            .with("number", of(&expected, |row| row.0.0))
            .with("a", of(&expected, |row| row.0.1))
            .with("b", of(&expected, |row| row.0.2))
            .with("c", of(&expected, |row| row.0.3))
            .with("d", of(&expected, |row| row.0.4))
            .with("e", of(&expected, |row| row.0.5))
            .with("f", of(&expected, |row| row.1.0))
            .with("g", of(&expected, |row| row.1.1))
            .with("h", of(&expected, |row| row.1.2))
            .with("i", of(&expected, |row| row.1.3))
            .with("j", of(&expected, |row| row.1.4))
            .with("k", of(&expected, |row| row.1.5));
        let mut tx = place.read().await;
        let left = "select v.number, v.a, v.b, v.c, v.d, v.e from {rows} order by v.number";
        let right = "select v.f, v.g, v.h, v.i, v.j, v.k from {rows} order by v.number";
        let left = tx.fetch_rows(left, (), &rows).await.unwrap();
        let right = tx.fetch_rows(right, (), &rows).await.unwrap();
        assert_eq!(left.into_iter().zip(right).collect::<Vec<Mixed>>(), expected);
    }
}

async fn texts_arrive_as_they_are(place: Place) {
    let texts: Vec<String> = [
        "",
        " ",
        "O'Brien",
        "''; drop table outbox; --",
        "\"quoted\"",
        "back\\slash \\N \\x00",
        "{rows} $1 $2 ?1 :name %s",
        "null",
        "NULL",
        "{1,2}",
        "a,b;c\td\r\ne",
        "Ёлки «кавычки» № 5 ₽",
        "日本語 العربية 🧾👩‍👩‍👧",
        "e\u{301} é",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([("ж".repeat(100_000))])
    .collect();
    let rows = Rows::new().with("id", texts.iter().map(|_| id()).collect::<Vec<_>>()).with("subject", texts.clone());
    let mut tx = place.write().await;
    tx.execute_rows(OUTBOX, (place.tenant,), &rows).await.unwrap();
    let sql = "select subject from outbox where tenant_id = $1 order by id";
    let read: Vec<(String,)> = tx.fetch_all(sql, (place.tenant,)).await.unwrap();
    assert_eq!(read.into_iter().map(|row| row.0).collect::<Vec<_>>(), texts);
    // As a key each finds itself and no other.
    let found = "select o.id, v.id, o.subject from {rows} join outbox o on o.tenant_id = $1 and o.subject = v.subject";
    let found: Vec<(Uuid, Uuid, String)> = tx.fetch_rows(found, (place.tenant,), &rows).await.unwrap();
    assert_eq!(found.len(), texts.len());
    assert!(found.iter().all(|(stored, asked, _)| stored == asked));
}

async fn a_statement_of_many_columns_keeps_them_apart(place: Place) {
    const WIDTH: usize = 60;
    const NAMES: &str = "abcdefghijklmnopqrstuvwxyz";
    for size in [1, 256, 700] {
        let mut rows = Rows::new();
        for column in 0..WIDTH {
            let (first, second) = (&NAMES[column / 26..=column / 26], &NAMES[column % 26..=column % 26]);
            let name = crate::place::leaked(format!("c_{first}{second}"));
            let values = numbers(size).into_iter().map(|row| row * 1_000 + i64::try_from(column).unwrap());
            rows = rows.with(name, values.collect::<Vec<i64>>());
        }
        assert_eq!(rows.width(), WIDTH);
        let sql = "select v.c_aa, v.c_az, v.c_ba, v.c_bz, v.c_ca, v.c_ch from {rows} order by v.c_aa";
        let found: Vec<(i64, i64, i64, i64, i64, i64)> = place.read().await.fetch_rows(sql, (), &rows).await.unwrap();
        let expected: Vec<_> = numbers(size)
            .into_iter()
            .map(|row| row * 1_000)
            .map(|row| (row, row + 25, row + 26, row + 51, row + 52, row + 59))
            .collect();
        assert_eq!(found, expected);
    }
}

async fn constants_are_found_in_any_order_and_as_often_as_named(place: Place) {
    let sql =
        "select cast($3 as bigint), v.a, cast($1 as text), cast($3 as bigint) + v.a, cast($2 as text), cast($1 as text)
        from {rows} where v.a < cast($3 as bigint) and cast($2 as text) = 'второй' order by v.a";
    for size in [1, 300] {
        let rows = Rows::new().with("a", numbers(size));
        let constants = ("первый".to_owned(), "второй".to_owned(), 1_000_000_i64);
        let found: Vec<(i64, i64, String, i64, String, String)> =
            place.read().await.fetch_rows(sql, constants, &rows).await.unwrap();
        assert_eq!(found.len(), size);
        for (a, row) in (0..).zip(found) {
            let (first, second) = ("первый".to_owned(), "второй".to_owned());
            assert_eq!(row, (1_000_000, a, first.clone(), 1_000_000 + a, second, first));
        }
    }
}

async fn more_than_nine_constants_are_told_apart(place: Place) {
    let sql = "select v.a, cast($12 as bigint), cast($11 as bigint), cast($1 as bigint), cast($10 as bigint), cast($2 as bigint),
            cast($3 as bigint) + cast($4 as bigint) + cast($5 as bigint) + cast($6 as bigint) + cast($7 as bigint)
                + cast($8 as bigint) + cast($9 as bigint)
        from {rows} order by v.a";
    let constants = (1_i64, 2_i64, 4_i64, 8_i64, 16_i64, 32_i64, 64_i64, 128_i64, 256_i64, 512_i64, 1024_i64, 2048_i64);
    for size in [1, 11, 257] {
        let rows = Rows::new().with("a", numbers(size));
        let found: Vec<(i64, i64, i64, i64, i64, i64, i64)> =
            place.read().await.fetch_rows(sql, constants, &rows).await.unwrap();
        let expected: Vec<_> = (0..).take(size).map(|a| (a, 2048, 1024, 1, 512, 2, 508)).collect();
        assert_eq!(found, expected);
    }
    // The same constants without rows.
    let plain = "select cast($12 as bigint), cast($1 as bigint), cast($10 as bigint), cast($2 as bigint) + cast($3 as bigint) + cast($4 as bigint)
        + cast($5 as bigint) + cast($6 as bigint) + cast($7 as bigint) + cast($8 as bigint) + cast($9 as bigint), cast($11 as bigint)";
    let found: (i64, i64, i64, i64, i64) = place.read().await.fetch_one(plain, constants).await.unwrap();
    assert_eq!(found, (2048, 1, 512, 510, 1024));
}

async fn an_update_from_rows_changes_the_named_rows_only(place: Place) {
    let sql = "update ledger_accounts set balance_minor = v.balance + $2 from {rows}
        where ledger_accounts.tenant_id = $1 and ledger_accounts.id = v.id";
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 600).await;
    let named: Vec<Uuid> = account.iter().copied().step_by(2).collect();
    let rows = Rows::new().with("balance", numbers(named.len())).with("id", named.clone());
    assert_eq!(tx.execute_rows(sql, (place.tenant, 1_i64), &rows).await.unwrap(), 300);
    let read = "select id, balance_minor from ledger_accounts where tenant_id = $1 order by id";
    let read: Vec<(Uuid, i64)> = tx.fetch_all(read, (place.tenant,)).await.unwrap();
    let expected: Vec<_> = (0..).zip(account).map(|(n, id)| (id, if n % 2 == 0 { n / 2 + 1 } else { 0 })).collect();
    assert_eq!(read, expected);
}

async fn a_failed_statement_of_many_rows_writes_none_of_them(place: Place) {
    let mut ids: Vec<Uuid> = (0..1_000).map(|_| id()).collect();
    ids[999] = ids[0];
    let rows = Rows::new().with("id", ids).with("subject", vec![String::new(); 1_000]);
    let mut tx = place.write().await;
    let answer = tx.execute_rows(OUTBOX, (place.tenant,), &rows).await;
    crate::place::assert_duplicate(&answer, "the first row again at the end");
    drop(tx);
    let count = "select count(*) from outbox where tenant_id = $1";
    assert_eq!(place.read().await.fetch_one::<(i64,)>(count, (place.tenant,)).await.unwrap().0, 0);
}

#[test]
#[should_panic(expected = "column b is not as long as column a")]
fn columns_of_different_lengths_are_a_mistake() {
    let _ = Rows::new().with("a", vec![1_i64, 2]).with("b", Column::I32(vec![1]));
}
