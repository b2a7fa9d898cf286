//! Following the outbox: whatever is written at the same time, nobody who goes on from his last position misses an event.

use altyn_domain::id::{EventId, Id as _};
use altyn_service::{
    Request,
    events::{EventFilter, EventView},
};
use altyn_store::{Scope, runs::outbox_insert};
use uuid::Uuid;

use crate::{
    parties::refused,
    support::{Place, new_tenant, on_both_engines, page},
};

on_both_engines!(
    an_event_that_appears_late_with_a_smaller_id_is_listed_behind_those_that_were_seen,
    those_who_follow_while_many_write_see_each_event_once,
    a_place_is_never_given_again_and_tells_nothing_of_others,
);

const WRITERS: usize = 6;
const EACH: usize = 20;

async fn write(place: &Place, id: Uuid, subject: &str) {
    let mut tx = place.altyn.db.write(Scope::Tenant(place.tenant.0)).await.unwrap();
    outbox_insert(&mut tx, place.tenant.0, id, "test.event", subject, "{}", place.altyn.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn behind(place: &Place, after: Option<i64>) -> Vec<EventView> {
    let page = page(100, after.map(|after| after.to_string()));
    place.altyn.event_list(&place.request(), EventFilter::default(), &page).await.unwrap().data
}

async fn an_event_that_appears_late_with_a_smaller_id_is_listed_behind_those_that_were_seen(place: Place) {
    let (early, late) = (place.altyn.ids.next(), place.altyn.ids.next());
    assert!(early < late);
    // The later id is committed first, as when the other transaction takes longer.
    write(&place, late, "first").await;
    let seen = behind(&place, None).await;
    assert_eq!(seen.iter().map(|event| (event.position, event.id.uuid())).collect::<Vec<_>>(), [(1, late)]);
    write(&place, early, "second").await;
    let more = behind(&place, Some(1)).await;
    assert_eq!(more.iter().map(|event| (event.position, event.id.uuid())).collect::<Vec<_>>(), [(2, early)]);
    assert!(behind(&place, Some(2)).await.is_empty());
    // From the beginning the order is the same, and a filter leaves places as they are.
    let subjects: Vec<String> = behind(&place, None).await.into_iter().map(|event| event.subject).collect();
    assert_eq!(subjects, ["first", "second"]);
    let filter = EventFilter { subject: Some("second".into()), kind: None };
    let found = place.altyn.event_list(&place.request(), filter, &page(1, None)).await.unwrap();
    assert_eq!((found.data[0].position, found.has_more), (2, false));
    for cursor in ["-1", "x", &EventId(late).to_string()] {
        let page = page(10, Some(cursor.to_owned()));
        let list = place.altyn.event_list(&place.request(), EventFilter::default(), &page).await;
        assert_eq!(refused(list), ["/cursor"], "{cursor}");
    }
}

async fn those_who_follow_while_many_write_see_each_event_once(place: Place) {
    let place = std::sync::Arc::new(place);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let place = std::sync::Arc::clone(&place);
        writers.push(tokio::spawn(async move {
            for n in 0..EACH {
                // The id is older than its commit by a time that differs.
                let id = place.altyn.ids.next();
                tokio::time::sleep(std::time::Duration::from_millis(((writer * 7 + n * 3) % 11) as u64)).await;
                write(&place, id, &format!("{writer}/{n}")).await;
            }
        }));
    }
    let mut followers = Vec::new();
    for _ in 0..2 {
        let place = std::sync::Arc::clone(&place);
        followers.push(tokio::spawn(async move {
            let mut seen: Vec<EventView> = Vec::new();
            while seen.len() < WRITERS * EACH {
                let after = seen.last().map(|event| event.position);
                seen.extend(behind(&place, after).await);
            }
            seen
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for follower in followers {
        let follower = tokio::time::timeout(std::time::Duration::from_mins(1), follower);
        let seen = follower.await.expect("an event was missed").unwrap();
        let positions: Vec<i64> = seen.iter().map(|event| event.position).collect();
        assert_eq!(positions, (1..=i64::try_from(WRITERS * EACH).unwrap()).collect::<Vec<_>>());
        let mut subjects: Vec<&str> = seen.iter().map(|event| event.subject.as_str()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), WRITERS * EACH);
    }
}

async fn a_place_is_never_given_again_and_tells_nothing_of_others(place: Place) {
    let other = place.altyn.tenant_create(&place.request(), new_tenant("Реселлер")).await.unwrap().value.id;
    write(&place, place.altyn.ids.next(), "one").await;
    assert_eq!(behind(&place, None).await[0].position, 1);
    let later = place.altyn.clock.now() + chrono::TimeDelta::days(91);
    assert_eq!(place.altyn.retention_purge(place.tenant, later).await.unwrap().events, 1);
    assert!(behind(&place, None).await.is_empty());
    write(&place, place.altyn.ids.next(), "two").await;
    assert_eq!(behind(&place, Some(1)).await[0].position, 2, "whoever saw the first goes on with the second");
    let theirs = Request::internal(other, "test");
    let listed = place.altyn.event_list(&theirs, EventFilter::default(), &page(10, None)).await.unwrap();
    assert!(listed.data.is_empty());
}
