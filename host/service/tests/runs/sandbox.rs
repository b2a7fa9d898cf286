//! A tenant with a clock of its own: days pass as outside, nothing leaves, and nothing of it outlives a wipe.

use altyn_domain::run::{RunMode, RunState};
use altyn_service::{
    Altyn, Request, ServiceError,
    runs::{ConfirmPlans, RunView},
    sandbox::{AdvanceSandbox, EnterSandbox, SandboxTurn, SandboxView},
    tenants::CreateTenant,
    verify::VerifyOptions,
};
use altyn_store::{Engine, Scope};
use chrono::{DateTime, Utc};

use crate::world::{World, code, day, on_both_engines, page, small_books, small_customers};

on_both_engines!(
    a_month_in_the_future_is_closed_day_by_day,
    the_next_day_waits_for_decisions,
    the_real_clock_does_not_matter_inside_nor_the_inner_one_outside,
    a_wipe_leaves_the_settings_and_nothing_else,
    real_books_never_enter_and_books_of_a_made_up_time_never_leave,
    time_goes_forward_and_within_bounds,
    every_table_of_a_tenant_is_wiped_or_kept_on_purpose,
);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A tenant of its own in a sandbox, on 10 November 2026, with plugins, plans and a few contracts.
struct Inside<'a> {
    world: &'a World,
    request: Request,
}

impl<'a> Inside<'a> {
    async fn enter(world: &'a World) -> Self {
        let command = CreateTenant {
            name: "Пробный".into(),
            locale: None,
            zone: Some("Europe/Moscow".into()),
            currency: None,
            run_mode: None,
            run_at: None,
        };
        let tenant = world.altyn.tenant_create_root(command).await.unwrap().id;
        let inside = Self { world, request: Request::internal(tenant, "test") };
        let entered = EnterSandbox { now_at: Some(at("2026-11-10T09:00:00Z")) };
        let sandbox = world.altyn.sandbox_enter(&inside.request, entered).await.unwrap().value;
        assert_eq!((sandbox.today_on, sandbox.until_at), (day("2026-11-10"), None));
        inside
    }

    async fn with_books(world: &'a World) -> Self {
        let inside = Self::enter(world).await;
        small_books(&inside.altyn().await, &inside.request, "2026-11-12").await;
        inside
    }

    async fn altyn(&self) -> Altyn {
        self.world.altyn.acting_for(self.request.tenant).await.unwrap()
    }

    async fn sandbox(&self) -> SandboxView {
        self.world.altyn.sandbox_get(&self.request).await.unwrap()
    }

    async fn advance(&self, to: Option<&str>, mode: Option<RunMode>) -> Result<SandboxView, ServiceError> {
        let command = AdvanceSandbox { to_on: to.map(day), mode };
        self.world.altyn.sandbox_advance(&self.request, command).await.map(|reply| reply.value)
    }

    /// One look of a host.
    async fn turn(&self) -> SandboxTurn {
        let tenant = self.world.altyn.tenant_get(&self.request, self.request.tenant).await.unwrap();
        self.world.altyn.sandbox_turn(&tenant, "test").await.unwrap().unwrap()
    }

    async fn runs(&self) -> Vec<RunView> {
        let found = self.world.altyn.run_list(&self.request, &page()).await.unwrap();
        assert!(!found.has_more);
        found.data
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let mut tx = self.world.altyn.db.read(Scope::Tenant(self.request.tenant.0)).await.unwrap();
        tx.fetch_all::<(i64,)>(sql, (self.request.tenant.0,)).await.unwrap()[0].0
    }

    async fn prove(&self) {
        let report = self.world.altyn.verify(&self.request, VerifyOptions { replay_percent: 100 }).await.unwrap();
        assert!(report.ok, "{report:#?}");
    }
}

async fn a_month_in_the_future_is_closed_day_by_day(world: &World) {
    let inside = Inside::with_books(world).await;
    let aimed = inside.advance(Some("2026-12-14"), None).await.unwrap();
    assert_eq!((aimed.mode, aimed.until_at), (Some(RunMode::Automatic), Some(at("2026-12-14T00:00:00Z"))));
    assert_eq!(code(inside.advance(None, None).await), "sandbox-under-way");
    let turn = inside.turn().await;
    let runs = inside.runs().await;
    assert_eq!(u32::try_from(runs.len()).unwrap(), turn.runs_started);
    let days: Vec<_> = runs.iter().map(|run| run.business_on).collect();
    let expected: Vec<_> = (0..34).map(|n| day("2026-11-10") + chrono::TimeDelta::days(n)).collect();
    assert_eq!(days, expected, "each day once, in order, up to the one before");
    assert!(runs.iter().all(|run| run.state == RunState::Done && run.mode == RunMode::Automatic));
    let billed: Vec<_> = runs.iter().filter(|run| run.invoices > 0).map(|run| run.business_on).collect();
    assert_eq!(billed, [day("2026-11-12"), day("2026-12-12")], "monthly from the day they begin");
    let sandbox = inside.sandbox().await;
    assert_eq!((sandbox.now_at, sandbox.until_at, sandbox.mode), (at("2026-12-14T00:00:00Z"), None, None));
    assert_eq!(inside.turn().await, SandboxTurn::default(), "the time stands still");
    inside.prove().await;
}

async fn the_next_day_waits_for_decisions(world: &World) {
    let inside = Inside::with_books(world).await;
    inside.advance(Some("2026-11-12"), None).await.unwrap();
    inside.turn().await;
    let aimed = inside.advance(None, None).await.unwrap();
    assert_eq!((aimed.mode, aimed.until_at), (Some(RunMode::WithConfirmation), Some(at("2026-11-13T00:00:00Z"))));
    inside.turn().await;
    let run = inside.runs().await.pop().unwrap();
    assert_eq!((run.business_on, run.state), (day("2026-11-12"), RunState::Awaiting));
    assert!(run.awaiting > 0 && run.invoices == 0, "{run:?}");
    let arrived = inside.sandbox().await;
    assert_eq!(
        (arrived.now_at, arrived.until_at, arrived.open_day_on),
        (at("2026-11-13T00:00:00Z"), None, Some(day("2026-11-12")))
    );
    assert_eq!(code(inside.advance(None, None).await), "earlier-run-open", "no day is passed over");

    inside.altyn().await.run_confirm_all(&inside.request, run.id, ConfirmPlans::default()).await.unwrap();
    inside.turn().await;
    let run = inside.runs().await.pop().unwrap();
    assert_eq!((run.state, run.awaiting), (RunState::Done, 0));
    assert!(run.invoices > 0);
    assert_eq!(inside.sandbox().await.open_day_on, None);

    // Farther with confirmation: it stops at the first day with something to decide, and goes on by itself afterwards.
    inside.advance(Some("2027-01-20"), Some(RunMode::WithConfirmation)).await.unwrap();
    // What ended is realised on its last day, the renewals follow on the next.
    for stops_on in ["2026-12-11", "2026-12-12", "2027-01-11", "2027-01-12"] {
        inside.turn().await;
        let stopped = inside.sandbox().await;
        assert_eq!((stopped.open_day_on, stopped.until_at.is_some()), (Some(day(stops_on)), true));
        assert_eq!(code(inside.advance(None, None).await), "sandbox-under-way");
        let run = inside.runs().await.into_iter().find(|run| run.business_on == day(stops_on)).unwrap();
        inside.altyn().await.run_confirm_all(&inside.request, run.id, ConfirmPlans::default()).await.unwrap();
    }
    inside.turn().await;
    assert_eq!(inside.sandbox().await.today_on, day("2027-01-20"));
    inside.prove().await;
}

async fn the_real_clock_does_not_matter_inside_nor_the_inner_one_outside(world: &World) {
    let inside = Inside::with_books(world).await;
    assert_eq!(inside.altyn().await.clock.now(), at("2026-11-10T09:00:00Z"));
    assert_eq!(world.altyn.acting_for(world.tenant).await.unwrap().clock.now(), world.altyn.clock.now());
    // The inner today is the last day that may be closed there, whatever the time outside is.
    let start = |on: &str| altyn_service::runs::StartRun { business_on: day(on), mode: Some(RunMode::Automatic) };
    let early = inside.altyn().await.run_start(&inside.request, start("2026-11-11")).await;
    assert_eq!(code(early), "day-not-over");
    inside.altyn().await.run_start(&inside.request, start("2026-11-10")).await.unwrap();
    // The neighbour lives on as before.
    world.close_day("2026-11-10").await;
    world.prove().await;
}

async fn a_wipe_leaves_the_settings_and_nothing_else(world: &World) {
    let inside = Inside::with_books(world).await;
    inside.advance(Some("2026-12-14"), None).await.unwrap();
    inside.turn().await;
    assert!(inside.count("select count(*) from ledger_entries where tenant_id = $1").await > 0);
    let neighbours = world.state().await;
    let plans = inside.count("select count(*) from plans where tenant_id = $1").await;
    assert!(plans > 0);

    let wiped = world.altyn.sandbox_wipe(&inside.request).await.unwrap().value;
    assert!(wiped.now_at > at("2026-11-20T00:00:00Z") && wiped.until_at.is_none(), "the clock shows the real time");
    for (table, _) in altyn_store::sandboxes::WIPED {
        let sql = format!("select count(*) from {table} where tenant_id = $1");
        assert_eq!(inside.count(sql.leak()).await, 0, "{table}");
    }
    assert_eq!(inside.count("select count(*) from plans where tenant_id = $1").await, plans);
    assert!(inside.count("select count(*) from bindings where tenant_id = $1").await >= 3);
    assert_eq!(world.state().await, neighbours, "nobody else lost anything");
    inside.prove().await;

    // What is append-only is so again, and the settings serve new customers.
    let altyn = inside.altyn().await;
    let seller = altyn.seller_list(&inside.request, &page()).await.unwrap().data[0].id;
    small_customers(&altyn, &inside.request, seller, "2026-11-12").await;
    inside.advance(None, Some(RunMode::Automatic)).await.unwrap();
    inside.turn().await;
    let refused = world
        .try_change(
            inside.request.tenant,
            "delete from ledger_entries where tenant_id = $1",
            (inside.request.tenant.0,),
        )
        .await;
    assert!(refused.is_err(), "a sandbox is append-only but for a wipe");

    world.altyn.sandbox_wipe(&inside.request).await.unwrap();
    world.altyn.sandbox_leave(&inside.request).await.unwrap();
    assert!(matches!(world.altyn.sandbox_get(&inside.request).await, Err(ServiceError::NotFound("sandbox"))));
    assert_eq!(inside.altyn().await.clock.now(), world.altyn.clock.now());
}

async fn real_books_never_enter_and_books_of_a_made_up_time_never_leave(world: &World) {
    let entered = world.altyn.sandbox_enter(&world.request(), EnterSandbox::default()).await;
    assert_eq!(code(entered), "sandbox-not-empty");
    // Not even by the back door.
    let forced = "insert into sandboxes (tenant_id, now_at, wiping, version, entered_at)
        select $1, $2, $3, 1, $2 from tenants where id = $1";
    let forced = world.try_change(world.tenant, forced, (world.tenant.0, world.altyn.clock.now(), true)).await;
    assert!(forced.is_err(), "the database lets no tenant with books in");
    assert!(matches!(world.altyn.sandbox_wipe(&world.request()).await, Err(ServiceError::NotFound("sandbox"))));

    let inside = Inside::with_books(world).await;
    assert_eq!(code(world.altyn.sandbox_leave(&inside.request).await), "sandbox-not-empty");
    let again = world.altyn.sandbox_enter(&inside.request, EnterSandbox::default()).await;
    assert_eq!(code(again), "sandbox-entered");
    inside.advance(Some("2026-11-20"), None).await.unwrap();
    assert_eq!(code(world.altyn.sandbox_wipe(&inside.request).await), "sandbox-under-way");
}

async fn time_goes_forward_and_within_bounds(world: &World) {
    let inside = Inside::enter(world).await;
    for to in ["2026-11-10", "2026-11-01", "2029-12-01"] {
        let refused = inside.advance(Some(to), None).await;
        assert!(matches!(refused, Err(ServiceError::Invalid(_))), "{to}: {refused:?}");
    }
    let never = EnterSandbox { now_at: Some(at("1999-12-31T00:00:00Z")) };
    let refused = world.altyn.sandbox_enter(&inside.request, never).await;
    assert!(matches!(refused, Err(ServiceError::Invalid(_))), "{refused:?}");
    // Without plugins there is nothing to close days by; the time goes all the same.
    inside.advance(Some("2026-12-01"), None).await.unwrap();
    assert_eq!(inside.turn().await.runs_started, 0);
    assert_eq!(inside.sandbox().await.today_on, day("2026-12-01"));
}

async fn every_table_of_a_tenant_is_wiped_or_kept_on_purpose(world: &World) {
    /// Settings, and what belongs to the platform.
    const KEPT: &[&str] = &[
        "api_keys",
        "approval_policies",
        "binding_changes",
        "binding_stays",
        "bindings",
        "canaries",
        "change_timings",
        "credit_policies",
        "data_keys",
        "dunning_policies",
        "gateway_endpoints",
        "grants",
        "inherited_bindings",
        "meters",
        "notice_policies",
        "order_policies",
        "outbox_positions",
        "plan_components",
        "plan_versions",
        "plans",
        "plugin_limits",
        "products",
        "sandboxes",
        "secrets",
        "sellers",
        "service_term_plans",
        "service_terms",
    ];
    if world.engine != Engine::Sqlite {
        // The twins have the same tables, which another test says.
        return;
    }
    let tables: Vec<(String,)> = world
        .rows(
            "select m.name from sqlite_master m join pragma_table_info(m.name) c where m.type = 'table'
                and c.name = 'tenant_id' and m.name > $1 order by m.name",
            (String::new(),),
        )
        .await;
    let wiped: Vec<&str> = altyn_store::sandboxes::WIPED.iter().map(|(table, _)| *table).collect();
    for (table,) in &tables {
        let (gone, stays) = (wiped.contains(&table.as_str()), KEPT.contains(&table.as_str()));
        assert!(gone != stays, "{table}: say in `WIPED` or here what a wipe does to it");
    }
    for table in wiped.iter().chain(KEPT) {
        assert!(tables.iter().any(|(known,)| known == table), "{table} is no table");
    }
}
