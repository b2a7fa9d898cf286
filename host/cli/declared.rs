//! `altyn plugin apply`: the plugins that the settings declare, brought into force.

use altyn_service::{
    declared::{ComponentSource, Declaration, DeclaredBinding, DeclaredPlugin},
    page::Listed,
};

use super::{
    exit::Failure,
    plugins::{ManifestArgs, read},
    session::Session,
};
use crate::config;

const APPLIED: &[&str] = &["what", "name", "outcome", "staying"];

/// Reads every file, then brings what is declared into force step by step.
pub async fn apply(session: &Session) -> Result<(), Failure> {
    let declared = session.config.declared.clone();
    if declared.is_empty() {
        return Err(Failure::usage(
            "the settings declare no plugins; add [[declared.plugins]] and [[declared.bindings]] to altyn.toml",
        ));
    }
    let mut declaration = Declaration { publishers: declared.publishers, ..Declaration::default() };
    for plugin in declared.plugins {
        let manifest = ManifestArgs { manifest: plugin.manifest }.read(&plugin.file)?;
        declaration.plugins.push(DeclaredPlugin {
            source: ComponentSource::Bytes { wasm: read(&plugin.file)?, manifest },
            grant: plugin.grant,
        });
    }
    for binding in declared.bindings {
        let tenant = match binding.tenant {
            Some(tenant) => tenant,
            None => session.tenant().await?.id,
        };
        let config::DeclaredBinding { plugin, version, from, priority, config, inheritance, limits, existing, .. } =
            binding;
        declaration.bindings.push(DeclaredBinding {
            tenant,
            plugin,
            version,
            from,
            priority,
            config,
            inheritance,
            limits,
            existing,
        });
    }
    let (root, mut data) = (session.root_request().await?, Vec::new());
    let done = session.altyn.plugins_apply(&root, declaration, |step| data.push(step)).await;
    done.map_err(|stopped| {
        let mut failure = Failure::from(stopped.error);
        let done = data
            .iter()
            .map(|step| format!("done before: {} {}, {}", step.what.as_str(), step.name, step.outcome.as_str()));
        failure.details.splice(0..0, std::iter::once(format!("at declared.{}", stopped.entry)).chain(done));
        failure
    })?;
    session.printer.list(&Listed { data, has_more: false, next_cursor: None }, APPLIED)
}
