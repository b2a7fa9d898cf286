//! Verifying the books: every invariant of the ledger and of billing, checked against the rows as they stand.
//!
//! Owns the list of rules and the report. Changes nothing and repairs nothing. Invariant: all rules but the evidence's see
//! one snapshot, so that a verification beside a billing run reports no half-written state; evidence is only ever added,
//! so it is read page by page while no transaction is open. Memory is bounded by a page, whatever the size of the books.

mod coverage;
mod taxes;
mod usage;

use altyn_store::{Scope, Tx, plugins as components, verify as rows};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError},
    evidence::sha256,
    explain::ReplayReport,
    tenants,
};

/// What a verification does besides reading.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyOptions {
    /// Which share of the recorded plugin calls is made again, per cent: 0 to 100.
    pub replay_percent: u8,
}

/// How one invariant stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RuleReport {
    /// Stable code, for example `trial-balance-zero`.
    pub code: String,
    /// What holds, in words.
    pub title: String,
    /// How many rows were checked.
    pub checked: i64,
    /// How many of them break it.
    pub violations: i64,
    /// Up to 20 of those, each with its id and what is wrong with it.
    pub examples: Vec<String>,
}

/// How the books stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VerifyReport {
    /// Every rule, whether it holds or not.
    pub rules: Vec<RuleReport>,
    /// Whether all of them hold.
    pub ok: bool,
    /// How many recorded plugin calls were made again.
    pub calls_replayed: i64,
    /// How many of them gave the recorded answer, byte for byte.
    pub calls_identical: i64,
}

/// Counts what breaks a rule and remembers the first of it.
pub(crate) struct Findings {
    code: &'static str,
    title: &'static str,
    checked: i64,
    violations: i64,
    examples: Vec<String>,
}

impl Findings {
    fn new(code: &'static str, title: &'static str) -> Self {
        Self { code, title, checked: 0, violations: 0, examples: Vec::new() }
    }

    fn refuse(&mut self, example: impl FnOnce() -> String) {
        self.violations += 1;
        if self.examples.len() < rows::EXAMPLES {
            self.examples.push(example());
        }
    }

    fn report(self) -> RuleReport {
        RuleReport {
            code: self.code.to_owned(),
            title: self.title.to_owned(),
            checked: self.checked,
            violations: self.violations,
            examples: self.examples,
        }
    }
}

impl VerifyReport {
    fn new(rules: Vec<RuleReport>) -> Self {
        let ok = rules.iter().all(|rule| rule.violations == 0);
        Self { rules, ok, calls_replayed: 0, calls_identical: 0 }
    }
}

/// The text of an object's id; the prefix comes from the rule that names it.
fn example(row: &rows::BrokenRow) -> String {
    match row.subject {
        Some(id) => format!("{}_{}: {}", row.kind, id.simple(), row.detail),
        None => row.detail.clone(),
    }
}

fn report(code: &str, title: &str, checked: i64, broken: &[rows::BrokenRow]) -> RuleReport {
    RuleReport {
        code: code.to_owned(),
        title: title.to_owned(),
        checked,
        violations: broken.first().map_or(0, |row| row.violations),
        examples: broken.iter().map(example).collect(),
    }
}

async fn books(tx: &mut Tx, tenant: Uuid, wanted: impl Fn(&str) -> bool) -> Result<Vec<RuleReport>> {
    let counts = rows::counts(tx, tenant).await?;
    let mut reports = Vec::with_capacity(rows::RULES.len() + 4);
    for rule in rows::RULES.iter().filter(|rule| wanted(rule.code)) {
        let broken = rows::broken(tx, tenant, rule).await?;
        reports.push(report(rule.code, rule.title, (rule.checked)(&counts), &broken));
    }
    if wanted(taxes::CODE) {
        reports.push(taxes::recomputed(tx, tenant).await?);
    }
    if wanted(coverage::CODE) {
        reports.push(coverage::disjoint_and_gapless(tx, tenant).await?);
    }
    if wanted(usage::CODE) {
        reports.push(usage::billed_as_recorded(tx, tenant).await?);
    }
    Ok(reports)
}

fn evidence_rules(replayed: &ReplayReport) -> [RuleReport; 2] {
    let examples = |found: &[crate::explain::ReplayDifference]| {
        found.iter().map(|different| format!("{}: {}", different.call_id, different.reason)).collect()
    };
    [
        RuleReport {
            code: "evidence-content".to_owned(),
            title: "kept evidence has the content that its digest names".to_owned(),
            checked: replayed.calls,
            violations: replayed.unreadable_calls,
            examples: examples(&replayed.unreadable),
        },
        RuleReport {
            code: "evidence-replays".to_owned(),
            title: "a recorded plugin call that is made again gives the recorded answer".to_owned(),
            checked: replayed.calls - replayed.unreadable_calls,
            violations: replayed.calls - replayed.unreadable_calls - replayed.identical,
            examples: examples(&replayed.different),
        },
    ]
}

impl Altyn {
    /// Checks the books of the acting tenant; `options.replay_percent` of its plugin calls are made again.
    pub async fn verify(&self, request: &Request, options: VerifyOptions) -> Result<VerifyReport> {
        // The rules join whole tables; a planner that has never counted them may take minutes where seconds do.
        self.db.optimize().await?;
        let mut tx = self.read(request).await?;
        tenants::acting(&mut tx, request).await?;
        rows::spill(&mut tx).await?;
        let mut reports = books(&mut tx, request.tenant.0, |_| true).await?;
        drop(tx);
        let replayed = self.replay_evidence(request, options.replay_percent, |_| {}).await?;
        reports.extend(evidence_rules(&replayed));
        Ok(VerifyReport {
            calls_replayed: replayed.calls,
            calls_identical: replayed.identical,
            ..VerifyReport::new(reports)
        })
    }

    /// Checks those rules of the acting tenant's books whose code is `wanted`, and nothing else: no plugin call is made
    /// again, and the planner's statistics stay as they are. For small books that are looked at often, as in a simulation.
    pub async fn verify_books(&self, request: &Request, wanted: impl Fn(&str) -> bool) -> Result<VerifyReport> {
        let mut tx = self.read(request).await?;
        tenants::acting(&mut tx, request).await?;
        Ok(VerifyReport::new(books(&mut tx, request.tenant.0, wanted).await?))
    }

    /// Checks what belongs to no tenant: the tree of tenants and the installed components.
    pub async fn verify_platform(&self) -> Result<VerifyReport> {
        let mut tx = self.db.read(Scope::Platform).await?;
        let misplaced = rows::tenants_misplaced(&mut tx).await?;
        let tenants = rows::tenants(&mut tx).await?;
        let title = "a tenant's path is its parent's and its own id";
        let paths = report("tenant-paths", title, tenants, &misplaced);
        let mut contents =
            Findings::new("component-content", "an installed component has the content that its digest names");
        let mut after = Vec::new();
        loop {
            let page = components::components_list(&mut tx, after, 100).await?;
            let Some(last) = page.last() else { break };
            after = last.digest.clone();
            for component in &page {
                contents.checked += 1;
                // One component at a time: each may have megabytes.
                let wasm = components::component_wasm(&mut tx, component.digest.clone()).await?.unwrap_or_default();
                let size = i64::try_from(wasm.len()).unwrap_or(i64::MAX);
                if sha256(&wasm).as_slice() != component.digest.as_slice() || size != component.size_bytes {
                    contents.refuse(|| {
                        let digest = hex::encode(&component.digest);
                        format!(
                            "{digest}: {} {} was changed after it was installed",
                            component.plugin_id, component.version
                        )
                    });
                }
            }
        }
        Ok(VerifyReport::new(vec![paths, contents.report()]))
    }
}

/// Checks a share in per cent.
pub(crate) fn check_percent(pointer: &str, percent: u8) -> Result<()> {
    if percent > 100 {
        return Err(ServiceError::invalid(pointer, "must be between 0 and 100"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use altyn_domain::ledger::TransactionKind;
    use altyn_store::verify::REVERSIBLE_KINDS;

    #[test]
    fn the_kinds_that_may_be_reversed_are_those_that_no_object_answers_for() {
        let kinds = TransactionKind::ALL.iter().filter(|kind| kind.owner().is_none());
        let kinds = kinds.filter(|kind| **kind != TransactionKind::Reversal);
        let quoted: Vec<String> = kinds.map(|kind| format!("'{kind}'")).collect();
        assert_eq!(quoted.join(", "), REVERSIBLE_KINDS);
    }
}
