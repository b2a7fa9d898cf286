//! Local calendar dates: half-open periods counted from an anchor, and the way between dates and instants.
//!
//! Owns the rule of the short month and the rule of the clock change. Refuses to ask what day it is.
//! Invariant: period k is a function of the anchor and k alone, never of period k−1, so a month that was cut short
//! (31 January → 28 February) gives its day back in the next one (→ 31 March).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::text::{serde_as_text, shorten};

pub use zones::Zones;

mod zones;

/// Why a date or a period could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// A period that ends before it begins, or has no day.
    #[error("a period must end after it starts, got {start} to {end}")]
    Empty {
        /// First day.
        start: NaiveDate,
        /// The day after the last one.
        end: NaiveDate,
    },
    /// The date is outside the years 1 to 9999.
    #[error("the date is out of range; dates run from year 1 to year 9999")]
    OutOfRange,
    /// The text is not a cadence.
    #[error("\"{0}\" is not a billing period; write days or months such as 30d (1 to 3660) or 1m (1 to 120)")]
    Cadence(String),
}

/// Whole local days from `start` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "PeriodParts")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Period {
    /// First day.
    pub start: NaiveDate,
    /// The day after the last one.
    pub end: NaiveDate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodParts {
    start: NaiveDate,
    end: NaiveDate,
}

impl TryFrom<PeriodParts> for Period {
    type Error = CalendarError;

    fn try_from(parts: PeriodParts) -> Result<Self, Self::Error> {
        Self::try_new(parts.start, parts.end)
    }
}

impl Period {
    /// A period of at least one day.
    pub fn try_new(start: NaiveDate, end: NaiveDate) -> Result<Self, CalendarError> {
        if start < end { Ok(Self { start, end }) } else { Err(CalendarError::Empty { start, end }) }
    }

    /// How many days the period has.
    pub fn days(&self) -> i64 {
        self.end.signed_duration_since(self.start).num_days()
    }

    /// Whether the day lies in the period.
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.start <= day && day < self.end
    }

    /// Whether the other period lies in this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The days that both periods have, if any.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        Self::try_new(self.start.max(other.start), self.end.min(other.end)).ok()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// How long one billing period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cadence {
    /// A number of days, 1 to 3660.
    Days(u16),
    /// A number of calendar months, 1 to 120.
    Months(u16),
}

impl Cadence {
    fn is_valid(self) -> bool {
        match self {
            Self::Days(n) => (1..=3660).contains(&n),
            Self::Months(n) => (1..=120).contains(&n),
        }
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(n) => write!(f, "{n}d"),
            Self::Months(n) => write!(f, "{n}m"),
        }
    }
}

impl FromStr for Cadence {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || CalendarError::Cadence(shorten(text));
        let (make, digits): (fn(u16) -> Self, &str) = match (text.strip_suffix('d'), text.strip_suffix('m')) {
            (Some(digits), _) => (Self::Days, digits),
            (_, Some(digits)) => (Self::Months, digits),
            _ => return Err(malformed()),
        };
        let cadence = make(digits.parse().map_err(|_| malformed())?);
        // One spelling only: no sign, no leading zero.
        if cadence.is_valid() && cadence.to_string() == text { Ok(cadence) } else { Err(malformed()) }
    }
}

serde_as_text!(Cadence, "Length of a billing period: days `30d` (1 to 3660) or months `1m` (1 to 120).", "1m");

/// The last day of the month that has the given number, counted from year 0 (`year · 12 + month − 1`).
fn clamped(month_number: i64, day: u32) -> Option<NaiveDate> {
    let year = i32::try_from(month_number.div_euclid(12)).ok()?;
    let month = u32::try_from(month_number.rem_euclid(12)).ok()? + 1;
    (28..=day).rev().chain(std::iter::once(day)).find_map(|d| NaiveDate::from_ymd_opt(year, month, d))
}

/// The start of period `k`: the anchor moved by `k` cadences, its day clamped to the month.
pub fn boundary(anchor: NaiveDate, cadence: Cadence, k: i32) -> Result<NaiveDate, CalendarError> {
    let moved = match cadence {
        Cadence::Days(n) => {
            TimeDelta::try_days(i64::from(n) * i64::from(k)).and_then(|days| anchor.checked_add_signed(days))
        }
        Cadence::Months(n) => {
            let month_number = i64::from(anchor.year()) * 12 + i64::from(anchor.month0()) + i64::from(n) * i64::from(k);
            clamped(month_number, anchor.day())
        }
    };
    moved.filter(|date| (1..=9999).contains(&date.year())).ok_or(CalendarError::OutOfRange)
}

/// Period `k` of an anchor: from boundary `k` to boundary `k + 1`.
pub fn period(anchor: NaiveDate, cadence: Cadence, k: i32) -> Result<Period, CalendarError> {
    let next = k.checked_add(1).ok_or(CalendarError::OutOfRange)?;
    Period::try_new(boundary(anchor, cadence, k)?, boundary(anchor, cadence, next)?)
}

/// Index of the period of an anchor that holds a day.
pub fn index_of(anchor: NaiveDate, cadence: Cadence, day: NaiveDate) -> Result<i32, CalendarError> {
    let index = match cadence {
        Cadence::Days(days) => day.signed_duration_since(anchor).num_days().div_euclid(i64::from(days)),
        Cadence::Months(months) => {
            let number = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
            (number(day) - number(anchor)).div_euclid(i64::from(months))
        }
    };
    let index = i32::try_from(index).map_err(|_| CalendarError::OutOfRange)?;
    // In the month of a boundary, the days before it belong to the period before.
    Ok(if boundary(anchor, cadence, index)? > day { index - 1 } else { index })
}

/// The calendar date in the zone at the instant.
pub fn local_date(now: DateTime<Utc>, zone: Tz) -> NaiveDate {
    now.with_timezone(&zone).date_naive()
}

/// The instant of a local time. A time that the zone skips gives the first instant after the gap; a time that the
/// zone has twice gives the earlier one.
pub fn instant_of(date: NaiveDate, time: NaiveTime, zone: Tz) -> DateTime<Utc> {
    let wanted = date.and_time(time);
    if let Some(found) = zone.from_local_datetime(&wanted).earliest() {
        return found.with_timezone(&Utc);
    }
    // In a gap: bisect the second at which the local clock passes the wanted time. Offsets lie within ±15 hours,
    // so the crossing lies inside this window, and a skipped time is passed exactly once.
    let reads_later = |seconds: i64| {
        DateTime::from_timestamp(seconds, 0).is_some_and(|t| t.with_timezone(&zone).naive_local() >= wanted)
    };
    let middle = wanted.and_utc().timestamp();
    let (mut before, mut after) = (middle - 15 * 3600, middle + 15 * 3600);
    while after - before > 1 {
        let half = before + (after - before) / 2;
        if reads_later(half) {
            after = half;
        } else {
            before = half;
        }
    }
    DateTime::from_timestamp(after, 0).unwrap_or_else(|| wanted.and_utc())
}

/// The day after, or an error at the end of time.
pub fn next_day(day: NaiveDate) -> Result<NaiveDate, CalendarError> {
    day.checked_add_days(Days::new(1)).filter(|d| d.year() <= 9999).ok_or(CalendarError::OutOfRange)
}

#[cfg(test)]
mod billing_days;
#[cfg(test)]
mod tests;
