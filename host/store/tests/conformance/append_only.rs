//! What was written stays: a correction is a new row.

use altyn_store::{Engine, invoices};

use crate::place::{Place, assert_refused, charge, credit, history, id, invoice, leaked, on_both_engines};

/// The tables whose rows are never changed.
pub const APPEND_ONLY: [&str; 12] = [
    "binding_changes",
    "charge_credits",
    "evidence",
    "exchange_steps",
    "import_errors",
    "invoice_lines",
    "ledger_entries",
    "ledger_transactions",
    "plugin_calls",
    "subscription_migrations",
    "subscription_transitions",
    "usage_events",
];

/// The table of the platform whose rows are never changed.
pub const PLATFORM_APPEND_ONLY: &str = "component_installs";

/// The columns of an issued invoice with another value for each, its status left out.
const INVOICE_COLUMNS: [(&str, &str); 16] = [
    ("id", "tenant_id"),
    ("contract_id", "tenant_id"),
    ("seller_id", "tenant_id"),
    ("run_id", "id"),
    ("number", "'А-2'"),
    ("sequence_key", "'Б'"),
    ("sequence_value", "2"),
    ("issued_on", "'2026-11-02'"),
    ("currency", "'USD'"),
    ("price_mode", "'on-top'"),
    ("net_minor", "net_minor + 1, gross_minor = gross_minor + 1"),
    ("tax_minor", "tax_minor + 1, gross_minor = gross_minor + 1"),
    ("gross_minor", "gross_minor + 1, net_minor = net_minor + 1"),
    ("numbering_call_id", "id"),
    ("call_line", "1"),
    ("created_at", "'2026-11-02T09:00:00+00:00'"),
];

on_both_engines!(
    a_row_of_an_append_only_table_is_neither_updated_nor_deleted,
    an_issued_invoice_changes_its_status_and_nothing_else,
    credits_never_exceed_their_charge,
);

async fn a_row_of_an_append_only_table_is_neither_updated_nor_deleted(place: Place) {
    history(&place).await;
    for table in APPEND_ONLY {
        let count = leaked(format!("select count(*) from {table} where tenant_id = $1"));
        let (before,) = place.read().await.fetch_one::<(i64,)>(count, (place.tenant,)).await.unwrap();
        assert!(before > 0, "{table} holds a row");
        let update = leaked(format!("update {table} set tenant_id = tenant_id where tenant_id = $1"));
        assert_refused(&place.attempt(update, (place.tenant,)).await, update);
        let delete = leaked(format!("delete from {table} where tenant_id = $1"));
        assert_refused(&place.attempt(delete, (place.tenant,)).await, delete);
    }
    for verb in
        ["update component_installs set installed_by = $1", "delete from component_installs where installed_by = $1"]
    {
        assert_refused(&place.attempt(verb, ("test",)).await, verb);
    }
}

async fn an_issued_invoice_changes_its_status_and_nothing_else(place: Place) {
    let mut tx = place.write().await;
    let id = invoice(&mut tx, place.tenant).await;
    tx.commit().await.unwrap();
    for (column, value) in INVOICE_COLUMNS {
        let update = leaked(format!("update invoices set {column} = {value} where tenant_id = $1 and id = $2"));
        assert_refused(&place.attempt(update, (place.tenant, id)).await, update);
    }
    let both = "update invoices set status = 'paid', number = 'А-2' where tenant_id = $1 and id = $2";
    assert_refused(&place.attempt(both, (place.tenant, id)).await, both);
    let delete = "delete from invoices where tenant_id = $1 and id = $2";
    assert_refused(&place.attempt(delete, (place.tenant, id)).await, delete);
    let mut tx = place.write().await;
    let status = "update invoices set status = 'paid' where tenant_id = $1 and id = $2";
    assert_eq!(tx.execute(status, (place.tenant, id)).await.unwrap(), 1);
    let row = invoices::find(&mut tx, place.tenant, id).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.number.as_str(), row.gross_minor), ("paid", "А-1", 122));
}

/// The owner of the tables is bound by the triggers that the application never reaches for want of a privilege.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_not_even_the_owner_rewrites_a_row() {
    let place = Place::start(Engine::Postgres).await;
    history(&place).await;
    for table in APPEND_ONLY {
        for verb in [format!("update {table} set tenant_id = tenant_id"), format!("delete from {table}")] {
            let mut tx = place.write().await;
            tx.execute("reset role", ()).await.unwrap();
            let answer = tx.execute(leaked(format!("{verb} where tenant_id = $1")), (place.tenant,)).await;
            assert_refused(&answer, &verb);
        }
    }
}

/// SQLite asks no delete trigger about the rows that `or replace` replaces, unless it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_replacement_does_not_rewrite_a_row() {
    let place = Place::start(Engine::Sqlite).await;
    history(&place).await;
    for table in APPEND_ONLY.into_iter().chain(["invoices"]) {
        let replace = leaked(format!("insert or replace into {table} select * from {table} where tenant_id = $1"));
        assert_refused(&place.attempt(replace, (place.tenant,)).await, replace);
    }
}

async fn credits_never_exceed_their_charge(place: Place) {
    let mut tx = place.write().await;
    let charge = charge(&mut tx, place.tenant).await;
    tx.commit().await.unwrap();
    let raise = "update charges set credited_minor = 122 where tenant_id = $1 and id = $2";
    for (raised, net, tax, of, fits) in [
        (false, 50, 11, charge, false),
        (true, 100, 22, charge, true),
        (true, 101, 21, charge, false),
        (true, 100, 23, charge, false),
        (true, 99, 22, id(), false),
    ] {
        let mut tx = place.write().await;
        if raised {
            assert_eq!(tx.execute(raise, (place.tenant, charge)).await.unwrap(), 1);
        }
        let answer = credit(&mut tx, place.tenant, of, net, tax).await;
        if fits {
            answer.unwrap();
            assert_refused(&credit(&mut tx, place.tenant, of, 1, 0).await, "one more");
        } else {
            assert_refused(&answer, &format!("{net} + {tax}, raised: {raised}"));
        }
        tx.rollback().await.unwrap();
    }
}
