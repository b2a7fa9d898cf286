//! A job is done once, by the host that holds it.

use std::collections::BTreeSet;

use altyn_store::{Scope, jobs};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::place::{Place, at, id, on_both_engines};

const NOW: &str = "2026-11-01T09:00:00Z";
const LATER: &str = "2026-11-01T09:01:00Z";

on_both_engines!(
    concurrent_claimers_never_hold_the_same_job,
    an_expired_lease_is_claimed_again_and_its_old_holder_finishes_nothing,
    a_job_is_put_once_for_its_kind_and_key,
    a_job_is_not_claimed_before_it_is_due,
    the_earliest_due_job_is_claimed_first,
    a_finished_job_is_not_claimed_again,
    a_job_given_back_waits_for_its_next_try,
    a_dead_job_is_not_claimed_again,
    a_stale_fence_gives_nothing_back,
    a_claim_that_is_rolled_back_never_happened,
    another_tenants_job_is_not_claimed,
);

async fn put(place: &Place, key: &str, due_at: DateTime<Utc>) -> Uuid {
    let job = id();
    let mut tx = place.write().await;
    assert!(jobs::put(&mut tx, place.tenant, job, "close-day", key, "{}", due_at, at(NOW)).await.unwrap());
    tx.commit().await.unwrap();
    job
}

/// Claims with a lease of a minute at `now`.
async fn claim(place: &Place, owner: &str, now: DateTime<Utc>) -> Option<jobs::JobRow> {
    let mut tx = place.write().await;
    let until = now + chrono::TimeDelta::minutes(1);
    let job = jobs::claim(&mut tx, place.tenant, owner, until, now, now).await.unwrap();
    tx.commit().await.unwrap();
    job
}

async fn finish(place: &Place, job: &jobs::JobRow) -> bool {
    let mut tx = place.write().await;
    let finished = jobs::finish(&mut tx, place.tenant, job.id, job.fence, at(NOW)).await.unwrap();
    tx.commit().await.unwrap();
    finished
}

async fn concurrent_claimers_never_hold_the_same_job(place: Place) {
    let mut expected = BTreeSet::new();
    for number in 0..50 {
        expected.insert(put(&place, &number.to_string(), at(NOW)).await);
    }
    let claimers: Vec<_> = (0..8)
        .map(|number| {
            let (db, tenant) = (place.db.clone(), place.tenant);
            tokio::spawn(async move {
                let mut held = Vec::new();
                let mut idle = 0;
                // Skipping what others are claiming may find nothing for a moment: only silence is the end.
                while idle < 20 {
                    let mut tx = db.write(Scope::Tenant(tenant)).await.unwrap();
                    let owner = format!("host-{number}");
                    match jobs::claim(&mut tx, tenant, &owner, at(LATER), at(NOW), at(NOW)).await.unwrap() {
                        Some(job) => {
                            assert_eq!((job.fence, job.attempts), (1, 1));
                            held.push(job.id);
                            idle = 0;
                        }
                        None => idle += 1,
                    }
                    tx.commit().await.unwrap();
                }
                held
            })
        })
        .collect();
    let mut held = Vec::new();
    for claimer in claimers {
        held.extend(claimer.await.unwrap());
    }
    assert_eq!(held.len(), 50);
    assert_eq!(held.into_iter().collect::<BTreeSet<_>>(), expected);
}

async fn an_expired_lease_is_claimed_again_and_its_old_holder_finishes_nothing(place: Place) {
    put(&place, "1", at(NOW)).await;
    let first = claim(&place, "host-1", at(NOW)).await.unwrap();
    assert!(claim(&place, "host-2", at("2026-11-01T09:00:59.999999Z")).await.is_none(), "the lease is alive");
    let second = claim(&place, "host-2", at(LATER)).await.unwrap();
    assert_eq!((second.id, second.attempts), (first.id, 2));
    assert!(second.fence > first.fence);
    assert!(!finish(&place, &first).await);
    assert!(finish(&place, &second).await);
    assert!(!finish(&place, &second).await, "it is finished once");
}

async fn a_job_is_put_once_for_its_kind_and_key(place: Place) {
    let mut tx = place.write().await;
    let mut put = async |kind: &str, key: &str| {
        jobs::put(&mut tx, place.tenant, id(), kind, key, "{}", at(NOW), at(NOW)).await.unwrap()
    };
    assert!(put("close-day", "2026-11-01").await);
    assert!(!put("close-day", "2026-11-01").await);
    assert!(put("close-day", "2026-11-02").await);
    assert!(put("send-mail", "2026-11-01").await);
    tx.commit().await.unwrap();
    let job = claim(&place, "host-1", at(NOW)).await.unwrap();
    assert!(finish(&place, &job).await);
    let mut tx = place.write().await;
    let again = jobs::put(&mut tx, place.tenant, id(), &job.kind, &job.job_key, "{}", at(NOW), at(NOW)).await.unwrap();
    assert!(!again, "a finished job keeps its key");
}

async fn a_job_is_not_claimed_before_it_is_due(place: Place) {
    put(&place, "1", at("2026-11-01T09:00:00.000001Z")).await;
    assert!(claim(&place, "host-1", at(NOW)).await.is_none());
    assert!(claim(&place, "host-1", at("2026-11-01T09:00:00.000001Z")).await.is_some());
}

async fn the_earliest_due_job_is_claimed_first(place: Place) {
    let instants =
        ["2026-11-01T08:00:00.5Z", "2026-11-01T08:00:00Z", "2026-11-01T08:00:00.000250Z", "2026-10-31T23:59:59Z"];
    let mut put_at = Vec::new();
    for (number, instant) in instants.into_iter().enumerate() {
        put_at.push(put(&place, &number.to_string(), at(instant)).await);
    }
    for expected in [3, 1, 2, 0] {
        assert_eq!(claim(&place, "host-1", at(NOW)).await.unwrap().id, put_at[expected]);
    }
}

async fn a_finished_job_is_not_claimed_again(place: Place) {
    put(&place, "1", at(NOW)).await;
    let job = claim(&place, "host-1", at(NOW)).await.unwrap();
    assert!(finish(&place, &job).await);
    assert!(claim(&place, "host-2", at("2026-12-01T00:00:00Z")).await.is_none());
}

async fn retry(place: &Place, job: &jobs::JobRow, dead: bool) {
    let mut tx = place.write().await;
    jobs::retry(&mut tx, place.tenant, job.id, job.fence, at(LATER), "нет связи", dead).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_job_given_back_waits_for_its_next_try(place: Place) {
    put(&place, "1", at(NOW)).await;
    let job = claim(&place, "host-1", at(NOW)).await.unwrap();
    retry(&place, &job, false).await;
    assert!(claim(&place, "host-2", at("2026-11-01T09:00:59Z")).await.is_none());
    let again = claim(&place, "host-2", at(LATER)).await.unwrap();
    assert_eq!((again.id, again.attempts, again.due_at), (job.id, 2, at(LATER)));
    assert!(again.fence > job.fence);
    let error = "select last_error from jobs where tenant_id = $1 and id = $2";
    let (error,) = place.read().await.fetch_one::<(Option<String>,)>(error, (place.tenant, job.id)).await.unwrap();
    assert_eq!(error.as_deref(), Some("нет связи"));
}

async fn a_dead_job_is_not_claimed_again(place: Place) {
    put(&place, "1", at(NOW)).await;
    let job = claim(&place, "host-1", at(NOW)).await.unwrap();
    retry(&place, &job, true).await;
    assert!(claim(&place, "host-2", at("2026-12-01T00:00:00Z")).await.is_none());
    assert!(!finish(&place, &job).await);
}

async fn a_stale_fence_gives_nothing_back(place: Place) {
    put(&place, "1", at(NOW)).await;
    let stale = claim(&place, "host-1", at(NOW)).await.unwrap();
    let held = claim(&place, "host-2", at(LATER)).await.unwrap();
    retry(&place, &stale, true).await;
    assert!(claim(&place, "host-3", at(LATER)).await.is_none(), "the second host still holds it");
    assert!(finish(&place, &held).await);
}

async fn a_claim_that_is_rolled_back_never_happened(place: Place) {
    put(&place, "1", at(NOW)).await;
    let mut tx = place.write().await;
    assert!(jobs::claim(&mut tx, place.tenant, "host-1", at(LATER), at(NOW), at(NOW)).await.unwrap().is_some());
    tx.rollback().await.unwrap();
    let job = claim(&place, "host-2", at(NOW)).await.unwrap();
    assert_eq!((job.fence, job.attempts), (1, 1));
}

async fn another_tenants_job_is_not_claimed(place: Place) {
    put(&place, "1", at(NOW)).await;
    let other = place.another_tenant().await;
    let mut tx = place.db.write(Scope::Tenant(other)).await.unwrap();
    assert!(jobs::claim(&mut tx, other, "host-1", at(LATER), at(NOW), at(NOW)).await.unwrap().is_none());
}
