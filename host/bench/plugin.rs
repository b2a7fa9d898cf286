//! Plugin calls beside the same computation natively and beside an HTTP callout on loopback.

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use altyn_domain::{
    money::{Currency, Money},
    plugin::CallContext,
    tax::{Party, PriceMode, TaxDocument, TaxableLine, tax_at},
};
use altyn_runtime::{Plugin, Runtime, RuntimeConfig};
use anyhow::{Context as _, ensure};
use rust_decimal::Decimal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{BenchArgs, Figures, round, world};

const CALLS: usize = 5_000;
const BATCH: usize = 1_000;
const BATCHES: usize = 1_000;

/// Measures the tax rule: it is the dearest of the three.
pub async fn measure(args: &BenchArgs, figures: &mut Figures) -> anyhow::Result<()> {
    eprintln!("calling plugins …");
    let runtime = Runtime::new(&RuntimeConfig::default())?;
    let plugin = load(&runtime, &args.plugins)?;
    let context = CallContext {
        tenant: "ten_bench".into(),
        binding: "bnd_bench".into(),
        config: r#"{"regime":"general"}"#.into(),
        now_ms: 0,
        zone: "Europe/Moscow".into(),
        locale: "ru".into(),
    };
    let one = [document(1)];
    let mut fresh = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        let call = runtime.assess(&plugin, &context, &one);
        fresh.push(begun.elapsed());
        ensure!(call.result.is_ok(), "the tax rule failed: {:?}", call.result.err());
    }
    let many = [document(BATCH)];
    let begun = Instant::now();
    for _ in 0..BATCHES {
        let call = runtime.assess(&plugin, &context, &many);
        ensure!(call.result.is_ok(), "the tax rule failed: {:?}", call.result.err());
    }
    let batch = per_item(begun.elapsed(), BATCH * BATCHES);
    let begun = Instant::now();
    for index in 0..BATCH * BATCHES {
        let amount = Money::new(59_000 + i64::try_from(index % 97)?, Currency::RUB);
        black_box(tax_at(PriceMode::Included, black_box(amount), Decimal::from(22))?);
    }
    let native = per_item(begun.elapsed(), BATCH * BATCHES);
    let callout = callouts().await?;
    for (name, value) in [
        ("plugin_fresh_us_p50", percentile(&mut fresh, 50)),
        ("plugin_fresh_us_p99", percentile(&mut fresh, 99)),
        ("plugin_batch_line_us", batch),
        ("native_line_us", native),
        ("http_callout_us_p50", callout),
    ] {
        eprintln!("  {name} {value:.2}");
        figures.insert(name.into(), round(value));
    }
    Ok(())
}

fn load(runtime: &Runtime, plugins: &Path) -> anyhow::Result<Plugin> {
    let path = plugins.join("ru-vat.wasm");
    let wasm = std::fs::read(&path).with_context(|| format!("{} is not built", path.display()))?;
    Ok(runtime.load(&wasm)?)
}

pub(super) fn document(lines: usize) -> TaxDocument {
    let party = |id: &str| Party {
        id: id.into(),
        kind: "legal-entity".into(),
        country: "RU".into(),
        tax_ids: vec![("inn".into(), "7707083893".into())],
        attributes: Vec::new(),
    };
    TaxDocument {
        id: "0".into(),
        seller: party("seller"),
        buyer: party("buyer"),
        issued_on: world::due_on(),
        advance: false,
        mode: PriceMode::Included,
        lines: (0..lines)
            .map(|index| TaxableLine {
                id: index.to_string(),
                amount: Money::new(59_000, Currency::RUB),
                supplied_on: world::due_on(),
                category: "standard".into(),
                attributes: Vec::new(),
            })
            .collect(),
    }
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a measurement, not money")]
fn per_item(elapsed: Duration, items: usize) -> f64 {
    elapsed.as_secs_f64() * 1e6 / items as f64
}

#[expect(clippy::float_arithmetic, reason = "a measurement, not money")]
pub(super) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).map_or(0.0, |t| t.as_secs_f64() * 1e6)
}

/// One request and its answer on a kept connection to a server in this process.
async fn callouts() -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = axum::Router::new().route("/tax", axum::routing::post(|body: String| async move { body }));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let body = r#"{"documents":[{"id":"0","lines":[{"id":"0","amount":59000,"category":"standard"}]}]}"#;
    let request = format!(
        "POST /tax HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut times = Vec::with_capacity(CALLS);
    let mut buffer = vec![0; 4096];
    for _ in 0..CALLS {
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let mut received = 0;
        while !buffer[..received].ends_with(body.as_bytes()) {
            let read = stream.read(&mut buffer[received..]).await?;
            ensure!(read > 0, "the server closed the connection");
            received += read;
        }
        times.push(begun.elapsed());
    }
    server.abort();
    Ok(percentile(&mut times, 50))
}
