//! What is used in a step: a batch of events of every meter, in time and late, some of them known or wrong.
//!
//! Invariant: every event of a batch is accepted, known or refused, and the same batch once more records nothing.

use altyn_service::{
    ServiceError,
    metering::{IngestReport, UsageEvents},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    act::{NOBODY, chosen, fit, word},
    dice::Dice,
    life::Life,
    operator::METERS,
};

/// What counters are read against: they count minutes from here on.
const METERED_SINCE: &str = "2025-01-01T00:00:00Z";

impl Life<'_> {
    /// Records a batch about some subscriptions, with events of up to so many hours ago.
    pub(crate) async fn record(
        &mut self,
        place: usize,
        number: usize,
        subscription: u8,
        back_hours: i64,
        salt: u64,
    ) -> anyhow::Result<String> {
        // What comes late is billed on a line of its own, so invoices depend on when days are closed.
        if self.timeless || self.operators[place].subscriptions.is_empty() {
            return Ok(NOBODY.to_owned());
        }
        let now = self.now();
        let mut dice = Dice::new(salt, 3);
        let mut events: Vec<Value> = Vec::new();
        let mut about = Vec::new();
        for more in 0..dice.between(1, 3) {
            let of = subscription.wrapping_add(u8::try_from(more).unwrap_or(0));
            let Some(id) = chosen(&self.operators[place].subscriptions, of) else { continue };
            about.push(id);
            for meter in METERS {
                for _ in 0..dice.between(1, 3) {
                    let mut event = Self::event(meter, now, back_hours, &mut dice)?;
                    event["subscription_id"] = json!(id);
                    event["id"] = if dice.one_in(40) {
                        json!(format!("known-{}", dice.between(1, 9)))
                    } else {
                        json!(format!("{number}-{}", events.len()))
                    };
                    events.push(event);
                }
            }
        }
        let first = self.ingest(place, &events).await?;
        let Ok(first) = first else { return Ok(word(&first)) };
        if first.accepted > 0 {
            self.operators[place].used.extend(about);
        }
        let again = self.ingest(place, &events).await?.map_err(crate::life::failed)?;
        anyhow::ensure!(
            again.accepted == 0 && again.late == 0 && again.repeated == first.accepted + first.repeated,
            "a batch was recorded as {first:?}, and once more as {again:?}"
        );
        Ok(match &first {
            IngestReport { late: 1.., .. } => "late".to_owned(),
            IngestReport { accepted: 1.., .. } => "ok".to_owned(),
            other => other.refused.first().map_or("known".to_owned(), |refused| refused.code.clone()),
        })
    }

    async fn ingest(&mut self, place: usize, events: &[Value]) -> anyhow::Result<Result<IngestReport, ServiceError>> {
        let batch = json!({ "events": events });
        let sent = self
            .send(place, async |altyn, request| altyn.usage_ingest(request, fit::<UsageEvents>(batch.clone())?).await)
            .await?;
        if let Ok(report) = &sent {
            let told = report.accepted + report.repeated + report.refused.len();
            anyhow::ensure!(report.received == events.len() && told == events.len(), "events were lost: {report:?}");
        }
        Ok(sent)
    }

    fn event(meter: &str, now: DateTime<Utc>, back_hours: i64, dice: &mut Dice) -> anyhow::Result<Value> {
        // One in many comes from a clock that is ahead.
        let back = if dice.one_in(60) { -90 } else { dice.between(0, back_hours * 60) };
        let at = now - TimeDelta::minutes(back);
        let mut event = json!({ "meter": meter, "occurred_at": at });
        match meter {
            "count" => {}
            "unique" => event["item"] = json!(format!("item-{}", dice.between(1, 6))),
            "difference" => {
                let since: DateTime<Utc> = METERED_SINCE.parse()?;
                let minutes = (at - since).num_minutes().max(0);
                let wrong = dice.one_in(20);
                event["quantity"] =
                    json!(if wrong { "0.5".to_owned() } else { format!("{}.{:03}", minutes / 1_000, minutes % 1_000) });
                if dice.one_in(3) {
                    event["item"] = json!("second");
                }
            }
            _ => event["quantity"] = json!(format!("{}.{:09}", dice.between(0, 90), dice.between(0, 999_999_999))),
        }
        Ok(event)
    }
}
