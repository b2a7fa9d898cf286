//! Dunning over what runs charged: stages of subscriptions, and debts that credits and reservations do not add to.

use altyn_domain::{
    dunning::{Cancellation, Conditions, DunningScope, Stage},
    id::{ContractId, SubscriptionId},
};
use altyn_service::{
    blocks::BlockFilter,
    charges::ChargeFilter,
    credit::SetContractControl,
    credits::CreditCharge,
    dunning::{DunningCaseView, SetDunningPolicy},
};
use serde_json::json;

use crate::{
    operator::import,
    world::{World, day, on_both_engines, page},
};

on_both_engines!(
    a_subscription_has_stages_and_a_block_of_its_own,
    a_part_payment_keeps_a_subscription_in_its_stage,
    a_tag_suspends_the_stage_of_a_subscription,
    what_was_given_back_is_owed_by_no_subscription,
    what_was_given_back_makes_no_debt_of_a_contract_younger,
    money_reserved_for_an_order_makes_no_debt_younger,
);

/// 590.00 and 199.90 a month, tax included.
pub const MONTH: i64 = 78_990;

pub fn stage(name: &str, days: u32, least: i64, block: Option<&str>) -> Stage {
    Stage {
        code: name.parse().unwrap(),
        when: Conditions { days_at_least: Some(days), unpaid_at_least_minor: Some(least), ..Conditions::default() },
        block: block.map(|text| text.parse().unwrap()),
        notice: Some(format!("{name}-mail")),
        cancel: Cancellation::None,
    }
}

impl World {
    pub async fn dun_by(&self, scope: DunningScope) {
        let policy = SetDunningPolicy {
            scope,
            stages: vec![stage("reminder", 3, 1, None), stage("stopped", 10, 5_000, Some("overdue"))],
            ladder: vec![],
            suspending_tags: vec!["court".into()],
        };
        self.altyn.dunning_policy_create(&self.request(), policy).await.unwrap();
    }

    /// A contract with a subscription from 1 January and one from 10 January, both charged and not paid.
    pub async fn owing(&self, number: &str) -> (ContractId, SubscriptionId, SubscriptionId) {
        let both = vec![("home-1m", "2027-01-01"), ("home-1m", "2027-01-10")];
        import(&self.altyn, &self.request(), self.seller, &[(number.to_owned(), both)]).await;
        let found: Vec<(uuid::Uuid,)> = self
            .rows("select id from contracts where tenant_id = $1 and number = $2", (self.tenant.0, number.to_owned()))
            .await;
        let contract = ContractId(found[0].0);
        self.clock.set("2027-01-10T20:00:00Z".parse().unwrap());
        self.close_day("2027-01-01").await;
        self.close_day("2027-01-10").await;
        let mut subscriptions = self.subscriptions(contract).await;
        subscriptions.sort_by_key(|subscription| subscription.starts_on);
        let [old, new] = subscriptions.try_into().unwrap();
        (contract, old.id, new.id)
    }

    pub async fn dun(&self, on: &str) {
        self.clock.set(format!("{on}T20:00:00Z").parse().unwrap());
        self.altyn.dunning_day(self.tenant, day(on)).await.unwrap();
    }

    async fn cases(&self, scope: DunningScope) -> Vec<DunningCaseView> {
        self.altyn.dunning_case_list(&self.request(), scope, &page()).await.unwrap().data
    }

    /// The stage of a subscription and what is unpaid.
    async fn owed(&self, id: SubscriptionId) -> Option<(Option<String>, i64)> {
        let found = self.cases(DunningScope::Subscription).await;
        found.into_iter().find(|case| case.subscription_id == Some(id)).map(|case| (case.stage, case.unpaid_minor))
    }

    /// Types and states of the blocks on a subscription alone.
    async fn own_blocks(&self, id: SubscriptionId) -> Vec<String> {
        let filter = BlockFilter { subscription_id: Some(id), ..BlockFilter::default() };
        let found = self.altyn.block_list(&self.request(), filter, &page()).await.unwrap().data;
        found.iter().map(|block| format!("{} {}", block.block_type, block.state)).collect()
    }

    /// Gives back all charges of a subscription.
    async fn give_back(&self, id: SubscriptionId) {
        let filter = ChargeFilter { subscription_id: Some(id), ..ChargeFilter::default() };
        for charge in self.altyn.charge_list(&self.request(), filter, &page()).await.unwrap().data {
            let credit: CreditCharge = serde_json::from_value(json!({ "reason": "complaint" })).unwrap();
            self.altyn.charge_credit(&self.request(), charge.id, credit).await.unwrap();
        }
    }
}

fn in_stage(stage: &str, unpaid: i64) -> (Option<String>, i64) {
    (Some(stage.to_owned()), unpaid)
}

async fn a_subscription_has_stages_and_a_block_of_its_own(world: &World) {
    world.dun_by(DunningScope::Subscription).await;
    let (contract, old, new) = world.owing("DU-1").await;
    world.dun("2027-01-10").await;
    assert_eq!(
        (world.owed(old).await, world.owed(new).await),
        (Some(in_stage("reminder", MONTH)), Some((None, MONTH)))
    );
    assert!(world.own_blocks(old).await.is_empty());
    world.dun("2027-01-12").await;
    assert_eq!((world.owed(old).await, world.owed(new).await), (Some(in_stage("stopped", MONTH)), Some((None, MONTH))));
    assert_eq!((world.own_blocks(old).await, world.own_blocks(new).await), (vec!["overdue active".into()], vec![]));
    let access = async |id| world.altyn.subscription_access(&world.request(), id).await.unwrap().allowed;
    assert_eq!((access(old).await, access(new).await), (false, true), "only the one that owes is stopped");
    world.dun("2027-01-13").await;
    assert_eq!(world.owed(new).await, Some(in_stage("reminder", MONTH)));
    // Money pays the oldest first, and ends its case at once.
    world.paid(contract, MONTH, "DU-1/1").await;
    assert_eq!((world.owed(old).await, world.owed(new).await), (None, Some(in_stage("reminder", MONTH))));
    assert_eq!(world.own_blocks(old).await, ["overdue ended"]);
    world.paid(contract, MONTH, "DU-1/2").await;
    assert_eq!(world.owed(new).await, None);
    world.prove().await;
}

async fn a_part_payment_keeps_a_subscription_in_its_stage(world: &World) {
    world.dun_by(DunningScope::Subscription).await;
    let (contract, old, _) = world.owing("DU-2").await;
    world.dun("2027-01-12").await;
    world.paid(contract, MONTH - 4_000, "DU-2/1").await;
    assert_eq!(world.owed(old).await, Some(in_stage("stopped", 4_000)), "it is as old as before");
    assert_eq!(world.own_blocks(old).await, ["overdue active"]);
    world.paid(contract, 4_000, "DU-2/2").await;
    assert_eq!((world.owed(old).await, world.own_blocks(old).await), (None, vec!["overdue ended".to_owned()]));
}

async fn a_tag_suspends_the_stage_of_a_subscription(world: &World) {
    world.dun_by(DunningScope::Subscription).await;
    let (contract, old, _) = world.owing("DU-3").await;
    let tag = async |tags: &[&str]| {
        let tags = Some(tags.iter().map(|tag| (*tag).to_owned()).collect());
        let version = world.altyn.contract_control_get(&world.request(), contract).await.unwrap().version;
        let command = SetContractControl { tags, ..SetContractControl::default() };
        world.altyn.contract_control_set(&world.request(), contract, version, command).await.unwrap();
    };
    tag(&["court"]).await;
    world.dun("2027-01-12").await;
    assert_eq!((world.owed(old).await, world.own_blocks(old).await), (Some(in_stage("stopped", MONTH)), vec![]));
    tag(&[]).await;
    world.dun("2027-01-13").await;
    assert_eq!(world.own_blocks(old).await, ["overdue active"]);
    tag(&["court"]).await;
    world.dun("2027-01-14").await;
    assert_eq!(world.own_blocks(old).await, ["overdue ended"]);
}

async fn what_was_given_back_is_owed_by_no_subscription(world: &World) {
    world.dun_by(DunningScope::Subscription).await;
    let (_, old, new) = world.owing("DU-4").await;
    world.give_back(new).await;
    world.dun("2027-01-12").await;
    // The newest lines are refunded: the debt lies on the older ones.
    assert_eq!((world.owed(old).await, world.owed(new).await), (Some(in_stage("stopped", MONTH)), None));
    world.prove().await;
}

async fn what_was_given_back_makes_no_debt_of_a_contract_younger(world: &World) {
    world.dun_by(DunningScope::Contract).await;
    let (contract, _, new) = world.owing("DU-5").await;
    world.give_back(new).await;
    world.dun("2027-01-12").await;
    let cases = world.cases(DunningScope::Contract).await;
    let case = cases.iter().find(|case| case.contract_id == contract).unwrap();
    assert_eq!((case.unpaid_minor, case.unpaid_since_on), (MONTH, Some(day("2027-01-01"))));
}

async fn money_reserved_for_an_order_makes_no_debt_younger(world: &World) {
    world.dun_by(DunningScope::Contract).await;
    let contract = world.import_contract("DU-6", "home-1m", 1, "2027-01-01").await;
    let version = world.altyn.contract_get(&world.request(), contract).await.unwrap().version;
    let limit = serde_json::from_value(json!({ "credit_limit_minor": 200_000 })).unwrap();
    world.altyn.contract_update(&world.request(), contract, version, limit).await.unwrap();
    world.clock.set("2027-01-09T09:00:00Z".parse().unwrap());
    world.close_day("2027-01-01").await;
    let order = world.ordered(contract, "home-1m").await;
    assert_eq!(order.status, altyn_domain::order::OrderStatus::Blocked);
    world.dun("2027-01-12").await;
    let cases = world.cases(DunningScope::Contract).await;
    let case = cases.iter().find(|case| case.contract_id == contract).unwrap();
    assert_eq!((case.unpaid_minor, case.unpaid_since_on), (MONTH, Some(day("2027-01-01"))), "{case:?}");
}
