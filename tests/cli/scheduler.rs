//! The work that starts by itself, with time as an argument.

use std::sync::Arc;

use altyn::{
    Altyn, compose_at,
    config::{Config, Database},
    scheduler::{Scheduler, Ticked},
};
use altyn_domain::{id::TenantId, run::RunState};
use altyn_service::{
    Request,
    imports::{ImportKind, ImportOptions},
    page::Page,
    plugins::CreateBinding,
    ports::{Ids as _, SystemIds, VirtualClock},
    runs::{RunView, StartRun},
    settings::TrustSettings,
    tenants::CreateTenant,
};
use altyn_store::Db;
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
);

struct House {
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
            database: Database { url, connections: 4 },
            trust: TrustSettings::development(),
            ..Config::default()
        };
        let clock = Arc::new(VirtualClock::new(at("2026-11-01T09:00:00Z")));
        let altyn = compose_at(&config, Arc::clone(&clock) as _).await.unwrap();
        let scheduler = Scheduler::new(altyn.clone());
        Self { altyn, clock, scheduler, _folder: folder }
    }

    async fn tenant(&self) -> TenantId {
        let command: CreateTenant = serde_json::from_value(serde_json::json!({
            "name": "Оператор", "zone": "Europe/Moscow", "run_at": "03:00", "run_mode": "automatic",
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
        let tenant = self.tenant().await;
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
    assert_eq!(house.tick("2026-11-02T00:00:00Z").await, Ticked::default());
    house.bind(tenant, "day-ratio").await;
    house.bind(tenant, "ru-vat").await;
    assert_eq!(house.tick("2026-11-02T00:00:01Z").await, Ticked::default());
    house.bind(tenant, "number-template").await;
    let ticked = house.tick("2026-11-02T00:00:02Z").await;
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
