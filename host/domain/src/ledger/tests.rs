use super::*;
use crate::id::Id;
use proptest::prelude::*;
use uuid::Uuid;

fn rub(minor: i64) -> Money {
    Money::new(minor, Currency::RUB)
}

fn id<T: Id>(n: u128) -> T {
    T::from_uuid(Uuid::from_u128(n))
}

fn about() -> About {
    About {
        source_key: "charge/42/due".into(),
        effective_on: "2026-11-01".parse().unwrap(),
        description: "November".into(),
    }
}

fn realised(product: u128, code: &str, net: i64, tax: i64) -> Realised {
    Realised { product: id(product), tax_code: code.into(), net: rub(net), tax: rub(tax) }
}

/// Entries as texts, with the identifiers cut to their last digit.
fn entries(transaction: &Transaction) -> Vec<(String, i64)> {
    let short = |entry: &Entry| entry.account.to_string().replace(&"0".repeat(31), "");
    transaction.entries.iter().map(|entry| (short(entry), entry.amount_minor)).collect()
}

fn assert_posts(transaction: Result<Transaction, LedgerError>, kind: TransactionKind, expected: &[(&str, i64)]) {
    let transaction = transaction.unwrap();
    let expected: Vec<(String, i64)> = expected.iter().map(|(a, n)| ((*a).to_owned(), *n)).collect();
    assert_eq!((transaction.kind, entries(&transaction)), (kind, expected));
    assert_eq!(transaction.check(), Ok(()));
}

#[test]
fn the_posting_table_is_kept() {
    use TransactionKind as Kind;
    let (a, b) = (id(1), id(2));
    assert_posts(
        payment_received(about(), a, Channel::Gateway(id(3)), rub(100)),
        Kind::PaymentReceived,
        &[("clearing/bnd_3", 100), ("contract/ctr_1/funds", -100)],
    );
    assert_posts(
        payment_received(about(), a, Channel::Bank("40702810938120061991".into()), rub(100)),
        Kind::PaymentReceived,
        &[("bank/40702810938120061991", 100), ("contract/ctr_1/funds", -100)],
    );
    assert_posts(
        gateway_settled(about(), id(3), "acc".into(), rub(100), rub(4)),
        Kind::GatewaySettled,
        &[("bank/acc", 96), ("gateway-fees", 4), ("clearing/bnd_3", -100)],
    );
    assert_posts(
        charge_due(about(), a, rub(122)),
        Kind::ChargeDue,
        &[("contract/ctr_1/funds", 122), ("deferred-revenue", -122)],
    );
    assert_posts(
        charge_realised(about(), a, rub(122), rub(0), &[realised(7, "vat22", 100, 22)]),
        Kind::ChargeRealised,
        &[("deferred-revenue", 122), ("revenue/prd_7", -100), ("tax-payable/vat22", -22)],
    );
    assert_posts(
        charge_realised(about(), a, rub(60), rub(62), &[realised(7, "vat22", 100, 22)]),
        Kind::ChargeRealised,
        &[("deferred-revenue", 60), ("contract/ctr_1/funds", 62), ("revenue/prd_7", -100), ("tax-payable/vat22", -22)],
    );
    assert_posts(
        credit_unused(about(), a, rub(50), &[realised(7, "vat22", 100, 22)]),
        Kind::CreditUnused,
        &[("deferred-revenue", 50), ("revenue/prd_7", 100), ("tax-payable/vat22", 22), ("contract/ctr_1/funds", -172)],
    );
    assert_posts(
        refund(about(), a, Channel::Cash, rub(10)),
        Kind::Refund,
        &[("contract/ctr_1/funds", 10), ("cash", -10)],
    );
    assert_posts(
        transfer(about(), a, b, rub(10)),
        Kind::Transfer,
        &[("contract/ctr_1/funds", 10), ("contract/ctr_2/funds", -10)],
    );
    assert_posts(
        promise_given(about(), a, rub(10)),
        Kind::PromiseGiven,
        &[("promises", 10), ("contract/ctr_1/promised", -10)],
    );
    assert_posts(
        promise_ended(about(), a, rub(10)),
        Kind::PromiseEnded,
        &[("contract/ctr_1/promised", 10), ("promises", -10)],
    );
    assert_posts(
        opening_balance(about(), a, rub(10)),
        Kind::OpeningBalance,
        &[("opening-balances", 10), ("contract/ctr_1/funds", -10)],
    );
    assert_posts(
        opening_balance(about(), a, rub(-10)),
        Kind::OpeningBalance,
        &[("contract/ctr_1/funds", 10), ("opening-balances", -10)],
    );
}

#[test]
fn lines_of_one_product_and_code_share_an_entry() {
    let parts = [realised(7, "vat22", 100, 22), realised(7, "vat22", 50, 11), realised(8, "none", 30, 0)];
    assert_posts(
        charge_realised(about(), id(1), rub(213), rub(0), &parts),
        TransactionKind::ChargeRealised,
        &[("deferred-revenue", 213), ("revenue/prd_7", -150), ("tax-payable/vat22", -33), ("revenue/prd_8", -30)],
    );
}

#[test]
fn an_unbalanced_transaction_is_refused() {
    let parts = [realised(7, "vat22", 100, 22)];
    assert_eq!(charge_realised(about(), id(1), rub(121), rub(0), &parts), Err(LedgerError::Unbalanced(-1)));
    let huge = |account| Entry { account, amount_minor: i64::MAX };
    let entries = vec![huge(AccountCode::Cash), huge(AccountCode::Promises), huge(AccountCode::Discounts)];
    assert_eq!(
        Transaction::try_new(about(), TransactionKind::Transfer, Currency::RUB, entries),
        Err(LedgerError::Unbalanced(3 * i128::from(i64::MAX)))
    );
}

#[test]
fn a_transaction_has_a_bounded_number_of_entries_and_none_of_zero() {
    let make = |amounts: &[i64]| {
        let entries = amounts.iter().map(|n| Entry { account: AccountCode::Cash, amount_minor: *n }).collect();
        Transaction::try_new(about(), TransactionKind::Transfer, Currency::RUB, entries)
    };
    assert!(make(&[1, -1]).is_ok());
    assert!(make(&[1; 200].iter().zip([1, -1].iter().cycle()).map(|(a, b)| a * b).collect::<Vec<i64>>()).is_ok());
    assert_eq!(make(&[]), Err(LedgerError::Count(0)));
    assert_eq!(make(&[0]), Err(LedgerError::Count(1)));
    assert_eq!(make(&[1; 201]), Err(LedgerError::Count(201)));
    assert_eq!(make(&[1, -1, 0]), Err(LedgerError::ZeroEntry(AccountCode::Cash)));
}

#[test]
fn a_source_key_is_visible_and_bounded() {
    let with_key = |key: &str| charge_due(About { source_key: key.into(), ..about() }, id(1), rub(1));
    assert!(with_key(&"k".repeat(200)).is_ok());
    for key in ["", " ", "a b", "a\nb", &"k".repeat(201)] {
        assert!(matches!(with_key(key), Err(LedgerError::SourceKey(_))), "{key}");
    }
}

#[test]
fn an_amount_of_nothing_or_less_is_refused() {
    for minor in [0, -1] {
        assert!(matches!(charge_due(about(), id(1), rub(minor)), Err(LedgerError::NotPositive { .. })));
        assert!(matches!(transfer(about(), id(1), id(2), rub(minor)), Err(LedgerError::NotPositive { .. })));
    }
    assert!(matches!(opening_balance(about(), id(1), rub(0)), Err(LedgerError::NotPositive { .. })));
    assert!(matches!(
        gateway_settled(about(), id(1), "acc".into(), rub(5), rub(6)),
        Err(LedgerError::NotPositive { .. })
    ));
    assert_eq!(transfer(about(), id(1), id(1), rub(5)), Err(LedgerError::SameContract(id(1))));
}

#[test]
fn currencies_do_not_mix_and_overflow_is_an_error() {
    let foreign = Realised { tax: Money::new(22, Currency::EUR), ..realised(7, "vat22", 100, 22) };
    assert!(matches!(
        charge_realised(about(), id(1), rub(122), rub(0), &[foreign]),
        Err(LedgerError::Money(MoneyError::CurrencyMismatch { .. }))
    ));
    let parts = [realised(7, "none", i64::MAX, 0), realised(7, "none", i64::MAX, 0)];
    assert_eq!(credit_unused(about(), id(1), rub(0), &parts), Err(LedgerError::Money(MoneyError::Overflow)));
    assert_eq!(opening_balance(about(), id(1), rub(i64::MIN)), Err(LedgerError::Money(MoneyError::Overflow)));
    let lowest = Transaction {
        entries: vec![Entry { account: AccountCode::Cash, amount_minor: i64::MIN }],
        ..charge_due(about(), id(1), rub(1)).unwrap()
    };
    assert_eq!(reversal(about(), &lowest), Err(LedgerError::Money(MoneyError::Overflow)));
}

#[test]
fn a_reversal_takes_everything_back() {
    let original = gateway_settled(about(), id(3), "acc".into(), rub(100), rub(4)).unwrap();
    assert_posts(
        reversal(about(), &original),
        TransactionKind::Reversal,
        &[("bank/acc", -96), ("gateway-fees", -4), ("clearing/bnd_3", 100)],
    );
}

#[test]
fn reserved_money_goes_and_comes_back_on_the_same_two_accounts() {
    assert_posts(
        funds_blocked(about(), id(1), rub(70)),
        TransactionKind::FundsBlocked,
        &[("contract/ctr_1/funds", 70), ("contract/ctr_1/blocked", -70)],
    );
    assert_posts(
        funds_released(about(), id(1), rub(70)),
        TransactionKind::FundsReleased,
        &[("contract/ctr_1/blocked", 70), ("contract/ctr_1/funds", -70)],
    );
    assert!(matches!(funds_blocked(about(), id(1), rub(0)), Err(LedgerError::NotPositive { .. })));
}

#[test]
fn what_a_contract_may_spend_counts_promises_and_credit() {
    assert_eq!(available(rub(-50), rub(30), rub(100), rub(20)), Ok(rub(60)));
    assert_eq!(available(rub(i64::MAX), rub(1), rub(0), rub(0)), Err(MoneyError::Overflow));
    assert_eq!(customer_balance(rub(-70)), Ok(rub(70)));
}

#[test]
fn an_account_reads_back_from_its_text() {
    use AccountCode as Code;
    for (code, text, side) in [
        (Code::ContractFunds(id(1)), "contract/ctr_00000000000000000000000000000001/funds", Side::Credit),
        (Code::ContractBlocked(id(1)), "contract/ctr_00000000000000000000000000000001/blocked", Side::Credit),
        (Code::ContractPromised(id(1)), "contract/ctr_00000000000000000000000000000001/promised", Side::Credit),
        (Code::Promises, "promises", Side::Debit),
        (Code::DeferredRevenue, "deferred-revenue", Side::Credit),
        (Code::Revenue(id(2)), "revenue/prd_00000000000000000000000000000002", Side::Credit),
        (Code::TaxPayable("vat22".into()), "tax-payable/vat22", Side::Credit),
        (Code::Clearing(id(3)), "clearing/bnd_00000000000000000000000000000003", Side::Debit),
        (Code::Bank("40702810938120061991".into()), "bank/40702810938120061991", Side::Debit),
        (Code::Cash, "cash", Side::Debit),
        (Code::GatewayFees, "gateway-fees", Side::Debit),
        (Code::Discounts, "discounts", Side::Debit),
        (Code::Adjustments, "adjustments", Side::Debit),
        (Code::OpeningBalances, "opening-balances", Side::Debit),
    ] {
        assert_eq!(code.to_string(), text);
        assert_eq!(text.parse(), Ok(code.clone()));
        assert_eq!(code.normal_side(), side, "{text}");
    }
    for text in [
        "",
        "cash/",
        "contract/ctr_1/funds",
        "contract/cus_00000000000000000000000000000001/funds",
        "bank/",
        "bank/a/b",
        "tax-payable/НДС",
        "tax-payable/VAT",
        "revenue",
        "Cash",
    ] {
        assert!(matches!(text.parse::<Code>(), Err(LedgerError::Account(_))), "{text}");
    }
}

fn any_amount() -> impl Strategy<Value = Money> {
    prop_oneof![1_i64..1_000_000, 1_i64..=i64::MAX].prop_map(rub)
}

fn any_parts() -> impl Strategy<Value = Vec<Realised>> {
    let part = (0_u128..3, prop::sample::select(vec!["vat22", "vat10", "none"]), 0_i64..1_000_000, 0_i64..300_000);
    prop::collection::vec(part.prop_map(|(product, code, net, tax)| realised(product, code, net, tax)), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn every_posting_balances_and_reverses_to_nothing(amount in any_amount(), fee in any_amount(), parts in any_parts(), prepaid in 0_i64..1_000_000) {
        let gross: i64 = parts.iter().map(|p| p.net.minor + p.tax.minor).sum();
        let prepaid = prepaid.min(gross);
        let channel = Channel::Cash;
        let made = [
            payment_received(about(), id(1), channel.clone(), amount),
            gateway_settled(about(), id(3), "acc".into(), amount, fee),
            charge_due(about(), id(1), amount),
            charge_realised(about(), id(1), rub(prepaid), rub(gross - prepaid), &parts),
            credit_unused(about(), id(1), amount, &parts),
            refund(about(), id(1), channel, amount),
            transfer(about(), id(1), id(2), amount),
            promise_given(about(), id(1), amount),
            promise_ended(about(), id(1), amount),
            opening_balance(about(), id(1), amount),
        ];
        for transaction in made {
            match transaction {
                Ok(transaction) => {
                    let sum: i128 = transaction.entries.iter().map(|e| i128::from(e.amount_minor)).sum();
                    prop_assert_eq!(sum, 0);
                    prop_assert!(transaction.entries.iter().all(|e| e.amount_minor != 0));
                    let back = reversal(about(), &transaction).unwrap();
                    for (there, here) in transaction.entries.iter().zip(&back.entries) {
                        prop_assert_eq!(there.amount_minor + here.amount_minor, 0);
                    }
                }
                // A fee above the amount, an overflow of huge amounts, or nothing but zeros; never an imbalance.
                Err(error) => prop_assert!(
                    matches!(error, LedgerError::NotPositive { .. } | LedgerError::Money(_) | LedgerError::Count(0)),
                    "{error}"
                ),
            }
        }
    }
}

/// An account of every sort.
fn accounts() -> Vec<AccountCode> {
    use AccountCode as Code;
    vec![
        Code::ContractFunds(id(1)),
        Code::ContractBlocked(id(1)),
        Code::ContractPromised(id(1)),
        Code::Promises,
        Code::PromiseFees,
        Code::DeferredRevenue,
        Code::Revenue(id(7)),
        Code::TaxPayable("vat22".into()),
        Code::Clearing(id(3)),
        Code::Bank("acc".into()),
        Code::Cash,
        Code::GatewayFees,
        Code::Discounts,
        Code::Adjustments,
        Code::OpeningBalances,
    ]
}

#[test]
fn what_billing_posts_belongs_to_an_object_and_the_rest_may_be_taken_back() {
    let parts = [realised(7, "vat22", 100, 22)];
    let of = |transaction: Result<Transaction, LedgerError>| {
        let transaction = transaction.unwrap();
        owner(transaction.kind, transaction.entries.iter().map(|entry| &entry.account))
    };
    let (a, b, sum) = (id(1), id(2), rub(122));
    for (transaction, stands) in [
        (charge_due(about(), a, sum), Owner::Charge),
        (charge_realised(about(), a, sum, rub(0), &parts), Owner::Charge),
        // Nothing of it was deferred: no account tells whose it is.
        (charge_realised(about(), a, rub(0), sum, &parts), Owner::Charge),
        (credit_unused(about(), a, rub(0), &parts), Owner::Credit),
        (promise_given(about(), a, sum), Owner::Promise),
        (promise_ended(about(), a, sum), Owner::Promise),
        (promise_fee(about(), a, sum), Owner::Promise),
        (funds_blocked(about(), a, sum), Owner::Order),
        (funds_released(about(), a, sum), Owner::Order),
    ] {
        assert_eq!(of(transaction), Some(stands));
    }
    for transaction in [
        payment_received(about(), a, Channel::Cash, sum),
        gateway_settled(about(), id(3), "acc".into(), sum, rub(4)),
        refund(about(), a, Channel::Cash, sum),
        transfer(about(), a, b, sum),
        opening_balance(about(), a, sum),
    ] {
        assert_eq!(of(transaction), None);
    }
    // Whatever it is called, what moves an object's account is the object's.
    assert_eq!(owner(TransactionKind::Adjustment, &[AccountCode::ContractPromised(a)]), Some(Owner::Promise));
    let codes: Vec<&str> = Owner::ALL.iter().map(|owner| owner.stands()).collect();
    assert_eq!(codes, ["charge-stands", "credit-stands", "promise-stands", "order-stands"]);
}

#[test]
fn people_post_what_no_object_answers_for_and_may_take_it_back() {
    let by_hand = ["payment-received", "gateway-settled", "refund", "transfer", "adjustment"];
    for kind in TransactionKind::ALL {
        let allowed = kind.check_by_hand();
        assert_eq!(allowed.is_ok(), by_hand.contains(&kind.as_str()), "{kind}");
        if let Err(refused) = allowed {
            let told = refused.to_string();
            assert!(told.starts_with(&format!("\"{kind}\" comes ")) && told.ends_with(&by_hand.join(", ")), "{told}");
            continue;
        }
        let fit: Vec<AccountCode> = accounts().into_iter().filter(|at| at.check_by_hand(*kind).is_ok()).collect();
        assert_eq!(owner(*kind, &fit), None, "{kind}");
    }
}

#[test]
fn a_posting_by_hand_stands_on_the_accounts_of_its_kind() {
    use TransactionKind as Kind;
    let on = |kind: Kind| -> Vec<String> {
        let fit = accounts().into_iter().filter(|account| account.check_by_hand(kind).is_ok());
        fit.map(|account| account.to_string().replace(&"0".repeat(31), "")).collect()
    };
    let money = ["contract/ctr_1/funds", "clearing/bnd_3", "bank/acc", "cash", "gateway-fees"];
    assert_eq!(on(Kind::PaymentReceived), money);
    assert_eq!(on(Kind::Refund), money);
    assert_eq!(on(Kind::GatewaySettled), ["clearing/bnd_3", "bank/acc", "gateway-fees"]);
    assert_eq!(on(Kind::Transfer), ["contract/ctr_1/funds"]);
    let all = accounts().len();
    assert_eq!(on(Kind::Adjustment).len(), all - 4, "all but those of promises, orders and charges");
    let told = AccountCode::ContractPromised(id(1)).check_by_hand(Kind::Adjustment).unwrap_err().to_string();
    assert!(told.ends_with("/promised is moved by promises alone; give a promise, or revoke one"), "{told}");
    let told = AccountCode::Adjustments.check_by_hand(Kind::Refund).unwrap_err().to_string();
    assert_eq!(told, "a refund does not stand on adjustments; post an adjustment if that is what it is");
}
