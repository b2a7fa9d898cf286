//! Credit policies, where a contract stands among others, what it may spend, and the credit control at the close of a day.
//!
//! Owns the decision to block and to unblock all contracts of a tenant once a day. A tenant that sets no limit at any level
//! has no credit control. Invariant: after the close of a day a contract with a limit is blocked exactly when it may spend
//! less than nothing. Closing a day twice changes nothing; a close that stopped goes on behind its checkpoint.

use std::collections::BTreeMap;

use altyn_domain::{
    block::{BlockSource, BlockType},
    calendar::instant_of,
    credit::{Control, DEEPEST, LimitSource, PolicyScope, control, transferable},
    id::{ContractId, CreditPolicyId, Id as _, TenantId},
    money::{Currency, Money},
};
use altyn_store::{
    Scope, Tx, blocks,
    blocks::BlockRow,
    credit as rows,
    credit::{ControlRow, MisfitRow, PolicyRow},
};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    blocks::BY_ITSELF,
    context::{Altyn, Begun, Reply, Request},
    contracts::LARGEST_CREDIT_LIMIT_MINOR,
    error::{Fields, Result, ServiceError, stored},
    funds::MOST_BELOW,
    page::{Listed, Page},
    promises::{money_of, out_of_range},
    tenants,
};

/// How many contracts are decided about at once.
const CHUNK: i64 = 20_000;

/// A policy: what its level allows in one currency.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCreditPolicy {
    /// The level: the whole tenant, a sales channel or a group.
    pub scope: PolicyScope,
    /// The channel's or group's code, 1 to 64 characters; absent for the tenant.
    pub code: Option<String>,
    /// ISO 4217 code; the tenant's when absent.
    pub currency: Option<String>,
    /// What it allows.
    pub allowed: CreditAllowance,
}

/// What a level allows; what is absent is left to the level above: group, channel, tenant.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditAllowance {
    /// How far a contract may go into debt, minor units. A contract without a limit at any level is not controlled.
    pub credit_limit_minor: Option<i64>,
    /// For how many days a new block of the credit control is postponed, 0 to 365.
    pub deferral_days: Option<i32>,
    /// The most that active promised payments of a contract may come to, minor units; promises are not given without it.
    pub promise_most_minor: Option<i64>,
    /// The most days a promise lasts, 1 to 366; 7 when absent.
    pub promise_days: Option<i32>,
    /// What a promise costs, minor units; nothing when absent.
    pub promise_fee_minor: Option<i64>,
    /// The most promises in a calendar month; no limit when absent.
    pub promises_per_month: Option<i32>,
    /// The most promises that are active at once; 1 when absent.
    pub promises_at_once: Option<i32>,
}

/// A credit policy.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreditPolicyView {
    /// Its id.
    pub id: CreditPolicyId,
    /// The level.
    pub scope: PolicyScope,
    /// The channel's or group's code; absent for the tenant.
    pub code: Option<String>,
    /// ISO 4217 code.
    pub currency: String,
    /// What it allows.
    pub allowed: CreditAllowance,
    /// Version of the object, for `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// Where a contract stands among others; what is absent is cleared.
#[derive(Clone, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetContractControl {
    /// Code of its group; a policy of that group must exist.
    pub group: Option<String>,
    /// Code of the sales channel it came through; a policy of that channel must exist.
    pub channel: Option<String>,
    /// Whether the contract's own limit counts even when it is zero.
    pub own_limit: Option<bool>,
    /// The contract above it, whose top-ups cover its debts.
    pub parent_id: Option<ContractId>,
    /// Its turn among the contracts below the same one, the lower the earlier; 0 when absent.
    pub priority: Option<i32>,
    /// Words that rules look at, for example one that suspends dunning: at most 20 of at most 50 characters.
    pub tags: Option<Vec<String>>,
}

/// Where a contract stands among others.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ContractControlView {
    /// The contract.
    pub contract_id: ContractId,
    /// Its group.
    pub group: Option<String>,
    /// Its sales channel.
    pub channel: Option<String>,
    /// Whether its own limit counts even when it is zero.
    pub own_limit: bool,
    /// The contract above it.
    pub parent_id: Option<ContractId>,
    /// Its turn among the contracts below the same one.
    pub priority: i32,
    /// Words that rules look at.
    pub tags: Vec<String>,
    /// Version of the object, for `If-Match`; 0 while nothing was set.
    pub version: i64,
}

/// What a contract may spend, and why.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ContractCreditView {
    /// The contract.
    pub contract_id: ContractId,
    /// ISO 4217 code.
    pub currency: String,
    /// What the customer has, minor units; below zero is a debt.
    pub balance_minor: i64,
    /// Sum of active promised payments.
    pub promised_minor: i64,
    /// The limit in effect; 0 when none is set.
    pub credit_limit_minor: i64,
    /// The level it comes from; absent when no level sets one, and then the contract is not controlled.
    pub limit_source: Option<LimitSource>,
    /// Reserved for paid orders.
    pub blocked_minor: i64,
    /// What may be spent: balance + promised + limit − blocked.
    pub available_minor: i64,
    /// What may be moved to another contract: money that is not reserved.
    pub transferable_minor: i64,
    /// For how many days a new block of the credit control is postponed.
    pub deferral_days: i32,
}

fn check_allowance(fields: &mut Fields, at: &str, allowed: &CreditAllowance) {
    let amounts = [
        ("/credit_limit_minor", allowed.credit_limit_minor, 0),
        ("/promise_most_minor", allowed.promise_most_minor, 1),
        ("/promise_fee_minor", allowed.promise_fee_minor, 0),
    ];
    for (pointer, amount, least) in amounts {
        if amount.is_some_and(|amount| !(least..=LARGEST_CREDIT_LIMIT_MINOR).contains(&amount)) {
            fields
                .refuse(format!("{at}{pointer}"), format!("must be between {least} and {LARGEST_CREDIT_LIMIT_MINOR}"));
        }
    }
    let counts = [
        ("/deferral_days", allowed.deferral_days, 0, 365),
        ("/promise_days", allowed.promise_days, 1, 366),
        ("/promises_per_month", allowed.promises_per_month, 1, 1_000),
        ("/promises_at_once", allowed.promises_at_once, 1, 100),
    ];
    for (pointer, count, least, most) in counts {
        if count.is_some_and(|count| !(least..=most).contains(&count)) {
            fields.refuse(format!("{at}{pointer}"), format!("must be between {least} and {most}"));
        }
    }
    if allowed.promise_most_minor.is_none()
        && (allowed.promise_days.is_some()
            || allowed.promise_fee_minor.is_some()
            || allowed.promises_per_month.is_some()
            || allowed.promises_at_once.is_some())
    {
        fields.refuse(
            format!("{at}/promise_most_minor"),
            "is missing: the terms of promises go together with the most they come to",
        );
    }
}

fn policy_row(
    id: Uuid,
    scope: PolicyScope,
    code: String,
    currency: String,
    allowed: &CreditAllowance,
    now: DateTime<Utc>,
) -> PolicyRow {
    PolicyRow {
        id,
        scope: scope.as_str().to_owned(),
        code,
        currency,
        credit_limit_minor: allowed.credit_limit_minor,
        deferral_days: allowed.deferral_days,
        promise_most_minor: allowed.promise_most_minor,
        promise_days: allowed.promise_days,
        promise_fee_minor: allowed.promise_fee_minor,
        promises_per_month: allowed.promises_per_month,
        promises_at_once: allowed.promises_at_once,
        version: 1,
        created_at: now,
    }
}

fn policy_view(row: PolicyRow) -> Result<CreditPolicyView> {
    Ok(CreditPolicyView {
        id: CreditPolicyId(row.id),
        scope: stored("credit_policies.scope", &row.scope)?,
        code: Some(row.code).filter(|code| !code.is_empty()),
        currency: row.currency,
        allowed: CreditAllowance {
            credit_limit_minor: row.credit_limit_minor,
            deferral_days: row.deferral_days,
            promise_most_minor: row.promise_most_minor,
            promise_days: row.promise_days,
            promise_fee_minor: row.promise_fee_minor,
            promises_per_month: row.promises_per_month,
            promises_at_once: row.promises_at_once,
        },
        version: row.version,
        created_at: row.created_at,
    })
}

fn control_view(row: ControlRow) -> Result<ContractControlView> {
    Ok(ContractControlView {
        contract_id: ContractId(row.contract_id),
        group: row.group_code,
        channel: row.channel_code,
        own_limit: row.own_limit,
        parent_id: row.parent_id.map(ContractId),
        priority: row.priority,
        tags: serde_json::from_str(&row.tags).map_err(out_of_range)?,
        version: row.version,
    })
}

fn control_of(row: Option<ControlRow>, contract: Uuid) -> ControlRow {
    row.unwrap_or_else(|| ControlRow {
        contract_id: contract,
        group_code: None,
        channel_code: None,
        own_limit: false,
        parent_id: None,
        priority: 0,
        tags: "[]".to_owned(),
        version: 0,
    })
}

/// Refuses a parent that would close a circle, deepen the hierarchy too much or hold another currency.
async fn check_parent(tx: &mut Tx, tenant: Uuid, contract: Uuid, parent: Uuid, fields: &mut Fields) -> Result<()> {
    let pointer = "/parent_id";
    let Some(above) = rows::money(tx, tenant, parent).await? else {
        fields.refuse(pointer, "there is no such contract");
        return Ok(());
    };
    let own = money_of(tx, tenant, contract).await?;
    if above.currency != own.currency {
        fields.refuse(pointer, format!("is in {}, this contract is in {}", above.currency, own.currency));
    }
    let ancestors = rows::above(tx, tenant, parent).await?;
    if parent == contract || ancestors.contains(&contract) {
        fields.refuse(pointer, "stands below this contract; a hierarchy has no circles");
        return Ok(());
    }
    let deepest = DEEPEST.cast_signed();
    let below = rows::below(tx, tenant, contract, deepest + 1, MOST_BELOW + 1).await?;
    let height = usize::try_from(below.iter().map(|row| row.depth).max().unwrap_or(0)).unwrap_or(0);
    if ancestors.len() + 1 + height > usize::try_from(deepest).unwrap_or(0) {
        fields.refuse(pointer, format!("makes the hierarchy deeper than {deepest} levels"));
    }
    let root = ancestors.last().copied().unwrap_or(parent);
    let family = rows::below(tx, tenant, root, deepest, MOST_BELOW + 1).await?;
    if i64::try_from(family.len() + below.len() + 1).unwrap_or(i64::MAX) > MOST_BELOW {
        fields.refuse(pointer, format!("puts more than {MOST_BELOW} contracts below one"));
    }
    Ok(())
}

impl Altyn {
    /// Creates the policy of a level in a currency; a level has one.
    pub async fn credit_policy_create(
        &self,
        request: &Request,
        command: CreateCreditPolicy,
    ) -> Result<Reply<CreditPolicyView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let tenant = tenants::acting(&mut work.tx, request).await?;
        let mut fields = Fields::default();
        check_allowance(&mut fields, "/allowed", &command.allowed);
        let currency = command.currency.unwrap_or(tenant.currency);
        fields.take("/currency", Currency::parse(&currency));
        match (command.scope, &command.code) {
            (PolicyScope::Tenant, Some(_)) => fields.refuse("/code", "the tenant's own policy has no code"),
            (PolicyScope::Tenant, None) => {}
            (_, code) => fields.text("/code", code.as_deref().unwrap_or_default(), 64),
        }
        fields.finish()?;
        let code = command.code.unwrap_or_default();
        let row = policy_row(self.ids.next(), command.scope, code, currency, &command.allowed, work.now);
        if !rows::policy_insert(&mut work.tx, request.tenant.0, &row).await? {
            return Err(ServiceError::conflict(
                "duplicate-credit-policy",
                "this level has a policy in this currency already; change that one",
            ));
        }
        let view = policy_view(row)?;
        work.finish(201, view).await
    }

    /// Replaces what a policy allows; what is absent is cleared.
    pub async fn credit_policy_update(
        &self,
        request: &Request,
        id: CreditPolicyId,
        if_match: i64,
        command: CreditAllowance,
    ) -> Result<Reply<CreditPolicyView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let found = rows::policy_find(&mut work.tx, request.tenant.0, id.uuid()).await?;
        let found = found.ok_or(ServiceError::NotFound("credit policy"))?;
        let mut fields = Fields::default();
        check_allowance(&mut fields, "", &command);
        fields.finish()?;
        let scope = stored("credit_policies.scope", &found.scope)?;
        let mut row = policy_row(found.id, scope, found.code, found.currency, &command, found.created_at);
        if !rows::policy_update(&mut work.tx, request.tenant.0, &row, if_match).await? {
            return Err(ServiceError::Stale);
        }
        row.version = if_match + 1;
        let view = policy_view(row)?;
        work.finish(200, view).await
    }

    /// One policy.
    pub async fn credit_policy_get(&self, request: &Request, id: CreditPolicyId) -> Result<CreditPolicyView> {
        let mut tx = self.read(request).await?;
        let row = rows::policy_find(&mut tx, request.tenant.0, id.uuid()).await?;
        policy_view(row.ok_or(ServiceError::NotFound("credit policy"))?)
    }

    /// A page of policies, oldest first.
    pub async fn credit_policy_list(&self, request: &Request, page: &Page) -> Result<Listed<CreditPolicyView>> {
        let (limit, after) = page.bounds::<CreditPolicyId>()?;
        let mut tx = self.read(request).await?;
        let found = rows::policy_list(&mut tx, request.tenant.0, after, limit).await?;
        page.listed(found, |row| CreditPolicyId(row.id).to_string(), policy_view).try_data()
    }

    /// Where a contract stands among others.
    pub async fn contract_control_get(&self, request: &Request, id: ContractId) -> Result<ContractControlView> {
        let mut tx = self.read(request).await?;
        money_of(&mut tx, request.tenant.0, id.uuid()).await?;
        control_view(control_of(rows::control_find(&mut tx, request.tenant.0, id.uuid()).await?, id.uuid()))
    }

    /// Sets where a contract stands among others: group, channel, hierarchy, tags.
    pub async fn contract_control_set(
        &self,
        request: &Request,
        id: ContractId,
        if_match: i64,
        command: SetContractControl,
    ) -> Result<Reply<ContractControlView>> {
        let mut work = match self.begin(request).await? {
            Begun::Replay(reply) => return Ok(reply),
            Begun::Work(work) => work,
        };
        let (tenant, now, tx) = (request.tenant.0, work.now, &mut work.tx);
        money_of(tx, tenant, id.uuid()).await?;
        let mut fields = Fields::default();
        for (pointer, scope, code) in [
            ("/group", PolicyScope::Group, command.group.as_deref()),
            ("/channel", PolicyScope::Channel, command.channel.as_deref()),
        ] {
            if let Some(code) = code
                && !rows::code_exists(tx, tenant, scope.as_str(), code).await?
            {
                fields.refuse(pointer, format!("there is no {scope} with this code; create its credit policy first"));
            }
        }
        let mut tags = command.tags.unwrap_or_default();
        tags.sort();
        tags.dedup();
        if tags.len() > 20 {
            fields.refuse("/tags", "must be at most 20");
        }
        for tag in &tags {
            fields.text("/tags", tag, 50);
        }
        if let Some(parent) = command.parent_id {
            rows::hierarchy_lock(tx, tenant).await?;
            check_parent(tx, tenant, id.uuid(), parent.uuid(), &mut fields).await?;
        }
        fields.finish()?;
        let row = ControlRow {
            contract_id: id.uuid(),
            group_code: command.group,
            channel_code: command.channel,
            own_limit: command.own_limit.unwrap_or(false),
            parent_id: command.parent_id.map(ContractId::uuid),
            priority: command.priority.unwrap_or(0),
            tags: serde_json::to_string(&tags).map_err(out_of_range)?,
            version: if_match + 1,
        };
        let before = rows::control_find(tx, tenant, id.uuid()).await?.map_or(0, |row| row.version);
        if before != if_match || !rows::control_save(tx, tenant, &row, if_match, now).await? {
            return Err(ServiceError::Stale);
        }
        let view = control_view(row)?;
        work.finish(200, view).await
    }

    /// What a contract may spend, and why.
    pub async fn contract_credit(&self, request: &Request, id: ContractId) -> Result<ContractCreditView> {
        let mut tx = self.read(request).await?;
        let row = money_of(&mut tx, request.tenant.0, id.uuid()).await?;
        let currency: Currency = stored("contracts.currency", &row.currency)?;
        let free = transferable(Money::new(row.balance_minor, currency), Money::new(row.blocked_minor, currency));
        Ok(ContractCreditView {
            contract_id: id,
            balance_minor: row.balance_minor,
            promised_minor: row.promised_minor,
            credit_limit_minor: row.limit_minor.unwrap_or(0),
            limit_source: row.limit_source.as_deref().map(|text| stored("limit_source", text)).transpose()?,
            blocked_minor: row.blocked_minor,
            available_minor: row.available_minor,
            transferable_minor: free.map_err(out_of_range)?.minor,
            deferral_days: row.deferral_days,
            currency: row.currency,
        })
    }

    /// The credit control at the close of a day: blocks contracts that may spend less than nothing and unblocks the others.
    ///
    /// Works through the contracts in their order, a chunk a transaction; a day that is done is left alone.
    pub async fn credit_day_close(&self, tenant: TenantId, on: NaiveDate) -> Result<()> {
        let scope = Scope::Tenant(tenant.0);
        let mut tx = self.db.read(scope).await?;
        if !rows::controlled(&mut tx, tenant.0).await? {
            return Ok(());
        }
        drop(tx);
        let now = self.clock.now();
        self.promises_expire(tenant, now).await?;
        let mut tx = self.db.write(scope).await?;
        rows::day_open(&mut tx, tenant.0, on, now).await?;
        tx.commit().await?;
        loop {
            let mut tx = self.db.write(scope).await?;
            let day = rows::day_find(&mut tx, tenant.0, on).await?;
            let day = day.ok_or_else(|| ServiceError::Internal("the credit control of a day vanished".into()))?;
            if day.finished_at.is_some() {
                return Ok(());
            }
            let after = day.cursor.unwrap_or(Uuid::nil());
            let end = rows::chunk_end(&mut tx, tenant.0, after, CHUNK).await?;
            let found = rows::misfits(&mut tx, tenant.0, after, end.unwrap_or(Uuid::max())).await?;
            // Money may be arriving: what is decided is decided on accounts that nobody moves.
            rows::lock(&mut tx, tenant.0, found.iter().map(|row| row.funds_account_id).collect()).await?;
            let ids = found.iter().map(|row| row.contract_id).collect();
            let found = rows::misfits_of(&mut tx, tenant.0, ids).await?;
            let (blocked, lifted) = self.decide(&mut tx, tenant, on, now, &found).await?;
            let finished = end.is_none().then_some(now);
            let (cursor, blocked, lifted) = (end.or(day.cursor), blocked.cast_signed(), lifted.cast_signed());
            let moved =
                rows::day_advance(&mut tx, tenant.0, on, day.version, cursor, blocked, lifted, finished).await?;
            // Another host was faster: its decision stands and this one is thrown away.
            if moved {
                tx.commit().await?;
            } else {
                tx.rollback().await?;
            }
        }
    }

    /// Blocks and unblocks; answers how many of each.
    async fn decide(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        on: NaiveDate,
        now: DateTime<Utc>,
        found: &[MisfitRow],
    ) -> Result<(u64, u64)> {
        let mut lift = Vec::new();
        let mut set: BTreeMap<DateTime<Utc>, Vec<BlockRow>> = BTreeMap::new();
        for row in found {
            let currency: Currency = stored("contracts.currency", &row.currency)?;
            let deferral = u32::try_from(row.deferral_days).unwrap_or(0);
            let available = Money::new(row.available_minor, currency);
            // Whatever was found without a block has a limit.
            match control(available, row.block_id.is_none(), row.block_id.is_some(), on, deferral) {
                Control::Keep => {}
                Control::Lift => lift.extend(row.block_id),
                Control::Block { from } => {
                    let zone: Tz = stored("contracts.zone", &row.zone)?;
                    let starts_at = instant_of(from, NaiveTime::MIN, zone).max(now);
                    let debt = available.neg().map_err(out_of_range)?;
                    set.entry(starts_at).or_default().push(BlockRow {
                        id: self.ids.next(),
                        contract_id: row.contract_id,
                        subscription_id: None,
                        block_type: BlockType::CREDIT_LIMIT.to_owned(),
                        comment: format!("{debt} beyond the limit at the close of {on}"),
                        source: BlockSource::CreditControl.as_str().to_owned(),
                        starts_at,
                        ends_at: None,
                        lifted_at: None,
                        lift_comment: None,
                        set_by: BY_ITSELF.to_owned(),
                        lifted_by: None,
                        version: 1,
                        created_at: now,
                    });
                }
            }
        }
        let mut blocked = 0;
        for rows in set.values() {
            blocked += blocks::insert_all(tx, tenant.0, rows).await?;
        }
        let comment = format!("within the limit at the close of {on}");
        let lifted = blocks::lift_all(tx, tenant.0, lift, now, BY_ITSELF, &comment).await?;
        Ok((blocked, lifted))
    }
}
