//! Secrets in the host's memory, and everything that is ever done with them: filling templates and computing digests.
//!
//! Owns the bytes of the secrets of one call or one exchange; they are wiped when it is dropped. Invariant: nothing here
//! prints, logs or serialises a secret; errors name secrets, never show them.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use altyn_domain::exchange::{Algorithm, DigestOrder, Encoding, Piece, Segment};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use ripemd::Ripemd160;
use sha1::Sha1;
use sha2_011::{Digest as _, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Most pieces of a template.
const MAX_PIECES: usize = 64;
/// Most bytes that stand for themselves in a template.
const MAX_TEMPLATE_BYTES: usize = 256 << 10;
/// Shortest value that is looked for when an answer is masked: shorter ones would mask ordinary text.
const SHORTEST_MASKED: usize = 4;
/// Longest value that is looked for in other codings than its own: secrets are shorter, and whole bodies are not.
const LONGEST_RECODED: usize = 4 << 10;

/// Why the vault gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// No such secret.
    #[error("there is no secret \"{0}\" here; name it in the descriptor and have it granted to the binding")]
    UnknownSecret(String),
    /// No such captured value, or not here.
    #[error("there is no captured value \"{0}\" here")]
    NotCaptured(String),
    /// A bound of the contract.
    #[error("{0} exceed the bound of the vault")]
    Limit(&'static str),
    /// The arguments make no sense.
    #[error("{0}")]
    Invalid(String),
}

/// The secrets that one binding was granted, by name.
#[derive(Clone, Default)]
pub struct Keyring {
    secrets: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// Where a keyring of made-up secrets tells what it was shown; none on every keyring of somebody's.
    shown: Option<Arc<Mutex<Vec<Shown>>>>,
}

/// A digest that was presented to a keyring of made-up secrets, and the one that would have been right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) presented: String,
    pub(crate) right: String,
}

/// What one exchange keeps in memory alone: values that were taken out of responses, by name, each with the host that
/// answered it; and what was sent with secrets in it, as it was sent.
#[derive(Clone, Default)]
pub struct Captured {
    values: BTreeMap<String, (Zeroizing<Vec<u8>>, String)>,
    sent: Vec<(Zeroizing<Vec<u8>>, String)>,
}

/// Everything that must not be shown, in every form in which it may come back, with what stands in its place.
pub struct Masks(Vec<(Zeroizing<Vec<u8>>, String)>);

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.secrets.keys()).finish()
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Captured {
    /// Keeps a value that a host answered; a later one of the same name replaces it.
    pub fn keep(&mut self, name: &str, value: &[u8], origin: &str) {
        self.values.insert(name.to_owned(), (Zeroizing::new(value.to_vec()), origin.to_owned()));
    }

    /// The host that answered the value.
    pub fn origin(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(_, origin)| origin.as_str())
    }

    /// Notes the bytes of a segment that is about to be sent, when there is a secret or a captured value in it.
    pub fn note_sent(&mut self, segment: &Segment, bytes: &[u8]) {
        if matches!(segment, Segment::Digest(_)) || bytes.len() < SHORTEST_MASKED {
            return;
        }
        let marks: Vec<String> = segment
            .pieces()
            .filter_map(|piece| match piece {
                Piece::Secret(name) => Some(format!("secret {}", shown(name))),
                Piece::Captured(name) => Some(format!("captured {}", shown(name))),
                Piece::Text(_) | Piece::Bytes(_) => None,
            })
            .collect();
        if marks.is_empty() {
            return;
        }
        let mark = format!("[{}]", marks.join(", "));
        // What was encoded may come back in another coding.
        let plain = matches!(segment, Segment::Base64(_)).then(|| BASE64_STANDARD.decode(bytes).ok()).flatten();
        for bytes in [Some(bytes.to_vec()), plain].into_iter().flatten().map(Zeroizing::new) {
            if !self.sent.iter().any(|(known, _)| *known == bytes) {
                self.sent.push((bytes, mark.clone()));
            }
        }
    }
}

impl Masks {
    /// The text with all of it masked, the longest forms first.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        self.0.iter().fold(text.to_vec(), |text, (form, mark)| replaced(text, form, mark.as_bytes()))
    }
}

impl Keyring {
    /// No secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with the named secrets alone.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        let named =
            |(name, value): (&String, &Zeroizing<Vec<u8>>)| names.contains(name).then(|| (name.clone(), value.clone()));
        Self { secrets: self.secrets.iter().filter_map(named).collect(), shown: None }
    }

    /// One that tells which digests it was shown: for secrets that are nobody's.
    pub(crate) fn telling() -> Self {
        Self { secrets: BTreeMap::new(), shown: Some(Arc::default()) }
    }

    /// What it was shown since the last time.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let told =
            |shown: &Arc<Mutex<Vec<Shown>>>| std::mem::take(&mut *shown.lock().unwrap_or_else(PoisonError::into_inner));
        self.shown.as_ref().map(told).unwrap_or_default()
    }

    /// Adds a secret. An empty one is not taken: a digest over it would prove nothing.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), VaultError> {
        if value.is_empty() {
            return Err(VaultError::Invalid(format!("the secret \"{name}\" is empty")));
        }
        self.secrets.insert(name.to_owned(), Zeroizing::new(value.to_vec()));
        Ok(())
    }

    /// Whether it has a secret of this name.
    pub fn has(&self, name: &str) -> bool {
        self.secrets.contains_key(name)
    }

    /// Joins the pieces of a template. `captured` is None where captured values have no business.
    pub fn fill(&self, template: &[Piece], captured: Option<&Captured>) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        if template.len() > MAX_PIECES {
            return Err(VaultError::Limit("the pieces of a template"));
        }
        let plain: usize = template
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.len(),
                Piece::Bytes(bytes) => bytes.len(),
                Piece::Secret(_) | Piece::Captured(_) => 0,
            })
            .sum();
        if plain > MAX_TEMPLATE_BYTES {
            return Err(VaultError::Limit("the bytes of a template"));
        }
        let mut filled = Vec::with_capacity(plain + 1_024);
        for piece in template {
            match piece {
                Piece::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Piece::Bytes(bytes) => filled.extend_from_slice(bytes),
                Piece::Secret(name) => {
                    let secret = self.secrets.get(name);
                    filled.extend_from_slice(secret.ok_or_else(|| VaultError::UnknownSecret(shown(name)))?);
                }
                Piece::Captured(name) => {
                    let value = captured.and_then(|captured| captured.values.get(name));
                    let (value, _) = value.ok_or_else(|| VaultError::NotCaptured(shown(name)))?;
                    filled.extend_from_slice(value);
                }
            }
        }
        Ok(Zeroizing::new(filled))
    }

    /// Computes a digest or an HMAC, written as the order says.
    pub fn digest(&self, order: &DigestOrder, captured: Option<&Captured>) -> Result<String, VaultError> {
        let message = self.fill(&order.message, captured)?;
        let key = order.key.as_deref().map(|key| self.fill(key, captured)).transpose()?;
        let key = key.as_deref().map(Vec::as_slice);
        let bytes = match order.algorithm {
            Algorithm::Md5 => digest_or_hmac!(Md5, key, &message),
            Algorithm::Sha1 => digest_or_hmac!(Sha1, key, &message),
            Algorithm::Ripemd160 => digest_or_hmac!(Ripemd160, key, &message),
            Algorithm::Sha256 => digest_or_hmac!(Sha256, key, &message),
            Algorithm::Sha384 => digest_or_hmac!(Sha384, key, &message),
            Algorithm::Sha512 => digest_or_hmac!(Sha512, key, &message),
        };
        Ok(match order.encoding {
            Encoding::Hex => hex::encode(bytes),
            Encoding::Base64 => BASE64_STANDARD.encode(bytes),
            Encoding::Base64Url => BASE64_URL_SAFE_NO_PAD.encode(bytes),
        })
    }

    /// Whether `presented` is this digest, in constant time; hexadecimal digits of either case are taken.
    pub fn matches(&self, order: &DigestOrder, presented: &str) -> Result<bool, VaultError> {
        let expected = self.digest(order, None)?;
        let same = match order.encoding {
            Encoding::Hex => expected.as_bytes().ct_eq(presented.to_ascii_lowercase().as_bytes()),
            Encoding::Base64 | Encoding::Base64Url => expected.as_bytes().ct_eq(presented.as_bytes()),
        };
        if let Some(shown) = &self.shown {
            let told = Shown { presented: presented.to_owned(), right: expected };
            shown.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        }
        Ok(same.into())
    }

    /// Whether `presented` is exactly this text, in constant time. An empty text equals nothing.
    pub fn equals(&self, expected: &[Piece], presented: &str) -> Result<bool, VaultError> {
        let expected = self.fill(expected, None)?;
        Ok(!expected.is_empty() && bool::from(expected.ct_eq(presented.as_bytes())))
    }

    /// The bytes that a segment of a request stands for.
    pub fn segment(&self, segment: &Segment, captured: &Captured) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let captured = Some(captured);
        Ok(match segment {
            Segment::Text(text) => Zeroizing::new(text.clone().into_bytes()),
            Segment::Filled(template) => self.fill(template, captured)?,
            Segment::Base64(template) => {
                Zeroizing::new(BASE64_STANDARD.encode(self.fill(template, captured)?.as_slice()).into_bytes())
            }
            Segment::Percent(template) => Zeroizing::new(percent(&self.fill(template, captured)?, CAPITALS)),
            Segment::Digest(order) => Zeroizing::new(self.digest(order, captured)?.into_bytes()),
        })
    }

    /// Masks for every secret and captured value, each replaced by its name, and for what was sent with them in it. A
    /// server that echoes what it was sent tells the plugin nothing, in whatever coding it answers; see [`forms`].
    pub fn masks(&self, captured: &Captured) -> Masks {
        let secrets = self.secrets.iter().map(|(name, value)| (value, format!("[secret {name}]")));
        let values = captured.values.iter().map(|(name, (value, _))| (value, format!("[captured {name}]")));
        let sent = captured.sent.iter().map(|(bytes, mark)| (bytes, mark.clone()));
        let mut masks = Vec::new();
        for (value, mark) in secrets.chain(values).chain(sent) {
            if value.len() >= SHORTEST_MASKED {
                masks.extend(forms(value).into_iter().map(|form| (form, mark.clone())));
            }
        }
        masks.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        Masks(masks)
    }

    /// The text with every secret and captured value in it masked.
    pub fn masked(&self, text: &[u8], captured: &Captured) -> Vec<u8> {
        self.masks(captured).apply(text)
    }
}

/// `expected` digest or HMAC of a message as bytes.
macro_rules! digest_or_hmac {
    ($hash:ty, $key:expr, $message:expr) => {
        match $key {
            None => <$hash>::digest($message.as_slice()).to_vec(),
            Some(key) => {
                // RFC 2104 takes keys of any length, so this constructor has nothing to refuse.
                let mut mac = Hmac::<$hash>::new_from_slice(key)
                    .map_err(|_| VaultError::Invalid("the key of the HMAC is not usable".to_owned()))?;
                mac.update($message.as_slice());
                mac.finalize().into_bytes().to_vec()
            }
        }
    };
}
use digest_or_hmac;

fn shown(name: &str) -> String {
    name.chars().take(64).collect::<String>().escape_debug().to_string()
}

const CAPITALS: &[u8; 16] = b"0123456789ABCDEF";

/// Percent-encoding of everything but the unreserved characters of RFC 3986.
fn percent(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte);
        } else {
            let digit = |nibble: u8| digits[usize::from(nibble)];
            encoded.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

/// The ways in which a value may be written in an answer: plainly, in base64 of either alphabet, alone or amid other
/// bytes, in hexadecimal digits, percent-encoded, and in a JSON text as the usual writers escape it.
fn forms(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = vec![Zeroizing::new(value.to_vec())];
    if value.len() > LONGEST_RECODED {
        return forms;
    }
    let mut add = |form: Vec<u8>| {
        let form = Zeroizing::new(form);
        if form.len() >= SHORTEST_MASKED && !forms.contains(&form) {
            forms.push(form);
        }
    };
    add(percent(value, CAPITALS));
    add(percent(value, b"0123456789abcdef"));
    add(hex::encode(value).into_bytes());
    add(hex::encode_upper(value).into_bytes());
    for engine in [&BASE64_STANDARD, &BASE64_URL_SAFE] {
        let written = Zeroizing::new(engine.encode(value));
        add(written.as_bytes().to_vec());
        add(written.trim_end_matches('=').as_bytes().to_vec());
        // Whatever stands before it shifts it by 0, 1 or 2 bytes; the digits that its bits alone make up stay the same.
        for (before, own) in [(0, 0), (1, 2), (2, 3)] {
            let mut amid = Zeroizing::new(vec![0; before]);
            amid.extend_from_slice(value);
            let written = Zeroizing::new(engine.encode(amid.as_slice()));
            add(written.as_bytes()[own..amid.len() * 8 / 6].to_vec());
        }
    }
    if let Ok(text) = std::str::from_utf8(value) {
        for slashes in [false, true] {
            for ascii in [false, true] {
                add(json_escaped(text, slashes, ascii).into_bytes());
            }
        }
    }
    forms
}

/// A text between the quotes of JSON; some writers escape slashes, and some all that is not ASCII.
fn json_escaped(text: &str, slashes: bool, ascii: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            '/' if slashes => escaped.push_str("\\/"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            c if c.is_control() || (ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
            c => escaped.push(c),
        }
    }
    escaped
}

fn replaced(text: Vec<u8>, what: &[u8], with: &[u8]) -> Vec<u8> {
    if what.len() > text.len() || !text.windows(what.len()).any(|window| window == what) {
        return text;
    }
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text.as_slice();
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    result.extend_from_slice(rest);
    result
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
