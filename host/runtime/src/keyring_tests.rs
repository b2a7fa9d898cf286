//! Published digests of payment protocols, and what the keyring refuses.

use super::*;

fn text(text: &str) -> Piece {
    Piece::Text(text.into())
}

fn secret(name: &str) -> Piece {
    Piece::Secret(name.into())
}

fn keyring(secrets: &[(&str, &str)]) -> Keyring {
    let mut keyring = Keyring::new();
    for (name, value) in secrets {
        keyring.add(name, value.as_bytes()).unwrap();
    }
    keyring
}

fn order(algorithm: Algorithm, message: Vec<Piece>) -> DigestOrder {
    DigestOrder { algorithm, key: None, message, encoding: Encoding::Hex }
}

#[test]
fn digests_over_a_secret_are_those_that_robokassa_publishes() {
    let keyring = keyring(&[("password-1", "pass_1")]);
    for (algorithm, digest) in [
        (Algorithm::Md5, "a3e317c66f3b95b73df9f052c203c815"),
        (Algorithm::Sha1, "6dfcfcc39e3d1b827c144dbf2d9700ec24b665eb"),
        (Algorithm::Sha256, "87c0d97838bd756bf1ea180e05612c5733671e47adcc3ff05183e96927171877"),
        (
            Algorithm::Sha512,
            "1277d8d7ba135259da5ceaf90089f376c320f1c0af1fb4ba0e6ff94cfcf41c1385de503e8577382162dead865783b07016327ae34ae150f94d5b06f26c609dec",
        ),
    ] {
        let order = order(algorithm, vec![text("demo:100.00:42:"), secret("password-1")]);
        assert_eq!(keyring.digest(&order, None).unwrap(), digest, "{algorithm}");
        assert_eq!(keyring.matches(&order, &digest.to_ascii_uppercase()), Ok(true));
        assert_eq!(keyring.matches(&order, &digest[1..]), Ok(false));
        assert_eq!(keyring.matches(&order, ""), Ok(false));
    }
}

#[test]
fn the_rarer_functions_are_those_of_their_standards() {
    let keyring = Keyring::new();
    let of = |algorithm| keyring.digest(&order(algorithm, vec![text("abc")]), None).unwrap();
    assert_eq!(of(Algorithm::Ripemd160), "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc");
    assert_eq!(
        of(Algorithm::Sha384),
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
    );
}

#[test]
fn an_hmac_signs_robokassas_refund_and_invoice_tokens() {
    let keyring = keyring(&[("password-1", "pass_1"), ("password-3", "pass_3")]);
    let refund = DigestOrder {
        algorithm: Algorithm::Sha256,
        key: Some(vec![secret("password-3")]),
        message: vec![text(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJPcEtleSI6IjAwMDVGODkxLThDQ0QtNDM0Qi04NDU1LTgxNkFGRkZEQkYzNy0wVk9pc1dpa0ZGIiwiUmVmdW5kU3VtIjoxLjB9",
        )],
        encoding: Encoding::Base64Url,
    };
    assert_eq!(keyring.digest(&refund, None).unwrap(), "cwAvByXr3NBeGqkF53wogFJ79Mms9OqYyLvX6aP6D84");
    let invoice = DigestOrder {
        algorithm: Algorithm::Md5,
        key: Some(vec![text("demo:"), secret("password-1")]),
        message: vec![text("eyJ0eXAiOiJKV1QiLCJhbGciOiJNRDUifQ")],
        encoding: Encoding::Base64Url,
    };
    assert_eq!(keyring.digest(&invoice, None).unwrap().len(), 22);
}

#[test]
fn a_secret_that_is_not_there_is_named_and_not_guessed() {
    let keyring = keyring(&[("a", "value")]);
    let order = order(Algorithm::Md5, vec![secret("b")]);
    assert_eq!(keyring.digest(&order, None), Err(VaultError::UnknownSecret("b".into())));
    assert!(Keyring::new().add("a", b"").is_err());
    let captured = [Piece::Captured("token".into())];
    assert_eq!(keyring.fill(&captured, None), Err(VaultError::NotCaptured("token".into())));
}

#[test]
fn templates_are_bounded() {
    let keyring = Keyring::new();
    assert_eq!(keyring.fill(&vec![text("x"); 65], None), Err(VaultError::Limit("the pieces of a template")));
    let large = [Piece::Bytes(vec![0; MAX_TEMPLATE_BYTES + 1])];
    assert_eq!(keyring.fill(&large, None), Err(VaultError::Limit("the bytes of a template")));
}

#[test]
fn an_empty_text_equals_nothing() {
    let keyring = keyring(&[("token", "s3cret")]);
    assert_eq!(keyring.equals(&[secret("token")], "s3cret"), Ok(true));
    assert_eq!(keyring.equals(&[secret("token")], "s3cre"), Ok(false));
    assert_eq!(keyring.equals(&[], ""), Ok(false));
}

#[test]
fn what_is_sent_is_filled_and_what_comes_back_is_masked() {
    let keyring = keyring(&[("id", "shop"), ("key", "p@ss word")]);
    let mut captured = Captured::default();
    captured.keep("token", b"A21AAF", "api.example");
    let basic = Segment::Base64(vec![secret("id"), text(":"), secret("key")]);
    assert_eq!(keyring.segment(&basic, &captured).unwrap().as_slice(), b"c2hvcDpwQHNzIHdvcmQ=");
    let form = Segment::Percent(vec![secret("key")]);
    assert_eq!(keyring.segment(&form, &captured).unwrap().as_slice(), b"p%40ss%20word");
    let bearer = Segment::Filled(vec![text("Bearer "), Piece::Captured("token".into())]);
    assert_eq!(keyring.segment(&bearer, &captured).unwrap().as_slice(), b"Bearer A21AAF");
    let echoed = keyring.masked(b"you sent p@ss word, p%40ss%20word, cEBzcyB3b3Jk and A21AAF", &captured);
    assert_eq!(
        String::from_utf8(echoed).unwrap(),
        "you sent [secret key], [secret key], [secret key] and [captured token]"
    );
    let digits = keyring.masked(b"7040737320776f7264 7040737320776F7264", &captured);
    assert_eq!(String::from_utf8(digits).unwrap(), "[secret key] [secret key]");
    assert!(!format!("{keyring:?}{captured:?}").contains("A21AAF"));
}

/// A value inside other bytes, in base64 of either alphabet, whatever stands around it.
#[test]
fn a_secret_inside_of_base64_is_masked() {
    let keyring = keyring(&[("key", "p@ss?word>~ÿ")]);
    for before in ["", "i", "id", "shop:", "демо:"] {
        for after in ["", ":", "::", ":::"] {
            let sent = format!("{before}p@ss?word>~ÿ{after}");
            for written in [BASE64_STANDARD.encode(&sent), BASE64_URL_SAFE_NO_PAD.encode(&sent)] {
                let masked = String::from_utf8(keyring.masked(written.as_bytes(), &Captured::default())).unwrap();
                assert!(masked.contains("[secret key]"), "{before}…{after}: {written} became {masked}");
                let left = masked.replace("[secret key]", "");
                let around = BASE64_STANDARD.encode(format!("{before}{after}")).len();
                assert!(left.len() <= around + 4, "{before}…{after}: {left} is left of {written}");
            }
        }
    }
}

#[test]
fn what_was_sent_with_secrets_in_it_is_masked_as_it_was_sent() {
    let keyring = keyring(&[("id", "shop"), ("pin", "123")]);
    let mut captured = Captured::default();
    for segment in [
        Segment::Base64(vec![secret("id"), text(":"), secret("pin")]),
        Segment::Filled(vec![text("pin="), secret("pin")]),
        Segment::Digest(order(Algorithm::Md5, vec![secret("pin")])),
        Segment::Text("plain text".into()),
    ] {
        let bytes = keyring.segment(&segment, &captured).unwrap();
        captured.note_sent(&segment, &bytes);
    }
    let digest = keyring.digest(&order(Algorithm::Md5, vec![secret("pin")]), None).unwrap();
    let echoed = format!("Basic c2hvcDoxMjM= c2hvcDoxMjM pin=123 plain text {digest}");
    let masked = String::from_utf8(keyring.masked(echoed.as_bytes(), &captured)).unwrap();
    let both = "[secret id, secret pin]";
    assert_eq!(masked, format!("Basic {both} {both} [secret pin] plain text {digest}"));
}

#[test]
fn a_secret_in_a_json_text_is_masked_however_its_writer_escapes() {
    let keyring = keyring(&[("key", "a/b\"c\\d\tж")]);
    for written in [
        r#"a/b\"c\\d\tж"#,
        r#"a\/b\"c\\d\tж"#,
        r#"a/b\"c\\d\t\u0436"#,
        r#"a\/b\"c\\d\t\u0436"#,
        "a%2fb%22c%5cd%09%d0%b6",
    ] {
        let masked = keyring.masked(written.as_bytes(), &Captured::default());
        assert_eq!(String::from_utf8(masked).unwrap(), "[secret key]", "{written}");
    }
}
