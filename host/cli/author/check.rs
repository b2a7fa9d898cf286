//! The report of a component: what the kit of its world and the author's cases say, and what its calls cost.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use altyn_runtime::{
    Build, Plugin, Runtime, World,
    kit::{Case, Check, Report},
};
use serde::Serialize;

use super::Project;
use crate::{
    ComposeError,
    cli::{
        exit::{Exit, Failure},
        output::{self, Output, Table},
        plugins,
        session::{Global, start_log},
    },
};

/// Largest file of a case, bytes.
const MAX_CASE_BYTES: u64 = 1 << 20;

#[derive(Serialize)]
struct Examined {
    plugin_id: String,
    version: String,
    world: World,
    digest: String,
    build: &'static str,
    size_bytes: usize,
    compiled_in_ms: u64,
    #[serde(flatten)]
    report: Report,
    cases: Vec<Check>,
    passed: bool,
}

impl Examined {
    fn checks(&self) -> impl Iterator<Item = &Check> {
        self.report.checks.iter().chain(&self.cases)
    }
}

/// Examines a component and prints the report; exit code 6 when a rule or a case is not kept.
pub async fn check(
    global: &Global,
    subject: PathBuf,
    plugin_config: &str,
    cases: Option<PathBuf>,
) -> Result<(), Failure> {
    let config = global.load(None)?;
    // The kit provokes failures; a log of each would bury its report.
    if global.log.is_some() {
        start_log(&config.log);
    }
    let asked = plugins::configuration(plugin_config)?.to_string();
    let (component, cases) = if subject.is_dir() {
        let own = subject.join("cases");
        (Project::read(&subject)?.component(&subject), cases.or_else(|| own.is_dir().then_some(own)))
    } else {
        (subject, cases)
    };
    let wasm = plugins::read(&component)?;
    let cases = cases.map_or(Ok(Vec::new()), |folder| read_cases(&folder))?;
    let runtime = Runtime::new(&config.plugins).map_err(ComposeError::from)?;
    let examined = tokio::task::spawn_blocking(move || examine(&runtime, &wasm, &asked, &cases)).await;
    let examined = examined.map_err(|error| Failure::failed(format!("the examination broke off: {error}")))??;
    if global.output == Output::Json {
        global.printer().object(&examined, &[])?;
    } else {
        print_table(&examined);
    }
    if examined.passed {
        return Ok(());
    }
    let (broken, all) = (examined.checks().filter(|check| !check.kept).count(), examined.checks().count());
    Err(Failure::new(Exit::Unverified, "not-conformant", format!("{broken} of {all} checks are not kept")))
}

fn examine(runtime: &Runtime, wasm: &[u8], config: &str, cases: &[(String, Case)]) -> Result<Examined, Failure> {
    let refused = |error: altyn_runtime::InstallError| Failure::new(Exit::Refused, "plugin-refused", error.to_string());
    let begun = Instant::now();
    let (plugin, examination) = runtime.examine(wasm).map_err(refused)?;
    let compiled_in_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let descriptor = runtime.describe(&plugin).map_err(refused)?;
    let notifications: Vec<_> = cases.iter().filter_map(|(_, case)| case.notification()).collect();
    let report = runtime.conformance_with(&plugin, config, &notifications);
    let cases = cases.iter().map(|(name, case)| asked(runtime, &plugin, name, case)).collect::<Result<Vec<_>, _>>()?;
    let passed = report.passed() && cases.iter().all(|case| case.kept);
    Ok(Examined {
        plugin_id: descriptor.id,
        version: descriptor.version,
        world: examination.world,
        digest: examination.digest.to_string(),
        build: if plugin.build() == Build::Plain { "plain" } else { "composed" },
        size_bytes: examination.size_bytes,
        compiled_in_ms,
        report,
        cases,
        passed,
    })
}

fn asked(runtime: &Runtime, plugin: &Plugin, name: &str, case: &Case) -> Result<Check, Failure> {
    let unlike = runtime.case(plugin, case).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let (kept, detail) = unlike.map_or((true, "as expected".to_owned()), |unlike| (false, unlike));
    Ok(Check { rule: name.to_owned(), kept, detail })
}

/// The cases of a folder in the order of their names.
fn read_cases(folder: &Path) -> Result<Vec<(String, Case)>, Failure> {
    let unreadable = |error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    files.into_iter().map(|file| read_case(&file)).collect()
}

fn read_case(file: &Path) -> Result<(String, Case), Failure> {
    let wrong = |what: String| Failure::usage(format!("{}: {what}", file.display()));
    let size = fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    if size > MAX_CASE_BYTES {
        return Err(wrong(format!("a case has at most {MAX_CASE_BYTES} bytes, this has {size}")));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let case = serde_json::from_str(&text).map_err(|error| wrong(format!("this is no case: {error}")))?;
    Ok((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), case))
}

fn print_table(examined: &Examined) {
    let mut checks = Table::new(["", "rule", "detail"]);
    for check in examined.checks() {
        checks.row([if check.kept { "ok" } else { "BROKEN" }.to_owned(), check.rule.clone(), check.detail.clone()]);
    }
    output::write(&checks.render());
    output::line("");
    let Examined { plugin_id, version, world, build, size_bytes, compiled_in_ms, report, .. } = examined;
    output::line(&format!(
        "{plugin_id} {version}, {world}, {build}: {size_bytes} bytes, compiled in {compiled_in_ms} ms"
    ));
    if let Some(cost) = &report.cost {
        output::line(&format!(
            "a call: {} µs, {} fuel; a line in a call of {}: {} ns, {} fuel; memory {} KiB",
            cost.call_us_p50,
            cost.call_fuel,
            cost.lines,
            cost.line_ns,
            cost.line_fuel,
            cost.peak_memory_bytes.div_ceil(1024),
        ));
    }
}
