//! Real components and plain questions for them.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use altyn_domain::calendar::Period;
use altyn_domain::money::{Currency, Money};
use altyn_domain::numbering::Draft;
use altyn_domain::proration::{CurrentDay, Question};
use altyn_domain::tax::{Party, PriceMode, TaxDocument, TaxableLine};
use altyn_runtime::{CallContext, Limits, LimitsTable, Plugin, Runtime, RuntimeConfig};

/// One host for all tests of a file.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(&RuntimeConfig::default()).unwrap());

/// The folder of built components.
pub fn folder() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    std::env::var_os("ALTYN_PLUGINS_DIR").map_or(built, PathBuf::from)
}

/// The bytes of a built component.
pub fn component(name: &str) -> Vec<u8> {
    let path = folder().join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build the guests first: cargo xtask plugins", path.display());
    })
}

/// A loaded plugin.
pub fn plugin(name: &str) -> Plugin {
    RUNTIME.load(&component(name)).unwrap()
}

/// A host with the same limits for every world.
pub fn runtime_with(limits: Limits) -> Runtime {
    let limits = LimitsTable {
        proration_strategy: limits,
        tax_rule: limits,
        numbering_scheme: limits,
        payment_gateway: limits,
        composed: limits,
    };
    Runtime::new(&RuntimeConfig { limits, instances: 4, ..RuntimeConfig::default() }).unwrap()
}

pub fn context(config: &str) -> CallContext {
    CallContext {
        tenant: "ten_1".into(),
        binding: "bnd_1".into(),
        config: config.into(),
        now_ms: 1_793_000_000_000,
        zone: "Europe/Moscow".into(),
        locale: "ru-RU".into(),
    }
}

pub fn rub(minor: i64) -> Money {
    Money::new(minor, Currency::RUB)
}

pub fn period(start: &str, end: &str) -> Period {
    Period::try_new(start.parse().unwrap(), end.parse().unwrap()).unwrap()
}

pub fn question(line: usize, price_minor: i64) -> Question {
    Question {
        line: line.to_string(),
        price: rub(price_minor),
        period: period("2026-11-01", "2026-12-01"),
        used: period("2026-11-11", "2026-12-01"),
        current_day: CurrentDay::New,
        billed: rub(0),
        credited: rub(0),
    }
}

pub fn party(id: &str) -> Party {
    Party {
        id: id.into(),
        kind: "legal-entity".into(),
        country: "RU".into(),
        tax_ids: vec![("inn".into(), "7707083893".into())],
        attributes: Vec::new(),
    }
}

pub fn document(id: usize, buyer: &str, amounts: &[i64]) -> TaxDocument {
    let line = |(index, &minor): (usize, &i64)| TaxableLine {
        id: index.to_string(),
        amount: rub(minor),
        supplied_on: "2026-11-30".parse().unwrap(),
        category: "standard".into(),
        attributes: Vec::new(),
    };
    TaxDocument {
        id: id.to_string(),
        seller: party("seller"),
        buyer: party(buyer),
        issued_on: "2026-12-01".parse().unwrap(),
        advance: false,
        mode: PriceMode::Included,
        lines: amounts.iter().enumerate().map(line).collect(),
    }
}

pub fn draft(id: usize, contract: &str) -> Draft {
    Draft {
        id: id.to_string(),
        kind: "invoice".into(),
        seller: "АЛ".into(),
        contract: contract.into(),
        issued_on: "2026-11-01".parse().unwrap(),
        attributes: Vec::new(),
    }
}
