//! Gateways on trial: a payment has one component from its beginning to its end, and a component that fails gets no more.

use altyn_domain::{
    canary::{CanaryState, WHOLE_BP, is_payment_chosen},
    id::{BindingId, ExchangeId},
};
use altyn_service::{
    canary::{CanaryView, ChangeCanary, StartCanary},
    events::EventFilter,
    exchanges::{BeginExchange, ExchangeView},
};
use serde_json::json;

use crate::sandbox::notification;
use crate::support::{Place, at, on_both_engines, page};
use crate::wire::{Deed, Server, begin, bind, connect, grant, install, keep, pay, trail, verdict};

on_both_engines!(
    payments_are_shared_out_by_their_ids_and_stay_where_they_began,
    a_gateway_that_fails_is_taken_back_with_the_payment_that_passes_the_bound,
    neither_a_decline_nor_a_network_that_fails_is_a_fault,
    a_gateway_that_does_not_even_answer_what_it_can_do_is_taken_back,
    a_notification_of_a_payment_on_trial_is_read_by_what_began_it,
    a_component_on_trial_speaks_of_its_own_payments_only,
    a_promoted_gateway_takes_all_payments_and_keeps_its_own,
);

/// Puts a guest on trial; it is granted what it asks for.
async fn on_trial(
    place: &Place,
    gateway: BindingId,
    guest: &str,
    config: serde_json::Value,
    share_bp: i32,
) -> CanaryView {
    let component = install(place, guest).await;
    grant(place, &component.digest, component.hosts, component.secrets).await;
    let command = StartCanary {
        component: component.digest,
        config: Some(config),
        share_bp,
        tenants: Vec::new(),
        most_fault_bp: 1_000,
        least_decisions: 3,
    };
    place.altyn.canary_start(&place.request(), gateway, command).await.unwrap().value
}

async fn trial(place: &Place, gateway: BindingId) -> CanaryView {
    place.altyn.canary_get(&place.request(), gateway).await.unwrap()
}

async fn known(place: &Place, id: ExchangeId) -> ExchangeView {
    place.altyn.exchange_get(&place.request(), id).await.unwrap()
}

async fn notify(place: &Place, gateway: BindingId, payment: ExchangeId, said: &str, minor: i64) -> u16 {
    place.altyn.gateway_notification(gateway, notification(payment, said, minor)).await.unwrap().status
}

async fn payments_are_shared_out_by_their_ids_and_stay_where_they_began(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let before = begin(&place, pay(gateway, 10_005, "RUB")).await;
    let started = on_trial(&place, gateway, "pay-sandbox", json!({ "delay_ms": 600_000 }), 5_000).await;
    assert_eq!((started.state, started.version), (CanaryState::Running, 1));
    let mut payments = Vec::new();
    for _ in 0..16 {
        payments.push(begin(&place, pay(gateway, 10_005, "RUB")).await);
    }
    let of_trial = |view: &ExchangeView| view.canary_id == Some(started.id);
    for view in &payments {
        assert_eq!(of_trial(view), is_payment_chosen(gateway, view.id, 5_000), "{}", view.id);
    }
    let chosen = payments.iter().filter(|view| of_trial(view)).count();
    assert!((1..16).contains(&chosen), "{chosen} of 16");
    let counted = trial(&place, gateway).await;
    let (chosen, others) = (i64::try_from(chosen).unwrap(), i64::try_from(16 - chosen).unwrap());
    assert_eq!((counted.decisions, counted.present_decisions, counted.faults), (chosen, others, 0));

    // Without a share nothing new begins on trial, and what began there is asked about there: ten minutes, not one.
    let none = ChangeCanary { share_bp: Some(0), ..ChangeCanary::default() };
    place.altyn.canary_change(&place.request(), gateway, 1, none).await.unwrap();
    assert!(!of_trial(&begin(&place, pay(gateway, 10_000, "RUB")).await));
    place.altyn.canary_end(&place.request(), gateway, 2).await.unwrap();
    place.clock.set(at("2026-11-01T09:05:00Z"));
    for view in payments.iter().chain([&before]) {
        let asked = begin(&place, BeginExchange::Status { payment_id: view.id }).await;
        assert_eq!((asked.component.as_str(), asked.canary_id), (view.component.as_str(), view.canary_id));
        assert_eq!(verdict(&known(&place, view.id).await), if of_trial(view) { "pending" } else { "succeeded" });
    }
    place.clock.set(at("2026-11-01T09:20:00Z"));
    let own = payments.iter().find(|view| of_trial(view)).unwrap();
    begin(&place, BeginExchange::Status { payment_id: own.id }).await;
    assert_eq!(verdict(&known(&place, own.id).await), "succeeded");
    let whole = BeginExchange::Refund { payment_id: own.id, amount_minor: None, reason: None };
    let refund = begin(&place, whole).await;
    assert_eq!((&refund.component, refund.canary_id), (&own.component, Some(started.id)));
}

async fn a_gateway_that_fails_is_taken_back_with_the_payment_that_passes_the_bound(place: Place) {
    for (deed, fault) in
        [("trap", "plugin-trap"), ("loop", "plugin-out-of-fuel"), ("wrong-sum", "gateway-invalid-outcome")]
    {
        let gateway = bind(&place, "pay-sandbox", json!({})).await;
        let only = json!({ "do": deed, "only": "666" });
        let started = on_trial(&place, gateway, "hostile-gateway", only, WHOLE_BP).await;
        let good = begin(&place, pay(gateway, 10_005, "RUB")).await;
        assert_eq!(good.canary_id, Some(started.id));
        let failed = begin(&place, pay(gateway, 666, "RUB")).await;
        assert_eq!(failed.fault_code.as_deref(), Some(fault), "{failed:?}");
        assert_eq!(trial(&place, gateway).await.state, CanaryState::Running, "two say nothing yet");
        let last = begin(&place, pay(gateway, 666, "RUB")).await;
        assert_eq!((last.canary_id, last.state.as_str()), (Some(started.id), "done"), "its outcome is kept");
        let ended = trial(&place, gateway).await;
        assert_eq!((ended.state, ended.decisions, ended.faults), (CanaryState::RolledBack, 3, 2), "{deed}: {ended:?}");
        assert_eq!(ended.finished_by.as_deref(), Some("gateway"));
        assert!(
            ended.reason.unwrap().starts_with("2 of 3 decisions had no answer that counts, more than 10.00 %; cal_")
        );
        // New payments go to the present component; the one in flight stays where it is.
        let fresh = begin(&place, pay(gateway, 666, "RUB")).await;
        assert_eq!((verdict(&fresh), fresh.canary_id), ("succeeded", None));
        let asked = begin(&place, BeginExchange::Status { payment_id: good.id }).await;
        assert_eq!(asked.component, good.component);
        assert_eq!(trial(&place, gateway).await.decisions, 3, "what is over is not counted on");
        let rolled_back =
            EventFilter { kind: Some("canary.rolled-back".into()), subject: Some(started.id.to_string()) };
        let events = place.altyn.event_list(&place.request(), rolled_back, &page(100, None)).await.unwrap();
        assert_eq!(events.data.len(), 1, "its owner is told");
    }
}

async fn neither_a_decline_nor_a_network_that_fails_is_a_fault(mut place: Place) {
    let server = Server::start(|_| Deed::HangUp).await;
    connect(&mut place, &server, &[]).await;
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    on_trial(&place, gateway, "pay-sandbox", json!({ "server": "https://sandbox.invalid" }), WHOLE_BP).await;
    for minor in [10_001, 10_002, 10_006, 10_007, 10_009] {
        begin(&place, pay(gateway, minor, "RUB")).await;
    }
    let counted = trial(&place, gateway).await;
    assert_eq!((counted.state, counted.decisions, counted.faults), (CanaryState::Running, 5, 0));
}

async fn a_gateway_that_does_not_even_answer_what_it_can_do_is_taken_back(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let never = json!({ "do": "trap", "only": "capabilities" });
    on_trial(&place, gateway, "hostile-gateway", never, WHOLE_BP).await;
    for _ in 0..2 {
        let refused = place.altyn.exchange_begin(&place.request(), pay(gateway, 10_000, "RUB")).await.unwrap_err();
        assert_eq!(refused.code(), "plugin-trap");
    }
    // The third passes the bound, and is begun by the present component at once.
    let paid = begin(&place, pay(gateway, 10_000, "RUB")).await;
    assert_eq!((verdict(&paid), paid.canary_id), ("succeeded", None));
    let ended = trial(&place, gateway).await;
    assert_eq!((ended.state, ended.decisions, ended.faults), (CanaryState::RolledBack, 3, 3));
    let all = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data;
    assert_eq!(all.len(), 1, "nothing was begun by what does not answer");
}

async fn a_notification_of_a_payment_on_trial_is_read_by_what_began_it(mut place: Place) {
    keep(&mut place, &[("notification-key", "s3cret-key"), ("password-1", "pass_1"), ("password-2", "pass_2")], &[])
        .await;
    // The present component reads the same notifications, or none of them.
    for (present, config) in [("pay-sandbox", json!({})), ("robokassa", json!({ "login": "demo" }))] {
        let gateway = bind(&place, present, config).await;
        let started = on_trial(&place, gateway, "pay-sandbox", json!({ "delay_ms": 1 }), WHOLE_BP).await;
        let payment = begin(&place, pay(gateway, 10_005, "RUB")).await;
        assert_eq!(payment.canary_id, Some(started.id));
        let mut forged = notification(payment.id, "succeeded", 10_005);
        forged.headers[0].1 = "00".repeat(32);
        place.altyn.gateway_notification(gateway, forged).await.unwrap();
        assert_eq!(verdict(&known(&place, payment.id).await), "pending", "{present}");
        assert_eq!(notify(&place, gateway, payment.id, "succeeded", 10_005).await, 200, "{present}");
        assert_eq!(verdict(&known(&place, payment.id).await), "succeeded", "{present}");
        let told = place.altyn.exchange_list(&place.request(), &page(100, None)).await.unwrap().data;
        let reader = told.iter().rfind(|view| view.kind.as_str() == "notification").unwrap();
        assert_eq!(reader.component, payment.component, "{present}");
        assert_eq!(trail(&place, reader.id).await, ["claim"]);
        // Taken back or not: it stays the reader of what it began.
        let second = begin(&place, pay(gateway, 10_005, "RUB")).await;
        place.altyn.canary_end(&place.request(), gateway, 1).await.unwrap();
        assert_eq!(notify(&place, gateway, second.id, "succeeded", 10_005).await, 200, "{present}");
        assert_eq!(verdict(&known(&place, second.id).await), "succeeded", "{present}");
        assert_eq!(trial(&place, gateway).await.decisions, 2, "a notification is counted by nobody");
    }
}

async fn a_component_on_trial_speaks_of_its_own_payments_only(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let mut held = pay(gateway, 10_000, "RUB");
    if let BeginExchange::Pay { capture, .. } = &mut held {
        *capture = false;
    }
    let others = begin(&place, held).await;
    assert_eq!(verdict(&others), "authorized");
    // It takes any notification for the payment that its body names, and has a payment in flight itself.
    let config = json!({ "ruse": "false-claim", "do": "wrong-sum", "only": "666" });
    on_trial(&place, gateway, "hostile-gateway", config, WHOLE_BP).await;
    let own = begin(&place, pay(gateway, 666, "RUB")).await;
    assert_eq!((verdict(&own), own.canary_id.is_some()), ("unknown", true));
    let mut forged = notification(others.id, "succeeded", 10_000);
    forged.body = others.id.to_string().into_bytes();
    place.altyn.gateway_notification(gateway, forged).await.unwrap();
    assert_eq!(verdict(&known(&place, others.id).await), "authorized", "it did not begin that one");
}

async fn a_promoted_gateway_takes_all_payments_and_keeps_its_own(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let old = begin(&place, pay(gateway, 10_005, "RUB")).await;
    let started = on_trial(&place, gateway, "pay-sandbox", json!({ "delay_ms": 0 }), WHOLE_BP).await;
    let quick = begin(&place, pay(gateway, 10_005, "RUB")).await;
    let promoted = place.altyn.canary_promote(&place.request(), gateway, 1).await.unwrap().value;
    assert_eq!((promoted.state, promoted.id), (CanaryState::Promoted, started.id));
    for (payment, expected) in [(&old, "pending"), (&quick, "succeeded")] {
        begin(&place, BeginExchange::Status { payment_id: payment.id }).await;
        assert_eq!(verdict(&known(&place, payment.id).await), expected);
    }
    let next = begin(&place, pay(gateway, 10_005, "RUB")).await;
    assert_eq!(next.canary_id, None, "nothing is on trial any more");
    begin(&place, BeginExchange::Status { payment_id: next.id }).await;
    assert_eq!(verdict(&known(&place, next.id).await), "succeeded", "by the promoted configuration");
}
