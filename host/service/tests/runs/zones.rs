//! A contract moves to another time zone: what its subscriptions have begun ends where it would have ended.

use altyn_domain::id::ContractId;
use altyn_service::contracts::UpdateContract;

use crate::{
    metering::{event, metered, recorded, usage_charges, windows},
    world::{World, code, day, on_both_engines},
};

on_both_engines!(
    a_zone_holds_from_the_next_boundary_and_no_use_is_lost_or_billed_twice,
    a_zone_that_is_none_is_refused,
);

async fn moved(world: &World, contract: ContractId, zone: &str) {
    let version = world.altyn.contract_get(&world.request(), contract).await.unwrap().version;
    let command = UpdateContract { zone: Some(zone.into()), ..UpdateContract::default() };
    let changed = world.altyn.contract_update(&world.request(), contract, version, command).await.unwrap().value;
    assert_eq!(changed.zone, zone);
}

async fn a_zone_holds_from_the_next_boundary_and_no_use_is_lost_or_billed_twice(world: &World) {
    let (contract, subscription) = metered(world, "Z-1").await;
    let before = windows(world, subscription).await.remove(0);
    moved(world, contract, "Asia/Vladivostok").await;
    // Moved on before the boundary came: what has begun still ends by the first zone.
    moved(world, contract, "Asia/Kolkata").await;
    moved(world, contract, "Asia/Vladivostok").await;
    let seen = world.altyn.subscription_get(&world.request(), subscription).await.unwrap();
    assert_eq!((seen.zone.as_str(), seen.former_zone.as_deref()), ("Asia/Vladivostok", Some("Europe/Moscow")));
    assert_eq!(seen.zone_until, Some(day("2026-12-01")));
    // Half an hour before midnight in Moscow, when it is morning in Vladivostok; and midnight in Moscow.
    let late = event("late", subscription, "2026-11-30T20:30:00Z", "20");
    let first = event("first", subscription, "2026-11-30T21:00:00Z", "20");
    recorded(world, vec![late, first]).await;
    world.close_day("2026-12-01").await;
    world.close_day("2027-01-01").await;
    let all = windows(world, subscription).await;
    let told: Vec<(String, String)> =
        all.iter().map(|window| (window.starts_at.to_rfc3339(), window.ends_at.to_rfc3339())).collect();
    assert_eq!((all[0].starts_at, all[0].ends_at), (before.starts_at, before.ends_at));
    assert_eq!(told[1], ("2026-11-30T21:00:00+00:00".into(), "2026-12-31T14:00:00+00:00".into()));
    assert_eq!(told[2].0, "2026-12-31T14:00:00+00:00");
    let amounts: Vec<i64> = usage_charges(world, contract).await.iter().map(|charge| charge.amount_minor).collect();
    assert_eq!(amounts, [16_000, 16_000], "10 of 20 units in each month");
    // The boundary has passed: a later move keeps the zone that holds now.
    moved(world, contract, "America/New_York").await;
    let seen = world.altyn.subscription_get(&world.request(), subscription).await.unwrap();
    assert_eq!((seen.former_zone.as_deref(), seen.zone_until), (Some("Asia/Vladivostok"), Some(day("2027-02-01"))));
    world.close_day("2027-02-01").await;
    world.prove().await;
}

async fn a_zone_that_is_none_is_refused(world: &World) {
    let contract = &world.contracts[0];
    let command = UpdateContract { zone: Some("Mars/Olympus".into()), ..UpdateContract::default() };
    let refused = world.altyn.contract_update(&world.request(), contract.id, contract.version, command).await;
    assert_eq!(code(refused), "invalid-request");
    let after = world.altyn.contract_get(&world.request(), contract.id).await.unwrap();
    assert_eq!((after.zone.as_str(), after.version), (contract.zone.as_str(), contract.version));
}
