//! A whole host for one test: a fresh database, the application, and its interface on a port of its own.

use std::{sync::Arc, time::Duration};

use altyn::http;
use altyn_domain::id::{ApiKeyId, TenantId};
use altyn_runtime::{Runtime, RuntimeConfig};
use altyn_service::{
    api_keys::{CreateApiKey, Role},
    context::{Altyn, Request},
    plugins::Plugins,
    ports::{Ids as _, SystemClock, SystemIds},
    settings::{Settings, TrustSettings},
    tenants::CreateTenant,
};
use altyn_store::{Db, Engine};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, oneshot},
};

/// Where the suite's PostgreSQL is; the role must be allowed to create databases and roles.
const POSTGRES_URL: &str = "ALTYN_TEST_POSTGRES_URL";
static MIGRATING: Mutex<()> = Mutex::const_new(());

/// Runs each named test on SQLite and on PostgreSQL.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::support::Host::start(altyn_store::Engine::Sqlite).await).await;
            } )+
        }
        mod postgres {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::support::Host::start(altyn_store::Engine::Postgres).await).await;
            } )+
        }
    };
}
pub(crate) use on_both_engines;

/// A running host with one root tenant and its administrator's key.
pub struct Host {
    pub altyn: Altyn,
    pub url: String,
    pub client: Client,
    pub tenant: TenantId,
    pub admin: String,
    /// The key of the root tenant, which installs plugins for all.
    pub root: String,
    stop: Option<oneshot::Sender<()>>,
    _directory: tempfile::TempDir,
}

/// An answer, read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Checks the status and gives the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }

    /// Checks that the answer is a whole problem with this status and code, and gives it.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let instance = self.header("x-request-id").map(str::to_owned);
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("/problems/{code}"));
        assert_eq!(body["status"], status);
        assert_eq!(body["instance"].as_str().map(str::to_owned), instance, "the problem carries the request's id");
        assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty(), "{body}");
        body
    }
}

/// Sends a request and reads the answer.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

impl Host {
    pub async fn start(engine: Engine) -> Self {
        // What the host logs about a failure is shown with the test that failed.
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_test_writer();
        drop(log.try_init());
        let directory = tempfile::tempdir().unwrap();
        // Databases of one server share its roles, which a migration creates: two at once would meet there.
        let migrating = MIGRATING.lock().await;
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", directory.path().join("altyn.db").display()),
            Engine::Postgres => fresh_postgres().await,
        };
        Db::migrate(&url).await.unwrap();
        drop(migrating);
        let runtime = RuntimeConfig { instances: 8, ..RuntimeConfig::default() };
        let altyn = Altyn::new(
            Db::connect(&url, 8).await.unwrap(),
            Arc::new(SystemClock),
            Arc::new(SystemIds::default()),
            Plugins::new(Runtime::new(&runtime).unwrap()),
            Settings::default(),
        )
        .with_trust(TrustSettings::development());
        let tenant = root(&altyn, "Оператор").await;
        let admin = key(&altyn, tenant, Role::Admin).await.1;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = altyn.clone();
        tokio::spawn(async move {
            let shutdown = async move { drop(stopped.await) };
            http::serve(served, listener, shutdown).await.unwrap();
        });
        let client = Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_mins(1)).build().unwrap();
        let root = admin.clone();
        Self { altyn, url, client, tenant, admin, root, stop: Some(stop), _directory: directory }
    }

    /// A request with the administrator's key.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.ask_as(&self.admin, method, path)
    }

    /// A request with some key.
    pub fn ask_as(&self, key: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(key)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.ask(Method::GET, path)).await
    }

    /// A POST with a key of its own.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.ask(Method::POST, path).header("idempotency-key", self.fresh()).json(body)).await
    }

    /// A PUT of the given version.
    pub async fn put(&self, path: &str, version: &str, body: &Value) -> Answer {
        send(self.ask(Method::PUT, path).header("if-match", version).json(body)).await
    }

    /// A text that was never used before.
    pub fn fresh(&self) -> String {
        self.altyn.ids.next().simple().to_string()
    }

    /// Another root tenant and its administrator's key.
    pub async fn stranger(&self) -> (TenantId, String) {
        let tenant = root(&self.altyn, "Чужой оператор").await;
        (tenant, key(&self.altyn, tenant, Role::Admin).await.1)
    }

    /// A key of this tenant.
    pub async fn key(&self, role: Role) -> (ApiKeyId, String) {
        key(&self.altyn, self.tenant, role).await
    }

    /// Asks the host to stop.
    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

async fn root(altyn: &Altyn, name: &str) -> TenantId {
    let command = serde_json::from_value::<CreateTenant>(serde_json::json!({ "name": name })).unwrap();
    altyn.tenant_create_root(command).await.unwrap().id
}

/// A key of a tenant and its secret.
pub async fn key(altyn: &Altyn, tenant: TenantId, role: Role) -> (ApiKeyId, String) {
    let command = CreateApiKey { name: "test".into(), role, expires_at: None };
    let reply = altyn.api_key_create(&Request::internal(tenant, "test"), command).await.unwrap();
    (reply.value.key.id, reply.value.secret.unwrap())
}

/// A database of its own on the suite's server.
async fn fresh_postgres() -> String {
    let server = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
        panic!("set {POSTGRES_URL} to a PostgreSQL whose role may create databases, or run `cargo xtask test`")
    });
    let name = format!("altyn_http_{}", SystemIds::default().next().simple());
    Db::create_postgres_database(&server, &name).await.unwrap()
}
