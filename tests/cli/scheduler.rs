//! The work that starts by itself, with time as an argument.

use std::sync::Arc;

use altyn::{
    Altyn, compose_at,
    config::{Config, Database},
    scheduler::{Scheduler, Ticked},
};
use altyn_domain::{id::TenantId, plugin::World, run::RunState};
use altyn_service::{
    IdempotencyKey, Request,
    imports::{ImportKind, ImportOptions},
    page::Page,
    plugins::CreateBinding,
    ports::{Ids as _, SystemIds, VirtualClock},
    products::CreateProduct,
    runs::{RunView, StartRun},
    sandbox::EnterSandbox,
    scheduler::{JobFilter, JobState},
    settings::TrustSettings,
    tenants::CreateTenant,
};
use altyn_store::{Db, Scope, Sql, jobs, runs};
use chrono::{DateTime, NaiveDate, Utc};

use crate::desk::plugins;

const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";

/// Runs each rule on SQLite and on PostgreSQL.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::House::on_sqlite().await).await;
            } )+
        }
        mod postgres {
            $( #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::House::on_postgres().await).await;
            } )+
        }
    };
}

on_both_engines!(
    the_first_daily_run_waits_until_every_decision_has_a_plugin,
    a_day_is_closed_at_the_tenants_local_time_and_once,
    missed_days_are_caught_up_in_order_one_a_tick,
    a_cancelled_day_is_not_started_again_and_holds_up_nothing,
    work_that_fails_is_tried_again_later,
    days_around_a_clock_change_are_closed_once_at_the_tenants_time,
    a_clock_set_back_waits_and_tells_and_goes_on_when_it_has_caught_up,
    a_clock_that_once_lay_ahead_is_accepted_by_a_person,
    two_hosts_close_each_day_once_whatever_their_clocks_say,
    a_stopping_host_gives_its_leases_back,
    a_job_that_was_given_up_is_seen_and_tried_again,
    what_was_kept_long_enough_is_deleted_and_nothing_else,
    many_old_rows_are_deleted_in_bounded_parts,
);

struct House {
    url: String,
    altyn: Altyn,
    clock: Arc<VirtualClock>,
    scheduler: Scheduler,
    _folder: tempfile::TempDir,
}

impl House {
    async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("altyn.db").display());
        Self::at(url, folder).await
    }

    async fn on_postgres() -> Self {
        let server = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
            panic!("set {POSTGRES_URL} to a PostgreSQL whose role may create databases, or run `cargo xtask test`")
        });
        let name = format!("altyn_scheduler_{}", SystemIds::default().next().simple());
        Self::at(Db::create_postgres_database(&server, &name).await.unwrap(), tempfile::tempdir().unwrap()).await
    }

    async fn at(url: String, folder: tempfile::TempDir) -> Self {
        Db::migrate(&url).await.unwrap();
        let config = Config {
            database: Database { url: url.clone(), connections: 4 },
            trust: TrustSettings::development(),
            ..Config::default()
        };
        let clock = Arc::new(VirtualClock::new(at("2026-11-01T09:00:00Z")));
        let altyn = compose_at(&config, Arc::clone(&clock) as _).await.unwrap();
        let scheduler = Scheduler::new(altyn.clone());
        Self { url, altyn, clock, scheduler, _folder: folder }
    }

    async fn tenant(&self) -> TenantId {
        self.tenant_in("Europe/Moscow", "03:00").await
    }

    async fn tenant_in(&self, zone: &str, run_at: &str) -> TenantId {
        let command: CreateTenant = serde_json::from_value(serde_json::json!({
            "name": "Оператор", "zone": zone, "run_at": run_at, "run_mode": "automatic",
        }))
        .unwrap();
        self.altyn.tenant_create_root(command).await.unwrap().id
    }

    async fn bind(&self, tenant: TenantId, plugin: &str) {
        let request = Request::internal(tenant, "test");
        let wasm = std::fs::read(plugins().join(format!("{plugin}.wasm"))).unwrap();
        let component = self.altyn.plugin_install(&request, wasm).await.unwrap().value.digest;
        let config = match plugin {
            "number-template" => serde_json::json!({ "template": "{seq}" }),
            _ => serde_json::json!({}),
        };
        let effective_from = "2026-01-01".parse().unwrap();
        let command = CreateBinding { component, config, priority: 0, effective_from };
        self.altyn.binding_create(&request, command).await.unwrap();
    }

    async fn bound_tenant(&self) -> TenantId {
        self.bound(self.tenant().await).await
    }

    /// Another host over the same database, with connections and a clock of its own.
    async fn host(&self, now: &str) -> (Altyn, Arc<VirtualClock>) {
        let config = Config { database: Database { url: self.url.clone(), connections: 4 }, ..Config::default() };
        let clock = Arc::new(VirtualClock::new(at(now)));
        (compose_at(&config, Arc::clone(&clock) as _).await.unwrap(), clock)
    }

    async fn bound(&self, tenant: TenantId) -> TenantId {
        for plugin in ["day-ratio", "ru-vat", "number-template"] {
            self.bind(tenant, plugin).await;
        }
        tenant
    }

    /// A contract that has something to pay on `renews_on`.
    async fn sell(&self, tenant: TenantId, renews_on: &str) {
        let request = Request::internal(tenant, "test");
        let seller = serde_json::json!({ "name": "ООО", "kind": "legal-entity", "vat_regime": "general", "inn": "0077990015",
            "kpp": "007701001", "ogrn": "1190099001003" });
        let seller = self.altyn.seller_create(&request, serde_json::from_value(seller).unwrap()).await.unwrap();
        let options =
            ImportOptions { seller: seller.value.id, dry_run: false, external_system: Some("books".to_owned()) };
        for (kind, file) in [
            (ImportKind::Plans, "Продукт;Период;Цена с НДС;Валюта;Ставка НДС;Название\nnet;1m;690.00;RUB;22;Интернет".to_owned()),
            (
                ImportKind::Customers,
                "Название;Тип;Начальный баланс;Внешний ID;ИНН;КПП;ОГРН;E-mail;Телефон;Адрес\nЗорин;ФЛ;0;1;;;;;;".to_owned(),
            ),
            (
                ImportKind::Contracts,
                "Номер договора;Внешний ID клиента;Дата;Тип расчётов;Валюта;Кредитный лимит\nЛ-1;1;2026-01-01;prepaid;RUB;0"
                    .to_owned(),
            ),
            (
                ImportKind::Subscriptions,
                format!(
                    "Номер договора;Продукт;Период;Дата продления;Количество;Скидка, %;Внешний ID\nЛ-1;net;1m;{renews_on};1;;1"
                ),
            ),
        ] {
            let report =
                self.altyn.import_books(&request, kind, "book.csv", file.into_bytes(), options.clone()).await.unwrap();
            assert_eq!(report.value.rows_created, 1, "{:?}", report.value.errors);
        }
    }

    async fn tick(&mut self, now: &str) -> Ticked {
        self.clock.set(at(now));
        self.scheduler.tick(at(now)).await.unwrap()
    }

    async fn runs(&self, tenant: TenantId) -> Vec<RunView> {
        let request = Request::internal(tenant, "test");
        self.altyn.run_list(&request, &Page { limit: Some(100), cursor: None }).await.unwrap().data
    }

    async fn days(&self, tenant: TenantId) -> Vec<String> {
        self.runs(tenant).await.iter().map(|run| run.business_on.to_string()).collect()
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn the_first_daily_run_waits_until_every_decision_has_a_plugin(mut house: House) {
    let tenant = house.tenant().await;
    let request = Request::internal(tenant, "test");
    assert_eq!(house.tick("2026-11-02T00:00:00Z").await, Ticked::default());
    // Whoever asks is told what is missing.
    assert_eq!(house.altyn.scheduler_status(&request).await.unwrap().unbound, World::BILLING);
    house.bind(tenant, "day-ratio").await;
    house.bind(tenant, "ru-vat").await;
    assert_eq!(house.tick("2026-11-02T00:00:01Z").await, Ticked::default());
    assert_eq!(house.altyn.scheduler_status(&request).await.unwrap().unbound, [World::NumberingScheme]);
    house.bind(tenant, "number-template").await;
    let ticked = house.tick("2026-11-02T00:00:02Z").await;
    assert_eq!(house.altyn.scheduler_status(&request).await.unwrap().unbound, []);
    assert_eq!((ticked.runs_started, ticked.jobs_done), (1, 1));
    assert_eq!(house.days(tenant).await, ["2026-11-01"]);
}

async fn a_day_is_closed_at_the_tenants_local_time_and_once(mut house: House) {
    let tenant = house.bound_tenant().await;
    house.tick("2026-11-02T00:00:00Z").await;
    assert_eq!(house.tick("2026-11-02T23:59:59Z").await.runs_started, 0, "it is 02:59 in Moscow");
    let ticked = house.tick("2026-11-03T00:00:00Z").await;
    assert_eq!((ticked.runs_started, ticked.jobs_done), (1, 1));
    assert_eq!(house.tick("2026-11-03T00:00:01Z").await, Ticked::default());
    let runs = house.runs(tenant).await;
    assert_eq!(house.days(tenant).await, ["2026-11-01", "2026-11-02"]);
    assert!(runs.iter().all(|run| run.state == RunState::Done));
}

async fn missed_days_are_caught_up_in_order_one_a_tick(mut house: House) {
    let tenant = house.bound_tenant().await;
    house.tick("2026-11-02T00:00:00Z").await;
    for _ in 0..5 {
        house.tick("2026-11-06T12:00:00Z").await;
    }
    assert_eq!(house.days(tenant).await, ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05"]);
    assert_eq!(house.tick("2026-11-06T12:00:01Z").await, Ticked::default());
}

async fn a_cancelled_day_is_not_started_again_and_holds_up_nothing(mut house: House) {
    let tenant = house.bound_tenant().await;
    house.sell(tenant, "2026-11-02").await;
    house.tick("2026-11-02T00:00:00Z").await;
    let request = Request::internal(tenant, "test");
    house.clock.set(at("2026-11-02T12:00:00Z"));
    let business_on: NaiveDate = "2026-11-02".parse().unwrap();
    let run = house.altyn.run_start(&request, StartRun { business_on, mode: None }).await.unwrap().value;
    house.altyn.run_cancel(&request, run.id).await.unwrap();
    house.tick("2026-11-04T00:00:00Z").await;
    house.tick("2026-11-04T00:00:01Z").await;
    let states: Vec<_> = house.runs(tenant).await.iter().map(|run| (run.business_on.to_string(), run.state)).collect();
    let expected =
        [("2026-11-01", RunState::Done), ("2026-11-02", RunState::Cancelled), ("2026-11-03", RunState::Done)];
    assert_eq!(states, expected.map(|(day, state)| (day.to_owned(), state)));
}

async fn work_that_fails_is_tried_again_later(mut house: House) {
    let tenant = house.bound_tenant().await;
    let request = Request::internal(tenant, "test");
    for binding in house.altyn.binding_list(&request, &Page::default()).await.unwrap().data {
        house.altyn.binding_end(&request, binding.id, binding.version).await.unwrap();
    }
    let business_on: NaiveDate = "2026-10-31".parse().unwrap();
    house.altyn.run_start(&request, StartRun { business_on, mode: None }).await.unwrap();
    let ticked = house.tick("2026-11-01T10:00:00Z").await;
    assert_eq!((ticked.jobs_done, ticked.jobs_failed), (0, 1), "no plugin is bound");
    assert_eq!(house.tick("2026-11-01T10:00:04Z").await, Ticked::default(), "the first wait is five seconds");
    for plugin in ["day-ratio", "ru-vat", "number-template"] {
        house.bind(tenant, plugin).await;
    }
    let ticked = house.tick("2026-11-01T10:00:05Z").await;
    assert_eq!((ticked.jobs_done, ticked.jobs_failed), (1, 0));
    assert_eq!(house.runs(tenant).await[0].state, RunState::Done);
}

async fn days_around_a_clock_change_are_closed_once_at_the_tenants_time(mut house: House) {
    // Berlin skips 02:00 to 03:00 on 29 March 2026 and has it twice on 25 October.
    for (from, days, instants) in [
        (
            "2026-03-27T12:00:00Z",
            ["2026-03-27", "2026-03-28", "2026-03-29"],
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        ),
        (
            "2026-10-23T12:00:00Z",
            ["2026-10-23", "2026-10-24", "2026-10-25"],
            ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        ),
    ] {
        let tenant = house.bound(house.tenant_in("Europe/Berlin", "02:30").await).await;
        // The first run closes the day that is over when the tenant begins; the days after it are under test.
        house.tick(from).await;
        let mut started = Vec::new();
        let mut now = at(from);
        while started.len() < days.len() {
            now += chrono::TimeDelta::minutes(30);
            let before = house.days(tenant).await.len();
            house.tick(&now.to_rfc3339()).await;
            if house.days(tenant).await.len() > before {
                started.push(now);
            }
        }
        assert_eq!(house.days(tenant).await[1..], days);
        assert_eq!(started, instants.map(at));
    }
}

async fn a_clock_set_back_waits_and_tells_and_goes_on_when_it_has_caught_up(mut house: House) {
    let tenant = house.bound_tenant().await;
    house.tick("2026-11-02T00:00:00Z").await;
    house.tick("2026-11-03T00:00:00Z").await;
    assert_eq!(house.days(tenant).await, ["2026-11-01", "2026-11-02"]);
    let request = Request::internal(tenant, "test");
    house.sell(tenant, "2026-11-02").await;
    // An hour back: work that is due waits, and everybody who asks is told.
    house.clock.set(at("2026-11-02T23:00:00Z"));
    let business_on: NaiveDate = "2026-11-03".parse().unwrap();
    house.clock.set(at("2026-11-03T12:00:00Z"));
    house.altyn.run_start(&request, StartRun { business_on, mode: None }).await.unwrap();
    let ticked = house.tick("2026-11-02T23:00:00Z").await;
    assert_eq!(ticked, Ticked { clock_behind_ms: 3_600_000, ..Ticked::default() });
    let status = house.altyn.scheduler_status(&request).await.unwrap();
    assert_eq!((status.clock_behind_ms, status.clock_seen_at), (3_600_000, Some(at("2026-11-03T00:00:00Z"))));
    assert_eq!((status.clock_behind_since, status.jobs_ready), (Some(at("2026-11-02T23:00:00Z")), 1));
    // What time synchronisation leaves between hosts is no alarm.
    assert_eq!(house.tick("2026-11-02T23:59:55Z").await.clock_behind_ms, 0);
    assert_eq!(house.tick("2026-11-03T12:00:00Z").await.jobs_done, 1);
    let status = house.altyn.scheduler_status(&request).await.unwrap();
    assert_eq!((status.clock_behind_ms, status.clock_behind_since, status.jobs_ready), (0, None, 0));
    assert_eq!(house.days(tenant).await, ["2026-11-01", "2026-11-02", "2026-11-03"]);
}

async fn a_clock_that_once_lay_ahead_is_accepted_by_a_person(mut house: House) {
    house.tick("2099-01-01T00:00:00Z").await;
    assert!(house.tick("2026-11-02T00:00:00Z").await.clock_behind_ms > 0);
    house.altyn.clock_accept().await.unwrap();
    assert_eq!(house.tick("2026-11-02T00:00:01Z").await, Ticked::default());
}

async fn two_hosts_close_each_day_once_whatever_their_clocks_say(mut house: House) {
    let tenant = house.bound_tenant().await;
    house.sell(tenant, "2026-11-02").await;
    house.tick("2026-11-02T00:00:00Z").await;
    let mut hosts = Vec::new();
    for lag_minutes in [0, -60, 60] {
        let (altyn, clock) = house.host("2026-11-02T00:00:00Z").await;
        hosts.push((Scheduler::new(altyn), clock, chrono::TimeDelta::minutes(lag_minutes)));
    }
    let from = at("2026-11-02T00:00:00Z");
    let mut waited = 0;
    // Six days in steps of an hour, all hosts at once; for two of them nobody is there.
    for step in (0..24 * 6).filter(|step| !(48..96).contains(step)) {
        let now = from + chrono::TimeDelta::hours(step);
        let mut ticking = Vec::new();
        for (mut scheduler, clock, lag) in hosts.drain(..) {
            ticking.push(tokio::spawn(async move {
                clock.set(now + lag);
                let ticked = scheduler.tick(now + lag).await.unwrap();
                assert_eq!(ticked.tenants_failed, 0);
                ((scheduler, clock, lag), ticked)
            }));
        }
        for task in ticking {
            let (host, ticked) = task.await.unwrap();
            waited += i32::from(ticked.clock_behind_ms > 0);
            hosts.push(host);
        }
    }
    assert!(waited >= 80, "the hosts that lag waited {waited} times");
    let expected: Vec<String> =
        (0..6).map(|day| (from.date_naive() - chrono::Days::new(1) + chrono::Days::new(day)).to_string()).collect();
    let days = house.days(tenant).await;
    assert_eq!(days[..6], expected);
    assert!(house.runs(tenant).await.iter().all(|run| run.state == RunState::Done));
    let charged: i64 = house.runs(tenant).await.iter().map(|run| run.charges).sum();
    assert_eq!(charged, 1, "the subscription fell due once");
    for (mut scheduler, ..) in hosts {
        scheduler.stop().await.unwrap();
    }
}

async fn a_stopping_host_gives_its_leases_back(mut house: House) {
    let tenant = house.bound_tenant().await;
    let request = Request::internal(tenant, "test");
    let business_on: NaiveDate = "2026-10-31".parse().unwrap();
    house.altyn.run_start(&request, StartRun { business_on, mode: None }).await.unwrap();
    // A host claims the job and stops before it did anything.
    let mut stopping = Scheduler::new(house.altyn.clone());
    let mut tx = house.altyn.db.write(Scope::Tenant(tenant.0)).await.unwrap();
    let (now, wall) =
        (at("2026-11-01T10:00:00Z"), altyn_service::ports::Clock::now(&altyn_service::ports::SystemClock));
    let until = wall + chrono::TimeDelta::hours(1);
    let claimed = jobs::claim(&mut tx, tenant.0, stopping.owner(), until, now, wall).await.unwrap();
    let claimed = claimed.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(house.tick("2026-11-01T10:00:00Z").await.jobs_done, 0, "the lease is alive");
    assert_eq!(house.altyn.scheduler_status(&request).await.unwrap().jobs_held, 1);
    stopping.stop().await.unwrap();
    assert_eq!(house.tick("2026-11-01T10:00:01Z").await.jobs_done, 1);
    let mut tx = house.altyn.db.write(Scope::Tenant(tenant.0)).await.unwrap();
    let late = jobs::finish(&mut tx, tenant.0, claimed.id, claimed.fence, now).await.unwrap();
    assert!(!late, "its fence is stale");
}

async fn a_job_that_was_given_up_is_seen_and_tried_again(mut house: House) {
    let tenant = house.bound_tenant().await;
    let request = Request::internal(tenant, "test");
    for binding in house.altyn.binding_list(&request, &Page::default()).await.unwrap().data {
        house.altyn.binding_end(&request, binding.id, binding.version).await.unwrap();
    }
    let business_on: NaiveDate = "2026-10-31".parse().unwrap();
    house.altyn.run_start(&request, StartRun { business_on, mode: None }).await.unwrap();
    let mut now = at("2026-11-01T10:00:00Z");
    for _ in 0..20 {
        house.tick(&now.to_rfc3339()).await;
        now += chrono::TimeDelta::minutes(10);
    }
    let status = house.altyn.scheduler_status(&request).await.unwrap();
    assert_eq!((status.jobs_ready, status.jobs_dead), (0, 1));
    let filter = JobFilter { state: Some(JobState::Dead) };
    let dead = house.altyn.job_list(&request, filter, &Page::default()).await.unwrap().data.remove(0);
    assert!(dead.last_error.unwrap().contains("no plugin is bound"), "it says why");
    for plugin in ["day-ratio", "ru-vat", "number-template"] {
        house.bind(tenant, plugin).await;
    }
    let revived = house.altyn.job_retry(&request, dead.id).await.unwrap().value;
    assert_eq!((revived.state, revived.attempts), (JobState::Ready, 0));
    assert_eq!(house.tick(&now.to_rfc3339()).await.jobs_done, 1);
    assert_eq!(house.altyn.job_retry(&request, dead.id).await.unwrap().value.state, JobState::Done);
    let stranger = house.tenant().await;
    assert!(house.altyn.job_get(&Request::internal(stranger, "test"), dead.id).await.is_err());
}

/// A product made under a key; whether the answer was repeated.
async fn make_product(house: &House, tenant: TenantId) -> bool {
    let key = IdempotencyKey { key: "once".into(), request: "POST /v1/products".into(), fingerprint: [7; 32] };
    let request = Request { key: Some(key), ..Request::internal(tenant, "test") };
    // By the tenant's own time, as over HTTP.
    let altyn = house.altyn.acting_for(tenant).await.unwrap();
    let code = format!("p-{}", altyn.ids.next().simple());
    let command = CreateProduct { code, title: "Интернет".into(), tax_category: "standard".into() };
    altyn.product_create(&request, command).await.unwrap().replayed
}

async fn what_was_kept_long_enough_is_deleted_and_nothing_else(mut house: House) {
    let (tenant, apart) = (house.tenant().await, house.tenant().await);
    let inside = Request::internal(apart, "test");
    house.altyn.sandbox_enter(&inside, EnterSandbox { now_at: None }).await.unwrap();
    let request = Request::internal(tenant, "test");
    let begun = at("2026-11-01T09:00:00Z");
    assert!(!make_product(&house, tenant).await && !make_product(&house, apart).await);
    let mut tx = house.altyn.db.write(Scope::Tenant(tenant.0)).await.unwrap();
    let ids = &house.altyn.ids;
    runs::outbox_insert(&mut tx, tenant.0, ids.next(), "test.event", "x", "{}", begun).await.unwrap();
    // One job that is done, one that was given up and one whose day is far away.
    for (key, due) in [("done", begun), ("dead", begun), ("ready", at("2099-01-01T00:00:00Z"))] {
        let id = ids.next();
        jobs::put(&mut tx, tenant.0, id, "none-such", key, "{}", due, begun).await.unwrap();
        match key {
            "done" => assert!(jobs::finish(&mut tx, tenant.0, id, 0, begun).await.unwrap()),
            "dead" => jobs::retry(&mut tx, tenant.0, id, 0, due, "because", true).await.unwrap(),
            _ => {}
        }
    }
    tx.commit().await.unwrap();

    let status = house.altyn.scheduler_status(&request).await.unwrap();
    let kept = (status.oldest_answer_at, status.oldest_event_at, status.oldest_done_job_at);
    assert_eq!(kept, (Some(begun), Some(begun), Some(begun)));
    assert_eq!(house.tick("2026-12-01T09:00:00Z").await.rows_purged, 0, "thirty days are not over");
    assert!(make_product(&house, tenant).await, "the key repeats its answer");
    assert_eq!(house.tick("2026-12-01T09:59:00Z").await.rows_purged, 0, "a look an hour is enough");
    // The answer and the job.
    assert_eq!(house.tick("2026-12-01T10:00:00Z").await.rows_purged, 2);
    let status = house.altyn.scheduler_status(&request).await.unwrap();
    let kept = (status.oldest_answer_at, status.oldest_event_at, status.oldest_done_job_at);
    assert_eq!(kept, (None, Some(begun), None));
    assert!(!make_product(&house, tenant).await, "the key is free again");
    assert_eq!(house.tick("2027-01-30T09:00:01Z").await.rows_purged, 2, "the event, and the answer of December");
    let status = house.altyn.scheduler_status(&request).await.unwrap();
    assert_eq!((status.oldest_event_at, status.jobs_ready, status.jobs_dead), (None, 1, 1));
    assert!(make_product(&house, apart).await, "a sandbox keeps its own until it is wiped");
}

async fn many_old_rows_are_deleted_in_bounded_parts(mut house: House) {
    const EVENTS: Sql = Sql::each(
        "insert into outbox (tenant_id, id, kind, subject, payload, created_at, delivered_at)
        with recursive n (i) as (select 1 union all select i + 1 from n where i < 20500)
        select $1, randomblob(16), 'test.event', 'x', '{}', $2, null from n",
        "insert into outbox (tenant_id, id, kind, subject, payload, created_at, delivered_at)
        select $1, gen_random_uuid(), 'test.event', 'x', '{}', $2, null from generate_series(1, 20500)",
    );
    let (tenant, other) = (house.tenant().await, house.tenant().await);
    for (owner, written) in [(tenant, "2026-11-01T09:00:00Z"), (other, "2026-12-31T00:00:00Z")] {
        let mut tx = house.altyn.db.write(Scope::Tenant(owner.0)).await.unwrap();
        assert_eq!(tx.execute(EVENTS, (owner.0, at(written))).await.unwrap(), 20_500);
        tx.commit().await.unwrap();
    }
    assert_eq!(house.tick("2027-02-01T00:00:00Z").await.rows_purged, 20_000);
    // The rest does not wait for an hour.
    assert_eq!(house.tick("2027-02-01T00:00:01Z").await.rows_purged, 500);
    assert_eq!(house.tick("2027-02-01T00:00:02Z").await.rows_purged, 0);
    let theirs = house.altyn.scheduler_status(&Request::internal(other, "test")).await.unwrap();
    assert_eq!(theirs.oldest_event_at, Some(at("2026-12-31T00:00:00Z")), "young events of others stay");
}
