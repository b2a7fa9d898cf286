//! Billing again bills nothing, and billing late bills the same.

use altyn_domain::run::RunMode;
use altyn_service::runs::{Advanced, StartRun};

use crate::world::{World, code, day, on_both_engines, same, same_charges};

on_both_engines!(
    a_finished_run_run_again_changes_nothing,
    a_month_day_by_day_comes_to_the_same_as_catching_up_at_its_end,
);

/// How a subscription goes on.
type Standing = (uuid::Uuid, String, i32, chrono::NaiveDate, Option<i32>);

async fn a_finished_run_run_again_changes_nothing(world: &World) {
    let run = world.close_day("2026-11-10").await;
    assert!(run.charges > 20 && run.invoices > 15, "{run:?}");
    world.prove().await;
    let before = world.state().await;
    for owner in ["test", "another"] {
        let advanced = world.altyn.run_advance(world.tenant, run.id, owner).await.unwrap();
        assert_eq!(advanced, Advanced::Done);
    }
    let again = StartRun { business_on: day("2026-11-10"), mode: Some(RunMode::Automatic) };
    assert_eq!(code(world.altyn.run_start(&world.request(), again).await), "run-exists");
    same(&before, &world.state().await);

    // A day later nothing is due that was not due before.
    let later = world.close_day("2026-11-11").await;
    let starting: Vec<_> = world.charges().await.keys().filter(|key| key.2 > day("2026-11-10")).copied().collect();
    assert_eq!(later.charges, i64::try_from(starting.len()).unwrap(), "{starting:?}");
    world.prove().await;
}

async fn a_month_day_by_day_comes_to_the_same_as_catching_up_at_its_end(world: &World) {
    let late = world.twin().await;
    for world in [world, &late] {
        let all = world.subscriptions(world.contracts[0].id).await;
        world.cancel(&world.altyn, all[0].id, "2026-12-20").await;
        let all = world.subscriptions(world.contracts[2].id).await;
        world.cancel(&world.altyn, all[0].id, "2026-11-20").await;
        let all = world.subscriptions(world.contracts[7].id).await;
        let changed = world
            .change(
                "update subscriptions set charges_left = 2 where tenant_id = $1 and id = $2",
                (world.tenant.0, all[0].id.0),
            )
            .await;
        assert_eq!(changed, 1);
    }
    let mut billed = (0, 0, 0);
    for on in day("2026-11-01").iter_days().take_while(|on| *on <= day("2027-01-05")) {
        let run = world.close_day(&on.to_string()).await;
        billed = (billed.0 + run.charges, billed.1 + run.gross_minor, billed.2 + run.parked);
    }
    let run = late.close_day("2027-01-05").await;
    assert_eq!((run.charges, run.gross_minor, run.parked), billed);
    assert_eq!(billed.2, 0);
    let charges = world.charges().await;
    same_charges(&charges, &late.charges().await);
    assert!(charges.values().any(|charged| charged.used.1 == day("2026-11-20")), "a period is cut by its end");
    for world in [world, &late] {
        world.prove().await;
    }
    let standing = "select id, status, next_index, next_charge_on, charges_left from subscriptions
        where tenant_id = $1 order by id";
    let left: Vec<Standing> = world.rows(standing, (world.tenant.0,)).await;
    let right: Vec<Standing> = late.rows(standing, (late.tenant.0,)).await;
    assert_eq!(left, right);
    assert_eq!(left.iter().filter(|row| row.1 == "cancelled").count(), 2, "{left:?}");
    assert_eq!(left.iter().filter(|row| row.1 == "completed").count(), 1, "{left:?}");
    late.end().await;
}
