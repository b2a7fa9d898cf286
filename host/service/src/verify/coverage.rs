//! Recurring coverage: a subscription's periods are charged one after another, each once.
//!
//! Every period is compared with the calendar of the subscription's anchor, never with the period before it, so that a
//! drift that repeats itself is found as well.

use std::collections::HashMap;

use altyn_domain::{
    calendar::{Cadence, boundary, period},
    catalogue::ComponentKind,
    subscription::SubscriptionStatus,
};
use altyn_store::{
    Tx, runs,
    subscriptions::{self, SubscriptionRow},
    verify as rows,
};
use chrono::{Datelike as _, NaiveDate};
use uuid::Uuid;

use super::{Findings, RuleReport};
use crate::error::Result;

const SUBSCRIPTIONS: i64 = 1_000;
const CHARGES: i64 = 10_000;

/// For each subscription and component, the charged periods run from the one that holds the first day of service to the
/// one before the next, and the next charge is due when the calendar says.
pub(super) async fn disjoint_and_gapless(tx: &mut Tx, tenant: Uuid) -> Result<RuleReport> {
    let mut findings = Findings::new(
        "recurring-disjoint-gapless",
        "the charged periods of a subscription follow its calendar without gap or overlap up to its next charge",
    );
    let mut after = Uuid::nil();
    loop {
        let page = subscriptions::list(tx, tenant, None, after, SUBSCRIPTIONS).await?;
        let Some(last) = page.last().map(|row| row.id) else { break };
        check_page(tx, tenant, (after, last), &page, &mut findings).await?;
        after = last;
    }
    Ok(findings.report())
}

/// What a plan version charges.
struct Sold {
    cadence: Option<Cadence>,
    components: Vec<Uuid>,
}

/// The periods of one component that were seen so far.
#[derive(Clone, Copy)]
struct Covered {
    first: i32,
    next: i32,
}

async fn check_page(
    tx: &mut Tx,
    tenant: Uuid,
    (after, through): (Uuid, Uuid),
    page: &[SubscriptionRow],
    findings: &mut Findings,
) -> Result<()> {
    let mut wanted: Vec<Uuid> = page.iter().map(|row| row.plan_version_id).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut sold: HashMap<Uuid, Sold> = HashMap::new();
    for row in runs::plan_components(tx, tenant, wanted).await? {
        let entry = sold
            .entry(row.plan_version_id)
            .or_insert_with(|| Sold { cadence: row.cadence.parse().ok(), components: Vec::new() });
        // Only what recurs has periods to cover.
        if row.kind == ComponentKind::Recurring.as_str() {
            entry.components.push(row.id);
        }
    }
    let by_id: HashMap<Uuid, &SubscriptionRow> = page.iter().map(|row| (row.id, row)).collect();
    let mut covered: HashMap<(Uuid, Uuid), Covered> = HashMap::new();
    let mut place = (after, Uuid::max(), NaiveDate::MAX.with_year(9999).unwrap_or(NaiveDate::MAX));
    loop {
        let charged = rows::charged_periods(tx, tenant, place, through, CHARGES).await?;
        let Some(last) = charged.last() else { break };
        place = (last.subscription_id, last.component_id, last.period_start);
        for charge in &charged {
            findings.checked += 1;
            // A charge without its subscription breaks the rule about references.
            let Some(subscription) = by_id.get(&charge.subscription_id) else { continue };
            let cadence = sold.get(&subscription.plan_version_id).and_then(|sold| sold.cadence);
            let of_component = (charge.subscription_id, charge.component_id);
            if let Err(reason) = add(subscription, cadence, charge, covered.get(&of_component).copied()).map(|seen| {
                covered.insert(of_component, seen);
            }) {
                findings.refuse(|| named(charge.subscription_id, Some(charge.component_id), &reason));
            }
        }
    }
    for subscription in page {
        let Some(sold) = sold.get(&subscription.plan_version_id) else {
            findings.refuse(|| named(subscription.id, None, "its plan version charges nothing"));
            continue;
        };
        let Some(cadence) = sold.cadence else {
            findings.refuse(|| named(subscription.id, None, "its plan version has no cadence"));
            continue;
        };
        if let Err(reason) = check_next(subscription, cadence) {
            findings.refuse(|| named(subscription.id, None, &reason));
        }
        for component in &sold.components {
            let seen = covered.get(&(subscription.id, *component)).copied();
            if let Err(reason) = check_ends(subscription, cadence, seen) {
                findings.refuse(|| named(subscription.id, Some(*component), &reason));
            }
        }
    }
    Ok(())
}

fn named(subscription: Uuid, component: Option<Uuid>, reason: &str) -> String {
    match component {
        Some(component) => format!("sub_{} cmp_{}: {reason}", subscription.simple(), component.simple()),
        None => format!("sub_{}: {reason}", subscription.simple()),
    }
}

/// Index of the period of an anchor that holds a day.
fn index_of(anchor: NaiveDate, cadence: Cadence, day: NaiveDate) -> std::result::Result<i32, String> {
    let index = match cadence {
        Cadence::Days(days) => day.signed_duration_since(anchor).num_days().div_euclid(i64::from(days)),
        Cadence::Months(months) => {
            let number = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
            (number(day) - number(anchor)).div_euclid(i64::from(months))
        }
    };
    let index = i32::try_from(index).map_err(|_| format!("{day} is out of range"))?;
    let start = boundary(anchor, cadence, index).map_err(|error| error.to_string())?;
    // In the month of a boundary, the days before it belong to the period before.
    Ok(if start > day { index - 1 } else { index })
}

/// Adds a charge behind those that were seen; charges come in the order of their starts.
fn add(
    subscription: &SubscriptionRow,
    cadence: Option<Cadence>,
    charge: &rows::ChargedPeriodRow,
    seen: Option<Covered>,
) -> std::result::Result<Covered, String> {
    let cadence = cadence.ok_or("its plan version has no cadence")?;
    let index = index_of(subscription.anchor_on, cadence, charge.period_start)?;
    let expected = period(subscription.anchor_on, cadence, index).map_err(|error| error.to_string())?;
    if (expected.start, expected.end) != (charge.period_start, charge.period_end) {
        return Err(format!(
            "chg_{} covers [{}, {}), the calendar says {expected}",
            charge.id.simple(),
            charge.period_start,
            charge.period_end
        ));
    }
    match seen {
        Some(seen) if seen.next != index => Err(format!(
            "chg_{} starts on {}, the period before it ends on {}",
            charge.id.simple(),
            charge.period_start,
            boundary(subscription.anchor_on, cadence, seen.next).map_err(|error| error.to_string())?
        )),
        seen => Ok(Covered { first: seen.map_or(index, |seen| seen.first), next: index + 1 }),
    }
}

/// The charged periods of a component begin with the first period of service and end before the next one.
fn check_ends(
    subscription: &SubscriptionRow,
    cadence: Cadence,
    seen: Option<Covered>,
) -> std::result::Result<(), String> {
    let first = index_of(subscription.anchor_on, cadence, subscription.starts_on)?;
    let next = subscription.next_index;
    match seen {
        None if next == first => Ok(()),
        Some(seen) if seen.first == first && seen.next == next => Ok(()),
        None => Err(format!("periods {first} to {} are not charged", next - 1)),
        Some(seen) => {
            Err(format!("periods {} to {} are charged, due were {first} to {}", seen.first, seen.next - 1, next - 1))
        }
    }
}

/// While a subscription is charged, its next charge is due on the first day of its next period, or of service, or on its
/// end, whichever comes first.
fn check_next(subscription: &SubscriptionRow, cadence: Cadence) -> std::result::Result<(), String> {
    let status: SubscriptionStatus = subscription.status.parse().map_err(|error| format!("{error}"))?;
    if !status.is_charged() {
        return Ok(());
    }
    let start =
        boundary(subscription.anchor_on, cadence, subscription.next_index).map_err(|error| error.to_string())?;
    let due = start.max(subscription.starts_on).min(subscription.ends_on.unwrap_or(NaiveDate::MAX));
    if due == subscription.next_charge_on {
        Ok(())
    } else {
        Err(format!("its next charge is on {}, the calendar says {due}", subscription.next_charge_on))
    }
}

#[cfg(test)]
mod tests;
