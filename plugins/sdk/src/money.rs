//! Exact arithmetic on minor units.

use crate::{Fault, Money};

/// `numerator / denominator`, rounded half-up away from zero. The denominator is above zero.
///
/// None when the result does not fit, or the denominator is not above zero.
pub fn round_div(numerator: i128, denominator: i128) -> Option<i64> {
    if denominator <= 0 {
        return None;
    }
    // Nearly all amounts fit, and a guest has no instruction that divides 128 bits.
    let (quotient, remainder) = match (i64::try_from(numerator), i64::try_from(denominator)) {
        (Ok(numerator), Ok(denominator)) => (i128::from(numerator / denominator), i128::from(numerator % denominator)),
        _ => (numerator / denominator, numerator % denominator),
    };
    // Compared against what is left to the next whole, so that nothing is doubled and nothing overflows.
    let up = remainder.unsigned_abs() >= denominator.unsigned_abs() - remainder.unsigned_abs();
    i64::try_from(quotient + if up { numerator.signum() } else { 0 }).ok()
}

/// `round(total * part / whole)`, half-up away from zero, exact. None when it does not fit or `whole` is not above zero.
pub fn share_of(total: i64, part: i64, whole: i64) -> Option<i64> {
    round_div(i128::from(total) * i128::from(part), i128::from(whole))
}

impl Money {
    /// As many minor units of the same currency.
    pub fn with_minor(&self, minor: i64) -> Self {
        Self { minor, currency: self.currency.clone() }
    }

    /// Whether both amounts are of one currency; an `invalid` fault that names the element otherwise.
    pub fn same_currency(&self, other: &Self, element: &str) -> Result<(), Fault> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(Fault::Invalid(format!("{element}: amounts in {} and {}", self.currency, other.currency)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!([5, 4, -5, -4, 15, -15, 0].map(|n| round_div(n, 10)), [1, 0, -1, 0, 2, -2, 0].map(Some));
        assert_eq!(round_div(1, 3), Some(0));
        assert_eq!(round_div(2, 3), Some(1));
        assert_eq!(round_div(-3, 2), Some(-2));
    }

    #[test]
    fn narrow_and_wide_division_agree() {
        for n in -1_000_i64..1_000 {
            for d in [1, 2, 3, 7, 122] {
                let wide = 1_i128 << 70;
                assert_eq!(round_div(i128::from(n), d), round_div(i128::from(n) * wide, d * wide), "{n}/{d}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_no_number() {
        assert_eq!(round_div(i128::MAX, 1), None);
        assert_eq!(round_div(1, 0), None);
        assert_eq!(share_of(i64::MAX, i64::MAX, i64::MAX), Some(i64::MAX));
        assert_eq!(share_of(i64::MIN, 1, 1), Some(i64::MIN));
        assert_eq!(share_of(i64::MAX, 2, 1), None);
    }
}
