//! Dunning: stages, their effects as a difference, hysteresis, tags, the ladder.

use altyn_domain::{
    dunning::{Cancellation, Conditions, DunningScope, Stage},
    id::ContractId,
};
use altyn_service::{
    credit::SetContractControl,
    dunning::{DunningCaseView, SetDunningPolicy},
};

use crate::{
    support::{Place, on_both_engines, page},
    world::{World, code, day},
};

on_both_engines!(
    a_debtor_goes_from_stage_to_stage_and_back_when_all_is_paid,
    a_part_payment_does_not_lead_out_of_a_stage,
    a_tag_suspends_effects_and_its_end_restores_them,
    the_ladder_calls_for_an_attempt_a_rung,
    looking_twice_changes_nothing,
    rules_are_checked,
);

fn stage(name: &str, days: u32, least: i64, block: Option<&str>) -> Stage {
    Stage {
        code: name.parse().unwrap(),
        when: Conditions { days_at_least: Some(days), unpaid_at_least_minor: Some(least), ..Conditions::default() },
        block: block.map(|text| text.parse().unwrap()),
        notice: Some(format!("{name}-mail")),
        cancel: Cancellation::None,
    }
}

fn rules() -> SetDunningPolicy {
    SetDunningPolicy {
        scope: DunningScope::Contract,
        stages: vec![stage("reminder", 3, 1, None), stage("stopped", 10, 5_000, Some("overdue"))],
        ladder: vec![1, 3, 5],
        suspending_tags: vec!["court".into()],
    }
}

impl World {
    async fn dun(&self, on: &str) {
        let night = day(on).succ_opt().unwrap().and_hms_opt(0, 10, 0).unwrap().and_utc();
        self.place.clock.set(night);
        self.place.altyn.dunning_day(self.place.tenant, day(on)).await.unwrap();
    }

    async fn case(&self) -> Option<DunningCaseView> {
        let altyn = &self.place.altyn;
        let mut found =
            altyn.dunning_case_list(&self.request(), DunningScope::Contract, &page(10, None)).await.unwrap().data;
        assert!(found.len() <= 1);
        found.pop()
    }

    /// The steps taken with a contract: `entered reminder`.
    async fn steps(&self, contract: ContractId) -> Vec<String> {
        let found = self.place.altyn.dunning_step_list(&self.request(), contract, &page(100, None)).await.unwrap();
        found.data.into_iter().map(|step| format!("{} {}", step.step, step.detail)).collect()
    }

    async fn debtor(&self, rules: SetDunningPolicy) -> ContractId {
        self.place.altyn.dunning_policy_create(&self.request(), rules).await.unwrap();
        let contract = self.contract("Д-1").await;
        // The day of the debt is 1 November.
        self.owe(contract, "debt", 20_000).await;
        contract
    }
}

async fn a_debtor_goes_from_stage_to_stage_and_back_when_all_is_paid(place: Place) {
    let world = World::new(place).await;
    let contract = world.debtor(SetDunningPolicy { ladder: vec![], ..rules() }).await;
    let subscription = world.subscription(contract, "2026-11-01").await;
    world.dun("2026-11-03").await;
    assert_eq!(world.case().await.unwrap().stage, None);
    world.dun("2026-11-04").await;
    assert_eq!(world.case().await.unwrap().stage.as_deref(), Some("reminder"));
    world.dun("2026-11-10").await;
    assert_eq!(world.states(contract).await, Vec::<String>::new());
    world.dun("2026-11-11").await;
    assert_eq!(world.states(contract).await, ["overdue active"]);
    let access = world.place.altyn.subscription_access(&world.request(), subscription).await.unwrap();
    assert_eq!(access.reasons[0].message, "the contract is blocked (overdue): unpaid since 2026-11-01, stage stopped");
    // Money ends it at once.
    world.pay(contract, "p-1", 20_000).await;
    assert!(world.case().await.is_none());
    assert_eq!(world.states(contract).await, ["overdue ended"]);
    let expected = [
        "entered reminder",
        "notice reminder-mail",
        "left reminder",
        "entered stopped",
        "blocked overdue",
        "notice stopped-mail",
        "left stopped",
        "unblocked overdue",
    ];
    assert_eq!(world.steps(contract).await, expected);
    world.verify().await;
}

async fn a_part_payment_does_not_lead_out_of_a_stage(place: Place) {
    let world = World::new(place).await;
    let contract = world.debtor(rules()).await;
    world.dun("2026-11-11").await;
    world.pay(contract, "p-1", 16_000).await;
    let case = world.case().await.unwrap();
    assert_eq!((case.stage.as_deref(), case.unpaid_minor), (Some("stopped"), 4_000), "it is still as old as before");
    assert_eq!(world.states(contract).await, ["overdue active"]);
    world.pay(contract, "p-2", 4_000).await;
    assert!(world.case().await.is_none());
    world.verify().await;
}

async fn a_tag_suspends_effects_and_its_end_restores_them(place: Place) {
    let world = World::new(place).await;
    let contract = world.debtor(SetDunningPolicy { ladder: vec![], ..rules() }).await;
    let tagged = |tags: &[&str]| SetContractControl {
        tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
        ..SetContractControl::default()
    };
    world.place_contract(contract, tagged(&["court"])).await;
    world.dun("2026-11-11").await;
    let case = world.case().await.unwrap();
    assert_eq!((case.stage.as_deref(), case.suspended), (Some("stopped"), true));
    assert_eq!(world.states(contract).await, Vec::<String>::new());
    world.place_contract(contract, tagged(&[])).await;
    world.dun("2026-11-12").await;
    assert_eq!(world.states(contract).await, ["overdue active"]);
    world.place_contract(contract, tagged(&["court", "vip"])).await;
    world.dun("2026-11-13").await;
    assert_eq!(world.states(contract).await, ["overdue ended"]);
    let expected = [
        "entered stopped",
        "suspended stopped",
        "resumed stopped",
        "blocked overdue",
        "notice stopped-mail",
        "suspended stopped",
        "unblocked overdue",
    ];
    assert_eq!(world.steps(contract).await, expected);
}

async fn the_ladder_calls_for_an_attempt_a_rung(place: Place) {
    let world = World::new(place).await;
    let contract = world.debtor(SetDunningPolicy { stages: vec![stage("late", 90, 1, None)], ..rules() }).await;
    let mut attempts = Vec::new();
    for on in ["2026-11-02", "2026-11-03", "2026-11-05", "2026-11-06", "2026-11-30"] {
        world.dun(on).await;
        let case = world.case().await.unwrap();
        attempts.push((case.attempts, case.next_attempt_on.map(|day| day.to_string())));
    }
    // Seen first on the 2nd: after 1 day, 3 more, 5 more.
    let next = |text: &str| Some(text.to_owned());
    let expected =
        [(0, next("2026-11-03")), (1, next("2026-11-06")), (1, next("2026-11-06")), (2, next("2026-11-11")), (3, None)];
    assert_eq!(attempts, expected);
    assert_eq!(world.steps(contract).await, ["collect 0", "collect 1", "collect 2"]);
    let mut tx = world.place.altyn.db.read(world.request().scope()).await.unwrap();
    let sql = "select kind from outbox where tenant_id = $1 and kind like 'dunning.%' limit 10";
    let sent: Vec<(String,)> = tx.fetch_all(sql, (world.place.tenant.0,)).await.unwrap();
    assert_eq!(sent, vec![("dunning.collect".to_owned(),); 3]);
}

async fn looking_twice_changes_nothing(place: Place) {
    let world = World::new(place).await;
    let contract = world.debtor(rules()).await;
    world.dun("2026-11-11").await;
    let (case, steps, blocks) =
        (world.case().await.unwrap(), world.steps(contract).await, world.states(contract).await);
    world.dun("2026-11-11").await;
    let again = world.case().await.unwrap();
    assert_eq!((again.stage, again.attempts, again.entered_on), (case.stage, case.attempts, case.entered_on));
    assert_eq!((world.steps(contract).await, world.states(contract).await), (steps, blocks));
}

async fn rules_are_checked(place: Place) {
    let world = World::new(place).await;
    let (altyn, request) = (&world.place.altyn, world.request());
    let refused = async |rules: SetDunningPolicy| code(altyn.dunning_policy_create(&request, rules).await);
    assert_eq!(refused(SetDunningPolicy { stages: vec![], ..rules() }).await, "/stages");
    let twice = vec![stage("a", 1, 1, None), stage("a", 2, 1, None)];
    assert_eq!(refused(SetDunningPolicy { stages: twice, ..rules() }).await, "/stages/1/code");
    let foreign = vec![stage("a", 1, 1, Some("credit-limit"))];
    assert_eq!(refused(SetDunningPolicy { stages: foreign, ..rules() }).await, "/stages/0/block");
    let collecting = SetDunningPolicy { scope: DunningScope::Subscription, ..rules() };
    assert_eq!(refused(collecting).await, "/ladder");
    let policy = altyn.dunning_policy_create(&request, rules()).await.unwrap().value;
    assert_eq!(refused(rules()).await, "duplicate-dunning-policy");
    let changed = altyn.dunning_policy_replace(&request, policy.id, 1, rules()).await.unwrap().value;
    assert_eq!(changed.version, 2);
    assert_eq!(code(altyn.dunning_policy_replace(&request, policy.id, 1, rules()).await), "stale-version");
}
