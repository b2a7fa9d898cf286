//! The vault as a guest sees it: functions over named secrets, counted and recorded.
//!
//! Owns the bounds of one call and the transcript that makes a call replayable without its secrets. Invariant: the
//! transcript holds names, digests and booleans, and a replay answers from it and from nothing else.

use std::collections::VecDeque;
use std::sync::Arc;

use altyn_domain::exchange::{Algorithm, DigestOrder, Encoding, Piece};
use serde::{Deserialize, Serialize};

use crate::bindings::wit_vault;
use crate::keyring::{Keyring, VaultError};
use crate::signature::{self, Scheme, Signer};
use crate::state::State;

/// Most uses of the vault in one call.
const MAX_USES: usize = 64;
/// Most signatures that one call may have verified: each costs some 50 microseconds and may bring a chain.
const MAX_VERIFICATIONS: usize = 8;

/// One use of the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The function.
    pub(crate) function: Function,
    /// The secrets that went into it.
    pub(crate) secrets: Vec<String>,
    /// What it answered.
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Function {
    Digest,
    Matches,
    Equals,
    Verify,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Text(String),
    Truth(bool),
    UnknownSecret(String),
    Limit(String),
    Invalid(String),
}

/// The vault of one call.
pub(crate) struct VaultUse {
    source: Source,
    now_ms: i64,
    verifications: usize,
    transcript: Vec<Entry>,
}

enum Source {
    Live(Arc<Keyring>),
    Recorded(VecDeque<Entry>),
}

impl VaultUse {
    /// A vault without secrets, for worlds that have none.
    pub(crate) fn closed() -> Self {
        Self::live(Arc::new(Keyring::new()), 0)
    }

    /// The vault of a call at an instant, which dates of certificates are compared with.
    pub(crate) fn live(keyring: Arc<Keyring>, now_ms: i64) -> Self {
        Self { source: Source::Live(keyring), now_ms, verifications: 0, transcript: Vec::new() }
    }

    /// A vault that repeats what was answered before.
    pub(crate) fn recorded(entries: Vec<Entry>) -> Self {
        Self { source: Source::Recorded(entries.into()), now_ms: 0, verifications: 0, transcript: Vec::new() }
    }

    pub(crate) fn into_transcript(self) -> Vec<Entry> {
        self.transcript
    }

    fn answer(
        &mut self,
        function: Function,
        secrets: Vec<String>,
        compute: impl FnOnce(&Keyring, i64) -> Result<Answer, VaultError>,
    ) -> Answer {
        if self.transcript.len() >= MAX_USES {
            // Not recorded: a guest that goes on asking would fill the evidence. A replay comes to the same bound.
            return Answer::Limit(format!("the vault is used at most {MAX_USES} times in a call"));
        }
        let answer = match &mut self.source {
            Source::Recorded(entries) => match entries.pop_front() {
                Some(entry) if entry.function == function && entry.secrets == secrets => entry.answer,
                _ => Answer::Invalid("the recorded call did not ask this of the vault".to_owned()),
            },
            Source::Live(keyring) => compute(keyring, self.now_ms).unwrap_or_else(|error| match error {
                VaultError::UnknownSecret(_) => Answer::UnknownSecret(error.to_string()),
                VaultError::Limit(_) => Answer::Limit(error.to_string()),
                VaultError::NotCaptured(_) | VaultError::Invalid(_) => Answer::Invalid(error.to_string()),
            }),
        };
        self.transcript.push(Entry { function, secrets, answer: answer.clone() });
        answer
    }
}

impl Answer {
    fn text(self) -> Result<String, wit_vault::Refusal> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.refusal()),
        }
    }

    fn truth(self) -> Result<bool, wit_vault::Refusal> {
        match self {
            Self::Truth(truth) => Ok(truth),
            other => Err(other.refusal()),
        }
    }

    fn refusal(self) -> wit_vault::Refusal {
        match self {
            Self::UnknownSecret(text) => wit_vault::Refusal::UnknownSecret(text),
            Self::Limit(text) => wit_vault::Refusal::Limit(text),
            Self::Invalid(text) => wit_vault::Refusal::Invalid(text),
            Self::Text(_) | Self::Truth(_) => {
                wit_vault::Refusal::Other("the recorded answer is of another kind".to_owned())
            }
        }
    }
}

/// The secrets that a digest is computed from, in order.
fn names(order: &DigestOrder) -> Vec<String> {
    order.key.iter().flatten().chain(&order.message).filter_map(name).collect()
}

fn name(piece: &Piece) -> Option<String> {
    if let Piece::Secret(name) = piece { Some(name.clone()) } else { None }
}

impl wit_vault::Host for State {
    fn digest(&mut self, order: wit_vault::DigestOrder) -> Result<String, wit_vault::Refusal> {
        let order = digest_order(order);
        let secrets = names(&order);
        self.vault.answer(Function::Digest, secrets, |keyring, _| keyring.digest(&order, None).map(Answer::Text)).text()
    }

    fn matches(&mut self, order: wit_vault::DigestOrder, presented: String) -> Result<bool, wit_vault::Refusal> {
        let order = digest_order(order);
        let secrets = names(&order);
        let compute = |keyring: &Keyring, _| keyring.matches(&order, &presented).map(Answer::Truth);
        self.vault.answer(Function::Matches, secrets, compute).truth()
    }

    fn equals(&mut self, expected: Vec<wit_vault::Piece>, presented: String) -> Result<bool, wit_vault::Refusal> {
        let expected = template(expected);
        let secrets = expected.iter().filter_map(name).collect();
        let compute = |keyring: &Keyring, _| keyring.equals(&expected, &presented).map(Answer::Truth);
        self.vault.answer(Function::Equals, secrets, compute).truth()
    }

    fn verify(
        &mut self,
        scheme: wit_vault::Scheme,
        signer: wit_vault::Signer,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<bool, wit_vault::Refusal> {
        self.vault.verifications += 1;
        let allowed = self.vault.verifications <= MAX_VERIFICATIONS;
        let scheme = match scheme {
            wit_vault::Scheme::RsaPkcs1Sha256 => Scheme::Sha256,
            wit_vault::Scheme::RsaPkcs1Sha384 => Scheme::Sha384,
            wit_vault::Scheme::RsaPkcs1Sha512 => Scheme::Sha512,
        };
        let compute = |_: &Keyring, now_ms| {
            if !allowed {
                return Err(VaultError::Limit("the signatures to verify"));
            }
            let signer = match &signer {
                wit_vault::Signer::Pinned(pem) => Signer::Pinned(pem),
                wit_vault::Signer::Presented(chain) => Signer::Presented { pem: &chain.pem, names: &chain.names },
            };
            signature::verify(webpki_roots::TLS_SERVER_ROOTS, now_ms, scheme, signer, &message, &signature)
                .map(Answer::Truth)
        };
        self.vault.answer(Function::Verify, Vec::new(), compute).truth()
    }
}

pub(crate) fn template(pieces: Vec<wit_vault::Piece>) -> Vec<Piece> {
    pieces
        .into_iter()
        .map(|piece| match piece {
            wit_vault::Piece::Text(text) => Piece::Text(text),
            wit_vault::Piece::Bytes(bytes) => Piece::Bytes(bytes),
            wit_vault::Piece::Secret(name) => Piece::Secret(name),
            wit_vault::Piece::Captured(name) => Piece::Captured(name),
        })
        .collect()
}

pub(crate) fn digest_order(order: wit_vault::DigestOrder) -> DigestOrder {
    DigestOrder {
        algorithm: match order.algorithm {
            wit_vault::Algorithm::Md5 => Algorithm::Md5,
            wit_vault::Algorithm::Sha1 => Algorithm::Sha1,
            wit_vault::Algorithm::Ripemd160 => Algorithm::Ripemd160,
            wit_vault::Algorithm::Sha256 => Algorithm::Sha256,
            wit_vault::Algorithm::Sha384 => Algorithm::Sha384,
            wit_vault::Algorithm::Sha512 => Algorithm::Sha512,
        },
        key: order.key.map(template),
        message: template(order.message),
        encoding: match order.encoding {
            wit_vault::Encoding::Hex => Encoding::Hex,
            wit_vault::Encoding::Base64 => Encoding::Base64,
            wit_vault::Encoding::Base64url => Encoding::Base64Url,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(vault: &mut VaultUse) -> Answer {
        let order = DigestOrder {
            algorithm: Algorithm::Md5,
            key: None,
            message: vec![Piece::Secret("key".into())],
            encoding: Encoding::Hex,
        };
        vault.answer(Function::Digest, names(&order), |keyring, _| keyring.digest(&order, None).map(Answer::Text))
    }

    #[test]
    fn a_replay_needs_no_secrets_and_repeats_the_answers() {
        let mut keyring = Keyring::new();
        keyring.add("key", b"secret1").unwrap();
        let mut live = VaultUse::live(Arc::new(keyring), 0);
        let answer = ask(&mut live);
        let transcript = live.into_transcript();
        assert!(!serde_json::to_string(&transcript).unwrap().contains("secret1"));
        let mut recorded = VaultUse::recorded(transcript.clone());
        assert_eq!(ask(&mut recorded), answer);
        assert_eq!(recorded.transcript, transcript);
        assert!(matches!(ask(&mut recorded), Answer::Invalid(_)), "nothing more was recorded");
    }

    #[test]
    fn a_call_uses_the_vault_a_bounded_number_of_times() {
        let mut vault = VaultUse::closed();
        for _ in 0..MAX_USES {
            assert!(matches!(ask(&mut vault), Answer::UnknownSecret(_)));
        }
        assert!(matches!(ask(&mut vault), Answer::Limit(_)));
        let transcript = vault.into_transcript();
        assert_eq!(transcript.len(), MAX_USES);
        let mut again = VaultUse::recorded(transcript);
        (0..MAX_USES).for_each(|_| assert!(matches!(ask(&mut again), Answer::UnknownSecret(_))));
        assert!(matches!(ask(&mut again), Answer::Limit(_)), "a replay comes to the same bound");
    }
}
