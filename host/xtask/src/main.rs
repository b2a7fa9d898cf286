//! Developer commands, run as `cargo xtask <command>`.
//!
//! Owns how the pieces are built and put together on a developer's machine: guests, a private PostgreSQL, the suite,
//! the demonstration, the measurements, the example books. Knows nothing of billing: it starts `altyn` and passes the
//! arguments on. Talk and progress go to stderr, so whatever stands on stdout is the answer alone.

mod authors;
mod bench;
mod books;
mod contract;
mod demo;
mod fuzz;
mod guests;
mod postgres;
mod shell;
mod simulate;
mod test;

use std::{
    env,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    postgres::{Cluster, Purpose},
    shell::Usage,
};

const USAGE: &str = "\
usage: cargo xtask <command>

  plugins                        build the guests into target/plugins
  test [cargo test arguments]    the whole suite, on SQLite and on a private PostgreSQL
  demo [altyn demo arguments]    bill a month of the example books; --no-serve, --output json,
                                 --database URL or --database private-postgres
  bench [--subscriptions N] [--only billing|ledger|plugin|change|usage] [--output table|json]
                                 measure the release build against a private PostgreSQL
  fuzz [--seconds N] [target]    mutate what guests hand over, 300 seconds each target
  authors [rust|javascript|python|c …] [--altyn PROGRAM] [--measure PROGRAM]
                                 make, build, test and bill with a plugin of every world in every language, and the
                                 examples; with a built host instead of the release build of this repository
  contract check                 whether components of every frozen contract still fit wit/
  contract freeze [--release] [--give-up VERSION]
                                 keep wit/ as the next draft, or as the release, with a guest of every world
  contract reference | bindings  write wit/reference.md, or the headers for plugins in C, from wit/
  simulate [--seeds N] [--seed S] [--steps N] [--database URL|none] [--output table|json]
                                 live two years of operators' lives from numbers, on SQLite and on a private PostgreSQL,
                                 and look at every rule of the books on the way
  postgres                       start a private PostgreSQL, print its address, run until stdin ends or Ctrl-C
  books [--customers N] [--seed S] [--into DIR]
                                 write the example books (default: examples/operator)

ALTYN_TEST_POSTGRES_URL names a running server to use instead of a private one.";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match run(&command, &rest) {
        Ok(code) => code,
        Err(error) if error.is::<Usage>() => {
            eprintln!("error: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, rest: &[String]) -> anyhow::Result<ExitCode> {
    let root = root();
    match command {
        "plugins" => {
            shell::no_arguments(rest)?;
            guests::build_guests(&root)?;
            Ok(ExitCode::SUCCESS)
        }
        "test" => test::run(&root, rest),
        "demo" => demo::run(&root, rest),
        "bench" => bench::run(&root, rest),
        "fuzz" => fuzz::run(&root, rest),
        "authors" => authors::run(&root, rest),
        "contract" => contract::run(&root, rest),
        "simulate" => simulate::run(&root, rest),
        "postgres" => {
            shell::no_arguments(rest)?;
            serve_postgres(&root)
        }
        "books" => books::run(&root, rest),
        "help" | "--help" | "-h" => {
            writeln!(io::stdout(), "{USAGE}")?;
            Ok(ExitCode::SUCCESS)
        }
        "" => Err(Usage::new("name a command").into()),
        other => Err(Usage::new(format!("there is no command `{other}`")).into()),
    }
}

/// The repository: two levels above this crate.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

fn serve_postgres(root: &Path) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::start(root, Purpose::Develop)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", cluster.url())?;
    stdout.flush()?;
    eprintln!("over the socket: {}", cluster.socket_url());
    if let Some(directory) = cluster.directory() {
        eprintln!("its data: {}", directory.display());
    }
    eprintln!("Ctrl-C or the end of stdin stops the server and removes its data");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}
