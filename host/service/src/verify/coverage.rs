//! Recurring coverage: a subscription's periods are charged one after another, each once.
//!
//! A subscription that was changed has segments: the days that one set of terms holds. Each is covered by the charges that
//! were made under it, less what was given back, from its first day to its last (see [`segments`]).
//!
//! Every period is compared with the calendar of the subscription's anchor, never with the period before it, so that a
//! drift that repeats itself is found as well.

mod segments;

use std::collections::HashMap;

use altyn_domain::{
    calendar::{self, Cadence, boundary, period},
    catalogue::ComponentKind,
    subscription::SubscriptionStatus,
};
use altyn_store::{
    Tx, lives, runs,
    subscriptions::{self, SubscriptionRow},
    verify as rows,
};
use chrono::{Datelike as _, NaiveDate};
use uuid::Uuid;

use super::{Findings, RuleReport};
use crate::error::Result;

/// The code of the rule.
pub(super) const CODE: &str = "recurring-disjoint-gapless";
const SUBSCRIPTIONS: i64 = 1_000;
const CHARGES: i64 = 10_000;

/// For each subscription and component, the charged periods run from the one that holds the first day of service to the
/// one before the next, and the next charge is due when the calendar says.
pub(super) async fn disjoint_and_gapless(tx: &mut Tx, tenant: Uuid) -> Result<RuleReport> {
    let mut findings = Findings::new(
        CODE,
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
    let mut stops: HashMap<Uuid, Vec<lives::StopRow>> = HashMap::new();
    for stop in lives::stops(tx, tenant, after, through).await? {
        stops.entry(stop.subscription_id).or_default().push(stop);
    }
    let stops_of = |subscription: Uuid| stops.get(&subscription).map_or(&[][..], Vec::as_slice);
    let mut covered: HashMap<(Uuid, Uuid), Covered> = HashMap::new();
    let mut place = (after, Uuid::max(), NaiveDate::MAX.with_year(9999).unwrap_or(NaiveDate::MAX), i32::MAX);
    let mut changed = segments::Segments::load(tx, tenant, (after, through)).await?;
    loop {
        let charged = rows::charged_periods(tx, tenant, place, through, CHARGES).await?;
        let Some(last) = charged.last() else { break };
        place = (last.subscription_id, last.component_id, last.period_start, last.change_ordinal);
        for charge in &charged {
            findings.checked += 1;
            // A charge without its subscription breaks the rule about references.
            let Some(subscription) = by_id.get(&charge.subscription_id) else { continue };
            if subscription.change_ordinal > 0 {
                changed.add(charge);
                continue;
            }
            let cadence = sold.get(&subscription.plan_version_id).and_then(|sold| sold.cadence);
            let of_component = (charge.subscription_id, charge.component_id);
            let seen = covered.get(&of_component).copied();
            if let Err(reason) = add(subscription, stops_of(subscription.id), cadence, charge, seen).map(|seen| {
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
        if let Err(reason) = check_next(subscription, stops_of(subscription.id), cadence) {
            findings.refuse(|| named(subscription.id, None, &reason));
        }
        if subscription.change_ordinal > 0 {
            for reason in changed.check(tx, tenant, subscription, stops_of(subscription.id), cadence).await? {
                findings.refuse(|| named(subscription.id, None, &reason));
            }
            continue;
        }
        for component in &sold.components {
            let seen = covered.get(&(subscription.id, *component)).copied();
            if let Err(reason) = check_ends(subscription, stops_of(subscription.id), cadence, seen) {
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
    calendar::index_of(anchor, cadence, day).map_err(|error| error.to_string())
}

/// The first period from `from` up to `through` that was not passed while the subscription was out of service: such a
/// period is not charged when a stop covers its end and began before it or in it.
fn first_served(
    anchor: NaiveDate,
    stops: &[lives::StopRow],
    cadence: Cadence,
    from: i32,
    through: i32,
) -> std::result::Result<i32, String> {
    let mut index = from;
    while index < through {
        let passed = period(anchor, cadence, index).map_err(|error| error.to_string())?;
        let out = stops
            .iter()
            .any(|stop| stop.from_on < passed.end && stop.until_on.is_none_or(|until_on| passed.end <= until_on));
        if !out {
            break;
        }
        index += 1;
    }
    Ok(index)
}

/// Adds a charge behind those that were seen; charges come in the order of their starts.
fn add(
    subscription: &SubscriptionRow,
    stops: &[lives::StopRow],
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
        Some(seen) if first_served(subscription.anchor_on, stops, cadence, seen.next, index)? != index => Err(format!(
            "chg_{} starts on {}, the period before it ends on {}",
            charge.id.simple(),
            charge.period_start,
            boundary(subscription.anchor_on, cadence, seen.next).map_err(|error| error.to_string())?
        )),
        seen => {
            let first = index_of(subscription.anchor_on, cadence, subscription.starts_on)?;
            let first = match seen {
                Some(seen) => seen.first,
                // What came before the first charge was passed out of service.
                None if first_served(subscription.anchor_on, stops, cadence, first, index)? == index => first,
                None => index,
            };
            Ok(Covered { first, next: index + 1 })
        }
    }
}

/// The charged periods of a component begin with the first period of service and end before the next one.
fn check_ends(
    subscription: &SubscriptionRow,
    stops: &[lives::StopRow],
    cadence: Cadence,
    seen: Option<Covered>,
) -> std::result::Result<(), String> {
    let first = index_of(subscription.anchor_on, cadence, subscription.starts_on)?;
    let next = subscription.next_index;
    let reached = |from| first_served(subscription.anchor_on, stops, cadence, from, next);
    match seen {
        None if reached(first)? == next => Ok(()),
        Some(seen) if seen.first == first && reached(seen.next)? == next => Ok(()),
        None => Err(format!("periods {first} to {} are not charged", next - 1)),
        Some(seen) => {
            Err(format!("periods {} to {} are charged, due were {first} to {}", seen.first, seen.next - 1, next - 1))
        }
    }
}

/// While a subscription is charged, its next charge is due on the first day of its next period, or of service, or on its
/// end, whichever comes first; in a period that began out of service, on the day of the return.
fn check_next(
    subscription: &SubscriptionRow,
    stops: &[lives::StopRow],
    cadence: Cadence,
) -> std::result::Result<(), String> {
    let status: SubscriptionStatus = subscription.status.parse().map_err(|error| format!("{error}"))?;
    if !status.is_charged() {
        return Ok(());
    }
    let next = period(subscription.anchor_on, cadence, subscription.next_index).map_err(|error| error.to_string())?;
    let ends_on = subscription.ends_on.unwrap_or(NaiveDate::MAX);
    let from = |day: NaiveDate| day.max(subscription.terms_from.unwrap_or(subscription.starts_on)).min(ends_on);
    let due = from(next.start);
    let mut returns = stops.iter().filter_map(|stop| stop.until_on).filter(|on| next.contains(*on)).map(from);
    if due == subscription.next_charge_on || returns.any(|on| on == subscription.next_charge_on) {
        Ok(())
    } else {
        Err(format!("its next charge is on {}, the calendar says {due}", subscription.next_charge_on))
    }
}

#[cfg(test)]
mod tests;
