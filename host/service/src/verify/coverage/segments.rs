//! Coverage of subscriptions that were changed: each set of terms covers its days, no more and no less.
//!
//! Segment 0 lasts from the first day of service to the first change, segment n from the n-th change to the next one or to
//! the end of what is charged. What a change gave back is covered by the charges of the next segment, so the live parts of
//! a segment's charges touch one another and end where the next change cut them.

use std::collections::{BTreeMap, HashMap};

use altyn_domain::calendar::{Cadence, boundary};
use altyn_store::{Tx, lives, runs, subscriptions::SubscriptionRow, verify as rows};
use chrono::NaiveDate;
use uuid::Uuid;

use crate::error::Result;

const CHANGES: i64 = 10_000;

/// Days that a charge covers.
type Span = (NaiveDate, NaiveDate);

/// The changes and charges of a page of subscriptions.
pub(super) struct Segments {
    changes: HashMap<Uuid, Vec<rows::ExecutedChangeRow>>,
    /// By subscription, segment and component.
    charges: HashMap<Uuid, BTreeMap<(i32, Uuid), Vec<Span>>>,
    recurring: HashMap<Uuid, Vec<Uuid>>,
}

impl Segments {
    /// The executed changes of the subscriptions of a page.
    pub(super) async fn load(tx: &mut Tx, tenant: Uuid, (after, through): (Uuid, Uuid)) -> Result<Self> {
        let mut changes: HashMap<Uuid, Vec<rows::ExecutedChangeRow>> = HashMap::new();
        let mut place = (after, i32::MAX);
        loop {
            let page = rows::executed_changes(tx, tenant, place, through, CHANGES).await?;
            let Some(last) = page.last() else { break };
            place = (last.subscription_id, last.ordinal);
            for change in page {
                changes.entry(change.subscription_id).or_default().push(change);
            }
        }
        Ok(Self { changes, charges: HashMap::new(), recurring: HashMap::new() })
    }

    /// Takes in a charge of a changed subscription.
    pub(super) fn add(&mut self, charge: &rows::ChargedPeriodRow) {
        let of = self.charges.entry(charge.subscription_id).or_default();
        let spans = of.entry((charge.change_ordinal, charge.component_id)).or_default();
        if charge.used_start < charge.covered_until {
            spans.push((charge.used_start, charge.covered_until));
        }
    }

    /// What is wrong with a changed subscription.
    pub(super) async fn check(
        &mut self,
        tx: &mut Tx,
        tenant: Uuid,
        subscription: &SubscriptionRow,
        stops: &[lives::StopRow],
        cadence: Cadence,
    ) -> Result<Vec<String>> {
        let changes = self.changes.remove(&subscription.id).unwrap_or_default();
        let mut charges = self.charges.remove(&subscription.id).unwrap_or_default();
        if changes.iter().map(|change| change.ordinal).ne(1..=subscription.change_ordinal) {
            return Ok(vec![format!(
                "{} changes are recorded, it counts {}",
                changes.len(),
                subscription.change_ordinal
            )]);
        }
        // An end that is set gives nothing back: days after it stay charged.
        let (end, stays) = match boundary(subscription.anchor_on, cadence, subscription.next_index) {
            Ok(next) => {
                let next = next.max(subscription.terms_from.unwrap_or(subscription.starts_on));
                (next.min(subscription.ends_on.unwrap_or(NaiveDate::MAX)), next)
            }
            Err(error) => return Ok(vec![error.to_string()]),
        };
        let mut wrong = Vec::new();
        for ordinal in 0..=subscription.change_ordinal {
            let place = usize::try_from(ordinal).unwrap_or(usize::MAX);
            let begun = place.checked_sub(1).and_then(|place| changes.get(place));
            let from = begun.map_or(subscription.starts_on, |change| change.terms_from);
            // A change after an early renewal cuts into what was charged before the renewal, too.
            let cut = changes.iter().skip(place).map(|change| change.charged_until).min();
            let (to, latest) = cut.map_or((end, stays), |cut| (cut, cut));
            let components = match begun {
                Some(change) => self.recurring(tx, tenant, change.plan_version_id).await?,
                None => charges.keys().filter(|(of, _)| *of == ordinal).map(|(_, component)| *component).collect(),
            };
            for component in components {
                let spans = charges.remove(&(ordinal, component)).unwrap_or_default();
                if let Err(reason) = covers(spans, stops, (from, to.max(from)), latest) {
                    wrong.push(format!("cmp_{} under terms {ordinal}: {reason}", component.simple()));
                }
            }
        }
        // What is left was charged for a component that no terms know.
        for ((ordinal, component), spans) in charges {
            if let Some((start, end)) = spans.first() {
                wrong.push(format!("cmp_{} under terms {ordinal}: [{start}, {end}) is charged", component.simple()));
            }
        }
        Ok(wrong)
    }

    /// The components of a plan version that are charged period by period.
    async fn recurring(&mut self, tx: &mut Tx, tenant: Uuid, version: Uuid) -> Result<Vec<Uuid>> {
        if let Some(known) = self.recurring.get(&version) {
            return Ok(known.clone());
        }
        let found = runs::plan_components(tx, tenant, vec![version]).await?;
        let found: Vec<Uuid> = found.into_iter().filter(|row| row.kind == "recurring").map(|row| row.id).collect();
        self.recurring.insert(version, found.clone());
        Ok(found)
    }
}

/// Whether spans touch one another from the first day to the last, but for days out of service; they may end as late as
/// `latest`.
pub(super) fn covers(
    mut spans: Vec<Span>,
    stops: &[lives::StopRow],
    (from, to): Span,
    latest: NaiveDate,
) -> std::result::Result<(), String> {
    let touch = |reached: NaiveDate, day: NaiveDate| {
        let out = |stop: &lives::StopRow| stop.from_on < day && stop.until_on.is_none_or(|until| day <= until);
        reached == day || (reached < day && stops.iter().any(out))
    };
    spans.sort_unstable();
    let mut reached = from;
    for (start, end) in spans {
        if !touch(reached, start) {
            return Err(format!("[{start}, {end}) is charged, the days before end on {reached}"));
        }
        reached = end;
    }
    if touch(reached, to) || (to < reached && reached <= latest) {
        Ok(())
    } else {
        Err(format!("days up to {reached} are charged, due were those up to {to}"))
    }
}
