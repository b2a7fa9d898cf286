//! A host that dies at a chosen moment, for simulations: its database answers nothing more.
//!
//! Owns counting. What is not committed when a fuse burns is gone and what is in memory can change nothing any more, which is
//! all that the rows can show of a process that was killed; the moment is a number, so that it can be met again. Dying inside
//! a transaction leaves the same rows as dying before it, so transactions that may write are what is counted.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::error::StoreError;

/// Burns when so many transactions that may write have begun.
#[derive(Debug)]
pub struct Fuse(AtomicI64);

impl Fuse {
    /// Lets `writes` transactions begin; the next burns it.
    pub fn after(writes: u32) -> Self {
        Self(AtomicI64::new(i64::from(writes)))
    }

    /// Whether the host is gone.
    pub fn burnt(&self) -> bool {
        self.0.load(Ordering::SeqCst) < 0
    }

    pub(crate) fn write(&self) -> Result<(), StoreError> {
        if self.0.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(gone()) }
    }

    pub(crate) fn read(&self) -> Result<(), StoreError> {
        if self.burnt() { Err(gone()) } else { Ok(()) }
    }
}

fn gone() -> StoreError {
    StoreError::Database(sqlx::Error::PoolClosed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burnt_fuse_lets_nothing_through() {
        let fuse = Fuse::after(2);
        assert!(fuse.write().is_ok() && fuse.read().is_ok() && fuse.write().is_ok());
        assert!(fuse.read().is_ok() && !fuse.burnt());
        assert!(fuse.write().is_err() && fuse.burnt());
        assert!(fuse.read().is_err() && fuse.write().is_err());
    }
}
