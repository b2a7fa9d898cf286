//! What changed between two plans of a contract, for the person whose confirmation came too late.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::{ContractPlan, PlanLine};
use crate::id::{ComponentId, SubscriptionId, UsageWindowId};
use chrono::NaiveDate;

type Key = (SubscriptionId, ComponentId, NaiveDate, Option<UsageWindowId>);

/// Sentences that tell what changed from the old plan to the new one; empty when the plans are equal.
pub fn difference(old: &ContractPlan, new: &ContractPlan) -> Vec<String> {
    let mut told = Vec::new();
    tell(&mut told, "contract", &old.contract, &new.contract);
    tell(&mut told, "contract version", &old.contract_version, &new.contract_version);
    tell(&mut told, "date of issue", &old.issued_on, &new.issued_on);
    subscriptions(&mut told, old, new);
    plugins(&mut told, old, new);
    lines(&mut told, old, new);
    tell(&mut told, "total net", &old.totals.net, &new.totals.net);
    tell(&mut told, "total tax", &old.totals.tax, &new.totals.tax);
    tell(&mut told, "total gross", &old.totals.gross, &new.totals.gross);
    realisations(&mut told, old, new);
    withheld(&mut told, old, new);
    moves(&mut told, old, new);
    orders(&mut told, old, new);
    if told.is_empty() && old != new {
        told.push("the order of subscriptions, plugins or lines changed".to_owned());
    }
    told
}

fn tell<T: PartialEq + Display>(told: &mut Vec<String>, what: &str, old: &T, new: &T) {
    if old != new {
        told.push(format!("{what}: {old} → {new}"));
    }
}

/// All keys of two maps, in order.
fn keys<K: Ord + Copy, V>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Vec<K> {
    let mut keys: Vec<K> = old.keys().chain(new.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn subscriptions(told: &mut Vec<String>, old: &ContractPlan, new: &ContractPlan) {
    let versions = |plan: &ContractPlan| -> BTreeMap<SubscriptionId, i64> {
        plan.subscriptions.iter().map(|pin| (pin.subscription, pin.version)).collect()
    };
    let (old, new) = (versions(old), versions(new));
    for id in keys(&old, &new) {
        match (old.get(&id), new.get(&id)) {
            (Some(before), Some(after)) => tell(told, &format!("version of {id}"), before, after),
            (Some(_), None) => told.push(format!("{id} is no longer due")),
            (None, _) => told.push(format!("{id} is due now")),
        }
    }
}

fn realisations(told: &mut Vec<String>, old: &ContractPlan, new: &ContractPlan) {
    let of = |plan: &ContractPlan| -> BTreeMap<_, _> {
        plan.realisations.iter().filter_map(|found| found.charge.map(|charge| (charge, found.gross))).collect()
    };
    let (old, new) = (of(old), of(new));
    for id in keys(&old, &new) {
        match (old.get(&id), new.get(&id)) {
            (Some(before), Some(after)) => tell(told, &format!("realisation of {id}"), before, after),
            (Some(_), None) => told.push(format!("{id} is no longer to be realised")),
            (None, _) => told.push(format!("{id} is to be realised now")),
        }
    }
}

fn withheld(told: &mut Vec<String>, old: &ContractPlan, new: &ContractPlan) {
    let of = |plan: &ContractPlan| -> BTreeMap<_, _> {
        let found = plan.withheld.iter();
        found.map(|period| ((period.subscription, period.from), period.outcome)).collect()
    };
    let (old, new) = (of(old), of(new));
    for (id, from) in keys(&old, &new) {
        match (old.get(&(id, from)), new.get(&(id, from))) {
            (Some(before), Some(after)) => tell(told, &format!("period of {id} from {from}"), before, after),
            (Some(_), None) => told.push(format!("the money for the period of {id} from {from} is there")),
            (None, _) => told.push(format!("the money for the period of {id} from {from} is missing")),
        }
    }
}

fn moves(told: &mut Vec<String>, old: &ContractPlan, new: &ContractPlan) {
    let of = |plan: &ContractPlan| -> BTreeMap<_, _> {
        plan.moves.iter().map(|moved| ((moved.subscription, moved.on), moved.to)).collect()
    };
    let (old, new) = (of(old), of(new));
    for (id, on) in keys(&old, &new) {
        match (old.get(&(id, on)), new.get(&(id, on))) {
            (Some(before), Some(after)) => {
                tell(told, &format!("version that {id} goes over to on {on}"), before, after);
            }
            (Some(before), None) => told.push(format!("{id} no longer goes over to {before} on {on}")),
            (None, after) => told.extend(after.map(|to| format!("{id} goes over to {to} on {on}"))),
        }
    }
}

fn orders(told: &mut Vec<String>, old: &ContractPlan, new: &ContractPlan) {
    let of = |plan: &ContractPlan| -> BTreeMap<_, _> {
        plan.orders.iter().map(|order| (order.order, order.reserved)).collect()
    };
    let (old, new) = (of(old), of(new));
    for id in keys(&old, &new) {
        match (old.get(&id), new.get(&id)) {
            (Some(before), Some(after)) => tell(told, &format!("reserved for {id}"), before, after),
            (Some(_), None) => told.push(format!("{id} is no longer charged")),
            (None, _) => told.push(format!("{id} is charged now")),
        }
    }
}

fn plugins(told: &mut Vec<String>, old: &ContractPlan, new: &ContractPlan) {
    let pins = |plan: &ContractPlan| -> BTreeMap<_, _> { plan.plugins.iter().map(|pin| (pin.world, *pin)).collect() };
    let (old, new) = (pins(old), pins(new));
    for world in keys(&old, &new) {
        match (old.get(&world), new.get(&world)) {
            (Some(before), Some(after)) => {
                tell(told, &format!("{world} plugin"), &before.component, &after.component);
                tell(told, &format!("{world} configuration"), &before.config, &after.config);
            }
            (Some(_), None) => told.push(format!("{world} plugin no longer decides")),
            (None, _) => told.push(format!("{world} plugin decides now")),
        }
    }
}

fn lines(told: &mut Vec<String>, old: &ContractPlan, new: &ContractPlan) {
    let by_key = |plan: &'_ ContractPlan| -> BTreeMap<Key, PlanLine> {
        let key = |line: &PlanLine| {
            let window = line.usage.as_ref().map(|usage| usage.window);
            (line.subscription, line.component, line.period.start, window)
        };
        plan.lines.iter().map(|line| (key(line), line.clone())).collect()
    };
    let (old, new) = (by_key(old), by_key(new));
    for key in keys(&old, &new) {
        match (old.get(&key), new.get(&key)) {
            (Some(before), Some(after)) => line(told, before, after),
            (Some(gone), None) => told.push(format!("{} is gone: {}", name(gone), gone.gross)),
            (None, Some(added)) => told.push(format!("{} is new: {}", name(added), added.gross)),
            (None, None) => {}
        }
    }
}

fn name(line: &PlanLine) -> String {
    format!("line \"{}\" {} of {}", line.title, line.used, line.subscription)
}

fn line(told: &mut Vec<String>, old: &PlanLine, new: &PlanLine) {
    let name = name(old);
    let mut field = |what: &str, before: &dyn Display, after: &dyn Display| {
        tell(told, &format!("{name}, {what}"), &before.to_string(), &after.to_string());
    };
    let rate = |line: &PlanLine| line.tax_rate.map_or("none".to_owned(), |rate| format!("{} %", rate.normalize()));
    field("title", &old.title, &new.title);
    field("product", &old.product, &new.product);
    field("period", &old.period, &new.period);
    field("used", &old.used, &new.used);
    field("charged on", &old.charged_on, &new.charged_on);
    field("realised on", &old.realises_on, &new.realises_on);
    field("amount", &old.amount, &new.amount);
    field("net", &old.net, &new.net);
    field("tax", &old.tax, &new.tax);
    field("gross", &old.gross, &new.gross);
    field("tax code", &old.tax_code, &new.tax_code);
    field("tax rate", &rate(old), &rate(new));
    let used = |line: &PlanLine| {
        line.usage.as_ref().map_or("none".to_owned(), |usage| {
            format!("{} in {} events, billed {} times", usage.used.normalize(), usage.events, usage.billings)
        })
    };
    field("use", &used(old), &used(new));
    field("proration", &old.proration_explanation, &new.proration_explanation);
}
