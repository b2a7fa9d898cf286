//! Published vectors, natively; the component is tried in the host's suite.

use altyn_plugin::encoding::{form_value, read_form};
use altyn_plugin::gateway::{
    Action, Field, Form, Intent, Outcome, Receipt, ReceiptLine, Received, Reference, Refund, Response, Segment,
    Subject, Verdict,
};
use altyn_plugin::testing::{context, secrets, signatures_are};
use altyn_plugin::vault::digest;

use super::*;
use crate::sign::{order, user_fields};

fn config(more: &str) -> Config {
    serde_json::from_str(&format!(r#"{{"login":"demo"{more}}}"#)).unwrap()
}

fn armed() {
    secrets(&[("password-1", "pass_1"), ("password-2", "pass_2"), ("password-3", "pass_3")]);
}

fn rub(minor: i64) -> Money {
    Money { minor, currency: "RUB".into() }
}

fn intent() -> Intent {
    Intent {
        id: "exc_1".into(),
        number: 42,
        amount: rub(10_000),
        exponent: 2,
        description: "Связь, ноябрь".into(),
        capture: true,
        return_url: String::new(),
        payer: Vec::new(),
        saved_method: None,
        save_method: false,
        receipt: None,
    }
}

fn reference() -> Reference {
    Reference {
        id: "exc_1".into(),
        number: 42,
        external_id: "42".into(),
        amount: rub(10_000),
        exponent: 2,
        capture: true,
        details: Vec::new(),
    }
}

fn begin(config: &Config, operation: Operation) -> Step {
    Robokassa::begin(config, &context(""), operation).unwrap()
}

fn answer(config: &Config, step: &Step, status: u16, body: &str) -> Step {
    let Step::Send(call) = step else { panic!("nothing was sent") };
    let response = Response { status, headers: Vec::new(), body: body.into() };
    Robokassa::resume(config, &context(""), &call.continuation, Answer::Response(response)).unwrap()
}

fn done(step: Step) -> Outcome {
    let Step::Done(outcome) = step else { panic!("it goes on") };
    outcome
}

fn page(config: &Config, intent: Intent) -> Vec<(String, String)> {
    let Verdict::RequiresAction(Action::Redirect(url)) = done(begin(config, Operation::Pay(intent))).verdict else {
        panic!("no page")
    };
    read_form(url.split_once('?').unwrap().1.as_bytes()).unwrap()
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

#[test]
fn the_payment_page_is_signed_with_every_hash_of_the_cabinet() {
    armed();
    for (hash, signature) in [
        ("md5", "a3e317c66f3b95b73df9f052c203c815"),
        ("sha1", "6dfcfcc39e3d1b827c144dbf2d9700ec24b665eb"),
        ("sha256", "87c0d97838bd756bf1ea180e05612c5733671e47adcc3ff05183e96927171877"),
        (
            "sha512",
            "1277d8d7ba135259da5ceaf90089f376c320f1c0af1fb4ba0e6ff94cfcf41c1385de503e8577382162dead865783b07016327ae34ae150f94d5b06f26c609dec",
        ),
    ] {
        let fields = page(&config(&format!(r#","hash":"{hash}""#)), intent());
        assert_eq!(field(&fields, "SignatureValue"), signature);
        assert_eq!((field(&fields, "OutSum"), field(&fields, "InvId")), ("100.00", "42"));
    }
    assert_eq!(field(&page(&config(r#","test":true"#), intent()), "IsTest"), "1");
    assert_eq!(field(&page(&config(""), intent()), "IsTest"), "");
}

#[test]
fn signatures_are_those_of_published_tests() {
    secrets(&[("password-1", "secret1"), ("password-2", "secret2")]);
    let shop = config("");
    let item = ["Shp_item=digital".to_owned()];
    let signed =
        |before: &[&str], password: &str, after: &[String]| digest(&order(&shop, before, password, after)).unwrap();
    assert_eq!(signed(&["demo", "99.90", "1001"], "password-1", &item), "6f3ff72da89c99859c09fac8b1b61cb5");
    assert_eq!(signed(&["demo", "1001"], "password-2", &[]), "1d0bb6fc90e81942e833f9fb4bdf0751");
    let receipt = "%7B%22items%22%3A%5B%7B%22name%22%3A%22product%22%2C%22quantity%22%3A1%2C%22sum%22%3A8.96%2C%22tax%22%3A%22none%22%7D%5D%7D";
    let fields =
        ["demo", "8.96", "12345", receipt, "https://example.com/success", "POST", "https://example.com/fail", "GET"];
    assert_eq!(signed(&fields, "password-1", &item), "4ec77aca3fd8a369fdaff8c2975daa94");
    armed();
    assert_eq!(signed(&["demo", "100.00", ""], "password-1", &[]), "40ef912739e0dca94a8ed3ffa37aed24");
    let own = user_fields([("Shp_tenant", "t1"), ("Shp_account", "77"), ("Email", "x")].into_iter());
    assert_eq!(signed(&["demo", "100.00", "42"], "password-1", &own), "d478e248a15d37a819de904ef8f55667");
}

#[test]
fn a_receipt_is_signed_encoded_and_posted_encoded() {
    armed();
    // The vector writes the sum with one decimal.
    let json = r#"{"sno":"osn","items":[{"name":"Услуги связи","quantity":1,"sum":100.0,"tax":"vat22","payment_method":"full_payment","payment_object":"service"}]}"#;
    let encoded = form_value(json);
    let signed = digest(&order(&config(""), &["demo", "100.00", "42", &encoded], "password-1", &[])).unwrap();
    assert_eq!(signed, "59a8b8c8b572a6c262aad8e173a58437");

    let line = ReceiptLine {
        name: "Услуги связи".into(),
        quantity: "1".into(),
        amount: rub(10_000),
        tax_code: "vat22".into(),
        method: "full-payment".into(),
        object: "service".into(),
    };
    let receipt = Receipt { lines: vec![line], tax_system: "osn".into() };
    assert_eq!(pay::receipt_json(&receipt), json.replace("100.0,", "100.00,"));
    let paid = done(begin(&config(""), Operation::Pay(Intent { receipt: Some(receipt), ..intent() })));
    let Verdict::RequiresAction(Action::Post(Form { url, fields })) = paid.verdict else { panic!("no form") };
    assert_eq!(url, "https://auth.robokassa.ru/Merchant/Index.aspx");
    let sent = fields.iter().find(|field| field.name == "Receipt").unwrap();
    assert_eq!(sent.value, form_value(&json.replace("100.0,", "100.00,")));
}

#[test]
fn another_currency_and_a_missing_password_are_said() {
    secrets(&[]);
    let euro = Money { currency: "EUR".into(), ..rub(100) };
    let refused = Robokassa::begin(&config(""), &context(""), Operation::Pay(Intent { amount: euro, ..intent() }));
    assert!(matches!(refused, Err(Fault::Unsupported(_))));
    let refused = Robokassa::begin(&config(""), &context(""), Operation::Pay(intent()));
    assert!(matches!(refused, Err(Fault::Misconfigured(_))));
}

fn result(config: &Config, body: &str) -> Received {
    let incoming = Incoming {
        method: "POST".into(),
        query: String::new(),
        headers: vec![Field { name: "content-type".into(), value: "application/x-www-form-urlencoded".into() }],
        body: body.into(),
        source: "185.59.216.65".into(),
    };
    let Ok(ReceiveStep::Done(received)) = Robokassa::receive(config, &context(""), incoming) else { panic!("goes on") };
    received
}

const RESULT: &str = "OutSum=100.000000&InvId=42&Fee=3.9&EMail=user%40example.com&SignatureValue=993D365B8B6519A7C61D19465A85D36D&PaymentMethod=BankCard&IncCurrLabel=BankCardPSR&Shp_account=77&Shp_tenant=t1";

#[test]
fn a_result_is_answered_exactly() {
    armed();
    let Received::Authentic(receipt) = result(&config(""), RESULT) else { panic!("rejected") };
    assert_eq!(receipt.taken.body, b"OK42");
    assert_eq!(receipt.taken.status, 200);
    let [claim] = &receipt.claims[..] else { panic!("{}", receipt.claims.len()) };
    assert_eq!(claim.subject, Subject::Number(42));
    assert_eq!((&claim.outcome.verdict, &claim.outcome.amount), (&Verdict::Succeeded, &Some(rub(10_000))));
    assert_eq!(claim.outcome.fee, Some(rub(390)));

    let strong = RESULT.replace(
        "993D365B8B6519A7C61D19465A85D36D",
        "0233803ffffdbc269173e5fc45784f619bc8d37780878c654dc9397e74a6cca9",
    );
    assert!(matches!(result(&config(r#","hash":"sha256""#), &strong), Received::Authentic(_)));
}

#[test]
fn results_of_published_tests_are_authentic() {
    secrets(&[("password-2", "my_password2")]);
    let body = "OutSum=200.00&InvId=84&SignatureValue=95286fdc8024655ceb9034539bac1180&shp_interface=link";
    assert!(matches!(result(&config(""), body), Received::Authentic(_)));
    secrets(&[("password-2", "pass2")]);
    let body = "OutSum=150&InvId=123&SignatureValue=0109ea77984a645bf105f563abee3fe2";
    assert!(matches!(result(&config(""), body), Received::Authentic(_)));
}

#[test]
fn a_changed_result_proves_nothing() {
    armed();
    for (from, to) in [
        ("OutSum=100.000000", "OutSum=100.00"),
        ("OutSum=100.000000", "OutSum=1.000000"),
        ("InvId=42", "InvId=43"),
        ("Shp_account=77", "Shp_account=78"),
        ("&Shp_tenant=t1", ""),
        ("993D365B", "093D365B"),
        ("SignatureValue=", "Signature="),
    ] {
        assert!(matches!(result(&config(""), &RESULT.replace(from, to)), Received::Rejected(_)), "{from} → {to}");
    }
    assert!(matches!(result(&config(""), &format!("{RESULT}&IsTest=1")), Received::Rejected(_)));
    assert!(matches!(result(&config(r#","test":true"#), &format!("{RESULT}&IsTest=1")), Received::Authentic(_)));
    for body in ["", "%zz", "OutSum=1"] {
        assert!(matches!(result(&config(""), body), Received::Rejected(_)));
    }
}

#[test]
fn a_token_is_read_when_its_signature_is_right() {
    let token = include_str!("../tests/resulturl2.jws");
    let certified = config(r#","certificate":"PEM""#);
    signatures_are(true);
    let Received::Authentic(receipt) = result(&certified, token) else { panic!("rejected") };
    let outcome = &receipt.claims[0].outcome;
    assert_eq!((&receipt.claims[0].subject, &outcome.amount), (&Subject::Number(42), &Some(rub(10_000))));
    assert_eq!(outcome.details[0].value, "0005F891-8CCD-434B-8455-816AFFFDBF37-0VOisWikFF");
    signatures_are(false);
    assert!(matches!(result(&certified, token), Received::Rejected(_)));
    signatures_are(true);
    assert!(matches!(result(&config(""), token), Received::Rejected(_)), "nobody to trust");
    let other = Config { login: "other".into(), ..certified };
    assert!(matches!(result(&other, token), Received::Rejected(_)), "another shop");
}

const DONE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<OperationStateResponse xmlns="http://merchant.roboxchange.com/WebService/">
  <Result><Code>0</Code></Result>
  <State><Code>100</Code><StateDate>2026-04-24T00:29:00.0000000+03:00</StateDate></State>
  <Info><IncSum>100.00</IncSum><PaymentMethod><Code>BankCard</Code></PaymentMethod><OutSum>97.00</OutSum><OpKey>ABC-OVO</OpKey></Info>
</OperationStateResponse>"#;

#[test]
fn the_state_is_asked_with_a_digest_and_understood() {
    armed();
    let shop = config("");
    let asked = begin(&shop, Operation::Status(reference()));
    let Step::Send(call) = &asked else { panic!("nothing was sent") };
    let Segment::Digest(signature) = &call.request.url[1] else { panic!("no digest") };
    assert_eq!(digest(signature).unwrap(), "03638d6ff92699a9c5a18e6dc3fd7f60");
    let outcome = done(answer(&shop, &asked, 200, DONE));
    assert_eq!((outcome.verdict, outcome.amount, outcome.fee), (Verdict::Succeeded, Some(rub(10_000)), Some(rub(300))));
    assert_eq!(outcome.details[0].value, "ABC-OVO");

    let state = |code: &str| {
        done(answer(&shop, &asked, 200, &DONE.replace("<State><Code>100", &format!("<State><Code>{code}")))).verdict
    };
    assert_eq!(state("5"), Verdict::Pending(None));
    assert_eq!(state("20"), Verdict::Authorized);
    assert_eq!(state("50"), Verdict::Pending(None));
    assert!(matches!(state("10"), Verdict::Declined(_)));
    assert!(matches!(state("60"), Verdict::Returned(_)));
    assert!(matches!(state("7"), Verdict::Unknown(_)));
    let missing = DONE.replace("<Result><Code>0", "<Result><Code>3");
    assert!(matches!(done(answer(&shop, &asked, 200, &missing)).verdict, Verdict::NotAttempted(_)));
    assert!(matches!(done(answer(&shop, &asked, 502, "")).verdict, Verdict::Unknown(_)));
    let dearer = DONE.replace("100.00", "500.00");
    assert_eq!(done(answer(&shop, &asked, 200, &dearer)).amount, Some(rub(50_000)), "the host compares");
}

#[test]
fn held_money_is_taken_and_let_go() {
    armed();
    let shop = config("");
    let capture = begin(&shop, Operation::Capture(reference()));
    let asked = answer(&shop, &capture, 200, "true");
    assert_eq!(done(answer(&shop, &asked, 200, DONE)).verdict, Verdict::Succeeded);
    let cancel = begin(&shop, Operation::Cancel(reference()));
    let asked = answer(&shop, &cancel, 200, "true");
    let gone = DONE.replace("<State><Code>100", "<State><Code>10");
    assert_eq!(done(answer(&shop, &asked, 200, &gone)).verdict, Verdict::Succeeded);
    let asked = answer(&shop, &cancel, 200, "true");
    assert!(matches!(done(answer(&shop, &asked, 200, DONE)).verdict, Verdict::Declined(_)));
}

#[test]
fn a_refund_is_a_token_signed_with_the_third_password() {
    armed();
    let shop = config("");
    let (message, signature) = refund::token("0005F891-8CCD-434B-8455-816AFFFDBF37-0VOisWikFF", &rub(100));
    assert_eq!(
        message,
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJPcEtleSI6IjAwMDVGODkxLThDQ0QtNDM0Qi04NDU1LTgxNkFGRkZEQkYzNy0wVk9pc1dpa0ZGIiwiUmVmdW5kU3VtIjoxLjB9"
    );
    assert_eq!(digest(&signature).unwrap(), "cwAvByXr3NBeGqkF53wogFJ79Mms9OqYyLvX6aP6D84");

    let wanted = Refund {
        id: "exc_2".into(),
        payment: reference(),
        amount: rub(100),
        reason: String::new(),
        external_id: String::new(),
    };
    let key = begin(&shop, Operation::Refund(wanted.clone()));
    let create = answer(&shop, &key, 200, DONE);
    let created = r#"{"success":true,"message":null,"requestId":"cf15fd52-d2d1-4fc4-b9c0-25310e3bdded"}"#;
    let outcome = done(answer(&shop, &create, 200, created));
    assert_eq!(outcome.verdict, Verdict::Pending(None));
    let refused = r#"{"success":false,"message":"NotEnoughOperationFunds","requestId":null}"#;
    let Verdict::Declined(decline) = done(answer(&shop, &create, 200, refused)).verdict else { panic!("taken") };
    assert!(decline.retryable);
    assert!(matches!(done(answer(&shop, &create, 500, "")).verdict, Verdict::Unknown(_)));

    let asked = begin(&shop, Operation::RefundStatus(Refund { external_id: outcome.external_id, ..wanted }));
    let stands =
        |label: &str| done(answer(&shop, &asked, 200, &format!(r#"{{"requestId":"x","amount":1,"label":"{label}"}}"#)));
    assert_eq!((stands("finished").verdict, stands("finished").amount), (Verdict::Succeeded, Some(rub(100))));
    assert_eq!(stands("processing").verdict, Verdict::Pending(None));
    assert!(matches!(stands("canceled").verdict, Verdict::Declined(_)));
}

#[test]
fn a_saved_method_is_charged_once_and_a_lost_answer_is_not_repeated() {
    armed();
    let shop = config("");
    let charge = begin(&shop, Operation::Pay(Intent { saved_method: Some("7".into()), ..intent() }));
    let Step::Send(call) = &charge else { panic!("nothing was sent") };
    assert_eq!(call.repetition, altyn_plugin::gateway::Repetition::Never);
    assert_eq!(done(answer(&shop, &charge, 200, "OK42")).verdict, Verdict::Pending(None));
    assert!(matches!(done(answer(&shop, &charge, 200, "error 26")).verdict, Verdict::Declined(_)));
    let lost = Robokassa::resume(&shop, &context(""), &call.continuation, Answer::Lost("timeout".into())).unwrap();
    assert!(matches!(done(lost).verdict, Verdict::Unknown(_)));
}
