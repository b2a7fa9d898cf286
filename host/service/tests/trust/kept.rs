//! Secrets: kept, opened by the host alone, and found nowhere.

use altyn_domain::id::TenantId;
use altyn_service::{
    IdempotencyKey, Request, ServiceError,
    context::Altyn,
    secrets::{SecretView, SetSecret},
    vault::{MasterKey, MasterKeys, SecretText},
};
use altyn_store::{Engine, Scope, secrets as rows};
use zeroize::Zeroizing;

use crate::{
    bench::refused,
    support::{Place, new_tenant, on_both_engines, page},
};

on_both_engines!(
    a_secret_is_opened_for_its_hosts_and_given_back_to_nobody,
    a_value_is_in_no_row_no_record_no_error_and_no_debug_output,
    a_row_that_was_moved_renamed_or_widened_does_not_open,
    rotating_the_tenants_key_seals_anew_and_forgets_the_old_key,
    no_master_key_is_needed_until_the_first_secret_and_a_wrong_one_is_refused,
    the_master_key_is_rotated_without_losing_a_secret,
    a_host_with_the_former_master_key_wraps_nothing_any_more,
    a_secret_of_another_tenant_does_not_exist,
    a_malformed_secret_is_refused_field_by_field,
    a_repeated_request_is_recognised_by_a_fingerprint_that_gives_nothing_away,
);

const VALUE: &str = "correct-horse-battery-staple-0xC0FFEE";

fn master(seed: u8) -> MasterKey {
    MasterKey::new(Zeroizing::new([seed; 32]))
}

fn with(place: &Place, current: u8, previous: Option<u8>) -> Altyn {
    place.altyn.clone().with_master_keys(MasterKeys::new(Some(master(current)), previous.map(master)))
}

fn secret(name: &str, value: &str, hosts: &[&str]) -> SetSecret {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    SetSecret { name: name.into(), value: SecretText::new(value.into()), hosts }
}

async fn set(altyn: &Altyn, place: &Place, name: &str, value: &str) -> SecretView {
    altyn.secret_set(&place.request(), secret(name, value, &["pay.example.org"])).await.unwrap().value
}

async fn reads(altyn: &Altyn, tenant: TenantId, name: &str) -> String {
    altyn.secret_open(tenant, name).await.unwrap().for_digest().to_owned()
}

async fn a_secret_is_opened_for_its_hosts_and_given_back_to_nobody(place: Place) {
    let altyn = with(&place, 1, None);
    let view = set(&altyn, &place, "password1", VALUE).await;
    assert_eq!((view.version, view.hosts.as_slice()), (1, ["pay.example.org".to_owned()].as_slice()));
    let open = altyn.secret_open(place.tenant, "password1").await.unwrap();
    assert_eq!(open.for_host("pay.example.org"), Some(VALUE));
    for host in
        ["example.org", "evil.pay.example.org", "PAY.example.org", "pay.example.org.", "pay.example.org:8443", ""]
    {
        assert_eq!(open.for_host(host), None, "{host}");
    }
    let replaced = altyn.secret_set(&place.request(), secret("password1", "another", &[])).await.unwrap();
    assert_eq!((replaced.status, replaced.value.version, replaced.value.created_at), (200, 2, view.created_at));
    assert_eq!(reads(&altyn, place.tenant, "password1").await, "another");
    let deleted = altyn.secret_delete(&place.request(), "password1", 1).await;
    assert!(matches!(deleted, Err(ServiceError::Stale)));
    altyn.secret_delete(&place.request(), "password1", 2).await.unwrap();
    assert!(matches!(altyn.secret_open(place.tenant, "password1").await, Err(ServiceError::NotFound("secret"))));
}

/// Everything that the tables of this matter hold, as text.
async fn tables(place: &Place) -> String {
    if place.altyn.db.engine() == Engine::Sqlite {
        let mut tx = place.altyn.db.read(Scope::Platform).await.unwrap();
        let named = "select file from pragma_database_list where name = 'main'";
        let (file,): (String,) = tx.fetch_one(named, ()).await.unwrap();
        let bytes = ["", "-wal"].map(|suffix| std::fs::read(format!("{file}{suffix}")).unwrap());
        return String::from_utf8_lossy(&bytes.concat()).into_owned();
    }
    let mut tx = place.altyn.db.read(Scope::Tenant(place.tenant.0)).await.unwrap();
    let mut all = String::new();
    for sql in [
        "select cast(t as text) from secrets t",
        "select cast(t as text) from data_keys t",
        "select cast(t as text) from master_keys t",
        "select cast(t as text) from idempotency t",
        "select cast(t as text) from outbox t",
        "select cast(t as text) from plugin_calls t",
        "select cast(t as text) from jobs t",
    ] {
        all.extend(tx.fetch_all::<(String,)>(sql, ()).await.unwrap().into_iter().map(|row| row.0));
    }
    all
}

async fn a_value_is_in_no_row_no_record_no_error_and_no_debug_output(place: Place) {
    let altyn = with(&place, 1, None);
    let keyed = place.keyed("set-1", 1);
    let command = secret("password1", VALUE, &["pay.example.org"]);
    let mut told = vec![format!("{command:?}")];
    let reply = altyn.secret_set(&keyed, command).await.unwrap();
    told.push(format!("{reply:?}{}", serde_json::to_string(&reply.value).unwrap()));
    told.push(format!("{:?}", altyn.secret_list(&place.request(), &page(10, None)).await.unwrap()));
    told.push(format!("{:?}{:?}", altyn.secret_open(place.tenant, "password1").await.unwrap(), altyn.master_keys));
    let other = with(&place, 2, None);
    told.push(format!("{:?}", other.secret_open(place.tenant, "password1").await.unwrap_err()));
    told.push(format!("{:?}", other.secret_set(&place.request(), secret("b", VALUE, &["x"])).await.unwrap_err()));
    told.push(format!("{:?}", other.secret_set(&place.request(), secret("B", VALUE, &[])).await.unwrap_err()));
    let too_long = VALUE.repeat(1_000);
    told.push(format!("{:?}", altyn.secret_set(&place.request(), secret("b", &too_long, &[])).await.unwrap_err()));
    told.push(
        serde_json::from_str::<SetSecret>(&format!(r#"{{"name":"a","value":["{VALUE}"]}}"#)).unwrap_err().to_string(),
    );
    told.push(tables(&place).await);
    let told = told.concat();
    let hexadecimal = hex::encode(VALUE);
    let key = hex::encode([1; 32]);
    for hidden in [VALUE, &hexadecimal, &key, "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"] {
        assert!(!told.contains(hidden), "{hidden} was found");
    }
    assert!(told.contains("password1"), "what was searched holds the secret's name");
}

async fn a_row_that_was_moved_renamed_or_widened_does_not_open(place: Place) {
    let altyn = with(&place, 1, None);
    set(&altyn, &place, "a", "value of a").await;
    set(&altyn, &place, "b", "value of b").await;
    let widen = "update secrets set hosts = '[\"evil.example.org\"]' where tenant_id = $1 and name = 'a'";
    assert_eq!(place.change(widen, (place.tenant.0,)).await, 1);
    let swap = "update secrets set sealed = (select s.sealed from secrets s where s.tenant_id = $1 and s.name = 'a')
        where tenant_id = $1 and name = 'b'";
    assert_eq!(place.change(swap, (place.tenant.0,)).await, 1);
    for name in ["a", "b"] {
        let error = altyn.secret_open(place.tenant, name).await.unwrap_err();
        assert!(matches!(&error, ServiceError::Internal(text) if text.contains("does not open")), "{error:?}");
    }
    set(&altyn, &place, "c", "value of c").await;
    let rename = "update secrets set name = 'd' where tenant_id = $1 and name = 'c'";
    assert_eq!(place.change(rename, (place.tenant.0,)).await, 1);
    assert!(altyn.secret_open(place.tenant, "d").await.is_err());
}

async fn data_keys(place: &Place) -> Vec<rows::DataKeyRow> {
    let mut tx = place.altyn.db.read(Scope::Tenant(place.tenant.0)).await.unwrap();
    rows::data_keys(&mut tx, place.tenant.0).await.unwrap()
}

async fn rotating_the_tenants_key_seals_anew_and_forgets_the_old_key(place: Place) {
    let altyn = with(&place, 1, None);
    for name in ["a", "b", "c"] {
        set(&altyn, &place, name, &format!("value of {name}")).await;
    }
    let (before, views) =
        (data_keys(&place).await, altyn.secret_list(&place.request(), &page(10, None)).await.unwrap().data);
    let rotated = altyn.secret_rotate(&place.request()).await.unwrap().value;
    assert_eq!((rotated.data_keys, rotated.secrets), (1, 3));
    let after = data_keys(&place).await;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before[0].id, after[0].id);
    assert_eq!(altyn.secret_list(&place.request(), &page(10, None)).await.unwrap().data, views);
    for name in ["a", "b", "c"] {
        assert_eq!(reads(&altyn, place.tenant, name).await, format!("value of {name}"));
    }
}

async fn no_master_key_is_needed_until_the_first_secret_and_a_wrong_one_is_refused(place: Place) {
    place.altyn.master_keys_check(true).await.unwrap();
    let (code, message) = refused(place.altyn.secret_set(&place.request(), secret("a", VALUE, &[])).await);
    assert_eq!(code, "master-key-absent");
    assert!(message.contains("altyn secret master-key"), "{message}");
    with(&place, 9, None).master_keys_check(true).await.unwrap();
    set(&with(&place, 1, None), &place, "a", VALUE).await;

    with(&place, 1, None).master_keys_check(true).await.unwrap();
    place.altyn.master_keys_check(false).await.unwrap();
    for altyn in [place.altyn.clone(), with(&place, 2, None), with(&place, 2, Some(3))] {
        let (code, message) = refused(altyn.master_keys_check(true).await);
        assert_eq!(code, "wrong-master-key");
        assert!(message.contains(master(1).id()) && message.contains("secrets.master_key_file"), "{message}");
    }
    let wrong = with(&place, 2, None);
    assert_eq!(refused(wrong.master_keys_check(false).await).0, "wrong-master-key");
    assert_eq!(refused(wrong.secret_set(&place.request(), secret("b", VALUE, &[])).await).0, "master-key-not-current");
    assert_eq!(refused(wrong.master_key_rotate().await).0, "wrong-master-key");
    assert_eq!(refused(wrong.secret_open(place.tenant, "a").await).0, "master-key-not-current");
}

async fn the_master_key_is_rotated_without_losing_a_secret(place: Place) {
    let old = with(&place, 1, None);
    set(&old, &place, "a", VALUE).await;
    let child = old.tenant_create(&place.request(), new_tenant("Реселлер")).await.unwrap().value.id;
    old.secret_set(&Request::internal(child, "test"), secret("a", "of the child", &[])).await.unwrap();

    let both = with(&place, 2, Some(1));
    both.master_keys_check(true).await.unwrap();
    let rotated = both.master_key_rotate().await.unwrap();
    assert_eq!((rotated.tenants, rotated.data_keys), (2, 2));
    assert_eq!(both.master_key_rotate().await.unwrap().data_keys, 0, "again changes nothing");
    let new = with(&place, 2, None);
    new.master_keys_check(true).await.unwrap();
    assert_eq!(reads(&new, place.tenant, "a").await, VALUE);
    assert_eq!(reads(&new, child, "a").await, "of the child");
    set(&new, &place, "b", VALUE).await;
    assert_eq!(refused(old.master_keys_check(true).await).0, "wrong-master-key");
    // And back again: a key that was retired may return.
    with(&place, 1, Some(2)).master_key_rotate().await.unwrap();
    assert_eq!(reads(&old, child, "a").await, "of the child");
    old.master_keys_check(true).await.unwrap();
}

async fn a_host_with_the_former_master_key_wraps_nothing_any_more(place: Place) {
    let old = with(&place, 1, None);
    set(&old, &place, "a", VALUE).await;
    // A rotation that stopped after its first step.
    place.change("update master_keys set state = 'leaving' where id = $1", (master(1).id().to_owned(),)).await;
    assert_eq!(refused(old.secret_set(&place.request(), secret("b", VALUE, &[])).await).0, "master-key-not-current");
    assert_eq!(refused(old.secret_rotate(&place.request()).await).0, "master-key-not-current");
    assert_eq!(reads(&old, place.tenant, "a").await, VALUE, "what is there still opens");
    assert_eq!(refused(with(&place, 2, None).master_keys_check(true).await).0, "wrong-master-key");
    with(&place, 2, Some(1)).master_key_rotate().await.unwrap();
    let new = with(&place, 2, None);
    new.master_keys_check(true).await.unwrap();
    assert_eq!(reads(&new, place.tenant, "a").await, VALUE);
}

async fn a_secret_of_another_tenant_does_not_exist(place: Place) {
    let altyn = with(&place, 1, None);
    set(&altyn, &place, "a", VALUE).await;
    let child = altyn.tenant_create(&place.request(), new_tenant("Реселлер")).await.unwrap().value.id;
    let below = Request::internal(child, "test");
    assert!(matches!(altyn.secret_get(&below, "a").await, Err(ServiceError::NotFound("secret"))));
    assert!(matches!(altyn.secret_open(child, "a").await, Err(ServiceError::NotFound("secret"))));
    assert!(matches!(altyn.secret_delete(&below, "a", 1).await, Err(ServiceError::NotFound("secret"))));
    assert!(altyn.secret_list(&below, &page(10, None)).await.unwrap().data.is_empty());
    altyn.secret_set(&below, secret("a", "its own", &[])).await.unwrap();
    assert_eq!(reads(&altyn, place.tenant, "a").await, VALUE);
}

async fn a_malformed_secret_is_refused_field_by_field(place: Place) {
    let altyn = with(&place, 1, None);
    let wrong = secret("Password 1", "", &["pay.example.org", "127.0.0.1", "*.example.org"]);
    let ServiceError::Invalid(fields) = altyn.secret_set(&place.request(), wrong).await.unwrap_err() else { panic!() };
    let pointers: Vec<&str> = fields.iter().map(|field| field.pointer.as_str()).collect();
    assert_eq!(pointers, ["/name", "/value", "/hosts/1", "/hosts/2"]);
    assert!(data_keys(&place).await.is_empty(), "nothing was written");
}

async fn a_repeated_request_is_recognised_by_a_fingerprint_that_gives_nothing_away(place: Place) {
    let altyn = with(&place, 1, None);
    let fingerprint = [7; 32];
    let keyed = |fingerprint| {
        let key = IdempotencyKey { key: "k".into(), request: "POST /v1/secrets".into(), fingerprint };
        Request { key: Some(key), ..place.request() }
    };
    let first = altyn.secret_set(&keyed(fingerprint), secret("a", "1234", &[])).await.unwrap();
    let again = altyn.secret_set(&keyed(fingerprint), secret("a", "1234", &[])).await.unwrap();
    assert!(!first.replayed && again.replayed);
    let other = altyn.secret_set(&keyed([8; 32]), secret("a", "5678", &[])).await;
    assert!(matches!(other, Err(ServiceError::KeyReused)));
    let mut tx = altyn.db.read(Scope::Tenant(place.tenant.0)).await.unwrap();
    let (kept,): (Vec<u8>,) =
        tx.fetch_one("select fingerprint from idempotency where tenant_id = $1", (place.tenant.0,)).await.unwrap();
    assert_ne!(kept, fingerprint, "a short value could be guessed from a plain hash of its request");
}
