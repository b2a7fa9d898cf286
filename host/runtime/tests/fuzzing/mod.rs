//! Dice that fall the same everywhere, mutations, and the loop that makes cases until the time is up.

use std::time::{Duration, Instant};

/// How long each target runs when nobody says so.
const SECONDS: u64 = 20;
/// The longest that one case may take, on a busy machine and in a build without optimisation.
const LONGEST: Duration = Duration::from_secs(20);

/// Splitmix64: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// The bytes with a few changes: flipped, cut out, doubled, replaced by what parsers stumble over.
    pub fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        const STUMBLES: [&[u8]; 18] = [
            b"\0",
            b"\xff\xfe",
            b"\xed\xa0\x80",
            "\u{202e}".as_bytes(),
            b"NaN",
            b"1e400",
            b"-0",
            b"9223372036854775807",
            b"-9223372036854775808",
            b"18446744073709551616",
            b"0.00000000000000000000000000000000000001",
            b"null",
            b"[[[[[[[[[[[[[[[[",
            b"\"\\ud800\"",
            b"\x1b[2J",
            b"{}",
            b",",
            b"RUB",
        ];
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 => {
                    let end = (at + self.below(32)).min(bytes.len());
                    bytes.drain(at..end);
                }
                3 => {
                    let end = (at + self.below(64)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                4 => bytes.truncate(at),
                _ => {
                    let stumble = STUMBLES[self.below(STUMBLES.len())];
                    let end = (at + self.below(stumble.len() + 1)).min(bytes.len());
                    bytes.splice(at..end, stumble.iter().copied());
                }
            }
        }
        bytes
    }
}

/// Tells how to make a finding again.
struct Witness {
    target: &'static str,
    seed: u64,
    round: u64,
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("found by {} in round {} of ALTYN_FUZZ_SEED={}", self.target, self.round, self.seed);
        }
    }
}

/// Makes cases until the time is up; each has dice of its own.
pub fn run(target: &'static str, mut case: impl FnMut(&mut Dice)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let length = Duration::from_secs(number("ALTYN_FUZZ_SECONDS").unwrap_or(SECONDS));
    let seed = number("ALTYN_FUZZ_SEED").unwrap_or(u64::from(std::process::id()));
    let mut witness = Witness { target, seed, round: 0 };
    let began = Instant::now();
    while began.elapsed() < length {
        let mut dice = Dice(seed.wrapping_add(witness.round.wrapping_mul(0x2545_f491_4f6c_dd1d)));
        let case_began = Instant::now();
        case(&mut dice);
        assert!(case_began.elapsed() < LONGEST, "a case took {:?}", case_began.elapsed());
        witness.round += 1;
    }
    assert!(witness.round > 0);
    eprintln!("{target}: {} cases, seed {seed}", witness.round);
}
