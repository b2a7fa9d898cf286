#[path = "../../bench/mod.rs"]
mod bench;
use clap::Parser;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
#[derive(Parser)]
struct A {
    #[command(flatten)]
    a: bench::BenchArgs,
}
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let f = bench::run(&A::parse().a).await?;
    eprintln!("{}", bench::table(&f));
    Ok(())
}
