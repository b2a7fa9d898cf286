//! The cryptography of secrets: keys, sealing and opening, and texts that hide themselves.
//!
//! Owns XChaCha20-Poly1305 and what is authenticated beside a value. Refuses to know the database. Invariant: nothing in
//! here that holds a key or a value shows it by `Debug` or `Serialize`, and each is overwritten when it is dropped.

use std::{fmt, sync::Arc};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Length of a nonce, bytes; random ones of this length never meet.
const NONCE: usize = 24;

/// A text that is never shown: it reads from JSON and has no way back.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Hides a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for whoever seals or sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Read as any value first: the usual complaint about a wrong type would show what was sent.
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self::new(text)),
            _ => Err(D::Error::custom("must be a text")),
        }
    }
}

/// Why a text is no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 64 hexadecimal digits; make one with `altyn secret master-key --out FILE`")]
pub struct MasterKeyError;

/// The key that wraps the tenants' data keys.
pub struct MasterKey {
    id: String,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl MasterKey {
    /// The key made of 32 random bytes.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        let id = hex::encode(&Self::derived(&key, b"altyn master key id")[..8]);
        Self { id, key }
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut()).map_err(|_| MasterKeyError)?;
        Ok(Self::new(key))
    }

    /// The key as text with a line's end.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(hex::encode(self.key.as_ref()));
        text.push('\n');
        text
    }

    /// Its id, which tells nothing about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SHA-256 of a purpose under this key; both have a fixed length or a fixed text.
    fn derived(key: &Zeroizing<[u8; 32]>, purpose: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(key.as_ref()).chain_update(purpose).finalize().into()
    }

    /// A fingerprint that only who has the key can try guesses against.
    pub fn keyed(&self, fingerprint: [u8; 32]) -> [u8; 32] {
        let inner = Self::derived(&self.key, b"altyn fingerprint");
        Sha256::new().chain_update(inner).chain_update(fingerprint).finalize().into()
    }

    /// Seals with this key.
    pub fn seal(&self, random: [u8; 32], beside: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
        seal(&self.key, random, beside, plain)
    }

    /// Opens what this key sealed beside the same facts.
    pub fn open(&self, beside: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
        open(&self.key, beside, sealed)
    }
}

/// The master keys that this host has: the current one, and one before it while a rotation is under way.
#[derive(Clone, Debug, Default)]
pub struct MasterKeys {
    current: Option<Arc<MasterKey>>,
    previous: Option<Arc<MasterKey>>,
}

impl MasterKeys {
    /// The keys of the configuration.
    pub fn new(current: Option<MasterKey>, previous: Option<MasterKey>) -> Self {
        Self { current: current.map(Arc::new), previous: previous.map(Arc::new) }
    }

    /// The key that new data keys are wrapped with.
    pub fn current(&self) -> Option<&MasterKey> {
        self.current.as_deref()
    }

    /// The key with this id.
    pub fn find(&self, id: &str) -> Option<&MasterKey> {
        self.current.iter().chain(&self.previous).map(AsRef::as_ref).find(|key| key.id == id)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.current.is_none() && self.previous.is_none()
    }
}

/// A tenant's key, unwrapped.
pub struct DataKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[data key]")
    }
}

impl DataKey {
    /// The key made of 32 random bytes.
    pub fn new(random: Zeroizing<[u8; 32]>) -> Self {
        Self(random)
    }

    /// The key that was unwrapped.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unsealed> {
        Ok(Self(Zeroizing::new(bytes.try_into().map_err(|_| Unsealed)?)))
    }

    /// Its bytes, to be wrapped.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Seals with this key.
    pub fn seal(&self, random: [u8; 32], beside: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
        seal(&self.0, random, beside, plain)
    }

    /// Opens what this key sealed beside the same facts.
    pub fn open(&self, beside: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
        open(&self.0, beside, sealed)
    }
}

/// What was sealed does not open: another key, other facts beside it, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was sealed does not open with this key")]
pub struct Unsealed;

/// The facts beside a value as bytes, each behind its length, so that no two lists of facts look alike.
fn beside(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(*part);
    }
    bytes
}

/// `nonce ‖ ciphertext ‖ tag`.
fn seal(key: &Zeroizing<[u8; 32]>, random: [u8; 32], facts: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
    let cipher = XChaCha20Poly1305::new(key.as_ref().into());
    let aad = beside(facts);
    let nonce: &[u8; NONCE] = random.first_chunk().ok_or(Unsealed)?;
    let sealed = cipher.encrypt(<&XNonce>::from(nonce), Payload { msg: plain, aad: &aad });
    let mut bytes = nonce.to_vec();
    bytes.extend(sealed.map_err(|_| Unsealed)?);
    Ok(bytes)
}

fn open(key: &Zeroizing<[u8; 32]>, facts: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(Unsealed)?;
    let cipher = XChaCha20Poly1305::new(key.as_ref().into());
    let aad = beside(facts);
    let plain = cipher.decrypt(<&XNonce>::from(nonce), Payload { msg: sealed, aad: &aad });
    plain.map(Zeroizing::new).map_err(|_| Unsealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(byte: u8) -> MasterKey {
        MasterKey::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_beside_its_facts_only() {
        let sealed = master(1).seal([9; 32], &[b"tenant", b"name"], b"hunter2").unwrap();
        assert_eq!(master(1).open(&[b"tenant", b"name"], &sealed).unwrap().as_slice(), b"hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(master(2).open(&[b"tenant", b"name"], &sealed), Err(Unsealed));
        for facts in
            [&[b"tenant".as_slice(), b"other"], &[b"tenan".as_slice(), b"tname"], &[b"".as_slice(), b"tenantname"]]
        {
            assert_eq!(master(1).open(facts, &sealed), Err(Unsealed));
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(master(1).open(&[b"tenant", b"name"], &changed), Err(Unsealed), "byte {at}");
            assert_eq!(master(1).open(&[b"tenant", b"name"], &sealed[..at]), Err(Unsealed));
        }
    }

    #[test]
    fn keys_and_secrets_do_not_show_themselves() {
        let text = SecretText::new("hunter2".into());
        let key = master(0xab);
        let keys = MasterKeys::new(Some(master(0xab)), None);
        let shown = format!("{text:?} {key:?} {keys:?} {:?}", DataKey::new(Zeroizing::new([0xab; 32])));
        assert!(!shown.contains("hunter2") && !shown.contains("abab") && !shown.contains("171"), "{shown}");
        for wrong in ["12345", "[\"hunter2\"]", "{\"a\":\"hunter2\"}"] {
            let told = serde_json::from_str::<SecretText>(wrong).unwrap_err().to_string();
            assert!(!told.contains("12345") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_master_key_reads_back_from_its_text_and_has_an_id_of_its_own() {
        let read = MasterKey::parse(&master(3).to_text()).unwrap();
        assert_eq!(read.id(), master(3).id());
        assert_ne!(master(3).id(), master(4).id());
        assert!(!master(3).to_text().contains(master(3).id()));
        assert_eq!(MasterKey::parse("0303").unwrap_err(), MasterKeyError);
        assert_ne!(master(3).keyed([1; 32]), master(4).keyed([1; 32]));
    }
}
