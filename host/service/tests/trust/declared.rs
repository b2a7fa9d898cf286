//! What a configuration declares is brought into force once, however often it is applied.

use altyn_domain::{binding::Inheritance, grant::LoweredLimits, trust::TrustLevel};
use altyn_service::{
    Altyn, Request,
    declared::{
        ApplyBinding, ApplyPlugin, ApplyPlugins, ComponentSource, Declaration, DeclaredBinding, DeclaredGrant,
        DeclaredPlugin, Outcome, Stopped,
    },
    plugin_keys::TrustKey,
};
use serde_json::json;

use crate::{
    bench::{component, publisher, remarked, signed},
    support::{Place, on_both_engines, page},
};

on_both_engines!(
    a_declaration_applied_again_changes_nothing,
    what_is_declared_otherwise_is_changed_and_can_be_rolled_back,
    an_entry_that_fails_is_named_and_what_came_before_it_stays,
    a_declaration_as_json_names_installed_components_and_is_idempotent,
);

async fn apply(altyn: &Altyn, root: &Request, declared: Declaration) -> Result<Vec<(&'static str, Outcome)>, Stopped> {
    let mut steps = Vec::new();
    altyn.plugins_apply(root, declared, |step| steps.push((step.what.as_str(), step.outcome))).await?;
    Ok(steps)
}

impl Place {
    /// A signed tax rule whose publisher is trusted, what it is granted, and a binding.
    async fn declaration(&self, config: serde_json::Value) -> Declaration {
        let (wasm, key) = (component("ru-vat"), publisher(7));
        let manifest = Some(signed(&self.altyn, &wasm, &key, |_| {}).await);
        let public_key = key.public().to_string();
        let limits = LoweredLimits { wall_ms: Some(900), ..LoweredLimits::default() };
        let grant = Some(DeclaredGrant { limits, ..DeclaredGrant::default() });
        Declaration {
            publishers: vec![TrustKey { public_key, publisher: "Acme".into(), level: TrustLevel::Trusted }],
            plugins: vec![DeclaredPlugin { source: ComponentSource::Bytes { wasm, manifest }, grant }],
            bindings: vec![DeclaredBinding {
                tenant: self.tenant,
                plugin: "ru-vat".into(),
                version: None,
                from: "2026-01-01".parse().unwrap(),
                priority: 0,
                config,
                inheritance: Inheritance::None,
                limits: LoweredLimits::default(),
                existing: None,
            }],
        }
    }
}

async fn a_declaration_applied_again_changes_nothing(place: Place) {
    let (altyn, root) = (place.strict(), place.request());
    let declared = place.declaration(json!({ "regime": "usn-5" })).await;
    let all = |outcome| ["publisher", "plugin", "grant", "binding"].map(|what| (what, outcome)).to_vec();
    assert_eq!(apply(&altyn, &root, declared.clone()).await.unwrap(), all(Outcome::Made));
    assert_eq!(apply(&altyn, &root, declared.clone()).await.unwrap(), all(Outcome::Unchanged));
    let bindings = altyn.binding_list(&root, &page(10, None)).await.unwrap().data;
    assert_eq!((bindings.len(), bindings[0].version), (1, 1));
    assert_eq!(altyn.grant_get(&root, "ru-vat").await.unwrap().version, 1);
    // An ended binding is another one: what is declared decides again.
    altyn.binding_end(&root, bindings[0].id, 1).await.unwrap();
    let again = apply(&altyn, &root, declared).await.unwrap();
    assert_eq!(again.last(), Some(&("binding", Outcome::Made)));
}

async fn what_is_declared_otherwise_is_changed_and_can_be_rolled_back(place: Place) {
    let (altyn, root) = (place.strict(), place.request());
    apply(&altyn, &root, place.declaration(json!({})).await).await.unwrap();
    let mut declared = place.declaration(json!({ "regime": "usn-5" })).await;
    declared.bindings[0].inheritance = Inheritance::Optional;
    declared.plugins[0].grant = Some(DeclaredGrant::default());
    let steps = apply(&altyn, &root, declared.clone()).await.unwrap();
    assert_eq!(steps[2..], [("grant", Outcome::Changed), ("binding", Outcome::Changed)]);
    let binding = altyn.binding_list(&root, &page(10, None)).await.unwrap().data.remove(0);
    assert_eq!((binding.inheritance, &binding.config), (Inheritance::Optional, &json!({ "regime": "usn-5" })));
    altyn.binding_rollback(&root, binding.id, binding.version).await.unwrap();
    let steps = apply(&altyn, &root, declared).await.unwrap();
    assert_eq!(steps[2..], [("grant", Outcome::Unchanged), ("binding", Outcome::Changed)], "what is declared counts");
}

async fn an_entry_that_fails_is_named_and_what_came_before_it_stays(place: Place) {
    let (altyn, root) = (place.strict(), place.request());
    let senseless = place.declaration(json!({ "regime": 7 })).await;
    let stopped = apply(&altyn, &root, senseless).await.unwrap_err();
    assert_eq!((stopped.entry.as_str(), stopped.error.code()), ("bindings[0] ru-vat", "invalid-request"));
    assert!(altyn.binding_list(&root, &page(10, None)).await.unwrap().data.is_empty());
    let steps = apply(&altyn, &root, place.declaration(json!({})).await).await.unwrap();
    assert_eq!(steps[1..], [("plugin", Outcome::Unchanged), ("grant", Outcome::Unchanged), ("binding", Outcome::Made)]);

    let mut unsigned = place.declaration(json!({})).await;
    unsigned.plugins.push(DeclaredPlugin {
        source: ComponentSource::Bytes { wasm: component("day-ratio"), manifest: None },
        grant: None,
    });
    let stopped = apply(&altyn, &root, unsigned).await.unwrap_err();
    assert_eq!((stopped.entry.as_str(), stopped.error.code()), ("plugins[1]", "plugin-unsigned"));
    let mut unknown = place.declaration(json!({})).await;
    unknown.bindings[0].plugin = "none-such".into();
    let stopped = apply(&altyn, &root, unknown).await.unwrap_err();
    assert_eq!((stopped.entry.as_str(), stopped.error.code()), ("bindings[0] none-such", "invalid-request"));
    let mut other = place.declaration(json!({})).await;
    let wasm = remarked(component("ru-vat"), "other");
    let manifest = Some(signed(&altyn, &wasm, &publisher(7), |_| {}).await);
    other.plugins[0].source = ComponentSource::Bytes { wasm, manifest };
    let stopped = apply(&altyn, &root, other).await.unwrap_err();
    assert_eq!((stopped.entry.as_str(), stopped.error.code()), ("plugins[0]", "version-taken"));
}

async fn a_declaration_as_json_names_installed_components_and_is_idempotent(place: Place) {
    let altyn = &place.altyn;
    let digest = altyn.plugin_install(&place.request(), component("ru-vat")).await.unwrap().value.digest;
    let child = altyn.tenant_create(&place.request(), crate::support::new_tenant("Реселлер")).await.unwrap().value.id;
    let stranger = altyn.tenant_create_root(crate::support::new_tenant("Чужой")).await.unwrap().id;
    let binding = |tenant, config| ApplyBinding {
        plugin: "ru-vat".into(),
        version: None,
        tenant,
        from: "2026-01-01".parse().unwrap(),
        priority: 0,
        config,
        inheritance: Inheritance::None,
        limits: LoweredLimits::default(),
        existing: None,
    };
    let declared = |config| ApplyPlugins {
        publishers: Vec::new(),
        plugins: vec![ApplyPlugin { component: digest.clone(), grant: Some(DeclaredGrant::default()) }],
        bindings: vec![binding(None, json!({})), binding(Some(child), config)],
    };
    let outcomes = async |request: &Request, command: ApplyPlugins| {
        let reply = altyn.plugins_declare(request, command).await.unwrap();
        let steps: Vec<_> = reply.value.data.iter().map(|step| (step.what.as_str(), step.outcome)).collect();
        (reply.replayed, steps)
    };
    let (made, unchanged) = (Outcome::Made, Outcome::Unchanged);
    let first = vec![("plugin", unchanged), ("grant", made), ("binding", made), ("binding", made)];
    assert_eq!(outcomes(&place.keyed("a", 1), declared(json!({}))).await, (false, first.clone()));
    assert_eq!(outcomes(&place.keyed("a", 1), declared(json!({}))).await, (true, first), "the same request again");
    let again = ["plugin", "grant", "binding", "binding"].map(|what| (what, unchanged)).to_vec();
    assert_eq!(outcomes(&place.keyed("b", 1), declared(json!({}))).await, (false, again));
    let (_, changed) = outcomes(&place.request(), declared(json!({ "regime": "usn-5" }))).await;
    assert_eq!(changed[3], ("binding", Outcome::Changed));

    let refused = async |command: ApplyPlugins| match altyn.plugins_declare(&place.request(), command).await {
        Err(altyn_service::ServiceError::Invalid(fields)) => fields[0].pointer.clone(),
        other => panic!("{other:?}"),
    };
    let unknown = ApplyPlugins {
        plugins: vec![ApplyPlugin { component: "00".repeat(32), grant: None }],
        ..ApplyPlugins::default()
    };
    assert_eq!(refused(unknown).await, "/plugins/0/component");
    assert_eq!(refused(declared(json!({ "regime": 1 }))).await, "/bindings/1/config/regime");
    let foreign = ApplyPlugins { bindings: vec![binding(Some(stranger), json!({}))], ..ApplyPlugins::default() };
    assert_eq!(refused(foreign).await, "/bindings/0/tenant");
    let theirs = altyn.binding_list(&Request::internal(stranger, "test"), &page(10, None)).await.unwrap();
    assert!(theirs.data.is_empty(), "nothing reaches a stranger");
}
