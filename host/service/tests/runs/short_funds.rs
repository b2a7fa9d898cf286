//! What a subscription does when its contract cannot pay for the next period, on both engines.

use altyn_domain::{
    id::{ContractId, SubscriptionId},
    run::{PlanState, RunMode, WithheldOutcome},
    subscription::SubscriptionStatus,
};
use altyn_service::{
    ledger::PostTransaction,
    runs::{Advanced, ConfirmPlan, ConfirmPlans, NextRunOptions, RunView, WithheldView},
};
use chrono::NaiveDate;
use serde_json::json;

use crate::world::{World, code, day, on_both_engines, page};

on_both_engines!(
    a_retried_period_waits_and_is_charged_whole_when_the_money_is_there,
    a_retried_period_that_nobody_pays_is_skipped,
    a_skipped_period_is_neither_served_nor_charged,
    a_suspended_subscription_is_charged_from_the_day_it_is_paid,
    what_began_in_other_books_passes_a_period_that_nobody_pays,
    what_never_began_begins_later,
    money_for_one_renews_one_and_debt_is_taken_first,
    a_late_run_charges_what_can_be_paid_and_no_more,
    a_plan_that_waits_tells_who_is_not_renewed,
    a_change_waits_for_the_period_and_an_end_does_not,
    a_rehearsal_tells_who_pays_by_one_component_and_waits_by_the_other,
);

/// 70.01 a week without tax.
const WEEK: i64 = 7_001;

impl World {
    /// A contract with subscriptions of a week from a day on, under a policy.
    async fn weekly(&self, number: &str, count: usize, on: &str, policy: &str) -> (ContractId, Vec<SubscriptionId>) {
        let contract = self.import_contract(number, "week-7d", count, on).await;
        let ids: Vec<_> = self.subscriptions(contract).await.iter().map(|view| view.id).collect();
        for id in &ids {
            self.edit(*id, json!({ "short_funds": policy })).await.unwrap();
        }
        (contract, ids)
    }

    async fn pay(&self, contract: ContractId, minor: i64, key: &str) {
        let posting = json!({
            "source_key": key, "effective_on": "2027-01-04", "currency": "RUB", "description": "paid",
            "kind": "payment-received",
            "entries": [{ "account": "cash", "amount_minor": minor },
                        { "account": format!("contract/{contract}/funds"), "amount_minor": -minor }],
        });
        let posting: PostTransaction = serde_json::from_value(posting).unwrap();
        self.altyn.transaction_post(&self.request(), posting).await.unwrap();
    }

    async fn left(&self, contract: ContractId) -> i64 {
        self.altyn.contract_get(&self.request(), contract).await.unwrap().balance_minor
    }

    async fn withheld(&self, run: &RunView) -> Vec<WithheldView> {
        self.altyn.run_withheld(&self.request(), run.id, &page()).await.unwrap().data
    }

    /// Days that were charged.
    async fn used(&self, id: SubscriptionId) -> Vec<(NaiveDate, NaiveDate)> {
        let charges = self.charges().await;
        let mut used: Vec<_> =
            charges.iter().filter(|((of, ..), _)| *of == id.0).map(|(_, charged)| charged.used).collect();
        used.sort_unstable();
        used
    }

    async fn denied(&self, id: SubscriptionId) -> Vec<String> {
        let access = self.altyn.subscription_access(&self.request(), id).await.unwrap();
        access.reasons.into_iter().map(|reason| reason.code).collect()
    }
}

fn span(from: &str, until: &str) -> (NaiveDate, NaiveDate) {
    (day(from), day(until))
}

async fn a_retried_period_waits_and_is_charged_whole_when_the_money_is_there(world: &World) {
    let (contract, ids) = world.weekly("SF-1", 1, "2027-01-04", "retry").await;
    let id = ids[0];
    world.pay(contract, WEEK, "first").await;
    world.close_day("2027-01-04").await;
    assert_eq!((world.used(id).await, world.left(contract).await), (vec![span("2027-01-04", "2027-01-11")], 0));
    let run = world.close_day("2027-01-11").await;
    let told = world.withheld(&run).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].subscription_id, told[0].outcome), (id, WithheldOutcome::Waits));
    assert_eq!((told[0].needed_minor, told[0].available_minor, told[0].from), (WEEK, 0, day("2027-01-11")));
    assert_eq!(run.parked, 0, "nobody is parked");
    let waits = world.seen(id).await;
    assert_eq!((waits.status, waits.waits_from), (SubscriptionStatus::Active, Some(day("2027-01-11"))));
    assert_eq!(world.denied(id).await, ["short-funds"]);
    assert_eq!(world.left(contract).await, 0, "no debt");
    let again = world.close_day("2027-01-12").await;
    assert_eq!(world.withheld(&again).await.len(), 1);
    assert_eq!(world.seen(id).await.version, waits.version, "waiting on changes nothing");
    world.prove().await;
    // One unit is missing.
    world.pay(contract, WEEK - 1, "almost").await;
    let still = world.close_day("2027-01-13").await;
    assert_eq!(world.withheld(&still).await.len(), 1);
    world.pay(contract, 1, "rest").await;
    let paid = world.close_day("2027-01-14").await;
    assert_eq!(world.withheld(&paid).await.len(), 0);
    assert_eq!(world.left(contract).await, 0);
    assert_eq!(world.used(id).await, [span("2027-01-04", "2027-01-11"), span("2027-01-11", "2027-01-18")]);
    assert_eq!((world.seen(id).await.waits_from, world.denied(id).await), (None, vec![]));
    world.prove().await;
}

async fn a_retried_period_that_nobody_pays_is_skipped(world: &World) {
    let (contract, ids) = world.weekly("SF-2", 1, "2027-01-04", "retry").await;
    let id = ids[0];
    world.edit(id, json!({ "retry_days": 2, "charges_left": 2 })).await.unwrap();
    world.pay(contract, WEEK, "first").await;
    world.close_day("2027-01-04").await;
    for (on, outcome) in [
        ("2027-01-11", WithheldOutcome::Waits),
        ("2027-01-12", WithheldOutcome::Waits),
        ("2027-01-13", WithheldOutcome::Skipped),
    ] {
        let run = world.close_day(on).await;
        assert_eq!(world.withheld(&run).await[0].outcome, outcome, "{on}");
    }
    let seen = world.seen(id).await;
    assert_eq!((seen.next_charge_on, seen.waits_from), (day("2027-01-18"), None));
    assert_eq!(seen.charges_left, Some(1), "only what is charged counts");
    world.pay(contract, WEEK, "later").await;
    world.close_day("2027-01-14").await;
    assert_eq!(world.left(contract).await, WEEK, "the period is over with");
    world.close_day("2027-01-18").await;
    assert_eq!(world.used(id).await, [span("2027-01-04", "2027-01-11"), span("2027-01-18", "2027-01-25")]);
    assert_eq!(world.seen(id).await.status, SubscriptionStatus::Active, "its last period is served");
    world.close_day("2027-01-25").await;
    assert_eq!(world.seen(id).await.status, SubscriptionStatus::Completed);
    world.prove().await;
}

async fn a_skipped_period_is_neither_served_nor_charged(world: &World) {
    let (contract, ids) = world.weekly("SF-3", 1, "2027-01-04", "skip").await;
    let id = ids[0];
    world.pay(contract, WEEK, "first").await;
    world.close_day("2027-01-04").await;
    let run = world.close_day("2027-01-11").await;
    assert_eq!(world.withheld(&run).await[0].outcome, WithheldOutcome::Skipped);
    assert_eq!(world.seen(id).await.next_charge_on, day("2027-01-18"));
    world.clock.set("2027-01-12T09:00:00Z".parse().unwrap());
    assert_eq!(world.denied(id).await, ["short-funds"]);
    let change = serde_json::from_value(json!({ "kind": "change-quantity", "quantity": "2" })).unwrap();
    assert_eq!(code(world.altyn.change_preview(&world.request(), id, change).await), "change-not-possible");
    world.clock.set("2027-01-18T09:00:00Z".parse().unwrap());
    assert_eq!(world.denied(id).await, Vec::<String>::new());
    world.pay(contract, WEEK, "too-late").await;
    world.close_day("2027-01-12").await;
    assert_eq!(world.left(contract).await, WEEK);
    world.close_day("2027-01-18").await;
    assert_eq!(world.used(id).await, [span("2027-01-04", "2027-01-11"), span("2027-01-18", "2027-01-25")]);
    world.prove().await;
}

async fn a_suspended_subscription_is_charged_from_the_day_it_is_paid(world: &World) {
    let (contract, ids) = world.weekly("SF-4", 1, "2027-01-04", "suspend").await;
    let id = ids[0];
    world.pay(contract, WEEK, "first").await;
    world.close_day("2027-01-04").await;
    world.close_day("2027-01-11").await;
    world.close_day("2027-01-13").await;
    assert_eq!(world.denied(id).await, ["short-funds"]);
    // Four of seven days: 40.01.
    world.pay(contract, 4_000, "almost").await;
    world.close_day("2027-01-14").await;
    assert_eq!(world.left(contract).await, 4_000, "from the 14th on it would be 40.01");
    // The next period has begun: of it, six days are left on the 19th.
    world.pay(contract, WEEK, "all").await;
    let run = world.close_day("2027-01-19").await;
    assert_eq!(world.withheld(&run).await.len(), 0);
    assert_eq!(world.used(id).await, [span("2027-01-04", "2027-01-11"), span("2027-01-19", "2027-01-25")]);
    assert_eq!(world.left(contract).await, 4_000 + WEEK - 6_001);
    let seen = world.seen(id).await;
    assert_eq!((seen.waits_from, seen.next_charge_on), (None, day("2027-01-25")));
    world.prove().await;
}

async fn what_began_in_other_books_passes_a_period_that_nobody_pays(world: &World) {
    let mut ids = Vec::new();
    for policy in ["retry", "skip", "suspend"] {
        ids.extend(world.weekly(&format!("SF-9-{policy}"), 1, "2027-01-04", policy).await.1);
    }
    world.close_day("2027-01-04").await;
    world.clock.set("2027-01-06T09:00:00Z".parse().unwrap());
    for id in &ids {
        assert_eq!(world.denied(*id).await, ["short-funds"]);
    }
    world.clock.set("2027-02-01T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-11").await;
    for id in &ids {
        let seen = world.seen(*id).await;
        assert_eq!(seen.starts_on, day("2027-01-04"), "{}", seen.short_funds);
        world.pay(seen.contract_id, WEEK, &format!("pay-{id}")).await;
    }
    world.close_day("2027-01-18").await;
    for id in &ids {
        assert_eq!(world.used(*id).await.len(), 1);
    }
    world.prove().await;
}

async fn what_never_began_begins_later(world: &World) {
    let mut ids = Vec::new();
    for policy in ["retry", "skip", "suspend"] {
        let contract = world.import_contract(&format!("SF-5-{policy}"), "free-1m", 1, "2027-01-04").await;
        let wish = json!({
            "contract_id": contract, "plan_code": "week-7d", "starts_on": "2027-01-04", "short_funds": policy
        });
        let wish = serde_json::from_value(wish).unwrap();
        ids.push(world.altyn.subscription_create(&world.request(), wish).await.unwrap().value.id);
    }
    world.close_day("2027-01-04").await;
    world.close_day("2027-01-11").await;
    for (id, begins) in ids.iter().zip(["2027-01-11", "2027-01-18", "2027-01-11"]) {
        let seen = world.seen(*id).await;
        assert_eq!(seen.starts_on, day(begins), "{}", seen.short_funds);
        world.pay(seen.contract_id, WEEK, &format!("pay-{id}")).await;
    }
    world.prove().await;
    world.close_day("2027-01-12").await;
    assert_eq!(world.used(ids[0]).await, [span("2027-01-11", "2027-01-18")]);
    assert_eq!(world.used(ids[1]).await, []);
    assert_eq!(world.used(ids[2]).await, [span("2027-01-11", "2027-01-18")], "its first period is charged whole");
    world.close_day("2027-01-18").await;
    assert_eq!(world.used(ids[1]).await, [span("2027-01-18", "2027-01-25")]);
    world.prove().await;
}

async fn money_for_one_renews_one_and_debt_is_taken_first(world: &World) {
    let (contract, ids) = world.weekly("SF-6", 3, "2027-01-04", "retry").await;
    world.edit(ids[2], json!({ "short_funds": "debt" })).await.unwrap();
    world.pay(contract, 2 * WEEK, "two").await;
    let run = world.close_day("2027-01-04").await;
    let told = world.withheld(&run).await;
    assert_eq!(told.iter().map(|one| one.subscription_id).collect::<Vec<_>>(), [ids[1]]);
    assert_eq!(told[0].available_minor, 0);
    assert_eq!(world.used(ids[0]).await.len() + world.used(ids[2]).await.len(), 2);
    assert_eq!(world.left(contract).await, 0);
    world.prove().await;
}

async fn a_late_run_charges_what_can_be_paid_and_no_more(world: &World) {
    let (contract, ids) = world.weekly("SF-7", 1, "2027-01-04", "retry").await;
    world.pay(contract, 2 * WEEK, "two").await;
    // Four periods have begun: two are paid for, the third is over, the fourth waits.
    let run = world.close_day("2027-01-26").await;
    assert_eq!(world.used(ids[0]).await, [span("2027-01-04", "2027-01-11"), span("2027-01-11", "2027-01-18")]);
    let told = world.withheld(&run).await;
    assert_eq!((told.len(), told[0].outcome, told[0].from), (1, WithheldOutcome::Waits, day("2027-01-25")));
    assert_eq!(world.seen(ids[0]).await.next_charge_on, day("2027-01-25"));
    world.prove().await;
    world.pay(contract, WEEK, "third").await;
    world.close_day("2027-01-27").await;
    assert_eq!(world.used(ids[0]).await.last(), Some(&span("2027-01-25", "2027-02-01")));
    world.prove().await;
}

async fn a_plan_that_waits_tells_who_is_not_renewed(world: &World) {
    let (contract, ids) = world.weekly("SF-8", 1, "2027-01-04", "retry").await;
    world.pay(contract, WEEK, "first").await;
    world.close_day("2027-01-04").await;
    let run = world.begin("2027-01-11", RunMode::WithConfirmation).await;
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let plan = world.plan(run.id, contract).await;
    let effects = plan.effects.as_ref().unwrap();
    assert_eq!((effects.withheld.len(), effects.lines.len()), (1, 0), "the realised week and no new one");
    let hash = plan.plan_hash.clone().unwrap();
    world.pay(contract, WEEK, "meanwhile").await;
    let command = ConfirmPlan { plan_hash: hash };
    let refused = world.altyn.run_confirm(&world.request(), run.id, contract, command).await;
    assert_eq!(code(refused), "plan-changed");
    let plan = world.plan(run.id, contract).await;
    assert_eq!((plan.state, plan.lines), (PlanState::Awaiting, 1));
    let command = ConfirmPlan { plan_hash: plan.plan_hash.unwrap() };
    world.altyn.run_confirm(&world.request(), run.id, contract, command).await.unwrap();
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Done);
    assert_eq!(world.used(ids[0]).await.len(), 2);
    world.prove().await;
}

async fn a_change_waits_for_the_period_and_an_end_does_not(world: &World) {
    let (contract, ids) = world.weekly("SF-9", 1, "2027-01-04", "suspend").await;
    let id = ids[0];
    world.pay(contract, WEEK, "first").await;
    world.close_day("2027-01-04").await;
    world.close_day("2027-01-11").await;
    let change =
        serde_json::from_value(json!({ "kind": "change-quantity", "quantity": "2", "on": "2027-01-13" })).unwrap();
    assert_eq!(code(world.altyn.change_preview(&world.request(), id, change).await), "change-unbilled");
    world.cancel(&world.altyn, id, "2027-01-13").await;
    world.pay(contract, WEEK, "more").await;
    world.close_day("2027-01-14").await;
    let seen = world.seen(id).await;
    assert_eq!((seen.status, seen.waits_from), (SubscriptionStatus::Cancelled, None));
    assert_eq!(world.used(id).await, [span("2027-01-04", "2027-01-11")], "what stood still is not charged");
    world.prove().await;
}

async fn a_rehearsal_tells_who_pays_by_one_component_and_waits_by_the_other(world: &World) {
    let contract = world.import_contract("Д-91", "business-1m", 1, "2026-12-31").await;
    let id = world.subscriptions(contract).await[0].id;
    world.edit(id, json!({ "short_funds": "retry" })).await.unwrap();
    // 1 000.33 and 22 % are more than this, with 20 % they are less.
    world.pay(contract, 121_000, "some").await;
    let run = world.close_day("2026-12-31").await;
    assert!(world.withheld(&run).await.iter().any(|view| view.subscription_id == id && view.needed_minor == 122_040));
    // What the other component costs this contract, from the side of the one that is bound.
    let rehearse = async |name: &str| {
        let bindings = world.altyn.binding_list(&world.request(), &page()).await.unwrap().data;
        let tax = bindings.iter().rfind(|binding| binding.extension_point == "tax-rule").unwrap().id;
        let (request, wasm) = (world.request(), crate::world::component(name));
        let report = world.altyn.shadow_next_run(&request, tax, wasm, NextRunOptions::default(), |_| {}).await.unwrap();
        let found = report.worst.into_iter().find(|found| found.contract_id == contract).unwrap();
        (found.present_minor, found.candidate_minor, found.difference_minor, found.differences.join(" "))
    };
    let (present, candidate, more, told) = rehearse("hostile-tax").await;
    assert_eq!((present, candidate, more), (Some(0), Some(120_040), 120_040));
    assert!(told.contains("by the present component its periods wait"), "{told}");
    world.bind("hostile-tax", json!({})).await;
    let (present, candidate, more, told) = rehearse("ru-vat").await;
    assert_eq!((present, candidate, more), (Some(120_040), Some(0), -120_040));
    assert!(told.contains("by the candidate its periods wait"), "{told}");
    world.prove().await;
}
