//! Verification finds every fault that is planted into billed books and names it, on both engines.

#![expect(clippy::unwrap_used, reason = "a test ends where a step fails")]

#[path = "verify/faults.rs"]
mod faults;
#[path = "verify/world.rs"]
mod world;

use std::collections::BTreeSet;

use altyn_domain::{
    charge::ChargeKind,
    id::{CallId, InvoiceId},
};
use altyn_service::{
    ServiceError,
    explain::CallFilter,
    verify::{VerifyOptions, VerifyReport},
};
use altyn_store::Engine;
use world::World;

const EVERYTHING: VerifyOptions = VerifyOptions { replay_percent: 100 };

fn failing(report: &VerifyReport) -> BTreeSet<&str> {
    report.rules.iter().filter(|rule| rule.violations > 0).map(|rule| rule.code.as_str()).collect()
}

/// Runs each named test, a function of an engine, on SQLite and on PostgreSQL.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(altyn_store::Engine::Sqlite).await;
            } )+
        }
        mod postgres {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(altyn_store::Engine::Postgres).await;
            } )+
        }
    };
}

on_both_engines!(
    billed_books_keep_every_rule_and_replay_identically,
    a_planted_fault_is_named_by_its_rule,
    a_changed_component_is_found,
    an_invoice_line_is_explained_by_the_calls_that_decided_it,
    a_share_is_replayed_by_content,
);

async fn billed_books_keep_every_rule_and_replay_identically(engine: Engine) {
    let world = World::build(engine).await;
    let copy = world.copy("").await;
    let report = copy.altyn.verify(&world.request(), EVERYTHING).await.unwrap();
    assert!(report.ok, "{report:#?}");
    for rule in &report.rules {
        assert!(rule.checked > 0, "{} checked nothing", rule.code);
        assert_eq!((rule.violations, rule.examples.len()), (0, 0), "{}", rule.code);
    }
    let answered = world.calls.iter().filter(|call| call.output_digest.is_some()).count();
    assert_eq!(usize::try_from(report.calls_replayed), Ok(answered));
    assert_eq!(report.calls_identical, report.calls_replayed);

    let platform = copy.altyn.verify_platform().await.unwrap();
    assert!(platform.ok && platform.rules.iter().all(|rule| rule.checked > 0), "{platform:#?}");

    let other = altyn_service::Request::internal(world.other, "test");
    let empty = copy.altyn.verify(&other, EVERYTHING).await.unwrap();
    assert!(empty.ok && empty.rules.iter().all(|rule| rule.checked == 0), "{empty:#?}");

    let too_much = copy.altyn.verify(&world.request(), VerifyOptions { replay_percent: 101 }).await;
    assert!(matches!(too_much, Err(ServiceError::Invalid(_))));
    world.discard(copy).await;
    world.end().await;
}

async fn a_planted_fault_is_named_by_its_rule(engine: Engine) {
    let world = World::build(engine).await;
    let mut proven = BTreeSet::new();
    let mut codes = BTreeSet::new();
    let mut wrong: Vec<String> = Vec::new();
    for fault in faults::all(&world) {
        let copy = world.copy(&fault.sql).await;
        let report = copy.altyn.verify(&world.request(), EVERYTHING).await.unwrap();
        codes.extend(report.rules.iter().map(|rule| rule.code.clone()));
        let expected: BTreeSet<&str> = fault.rules.iter().copied().collect();
        // All of them are tried before any is told: one fault takes a whole copy of the books.
        if failing(&report) != expected {
            wrong.push(format!("{}: {:?} fail instead of {expected:?}", fault.name, failing(&report)));
        }
        assert!(!report.ok, "{}", fault.name);
        let rule = report.rules.iter().find(|rule| rule.code == fault.rules[0]).unwrap();
        for named in fault.names.iter().filter(|named| !rule.examples.iter().any(|example| example.contains(*named))) {
            wrong.push(format!("{}: {named} is not named by {:?}", fault.name, rule.examples));
        }
        // Whoever breaks a neighbour's books does not break these.
        let other = altyn_service::Request::internal(world.other, "test");
        assert!(copy.altyn.verify(&other, EVERYTHING).await.unwrap().ok, "{}", fault.name);
        proven.insert(fault.rules[0].to_owned());
        world.discard(copy).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(proven, codes, "every rule has a fault that it finds");
    world.end().await;
}

async fn a_changed_component_is_found(engine: Engine) {
    let world = World::build(engine).await;
    let tax = world.calls.iter().find(|call| call.export == "tax.assess").unwrap();
    let sql = match engine {
        Engine::Sqlite => {
            format!("update components set wasm = x'0061736d' where hex(digest) = upper('{}')", tax.component)
        }
        Engine::Postgres => {
            format!("update components set wasm = '\\x0061736d' where encode(digest, 'hex') = '{}'", tax.component)
        }
    };
    let copy = world.copy(&sql).await;
    let altyn = copy.with_fresh_plugins();
    let platform = altyn.verify_platform().await.unwrap();
    assert_eq!(failing(&platform), BTreeSet::from(["component-content"]));
    assert!(platform.rules[1].examples[0].starts_with(&tax.component), "{platform:#?}");
    let report = altyn.verify(&world.request(), EVERYTHING).await.unwrap();
    assert_eq!(failing(&report), BTreeSet::from(["evidence-replays"]));
    world.discard(copy).await;

    let moved = world.copy("update tenants set path = '/elsewhere/' where parent_id is not null").await;
    let platform = moved.altyn.verify_platform().await.unwrap();
    assert_eq!(failing(&platform), BTreeSet::from(["tenant-paths"]));
    assert!(platform.rules[0].examples[0].starts_with(&world.other.to_string()), "{platform:#?}");
    world.discard(moved).await;
    world.end().await;
}

async fn an_invoice_line_is_explained_by_the_calls_that_decided_it(engine: Engine) {
    let world = World::build(engine).await;
    let copy = world.copy("").await;
    let (altyn, request) = (&copy.altyn, &world.request());
    for invoice in &world.invoices {
        for line in invoice.lines.as_ref().unwrap() {
            let told = altyn.explain_line(request, invoice.id, line.position).await.unwrap();
            assert_eq!((&told.number, told.gross_minor), (&invoice.number, line.gross_minor));
            let charge = world.charges.iter().find(|charge| charge.id == line.charge_id).unwrap();
            if charge.kind == ChargeKind::Usage {
                // No plugin shares its price: that follows from the events.
                let about: Vec<&str> = told.decisions.iter().map(|decision| decision.about.as_str()).collect();
                assert_eq!(about, ["tax", "numbering"]);
                continue;
            }
            let [proration, tax, numbering] = &told.decisions[..] else { panic!("{:#?}", told.decisions) };
            assert_eq!(proration.answer["used"]["minor"], charge.amount_minor);
            assert_eq!(proration.question["line"], proration.answer["line"]);
            assert_eq!(tax.answer["tax"]["minor"], line.tax_minor);
            assert_eq!(tax.question["lines"][0]["amount"]["minor"], charge.amount_minor);
            assert_eq!(numbering.answer, serde_json::json!(invoice.number));
            for (decision, plugin) in told.decisions.iter().zip(["day-ratio", "ru-vat", "number-template"]) {
                assert_eq!(decision.call.plugin_id.as_deref(), Some(plugin));
                assert!(decision.replayed_identical, "{:?}", decision.difference);
                assert_eq!(decision.context["zone"], "Europe/Moscow");
            }
        }
    }
    let nowhere = altyn.explain_line(request, world.invoices[0].id, 99).await;
    assert!(matches!(nowhere, Err(ServiceError::NotFound("invoice line"))));
    let negative = altyn.explain_line(request, world.invoices[0].id, -1).await;
    assert!(matches!(negative, Err(ServiceError::NotFound("invoice line"))));
    let unknown = altyn.explain_line(request, InvoiceId(world.tenant.0), 0).await;
    assert!(matches!(unknown, Err(ServiceError::NotFound("invoice"))));

    // The contract of an unheard-of tax category is parked; its call shows what was asked and why nothing was answered.
    let runs = altyn.run_list(request, &world::page()).await.unwrap().data;
    let parked = altyn.run_plan(request, runs[0].id, world.contracts[4]).await.unwrap();
    let call = altyn.call_evidence(request, parked.call_id.unwrap()).await.unwrap();
    assert_eq!(call.call.fault_code.as_deref(), Some("plugin-invalid"));
    assert_eq!(call.input["documents"][0]["lines"][0]["category"], "unheard-of");
    assert_eq!((call.output, call.call.output_digest), (None, None));

    // Those that failed are found among all, and those of a run.
    let listed = async |filter| altyn.call_list(request, filter, &world::page()).await.unwrap().data;
    let failed = listed(CallFilter { failed: Some(true), ..CallFilter::default() }).await;
    assert!(failed.iter().any(|found| found.id == call.call.id) && failed.iter().all(|call| call.fault_code.is_some()));
    let of_run = listed(CallFilter { run_id: Some(runs[0].id), ..CallFilter::default() }).await;
    assert!(of_run.iter().any(|found| found.id == call.call.id) && of_run.iter().any(|call| call.fault_code.is_none()));
    assert!(of_run.iter().all(|call| call.run_id == Some(runs[0].id)));

    let answered = world.calls.iter().find(|call| call.output_digest.is_some()).unwrap();
    let evidence = altyn.call_evidence(request, answered.id).await.unwrap();
    assert!(evidence.output.is_some_and(|output| output.is_array()));
    assert_eq!(altyn.call_get(request, answered.id).await.unwrap().input_digest, answered.input_digest);

    let other = altyn_service::Request::internal(world.other, "test");
    assert!(matches!(altyn.call_get(&other, answered.id).await, Err(ServiceError::NotFound(_))));
    assert!(matches!(altyn.call_evidence(&other, answered.id).await, Err(ServiceError::NotFound(_))));
    assert!(matches!(altyn.explain_line(&other, world.invoices[0].id, 0).await, Err(ServiceError::NotFound(_))));
    assert!(altyn.call_list(&other, CallFilter::default(), &world::page()).await.unwrap().data.is_empty());
    assert!(matches!(altyn.call_get(request, CallId(world.tenant.0)).await, Err(ServiceError::NotFound("call"))));
    world.discard(copy).await;
    world.end().await;
}

async fn a_share_is_replayed_by_content(engine: Engine) {
    let world = World::build(engine).await;
    let copy = world.copy("").await;
    let request = world.request();
    let mut before = 0;
    for percent in [0, 25, 50, 100] {
        let mut seen = 0;
        let report = copy.altyn.replay_evidence(&request, percent, |report| seen = report.calls).await.unwrap();
        assert_eq!((report.identical, report.unreadable_calls), (report.calls, 0), "{report:#?}");
        assert_eq!(seen, report.calls);
        assert!(report.calls >= before, "{percent} %");
        before = report.calls;
        if percent == 100 {
            let faulty = world.calls.iter().filter(|call| call.fault_code.is_some()).count();
            assert!(faulty > 0);
            assert_eq!(usize::try_from(report.skipped_faulty), Ok(faulty));
        }
    }
    world.discard(copy).await;
    world.end().await;
}
