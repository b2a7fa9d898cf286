//! An operator with forty contracts, made once an engine, and copies of it: each test bills its own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use altyn_domain::{
    id::{ContractId, CustomerId, Id as _, RunId, SellerId, SubscriptionId, TenantId},
    run::{PlanState, RunMode, RunState},
};
use altyn_runtime::{Admission, Limits, LimitsTable, Runtime, RuntimeConfig};
use altyn_service::{
    Altyn, Request, ServiceError,
    contracts::ContractView,
    page::Page,
    plugins::Plugins,
    ports::{Ids as _, SystemIds, VirtualClock},
    runs::{Advanced, PlanView, RunView, StartRun},
    settings::{Settings, TrustSettings},
    subscriptions::{CancelSubscription, SubscriptionFilter, SubscriptionView},
    verify::VerifyOptions,
};
use altyn_store::{Db, Engine, Record, Scope, StoreError, db::Params};
use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::{Mutex, OnceCell};
use uuid::Uuid;

use crate::operator::{Template, bind, bind_good, import, settle};

/// Where the suite's PostgreSQL is; the role must be allowed to create databases and roles.
const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";

/// How many contracts the operator has; the last starts a subscription on the 28th.
pub const CONTRACTS: usize = 40;

/// The contract with a price of its own, which a proration plugin can be told to stumble over.
pub const ODD: usize = 6;
/// That price.
pub const ODD_PRICE: i64 = 12_345;

/// Runs each named test, a function of a [`World`], on SQLite and on PostgreSQL.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let world = $crate::world::World::start(altyn_store::Engine::Sqlite).await;
                super::$name(&world).await;
                world.end().await;
            } )+
        }
        mod postgres {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let world = $crate::world::World::start(altyn_store::Engine::Postgres).await;
                super::$name(&world).await;
                world.end().await;
            } )+
        }
    };
}
pub(crate) use on_both_engines;

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The largest page.
pub fn page() -> Page {
    Page { limit: Some(100), cursor: None }
}

/// The code of a refusal, or what came instead of one.
pub fn code<T: std::fmt::Debug>(answer: Result<T, ServiceError>) -> String {
    match answer {
        Ok(value) => format!("it was done: {value:?}"),
        Err(ServiceError::Store(error)) => format!("{error:?}"),
        Err(ServiceError::Internal(message)) => message,
        Err(error) => error.code().to_owned(),
    }
}

/// A copy of the operator with a host of its own.
pub struct World {
    pub engine: Engine,
    pub altyn: Altyn,
    pub clock: Arc<VirtualClock>,
    pub tenant: TenantId,
    pub seller: SellerId,
    /// In the order of their numbers, Д-00 to Д-39, which is the order in which runs take them.
    pub contracts: Vec<ContractView>,
    url: String,
    _folder: tempfile::TempDir,
}

/// What one period of one component came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    pub amount: i64,
    pub net: i64,
    pub tax: i64,
    pub gross: i64,
    pub used: (NaiveDate, NaiveDate),
}

/// What was charged, by subscription, component and first day of the period.
pub type Charges = BTreeMap<(Uuid, Uuid, NaiveDate), Charged>;

/// The components are compiled once for all tests.
fn plugins() -> Arc<Plugins> {
    static PLUGINS: OnceLock<Arc<Plugins>> = OnceLock::new();
    // So much fuel for so little memory that a guest can take all of it.
    let limits = Limits { fuel: 100_000_000, memory_bytes: 8 << 20, ..Limits::default() };
    let limits = LimitsTable {
        proration_strategy: limits,
        tax_rule: limits,
        numbering_scheme: limits,
        ..LimitsTable::default()
    };
    // All worlds are copies of one tenant, so they share its places.
    let admission = Admission { tenant_calls: Some(16), plugin_calls: Some(16), queue: 1_000, queue_ms: 60_000 };
    let runtime = RuntimeConfig { instances: 16, limits, admission, ..RuntimeConfig::default() };
    Arc::clone(PLUGINS.get_or_init(|| Arc::new(Plugins::new(Runtime::new(&runtime).unwrap()))))
}

pub fn component(name: &str) -> Vec<u8> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("ALTYN_PLUGINS_DIR").map_or(built, PathBuf::from);
    let path = folder.join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build the guests first: cargo xtask plugins", path.display());
    })
}

pub async fn connect(url: &str, clock: Arc<VirtualClock>, settings: Settings) -> Altyn {
    let db = Db::connect(url, 6).await.unwrap();
    // Its own runtime is never used: an empty one costs little, a compiled component does not.
    let small = RuntimeConfig { instances: 1, pooling: false, ..RuntimeConfig::default() };
    let own = Plugins::new(Runtime::new(&small).unwrap());
    let altyn =
        Altyn::new(db, clock, Arc::new(SystemIds::default()), own, settings).with_trust(TrustSettings::development());
    Altyn { plugins: plugins(), ..altyn }
}

pub fn server() -> String {
    std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
        panic!(
            "set {POSTGRES_URL} to a PostgreSQL whose role may create databases and roles, or run `cargo xtask test`"
        )
    })
}

async fn on_server(statement: String) {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

impl World {
    pub async fn start(engine: Engine) -> Self {
        Self::with(engine, Settings { run_chunk: 7, ..Settings::default() }).await
    }

    async fn with(engine: Engine, settings: Settings) -> Self {
        static SQLITE: OnceCell<Template> = OnceCell::const_new();
        static POSTGRES: OnceCell<Template> = OnceCell::const_new();
        static COPYING: Mutex<()> = Mutex::const_new(());
        let template = match engine {
            Engine::Sqlite => SQLITE.get_or_init(|| Template::build(engine)).await,
            Engine::Postgres => POSTGRES.get_or_init(|| Template::build(engine)).await,
        };
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => {
                let path = folder.path().join("altyn.db");
                std::fs::copy(&template.place, &path).unwrap();
                format!("sqlite:{}", path.display())
            }
            Engine::Postgres => {
                let name = format!("runs_{}", SystemIds::default().next().simple());
                let (_, original) = template.place.rsplit_once('/').unwrap();
                let _alone = COPYING.lock().await;
                on_server(format!("create database {name} template {original}")).await;
                format!("{}/{name}", template.place.rsplit_once('/').unwrap().0)
            }
        };
        let clock = Arc::new(VirtualClock::new("2027-02-01T09:00:00Z".parse().unwrap()));
        let altyn = connect(&url, Arc::clone(&clock), settings).await;
        let (tenant, seller, contracts) = (template.tenant, template.seller, template.contracts.clone());
        Self { engine, altyn, clock, tenant, seller, contracts, url, _folder: folder }
    }

    /// Another copy of the same operator, with the same ids in it.
    pub async fn twin(&self) -> Self {
        Self::start(self.engine).await
    }

    /// The same application with other bounds.
    pub fn with_settings(&self, settings: Settings) -> Altyn {
        Altyn { settings: Arc::new(settings), ..self.altyn.clone() }
    }

    /// Another host on the same database, with connections of its own.
    pub async fn host(&self, settings: Settings) -> Altyn {
        connect(&self.url, Arc::clone(&self.clock), settings).await
    }

    /// Removes the copy.
    pub async fn end(self) {
        self.altyn.db.close().await;
        if self.engine == Engine::Postgres {
            on_server(format!("drop database {} with (force)", self.url.rsplit_once('/').unwrap().1)).await;
        }
    }

    pub fn request(&self) -> Request {
        Request::internal(self.tenant, "test")
    }

    pub async fn begin(&self, on: &str, mode: RunMode) -> RunView {
        let command = StartRun { business_on: day(on), mode: Some(mode) };
        self.altyn.run_start(&self.request(), command).await.unwrap().value
    }

    /// Works on a run as one host.
    pub async fn advance(&self, run: RunId) -> Advanced {
        self.altyn.run_advance(self.tenant, run, "test").await.unwrap()
    }

    pub async fn run(&self, id: RunId) -> RunView {
        self.altyn.run_get(&self.request(), id).await.unwrap()
    }

    /// Closes a day without asking anybody.
    pub async fn close_day(&self, on: &str) -> RunView {
        let run = self.begin(on, RunMode::Automatic).await;
        assert_eq!(self.advance(run.id).await, Advanced::Done);
        self.run(run.id).await
    }

    /// Binds a component that is installed if need be; the latest binding decides.
    pub async fn bind(&self, name: &str, config: serde_json::Value) {
        bind(&self.altyn, &self.request(), name, config).await;
    }

    pub async fn bind_good_plugins(&self) {
        bind_good(&self.altyn, &self.request()).await;
    }

    /// The plans of a run in some state, or in any.
    pub async fn plans(&self, run: RunId, state: Option<PlanState>) -> Vec<PlanView> {
        let listed = self.altyn.run_plans(&self.request(), run, state, &page()).await.unwrap();
        assert!(!listed.has_more);
        listed.data
    }

    pub async fn plan(&self, run: RunId, contract: ContractId) -> PlanView {
        self.altyn.run_plan(&self.request(), run, contract).await.unwrap()
    }

    /// A contract's subscriptions.
    pub async fn subscriptions(&self, contract: ContractId) -> Vec<SubscriptionView> {
        let filter = SubscriptionFilter { contract_id: Some(contract), status: None };
        self.altyn.subscription_list(&self.request(), filter, &page()).await.unwrap().data
    }

    /// Ends a subscription on a day, whatever its version is by now.
    pub async fn cancel(&self, altyn: &Altyn, id: SubscriptionId, on: &str) {
        loop {
            let version = altyn.subscription_get(&self.request(), id).await.unwrap().version;
            let command = CancelSubscription { on: day(on), keep_charged: Some(true) };
            match altyn.subscription_cancel(&self.request(), id, version, command).await {
                Ok(_) => return,
                Err(ServiceError::Stale) => {}
                Err(error) => panic!("{}", code::<()>(Err(error))),
            }
        }
    }

    pub async fn rows<T: Record>(&self, sql: &'static str, params: impl Params) -> Vec<T> {
        let mut tx = self.altyn.db.read(Scope::Tenant(self.tenant.0)).await.unwrap();
        tx.fetch_all(sql, params).await.unwrap()
    }

    /// Changes rows past the services.
    pub async fn change(&self, sql: &'static str, params: impl Params) -> u64 {
        let mut tx = self.altyn.db.write(Scope::Tenant(self.tenant.0)).await.unwrap();
        let changed = tx.execute(sql, params).await.unwrap();
        tx.commit().await.unwrap();
        changed
    }

    /// The same where it may be refused.
    pub async fn try_change(
        &self,
        tenant: TenantId,
        sql: &'static str,
        params: impl Params,
    ) -> Result<u64, StoreError> {
        let mut tx = self.altyn.db.write(Scope::Tenant(tenant.0)).await?;
        let changed = tx.execute(sql, params).await?;
        tx.commit().await?;
        Ok(changed)
    }

    pub async fn charges(&self) -> Charges {
        type Row = (Uuid, Uuid, NaiveDate, NaiveDate, NaiveDate, i64, i64, i64, i64);
        let rows: Vec<Row> = self
            .rows(
                "select c.subscription_id, c.component_id, c.period_start, c.used_start, c.used_end, c.amount_minor,
                    l.net_minor, l.tax_minor, l.gross_minor from charges c
                join invoice_lines l on l.tenant_id = $1 and l.invoice_id = c.invoice_id and l.charge_id = c.id
                where c.tenant_id = $1 and c.covered_until is null and c.kind <> 'usage'
                order by c.subscription_id, c.component_id, c.period_start limit 100000",
                (self.tenant.0,),
            )
            .await;
        let mut charges = Charges::new();
        for (subscription, component, period, from, to, amount, net, tax, gross) in rows {
            let charged = Charged { amount, net, tax, gross, used: (from, to) };
            let before = charges.insert((subscription, component, period), charged);
            assert_eq!(before, None, "{subscription} is charged twice for the period of {period}");
        }
        charges
    }

    /// The numbers of all invoices, by sequence and value.
    pub async fn numbers(&self) -> Vec<(String, i64, String)> {
        self.rows(
            "select sequence_key, sequence_value, number from invoices where tenant_id = $1
            order by sequence_key, sequence_value limit 100000",
            (self.tenant.0,),
        )
        .await
    }

    /// Everything a run could change: how many rows each table has, balances, numbers and the runs with their counters.
    pub async fn state(&self) -> Vec<String> {
        let mut told = Vec::new();
        macro_rules! count {
            ($($table:literal),*) => {$({
                let sql = concat!("select count(*) from ", $table, " where tenant_id = $1");
                let found: Vec<(i64,)> = self.rows(sql, (self.tenant.0,)).await;
                told.push(format!("{} rows in {}", found[0].0, $table));
            })*};
        }
        count!(
            "subscriptions",
            "charges",
            "invoices",
            "invoice_lines",
            "ledger_accounts",
            "ledger_transactions",
            "ledger_entries",
            "runs",
            "run_plans",
            "plugin_calls",
            "evidence",
            "outbox",
            "jobs",
            "idempotency"
        );
        let balances: Vec<(String, i64, i64)> = self
            .rows(
                "select code, balance_minor, entry_count from ledger_accounts where tenant_id = $1 order by code",
                (self.tenant.0,),
            )
            .await;
        told.extend(balances.iter().map(|(code, balance, entries)| format!("{code}: {balance} by {entries}")));
        let sequences: Vec<(String, i64)> = self
            .rows("select key, next_value from sequences where tenant_id = $1 order by key", (self.tenant.0,))
            .await;
        told.extend(sequences.iter().map(|(key, next)| format!("{key} goes on with {next}")));
        let subscriptions: Vec<(Uuid, i64, NaiveDate)> = self
            .rows(
                "select id, version, next_charge_on from subscriptions where tenant_id = $1 order by id",
                (self.tenant.0,),
            )
            .await;
        told.extend(subscriptions.iter().map(|(id, version, next)| format!("{id} v{version} is due on {next}")));
        for run in self.altyn.run_list(&self.request(), &page()).await.unwrap().data {
            told.push(format!("{run:?}"));
        }
        told
    }

    /// The books are right: verified, balanced, and no number is missing.
    pub async fn prove(&self) {
        let options = VerifyOptions { replay_percent: 0 };
        let report = self.altyn.verify(&self.request(), options).await.unwrap();
        let broken: Vec<_> = report.rules.iter().filter(|rule| rule.violations > 0).collect();
        assert!(report.ok, "{broken:#?}");
        let balance = self.altyn.trial_balance(&self.request()).await.unwrap();
        let entries: Vec<(i64,)> = self
            .rows(
                "select cast(coalesce(sum(amount_minor), 0) as bigint) from ledger_entries where tenant_id = $1",
                (self.tenant.0,),
            )
            .await;
        assert_eq!(entries[0].0, 0, "{balance:?}");
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        let numbers = self.numbers().await;
        for (key, value, number) in &numbers {
            let next = expected.entry(key.clone()).or_insert(1);
            assert_eq!(value, next, "{number} leaves a gap in {key}: {numbers:?}");
            *next += 1;
        }
        let sequences: Vec<(String, i64)> = self
            .rows("select key, next_value from sequences where tenant_id = $1 order by key", (self.tenant.0,))
            .await;
        assert_eq!(sequences, expected.into_iter().collect::<Vec<_>>(), "sequences stand behind their last number");
        self.charges().await;
    }

    /// Imports subscriptions of `product` for a new contract.
    pub async fn import_contract(
        &self,
        number: &str,
        product: &str,
        subscriptions: usize,
        starts_on: &str,
    ) -> ContractId {
        let one = [(number.to_owned(), vec![(product, starts_on); subscriptions])];
        import(&self.altyn, &self.request(), self.seller, &one).await;
        let found: Vec<(Uuid,)> = self
            .rows("select id from contracts where tenant_id = $1 and number = $2", (self.tenant.0, number.to_owned()))
            .await;
        ContractId(found[0].0)
    }
}

/// Books of an operator of three contracts, whose subscriptions begin on a day.
pub async fn small_books(altyn: &Altyn, request: &Request, starts_on: &str) {
    bind_good(altyn, request).await;
    let seller = settle(altyn, request).await;
    small_customers(altyn, request, seller, starts_on).await;
}

/// The customers of such an operator.
pub async fn small_customers(altyn: &Altyn, request: &Request, seller: SellerId, starts_on: &str) {
    let contracts: Vec<_> = (0..3).map(|index| (format!("П-{index}"), vec![("home-1m", starts_on)])).collect();
    import(altyn, request, seller, &contracts).await;
}

/// The differences of two lists of facts, for a failing assertion.
#[track_caller]
pub fn same(left: &[String], right: &[String]) {
    let told = |some: &[String], others: &[String]| -> String {
        some.iter().filter(|fact| !others.contains(fact)).fold(String::new(), |mut text, fact| {
            let _ = writeln!(text, "  {fact}");
            text
        })
    };
    assert!(left == right, "before:\n{}after:\n{}", told(left, right), told(right, left));
}

/// Shows which charges two operators do not have in common.
#[track_caller]
pub fn same_charges(left: &Charges, right: &Charges) {
    let told = |some: &Charges, others: &Charges| -> String {
        some.iter().filter(|(key, charged)| others.get(key) != Some(charged)).fold(
            String::new(),
            |mut text, (key, charged)| {
                let _ = writeln!(text, "  {key:?}: {charged:?}");
                text
            },
        )
    };
    assert!(left == right, "only on the left:\n{}only on the right:\n{}", told(left, right), told(right, left));
}

/// The report of a run without what only that run has.
pub fn report(run: &RunView) -> String {
    let RunView {
        business_on,
        contracts,
        subscriptions,
        charges,
        invoices,
        parked,
        awaiting,
        net_minor,
        tax_minor,
        gross_minor,
        realised,
        realised_net_minor,
        realised_tax_minor,
        realised_gross_minor,
        ..
    } = run;
    format!(
        "{business_on}: {contracts} contracts, {subscriptions} subscriptions, {charges} charges, {invoices} invoices, \
         {parked} parked, {awaiting} awaiting, {net_minor} + {tax_minor} = {gross_minor}, {realised} realised, \
         {realised_net_minor} + {realised_tax_minor} = {realised_gross_minor}, {}",
        run.state == RunState::Done
    )
}

/// The name by which a tax plugin knows the buyer of a contract.
pub fn buyer(contract: &ContractView) -> String {
    CustomerId::from_uuid(contract.customer_id.uuid()).to_string()
}
