//! From components to an invoice line: signed, installed, bound, billed, explained.

use std::fs;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Walk, project::Project};

/// The day that is billed; it lies behind everybody.
const DAY: &str = "2026-01-01";

/// The world whose plugins decide about payments, not about lines.
const GATEWAY: &str = "payment-gateway";
/// The host that the gateway of the templates asks.
const BANK: &str = "api.counter-bank.example";

/// Bills one subscription by the plugins of a language, begins a payment through its gateway, and answers who decided its line.
pub fn bill(walk: &Walk<'_>, language: &str, projects: &[Project]) -> anyhow::Result<String> {
    let folder = walk.folder.join(format!("line-{language}"));
    fs::create_dir_all(&folder)?;
    let altyn = |words: &[&str]| walk.altyn(&folder, words);
    let id = |made: &Value| made["id"].as_str().map(str::to_owned).context("nothing was made");

    altyn(&["migrate"])?;
    altyn(&["tenant", "create", "--name", "Authors"])?;
    let seller = id(&altyn(&[
        "seller",
        "create",
        "--name",
        "Seller",
        "--vat-regime",
        "general",
        "--inn",
        "7707083893",
        "--kpp",
        "770701001",
    ])?)?;
    let product = ["product", "create", "--code", "net", "--title", "Internet", "--tax-category", "standard"];
    let component =
        json!({ "code": "net", "title": "Internet", "product_id": id(&altyn(&product)?)?, "unit_price_minor": 60_000 });
    let version =
        json!({ "effective_from": "2020-01-01", "cadence": "1m", "price_mode": "included", "components": [component] });
    let plan = json!({ "code": "net", "title": "Internet", "status": "active", "version": version });
    fs::write(folder.join("plan.json"), plan.to_string())?;
    altyn(&["plan", "create", "plan.json"])?;
    let customer = id(&altyn(&["customer", "create", "--name", "Customer", "--kind", "individual"])?)?;
    let contract =
        ["contract", "create", "--customer", &customer, "--seller", &seller, "--number", "1", "--kind", "prepaid"];
    let contract = id(&altyn(&[&contract[..], &["--credit-limit", "1000.00", "--signed-on", "2025-12-01"]].concat())?)?;
    altyn(&["subscription", "create", "--contract", &contract, "--plan-code", "net", "--starts-on", DAY])?;

    altyn(&["plugin", "keygen", "--out", "author.key"])?;
    altyn(&["plugin", "key", "trust", "author.key.pub", "--publisher", "Author"])?;
    for project in projects {
        let component = project.component();
        let component = component.to_str().context("the folder has a plain name")?;
        altyn(&["plugin", "sign", component, "--key", "author.key"])?;
        altyn(&["plugin", "install", component])?;
        if project.world == GATEWAY {
            let secrets = ["--secret", "api-key", "--secret", "notification-key"];
            altyn(&[&["plugin", "grant", &project.name, "--host", BANK][..], &secrets].concat())?;
        }
        let bound = id(&altyn(&["plugin", "bind", &project.name, "--from", "2020-01-01"])?)?;
        if project.world == GATEWAY {
            // Nobody put the key of the bank, so the request is not sent; the plugin is asked on and says so.
            let paid = altyn(&["gateway", "pay", &bound, "--amount-minor", "59000"])?;
            ensure!(paid["verdict"]["is"] == "not-attempted" && paid["requests"] == 1, "no payment: {paid:#}");
        }
    }

    let run = altyn(&["run", "start", "--date", DAY, "--mode", "automatic"])?;
    ensure!(run["invoices"] == 1 && run["parked"] == 0, "the day did not end with one invoice: {run:#}");
    let invoices = altyn(&["invoice", "list"])?;
    let invoice = id(&invoices["data"][0])?;
    let explained = altyn(&["explain", &format!("{invoice}/0")])?;
    let decisions = explained["decisions"].as_array().context("no decisions")?;
    let deciding = projects.iter().filter(|project| project.world != GATEWAY).count();
    ensure!(decisions.len() == deciding, "not all of {} plugins decided: {explained:#}", projects.len());
    ensure!(
        decisions.iter().all(|decision| decision["replayed_identical"] == true),
        "asked again, a plugin answers otherwise: {explained:#}"
    );
    let verified = altyn(&["verify", "--replay", "10"])?;
    ensure!(verified["ok"] == true, "the books do not hold: {verified:#}");
    Ok(format!(
        "{} of {} minor units with {} of tax; {} decisions asked again, all identical",
        invoices["data"][0]["number"],
        explained["gross_minor"],
        explained["tax_minor"],
        decisions.len()
    ))
}
