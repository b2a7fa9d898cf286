//! What a gateway may do is what it asks for and was granted: hosts, secrets, where secrets go, limits.

use altyn_domain::grant::LoweredLimits;
use altyn_service::{ServiceError, exchanges::BeginExchange, grants::SetGrant};
use serde_json::json;

use crate::paypal::{SECRETS as OF_PAYPAL, paypal};
use crate::robokassa::{SECRETS, STATE};
use crate::support::{Place, on_both_engines};
use crate::wire::{Deed, Server, begin, bind, binding, connect, grant, install, keep, kept, pay, trail, verdict};

on_both_engines!(
    a_gateway_is_bound_when_its_requests_were_answered,
    a_host_that_was_not_granted_is_not_spoken_to,
    a_secret_that_was_not_granted_is_not_there,
    a_secret_is_sent_only_to_the_hosts_that_it_is_bound_to,
    a_grant_that_is_taken_back_holds_from_the_next_request_on,
    limits_of_a_grant_hold_for_a_gateway,
);

async fn a_gateway_is_bound_when_its_requests_were_answered(place: Place) {
    let component = install(&place, "robokassa").await;
    assert!(component.hosts.contains(&"auth.robokassa.ru".to_owned()) && component.secrets.len() == 3);
    let bind = async || {
        let command = binding(&component.digest, json!({ "login": "demo" }));
        place.altyn.binding_create(&place.request(), command).await
    };
    let refused = bind().await;
    let Err(ServiceError::Conflict { code: "consent-required", details, .. }) = refused else { panic!("{refused:?}") };
    assert!(
        details.contains(&"host auth.robokassa.ru".to_owned()) && details.contains(&"secret password-1".to_owned())
    );
    grant(&place, &component.digest, Vec::new(), Vec::new()).await;
    let gateway = bind().await.unwrap().value.id;
    let view = place.altyn.gateway_get(&place.request(), gateway).await.unwrap();
    assert_eq!((&view.missing_hosts, &view.missing_secrets), (&view.hosts, &view.secrets), "nothing was granted");
}

async fn a_host_that_was_not_granted_is_not_spoken_to(mut place: Place) {
    let server = Server::start(|_| Deed::Answer(200, STATE.into())).await;
    connect(&mut place, &server, &SECRETS).await;
    let component = install(&place, "robokassa").await;
    let others = component.hosts.iter().filter(|host| *host != "auth.robokassa.ru").cloned().collect();
    grant(&place, &component.digest, others, component.secrets.clone()).await;
    let command = binding(&component.digest, json!({ "login": "demo" }));
    let gateway = place.altyn.binding_create(&place.request(), command).await.unwrap().value.id;
    let payment = begin(&place, pay(gateway, 10_000, "RUB")).await;
    let asked = begin(&place, BeginExchange::Status { payment_id: payment.id }).await;
    assert_eq!(trail(&place, asked.id).await, ["send", "not-sent", "outcome"]);
    assert!(server.seen().is_empty(), "nothing left the host");
    assert!(kept(&place, asked.id).await.contains("the host auth.robokassa.ru is not among"));
}

async fn a_secret_that_was_not_granted_is_not_there(mut place: Place) {
    let server = Server::start(|_| Deed::Answer(200, STATE.into())).await;
    connect(&mut place, &server, &SECRETS).await;
    let component = install(&place, "robokassa").await;
    grant(&place, &component.digest, component.hosts.clone(), vec!["password-1".into()]).await;
    let command = binding(&component.digest, json!({ "login": "demo" }));
    let gateway = place.altyn.binding_create(&place.request(), command).await.unwrap().value.id;
    let view = place.altyn.gateway_get(&place.request(), gateway).await.unwrap();
    assert_eq!(view.missing_secrets, ["password-2", "password-3"], "the tenant keeps them, nobody granted them");
    let payment = begin(&place, pay(gateway, 10_000, "RUB")).await;
    assert_eq!(verdict(&payment), "requires-action", "the first password is enough to begin");
    let asked = begin(&place, BeginExchange::Status { payment_id: payment.id }).await;
    assert!(server.seen().is_empty(), "nothing left the host");
    assert!(kept(&place, asked.id).await.contains("there is no secret"), "{asked:?}");
}

async fn a_secret_is_sent_only_to_the_hosts_that_it_is_bound_to(mut place: Place) {
    let server = Server::start(paypal).await;
    connect(&mut place, &server, &OF_PAYPAL).await;
    keep(&mut place, &OF_PAYPAL, &["api.sandbox.paypal.com"]).await;
    let gateway = bind(&place, "paypal", json!({ "mode": "sandbox" })).await;
    let payment = begin(&place, pay(gateway, 10_000, "USD")).await;
    assert!(server.seen().is_empty(), "nothing left the host");
    assert!(trail(&place, payment.id).await.contains(&"not-sent".to_owned()));
    assert!(kept(&place, payment.id).await.contains("is not bound to api-m.sandbox.paypal.com"));
}

async fn a_grant_that_is_taken_back_holds_from_the_next_request_on(mut place: Place) {
    let server = Server::start(|_| Deed::Answer(200, STATE.into())).await;
    connect(&mut place, &server, &SECRETS).await;
    let gateway = bind(&place, "robokassa", json!({ "login": "demo" })).await;
    let payment = begin(&place, pay(gateway, 10_000, "RUB")).await;
    begin(&place, BeginExchange::Status { payment_id: payment.id }).await;
    assert_eq!(server.seen().len(), 1);
    let component = place.altyn.gateway_get(&place.request(), gateway).await.unwrap().component;
    grant(&place, &component, Vec::new(), Vec::new()).await;
    begin(&place, BeginExchange::Status { payment_id: payment.id }).await;
    assert_eq!(server.seen().len(), 1, "nothing more left the host");
}

async fn limits_of_a_grant_hold_for_a_gateway(place: Place) {
    let gateway = bind(&place, "pay-sandbox", json!({})).await;
    let component = place.altyn.gateway_get(&place.request(), gateway).await.unwrap().component;
    let limits = LoweredLimits { fuel: Some(1_000), ..LoweredLimits::default() };
    let command = SetGrant { component, hosts: Vec::new(), secrets: Vec::new(), limits };
    place.altyn.grant_set(&place.request(), command).await.unwrap();
    let ended = begin(&place, pay(gateway, 10_000, "RUB")).await;
    let failed = (verdict(&ended), ended.fault_code.as_deref(), ended.requests);
    assert_eq!(failed, ("not-attempted", Some("plugin-out-of-fuel"), 0));
}
