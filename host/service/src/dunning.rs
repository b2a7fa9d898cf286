//! Dunning: policies, the cases of those who owe, and the effects of their stages as a difference to what stands.
//!
//! Owns when cases are looked at (after a day is closed, and when money arrives for a debtor) and what changes then: blocks
//! are set and lifted until those stand that the stage asks for, ends of subscriptions are scheduled and taken back,
//! notices and attempts to collect go to the outbox. The domain decides the stage. Refuses to send anything. Invariant: looking twice on the same day changes nothing.
//! Concurrency: contracts are looked at under the lock of their funds accounts.

use std::collections::{BTreeMap, BTreeSet};

use altyn_domain::{
    block::{BlockSource, BlockType},
    calendar::{local_date, next_day},
    change::Timing,
    dunning::{Debit, DunningScope, Facts, Policy, Stage, unpaid, unpaid_by_subscription},
    id::{ChangeId, ContractId, DunningPolicyId, DunningStepId, Id as _, SubscriptionId, TenantId},
};
use altyn_store::{
    Scope, Tx, blocks as block_rows, changes,
    changes::DunningRow,
    credit, dunning as rows,
    dunning::{CaseRow, PolicyRow, StepRow},
    jobs, runs,
};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    blocks::{self, BY_ITSELF, NewBlock, Object},
    changes::Ends,
    context::{Altyn, Begun, Reply, Request},
    error::{Fields, Result, ServiceError, stored},
    page::{Listed, Page},
    promises::{money_of, out_of_range},
};

/// The kind of the job that looks at all debtors of a tenant after a day is closed.
pub(crate) const DUNNING_JOB: &str = "dunning";
/// How many contracts are looked at in one transaction.
const CHUNK: i64 = 200;

/// The rules of dunning of one scope.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetDunningPolicy {
    /// What they look at.
    pub scope: DunningScope,
    /// The stages, the mildest first: 1 to 10.
    pub stages: Vec<Stage>,
    /// Days to the first attempt to collect, and from each to the next: at most 20, at contracts only.
    #[serde(default)]
    pub ladder: Vec<u32>,
    /// Tags of a contract that suspend all effects: at most 20.
    #[serde(default)]
    pub suspending_tags: Vec<String>,
}

/// A policy of dunning.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DunningPolicyView {
    /// Its id.
    pub id: DunningPolicyId,
    /// What it looks at.
    pub scope: DunningScope,
    /// The stages, the mildest first.
    pub stages: Vec<Stage>,
    /// Days to the first attempt to collect, and from each to the next.
    pub ladder: Vec<u32>,
    /// Tags that suspend all effects.
    pub suspending_tags: Vec<String>,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// The case of a debtor.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DunningCaseView {
    /// What it is about.
    pub scope: DunningScope,
    /// The contract.
    pub contract_id: ContractId,
    /// The subscription, at that scope.
    pub subscription_id: Option<SubscriptionId>,
    /// Code of the stage; none before the first.
    pub stage: Option<String>,
    /// Whether a tag suspends the effects.
    pub suspended: bool,
    /// What is unpaid, minor units.
    pub unpaid_minor: i64,
    /// How many debits or lines are unpaid.
    pub unpaid_count: i32,
    /// The day of the oldest.
    pub unpaid_since_on: Option<NaiveDate>,
    /// When the stage was entered.
    pub entered_on: NaiveDate,
    /// The last day it was looked at.
    pub evaluated_on: NaiveDate,
    /// How many attempts to collect were called for.
    pub attempts: i32,
    /// The day of the next attempt, when the ladder has one.
    pub next_attempt_on: Option<NaiveDate>,
}

/// A step that dunning took.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DunningStepView {
    /// Its id.
    pub id: DunningStepId,
    /// What it is about.
    pub scope: DunningScope,
    /// The contract.
    pub contract_id: ContractId,
    /// The subscription, at that scope.
    pub subscription_id: Option<SubscriptionId>,
    /// The day it is about.
    pub on: NaiveDate,
    /// `entered`, `left`, `suspended`, `resumed`, `blocked`, `unblocked`, `cancel`, `cancel-withdrawn`, `notice` or
    /// `collect`.
    pub step: String,
    /// Which stage, block, notice or attempt; or when an end takes effect.
    pub detail: String,
    /// The change that ends a subscription, for `cancel` and `cancel-withdrawn`.
    pub change_id: Option<ChangeId>,
    /// When it was taken.
    pub created_at: DateTime<Utc>,
}

fn of_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(out_of_range)
}

fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(out_of_range)
}

fn policy_of(row: &PolicyRow) -> Result<Policy> {
    Ok(Policy {
        stages: of_json(&row.stages)?,
        ladder: of_json(&row.ladder)?,
        suspending_tags: of_json(&row.suspending_tags)?,
    })
}

fn policy_view(row: &PolicyRow) -> Result<DunningPolicyView> {
    Ok(DunningPolicyView {
        id: DunningPolicyId(row.id),
        scope: stored("dunning_policies.scope", &row.scope)?,
        stages: of_json(&row.stages)?,
        ladder: of_json(&row.ladder)?,
        suspending_tags: of_json(&row.suspending_tags)?,
        version: row.version,
        created_at: row.created_at,
    })
}

fn check(command: &SetDunningPolicy) -> Result<()> {
    let mut fields = Fields::default();
    if !(1..=10).contains(&command.stages.len()) {
        fields.refuse("/stages", "must be 1 to 10 stages, the mildest first");
    }
    let mut codes = BTreeSet::new();
    for (index, stage) in command.stages.iter().enumerate() {
        if !codes.insert(&stage.code) {
            fields.refuse(format!("/stages/{index}/code"), "stands twice");
        }
        if stage.when.unpaid_at_least_minor.is_some_and(|least| least < 1) {
            fields.refuse(format!("/stages/{index}/when/unpaid_at_least_minor"), "must be at least 1");
        }
        match stage.block.as_ref().map(BlockType::as_str) {
            Some(BlockType::CREDIT_LIMIT) => {
                fields.refuse(format!("/stages/{index}/block"), "belongs to the credit control; use another type");
            }
            Some(BlockType::ADMINISTRATIVE) => {
                fields.refuse(format!("/stages/{index}/block"), "is set by people alone; use another type");
            }
            _ => {}
        }
        fields.optional_text(&format!("/stages/{index}/notice"), stage.notice.as_deref(), 50);
    }
    if command.ladder.len() > 20 || command.ladder.iter().any(|days| *days > 366) {
        fields.refuse("/ladder", "must be at most 20 waits of at most 366 days");
    }
    if command.scope == DunningScope::Subscription && !command.ladder.is_empty() {
        fields.refuse("/ladder", "money is collected for contracts; give it to the policy of that scope");
    }
    if command.suspending_tags.len() > 20 {
        fields.refuse("/suspending_tags", "must be at most 20");
    }
    for tag in &command.suspending_tags {
        fields.text("/suspending_tags", tag, 50);
    }
    fields.finish()
}

/// The policies of a tenant by scope.
struct Policies(BTreeMap<DunningScope, Policy>);

async fn policies(tx: &mut Tx, tenant: Uuid) -> Result<Policies> {
    let mut found = BTreeMap::new();
    for row in rows::policies(tx, tenant).await? {
        found.insert(stored("dunning_policies.scope", &row.scope)?, policy_of(&row)?);
    }
    Ok(Policies(found))
}

/// What is known about an object that dunning looks at.
struct Subject {
    scope: DunningScope,
    contract: Uuid,
    object: Uuid,
    facts: Facts,
    today: NaiveDate,
}

/// What dunning did about an object that still stands.
struct Standing<'a> {
    case: Option<&'a CaseRow>,
    /// The ends that it scheduled and that wait.
    ends: Vec<&'a DunningRow>,
}

impl Subject {
    /// The ends that wait for it.
    fn its<'a>(&self, ends: &'a [DunningRow]) -> Vec<&'a DunningRow> {
        let object = |end: &DunningRow| match self.scope {
            DunningScope::Contract => end.contract_id,
            DunningScope::Subscription => end.subscription_id,
        };
        let of_scope = ends.iter().filter(|end| end.dunning_scope == self.scope.as_str());
        of_scope.filter(|end| object(end) == self.object).collect()
    }
}

/// A step, its detail and the change that it is about.
type Step<'a> = (&'a str, String, Option<Uuid>);

/// Debits less what was given back of those of their day; one of which nothing is left is none.
fn less_credits(debits: Vec<Debit>, mut credited: BTreeMap<NaiveDate, i64>) -> Vec<Debit> {
    let net = debits.into_iter().map(|(on, amount)| {
        let given = credited.get_mut(&on).map_or(0, |left| {
            let given = (*left).min(amount);
            *left -= given;
            given
        });
        (on, amount - given)
    });
    net.filter(|(_, amount)| *amount > 0).collect()
}

/// Gathers the facts about contracts and, when a policy asks for it, about their subscriptions.
async fn subjects(
    tx: &mut Tx,
    tenant: Uuid,
    policies: &Policies,
    contracts: &[Uuid],
    cases: &[CaseRow],
    today: impl Fn(&str) -> Result<NaiveDate>,
) -> Result<Vec<Subject>> {
    let monies = credit::money_of(tx, tenant, contracts.to_vec()).await?;
    let debtors: Vec<_> = monies.iter().filter(|money| money.balance_minor < 0).collect();
    let tags = rows::tags(tx, tenant, contracts.to_vec()).await?;
    let debits = rows::debits(tx, tenant, debtors.iter().map(|money| money.funds_account_id).collect()).await?;
    let owing: Vec<Uuid> = debtors.iter().map(|money| money.contract_id).collect();
    let credited = rows::credited(tx, tenant, owing).await?;
    let lines = if policies.0.contains_key(&DunningScope::Subscription) {
        rows::lines(tx, tenant, debtors.iter().map(|money| money.contract_id).collect()).await?
    } else {
        Vec::new()
    };
    let mut found = Vec::new();
    for money in &monies {
        let debt = money.balance_minor.min(0).checked_neg().ok_or_else(|| out_of_range("a debt is out of range"))?;
        let own_tags = tags.iter().find(|(contract, _)| *contract == money.contract_id);
        let own_tags: BTreeSet<String> = own_tags.map_or_else(|| Ok(BTreeSet::new()), |(_, text)| of_json(text))?;
        let today = today(&money.zone)?;
        if policies.0.contains_key(&DunningScope::Contract) {
            let of = debits.iter().filter(|(account, ..)| *account == money.funds_account_id);
            let newest: Vec<_> = of.map(|(_, on, amount)| (*on, *amount)).collect();
            let given = credited.iter().filter(|(contract, ..)| *contract == money.contract_id);
            let newest = less_credits(newest, given.map(|(_, on, amount)| (*on, *amount)).collect());
            let (count, since_on) = unpaid(debt, &newest);
            let facts = Facts { unpaid_minor: debt, count, since_on, tags: own_tags.clone() };
            let (contract, object) = (money.contract_id, money.contract_id);
            found.push(Subject { scope: DunningScope::Contract, contract, object, facts, today });
        }
        if policies.0.contains_key(&DunningScope::Subscription) {
            let of = lines.iter().filter(|(contract, ..)| *contract == money.contract_id);
            let newest: Vec<_> = of.map(|(_, of, on, amount)| (SubscriptionId(*of), *on, *amount)).collect();
            let mut parts = unpaid_by_subscription(debt, &newest);
            // A subscription that was paid has a case to be closed.
            for case in cases.iter().filter(|case| case.contract_id == money.contract_id) {
                if case.scope == DunningScope::Subscription.as_str() {
                    parts.entry(SubscriptionId(case.object_id)).or_insert((0, 0, today));
                }
            }
            for (subscription, (unpaid_minor, count, since_on)) in parts {
                let facts = Facts { unpaid_minor, count, since_on: Some(since_on), tags: own_tags.clone() };
                let (contract, object) = (money.contract_id, subscription.uuid());
                found.push(Subject { scope: DunningScope::Subscription, contract, object, facts, today });
            }
        }
    }
    Ok(found)
}

/// Looks at contracts whose funds accounts are locked, and makes stand what their stages ask for.
async fn look(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    policies: &Policies,
    contracts: &[Uuid],
    today: impl Fn(&str) -> Result<NaiveDate>,
) -> Result<()> {
    let cases = rows::cases_of(tx, tenant.0, contracts.to_vec()).await?;
    let ends = changes::of_dunning(tx, tenant.0, contracts.to_vec()).await?;
    for subject in subjects(tx, tenant.0, policies, contracts, &cases, today).await? {
        let Some(policy) = policies.0.get(&subject.scope) else { continue };
        let case = cases.iter().find(|case| case.object_id == subject.object && case.scope == subject.scope.as_str());
        if case.is_some() || subject.facts.unpaid_minor > 0 {
            let standing = Standing { case, ends: subject.its(&ends) };
            advance(altyn, tx, tenant, now, policy, &subject, standing).await?;
        }
    }
    Ok(())
}

/// Moves one case on.
async fn advance(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    policy: &Policy,
    subject: &Subject,
    standing: Standing<'_>,
) -> Result<()> {
    let Standing { case, ends } = standing;
    let Subject { scope, contract, object, facts, today } = subject;
    let before = case.and_then(|case| case.stage.as_deref());
    let assessment = policy.assess(before, facts, *today);
    let after = assessment.stage.map(|stage| stage.code.as_str());
    let was_suspended = case.is_some_and(|case| case.suspended);
    let mut steps: Vec<Step<'_>> = Vec::new();
    if before != after {
        steps.extend(before.map(|code| ("left", code.to_owned(), None)));
        steps.extend(after.map(|code| ("entered", code.to_owned(), None)));
    }
    if was_suspended != assessment.suspended {
        let step = if assessment.suspended { "suspended" } else { "resumed" };
        steps.push((step, after.unwrap_or_default().to_owned(), None));
    }
    let on = Object { contract: *contract, subscription: (*scope == DunningScope::Subscription).then_some(*object) };
    let wanted = assessment.block();
    let standing = block_rows::of_source(tx, tenant.0, *object, BlockSource::Dunning.as_str()).await?;
    for block in &standing {
        if wanted.is_none_or(|wanted| wanted.as_str() != block.block_type) {
            block_rows::lift(tx, tenant.0, block.id, now, BY_ITSELF, Some("dunning no longer asks for it")).await?;
            steps.push(("unblocked", block.block_type.clone(), None));
        }
    }
    if let Some(wanted) = wanted.filter(|wanted| standing.iter().all(|block| block.block_type != wanted.as_str())) {
        let comment = format!("unpaid since {}, stage {}", facts.since_on.unwrap_or(*today), after.unwrap_or_default());
        let new = NewBlock {
            on,
            block_type: wanted.as_str(),
            comment: &comment,
            source: BlockSource::Dunning,
            starts_at: now,
            ends_at: None,
            by: BY_ITSELF,
        };
        if blocks::set(altyn, tx, tenant, now, &new).await?.is_some() {
            steps.push(("blocked", wanted.to_string(), None));
        }
    }
    // Notices and ends belong to entering a stage; one that was entered while suspended does it when dunning goes on.
    let announced = before != after || was_suspended;
    end(altyn, tx, tenant, now, subject, (assessment.cancels(), announced), &ends, &mut steps).await?;
    if let Some(notice) = assessment.stage.and_then(|stage| stage.notice.as_ref())
        && announced
        && !assessment.suspended
    {
        steps.push(("notice", notice.clone(), None));
    }
    let opened_on = case.map_or(*today, |case| case.opened_on);
    let mut rung = case.map_or(0, |case| case.rung);
    if facts.unpaid_minor > 0 && !assessment.suspended {
        // Days that nobody looked at call for one attempt, not for one each.
        let due = |rung: i32| policy.attempt_on(opened_on, usize::try_from(rung).unwrap_or(usize::MAX));
        let before = rung;
        while due(rung).is_some_and(|due| due <= *today) {
            rung += 1;
        }
        if rung > before {
            steps.push(("collect", (rung - 1).to_string(), None));
        }
    }
    record(altyn, tx, tenant, now, subject, steps).await?;
    if facts.unpaid_minor <= 0 {
        return Ok(rows::case_close(tx, tenant.0, scope.as_str(), *object).await?);
    }
    let entered_on = if before == after { case.map_or(*today, |case| case.entered_on) } else { *today };
    let row = CaseRow {
        scope: scope.as_str().to_owned(),
        object_id: *object,
        contract_id: *contract,
        stage: after.map(str::to_owned),
        suspended: assessment.suspended,
        unpaid_minor: facts.unpaid_minor,
        unpaid_count: i32::try_from(facts.count).unwrap_or(i32::MAX),
        unpaid_since_on: facts.since_on,
        entered_on,
        evaluated_on: *today,
        rung,
        opened_on,
    };
    if case != Some(&row) {
        rows::case_save(tx, tenant.0, &row).await?;
    }
    Ok(())
}

/// Takes back the ends that wait and are not wished any more, and schedules those that entering a stage asks for.
#[expect(clippy::too_many_arguments, reason = "what is wished, what waits and where it is told")]
async fn end(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    subject: &Subject,
    (wanted, announced): (Option<Timing>, bool),
    waiting: &[&DunningRow],
    steps: &mut Vec<Step<'_>>,
) -> Result<()> {
    let mut kept = Vec::new();
    for end in waiting {
        if wanted.is_some_and(|wanted| wanted.as_str() == end.timing) {
            kept.push(end.subscription_id);
        } else if changes::withdraw(tx, tenant.0, end.id, "cancelled", "dunning no longer asks for it", now).await? {
            steps.push(("cancel-withdrawn", end.timing.clone(), Some(end.id)));
        }
    }
    let Some(timing) = wanted.filter(|_| announced) else { return Ok(()) };
    let from = next_day(subject.today).map_err(out_of_range)?;
    let subscription = (subject.scope == DunningScope::Subscription).then_some(subject.object);
    let ends = Ends { scope: subject.scope, contract: subject.contract, subscription, timing, from };
    let made = altyn.ends_schedule(tx, tenant.0, now, &ends, &kept).await?;
    steps.extend(made.into_iter().map(|change| ("cancel", timing.to_string(), Some(change))));
    Ok(())
}

/// Keeps the steps, and puts into the outbox what others have to do.
async fn record(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    subject: &Subject,
    steps: Vec<Step<'_>>,
) -> Result<()> {
    let contract = ContractId(subject.contract);
    for (step, detail, change_id) in steps {
        if matches!(step, "notice" | "collect") {
            let payload = serde_json::json!({
                "contract_id": contract,
                "subscription_id": (subject.scope == DunningScope::Subscription).then_some(SubscriptionId(subject.object)),
                "unpaid_minor": subject.facts.unpaid_minor,
                "unpaid_since_on": subject.facts.since_on,
                "on": subject.today,
                (step): detail,
            });
            let kind = format!("dunning.{step}");
            let (id, subject) = (altyn.ids.next(), contract.to_string());
            runs::outbox_insert(tx, tenant.0, id, &kind, &subject, &payload.to_string(), now).await?;
        }
        let row = StepRow {
            id: altyn.ids.next(),
            scope: subject.scope.as_str().to_owned(),
            object_id: subject.object,
            contract_id: subject.contract,
            on_date: subject.today,
            step: step.to_owned(),
            detail,
            change_id,
            created_at: now,
        };
        rows::step_insert(tx, tenant.0, &row).await?;
    }
    Ok(())
}

/// Looks at contracts that money arrived on, if they have cases; their funds accounts are locked.
pub(crate) async fn money_arrived(
    altyn: &Altyn,
    tx: &mut Tx,
    tenant: TenantId,
    now: DateTime<Utc>,
    contracts: &[Uuid],
) -> Result<()> {
    if rows::cases_of(tx, tenant.0, contracts.to_vec()).await?.is_empty() {
        return Ok(());
    }
    let policies = policies(tx, tenant.0).await?;
    let today = |zone: &str| Ok(local_date(now, stored::<Tz>("contracts.zone", zone)?));
    look(altyn, tx, tenant, now, &policies, contracts, today).await
}

fn subscription_of(scope: DunningScope, object: Uuid) -> Option<SubscriptionId> {
    (scope == DunningScope::Subscription).then_some(SubscriptionId(object))
}

impl Altyn {
    /// Sets the rules of a scope that has none.
    pub async fn dunning_policy_create(
        &self,
        request: &Request,
        command: SetDunningPolicy,
    ) -> Result<Reply<DunningPolicyView>> {
        check(&command)?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let row = PolicyRow {
            id: self.ids.next(),
            scope: command.scope.as_str().to_owned(),
            stages: to_json(&command.stages)?,
            ladder: to_json(&command.ladder)?,
            suspending_tags: to_json(&command.suspending_tags)?,
            version: 1,
            created_at: work.now,
        };
        if !rows::policy_insert(&mut work.tx, request.tenant.0, &row).await? {
            return Err(ServiceError::conflict(
                "duplicate-dunning-policy",
                "this scope has a policy of dunning already; replace that one",
            ));
        }
        let view = policy_view(&row)?;
        work.finish(201, view).await
    }

    /// Replaces the rules of a scope; cases follow when they are looked at next.
    pub async fn dunning_policy_replace(
        &self,
        request: &Request,
        id: DunningPolicyId,
        if_match: i64,
        command: SetDunningPolicy,
    ) -> Result<Reply<DunningPolicyView>> {
        check(&command)?;
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let found = rows::policies(&mut work.tx, request.tenant.0).await?;
        let mut row =
            found.into_iter().find(|row| row.id == id.uuid()).ok_or(ServiceError::NotFound("dunning policy"))?;
        if row.scope != command.scope.as_str() {
            return Err(ServiceError::invalid("/scope", format!("is {} for ever", row.scope)));
        }
        row.stages = to_json(&command.stages)?;
        row.ladder = to_json(&command.ladder)?;
        row.suspending_tags = to_json(&command.suspending_tags)?;
        if !rows::policy_update(&mut work.tx, request.tenant.0, &row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        row.version = if_match + 1;
        let view = policy_view(&row)?;
        work.finish(200, view).await
    }

    /// The policies of dunning, one a scope.
    pub async fn dunning_policy_list(&self, request: &Request) -> Result<Listed<DunningPolicyView>> {
        let mut tx = self.read(request).await?;
        let found = rows::policies(&mut tx, request.tenant.0).await?;
        let data = found.iter().map(policy_view).collect::<Result<Vec<_>>>()?;
        Ok(Listed { data, has_more: false, next_cursor: None })
    }

    /// One policy.
    pub async fn dunning_policy_get(&self, request: &Request, id: DunningPolicyId) -> Result<DunningPolicyView> {
        let mut tx = self.read(request).await?;
        let found = rows::policies(&mut tx, request.tenant.0).await?;
        policy_view(found.iter().find(|row| row.id == id.uuid()).ok_or(ServiceError::NotFound("dunning policy"))?)
    }

    /// A page of the cases of a scope.
    pub async fn dunning_case_list(
        &self,
        request: &Request,
        scope: DunningScope,
        page: &Page,
    ) -> Result<Listed<DunningCaseView>> {
        let (limit, after) = match scope {
            DunningScope::Contract => page.bounds::<ContractId>()?,
            DunningScope::Subscription => page.bounds::<SubscriptionId>()?,
        };
        let mut tx = self.read(request).await?;
        let policy = policies(&mut tx, request.tenant.0).await?.0.remove(&scope).unwrap_or_default();
        let found = rows::cases(&mut tx, request.tenant.0, scope.as_str(), after, limit).await?;
        let cursor = |row: &CaseRow| match scope {
            DunningScope::Contract => ContractId(row.object_id).to_string(),
            DunningScope::Subscription => SubscriptionId(row.object_id).to_string(),
        };
        Ok(page.listed(found, cursor, |row| DunningCaseView {
            scope,
            contract_id: ContractId(row.contract_id),
            subscription_id: subscription_of(scope, row.object_id),
            stage: row.stage,
            suspended: row.suspended,
            unpaid_minor: row.unpaid_minor,
            unpaid_count: row.unpaid_count,
            unpaid_since_on: row.unpaid_since_on,
            entered_on: row.entered_on,
            evaluated_on: row.evaluated_on,
            attempts: row.rung,
            next_attempt_on: policy.attempt_on(row.opened_on, usize::try_from(row.rung).unwrap_or(usize::MAX)),
        }))
    }

    /// A page of the steps that dunning took with a contract, oldest first.
    pub async fn dunning_step_list(
        &self,
        request: &Request,
        contract: ContractId,
        page: &Page,
    ) -> Result<Listed<DunningStepView>> {
        let (limit, after) = page.bounds::<DunningStepId>()?;
        let mut tx = self.read(request).await?;
        money_of(&mut tx, request.tenant.0, contract.uuid()).await?;
        let found = rows::steps(&mut tx, request.tenant.0, contract.uuid(), after, limit).await?;
        let view = |row: StepRow| {
            let scope = stored("dunning_steps.scope", &row.scope)?;
            Ok(DunningStepView {
                id: DunningStepId(row.id),
                scope,
                contract_id: contract,
                subscription_id: subscription_of(scope, row.object_id),
                on: row.on_date,
                step: row.step,
                detail: row.detail,
                change_id: row.change_id.map(ChangeId),
                created_at: row.created_at,
            })
        };
        page.listed(found, |row| DunningStepId(row.id).to_string(), view).try_data()
    }

    /// Has all debtors looked at after a day was closed, when the tenant has rules for it.
    pub(crate) async fn dunning_enqueue(&self, tenant: TenantId, on: NaiveDate) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.db.write(Scope::Tenant(tenant.0)).await?;
        if !rows::policies(&mut tx, tenant.0).await?.is_empty() {
            let day = on.to_string();
            jobs::put(&mut tx, tenant.0, self.ids.next(), DUNNING_JOB, &day, &day, now, now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Looks at everybody who owes something, and at all cases, at the close of a day.
    pub async fn dunning_day(&self, tenant: TenantId, on: NaiveDate) -> Result<()> {
        let scope = Scope::Tenant(tenant.0);
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.db.write(scope).await?;
            let policies = policies(&mut tx, tenant.0).await?;
            let contracts = rows::subjects(&mut tx, tenant.0, after, CHUNK).await?;
            let Some(last) = contracts.last().copied() else { return Ok(()) };
            let monies = credit::money_of(&mut tx, tenant.0, contracts.clone()).await?;
            credit::lock(&mut tx, tenant.0, monies.iter().map(|money| money.funds_account_id).collect()).await?;
            look(self, &mut tx, tenant, self.clock.now(), &policies, &contracts, |_| Ok(on)).await?;
            tx.commit().await?;
            after = last;
        }
    }
}
