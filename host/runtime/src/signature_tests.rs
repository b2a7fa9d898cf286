//! A throw-away root, a signer's certificate below it, and what each of them proves.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;

const ROOT: &str = include_str!("../tests/signatures/root.pem");
const LEAF: &str = include_str!("../tests/signatures/leaf.pem");
const MESSAGE: &[u8] = b"the signed message";
/// Within the dates of both certificates.
const NOW_MS: i64 = 1_800_000_000_000;

fn signature() -> Vec<u8> {
    BASE64_STANDARD.decode(include_str!("../tests/signatures/signature.txt")).unwrap()
}

fn presented(pem: &str, name: &str, now_ms: i64) -> bool {
    let root = CertificateDer::from_pem_slice(ROOT.as_bytes()).unwrap();
    let anchors = [webpki::anchor_from_trusted_cert(&root).unwrap()];
    let names = [name.to_owned()];
    verify(&anchors, now_ms, Scheme::Sha256, Signer::Presented { pem, names: &names }, MESSAGE, &signature()).unwrap()
}

fn pinned(scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
    verify(&[], 0, scheme, Signer::Pinned(LEAF), message, signature).unwrap()
}

#[test]
fn a_pinned_certificate_proves_its_owners_messages_and_no_others() {
    let wide = BASE64_STANDARD.decode(include_str!("../tests/signatures/signature512.txt")).unwrap();
    assert!(pinned(Scheme::Sha256, MESSAGE, &signature()));
    assert!(pinned(Scheme::Sha512, MESSAGE, &wide));
    assert!(!pinned(Scheme::Sha384, MESSAGE, &wide));
    assert!(!pinned(Scheme::Sha256, MESSAGE, &wide));
    assert!(!pinned(Scheme::Sha256, b"another message", &signature()));
    assert!(!pinned(Scheme::Sha256, MESSAGE, b""));
}

#[test]
fn a_presented_chain_needs_a_root_a_name_and_a_date() {
    assert!(presented(LEAF, "signer.example", NOW_MS));
    assert!(presented(&format!("{LEAF}{ROOT}"), "signer.example", NOW_MS));
    assert!(!presented(LEAF, "other.example", NOW_MS));
    assert!(!presented(LEAF, "signer.example", NOW_MS + 20 * 365 * 86_400_000));
    assert!(!presented(LEAF, "signer.example", 0));
    assert!(!presented(LEAF, "signer.example", -1));
}

#[test]
fn a_chain_to_nowhere_proves_nothing() {
    let names = ["signer.example".to_owned()];
    let signer = Signer::Presented { pem: LEAF, names: &names };
    let anchors = webpki_roots::TLS_SERVER_ROOTS;
    assert_eq!(verify(anchors, NOW_MS, Scheme::Sha256, signer, MESSAGE, &signature()), Ok(false));
}

#[test]
fn what_is_no_certificate_is_said_to_be_none() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let answer = verify(&[], 0, Scheme::Sha256, Signer::Pinned(pem), MESSAGE, &signature());
        assert!(matches!(answer, Err(VaultError::Invalid(_))), "{pem:?}: {answer:?}");
    }
    let long = LEAF.repeat(60);
    let answer = verify(&[], 0, Scheme::Sha256, Signer::Pinned(&long), MESSAGE, &signature());
    assert!(matches!(answer, Err(VaultError::Limit(_))), "{answer:?}");
}

#[test]
fn the_text_that_paypal_signs_is_verified() {
    let text = b"dfb3be50-fd74-11e4-8bf3-77339302725b|2015-05-18T15:45:13Z|4JH86294D6297924G|2771810304";
    let signature = BASE64_STANDARD.decode(include_str!("../tests/signatures/paypal.txt").trim()).unwrap();
    let signer = Signer::Pinned(include_str!("../tests/signatures/paypal.pem"));
    assert_eq!(verify(&[], 0, Scheme::Sha256, signer, text, &signature), Ok(true));
    assert_eq!(verify(&[], 0, Scheme::Sha256, signer, &text[1..], &signature), Ok(false));
}
