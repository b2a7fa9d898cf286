//! Grants and bindings: what is asked, granted, configured, shared, narrowed and rolled back.

use std::collections::BTreeSet;

use altyn_domain::{
    binding::{BindingChange, Inheritance},
    grant::LoweredLimits,
    id::{BindingId, TenantId},
    plugin::World,
};
use altyn_runtime::Digest;
use altyn_service::{
    Request, ServiceError,
    bindings::{BindingView, Bound, CreateBinding, NarrowBinding, ShareBinding, UpgradeBinding},
    canary::StartCanary,
    grants::SetGrant,
    plugin_keys::RevokeKey,
};
use chrono::NaiveDate;
use serde_json::json;

use crate::{
    bench::{component, install, publisher, refused, remarked, signed},
    support::{Place, at, new_tenant, on_both_engines, page},
};

on_both_engines!(
    a_configuration_that_does_not_fit_its_schema_is_refused_by_place,
    the_form_of_a_plugin_follows_from_its_schema,
    a_plugin_that_asks_for_what_nobody_decided_about_is_not_bound,
    an_upgrade_that_asks_for_more_waits_for_consent,
    a_tenant_grants_at_most_what_it_has,
    a_rollback_brings_back_the_component_and_the_configuration,
    a_component_of_a_revoked_key_is_bound_no_more,
    an_unsigned_component_is_not_bound_where_the_settings_refuse_it,
    a_component_on_trial_goes_through_the_gates_of_a_bound_one,
    a_trial_names_tenants_and_reaches_no_other,
    a_tenant_below_uses_a_shared_binding_and_only_narrows_it,
    a_tenant_below_ends_an_optional_binding_and_not_a_required_one,
    a_binding_that_is_not_shared_does_not_exist_below,
    limits_of_a_binding_reach_the_call,
    the_lowest_limit_of_all_who_lowered_one_counts,
);

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn of(component: &str, config: serde_json::Value) -> CreateBinding {
    CreateBinding { component: component.into(), config, priority: 0, effective_from: day("2026-01-01") }
}

fn fuel(fuel: u64) -> LoweredLimits {
    LoweredLimits { fuel: Some(fuel), ..LoweredLimits::default() }
}

impl Place {
    /// Two versions of one tax plugin, the older first.
    async fn two_versions(&self) -> (String, String) {
        let wasm = component("ru-vat");
        let older = install(&self.altyn, &self.request(), wasm.clone(), None).await.unwrap().value.digest;
        self.change("update components set version = '0.0.9' where plugin_id = $1", ("ru-vat",)).await;
        let newer = install(&self.altyn, &self.request(), remarked(wasm, "newer"), None).await.unwrap().value.digest;
        (older, newer)
    }

    async fn bind(&self, component: &str) -> BindingView {
        self.altyn.binding_create(&self.request(), of(component, json!({}))).await.unwrap().value
    }

    async fn child(&self, of: TenantId) -> Request {
        let parent = Request::internal(of, "test");
        Request::internal(self.altyn.tenant_create(&parent, new_tenant("Реселлер")).await.unwrap().value.id, "test")
    }

    async fn bound(&self, tenant: TenantId, on: &str) -> Result<Bound, ServiceError> {
        let now = at("2026-11-02T00:00:00Z");
        self.altyn.bound(tenant, World::TaxRule, day(on), now, "Europe/Moscow", "ru-RU").await
    }

    /// The fuel of a call without lines.
    async fn fuel_of(&self, tenant: TenantId) -> u64 {
        let bound = self.bound(tenant, "2026-11-01").await.unwrap();
        bound.plugin.limits(&self.altyn.plugins.runtime().config().limits).fuel
    }

    /// Lets an installed component ask for more than its world gives today.
    async fn asks(&self, digest: &str, hosts: &[&str], secrets: &[&str]) {
        let params = (hex::decode(digest).unwrap(), json!(hosts).to_string(), json!(secrets).to_string());
        assert_eq!(self.change("update components set hosts = $2, secrets = $3 where digest = $1", params).await, 1);
    }

    async fn no_binding(&self, request: &Request) {
        assert!(self.altyn.binding_list(request, &page(10, None)).await.unwrap().data.is_empty());
    }
}

fn grant(component: &str, hosts: &[&str], secrets: &[&str]) -> SetGrant {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    SetGrant {
        component: component.into(),
        hosts: owned(hosts),
        secrets: owned(secrets),
        limits: LoweredLimits::default(),
    }
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

async fn a_configuration_that_does_not_fit_its_schema_is_refused_by_place(place: Place) {
    let installed = install(&place.altyn, &place.request(), component("ru-vat"), None).await.unwrap().value;
    for (config, pointer) in [
        (json!({ "regime": "imaginary" }), "/config/regime"),
        (json!({ "nonsense": 1 }), "/config"),
        (json!([]), "/config"),
    ] {
        let told = place.altyn.binding_create(&place.request(), of(&installed.digest, config)).await.unwrap_err();
        let ServiceError::Invalid(fields) = told else { panic!("{told}") };
        assert_eq!(fields[0].pointer, pointer, "{fields:?}");
    }
    place.no_binding(&place.request()).await;
    let binding = place.bind(&installed.digest).await;
    let upgrade = UpgradeBinding { component: installed.digest, config: Some(json!({ "regime": 7 })), existing: None };
    assert!(matches!(
        place.altyn.binding_upgrade(&place.request(), binding.id, binding.version, upgrade).await,
        Err(ServiceError::Invalid(_))
    ));
}

async fn the_form_of_a_plugin_follows_from_its_schema(place: Place) {
    let wasm = component("number-template");
    let installed = install(&place.altyn, &place.request(), wasm, None).await.unwrap().value;
    let form = place.altyn.plugin_form(&installed.digest).await.unwrap();
    let template = form.fields.iter().find(|field| field.pointer == "/template").unwrap();
    assert!(template.required && template.kind.as_str() == "text", "{template:?}");
    assert!(matches!(place.altyn.plugin_form(&"ab".repeat(32)).await, Err(ServiceError::NotFound(_))));
}

async fn a_plugin_that_asks_for_what_nobody_decided_about_is_not_bound(place: Place) {
    let (_, newer) = place.two_versions().await;
    place.asks(&newer, &["a.example.org", "b.example.org"], &["password1"]).await;
    let told = place.altyn.binding_create(&place.request(), of(&newer, json!({}))).await.unwrap_err();
    let ServiceError::Conflict { code: "consent-required", details, .. } = told else { panic!("{told}") };
    assert_eq!(details, ["host a.example.org", "host b.example.org", "secret password1"]);
    place.no_binding(&place.request()).await;
    assert_eq!(place.altyn.granted(place.tenant, digest(&newer)).await.unwrap().hosts, BTreeSet::new());

    // Granting less is an answer, too.
    place.altyn.grant_set(&place.request(), grant(&newer, &["a.example.org"], &[])).await.unwrap();
    place.bind(&newer).await;
    let effective = place.bound(place.tenant, "2026-11-01").await.unwrap().capabilities;
    assert_eq!(effective.hosts, BTreeSet::from(["a.example.org".to_owned()]));
    assert!(effective.secrets.is_empty());
    let view = place.altyn.plugin_capabilities(&place.request(), &newer).await.unwrap();
    assert!(view.undecided.is_empty() && view.effective == effective);
    let wrong = place.altyn.grant_set(&place.request(), grant(&newer, &["c.example.org"], &[])).await.unwrap_err();
    let ServiceError::Invalid(fields) = wrong else { panic!("{wrong}") };
    assert_eq!(fields[0].pointer, "/hosts/0");
}

async fn an_upgrade_that_asks_for_more_waits_for_consent(place: Place) {
    let (older, newer) = place.two_versions().await;
    place.asks(&older, &["a.example.org"], &[]).await;
    place.asks(&newer, &["a.example.org", "evil.example.org"], &[]).await;
    place.altyn.grant_set(&place.request(), grant(&older, &["a.example.org"], &[])).await.unwrap();
    let binding = place.bind(&older).await;
    let upgrade = || UpgradeBinding { component: newer.clone(), config: None, existing: None };
    let told = place.altyn.binding_upgrade(&place.request(), binding.id, binding.version, upgrade()).await.unwrap_err();
    let ServiceError::Conflict { code: "consent-required", details, message } = told else { panic!("{told}") };
    assert_eq!(details, ["host evil.example.org"]);
    assert!(message.contains("evil.example.org") && message.contains("altyn plugin grant"), "{message}");
    assert_eq!(place.altyn.binding_get(&place.request(), binding.id).await.unwrap().component, older);
    assert_eq!(
        place.altyn.granted(place.tenant, digest(&newer)).await.unwrap().hosts.len(),
        1,
        "asked and granted only"
    );
    place.altyn.grant_set(&place.request(), grant(&newer, &["a.example.org"], &[])).await.unwrap();
    let upgraded = place.altyn.binding_upgrade(&place.request(), binding.id, binding.version, upgrade()).await.unwrap();
    assert_eq!((upgraded.value.component, upgraded.value.version), (newer, 2));
}

async fn a_tenant_grants_at_most_what_it_has(place: Place) {
    let (older, _) = place.two_versions().await;
    place.asks(&older, &["a.example.org", "b.example.org"], &["password1"]).await;
    let child = place.child(place.tenant).await;
    // A child grants itself nothing that was not granted above.
    let told = place.altyn.grant_set(&child, grant(&older, &["a.example.org"], &["password1"])).await.unwrap_err();
    let ServiceError::Invalid(fields) = told else { panic!("{told}") };
    assert_eq!(fields.iter().map(|field| field.pointer.as_str()).collect::<Vec<_>>(), ["/hosts/0", "/secrets/0"]);
    let root = SetGrant { limits: fuel(1_000), ..grant(&older, &["a.example.org"], &["password1"]) };
    place.altyn.grant_set(&place.request(), root).await.unwrap();
    let wide = SetGrant { limits: fuel(1_001), ..grant(&older, &["b.example.org"], &[]) };
    let ServiceError::Invalid(fields) = place.altyn.grant_set(&child, wide).await.unwrap_err() else { panic!() };
    assert_eq!(fields.iter().map(|field| field.pointer.as_str()).collect::<Vec<_>>(), ["/hosts/0", "/limits/fuel"]);
    let granted = place.altyn.granted(child.tenant, digest(&older)).await.unwrap();
    assert_eq!((granted.hosts.len(), granted.secrets.len(), granted.limits), (1, 1, fuel(1_000)), "from above");
    let narrow = SetGrant { limits: fuel(10), ..grant(&older, &[], &["password1"]) };
    place.altyn.grant_set(&child, narrow).await.unwrap();
    let granted = place.altyn.granted(child.tenant, digest(&older)).await.unwrap();
    assert_eq!((granted.hosts.len(), granted.secrets.len(), granted.limits), (0, 1, fuel(10)));
    // What is taken above is taken below.
    place.altyn.grant_set(&place.request(), grant(&older, &["a.example.org"], &[])).await.unwrap();
    assert!(place.altyn.granted(child.tenant, digest(&older)).await.unwrap().secrets.is_empty());
}

async fn a_rollback_brings_back_the_component_and_the_configuration(place: Place) {
    let (older, newer) = place.two_versions().await;
    let binding = place.bind(&older).await;
    let nothing = place.altyn.binding_rollback(&place.request(), binding.id, 1).await;
    assert_eq!(refused(nothing).0, "nothing-to-roll-back");
    let upgrade =
        UpgradeBinding { component: newer.clone(), config: Some(json!({ "regime": "usn-5" })), existing: None };
    let upgraded = place.altyn.binding_upgrade(&place.request(), binding.id, 1, upgrade).await;
    let upgraded = upgraded.unwrap_or_else(|error| panic!("{error:?}")).value;
    assert_eq!(place.bound(place.tenant, "2026-11-01").await.unwrap().plugin.digest().to_string(), newer);
    let stale = place.altyn.binding_rollback(&place.request(), binding.id, 1).await;
    assert!(matches!(stale, Err(ServiceError::Stale)));
    let back = place.altyn.binding_rollback(&place.request(), binding.id, upgraded.version).await.unwrap().value;
    assert_eq!((back.component.as_str(), back.config, back.version), (older.as_str(), json!({}), 3));
    assert_eq!(place.bound(place.tenant, "2026-11-01").await.unwrap().plugin.digest().to_string(), older);
    assert_eq!(refused(place.altyn.binding_rollback(&place.request(), binding.id, 3).await).0, "nothing-to-roll-back");
    let history = place.altyn.binding_history(&place.request(), binding.id, &page(10, None)).await.unwrap().data;
    let kinds: Vec<_> = history.iter().map(|change| (change.version, change.kind, change.component.as_str())).collect();
    let (old, new) = (older.as_str(), newer.as_str());
    assert_eq!(
        kinds,
        [(1, BindingChange::Bind, old), (2, BindingChange::Upgrade, new), (3, BindingChange::Rollback, old)]
    );
}

async fn a_component_of_a_revoked_key_is_bound_no_more(place: Place) {
    let (wasm, key) = (component("ru-vat"), publisher(7));
    let id = place.trust(&key, "Acme").await;
    let manifest = signed(&place.altyn, &wasm, &key, |_| ()).await;
    let installed = install(&place.altyn, &place.request(), wasm, Some(manifest)).await.unwrap().value.digest;
    let before = place.bind(&installed).await;
    place.altyn.plugin_key_revoke(&place.request(), &id, RevokeKey { reason: "stolen".into() }).await.unwrap();
    let told = place.altyn.binding_create(&place.request(), of(&installed, json!({}))).await;
    assert_eq!(refused(told).0, "plugin-key-revoked");
    let upgrade = UpgradeBinding { component: installed, config: None, existing: None };
    let told = place.altyn.binding_upgrade(&place.request(), before.id, before.version, upgrade).await;
    assert_eq!(refused(told).0, "plugin-key-revoked");
    place.bound(place.tenant, "2026-11-01").await.unwrap();
}

async fn an_unsigned_component_is_not_bound_where_the_settings_refuse_it(place: Place) {
    let installed = install(&place.altyn, &place.request(), component("ru-vat"), None).await.unwrap().value.digest;
    let told = place.strict().binding_create(&place.request(), of(&installed, json!({}))).await;
    assert_eq!(refused(told).0, "plugin-unsigned");
    place.no_binding(&place.request()).await;
}

fn trial(component: &str) -> StartCanary {
    serde_json::from_value(json!({ "component": component, "share_bp": 10_000 })).unwrap()
}

async fn a_component_on_trial_goes_through_the_gates_of_a_bound_one(place: Place) {
    let (older, newer) = place.two_versions().await;
    let binding = place.bind(&older).await;
    let request = place.request();
    let told = place.strict().canary_start(&request, binding.id, trial(&newer)).await;
    assert_eq!(refused(told).0, "plugin-unsigned");
    place.asks(&newer, &["a.example.org"], &[]).await;
    let told = place.altyn.canary_start(&request, binding.id, trial(&newer)).await;
    assert_eq!(refused(told).0, "consent-required");
    place.altyn.grant_set(&request, grant(&newer, &[], &[])).await.unwrap();
    let wrong = StartCanary { config: Some(json!({ "regime": 7 })), ..trial(&newer) };
    let ServiceError::Invalid(fields) = place.altyn.canary_start(&request, binding.id, wrong).await.unwrap_err() else {
        panic!("a configuration beside its schema was taken")
    };
    assert_eq!(fields[0].pointer, "/config/regime");

    let (wasm, key) = (remarked(component("ru-vat"), "signed"), publisher(7));
    let id = place.trust(&key, "Acme").await;
    place.change("update components set publisher = 'Acme' where plugin_id = $1", ("ru-vat",)).await;
    place.change("update components set version = '0.0.8' where digest = $1", (hex::decode(&newer).unwrap(),)).await;
    let manifest = signed(&place.altyn, &wasm, &key, |_| ()).await;
    let signed = install(&place.altyn, &request, wasm, Some(manifest)).await.unwrap().value.digest;
    let started = place.altyn.canary_start(&request, binding.id, trial(&signed)).await.unwrap().value;
    place.altyn.plugin_key_revoke(&request, &id, RevokeKey { reason: "stolen".into() }).await.unwrap();
    let told = place.altyn.canary_promote(&request, binding.id, started.version).await;
    assert_eq!(refused(told).0, "plugin-key-revoked", "what is revoked is not promoted");
    place.altyn.canary_end(&request, binding.id, started.version).await.unwrap();
    let told = place.altyn.canary_start(&request, binding.id, trial(&signed)).await;
    assert_eq!(refused(told).0, "plugin-key-revoked");
    assert_eq!(place.altyn.binding_get(&request, binding.id).await.unwrap(), binding, "the binding is untouched");
}

async fn a_trial_names_tenants_and_reaches_no_other(place: Place) {
    let (older, newer) = place.two_versions().await;
    let binding = place.bind(&older).await;
    let (named, other) = (place.child(place.tenant).await.tenant, place.child(place.tenant).await.tenant);
    let below = place.child(named).await.tenant;
    share(&place, binding.id, Inheritance::Optional, fuel(5_000_000)).await;
    let command = StartCanary { tenants: vec![named], ..trial(&newer) };
    place.altyn.canary_start(&place.request(), binding.id, command).await.unwrap();
    let contract = uuid::Uuid::from_u128(7);
    for (tenant, expected) in [(named, &newer), (other, &older), (below, &older), (place.tenant, &older)] {
        let bound = place.bound(tenant, "2026-11-01").await.unwrap();
        assert_eq!(&bound.of(contract).plugin.digest().to_string(), expected, "{tenant}");
        assert_eq!(bound.of(contract).context.tenant, tenant.to_string());
        let limits = bound.of(contract).plugin.limits(&place.altyn.plugins.runtime().config().limits);
        assert_eq!(limits.fuel, 5_000_000, "limits of the binding hold for both");
    }
    let narrowed = NarrowBinding { limits: fuel(1_000), ended_from: None };
    let request = Request::internal(named, "test");
    place.altyn.binding_narrow(&request, binding.id, narrowed).await.unwrap();
    let bound = place.bound(named, "2026-11-01").await.unwrap();
    let limits = bound.of(contract).plugin.limits(&place.altyn.plugins.runtime().config().limits);
    assert_eq!(limits.fuel, 1_000, "what was narrowed below is narrow for a trial, too");
}

async fn share(place: &Place, id: BindingId, inheritance: Inheritance, limits: LoweredLimits) {
    let version = place.altyn.binding_get(&place.request(), id).await.unwrap().version;
    let command = ShareBinding { inheritance, limits };
    place.altyn.binding_share(&place.request(), id, version, command).await.unwrap();
}

async fn a_tenant_below_uses_a_shared_binding_and_only_narrows_it(place: Place) {
    let (older, newer) = place.two_versions().await;
    let binding = place.bind(&older).await;
    let child = place.child(place.tenant).await;
    let grandchild = place.child(child.tenant).await;
    assert_eq!(refused(place.bound(child.tenant, "2026-11-01").await.map(|_| ())).0, "no-binding");
    share(&place, binding.id, Inheritance::Optional, fuel(1_000_000)).await;
    let bound = place.bound(grandchild.tenant, "2026-11-01").await.unwrap();
    assert_eq!((bound.binding, bound.owner), (binding.id, place.tenant));
    assert_eq!(bound.context.tenant, grandchild.tenant.to_string(), "the plugin is told whom it decides for");
    assert_eq!(place.fuel_of(grandchild.tenant).await, 1_000_000);

    let narrow = |caps| NarrowBinding { limits: caps, ended_from: None };
    let told = place.altyn.binding_narrow(&child, binding.id, narrow(fuel(1_000_001))).await.unwrap_err();
    let ServiceError::Invalid(fields) = told else { panic!("{told}") };
    assert_eq!(fields[0].pointer, "/limits/fuel");
    place.altyn.binding_narrow(&child, binding.id, narrow(fuel(500_000))).await.unwrap();
    let told = place.altyn.binding_narrow(&grandchild, binding.id, narrow(fuel(600_000))).await;
    assert!(matches!(told, Err(ServiceError::Invalid(_))), "narrowing counts from tenant to tenant");
    for (tenant, expected) in [(place.tenant, 1_000_000), (child.tenant, 500_000), (grandchild.tenant, 500_000)] {
        assert_eq!(place.fuel_of(tenant).await, expected);
    }
    // Lower limits above win over what was said below.
    share(&place, binding.id, Inheritance::Optional, fuel(100)).await;
    assert_eq!(place.fuel_of(grandchild.tenant).await, 100);

    // A binding of its own goes before the shared one, for those below only when it is shared.
    let own = place.altyn.binding_create(&child, of(&newer, json!({}))).await.unwrap().value;
    assert_eq!(place.bound(child.tenant, "2026-11-01").await.unwrap().binding, own.id);
    assert_eq!(place.bound(grandchild.tenant, "2026-11-01").await.unwrap().binding, binding.id);
    let deciding = place.altyn.binding_deciding(&child, day("2026-11-01")).await.unwrap();
    let tax = deciding.iter().find(|one| one.extension_point == World::TaxRule).unwrap();
    assert_eq!(
        (tax.binding_id, tax.owner_id, tax.component.as_ref()),
        (Some(own.id), Some(child.tenant), Some(&newer))
    );
}

async fn a_tenant_below_ends_an_optional_binding_and_not_a_required_one(place: Place) {
    let (older, newer) = place.two_versions().await;
    let binding = place.bind(&older).await;
    let child = place.child(place.tenant).await;
    let grandchild = place.child(child.tenant).await;
    share(&place, binding.id, Inheritance::Optional, LoweredLimits::default()).await;
    let end = || NarrowBinding { limits: LoweredLimits::default(), ended_from: Some(day("2026-11-15")) };
    place.altyn.binding_narrow(&child, binding.id, end()).await.unwrap();
    place.bound(child.tenant, "2026-11-14").await.unwrap();
    for tenant in [child.tenant, grandchild.tenant] {
        assert_eq!(refused(place.bound(tenant, "2026-11-15").await.map(|_| ())).0, "no-binding");
    }
    place.bound(place.tenant, "2026-11-15").await.unwrap();

    share(&place, binding.id, Inheritance::Required, LoweredLimits::default()).await;
    place.bound(child.tenant, "2026-11-15").await.unwrap();
    assert_eq!(refused(place.altyn.binding_narrow(&grandchild, binding.id, end()).await).0, "binding-required");
    let told = place.altyn.binding_create(&grandchild, of(&newer, json!({}))).await;
    assert_eq!(refused(told).0, "binding-required");
    place.no_binding(&grandchild).await;
}

async fn a_binding_that_is_not_shared_does_not_exist_below(place: Place) {
    let (older, _) = place.two_versions().await;
    let binding = place.bind(&older).await;
    let child = place.child(place.tenant).await;
    let stranger = place.altyn.tenant_create_root(new_tenant("Чужой")).await.unwrap().id;
    let narrow = || NarrowBinding { limits: fuel(1), ended_from: None };
    share(&place, binding.id, Inheritance::None, LoweredLimits::default()).await;
    for request in [child.clone(), Request::internal(stranger, "test"), place.request()] {
        let told = place.altyn.binding_narrow(&request, binding.id, narrow()).await;
        assert!(matches!(told, Err(ServiceError::NotFound("binding"))));
    }
    for request in [child, Request::internal(stranger, "test")] {
        assert!(matches!(place.altyn.binding_get(&request, binding.id).await, Err(ServiceError::NotFound("binding"))));
        assert!(matches!(place.altyn.binding_rollback(&request, binding.id, 1).await, Err(ServiceError::NotFound(_))));
        let command = ShareBinding { inheritance: Inheritance::Optional, limits: LoweredLimits::default() };
        let told = place.altyn.binding_share(&request, binding.id, 2, command).await;
        assert!(matches!(told, Err(ServiceError::NotFound("binding"))));
        assert!(place.altyn.binding_history(&request, binding.id, &page(10, None)).await.is_err());
    }
}

async fn limits_of_a_binding_reach_the_call(place: Place) {
    let (older, _) = place.two_versions().await;
    let binding = place.bind(&older).await;
    let runtime = place.altyn.plugins.runtime();
    let bound = place.bound(place.tenant, "2026-11-01").await.unwrap();
    assert!(runtime.assess(&bound.plugin, &bound.context, &[]).result.is_ok());
    share(&place, binding.id, Inheritance::None, fuel(1)).await;
    let bound = place.bound(place.tenant, "2026-11-01").await.unwrap();
    let failure = runtime.assess(&bound.plugin, &bound.context, &[]).result.unwrap_err();
    assert_eq!(failure.code(), "plugin-out-of-fuel", "{failure}");
}

async fn the_lowest_limit_of_all_who_lowered_one_counts(place: Place) {
    let (older, _) = place.two_versions().await;
    let binding = place.bind(&older).await;
    let child = place.child(place.tenant).await;
    share(&place, binding.id, Inheritance::Optional, fuel(900)).await;
    let (altyn, root) = (&place.altyn, place.request());
    altyn.plugin_limits_set(&root, World::TaxRule, 0, fuel(800)).await.unwrap();
    assert_eq!(place.fuel_of(child.tenant).await, 800, "what the tenant above lowered for the world");
    altyn.grant_set(&root, SetGrant { limits: fuel(700), ..grant(&older, &[], &[]) }).await.unwrap();
    assert_eq!(place.fuel_of(child.tenant).await, 700, "what was granted to the plugin");
    altyn.plugin_limits_set(&child, World::TaxRule, 0, fuel(600)).await.unwrap();
    assert_eq!((place.fuel_of(child.tenant).await, place.fuel_of(place.tenant).await), (600, 700));
    let narrow = NarrowBinding { limits: fuel(650), ended_from: None };
    altyn.binding_narrow(&child, binding.id, narrow).await.unwrap();
    assert_eq!(place.fuel_of(child.tenant).await, 600, "a higher limit raises nothing");

    let nothing = LoweredLimits { wall_ms: Some(0), log_lines: Some(0), ..LoweredLimits::default() };
    let told = altyn.plugin_limits_set(&root, World::TaxRule, 1, nothing).await.unwrap_err();
    let ServiceError::Invalid(fields) = told else { panic!("{told}") };
    assert_eq!(fields.iter().map(|field| field.pointer.as_str()).collect::<Vec<_>>(), ["/wall_ms"]);
}
