//! Whose components are installed.

use altyn_domain::{id::Id as _, manifest::SignedManifest, plugin::World, trust::TrustLevel};
use altyn_service::{
    Request, ServiceError,
    install::InstallPlugin,
    plugin_keys::{RevokeKey, TrustKey},
};
use altyn_store::{Scope, plugin_keys};
use uuid::Uuid;

use crate::{
    bench::{component, install, publisher, refused, remarked, signed},
    support::{Place, new_tenant, on_both_engines, page},
};

on_both_engines!(
    an_unsigned_component_is_refused_unless_the_settings_allow_it,
    a_signed_component_is_installed_on_its_publishers_word_and_the_word_is_kept,
    every_refusal_of_a_signature_leaves_nothing_behind,
    a_manifest_that_disagrees_with_its_component_is_refused,
    an_older_version_is_installed_only_when_asked_for_and_that_is_recorded,
    the_same_version_with_other_bytes_is_refused,
    a_plugin_id_stays_with_its_publisher,
    a_signature_that_comes_later_raises_the_trust,
    a_key_is_trusted_once_and_revoked_for_ever,
    only_a_root_tenant_changes_what_the_platform_shares,
);

async fn nothing_is_installed(place: &Place) {
    assert!(place.altyn.plugin_list(&page(100, None)).await.unwrap().data.is_empty());
}

async fn an_unsigned_component_is_refused_unless_the_settings_allow_it(place: Place) {
    let wasm = component("ru-vat");
    let (code, message) = refused(install(&place.strict(), &place.request(), wasm.clone(), None).await);
    assert_eq!(code, "plugin-unsigned");
    assert!(message.contains("altyn plugin sign") && message.contains("trust.unsigned"), "{message}");
    nothing_is_installed(&place).await;
    let installed = install(&place.altyn, &place.request(), wasm, None).await.unwrap().value;
    assert_eq!((installed.trust_level, installed.publisher, installed.key_id), (TrustLevel::UnsignedDev, None, None));
}

async fn a_signed_component_is_installed_on_its_publishers_word_and_the_word_is_kept(place: Place) {
    let (wasm, key) = (component("ru-vat"), publisher(7));
    let id = place.trust(&key, "Acme").await;
    let manifest = signed(&place.altyn, &wasm, &key, |_| ()).await;
    let reply = install(&place.strict(), &place.request(), wasm.clone(), Some(manifest.clone())).await.unwrap();
    assert_eq!(reply.status, 201);
    let view = reply.value;
    assert_eq!((view.trust_level, view.publisher.as_deref()), (TrustLevel::Trusted, Some("Acme")));
    assert_eq!(view.key_id.as_deref(), Some(id.as_str()));
    let again = install(&place.strict(), &place.request(), wasm, Some(manifest.clone())).await.unwrap();
    assert_eq!((again.status, again.value.installed_at), (200, view.installed_at));

    let mut tx = place.altyn.db.read(Scope::Platform).await.unwrap();
    let kept = plugin_keys::installs_list(&mut tx, hex::decode(&view.digest).unwrap(), Uuid::nil(), 10).await.unwrap();
    assert_eq!(kept.len(), 1, "the same bytes are installed once");
    let bytes = serde_json::to_string(&manifest.manifest).unwrap();
    assert_eq!(kept[0].manifest.as_ref(), Some(&bytes));
    assert_eq!(kept[0].signature.as_ref().map(hex::encode), Some(manifest.signature));
    assert_eq!((kept[0].installed_by.as_str(), &kept[0].downgraded_from), ("test", &None));
}

async fn every_refusal_of_a_signature_leaves_nothing_behind(place: Place) {
    let (wasm, key, stranger) = (component("ru-vat"), publisher(7), publisher(8));
    let id = place.trust(&key, "Acme").await;
    let good = signed(&place.altyn, &wasm, &key, |_| ()).await;
    let foreign = signed(&place.altyn, &wasm, &stranger, |_| ()).await;
    let mut flipped = good.signature.clone();
    flipped.replace_range(0..1, if flipped.starts_with('0') { "1" } else { "0" });
    let cases: Vec<(&str, SignedManifest)> = vec![
        ("plugin-key-unknown", foreign.clone()),
        ("plugin-signature", SignedManifest { signature: flipped, ..good.clone() }),
        ("plugin-signature", SignedManifest { signature: foreign.signature.clone(), ..good.clone() }),
        // A stranger who brings a public key of his own under the id of a trusted one.
        ("plugin-signature", SignedManifest { key_id: id.clone(), ..foreign.clone() }),
        ("plugin-signature", SignedManifest { key_id: "0000000000000000".into(), ..good.clone() }),
        (
            "plugin-signature",
            SignedManifest { public_key: "zz".into(), key_id: "0000000000000000".into(), ..good.clone() },
        ),
    ];
    for altyn in [place.strict(), place.altyn.clone()] {
        for (expected, manifest) in cases.clone() {
            let (code, message) = refused(install(&altyn, &place.request(), wasm.clone(), Some(manifest)).await);
            assert_eq!(code, expected, "{message}");
        }
    }
    let other = remarked(wasm.clone(), "not what was signed");
    let (code, message) = refused(install(&place.strict(), &place.request(), other, Some(good.clone())).await);
    assert_eq!(code, "plugin-manifest");
    assert!(message.contains("another component"), "{message}");

    let revoke = RevokeKey { reason: "lost on a train".into() };
    place.altyn.plugin_key_revoke(&place.request(), &id, revoke).await.unwrap();
    let (code, message) = refused(install(&place.strict(), &place.request(), wasm, Some(good)).await);
    assert_eq!(code, "plugin-key-revoked");
    assert!(message.contains("Acme") && message.contains(&id), "{message}");
    nothing_is_installed(&place).await;
}

async fn a_manifest_that_disagrees_with_its_component_is_refused(place: Place) {
    let (wasm, key) = (component("ru-vat"), publisher(7));
    place.trust(&key, "Acme").await;
    let altyn = &place.altyn;
    let cases = [
        ("id other-vat", signed(altyn, &wasm, &key, |manifest| manifest.id = "other-vat".into()).await),
        ("version 9.9.9", signed(altyn, &wasm, &key, |manifest| manifest.version = "9.9.9".into()).await),
        (
            "world numbering-scheme",
            signed(altyn, &wasm, &key, |manifest| manifest.world = World::NumberingScheme).await,
        ),
        ("contract 0.1.7", signed(altyn, &wasm, &key, |manifest| manifest.contract_version = "0.1.7".into()).await),
        (
            "bank.example.org",
            signed(altyn, &wasm, &key, |manifest| manifest.hosts = vec!["bank.example.org".into()]).await,
        ),
        ("api-key", signed(altyn, &wasm, &key, |manifest| manifest.secrets = vec!["api-key".into()]).await),
    ];
    for (named, manifest) in cases {
        let (code, message) = refused(install(altyn, &place.request(), wasm.clone(), Some(manifest)).await);
        assert_eq!(code, "plugin-manifest", "{message}");
        assert!(message.contains(named), "{named} in {message}");
    }
    nothing_is_installed(&place).await;
}

async fn an_older_version_is_installed_only_when_asked_for_and_that_is_recorded(place: Place) {
    let wasm = component("ru-vat");
    let first = install(&place.altyn, &place.request(), wasm.clone(), None).await.unwrap().value;
    assert_eq!(place.change("update components set version = '0.10.0' where plugin_id = $1", ("ru-vat",)).await, 1);
    let older = remarked(wasm.clone(), "0.1.0 again");
    let (code, message) = refused(install(&place.altyn, &place.request(), older.clone(), None).await);
    assert_eq!(code, "plugin-downgrade");
    assert!(message.contains("0.10.0") && message.contains("0.1.0"), "{message}");
    let command = InstallPlugin { wasm: older, manifest: None, allow_downgrade: true };
    let installed = place.altyn.plugin_install_signed(&place.request(), command).await.unwrap().value;
    assert_eq!(installed.version, "0.1.0");
    let mut tx = place.altyn.db.read(Scope::Platform).await.unwrap();
    let digest = hex::decode(&installed.digest).unwrap();
    let kept = plugin_keys::installs_list(&mut tx, digest, Uuid::nil(), 10).await.unwrap();
    assert_eq!(kept[0].downgraded_from.as_deref(), Some("0.10.0"));
    drop(tx);
    let there = install(&place.altyn, &place.request(), wasm, None).await.unwrap();
    assert_eq!((there.status, there.value.digest), (200, first.digest), "what is installed is no downgrade");
}

async fn the_same_version_with_other_bytes_is_refused(place: Place) {
    let (wasm, key) = (component("ru-vat"), publisher(7));
    place.trust(&key, "Acme").await;
    let manifest = signed(&place.altyn, &wasm, &key, |_| ()).await;
    install(&place.altyn, &place.request(), wasm.clone(), Some(manifest)).await.unwrap();
    let other = remarked(wasm, "same version");
    let manifest = signed(&place.altyn, &other, &key, |_| ()).await;
    for allow_downgrade in [false, true] {
        let command = InstallPlugin { wasm: other.clone(), manifest: Some(manifest.clone()), allow_downgrade };
        let (code, message) = refused(place.altyn.plugin_install_signed(&place.request(), command).await);
        assert_eq!(code, "version-taken");
        assert!(message.contains("ru-vat 0.1.0"), "{message}");
    }
    assert_eq!(place.altyn.plugin_list(&page(100, None)).await.unwrap().data.len(), 1);
}

async fn a_plugin_id_stays_with_its_publisher(place: Place) {
    let (wasm, acme, evil) = (component("ru-vat"), publisher(7), publisher(8));
    place.trust(&acme, "Acme").await;
    place.trust(&evil, "Evil").await;
    let manifest = signed(&place.altyn, &wasm, &acme, |_| ()).await;
    install(&place.altyn, &place.request(), wasm.clone(), Some(manifest)).await.unwrap();
    place.change("update components set version = '0.0.9' where plugin_id = $1", ("ru-vat",)).await;
    let next = remarked(wasm, "a next version");
    let manifest = signed(&place.altyn, &next, &evil, |_| ()).await;
    let (code, message) = refused(install(&place.altyn, &place.request(), next.clone(), Some(manifest)).await);
    assert_eq!(code, "plugin-publisher");
    assert!(message.contains("Acme") && message.contains("Evil"), "{message}");
    assert_eq!(refused(install(&place.altyn, &place.request(), next.clone(), None).await).0, "plugin-publisher");
    // A second key of the same publisher goes on with the id.
    let second = publisher(9);
    place.trust(&second, "Acme").await;
    let manifest = signed(&place.altyn, &next, &second, |_| ()).await;
    install(&place.altyn, &place.request(), next, Some(manifest)).await.unwrap();
}

async fn a_signature_that_comes_later_raises_the_trust(place: Place) {
    let (wasm, key) = (component("ru-vat"), publisher(7));
    let id = place.trust(&key, "Acme").await;
    install(&place.altyn, &place.request(), wasm.clone(), None).await.unwrap();
    let manifest = signed(&place.altyn, &wasm, &key, |_| ()).await;
    let raised = install(&place.altyn, &place.request(), wasm.clone(), Some(manifest)).await.unwrap();
    assert_eq!((raised.status, raised.value.trust_level), (200, TrustLevel::Trusted));
    let again = install(&place.altyn, &place.request(), wasm, None).await.unwrap().value;
    assert_eq!((again.trust_level, again.key_id), (TrustLevel::Trusted, Some(id)), "a word once given stays");
}

async fn a_key_is_trusted_once_and_revoked_for_ever(place: Place) {
    let (key, wasm) = (publisher(7), component("ru-vat"));
    let id = place.trust(&key, "Acme").await;
    let command =
        |publisher: &str, level| TrustKey { public_key: key.public().to_string(), publisher: publisher.into(), level };
    let (altyn, request) = (&place.altyn, place.request());
    let again = altyn.plugin_key_trust(&request, command("Acme", TrustLevel::Trusted)).await.unwrap();
    assert_eq!((again.status, again.value.id.as_str()), (200, id.as_str()));
    let other = altyn.plugin_key_trust(&request, command("Acme Inc", TrustLevel::Trusted)).await;
    assert_eq!(refused(other).0, "plugin-key-known");
    assert_eq!(
        refused(altyn.plugin_key_trust(&request, command("Acme", TrustLevel::Core)).await).0,
        "plugin-key-known"
    );

    let manifest = signed(altyn, &wasm, &key, |_| ()).await;
    let digest = install(altyn, &request, wasm, Some(manifest)).await.unwrap().value.digest;
    let revoked = altyn.plugin_key_revoke(&request, &id, RevokeKey { reason: "stolen".into() }).await.unwrap().value;
    assert_eq!(revoked.components, [format!("ru-vat 0.1.0 {digest}")]);
    assert_eq!(
        (revoked.key.revoked_by.as_deref(), revoked.key.revocation_reason.as_deref()),
        (Some("test"), Some("stolen"))
    );
    let twice = altyn.plugin_key_revoke(&request, &id, RevokeKey { reason: "again".into() }).await.unwrap().value;
    assert_eq!(twice.key, revoked.key, "the first reason stays");
    assert_eq!(
        refused(altyn.plugin_key_trust(&request, command("Acme", TrustLevel::Trusted)).await).0,
        "plugin-key-revoked"
    );
    let listed = altyn.plugin_key_list(&page(10, None)).await.unwrap().data;
    assert_eq!(listed, [revoked.key]);
    let absent = altyn.plugin_key_revoke(&request, "00112233", RevokeKey { reason: "no such".into() }).await;
    assert!(matches!(absent, Err(ServiceError::NotFound("plugin key"))));
}

async fn only_a_root_tenant_changes_what_the_platform_shares(place: Place) {
    let child = place.altyn.tenant_create(&place.request(), new_tenant("Реселлер")).await.unwrap().value.id;
    let below = Request::internal(child, "test");
    let key = publisher(7);
    let command = |level| TrustKey { public_key: key.public().to_string(), publisher: "Acme".into(), level };
    assert_eq!(refused(place.altyn.plugin_key_trust(&below, command(TrustLevel::Trusted)).await).0, "forbidden");
    assert_eq!(refused(install(&place.altyn, &below, component("ru-vat"), None).await).0, "forbidden");
    // Over the interface nobody makes a key a core one, whatever the tenant.
    let caller =
        Request::internal(place.tenant, &altyn_domain::id::ApiKeyId::from_uuid(place.altyn.ids.next()).to_string());
    let told = place.altyn.plugin_key_trust(&caller, command(TrustLevel::Core)).await.unwrap_err();
    let ServiceError::Invalid(fields) = told else { panic!("{told}") };
    assert_eq!(fields[0].pointer, "/level");
    let core = place.altyn.plugin_key_trust(&place.request(), command(TrustLevel::Core)).await.unwrap().value;
    assert_eq!(core.level, TrustLevel::Core);
    let revoke = RevokeKey { reason: "no".into() };
    assert_eq!(refused(place.altyn.plugin_key_revoke(&below, &core.id, revoke).await).0, "forbidden");
    nothing_is_installed(&place).await;
}
