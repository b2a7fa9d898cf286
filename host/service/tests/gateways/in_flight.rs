//! Payments in flight: what a fault teaches about them, and what they go on with when their binding changes.

use altyn_domain::{
    binding::Inheritance,
    exchange::Incoming,
    grant::LoweredLimits,
    id::{BindingId, ExchangeId},
};
use altyn_service::{
    bindings::{BindingView, CreateBinding, ShareBinding, UpgradeBinding},
    exchanges::{BeginExchange, ExchangeView},
    grants::SetGrant,
    tenants::TenantView,
};
use serde_json::json;

use crate::sandbox::notification;
use crate::support::{Place, at, new_tenant, on_both_engines};
use crate::wire::{begin, bind, binding, grant, install, keep, pay, trail, verdict};

on_both_engines!(
    a_fault_of_a_question_teaches_nothing_about_its_payment,
    a_fault_of_a_question_frees_nothing_of_a_refund,
    a_payment_goes_on_with_the_component_and_the_configuration_that_began_it,
    a_notification_of_a_payment_in_flight_is_asked_of_the_component_that_began_it,
    a_repeated_request_is_answered_whatever_became_of_its_binding,
    a_gateway_takes_payments_from_its_day_on,
    a_gateway_is_not_shared_and_hides_none_below,
);

async fn known(place: &Place, id: ExchangeId) -> &'static str {
    verdict(&place.altyn.exchange_get(&place.request(), id).await.unwrap())
}

/// Leaves the component of a gateway so little that it only fails.
async fn starve(place: &Place, gateway: BindingId) {
    let component = place.altyn.gateway_get(&place.request(), gateway).await.unwrap().component;
    let limits = LoweredLimits { fuel: Some(1_000), ..LoweredLimits::default() };
    let command = SetGrant { component, hosts: Vec::new(), secrets: Vec::new(), limits };
    place.altyn.grant_set(&place.request(), command).await.unwrap();
}

fn faulted(view: &ExchangeView) -> (&'static str, Option<&str>, i32) {
    (verdict(view), view.fault_code.as_deref(), view.requests)
}

async fn a_fault_of_a_question_teaches_nothing_about_its_payment(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    // Its answer was lost, and the money was taken.
    let payment = begin(&place, pay(gateway, 10_006, "RUB")).await.id;
    assert_eq!(known(&place, payment).await, "unknown");
    starve(&place, gateway).await;
    let asked = begin(&place, BeginExchange::Status { payment_id: payment }).await;
    assert_eq!(faulted(&asked), ("unknown", Some("plugin-out-of-fuel"), 0), "a question attempts nothing");
    assert_eq!(known(&place, payment).await, "unknown", "it may not be begun again");
    assert_eq!(trail(&place, asked.id).await, ["failed"]);
}

async fn a_fault_of_a_question_frees_nothing_of_a_refund(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let payment_id = begin(&place, pay(gateway, 10_006, "RUB")).await.id;
    begin(&place, BeginExchange::Status { payment_id }).await;
    assert_eq!(known(&place, payment_id).await, "succeeded");
    let whole = || BeginExchange::Refund { payment_id, amount_minor: None, reason: None };
    let refund = begin(&place, whole()).await.id;
    assert_eq!(known(&place, refund).await, "unknown");
    starve(&place, gateway).await;
    let asked = begin(&place, BeginExchange::RefundStatus { refund_id: refund }).await;
    assert_eq!(faulted(&asked), ("unknown", Some("plugin-out-of-fuel"), 0));
    assert_eq!(known(&place, refund).await, "unknown");
    let again = place.altyn.exchange_begin(&place.request(), whole()).await.unwrap_err();
    assert_eq!(again.code(), "refund-exceeds-payment", "the money goes back once");
}

async fn upgrade(place: &Place, gateway: BindingId, guest: &str, config: serde_json::Value) -> BindingView {
    let component = install(place, guest).await;
    grant(place, &component.digest, component.hosts, component.secrets).await;
    let version = place.altyn.binding_get(&place.request(), gateway).await.unwrap().version;
    let command = UpgradeBinding { component: component.digest, config: Some(config), existing: None };
    place.altyn.binding_upgrade(&place.request(), gateway, version, command).await.unwrap().value
}

async fn a_payment_goes_on_with_the_component_and_the_configuration_that_began_it(place: Place) {
    // Ten minutes in the bank: by the default of a minute the payment would be over.
    let gateway = bind(&place, "pay-sandbox", json!({ "delay_ms": 600_000 })).await;
    let slow = begin(&place, pay(gateway, 10_005, "RUB")).await;
    let taken = begin(&place, pay(gateway, 10_000, "RUB")).await.id;
    let held = BeginExchange::Pay {
        binding_id: gateway,
        amount_minor: 20_000,
        currency: "RUB".into(),
        description: "Связь".into(),
        capture: false,
        return_url: None,
        payer: std::collections::BTreeMap::new(),
        saved_method: None,
        save_method: false,
    };
    let held = begin(&place, held).await.id;
    assert_eq!(known(&place, held).await, "authorized");
    // The configuration of the one is refused by the schema of the other.
    let upgraded = upgrade(&place, gateway, "hostile-gateway", json!({ "do": "trap", "only": "666" })).await;
    assert_ne!(upgraded.component, slow.component);

    place.clock.set(at("2026-11-01T09:02:00Z"));
    let asked = begin(&place, BeginExchange::Status { payment_id: slow.id }).await;
    assert_eq!((verdict(&asked), &asked.component), ("pending", &slow.component), "after two minutes of ten");
    place.clock.set(at("2026-11-01T09:11:00Z"));
    begin(&place, BeginExchange::Status { payment_id: slow.id }).await;
    assert_eq!(known(&place, slow.id).await, "succeeded");
    begin(&place, BeginExchange::Capture { payment_id: held }).await;
    assert_eq!(known(&place, held).await, "succeeded");
    let refund = BeginExchange::Refund { payment_id: taken, amount_minor: Some(3_905), reason: None };
    let refund = begin(&place, refund).await;
    assert_eq!((verdict(&refund), &refund.component), ("pending", &slow.component));
    begin(&place, BeginExchange::RefundStatus { refund_id: refund.id }).await;
    assert_eq!(known(&place, refund.id).await, "succeeded");
    // What begins now begins with what the binding has now.
    let fresh = begin(&place, pay(gateway, 666, "RUB")).await;
    assert_eq!((fresh.fault_code.as_deref(), &fresh.component), (Some("plugin-trap"), &upgraded.component));

    // The same component with another configuration is another beginning, too.
    upgrade(&place, gateway, "pay-sandbox", json!({ "delay_ms": 0 })).await;
    let quick = begin(&place, pay(gateway, 10_005, "RUB")).await.id;
    upgrade(&place, gateway, "pay-sandbox", json!({ "delay_ms": 600_000 })).await;
    begin(&place, BeginExchange::Status { payment_id: quick }).await;
    assert_eq!(known(&place, quick).await, "succeeded");
}

async fn a_notification_of_a_payment_in_flight_is_asked_of_the_component_that_began_it(mut place: Place) {
    keep(&mut place, &[("notification-key", "s3cret-key")], &[]).await;
    keep(&mut place, &[("password-1", "pass_1"), ("password-2", "pass_2")], &[]).await;
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let notify = async |incoming: Incoming| {
        let reply = place.altyn.gateway_notification(gateway, incoming).await.unwrap();
        (reply.status, String::from_utf8(reply.body).unwrap())
    };
    // One refuses what it does not know, one takes anything and says nothing, one breaks.
    for (guest, config, minor) in [
        ("robokassa", json!({ "login": "demo" }), 10_008),
        ("hostile-gateway", json!({}), 20_008),
        ("hostile-gateway", json!({ "do": "trap" }), 30_008),
    ] {
        let payment = begin(&place, pay(gateway, minor, "RUB")).await.id;
        upgrade(&place, gateway, guest, config.clone()).await;
        let mut forged = notification(payment, "succeeded", minor);
        forged.headers[0].1 = "00".repeat(32);
        notify(forged).await;
        assert_eq!(known(&place, payment).await, "pending", "{guest}: a forged one moves nothing");
        let told = notify(notification(payment, "succeeded", minor)).await;
        assert_eq!(told, (200, "OK".to_owned()), "{guest} {config}");
        assert_eq!(known(&place, payment).await, "succeeded", "{guest} {config}");
        // Its end is known: nobody asks the former component any more.
        let again = notify(notification(payment, "returned", minor)).await;
        assert_eq!(known(&place, payment).await, "succeeded", "{guest}: {again:?}");
        upgrade(&place, gateway, "pay-sandbox", json!({})).await;
    }
}

async fn a_repeated_request_is_answered_whatever_became_of_its_binding(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let request = place.keyed("order-1", 1);
    let first = place.altyn.exchange_begin(&request, pay(gateway, 10_000, "RUB")).await.unwrap();
    upgrade(&place, gateway, "hostile-gateway", json!({ "do": "trap" })).await;
    let again = place.altyn.exchange_begin(&request, pay(gateway, 10_000, "RUB")).await.unwrap();
    assert_eq!((again.replayed, again.status, again.value.id), (true, first.status, first.value.id));
    let version = place.altyn.binding_get(&place.request(), gateway).await.unwrap().version;
    place.altyn.binding_end(&place.request(), gateway, version).await.unwrap();
    let again = place.altyn.exchange_begin(&request, pay(gateway, 10_000, "RUB")).await.unwrap();
    assert_eq!((again.replayed, again.value.id, verdict(&again.value)), (true, first.value.id, "succeeded"));
    let other = place.altyn.exchange_begin(&place.keyed("order-1", 2), pay(gateway, 10_001, "RUB")).await.unwrap_err();
    assert_eq!(other.code(), "idempotency-key-reused", "another request under the same key");
    let fresh = place.altyn.exchange_begin(&place.keyed("order-2", 1), pay(gateway, 10_000, "RUB")).await.unwrap_err();
    assert_eq!(fresh.code(), "binding-ended");
}

async fn a_gateway_takes_payments_from_its_day_on(place: Place) {
    let component = install(&place, "pay-sandbox").await;
    grant(&place, &component.digest, component.hosts, component.secrets).await;
    let command =
        CreateBinding { effective_from: "2026-11-05".parse().unwrap(), ..binding(&component.digest, json!({})) };
    let gateway = place.altyn.binding_create(&place.request(), command).await.unwrap().value.id;
    // In Moscow the day begins three hours earlier.
    place.clock.set(at("2026-11-04T20:59:59Z"));
    let early = place.altyn.exchange_begin(&place.request(), pay(gateway, 10_000, "RUB")).await.unwrap_err();
    assert_eq!(early.code(), "binding-not-begun");
    assert!(early.to_string().contains("2026-11-05"), "{early}");
    assert!(place.altyn.gateway_get(&place.request(), gateway).await.is_ok(), "it may be looked at before");
    place.clock.set(at("2026-11-04T21:00:00Z"));
    assert_eq!(verdict(&begin(&place, pay(gateway, 10_000, "RUB")).await), "succeeded");
}

async fn a_gateway_is_not_shared_and_hides_none_below(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    for inheritance in [Inheritance::Optional, Inheritance::Required] {
        let command = ShareBinding { inheritance, limits: LoweredLimits::default() };
        let refused = place.altyn.binding_share(&place.request(), gateway, 1, command).await.unwrap_err();
        assert_eq!(refused.code(), "gateway-not-shared");
    }
    let lowered = LoweredLimits { fuel: Some(50_000_000), ..LoweredLimits::default() };
    let command = ShareBinding { inheritance: Inheritance::None, limits: lowered };
    place.altyn.binding_share(&place.request(), gateway, 1, command).await.unwrap();

    let TenantView { id: below, .. } =
        place.altyn.tenant_create(&place.request(), new_tenant("Филиал")).await.unwrap().value;
    let child = altyn_service::Request::internal(below, "test");
    // One that was shared before that was refused stands in nobody's way.
    let mut tx = place.altyn.db.write(altyn_store::Scope::Tenant(place.tenant.0)).await.unwrap();
    let shared = "update bindings set inheritance = 'required' where tenant_id = $1 and id = $2";
    assert_eq!(tx.execute(shared, (place.tenant.0, gateway.0)).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let component = install(&place, "pay-sandbox").await;
    let own = place.altyn.binding_create(&child, binding(&component.digest, json!({}))).await.unwrap().value.id;
    let paid = place.altyn.exchange_begin(&child, pay(own, 10_000, "RUB")).await.unwrap().value;
    assert_eq!(verdict(&paid), "succeeded");
    for tenant in [&place.request(), &child] {
        let deciding = place.altyn.binding_deciding(tenant, "2026-11-01".parse().unwrap()).await.unwrap();
        assert!(deciding.iter().all(|one| one.extension_point.as_str() != "payment-gateway"), "{deciding:?}");
    }
}
