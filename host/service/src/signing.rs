//! Signatures of plugins: the keys of publishers as text, signing a manifest and checking a signature.
//!
//! Owns the only use of ed25519 for plugins. Refuses to know which keys are trusted. Invariant: a private key is never
//! shown by `Debug`, never part of an error, and is overwritten when it is dropped.

use std::{fmt, str::FromStr};

use altyn_domain::manifest::{Manifest, ManifestError, SignedManifest};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// Opens the text of a private key.
const SECRET_PREFIX: &str = "altyn-ed25519-secret:";
/// Opens the text of a public key.
const PUBLIC_PREFIX: &str = "altyn-ed25519-public:";

/// A text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the text of a private key.
    #[error(
        "this is not a private key of `altyn plugin keygen`: it must be altyn-ed25519-secret: and 64 hexadecimal digits"
    )]
    Secret,
    /// Not the text of a public key.
    #[error(
        "this is not a public key of `altyn plugin keygen`: it must be altyn-ed25519-public: and 64 hexadecimal digits"
    )]
    Public,
    /// A public key that fits any signature.
    #[error("this public key is weak: signatures under it prove nothing")]
    Weak,
}

/// The private key of a publisher.
pub struct PublisherKey(SigningKey);

impl fmt::Debug for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublisherKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl PublisherKey {
    /// The key made from 32 random bytes.
    pub fn new(random: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(random))
    }

    /// Reads the text of a key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().strip_prefix(SECRET_PREFIX).ok_or(KeyError::Secret)?;
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| KeyError::Secret)?;
        Ok(Self::new(&bytes))
    }

    /// The key as text, to be kept where only the publisher reads it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex::encode(self.0.as_bytes()));
        Zeroizing::new(format!("{SECRET_PREFIX}{}\n", digits.as_str()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a manifest that is in its canonical form.
    pub fn sign(&self, manifest: Manifest) -> Result<SignedManifest, ManifestError> {
        manifest.check()?;
        let signature = self.0.sign(&manifest.signed_bytes());
        Ok(SignedManifest {
            manifest,
            key_id: self.public().id(),
            public_key: hex::encode(self.public().bytes()),
            signature: hex::encode(signature.to_bytes()),
        })
    }
}

/// The public key of a publisher.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().strip_prefix(PUBLIC_PREFIX).ok_or(KeyError::Public)?;
        let bytes = hex::decode(digits).map_err(|_| KeyError::Public)?;
        Self::from_bytes(&bytes)
    }
}

impl PublicKey {
    /// The key of 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Public)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Public)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Its 32 bytes.
    pub fn bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Its id: the first 16 hexadecimal digits of the SHA-256 of its bytes.
    pub fn id(&self) -> String {
        hex::encode(&crate::evidence::sha256(self.0.as_bytes())[..8])
    }

    /// Whether this key signed that manifest; a signature has one form only.
    pub fn signed(&self, signed: &SignedManifest) -> bool {
        let mut bytes = [0; 64];
        if hex::decode_to_slice(&signed.signature, &mut bytes).is_err() {
            return false;
        }
        self.0.verify_strict(&signed.manifest.signed_bytes(), &Signature::from_bytes(&bytes)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use altyn_domain::plugin::{Descriptor, World};

    use super::*;

    fn key(byte: u8) -> PublisherKey {
        PublisherKey::new(&Zeroizing::new([byte; 32]))
    }

    fn manifest() -> Manifest {
        let descriptor = Descriptor {
            id: "ru-vat".into(),
            version: "0.1.0".into(),
            title: "VAT".into(),
            config_schema: "{}".into(),
            secrets: vec![],
            hosts: vec![],
        };
        Manifest::new(&"ab".repeat(32), "0.1.0", World::TaxRule, &descriptor)
    }

    #[test]
    fn keys_read_back_from_their_texts() {
        let one = key(7);
        assert_eq!(PublisherKey::parse(&one.to_text()).unwrap().public(), one.public());
        assert_eq!(one.public().to_string().parse(), Ok(one.public()));
        assert_eq!(one.public().id().len(), 16);
        assert_eq!(one.public().to_string().replace("public", "secret").parse::<PublicKey>(), Err(KeyError::Public));
        assert!(matches!(PublisherKey::parse(&one.public().to_string()), Err(KeyError::Secret)));
        // The neutral element: any signature would fit it.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::from_bytes(&neutral), Err(KeyError::Weak));
    }

    #[test]
    fn a_signature_fits_one_manifest_and_one_key() {
        let signed = key(7).sign(manifest()).unwrap();
        assert!(key(7).public().signed(&signed));
        assert!(!key(8).public().signed(&signed));
        let other = Manifest { version: "0.1.1".into(), ..manifest() };
        assert!(!key(7).public().signed(&SignedManifest { manifest: other, ..signed.clone() }));
        for digit in 0..signed.signature.len() {
            let mut bytes = signed.signature.clone().into_bytes();
            bytes[digit] = if bytes[digit] == b'0' { b'1' } else { b'0' };
            let signature = String::from_utf8(bytes).unwrap();
            assert!(!key(7).public().signed(&SignedManifest { signature, ..signed.clone() }), "digit {digit}");
        }
        assert!(!key(7).public().signed(&SignedManifest { signature: String::new(), ..signed }));
    }

    #[test]
    fn a_private_key_is_not_shown() {
        let shown = format!("{:?}", key(7));
        assert!(!shown.contains(&hex::encode([7; 32])) && shown.contains("altyn-ed25519-public:"), "{shown}");
    }
}
