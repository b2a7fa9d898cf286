//! Rehearsing the next run: its plans by what decides now and by a candidate, compared in money; nothing is saved.
//!
//! Owns the comparison. Both sides read the same rows in the same chunk, so that they differ by their answers alone.
//! Invariants: an unchanged component is identical in every line; nothing is written; memory is bounded by the chunk and the
//! contracts that are shown, whatever the number of contracts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use altyn_domain::{
    calendar::local_date,
    id::{BindingId, ContractId, Id as _},
    money::Currency,
    run::{ContractPlan, RunMode, RunState, difference},
};
use altyn_runtime::World;
use altyn_store::{contracts, runs as rows, tenants};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    ask::Fault,
    compute::{Computed, Inputs, Planned, compute},
    write::Action,
};
use crate::{
    bindings::Bound,
    context::{Altyn, Request},
    error::{Result, ServiceError, stored},
    explain::{ShadowCandidate, ShadowReason, minor, percent},
    plugins::blocking,
};

/// How many contracts a report lists.
const SHOWN_CONTRACTS: usize = 100;
/// How many differences of one contract a report tells.
const SHOWN_DIFFERENCES: usize = 10;

/// Which run is rehearsed, and how the candidate is configured.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NextRunOptions {
    /// The day that the run closes; the day after the last run, or today, when absent.
    pub on: Option<NaiveDate>,
    /// Configuration for the candidate, JSON text; that of the binding when absent.
    pub config: Option<String>,
}

/// What the run bills in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NextRunTotal {
    /// ISO 4217 code.
    pub currency: String,
    /// Gross of the plans by the present component, minor units.
    pub present_minor: i64,
    /// Gross of the plans by the candidate; what it parks bills nothing.
    pub candidate_minor: i64,
    /// More to pay is positive.
    pub difference_minor: i64,
    /// Tax in the plans by the present component, minor units.
    pub present_tax_minor: i64,
    /// Tax in the plans by the candidate.
    pub candidate_tax_minor: i64,
}

/// How many contracts differ in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NextRunCount {
    /// The way.
    pub reason: ShadowReason,
    /// How many contracts.
    pub contracts: i64,
}

/// What the run does otherwise for one contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NextRunContract {
    /// The contract.
    pub contract_id: ContractId,
    /// Its number.
    pub number: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Gross by the present component, minor units; absent when it parks the contract.
    pub present_minor: Option<i64>,
    /// Gross by the candidate; absent when it parks the contract.
    pub candidate_minor: Option<i64>,
    /// More to pay is positive.
    pub difference_minor: i64,
    /// More tax in it is positive.
    pub tax_difference_minor: i64,
    /// How the plans differ.
    pub reason: ShadowReason,
    /// Up to ten differences in words, or why there is no plan.
    pub differences: Vec<String>,
}

/// What the next run would do otherwise by a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NextRunReport {
    /// The binding.
    pub binding_id: BindingId,
    /// Its world.
    pub world: String,
    /// SHA-256 of the candidate.
    pub candidate: String,
    /// What the candidate calls itself, and its version.
    pub candidate_name: String,
    /// The day that the run closes.
    pub business_on: NaiveDate,
    /// Contracts with something due.
    pub contracts: i64,
    /// Contracts that the present component parks.
    pub present_parked: i64,
    /// Contracts that the candidate parks.
    pub candidate_parked: i64,
    /// Lines of the plans by the present component.
    pub lines: i64,
    /// Those of them that are the same by the candidate.
    pub identical_lines: i64,
    /// Per cent of lines that are the same, two decimals, cut off: 100.00 means all of them.
    pub identical_percent: String,
    /// Contracts that differ, by the way they do.
    pub reasons: Vec<NextRunCount>,
    /// In money, by currency.
    pub totals: Vec<NextRunTotal>,
    /// How many contracts differ.
    pub contracts_different: i64,
    /// Up to 100 of them, the largest difference first, and of equal ones that with the largest difference in tax.
    pub worst: Vec<NextRunContract>,
}

/// What one side makes of a contract.
enum Side {
    Planned(Box<Planned>),
    Parked(Fault),
    /// Nothing but periods that wait for money, as before.
    Waiting,
}

/// Gross and tax of both sides.
#[derive(Default)]
struct Sums {
    present: (i128, i128),
    candidate: (i128, i128),
}

/// What grows while contracts are compared.
#[derive(Default)]
struct Tally {
    reasons: BTreeMap<ShadowReason, i64>,
    sums: BTreeMap<Currency, Sums>,
    worst: Vec<NextRunContract>,
}

impl Side {
    fn gross(&self) -> Option<i64> {
        match self {
            Self::Planned(planned) => Some(planned.plan.totals.gross.minor),
            Self::Waiting => Some(0),
            Self::Parked(_) => None,
        }
    }

    /// Gross and tax of what is billed; nothing when it is parked.
    fn billed(&self) -> (i128, i128) {
        match self {
            Self::Planned(planned) => {
                (i128::from(planned.plan.totals.gross.minor), i128::from(planned.plan.totals.tax.minor))
            }
            Self::Parked(_) | Self::Waiting => (0, 0),
        }
    }

    fn currency(&self) -> Option<Currency> {
        match self {
            Self::Planned(planned) => Some(planned.currency),
            Self::Parked(_) | Self::Waiting => None,
        }
    }

    fn lines(&self) -> usize {
        match self {
            Self::Planned(planned) => planned.plan.lines.len(),
            Self::Parked(_) | Self::Waiting => 0,
        }
    }
}

fn sides(computed: Computed) -> BTreeMap<Uuid, Side> {
    let planned = computed.planned.into_iter().map(|plan| (plan.contract, Side::Planned(Box::new(plan))));
    let parked = computed.parked.into_iter().map(|parked| (parked.contract, Side::Parked(parked.fault)));
    planned.chain(parked).collect()
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// How two plans differ, if they do; who decided is no difference.
fn plans_differ(present: &ContractPlan, candidate: &ContractPlan) -> Option<(ShadowReason, Vec<String>)> {
    let candidate = ContractPlan { plugins: present.plugins.clone(), ..candidate.clone() };
    if *present == candidate {
        return None;
    }
    let amounts = |plan: &ContractPlan| plan.lines.iter().map(|line| (line.amount, line.gross)).collect::<Vec<_>>();
    let taxes = |plan: &ContractPlan| {
        plan.lines.iter().map(|line| (line.tax, line.tax_code.clone(), line.tax_rate)).collect::<Vec<_>>()
    };
    let reason = if amounts(present) != amounts(&candidate) {
        ShadowReason::OtherSum
    } else if taxes(present) != taxes(&candidate) {
        ShadowReason::OtherTax
    } else {
        ShadowReason::OtherText
    };
    Some((reason, difference(present, &candidate)))
}

fn of_fault(fault: &Fault) -> ShadowReason {
    if fault.code.starts_with("plugin-") { ShadowReason::Fault } else { ShadowReason::Refused }
}

fn told(who: &str, fault: &Fault) -> Vec<String> {
    vec![format!("{who} parks it: {}: {}", fault.code, fault.reason.chars().take(500).collect::<String>())]
}

impl Tally {
    /// Compares two chunks that were computed from the same rows.
    fn compare(&mut self, present: Computed, candidate: Computed, report: &mut NextRunReport) {
        let (mut presents, mut candidates) = (sides(present), sides(candidate));
        // Who can pay by one component only waits for money by the other.
        let contracts: BTreeSet<Uuid> = presents.keys().chain(candidates.keys()).copied().collect();
        for contract in contracts {
            let present = presents.remove(&contract).unwrap_or(Side::Waiting);
            let candidate = candidates.remove(&contract).unwrap_or(Side::Waiting);
            report.contracts += 1;
            report.lines += count(present.lines());
            report.present_parked += i64::from(present.gross().is_none());
            report.candidate_parked += i64::from(candidate.gross().is_none());
            if let Some(currency) = present.currency().or_else(|| candidate.currency()) {
                let sum = self.sums.entry(currency).or_default();
                for (sum, (gross, tax)) in
                    [(&mut sum.present, present.billed()), (&mut sum.candidate, candidate.billed())]
                {
                    *sum = (sum.0 + gross, sum.1 + tax);
                }
            }
            let found = match (&present, &candidate) {
                (Side::Planned(present), Side::Planned(candidate)) => {
                    let (left, right) = (&present.plan.lines, &candidate.plan.lines);
                    report.identical_lines +=
                        count(left.iter().zip(right).filter(|(left, right)| left == right).count());
                    plans_differ(&present.plan, &candidate.plan)
                }
                (Side::Waiting, Side::Waiting) => None,
                (Side::Planned(_), Side::Waiting) => {
                    Some((ShadowReason::OtherSum, vec!["by the candidate its periods wait for money".to_owned()]))
                }
                (Side::Waiting, Side::Planned(_)) => Some((
                    ShadowReason::OtherSum,
                    vec!["by the present component its periods wait for money".to_owned()],
                )),
                (Side::Planned(_) | Side::Waiting, Side::Parked(fault)) => {
                    Some((of_fault(fault), told("the candidate", fault)))
                }
                (Side::Parked(fault), Side::Planned(_) | Side::Waiting) => {
                    Some((of_fault(fault), told("the present component", fault)))
                }
                (Side::Parked(present), Side::Parked(candidate)) if present.code == candidate.code => None,
                (Side::Parked(_), Side::Parked(candidate)) => {
                    Some((of_fault(candidate), told("the candidate, too,", candidate)))
                }
            };
            if let Some((reason, differences)) = found {
                self.different(contract, (&present, &candidate), reason, differences);
                report.contracts_different += 1;
            }
        }
    }

    fn different(
        &mut self,
        contract: Uuid,
        (present, candidate): (&Side, &Side),
        reason: ShadowReason,
        mut differences: Vec<String>,
    ) {
        *self.reasons.entry(reason).or_default() += 1;
        differences.truncate(SHOWN_DIFFERENCES);
        let (was, now) = (present.billed(), candidate.billed());
        let currency = present.currency().or_else(|| candidate.currency());
        self.worst.push(NextRunContract {
            contract_id: ContractId(contract),
            number: String::new(),
            currency: currency.map_or_else(String::new, |currency| currency.code().to_owned()),
            present_minor: present.gross(),
            candidate_minor: candidate.gross(),
            difference_minor: minor(now.0 - was.0),
            tax_difference_minor: minor(now.1 - was.1),
            reason,
            differences,
        });
        // Sorted now and then, so that a tenant of any size costs no more than what is shown.
        if self.worst.len() >= 4 * SHOWN_CONTRACTS {
            self.keep_worst();
        }
    }

    fn keep_worst(&mut self) {
        let size = |found: &NextRunContract| {
            (found.difference_minor.unsigned_abs(), found.tax_difference_minor.unsigned_abs())
        };
        self.worst.sort_by_key(|found| (std::cmp::Reverse(size(found)), found.contract_id));
        self.worst.truncate(SHOWN_CONTRACTS);
    }
}

/// A run of a day that no row tells of.
pub(super) fn imagined(id: Uuid, on: NaiveDate, now: chrono::DateTime<chrono::Utc>) -> rows::RunRow {
    rows::RunRow {
        id,
        business_on: on,
        mode: RunMode::WithConfirmation.as_str().to_owned(),
        state: RunState::Computing.as_str().to_owned(),
        cursor: None,
        contracts: 0,
        subscriptions: 0,
        charges: 0,
        invoices: 0,
        parked: 0,
        awaiting: 0,
        net_minor: 0,
        tax_minor: 0,
        gross_minor: 0,
        realised: 0,
        realised_net_minor: 0,
        realised_tax_minor: 0,
        realised_gross_minor: 0,
        credits: 0,
        credited_minor: 0,
        plugin_calls: 0,
        lease_owner: None,
        lease_until: None,
        fence: 0,
        cancel_requested: false,
        created_at: now,
        started_at: None,
        finished_at: None,
        version: 0,
    }
}

/// The same binding for calls that decide nothing, with nobody on trial.
fn rehearsing(bound: &Bound) -> Bound {
    let staying = bound.staying.as_ref().map(|staying| Arc::new(staying.map(rehearsing)));
    Bound { plugin: bound.plugin.rehearsing(), canary: None, staying, ..bound.clone() }
}

impl Altyn {
    /// Computes the plans of the next run by the present component of a binding and by a candidate, and reports what differs
    /// in money; `on_progress` sees the report grow. Nothing is saved and nothing is installed.
    ///
    /// Changes of subscriptions that are scheduled for the day are not made first. The binding is the one that decides on the
    /// day, the tenant's own or one from above; a component on trial in it is left out. The candidate decides for whom the
    /// present component decides for, as if they were migrated with an upgrade; who stays on a former one stays there.
    pub async fn shadow_next_run(
        &self,
        request: &Request,
        binding: BindingId,
        candidate: impl Into<ShadowCandidate> + Send,
        options: NextRunOptions,
        mut on_progress: impl FnMut(&NextRunReport) + Send,
    ) -> Result<NextRunReport> {
        let row = self.binding_used(request, binding).await?;
        if row.extension_point == World::NumberingScheme.as_str() {
            let message = "a numbering scheme decides no money, and numbers are given when plans are executed; compare it with \
                           the recorded history instead";
            return Err(ServiceError::conflict("nothing-to-shadow", message));
        }
        if row.extension_point == World::PaymentGateway.as_str() {
            let message = "a run asks no gateway anything; compare the candidate with the recorded exchanges instead, from a \
                           day on";
            return Err(ServiceError::conflict("nothing-to-shadow", message));
        }
        let candidate = self.candidate_of(&row.extension_point, candidate.into(), options.config).await?;
        let on = self.next_day(request, options.on).await?;
        let run = imagined(self.ids.next(), on, self.clock.now());
        let mut pass = self.pass(request.tenant, &run, Action::Propose).await?;
        let world = candidate.plugin.world();
        let (present, candidate_side) = both_sides(&pass.inputs, binding, world, |present| {
            let mut context = present.context.clone();
            context.config = candidate.config.clone().unwrap_or(context.config);
            let config_digest = crate::evidence::sha256(context.config.as_bytes());
            Bound { plugin: candidate.plugin.clone(), context, config_digest, ..present.clone() }
        })
        .ok_or_else(|| {
            let message =
                format!("the binding does not decide on {on}; rehearse the one that does, or a day on which it does");
            ServiceError::conflict("nothing-to-shadow", message)
        })?;
        let (present, candidate_side) = (Arc::new(present), Arc::new(candidate_side));
        let mut report = NextRunReport {
            binding_id: binding,
            world: row.extension_point,
            candidate: candidate.plugin.digest().to_string(),
            candidate_name: candidate.name,
            business_on: on,
            contracts: 0,
            present_parked: 0,
            candidate_parked: 0,
            lines: 0,
            identical_lines: 0,
            identical_percent: percent(0, 0),
            reasons: Vec::new(),
            totals: Vec::new(),
            contracts_different: 0,
            worst: Vec::new(),
        };
        let mut tally = Tally::default();
        let (sender, mut chunks) = mpsc::channel(1);
        // Dropped with this future: a caller who goes away ends the reading.
        let reader = tokio::spawn(self.clone().read_chunks(request.tenant, run, sender));
        while let Some(chunk) = chunks.recv().await {
            let mut chunk = chunk?;
            self.complete(&mut pass, &mut chunk).await?;
            let (plans, at) = (pass.plans.clone(), self.clock.now());
            let (present, candidate_side) = (Arc::clone(&present), Arc::clone(&candidate_side));
            let (was, now) = blocking(move || -> Result<_> {
                let refused = HashMap::new();
                let was = compute(&present, &plans, &chunk, &refused, at)?;
                Ok((was, compute(&candidate_side, &plans, &chunk, &refused, at)?))
            })
            .await??;
            tally.compare(was, now, &mut report);
            report.identical_percent = percent(report.identical_lines, report.lines);
            on_progress(&report);
        }
        reader.await.map_err(|error| ServiceError::Internal(format!("reading stopped: {error}")))?;
        self.next_run_report(request, tally, &mut report).await?;
        Ok(report)
    }

    /// The day of the next run of the acting tenant, unless another is wished.
    async fn next_day(&self, request: &Request, wished: Option<NaiveDate>) -> Result<NaiveDate> {
        let mut tx = self.read(request).await?;
        let tenant = tenants::find(&mut tx, request.tenant.0).await?.ok_or(ServiceError::NotFound("tenant"))?;
        let latest = rows::latest(&mut tx, request.tenant.0).await?;
        let today = local_date(self.clock.now(), stored("tenants.zone", &tenant.zone)?);
        let next = latest.and_then(|latest| latest.succ_opt()).unwrap_or(today);
        match wished {
            Some(on) if on < next && latest.is_some() => {
                Err(ServiceError::invalid("/on", format!("is closed; the next run closes {next} or a later day")))
            }
            Some(on) if on > next.max(today) + chrono::Days::new(366) => {
                Err(ServiceError::invalid("/on", "lies more than a year ahead"))
            }
            wished => Ok(wished.unwrap_or(next)),
        }
    }

    async fn next_run_report(&self, request: &Request, mut tally: Tally, report: &mut NextRunReport) -> Result<()> {
        tally.keep_worst();
        report.reasons =
            tally.reasons.into_iter().map(|(reason, contracts)| NextRunCount { reason, contracts }).collect();
        report.totals = tally
            .sums
            .into_iter()
            .map(|(currency, Sums { present, candidate })| NextRunTotal {
                currency: currency.code().to_owned(),
                present_minor: minor(present.0),
                candidate_minor: minor(candidate.0),
                difference_minor: minor(candidate.0 - present.0),
                present_tax_minor: minor(present.1),
                candidate_tax_minor: minor(candidate.1),
            })
            .collect();
        let mut tx = self.read(request).await?;
        for mut found in tally.worst {
            let row = contracts::find(&mut tx, request.tenant.0, found.contract_id.uuid()).await?;
            found.number = row.map(|row| row.contract.number).unwrap_or_default();
            report.worst.push(found);
        }
        Ok(())
    }
}

/// The inputs of a pass by the present component, and by another in its place; none when the binding does not decide.
fn both_sides(
    inputs: &Inputs,
    binding: BindingId,
    world: World,
    other: impl Fn(&Bound) -> Bound,
) -> Option<(Inputs, Inputs)> {
    let present = [rehearsing(&inputs.proration), rehearsing(&inputs.tax), rehearsing(&inputs.numbering)];
    let place = match world {
        World::ProrationStrategy => 0,
        World::TaxRule => 1,
        World::NumberingScheme => 2,
        World::PaymentGateway => return None,
    };
    if present[place].binding != binding {
        return None;
    }
    let mut candidate = present.clone();
    candidate[place] = other(&present[place]);
    let with = |bounds: [Bound; 3]| {
        let sellers = inputs.sellers.values().cloned().collect();
        Inputs::new(
            inputs.tenant,
            inputs.run,
            inputs.on,
            bounds,
            inputs.bounds,
            inputs.max_missed_periods,
            Arc::clone(&inputs.ids),
            Arc::clone(&inputs.runtime),
            sellers,
        )
    };
    Some((with(present), with(candidate)))
}
