//! A contract that is larger than what is read at once.

use altyn_service::{invoices::InvoiceFilter, settings::Settings};

use crate::world::{World, on_both_engines, page};

on_both_engines!(a_contract_larger_than_the_chunk_is_billed_whole_on_one_invoice);

async fn a_contract_larger_than_the_chunk_is_billed_whole_on_one_invoice(world: &World) {
    const SUBSCRIPTIONS: usize = 3_000;
    let contract = world.import_contract("Я-большой", "week-7d", SUBSCRIPTIONS, "2026-11-10").await;
    let altyn = world.with_settings(Settings { run_chunk: 100, ..Settings::default() });
    let run = world.begin("2026-11-10", altyn_domain::run::RunMode::Automatic).await;
    altyn.run_advance(world.tenant, run.id, "test").await.unwrap();
    assert_eq!(world.run(run.id).await.parked, 0, "{:#?}", world.plans(run.id, None).await);
    let filter = InvoiceFilter { contract_id: Some(contract), ..InvoiceFilter::default() };
    let invoices = altyn.invoice_list(&world.request(), filter, &page()).await.unwrap().data;
    let totals: Vec<_> = invoices.iter().map(|invoice| invoice.gross_minor).collect();
    assert_eq!(totals, [7_001 * i64::try_from(SUBSCRIPTIONS).unwrap()]);
    let lines: Vec<(i64, i32)> = world
        .rows(
            "select count(*), max(position) from invoice_lines where tenant_id = $1 and invoice_id = $2",
            (world.tenant.0, invoices[0].id.0),
        )
        .await;
    assert_eq!(lines, [(3_000, 2_999)]);
    world.prove().await;
}
