//! A server of the test behind TLS, and a place whose gateways talk to it.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use altyn_domain::{
    grant::LoweredLimits,
    id::{BindingId, ExchangeId},
};
use altyn_service::{
    bindings::CreateBinding,
    egress::Egress,
    exchanges::{BeginExchange, ExchangeView},
    grants::SetGrant,
    plugins::ComponentView,
    secrets::SetSecret,
    vault::{MasterKey, MasterKeys, SecretText},
};
use altyn_store::Scope;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::support::Place;

pub const HOSTS: [&str; 5] = [
    "auth.robokassa.ru",
    "services.robokassa.ru",
    "api-m.sandbox.paypal.com",
    "api.sandbox.paypal.com",
    "sandbox.invalid",
];

/// A request as the server saw it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Deed {
    Answer(u16, String),
    /// With further header lines.
    Plain(String),
    /// Closes the connection without an answer.
    HangUp,
    /// Takes the request and never answers.
    Silence,
    /// Begins with the first text, and goes on with one byte of the second a second.
    Drip(String, String),
    /// Begins with the first text, and repeats the second without end.
    Endless(String, String),
}

pub type Script = Arc<dyn Fn(&Seen) -> Deed + Send + Sync>;

/// The server: what it does, and what it saw.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub async fn start(script: impl Fn(&Seen) -> Deed + Send + Sync + 'static) -> Self {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script: Script = Arc::new(script);
        let server = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(script)),
            seen: Arc::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, serving) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serving.serve(stream).await;
                    }
                });
            }
        });
        server
    }

    /// Does something else from now on.
    pub fn does(&self, script: impl Fn(&Seen) -> Deed + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    async fn serve(&self, mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4_096];
        let seen = loop {
            if let Some(seen) = parsed(&bytes) {
                break seen;
            }
            match stream.read(&mut buffer).await {
                Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
                _ => return,
            }
        };
        self.seen.lock().unwrap().push(seen.clone());
        let script = Arc::clone(&self.script.lock().unwrap());
        let answer = match script(&seen) {
            Deed::Answer(status, body) => {
                format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Deed::Plain(text) => text,
            Deed::Drip(head, rest) => {
                let _ = stream.write_all(head.as_bytes()).await;
                for byte in rest.bytes() {
                    if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
                return;
            }
            Deed::Endless(head, rest) => {
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(rest.as_bytes()).await.is_ok() {}
                return;
            }
            Deed::HangUp => return,
            Deed::Silence => {
                tokio::time::sleep(std::time::Duration::from_mins(1)).await;
                return;
            }
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

fn parsed(bytes: &[u8]) -> Option<Seen> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    (body.len() >= length).then(|| Seen { line, headers, body: body.to_owned() })
}

/// The root that the server's certificate leads to.
pub fn root() -> Vec<u8> {
    CertificateDer::from_pem_slice(include_bytes!("tls/root.pem")).unwrap().to_vec()
}

/// Gives the place a way to the server under its names, and keeps these secrets for those hosts.
pub async fn connect(place: &mut Place, server: &Server, secrets: &[(&str, &str)]) {
    let names: HashMap<_, _> = HOSTS.iter().map(|host| ((*host).to_owned(), server.address)).collect();
    place.altyn = place.altyn.clone().with_egress(Egress::over_test_network(names, &root()).unwrap());
    keep(place, secrets, &HOSTS).await;
}

/// Keeps secrets that may be sent to these hosts.
pub async fn keep(place: &mut Place, secrets: &[(&str, &str)], hosts: &[&str]) {
    let master = MasterKey::new(Zeroizing::new([7; 32]));
    place.altyn = place.altyn.clone().with_master_keys(MasterKeys::new(Some(master), None));
    for (name, value) in secrets {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        let secret = SetSecret { name: (*name).into(), value: SecretText::new((*value).into()), hosts };
        place.altyn.secret_set(&place.request(), secret).await.unwrap();
    }
}

/// Installs a guest.
pub async fn install(place: &Place, guest: &str) -> ComponentView {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("ALTYN_PLUGINS_DIR").map_or(built, Into::into);
    let wasm = std::fs::read(folder.join(guest).with_extension("wasm"));
    let wasm = wasm.unwrap_or_else(|error| panic!("{guest}: {error}; build the guests first: cargo xtask plugins"));
    place.altyn.plugin_install(&place.request(), wasm).await.unwrap().value
}

/// Answers what a component asks for.
pub async fn grant(place: &Place, component: &str, hosts: Vec<String>, secrets: Vec<String>) {
    let grant = SetGrant { component: component.into(), hosts, secrets, limits: LoweredLimits::default() };
    place.altyn.grant_set(&place.request(), grant).await.unwrap();
}

/// A request to bind a component.
pub fn binding(component: &str, config: serde_json::Value) -> CreateBinding {
    let effective_from = "2026-11-01".parse().unwrap();
    CreateBinding { component: component.into(), config, priority: 0, effective_from }
}

/// Installs a guest, grants it what it asks for, and binds it.
pub async fn bind(place: &Place, guest: &str, config: serde_json::Value) -> BindingId {
    let ComponentView { digest, hosts, secrets, .. } = install(place, guest).await;
    grant(place, &digest, hosts, secrets).await;
    place.altyn.binding_create(&place.request(), binding(&digest, config)).await.unwrap().value.id
}

pub fn pay(binding_id: BindingId, amount_minor: i64, currency: &str) -> BeginExchange {
    BeginExchange::Pay {
        binding_id,
        amount_minor,
        currency: currency.into(),
        description: "Связь, ноябрь".into(),
        capture: true,
        return_url: None,
        payer: BTreeMap::new(),
        saved_method: None,
        save_method: false,
    }
}

pub async fn begin(place: &Place, command: BeginExchange) -> ExchangeView {
    place.altyn.exchange_begin(&place.request(), command).await.unwrap().value
}

/// The verdict's name, `-` while there is none.
pub fn verdict(view: &ExchangeView) -> &'static str {
    view.verdict.as_ref().map_or("-", |verdict| verdict.name().as_str())
}

/// The kinds of an exchange's steps.
pub async fn trail(place: &Place, id: ExchangeId) -> Vec<String> {
    let page = crate::support::page(100, None);
    let steps = place.altyn.exchange_steps(&place.request(), id, &page).await.unwrap();
    steps.data.into_iter().map(|step| step.kind).collect()
}

/// Everything that the database keeps of exchanges and of evidence, as one text.
pub async fn kept(place: &Place, id: ExchangeId) -> String {
    let page = crate::support::page(100, None);
    let steps = place.altyn.exchange_steps(&place.request(), id, &page).await.unwrap().data;
    let mut text = serde_json::to_string(&steps).unwrap();
    for step in steps {
        if let Some(call) = step.call_id {
            let evidence = place.altyn.call_evidence(&place.request(), call).await.unwrap();
            text.push_str(&serde_json::to_string(&evidence).unwrap());
        }
    }
    text.push_str(&serde_json::to_string(&place.altyn.exchange_get(&place.request(), id).await.unwrap()).unwrap());
    text
}

/// Ends the hold of a host that is no more.
pub async fn free(place: &Place) {
    let mut tx = place.altyn.db.write(Scope::Tenant(place.tenant.0)).await.unwrap();
    tx.execute("update exchanges set lease_until = null, lease_owner = null where tenant_id = $1", (place.tenant.0,))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}
