//! Use that fell: events that come late and lower what was billed give the difference back, once.

use altyn_domain::{
    id::{ChargeId, ContractId, SubscriptionId},
    metered::Aggregation,
    run::{PlanState, RunMode},
};
use altyn_service::{
    charges::ChargeView,
    credits::{CreditCharge, CreditView},
    metering::{UsageEvent, WindowState},
    runs::{Advanced, ConfirmPlan},
};
use serde_json::json;

use crate::{
    metering::{Dice, event, meter, plan, recorded, subscribe, terms, usage_charges, windows},
    world::{World, code, on_both_engines, page, same},
};

on_both_engines!(
    a_figure_that_falls_gives_back_the_difference_once_and_may_rise_again,
    what_fell_waits_for_a_yes_where_runs_are_confirmed,
    no_more_is_given_back_than_is_left_of_what_was_charged,
    whatever_comes_late_the_charges_less_the_credits_are_the_price_of_the_figure,
);

const LEVEL: &str = "level";

/// A contract that pays 1.00 for each unit of the mean level of a month; 10 and 20 are read in November, and billed.
async fn levelled(world: &World, number: &str) -> (ContractId, SubscriptionId) {
    let level = meter(world, LEVEL, Aggregation::Average).await;
    plan(world, "level-1m", vec![terms(level, "0", &[(None, "1")])]).await;
    let contract = world.import_contract(number, "free-1m", 1, "2026-11-01").await;
    let subscription = subscribe(world, contract, "level-1m", "2026-11-01").await;
    world.close_day("2026-11-01").await;
    recorded(world, vec![read("a", subscription, "10"), read("b", subscription, "20")]).await;
    world.close_day("2026-12-01").await;
    assert_eq!(amounts(&usage_charges(world, contract).await), [1_500]);
    (contract, subscription)
}

/// A reading of November.
fn read(id: &str, subscription: SubscriptionId, quantity: &str) -> UsageEvent {
    UsageEvent { meter: LEVEL.into(), ..event(id, subscription, "2026-11-20T12:00:00Z", quantity) }
}

fn amounts(charges: &[ChargeView]) -> Vec<i64> {
    let mut amounts: Vec<i64> = charges.iter().map(|charge| charge.amount_minor).collect();
    amounts.sort_unstable();
    amounts
}

async fn credits(world: &World, charge: ChargeId) -> Vec<CreditView> {
    world.altyn.charge_credits(&world.request(), charge, &page()).await.unwrap().data
}

/// What was charged for use less what was given back of it.
async fn net_of_credits(world: &World, contract: ContractId) -> i64 {
    let mut left = 0;
    for charge in usage_charges(world, contract).await {
        left += charge.amount_minor;
        left -= credits(world, charge.id).await.iter().map(|credit| credit.gross_minor).sum::<i64>();
    }
    left
}

async fn a_figure_that_falls_gives_back_the_difference_once_and_may_rise_again(world: &World) {
    let (contract, subscription) = levelled(world, "F-1").await;
    world.clock.set("2027-04-20T09:00:00Z".parse().unwrap());
    // (10 + 20 + 3) / 3 = 11.
    recorded(world, vec![read("c", subscription, "3")]).await;
    let before = world.balance(contract).await;
    let run = world.close_day("2027-01-01").await;
    assert_eq!((run.credits, run.credited_minor), (1, 400));
    let [charge] = usage_charges(world, contract).await.try_into().unwrap();
    let [credit] = credits(world, charge.id).await.try_into().unwrap();
    // 22 % inside, like the line that it lowers.
    assert_eq!((credit.net_minor, credit.tax_minor, credit.gross_minor), (328, 72, 400));
    assert!(credit.after_realisation && credit.transaction_id.is_some(), "{credit:?}");
    assert_eq!(credit.reason, "came late; 11 was used from 2026-11-01 to 2026-11-30 and not 15");
    let window = windows(world, subscription).await.remove(0);
    assert_eq!((window.state, window.billed_minor, window.amount_minor), (WindowState::Billed, 1_100, 1_100));
    let month = world.balance(contract).await - before - 400;
    assert_eq!(month, -30_000, "the month of January and nothing else");
    world.prove().await;
    let state = world.state().await;
    world.advance(run.id).await;
    same(&state, &world.state().await);

    // (10 + 20 + 3 + 27) / 4 = 15, and then (10 + 20 + 3 + 27 + 0) / 5 = 12.
    recorded(world, vec![read("d", subscription, "27")]).await;
    assert_eq!(world.close_day("2027-02-01").await.credits, 0);
    assert_eq!(amounts(&usage_charges(world, contract).await), [400, 1_500]);
    recorded(world, vec![read("e", subscription, "0")]).await;
    let run = world.close_day("2027-03-01").await;
    assert_eq!((run.credits, run.credited_minor), (1, 300));
    let charges = usage_charges(world, contract).await;
    let newest = charges.iter().find(|charge| charge.amount_minor == 400).unwrap();
    assert_eq!(credits(world, newest.id).await.len(), 1, "what was charged last is given back first");
    // (10 + 20 + 3 + 27 + 0 + 0) / 6 = 10: more than is left of the newest.
    recorded(world, vec![read("f", subscription, "0")]).await;
    let run = world.close_day("2027-04-01").await;
    assert_eq!((run.credits, run.credited_minor), (2, 200));
    assert_eq!(net_of_credits(world, contract).await, 1_000);
    world.prove().await;
}

async fn what_fell_waits_for_a_yes_where_runs_are_confirmed(world: &World) {
    let (contract, subscription) = levelled(world, "F-2").await;
    recorded(world, vec![read("c", subscription, "3")]).await;
    let run = world.begin("2027-01-01", RunMode::WithConfirmation).await;
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let seen = world.plan(run.id, contract).await;
    let shown = &seen.effects.as_ref().unwrap().credits;
    assert_eq!(shown.iter().map(|credit| credit.gross.minor).collect::<Vec<_>>(), [400]);
    assert_eq!(seen.changes_minor, 400);
    assert_eq!(net_of_credits(world, contract).await, 1_500, "nothing moves before a yes");
    // 12 · 4 = 48: it falls less.
    recorded(world, vec![read("d", subscription, "15")]).await;
    let confirm = |hash: Option<String>| ConfirmPlan { plan_hash: hash.unwrap() };
    let refused = world.altyn.run_confirm(&world.request(), run.id, contract, confirm(seen.plan_hash)).await;
    assert_eq!(code(refused), "plan-changed");
    let seen = world.plan(run.id, contract).await;
    assert_eq!(seen.changes_minor, 300);
    world.altyn.run_confirm(&world.request(), run.id, contract, confirm(seen.plan_hash)).await.unwrap();
    world.advance(run.id).await;
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Done);
    assert_eq!((net_of_credits(world, contract).await, world.run(run.id).await.credited_minor), (1_200, 300));
    world.prove().await;
}

async fn no_more_is_given_back_than_is_left_of_what_was_charged(world: &World) {
    let (contract, subscription) = levelled(world, "F-3").await;
    let [charge] = usage_charges(world, contract).await.try_into().unwrap();
    let most: CreditCharge = serde_json::from_value(json!({ "amount_minor": 1_400, "reason": "complaint" })).unwrap();
    world.altyn.charge_credit(&world.request(), charge.id, most).await.unwrap();
    recorded(world, vec![read("c", subscription, "3")]).await;
    let run = world.close_day("2027-01-01").await;
    assert_eq!((run.credits, run.credited_minor), (1, 100));
    assert_eq!((net_of_credits(world, contract).await, windows(world, subscription).await[0].billed_minor), (0, 1_400));
    world.prove().await;
    recorded(world, vec![read("d", subscription, "0")]).await;
    assert_eq!(world.close_day("2027-02-01").await.credits, 0, "nothing is left");
    world.prove().await;
}

async fn whatever_comes_late_the_charges_less_the_credits_are_the_price_of_the_figure(world: &World) {
    let kinds = [Aggregation::Min, Aggregation::Average, Aggregation::Last, Aggregation::Max, Aggregation::Sum];
    let mut metered = Vec::new();
    for kind in kinds {
        metered.push(terms(meter(world, kind.as_str(), kind).await, "2", &[(Some("9"), "1.5"), (None, "0.7")]));
    }
    plan(world, "fallen-1m", metered).await;
    let contract = world.import_contract("F-4", "free-1m", 1, "2026-11-01").await;
    let subscription = subscribe(world, contract, "fallen-1m", "2026-11-01").await;
    world.close_day("2026-11-01").await;
    world.clock.set("2027-04-20T09:00:00Z".parse().unwrap());
    let (mut dice, mut credited) = (Dice(20_270_317), 0);
    for (round, on) in ["2026-12-01", "2027-01-01", "2027-02-01", "2027-03-01", "2027-04-01"].into_iter().enumerate() {
        let mut events = Vec::new();
        for n in 0..10 + dice.below(10) {
            let kind = kinds[usize::try_from(dice.below(5)).unwrap()];
            let at = format!("2026-11-{:02}T{:02}:00:00Z", 1 + dice.below(29), 1 + dice.below(20));
            let quantity = format!("{}.{}", dice.below(40), dice.below(10));
            let id = format!("{round}-{n}");
            events.push(UsageEvent { meter: kind.as_str().into(), ..event(&id, subscription, &at, &quantity) });
        }
        recorded(world, events).await;
        credited += world.close_day(on).await.credits;
        let seen = windows(world, subscription).await;
        let november = seen.iter().filter(|window| window.events > 0);
        let price: i64 = november.map(|window| window.amount_minor).sum();
        assert_eq!(net_of_credits(world, contract).await, price, "after {on}: {seen:#?}");
        world.prove().await;
    }
    assert!(credited > 3, "{credited} credits");
}
