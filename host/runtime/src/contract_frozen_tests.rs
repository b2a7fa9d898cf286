//! The form of a track's module, tried on a frozen copy: types generated from the copy, its own host functions, its own
//! conversion, beside the living track and in the same engine.
//!
//! What stands here is what `v0_1` becomes when the next track begins, for one world. It proves that a copy is enough to
//! serve its components by, and that such a module gives what the living track gives.

use altyn_domain::numbering::{Draft, Sequence};
use altyn_domain::plugin::{CallContext, World};
use chrono::Datelike;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::engine::Runtime;
use crate::shape::Build;
use crate::state::State;
use crate::v0_1::bindings::wit_log;

mod frozen {
    wasmtime::component::bindgen!({
        path: "../../wit/frozen/0.1.0-draft.1",
        world: "numbering-scheme",
    });
}

use frozen::altyn::billing::{log, types};
use frozen::exports::altyn::billing::numbering;

const GUEST: &[u8] = include_bytes!("../../../wit/frozen/0.1.0-draft.1/guests/numbering-scheme.wasm");

impl types::Host for State {}

/// A host function of an old track hands over to that of the newest, where what may be done is decided.
impl log::Host for State {
    fn emit(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => wit_log::Level::Debug,
            log::Level::Info => wit_log::Level::Info,
            log::Level::Warn => wit_log::Level::Warn,
            log::Level::Error => wit_log::Level::Error,
        };
        wit_log::Host::emit(self, level, message);
    }
}

fn context(ctx: &CallContext) -> types::Context {
    let CallContext { tenant, binding, config, now_ms, zone, locale } = ctx.clone();
    types::Context { tenant, binding, config, now: now_ms, zone, locale }
}

fn draft(draft: &Draft) -> numbering::Draft {
    let Draft { id, kind, seller, contract, issued_on, attributes } = draft.clone();
    numbering::Draft {
        id,
        kind,
        seller,
        contract,
        issued_on: types::Date {
            year: issued_on.year(),
            month: u8::try_from(issued_on.month()).unwrap(),
            day: u8::try_from(issued_on.day()).unwrap(),
        },
        attributes: attributes.into_iter().map(|(name, value)| types::Attribute { name, value }).collect(),
    }
}

fn drafts() -> Vec<Draft> {
    let of = |id: usize, kind: &str, day: &str| Draft {
        id: id.to_string(),
        kind: kind.into(),
        seller: "АЛ".into(),
        contract: "12/А".into(),
        issued_on: day.parse().unwrap(),
        attributes: vec![("product".into(), "internet".into())],
    };
    vec![of(1, "invoice", "2026-11-01"), of(2, "act", "2027-01-31"), of(3, "credit-note", "2028-02-29")]
}

#[test]
fn a_frozen_copy_is_enough_to_serve_its_components_as_the_living_track_does() {
    let runtime = Runtime::new(&crate::RuntimeConfig::default()).unwrap();
    let (ctx, drafts) = (
        CallContext {
            tenant: "ten_1".into(),
            binding: "bnd_1".into(),
            config: r#"{"template":"СЧ-{year}-{seq:6}"}"#.into(),
            now_ms: 1_793_491_200_000,
            zone: "Europe/Moscow".into(),
            locale: "ru-RU".into(),
        },
        drafts(),
    );

    let realm = runtime.shared.realm(Build::Plain).unwrap();
    let mut linker = Linker::new(&realm.engine);
    types::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).unwrap();
    log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).unwrap();
    let component = Component::from_binary(&realm.engine, GUEST).unwrap();
    let pre = frozen::NumberingSchemePre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
    let limits = runtime.config().limits.numbering_scheme;
    let state = State::new(World::NumberingScheme, &limits);
    let mut store = runtime.shared.store(&realm.engine, state, &limits, drafts.len()).unwrap();
    let guest = pre.instantiate(&mut store).unwrap();
    let asked: Vec<_> = drafts.iter().map(draft).collect();
    let answered = guest.altyn_billing_numbering().call_sequences(&mut store, &context(&ctx), &asked).unwrap().unwrap();
    let converted: Vec<Sequence> =
        answered.into_iter().map(|numbering::Sequence { key, start }| Sequence { key, start }).collect();

    let plugin = runtime.load(GUEST).unwrap();
    let living = runtime.sequences(&plugin, &ctx, &drafts).result.unwrap();
    assert_eq!(converted, living);
    assert_eq!(converted.len(), drafts.len());
}
