//! What the database refuses is told by kind, the same on both engines.

use altyn_store::{Db, Scope, StoreError, sellers, tenants};

use crate::place::{Place, assert_duplicate, assert_refused, at, id, on_both_engines};

on_both_engines!(
    a_taken_key_is_a_duplicate,
    a_reference_to_nothing_is_told_as_such,
    a_failed_check_is_a_refusal,
    a_missing_value_is_a_refusal,
    a_row_that_is_not_there_is_told_as_such,
    a_statement_that_is_none_is_a_database_error,
    no_refusal_is_worth_another_try,
);

const SEQUENCE: &str =
    "insert into sequences (tenant_id, seller_id, key, start_value, next_value) values ($1, $2, 'А', 1, 1)";
const SELLER: &str = "insert into sellers (tenant_id, id, name, kind, country, vat_regime, version, created_at)
    values ($1, $2, 'ООО', 'legal-entity', 'RU', 'general', 1, '2026-11-01T09:00:00+00:00')";

async fn a_taken_key_is_a_duplicate(place: Place) {
    let mut tx = place.write().await;
    let seller = id();
    tx.execute(SEQUENCE, (place.tenant, seller)).await.unwrap();
    assert_duplicate(&tx.execute(SEQUENCE, (place.tenant, seller)).await, "a primary key again");
    drop(tx);
    let mut tx = place.db.write(Scope::Platform).await.unwrap();
    let mut row = tenants::find(&mut tx, place.tenant).await.unwrap().unwrap();
    row.id = id();
    assert_duplicate(&tenants::insert(&mut tx, &row).await, "a unique key again");
}

async fn a_reference_to_nothing_is_told_as_such(place: Place) {
    let mut tx = place.db.write(Scope::Platform).await.unwrap();
    let mut row = tenants::find(&mut tx, place.tenant).await.unwrap().unwrap();
    (row.id, row.path, row.parent_id) = (id(), "/0/".into(), Some(id()));
    let answer = tenants::insert(&mut tx, &row).await;
    assert!(matches!(answer, Err(StoreError::Reference(_))), "{answer:?}");
    drop(tx);

    let plan =
        "insert into plan_versions (tenant_id, id, plan_id, ordinal, effective_from, cadence, currency, price_mode,
            billing_day, created_at)
        values ($1, $2, $2, 1, '2026-11-01', '1m', 'RUB', 'included', 'anniversary', '2026-11-01T09:00:00+00:00')";
    let answer = place.attempt(plan, (place.tenant, id())).await;
    assert!(matches!(answer, Err(StoreError::Reference(_))), "{answer:?}");

    let mut tx = place.write().await;
    tx.execute(SELLER, (place.tenant, id())).await.unwrap();
    let answer = tx.execute("delete from tenants where id = $1", (place.tenant,)).await;
    assert!(matches!(answer, Err(StoreError::Reference(_))), "a tenant with a seller: {answer:?}");
}

async fn a_failed_check_is_a_refusal(place: Place) {
    let job = "insert into jobs (tenant_id, id, kind, job_key, payload, due_at, state, fence, attempts, created_at)
        values ($1, $2, 'k', 'k', '', '2026-11-01T09:00:00+00:00', 'asleep', 0, 0, '2026-11-01T09:00:00+00:00')";
    assert_refused(&place.attempt(job, (place.tenant, id())).await, "an unknown state");
    let invoice =
        "insert into invoices (tenant_id, id, contract_id, seller_id, status, number, sequence_key, sequence_value,
            issued_on, currency, price_mode, net_minor, tax_minor, gross_minor, created_at)
        values ($1, $2, $2, $2, 'issued', '1', 'А', 1, '2026-11-01', 'RUB', 'included', 100, 22, 121,
            '2026-11-01T09:00:00+00:00')";
    assert_refused(&place.attempt(invoice, (place.tenant, id())).await, "a total that does not add up");
    let charge =
        "insert into charges (tenant_id, id, contract_id, subscription_id, component_id, invoice_id, kind, status,
            period_start, period_end, used_start, used_end, charged_on, realises_on, currency, amount_minor, created_at)
        values ($1, $2, $2, $2, $2, $2, 'recurring', 'new', '2026-11-01', '2026-12-01', '2026-11-01', '2026-12-02',
            '2026-11-01', '2026-11-01', 'RUB', 1, '2026-11-01T09:00:00+00:00')";
    assert_refused(&place.attempt(charge, (place.tenant, id())).await, "used beyond its period");
}

async fn a_missing_value_is_a_refusal(place: Place) {
    let sql = "insert into sequences (tenant_id, seller_id, key, start_value, next_value) values ($1, $2, 'А', 1, $3)";
    assert_refused(&place.attempt(sql, (place.tenant, id(), None::<i64>)).await, "no next value");
    let missing = "insert into sequences (tenant_id, seller_id, key, start_value) values ($1, $2, 'А', 1)";
    assert_refused(&place.attempt(missing, (place.tenant, id())).await, "a column left out");
}

async fn a_row_that_is_not_there_is_told_as_such(place: Place) {
    let mut tx = place.read().await;
    let sql = "select next_value from sequences where tenant_id = $1 and seller_id = $2";
    let answer = tx.fetch_one::<(i64,)>(sql, (place.tenant, id())).await;
    assert!(matches!(answer, Err(StoreError::NotFound)), "{answer:?}");
    assert!(tx.fetch_optional::<(i64,)>(sql, (place.tenant, id())).await.unwrap().is_none());
    assert!(sellers::find(&mut tx, place.tenant, id()).await.unwrap().is_none());
}

async fn a_statement_that_is_none_is_a_database_error(place: Place) {
    for sql in ["select from where", "select x from no_such_table"] {
        let answer = place.attempt(sql, ()).await;
        assert!(matches!(answer, Err(StoreError::Database(_))), "{sql}: {answer:?}");
    }
}

async fn no_refusal_is_worth_another_try(place: Place) {
    let mut tx = place.write().await;
    let seller = id();
    tx.execute(SEQUENCE, (place.tenant, seller)).await.unwrap();
    let duplicate = tx.execute(SEQUENCE, (place.tenant, seller)).await.unwrap_err();
    drop(tx);
    let syntax = place.attempt("select from where", ()).await.unwrap_err();
    for error in [duplicate, syntax, StoreError::NotFound] {
        assert!(!error.is_transient(), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_of_neither_engine_is_refused() {
    for url in ["", "sqlite:", "sqlite::memory:", "sqlite://", "mysql://localhost/altyn", "altyn.db"] {
        let answer = Db::connect(url, 1).await.map(|db| db.engine());
        assert!(matches!(answer, Err(StoreError::Url(_))), "{url} answered {answer:?}");
    }
    for name in ["", "a b", "a;drop database b", "a\"", "база"] {
        let answer = Db::create_postgres_database("postgres://localhost/altyn", name).await;
        assert!(matches!(answer, Err(StoreError::Url(_))), "{name} answered {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_a_stale_version_changes_nothing() {
    for engine in [altyn_store::Engine::Sqlite, altyn_store::Engine::Postgres] {
        let place = Place::start(engine).await;
        let mut tx = place.db.write(Scope::Platform).await.unwrap();
        let mut row = tenants::find(&mut tx, place.tenant).await.unwrap().unwrap();
        row.name = "Другой".into();
        assert!(tenants::update(&mut tx, &row, 1).await.unwrap());
        assert!(!tenants::update(&mut tx, &row, 1).await.unwrap());
        let read = tenants::find(&mut tx, place.tenant).await.unwrap().unwrap();
        assert_eq!((read.version, read.name.as_str(), read.created_at), (2, "Другой", at("2026-11-01T09:00:00Z")));
    }
}
