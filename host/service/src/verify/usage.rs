//! Use: what was billed of a window is what was recorded in it, figured and priced anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use altyn_domain::{
    catalogue::PlanVersion,
    id::{SubscriptionId, UsageWindowId},
    metered::{Aggregation, total},
};
use altyn_store::{
    Tx, runs,
    usage_windows::{self, WindowRow},
};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Findings, RuleReport};
use crate::{
    error::{Result, stored},
    runs::{
        compute::plan_versions,
        metered::{Counted, counted, rated},
    },
};

/// How many windows are held at a time.
const PAGE: i64 = 1_000;

/// The rule's code.
pub(super) const CODE: &str = "usage-billed";

/// Every recorded event of a billed window was billed, or the window is marked to be billed again; its figure and its
/// price are those of its events.
pub(super) async fn billed_as_recorded(tx: &mut Tx, tenant: Uuid) -> Result<RuleReport> {
    let mut found = Findings::new(
        CODE,
        "what was billed of a usage window is the price of the events that were recorded in it, each of them once",
    );
    let mut plans: HashMap<Uuid, std::sync::Arc<PlanVersion>> = HashMap::new();
    let mut after = Uuid::nil();
    loop {
        let page = usage_windows::all(tx, tenant, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let counted = counted(tx, tenant, &page.iter().collect::<Vec<_>>()).await?;
        let missing: BTreeSet<Uuid> =
            page.iter().map(|row| row.plan_version_id).filter(|id| !plans.contains_key(id)).collect();
        plans.extend(plan_versions(runs::plan_components(tx, tenant, missing.into_iter().collect()).await?)?);
        let read = page.iter().filter(|window| {
            counted.get(&window.id).is_some_and(|counted| counted.aggregation == Aggregation::Difference)
        });
        let pairs: BTreeSet<(Uuid, Uuid)> = read.map(|window| (window.subscription_id, window.meter_id)).collect();
        if !pairs.is_empty() {
            counters_billed(tx, tenant, pairs, &mut found).await?;
        }
        for window in &page {
            found.checked += 1;
            let wrong = match counted.get(&window.id) {
                None => Some("its meter does not exist".to_owned()),
                Some(Counted { figures, aggregation, .. }) => match figures.used(*aggregation) {
                    Err(error) => Some(error.to_string()),
                    Ok(used) => different(window, figures.events, used, plans.get(&window.plan_version_id)),
                },
            };
            if let Some(wrong) = wrong {
                found.refuse(|| format!("{}: {wrong}", UsageWindowId(window.id)));
            }
        }
    }
    Ok(found.report())
}

/// What was billed of counters in all is what they advanced from their first reading to their highest.
async fn counters_billed(tx: &mut Tx, tenant: Uuid, pairs: BTreeSet<(Uuid, Uuid)>, found: &mut Findings) -> Result<()> {
    let pairs: Vec<(Uuid, Uuid)> = pairs.into_iter().collect();
    // By subscription and meter: what was billed, and what the counters advanced.
    let mut sums: BTreeMap<(Uuid, Uuid), (Decimal, Decimal)> = BTreeMap::new();
    for (subscription, meter, used) in usage_windows::uses(tx, tenant, &pairs).await? {
        sums.entry((subscription, meter)).or_default().0 += stored::<Decimal>("usage_windows.billed_use", &used)?;
    }
    for row in usage_windows::counters(tx, tenant, &pairs).await? {
        let range =
            total(row.highest_units, i64::from(row.highest_nanos)) - total(row.first_units, i64::from(row.first_nanos));
        sums.entry((row.subscription_id, row.meter_id)).or_default().1 += range;
    }
    for ((subscription, _), (billed, advanced)) in sums {
        if billed != advanced {
            let (billed, advanced) = (billed.normalize(), advanced.normalize());
            found.refuse(|| {
                format!(
                    "{}: {billed} is billed of its counters, they advanced by {advanced}",
                    SubscriptionId(subscription)
                )
            });
        }
    }
    Ok(())
}

/// How a window differs from what its events come to.
fn different(
    window: &WindowRow,
    events: i64,
    used: Decimal,
    plan: Option<&std::sync::Arc<PlanVersion>>,
) -> Option<String> {
    if window.state == "open" {
        let untouched = window.billings == 0 && window.billed_events == 0 && window.billed_minor == 0;
        return (!untouched).then(|| "is open although it was billed".to_owned());
    }
    if events < window.billed_events || (window.state == "billed" && events != window.billed_events) {
        return Some(format!("was billed for {} events, {events} are recorded", window.billed_events));
    }
    if window.state != "billed" {
        return None;
    }
    let component =
        plan.and_then(|plan| plan.components.iter().find(|component| component.id.0 == window.component_id));
    let Some((component, terms)) = component.and_then(|found| Some((found, found.metered.as_ref()?))) else {
        return Some("its component does not exist".to_owned());
    };
    if window.billed_use.parse() != Ok(used) {
        return Some(format!("was billed for {}, its events come to {}", window.billed_use, used.normalize()));
    }
    match rated(window, terms, used, component.unit_price.currency) {
        Err(error) => Some(error),
        // A figure that fell with late events takes nothing back.
        Ok(rated) if window.billings > 1 && rated.amount.minor < window.billed_minor => None,
        Ok(rated) if rated.amount.minor != window.billed_minor => {
            Some(format!("was billed with {} minor units, its use costs {}", window.billed_minor, rated.amount))
        }
        Ok(_) => None,
    }
}
