//! A rehearsal of the next run tells what a candidate would bill otherwise, and saves nothing.

use altyn_domain::id::BindingId;
use altyn_runtime::World as Point;
use altyn_service::{
    Request, ServiceError,
    explain::{ShadowCandidate, ShadowReason},
    plugins::CreateBinding,
    runs::{NextRunOptions, NextRunReport},
    settings::TrustSettings,
    tenants::CreateTenant,
};
use serde_json::json;

use crate::world::{CONTRACTS, World, code, component, day, on_both_engines, page, same};

on_both_engines!(
    the_next_run_by_an_unchanged_component_is_identical_in_every_line,
    the_next_run_by_another_component_is_told_in_money_the_worst_first,
    a_candidate_that_fails_parks_only_in_the_report,
    a_rehearsal_of_what_cannot_be_rehearsed_is_refused,
);

const DAY: &str = "2026-11-28";

async fn binding(world: &World, point: Point) -> BindingId {
    let all = world.altyn.binding_list(&world.request(), &page()).await.unwrap().data;
    all.iter().rfind(|binding| binding.extension_point == point.as_str()).unwrap().id
}

fn on(date: &str) -> NextRunOptions {
    NextRunOptions { on: Some(day(date)), config: None }
}

async fn rehearsed(world: &World, point: Point, name: &str, options: NextRunOptions) -> NextRunReport {
    let binding = binding(world, point).await;
    let mut seen = 0;
    let request = world.request();
    let report = world.altyn.shadow_next_run(&request, binding, component(name), options, |report| {
        assert!(report.contracts > seen, "it grows");
        seen = report.contracts;
    });
    let report = report.await.unwrap();
    assert_eq!(seen, report.contracts);
    report
}

async fn the_next_run_by_an_unchanged_component_is_identical_in_every_line(world: &World) {
    let before = world.state().await;
    for (point, name) in [(Point::ProrationStrategy, "day-ratio"), (Point::TaxRule, "ru-vat")] {
        let report = rehearsed(world, point, name, on(DAY)).await;
        assert_eq!((report.identical_percent.as_str(), report.contracts_different), ("100.00", 0), "{report:?}");
        assert_eq!((report.contracts, report.lines), (i64::try_from(CONTRACTS).unwrap(), report.identical_lines));
        assert!(report.lines > 0 && report.worst.is_empty() && report.reasons.is_empty(), "{report:?}");
        assert!(report.totals.iter().all(|total| total.difference_minor == 0 && total.present_minor > 0), "{report:?}");
    }
    same(&before, &world.state().await);
    let report = rehearsed(world, Point::TaxRule, "ru-vat", on(DAY)).await;
    let run = world.close_day(DAY).await;
    assert_eq!(report.totals[0].present_minor, run.gross_minor, "the run bills what was rehearsed");
    // The day after the last run is the next one.
    let next = rehearsed(world, Point::TaxRule, "ru-vat", NextRunOptions::default()).await;
    assert_eq!((next.business_on, next.identical_percent.as_str()), (day("2026-11-29"), "100.00"));
    world.prove().await;
}

async fn the_next_run_by_another_component_is_told_in_money_the_worst_first(world: &World) {
    let report = rehearsed(world, Point::TaxRule, "hostile-tax", on(DAY)).await;
    assert!(report.identical_lines < report.lines && report.identical_percent != "100.00", "{report:?}");
    assert_eq!((report.present_parked, report.candidate_parked), (0, 0));
    let reasons: Vec<_> = report.reasons.iter().map(|count| count.reason).collect();
    assert!(reasons.contains(&ShadowReason::OtherSum) && reasons.contains(&ShadowReason::OtherTax), "{reasons:?}");
    assert_eq!(report.reasons.iter().map(|count| count.contracts).sum::<i64>(), report.contracts_different);
    assert!(report.worst.is_sorted_by_key(|found| std::cmp::Reverse(found.difference_minor.abs())), "{report:?}");
    let worst = &report.worst[0];
    assert!(worst.difference_minor != 0 && worst.tax_difference_minor != 0 && !worst.number.is_empty(), "{worst:?}");
    assert!(worst.differences.iter().any(|told| told.contains("tax rate: 22 % → 20 %")), "{worst:?}");
    assert!(!worst.differences.iter().any(|told| told.contains("plugin:")), "who decides is no difference");
    let twin = world.twin().await;
    twin.bind("hostile-tax", json!({})).await;
    let run = twin.close_day(DAY).await;
    let [total] = report.totals.as_slice() else { panic!("{report:?}") };
    assert_eq!((total.currency.as_str(), total.candidate_minor), ("RUB", run.gross_minor));
    assert_eq!(total.difference_minor, total.candidate_minor - total.present_minor);
    assert_eq!(total.candidate_tax_minor, run.tax_minor, "and the tax in it");
    let run = world.close_day(DAY).await;
    assert_eq!(total.present_minor, run.gross_minor);
    twin.end().await;
}

async fn a_candidate_that_fails_parks_only_in_the_report(world: &World) {
    let config = Some(json!({ "do": "trap", "only": "exempt" }).to_string());
    let options = NextRunOptions { on: Some(day(DAY)), config };
    let before = world.state().await;
    let report = rehearsed(world, Point::TaxRule, "hostile-tax", options).await;
    assert_eq!(report.candidate_parked, 8);
    let parked: Vec<_> = report.worst.iter().filter(|found| found.candidate_minor.is_none()).collect();
    assert_eq!(parked.len(), 8);
    for found in parked {
        assert_eq!((found.reason, found.present_minor), (ShadowReason::Fault, Some(-found.difference_minor)));
        assert!(found.differences[0].contains("plugin-trap"), "{found:?}");
    }
    let config = Some(json!({ "do": "wrong-sum" }).to_string());
    let report = rehearsed(world, Point::TaxRule, "hostile-tax", NextRunOptions { on: Some(day(DAY)), config }).await;
    assert_eq!((report.candidate_parked, report.identical_lines), (report.contracts, 0));
    assert_eq!(report.reasons[0].reason, ShadowReason::Refused);
    same(&before, &world.state().await);
    assert_eq!(world.close_day(DAY).await.parked, 0, "nobody's circuit was opened");
}

async fn a_rehearsal_of_what_cannot_be_rehearsed_is_refused(world: &World) {
    world.close_day(DAY).await;
    let (altyn, request) = (&world.altyn, world.request());
    let tax = binding(world, Point::TaxRule).await;
    let shadow = async |binding, name: &str, options: NextRunOptions| {
        code(altyn.shadow_next_run(&request, binding, component(name), options, |_| {}).await)
    };
    let numbering = binding(world, Point::NumberingScheme).await;
    assert_eq!(shadow(numbering, "number-template", NextRunOptions::default()).await, "nothing-to-shadow");
    assert_eq!(shadow(tax, "day-ratio", NextRunOptions::default()).await, "plugin-wrong-world");
    assert_eq!(shadow(tax, "ru-vat", on("2026-11-28")).await, "invalid-request");
    assert_eq!(shadow(tax, "ru-vat", on("2030-01-01")).await, "invalid-request");
    let list = NextRunOptions { on: None, config: Some("[]".into()) };
    assert_eq!(shadow(tax, "ru-vat", list).await, "invalid-request");
    let candidate = ShadowCandidate { wasm: b"\0asm".to_vec(), manifest: None };
    let answer = altyn.shadow_next_run(&request, tax, candidate, NextRunOptions::default(), |_| {}).await;
    assert!(matches!(answer, Err(ServiceError::Plugin { .. })), "{answer:?}");
    let strict = altyn.clone().with_trust(TrustSettings::default());
    let unsigned = strict.shadow_next_run(&request, tax, component("hostile-tax"), NextRunOptions::default(), |_| {});
    assert!(matches!(unsigned.await, Err(ServiceError::Plugin { .. })));

    // A binding that begins later does not decide about the next run.
    let component_of = altyn.binding_get(&request, tax).await.unwrap().component;
    let command =
        CreateBinding { component: component_of, config: json!({}), priority: 0, effective_from: day("2027-01-01") };
    let later = altyn.binding_create(&request, command).await.unwrap().value.id;
    assert_eq!(shadow(later, "ru-vat", NextRunOptions::default()).await, "nothing-to-shadow");
    let stranger =
        CreateTenant {
            name: "Другой".into(), locale: None, zone: None, currency: None, run_mode: None, run_at: None
        };
    let stranger = altyn.tenant_create_root(stranger).await.unwrap().id;
    let stranger = Request::internal(stranger, "test");
    let answer = altyn.shadow_next_run(&stranger, tax, component("ru-vat"), NextRunOptions::default(), |_| {}).await;
    assert_eq!(code(answer), "not-found");
}
