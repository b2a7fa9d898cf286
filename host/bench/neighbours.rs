//! What a neighbour feels of an attacker, for every kind of attack in every world.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use altyn_domain::{
    gateway::{Intent, Operation},
    money::{Currency, Money},
    numbering::Draft,
    plugin::CallContext,
};
use altyn_runtime::{Breaker, CallFailure, Keyring, Plugin, Runtime, RuntimeConfig, World};
use anyhow::{Context as _, ensure};

use super::{
    Figures,
    containment::{context, question},
    plugin::{document, percentile},
    round, world,
};

/// Calls of the neighbour in one measurement.
const CALLS: usize = 2_000;
const ATTACKERS: usize = 4;
/// How often an attack is measured; the middle one counts, for this machine has other guests than ours.
const ROUNDS: usize = 3;
const DEEDS: [&str; 5] = ["trap", "loop", "memory", "flood-log", "huge-answer"];

/// A test double of one world.
struct Double {
    world: World,
    plugin: Plugin,
    keyring: Arc<Keyring>,
}

impl Double {
    fn load(runtime: &Runtime, plugins: &Path, world: World) -> anyhow::Result<Self> {
        let name = match world {
            World::ProrationStrategy => "hostile-proration",
            World::TaxRule => "hostile-tax",
            World::NumberingScheme => "hostile-numbering",
            World::PaymentGateway => "hostile-gateway",
        };
        let path = plugins.join(name).with_extension("wasm");
        let wasm = std::fs::read(&path).with_context(|| format!("{} is not built", path.display()))?;
        let mut keyring = Keyring::new();
        keyring.add("hostile-key", b"7351")?;
        Ok(Self { world, plugin: runtime.load(&wasm)?, keyring: Arc::new(keyring) })
    }

    fn call(&self, runtime: &Runtime, ctx: &CallContext) -> Result<(), CallFailure> {
        let plugin = &self.plugin;
        match self.world {
            World::ProrationStrategy => runtime.prorate(plugin, ctx, &[question()]).result.map(drop),
            World::TaxRule => runtime.assess(plugin, ctx, &[document(1)]).result.map(drop),
            World::NumberingScheme => runtime.numbers(plugin, ctx, &[draft()], &[1]).result.map(drop),
            World::PaymentGateway => runtime.gateway_begin(plugin, ctx, &self.keyring, &pay()).result.map(drop),
        }
    }
}

fn draft() -> Draft {
    Draft {
        id: "0".into(),
        kind: "invoice".into(),
        seller: "seller".into(),
        contract: "contract".into(),
        issued_on: world::due_on(),
        attributes: Vec::new(),
    }
}

fn pay() -> Operation {
    Operation::Pay(Intent {
        id: "exc_bench".into(),
        number: 1,
        amount: Money::new(10_000, Currency::RUB),
        description: "Связь".into(),
        capture: true,
        return_url: String::new(),
        payer: Vec::new(),
        saved_method: None,
        save_method: false,
        receipt: None,
    })
}

/// Measures all of them; the figure of a world is that of its worst attack.
pub fn measure(plugins: &Path, figures: &mut Figures) -> anyhow::Result<()> {
    eprintln!("neighbours of attackers …");
    // Attackers that were left alone would be no attackers.
    let breaker = Breaker { failures: u32::MAX, ..Breaker::default() };
    let runtime = Runtime::new(&RuntimeConfig { breaker, ..RuntimeConfig::default() })?;
    for &world in World::ALL {
        let double = Double::load(&runtime, plugins, world)?;
        for deed in DEEDS {
            let mut rounds = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                let alone = neighbour(&runtime, &double)?;
                let beside = beside(&runtime, &double, deed)?;
                rounds.push((ratio(beside, alone), alone, beside));
            }
            rounds.sort_by(|one, other| one.0.total_cmp(&other.0));
            let (ratio, alone, beside) = rounds[ROUNDS / 2];
            eprintln!("  {world} beside {deed}: {beside:.0} µs, alone {alone:.0} µs, {ratio:.2} times");
            let name = format!("{world}_{deed}").replace('-', "_");
            figures.insert(format!("plugin_neighbour_{name}_p99_ratio"), round(ratio));
        }
    }
    Ok(())
}

fn beside(runtime: &Runtime, double: &Double, deed: &str) -> anyhow::Result<f64> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                let ctx = context("ten_attacker", 0, &format!(r#"{{"do":"{deed}"}}"#));
                // A breaker would have left them alone long ago, and so their failures are not in a log a million times.
                tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || {
                    while !done.load(Ordering::Relaxed) {
                        let _ = double.call(runtime, &ctx);
                    }
                });
            });
        }
        let beside = neighbour(runtime, double);
        done.store(true, Ordering::Relaxed);
        beside
    })
}

/// The 99th percentile of the neighbour's calls, microseconds.
fn neighbour(runtime: &Runtime, double: &Double) -> anyhow::Result<f64> {
    let ctx = context("ten_neighbour", 0, "");
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        let answered = double.call(runtime, &ctx);
        times.push(begun.elapsed());
        ensure!(answered.is_ok(), "a neighbour was not served: {answered:?}");
        // Not back to back: what is measured is the wait of a call that comes at any moment.
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(percentile(&mut times, 99))
}

#[expect(clippy::float_arithmetic, reason = "a measurement, not money")]
fn ratio(one: f64, other: f64) -> f64 {
    one / other.max(1e-9)
}
