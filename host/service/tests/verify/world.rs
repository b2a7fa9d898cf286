//! A small operator with two billed days, one confirmed by hand, made by the services and three real plugins, and copies of its database.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{Arc, OnceLock},
};

use altyn_domain::{
    calendar::Cadence,
    catalogue::{BillingDay, ComponentKind, PlanStatus},
    change::ChangeKind,
    credit::PolicyScope,
    id::{ComponentId, ContractId, ProductId, SellerId, SubscriptionId, TenantId},
    ledger::{AccountCode, Entry, TransactionKind},
    metered::{Aggregation, MeteredTerms, Tier, TierModel},
    money::Currency,
    party::{ContractKind, CustomerKind, VatRegime},
    run::{RunMode, RunState},
    tax::PriceMode,
};
use altyn_runtime::{Runtime, RuntimeConfig};
use altyn_service::{
    Altyn, Request,
    blocks::{LiftBlock, SetBlock},
    changes::{ChangeSubscription, ChangeView, ExecuteChange},
    charges::{ChargeFilter, ChargeView},
    contracts::CreateContract,
    credit::{CreateCreditPolicy, CreditAllowance, SetContractControl},
    credits::CreditCharge,
    customers::CreateCustomer,
    explain::{CallFilter, CallView},
    invoices::{InvoiceFilter, InvoiceView},
    ledger::{PostTransaction, ReverseTransaction, TransactionView},
    metering::{UsageEvent, UsageEvents},
    meters::CreateMeter,
    orders::PlaceOrder,
    page::Page,
    plans::{CreateComponent, CreatePlan, CreatePlanVersion},
    plugins::{CreateBinding, Plugins},
    ports::{Ids as _, SystemIds, VirtualClock},
    products::CreateProduct,
    promises::GivePromise,
    runs::{Advanced, ConfirmPlans, StartRun},
    sellers::CreateSeller,
    settings::{Settings, TrustSettings},
    subscriptions::CreateSubscription,
    tenants::CreateTenant,
};
use altyn_store::{Db, Engine};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

/// Where the suite's PostgreSQL is; the role must be a superuser, because planting a fault means getting past triggers.
const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";

pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The largest page.
pub fn page() -> Page {
    Page { limit: Some(100), cursor: None }
}

fn component(name: &str) -> Vec<u8> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("ALTYN_PLUGINS_DIR").map_or(built, PathBuf::from);
    let path = folder.join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build the guests first: cargo xtask plugins", path.display());
    })
}

/// The books as they were written, with what the faults are planted into.
pub struct World {
    pub engine: Engine,
    pub tenant: TenantId,
    pub other: TenantId,
    /// Contracts by what they subscribe to: home, business and home, free, book, unheard-of.
    pub contracts: [ContractId; 5],
    pub invoices: Vec<InvoiceView>,
    pub charges: Vec<ChargeView>,
    pub calls: Vec<CallView>,
    /// All transactions with their entries.
    pub transactions: Vec<TransactionView>,
    /// The change that a subscription of a contract of its own went through in its second month.
    pub change: ChangeView,
    altyn: Altyn,
    url: String,
    directory: tempfile::TempDir,
    copies: std::sync::atomic::AtomicUsize,
}

/// A copy of the books that may be spoilt.
pub struct BooksCopy {
    pub url: String,
    pub altyn: Altyn,
}

impl World {
    pub async fn build(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", directory.path().join("books.db").display()),
            Engine::Postgres => {
                let name = format!("verify_{}", SystemIds::default().next().simple());
                Db::create_postgres_database(&server(), &name).await.unwrap()
            }
        };
        Db::migrate(&url).await.unwrap();
        let clock = Arc::new(VirtualClock::new("2026-12-02T09:00:00Z".parse().unwrap()));
        let runtime = RuntimeConfig { instances: 8, ..RuntimeConfig::default() };
        let plugins = Plugins::new(Runtime::new(&runtime).unwrap());
        let db = Db::connect(&url, 4).await.unwrap();
        let altyn = Altyn::new(db, clock, Arc::new(SystemIds::default()), plugins, Settings::default())
            .with_trust(TrustSettings::development());
        let tenant = altyn.tenant_create_root(tenant("Оператор")).await.unwrap().id;
        let request = Request::internal(tenant, "test");
        let other = altyn.tenant_create(&request, self::tenant("Реселлер")).await.unwrap().value.id;
        bind(&altyn, &request).await;
        let contracts = sell(&altyn, &request).await;
        pay(&altyn, &request, contracts[0]).await;
        control(&altyn, &request, contracts).await;
        meter(&altyn, &request).await;
        let doubled = home_alone(&altyn, &request).await;
        for (on, mode) in [("2026-11-01", RunMode::Automatic), ("2026-12-01", RunMode::WithConfirmation)] {
            let command = StartRun { business_on: day(on), mode: Some(mode) };
            let run = altyn.run_start(&request, command).await.unwrap().value;
            let mut advanced = altyn.run_advance(tenant, run.id, "test").await.unwrap();
            if advanced == Advanced::Awaiting {
                altyn.run_confirm_all(&request, run.id, ConfirmPlans::default()).await.unwrap();
                advanced = altyn.run_advance(tenant, run.id, "test").await.unwrap();
            }
            assert_eq!(advanced, Advanced::Done);
            assert_eq!(altyn.run_get(&request, run.id).await.unwrap().state, RunState::Done);
        }
        give_back(&altyn, &request, contracts[0]).await;
        let change = double(&altyn, &request, doubled).await;
        let mut invoices = Vec::new();
        for invoice in altyn.invoice_list(&request, InvoiceFilter::default(), &page()).await.unwrap().data {
            invoices.push(altyn.invoice_get(&request, invoice.id).await.unwrap());
        }
        let mut transactions = Vec::new();
        for transaction in altyn.transaction_list(&request, &page()).await.unwrap().data {
            transactions.push(altyn.transaction_get(&request, transaction.id).await.unwrap());
        }
        let charges = altyn.charge_list(&request, ChargeFilter::default(), &page()).await.unwrap().data;
        let calls = altyn.call_list(&request, CallFilter::default(), &page()).await.unwrap().data;
        // A file without a writer is whole by itself, and a template may have nobody connected.
        altyn.db.close().await;
        Self {
            engine,
            tenant,
            other,
            contracts,
            invoices,
            charges,
            calls,
            transactions,
            change,
            altyn,
            url,
            directory,
            copies: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    pub fn request(&self) -> Request {
        Request::internal(self.tenant, "test")
    }

    /// The invoices of a contract (by its place) on a day.
    pub fn invoices_of(&self, contract: usize, on: &str) -> Vec<&InvoiceView> {
        let of =
            |invoice: &&InvoiceView| invoice.contract_id == self.contracts[contract] && invoice.issued_on == day(on);
        self.invoices.iter().filter(of).collect()
    }

    /// The one transaction with a source key.
    pub fn transaction(&self, source_key: &str) -> &TransactionView {
        let found = self.transactions.iter().find(|transaction| transaction.source_key == source_key);
        found.unwrap_or_else(|| panic!("{source_key} is not posted"))
    }

    /// The posting of a run for a contract (by its place).
    pub fn posting(&self, on: &str, contract: usize) -> &TransactionView {
        self.transaction(&format!("run/{on}/{}", self.contracts[contract]))
    }

    /// The realisation of a run for a contract (by its place).
    pub fn realisation(&self, on: &str, contract: usize) -> &TransactionView {
        self.transaction(&format!("realise/{on}/{}", self.contracts[contract]))
    }

    /// The charges of the internet of the changed subscription: cut by the change, and made by it.
    pub fn around_the_change(&self) -> [&ChargeView; 2] {
        let of = |change: bool| {
            self.charges.iter().find(|charge| {
                charge.subscription_id == self.change.subscription_id
                    && charge.component_id == self.internet()
                    && if change { charge.run_id.is_none() } else { charge.covered_until.is_some() }
            })
        };
        [of(false).unwrap(), of(true).unwrap()]
    }

    /// The component of the plan `home` that costs 590.00.
    fn internet(&self) -> ComponentId {
        self.credited(true).component_id
    }

    /// The charge of a contract's internet (by its place) that is credited, realised or not.
    pub fn credited(&self, realised: bool) -> &ChargeView {
        let found =
            self.charges.iter().find(|charge| charge.credited_minor > 0 && charge.realised_on.is_some() == realised);
        found.unwrap()
    }

    /// A copy with the statements run on it past every trigger, foreign key and check.
    pub async fn copy(&self, spoil: &str) -> BooksCopy {
        let ordinal = self.copies.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let url = match self.engine {
            Engine::Sqlite => {
                let path = self.directory.path().join(format!("copy-{ordinal}.db"));
                std::fs::copy(self.directory.path().join("books.db"), &path).unwrap();
                spoil_sqlite(&path, spoil).await;
                format!("sqlite:{}", path.display())
            }
            Engine::Postgres => {
                let (base, template) = self.url.rsplit_once('/').unwrap();
                let mut connection = PgConnection::connect(&server()).await.unwrap();
                let text = format!("create database {template}_{ordinal} template {template}");
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                let url = format!("{base}/{template}_{ordinal}");
                spoil_postgres(&url, spoil).await;
                url
            }
        };
        let db = Db::connect(&url, 4).await.unwrap();
        BooksCopy { url, altyn: Altyn { db, ..self.altyn.clone() } }
    }

    /// Removes a copy.
    pub async fn discard(&self, copy: BooksCopy) {
        copy.altyn.db.close().await;
        match self.engine {
            Engine::Sqlite => std::fs::remove_file(copy.url.strip_prefix("sqlite:").unwrap()).unwrap(),
            Engine::Postgres => drop_database(&copy.url).await,
        }
    }

    /// Removes the books.
    pub async fn end(self) {
        if self.engine == Engine::Postgres {
            drop_database(&self.url).await;
        }
    }
}

impl BooksCopy {
    /// The application over this copy with nothing compiled yet.
    pub fn with_fresh_plugins(&self) -> Altyn {
        let runtime = RuntimeConfig { instances: 8, ..RuntimeConfig::default() };
        let plugins = Arc::new(Plugins::new(Runtime::new(&runtime).unwrap()));
        Altyn { plugins, ..self.altyn.clone() }
    }
}

fn server() -> String {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
            panic!("set {POSTGRES_URL} to a PostgreSQL whose role is a superuser, or run `cargo xtask test`")
        })
    })
    .clone()
}

async fn drop_database(url: &str) {
    let (_, name) = url.rsplit_once('/').unwrap();
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    let text = format!("drop database {name} with (force)");
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
}

async fn spoil_sqlite(path: &Path, spoil: &str) {
    let options = SqliteConnectOptions::from_str("sqlite:").unwrap();
    let options = options.filename(path).foreign_keys(false).journal_mode(SqliteJournalMode::Wal);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let triggers: Vec<(String,)> = sqlx::query_as("select name from sqlite_master where type = 'trigger'")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let drops: Vec<String> = triggers.iter().map(|(name,)| format!("drop trigger {name};")).collect();
    let text = format!("pragma ignore_check_constraints = on; {} {spoil}", drops.concat());
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn spoil_postgres(url: &str, spoil: &str) {
    // The owner, not the application's role: row-level security and grants do not bind it.
    let mut connection = PgConnection::connect(url).await.unwrap();
    let text = format!("set session_replication_role = replica; {spoil}");
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn tenant(name: &str) -> CreateTenant {
    CreateTenant {
        name: name.into(),
        locale: None,
        zone: Some("Europe/Moscow".into()),
        currency: Some("RUB".into()),
        run_mode: Some(RunMode::Automatic),
        run_at: None,
    }
}

async fn bind(altyn: &Altyn, request: &Request) {
    let numbers = serde_json::json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" });
    for (name, config) in
        [("day-ratio", serde_json::json!({})), ("ru-vat", serde_json::json!({})), ("number-template", numbers)]
    {
        let installed = altyn.plugin_install(request, component(name)).await.unwrap().value;
        let command =
            CreateBinding { component: installed.digest, config, priority: 0, effective_from: day("2026-01-01") };
        altyn.binding_create(request, command).await.unwrap();
    }
}

/// A monthly plan with (code, price in kopecks, tax category) of its components.
async fn plan(
    altyn: &Altyn,
    request: &Request,
    product: ProductId,
    code: &str,
    price_mode: PriceMode,
    billing_day: BillingDay,
    components: &[(&str, i64, &str)],
) {
    let components = components
        .iter()
        .map(|(code, unit_price_minor, tax_category)| CreateComponent {
            included: None,
            min_quantity: None,
            max_quantity: None,
            code: (*code).into(),
            title: (*code).into(),
            kind: None,
            product_id: product,
            unit_price_minor: *unit_price_minor,
            tax_category: Some((*tax_category).into()),
            prepayment_percent: None,
            metered: None,
        })
        .collect();
    let command = CreatePlan {
        visibility: None,
        code: code.into(),
        title: code.into(),
        status: Some(PlanStatus::Active),
        version: CreatePlanVersion {
            existing_subscribers: None,
            effective_from: Some(day("2026-01-01")),
            cadence: Cadence::Months(1),
            currency: None,
            price_mode,
            billing_day: Some(billing_day),
            stub: None,
            components,
        },
    };
    altyn.plan_create(request, command).await.unwrap();
}

async fn sell(altyn: &Altyn, request: &Request) -> [ContractId; 5] {
    let seller = CreateSeller {
        name: "ООО «Меридиан»".into(),
        kind: CustomerKind::LegalEntity,
        country: None,
        inn: Some("7707083893".into()),
        kpp: Some("773601001".into()),
        ogrn: None,
        vat_regime: VatRegime::General,
        bank_account: None,
        bank_bik: None,
    };
    let seller_id = altyn.seller_create(request, seller).await.unwrap().value.id;
    let product =
        CreateProduct { code: "internet".into(), title: "Интернет".into(), tax_category: "standard".into() };
    let product = altyn.product_create(request, product).await.unwrap().value.id;
    let (included, on_top) = (PriceMode::Included, PriceMode::OnTop);
    let (anniversary, last_day) = (BillingDay::Anniversary, BillingDay::Fixed(31));
    let home = [("internet", 59_000, "standard"), ("books", 19_990, "reduced")];
    plan(altyn, request, product, "home", included, anniversary, &home).await;
    plan(altyn, request, product, "business", on_top, last_day, &[("line", 100_033, "standard")]).await;
    plan(altyn, request, product, "free", included, anniversary, &[("trial", 0, "standard")]).await;
    plan(altyn, request, product, "book", included, anniversary, &[("lesson", 30_000, "exempt")]).await;
    plan(altyn, request, product, "odd", included, anniversary, &[("odd", 100, "unheard-of")]).await;
    let mut contracts = Vec::new();
    for (number, plans) in [
        ("Д-1", &[("home", "2026-11-01")][..]),
        ("Д-2", &[("business", "2026-11-01"), ("home", "2026-11-01")]),
        ("Д-3", &[("free", "2026-11-01")]),
        ("Д-4", &[("book", "2026-08-31")]),
        ("Д-5", &[("odd", "2026-11-01")]),
    ] {
        let contract_id = contract(altyn, request, seller_id, number).await;
        for (plan, starts_on) in plans {
            subscribe(altyn, request, contract_id, plan, starts_on).await;
        }
        contracts.push(contract_id);
    }
    contracts.try_into().unwrap()
}

/// A contract of a customer of its own.
async fn contract(altyn: &Altyn, request: &Request, seller_id: SellerId, number: &str) -> ContractId {
    let customer = CreateCustomer {
        kind: CustomerKind::Individual,
        name: format!("Абонент {number}"),
        country: None,
        inn: None,
        kpp: None,
        ogrn: None,
        email: None,
        phone: None,
        address: None,
        external_system: None,
        external_id: None,
    };
    let customer_id = altyn.customer_create(request, customer).await.unwrap().value.id;
    let contract = CreateContract {
        customer_id,
        seller_id,
        number: number.into(),
        kind: ContractKind::Prepaid,
        currency: None,
        zone: None,
        credit_limit_minor: None,
        signed_on: None,
        external_system: None,
        external_id: None,
    };
    altyn.contract_create(request, contract).await.unwrap().value.id
}

async fn subscribe(
    altyn: &Altyn,
    request: &Request,
    contract_id: ContractId,
    plan: &str,
    starts_on: &str,
) -> SubscriptionId {
    let subscription = CreateSubscription {
        contract_id,
        plan_id: None,
        plan_code: Some(plan.into()),
        starts_on: day(starts_on),
        quantity: None,
        discount_percent: None,
        charges: None,
        discount_minor: None,
        discount_from: None,
        discount_until: None,
        manual: None,
        documents_on_activation: None,
        notify_on_activation: None,
        description: None,
        pending: None,
        short_funds: None,
        retry_days: None,
        external_system: None,
        external_id: None,
    };
    altyn.subscription_create(request, subscription).await.unwrap().value.id
}

/// A contract of its own that pays 2.00 for each of the 7.5 units it used in November, and as much for each of the 40.25
/// that its counter advanced.
async fn meter(altyn: &Altyn, request: &Request) {
    let product_id = altyn.product_list(request, &page()).await.unwrap().data[0].id;
    let mut components = Vec::new();
    for (code, aggregation) in [("traffic", Aggregation::Sum), ("water", Aggregation::Difference)] {
        let command = CreateMeter { code: code.into(), title: code.into(), unit: "x".into(), aggregation };
        let meter_id = altyn.meter_create(request, command).await.unwrap().value.id;
        let terms = MeteredTerms {
            package: None,
            meter_id,
            included: Decimal::ZERO,
            model: TierModel::Graduated,
            tiers: vec![Tier { up_to: None, unit_price: Decimal::TWO }],
            volume_discounts: Vec::new(),
        };
        components.push(CreateComponent {
            included: None,
            min_quantity: None,
            max_quantity: None,
            code: code.into(),
            title: code.into(),
            kind: Some(ComponentKind::Metered),
            product_id,
            unit_price_minor: 0,
            tax_category: Some("standard".into()),
            prepayment_percent: None,
            metered: Some(terms),
        });
    }
    let command = CreatePlan {
        visibility: None,
        code: "metered".into(),
        title: "metered".into(),
        status: Some(PlanStatus::Active),
        version: CreatePlanVersion {
            existing_subscribers: None,
            effective_from: Some(day("2026-01-01")),
            cadence: Cadence::Months(1),
            currency: None,
            price_mode: PriceMode::Included,
            billing_day: Some(BillingDay::Anniversary),
            stub: None,
            components,
        },
    };
    altyn.plan_create(request, command).await.unwrap();
    let seller_id = altyn.seller_list(request, &page()).await.unwrap().data[0].id;
    let contract_id = contract(altyn, request, seller_id, "Д-6").await;
    let subscription_id = subscribe(altyn, request, contract_id, "metered", "2026-11-01").await;
    let event = |n: i32| UsageEvent {
        id: format!("e-{n}"),
        subscription_id,
        meter: "traffic".into(),
        occurred_at: "2026-11-20T12:00:00Z".parse().unwrap(),
        quantity: Some("2.5".into()),
        item: None,
    };
    let reading = |id: &str, on: &str, quantity: &str| UsageEvent {
        id: id.into(),
        subscription_id,
        meter: "water".into(),
        occurred_at: format!("2026-11-{on}T12:00:00Z").parse().unwrap(),
        quantity: Some(quantity.into()),
        item: None,
    };
    let read = [reading("w-0", "05", "100"), reading("w-1", "25", "140.25")];
    let batch = UsageEvents { events: (0..3).map(event).chain(read).collect() };
    assert_eq!(altyn.usage_ingest(request, batch).await.unwrap().value.accepted, 5);
}

/// A contract of its own at home since November.
async fn home_alone(altyn: &Altyn, request: &Request) -> SubscriptionId {
    let seller_id = altyn.seller_list(request, &page()).await.unwrap().data[0].id;
    let contract_id = contract(altyn, request, seller_id, "Д-7").await;
    subscribe(altyn, request, contract_id, "home", "2026-11-01").await
}

/// From today on it is two of them: the rest of the month is given back and charged anew.
async fn double(altyn: &Altyn, request: &Request, id: SubscriptionId) -> ChangeView {
    let change =
        ChangeSubscription { quantity: Some("2".into()), ..ChangeSubscription::of(ChangeKind::ChangeQuantity) };
    let seen = altyn.change_preview(request, id, change.clone()).await.unwrap();
    let command = ExecuteChange { change, plan_hash: seen.plan_hash, effects: None };
    let made = altyn.change_execute(request, id, command).await.unwrap().value;
    assert_eq!((made.state.as_str(), made.effective_on), ("executed", day("2026-12-02")));
    made
}

/// Gives 50.00 of a contract's realised internet back, and 100.00 of the one that goes on.
async fn give_back(altyn: &Altyn, request: &Request, contract: ContractId) {
    let filter = ChargeFilter { contract_id: Some(contract), ..ChargeFilter::default() };
    for charge in altyn.charge_list(request, filter, &page()).await.unwrap().data {
        if charge.amount_minor == 59_000 {
            let amount_minor = Some(if charge.realised_on.is_some() { 5_000 } else { 10_000 });
            let command = CreditCharge { amount_minor, reason: "простой".into(), credited_on: None };
            altyn.charge_credit(request, charge.id, command).await.unwrap();
        }
    }
}

/// Three payments in cash, the second of which is taken back.
async fn pay(altyn: &Altyn, request: &Request, contract: ContractId) {
    for (source_key, amount_minor) in [("first", 59_000), ("second", 70_000), ("third", 1_000)] {
        let command = PostTransaction {
            source_key: source_key.into(),
            effective_on: day("2026-11-01"),
            currency: Currency::RUB,
            description: "оплата".into(),
            kind: TransactionKind::PaymentReceived,
            entries: vec![
                Entry { account: AccountCode::Cash, amount_minor },
                Entry { account: AccountCode::ContractFunds(contract), amount_minor: -amount_minor },
            ],
        };
        let posted = altyn.transaction_post(request, command).await.unwrap().value;
        if source_key == "second" {
            let command = ReverseTransaction {
                effective_on: day("2026-11-02"), description: "ошибка кассира".into()
            };
            altyn.transaction_reverse(request, posted.id, command).await.unwrap();
        }
    }
}

/// A promise that a payment reduced and one that was taken back, a block that was lifted and two that stand, and a
/// hierarchy, of contracts that nothing else is done with.
async fn control(altyn: &Altyn, request: &Request, contracts: [ContractId; 5]) {
    let (main, below) = (contracts[2], contracts[4]);
    let allowed =
        CreditAllowance { promise_most_minor: Some(50_000), promises_at_once: Some(5), ..CreditAllowance::default() };
    let policy = CreateCreditPolicy { scope: PolicyScope::Tenant, code: None, currency: None, allowed };
    altyn.credit_policy_create(request, policy).await.unwrap();
    let promise =
        |amount_minor| GivePromise {
            contract_id: main, amount_minor, expires_on: None, comment: "заплатит".into()
        };
    altyn.promise_give(request, promise(5_000)).await.unwrap();
    let command = PostTransaction {
        source_key: "part".into(),
        effective_on: day("2026-11-01"),
        currency: Currency::RUB,
        description: "часть".into(),
        kind: TransactionKind::PaymentReceived,
        entries: vec![
            Entry { account: AccountCode::Cash, amount_minor: 2_000 },
            Entry { account: AccountCode::ContractFunds(main), amount_minor: -2_000 },
        ],
    };
    altyn.transaction_post(request, command).await.unwrap();
    let second = altyn.promise_give(request, promise(1_000)).await.unwrap().value.id;
    altyn.promise_revoke(request, second).await.unwrap();
    let block = |contract| SetBlock {
        contract_id: Some(contract),
        subscription_id: None,
        block_type: "court".parse().unwrap(),
        comment: "по решению суда".into(),
        starts_at: None,
        ends_at: None,
    };
    let lifted = altyn.block_set(request, block(main)).await.unwrap().value.id;
    altyn.block_lift(request, lifted, LiftBlock { comment: "отменено".into() }).await.unwrap();
    altyn.block_set(request, block(main)).await.unwrap();
    altyn.block_set(request, block(below)).await.unwrap();
    let under = SetContractControl { parent_id: Some(main), ..SetContractControl::default() };
    altyn.contract_control_set(request, below, 0, under).await.unwrap();
    // An order that nobody has the money for.
    let wish = serde_json::json!({ "contract_id": main, "plan_code": "book", "starts_on": "2026-11-05" });
    let order = PlaceOrder { subscription: serde_json::from_value(wish).unwrap(), plan_hash: None };
    altyn.order_place(request, order).await.unwrap();
}
