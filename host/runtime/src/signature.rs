//! Signatures of certificates' owners: whether a message was signed by whom the plugin expects.
//!
//! Refuses to know which plugin asks. Invariant: a presented chain is believed only when it leads to a public root, is
//! valid at the instant of the call and names one of the expected hosts.

use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, ring as schemes};

use crate::keyring::VaultError;

/// Longest chain, bytes of PEM and certificates.
const MAX_CHAIN: (usize, usize) = (64 << 10, 8);
/// Longest message and signature, bytes.
const MAX_SIGNED: (usize, usize) = (256 << 10, 2_048);

/// The signature schemes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Sha256,
    Sha384,
    Sha512,
}

/// Whose signature is expected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signer<'a> {
    Pinned(&'a str),
    Presented { pem: &'a str, names: &'a [String] },
}

impl Scheme {
    fn algorithm(self) -> &'static dyn SignatureVerificationAlgorithm {
        match self {
            Self::Sha256 => schemes::RSA_PKCS1_2048_8192_SHA256,
            Self::Sha384 => schemes::RSA_PKCS1_2048_8192_SHA384,
            Self::Sha512 => schemes::RSA_PKCS1_2048_8192_SHA512,
        }
    }
}

/// Whether the signature over the message is the signer's. `anchors` are the roots that a presented chain must lead to.
pub(crate) fn verify(
    anchors: &[TrustAnchor<'_>],
    now_ms: i64,
    scheme: Scheme,
    signer: Signer<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, VaultError> {
    if message.len() > MAX_SIGNED.0 || signature.len() > MAX_SIGNED.1 {
        return Err(VaultError::Limit("the bytes of the message or its signature"));
    }
    let (pem, names) = match signer {
        Signer::Pinned(pem) => (pem, None),
        Signer::Presented { pem, names } => (pem, Some(names)),
    };
    let chain = certificates(pem)?;
    let Some((first, rest)) = chain.split_first() else {
        return Err(VaultError::Invalid("there is no certificate in the PEM text".to_owned()));
    };
    let unreadable = |_| VaultError::Invalid("the certificate does not read; give an X.509 certificate".to_owned());
    let certificate = EndEntityCert::try_from(first).map_err(unreadable)?;
    if let Some(names) = names
        && !trusted(&certificate, rest, anchors, now_ms, names)
    {
        return Ok(false);
    }
    Ok(certificate.verify_signature(scheme.algorithm(), message, signature).is_ok())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, VaultError> {
    if pem.len() > MAX_CHAIN.0 {
        return Err(VaultError::Limit("the bytes of the certificates"));
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MAX_CHAIN.1 + 1).collect();
    let chain = chain.map_err(|_| VaultError::Invalid("the certificates are not PEM".to_owned()))?;
    if chain.len() > MAX_CHAIN.1 { Err(VaultError::Limit("the certificates of a chain")) } else { Ok(chain) }
}

fn trusted(
    certificate: &EndEntityCert<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    now_ms: i64,
    names: &[String],
) -> bool {
    let Ok(now) = u64::try_from(now_ms) else { return false };
    let at = UnixTime::since_unix_epoch(Duration::from_millis(now));
    let chain = certificate.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        anchors,
        intermediates,
        at,
        KeyUsage::server_auth(),
        None,
        None,
    );
    let named = |name: &String| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
    };
    chain.is_ok() && names.iter().any(named)
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
