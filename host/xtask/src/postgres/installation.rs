//! Where PostgreSQL's programs come from: the system, or Debian's packages unpacked below `target/`.
//!
//! Refuses to install anything: unpacked packages are files in a folder that `cargo clean` removes. Invariant: an
//! `Installation` has every program that the developer commands call, of version 15 or newer.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::User;
use crate::shell;

/// The oldest major version that the SQL is written for.
const OLDEST: u32 = 15;

/// What a private server and the measurements call.
const PROGRAMS: [&str; 7] = ["postgres", "initdb", "pg_ctl", "pg_isready", "psql", "createdb", "pgbench"];

/// Libraries in the packages' dependencies that the programs run without: the system's base, the compiler for queries,
/// and what belongs to package configuration.
const LEFT_OUT: [&str; 6] = ["libc6", "libllvm", "libz3", "libperl", "libdebian-installer", "libelogind"];

/// The programs of one PostgreSQL version.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The folder of the programs.
    pub programs: PathBuf,
    /// What the server says of itself, such as `PostgreSQL 15.18`.
    pub version: String,
    /// The top of the unpacked packages, when the programs are not installed.
    unpacked: Option<PathBuf>,
}

impl Installation {
    /// An installed version, else an unpacked one, else one that is unpacked now.
    pub fn find(root: &Path) -> anyhow::Result<Self> {
        if let Some(installed) = installed_folders().into_iter().find_map(|folder| Self::at(folder, None)) {
            return Ok(installed);
        }
        let top = root.join("target").join("postgres");
        if let Some(unpacked) = Self::below(&top) {
            return Ok(unpacked);
        }
        unpack(&top).context(
            "no PostgreSQL 15 or newer is installed and its packages cannot be unpacked; \
             install it, or set ALTYN_TEST_POSTGRES_URL to a running server",
        )
    }

    fn at(programs: PathBuf, unpacked: Option<PathBuf>) -> Option<Self> {
        if !PROGRAMS.iter().all(|name| programs.join(name).exists()) {
            return None;
        }
        let mut installation = Self { programs, version: String::new(), unpacked };
        let answer = shell::capture(installation.command("postgres", None).arg("--version")).ok()?;
        let number = answer.split_whitespace().nth(2)?;
        let major: u32 = number.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()?;
        installation.version = format!("PostgreSQL {number}");
        (major >= OLDEST).then_some(installation)
    }

    fn below(top: &Path) -> Option<Self> {
        versions(&top.join("usr/lib/postgresql")).into_iter().find_map(|at| Self::at(at, Some(top.to_path_buf())))
    }

    /// A program ready to be given arguments, run as `user` when one is named.
    pub fn command(&self, name: &str, user: Option<&User>) -> Command {
        let program = self.programs.join(name);
        let mut command = match user {
            Some(user) => user.command(&program),
            None => Command::new(program),
        };
        if let Some(top) = &self.unpacked {
            command.env("LD_LIBRARY_PATH", libraries(top));
        }
        // A developer's own settings for psql must not reach a server that is not theirs.
        for name in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGSERVICE"] {
            command.env_remove(name);
        }
        command
    }

    /// The same programs where `user` can run them: copied below `directory` when the repository is closed to it.
    pub fn reachable_by(self, user: Option<&User>, directory: &Path) -> anyhow::Result<Self> {
        let (Some(user), Some(top)) = (user, self.unpacked.clone()) else { return Ok(self) };
        // Asked of a program of its own: the step that changes the user may start what the user itself cannot reach.
        let mut probe = user.command(Path::new("test"));
        if shell::capture(probe.current_dir(directory).arg("-x").arg(self.programs.join("initdb"))).is_ok() {
            return Ok(self);
        }
        let copy = directory.join("programs");
        shell::capture(Command::new("cp").arg("--recursive").arg(&top).arg(&copy))?;
        Self::below(&copy).context("the unpacked PostgreSQL does not run from a copy")
    }
}

fn installed_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(folder) = shell::capture(Command::new("pg_config").arg("--bindir")) {
        folders.push(PathBuf::from(folder.trim()));
    }
    folders.extend(versions(Path::new("/usr/lib/postgresql")));
    for folder in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        // A link to the server leads to the folder where its companions are.
        if let Ok(server) = folder.join("postgres").canonicalize() {
            folders.extend(server.parent().map(Path::to_path_buf));
        }
    }
    folders
}

/// The program folders of `<parent>/<major>/bin`, newest first.
fn versions(parent: &Path) -> Vec<PathBuf> {
    let mut majors: Vec<u32> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|left, right| right.cmp(left));
    majors.into_iter().map(|major| parent.join(major.to_string()).join("bin")).collect()
}

/// The library folders of an unpacked tree, in the form of a search path.
fn libraries(top: &Path) -> std::ffi::OsString {
    let mut folders = Vec::new();
    for parent in [top.join("usr/lib"), top.join("lib")] {
        for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().contains("-linux-") {
                folders.push(entry.path());
            }
        }
        folders.push(parent);
    }
    env::join_paths(folders).unwrap_or_default()
}

/// Debian's packages of the newest version, fetched and unpacked into `top`.
fn unpack(top: &Path) -> anyhow::Result<Installation> {
    let staging = top.with_extension("part");
    fs::remove_dir_all(&staging).ok();
    let packages = staging.join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("cannot make {}", packages.display()))?;

    let apt = Apt { lists: None };
    if let Err(error) = apt.fetch(&packages) {
        // The system's package lists are absent on a fresh image and stale on an old one; ours need no root.
        eprintln!("postgres: {error:#}\npostgres: reading the package lists anew");
        Apt::with_own_lists(&staging)?.fetch(&packages)?;
    }
    let tree = staging.join("tree");
    fs::create_dir_all(&tree)?;
    for entry in fs::read_dir(&packages)? {
        shell::capture(Command::new("dpkg").arg("-x").arg(entry?.path()).arg(&tree))?;
    }
    fs::remove_dir_all(top).ok();
    fs::rename(&tree, top).with_context(|| format!("cannot move the unpacked packages to {}", top.display()))?;
    fs::remove_dir_all(&staging).ok();
    Installation::below(top).with_context(|| format!("the programs below {} do not run", top.display()))
}

/// The package tool, with the system's lists or our own.
struct Apt {
    lists: Option<PathBuf>,
}

impl Apt {
    fn with_own_lists(staging: &Path) -> anyhow::Result<Self> {
        let lists = staging.join("apt");
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(lists.join(folder))?;
        }
        let apt = Self { lists: Some(lists) };
        shell::progress(apt.command("apt-get").args(["--quiet", "update"]))?;
        Ok(apt)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        if let Some(lists) = &self.lists {
            command.arg("-o").arg(format!("Dir::State::Lists={}", lists.join("lists").display()));
            command.arg("-o").arg(format!("Dir::Cache={}", lists.join("cache").display()));
        }
        // Root's downloads would otherwise go through a user that may be unable to write here.
        command.args(["-o", "APT::Sandbox::User=root"]).env("LC_ALL", "C");
        command
    }

    fn fetch(&self, into: &Path) -> anyhow::Result<()> {
        let found = shell::capture(self.command("apt-cache").args(["search", "--names-only", "^postgresql-[0-9]+$"]))?;
        let newest = found
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.strip_prefix("postgresql-")?.parse::<u32>().ok())
            .filter(|major| *major >= OLDEST)
            .max();
        let Some(major) = newest else { bail!("the package lists offer no PostgreSQL {OLDEST} or newer") };
        let mut wanted = vec![format!("postgresql-{major}"), format!("postgresql-client-{major}")];
        wanted.extend(self.missing_libraries(&wanted)?);
        shell::progress(self.command("apt-get").current_dir(into).args(["--quiet", "download"]).args(&wanted))
    }

    /// The libraries that the packages need and this machine has not; the compiler for queries is left out.
    fn missing_libraries(&self, packages: &[String]) -> anyhow::Result<Vec<String>> {
        let mut depends = self.command("apt-cache");
        depends.args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"]);
        depends.args(["--no-replaces", "--no-enhances"]).args(packages);
        let tree = shell::capture(&mut depends)?;
        let mut missing: Vec<String> = tree
            .lines()
            .filter(|line| {
                line.starts_with("lib") && !line.contains(':') && line.contains(|sign: char| sign.is_ascii_digit())
            })
            .filter(|name| !LEFT_OUT.iter().any(|left_out| name.starts_with(left_out)))
            .filter(|name| !is_installed(name))
            .map(str::to_owned)
            .collect();
        missing.sort_unstable();
        missing.dedup();
        Ok(missing)
    }
}

fn is_installed(package: &str) -> bool {
    shell::capture(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]))
        .is_ok_and(|status| status.contains("installed") && !status.contains("not-installed"))
}
