//! Building guests: from the crates of a folder, or a plugin's sources in C ([`CPlugin`]), to components.
//!
//! Owns the search for a compiler that knows the wasm target: the toolchain's own when the target is installed, else
//! one that rustup can add, else Debian's, unpacked into a folder without installing anything.
//! Invariant: what is left are components, never bare modules. Progress is told on stderr;
//! cargo itself decides what is fresh.

mod c;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

pub use c::{CPlugin, c_compiler};

const TARGET: &str = "wasm32-unknown-unknown";
/// Set to anything, it takes Debian's compiler without looking for another.
const FORCE_DEBIAN: &str = "ALTYN_GUESTS_BY_DEBIAN";

/// The file that stands in a folder of tools that is whole.
const DONE: &str = "done";

/// A compiler for guests.
struct Toolchain {
    /// What is set for cargo.
    env: Vec<(OsString, OsString)>,
    /// What is added to its arguments.
    args: &'static [&'static str],
}

/// What to build and where to put it; all paths absolute.
#[derive(Debug, Clone, Copy)]
pub struct Guests<'a> {
    /// The folder with the `Cargo.toml` of a package or a workspace.
    pub folder: &'a Path,
    /// Cargo's own folder for what it builds.
    pub target: &'a Path,
    /// Where a compiler is unpacked when the machine has none that knows WebAssembly.
    pub tools: &'a Path,
    /// Where the components go, `<package>.wasm`.
    pub out: &'a Path,
    /// Whether `Cargo.lock` must be there and fit.
    pub locked: bool,
}

impl Guests<'_> {
    /// Builds every package that is a `cdylib` and returns the components, sorted by name.
    pub fn build(&self) -> Result<Vec<PathBuf>> {
        let bin = linker_folder(self.folder)?;
        let toolchain = toolchain(self)?;
        let names = guest_names(self)?;
        eprintln!("guests: building {}", names.join(", "));
        let mut cargo = command("cargo", self.folder);
        cargo
            .args(["build", "--release", "--target", TARGET, "--target-dir"])
            .arg(self.target)
            .args(self.lock())
            .args(toolchain.args)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", bin.join("wasm-component-ld"))
            .env("PATH", with_front(&bin, std::env::var_os("PATH"))?)
            .envs(toolchain.env)
            // Flags meant for the host's own build would make the guests' differ from machine to machine.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        for name in &names {
            cargo.args(["--package", name]);
        }
        run(&mut cargo, "build the guests")?;
        fs::create_dir_all(self.out)?;
        names.iter().map(|name| publish(self.target, self.out, name)).collect()
    }

    fn lock(&self) -> Option<&'static str> {
        self.locked.then_some("--locked")
    }
}

/// Packages that are made into components.
fn guest_names(guests: &Guests<'_>) -> Result<Vec<String>> {
    let mut metadata = command("cargo", guests.folder);
    metadata.args(["metadata", "--format-version", "1", "--no-deps"]).args(guests.lock());
    let metadata: serde_json::Value = serde_json::from_slice(&output(&mut metadata, "list the guests")?)?;
    let folder = fs::canonicalize(guests.folder)?;
    let is_guest = |package: &&serde_json::Value| {
        // The folder may be one package of a workspace.
        let own = package["manifest_path"].as_str().is_some_and(|path| Path::new(path).starts_with(&folder));
        let targets = package["targets"].as_array().into_iter().flatten();
        targets.flat_map(|target| target["crate_types"].as_array().into_iter().flatten()).any(|kind| kind == "cdylib")
            && own
    };
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut names: Vec<String> =
        packages.iter().filter(is_guest).filter_map(|package| package["name"].as_str().map(str::to_owned)).collect();
    names.sort();
    ensure!(!names.is_empty(), "{} has no package with crate-type = [\"cdylib\"]", guests.folder.display());
    Ok(names)
}

/// Checks that the build gave a component and puts it where it is looked for.
fn publish(target_dir: &Path, out: &Path, name: &str) -> Result<PathBuf> {
    let built = target_dir.join(TARGET).join("release").join(name.replace('-', "_")).with_extension("wasm");
    let bytes = fs::read(&built).with_context(|| format!("the build left no {}", built.display()))?;
    // Version 13 at layer 1 is a component; a core module has version 1 at layer 0.
    ensure!(
        bytes.starts_with(b"\0asm\x0d\0\x01\0"),
        "{} is not a component: was it linked by wasm-component-ld?",
        built.display()
    );
    let published = out.join(name).with_extension("wasm");
    if fs::read(&published).ok().as_deref() != Some(&*bytes) {
        // Renamed into place, so that nobody reads half a component.
        let fresh = out.join(format!(".{name}.wasm.{}", std::process::id()));
        fs::write(&fresh, &bytes)?;
        fs::rename(&fresh, &published)?;
    }
    eprintln!("guests: {} ({} kB)", published.display(), bytes.len().div_ceil(1024));
    Ok(published)
}

fn toolchain(guests: &Guests<'_>) -> Result<Toolchain> {
    let folder = guests.folder;
    if std::env::var_os(FORCE_DEBIAN).is_some() {
        return debian(guests.tools);
    }
    if target_is_installed(folder)? {
        return Ok(Toolchain { env: Vec::new(), args: &[] });
    }
    eprintln!("guests: this toolchain has no {TARGET}; asking rustup for it");
    let added = command("rustup", folder).args(["target", "add", TARGET]).stdin(Stdio::null()).status();
    if added.is_ok_and(|status| status.success()) && target_is_installed(folder)? {
        return Ok(Toolchain { env: Vec::new(), args: &[] });
    }
    eprintln!("guests: rustup cannot add it; using the compiler of Debian, unpacked under {}", guests.tools.display());
    debian(guests.tools).with_context(|| {
        format!("no compiler for {TARGET}: install it with \"rustup target add {TARGET}\", or build once on Debian")
    })
}

fn target_is_installed(folder: &Path) -> Result<bool> {
    let folder = output(
        command("rustc", folder).args(["--print", "target-libdir", "--target", TARGET]),
        "ask rustc for its target folder",
    )?;
    let folder = PathBuf::from(String::from_utf8(folder)?.trim());
    Ok(fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()))
}

/// Where the toolchain keeps `wasm-component-ld` and the `rust-lld` that it runs.
fn linker_folder(folder: &Path) -> Result<PathBuf> {
    let sysroot = output(command("rustc", folder).args(["--print", "sysroot"]), "ask rustc for its folder")?;
    let version = output(command("rustc", folder).arg("-vV"), "ask rustc for its host")?;
    let host = String::from_utf8(version)?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .context("rustc -vV names no host")?;
    let bin = Path::new(String::from_utf8(sysroot)?.trim()).join("lib/rustlib").join(host).join("bin");
    ensure!(
        bin.join("wasm-component-ld").exists(),
        "{} has no wasm-component-ld; install the toolchain of rust-toolchain.toml by rustup",
        bin.display()
    );
    Ok(bin)
}

/// Debian's compiler with the sources of the standard library, which is built along with the guests.
fn debian(folder: &Path) -> Result<Toolchain> {
    let unpacked = folder.join("root");
    brought(folder, |fresh| {
        let packages = fresh.join("deb");
        fs::create_dir_all(&packages)?;
        fetch(&packages)?;
        for package in deb_files(&packages)? {
            eprintln!("guests: unpacking {}", package.file_name().unwrap_or_default().to_string_lossy());
            let mut dpkg = Command::new("dpkg");
            run(dpkg.arg("-x").arg(&package).arg(fresh.join("root")), "unpack a Debian package")?;
        }
        Ok(fs::remove_dir_all(&packages)?)
    })?;
    let rustc = unpacked.join("usr/bin/rustc");
    let libraries = library_path(&unpacked)?;
    let works = Command::new(&rustc).arg("-V").env("LD_LIBRARY_PATH", &libraries).output();
    let works = works.with_context(|| format!("{} does not start", rustc.display()))?;
    ensure!(
        works.status.success(),
        "Debian's rustc does not start: {}; install the missing library, remove {} and try again",
        String::from_utf8_lossy(&works.stderr).trim(),
        folder.display()
    );
    ensure!(
        unpacked.join("usr/lib/rustlib/src/rust/library/std").exists(),
        "Debian's rust-web-src has no sources of the standard library"
    );
    let env = [
        ("RUSTC", rustc.into_os_string()),
        ("LD_LIBRARY_PATH", libraries),
        // Building the standard library is not stable yet; the language of the guests is.
        ("RUSTC_BOOTSTRAP", OsString::from("1")),
    ];
    let env = env.into_iter().map(|(name, value)| (OsString::from(name), value)).collect();
    Ok(Toolchain { env, args: &["-Zbuild-std=std,panic_abort"] })
}

/// Makes a folder of tools once, whoever else makes it at the same time: it is filled elsewhere and renamed into place.
pub(crate) fn brought(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.join(DONE).exists() {
        return Ok(());
    }
    let mut fresh = folder.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    fs::create_dir_all(&fresh).with_context(|| format!("cannot make {}", fresh.display()))?;
    let filled = fill(&fresh).and_then(|()| Ok(fs::write(fresh.join(DONE), "")?));
    if filled.is_ok() && !folder.join(DONE).exists() {
        // What a broken-off attempt left is not trusted.
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        if fs::rename(&fresh, folder).is_ok() {
            return Ok(());
        }
    }
    fs::remove_dir_all(&fresh)?;
    filled?;
    ensure!(folder.join(DONE).exists(), "cannot make {}", folder.display());
    Ok(())
}

/// Downloads the compiler, its libraries and the standard library's sources, all of one version.
fn fetch(into: &Path) -> Result<()> {
    if !is_known("rustc-web") {
        eprintln!("guests: apt does not know rustc-web yet; running apt-get update");
        run(Command::new("apt-get").arg("update").stdout(Stdio::null()), "update apt's lists (are you root?)")?;
        ensure!(is_known("rustc-web"), "this system's archive has no rustc-web package");
    }
    download(into, &["rustc-web", "rust-web-src", "libstd-rust-web-dev"])?;
    // Their dependencies carry the version in their names (libstd-rust-web-1.85, libllvm19), so they are read, not known.
    for prefix in ["libstd-rust-web-", "libllvm"] {
        let mut wanted = Vec::new();
        for package in deb_files(into)? {
            let depends = output(Command::new("dpkg-deb").arg("-f").arg(&package).arg("Depends"), "read a package")?;
            let depends = String::from_utf8(depends)?;
            let names = depends.split([',', '|']).filter_map(|item| item.split_whitespace().next());
            wanted.extend(names.filter(|name| name.starts_with(prefix)).map(str::to_owned));
        }
        wanted.sort();
        wanted.dedup();
        wanted.retain(|name| name != "libstd-rust-web-dev");
        ensure!(!wanted.is_empty(), "Debian's rustc-web names no {prefix} package");
        download(into, &wanted.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn is_known(package: &str) -> bool {
    let shown = Command::new("apt-cache").args(["show", package]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    shown.is_ok_and(|status| status.success())
}

fn download(into: &Path, packages: &[&str]) -> Result<()> {
    eprintln!("guests: downloading {}", packages.join(", "));
    let mut apt = Command::new("apt-get");
    // Without a sandbox user, because that user may not write into this folder.
    apt.args(["-q", "-o", "APT::Sandbox::User=root", "download"])
        .args(packages)
        .current_dir(into)
        .stdout(Stdio::null());
    run(&mut apt, "download Debian packages")
}

fn deb_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension() == Some(OsStr::new("deb")));
    files.sort();
    Ok(files)
}

/// The unpacked library folders before whatever the process searches already.
fn library_path(unpacked: &Path) -> Result<OsString> {
    let lib = unpacked.join("usr/lib");
    let mut folders = vec![lib.clone()];
    for entry in fs::read_dir(&lib)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-gnu")) {
            folders.push(path);
        }
    }
    folders.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    Ok(std::env::join_paths(folders)?)
}

fn with_front(folder: &Path, path: Option<OsString>) -> Result<OsString> {
    let rest = path.unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&rest)))?)
}

/// A command that runs in a folder with the toolchain of that folder, not with what cargo set for this process.
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for name in ["CARGO", "RUSTC", "RUSTC_WRAPPER", "CARGO_MANIFEST_DIR", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    command
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot {what}: {} does not start", program(command)))?;
    if !status.success() {
        bail!("cannot {what}: {} ended with {status}", program(command));
    }
    Ok(())
}

fn output(command: &mut Command, what: &str) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot {what}: {} does not start", program(command)))?;
    if !output.status.success() {
        bail!("cannot {what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_brought_once_and_a_broken_off_attempt_leaves_nothing() {
        let home = std::env::temp_dir().join(format!("altyn-tools-{}", std::process::id()));
        let tools = home.join("tools");
        brought(&tools, |_| bail!("no network")).unwrap_err();
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
        // Half of what another attempt left, without its mark.
        fs::create_dir_all(tools.join("half")).unwrap();
        brought(&tools, |fresh| Ok(fs::write(fresh.join("compiler"), "1")?)).unwrap();
        assert!(tools.join("compiler").is_file() && !tools.join("half").exists());
        brought(&tools, |_| bail!("brought twice")).unwrap();
        fs::remove_dir_all(home).unwrap();
    }
}
