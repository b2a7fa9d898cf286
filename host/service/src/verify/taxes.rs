//! Taxes of invoice lines, computed again from their rates.

use altyn_domain::{
    money::{Currency, Money},
    tax::{PriceMode, tax_at},
};
use altyn_store::{Tx, verify as rows};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Findings, RuleReport};
use crate::error::Result;

/// The code of the rule.
pub(super) const CODE: &str = "tax-recomputed";
const PAGE: i64 = 10_000;

/// Every line's tax is what its rate gives on the side of the price that its invoice states; no rate, no tax.
pub(super) async fn recomputed(tx: &mut Tx, tenant: Uuid) -> Result<RuleReport> {
    let mut findings = Findings::new(CODE, "a line's tax is what its rate gives on its stated price");
    let mut after = (Uuid::nil(), -1);
    loop {
        let page = rows::taxed_lines(tx, tenant, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.invoice_id, last.position);
        for line in &page {
            findings.checked += 1;
            if let Err(reason) = check(line) {
                findings.refuse(|| {
                    format!("inv_{}: {} line {}: {reason}", line.invoice_id.simple(), line.number, line.position)
                });
            }
        }
    }
    Ok(findings.report())
}

fn check(line: &rows::TaxedLineRow) -> std::result::Result<(), String> {
    let Some(rate) = &line.tax_rate else {
        return if line.tax_minor == 0 { Ok(()) } else { Err(format!("has no rate but a tax of {}", line.tax_minor)) };
    };
    let currency: Currency = line.currency.parse().map_err(|error| format!("{error}"))?;
    let mode: PriceMode = line.price_mode.parse().map_err(|error| format!("{error}"))?;
    let rate: Decimal = rate.parse().map_err(|error| format!("rate {rate}: {error}"))?;
    let stated = match mode {
        PriceMode::Included => line.gross_minor,
        PriceMode::OnTop => line.net_minor,
    };
    let expected = tax_at(mode, Money::new(stated, currency), rate).map_err(|error| error.to_string())?;
    if expected.minor == line.tax_minor {
        Ok(())
    } else {
        Err(format!("{rate} % {mode} of {stated} is {}, not {}", expected.minor, line.tax_minor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mode: &str, net: i64, tax: i64, rate: Option<&str>) -> rows::TaxedLineRow {
        rows::TaxedLineRow {
            invoice_id: Uuid::nil(),
            position: 0,
            number: "1".into(),
            currency: "RUB".into(),
            price_mode: mode.into(),
            net_minor: net,
            tax_minor: tax,
            gross_minor: net + tax,
            tax_rate: rate.map(Into::into),
        }
    }

    #[test]
    fn a_tax_is_what_its_rate_gives() {
        // 590.00 with 22 % inside: 590 · 22 / 122 = 106.39; on top of 590.00: 129.80.
        assert_eq!(check(&line("included", 48_361, 10_639, Some("22"))), Ok(()));
        assert_eq!(check(&line("on-top", 59_000, 12_980, Some("22"))), Ok(()));
        assert!(check(&line("included", 48_360, 10_640, Some("22"))).is_err());
        assert!(check(&line("on-top", 59_000, 12_979, Some("22"))).is_err());
    }

    #[test]
    fn without_a_rate_there_is_no_tax() {
        assert_eq!(check(&line("included", 59_000, 0, None)), Ok(()));
        assert!(check(&line("included", 58_999, 1, None)).is_err());
    }

    #[test]
    fn an_unreadable_rate_breaks_the_rule_instead_of_the_verification() {
        assert!(check(&line("included", 59_000, 0, Some("a lot"))).is_err());
        assert!(check(&line("sideways", 59_000, 0, Some("0"))).is_err());
    }
}
