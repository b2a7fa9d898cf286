//! What an attack may cost its host while it lasts: resident memory at its height, and time.
//!
//! Memory is that of the whole process, so only one attack is watched at a time.

use std::time::{Duration, Instant};

use altyn_runtime::Limits;

const MIB: u64 = 1 << 20;
/// What a busy machine and a build without optimisation may add to a deadline.
const SLACK: Duration = Duration::from_secs(2);

/// What an attack may cost.
#[derive(Clone, Copy)]
pub struct Bound {
    /// How much resident memory may rise at the height of it, bytes.
    memory: u64,
    /// How long it may take.
    time: Duration,
}

impl Bound {
    /// P2: a bomb of a guest with these limits may fill what a guest may have and no more than 80 MiB.
    pub fn bomb(limits: &Limits) -> Self {
        Self { memory: 80 * MIB, ..Self::call(limits) }
    }

    /// P3, and every attack that the catalogue lists no other figure for: 16 MiB, and not much longer than the deadline.
    pub fn call(limits: &Limits) -> Self {
        Self { memory: 16 * MIB, time: Duration::from_millis(limits.wall_ms) + SLACK }
    }

    /// P15 and P16: thirty seconds of the compiler, who may have a gibibyte by the catalogue and gets an eighth of it.
    pub const fn install() -> Self {
        Self { memory: 128 * MIB, time: Duration::from_secs(30) }
    }
}

/// What an attack cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub memory: u64,
    pub time: Duration,
}

/// Makes an attack under observation.
#[track_caller]
pub fn watched<R>(name: &str, bound: Bound, attack: impl FnOnce() -> R) -> (R, Cost) {
    // A new peak begins here; where the system cannot do that, only what the attack leaves behind is seen.
    let peaks = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let (before, begun) = (resident("VmRSS:"), Instant::now());
    let made = attack();
    let time = begun.elapsed();
    let memory = resident(if peaks { "VmHWM:" } else { "VmRSS:" }).saturating_sub(before);
    assert!(time <= bound.time, "{name} took {time:?} of {:?}", bound.time);
    assert!(memory <= bound.memory, "{name} made the host hold {memory} bytes more, of {}", bound.memory);
    (made, Cost { memory, time })
}

/// Resident memory of this process, bytes, as the system tells it under a name.
pub fn resident(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}
