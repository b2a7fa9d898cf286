//! The simulation: builds the simulator and the guests, and lets operators' lives be lived on both engines.
//!
//! Decides only which database server to offer; what is lived and told belongs to `altyn-simulator`.

use std::{path::Path, process::Command, process::ExitCode};

use crate::{
    guests,
    postgres::{Cluster, Purpose},
    shell,
};

/// The value of `--database` that leaves PostgreSQL out.
const NONE: &str = "none";

/// Builds, lives, tells; ends with the exit code of the simulator: 6 when something broke.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (passed, database) = split(arguments)?;
    guests::build_guests(root)?;
    let target = root.join("target");
    shell::progress(
        shell::cargo(root).args(["build", "--release", "--package", "altyn-simulator", "--target-dir"]).arg(&target),
    )?;
    let cluster = if database.is_none() { Some(Cluster::start(root, Purpose::Test)?) } else { None };
    let mut simulator = Command::new(target.join("release").join("altyn-simulator"));
    simulator.current_dir(root).args(passed);
    match (&cluster, database.as_deref()) {
        (Some(cluster), _) => {
            simulator.args(["--database", cluster.url()]);
        }
        (None, Some(url)) if url != NONE => {
            simulator.args(["--database", url]);
        }
        _ => {}
    }
    Ok(shell::exit_code(shell::status(&mut simulator)?))
}

/// The arguments without `--database`, and its value.
fn split(arguments: &[String]) -> anyhow::Result<(Vec<String>, Option<String>)> {
    let (mut passed, mut database) = (Vec::new(), None);
    let mut rest = arguments;
    while let Some(first) = rest.first() {
        let taken = if let Some((url, taken)) = shell::option(rest, "--database")? {
            database = Some(url.to_owned());
            taken
        } else {
            passed.push(first.clone());
            1
        };
        rest = &rest[taken..];
    }
    Ok((passed, database))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_is_taken_out_of_the_arguments() {
        let given = ["--seeds", "5", "--database", "none", "--output=json"].map(str::to_owned);
        let (passed, database) = split(&given).unwrap();
        assert_eq!((passed.join(" ").as_str(), database.as_deref()), ("--seeds 5 --output=json", Some("none")));
        assert_eq!(split(&["--seed".to_owned(), "7".to_owned()]).unwrap().1, None);
        assert!(split(&["--database".to_owned()]).is_err());
    }
}
