//! Evidence: what a plugin was asked and what it answered, compressed and kept by content.

use altyn_domain::id::{BindingId, CallId, RunId};
use altyn_runtime::{CallFailure, CallRecord};
use altyn_store::plugins::CallRow;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use crate::error::{Result, ServiceError};

/// The most bytes one piece of evidence may unpack to.
const LARGEST: usize = 256 << 20;

/// A call ready to be stored.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its row.
    pub row: CallRow,
    /// (SHA-256, plain size, compressed bytes) of its input and output.
    pub blobs: Vec<(Vec<u8>, i64, Vec<u8>)>,
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Packs a call's record.
pub fn record(
    id: CallId,
    run: Option<RunId>,
    binding: BindingId,
    at: DateTime<Utc>,
    record: &CallRecord,
    failure: Option<&CallFailure>,
) -> Result<Recorded> {
    let mut blobs = Vec::with_capacity(2);
    let mut keep = |bytes: &[u8]| -> Result<Vec<u8>> {
        let digest = sha256(bytes).to_vec();
        let compressed = zstd::bulk::compress(bytes, 1)
            .map_err(|error| ServiceError::Internal(format!("evidence does not compress: {error}")))?;
        blobs.push((digest.clone(), i64::try_from(bytes.len()).unwrap_or(i64::MAX), compressed));
        Ok(digest)
    };
    let input_digest = keep(&record.input)?;
    let output_digest = if failure.is_none() { Some(keep(&record.output)?) } else { None };
    let row = CallRow {
        id: id.0,
        run_id: run.map(|run| run.0),
        binding_id: binding.0,
        component_digest: record.digest.0.to_vec(),
        world: record.world.as_str().to_owned(),
        export: record.export.to_owned(),
        input_digest,
        output_digest,
        fault_code: failure.map(|failure| failure.code().to_owned()),
        fault: failure.map(|failure| failure.to_string().chars().take(2_000).collect()),
        fuel: i64::try_from(record.fuel).unwrap_or(i64::MAX),
        peak_memory_bytes: i64::try_from(record.peak_memory_bytes).unwrap_or(i64::MAX),
        duration_us: i64::try_from(record.duration_us).unwrap_or(i64::MAX),
        called_at: at,
    };
    Ok(Recorded { row, blobs })
}

/// Unpacks stored evidence.
pub fn unpack(plain_size: i64, compressed: &[u8]) -> Result<Vec<u8>> {
    let size = usize::try_from(plain_size).unwrap_or(LARGEST).min(LARGEST);
    zstd::bulk::decompress(compressed, size)
        .map_err(|error| ServiceError::Internal(format!("evidence does not unpack: {error}")))
}
