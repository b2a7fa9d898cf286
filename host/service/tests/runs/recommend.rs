//! The recommended amount is what the run of the day takes.

use altyn_domain::recommend::RecommendMethod;
use altyn_service::recommend::RecommendFilter;

use crate::world::{World, day, on_both_engines};

on_both_engines!(
    tax_on_top_and_a_short_first_period_are_recommended_as_they_are_charged,
    without_a_plugin_the_amount_is_an_estimate_by_list_price,
);

async fn asked(
    world: &World,
    contract: altyn_domain::id::ContractId,
    method: RecommendMethod,
) -> (i64, Vec<(i64, String)>) {
    let filter = RecommendFilter { method: Some(method), from_day: None };
    let found = world.altyn.contract_recommend(&world.request(), contract, filter).await.unwrap();
    let parts = found.parts.iter().filter(|part| part.amount_minor > 0);
    let parts = parts.filter_map(|part| Some((part.amount_minor, part.due_on?.to_string())));
    (found.amount_minor, parts.collect())
}

async fn tax_on_top_and_a_short_first_period_are_recommended_as_they_are_charged(world: &World) {
    // 1000.33 a month and tax on top, billed on the last day of the month.
    let contract = world.import_contract("RC-1", "free-1m", 1, "2040-01-01").await;
    let wish = serde_json::json!({ "contract_id": contract, "plan_code": "business-1m", "starts_on": "2027-01-16" });
    world.altyn.subscription_create(&world.request(), serde_json::from_value(wish).unwrap()).await.unwrap();
    world.clock.set("2027-01-10T09:00:00Z".parse().unwrap());
    let (amount, parts) = asked(world, contract, RecommendMethod::NextCharge).await;
    assert_eq!(parts, [(amount, "2027-01-16".to_owned())]);
    let (whole, both) = {
        world.clock.set("2027-01-25T09:00:00Z".parse().unwrap());
        asked(world, contract, RecommendMethod::Month).await
    };
    assert_eq!(both.len(), 3, "the short period, and those of 31 January and 28 February: {both:?}");
    world.close_day("2027-01-16").await;
    let balance = async || world.altyn.contract_get(&world.request(), contract).await.unwrap().balance_minor;
    assert_eq!(balance().await, -amount, "what was recommended is what is charged");
    world.clock.set("2027-02-28T09:00:00Z".parse().unwrap());
    world.close_day("2027-02-28").await;
    assert_eq!(balance().await, -whole);
    assert_eq!(day(&both[2].1), day("2027-02-28"));
}

async fn without_a_plugin_the_amount_is_an_estimate_by_list_price(world: &World) {
    let contract = world.import_contract("RC-2", "home-1m", 1, "2027-01-16").await;
    world.clock.set("2027-01-10T09:00:00Z".parse().unwrap());
    world.bind("hostile-tax", serde_json::json!({ "do": "trap" })).await;
    assert_eq!(asked(world, contract, RecommendMethod::NextCharge).await.0, 78_990);
}
