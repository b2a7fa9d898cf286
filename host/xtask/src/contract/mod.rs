//! `cargo xtask contract`: the working contract held against its frozen copies, and what is generated from it.
//!
//! Owns the rules of versions and the texts that are made of `wit/`. Refuses to know what a plugin decides.

mod bindings;
mod compare;
mod frozen;
mod reference;
mod surface;

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use semver::Version;

use self::{
    compare::Verdict,
    frozen::{Judged, Order},
};
use crate::shell::{self, Usage};

const VERBS: &str = "say check, freeze, reference or bindings";

/// Runs one of `check`, `freeze`, `reference`, `bindings`.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (verb, rest) = arguments.split_first().ok_or_else(|| Usage::new(VERBS))?;
    match verb.as_str() {
        "check" => {
            shell::no_arguments(rest)?;
            check(root)
        }
        "freeze" => {
            let folder = frozen::freeze(root, &order(rest)?)?;
            writeln!(io::stdout(), "{}", folder.display())?;
            Ok(ExitCode::SUCCESS)
        }
        "reference" => {
            shell::no_arguments(rest)?;
            let file = root.join(reference::FILE);
            fs::write(&file, reference::write(&frozen::working(root))?)
                .with_context(|| format!("cannot write {}", file.display()))?;
            writeln!(io::stdout(), "{}", file.display())?;
            Ok(ExitCode::SUCCESS)
        }
        "bindings" => {
            shell::no_arguments(rest)?;
            let folder = root.join(bindings::FOLDER);
            fs::create_dir_all(&folder)?;
            for (name, text) in bindings::write(&frozen::working(root))? {
                let file = folder.join(name);
                fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
                writeln!(io::stdout(), "{}", file.display())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        other => Err(Usage::new(format!("there is no contract {other}; {VERBS}")).into()),
    }
}

fn check(root: &Path) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout();
    let judged = frozen::judge_all(root)?;
    let kept = judged.iter().all(|judged| judged.complaint.is_none());
    for Judged { frozen, changes, complaint } in judged {
        let verdict = match complaint {
            Some(complaint) => complaint,
            None if changes.iter().any(|change| change.verdict == Verdict::Breaks) => "another track".to_owned(),
            None => format!("kept, {} additions", changes.len()),
        };
        writeln!(stdout, "{frozen}: {verdict}")?;
        for change in changes {
            writeln!(stdout, "  {change}")?;
        }
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn order(mut rest: &[String]) -> Result<Order, Usage> {
    let mut order = Order::default();
    while let Some(first) = rest.first() {
        if first == "--release" {
            order.release = true;
            rest = &rest[1..];
        } else if let Some((version, words)) = shell::option(rest, "--give-up")? {
            let version = Version::parse(version).map_err(|_| Usage::new(format!("`{version}` is no version")))?;
            order.give_up.push(version);
            rest = &rest[words..];
        } else {
            return Err(Usage::new(format!("`{first}` is neither --release nor --give-up VERSION")));
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_what_is_given_up() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(order(&words("")).unwrap(), Order::default());
        let given_up = order(&words("--give-up 0.1.0-draft.1 --release")).unwrap();
        assert_eq!((given_up.release, given_up.give_up.len()), (true, 1));
        assert!(order(&words("--give-up soon")).is_err());
        assert!(order(&words("now")).is_err());
    }
}
