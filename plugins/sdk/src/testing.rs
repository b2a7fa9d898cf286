//! The host's side in native tests of gateways: secrets, and the digests over them.
//!
//! ```
//! use altyn_plugin::vault::{Algorithm, digest, template};
//!
//! altyn_plugin::testing::secrets(&[("password-1", "pass_1")]);
//! let signed = digest(&template().text("demo:100.00:42:").secret("password-1").hex(Algorithm::Md5));
//! assert_eq!(signed.unwrap(), "a3e317c66f3b95b73df9f052c203c815");
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Digest as _;

use crate::vault::{Algorithm, DigestOrder, Encoding, Piece, Refusal, Scheme, Signer};

thread_local! {
    static SECRETS: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
    static SIGNATURES: Cell<bool> = const { Cell::new(false) };
}

/// Gives the vault of this thread these secrets and no others.
pub fn secrets(secrets: &[(&str, &str)]) {
    let owned = secrets.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    SECRETS.with_borrow_mut(|known| *known = owned);
}

/// Says what [`crate::vault::verify`] answers on this thread: certificates are the host's business, and are tried there.
pub fn signatures_are(right: bool) {
    SIGNATURES.set(right);
}

/// A context for tests with this configuration, at 1 November 2026 in Moscow.
pub fn context(config: &str) -> crate::Context {
    crate::Context {
        tenant: "ten_1".into(),
        binding: "bnd_1".into(),
        config: config.into(),
        now: 1_793_000_000_000,
        zone: "Europe/Moscow".into(),
        locale: "ru-RU".into(),
    }
}

fn fill(template: &[Piece]) -> Result<Vec<u8>, Refusal> {
    let mut filled = Vec::new();
    for piece in template {
        match piece {
            Piece::Text(text) => filled.extend_from_slice(text.as_bytes()),
            Piece::Bytes(bytes) => filled.extend_from_slice(bytes),
            Piece::Secret(name) => {
                let value = SECRETS.with_borrow(|known| known.get(name).cloned());
                let value = value.ok_or_else(|| Refusal::UnknownSecret(format!("there is no secret {name}")))?;
                filled.extend_from_slice(value.as_bytes());
            }
            Piece::Captured(name) => return Err(Refusal::Invalid(format!("{name} is known while sending only"))),
        }
    }
    Ok(filled)
}

macro_rules! computed {
    ($hash:ty, $key:expr, $message:expr) => {
        match $key {
            None => <$hash>::digest($message).to_vec(),
            Some(key) => {
                let mut mac = Hmac::<$hash>::new_from_slice(&key)
                    .map_err(|_| Refusal::Invalid("the key is not usable".into()))?;
                mac.update(&$message);
                mac.finalize().into_bytes().to_vec()
            }
        }
    };
}

/// As the host computes it.
pub(crate) fn digest(order: &DigestOrder) -> Result<String, Refusal> {
    let message = fill(&order.message)?;
    let key = order.key.as_deref().map(fill).transpose()?;
    let bytes = match order.algorithm {
        Algorithm::Md5 => computed!(md5::Md5, key, message),
        Algorithm::Sha1 => computed!(sha1::Sha1, key, message),
        Algorithm::Ripemd160 => computed!(ripemd::Ripemd160, key, message),
        Algorithm::Sha256 => computed!(sha2::Sha256, key, message),
        Algorithm::Sha384 => computed!(sha2::Sha384, key, message),
        Algorithm::Sha512 => computed!(sha2::Sha512, key, message),
    };
    Ok(match order.encoding {
        Encoding::Hex => bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Encoding::Base64 => BASE64_STANDARD.encode(bytes),
        Encoding::Base64url => BASE64_URL_SAFE_NO_PAD.encode(bytes),
    })
}

pub(crate) fn matches(order: &DigestOrder, presented: &str) -> Result<bool, Refusal> {
    let expected = digest(order)?;
    Ok(match order.encoding {
        Encoding::Hex => expected.eq_ignore_ascii_case(presented),
        Encoding::Base64 | Encoding::Base64url => expected == presented,
    })
}

pub(crate) fn equals(expected: &[Piece], presented: &str) -> Result<bool, Refusal> {
    let expected = fill(expected)?;
    Ok(!expected.is_empty() && expected == presented.as_bytes())
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of the host's function")]
pub(crate) fn verify(_: Scheme, _: &Signer, _: &[u8], _: &[u8]) -> Result<bool, Refusal> {
    Ok(SIGNATURES.get())
}
