//! Who sees whom, and who may knock.

use altyn_domain::run::RunMode;
use altyn_service::{
    ServiceError,
    api_keys::{CreateApiKey, Role},
    context::Request,
    tenants::{CreateTenant, UpdateTenant},
};

use crate::support::{Place, at, new_tenant, on_both_engines, page};

on_both_engines!(
    a_child_sees_neither_its_parent_nor_its_siblings,
    a_child_inherits_what_it_does_not_say,
    every_wrong_setting_is_named,
    a_change_needs_the_version_that_was_read,
    a_key_shows_its_secret_once,
    a_revoked_or_expired_key_is_nobody,
);

async fn a_child_sees_neither_its_parent_nor_its_siblings(place: Place) {
    let (altyn, root) = (&place.altyn, place.request());
    let first = altyn.tenant_create(&root, new_tenant("Первый")).await.unwrap().value;
    let second = altyn.tenant_create(&root, new_tenant("Второй")).await.unwrap().value;
    let of_first = Request::internal(first.id, "test");
    let grandchild = altyn.tenant_create(&of_first, new_tenant("Внук")).await.unwrap().value;
    assert_eq!(grandchild.parent_id, Some(first.id));

    for (above, below, sees) in [
        (place.tenant, grandchild.id, true),
        (first.id, grandchild.id, true),
        (first.id, first.id, true),
        (first.id, place.tenant, false),
        (first.id, second.id, false),
        (second.id, grandchild.id, false),
    ] {
        assert_eq!(altyn.tenant_in_subtree(above, below).await.unwrap(), sees, "{above} {below}");
        let got = altyn.tenant_get(&Request::internal(above, "test"), below).await;
        assert_eq!(got.is_ok(), sees);
        if let Err(error) = got {
            assert!(matches!(error, ServiceError::NotFound("tenant")));
        }
    }
    let listed = altyn.tenant_list(&of_first, &page(10, None)).await.unwrap();
    assert_eq!(listed.data.iter().map(|tenant| tenant.id).collect::<Vec<_>>(), [first.id, grandchild.id]);
    assert_eq!(altyn.tenant_list(&root, &page(10, None)).await.unwrap().data.len(), 4);
}

async fn a_child_inherits_what_it_does_not_say(place: Place) {
    let command = CreateTenant {
        zone: Some("Asia/Almaty".into()),
        currency: Some("KZT".into()),
        run_mode: Some(RunMode::Automatic),
        ..new_tenant("Филиал")
    };
    let child = place.altyn.tenant_create(&place.request(), command).await.unwrap().value;
    assert_eq!((child.zone.as_str(), child.currency.as_str(), child.locale.as_str()), ("Asia/Almaty", "KZT", "ru-RU"));
    let below = Request::internal(child.id, "test");
    let grandchild = place.altyn.tenant_create(&below, new_tenant("Отдел")).await.unwrap().value;
    assert_eq!((grandchild.zone.as_str(), grandchild.run_mode), ("Asia/Almaty", RunMode::Automatic));
}

async fn every_wrong_setting_is_named(place: Place) {
    let command = CreateTenant {
        name: "  ".into(),
        locale: Some("русский".into()),
        zone: Some("Europe/Moskow".into()),
        currency: Some("RUR".into()),
        run_mode: None,
        run_at: Some("3:00".into()),
    };
    let Err(ServiceError::Invalid(errors)) = place.altyn.tenant_create(&place.request(), command).await else {
        panic!("must be refused")
    };
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/name", "/locale", "/zone", "/currency", "/run_at"]);
}

async fn a_change_needs_the_version_that_was_read(place: Place) {
    let change = |name: &str| UpdateTenant { name: Some(name.into()), ..UpdateTenant::default() };
    let request = place.request();
    let changed = place.altyn.tenant_update(&request, place.tenant, 1, change("Новый")).await.unwrap().value;
    assert_eq!((changed.version, changed.name.as_str(), changed.zone.as_str()), (2, "Новый", "Europe/Moscow"));
    let stale = place.altyn.tenant_update(&request, place.tenant, 1, change("Чужой")).await;
    assert!(matches!(stale, Err(ServiceError::Stale)));
    assert_eq!(place.altyn.tenant_get(&request, place.tenant).await.unwrap().name, "Новый");
}

fn new_key(role: Role) -> CreateApiKey {
    CreateApiKey { name: "1С".into(), role, expires_at: None }
}

async fn a_key_shows_its_secret_once(place: Place) {
    let request = place.keyed("key-1", 1);
    let created = place.altyn.api_key_create(&request, new_key(Role::Operator)).await.unwrap();
    let secret = created.value.secret.clone().unwrap();
    assert!(secret.starts_with("alt_") && secret.len() == 68, "{secret}");
    assert_eq!(created.value.key.prefix, secret[..8]);
    assert!(!format!("{created:?}").contains(&secret), "a log line must not tell the secret");

    let again = place.altyn.api_key_create(&request, new_key(Role::Operator)).await.unwrap();
    assert!(again.replayed);
    assert_eq!((again.value.key.id, again.value.secret), (created.value.key.id, None));

    let credential = place.altyn.api_key_authenticate(&secret).await.unwrap().unwrap();
    assert_eq!((credential.tenant, credential.role), (place.tenant, Role::Operator));
    assert_eq!(credential.id, created.value.key.id);
    assert_eq!(place.altyn.api_key_authenticate(&secret[..67]).await.unwrap(), None);
    assert_eq!(place.altyn.api_key_authenticate("").await.unwrap(), None);
}

async fn a_revoked_or_expired_key_is_nobody(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let first = altyn.api_key_create(&request, new_key(Role::Admin)).await.unwrap().value;
    let until = at("2026-11-02T00:00:00Z");
    let second = CreateApiKey { expires_at: Some(until), ..new_key(Role::ReadOnly) };
    let second = altyn.api_key_create(&request, second).await.unwrap().value;
    let (first_secret, second_secret) = (first.secret.unwrap(), second.secret.unwrap());
    assert!(altyn.api_key_authenticate(&second_secret).await.unwrap().is_some());

    let revoked = altyn.api_key_revoke(&request, first.key.id).await.unwrap().value;
    let again = altyn.api_key_revoke(&request, first.key.id).await.unwrap().value;
    assert_eq!(revoked.revoked_at, again.revoked_at);
    assert_eq!(altyn.api_key_authenticate(&first_secret).await.unwrap(), None);
    place.clock.set(until);
    assert_eq!(altyn.api_key_authenticate(&second_secret).await.unwrap(), None);

    let past = CreateApiKey { expires_at: Some(until), ..new_key(Role::Admin) };
    assert!(matches!(altyn.api_key_create(&request, past).await, Err(ServiceError::Invalid(_))));
    let child = altyn.tenant_create(&request, new_tenant("Филиал")).await.unwrap().value.id;
    let of_child = altyn.api_key_revoke(&Request::internal(child, "test"), second.key.id).await;
    assert!(matches!(of_child, Err(ServiceError::NotFound("api key"))));
    assert_eq!(altyn.api_key_list(&request, &page(10, None)).await.unwrap().data.len(), 2);
}
