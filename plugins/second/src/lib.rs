//! Proration by seconds: `used = round(B * seconds used / seconds of the period)`, half-up away from zero.
//!
//! B is what was billed on the line, or its price when nothing was. Days begin at local midnight in the zone that the
//! host names, so a day on which the clocks change counts 23 or 25 hours; elsewhere this is the ratio of days. A midnight
//! that the zone skips is the first instant after the gap, one that it has twice is the earlier. Offsets come from the
//! zone rules that were compiled in, so the same component gives the same answer for ever.

use altyn_plugin::proration::{CurrentDay, Question, Share};
use altyn_plugin::{Context, Date, Descriptor, Fault, NO_CONFIG_SCHEMA, NoConfig, ProrationStrategy, describe};
use chrono::{NaiveDate, TimeDelta, TimeZone};
use chrono_tz::Tz;

/// The strategy.
pub struct Second;

impl ProrationStrategy for Second {
    type Config = NoConfig;

    fn describe() -> Descriptor {
        describe("second", env!("CARGO_PKG_VERSION"), "Proration by seconds", NO_CONFIG_SCHEMA)
    }

    fn share(_: &NoConfig, ctx: &Context, question: Question) -> Result<Share, Fault> {
        question.days()?;
        let zone: Tz =
            ctx.zone.parse().map_err(|_| Fault::Invalid(format!("the zone \"{}\" is not a known one", ctx.zone)))?;
        let clock = Clock { zone, line: &question.line };
        let (period, used) = (&question.period, &question.used);
        let whole = clock.between(period.start, period.end)?;
        let mut seconds = clock.between(used.start, used.end)?;
        if used.end < period.end && matches!(question.current_day, CurrentDay::Old | CurrentDay::Both) {
            seconds += clock.day(used.end)?;
        }
        if used.start > period.start && matches!(question.current_day, CurrentDay::Old | CurrentDay::Neither) {
            seconds -= clock.day(used.start)?;
        }
        let seconds = seconds.clamp(0, whole);
        let part = altyn_plugin::share_of(line_share::total(&question), seconds, whole);
        line_share::used(question, part, format!("{seconds} of {whole} seconds"))
    }
}

/// Local midnights of a zone.
struct Clock<'a> {
    zone: Tz,
    line: &'a str,
}

impl Clock<'_> {
    /// Seconds from the midnight of one day to that of another.
    fn between(&self, start: Date, end: Date) -> Result<i64, Fault> {
        Ok(self.midnight(self.date(end)?)? - self.midnight(self.date(start)?)?)
    }

    /// Seconds of a day.
    fn day(&self, day: Date) -> Result<i64, Fault> {
        let day = self.date(day)?;
        let next = day.succ_opt().ok_or_else(|| self.out_of_range())?;
        Ok(self.midnight(next)? - self.midnight(day)?)
    }

    fn date(&self, date: Date) -> Result<NaiveDate, Fault> {
        NaiveDate::from_ymd_opt(date.year, date.month.into(), date.day.into()).ok_or_else(|| self.out_of_range())
    }

    /// Seconds since 1970 at which a day begins.
    fn midnight(&self, day: NaiveDate) -> Result<i64, Fault> {
        let mut local = day.and_hms_opt(0, 0, 0).ok_or_else(|| self.out_of_range())?;
        // Gaps are whole quarters of an hour nowadays, and none is longer than a day.
        for _ in 0..=96 {
            if let Some(instant) = self.zone.from_local_datetime(&local).earliest() {
                return Ok(instant.timestamp());
            }
            local = local.checked_add_signed(TimeDelta::minutes(15)).ok_or_else(|| self.out_of_range())?;
        }
        Err(self.out_of_range())
    }

    fn out_of_range(&self) -> Fault {
        Fault::Unsupported(format!("line {}: a date is out of range", self.line))
    }
}

altyn_plugin::proration_strategy!(Second);

#[cfg(test)]
mod tests {
    use line_share::vectors::{self, period, rub};

    use super::*;

    #[test]
    fn published_vectors_hold() {
        vectors::hold::<Second>(include_str!("../tests/vectors.json"));
    }

    #[test]
    fn money_is_conserved_on_every_split() {
        vectors::conserves::<Second>("{}");
    }

    #[test]
    fn an_unknown_zone_is_refused_by_name() {
        let question = Question {
            line: "1".into(),
            price: rub(100),
            period: period("2026-11-01", "2026-12-01"),
            used: period("2026-11-01", "2026-11-02"),
            current_day: CurrentDay::New,
            billed: rub(0),
            credited: rub(0),
            exponent: 2,
        };
        let Err(Fault::Invalid(text)) = vectors::ask::<Second>("Moscow", "{}", question) else { panic!("accepted") };
        assert!(text.contains("Moscow"), "{text}");
    }
}
