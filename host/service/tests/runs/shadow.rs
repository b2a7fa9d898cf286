//! Shadow runs tell what another component would have decided, and post nothing.

use std::collections::{BTreeMap, BTreeSet};

use altyn_domain::{
    binding::Inheritance,
    grant::LoweredLimits,
    id::BindingId,
    manifest::{Manifest, SignedManifest},
    trust::TrustLevel,
};
use altyn_runtime::World as Point;
use altyn_service::{
    Request,
    bindings::{CreateBinding, ShareBinding},
    explain::{ShadowCandidate, ShadowOptions, ShadowReason, ShadowReport},
    install::InstallPlugin,
    plugin_keys::{RevokeKey, TrustKey},
    settings::TrustSettings,
    signing::PublisherKey,
    tenants::CreateTenant,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::world::{World, code, component, day, on_both_engines, page};

on_both_engines!(
    an_unchanged_component_is_identical_in_every_line,
    another_tax_is_told_by_contract_the_largest_difference_first,
    another_price_is_told_in_money,
    another_number_is_told_line_by_line,
    a_candidate_that_fails_is_told_and_harms_nobody,
    what_cannot_be_compared_is_refused,
    a_candidate_is_one_that_could_be_installed,
    a_binding_from_above_is_asked_about_the_history_of_the_tenant_itself,
);

async fn binding(world: &World, point: Point) -> BindingId {
    let all = world.altyn.binding_list(&world.request(), &page()).await.unwrap().data;
    all.iter().rfind(|binding| binding.extension_point == point.as_str()).unwrap().id
}

async fn shadow(world: &World, point: Point, candidate: &str) -> ShadowReport {
    let options = ShadowOptions { from: day("2026-11-01"), until: None, config: None };
    let binding = binding(world, point).await;
    world.altyn.shadow(&world.request(), binding, component(candidate), options, |_| {}).await.unwrap()
}

async fn an_unchanged_component_is_identical_in_every_line(world: &World) {
    world.close_day("2026-11-28").await;
    let before = world.charges().await;
    let points = [
        (Point::ProrationStrategy, "day-ratio"),
        (Point::TaxRule, "ru-vat"),
        (Point::NumberingScheme, "number-template"),
    ];
    for (point, name) in points {
        let report = shadow(world, point, name).await;
        assert!(report.lines > 0 && report.calls > 0, "{report:?}");
        assert_eq!((report.identical_lines, report.identical_percent.as_str()), (report.lines, "100.00"), "{name}");
        assert!(report.reasons.is_empty() && report.contracts.is_empty() && report.examples.is_empty(), "{report:?}");
        assert_eq!(report.recorded_fuel, report.candidate_fuel, "the same work");
        for total in &report.totals {
            assert_eq!((total.recorded_minor, total.posted_difference_minor), (total.candidate_minor, 0), "{name}");
        }
    }
    assert_eq!(world.charges().await, before, "nothing is posted");
    world.prove().await;
}

async fn another_tax_is_told_by_contract_the_largest_difference_first(world: &World) {
    world.close_day("2026-11-28").await;
    // The double taxes everything at 20 % where the rule takes 22 % or other rates.
    let report = shadow(world, Point::TaxRule, "hostile-tax").await;
    assert_eq!(report.identical_lines, 0);
    assert_eq!(report.unposted_lines, 0, "an automatic run posts every line");
    let owned: BTreeSet<_> = world.contracts.iter().map(|contract| contract.id).collect();
    let told: BTreeSet<_> = report.contracts.iter().map(|contract| contract.contract_id).collect();
    assert!(told.is_subset(&owned) && told.len() == report.contracts.len());
    assert_eq!(i64::try_from(told.len()).unwrap(), report.contracts_different);
    let sizes: Vec<u64> = report.contracts.iter().map(|contract| contract.difference_minor.unsigned_abs()).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    let sum: i64 = report.contracts.iter().map(|contract| contract.difference_minor).sum();
    let total = &report.totals[0];
    assert_eq!(sum, total.posted_difference_minor);
    assert_eq!(total.candidate_minor - total.recorded_minor, total.posted_difference_minor);
    let lines: i64 = report.contracts.iter().map(|contract| contract.lines).sum();
    assert_eq!(lines, report.lines);
    assert!(!report.examples.is_empty() && report.examples.len() <= 20);
    world.prove().await;
}

async fn another_price_is_told_in_money(world: &World) {
    world.close_day("2026-11-28").await;
    world.bind("hostile-proration", json!({})).await;
    world.close_day("2026-12-28").await;
    // The double answered here; the strategy is the candidate now, and they share the same days alike.
    let report = shadow(world, Point::ProrationStrategy, "day-ratio").await;
    assert!(report.lines > 0);
    assert_eq!(report.reasons.iter().map(|count| count.lines).sum::<i64>(), report.lines - report.identical_lines);
    for reason in &report.reasons {
        assert_eq!(reason.reason, ShadowReason::OtherText, "{report:?}");
    }
    for total in &report.totals {
        assert_eq!(total.recorded_minor, total.candidate_minor);
    }
    let charged: i64 =
        world.charges().await.values().filter(|charge| charge.used.0 >= day("2026-11-29")).map(|c| c.amount).sum();
    let recorded: i64 = report.totals.iter().map(|total| total.recorded_minor).sum();
    assert!(charged <= recorded, "{charged} of {recorded}");
}

async fn another_number_is_told_line_by_line(world: &World) {
    let run = world.close_day("2026-11-28").await;
    let config = Some(json!({ "template": "X-{seq:9}" }).to_string());
    let options = ShadowOptions { from: day("2026-11-01"), until: None, config };
    let (binding, wasm) = (binding(world, Point::NumberingScheme).await, component("number-template"));
    let report = world.altyn.shadow(&world.request(), binding, wasm, options, |_| {}).await.unwrap();
    let reasons: BTreeMap<_, _> = report.reasons.iter().map(|count| (count.reason, count.lines)).collect();
    assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), [ShadowReason::OtherNumber], "{report:?}");
    let posted: i64 = report.contracts.iter().map(|contract| contract.lines).sum();
    assert_eq!(posted, run.invoices, "every issued number would be another");
    assert!(report.totals.is_empty(), "numbers are no money");
    assert!(report.examples.iter().any(|line| line.candidate.starts_with("X-00000000")), "{:?}", report.examples);
}

async fn a_candidate_that_fails_is_told_and_harms_nobody(world: &World) {
    // The binding's configuration makes the double trap on one buyer; the candidate is asked with it.
    let victim = world.contracts[20].customer_id.to_string();
    world.bind("hostile-tax", json!({ "do": "ok", "only": victim })).await;
    world.close_day("2026-11-28").await;
    // The strict rule refuses a configuration that is not its own: every line is a fault.
    let report = shadow(world, Point::TaxRule, "ru-vat").await;
    assert_eq!(report.identical_lines, 0);
    assert_eq!(report.reasons.iter().map(|count| count.reason).collect::<Vec<_>>(), [ShadowReason::Fault]);
    let total = &report.totals[0];
    assert_eq!((total.recorded_minor, total.posted_difference_minor), (total.candidate_minor, 0));
    let identical = shadow(world, Point::TaxRule, "hostile-tax").await;
    assert_eq!(identical.identical_percent, "100.00");
    let run = world.close_day("2026-12-28").await;
    assert_eq!(run.parked, 0, "a failing rehearsal opens no circuit");
}

async fn what_cannot_be_compared_is_refused(world: &World) {
    world.close_day("2026-11-10").await;
    let options = ShadowOptions { from: day("2026-11-01"), until: None, config: None };
    let tax = binding(world, Point::TaxRule).await;
    let ask = |binding, name: &str, options| {
        let wasm = component(name);
        async move { world.altyn.shadow(&world.request(), binding, wasm, options, |_| {}).await }
    };
    assert_eq!(code(ask(tax, "day-ratio", options.clone()).await), "plugin-wrong-world");
    assert_eq!(code(ask(BindingId(uuid::Uuid::nil()), "ru-vat", options.clone()).await), "not-found");
    let backwards = ShadowOptions { from: day("2026-11-02"), until: Some(day("2026-11-01")), config: None };
    assert_eq!(code(ask(tax, "ru-vat", backwards).await), "invalid-request");
    let senseless = ShadowOptions { config: Some("[]".into()), ..options.clone() };
    assert_eq!(code(ask(tax, "ru-vat", senseless).await), "invalid-request");
    let later = ShadowOptions { from: day("2026-11-11"), until: None, config: None };
    let empty = ask(tax, "ru-vat", later).await.unwrap();
    assert_eq!((empty.calls, empty.identical_percent.as_str()), (0, "100.00"));
}

async fn signed(world: &World, wasm: &[u8], key: &PublisherKey) -> SignedManifest {
    let examined = world.altyn.plugins.examine(wasm.to_vec(), None).await.unwrap();
    let descriptor = world.altyn.plugins.describe(&examined).await.unwrap();
    let facts = examined.facts();
    key.sign(Manifest::new(&facts.digest.to_string(), &facts.contract_version, facts.world, &descriptor)).unwrap()
}

async fn a_candidate_is_one_that_could_be_installed(world: &World) {
    world.close_day("2026-11-10").await;
    let strict = world.altyn.clone().with_trust(TrustSettings::default());
    let (tax, key) = (binding(world, Point::TaxRule).await, PublisherKey::new(&Zeroizing::new([9; 32])));
    let request = world.request();
    let ask = |name: &str, manifest: Option<SignedManifest>| {
        let options = ShadowOptions { from: day("2026-11-01"), until: None, config: None };
        let (candidate, request, strict) = (ShadowCandidate { wasm: component(name), manifest }, &request, &strict);
        async move { strict.shadow(request, tax, candidate, options, |_| {}).await }
    };
    // The rule itself was installed unsigned, when that was allowed.
    for name in ["hostile-tax", "ru-vat"] {
        assert_eq!(code(ask(name, None).await), "plugin-unsigned", "{name}");
    }
    let manifest = signed(world, &component("ru-vat"), &key).await;
    assert_eq!(code(ask("hostile-tax", Some(manifest.clone())).await), "plugin-manifest", "another's manifest");
    assert_eq!(code(ask("ru-vat", Some(manifest.clone())).await), "plugin-key-unknown");
    let public_key = key.public().to_string();
    let command = TrustKey { public_key, publisher: "Acme".into(), level: TrustLevel::Trusted };
    let trusted = strict.plugin_key_trust(&request, command).await.unwrap().value.id;
    assert_eq!(ask("ru-vat", Some(manifest.clone())).await.unwrap().identical_percent, "100.00");
    assert_eq!(code(ask("ru-vat", None).await), "plugin-unsigned", "a rehearsal installs nothing");
    let install = InstallPlugin { wasm: component("ru-vat"), manifest: Some(manifest.clone()), allow_downgrade: false };
    strict.plugin_install_signed(&request, install).await.unwrap();
    assert_eq!(ask("ru-vat", None).await.unwrap().identical_percent, "100.00", "it stands on the word it came with");
    strict.plugin_key_revoke(&request, &trusted, RevokeKey { reason: "lost".into() }).await.unwrap();
    for manifest in [Some(manifest), None] {
        assert_eq!(code(ask("ru-vat", manifest).await), "plugin-key-revoked");
    }
}

async fn a_binding_from_above_is_asked_about_the_history_of_the_tenant_itself(world: &World) {
    let named = CreateTenant {
        name: "Над оператором".into(),
        locale: None,
        zone: None,
        currency: None,
        run_mode: None,
        run_at: None,
    };
    let above = world.altyn.tenant_create_root(named).await.unwrap().id;
    let root = Request::internal(above, "test");
    // The operator comes under another, which requires its own tax rule.
    let moved = "update tenants set parent_id = $2, path = (select path from tenants where id = $2) || substr(path, 2)
        where id = $1";
    assert_eq!(world.change(moved, (world.tenant.0, above.0)).await, 1);
    let component = world.altyn.plugin_install(&root, component("ru-vat")).await.unwrap().value.digest;
    let command = CreateBinding { component, config: json!({}), priority: 0, effective_from: day("2026-01-01") };
    let shared = world.altyn.binding_create(&root, command).await.unwrap().value;
    let ask = |request: Request, name: &str| {
        let options = ShadowOptions { from: day("2026-11-01"), until: None, config: None };
        let wasm = self::component(name);
        async move { world.altyn.shadow(&request, shared.id, wasm, options, |_| {}).await }
    };
    assert_eq!(code(ask(world.request(), "ru-vat").await), "not-found", "it is not shared and decided nothing here");
    let share = ShareBinding { inheritance: Inheritance::Required, limits: LoweredLimits::default() };
    world.altyn.binding_share(&root, shared.id, shared.version, share).await.unwrap();
    let run = world.close_day("2026-11-28").await;
    assert!(run.invoices > 0 && run.parked == 0, "{run:?}");

    let same = ask(world.request(), "ru-vat").await.unwrap();
    assert!(same.lines > 0 && same.identical_percent == "100.00", "{same:?}");
    let other = ask(world.request(), "hostile-tax").await.unwrap();
    assert!(other.contracts_different > 0 && other.identical_lines == 0 && other.unposted_lines == 0, "{other:?}");
    let owner = ask(root, "hostile-tax").await.unwrap();
    assert_eq!((owner.calls, owner.lines), (0, 0), "the owner sees its own history, not that of those below");
    world.prove().await;
}
