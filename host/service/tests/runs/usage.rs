//! What plugin calls take is counted once, and limits are only ever lowered.

use altyn_domain::run::PlanState;
use altyn_runtime::{Limits, LimitsTable, Runtime, RuntimeConfig, World as Point};
use altyn_service::{
    Altyn, Request,
    page::Page,
    plugins::Plugins,
    tenants::CreateTenant,
    usage::{LoweredLimits, UsageFilter, UsageView},
};
use std::sync::Arc;

use crate::world::{World, code, on_both_engines, page};

on_both_engines!(
    what_a_run_took_is_reported_by_component_and_summed_over_days,
    another_tenants_usage_is_not_seen,
    a_tenant_lowers_limits_for_itself_and_never_raises_one,
    limits_reach_down_the_tree_of_tenants,
    a_run_within_lowered_limits_parks_what_needs_more,
);

/// The application with a plugin host of its own: its meter counts nobody else's calls.
fn alone(world: &World) -> Altyn {
    let limits = Limits::default();
    let limits = LimitsTable {
        proration_strategy: limits,
        tax_rule: limits,
        numbering_scheme: limits,
        ..LimitsTable::default()
    };
    // No decision is made a second time, so that what is counted is what the run did.
    let runtime = RuntimeConfig { instances: 4, limits, recheck_percent: 0, ..RuntimeConfig::default() };
    Altyn { plugins: Arc::new(Plugins::new(Runtime::new(&runtime).unwrap())), ..world.altyn.clone() }
}

async fn report(altyn: &Altyn, request: &Request) -> Vec<UsageView> {
    altyn.usage_report(request, &UsageFilter::default(), &page()).await.unwrap().data
}

async fn close(world: &World, altyn: &Altyn, day: &str) {
    let command = altyn_service::runs::StartRun {
        business_on: day.parse().unwrap(),
        mode: Some(altyn_domain::run::RunMode::Automatic),
    };
    let run = altyn.run_start(&world.request(), command).await.unwrap().value;
    altyn.run_advance(world.tenant, run.id, "test").await.unwrap();
}

async fn what_a_run_took_is_reported_by_component_and_summed_over_days(world: &World) {
    let altyn = alone(world);
    assert!(report(&altyn, &world.request()).await.is_empty());
    close(world, &altyn, "2026-11-28").await;
    let first = report(&altyn, &world.request()).await;
    let mut worlds: Vec<&str> = first.iter().map(|usage| usage.world.as_str()).collect();
    worlds.sort_unstable();
    assert_eq!(worlds, ["numbering-scheme", "proration-strategy", "tax-rule"]);
    for usage in &first {
        assert!(usage.plugin_id.is_some() && usage.purpose == "decision", "{usage:?}");
        assert!(usage.calls > 0 && usage.failures == 0 && usage.lines >= usage.calls, "{usage:?}");
        assert!(usage.fuel > 0 && usage.bytes_in > 0 && usage.bytes_out > 0 && usage.peak_memory_bytes > 0);
    }
    assert_eq!(report(&altyn, &world.request()).await, first, "what was stored is not stored again");

    altyn.replay_evidence(&world.request(), 100, |_| {}).await.unwrap();
    world.clock.set("2027-02-02T09:00:00Z".parse().unwrap());
    close(world, &altyn, "2026-12-28").await;
    let both = report(&altyn, &world.request()).await;
    let of = |purpose: &str| both.iter().filter(move |usage| usage.purpose == purpose).cloned().collect::<Vec<_>>();
    assert_eq!(of("rehearsal").len(), 3, "replays are counted apart: {both:?}");
    for (before, after) in first.iter().zip(of("decision")) {
        assert!(after.calls > before.calls && after.fuel > before.fuel, "{after:?}");
    }
    let one_day = UsageFilter { from: Some("2027-02-01".parse().unwrap()), until: Some("2027-02-02".parse().unwrap()) };
    let first_day = altyn.usage_report(&world.request(), &one_day, &page()).await.unwrap().data;
    let decisions: Vec<UsageView> = first_day.into_iter().filter(|usage| usage.purpose == "decision").collect();
    assert_eq!(decisions, first);

    let mut paged = Vec::new();
    let mut cursor = None;
    loop {
        let small = Page { limit: Some(1), cursor };
        let part = altyn.usage_report(&world.request(), &UsageFilter::default(), &small).await.unwrap();
        paged.extend(part.data);
        cursor = part.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, both);
    let backwards = UsageFilter { from: one_day.until, until: one_day.from };
    assert_eq!(code(altyn.usage_report(&world.request(), &backwards, &page()).await), "invalid-request");
}

async fn another_tenants_usage_is_not_seen(world: &World) {
    let altyn = alone(world);
    close(world, &altyn, "2026-11-10").await;
    assert!(!report(&altyn, &world.request()).await.is_empty());
    let other = altyn.tenant_create_root(named("Чужой")).await.unwrap().id;
    assert!(report(&altyn, &Request::internal(other, "test")).await.is_empty());
}

fn named(name: &str) -> CreateTenant {
    CreateTenant { name: name.into(), locale: None, zone: None, currency: None, run_mode: None, run_at: None }
}

async fn a_tenant_lowers_limits_for_itself_and_never_raises_one(world: &World) {
    let altyn = alone(world);
    let (request, most) = (world.request(), Limits::default());
    let before = altyn.plugin_limits_get(&request, Point::TaxRule).await.unwrap();
    assert_eq!((before.version, before.lowered, before.in_force.fuel), (0, LoweredLimits::default(), Some(most.fuel)));

    let raised = LoweredLimits { fuel: Some(most.fuel + 1), wall_ms: Some(1), ..LoweredLimits::default() };
    assert_eq!(code(altyn.plugin_limits_set(&request, Point::TaxRule, 0, raised).await), "invalid-request");
    let lowered = LoweredLimits { fuel: Some(7), ..LoweredLimits::default() };
    let set = altyn.plugin_limits_set(&request, Point::TaxRule, 0, lowered).await.unwrap().value;
    assert_eq!((set.version, set.in_force.fuel, set.in_force.wall_ms), (1, Some(7), Some(most.wall_ms)));
    assert_eq!(altyn.plugin_limits_get(&request, Point::TaxRule).await.unwrap(), set);
    for stale in [0, 2] {
        assert_eq!(code(altyn.plugin_limits_set(&request, Point::TaxRule, stale, lowered).await), "stale-version");
    }
    let all = altyn.plugin_limits_list(&request).await.unwrap().data;
    let fuels: Vec<_> = all.iter().map(|limits| limits.in_force.fuel).collect();
    assert_eq!(fuels[..3], [Some(most.fuel), Some(7), Some(most.fuel)], "other worlds keep theirs");
    let back = altyn.plugin_limits_set(&request, Point::TaxRule, 1, LoweredLimits::default()).await.unwrap().value;
    assert_eq!((back.version, back.in_force), (2, before.in_force));
}

async fn limits_reach_down_the_tree_of_tenants(world: &World) {
    let altyn = alone(world);
    let below = altyn.tenant_create(&world.request(), named("Дилер")).await.unwrap().value.id;
    let dealer = Request::internal(below, "test");
    let lowered = LoweredLimits { fuel: Some(500), log_lines: Some(3), ..LoweredLimits::default() };
    altyn.plugin_limits_set(&world.request(), Point::TaxRule, 0, lowered).await.unwrap();
    let seen = altyn.plugin_limits_get(&dealer, Point::TaxRule).await.unwrap();
    assert_eq!((seen.in_force.fuel, seen.in_force.log_lines, seen.version), (Some(500), Some(3), 0));
    let wider = LoweredLimits { fuel: Some(501), ..LoweredLimits::default() };
    assert_eq!(code(altyn.plugin_limits_set(&dealer, Point::TaxRule, 0, wider).await), "invalid-request");
    let narrower = LoweredLimits { fuel: Some(400), ..LoweredLimits::default() };
    let set = altyn.plugin_limits_set(&dealer, Point::TaxRule, 0, narrower).await.unwrap().value;
    assert_eq!((set.in_force.fuel, set.in_force.log_lines), (Some(400), Some(3)));
    let above = altyn.plugin_limits_get(&world.request(), Point::TaxRule).await.unwrap();
    assert_eq!(above.in_force.fuel, Some(500), "what is lowered below stays below");
}

async fn a_run_within_lowered_limits_parks_what_needs_more(world: &World) {
    let altyn = alone(world);
    let none = LoweredLimits { fuel: Some(1_000), fuel_per_line: Some(0), ..LoweredLimits::default() };
    altyn.plugin_limits_set(&world.request(), Point::TaxRule, 0, none).await.unwrap();
    close(world, &altyn, "2026-11-10").await;
    let run = altyn.run_list(&world.request(), &page()).await.unwrap().data.remove(0);
    let parked = world.plans(run.id, Some(PlanState::Parked)).await;
    assert!(run.invoices == 0 && !parked.is_empty());
    for plan in &parked {
        assert!(matches!(plan.reason_code.as_deref(), Some("plugin-out-of-fuel" | "plugin-circuit-open")), "{plan:?}");
    }
    let usage = report(&altyn, &world.request()).await;
    let tax = usage.iter().find(|usage| usage.world == "tax-rule").unwrap();
    assert_eq!(tax.failures, tax.calls);
}
