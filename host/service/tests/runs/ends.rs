//! Ends of subscriptions that dunning asks for: scheduled once, made by the run of their day, taken back by a payment.

use altyn_domain::{
    change::{ChangeKind, Timing},
    dunning::{Cancellation, DunningScope},
    id::{ContractId, SubscriptionId},
    run::{PlanStage, PlanState, RunMode},
    subscription::SubscriptionStatus,
};
use altyn_service::{
    changes::{ChangeSubscription, ChangeView},
    credit::SetContractControl,
    dunning::SetDunningPolicy,
    runs::{Advanced, ConfirmPlans, RunView},
};

use crate::{
    changes::wish,
    dunning::{MONTH, stage},
    world::{World, code, on_both_engines, page, same},
};

on_both_engines!(
    a_stage_ends_all_subscriptions_of_a_debtor_once_and_gives_back_against_the_debt,
    an_end_at_the_end_of_the_term_is_taken_back_when_the_stage_is_left,
    the_end_of_a_debtors_term_comes_before_its_next_charge,
    a_stage_of_a_subscription_ends_that_one_alone,
    a_tag_takes_an_end_back_and_its_absence_asks_for_it_again,
    what_a_person_scheduled_stays_and_no_wish_replaces_what_dunning_scheduled,
    with_confirmation_an_end_awaits_a_yes_like_any_change,
);

impl World {
    async fn ends_by(&self, scope: DunningScope, cancel: Cancellation) {
        let mut last = stage("ended", 10, 5_000, Some("overdue"));
        last.cancel = cancel;
        let stages = vec![stage("reminder", 3, 1, None), last];
        let policy = SetDunningPolicy { scope, stages, ladder: vec![], suspending_tags: vec!["court".into()] };
        self.altyn.dunning_policy_create(&self.request(), policy).await.unwrap();
    }

    /// The changes of a subscription that dunning wished.
    async fn by_dunning(&self, id: SubscriptionId) -> Vec<ChangeView> {
        let found = self.altyn.change_list(&self.request(), id, &page()).await.unwrap().data;
        found.into_iter().filter(|change| change.dunning_scope.is_some()).collect()
    }

    /// States and days of them.
    async fn states(&self, id: SubscriptionId) -> Vec<String> {
        let told = |change: &ChangeView| format!("{} {} {}", change.timing, change.state, change.effective_on);
        self.by_dunning(id).await.iter().map(told).collect()
    }

    /// The steps that are about ends, with the changes that they name.
    async fn end_steps(&self, contract: ContractId) -> Vec<String> {
        let found = self.altyn.dunning_step_list(&self.request(), contract, &page()).await.unwrap().data;
        assert!(found.iter().all(|step| step.change_id.is_some() == step.step.starts_with("cancel")), "{found:#?}");
        let ends = found.iter().filter(|step| step.change_id.is_some());
        ends.map(|step| format!("{} {} {}", step.on, step.step, step.detail)).collect()
    }

    async fn status(&self, id: SubscriptionId) -> SubscriptionStatus {
        self.altyn.subscription_get(&self.request(), id).await.unwrap().status
    }

    async fn close_on(&self, on: &str) -> RunView {
        self.clock.set(format!("{on}T20:00:00Z").parse().unwrap());
        self.close_day(on).await
    }

    async fn tag(&self, contract: ContractId, tags: &[&str]) {
        let tags = Some(tags.iter().map(|tag| (*tag).to_owned()).collect());
        let version = self.altyn.contract_control_get(&self.request(), contract).await.unwrap().version;
        let command = SetContractControl { tags, ..SetContractControl::default() };
        self.altyn.contract_control_set(&self.request(), contract, version, command).await.unwrap();
    }
}

async fn a_stage_ends_all_subscriptions_of_a_debtor_once_and_gives_back_against_the_debt(world: &World) {
    world.ends_by(DunningScope::Contract, Cancellation::Immediate).await;
    let (contract, old, new) = world.owing("EN-1").await;
    world.dun("2027-01-10").await;
    assert!(world.states(old).await.is_empty(), "the reminder ends nothing");
    world.dun("2027-01-12").await;
    let waiting = ["immediate scheduled 2027-01-13"];
    assert_eq!((world.states(old).await, world.states(new).await), (to_vec(&waiting), to_vec(&waiting)));
    let steps = ["2027-01-12 cancel immediate"; 2];
    assert_eq!(world.end_steps(contract).await, steps);
    let before = world.state().await;
    world.dun("2027-01-12").await;
    same(&before, &world.state().await);

    let run = world.close_on("2027-01-13").await;
    let made = ["immediate executed 2027-01-13"];
    for id in [old, new] {
        assert_eq!((world.states(id).await, world.status(id).await), (to_vec(&made), SubscriptionStatus::Cancelled));
        let [change] = world.by_dunning(id).await.try_into().unwrap();
        assert!(change.credited_minor > 0 && change.charged_minor == 0, "{change:?}");
        assert_eq!((change.dunning_scope, change.requested_by.as_str()), (Some(DunningScope::Contract), "dunning"));
    }
    let given: i64 =
        [world.by_dunning(old).await, world.by_dunning(new).await].concat().iter().map(|c| c.credited_minor).sum();
    assert_eq!(world.balance(contract).await, given - 2 * MONTH, "what was not used lowers the debt");
    let before = world.state().await;
    world.advance(run.id).await;
    same(&before, &world.state().await);
    world.dun("2027-01-14").await;
    world.dun("2027-01-14").await;
    assert_eq!(world.end_steps(contract).await, steps, "an end is asked for once");
    world.paid(contract, 2 * MONTH, "EN-1/1").await;
    assert_eq!(world.status(old).await, SubscriptionStatus::Cancelled, "a payment brings nothing back that is ended");
    world.close_on("2027-02-10").await;
    assert_eq!(world.balance(contract).await, given, "nothing more is charged");
    world.prove().await;
}

async fn an_end_at_the_end_of_the_term_is_taken_back_when_the_stage_is_left(world: &World) {
    world.ends_by(DunningScope::Contract, Cancellation::EndOfTerm).await;
    let (contract, old, new) = world.owing("EN-2").await;
    world.dun("2027-01-12").await;
    let waits = |on: &str| vec![format!("end-of-term scheduled {on}")];
    assert_eq!((world.states(old).await, world.states(new).await), (waits("2027-02-01"), waits("2027-02-10")));
    // A part keeps the stage, and with it the ends.
    world.paid(contract, MONTH - 1_000, "EN-2/1").await;
    assert_eq!(world.states(old).await, waits("2027-02-01"));
    world.paid(contract, MONTH + 1_000, "EN-2/2").await;
    let taken = |on: &str| vec![format!("end-of-term cancelled {on}")];
    assert_eq!((world.states(old).await, world.states(new).await), (taken("2027-02-01"), taken("2027-02-10")));
    let told =
        ["cancel end-of-term", "cancel end-of-term", "cancel-withdrawn end-of-term", "cancel-withdrawn end-of-term"];
    assert_eq!(world.end_steps(contract).await, told.map(|step| format!("2027-01-12 {step}")));
    world.close_on("2027-02-01").await;
    assert_eq!((world.status(old).await, world.balance(contract).await), (SubscriptionStatus::Active, -MONTH));
    world.prove().await;
}

async fn the_end_of_a_debtors_term_comes_before_its_next_charge(world: &World) {
    world.ends_by(DunningScope::Contract, Cancellation::EndOfTerm).await;
    let (contract, old, new) = world.owing("EN-3").await;
    world.dun("2027-01-12").await;
    world.close_on("2027-02-01").await;
    assert_eq!(
        (world.status(old).await, world.status(new).await),
        (SubscriptionStatus::Cancelled, SubscriptionStatus::Active)
    );
    world.close_on("2027-02-10").await;
    assert_eq!(world.status(new).await, SubscriptionStatus::Cancelled);
    assert_eq!(world.balance(contract).await, -2 * MONTH, "the terms are used up: nothing is charged or given back");
    world.prove().await;
}

async fn a_stage_of_a_subscription_ends_that_one_alone(world: &World) {
    world.ends_by(DunningScope::Subscription, Cancellation::Immediate).await;
    let (contract, old, new) = world.owing("EN-4").await;
    world.dun("2027-01-12").await;
    assert_eq!((world.states(old).await.len(), world.states(new).await.len()), (1, 0));
    world.close_on("2027-01-13").await;
    assert_eq!(
        (world.status(old).await, world.status(new).await),
        (SubscriptionStatus::Cancelled, SubscriptionStatus::Active)
    );
    assert_eq!(world.end_steps(contract).await, ["2027-01-12 cancel immediate"]);
    world.prove().await;
}

async fn a_tag_takes_an_end_back_and_its_absence_asks_for_it_again(world: &World) {
    world.ends_by(DunningScope::Contract, Cancellation::EndOfTerm).await;
    let (contract, old, _) = world.owing("EN-5").await;
    world.dun("2027-01-12").await;
    world.tag(contract, &["court"]).await;
    world.dun("2027-01-13").await;
    assert_eq!(world.states(old).await, ["end-of-term cancelled 2027-02-01"]);
    world.dun("2027-01-14").await;
    world.tag(contract, &[]).await;
    world.dun("2027-01-15").await;
    world.dun("2027-01-16").await;
    assert_eq!(
        world.states(old).await,
        ["end-of-term cancelled 2027-02-01", "end-of-term scheduled 2027-02-01"],
        "once when it goes on"
    );
}

async fn what_a_person_scheduled_stays_and_no_wish_replaces_what_dunning_scheduled(world: &World) {
    world.ends_by(DunningScope::Contract, Cancellation::EndOfTerm).await;
    let (contract, old, new) = world.owing("EN-6").await;
    let end = ChangeSubscription { timing: Some(Timing::EndOfTerm), ..wish(ChangeKind::Cancel) };
    let wished = world.made(old, &end).await;
    let more = ChangeSubscription {
        timing: Some(Timing::EndOfTerm),
        quantity: Some("2".into()),
        ..wish(ChangeKind::ChangeQuantity)
    };
    let larger = world.made(new, &more).await;
    world.dun("2027-01-12").await;
    assert!(world.states(old).await.is_empty(), "it ends then already");
    let change = async |id| world.altyn.change_get(&world.request(), id).await.unwrap().state;
    assert_eq!(world.states(new).await, ["end-of-term scheduled 2027-02-10"]);
    assert_eq!((change(wished.id).await, change(larger.id).await), ("scheduled".into(), "scheduled".into()));
    for wish in [&end, &more] {
        let refused = world.altyn.change_preview(&world.request(), new, wish.clone()).await;
        assert_eq!(code(refused), "cancellation-scheduled");
    }
    world.close_on("2027-02-01").await;
    world.close_on("2027-02-10").await;
    assert_eq!(world.status(new).await, SubscriptionStatus::Cancelled);
    assert_eq!(change(larger.id).await, "failed", "what waited for a subscription that ended cannot be made");
    world.paid(contract, 2 * MONTH, "EN-6/1").await;
    assert_eq!(change(wished.id).await, "executed");
    world.prove().await;
}

async fn with_confirmation_an_end_awaits_a_yes_like_any_change(world: &World) {
    world.ends_by(DunningScope::Contract, Cancellation::Immediate).await;
    let payer = world.import_contract("EN-8", "home-1m", 1, "2027-01-01").await;
    let (contract, old, _) = world.owing("EN-7").await;
    let kept = world.subscriptions(payer).await[0].id;
    world.dun("2027-01-12").await;
    world.clock.set("2027-01-13T20:00:00Z".parse().unwrap());
    let run = world.begin("2027-01-13", RunMode::WithConfirmation).await;
    world.advance(run.id).await;
    let plan = world.plan(run.id, contract).await;
    assert_eq!((plan.state, plan.stage, plan.changes.len()), (PlanState::Awaiting, PlanStage::Changes, 2));
    let shown: i64 = plan.changes.iter().map(|change| change.effects.as_ref().unwrap().credited_minor).sum();
    assert_eq!((world.status(old).await, world.balance(contract).await), (SubscriptionStatus::Active, -2 * MONTH));
    // Who pays before the yes is not ended by it.
    assert_eq!(world.states(kept).await, ["immediate scheduled 2027-01-13"]);
    world.paid(payer, MONTH, "EN-8/1").await;
    for _ in 0..5 {
        world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
        if world.advance(run.id).await == Advanced::Done {
            break;
        }
    }
    assert_eq!(
        (world.status(old).await, world.balance(contract).await),
        (SubscriptionStatus::Cancelled, shown - 2 * MONTH)
    );
    assert_eq!((world.status(kept).await, world.balance(payer).await), (SubscriptionStatus::Active, 0));
    world.prove().await;
}

fn to_vec(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
