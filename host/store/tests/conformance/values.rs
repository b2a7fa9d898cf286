//! A value reads as it was written, and sorts the same on both engines.

use altyn_store::{Rows, runs, sellers};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use crate::place::{Place, accounts, at, day, id, on_both_engines};

on_both_engines!(
    instants_keep_their_microseconds_and_sort_by_time,
    dates_of_every_year_keep_their_day_and_sort_by_time,
    whole_numbers_keep_their_limits,
    truth_values_read_as_written,
    ids_sort_by_their_bytes,
    codes_sort_by_their_bytes,
    absent_values_stay_absent,
    sums_are_whole_numbers,
);

/// A run of this day, created at this instant.
async fn run(place: &Place, tx: &mut altyn_store::Tx, on: NaiveDate, created_at: DateTime<Utc>) -> Uuid {
    let run = id();
    assert!(runs::insert(tx, place.tenant, run, on, "automatic", "planning", created_at).await.unwrap());
    run
}

async fn instants_keep_their_microseconds_and_sort_by_time(place: Place) {
    let mut tx = place.write().await;
    let mut instants: Vec<DateTime<Utc>> = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "2026-11-01T09:00:00Z",
        "2026-11-01T09:00:00.000001Z",
        "2026-11-01T09:00:00.001Z",
        "2026-11-01T09:00:00.001001Z",
        "2026-11-01T09:00:00.01Z",
        "2026-11-01T09:00:00.1Z",
        "2026-11-01T09:00:00.999999Z",
        "2026-11-01T09:00:01Z",
        "9999-12-31T23:59:59.999999Z",
    ]
    .map(at)
    .into();
    instants.reverse();
    for (number, instant) in (0_i64..).zip(&instants) {
        let run = run(&place, &mut tx, day("2026-01-01") + TimeDelta::days(number), *instant).await;
        assert_eq!(runs::find(&mut tx, place.tenant, run).await.unwrap().unwrap().created_at, *instant);
        let equal = "select count(*) from runs where tenant_id = $1 and created_at = $2";
        assert_eq!(tx.fetch_one::<(i64,)>(equal, (place.tenant, *instant)).await.unwrap().0, 1);
    }
    let sql = "select created_at from runs where tenant_id = $1 order by created_at";
    let read: Vec<(DateTime<Utc>,)> = tx.fetch_all(sql, (place.tenant,)).await.unwrap();
    instants.sort();
    assert_eq!(read.into_iter().map(|row| row.0).collect::<Vec<_>>(), instants);
    let before = "select count(*) from runs where tenant_id = $1 and created_at < $2";
    for (number, instant) in (0..).zip(instants) {
        assert_eq!(tx.fetch_one::<(i64,)>(before, (place.tenant, instant)).await.unwrap().0, number);
    }
}

async fn dates_of_every_year_keep_their_day_and_sort_by_time(place: Place) {
    let mut tx = place.write().await;
    let mut dates: Vec<NaiveDate> =
        (1..=9999).step_by(7).map(|year| NaiveDate::from_ymd_opt(year, 3, 31).unwrap()).collect();
    dates.extend(["0001-01-01", "0004-02-29", "1582-10-15", "1900-02-28", "2000-02-29", "9999-12-31"].map(day));
    dates.sort();
    // As a bound value, one at a time.
    for date in ["0001-01-01", "0999-12-31", "2000-02-29", "9999-12-31"].map(day) {
        let run = run(&place, &mut tx, date, at("2026-11-01T09:00:00Z")).await;
        assert_eq!(runs::find(&mut tx, place.tenant, run).await.unwrap().unwrap().business_on, date);
    }
    // Among many rows, beside those.
    let sql = "insert into runs (tenant_id, id, business_on, mode, state, contracts, subscriptions, charges, invoices, parked,
            awaiting, net_minor, tax_minor, gross_minor, plugin_calls, fence, cancel_requested, created_at, version)
        select $1, v.id, v.business_on, 'automatic', 'planning', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, $3, $2, 1
        from {rows} where true on conflict (tenant_id, business_on) do nothing";
    let rows =
        Rows::new().with("id", dates.iter().map(|_| id()).collect::<Vec<_>>()).with("business_on", dates.clone());
    tx.execute_rows(sql, (place.tenant, at("2026-11-01T09:00:00Z"), false), &rows).await.unwrap();
    let sql = "select business_on from runs where tenant_id = $1 order by business_on";
    let read: Vec<NaiveDate> =
        tx.fetch_all::<(NaiveDate,)>(sql, (place.tenant,)).await.unwrap().into_iter().map(|row| row.0).collect();
    dates.push(day("0999-12-31"));
    dates.sort();
    dates.dedup();
    assert_eq!(read, dates);
}

async fn whole_numbers_keep_their_limits(place: Place) {
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 5).await;
    let values = vec![i64::MIN, -1, 0, 1, i64::MAX];
    let sql = "update ledger_accounts set balance_minor = v.balance from {rows}
        where ledger_accounts.tenant_id = $1 and ledger_accounts.id = v.id";
    let rows = Rows::new().with("id", account).with("balance", values.clone());
    tx.execute_rows(sql, (place.tenant,), &rows).await.unwrap();
    let sql = "select balance_minor from ledger_accounts where tenant_id = $1 order by balance_minor";
    let read: Vec<(i64,)> = tx.fetch_all(sql, (place.tenant,)).await.unwrap();
    assert_eq!(read.into_iter().map(|row| row.0).collect::<Vec<_>>(), values);
    for value in values {
        let found = "select count(*) from ledger_accounts where tenant_id = $1 and balance_minor = $2";
        assert_eq!(tx.fetch_one::<(i64,)>(found, (place.tenant, value)).await.unwrap().0, 1);
    }
    let small = "insert into import_errors (tenant_id, import_id, position, row_number, column_name, code, message)
        values ($1, $2, $3, $4, '', '', '')";
    for value in [i32::MIN, -1, 0, i32::MAX] {
        tx.execute(small, (place.tenant, id(), value, i64::from(value))).await.unwrap();
    }
    let read: Vec<(i32, i64)> = tx
        .fetch_all(
            "select position, row_number from import_errors where tenant_id = $1 order by position",
            (place.tenant,),
        )
        .await
        .unwrap();
    assert_eq!(read, [i32::MIN, -1, 0, i32::MAX].map(|value| (value, i64::from(value))));
}

async fn truth_values_read_as_written(place: Place) {
    let mut tx = place.write().await;
    let run = run(&place, &mut tx, day("2026-11-01"), at("2026-11-01T09:00:00Z")).await;
    assert!(!runs::find(&mut tx, place.tenant, run).await.unwrap().unwrap().cancel_requested);
    assert!(runs::cancel(&mut tx, place.tenant, run).await.unwrap());
    assert!(runs::find(&mut tx, place.tenant, run).await.unwrap().unwrap().cancel_requested);
    let sql = "select count(*) from runs where tenant_id = $1 and cancel_requested = $2";
    assert_eq!(tx.fetch_one::<(i64,)>(sql, (place.tenant, true)).await.unwrap().0, 1);
    assert_eq!(tx.fetch_one::<(i64,)>(sql, (place.tenant, false)).await.unwrap().0, 0);
}

async fn ids_sort_by_their_bytes(place: Place) {
    let mut tx = place.write().await;
    let mut ids: Vec<Uuid> = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 1 << 63, 1 << 64, 1 << 127, u128::MAX, 0x0190 << 112]
        .map(Uuid::from_u128)
        .into_iter()
        .chain((0..200_u128).map(|n| Uuid::from_u128(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))))
        .collect();
    ids.reverse();
    let rows = Rows::new().with("id", ids.clone());
    let sql = "insert into ledger_accounts (tenant_id, id, code, currency, balance_minor, entry_count)
        select $1, v.id, 'bank/' || cast($2 as text), v.code, 0, 0 from {rows} where true on conflict do nothing";
    let rows = rows.with("code", ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    tx.execute_rows(sql, (place.tenant, "1".to_owned()), &rows).await.unwrap();
    ids.sort();
    ids.dedup();
    let sql = "select id from ledger_accounts where tenant_id = $1 order by id";
    let read: Vec<(Uuid,)> = tx.fetch_all(sql, (place.tenant,)).await.unwrap();
    assert_eq!(read.into_iter().map(|row| row.0).collect::<Vec<_>>(), ids);
    // A page begins after the last id of the page before.
    let page = altyn_store::ledger::accounts_list(&mut tx, place.tenant, ids[3], 5).await.unwrap();
    assert_eq!(page.into_iter().map(|row| row.id).collect::<Vec<_>>(), ids[4..9]);
}

async fn codes_sort_by_their_bytes(place: Place) {
    let mut tx = place.write().await;
    let mut codes: Vec<String> =
        ["a", "B", "_", "aa", "ab", "a-b", "a b", "A", "10", "9", "ё", "е", "Я", "я", "~", "é", "z"]
            .map(str::to_owned)
            .into();
    let rows = Rows::new().with("id", codes.iter().map(|_| id()).collect::<Vec<_>>()).with("code", codes.clone());
    let sql = "insert into ledger_accounts (tenant_id, id, code, currency, balance_minor, entry_count)
        select $1, v.id, v.code, 'RUB', 0, 0 from {rows}";
    tx.execute_rows(sql, (place.tenant,), &rows).await.unwrap();
    codes.sort();
    let sql = "select code from ledger_accounts where tenant_id = $1 order by code";
    let read: Vec<(String,)> = tx.fetch_all(sql, (place.tenant,)).await.unwrap();
    assert_eq!(read.into_iter().map(|row| row.0).collect::<Vec<_>>(), codes);
}

async fn absent_values_stay_absent(place: Place) {
    let mut tx = place.write().await;
    let row = sellers::SellerRow {
        id: id(),
        name: "ИП Ёлкин".into(),
        kind: "sole-proprietor".into(),
        country: "RU".into(),
        inn: None,
        kpp: Some(String::new()),
        ogrn: None,
        vat_regime: "none".into(),
        bank_account: None,
        bank_bik: None,
        version: 1,
        created_at: at("2026-11-01T09:00:00.123456Z"),
    };
    sellers::insert(&mut tx, place.tenant, &row).await.unwrap();
    let read = sellers::find(&mut tx, place.tenant, row.id).await.unwrap().unwrap();
    assert_eq!((read.inn, read.kpp.as_deref(), read.created_at), (None, Some(""), row.created_at));
}

async fn sums_are_whole_numbers(place: Place) {
    let mut tx = place.write().await;
    let sum = "select cast(sum(balance_minor) as bigint), count(*) from ledger_accounts where tenant_id = $1";
    let none: (Option<i64>, i64) = tx.fetch_one(sum, (place.tenant,)).await.unwrap();
    assert_eq!(none, (None, 0));
    accounts(&mut tx, place.tenant, 2).await;
    let some: (Option<i64>, i64) = tx.fetch_one(sum, (place.tenant,)).await.unwrap();
    assert_eq!(some, (Some(0), 2));
}
