//! Calendar dates as the contract gives them.

use crate::{Date, Period};

impl Date {
    /// Days since 1970-01-01; negative before. None when there is no such day.
    ///
    /// Counts days of years that begin in March, so that the leap day is the last of its year.
    pub fn day_number(&self) -> Option<i64> {
        let (year, month, day) = (i64::from(self.year), i64::from(self.month), i64::from(self.day));
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=9999).contains(&year) || !(1..=last).contains(&day) {
            return None;
        }
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let before = year * 365 + year / 4 - year / 100 + year / 400;
        // 719 468 days lie between the first of March of the year 0 and 1970-01-01.
        Some(before + (153 * month + 2) / 5 + day - 1 - 719_468)
    }
}

impl core::fmt::Display for Date {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Period {
    /// Days in the period; zero when it is empty. None when an end is no real day or the ends are reversed.
    pub fn days(&self) -> Option<i64> {
        let days = self.end.day_number()? - self.start.day_number()?;
        (days >= 0).then_some(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: i32, month: u8, day: u8) -> Date {
        Date { year, month, day }
    }

    #[test]
    fn known_days_have_known_numbers() {
        assert_eq!(date(1970, 1, 1).day_number(), Some(0));
        assert_eq!(date(2000, 3, 1).day_number(), Some(11_017));
        assert_eq!(date(2026, 11, 1).day_number(), Some(20_758));
        assert_eq!(date(1, 1, 1).day_number(), Some(-719_162));
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut expected = date(1899, 12, 31).day_number().unwrap();
        for year in 1900..=2104 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(number) = date(year, month, day).day_number() {
                        expected += 1;
                        assert_eq!(number, expected, "{year}-{month}-{day}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_day_that_does_not_exist_has_no_number() {
        for bad in [
            date(2026, 2, 29),
            date(2100, 2, 29),
            date(2026, 4, 31),
            date(2026, 13, 1),
            date(0, 1, 1),
            date(2026, 1, 0),
        ] {
            assert_eq!(bad.day_number(), None, "{bad}");
        }
        assert!(date(2000, 2, 29).day_number().is_some());
    }
}
