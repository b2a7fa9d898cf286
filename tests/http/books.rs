//! The books of a small operator, made through the interface alone: one of every kind of object, and a billed day.

use std::{collections::BTreeMap, path::PathBuf};

use altyn_domain::{id::RunId, manifest::Manifest};
use altyn_service::{runs::Advanced, signing::PublisherKey};
use reqwest::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::support::{Host, send};

/// The day that is billed.
pub const DAY: &str = "2026-01-15";

/// Ids by the path of their collection.
pub struct Books(pub BTreeMap<&'static str, String>);

impl Books {
    pub fn id(&self, collection: &str) -> &str {
        &self.0[collection]
    }

    pub fn path(&self, collection: &str) -> String {
        format!("{collection}/{}", self.id(collection))
    }

    pub fn keep(&mut self, collection: &'static str, object: &Value) {
        self.0.insert(collection, object["id"].as_str().unwrap().to_owned());
    }
}

/// The bytes of a guest that the build made.
pub fn plugin(name: &str) -> Vec<u8> {
    let built = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/plugins");
    let directory = std::env::var("ALTYN_PLUGINS_DIR").map_or_else(|_| built(), PathBuf::from);
    let path = directory.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build the guests with `cargo xtask plugins` or run `cargo xtask test`", path.display())
    })
}

/// Installs a guest that is installed once more, signed by a publisher who is trusted.
pub async fn sign(host: &Host, name: &str, publisher: &str) {
    let key = PublisherKey::new(&Zeroizing::new([5; 32]));
    let examined = host.altyn.plugins.examine(plugin(name), None).await.unwrap();
    let descriptor = host.altyn.plugins.describe(&examined).await.unwrap();
    let facts = examined.facts();
    let manifest = Manifest::new(&facts.digest.to_string(), &facts.contract_version, facts.world, &descriptor);
    let manifest = serde_json::to_string(&key.sign(manifest).unwrap()).unwrap();
    let trust = host.ask_as(&host.root, Method::POST, "/v1/plugin-keys").header("idempotency-key", host.fresh());
    let trusted = json!({ "public_key": key.public().to_string(), "publisher": publisher });
    send(trust.json(&trusted)).await.expect(201);
    let install = host.ask_as(&host.root, Method::POST, "/v1/plugins").header("idempotency-key", host.fresh());
    let install = install.header("content-type", "application/wasm").header("altyn-manifest", manifest);
    send(install.body(plugin(name))).await.expect(200);
}

/// Installs a guest for the platform and binds it from the beginning of 2026.
pub async fn bind(host: &Host, name: &str, config: Value) -> (Value, Value) {
    let install = host.ask_as(&host.root, Method::POST, "/v1/plugins").header("idempotency-key", host.fresh());
    let component = send(install.header("content-type", "application/wasm").body(plugin(name))).await.expect(201);
    if component["secrets"] != json!([]) || component["hosts"] != json!([]) {
        let grant =
            json!({ "component": component["digest"], "hosts": component["hosts"], "secrets": component["secrets"] });
        // Who is above grants first: what it has not cannot be passed on.
        if host.root != host.admin {
            let above = host.ask_as(&host.root, Method::POST, "/v1/grants").header("idempotency-key", host.fresh());
            send(above.json(&grant)).await.expect(201);
        }
        host.post("/v1/grants", &grant).await.expect(201);
    }
    let command = json!({ "component": component["digest"], "config": config, "effective_from": "2026-01-01" });
    let binding = host.post("/v1/bindings", &command).await.expect(201);
    (component, binding)
}

/// A contract with a subscription that falls due on [`DAY`], and everything that its billing needs.
pub async fn prepare(host: &Host) -> Books {
    let mut books = Books(BTreeMap::new());
    for (name, config) in [
        ("day-ratio", json!({})),
        ("ru-vat", json!({})),
        ("number-template", json!({ "template": "СЧ-{year}-{seq:6}", "reset": "yearly" })),
    ] {
        let (component, binding) = bind(host, name, config).await;
        books.keep("/v1/bindings", &binding);
        books.0.insert("/v1/plugins", component["digest"].as_str().unwrap().to_owned());
    }
    let (key, _) = host.key(altyn_service::api_keys::Role::ReadOnly).await;
    books.0.insert("/v1/api-keys", key.to_string());
    books.keep("/v1/tenants", &host.post("/v1/tenants", &json!({ "name": "Филиал" })).await.expect(201));
    let seller = json!({ "name": "ООО «Оператор»", "kind": "legal-entity", "inn": "7707083893", "kpp": "773601001",
        "ogrn": "1027700132195", "vat_regime": "general" });
    books.keep("/v1/sellers", &host.post("/v1/sellers", &seller).await.expect(201));
    let customer = json!({ "kind": "individual", "name": "Иванов Иван Иванович" });
    books.keep("/v1/customers", &host.post("/v1/customers", &customer).await.expect(201));
    let contract = json!({ "customer_id": books.id("/v1/customers"), "seller_id": books.id("/v1/sellers"),
        "number": "Д-1", "kind": "prepaid", "signed_on": "2026-01-01" });
    books.keep("/v1/contracts", &host.post("/v1/contracts", &contract).await.expect(201));
    let product = json!({ "code": "internet", "title": "Доступ в Интернет", "tax_category": "standard" });
    books.keep("/v1/products", &host.post("/v1/products", &product).await.expect(201));
    let meter = json!({ "code": "traffic", "title": "Трафик", "unit": "GB", "aggregation": "sum" });
    books.keep("/v1/meters", &host.post("/v1/meters", &meter).await.expect(201));
    let plan = json!({ "code": "home-100", "title": "Домашний 100", "status": "active", "version": {
        "effective_from": "2026-01-01", "cadence": "1m", "price_mode": "included",
        "components": [{ "code": "access", "title": "Доступ в Интернет", "unit_price_minor": 59_000,
            "product_id": books.id("/v1/products") }],
    }});
    books.keep("/v1/plans", &host.post("/v1/plans", &plan).await.expect(201));
    let price = json!({ "contract_id": books.id("/v1/contracts"), "plan_code": "home-100", "component": "access",
        "unit_price_minor": 55_000, "from": "2035-01-01", "comment": "agreed" });
    books.keep("/v1/price-overrides", &host.post("/v1/price-overrides", &price).await.expect(201));
    let subscription = json!({ "contract_id": books.id("/v1/contracts"), "plan_code": "home-100", "starts_on": DAY });
    books.keep("/v1/subscriptions", &host.post("/v1/subscriptions", &subscription).await.expect(201));
    let funds = format!("contract/{}/funds", books.id("/v1/contracts"));
    let payment = json!({ "source_key": "receipt-1", "effective_on": DAY, "currency": "RUB", "kind": "payment-received",
    "description": "paid at the counter", "entries": [
        { "account": "cash", "amount_minor": 10_000 }, { "account": funds, "amount_minor": -10_000 },
    ]});
    books.keep("/v1/ledger/transactions", &host.post("/v1/ledger/transactions", &payment).await.expect(201));
    let policy = json!({ "scope": "tenant", "allowed": { "promise_most_minor": 50_000 } });
    books.keep("/v1/credit-policies", &host.post("/v1/credit-policies", &policy).await.expect(201));
    let promise =
        json!({ "contract_id": books.id("/v1/contracts"), "amount_minor": 5_000, "comment": "will pay on Friday" });
    books.keep("/v1/promises", &host.post("/v1/promises", &promise).await.expect(201));
    let block =
        json!({ "contract_id": books.id("/v1/contracts"), "block_type": "court", "comment": "by order of the court" });
    books.keep("/v1/blocks", &host.post("/v1/blocks", &block).await.expect(201));
    let dunning = json!({ "scope": "contract", "stages": [{ "code": "reminder", "when": { "days_at_least": 3 } }] });
    books.keep("/v1/dunning-policies", &host.post("/v1/dunning-policies", &dunning).await.expect(201));
    let accounts = host.get("/v1/ledger/accounts").await.expect(200);
    books.keep("/v1/ledger/accounts", &accounts["data"][0]);
    books
}

/// Starts the run of [`DAY`].
pub async fn start(host: &Host, books: &mut Books, mode: &str) {
    let run = host.post("/v1/runs", &json!({ "business_on": DAY, "mode": mode })).await.expect(201);
    books.keep("/v1/runs", &run);
}

/// Works on the run, as the scheduler of a host does.
pub async fn advance(host: &Host, books: &Books) -> Advanced {
    let run: RunId = books.id("/v1/runs").parse().unwrap();
    host.altyn.run_advance(host.tenant, run, "test").await.unwrap()
}

/// Bills [`DAY`] and keeps the charge and the invoice.
pub async fn billed(host: &Host) -> Books {
    let mut books = prepare(host).await;
    start(host, &mut books, "automatic").await;
    assert_eq!(advance(host, &books).await, Advanced::Done);
    for collection in ["/v1/charges", "/v1/invoices", "/v1/plugin-calls"] {
        let list = host.get(collection).await.expect(200);
        books.keep(collection, &list["data"][0]);
    }
    let path = format!("{}/changes", books.path("/v1/subscriptions"));
    let change = json!({ "kind": "change-quantity", "quantity": "2", "timing": "end-of-term" });
    let seen = host.post(&format!("{path}/preview"), &change).await.expect(200);
    let command = json!({ "change": change, "plan_hash": seen["plan_hash"], "effects": seen["effects"] });
    books.keep("/v1/changes", &host.post(&path, &command).await.expect(201));
    books
}
