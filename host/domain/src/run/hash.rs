//! The hash that a confirmation carries.
//!
//! Invariant: the encoding is canonical and prefix-free: integers are big-endian, dates are day numbers, texts and
//! lists carry their length, options a tag, decimals lose trailing zeros. A changed encoding takes a new tag, so that
//! a hash kept from an older version never confirms by accident.

use chrono::{Datelike, NaiveDate};
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{ContractPlan, PlanLine, PlanRealisation};
use crate::calendar::Period;
use crate::invoice::Amounts;
use crate::money::Money;

const TAG: &[u8] = b"altyn/plan/2";

struct Encoder(Vec<u8>);

impl Encoder {
    fn length(&mut self, length: usize) {
        self.0.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn uuid(&mut self, uuid: Uuid) {
        self.0.extend_from_slice(uuid.as_bytes());
    }

    fn date(&mut self, date: NaiveDate) {
        self.0.extend_from_slice(&date.num_days_from_ce().to_be_bytes());
    }

    fn period(&mut self, period: Period) {
        self.date(period.start);
        self.date(period.end);
    }

    fn money(&mut self, money: Money) {
        self.number(money.minor);
        self.0.extend_from_slice(money.currency.code().as_bytes());
    }

    fn amounts(&mut self, amounts: Amounts) {
        self.money(amounts.net);
        self.money(amounts.tax);
        self.money(amounts.gross);
    }

    fn rate(&mut self, rate: Option<Decimal>) {
        let Some(rate) = rate.map(|r| r.normalize()) else { return self.0.push(0) };
        self.0.push(1);
        self.0.extend_from_slice(&rate.mantissa().to_be_bytes());
        self.0.extend_from_slice(&rate.scale().to_be_bytes());
    }

    fn line(&mut self, line: &PlanLine) {
        self.uuid(line.subscription.0);
        self.uuid(line.component.0);
        self.uuid(line.product.0);
        self.period(line.period);
        self.period(line.used);
        self.date(line.charged_on);
        self.date(line.realises_on);
        self.money(line.amount);
        self.amounts(line.amounts());
        self.text(&line.tax_code);
        self.rate(line.tax_rate);
        self.text(&line.title);
        self.text(&line.proration_explanation);
        self.text(line.kind.as_str());
        self.number(i64::from(line.prepayment_percent));
        // The kind before it tells whether it is there, so the encoding of other lines is what it was.
        if let Some(usage) = &line.usage {
            self.uuid(usage.window.0);
            self.number(i64::from(usage.billings));
            self.number(usage.events);
            self.rate(Some(usage.used));
        }
    }

    fn realisation(&mut self, realisation: &PlanRealisation) {
        match realisation.charge {
            None => self.0.push(0),
            Some(charge) => {
                self.0.push(1);
                self.uuid(charge.0);
            }
        }
        self.uuid(realisation.product.0);
        self.text(&realisation.tax_code);
        self.date(realisation.realises_on);
        self.amounts(realisation.amounts());
        self.money(realisation.prepaid);
        self.money(realisation.credited);
    }
}

/// SHA-256 over the tag `altyn/plan/2` and the canonical encoding of the plan.
pub fn plan_hash(plan: &ContractPlan) -> [u8; 32] {
    let mut encoder = Encoder(Vec::with_capacity(256 + plan.lines.len() * 320));
    encoder.0.extend_from_slice(TAG);
    encoder.uuid(plan.contract.0);
    encoder.number(plan.contract_version);
    encoder.length(plan.subscriptions.len());
    for pin in &plan.subscriptions {
        encoder.uuid(pin.subscription.0);
        encoder.number(pin.version);
    }
    encoder.length(plan.plugins.len());
    for pin in &plan.plugins {
        encoder.text(pin.world.as_str());
        encoder.0.extend_from_slice(&pin.component.0);
        encoder.0.extend_from_slice(&pin.config.0);
    }
    encoder.date(plan.issued_on);
    encoder.length(plan.lines.len());
    plan.lines.iter().for_each(|line| encoder.line(line));
    encoder.amounts(plan.totals);
    encoder.length(plan.realisations.len());
    plan.realisations.iter().for_each(|realisation| encoder.realisation(realisation));
    // Only plans that withhold something or charge an order have this part, so the encoding of others is what it was. What is
    // available is left out: money that changes no decision leaves a confirmation good.
    if !plan.withheld.is_empty() || !plan.orders.is_empty() {
        encoder.length(plan.withheld.len());
        for withheld in &plan.withheld {
            encoder.uuid(withheld.subscription.0);
            encoder.text(withheld.policy.as_str());
            encoder.text(withheld.outcome.as_str());
            encoder.date(withheld.from);
            encoder.date(withheld.until);
            encoder.money(withheld.needed);
        }
    }
    // So it is with those that go over to another version; the word keeps them apart from what is withheld.
    if !plan.moves.is_empty() {
        encoder.text("moves");
        encoder.length(plan.moves.len());
        for moved in &plan.moves {
            encoder.uuid(moved.subscription.0);
            encoder.date(moved.on);
            encoder.uuid(moved.from.0);
            encoder.uuid(moved.to.0);
        }
    }
    if !plan.orders.is_empty() {
        encoder.text("orders");
        encoder.length(plan.orders.len());
        for order in &plan.orders {
            encoder.uuid(order.order.0);
            encoder.uuid(order.subscription.0);
            encoder.money(order.reserved);
        }
    }
    if !plan.credits.is_empty() {
        encoder.text("credits");
        encoder.length(plan.credits.len());
        for credit in &plan.credits {
            encoder.uuid(credit.charge.0);
            encoder.uuid(credit.usage.window.0);
            encoder.number(i64::from(credit.usage.billings));
            encoder.number(credit.usage.events);
            encoder.rate(Some(credit.usage.used));
            encoder.amounts(Amounts { net: credit.net, tax: credit.tax, gross: credit.gross });
        }
    }
    Sha256::digest(&encoder.0).into()
}
