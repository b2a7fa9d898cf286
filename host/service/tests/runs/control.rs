//! What the end of a run does besides billing: credit control and dunning.

use altyn_domain::{
    credit::PolicyScope,
    dunning::{Cancellation, Conditions, DunningScope, Stage},
};
use altyn_service::{
    blocks::BlockFilter,
    credit::{CreateCreditPolicy, CreditAllowance},
    dunning::SetDunningPolicy,
};

use crate::world::{World, on_both_engines, page};

on_both_engines!(a_day_that_is_closed_is_followed_by_credit_control_and_dunning);

async fn a_day_that_is_closed_is_followed_by_credit_control_and_dunning(world: &World) {
    world.bind_good_plugins().await;
    let (altyn, request) = (&world.altyn, world.request());
    let allowed = CreditAllowance { credit_limit_minor: Some(0), ..CreditAllowance::default() };
    let policy = CreateCreditPolicy { scope: PolicyScope::Tenant, code: None, currency: None, allowed };
    altyn.credit_policy_create(&request, policy).await.unwrap();
    let late = Conditions { days_at_least: Some(0), ..Conditions::default() };
    let stage =
        Stage { code: "late".parse().unwrap(), when: late, block: None, notice: None, cancel: Cancellation::None };
    for scope in [DunningScope::Contract, DunningScope::Subscription] {
        let rules = SetDunningPolicy { scope, stages: vec![stage.clone()], ladder: vec![], suspending_tags: vec![] };
        altyn.dunning_policy_create(&request, rules).await.unwrap();
    }
    let run = world.close_day("2027-01-01").await;
    assert!(run.invoices > 0);
    let owing = world.contracts_owing().await;
    assert!(owing > 0);
    let standing = BlockFilter { standing: Some(true), ..BlockFilter::default() };
    let blocks = altyn.block_list(&request, standing.clone(), &page()).await.unwrap().data;
    assert_eq!(blocks.len(), owing);
    assert!(blocks.iter().all(|block| block.block_type.as_str() == "credit-limit"));
    let worked = altyn.jobs_work(world.tenant, "test", altyn.clock.now()).await.unwrap();
    assert_eq!((worked.postponed, worked.dead), (0, 0));
    let cases = altyn.dunning_case_list(&request, DunningScope::Contract, &page()).await.unwrap().data;
    assert_eq!(cases.len(), owing);
    let parts = altyn.dunning_case_list(&request, DunningScope::Subscription, &page()).await.unwrap().data;
    let sum =
        |cases: &[altyn_service::dunning::DunningCaseView]| -> i64 { cases.iter().map(|case| case.unpaid_minor).sum() };
    assert!(parts.len() >= owing);
    assert_eq!(sum(&parts), sum(&cases), "the debt of a contract is that of its subscriptions");
    // Another host that finds the run done changes nothing.
    world.advance(run.id).await;
    altyn.credit_day_close(world.tenant, run.business_on).await.unwrap();
    assert_eq!(altyn.block_list(&request, standing, &page()).await.unwrap().data.len(), owing);
}

impl World {
    /// How many contracts have a debt.
    async fn contracts_owing(&self) -> usize {
        let sql = "select contract_id from contract_money where tenant_id = $1 and balance_minor < 0 limit 1000";
        self.rows::<(uuid::Uuid,)>(sql, (self.tenant.0,)).await.len()
    }
}
