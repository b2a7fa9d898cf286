use super::*;
use crate::money::Currency;
use proptest::prelude::*;

fn rub(minor: i64) -> Money {
    Money::new(minor, Currency::RUB)
}

fn percent(n: i64) -> Decimal {
    Decimal::from(n)
}

fn party(id: &str) -> Party {
    Party { id: id.into(), kind: "legal-entity".into(), country: "RU".into(), tax_ids: vec![], attributes: vec![] }
}

fn document(mode: PriceMode, amounts: &[i64]) -> TaxDocument {
    let day: NaiveDate = "2026-11-30".parse().unwrap();
    let line = |(id, minor): (usize, &i64)| TaxableLine {
        id: id.to_string(),
        amount: rub(*minor),
        supplied_on: day,
        category: "service".into(),
        attributes: vec![],
    };
    TaxDocument {
        id: "0".into(),
        seller: party("seller"),
        buyer: party("buyer"),
        issued_on: day,
        advance: false,
        mode,
        lines: amounts.iter().enumerate().map(line).collect(),
    }
}

fn answer(net: i64, tax: i64, gross: i64, rate: Option<i64>) -> LineTax {
    LineTax {
        line: "0".into(),
        net: rub(net),
        tax: rub(tax),
        gross: rub(gross),
        code: rate.map_or("none".into(), |r| format!("vat{r}")),
        rate: rate.map(percent),
    }
}

fn verdict(mode: PriceMode, amount: i64, line: LineTax) -> Result<(), LineFault> {
    let assessment = Assessment { document: "0".into(), lines: vec![line] };
    check(&document(mode, &[amount]), &assessment).map_err(|violation| match violation {
        TaxViolation::Line { fault, .. } => fault,
        other => panic!("unexpected {other}"),
    })
}

#[test]
fn included_vat_matches_the_reference() {
    for (gross, taxes) in
        [(10_000, [1_803, 1_667, 1_525, 909, 654, 476]), (100_000, [18_033, 16_667, 15_254, 9_091, 6_542, 4_762])]
    {
        for (rate, tax) in [22, 20, 18, 10, 7, 5].into_iter().zip(taxes) {
            assert_eq!(tax_at(PriceMode::Included, rub(gross), percent(rate)), Ok(rub(tax)), "{rate} % in {gross}");
            assert_eq!(verdict(PriceMode::Included, gross, answer(gross - tax, tax, gross, Some(rate))), Ok(()));
        }
    }
    for (gross, rate, tax) in
        [(12_200, 22, 2_200), (175_000, 18, 26_695), (945_000, 18, 144_153), (598_200, 22, 107_872)]
    {
        assert_eq!(tax_at(PriceMode::Included, rub(gross), percent(rate)), Ok(rub(tax)), "{rate} % in {gross}");
    }
}

#[test]
fn vat_on_top_matches_the_reference() {
    for (net, tax) in [(99_999, 22_000), (2, 0), (3, 1), (490_328, 107_872)] {
        assert_eq!(tax_at(PriceMode::OnTop, rub(net), percent(22)), Ok(rub(tax)), "22 % on {net}");
        assert_eq!(verdict(PriceMode::OnTop, net, answer(net, tax, net + tax, Some(22))), Ok(()));
    }
}

#[test]
fn the_tax_of_one_side_is_not_recomputed_from_the_other() {
    // A real document: gross 14169.00 holds 2555.07, while 22 % of its net would be 2555.06.
    assert_eq!(verdict(PriceMode::Included, 1_416_900, answer(1_161_393, 255_507, 1_416_900, Some(22))), Ok(()));
    assert_eq!(tax_at(PriceMode::OnTop, rub(1_161_393), percent(22)), Ok(rub(255_506)));
    assert!(matches!(
        verdict(PriceMode::OnTop, 1_161_393, answer(1_161_393, 255_507, 1_416_900, Some(22))),
        Err(LineFault::Formula { .. })
    ));
}

#[test]
fn a_tax_that_is_off_by_one_kopeck_is_refused() {
    for off in [-1, 1] {
        let line = answer(10_000 - 1_803 - off, 1_803 + off, 10_000, Some(22));
        assert!(matches!(verdict(PriceMode::Included, 10_000, line), Err(LineFault::Formula { .. })));
    }
}

#[test]
fn net_and_tax_sum_to_gross_and_the_stated_side_is_kept() {
    assert!(matches!(
        verdict(PriceMode::Included, 10_000, answer(8_198, 1_803, 10_000, Some(22))),
        Err(LineFault::Sum { .. })
    ));
    assert!(matches!(
        verdict(PriceMode::Included, 10_000, answer(10_000, 2_200, 12_200, Some(22))),
        Err(LineFault::Amount { .. })
    ));
    assert!(matches!(
        verdict(PriceMode::OnTop, 10_000, answer(8_197, 1_803, 10_000, Some(22))),
        Err(LineFault::Amount { .. })
    ));
    assert!(matches!(
        verdict(PriceMode::OnTop, i64::MAX, answer(i64::MAX, 1, i64::MIN, Some(22))),
        Err(LineFault::Sum { .. })
    ));
}

#[test]
fn there_is_no_tax_without_a_rate_and_none_of_the_wrong_sign() {
    assert_eq!(verdict(PriceMode::Included, 10_000, answer(10_000, 0, 10_000, None)), Ok(()));
    assert_eq!(verdict(PriceMode::Included, 10_000, answer(10_000, 0, 10_000, Some(0))), Ok(()));
    assert!(matches!(
        verdict(PriceMode::Included, 10_000, answer(9_999, 1, 10_000, None)),
        Err(LineFault::TaxWithoutRate(_))
    ));
    assert!(matches!(verdict(PriceMode::OnTop, 10_000, answer(10_000, -1, 9_999, None)), Err(LineFault::Sign { .. })));
    assert_eq!(verdict(PriceMode::Included, -10_000, answer(-8_197, -1_803, -10_000, Some(22))), Ok(()));
}

#[test]
fn a_rate_is_a_percentage_and_a_code_is_short() {
    for rate in [-1, 101] {
        let line = answer(10_000, 0, 10_000, Some(rate));
        assert!(matches!(
            verdict(PriceMode::OnTop, 10_000, LineTax { code: "x".into(), ..line }),
            Err(LineFault::Rate(_))
        ));
    }
    for code in ["", "VAT22", "ндс22", "a b", &"a".repeat(33)] {
        let line = LineTax { code: code.to_owned(), ..answer(10_000, 0, 10_000, None) };
        assert!(matches!(verdict(PriceMode::OnTop, 10_000, line), Err(LineFault::Code(_))), "{code}");
    }
}

#[test]
fn a_foreign_currency_is_refused() {
    let line = LineTax { tax: Money::new(1_803, Currency::EUR), ..answer(8_197, 1_803, 10_000, Some(22)) };
    assert_eq!(verdict(PriceMode::Included, 10_000, line), Err(LineFault::Currency));
}

#[test]
fn an_answer_has_the_lines_of_its_document_in_their_order() {
    let document = document(PriceMode::Included, &[100, 200]);
    let line = |id: &str, gross: i64| LineTax { line: id.into(), ..answer(gross, 0, gross, None) };
    let verdict = |id: &str, lines: Vec<LineTax>| check(&document, &Assessment { document: id.into(), lines });
    assert_eq!(verdict("0", vec![line("0", 100), line("1", 200)]), Ok(()));
    assert!(matches!(verdict("1", vec![line("0", 100), line("1", 200)]), Err(TaxViolation::Document { .. })));
    assert_eq!(verdict("0", vec![line("0", 100)]), Err(TaxViolation::Count { asked: 2, answered: 1 }));
    assert!(matches!(
        verdict("0", vec![line("1", 200), line("0", 100)]),
        Err(TaxViolation::Line { fault: LineFault::Order(_), .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn the_formula_always_passes_and_its_neighbours_never_do(
        amount in -10_i64.pow(13)..10_i64.pow(13), rate in 1_i64..=100, included in any::<bool>(), off in -1_i64..=1,
    ) {
        let mode = if included { PriceMode::Included } else { PriceMode::OnTop };
        let right = tax_at(mode, rub(amount), percent(rate)).unwrap().minor;
        let tax = right + off;
        let (net, gross) = if included { (amount - tax, amount) } else { (amount, amount + tax) };
        prop_assert_eq!(verdict(mode, amount, answer(net, tax, gross, Some(rate))).is_ok(), off == 0);
    }
}
