//! Postings balance, are sealed, happen once, and cached balances keep up with them.

use altyn_store::{Engine, Rows, Scope, ledger};
use uuid::Uuid;

use crate::place::{Place, accounts, assert_duplicate, assert_refused, entries, header, id, on_both_engines};

on_both_engines!(
    a_header_without_entries_is_refused,
    a_header_over_one_entry_is_refused,
    a_header_over_entries_that_do_not_balance_is_refused,
    a_thousand_postings_with_one_unbalanced_are_refused_together,
    an_entry_of_nothing_is_refused,
    a_balanced_posting_reads_as_it_was_written,
    a_sealed_transaction_takes_no_further_entry,
    a_source_key_is_posted_once,
    the_same_source_key_serves_another_tenant,
    an_account_is_opened_once,
    balances_count_amounts_and_entries,
    a_balance_that_overflows_is_an_error,
    concurrent_writers_lose_nothing,
);

async fn a_header_without_entries_is_refused(place: Place) {
    assert_refused(&header(&mut place.write().await, place.tenant, id(), "k").await, "a header alone");
}

async fn a_header_over_one_entry_is_refused(place: Place) {
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 1).await;
    let posting = id();
    entries(&mut tx, place.tenant, posting, 0, &[(account[0], 5)]).await.unwrap();
    assert_refused(&header(&mut tx, place.tenant, posting, "k").await, "a header over one entry");
}

async fn a_header_over_entries_that_do_not_balance_is_refused(place: Place) {
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 3).await;
    let posting = id();
    let amounts = [(account[0], 100), (account[1], -60), (account[2], -39)];
    entries(&mut tx, place.tenant, posting, 0, &amounts).await.unwrap();
    assert_refused(&header(&mut tx, place.tenant, posting, "k").await, "a header over a kopeck too many");
}

/// Columns of `count` postings of two entries each; the last is short of one minor unit if `unbalanced`.
fn postings(count: usize, account: &[Uuid], unbalanced: bool) -> (Rows, Rows) {
    let ids: Vec<Uuid> = (0..count).map(|_| id()).collect();
    let mut amounts: Vec<i64> = (0..count).flat_map(|_| [7, -7]).collect();
    if unbalanced {
        *amounts.last_mut().unwrap() = -6;
    }
    let lines = Rows::new()
        .with("transaction_id", ids.iter().flat_map(|id| [*id, *id]).collect::<Vec<_>>())
        .with("position", (0..count).flat_map(|_| [0, 1]).collect::<Vec<i32>>())
        .with("account_id", (0..count).flat_map(|_| [account[0], account[1]]).collect::<Vec<_>>())
        .with("amount_minor", amounts);
    let headers = Rows::new()
        .with("id", ids.clone())
        .with("source_key", ids.iter().map(|id| format!("charge/{id}")).collect::<Vec<_>>())
        .with("kind", vec!["charge".to_owned(); count])
        .with("currency", vec!["RUB".to_owned(); count])
        .with("effective_on", vec![crate::place::day("2026-11-01"); count])
        .with("description", vec![String::new(); count])
        .with("reverses_id", vec![None::<Uuid>; count]);
    (lines, headers)
}

async fn a_thousand_postings_with_one_unbalanced_are_refused_together(place: Place) {
    let now = crate::place::at("2026-11-01T09:00:00Z");
    for unbalanced in [true, false] {
        let mut tx = place.write().await;
        let account = accounts(&mut tx, place.tenant, 2).await;
        let (lines, headers) = postings(1000, &account, unbalanced);
        ledger::entries_insert(&mut tx, place.tenant, &lines).await.unwrap();
        let answer = ledger::transactions_insert(&mut tx, place.tenant, now, &headers).await;
        if unbalanced {
            assert_refused(&answer, "a thousand with one unbalanced");
        } else {
            answer.unwrap();
            tx.commit().await.unwrap();
        }
    }
}

async fn an_entry_of_nothing_is_refused(place: Place) {
    let answer = entries(&mut place.write().await, place.tenant, id(), 0, &[(id(), 0)]).await;
    assert_refused(&answer, "an entry of nothing");
}

async fn a_balanced_posting_reads_as_it_was_written(place: Place) {
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 3).await;
    let posting = id();
    let amounts = [(account[0], 122), (account[1], -100), (account[2], -22)];
    entries(&mut tx, place.tenant, posting, 0, &amounts).await.unwrap();
    header(&mut tx, place.tenant, posting, "invoice/1").await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = place.read().await;
    let found = ledger::entries_of(&mut tx, place.tenant, posting).await.unwrap();
    assert_eq!(found.iter().map(|entry| (entry.account_id, entry.amount_minor)).collect::<Vec<_>>(), amounts);
    assert_eq!(found.iter().map(|entry| entry.position).collect::<Vec<_>>(), [0, 1, 2]);
    let row = ledger::transaction_find(&mut tx, place.tenant, posting).await.unwrap().unwrap();
    assert_eq!((row.source_key.as_str(), row.description.as_str()), ("invoice/1", "абонентская плата"));
    let keys = vec!["invoice/1".to_owned(), "invoice/2".to_owned()];
    let posted = ledger::source_keys_posted(&mut tx, place.tenant, keys).await.unwrap();
    assert_eq!(posted, [(posting, "invoice/1".to_owned())]);
    assert_eq!(ledger::reversals(&mut tx, place.tenant, posting).await.unwrap(), 0);
}

/// Posts five minor units between two new accounts.
async fn post(place: &Place, tenant: Uuid, source_key: &str) -> Uuid {
    let mut tx = place.db.write(Scope::Tenant(tenant)).await.unwrap();
    let account = accounts(&mut tx, tenant, 2).await;
    let posting = id();
    entries(&mut tx, tenant, posting, 0, &[(account[0], 5), (account[1], -5)]).await.unwrap();
    header(&mut tx, tenant, posting, source_key).await.unwrap();
    tx.commit().await.unwrap();
    posting
}

async fn a_sealed_transaction_takes_no_further_entry(place: Place) {
    let posting = post(&place, place.tenant, "k").await;
    // A pair that balances by itself is refused as well.
    let amounts = [(id(), 1), (id(), -1)];
    let answer = entries(&mut place.write().await, place.tenant, posting, 2, &amounts).await;
    assert_refused(&answer, "two more entries");
}

async fn a_source_key_is_posted_once(place: Place) {
    post(&place, place.tenant, "payment/1").await;
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 2).await;
    let again = id();
    entries(&mut tx, place.tenant, again, 0, &[(account[0], 5), (account[1], -5)]).await.unwrap();
    assert_duplicate(&header(&mut tx, place.tenant, again, "payment/1").await, "the same source key");
}

async fn the_same_source_key_serves_another_tenant(place: Place) {
    let other = place.another_tenant().await;
    post(&place, place.tenant, "payment/1").await;
    let theirs = post(&place, other, "payment/1").await;
    let mut tx = place.read().await;
    assert!(ledger::transaction_find(&mut tx, place.tenant, theirs).await.unwrap().is_none());
}

async fn an_account_is_opened_once(place: Place) {
    let mut tx = place.write().await;
    let new = |currency: &str| ledger::NewAccount { id: id(), code: "cash".into(), currency: currency.into() };
    let (first, second, other) = (new("RUB"), new("RUB"), new("USD"));
    for account in [&first, &second, &other] {
        ledger::accounts_open(&mut tx, place.tenant, std::slice::from_ref(account)).await.unwrap();
    }
    let keys = ["RUB", "USD", "KZT"].map(|currency| ("cash".to_owned(), currency.to_owned()));
    let mut found = ledger::accounts_by_code(&mut tx, place.tenant, &keys).await.unwrap();
    found.sort_by_key(|account| account.id);
    assert_eq!(found.iter().map(|account| account.id).collect::<Vec<_>>(), [first.id, other.id]);
}

/// Rows of `balances_add`.
fn moves(moves: &[(Uuid, i64, i64)]) -> Rows {
    Rows::new()
        .with("id", moves.iter().map(|row| row.0).collect::<Vec<_>>())
        .with("amount_minor", moves.iter().map(|row| row.1).collect::<Vec<_>>())
        .with("entries", moves.iter().map(|row| row.2).collect::<Vec<_>>())
}

async fn balances_count_amounts_and_entries(place: Place) {
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 3).await;
    let add = moves(&[(account[0], 500, 2), (account[1], -500, 1), (id(), 1, 1)]);
    assert_eq!(ledger::balances_add(&mut tx, place.tenant, &add).await.unwrap(), 2, "an unknown account moves nothing");
    assert_eq!(ledger::balances_add(&mut tx, place.tenant, &moves(&[(account[0], -1, 1)])).await.unwrap(), 1);
    let mut found = Vec::new();
    for id in account {
        let row = ledger::account_find(&mut tx, place.tenant, id).await.unwrap().unwrap();
        found.push((row.balance_minor, row.entry_count));
    }
    assert_eq!(found, [(499, 3), (-500, 1), (0, 0)]);
    let trial = ledger::trial_balance(&mut tx, place.tenant).await.unwrap();
    assert_eq!((trial[0].account_group.as_str(), trial[0].balance_minor, trial[0].accounts), ("contract", -1, 3));
}

async fn a_balance_that_overflows_is_an_error(place: Place) {
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 1).await;
    ledger::balances_add(&mut tx, place.tenant, &moves(&[(account[0], i64::MAX, 1)])).await.unwrap();
    let answer = ledger::balances_add(&mut tx, place.tenant, &moves(&[(account[0], 1, 1)])).await;
    assert!(answer.is_err(), "one more than fits answered {answer:?}");
}

async fn concurrent_writers_lose_nothing(place: Place) {
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 2).await;
    tx.commit().await.unwrap();
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let (db, tenant, account) = (place.db.clone(), place.tenant, account.clone());
            tokio::spawn(async move {
                for _ in 0..100 {
                    let mut tx = db.write(Scope::Tenant(tenant)).await.unwrap();
                    let posting = id();
                    entries(&mut tx, tenant, posting, 0, &[(account[0], 3), (account[1], -3)]).await.unwrap();
                    header(&mut tx, tenant, posting, &posting.to_string()).await.unwrap();
                    let add = moves(&[(account[0], 3, 1), (account[1], -3, 1)]);
                    assert_eq!(ledger::balances_add(&mut tx, tenant, &add).await.unwrap(), 2);
                    tx.commit().await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut tx = place.read().await;
    for (account, balance) in account.into_iter().zip([600, -600]) {
        let row = ledger::account_find(&mut tx, place.tenant, account).await.unwrap().unwrap();
        assert_eq!((row.balance_minor, row.entry_count), (balance, 200));
        let sum = "select cast(sum(amount_minor) as bigint), count(*) from ledger_entries
            where tenant_id = $1 and account_id = $2";
        assert_eq!(tx.fetch_one::<(i64, i64)>(sum, (place.tenant, account)).await.unwrap(), (balance, 200));
    }
}

/// The caller may try the whole transaction again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_lock_that_is_not_given_in_time_is_transient() {
    let place = Place::start(Engine::Postgres).await;
    let mut tx = place.write().await;
    let account = accounts(&mut tx, place.tenant, 1).await;
    tx.commit().await.unwrap();
    let add = moves(&[(account[0], 1, 1)]);
    let mut first = place.write().await;
    ledger::balances_add(&mut first, place.tenant, &add).await.unwrap();
    let mut second = place.write().await;
    second.bound_waits(20, 10_000).await.unwrap();
    let refused = ledger::balances_add(&mut second, place.tenant, &add).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
}
