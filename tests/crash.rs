//! The program killed in the middle of billing, again and again: what it leaves is what an undisturbed run leaves.

#![expect(clippy::unwrap_used, reason = "a test stops where something goes wrong")]

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use altyn::{
    Altyn, compose_at,
    config::{Config, Database},
};
use altyn_domain::{
    id::{RunId, TenantId},
    run::{RunMode, RunState},
};
use altyn_service::{
    Request,
    imports::{ImportKind, ImportOptions},
    plugins::CreateBinding,
    ports::{Ids as _, SystemIds, VirtualClock},
    runs::{Advanced, ConfirmPlans, RunView, StartRun},
    settings::TrustSettings,
    tenants::CreateTenant,
    verify::VerifyOptions,
};
use altyn_store::{Db, Engine, Record, Scope};
use chrono::NaiveDate;
use tokio::sync::OnceCell;

const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";
const CONTRACTS: usize = 2_000;
const DAY: &str = "2025-03-31";
/// How long a child may take for the way to its next death, however loaded the machine is.
const LONGEST: Duration = Duration::from_mins(2);

/// What a line of an invoice says: contract, plan, first day of the period, net, tax, gross.
type Line = (String, String, NaiveDate, i64, i64, i64);

/// An operator's database, and an application over it in this process.
struct Books {
    altyn: Altyn,
    tenant: TenantId,
    url: String,
    folder: tempfile::TempDir,
}

/// Pseudo-random moments that are the same in every run of the test.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

fn plugins() -> PathBuf {
    let built = std::env::var_os("ALTYN_PLUGINS_DIR").map(PathBuf::from);
    let folder = built.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plugins"));
    assert!(folder.join("day-ratio.wasm").exists(), "build the components with `cargo xtask plugins`");
    folder
}

impl Books {
    async fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", folder.path().join("altyn.db").display()),
            Engine::Postgres => {
                let server = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
                    panic!(
                        "set {POSTGRES_URL} to a PostgreSQL whose role may create databases, or run `cargo xtask test`"
                    )
                });
                let name = format!("altyn_crash_{}", SystemIds::default().next().simple());
                Db::create_postgres_database(&server, &name).await.unwrap()
            }
        };
        Db::migrate(&url).await.unwrap();
        let config = Config {
            database: Database { url: url.clone(), connections: 4 },
            trust: TrustSettings::development(),
            ..Config::default()
        };
        let clock = Arc::new(VirtualClock::new("2025-04-01T09:00:00Z".parse().unwrap()));
        let altyn = compose_at(&config, clock).await.unwrap();
        let tenant = serde_json::from_value::<CreateTenant>(serde_json::json!({ "name": "Оператор" })).unwrap();
        let tenant = altyn.tenant_create_root(tenant).await.unwrap().id;
        let books = Self { altyn, tenant, url, folder };
        books.bind().await;
        books.sell().await;
        books
    }

    fn request(&self) -> Request {
        Request::internal(self.tenant, "test")
    }

    async fn bind(&self) {
        let numbers = serde_json::json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" });
        for (name, config) in
            [("day-ratio", serde_json::json!({})), ("ru-vat", serde_json::json!({})), ("number-template", numbers)]
        {
            let wasm = std::fs::read(plugins().join(format!("{name}.wasm"))).unwrap();
            let component = self.altyn.plugin_install(&self.request(), wasm).await.unwrap().value.digest;
            let effective_from = "2020-01-01".parse().unwrap();
            let command = CreateBinding { component, config, priority: 0, effective_from };
            self.altyn.binding_create(&self.request(), command).await.unwrap();
        }
    }

    /// Contracts of which every second pays for two things, some by the week and with weeks to catch up.
    async fn sell(&self) {
        let seller = serde_json::json!({ "name": "ООО", "kind": "legal-entity", "vat_regime": "general",
            "inn": "0077990015", "kpp": "007701001", "ogrn": "1190099001003" });
        let seller = self.altyn.seller_create(&self.request(), serde_json::from_value(seller).unwrap()).await.unwrap();
        let plans = "Продукт;Период;Цена с НДС;Валюта;Ставка НДС;Название\n\
            net;1m;690.00;RUB;22;Интернет\ntv;7d;70.01;RUB;10;Телевидение";
        let mut customers = "Название;Тип;Начальный баланс;Внешний ID;ИНН;КПП;ОГРН;E-mail;Телефон;Адрес\n".to_owned();
        let mut contracts = "Номер договора;Внешний ID клиента;Дата;Тип расчётов;Валюта;Кредитный лимит\n".to_owned();
        let mut subscriptions =
            "Номер договора;Продукт;Период;Дата продления;Количество;Скидка, %;Внешний ID\n".to_owned();
        for index in 0..CONTRACTS {
            let day = index % 28 + 1;
            let _ = writeln!(customers, "Абонент {index};ФЛ;0;{index};;;;;;");
            let _ = writeln!(contracts, "Л-{index:05};{index};2025-01-01;prepaid;RUB;0");
            let _ = writeln!(subscriptions, "Л-{index:05};net;1m;2025-03-{day:02};1;{};{index}/1", index % 7);
            if index % 2 == 0 {
                let _ = writeln!(subscriptions, "Л-{index:05};tv;7d;2025-03-{day:02};1;;{index}/2");
            }
        }
        let options =
            ImportOptions { seller: seller.value.id, dry_run: false, external_system: Some("books".to_owned()) };
        for (kind, file) in [
            (ImportKind::Plans, plans.to_owned()),
            (ImportKind::Customers, customers),
            (ImportKind::Contracts, contracts),
            (ImportKind::Subscriptions, subscriptions),
        ] {
            let rows = i64::try_from(file.lines().count()).unwrap() - 1;
            let report = self
                .altyn
                .import_books(&self.request(), kind, "book.csv", file.into_bytes(), options.clone())
                .await
                .unwrap();
            assert_eq!(report.value.rows_created, rows, "{:?}", report.value.errors);
        }
    }

    async fn rows<T: Record>(&self, sql: &'static str) -> Vec<T> {
        let mut tx = self.altyn.db.read(Scope::Tenant(self.tenant.0)).await.unwrap();
        tx.fetch_all(sql, (self.tenant.0,)).await.unwrap()
    }

    async fn run(&self) -> Option<RunView> {
        self.altyn.run_of_day(&self.request(), DAY.parse().unwrap()).await.unwrap()
    }

    /// The program at work on these books.
    fn spawn(&self, words: &[&str]) -> Child {
        let environment = [
            ("ALTYN__DATABASE__URL", self.url.as_str()),
            ("ALTYN__DATABASE__CONNECTIONS", "4"),
            ("ALTYN__RUNS__RUN_CHUNK", "40"),
            ("ALTYN__RUNS__RUN_LEASE_MS", "1000"),
            ("ALTYN__PLUGINS__INSTANCES", "8"),
        ];
        Command::new(env!("CARGO_BIN_EXE_altyn"))
            .current_dir(self.folder.path())
            .args(words)
            .env_clear()
            .envs(environment)
            .env("ALTYN__PLUGINS__CACHE_DIR", self.folder.path().join("compiled"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Lets the program work to its end.
    fn finish(&self, words: &[&str]) {
        let ended = self.spawn(words).wait_with_output().unwrap();
        assert!(ended.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }

    /// How far the run has come: contracts planned and invoices issued.
    async fn progress(&self) -> i64 {
        self.run().await.map_or(0, |run| run.contracts + run.invoices)
    }

    /// Lets the program work and kills it as soon as the run has come so much farther.
    async fn kill(&self, words: &[&str], farther: i64) {
        let target = self.progress().await + farther;
        let began = Instant::now();
        let mut child = self.spawn(words);
        while self.progress().await < target {
            if let Some(status) = child.try_wait().unwrap() {
                let told = child.wait_with_output().unwrap().stderr;
                panic!("{words:?} ended by itself with {status}: {}", String::from_utf8_lossy(&told));
            }
            assert!(began.elapsed() < LONGEST, "{words:?} does not get on: {:?}", self.run().await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until the run has come so much farther.
    async fn farther(&self, by: i64) {
        let target = self.progress().await + by;
        let began = Instant::now();
        while self.progress().await < target {
            assert!(began.elapsed() < LONGEST, "nobody gets on: {:?}", self.run().await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Everything that was billed, and proof that the books are right.
    async fn billed(&self) -> (Vec<Line>, String) {
        let report = self.altyn.verify(&self.request(), VerifyOptions { replay_percent: 5 }).await.unwrap();
        let broken: Vec<_> = report.rules.iter().filter(|rule| rule.violations > 0).collect();
        assert!(report.ok, "{broken:#?}");
        assert_eq!(report.calls_replayed, report.calls_identical);
        let numbers: Vec<(i64, String)> = self
            .rows(
                "select sequence_value, number from invoices where tenant_id = $1 order by sequence_value limit 100000",
            )
            .await;
        for ((value, number), expected) in numbers.iter().zip(1..) {
            assert_eq!((*value, number), (expected, &format!("СЧ-2025-{expected:06}")), "a number is missing");
        }
        let lines: Vec<Line> = self
            .rows(
                "select k.number, c.title, h.period_start, c.net_minor, c.tax_minor, c.gross_minor from charges h
                join contracts k on k.tenant_id = $1 and k.id = h.contract_id
                join invoice_lines c on c.tenant_id = $1 and c.invoice_id = h.invoice_id and c.charge_id = h.id
                where h.tenant_id = $1 order by k.number, c.title, h.period_start limit 100000",
            )
            .await;
        let run = self.run().await.unwrap();
        assert_eq!(run.state, RunState::Done);
        let counters = format!(
            "{} contracts, {} subscriptions, {} charges, {} invoices, {} parked, {} awaiting, {} + {} = {}",
            run.contracts,
            run.subscriptions,
            run.charges,
            run.invoices,
            run.parked,
            run.awaiting,
            run.net_minor,
            run.tax_minor,
            run.gross_minor
        );
        (lines, counters)
    }

    /// Compares with what an undisturbed run leaves, which is the same on both engines.
    async fn prove(&self) {
        static UNDISTURBED: OnceCell<(Vec<Line>, String)> = OnceCell::const_new();
        let undisturbed = || async {
            let books = Self::new(Engine::Sqlite).await;
            let command = StartRun { business_on: DAY.parse().unwrap(), mode: Some(RunMode::Automatic) };
            let run = books.altyn.run_start(&books.request(), command).await.unwrap().value;
            let advanced = books.altyn.run_advance(books.tenant, run.id, "undisturbed").await.unwrap();
            assert_eq!(advanced, Advanced::Done);
            books.billed().await
        };
        let (lines, counters) = UNDISTURBED.get_or_init(undisturbed).await;
        let (billed, counted) = self.billed().await;
        let of = |some: &[Line], others: &[Line]| -> Vec<Line> {
            let others: std::collections::BTreeSet<_> = others.iter().collect();
            some.iter().filter(|line| !others.contains(line)).take(10).cloned().collect()
        };
        assert!(
            *lines == billed,
            "{} lines instead of {}; too many: {:#?}, missing: {:#?}",
            billed.len(),
            lines.len(),
            of(&billed, lines),
            of(lines, &billed)
        );
        assert_eq!(&counted, counters);
        let twice: Vec<(i64,)> = self
            .rows(
                "select count(*) from charges where tenant_id = $1
                group by subscription_id, component_id, period_start having count(*) > 1 limit 10",
            )
            .await;
        assert!(twice.is_empty());
        self.altyn.db.close().await;
    }
}

async fn an_automatic_run(engine: Engine) {
    const KILLS: i64 = 8;
    let books = Books::new(engine).await;
    let mut moments = Moments(20_250_331);
    let step = i64::try_from(CONTRACTS).unwrap() * 2 / (KILLS + 1);
    books.kill(&["run", "start", "--date", DAY, "--mode", "automatic"], moments.below(step) + 1).await;
    let run = books.run().await.unwrap().id.to_string();
    for _ in 1..KILLS {
        books.kill(&["run", "resume", &run], moments.below(step) + 1).await;
        assert_eq!(books.run().await.unwrap().state, RunState::Executing, "it was through before it was killed");
    }
    books.finish(&["run", "resume", &run]);
    books.prove().await;
}

/// Sends a signal to a child of this test.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "{name}");
}

/// Two hosts, of which one or the other is frozen and thaws when its lease is over and another has gone on.
async fn hosts_that_freeze(engine: Engine) {
    let books = Books::new(engine).await;
    let command = StartRun { business_on: DAY.parse().unwrap(), mode: Some(RunMode::Automatic) };
    let run = books.altyn.run_start(&books.request(), command).await.unwrap().value.id.to_string();
    let resume = ["run", "resume", run.as_str()];
    let step = i64::try_from(CONTRACTS).unwrap() / 8;
    let mut hosts = vec![books.spawn(&resume)];
    for _ in 0..3 {
        books.farther(step).await;
        for host in &hosts {
            signal(host, "-STOP");
        }
        let mut next = books.spawn(&resume);
        books.farther(step).await;
        assert!(next.try_wait().unwrap().is_none(), "it was through before the others thawed");
        for host in &hosts {
            signal(host, "-CONT");
        }
        hosts.push(next);
    }
    for host in hosts {
        // Whoever slept through its lease writes nothing more: it is told so, or waits for the end that another makes.
        let ended = tokio::task::spawn_blocking(move || host.wait_with_output().unwrap()).await.unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        match ended.status.code() {
            Some(0) => {}
            Some(3) => assert!(told.contains("another host works on this run now"), "{told}"),
            code => panic!("{code:?}: {told}"),
        }
    }
    books.prove().await;
}

async fn a_confirmed_run(engine: Engine) {
    const KILLS: i64 = 3;
    let books = Books::new(engine).await;
    let mut moments = Moments(20_250_401);
    let step = i64::try_from(CONTRACTS).unwrap() / (KILLS + 1);
    books.kill(&["run", "start", "--date", DAY, "--mode", "with-confirmation"], moments.below(step) + 1).await;
    let id: RunId = books.run().await.unwrap().id;
    let run = id.to_string();
    for _ in 1..KILLS {
        books.kill(&["run", "resume", &run], moments.below(step) + 1).await;
        assert_eq!(books.run().await.unwrap().state, RunState::Computing, "it was through before it was killed");
    }
    books.finish(&["run", "resume", &run]);
    let proposed = books.run().await.unwrap();
    let all = i64::try_from(CONTRACTS).unwrap();
    assert_eq!((proposed.state, proposed.awaiting, proposed.invoices), (RunState::Awaiting, all, 0));
    books.altyn.run_confirm_all(&books.request(), id, ConfirmPlans::default()).await.unwrap();
    for _ in 0..KILLS {
        books.kill(&["run", "resume", &run], moments.below(step) + 1).await;
        assert_eq!(books.run().await.unwrap().state, RunState::Awaiting, "it was through before it was killed");
    }
    books.finish(&["run", "resume", &run]);
    books.prove().await;
}

macro_rules! on_both_engines {
    ($($name:ident: $scenario:ident),+ $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$scenario(altyn_store::Engine::Sqlite).await;
            } )+
        }
        mod postgres {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$scenario(altyn_store::Engine::Postgres).await;
            } )+
        }
    };
}

/// Several hosts are for PostgreSQL; SQLite's file belongs to one machine, where a frozen writer is everybody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_freeze_and_thaw_bill_everybody_once() {
    hosts_that_freeze(Engine::Postgres).await;
}

on_both_engines!(
    an_automatic_run_killed_eight_times_bills_everybody_once: an_automatic_run,
    a_confirmed_run_killed_six_times_bills_everybody_once: a_confirmed_run,
);
