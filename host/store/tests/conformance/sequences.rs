//! Numbers are given out once and without gaps.

use altyn_store::{
    Scope,
    runs::{sequence_find, sequence_take},
};

use crate::place::{Place, id, on_both_engines};

on_both_engines!(
    a_sequence_opens_at_its_first_value_and_advances,
    a_value_that_is_not_the_next_is_not_taken,
    of_concurrent_takers_of_a_value_one_gets_it,
    a_rolled_back_taking_leaves_no_gap,
    takers_that_try_again_leave_no_gap_and_share_no_value,
);

async fn a_sequence_opens_at_its_first_value_and_advances(place: Place) {
    let (seller, mut tx) = (id(), place.write().await);
    assert_eq!(sequence_find(&mut tx, place.tenant, seller, "А/2026").await.unwrap(), None);
    assert!(sequence_take(&mut tx, place.tenant, seller, "А/2026", 100, 350).await.unwrap());
    assert!(sequence_take(&mut tx, place.tenant, seller, "А/2026", 350, 351).await.unwrap());
    assert_eq!(sequence_find(&mut tx, place.tenant, seller, "А/2026").await.unwrap(), Some((100, 351)));
    assert!(sequence_take(&mut tx, place.tenant, id(), "А/2026", 1, 2).await.unwrap(), "another seller's is another");
    assert!(sequence_take(&mut tx, place.tenant, seller, "а/2026", 1, 2).await.unwrap(), "case tells keys apart");
}

async fn a_value_that_is_not_the_next_is_not_taken(place: Place) {
    let (seller, mut tx) = (id(), place.write().await);
    assert!(sequence_take(&mut tx, place.tenant, seller, "А", 1, 5).await.unwrap());
    for (from, to) in [(1, 5), (4, 6), (6, 7)] {
        assert!(!sequence_take(&mut tx, place.tenant, seller, "А", from, to).await.unwrap());
    }
    assert_eq!(sequence_find(&mut tx, place.tenant, seller, "А").await.unwrap(), Some((1, 5)));
}

async fn of_concurrent_takers_of_a_value_one_gets_it(place: Place) {
    let seller = id();
    for from in [1, 11, 21] {
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let (db, tenant) = (place.db.clone(), place.tenant);
                tokio::spawn(async move {
                    let mut tx = db.write(Scope::Tenant(tenant)).await.unwrap();
                    let taken = sequence_take(&mut tx, tenant, seller, "А", from, from + 10).await.unwrap();
                    tx.commit().await.unwrap();
                    taken
                })
            })
            .collect();
        let mut taken = 0;
        for taker in takers {
            taken += i32::from(taker.await.unwrap());
        }
        assert_eq!(taken, 1, "from {from}");
    }
}

async fn a_rolled_back_taking_leaves_no_gap(place: Place) {
    let seller = id();
    let mut tx = place.write().await;
    assert!(sequence_take(&mut tx, place.tenant, seller, "А", 1, 9).await.unwrap());
    tx.rollback().await.unwrap();
    let mut tx = place.write().await;
    assert_eq!(sequence_find(&mut tx, place.tenant, seller, "А").await.unwrap(), None);
    assert!(sequence_take(&mut tx, place.tenant, seller, "А", 1, 2).await.unwrap());
}

async fn takers_that_try_again_leave_no_gap_and_share_no_value(place: Place) {
    let seller = id();
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let (db, tenant) = (place.db.clone(), place.tenant);
            tokio::spawn(async move {
                let mut values = Vec::new();
                while values.len() < 25 {
                    let mut tx = db.write(Scope::Tenant(tenant)).await.unwrap();
                    let next = sequence_find(&mut tx, tenant, seller, "А").await.unwrap().map_or(1, |found| found.1);
                    if sequence_take(&mut tx, tenant, seller, "А", next, next + 1).await.unwrap() {
                        values.push(next);
                    }
                    tx.commit().await.unwrap();
                }
                values
            })
        })
        .collect();
    let mut values = Vec::new();
    for taker in takers {
        values.extend(taker.await.unwrap());
    }
    values.sort_unstable();
    assert_eq!(values, (1..=100).collect::<Vec<i64>>());
}
