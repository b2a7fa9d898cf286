//! Transactions: all of it or nothing, one picture while reading, and readers that write nothing.

use altyn_store::{Scope, StoreError};

use crate::place::{Place, id, on_both_engines};

on_both_engines!(
    a_reading_transaction_keeps_its_picture,
    a_reading_transaction_writes_nothing,
    a_dropped_transaction_leaves_nothing,
    an_open_write_is_not_seen_by_readers,
    the_database_answers_a_ping,
);

const OUTBOX: &str = "insert into outbox (tenant_id, id, kind, subject, payload, created_at, delivered_at)
    values ($1, $2, 'note', '', '{}', '2026-11-01T09:00:00+00:00', null)";
const COUNT: &str = "select count(*) from outbox where tenant_id = $1";

async fn count(tx: &mut altyn_store::Tx, place: &Place) -> i64 {
    tx.fetch_one::<(i64,)>(COUNT, (place.tenant,)).await.unwrap().0
}

async fn a_reading_transaction_keeps_its_picture(place: Place) {
    let mut reader = place.read().await;
    assert_eq!(count(&mut reader, &place).await, 0);
    let mut tx = place.write().await;
    tx.execute(OUTBOX, (place.tenant, id())).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&mut reader, &place).await, 0);
    drop(reader);
    assert_eq!(count(&mut place.read().await, &place).await, 1);
}

async fn a_reading_transaction_writes_nothing(place: Place) {
    let answer = place.read().await.execute(OUTBOX, (place.tenant, id())).await;
    assert!(matches!(answer, Err(StoreError::Database(_))), "{answer:?}");
    assert_eq!(count(&mut place.read().await, &place).await, 0);
}

async fn a_dropped_transaction_leaves_nothing(place: Place) {
    let mut tx = place.write().await;
    tx.execute(OUTBOX, (place.tenant, id())).await.unwrap();
    drop(tx);
    assert_eq!(count(&mut place.write().await, &place).await, 0);
}

async fn an_open_write_is_not_seen_by_readers(place: Place) {
    let mut tx = place.write().await;
    tx.execute(OUTBOX, (place.tenant, id())).await.unwrap();
    assert_eq!(count(&mut tx, &place).await, 1);
    assert_eq!(count(&mut place.read().await, &place).await, 0);
    tx.commit().await.unwrap();
    assert_eq!(count(&mut place.read().await, &place).await, 1);
}

async fn the_database_answers_a_ping(place: Place) {
    place.db.ping().await.unwrap();
    place.db.optimize().await.unwrap();
    place.db.read(Scope::Platform).await.unwrap().rollback().await.unwrap();
    place.db.ping().await.unwrap();
}
