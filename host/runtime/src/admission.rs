//! Bulkheads: how many calls run at one moment, for the host, for each plugin and for each tenant.
//!
//! Owns the places and the queue before them. A call that finds no place waits for a bounded time, and only so many
//! calls of one tenant wait, because each waits on a thread. Invariant: a tenant's places are fewer than the host's, so
//! one tenant that hangs in every call leaves places to the others.
//!
//! # Concurrency
//! One mutex around the counts, held for a few map operations. Who waits has a condition variable of its own: a leaving call
//! hands its place to those that it lets in, in the order of their coming, and wakes nobody else. Were all woken each time,
//! a tenant whose many calls end at once would keep every processor busy with waking. Nothing else is locked while the mutex
//! is held, so it cannot take part in a deadlock. Invariant: whenever the mutex is free, nobody waits who could go.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Admission as Rules;
use crate::digest::Digest;
use crate::failure::Bulkhead;

/// The places of a host.
pub(crate) struct Places {
    host: u32,
    plugin: u32,
    tenant: u32,
    queue: u32,
    queue_wait: Duration,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    running: u32,
    plugins: HashMap<Digest, u32>,
    tenants: HashMap<String, Tenant>,
    queue: VecDeque<Waiting>,
    /// How many ever waited; the ticket of the next one.
    tickets: u64,
}

/// A call that waits; it has its place as soon as it is out of the queue.
struct Waiting {
    ticket: u64,
    tenant: String,
    plugin: Digest,
    let_in: Arc<Condvar>,
}

#[derive(Default)]
struct Tenant {
    running: u32,
    waiting: u32,
}

/// A place that a call holds; dropping it lets the next one in.
pub(crate) struct Place<'a> {
    places: &'a Places,
    plugin: Digest,
    tenant: String,
}

/// Which bulkhead had no place, and for how long the call waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) bulkhead: Bulkhead,
    pub(crate) waited_ms: u64,
}

impl Places {
    pub(crate) fn new(rules: &Rules, instances: u32) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let at_least_one = |n: u32| n.clamp(1, instances);
        Self {
            host: instances,
            plugin: at_least_one(rules.plugin_calls.unwrap_or(instances / 2)),
            // Calls compute: more of one tenant than half of the processors only takes time from the others.
            tenant: at_least_one(rules.tenant_calls.unwrap_or(processors / 2)),
            queue: rules.queue,
            queue_wait: Duration::from_millis(rules.queue_ms),
            held: Mutex::default(),
        }
    }

    /// Takes a place, after waiting for it if need be.
    pub(crate) fn enter(&self, tenant: &str, plugin: Digest) -> Result<Place<'_>, Full> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bulkhead) = self.full(&held, tenant, plugin) else {
            held.take(tenant, plugin);
            return Ok(self.place(tenant, plugin));
        };
        let started = Instant::now();
        let queue = held.tenants.entry(tenant.to_owned()).or_default();
        if queue.waiting >= self.queue {
            return Err(Full { bulkhead, waited_ms: 0 });
        }
        queue.waiting += 1;
        let (ticket, let_in) = (held.tickets, Arc::new(Condvar::new()));
        held.tickets += 1;
        held.queue.push_back(Waiting { ticket, tenant: tenant.to_owned(), plugin, let_in: Arc::clone(&let_in) });
        while let Some(at) = held.queue.iter().position(|waiting| waiting.ticket == ticket) {
            let Some(left) = self.queue_wait.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                let bulkhead = self.full(&held, tenant, plugin).unwrap_or(bulkhead);
                held.leave_queue(at);
                let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                return Err(Full { bulkhead, waited_ms });
            };
            held = let_in.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(self.place(tenant, plugin))
    }

    fn place(&self, tenant: &str, plugin: Digest) -> Place<'_> {
        Place { places: self, plugin, tenant: tenant.to_owned() }
    }

    /// Lets everybody in who waits and can go, the first first.
    fn let_in(&self, held: &mut Held) {
        let can_go = |held: &Held| {
            held.queue.iter().position(|waiting| self.full(held, &waiting.tenant, waiting.plugin).is_none())
        };
        while let Some(waiting) = can_go(held).and_then(|at| held.leave_queue(at)) {
            held.take(&waiting.tenant, waiting.plugin);
            waiting.let_in.notify_one();
        }
    }

    /// The first bulkhead without a place for such a call; the tenant's own comes first, as it is the cause to name.
    fn full(&self, held: &Held, tenant: &str, plugin: Digest) -> Option<Bulkhead> {
        if held.tenants.get(tenant).is_some_and(|tenant| tenant.running >= self.tenant) {
            Some(Bulkhead::Tenant)
        } else if held.plugins.get(&plugin).is_some_and(|running| *running >= self.plugin) {
            Some(Bulkhead::Plugin)
        } else if held.running >= self.host {
            Some(Bulkhead::Host)
        } else {
            None
        }
    }

    /// How many calls run and how many wait.
    pub(crate) fn load(&self) -> (u32, u32) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        (held.running, u32::try_from(held.queue.len()).unwrap_or(u32::MAX))
    }
}

impl Held {
    fn take(&mut self, tenant: &str, plugin: Digest) {
        self.running += 1;
        *self.plugins.entry(plugin).or_default() += 1;
        self.tenants.entry(tenant.to_owned()).or_default().running += 1;
    }

    fn leave_queue(&mut self, at: usize) -> Option<Waiting> {
        let waiting = self.queue.remove(at)?;
        if let Some(queue) = self.tenants.get_mut(&waiting.tenant) {
            queue.waiting -= 1;
        }
        forget(&mut self.tenants, waiting.tenant.as_str(), |tenant| tenant.running == 0 && tenant.waiting == 0);
        Some(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.running -= 1;
        if let Some(running) = held.plugins.get_mut(&self.plugin) {
            *running -= 1;
        }
        forget(&mut held.plugins, &self.plugin, |running| *running == 0);
        if let Some(tenant) = held.tenants.get_mut(&self.tenant) {
            tenant.running -= 1;
        }
        forget(&mut held.tenants, self.tenant.as_str(), |tenant| tenant.running == 0 && tenant.waiting == 0);
        self.places.let_in(&mut held);
    }
}

/// Keeps the maps as small as what runs now.
fn forget<K, Q, V>(map: &mut HashMap<K, V>, key: &Q, idle: impl Fn(&V) -> bool)
where
    K: Eq + Hash + std::borrow::Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    if map.get(key).is_some_and(idle) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(tenant: u32, plugin: u32, host: u32, queue: u32, queue_ms: u64) -> Places {
        Places::new(&Rules { tenant_calls: Some(tenant), plugin_calls: Some(plugin), queue, queue_ms }, host)
    }

    fn digest(n: u8) -> Digest {
        Digest([n; 32])
    }

    fn full(result: Result<Place<'_>, Full>) -> Option<Bulkhead> {
        result.err().map(|full| full.bulkhead)
    }

    #[test]
    fn a_tenant_that_hangs_leaves_places_to_the_others() {
        let places = places(2, 3, 4, 0, 1);
        let _one = places.enter("a", digest(1)).ok().unwrap();
        let _two = places.enter("a", digest(1)).ok().unwrap();
        assert_eq!(full(places.enter("a", digest(2))), Some(Bulkhead::Tenant));
        let _three = places.enter("b", digest(1)).ok().unwrap();
        assert_eq!(full(places.enter("c", digest(1))), Some(Bulkhead::Plugin));
        let four = places.enter("c", digest(2)).ok().unwrap();
        assert_eq!(full(places.enter("d", digest(3))), Some(Bulkhead::Host));
        drop(four);
        assert!(places.enter("d", digest(3)).is_ok());
        assert_eq!(places.load(), (3, 0));
    }

    #[test]
    fn who_waits_gets_the_place_that_becomes_free() {
        let places = places(1, 1, 1, 1, 10_000);
        let held = places.enter("a", digest(1)).ok().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| places.enter("b", digest(1)).is_ok());
            while places.load() != (1, 1) {
                std::thread::yield_now();
            }
            drop(held);
            assert!(waiter.join().unwrap());
        });
        assert_eq!(places.load(), (0, 0));
        let held = places.held.lock().unwrap();
        assert!(held.plugins.is_empty() && held.tenants.is_empty(), "nothing is remembered of who left");
    }

    #[test]
    fn a_queue_is_bounded_in_length_and_time() {
        let places = places(1, 8, 8, 1, 40);
        let held = places.enter("a", digest(1)).ok().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| places.enter("a", digest(1)).err());
            while places.load().1 == 0 {
                std::thread::yield_now();
            }
            let second = places.enter("a", digest(1)).err().unwrap();
            assert_eq!(second, Full { bulkhead: Bulkhead::Tenant, waited_ms: 0 }, "the queue holds one");
            let first = waiter.join().unwrap().unwrap();
            assert!(first.bulkhead == Bulkhead::Tenant && first.waited_ms >= 40, "{first:?}");
        });
        drop(held);
        assert_eq!(places.load(), (0, 0));
    }
}
