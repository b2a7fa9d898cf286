//! What is refused at installation, by name and by description; real components are tried in `tests/`.

use super::*;

fn sound() -> Descriptor {
    Descriptor {
        id: "ru-vat".into(),
        version: "1.0.0".into(),
        title: "НДС".into(),
        config_schema: r#"{"type":"object"}"#.into(),
        secrets: Vec::new(),
        hosts: Vec::new(),
    }
}

#[test]
fn bytes_are_judged_by_their_start_before_they_are_parsed() {
    assert_eq!(refuse_unfit(&[0; 11], 10), Err(InstallError::TooLarge { size: 11, limit: 10 }));
    assert_eq!(refuse_unfit(b"\0asm\x01\0\0\0", 10), Err(InstallError::CoreModule));
    assert!(matches!(refuse_unfit(b"(component)", 100), Err(InstallError::Malformed(_))));
    assert!(matches!(refuse_unfit(b"", 100), Err(InstallError::Malformed(_))));
    assert_eq!(refuse_unfit(b"\0asm\x0d\0\x01\0", 10), Ok(()));
}

#[test]
fn a_plugin_may_import_types_and_log_only() {
    assert_eq!(check_import("altyn:billing/log@0.1.0"), Ok(()));
    assert_eq!(check_import("altyn:billing/types@0.1.7"), Ok(()));
    let wasi = check_import("wasi:clocks/wall-clock@0.2.3").unwrap_err().to_string();
    assert!(wasi.contains("wasi:clocks/wall-clock@0.2.3") && wasi.contains("wasm32-unknown-unknown"), "{wasi}");
    for name in ["altyn:billing/vault@0.1.0", "altyn:billing/exchange@0.1.0"] {
        assert_eq!(check_import(name), Ok(()));
        assert_eq!(check_world_import(name, World::PaymentGateway), Ok(()));
        for world in [World::TaxRule, World::ProrationStrategy, World::NumberingScheme] {
            assert!(
                matches!(check_world_import(name, world), Err(InstallError::UnknownImport { .. })),
                "{name} {world}"
            );
        }
    }
    assert!(matches!(check_import("altyn:billing/clock@0.1.0"), Err(InstallError::UnknownImport { .. })));
}

#[test]
fn another_version_track_is_named() {
    for name in
        ["altyn:billing/log@0.2.0", "altyn:billing/log@1.1.0", "altyn:billing/log", "altyn:billing/log@0.1.0-rc.1"]
    {
        let error = check_import(name).unwrap_err();
        assert_eq!(error, InstallError::UnsupportedVersion { interface: name.into() });
        assert!(error.to_string().contains("altyn:billing@0.1"), "{error}");
    }
}

#[test]
fn a_plugin_serves_exactly_one_world_and_describes_itself() {
    let (metadata, tax, numbering) =
        ("altyn:billing/metadata@0.1.0", "altyn:billing/tax@0.1.3", "altyn:billing/numbering@0.1.0");
    let decision = decision_of(&[metadata, tax]).unwrap();
    assert_eq!((decision.world, decision.track, &*decision.version), (World::TaxRule, Track::V0_1, "0.1.3"));
    assert_eq!(decision_of(&[tax]), Err(InstallError::NoMetadata));
    assert_eq!(decision_of(&[metadata]), Err(InstallError::NoWorld));
    assert_eq!(decision_of(&[metadata, tax, numbering]), Err(InstallError::SeveralWorlds("tax", "numbering")));
    assert_eq!(decision_of(&[metadata, tax, "run"]), Err(InstallError::UnknownExport("run".into())));
}

#[test]
fn a_description_must_be_sound() {
    let check = |descriptor: Descriptor| check_descriptor(&descriptor, World::TaxRule);
    assert_eq!(check(sound()), Ok(()));
    assert!(matches!(check(Descriptor { id: "Ru VAT".into(), ..sound() }), Err(DescriptorError::Id(_))));
    assert!(matches!(check(Descriptor { id: "a".repeat(65), ..sound() }), Err(DescriptorError::Id(_))));
    assert!(matches!(check(Descriptor { version: "1".into(), ..sound() }), Err(DescriptorError::Version(_))));
    assert!(matches!(check(Descriptor { title: "a\nb".into(), ..sound() }), Err(DescriptorError::Title)));
    assert!(matches!(check(Descriptor { config_schema: "{".into(), ..sound() }), Err(DescriptorError::Schema(_))));
    assert!(matches!(check(Descriptor { config_schema: "[]".into(), ..sound() }), Err(DescriptorError::Schema(_))));
    assert!(matches!(check(Descriptor { secrets: vec!["key".into()], ..sound() }), Err(DescriptorError::Wish { .. })));
    assert!(matches!(check(Descriptor { hosts: vec!["x.ru".into()], ..sound() }), Err(DescriptorError::Wish { .. })));
}

#[test]
fn a_gateway_asks_for_names_and_exact_hosts() {
    let check = |secrets: &[&str], hosts: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
        check_descriptor(&Descriptor { secrets: owned(secrets), hosts: owned(hosts), ..sound() }, World::PaymentGateway)
    };
    assert_eq!(check(&["password-1", "password-2"], &["auth.robokassa.ru"]), Ok(()));
    for secret in ["", "Password", "a b", "ключ"] {
        assert_eq!(check(&[secret], &[]), Err(DescriptorError::Secrets), "{secret:?}");
    }
    assert_eq!(check(&["a", "a"], &[]), Err(DescriptorError::Secrets));
    for host in [
        "",
        "localhost",
        "*.paypal.com",
        "127.0.0.1",
        "10.0.0.1",
        "a.0x7f",
        "EXAMPLE.com",
        "a.com:443",
        "a.com.",
        "[::1]",
        "почта.рф",
        "a..com",
    ] {
        assert_eq!(check(&[], &[host]), Err(DescriptorError::Hosts), "{host:?}");
    }
}

#[test]
fn who_looks_into_a_component_keeps_nobody_waiting_who_loads_one() {
    let config = crate::config::RuntimeConfig { instances: 1, pooling: false, ..Default::default() };
    let runtime = Runtime::new(&config).unwrap();
    let nothing = wat::parse_str("(component)").unwrap();
    let _looking = runtime.shared.examining.lock().unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    let loading = runtime.clone();
    std::thread::spawn(move || told.send(loading.load(&nothing).map(|_| ())));
    let loaded = heard.recv_timeout(std::time::Duration::from_mins(1)).expect("it waits for somebody else");
    assert_eq!(loaded, Err(InstallError::NoWorld));
}
