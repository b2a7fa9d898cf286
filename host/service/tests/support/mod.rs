//! The application over a fresh, migrated database, on either engine.

use std::sync::Arc;

use altyn_domain::id::{SellerId, TenantId};
use altyn_domain::party::{CustomerKind, VatRegime};
use altyn_runtime::{Runtime, RuntimeConfig};
use altyn_service::{
    IdempotencyKey,
    context::{Altyn, Request},
    page::Page,
    plugins::Plugins,
    ports::{Ids as _, SystemIds, VirtualClock},
    sellers::CreateSeller,
    settings::{Settings, TrustSettings},
    tenants::CreateTenant,
};
use altyn_store::{Db, Engine, Scope};
use chrono::{DateTime, Utc};

/// Where the suite's PostgreSQL is; the role must be allowed to create schemas and roles.
const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";

/// Runs each named test, a function of a [`Place`], on SQLite and on PostgreSQL.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::support::Place::start(altyn_store::Engine::Sqlite).await).await;
            } )+
        }
        mod postgres {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::support::Place::start(altyn_store::Engine::Postgres).await).await;
            } )+
        }
    };
}
pub(crate) use on_both_engines;

/// An application with one root tenant, on 1 November 2026.
pub struct Place {
    pub altyn: Altyn,
    pub clock: Arc<VirtualClock>,
    pub tenant: TenantId,
    _directory: tempfile::TempDir,
}

/// An instant as RFC 3339 text.
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A page of `limit` objects after a cursor.
pub fn page(limit: i64, cursor: Option<String>) -> Page {
    Page { limit: Some(limit), cursor }
}

pub fn new_tenant(name: &str) -> CreateTenant {
    CreateTenant { name: name.into(), locale: None, zone: None, currency: None, run_mode: None, run_at: None }
}

impl Place {
    pub async fn start(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", directory.path().join("altyn.db").display()),
            Engine::Postgres => fresh_postgres().await,
        };
        Db::migrate(&url).await.unwrap();
        let clock = Arc::new(VirtualClock::new(at("2026-11-01T09:00:00Z")));
        let runtime = RuntimeConfig { instances: 8, ..RuntimeConfig::default() };
        let plugins = Plugins::new(Runtime::new(&runtime).unwrap());
        let db = Db::connect(&url, 8).await.unwrap();
        let altyn = Altyn::new(db, clock.clone(), Arc::new(SystemIds::default()), plugins, Settings::default())
            .with_trust(TrustSettings::development());
        let tenant = altyn.tenant_create_root(new_tenant("Оператор")).await.unwrap().id;
        Self { altyn, clock, tenant, _directory: directory }
    }

    /// A request for the root tenant without an idempotency key.
    pub fn request(&self) -> Request {
        Request::internal(self.tenant, "test")
    }

    /// A request for the root tenant under an idempotency key.
    pub fn keyed(&self, key: &str, body: u8) -> Request {
        let key = IdempotencyKey { key: key.into(), request: "POST /test".into(), fingerprint: [body; 32] };
        Request { key: Some(key), ..self.request() }
    }

    /// A seller of the root tenant.
    pub async fn seller(&self) -> SellerId {
        self.altyn.seller_create(&self.request(), new_seller()).await.unwrap().value.id
    }
}

pub fn new_seller() -> CreateSeller {
    CreateSeller {
        name: "ООО «Меридиан»".into(),
        kind: CustomerKind::LegalEntity,
        country: None,
        inn: Some("7707083893".into()),
        kpp: Some("773601001".into()),
        ogrn: Some("1027700132195".into()),
        vat_regime: VatRegime::General,
        bank_account: Some("40702810938120061991".into()),
        bank_bik: Some("044525225".into()),
    }
}

/// A schema of its own in the suite's database.
async fn fresh_postgres() -> String {
    let url = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
        panic!("set {POSTGRES_URL} to a PostgreSQL whose role may create schemas and roles, or run `cargo xtask test`")
    });
    let schema = format!("service_{}", SystemIds::default().next().simple());
    let db = Db::connect(&url, 1).await.unwrap();
    let mut tx = db.write(Scope::Platform).await.unwrap();
    // A connection works as a role that owns nothing as soon as that role exists.
    tx.execute("reset role", ()).await.unwrap();
    let create: &'static str = Box::leak(format!("create schema {schema}").into_boxed_str());
    tx.execute(create, ()).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options=-c%20search_path%3D{schema}")
}
