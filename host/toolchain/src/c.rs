//! Building plugins written in C: a freestanding module by clang or zig, made into a component here.
//!
//! Owns the search for a compiler: clang with `wasm-ld` on the path, else zig from its Python package, brought into a
//! folder of tools. Needs no WASI and no standard library: the project brings what it uses. Invariant: what is left is a
//! component of the project's world that imports nothing but the contract.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{DONE, brought, output, run};

/// Version of the Python package that brings zig.
const ZIGLANG: &str = "0.15.2";

/// What to build; all paths absolute.
#[derive(Debug, Clone, Copy)]
pub struct CPlugin<'a> {
    /// The project's folder: its `.c` files, `vendor/altyn`, `bindings` and `wit`.
    pub folder: &'a Path,
    /// The world, such as `tax-rule`.
    pub world: &'a str,
    /// Where a compiler is brought to when the machine has none that knows WebAssembly.
    pub tools: &'a Path,
    /// Where the component goes.
    pub component: &'a Path,
}

/// A compiler of C that knows WebAssembly.
#[derive(Debug, PartialEq, Eq)]
struct Compiler {
    /// The words it is started with.
    words: Vec<OsString>,
    target: &'static str,
}

impl CPlugin<'_> {
    /// Compiles every source of the project and makes the component.
    pub fn build(&self) -> Result<()> {
        let compiler = compiler(self.tools)?;
        let sources = self.sources()?;
        let module = self.component.with_extension("module.wasm");
        let mut command = Command::new(compiler.words.first().context("no compiler")?);
        command
            .args(compiler.words.iter().skip(1))
            .args(["-target", compiler.target])
            // Optimised code, no library but the project's own, no entry, a stack that fits a small memory.
            .args(["-std=c11", "-O2", "-g0", "-Wall", "-Wextra", "-ffreestanding", "-nostdlib"])
            .args(["-fno-sanitize=all", "-fvisibility=hidden"])
            .args(["-Wl,--no-entry", "-Wl,-z,stack-size=65536"])
            .arg("-I")
            .arg(self.folder.join("vendor/altyn"))
            .arg("-I")
            .arg(self.folder.join("bindings"))
            .args(&sources)
            .arg("-o")
            .arg(&module)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(std::io::stderr());
        eprintln!("plugin: {}", compiler.words.join(OsStr::new(" ")).to_string_lossy());
        run(&mut command, "compile the plugin")?;
        let component = self.component_of(&fs::read(&module)?)?;
        fs::remove_file(&module)?;
        fs::write(self.component, component).with_context(|| format!("cannot write {}", self.component.display()))
    }

    /// The project's own `.c` files, the bindings and the helpers.
    fn sources(&self) -> Result<Vec<PathBuf>> {
        let mut sources = Vec::new();
        for folder in [self.folder.to_owned(), self.folder.join("bindings"), self.folder.join("vendor/altyn")] {
            let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                if path.extension() == Some(OsStr::new("c")) {
                    sources.push(path);
                }
            }
        }
        sources.sort();
        Ok(sources)
    }

    fn component_of(&self, module: &[u8]) -> Result<Vec<u8>> {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(self.folder.join("wit")).context("the project's wit/ does not read")?;
        let world = resolve.select_world(&[package], Some(self.world))?;
        let mut module = module.to_vec();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        let encoded = ComponentEncoder::default().validate(true).module(&module).and_then(ComponentEncoder::encode);
        encoded.with_context(|| format!("what was compiled does not make a component of {}", self.world))
    }
}

/// Which compiler plugins in C are built with as things stand; None when one would have to be brought into `tools`.
pub fn c_compiler(tools: &Path) -> Option<&'static str> {
    if clang_knows_wasm() { Some("clang") } else { tools.join(DONE).exists().then_some("zig") }
}

fn compiler(tools: &Path) -> Result<Compiler> {
    if clang_knows_wasm() {
        return Ok(Compiler { words: vec!["clang".into()], target: "wasm32-unknown-unknown" });
    }
    let python = Path::new("bin").join("python");
    brought(tools, |fresh| {
        eprintln!("plugin: no clang with wasm-ld here; bringing zig {ZIGLANG} into {}", tools.display());
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv"]).arg(fresh).stdin(Stdio::null()), "make a folder for zig").context(ADVICE)?;
        let mut pip = Command::new(fresh.join(&python));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("ziglang=={ZIGLANG}"))
            .stdin(Stdio::null())
            .stdout(std::io::stderr());
        run(&mut pip, "install zig").context(ADVICE)
    })?;
    let words = vec![tools.join(python).into_os_string(), "-m".into(), "ziglang".into(), "cc".into()];
    Ok(Compiler { words, target: "wasm32-freestanding" })
}

const ADVICE: &str = "C needs clang with lld, or Python 3 with venv and pip, which bring zig";

/// Whether clang is there, was built with the target, and finds its linker.
fn clang_knows_wasm() -> bool {
    let targets = output(Command::new("clang").arg("--print-targets"), "ask clang for its targets");
    let linker = Command::new("wasm-ld").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    targets.is_ok_and(|text| String::from_utf8_lossy(&text).contains("wasm32")) && linker.is_ok_and(|s| s.success())
}
