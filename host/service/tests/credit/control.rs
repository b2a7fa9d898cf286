//! Limits and the credit control at the close of a day.

use altyn_domain::{
    credit::{LimitSource, PolicyScope},
    id::ContractId,
};
use altyn_service::{
    contracts::UpdateContract,
    credit::{CreditAllowance, SetContractControl},
};

use crate::{
    support::{Place, at, on_both_engines},
    world::{World, code},
};

on_both_engines!(
    the_close_of_a_day_blocks_below_the_limit_and_not_at_it,
    money_that_arrives_unblocks_at_once,
    the_next_close_unblocks_who_is_within_the_limit_again,
    the_most_specific_limit_counts,
    a_deferred_block_begins_later_and_not_if_money_comes,
    an_expired_promise_leads_into_credit_hold_at_the_next_close,
    a_tenant_without_limits_has_no_credit_control,
    closing_a_day_twice_changes_nothing,
    a_block_that_a_person_lifted_comes_back_at_the_next_close,
    a_policy_is_checked_and_changed_under_its_version,
);

fn limit(minor: i64) -> CreditAllowance {
    CreditAllowance { credit_limit_minor: Some(minor), ..CreditAllowance::default() }
}

async fn the_close_of_a_day_blocks_below_the_limit_and_not_at_it(place: Place) {
    let world = World::new(place).await;
    world.allow(PolicyScope::Tenant, None, limit(10_000)).await;
    let (at_limit, below) = (world.contract("Д-1").await, world.contract("Д-2").await);
    world.owe(at_limit, "d-1", 10_000).await;
    world.owe(below, "d-2", 10_001).await;
    let subscription = world.subscription(below, "2026-11-01").await;
    world.place.clock.set(at("2026-11-02T00:10:00Z"));
    world.close("2026-11-01").await;
    assert_eq!(world.states(at_limit).await, Vec::<String>::new());
    let blocks = world.blocks(below).await;
    assert_eq!(world.states(below).await, ["credit-limit active"]);
    assert_eq!(blocks[0].comment, "0.01 RUB beyond the limit at the close of 2026-11-01");
    assert_eq!((blocks[0].source.as_str(), blocks[0].set_by.as_str()), ("credit-control", "altyn"));
    let access = world.place.altyn.subscription_access(&world.request(), subscription).await.unwrap();
    assert!(!access.allowed);
    world.verify().await;
}

async fn money_that_arrives_unblocks_at_once(place: Place) {
    let world = World::new(place).await;
    world.allow(PolicyScope::Tenant, None, limit(0)).await;
    let contract = world.contract("Д-1").await;
    world.owe(contract, "d-1", 10_000).await;
    world.close("2026-11-01").await;
    world.pay(contract, "p-1", 9_999).await;
    assert_eq!(world.states(contract).await, ["credit-limit active"]);
    world.pay(contract, "p-2", 1).await;
    assert_eq!(world.states(contract).await, ["credit-limit ended"]);
    world.verify().await;
}

async fn the_next_close_unblocks_who_is_within_the_limit_again(place: Place) {
    let world = World::new(place).await;
    let policy = world.allow(PolicyScope::Tenant, None, limit(0)).await;
    let (corrected, raised) = (world.contract("Д-1").await, world.contract("Д-2").await);
    world.owe(corrected, "d-1", 10_000).await;
    world.owe(raised, "d-2", 10_000).await;
    world.close("2026-11-01").await;
    world.owe(corrected, "d-1-back", -10_000).await;
    let command = UpdateContract { credit_limit_minor: Some(20_000), ..UpdateContract::default() };
    let changed = world.place.altyn.contract_update(&world.request(), raised, 1, command).await.unwrap().value;
    assert_eq!((changed.credit_limit_minor, changed.available_minor), (20_000, 10_000));
    world.close("2026-11-02").await;
    assert_eq!(world.states(corrected).await, ["credit-limit ended"]);
    assert_eq!(world.states(raised).await, ["credit-limit ended"]);
    // Whoever gives credit control up leaves nobody blocked.
    world.owe(corrected, "d-3", 1).await;
    world.close("2026-11-03").await;
    assert_eq!(world.states(corrected).await.len(), 2);
    let none = CreditAllowance::default();
    world.place.altyn.credit_policy_update(&world.request(), policy.id, 1, none).await.unwrap();
    world.close("2026-11-04").await;
    assert_eq!(world.states(corrected).await, ["credit-limit ended", "credit-limit ended"]);
    world.verify().await;
}

async fn the_most_specific_limit_counts(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    let source = async |contract: ContractId| {
        let credit = world.credit(contract).await;
        (credit.credit_limit_minor, credit.limit_source.map(LimitSource::as_str))
    };
    assert_eq!(source(contract).await, (0, None));
    world.allow(PolicyScope::Tenant, None, limit(100)).await;
    world.allow(PolicyScope::Channel, Some("shop"), limit(200)).await;
    world.allow(PolicyScope::Group, Some("vip"), limit(300)).await;
    world.allow(PolicyScope::Group, Some("plain"), CreditAllowance::default()).await;
    assert_eq!(source(contract).await, (100, Some("tenant")));
    let place_in = |group: Option<&str>, channel: Option<&str>, own_limit| SetContractControl {
        group: group.map(Into::into),
        channel: channel.map(Into::into),
        own_limit: Some(own_limit),
        ..SetContractControl::default()
    };
    world.place_contract(contract, place_in(None, Some("shop"), false)).await;
    assert_eq!(source(contract).await, (200, Some("channel")));
    world.place_contract(contract, place_in(Some("vip"), Some("shop"), false)).await;
    assert_eq!(source(contract).await, (300, Some("group")));
    world.place_contract(contract, place_in(Some("plain"), Some("shop"), false)).await;
    assert_eq!(source(contract).await, (200, Some("channel")), "a level that sets nothing is left out");
    // A limit of its own counts when it is above zero, or when it is said to count.
    world.place_contract(contract, place_in(Some("vip"), None, true)).await;
    assert_eq!(source(contract).await, (0, Some("contract")));
    let own = UpdateContract { credit_limit_minor: Some(50), ..UpdateContract::default() };
    world.place.altyn.contract_update(&world.request(), contract, 1, own).await.unwrap();
    world.place_contract(contract, place_in(Some("vip"), None, false)).await;
    assert_eq!(source(contract).await, (50, Some("contract")));
    assert_eq!(world.money(contract).await, (0, 0, 50));
}

async fn a_deferred_block_begins_later_and_not_if_money_comes(place: Place) {
    let world = World::new(place).await;
    let deferred = CreditAllowance { deferral_days: Some(7), ..limit(0) };
    world.allow(PolicyScope::Tenant, None, deferred).await;
    let (pays, stays) = (world.contract("Д-1").await, world.contract("Д-2").await);
    world.owe(pays, "d-1", 10_000).await;
    world.owe(stays, "d-2", 10_000).await;
    world.place.clock.set(at("2026-11-01T22:00:00Z"));
    world.close("2026-11-01").await;
    assert_eq!(world.states(pays).await, ["credit-limit scheduled"]);
    assert_eq!(world.blocks(stays).await[0].starts_at, at("2026-11-08T21:00:00Z"), "the morning of the 9th in Moscow");
    world.pay(pays, "p-1", 10_000).await;
    world.close("2026-11-05").await;
    world.place.clock.set(at("2026-11-08T21:00:00Z"));
    assert_eq!(world.states(pays).await, ["credit-limit ended"]);
    assert_eq!(world.states(stays).await, ["credit-limit active"]);
    world.verify().await;
}

async fn an_expired_promise_leads_into_credit_hold_at_the_next_close(place: Place) {
    let world = World::new(place).await;
    let terms = CreditAllowance { promise_most_minor: Some(50_000), ..limit(0) };
    world.allow(PolicyScope::Tenant, None, terms).await;
    let contract = world.contract("Д-1").await;
    world.owe(contract, "d-1", 10_000).await;
    world.close("2026-11-01").await;
    assert_eq!(world.states(contract).await, ["credit-limit active"]);
    // A promise lifts the block.
    world.promise(contract, 10_000, Some("2026-11-03")).await.unwrap();
    assert_eq!(world.states(contract).await, ["credit-limit ended"]);
    world.close("2026-11-02").await;
    assert_eq!(world.states(contract).await, ["credit-limit ended"]);
    // Its job does not come, and yet the close of the day knows that it is over.
    world.place.clock.set(at("2026-11-04T00:10:00Z"));
    world.close("2026-11-03").await;
    assert_eq!(world.states(contract).await, ["credit-limit ended", "credit-limit active"]);
    world.verify().await;
}

async fn a_tenant_without_limits_has_no_credit_control(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    world.owe(contract, "d-1", 10_000).await;
    world.close("2026-11-01").await;
    assert_eq!(world.states(contract).await, Vec::<String>::new());
}

async fn closing_a_day_twice_changes_nothing(place: Place) {
    let world = World::new(place).await;
    world.allow(PolicyScope::Tenant, None, limit(0)).await;
    let contract = world.contract("Д-1").await;
    world.close("2026-11-01").await;
    world.owe(contract, "d-1", 10_000).await;
    world.close("2026-11-01").await;
    assert_eq!(world.states(contract).await, Vec::<String>::new(), "the day was closed before the debt came up");
    world.close("2026-11-02").await;
    world.close("2026-11-02").await;
    assert_eq!(world.states(contract).await, ["credit-limit active"]);
}

async fn a_block_that_a_person_lifted_comes_back_at_the_next_close(place: Place) {
    let world = World::new(place).await;
    world.allow(PolicyScope::Tenant, None, limit(0)).await;
    let contract = world.contract("Д-1").await;
    world.owe(contract, "d-1", 10_000).await;
    world.close("2026-11-01").await;
    let block = world.blocks(contract).await[0].id;
    let lift = altyn_service::blocks::LiftBlock { comment: "по договорённости".into() };
    world.place.altyn.block_lift(&world.request(), block, lift).await.unwrap();
    assert_eq!(world.states(contract).await, ["credit-limit ended"]);
    world.close("2026-11-02").await;
    assert_eq!(world.states(contract).await, ["credit-limit ended", "credit-limit active"]);
}

async fn a_policy_is_checked_and_changed_under_its_version(place: Place) {
    let world = World::new(place).await;
    let (altyn, request) = (&world.place.altyn, world.request());
    let policy = world.allow(PolicyScope::Group, Some("vip"), limit(5)).await;
    let create = |scope, code: Option<&str>, allowed| altyn_service::credit::CreateCreditPolicy {
        scope,
        code: code.map(Into::into),
        currency: None,
        allowed,
    };
    let refused = async |command| code(altyn.credit_policy_create(&request, command).await);
    assert_eq!(refused(create(PolicyScope::Group, Some("vip"), limit(6))).await, "duplicate-credit-policy");
    assert_eq!(refused(create(PolicyScope::Group, None, limit(6))).await, "/code");
    assert_eq!(refused(create(PolicyScope::Tenant, Some("x"), limit(6))).await, "/code");
    assert_eq!(refused(create(PolicyScope::Tenant, None, limit(-1))).await, "/allowed/credit_limit_minor");
    let orphan = CreditAllowance { promise_days: Some(5), ..CreditAllowance::default() };
    assert_eq!(refused(create(PolicyScope::Tenant, None, orphan)).await, "/allowed/promise_most_minor");
    let changed = altyn.credit_policy_update(&request, policy.id, 1, limit(7)).await.unwrap().value;
    assert_eq!((changed.version, changed.allowed.credit_limit_minor), (2, Some(7)));
    assert_eq!(code(altyn.credit_policy_update(&request, policy.id, 1, limit(8)).await), "stale-version");
}
