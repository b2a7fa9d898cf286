//! Making recorded calls again and comparing the answers byte for byte.
//!
//! Which calls belong to a share follows from their content alone, so that two verifications of the same share make the
//! same calls, and a larger share contains a smaller one. A few calls are made at a time, on threads of their own.

use altyn_domain::id::{CallId, Id as _};
use altyn_runtime::CallFailure;
use altyn_store::{
    StoreError, Tx, explain,
    plugins::{self as rows, CallRow},
    verify::EXAMPLES,
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    context::{Altyn, Request},
    error::{Result, ServiceError},
    evidence::{sha256, unpack},
    plugins::{blocking, digest_of},
    verify::check_percent,
};

/// How many calls are read at once.
const PAGE: i64 = 200;
/// How many calls are made at once: their evidence is in memory together.
const AT_ONCE: usize = 4;

/// A call that did not give its recorded answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplayDifference {
    /// The recorded call.
    pub call_id: CallId,
    /// What is different.
    pub reason: String,
}

/// What came of making recorded calls again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplayReport {
    /// How many calls were chosen.
    pub calls: i64,
    /// How many gave the recorded answer, byte for byte.
    pub identical: i64,
    /// Up to 20 of those that gave another answer.
    pub different: Vec<ReplayDifference>,
    /// How many could not be made because their evidence is gone or changed.
    pub unreadable_calls: i64,
    /// Up to 20 of those.
    pub unreadable: Vec<ReplayDifference>,
    /// How many failed when they were made and have no answer to compare with.
    pub skipped_faulty: i64,
}

/// What came of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replayed {
    Identical,
    Different(String),
    Unreadable(String),
}

/// One piece of evidence: the digest that names it, and plain size and compressed bytes if it is kept.
#[derive(Clone, Debug)]
struct Piece {
    what: &'static str,
    digest: Vec<u8>,
    kept: Option<(i64, Vec<u8>)>,
}

/// The evidence of a call as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    input: Piece,
    output: Option<Piece>,
}

/// Reads the evidence of a call.
pub(super) async fn load(tx: &mut Tx, tenant: Uuid, call: &CallRow) -> Result<Kept> {
    let input = Piece::load(tx, tenant, "input", &call.input_digest).await?;
    let output = match &call.output_digest {
        Some(digest) => Some(Piece::load(tx, tenant, "output", digest).await?),
        None => None,
    };
    Ok(Kept { input, output })
}

impl Kept {
    /// Unpacks input and output; refuses content that its digest does not name.
    pub(super) fn plain(&self) -> std::result::Result<(Vec<u8>, Option<Vec<u8>>), String> {
        Ok((self.input.plain()?, self.output.as_ref().map(Piece::plain).transpose()?))
    }
}

impl Piece {
    async fn load(tx: &mut Tx, tenant: Uuid, what: &'static str, digest: &[u8]) -> Result<Self> {
        let kept = rows::evidence_find(tx, tenant, digest.to_vec()).await?;
        Ok(Self { what, digest: digest.to_vec(), kept })
    }

    fn plain(&self) -> std::result::Result<Vec<u8>, String> {
        let what = self.what;
        let Some((size, compressed)) = &self.kept else {
            return Err(format!("the {what} {} is not kept", hex::encode(&self.digest)));
        };
        let plain = unpack(*size, compressed).map_err(|error| format!("the {what} does not unpack: {error}"))?;
        if sha256(&plain).as_slice() == self.digest.as_slice() && i64::try_from(plain.len()) == Ok(*size) {
            Ok(plain)
        } else {
            Err(format!("the {what} is not the content of {}", hex::encode(&self.digest)))
        }
    }
}

/// Whether a call belongs to the share: the first bytes of its input's digest are as good as drawn by lot.
fn chosen(call: &CallRow, percent: u8) -> bool {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(&call.input_digest) {
        *to = *from;
    }
    u64::from_be_bytes(first) % 100 < u64::from(percent)
}

/// Where two answers part.
fn difference(recorded: &[u8], now: &[u8]) -> String {
    let place = recorded.iter().zip(now).take_while(|(recorded, now)| recorded == now).count();
    format!("the answer differs from byte {place} on ({} bytes recorded, {} now)", recorded.len(), now.len())
}

impl Altyn {
    /// Makes `percent` of the recorded calls that gave an answer again, and compares; `on_progress` sees the report grow.
    pub async fn replay_evidence(
        &self,
        request: &Request,
        percent: u8,
        mut on_progress: impl FnMut(&ReplayReport) + Send,
    ) -> Result<ReplayReport> {
        check_percent("/replay_percent", percent)?;
        let mut report = ReplayReport::default();
        if percent == 0 {
            return Ok(report);
        }
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.read(request).await?;
            let page = explain::calls_list(&mut tx, request.tenant.0, None, false, after, PAGE).await?;
            let page: Vec<CallRow> = page.into_iter().map(|row| row.call).collect();
            drop(tx);
            let Some(last) = page.last() else { return Ok(report) };
            after = last.id;
            report.skipped_faulty +=
                i64::try_from(page.iter().filter(|call| call.output_digest.is_none()).count()).unwrap_or(i64::MAX);
            let wanted: Vec<CallRow> =
                page.into_iter().filter(|call| call.output_digest.is_some() && chosen(call, percent)).collect();
            for calls in wanted.chunks(AT_ONCE) {
                let mut tx = self.read(request).await?;
                let mut kept = Vec::with_capacity(calls.len());
                for call in calls {
                    kept.push(load(&mut tx, request.tenant.0, call).await?);
                }
                drop(tx);
                let made =
                    try_join_all(calls.iter().zip(kept).map(|(call, kept)| self.replay_call(call, kept))).await?;
                for (call, replayed) in calls.iter().zip(made) {
                    report.add(CallId::from_uuid(call.id), replayed);
                }
                on_progress(&report);
            }
        }
    }

    /// Makes one recorded call again.
    pub(super) async fn replay_call(&self, call: &CallRow, kept: Kept) -> Result<Replayed> {
        let digest = digest_of(&call.component_digest)?;
        let plugin = match self.plugins.component(&self.db, digest).await {
            Ok(plugin) => plugin,
            Err(ServiceError::NotFound(_)) => {
                return Ok(Replayed::Different(format!("the component {digest} is not installed")));
            }
            Err(ServiceError::Store(StoreError::Corrupt(..)) | ServiceError::Plugin { .. }) => {
                return Ok(Replayed::Different(format!("the component {digest} was changed after it was installed")));
            }
            Err(error) => return Err(error),
        };
        let runtime = self.plugins.runtime();
        let export = call.export.clone();
        blocking(move || {
            let (input, recorded) = match kept.plain() {
                Ok(plain) => plain,
                Err(reason) => return Ok(Replayed::Unreadable(reason)),
            };
            match (runtime.replay(&plugin, &export, &input).result, recorded) {
                (Ok(now), Some(recorded)) if now == recorded => Ok(Replayed::Identical),
                (Ok(now), Some(recorded)) => Ok(Replayed::Different(difference(&recorded, &now))),
                (Ok(_), None) => Ok(Replayed::Different("it failed when it was made and answers now".to_owned())),
                (Err(failure @ CallFailure::Busy { .. }), _) => {
                    Err(ServiceError::Plugin { code: failure.code(), message: failure.to_string() })
                }
                (Err(failure), _) => Ok(Replayed::Different(format!("it fails now: {failure}"))),
            }
        })
        .await?
    }
}

impl ReplayReport {
    fn add(&mut self, call_id: CallId, replayed: Replayed) {
        self.calls += 1;
        let (list, reason) = match replayed {
            Replayed::Identical => {
                self.identical += 1;
                return;
            }
            Replayed::Different(reason) => (&mut self.different, reason),
            Replayed::Unreadable(reason) => {
                self.unreadable_calls += 1;
                (&mut self.unreadable, reason)
            }
        };
        if list.len() < EXAMPLES {
            list.push(ReplayDifference { call_id, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn call(first: u8) -> CallRow {
        CallRow {
            id: Uuid::nil(),
            run_id: None,
            binding_id: Uuid::nil(),
            component_digest: vec![0; 32],
            world: String::new(),
            export: String::new(),
            input_digest: sha256(&[first]).to_vec(),
            output_digest: None,
            fault_code: None,
            fault: None,
            fuel: 0,
            peak_memory_bytes: 0,
            duration_us: 0,
            called_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_larger_share_contains_a_smaller_one() {
        for first in 0..=u8::MAX {
            let call = call(first);
            assert!(!chosen(&call, 0) && chosen(&call, 100));
            let smallest = (0..=100).find(|percent| chosen(&call, *percent)).unwrap();
            assert!((smallest..=100).all(|percent| chosen(&call, percent)));
        }
        let tenth = (0..=u8::MAX).filter(|first| chosen(&call(*first), 10)).count();
        assert!((10..=45).contains(&tenth), "{tenth} of 256");
    }

    #[test]
    fn evidence_is_only_what_its_digest_names() {
        let compressed = |plain: &[u8]| zstd::bulk::compress(plain, 1).unwrap();
        let plain = |kept| Piece { what: "input", digest: sha256(b"question").to_vec(), kept }.plain();
        assert_eq!(plain(Some((8, compressed(b"question")))), Ok(b"question".to_vec()));
        assert!(plain(Some((8, compressed(b"questioN")))).is_err());
        assert!(plain(Some((9, compressed(b"question")))).is_err());
        assert!(plain(Some((8, b"not compressed".to_vec()))).is_err());
        assert!(plain(None).is_err());
    }
}
