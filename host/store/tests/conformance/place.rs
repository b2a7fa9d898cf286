//! A migrated database with a fresh tenant, on either engine, and the rows that several tests begin with.

use std::sync::atomic::{AtomicU64, Ordering};

use altyn_store::{Db, Engine, Result, Rows, Scope, StoreError, Tx, ledger, tenants};
use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Where the suite's PostgreSQL is; the role must be allowed to create databases and roles.
const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";
/// The database that all tests of this process share on PostgreSQL.
static POSTGRES: OnceCell<String> = OnceCell::const_new();
static IDS: AtomicU64 = AtomicU64::new(1);

/// Runs each named test, a function of a [`Place`], on SQLite and on PostgreSQL.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::place::Place::start(altyn_store::Engine::Sqlite).await).await;
            } )+
        }
        mod postgres {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::place::Place::start(altyn_store::Engine::Postgres).await).await;
            } )+
        }
    };
}
pub(crate) use on_both_engines;

/// A database and a tenant that only this test knows.
pub struct Place {
    pub db: Db,
    pub tenant: Uuid,
    _directory: tempfile::TempDir,
}

impl Place {
    pub async fn start(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => {
                let url = format!("sqlite:{}", directory.path().join("altyn.db").display());
                Db::migrate(&url).await.unwrap();
                url
            }
            Engine::Postgres => POSTGRES.get_or_init(fresh_postgres).await.clone(),
        };
        let db = Db::connect(&url, 8).await.unwrap();
        let mut place = Self { db, tenant: Uuid::nil(), _directory: directory };
        place.tenant = place.another_tenant().await;
        place
    }

    /// A root tenant of its own.
    pub async fn another_tenant(&self) -> Uuid {
        let id = id();
        let row = tenants::TenantRow {
            id,
            parent_id: None,
            path: format!("/{}/", id.simple()),
            name: "Оператор".into(),
            locale: "ru-RU".into(),
            zone: "Europe/Moscow".into(),
            currency: "RUB".into(),
            run_mode: "automatic".into(),
            run_at: "03:00".into(),
            version: 1,
            created_at: at("2026-11-01T09:00:00Z"),
        };
        let mut tx = self.db.write(Scope::Platform).await.unwrap();
        tenants::insert(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// A writing transaction of the tenant.
    pub async fn write(&self) -> Tx {
        self.db.write(Scope::Tenant(self.tenant)).await.unwrap()
    }

    /// A reading transaction of the tenant.
    pub async fn read(&self) -> Tx {
        self.db.read(Scope::Tenant(self.tenant)).await.unwrap()
    }

    /// What one statement answers in a transaction of its own, which is undone.
    pub async fn attempt(&self, sql: &'static str, params: impl altyn_store::db::Params) -> Result<u64> {
        let mut tx = self.write().await;
        let answer = tx.execute(sql, params).await;
        tx.rollback().await.unwrap();
        answer
    }
}

async fn fresh_postgres() -> String {
    let server = postgres_server();
    let name = format!("altyn_store_{}", std::process::id());
    let url = Db::create_postgres_database(&server, &name).await.unwrap();
    Db::migrate(&url).await.unwrap();
    url
}

/// The server under test.
pub fn postgres_server() -> String {
    std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
        panic!(
            "set {POSTGRES_URL} to a PostgreSQL whose role may create databases and roles, or run `cargo xtask test`"
        )
    })
}

/// An id that nothing else in this process has; later ids are greater.
pub fn id() -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(IDS.fetch_add(1, Ordering::Relaxed)))
}

/// An instant as RFC 3339 text.
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A date as ISO text.
pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A statement whose text is put together by a test, which SQL constants are not.
pub fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

pub fn assert_refused<T: std::fmt::Debug>(result: &Result<T>, of: &str) {
    assert!(matches!(result, Err(StoreError::Refused(..))), "{of} answered {result:?}");
}

pub fn assert_duplicate<T: std::fmt::Debug>(result: &Result<T>, of: &str) {
    assert!(matches!(result, Err(StoreError::Duplicate(_))), "{of} answered {result:?}");
}

/// Opens `count` accounts in roubles.
pub async fn accounts(tx: &mut Tx, tenant: Uuid, count: usize) -> Vec<Uuid> {
    let new: Vec<_> = (0..count)
        .map(|_| id())
        .map(|id| ledger::NewAccount { id, code: format!("contract/{id}/funds"), currency: "RUB".into() })
        .collect();
    ledger::accounts_open(tx, tenant, &new).await.unwrap();
    new.into_iter().map(|account| account.id).collect()
}

/// Writes entries of a transaction, their positions counted from `first`.
pub async fn entries(tx: &mut Tx, tenant: Uuid, id: Uuid, first: i32, amounts: &[(Uuid, i64)]) -> Result<()> {
    let rows = Rows::new()
        .with("transaction_id", vec![id; amounts.len()])
        .with("position", (first..).take(amounts.len()).collect::<Vec<i32>>())
        .with("account_id", amounts.iter().map(|(account, _)| *account).collect::<Vec<_>>())
        .with("amount_minor", amounts.iter().map(|(_, amount)| *amount).collect::<Vec<_>>());
    ledger::entries_insert(tx, tenant, &rows).await
}

/// Seals a transaction.
pub async fn header(tx: &mut Tx, tenant: Uuid, id: Uuid, source_key: &str) -> Result<()> {
    let rows = Rows::new()
        .with("id", vec![id])
        .with("source_key", vec![source_key.to_owned()])
        .with("kind", vec!["charge".to_owned()])
        .with("currency", vec!["RUB".to_owned()])
        .with("effective_on", vec![day("2026-11-01")])
        .with("description", vec!["абонентская плата".to_owned()])
        .with("reverses_id", vec![None::<Uuid>]);
    ledger::transactions_insert(tx, tenant, at("2026-11-01T09:00:00Z"), &rows).await
}

/// Writes an issued invoice and answers its id.
pub async fn invoice(tx: &mut Tx, tenant: Uuid) -> Uuid {
    let id = id();
    let sql = "insert into invoices (tenant_id, id, contract_id, seller_id, run_id, status, number, sequence_key,
            sequence_value, issued_on, currency, price_mode, net_minor, tax_minor, gross_minor, numbering_call_id,
            call_line, created_at)
        values ($1, $2, $2, $2, null, 'issued', 'А-1', 'А', 1, '2026-11-01', 'RUB', 'included', 100, 22, 122, null, null,
            '2026-11-01T09:00:00+00:00')";
    assert_eq!(tx.execute(sql, (tenant, id)).await.unwrap(), 1);
    id
}

/// Writes a charge of 100 + 22 on a line of an issued invoice and answers its id, which the invoice has too.
pub async fn charge(tx: &mut Tx, tenant: Uuid) -> Uuid {
    let invoice = invoice(tx, tenant).await;
    let line = "insert into invoice_lines (tenant_id, invoice_id, position, charge_id, title, quantity, net_minor,
            tax_minor, gross_minor, tax_code, tax_rate, tax_call_id, call_line)
        values ($1, $2, 0, $2, 'Интернет', '1', 100, 22, 122, 'vat-22', '22', null, null)";
    tx.execute(line, (tenant, invoice)).await.unwrap();
    let charge = "insert into charges (tenant_id, id, contract_id, subscription_id, component_id, invoice_id, run_id,
            kind, status, period_start, period_end, used_start, used_end, charged_on, realises_on, paid_on, currency,
            amount_minor, proration_call_id, call_line, created_at)
        values ($1, $2, $2, $2, $2, $2, null, 'recurring', 'blocked', '2026-11-01', '2026-12-01', '2026-11-01',
            '2026-12-01', '2026-11-01', '2026-11-30', null, 'RUB', 122, null, null, '2026-11-01T09:00:00+00:00')";
    tx.execute(charge, (tenant, invoice)).await.unwrap();
    invoice
}

/// Writes a credit of a charge.
pub async fn credit(tx: &mut Tx, tenant: Uuid, charge: Uuid, net: i64, tax: i64) -> Result<u64> {
    let credit = "insert into charge_credits (tenant_id, id, charge_id, contract_id, change_id, used_start, used_end,
            currency, net_minor, tax_minor, gross_minor, after_realisation, reason, credited_on, transaction_id,
            created_at)
        values ($1, $3, $2, $2, null, '2026-11-30', '2026-12-01', 'RUB', $4, $5, $6, 1 = 0, 'простой', '2026-11-30', null,
            '2026-11-30T09:00:00+00:00')";
    tx.execute(credit, (tenant, charge, id(), net, tax, net + tax)).await
}

/// Puts one row in every append-only table, one charge and one issued invoice.
pub async fn history(place: &Place) {
    let tenant = place.tenant;
    let mut tx = place.write().await;
    let charge = charge(&mut tx, tenant).await;
    let raise = "update charges set credited_minor = 61 where tenant_id = $1 and id = $2";
    tx.execute(raise, (tenant, charge)).await.unwrap();
    credit(&mut tx, tenant, charge, 50, 11).await.unwrap();
    let account = accounts(&mut tx, tenant, 2).await;
    let posting = id();
    entries(&mut tx, tenant, posting, 0, &[(account[0], 122), (account[1], -122)]).await.unwrap();
    header(&mut tx, tenant, posting, "invoice").await.unwrap();
    let call = "insert into plugin_calls (tenant_id, id, run_id, binding_id, component_digest, world, export,
            input_digest, output_digest, fault_code, fault, fuel, peak_memory_bytes, duration_us, called_at)
        values ($1, $2, null, $2, $3, 'tax-rule', 'assess', $3, null, null, null, 1, 1, 1, '2026-11-01T09:00:00+00:00')";
    tx.execute(call, (tenant, id(), vec![7_u8; 32])).await.unwrap();
    let evidence = "insert into evidence (tenant_id, digest, size_bytes, zstd) values ($1, $2, 1, $2)";
    tx.execute(evidence, (tenant, vec![7_u8; 32])).await.unwrap();
    let error = "insert into import_errors (tenant_id, import_id, position, row_number, column_name, code, message)
        values ($1, $2, 0, 2, 'inn', 'bad-checksum', 'check the number')";
    tx.execute(error, (tenant, id())).await.unwrap();
    let component = "insert into components (digest, plugin_id, version, world, title, config_schema, size_bytes, wasm,
            installed_at) values ($1, 'ru-vat', '1.0.0', 'tax-rule', 'VAT', '{}', 1, $1, '2026-11-01T09:00:00+00:00')
        on conflict (digest) do nothing";
    tx.execute(component, (vec![7_u8; 32],)).await.unwrap();
    let install = "insert into component_installs (id, component_digest, trust_level, publisher, key_id, manifest,
            signature, downgraded_from, installed_by, installed_at)
        values ($1, $2, 'unsigned-dev', null, null, null, null, null, 'test', '2026-11-01T09:00:00+00:00')";
    tx.execute(install, (id(), vec![7_u8; 32])).await.unwrap();
    let (binding, digest) = (id(), vec![7_u8; 32]);
    let bound = "insert into bindings (tenant_id, id, extension_point, component_digest, config, priority,
            effective_from, created_at, ended_at, version)
        values ($1, $2, 'tax-rule', $3, '{}', 0, '2026-11-01', '2026-11-01T09:00:00+00:00', null, 1)";
    tx.execute(bound, (tenant, binding, digest.clone())).await.unwrap();
    let change =
        "insert into binding_changes (tenant_id, binding_id, version, kind, component_digest, config, changed_by,
            changed_at) values ($1, $2, 1, 'bind', $3, '{}', 'test', '2026-11-01T09:00:00+00:00')";
    tx.execute(change, (tenant, binding, digest)).await.unwrap();
    let migration = "insert into subscription_migrations (tenant_id, binding_id, subscription_id, made_version,
            migrated_by, migrated_at) values ($1, $2, $2, 2, 'test', '2026-11-01T09:00:00+00:00')";
    tx.execute(migration, (tenant, binding)).await.unwrap();
    let step = "insert into subscription_transitions (tenant_id, id, subscription_id, from_status, to_status, cause,
            business_on, operation_id, recorded_at)
        values ($1, $2, $2, 'active', 'grace', 'unpaid', '2026-11-01', null, '2026-11-01T09:00:00+00:00')";
    tx.execute(step, (tenant, id())).await.unwrap();
    exchange(&mut tx, tenant).await;
    let event =
        "insert into usage_events (tenant_id, event_id, subscription_id, meter_id, occurred_us, units, nanos, item,
            received_us)
        values ($1, 'e-1', $2, $2, 1, 1, 0, null, 1)";
    tx.execute(event, (tenant, id())).await.unwrap();
    tx.commit().await.unwrap();
}

/// A binding of a gateway, an exchange through it, and a step of its trail.
async fn exchange(tx: &mut Tx, tenant: Uuid) {
    let at = "2026-11-01T09:00:00+00:00";
    let component = leaked(format!(
        "insert into components (digest, plugin_id, version, world, title, config_schema, size_bytes, wasm, installed_at)
        values ($1, 'pay-sandbox', '0.1.0', 'payment-gateway', 'Pay', '{{}}', 1, $1, '{at}') on conflict (digest) do nothing"
    ));
    tx.execute(component, (vec![8_u8; 32],)).await.unwrap();
    let (binding, exchange) = (id(), id());
    let bind = leaked(format!(
        "insert into bindings (tenant_id, id, extension_point, component_digest, config, priority, effective_from, created_at,
            ended_at, version) values ($1, $2, 'payment-gateway', $3, '{{}}', 0, '2026-11-01', '{at}', null, 1)"
    ));
    tx.execute(bind, (tenant, binding, vec![8_u8; 32])).await.unwrap();
    let begin = leaked(format!(
        "insert into exchanges (tenant_id, id, binding_id, component_digest, kind, about_id, number, amount_minor, currency,
            asked, state, requests, verdict, external_id, outcome, fault_code, fault, lease_owner, lease_until, fence, version,
            created_at, updated_at) values ($1, $2, $3, $4, 'pay', null, 1, 100, 'RUB', '{{}}', 'begun', 0, null, '', null,
            null, null, null, null, 0, 1, '{at}', '{at}')"
    ));
    tx.execute(begin, (tenant, exchange, binding, vec![8_u8; 32])).await.unwrap();
    let step = leaked(format!(
        "insert into exchange_steps (tenant_id, exchange_id, position, kind, call_id, request, continuation, status, headers,
            body, note, at) values ($1, $2, 0, 'lost', null, null, null, null, null, null, 'no answer', '{at}')"
    ));
    tx.execute(step, (tenant, exchange)).await.unwrap();
}
