//! Calls made twice: a share of the decisions is asked for again, and what does not come out the same is kept as a finding.
//!
//! Nothing that a guest can see differs between two calls with the same arguments, so a difference tells of a fault of
//! this machine or of this host; either way the evidence of that component is worth less than it looks, and somebody has to
//! know. Owns which calls are made again, the queue of them, the comparison, and what was found until it is stored.
//! Refuses to know what a call was about. Invariants: nobody who asks a plugin ever waits for a recheck: it is made on a
//! thread of its own, takes no place of its tenant, and is dropped and counted when others wait already; which calls
//! are made again follows from their ids, not from chance.
//!
//! # Concurrency
//! The thread is started by the first call that is to be made again, holds the host weakly, and ends with it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use altyn_domain::plugin::World;

use crate::call::{Call, CallRecord};
use crate::digest::Digest;
use crate::engine::{Runtime, Shared};
use crate::failure::CallFailure;
use crate::install::Plugin;
use crate::meter::Purpose;

/// Calls that may wait to be made again.
const QUEUE: usize = 8;
/// Larger questions and answers, bytes together, are not kept to be asked again.
const LARGEST: usize = 4 << 20;
/// Findings that wait to be stored; a component that differs always must not fill the memory.
const MOST_FOUND: usize = 100;
/// The bulkhead of rechecks, which is no tenant's.
pub(crate) const BULKHEAD: &str = "recheck";

/// What making a call again said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rechecked {
    /// The recorded answer, byte for byte.
    Identical,
    /// Another answer, or none; in words.
    Different(String),
    /// The call was not made, or the clock ended it: nothing is known.
    NotMade,
}

/// A decision that came out differently when it was made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The id of the recorded call.
    pub call: u128,
    /// The tenant that was decided for.
    pub tenant: String,
    /// The binding that decided.
    pub binding: String,
    /// The component.
    pub component: Digest,
    /// Its world.
    pub world: World,
    /// What was called.
    pub export: &'static str,
    /// The evidence of what was asked.
    pub input: Digest,
    /// How the second answer differs.
    pub why: String,
}

impl Difference {
    /// Stable code of the fault.
    pub const CODE: &'static str = "plugin-nondeterministic";
}

/// A decision that is to be made again.
struct Job {
    plugin: Plugin,
    record: CallRecord,
    call: u128,
    tenant: String,
    binding: String,
}

/// The queue and the findings.
#[derive(Default)]
pub(crate) struct Rechecks {
    queue: Mutex<Option<SyncSender<Job>>>,
    /// Jobs that are queued or under way.
    waiting: AtomicU32,
    found: Mutex<Vec<Difference>>,
    settled: Condvar,
    settling: Mutex<()>,
}

/// Whether the call of this id is one of the share that is made again.
fn chosen(call: u128, percent: u8) -> bool {
    let digest = Digest::of(&call.to_be_bytes()).0;
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    number % 100 < u32::from(percent)
}

/// What a second call says about the first.
fn compared(first: &CallRecord, again: &Call<Vec<u8>>) -> Rechecked {
    match &again.result {
        Ok(output) if *output == first.output => Rechecked::Identical,
        Ok(output) => {
            let at = output.iter().zip(&first.output).take_while(|(new, old)| new == old).count();
            Rechecked::Different(format!(
                "the second answer has {} bytes, the first {}; they part at byte {at}",
                output.len(),
                first.output.len()
            ))
        }
        Err(failure) if failure.is_transient() => Rechecked::NotMade,
        Err(CallFailure::InputLimit { .. } | CallFailure::CircuitOpen { .. }) => Rechecked::NotMade,
        Err(failure) => Rechecked::Different(format!("it was answered first, and then: {failure}")),
    }
}

impl Runtime {
    /// Makes a recorded decision again, now, and compares; within the limits that it was made with.
    pub fn recheck(&self, plugin: &Plugin, record: &CallRecord) -> Rechecked {
        let again = self.replay_by(&plugin.checking(), record.export, &record.input);
        let said = compared(record, &again);
        self.shared.meter.rechecked(
            record.digest,
            match said {
                Rechecked::Identical => "identical",
                Rechecked::Different(_) => "different",
                Rechecked::NotMade => "not-made",
            },
        );
        said
    }

    /// Makes an answered call again later, on another thread, if its id is one of those. `whose` answers the tenant and the
    /// binding. Never waits: what finds the queue full is dropped and counted.
    pub fn recheck_later(
        &self,
        plugin: &Plugin,
        call: u128,
        record: &CallRecord,
        whose: impl FnOnce() -> (String, String),
    ) {
        if plugin.purpose() != Purpose::Decision || !chosen(call, self.config().recheck_percent) {
            return;
        }
        if record.input.len() + record.output.len() > LARGEST {
            return self.shared.meter.rechecked(record.digest, "dropped");
        }
        let rechecks = &self.shared.rechecks;
        let mut queue = rechecks.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &*queue {
            Some(sender) => sender,
            None => match start(&self.shared) {
                Ok(sender) => queue.insert(sender),
                Err(error) => {
                    tracing::warn!(%error, "no thread for rechecks");
                    return;
                }
            },
        };
        // Looked at before anything is copied, so that a full queue costs nothing.
        if usize::try_from(rechecks.waiting.load(Ordering::Relaxed)).is_ok_and(|waiting| waiting > QUEUE) {
            return self.shared.meter.rechecked(record.digest, "dropped");
        }
        let (tenant, binding) = whose();
        rechecks.waiting.fetch_add(1, Ordering::Relaxed);
        let job = Job { plugin: plugin.clone(), record: record.clone(), call, tenant, binding };
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = sender.try_send(job) {
            rechecks.done();
            self.shared.meter.rechecked(job.record.digest, "dropped");
        }
    }

    /// Waits until no recheck is queued or under way, at most so long; answers whether that came to be.
    pub fn rechecks_settle(&self, at_most: Duration) -> bool {
        let rechecks = &self.shared.rechecks;
        let begun = Instant::now();
        let mut guard = rechecks.settling.lock().unwrap_or_else(PoisonError::into_inner);
        while rechecks.waiting.load(Ordering::Acquire) > 0 {
            let Some(left) = at_most.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else { return false };
            guard = rechecks.settled.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Takes what was found since the last time; store it or give it back.
    pub fn differences_take(&self) -> Vec<Difference> {
        std::mem::take(&mut *self.shared.rechecks.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives back what could not be stored.
    pub fn differences_give_back(&self, differences: Vec<Difference>) {
        for difference in differences {
            self.shared.rechecks.keep(difference);
        }
    }
}

impl Rechecks {
    fn keep(&self, difference: Difference) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() < MOST_FOUND {
            found.push(difference);
        }
    }

    fn done(&self) {
        // Under the lock of those who wait, so that none of them looks before this and sleeps after it.
        let _settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Release);
        self.settled.notify_all();
    }
}

fn start(shared: &Arc<Shared>) -> std::io::Result<SyncSender<Job>> {
    let (sender, jobs) = sync_channel::<Job>(QUEUE);
    let weak: Weak<Shared> = Arc::downgrade(shared);
    std::thread::Builder::new().name("altyn-plugin-recheck".to_owned()).spawn(move || {
        while let Ok(job) = jobs.recv() {
            let Some(shared) = weak.upgrade() else { break };
            let runtime = Runtime { shared };
            runtime.work(job);
            runtime.shared.rechecks.done();
        }
    })?;
    Ok(sender)
}

impl Runtime {
    fn work(&self, job: Job) {
        let Job { plugin, record, call, tenant, binding } = job;
        let Rechecked::Different(why) = self.recheck(&plugin, &record) else { return };
        let input = Digest::of(&record.input);
        tracing::error!(
            code = Difference::CODE,
            tenant,
            binding,
            plugin = plugin.name(),
            component = %record.digest,
            export = record.export,
            input = %input,
            "a plugin answered the same question differently: {why}. Do not trust its evidence; \
             check this machine, and see `altyn verify --replay 100`"
        );
        self.shared.rechecks.keep(Difference {
            call,
            tenant,
            binding,
            component: record.digest,
            world: record.world,
            export: record.export,
            input,
            why,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(output: &[u8]) -> CallRecord {
        CallRecord {
            digest: Digest([1; 32]),
            world: World::TaxRule,
            export: "tax.assess",
            input: vec![1],
            output: output.to_vec(),
            fuel: 1,
            peak_memory_bytes: 1,
            duration_us: 1,
            log: Vec::new(),
        }
    }

    #[test]
    fn the_share_of_calls_follows_from_their_ids() {
        let share = |percent| (0..10_000_u128).filter(|call| chosen(*call, percent)).count();
        assert_eq!((share(0), share(100)), (0, 10_000));
        assert!((50..200).contains(&share(1)), "{}", share(1));
        assert!((0..100).all(|call| chosen(call, 30) == chosen(call, 30) && (!chosen(call, 10) || chosen(call, 30))));
    }

    #[test]
    fn only_another_answer_is_a_difference() {
        let said = |result| compared(&record(b"abc"), &Call { record: record(b""), result });
        assert_eq!(said(Ok(b"abc".to_vec())), Rechecked::Identical);
        let Rechecked::Different(why) = said(Ok(b"abd!".to_vec())) else { panic!("another answer is a difference") };
        assert!(why.contains("4 bytes, the first 3") && why.contains("part at byte 2"), "{why}");
        assert!(matches!(said(Ok(b"ab".to_vec())), Rechecked::Different(_)), "less is another answer");
        let trap = CallFailure::Trap { message: "x".into(), backtrace: Vec::new() };
        assert!(matches!(said(Err(trap)), Rechecked::Different(_)), "no answer is another one");
        assert_eq!(said(Err(CallFailure::TimedOut { wall_ms: 1 })), Rechecked::NotMade, "the clock decides nothing");
    }
}
