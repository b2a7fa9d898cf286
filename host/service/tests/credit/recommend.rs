//! The recommended amount.

use altyn_domain::{credit::PolicyScope, recommend::RecommendMethod};
use altyn_service::{credit::CreditAllowance, recommend::RecommendFilter};

use crate::{
    support::{Place, at, on_both_engines},
    world::{World, code},
};

on_both_engines!(a_recommendation_explains_its_parts, a_promise_is_not_money);

async fn a_recommendation_explains_its_parts(place: Place) {
    let world = World::new(place).await;
    let contract = world.contract("Д-1").await;
    world.subscription(contract, "2026-11-10").await;
    world.subscription(contract, "2026-12-05").await;
    world.owe(contract, "debt", 10_000).await;
    let altyn = &world.place.altyn;
    let ask = async |method, from_day| {
        let filter = RecommendFilter { method: Some(method), from_day };
        let found = altyn.contract_recommend(&world.request(), contract, filter).await.unwrap();
        let parts: Vec<String> = found
            .parts
            .iter()
            .map(|part| {
                format!(
                    "{} {}{}",
                    part.part,
                    part.amount_minor,
                    part.due_on.map_or(String::new(), |on| format!(" {on}"))
                )
            })
            .collect();
        (found.amount_minor, parts.join(", "))
    };
    assert_eq!(ask(RecommendMethod::Debt, None).await, (10_000, "balance 10000".into()));
    let this_month = (69_000, "balance 10000, upcoming 59000 2026-11-10".to_owned());
    assert_eq!(ask(RecommendMethod::Month, None).await, this_month);
    world.place.clock.set(at("2026-11-09T12:00:00Z"));
    assert_eq!(ask(RecommendMethod::Month, Some(10)).await, this_month);
    world.place.clock.set(at("2026-11-09T21:00:00Z"));
    let next_too = "balance 10000, upcoming 59000 2026-11-10, upcoming 59000 2026-12-05, upcoming 59000 2026-12-10";
    assert_eq!(ask(RecommendMethod::Month, Some(10)).await, (187_000, next_too.into()));
    let each_once = "balance 10000, upcoming 59000 2026-11-10, upcoming 59000 2026-12-05";
    assert_eq!(ask(RecommendMethod::NextCharge, None).await, (128_000, each_once.into()));
    world.pay(contract, "p-1", 500_000).await;
    assert_eq!(ask(RecommendMethod::NextCharge, None).await.0, 0);
    let bad = RecommendFilter { method: Some(RecommendMethod::Month), from_day: Some(32) };
    assert_eq!(code(altyn.contract_recommend(&world.request(), contract, bad).await), "/from_day");
}

async fn a_promise_is_not_money(place: Place) {
    let world = World::new(place).await;
    let terms = CreditAllowance {
        credit_limit_minor: Some(3_000),
        promise_most_minor: Some(50_000),
        ..CreditAllowance::default()
    };
    world.allow(PolicyScope::Tenant, None, terms).await;
    let contract = world.contract("Д-1").await;
    world.owe(contract, "debt", 10_000).await;
    world.promise(contract, 10_000, None).await.unwrap();
    let filter = RecommendFilter { method: Some(RecommendMethod::Unblock), from_day: None };
    let found = world.place.altyn.contract_recommend(&world.request(), contract, filter).await.unwrap();
    assert_eq!(found.amount_minor, 7_000, "the debt beyond the limit, whatever is promised");
}
