//! Each call leaves a span that tells who was asked, what it took and how it ended, and no secret.

#[expect(dead_code, reason = "each test file uses a part of it")]
mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use altyn_domain::exchange::Incoming;
use altyn_runtime::Keyring;
use common::{RUNTIME, context, document, plugin};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

type Figures = BTreeMap<&'static str, String>;

/// The fields of every span and event, as text.
#[derive(Clone, Default)]
struct Heard {
    spans: Arc<Mutex<BTreeMap<u64, (&'static str, Figures)>>>,
    events: Arc<Mutex<Vec<String>>>,
    next: Arc<AtomicU64>,
}

struct Fields<'a>(&'a mut Figures);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = BTreeMap::new();
        span.record(&mut Fields(&mut fields));
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.insert(id, (span.metadata().name(), fields));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fields)) = spans.get_mut(&span.into_u64()) {
            values.record(&mut Fields(fields));
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{fields:?}"));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What was heard of the calls that `work` makes: the fields of each, and everything as one text.
fn heard(work: impl FnOnce()) -> (Vec<Figures>, String) {
    let heard = Heard::default();
    tracing::subscriber::with_default(heard.clone(), work);
    let spans = heard.spans.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let events = heard.events.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
    let all = format!("{spans:?}\n{events}");
    (spans.into_values().filter(|(name, _)| *name == "plugin_call").map(|(_, fields)| fields).collect(), all)
}

#[test]
fn a_call_tells_who_was_asked_what_it_took_and_how_it_ended() {
    let rule = plugin("ru-vat").called("ru-vat 0.1.0");
    let (spans, _) = heard(|| {
        let call = RUNTIME.assess(&rule, &context("{}"), &[document(0, "buyer", &[1_200, 2_400])]);
        assert!(call.result.is_ok(), "{:?}", call.result);
    });
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    let of = |field: &str| span.get(field).map(String::as_str).unwrap_or_default();
    assert_eq!((of("tenant"), of("binding"), of("plugin")), ("ten_1", "bnd_1", "ru-vat 0.1.0"));
    assert_eq!((of("world"), of("export"), of("purpose")), ("tax-rule", "tax.assess", "decision"));
    assert_eq!((of("component"), of("lines"), of("outcome")), (rule.digest().to_string().as_str(), "2", "answered"));
    for figure in ["fuel", "duration_us"] {
        assert!(of(figure).parse::<u64>().is_ok_and(|figure| figure > 0), "{figure}: {span:?}");
    }
}

#[test]
fn a_call_that_fails_tells_by_which_code() {
    let hostile = plugin("hostile-tax");
    let (spans, _) = heard(|| {
        let call = RUNTIME.assess(&hostile, &context(r#"{"do":"trap"}"#), &[document(0, "buyer", &[1_200])]);
        assert!(call.result.is_err());
    });
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].get("outcome").map(String::as_str), Some("plugin-trap"));
}

#[test]
fn no_secret_and_no_configuration_is_told() {
    let sandbox = plugin("pay-sandbox");
    let mut keyring = Keyring::new();
    keyring.add("notification-key", b"a-secret-nobody-reads").expect("a good name");
    let keyring = Arc::new(keyring);
    let incoming = Incoming {
        method: "POST".into(),
        query: "key=a-query-nobody-reads".into(),
        headers: vec![("authorization".into(), "Bearer a-token-nobody-reads".into())],
        body: b"a-body-nobody-reads".to_vec(),
        source: String::new(),
    };
    let (spans, all) = heard(|| {
        drop(RUNTIME.gateway_receive(&sandbox, &context(r#"{"note":"a-setting-nobody-reads"}"#), &keyring, &incoming));
    });
    assert_eq!(spans.len(), 1);
    assert!(!all.contains("nobody-reads"), "{all}");
}
