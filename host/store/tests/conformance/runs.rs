//! A run is worked on by the host that holds its lease; a host that lost it writes nothing.

use altyn_store::runs::{self, Progress, RunRow};
use uuid::Uuid;

use crate::place::{Place, at, day, id, on_both_engines};

const NOW: &str = "2026-11-02T03:00:00Z";
const UNTIL: &str = "2026-11-02T03:01:00Z";
const LONGER: &str = "2026-11-02T03:02:00Z";

on_both_engines!(
    a_day_has_one_run,
    a_lease_is_held_by_one_host_until_it_expires,
    each_lease_raises_the_fence,
    a_checkpoint_adds_to_the_report_and_moves_the_cursor,
    a_checkpoint_without_a_cursor_keeps_the_one_before,
    a_stale_fence_writes_nothing,
    an_ended_run_is_neither_leased_nor_written,
    a_reopened_run_is_leased_again,
    the_earliest_open_run_before_a_day_is_found,
);

async fn run(place: &Place, on: &str) -> Uuid {
    let run = id();
    let mut tx = place.write().await;
    assert!(runs::insert(&mut tx, place.tenant, run, day(on), "automatic", "executing", at(NOW)).await.unwrap());
    tx.commit().await.unwrap();
    run
}

async fn found(place: &Place, run: Uuid) -> RunRow {
    runs::find(&mut place.read().await, place.tenant, run).await.unwrap().unwrap()
}

async fn lease(place: &Place, run: Uuid, owner: &str, until: &str, now: &str) -> bool {
    let mut tx = place.write().await;
    let leased = runs::lease(&mut tx, place.tenant, run, owner, at(until), at(now)).await.unwrap();
    tx.commit().await.unwrap();
    leased
}

async fn checkpoint(place: &Place, run: Uuid, fence: i64, cursor: Option<Uuid>, charges: i64) -> bool {
    let mut tx = place.write().await;
    let add = Progress {
        charges,
        gross_minor: charges * 122,
        net_minor: charges * 100,
        tax_minor: charges * 22,
        ..Progress::default()
    };
    let moved = runs::checkpoint(&mut tx, place.tenant, run, fence, cursor, at(LONGER), add).await.unwrap();
    tx.commit().await.unwrap();
    moved
}

async fn a_day_has_one_run(place: Place) {
    let first = run(&place, "2026-11-01").await;
    let mut tx = place.write().await;
    let on = day("2026-11-01");
    assert!(!runs::insert(&mut tx, place.tenant, id(), on, "automatic", "executing", at(NOW)).await.unwrap());
    assert_eq!(runs::find_by_date(&mut tx, place.tenant, on).await.unwrap().unwrap().id, first);
    assert!(
        runs::insert(&mut tx, place.tenant, id(), day("2026-11-02"), "automatic", "executing", at(NOW)).await.unwrap()
    );
    assert_eq!(runs::latest(&mut tx, place.tenant).await.unwrap(), Some(day("2026-11-02")));
}

async fn a_lease_is_held_by_one_host_until_it_expires(place: Place) {
    let run = run(&place, "2026-11-01").await;
    assert!(lease(&place, run, "host-1", UNTIL, NOW).await);
    assert!(!lease(&place, run, "host-2", LONGER, "2026-11-02T03:00:59.999999Z").await);
    assert!(lease(&place, run, "host-1", UNTIL, NOW).await, "its holder may take it again");
    assert!(lease(&place, run, "host-2", LONGER, UNTIL).await);
    assert!(!lease(&place, run, "host-1", LONGER, UNTIL).await);
}

async fn each_lease_raises_the_fence(place: Place) {
    let run = run(&place, "2026-11-01").await;
    assert_eq!((found(&place, run).await.fence, found(&place, run).await.started_at), (0, None));
    assert!(lease(&place, run, "host-1", UNTIL, NOW).await);
    assert!(lease(&place, run, "host-1", UNTIL, NOW).await);
    assert!(lease(&place, run, "host-2", LONGER, UNTIL).await);
    let row = found(&place, run).await;
    assert_eq!((row.fence, row.started_at, row.lease_owner.as_deref()), (3, Some(at(NOW)), Some("host-2")));
}

async fn a_checkpoint_adds_to_the_report_and_moves_the_cursor(place: Place) {
    let run = run(&place, "2026-11-01").await;
    assert!(lease(&place, run, "host-1", UNTIL, NOW).await);
    let (first, second) = (id(), id());
    assert!(checkpoint(&place, run, 1, Some(first), 3).await);
    assert!(checkpoint(&place, run, 1, Some(second), 4).await);
    let row = found(&place, run).await;
    assert_eq!((row.cursor, row.lease_until), (Some(second), Some(at(LONGER))));
    assert_eq!((row.charges, row.net_minor, row.tax_minor, row.gross_minor), (7, 700, 154, 854));
}

async fn a_checkpoint_without_a_cursor_keeps_the_one_before(place: Place) {
    let run = run(&place, "2026-11-01").await;
    assert!(lease(&place, run, "host-1", UNTIL, NOW).await);
    let cursor = id();
    assert!(checkpoint(&place, run, 1, Some(cursor), 1).await);
    assert!(checkpoint(&place, run, 1, None, 1).await);
    assert_eq!(found(&place, run).await.cursor, Some(cursor));
}

async fn a_stale_fence_writes_nothing(place: Place) {
    let run = run(&place, "2026-11-01").await;
    assert!(lease(&place, run, "host-1", UNTIL, NOW).await);
    assert!(lease(&place, run, "host-2", LONGER, UNTIL).await);
    let before = found(&place, run).await;
    assert!(!checkpoint(&place, run, 1, Some(id()), 5).await);
    let mut tx = place.write().await;
    assert!(!runs::state_set(&mut tx, place.tenant, run, 1, "done", Some(at(NOW))).await.unwrap());
    runs::release(&mut tx, place.tenant, run, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(format!("{before:?}"), format!("{:?}", found(&place, run).await));
    let mut tx = place.write().await;
    runs::release(&mut tx, place.tenant, run, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert!(lease(&place, run, "host-1", LONGER, UNTIL).await, "a released run is free at once");
}

async fn an_ended_run_is_neither_leased_nor_written(place: Place) {
    for (on, state) in [("2026-11-01", "done"), ("2026-11-02", "cancelled")] {
        let run = run(&place, on).await;
        assert!(lease(&place, run, "host-1", UNTIL, NOW).await);
        let mut tx = place.write().await;
        assert!(runs::state_set(&mut tx, place.tenant, run, 1, state, Some(at(NOW))).await.unwrap());
        tx.commit().await.unwrap();
        assert!(!lease(&place, run, "host-1", LONGER, UNTIL).await);
        assert!(!checkpoint(&place, run, 1, Some(id()), 1).await);
        let mut tx = place.write().await;
        assert!(!runs::cancel(&mut tx, place.tenant, run).await.unwrap());
        assert!(!runs::state_set(&mut tx, place.tenant, run, 1, "executing", None).await.unwrap());
    }
}

async fn a_reopened_run_is_leased_again(place: Place) {
    let run = run(&place, "2026-11-01").await;
    assert!(lease(&place, run, "host-1", UNTIL, NOW).await);
    let mut tx = place.write().await;
    assert!(runs::state_set(&mut tx, place.tenant, run, 1, "done", Some(at(NOW))).await.unwrap());
    runs::reopen(&mut tx, place.tenant, run).await.unwrap();
    tx.commit().await.unwrap();
    assert!(lease(&place, run, "host-2", LONGER, NOW).await);
    assert_eq!((found(&place, run).await.fence, found(&place, run).await.finished_at), (2, None));
}

async fn the_earliest_open_run_before_a_day_is_found(place: Place) {
    for on in ["2026-11-02", "2026-11-01", "2026-11-03"] {
        run(&place, on).await;
    }
    let mut tx = place.read().await;
    let earlier = runs::earlier_open(&mut tx, place.tenant, day("2026-11-03")).await.unwrap();
    assert_eq!(earlier, Some(day("2026-11-01")));
    assert_eq!(runs::earlier_open(&mut tx, place.tenant, day("2026-11-01")).await.unwrap(), None);
}
