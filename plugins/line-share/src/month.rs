//! Months of fixed length: which periods are whole months, and how many days those count.

use altyn_plugin::{Date, Fault, Period};

/// The days that a period of whole months counts when a month has `month_days`; none when it is no whole months.
///
/// A period is one of whole months when it ends on the day of the month on which it began, or when one of both lies on
/// the last day of its month because that month is too short (31 January to 28 February, and on to 31 March).
pub fn days(period: &Period, month_days: i64) -> Option<i64> {
    let number = |date: &Date| i64::from(date.year) * 12 + i64::from(date.month);
    let months = number(&period.end) - number(&period.start);
    let (start, end) = (&period.start, &period.end);
    let whole = start.day == end.day
        || (end.day < start.day && is_last_of_month(*end))
        || (start.day < end.day && is_last_of_month(*start));
    (months > 0 && whole).then_some(months * month_days)
}

/// The configured length of a month, 1 to 31.
pub fn checked(month_days: i64) -> Result<i64, Fault> {
    if (1..=31).contains(&month_days) {
        Ok(month_days)
    } else {
        Err(Fault::Misconfigured(format!("month_days must be 1 to 31, got {month_days}")))
    }
}

fn is_last_of_month(date: Date) -> bool {
    Date { day: date.day + 1, ..date }.day_number().is_none()
}
