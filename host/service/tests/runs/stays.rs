//! What was started with a component goes on with it until it is migrated, whatever its binding has got since.

use std::collections::BTreeMap;

use altyn_domain::{
    binding::{BindingChange, Inheritance},
    change::ChangeKind,
    grant::LoweredLimits,
    id::{BindingId, Id as _, InvoiceId, RunId, SubscriptionId},
    run::{PlanState, RunMode},
    stay::{Existing, MOST_STAYS},
};
use altyn_service::{
    Altyn, Request, ServiceError,
    bindings::{BindingView, CreateBinding, ShareBinding, UpgradeBinding},
    canary::StartCanary,
    changes::{ChangeSubscription, ExecuteChange},
    runs::{Advanced, ConfirmPlan, ConfirmPlans, RunView, StartRun},
    stays::{MigrateBinding, MigratedView, StayView},
    tenants::CreateTenant,
    verify::VerifyOptions,
};
use altyn_store::Scope;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    metering::{event, metered, recorded, subscribe, usage_charges},
    operator::furnish,
    world::{World, code, component, day, on_both_engines, page, same_charges},
};

on_both_engines!(
    new_subscriptions_get_the_new_component_and_old_ones_stay_until_they_are_migrated,
    proration_stays_too_and_a_change_does_what_its_preview_said,
    a_rollback_takes_everything_back_to_what_it_was,
    who_is_migrated_by_name_stays_on_that_with_the_next_upgrade,
    tenants_below_stay_on_what_they_inherited_and_migrate_their_own,
    an_upgrade_changes_nothing_for_plans_that_wait_and_a_migration_does,
    use_is_taxed_by_what_its_subscription_stays_on,
    a_component_on_trial_decides_for_nobody_who_stays,
    stays_are_refused_where_they_mean_nothing_and_end_with_their_binding,
);

impl World {
    fn at(&self, on: &str) {
        self.clock.set(format!("{on}T09:00:00Z").parse().unwrap());
    }

    /// Closes a day in the morning after it began.
    async fn closed(&self, on: &str) -> RunView {
        self.at(on);
        self.close_day(on).await
    }

    async fn digest(&self, name: &str) -> String {
        self.altyn.plugin_install(&self.request(), component(name)).await.unwrap().value.digest
    }

    /// A binding that no other test has.
    async fn bound_to(&self, name: &str, config: Value) -> BindingId {
        let component = self.digest(name).await;
        let command = CreateBinding { component, config, priority: 0, effective_from: day("2026-01-01") };
        self.altyn.binding_create(&self.request(), command).await.unwrap().value.id
    }

    async fn upgraded(&self, id: BindingId, name: &str, existing: Option<Existing>) -> BindingView {
        let command = UpgradeBinding { component: self.digest(name).await, config: Some(json!({})), existing };
        let version = self.altyn.binding_get(&self.request(), id).await.unwrap().version;
        self.altyn.binding_upgrade(&self.request(), id, version, command).await.unwrap().value
    }

    async fn rolled_back(&self, id: BindingId) -> BindingView {
        let version = self.altyn.binding_get(&self.request(), id).await.unwrap().version;
        self.altyn.binding_rollback(&self.request(), id, version).await.unwrap().value
    }

    async fn stays(&self, id: BindingId) -> Vec<(String, i64)> {
        told(&self.altyn.binding_stays(&self.request(), id).await.unwrap().data)
    }

    async fn migrated(&self, id: BindingId, command: MigrateBinding) -> MigratedView {
        self.altyn.binding_migrate(&self.request(), id, command).await.unwrap().value
    }

    /// Which plugin taxed, or prorated, the lines of each subscription in a run; each by one.
    async fn decided(&self, run: RunId, taxes: bool) -> BTreeMap<SubscriptionId, String> {
        decided_in(&self.altyn, &self.request(), run, taxes).await
    }

    async fn proven(&self) {
        self.prove().await;
        let report = self.altyn.verify(&self.request(), VerifyOptions { replay_percent: 100 }).await.unwrap();
        assert!(report.ok && report.calls_identical > 0, "{report:#?}");
    }
}

async fn decided_in(altyn: &Altyn, request: &Request, run: RunId, taxes: bool) -> BTreeMap<SubscriptionId, String> {
    let mut tx = altyn.db.read(Scope::Tenant(request.tenant.0)).await.unwrap();
    let by_tax = "select distinct ch.subscription_id, m.plugin_id from invoices i
        join invoice_lines l on l.tenant_id = $1 and l.invoice_id = i.id
        join charges ch on ch.tenant_id = $1 and ch.id = l.charge_id
        join plugin_calls c on c.tenant_id = $1 and c.id = l.tax_call_id
        join components m on m.digest = c.component_digest
        where i.tenant_id = $1 and i.run_id = $2";
    let by_proration = "select distinct ch.subscription_id, m.plugin_id from invoices i
        join invoice_lines l on l.tenant_id = $1 and l.invoice_id = i.id
        join charges ch on ch.tenant_id = $1 and ch.id = l.charge_id
        join plugin_calls c on c.tenant_id = $1 and c.id = ch.proration_call_id
        join components m on m.digest = c.component_digest
        where i.tenant_id = $1 and i.run_id = $2";
    let sql = if taxes { by_tax } else { by_proration };
    let rows: Vec<(Uuid, String)> = tx.fetch_all(sql, (request.tenant.0, run.0)).await.unwrap();
    let mut found = BTreeMap::new();
    for (subscription, plugin) in rows {
        let before = found.insert(SubscriptionId(subscription), plugin);
        assert_eq!(before, None, "lines of one subscription were decided by two components");
    }
    found
}

fn told(stays: &[StayView]) -> Vec<(String, i64)> {
    stays.iter().map(|stay| (stay.plugin_id.clone(), stay.subscriptions)).collect()
}

fn all() -> MigrateBinding {
    MigrateBinding { all: true, subscriptions: Vec::new() }
}

fn named(subscriptions: &[SubscriptionId]) -> MigrateBinding {
    MigrateBinding { all: false, subscriptions: subscriptions.to_vec() }
}

fn quantity(wanted: &str) -> ChangeSubscription {
    ChangeSubscription { quantity: Some(wanted.into()), ..ChangeSubscription::of(ChangeKind::ChangeQuantity) }
}

/// Previews a change and does exactly that; answers its invoice's tax rules by the plugin.
async fn changed(world: &World, id: SubscriptionId, change: ChangeSubscription) -> Vec<String> {
    let (altyn, request) = (&world.altyn, world.request());
    let seen = altyn.change_preview(&request, id, change.clone()).await.unwrap();
    let pins: Vec<String> = seen.effects.plugins.iter().map(|pin| hex::encode(pin.component.0)).collect();
    let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: Some(seen.effects) };
    let done = altyn.change_execute(&request, id, command).await.unwrap().value;
    let calls: Vec<(Vec<u8>, String)> = world
        .rows(
            "select distinct c.component_digest, m.plugin_id from invoice_lines l
            join charges ch on ch.tenant_id = $1 and ch.id = l.charge_id
            join plugin_calls c on c.tenant_id = $1 and c.id in (l.tax_call_id, ch.proration_call_id)
            join components m on m.digest = c.component_digest
            where l.tenant_id = $1 and l.invoice_id = $2",
            (world.tenant.0, done.invoice_id.unwrap().uuid()),
        )
        .await;
    assert!(calls.iter().all(|(digest, _)| pins.contains(&hex::encode(digest))), "the preview names who decides");
    let mut plugins: Vec<String> = calls.into_iter().map(|(_, plugin)| plugin).collect();
    plugins.sort();
    plugins
}

async fn new_subscriptions_get_the_new_component_and_old_ones_stay_until_they_are_migrated(world: &World) {
    use BindingChange::{Bind, Migrate, Upgrade};
    world.at("2026-12-20");
    let contract = world.import_contract("ST-1", "home-1m", 2, "2027-01-01").await;
    let old: Vec<SubscriptionId> = world.subscriptions(contract).await.iter().map(|one| one.id).collect();
    let binding = world.bound_to("ru-vat", json!({})).await;
    let everybody: i64 =
        world.rows::<(i64,)>("select count(*) from subscriptions where tenant_id = $1", (world.tenant.0,)).await[0].0;
    world.at("2026-12-21");
    let upgraded = world.upgraded(binding, "hostile-tax", None).await;
    assert_eq!(told(&upgraded.staying), [("ru-vat".to_owned(), everybody)], "the answer says who stays");
    assert_eq!(world.altyn.binding_get(&world.request(), binding).await.unwrap().staying, []);
    let new = subscribe(world, contract, "home-1m", "2027-01-01").await;
    assert_eq!(world.stays(binding).await, [("ru-vat".to_owned(), everybody)]);

    // One document has lines of both, each with the evidence of its own.
    let run = world.closed("2027-01-01").await;
    assert_eq!(run.parked, 0);
    let taxed = world.decided(run.id, true).await;
    assert_eq!(
        (taxed[&old[0]].as_str(), taxed[&old[1]].as_str(), taxed[&new].as_str()),
        ("ru-vat", "ru-vat", "hostile-tax")
    );
    assert_eq!(taxed.values().filter(|by| *by == "hostile-tax").count(), 1, "nobody else is new");
    let plan = world.plan(run.id, contract).await;
    assert_eq!(plan.lines, 6);
    let documents: Vec<(i64, i64, i64)> = world
        .rows(
            "select count(*), cast(sum(l.gross_minor) as bigint), max(i.gross_minor) from invoices i
            join invoice_lines l on l.tenant_id = $1 and l.invoice_id = i.id
            where i.tenant_id = $1 and i.run_id = $2 and i.contract_id = $3 group by i.id",
            (world.tenant.0, run.id.0, contract.0),
        )
        .await;
    assert_eq!(documents.len(), 1, "one price mode is one document");
    assert_eq!((documents[0].0, documents[0].1), (6, documents[0].2));
    world.proven().await;
    let lines: Vec<(Uuid, i32)> = world
        .rows(
            "select l.invoice_id, l.position from invoice_lines l
            join invoices i on i.tenant_id = $1 and i.id = l.invoice_id
            where l.tenant_id = $1 and i.contract_id = $2",
            (world.tenant.0, contract.0),
        )
        .await;
    assert_eq!(lines.len(), 6);
    for (invoice, position) in lines {
        let explained = world.altyn.explain_line(&world.request(), InvoiceId(invoice), position).await.unwrap();
        assert!(explained.decisions.iter().all(|decision| decision.replayed_identical), "{explained:#?}");
    }

    // By name, and again; then all, and again.
    let migrated = world.migrated(binding, named(&[old[0], new])).await;
    assert_eq!((migrated.migrated, told(&migrated.staying)), (1, vec![("ru-vat".to_owned(), everybody - 1)]));
    assert_eq!(world.migrated(binding, named(&[old[0]])).await.migrated, 0);
    let run = world.closed("2027-02-01").await;
    let taxed = world.decided(run.id, true).await;
    assert_eq!(
        (taxed[&old[0]].as_str(), taxed[&old[1]].as_str(), taxed[&new].as_str()),
        ("hostile-tax", "ru-vat", "hostile-tax")
    );
    let migrated = world.migrated(binding, all()).await;
    assert_eq!((migrated.migrated, migrated.staying), (everybody - 1, vec![]));
    assert_eq!(world.migrated(binding, all()).await.migrated, 0);
    let run = world.closed("2027-03-01").await;
    assert!(world.decided(run.id, true).await.values().all(|by| by == "hostile-tax"));
    let history = world.altyn.binding_history(&world.request(), binding, &page()).await.unwrap().data;
    let kinds: Vec<BindingChange> = history.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [Bind, Upgrade, Migrate, Migrate], "what changed nothing is not told");
    assert_eq!(history[2].detail.as_deref(), Some("1 subscriptions migrate by name"));
    world.proven().await;
}

async fn proration_stays_too_and_a_change_does_what_its_preview_said(world: &World) {
    world.at("2026-12-20");
    let contract = world.import_contract("ST-2", "home-1m", 2, "2027-01-01").await;
    let old: Vec<SubscriptionId> = world.subscriptions(contract).await.iter().map(|one| one.id).collect();
    let tax = world.bound_to("ru-vat", json!({})).await;
    let proration = world.bound_to("day-ratio", json!({})).await;
    world.at("2026-12-21");
    world.upgraded(tax, "hostile-tax", Some(Existing::Stay)).await;
    world.upgraded(proration, "day-rate-rounded", None).await;
    let new = subscribe(world, contract, "home-1m", "2027-01-01").await;
    let run = world.closed("2027-01-01").await;
    let prorated = world.decided(run.id, false).await;
    assert_eq!((prorated[&old[0]].as_str(), prorated[&new].as_str()), ("day-ratio", "day-rate-rounded"));

    // Changes, with what they give back and what they charge.
    world.at("2027-01-11");
    assert_eq!(changed(world, old[0], quantity("3")).await, ["day-ratio", "ru-vat"]);
    assert_eq!(changed(world, new, quantity("3")).await, ["day-rate-rounded", "hostile-tax"]);
    // One of two extension points is migrated, and one subscription of two.
    world.migrated(proration, named(&[old[0]])).await;
    assert_eq!(changed(world, old[0], quantity("5")).await, ["day-rate-rounded", "ru-vat"]);
    assert_eq!(changed(world, old[1], quantity("5")).await, ["day-ratio", "ru-vat"]);
    // What is seen before a migration is not what is done after it.
    let (altyn, request) = (&world.altyn, world.request());
    let seen = altyn.change_preview(&request, old[1], quantity("7")).await.unwrap();
    world.migrated(proration, all()).await;
    let command = ExecuteChange { change: quantity("7"), plan_hash: seen.plan_hash, effects: Some(seen.effects) };
    assert_eq!(code(altyn.change_execute(&request, old[1], command).await), "change-moved");
    assert_eq!(changed(world, old[1], quantity("7")).await, ["day-rate-rounded", "ru-vat"]);
    world.proven().await;
}

async fn a_rollback_takes_everything_back_to_what_it_was(world: &World) {
    world.at("2026-12-20");
    let contract = world.import_contract("ST-3", "home-1m", 2, "2027-01-01").await;
    let old: Vec<SubscriptionId> = world.subscriptions(contract).await.iter().map(|one| one.id).collect();
    let binding = world.bound_to("ru-vat", json!({})).await;
    let undisturbed = world.twin().await;
    undisturbed.at("2026-12-20");
    undisturbed.import_contract("ST-3", "home-1m", 2, "2027-01-01").await;

    world.at("2026-12-21");
    world.upgraded(binding, "hostile-tax", None).await;
    world.migrated(binding, named(&[old[0]])).await;
    let since = subscribe(world, contract, "home-1m", "2027-01-10").await;
    assert_eq!(world.rolled_back(binding).await.staying, []);
    let run = world.closed("2027-01-01").await;
    assert!(world.decided(run.id, true).await.values().all(|by| by == "ru-vat"));
    let expected = undisturbed.closed("2027-01-01").await;
    assert_eq!((run.gross_minor, run.tax_minor), (expected.gross_minor, expected.tax_minor));

    // Upgraded anew, who was taken out of what is undone stays like everybody.
    world.at("2027-01-02");
    world.upgraded(binding, "hostile-tax", None).await;
    let run = world.closed("2027-02-01").await;
    let taxed = world.decided(run.id, true).await;
    assert_eq!((taxed[&old[0]].as_str(), taxed[&since].as_str()), ("ru-vat", "ru-vat"));

    // An upgrade that takes all along is undone with the stays it ended; so is a migration that came after an upgrade.
    world.at("2027-02-02");
    let before = world.stays(binding).await;
    assert_eq!(world.upgraded(binding, "ru-vat", Some(Existing::Migrate)).await.staying, []);
    world.rolled_back(binding).await;
    assert_eq!(world.stays(binding).await, before);
    world.at("2027-02-03");
    world.upgraded(binding, "ru-vat", None).await;
    world.migrated(binding, all()).await;
    assert_eq!(world.stays(binding).await, []);
    assert_eq!(told(&world.rolled_back(binding).await.staying), before);
    let run = world.closed("2027-03-01").await;
    assert!(world.decided(run.id, true).await.values().all(|by| by == "ru-vat"));
    world.rolled_back(binding).await;
    assert_eq!(world.stays(binding).await, []);
    world.proven().await;
    undisturbed.end().await;
}

async fn who_is_migrated_by_name_stays_on_that_with_the_next_upgrade(world: &World) {
    world.at("2026-12-20");
    let contract = world.import_contract("ST-4", "home-1m", 2, "2027-01-01").await;
    let first: Vec<SubscriptionId> = world.subscriptions(contract).await.iter().map(|one| one.id).collect();
    let binding = world.bound_to("day-ratio", json!({})).await;
    world.at("2026-12-21");
    world.upgraded(binding, "day-rate-rounded", None).await;
    let second = subscribe(world, contract, "home-1m", "2027-01-01").await;
    world.migrated(binding, named(&[first[0]])).await;
    world.at("2026-12-22");
    let upgraded = world.upgraded(binding, "hostile-proration", None).await;
    assert_eq!(upgraded.staying.len(), 2);
    assert_eq!(upgraded.staying[1].subscriptions, 2, "the one that was started since, and the one that went over");
    let third = subscribe(world, contract, "home-1m", "2027-01-01").await;
    let run = world.closed("2027-01-01").await;
    let by = world.decided(run.id, false).await;
    assert_eq!(by[&first[0]], "day-rate-rounded");
    assert_eq!(by[&first[1]], "day-ratio");
    assert_eq!(by[&second], "day-rate-rounded");
    assert_ne!(by[&third], "day-rate-rounded");
    let migrated = world.migrated(binding, named(&[first[1]])).await;
    assert_eq!(migrated.staying[1].subscriptions, 2, "it goes over to what the binding has now");
    assert_eq!(migrated.staying[0].subscriptions, upgraded.staying[0].subscriptions - 1);
    world.proven().await;
}

/// A dealer below the operator, who uses its bindings.
async fn tenants_below_stay_on_what_they_inherited_and_migrate_their_own(world: &World) {
    let (altyn, request) = (&world.altyn, world.request());
    world.at("2026-10-01");
    let mut shared = Vec::new();
    for (name, config) in [
        ("day-ratio", json!({})),
        ("number-template", json!({ "template": "Д-{seq}", "reset": "never" })),
        ("ru-vat", json!({})),
    ] {
        let id = world.bound_to(name, config).await;
        let command = ShareBinding { inheritance: Inheritance::Optional, limits: LoweredLimits::default() };
        altyn.binding_share(&request, id, 1, command).await.unwrap();
        shared.push(id);
    }
    let tax = shared[2];
    let dealer = CreateTenant {
        name: "Дилер".into(),
        locale: None,
        zone: Some("Europe/Moscow".into()),
        currency: Some("RUB".into()),
        run_mode: None,
        run_at: None,
    };
    let dealer = Request::internal(altyn.tenant_create(&request, dealer).await.unwrap().value.id, "test");
    furnish(altyn, &dealer).await;
    let close = async |on: &str| {
        world.at(on);
        let command = StartRun { business_on: day(on), mode: Some(RunMode::Automatic) };
        let run = altyn.run_start(&dealer, command).await.unwrap().value;
        assert_eq!(altyn.run_advance(dealer.tenant, run.id, "host").await.unwrap(), Advanced::Done);
        decided_in(altyn, &dealer, run.id, true).await
    };
    assert_eq!(code(altyn.binding_stays(&dealer, tax).await), "not-found", "it has not used it yet");
    close("2026-11-28").await;
    world.at("2026-11-29");
    world.upgraded(tax, "hostile-tax", None).await;
    let taxed = close("2026-12-28").await;
    assert!(taxed.len() > 10 && taxed.values().all(|by| by == "ru-vat"));
    let stays = altyn.binding_stays(&dealer, tax).await.unwrap().data;
    assert!(stays.len() == 1 && stays[0].subscriptions > 40, "{stays:?}");

    let one = *taxed.keys().next().unwrap();
    let theirs = world.subscriptions(world.contracts[0].id).await[0].id;
    let told = altyn.binding_migrate(&dealer, tax, named(&[one, theirs])).await;
    let Err(ServiceError::Invalid(fields)) = told else { panic!("a stranger's subscription was taken: {told:?}") };
    assert_eq!(fields[0].pointer, "/subscriptions/1");
    assert_eq!(code(altyn.binding_migrate(&dealer, tax, all()).await), "not-found", "all are the owner's to migrate");
    let migrated = altyn.binding_migrate(&dealer, tax, named(&[one])).await.unwrap().value;
    assert_eq!((migrated.migrated, migrated.staying[0].subscriptions), (1, stays[0].subscriptions - 1));
    let taxed = close("2027-01-28").await;
    for (subscription, by) in &taxed {
        assert_eq!(by, if *subscription == one { "hostile-tax" } else { "ru-vat" });
    }
    world.migrated(tax, all()).await;
    assert!(close("2027-02-28").await.values().all(|by| by == "hostile-tax"));
    assert_eq!(altyn.binding_stays(&dealer, tax).await.unwrap().data, []);
    let report = altyn.verify(&dealer, VerifyOptions { replay_percent: 100 }).await.unwrap();
    assert!(report.ok && report.calls_identical > 0, "{report:#?}");
}

async fn an_upgrade_changes_nothing_for_plans_that_wait_and_a_migration_does(world: &World) {
    let undisturbed = world.twin().await;
    undisturbed.closed("2026-11-28").await;
    let binding = world.bound_to("ru-vat", json!({})).await;
    world.at("2026-11-28");
    let run = world.begin("2026-11-28", RunMode::WithConfirmation).await;
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    let contract = world.contracts[0].id;
    let seen = world.plan(run.id, contract).await;
    world.upgraded(binding, "hostile-tax", None).await;
    let confirm = ConfirmPlan { plan_hash: seen.plan_hash.clone().unwrap() };
    world.altyn.run_confirm(&world.request(), run.id, contract, confirm).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting);
    assert_eq!(world.plan(run.id, contract).await.state, PlanState::Done, "it still holds");
    // Those that are left wait by what they stayed on.
    world.migrated(binding, all()).await;
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    assert_eq!(world.advance(run.id).await, Advanced::Awaiting, "they are others now");
    world.rolled_back(binding).await;
    world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    while world.advance(run.id).await != Advanced::Done {
        world.altyn.run_confirm_all(&world.request(), run.id, ConfirmPlans::default()).await.unwrap();
    }
    same_charges(&undisturbed.charges().await, &world.charges().await);
    world.proven().await;
    undisturbed.end().await;
}

async fn use_is_taxed_by_what_its_subscription_stays_on(world: &World) {
    world.at("2026-11-01");
    let binding = world.bound_to("ru-vat", json!({})).await;
    let (contract, subscription) = metered(world, "ST-5").await;
    world.at("2026-11-02");
    world.upgraded(binding, "hostile-tax", None).await;
    let later = subscribe(world, contract, "metered-1m", "2026-11-02").await;
    world.closed("2026-11-02").await;
    world.at("2026-12-02");
    let events = [(subscription, "old"), (later, "new")];
    let events = events.map(|(subscription, id)| event(id, subscription, "2026-11-05T12:00:00+03:00", "50"));
    recorded(world, events.to_vec()).await;
    for on in ["2026-12-01", "2026-12-02"] {
        world.closed(on).await;
    }
    let charges = usage_charges(world, contract).await;
    assert_eq!(charges.len(), 2);
    let rows: Vec<(Uuid, String)> = world
        .rows(
            "select c.subscription_id, m.plugin_id from charges c
            join invoice_lines l on l.tenant_id = $1 and l.charge_id = c.id
            join plugin_calls p on p.tenant_id = $1 and p.id = l.tax_call_id
            join components m on m.digest = p.component_digest
            where c.tenant_id = $1 and c.kind = 'usage' and c.contract_id = $2",
            (world.tenant.0, contract.0),
        )
        .await;
    let by: BTreeMap<Uuid, String> = rows.into_iter().collect();
    assert_eq!((by[&subscription.uuid()].as_str(), by[&later.uuid()].as_str()), ("ru-vat", "hostile-tax"));
    world.proven().await;
}

async fn a_component_on_trial_decides_for_nobody_who_stays(world: &World) {
    world.at("2026-12-20");
    let contract = world.import_contract("ST-6", "home-1m", 1, "2027-01-01").await;
    let old = world.subscriptions(contract).await[0].id;
    let binding = world.bound_to("ru-vat", json!({ "regime": "usn-5" })).await;
    world.at("2026-12-21");
    world.upgraded(binding, "ru-vat", None).await;
    let new = subscribe(world, contract, "home-1m", "2027-01-01").await;
    let command = StartCanary {
        component: world.digest("hostile-tax").await,
        config: Some(json!({})),
        share_bp: 10_000,
        tenants: Vec::new(),
        most_fault_bp: 100,
        least_decisions: 1_000,
    };
    let trial = world.altyn.canary_start(&world.request(), binding, command).await.unwrap().value;
    let run = world.closed("2027-01-01").await;
    let taxed = world.decided(run.id, true).await;
    assert_eq!((taxed[&old].as_str(), taxed[&new].as_str()), ("ru-vat", "hostile-tax"));
    let counted = world.altyn.canary_get(&world.request(), binding).await.unwrap();
    assert_eq!((counted.decisions, counted.present_decisions), (1, 0), "who stays tells nothing of the trial");

    // It was on trial over whoever was there, so its promotion takes all along; the way back is that of an upgrade.
    let version = counted.version;
    world.altyn.canary_promote(&world.request(), trial.binding_id, version).await.unwrap();
    assert_eq!(world.stays(binding).await, []);
    let run = world.closed("2027-02-01").await;
    assert!(world.decided(run.id, true).await.values().all(|by| by == "hostile-tax"));
    assert_eq!(world.rolled_back(binding).await.staying.len(), 1);
    world.proven().await;
}

async fn stays_are_refused_where_they_mean_nothing_and_end_with_their_binding(world: &World) {
    let (altyn, request) = (&world.altyn, world.request());
    let config = json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" });
    let numbering = world.bound_to("number-template", config.clone()).await;
    let component = world.digest("number-template").await;
    let upgrade = |existing| UpgradeBinding { component: component.clone(), config: Some(config.clone()), existing };
    let told = altyn.binding_upgrade(&request, numbering, 1, upgrade(Some(Existing::Stay))).await;
    let Err(ServiceError::Invalid(fields)) = told else { panic!("numbers do not stay: {told:?}") };
    assert_eq!(fields[0].pointer, "/existing");
    for existing in [None, Some(Existing::Migrate)] {
        let version = altyn.binding_get(&request, numbering).await.unwrap().version;
        let upgraded = altyn.binding_upgrade(&request, numbering, version, upgrade(existing)).await.unwrap().value;
        assert_eq!(upgraded.staying, []);
    }
    for (command, pointer) in [
        (MigrateBinding::default(), "/subscriptions"),
        (MigrateBinding { all: true, ..named(&[SubscriptionId(Uuid::nil())]) }, "/subscriptions"),
        (named(&[SubscriptionId(Uuid::nil()); 1_001]), "/subscriptions"),
        (named(&[SubscriptionId(Uuid::nil())]), "/subscriptions/0"),
    ] {
        let told = altyn.binding_migrate(&request, numbering, command).await;
        let Err(ServiceError::Invalid(fields)) = told else { panic!("{told:?}") };
        assert_eq!(fields[0].pointer, pointer);
    }
    let nobody = BindingId(Uuid::nil());
    assert_eq!(code(altyn.binding_migrate(&request, nobody, all()).await), "not-found");
    assert_eq!(code(altyn.binding_stays(&request, nobody).await), "not-found");

    let binding = world.bound_to("ru-vat", json!({})).await;
    // Given what it has anyway, nobody stays on anything.
    assert_eq!(world.upgraded(binding, "ru-vat", None).await.staying, []);
    for turn in 0..MOST_STAYS {
        let name = if turn % 2 == 0 { "hostile-tax" } else { "ru-vat" };
        assert_eq!(world.upgraded(binding, name, None).await.staying.len(), turn + 1);
    }
    let before = altyn.binding_get(&request, binding).await.unwrap();
    let one_more =
        UpgradeBinding { component: world.digest("hostile-tax").await, config: Some(json!({})), existing: None };
    assert_eq!(code(altyn.binding_upgrade(&request, binding, before.version, one_more).await), "too-many-stays");
    assert_eq!(altyn.binding_get(&request, binding).await.unwrap(), before, "nothing of it is written");
    altyn.binding_end(&request, binding, before.version).await.unwrap();
    assert_eq!(world.stays(binding).await, []);
    assert_eq!(world.migrated(binding, all()).await.migrated, 0);
}
