//! The host's vault: digests and signatures over secrets that a plugin names and never sees.
//!
//! In a component these functions ask the host. In a native test they compute over the secrets of
//! [`crate::testing::secrets`].

use crate::Fault;
#[cfg(target_arch = "wasm32")]
use crate::bindings::gateway::altyn::billing::vault as host;
pub use crate::bindings::gateway::altyn::billing::vault::{
    Algorithm, DigestOrder, Encoding, Piece, PresentedChain, Refusal, Scheme, Signer,
};
#[cfg(not(target_arch = "wasm32"))]
use crate::testing as host;

/// Pieces that are joined without separators; made by [`Template::new`].
pub type Template = Vec<Piece>;

/// Makes templates readable: `template().text("demo:").secret("password-1")`.
pub fn template() -> Builder {
    Builder(Vec::new())
}

/// Collects the pieces of a template; pieces of text that follow each other become one.
#[derive(Debug, Clone, Default)]
pub struct Builder(Vec<Piece>);

impl Builder {
    /// Adds text.
    pub fn text(mut self, text: &str) -> Self {
        if let Some(Piece::Text(last)) = self.0.last_mut() {
            last.push_str(text);
        } else {
            self.0.push(Piece::Text(text.into()));
        }
        self
    }

    /// Adds a secret.
    pub fn secret(mut self, name: &str) -> Self {
        self.0.push(Piece::Secret(name.into()));
        self
    }

    /// Adds a captured value.
    pub fn captured(mut self, name: &str) -> Self {
        self.0.push(Piece::Captured(name.into()));
        self
    }

    /// The template.
    pub fn build(self) -> Template {
        self.0
    }

    /// A plain digest of it in hexadecimal digits.
    pub fn hex(self, algorithm: Algorithm) -> DigestOrder {
        DigestOrder { algorithm, key: None, message: self.0, encoding: Encoding::Hex }
    }

    /// An HMAC of it.
    pub fn hmac(self, algorithm: Algorithm, key: Self, encoding: Encoding) -> DigestOrder {
        DigestOrder { algorithm, key: Some(key.0), message: self.0, encoding }
    }
}

/// Computes a digest or an HMAC.
pub fn digest(order: &DigestOrder) -> Result<String, Fault> {
    host::digest(order).map_err(fault)
}

/// Whether `presented` is this digest.
pub fn matches(order: &DigestOrder, presented: &str) -> Result<bool, Fault> {
    host::matches(order, presented).map_err(fault)
}

/// Whether `presented` is exactly this text.
pub fn equals(expected: &[Piece], presented: &str) -> Result<bool, Fault> {
    host::equals(expected, presented).map_err(fault)
}

/// Whether a signature is the signer's.
pub fn verify(scheme: Scheme, signer: &Signer, message: &[u8], signature: &[u8]) -> Result<bool, Fault> {
    host::verify(scheme, signer, message, signature).map_err(fault)
}

fn fault(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::UnknownSecret(text) => Fault::Misconfigured(text),
        Refusal::Invalid(text) => Fault::Invalid(text),
        Refusal::Limit(text) | Refusal::Other(text) => Fault::Other(text),
    }
}
