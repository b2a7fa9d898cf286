//! Amounts of money, exact to the minor unit, and the only place of the platform that rounds.
//!
//! Owns currencies with their exponents, checked arithmetic, shares and allocation. Refuses to know exchange rates
//! and to add different currencies. Invariant: a computation is exact (128-bit integers) until its one rounding,
//! half-up away from zero; an allocation sums to the whole; nothing wraps, an overflow is an error.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::text::{serde_as_text, shorten};

/// Why an amount could not be read or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The currency is not in the list of ISO 4217.
    #[error("unknown currency \"{0}\"; use an upper-case ISO 4217 code such as RUB or EUR")]
    UnknownCurrency(String),
    /// Two amounts of different currencies met.
    #[error("{left} and {right} cannot be added; convert one of them first")]
    CurrencyMismatch {
        /// Currency of the left amount.
        left: Currency,
        /// Currency of the right amount.
        right: Currency,
    },
    /// The result does not fit 64 bits of minor units, or an intermediate does not fit 128.
    #[error("the amount is out of range; split it into smaller ones")]
    Overflow,
    /// The text is not an amount.
    #[error("\"{given}\" is not an amount of {currency}; write digits and at most {exponent} decimals after a point")]
    Malformed {
        /// What was given, cut to 40 characters.
        given: String,
        /// The wanted currency.
        currency: Currency,
        /// How many decimals the currency has.
        exponent: u8,
    },
    /// A share of nothing was asked for.
    #[error("a share needs a whole greater than zero, got {0}")]
    Whole(i64),
    /// Nothing to allocate to: no weight, a negative one, or all of them zero.
    #[error("weights of an allocation must be zero or more with at least one above zero")]
    Weights,
    /// A quantity below zero.
    #[error("quantity {0} is negative; a quantity is zero or more")]
    Quantity(Decimal),
    /// A percentage outside 0..=100.
    #[error("{0} % is out of range; use 0 to 100")]
    Percent(Decimal),
}

/// A currency of ISO 4217, by its code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Codes without minor units.
const EXPONENT_0: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
/// Codes whose unit has a thousand parts.
const EXPONENT_3: &str = "BHD IQD JOD KWD LYD OMR TND";
/// Units of account with four decimals.
const EXPONENT_4: &str = "CLF UYW";
/// All other currencies in use; BGN and ANG stay readable for books from before their replacement.
const EXPONENT_2: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD \
    CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG \
    HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK \
    MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS \
    SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG";

fn listed(list: &str, code: [u8; 3]) -> bool {
    list.as_bytes().chunks(4).any(|entry| entry[..3] == code)
}

impl Currency {
    /// The Russian rouble.
    pub const RUB: Self = Self(*b"RUB");
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");
    /// The United States dollar.
    pub const USD: Self = Self(*b"USD");

    /// Reads an upper-case ISO 4217 code; an unknown one is an error.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let unknown = || MoneyError::UnknownCurrency(shorten(code));
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| unknown())?;
        let known = [EXPONENT_2, EXPONENT_0, EXPONENT_3, EXPONENT_4].into_iter().any(|list| listed(list, bytes));
        if known { Ok(Self(bytes)) } else { Err(unknown()) }
    }

    /// The three letters of the code.
    pub fn code(&self) -> &str {
        // The bytes are ASCII letters by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many decimals the minor unit has: 2 for RUB, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u8 {
        if listed(EXPONENT_0, self.0) {
            0
        } else if listed(EXPONENT_3, self.0) {
            3
        } else if listed(EXPONENT_4, self.0) {
            4
        } else {
            2
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

serde_as_text!(Currency, "ISO 4217 currency code, upper case.", "RUB");

/// An amount in minor units (kopecks, cents) of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Money {
    /// The amount in minor units of the currency.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// An amount of minor units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Whether the amount is nothing.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
        }
    }

    /// The sum of two amounts of one currency.
    #[expect(clippy::should_implement_trait, reason = "an operator cannot answer with an error")]
    pub fn add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        Ok(Self::new(self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?, self.currency))
    }

    /// The difference of two amounts of one currency.
    #[expect(clippy::should_implement_trait, reason = "an operator cannot answer with an error")]
    pub fn sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        Ok(Self::new(self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?, self.currency))
    }

    /// The amount with the other sign.
    #[expect(clippy::should_implement_trait, reason = "an operator cannot answer with an error")]
    pub fn neg(self) -> Result<Self, MoneyError> {
        Ok(Self::new(self.minor.checked_neg().ok_or(MoneyError::Overflow)?, self.currency))
    }

    /// The sum of any number of amounts of one currency; nothing sums to zero.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::add)
    }

    /// Reads an amount in major units, `-?digits[.digits]`, with no more decimals than the currency has.
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let exponent = currency.exponent();
        let malformed = || MoneyError::Malformed { given: shorten(text), currency, exponent };
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(malformed()),
            Some(parts) => parts,
            None => (digits, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > usize::from(exponent) {
            return Err(malformed());
        }
        let padding = usize::from(exponent) - fraction.len();
        let minor = whole
            .bytes()
            .chain(fraction.bytes())
            .map(|b| i128::from(b - b'0'))
            .chain(std::iter::repeat_n(0, padding))
            .try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(digit))
            .ok_or(MoneyError::Overflow)?;
        let signed = if negative { -minor } else { minor };
        Ok(Self::new(i64::try_from(signed).map_err(|_| MoneyError::Overflow)?, currency))
    }

    /// The amount in major units with all decimals of the currency and a point: `590.00`, `-0.05`, `100` (JPY).
    pub fn to_major_string(self) -> String {
        let exponent = usize::from(self.currency.exponent());
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.minor.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        if exponent == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    /// The amount in major units as an exact decimal.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.minor, u32::from(self.currency.exponent()))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_major_string(), self.currency)
    }
}

/// `numerator / denominator`, half-up away from zero. The denominator is above zero.
fn divide(numerator: i128, denominator: i128) -> Result<i64, MoneyError> {
    let quotient = numerator / denominator;
    let remainder = (numerator % denominator).abs();
    // Written as a subtraction because twice the remainder may not fit.
    let away = if remainder >= denominator - remainder { numerator.signum() } else { 0 };
    i64::try_from(quotient + away).map_err(|_| MoneyError::Overflow)
}

fn power_of_ten(exponent: u32) -> Result<i128, MoneyError> {
    10_i128.checked_pow(exponent).ok_or(MoneyError::Overflow)
}

/// Rounds an amount in major units to minor units, half-up away from zero.
pub fn round_minor(amount: Decimal, currency: Currency) -> Result<i64, MoneyError> {
    let exponent = u32::from(currency.exponent());
    let rounded = amount.round_dp_with_strategy(exponent, RoundingStrategy::MidpointAwayFromZero);
    let scale = power_of_ten(exponent.saturating_sub(rounded.scale()))?;
    let minor = rounded.mantissa().checked_mul(scale).ok_or(MoneyError::Overflow)?;
    i64::try_from(minor).map_err(|_| MoneyError::Overflow)
}

/// `round(total · part / whole)` in minor units, half-up away from zero; the whole is above zero.
pub fn ratio(total_minor: i64, part: i64, whole: i64) -> Result<i64, MoneyError> {
    if whole <= 0 {
        return Err(MoneyError::Whole(whole));
    }
    // The product of two 64-bit numbers always fits 128 bits.
    divide(i128::from(total_minor) * i128::from(part), i128::from(whole))
}

/// Splits a total by weights with the largest-remainder method; ties go to the lowest index, parts sum to the total.
pub fn allocate(total_minor: i64, weights: &[i64]) -> Result<Vec<i64>, MoneyError> {
    let whole: i128 = weights.iter().map(|w| i128::from(*w)).sum();
    if whole <= 0 || weights.iter().any(|w| *w < 0) {
        return Err(MoneyError::Weights);
    }
    // Work on the magnitude, so that a credit splits exactly like the charge that it takes back.
    let magnitude = i128::from(total_minor).abs();
    let mut parts: Vec<i128> = weights.iter().map(|w| magnitude * i128::from(*w) / whole).collect();
    let left_over = magnitude - parts.iter().sum::<i128>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    // A stable sort keeps the lowest index first among equal remainders.
    by_remainder.sort_by_key(|i| std::cmp::Reverse(magnitude * i128::from(weights[*i]) % whole));
    let receivers = usize::try_from(left_over).map_err(|_| MoneyError::Overflow)?;
    for index in by_remainder.into_iter().take(receivers) {
        parts[index] += 1;
    }
    let sign = i128::from(total_minor.signum());
    parts.into_iter().map(|part| i64::try_from(part * sign).map_err(|_| MoneyError::Overflow)).collect()
}

fn percent_in_range(percent: Decimal) -> Result<Decimal, MoneyError> {
    if percent.is_sign_negative() && !percent.is_zero() || percent > Decimal::ONE_HUNDRED {
        return Err(MoneyError::Percent(percent));
    }
    Ok(percent.normalize())
}

/// The price of a line: `unit · quantity · (100 − discount %) / 100`, rounded once at the end.
pub fn line_price(unit: Money, quantity: Decimal, discount_percent: Decimal) -> Result<Money, MoneyError> {
    if quantity.is_sign_negative() && !quantity.is_zero() {
        return Err(MoneyError::Quantity(quantity));
    }
    let quantity = quantity.normalize();
    let kept = (Decimal::ONE_HUNDRED - percent_in_range(discount_percent)?).normalize();
    let numerator = i128::from(unit.minor)
        .checked_mul(quantity.mantissa())
        .and_then(|n| n.checked_mul(kept.mantissa()))
        .ok_or(MoneyError::Overflow)?;
    let denominator = power_of_ten(quantity.scale() + kept.scale() + 2)?;
    Ok(Money::new(divide(numerator, denominator)?, unit.currency))
}

/// The price of metered use: `Σ quantity · unit price · (100 − discount %) / 100 · …`, rounded once at the end.
///
/// Unit prices are in major units and may have more decimals than the currency; discounts follow one another.
pub fn usage_price(
    parts: &[(Decimal, Decimal)],
    discount_percents: &[Decimal],
    currency: Currency,
) -> Result<Money, MoneyError> {
    let product = |(quantity, price): &(Decimal, Decimal)| {
        if quantity.is_sign_negative() && !quantity.is_zero() {
            return Err(MoneyError::Quantity(*quantity));
        }
        let (quantity, price) = (quantity.normalize(), price.normalize());
        let product = quantity.mantissa().checked_mul(price.mantissa()).ok_or(MoneyError::Overflow)?;
        Ok((product, quantity.scale() + price.scale()))
    };
    let products = parts.iter().map(product).collect::<Result<Vec<_>, _>>()?;
    let mut scale = products.iter().map(|(_, scale)| *scale).max().unwrap_or(0);
    let mut numerator = products.iter().try_fold(0_i128, |sum, (product, own)| {
        let product = product.checked_mul(power_of_ten(scale - own)?).ok_or(MoneyError::Overflow)?;
        sum.checked_add(product).ok_or(MoneyError::Overflow)
    })?;
    for percent in discount_percents {
        let kept = (Decimal::ONE_HUNDRED - percent_in_range(*percent)?).normalize();
        numerator = numerator.checked_mul(kept.mantissa()).ok_or(MoneyError::Overflow)?;
        scale += kept.scale() + 2;
    }
    let exponent = u32::from(currency.exponent());
    if let Some(more) = exponent.checked_sub(scale) {
        numerator = numerator.checked_mul(power_of_ten(more)?).ok_or(MoneyError::Overflow)?;
    }
    Ok(Money::new(divide(numerator, power_of_ten(scale.saturating_sub(exponent))?)?, currency))
}

/// `round(quantity · part / whole)` to nine decimals, half-up away from zero; the whole is above zero.
pub fn quantity_share(quantity: Decimal, part: Decimal, whole: i64) -> Result<Decimal, MoneyError> {
    if whole <= 0 {
        return Err(MoneyError::Whole(whole));
    }
    let share = quantity.checked_mul(part).and_then(|product| product.checked_div(Decimal::from(whole)));
    Ok(share.ok_or(MoneyError::Overflow)?.round_dp_with_strategy(9, RoundingStrategy::MidpointAwayFromZero).normalize())
}

/// `round(amount · percent / 100)`: a tax on top of a net amount. The percentage is 0 to 100.
pub fn percent_on_top(amount: Money, percent: Decimal) -> Result<Money, MoneyError> {
    let percent = percent_in_range(percent)?;
    let numerator = i128::from(amount.minor).checked_mul(percent.mantissa()).ok_or(MoneyError::Overflow)?;
    let denominator = power_of_ten(percent.scale() + 2)?;
    Ok(Money::new(divide(numerator, denominator)?, amount.currency))
}

/// `round(amount · percent / (100 + percent))`: the tax included in a gross amount. The percentage is 0 to 100.
pub fn percent_included(amount: Money, percent: Decimal) -> Result<Money, MoneyError> {
    let percent = percent_in_range(percent)?;
    let numerator = i128::from(amount.minor).checked_mul(percent.mantissa()).ok_or(MoneyError::Overflow)?;
    let denominator = power_of_ten(percent.scale() + 2)? + percent.mantissa();
    Ok(Money::new(divide(numerator, denominator)?, amount.currency))
}

#[cfg(test)]
mod tests;
