//! Changes of subscriptions: what is previewed is what happens, on both engines, and the books stay right.

use altyn_domain::{
    change::{ChangeKind, Direction, Timing, TimingRule},
    charge::ChargeStatus,
    id::{ContractId, SubscriptionId},
    proration::CurrentDay,
    run::RunMode,
    subscription::SubscriptionStatus,
};
use altyn_service::{
    changes::{ChangePreview, ChangeSubscription, ChangeView, ExecuteChange, RenewContract, SetTimings},
    charges::ChargeFilter,
    context::{IdempotencyKey, Request},
    error::ServiceError,
    subscriptions::{CancelSubscription, SubscriptionView},
};

use crate::world::{World, code, day, on_both_engines, page};

/// 590.00 and 199.90 a month, tax included.
const PLAN: &str = "home-1m";

pub fn wish(kind: ChangeKind) -> ChangeSubscription {
    ChangeSubscription::of(kind)
}

impl World {
    pub async fn preview(&self, id: SubscriptionId, change: &ChangeSubscription) -> ChangePreview {
        self.altyn.change_preview(&self.request(), id, change.clone()).await.unwrap()
    }

    pub async fn made(&self, id: SubscriptionId, change: &ChangeSubscription) -> ChangeView {
        let seen = self.preview(id, change).await;
        self.execute(id, change, &seen).await.unwrap()
    }

    pub async fn execute(
        &self,
        id: SubscriptionId,
        change: &ChangeSubscription,
        seen: &ChangePreview,
    ) -> Result<ChangeView, ServiceError> {
        let command = ExecuteChange {
            change: change.clone(),
            plan_hash: seen.plan_hash.clone(),
            effects: Some(seen.effects.clone()),
        };
        self.altyn.change_execute(&self.request(), id, command).await.map(|reply| reply.value)
    }

    pub async fn subscription(&self, id: SubscriptionId) -> SubscriptionView {
        self.altyn.subscription_get(&self.request(), id).await.unwrap()
    }

    pub async fn balance(&self, contract: ContractId) -> i64 {
        self.altyn.contract_get(&self.request(), contract).await.unwrap().balance_minor
    }

    /// A contract with one subscription, billed on the first of a month that the clock stands in.
    pub async fn billed(&self, number: &str, product: &str, on: &str, now: &str) -> (ContractId, SubscriptionView) {
        let contract = self.import_contract(number, product, 1, on).await;
        self.clock.set(format!("{now}T09:00:00Z").parse().unwrap());
        self.close_day(on).await;
        let subscription = self.subscriptions(contract).await.remove(0);
        assert_eq!(subscription.status, SubscriptionStatus::Active);
        (contract, subscription)
    }
}

async fn what_is_previewed_is_what_happens(world: &World) {
    let (contract, subscription) = world.billed("CH-1", PLAN, "2027-01-01", "2027-01-11").await;
    let before = world.balance(contract).await;
    let change = ChangeSubscription { quantity: Some("3".into()), ..wish(ChangeKind::ChangeQuantity) };
    let seen = world.preview(subscription.id, &change).await;
    let [effect] = seen.effects.subscriptions.as_slice() else { panic!("{seen:?}") };
    assert_eq!((effect.direction, effect.timing), (Direction::Up, Timing::Immediate));
    assert_eq!(effect.effective_on, day("2027-01-11"));
    assert!(!seen.effects.deferred && !effect.credits.is_empty() && !effect.lines.is_empty());
    assert_eq!(world.balance(contract).await, before, "a preview writes nothing");
    let done = world.execute(subscription.id, &change, &seen).await.unwrap();
    assert_eq!((done.state.as_str(), done.ordinal), ("executed", Some(1)));
    assert_eq!(done.plan_hash.as_deref(), Some(seen.plan_hash.as_str()));
    assert_eq!((done.credited_minor, done.charged_minor), (seen.effects.credited_minor, seen.effects.charged_minor));
    assert_eq!(world.balance(contract).await, before + seen.effects.balance_minor);
    let after = world.subscription(subscription.id).await;
    assert_eq!((after.id, after.quantity.as_str(), after.changes), (subscription.id, "3", 1));
    assert_eq!(after.next_charge_on, subscription.next_charge_on, "the schedule stays");
    world.prove().await;
    world.clock.set("2027-02-03T09:00:00Z".parse().unwrap());
    world.close_day("2027-02-01").await;
    world.prove().await;
}

async fn a_change_that_moved_is_refused_with_the_difference(world: &World) {
    let (contract, subscription) = world.billed("CH-2", PLAN, "2027-01-01", "2027-01-11").await;
    let change = ChangeSubscription { quantity: Some("2".into()), ..wish(ChangeKind::ChangeQuantity) };
    let seen = world.preview(subscription.id, &change).await;
    let other = ChangeSubscription { quantity: Some("5".into()), ..wish(ChangeKind::ChangeQuantity) };
    world.made(subscription.id, &other).await;
    let balance = world.balance(contract).await;
    let Err(ServiceError::Conflict { code, details, .. }) = world.execute(subscription.id, &change, &seen).await else {
        panic!("executed");
    };
    assert_eq!(code, "change-moved");
    assert!(details.iter().any(|told| told.contains("/subscriptions/0/version")), "{details:?}");
    assert!(details.iter().any(|told| told.contains("/before/quantity")), "{details:?}");
    assert_eq!(world.balance(contract).await, balance, "nothing is done");
    world.prove().await;
}

async fn a_repeated_execution_answers_what_was_done_once(world: &World) {
    let (_, subscription) = world.billed("CH-3", PLAN, "2027-01-01", "2027-01-11").await;
    let change = ChangeSubscription { quantity: Some("2".into()), ..wish(ChangeKind::ChangeQuantity) };
    let seen = world.preview(subscription.id, &change).await;
    let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: None };
    let key = IdempotencyKey { key: "once".into(), request: "POST changes".into(), fingerprint: [7; 32] };
    let request = Request { key: Some(key), ..world.request() };
    let first = world.altyn.change_execute(&request, subscription.id, command.clone()).await.unwrap();
    let again = world.altyn.change_execute(&request, subscription.id, command).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.value.id, again.value.id);
    assert_eq!(world.subscription(subscription.id).await.changes, 1);
    world.prove().await;
}

async fn many_changes_of_one_day_conserve_money(world: &World) {
    let (contract, subscription) = world.billed("CH-4", PLAN, "2027-01-01", "2027-01-11").await;
    let start = world.balance(contract).await;
    for quantity in ["2", "3.5", "0.000001", "7", "1"] {
        let change = ChangeSubscription {
            quantity: Some(quantity.into()),
            timing: Some(Timing::Immediate),
            ..wish(ChangeKind::ChangeQuantity)
        };
        world.made(subscription.id, &change).await;
        world.prove().await;
    }
    let paused = ChangeSubscription { on: Some(day("2027-01-15")), ..wish(ChangeKind::Pause) };
    world.clock.set("2027-01-15T09:00:00Z".parse().unwrap());
    let paused = world.made(subscription.id, &paused).await;
    assert!(paused.credited_minor > 0);
    assert_eq!(world.subscription(subscription.id).await.status, SubscriptionStatus::Paused);
    world.prove().await;
    world.clock.set("2027-01-21T09:00:00Z".parse().unwrap());
    world.made(subscription.id, &wish(ChangeKind::Resume)).await;
    world.close_day("2027-01-21").await;
    world.prove().await;
    world.clock.set("2027-01-22T09:00:00Z".parse().unwrap());
    let cancel = ChangeSubscription { timing: Some(Timing::Immediate), ..wish(ChangeKind::Cancel) };
    world.made(subscription.id, &cancel).await;
    let after = world.subscription(subscription.id).await;
    assert_eq!((after.status, after.ends_on), (SubscriptionStatus::Cancelled, Some(day("2027-01-22"))));
    world.prove().await;
    assert!(world.balance(contract).await >= start, "fewer days cost no more");
}

async fn a_deferred_change_waits_is_replaced_withdrawn_and_made_by_the_run(world: &World) {
    let (contract, subscription) = world.billed("CH-5", PLAN, "2027-01-01", "2027-01-11").await;
    let balance = world.balance(contract).await;
    let end = |quantity: &str| ChangeSubscription {
        quantity: Some(quantity.into()),
        timing: Some(Timing::EndOfTerm),
        ..wish(ChangeKind::ChangeQuantity)
    };
    let first = world.made(subscription.id, &end("2")).await;
    assert_eq!((first.state.as_str(), first.effective_on), ("scheduled", day("2027-02-01")));
    let second = world.made(subscription.id, &end("4")).await;
    let replaced = world.altyn.change_get(&world.request(), first.id).await.unwrap();
    assert_eq!(replaced.state, "replaced");
    let withdrawn = world.altyn.change_withdraw(&world.request(), second.id).await.unwrap().value;
    assert_eq!(withdrawn.state, "cancelled");
    let again = world.altyn.change_withdraw(&world.request(), second.id).await;
    assert_eq!(code(again), "change-not-scheduled");
    let third = world.made(subscription.id, &end("3")).await;
    assert_eq!(world.balance(contract).await, balance, "nothing is charged before its day");
    world.clock.set("2027-02-03T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-31").await;
    assert_eq!(world.altyn.change_get(&world.request(), third.id).await.unwrap().state, "scheduled");
    world.close_day("2027-02-01").await;
    let made = world.altyn.change_get(&world.request(), third.id).await.unwrap();
    assert_eq!((made.state.as_str(), made.ordinal), ("executed", Some(1)));
    let after = world.subscription(subscription.id).await;
    assert_eq!((after.quantity.as_str(), after.next_charge_on), ("3", day("2027-03-01")));
    world.prove().await;
    let listed = world.altyn.change_list(&world.request(), subscription.id, &page()).await.unwrap();
    let states: Vec<&str> = listed.data.iter().map(|change| change.state.as_str()).collect();
    assert_eq!(states, ["replaced", "cancelled", "executed"]);
}

async fn a_scheduled_end_is_not_replaced_by_another_change(world: &World) {
    let (_, subscription) = world.billed("CH-5E", PLAN, "2027-01-01", "2027-01-11").await;
    let waits = |kind| ChangeSubscription { timing: Some(Timing::EndOfTerm), ..wish(kind) };
    let more = ChangeSubscription { quantity: Some("2".into()), ..waits(ChangeKind::ChangeQuantity) };
    let first = world.made(subscription.id, &more).await;
    let seen = world.preview(subscription.id, &waits(ChangeKind::Cancel)).await;
    let told: Vec<_> = seen.effects.subscriptions[0].replaces.iter().map(|change| change.change_id).collect();
    assert_eq!(told, [first.id], "the preview tells what gives way");
    let end = world.execute(subscription.id, &waits(ChangeKind::Cancel), &seen).await.unwrap();
    assert_eq!(world.altyn.change_get(&world.request(), first.id).await.unwrap().state, "replaced");

    let refused = world.altyn.change_preview(&world.request(), subscription.id, more.clone()).await;
    assert_eq!(code(refused), "cancellation-scheduled");
    assert_eq!(world.altyn.change_get(&world.request(), end.id).await.unwrap().state, "scheduled");
    // A later wish to end it replaces the earlier one, and says so.
    let seen = world.preview(subscription.id, &waits(ChangeKind::Cancel)).await;
    assert_eq!(seen.effects.subscriptions[0].replaces[0].change_id, end.id);
    let end = world.execute(subscription.id, &waits(ChangeKind::Cancel), &seen).await.unwrap();
    world.altyn.change_withdraw(&world.request(), end.id).await.unwrap();
    assert!(world.preview(subscription.id, &more).await.effects.subscriptions[0].replaces.is_empty());
    world.made(subscription.id, &more).await;
    world.prove().await;
}

async fn what_a_scheduled_change_posts_names_the_change(world: &World) {
    let (_, subscription) = world.billed("CH-6B", PLAN, "2027-01-01", "2027-01-11").await;
    let change = ChangeSubscription {
        quantity: Some("3".into()),
        on: Some(day("2027-01-20")),
        timing: Some(Timing::Immediate),
        ..wish(ChangeKind::ChangeQuantity)
    };
    let scheduled = world.made(subscription.id, &change).await;
    assert_eq!((scheduled.state.as_str(), scheduled.effective_on), ("scheduled", day("2027-01-20")));
    world.clock.set("2027-01-21T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-20").await;
    let made = world.altyn.change_get(&world.request(), scheduled.id).await.unwrap();
    assert_eq!(made.state, "executed");
    assert!(made.charged_minor > 0 && made.credited_minor > 0);
    let posted: Vec<(String,)> = world
        .rows(
            "select source_key from ledger_transactions where tenant_id = $1 and source_key like 'change/%'",
            (world.tenant.0,),
        )
        .await;
    assert_eq!(posted, [(format!("change/{}", scheduled.id),)]);
    let credits: Vec<(Option<uuid::Uuid>,)> =
        world.rows("select distinct change_id from charge_credits where tenant_id = $1", (world.tenant.0,)).await;
    assert_eq!(credits, [(Some(scheduled.id.0),)]);
    world.prove().await;
}

async fn a_plugin_that_spoils_a_scheduled_change_fails_the_change_and_not_the_day(world: &World) {
    let (contract, subscription) = world.billed("CH-6", PLAN, "2027-01-01", "2027-01-11").await;
    let balance = world.balance(contract).await;
    let change =
        ChangeSubscription { on: Some(day("2027-01-20")), timing: Some(Timing::Immediate), ..wish(ChangeKind::Cancel) };
    let scheduled = world.made(subscription.id, &change).await;
    assert_eq!((scheduled.state.as_str(), scheduled.effective_on), ("scheduled", day("2027-01-20")));
    world.bind("hostile-proration", serde_json::json!({ "do": "trap" })).await;
    world.clock.set("2027-01-21T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-20").await;
    let failed = world.altyn.change_get(&world.request(), scheduled.id).await.unwrap();
    assert_eq!(failed.state, "failed");
    assert!(failed.reason.as_deref().is_some_and(|reason| reason.contains("plugin-trap")), "{failed:?}");
    assert_eq!(world.balance(contract).await, balance);
    assert_eq!(world.subscription(subscription.id).await.status, SubscriptionStatus::Active);
    world.bind_good_plugins().await;
    world.prove().await;
}

async fn a_lower_quantity_splits_the_charge_into_what_was_used_and_what_goes_on(world: &World) {
    let (contract, subscription) = world.billed("CH-7", PLAN, "2027-01-01", "2027-01-01").await;
    let more = ChangeSubscription {
        quantity: Some("4".into()),
        timing: Some(Timing::EndOfTerm),
        ..wish(ChangeKind::ChangeQuantity)
    };
    world.made(subscription.id, &more).await;
    world.clock.set("2027-02-01T09:00:00Z".parse().unwrap());
    world.close_day("2027-02-01").await;
    // Ten days of February with four units, eighteen with one.
    world.clock.set("2027-02-11T09:00:00Z".parse().unwrap());
    let before = world.balance(contract).await;
    let less = ChangeSubscription {
        quantity: Some("1".into()),
        timing: Some(Timing::Immediate),
        ..wish(ChangeKind::ChangeQuantity)
    };
    let seen = world.preview(subscription.id, &less).await;
    let [effect] = seen.effects.subscriptions.as_slice() else { panic!("{seen:?}") };
    let rest = altyn_domain::calendar::Period::try_new(day("2027-02-11"), day("2027-03-01")).unwrap();
    assert!(effect.credits.iter().all(|credit| credit.days == rest) && effect.credits.len() == 2, "{effect:?}");
    assert!(effect.lines.iter().all(|line| line.used == rest && line.quantity == "1") && effect.lines.len() == 2);
    // 2360.00 and 799.60: eighteen of twenty-eight days given back, and the same days of one unit charged.
    assert_eq!((seen.effects.credited_minor, seen.effects.charged_minor), (151_714 + 51_403, 37_929 + 12_851));
    world.execute(subscription.id, &less, &seen).await.unwrap();
    assert_eq!(world.balance(contract).await, before + seen.effects.balance_minor);
    let filter = || ChargeFilter { subscription_id: Some(subscription.id), ..ChargeFilter::default() };
    let of_february = async || {
        let mut charges = world.altyn.charge_list(&world.request(), filter(), &page()).await.unwrap().data;
        charges.retain(|charge| charge.period.start == day("2027-02-01"));
        charges.sort_by_key(|charge| (charge.used_start, charge.amount_minor));
        charges
    };
    let split = of_february().await;
    assert_eq!(split.len(), 4);
    for used in &split[..2] {
        assert_eq!((used.covered_until, used.realises_on), (Some(day("2027-02-11")), day("2027-02-11")));
        assert!(used.status == ChargeStatus::Blocked && used.credited_minor > 0, "{used:?}");
    }
    for goes_on in &split[2..] {
        assert_eq!((goes_on.used_start, goes_on.covered_until), (day("2027-02-11"), None));
        assert_eq!((goes_on.status, goes_on.realises_on), (ChargeStatus::Blocked, day("2027-02-28")));
    }
    world.prove().await;
    // The part that was used is closed with the day of the change; the other waits for its end.
    world.close_day("2027-02-11").await;
    let closed = of_february().await;
    let statuses: Vec<_> = closed.iter().map(|charge| (charge.status, charge.realised_on)).collect();
    let (done, waits) = ((ChargeStatus::Closed, Some(day("2027-02-11"))), (ChargeStatus::Blocked, None));
    assert_eq!(statuses, [done, done, waits, waits]);
    world.prove().await;
    world.clock.set("2027-03-01T09:00:00Z".parse().unwrap());
    world.close_day("2027-03-01").await;
    let march: i64 = {
        let all = world.altyn.charge_list(&world.request(), filter(), &page()).await.unwrap().data;
        all.iter().filter(|charge| charge.period.start == day("2027-03-01")).map(|charge| charge.amount_minor).sum()
    };
    assert_eq!(march, 78_990, "charges to come are for one unit");
    world.prove().await;
}

async fn the_tables_say_when_and_whether(world: &World) {
    let (_, subscription) = world.billed("CH-6", PLAN, "2027-01-01", "2027-01-11").await;
    let less = ChangeSubscription { quantity: Some("0.5".into()), ..wish(ChangeKind::ChangeQuantity) };
    let seen = world.preview(subscription.id, &less).await;
    assert_eq!(seen.effects.subscriptions[0].timing, Timing::EndOfTerm, "the built-in table");
    let set = |plan_id, timing| SetTimings {
        plan_id,
        rules: vec![TimingRule { direction: Some(Direction::Down), timing: Some(timing), ..TimingRule::default() }],
    };
    let request = world.request();
    world.altyn.timings_set(&request, set(None, Timing::Immediate)).await.unwrap();
    let seen = world.preview(subscription.id, &less).await;
    assert_eq!(seen.effects.subscriptions[0].timing, Timing::Immediate);
    assert_eq!(seen.effects.subscriptions[0].timing_reason, "row 1 of the tenant's table");
    world.altyn.timings_set(&request, set(Some(subscription.plan_id), Timing::Forbidden)).await.unwrap();
    let refused = world.altyn.change_preview(&request, subscription.id, less.clone()).await;
    assert_eq!(code(refused), "change-forbidden");
    let overruled = ChangeSubscription { direction: Some(Direction::Up), ..less };
    let seen = world.preview(subscription.id, &overruled).await;
    assert_eq!(seen.effects.subscriptions[0].timing, Timing::Immediate, "the direction was overruled");
    assert_eq!(world.altyn.timings_list(&request, &page()).await.unwrap().data.len(), 2);
}

async fn the_day_of_the_change_is_paid_by_whom_the_policy_says(world: &World) {
    let (_, subscription) = world.billed("CH-7", PLAN, "2027-01-01", "2027-01-11").await;
    let of = |current_day| ChangeSubscription {
        current_day: Some(current_day),
        quantity: Some("2".into()),
        ..wish(ChangeKind::ChangeQuantity)
    };
    let mut amounts = Vec::new();
    for policy in [CurrentDay::Old, CurrentDay::New, CurrentDay::Both, CurrentDay::Neither] {
        let effects = world.preview(subscription.id, &of(policy)).await.effects;
        amounts.push((effects.credited_minor, effects.charged_minor));
    }
    let [old, new, both, neither] = amounts.as_slice() else { panic!("{amounts:?}") };
    assert!(old.0 < new.0 && old.1 < new.1);
    assert_eq!((both.0, both.1), (old.0, new.1));
    assert_eq!((neither.0, neither.1), (new.0, old.1));
}

async fn all_subscriptions_of_a_contract_are_renewed_together(world: &World) {
    let contract = world.import_contract("CH-8", PLAN, 3, "2027-01-01").await;
    world.clock.set("2027-01-11T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-01").await;
    let request = world.request();
    let seen = world.altyn.contract_renew_preview(&request, contract).await.unwrap();
    assert_eq!(seen.effects.subscriptions.len(), 3);
    let before = world.balance(contract).await;
    let command = RenewContract { plan_hash: seen.plan_hash, effects: None };
    let made = world.altyn.contract_renew(&request, contract, command).await.unwrap().value.changes;
    assert_eq!(made.len(), 3);
    assert!(made.iter().all(|change| change.invoice_id == made[0].invoice_id), "on one invoice");
    assert_eq!(world.balance(contract).await, before + seen.effects.balance_minor);
    for subscription in world.subscriptions(contract).await {
        assert_eq!(subscription.next_charge_on, day("2027-03-01"));
    }
    world.prove().await;
    let run = world.begin("2027-01-02", RunMode::Automatic).await;
    world.advance(run.id).await;
    world.prove().await;
}

async fn a_renewal_of_all_leaves_out_what_cannot_be_renewed_and_names_it(world: &World) {
    let contract = world.import_contract("CH-8S", PLAN, 3, "2027-01-01").await;
    world.clock.set("2027-01-11T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-01").await;
    let [ending, graced, usual] = world.subscriptions(contract).await.try_into().unwrap();
    let end = ChangeSubscription { timing: Some(Timing::EndOfTerm), ..wish(ChangeKind::Cancel) };
    assert_eq!(world.made(ending.id, &end).await.state, "scheduled");
    world
        .change(
            "update subscriptions set ends_on = $3, version = version + 1 where tenant_id = $1 and id = $2",
            (world.tenant.0, ending.id.0, day("2027-02-01")),
        )
        .await;
    world
        .change(
            "update subscriptions set status = 'grace', version = version + 1 where tenant_id = $1 and id = $2",
            (world.tenant.0, graced.id.0),
        )
        .await;
    let request = world.request();
    let seen = world.altyn.contract_renew_preview(&request, contract).await.unwrap();
    let renewed: Vec<_> = seen.effects.subscriptions.iter().map(|effect| effect.subscription_id).collect();
    assert_eq!(renewed, [graced.id, usual.id]);
    assert_eq!(seen.effects.skipped[0].subscription_id, ending.id);
    let command = RenewContract { plan_hash: seen.plan_hash, effects: None };
    let made = world.altyn.contract_renew(&request, contract, command).await.unwrap().value;
    assert_eq!((made.changes.len(), made.skipped), (2, seen.effects.skipped));
    assert_eq!(made.changes[0].subscription_id, graced.id);
    assert_eq!(world.subscription(ending.id).await.next_charge_on, day("2027-02-01"), "it stays as it was");

    // With nothing left to renew, the answer says why for each.
    world
        .change(
            "update subscriptions set ends_on = $3, version = version + 1 where tenant_id = $1 and contract_id = $2",
            (world.tenant.0, contract.0, day("2027-02-01")),
        )
        .await;
    let refused = world.altyn.contract_renew_preview(&request, contract).await;
    let Err(ServiceError::Conflict { code: "nothing-to-renew", details, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(details.len(), 3, "{details:?}");
}

async fn another_tenants_subscription_and_wrong_wishes_are_refused(world: &World) {
    let (_, subscription) = world.billed("CH-9", PLAN, "2027-01-01", "2027-01-11").await;
    let state = world.state().await;
    let request = world.request();
    let unknown = SubscriptionId(uuid::Uuid::from_u128(1));
    let refused = world.altyn.change_preview(&request, unknown, wish(ChangeKind::Cancel)).await;
    assert_eq!(code(refused), "not-found");
    for (change, expected) in [
        (wish(ChangeKind::ChangeQuantity), "invalid-request"),
        (ChangeSubscription { days: Some(3), ..wish(ChangeKind::Pause) }, "invalid-request"),
        (ChangeSubscription { billing_day: Some(32), ..wish(ChangeKind::ChangeBillingDay) }, "invalid-request"),
        (ChangeSubscription { plan_code: Some("no-such".into()), ..wish(ChangeKind::ChangePlan) }, "invalid-request"),
        (ChangeSubscription { on: Some(day("2026-12-31")), ..wish(ChangeKind::Pause) }, "invalid-request"),
        (ChangeSubscription { quantity: Some("1".into()), ..wish(ChangeKind::ChangeQuantity) }, "change-nothing"),
        (wish(ChangeKind::Resume), "change-not-possible"),
    ] {
        let refused = world.altyn.change_preview(&request, subscription.id, change.clone()).await;
        assert_eq!(code(refused), expected, "{change:?}");
    }
    assert_eq!(world.state().await, state, "nothing is written");
}

on_both_engines!(
    what_is_previewed_is_what_happens,
    a_change_that_moved_is_refused_with_the_difference,
    a_repeated_execution_answers_what_was_done_once,
    many_changes_of_one_day_conserve_money,
    a_deferred_change_waits_is_replaced_withdrawn_and_made_by_the_run,
    a_scheduled_end_is_not_replaced_by_another_change,
    what_a_scheduled_change_posts_names_the_change,
    a_plugin_that_spoils_a_scheduled_change_fails_the_change_and_not_the_day,
    a_lower_quantity_splits_the_charge_into_what_was_used_and_what_goes_on,
    the_tables_say_when_and_whether,
    the_day_of_the_change_is_paid_by_whom_the_policy_says,
    all_subscriptions_of_a_contract_are_renewed_together,
    a_renewal_of_all_leaves_out_what_cannot_be_renewed_and_names_it,
    another_tenants_subscription_and_wrong_wishes_are_refused,
    an_end_on_a_day_obeys_the_tables_and_forfeits_nothing_unasked,
    what_is_paused_or_begins_by_hand_ends_on_its_day,
    what_begins_by_hand_is_completed_when_its_last_charge_is_used_up,
    who_helps_himself_pays_for_a_renewal_before_it_is_made,
    an_end_after_a_change_leaves_what_was_charged,
    a_change_after_an_early_renewal_cuts_what_was_charged_before_it,
    a_paused_subscription_that_is_cancelled_was_not_served_since_its_pause,
    an_end_up_to_which_a_period_was_charged_is_not_moved_behind_it,
    a_renewal_for_a_day_behind_periods_that_are_not_charged_is_refused,
);

async fn an_end_after_a_change_leaves_what_was_charged(world: &World) {
    let (_, subscription) = world.billed("CH-E1", PLAN, "2027-01-01", "2027-01-11").await;
    let change = ChangeSubscription { quantity: Some("2".into()), ..wish(ChangeKind::ChangeQuantity) };
    world.made(subscription.id, &change).await;
    world.cancel(&world.altyn, subscription.id, "2027-01-20").await;
    world.prove().await;
    world.clock.set("2027-02-03T09:00:00Z".parse().unwrap());
    world.close_day("2027-02-01").await;
    assert_eq!(world.subscription(subscription.id).await.status, SubscriptionStatus::Cancelled);
    world.prove().await;
}

async fn a_change_after_an_early_renewal_cuts_what_was_charged_before_it(world: &World) {
    let (_, subscription) = world.billed("CH-E2", PLAN, "2027-01-01", "2027-01-11").await;
    let renewal = world.made(subscription.id, &wish(ChangeKind::Renew)).await;
    assert!(renewal.charged_minor > 0);
    world.prove().await;
    let day_of_month = ChangeSubscription {
        billing_day: Some(25),
        timing: Some(Timing::Immediate),
        ..wish(ChangeKind::ChangeBillingDay)
    };
    let moved = world.made(subscription.id, &day_of_month).await;
    assert!(moved.credited_minor > renewal.charged_minor, "the renewed month is given back whole: {moved:?}");
    world.prove().await;
}

async fn a_paused_subscription_that_is_cancelled_was_not_served_since_its_pause(world: &World) {
    let (_, subscription) = world.billed("CH-E3", PLAN, "2027-01-01", "2027-01-11").await;
    world.made(subscription.id, &wish(ChangeKind::Pause)).await;
    world.clock.set("2027-01-25T09:00:00Z".parse().unwrap());
    let change = ChangeSubscription { timing: Some(Timing::Immediate), ..wish(ChangeKind::Cancel) };
    let seen = world.preview(subscription.id, &change).await;
    let gap = seen.effects.subscriptions[0].gap.unwrap();
    assert_eq!((gap.start, gap.end), (day("2027-01-11"), day("2027-01-25")));
    let cancelled = world.execute(subscription.id, &change, &seen).await.unwrap();
    assert_eq!((cancelled.credited_minor, cancelled.charged_minor), (0, 0));
    assert_eq!(world.subscription(subscription.id).await.status, SubscriptionStatus::Cancelled);
    world.prove().await;
}

async fn a_renewal_for_a_day_behind_periods_that_are_not_charged_is_refused(world: &World) {
    let (contract, subscription) = world.billed("CH-E4", PLAN, "2027-01-01", "2027-01-11").await;
    let balance = world.balance(contract).await;
    let change = ChangeSubscription { on: Some(day("2027-02-10")), ..wish(ChangeKind::Renew) };
    let refused = world.altyn.change_preview(&world.request(), subscription.id, change.clone()).await;
    assert_eq!(code(refused), "change-unbilled");
    let now = ChangeSubscription { on: Some(day("2027-01-20")), ..change };
    let renewed = world.made(subscription.id, &now).await;
    assert_eq!(world.balance(contract).await, balance - renewed.charged_minor);
    assert_eq!(world.subscription(subscription.id).await.next_charge_on, day("2027-03-01"));
    world.prove().await;
}

async fn an_end_up_to_which_a_period_was_charged_is_not_moved_behind_it(world: &World) {
    let contract = world.import_contract("CH-E5", PLAN, 1, "2027-01-01").await;
    let id = world.subscriptions(contract).await.remove(0).id;
    world.cancel(&world.altyn, id, "2027-01-16").await;
    world.clock.set("2027-01-11T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-01").await;
    let billed = world.balance(contract).await;
    let version = world.subscription(id).await.version;
    let end = |on: &str| CancelSubscription { on: day(on), keep_charged: Some(true) };
    let later = world.altyn.subscription_cancel(&world.request(), id, version, end("2027-01-25")).await;
    assert_eq!(code(later), "end-charged");
    assert_eq!(world.subscription(id).await.ends_on, Some(day("2027-01-16")));
    world.cancel(&world.altyn, id, "2027-01-12").await;
    assert_eq!(world.balance(contract).await, billed, "what was charged stays charged");
    world.prove().await;
}

async fn an_end_on_a_day_obeys_the_tables_and_forfeits_nothing_unasked(world: &World) {
    let (contract, subscription) = world.billed("CH-E6", PLAN, "2027-01-01", "2027-01-11").await;
    let end = async |on: &str, keep_charged| {
        let version = world.subscription(subscription.id).await.version;
        let command = CancelSubscription { on: day(on), keep_charged };
        let ended = world.altyn.subscription_cancel(&world.request(), subscription.id, version, command).await;
        ended.map(|reply| reply.value.ends_on)
    };
    let balance = world.balance(contract).await;
    assert_eq!(code(end("2027-01-20", None).await), "end-inside-charged", "January is charged to its end");
    let more = ChangeSubscription { quantity: Some("2".into()), ..wish(ChangeKind::ChangeQuantity) };
    world.made(subscription.id, &more).await;
    assert_eq!(code(end("2027-01-05", Some(true)).await), "invalid-request", "before the present terms");
    let never = SetTimings {
        plan_id: None,
        rules: vec![TimingRule {
            kind: Some(ChangeKind::Cancel),
            timing: Some(Timing::Forbidden),
            ..TimingRule::default()
        }],
    };
    world.altyn.timings_set(&world.request(), never).await.unwrap();
    assert_eq!(code(end("2027-02-01", None).await), "change-forbidden");
    assert_eq!(world.subscription(subscription.id).await.ends_on, None);
    let at_the_end = SetTimings {
        plan_id: None,
        rules: vec![TimingRule { timing: Some(Timing::EndOfTerm), ..TimingRule::default() }],
    };
    world.altyn.timings_set(&world.request(), at_the_end).await.unwrap();
    assert_eq!(end("2027-02-01", None).await.unwrap(), Some(day("2027-02-01")));
    assert!(world.balance(contract).await < balance, "the second unit is paid");
    world.clock.set("2027-02-01T20:00:00Z".parse().unwrap());
    world.close_day("2027-02-01").await;
    assert_eq!(world.subscription(subscription.id).await.status, SubscriptionStatus::Cancelled);
    world.prove().await;
}

async fn what_is_paused_or_begins_by_hand_ends_on_its_day(world: &World) {
    let (_, paused) = world.billed("CH-E7", PLAN, "2027-01-01", "2027-01-11").await;
    world.made(paused.id, &wish(ChangeKind::Pause)).await;
    let contract = world.import_contract("CH-E8", PLAN, 1, "2027-01-01").await;
    let by_hand = world.subscriptions(contract).await.remove(0);
    world.edit(by_hand.id, serde_json::json!({ "manual": true })).await.unwrap();
    world.cancel(&world.altyn, paused.id, "2027-01-25").await;
    world.cancel(&world.altyn, by_hand.id, "2027-01-25").await;
    world.clock.set("2027-01-25T20:00:00Z".parse().unwrap());
    world.close_day("2027-01-24").await;
    let status = async |id| world.subscription(id).await.status;
    assert_eq!(status(paused.id).await, SubscriptionStatus::Paused);
    assert_eq!(status(by_hand.id).await, SubscriptionStatus::Active);
    world.close_day("2027-01-25").await;
    assert_eq!(status(paused.id).await, SubscriptionStatus::Cancelled);
    assert_eq!(status(by_hand.id).await, SubscriptionStatus::Cancelled);
    world.prove().await;
}

async fn what_begins_by_hand_is_completed_when_its_last_charge_is_used_up(world: &World) {
    let ends = world.import_contract("CH-E10", PLAN, 1, "2027-01-01").await;
    let more = world.import_contract("CH-E11", PLAN, 1, "2027-01-01").await;
    let (_, last) = world.billed("CH-E9", PLAN, "2027-01-01", "2027-01-11").await;
    let ends = world.subscriptions(ends).await.remove(0);
    let more = world.subscriptions(more).await.remove(0);
    for (id, left) in [(last.id, 1), (ends.id, 1), (more.id, 2)] {
        world.edit(id, serde_json::json!({ "manual": true, "charges_left": left })).await.unwrap();
        world.made(id, &wish(ChangeKind::Renew)).await;
    }
    world.cancel(&world.altyn, ends.id, "2027-03-01").await;
    let seen = world.subscription(last.id).await;
    assert_eq!((seen.charges_left, seen.next_charge_on), (Some(0), day("2027-03-01")));
    let status = async |id| world.subscription(id).await.status;
    world.clock.set("2027-03-01T20:00:00Z".parse().unwrap());
    world.close_day("2027-02-28").await;
    assert_eq!(status(last.id).await, SubscriptionStatus::Active, "it is served to the end of its last period");
    world.close_day("2027-03-01").await;
    assert_eq!(status(last.id).await, SubscriptionStatus::Completed);
    assert_eq!(status(ends.id).await, SubscriptionStatus::Cancelled, "an end by the same day goes first");
    assert_eq!(status(more.id).await, SubscriptionStatus::Active, "a charge is left");
    let steps = world.altyn.subscription_transitions(&world.request(), last.id, &page()).await.unwrap().data;
    let step = steps.last().unwrap();
    assert_eq!((step.cause.as_str(), step.to_status), ("completed", SubscriptionStatus::Completed));
    assert_eq!(step.business_on, day("2027-03-01"));
    world.prove().await;
}

async fn who_helps_himself_pays_for_a_renewal_before_it_is_made(world: &World) {
    let (contract, subscription) = world.billed("CH-S1", PLAN, "2027-01-01", "2027-01-11").await;
    world.edit(subscription.id, serde_json::json!({ "short_funds": "skip" })).await.unwrap();
    let himself = Request { authority: altyn_service::context::Authority::SelfService, ..world.request() };
    let renew = async |request: &Request| {
        let change = wish(ChangeKind::Renew);
        let seen = world.altyn.change_preview(request, subscription.id, change.clone()).await.unwrap();
        let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: None };
        world.altyn.change_execute(request, subscription.id, command).await.map(|reply| reply.value.state)
    };
    let balance = world.balance(contract).await;
    world.paid(contract, -balance + 78_989, "CH-S1/1").await;
    let before = world.state().await;
    assert_eq!(code(renew(&himself).await), "not-enough-money", "a kopeck is missing");
    assert_eq!(world.state().await, before, "nothing is written");
    world.paid(contract, 1, "CH-S1/2").await;
    assert_eq!(renew(&himself).await.unwrap(), "executed");
    assert_eq!(world.balance(contract).await, 0);
    // Whoever goes into debt by his terms does so here, too, and a manager decides for himself.
    assert_eq!(renew(&world.request()).await.unwrap(), "executed");
    world.edit(subscription.id, serde_json::json!({ "short_funds": "debt" })).await.unwrap();
    assert_eq!(renew(&himself).await.unwrap(), "executed");
    world.prove().await;
}
