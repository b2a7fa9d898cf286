//! Service terms in a tree of three levels: copies, keys, names, and what a deletion leaves.

use altyn_domain::{
    catalogue::PlanStatus,
    id::{PlanId, ServiceTermId},
    tax::PriceMode,
    terms::{TermMode, TermSource},
};
use altyn_service::{
    ServiceError,
    context::Request,
    plans::{CreateComponent, CreatePlan, CreatePlanVersion, PlanFilter},
    products::CreateProduct,
    service_terms::{AttachServiceTerm, ServiceTermView, SetServiceTerm},
};

use crate::support::{Place, new_tenant, on_both_engines, page};

on_both_engines!(
    a_delegated_term_appears_on_every_level_at_once_and_only_below,
    a_change_above_reaches_every_level_in_one_transaction,
    a_tenant_made_later_has_what_is_delegated_to_it,
    a_copy_is_read_only,
    a_term_that_is_delegated_no_more_goes_and_one_in_use_stays_frozen,
    a_term_in_use_at_home_is_not_deleted,
    a_name_conflict_is_shown_below_and_resolved_there,
    a_key_is_unique_here_and_free_below,
    a_sibling_and_a_parent_do_not_exist,
    a_change_needs_the_version_that_was_read,
    every_wrong_field_is_named,
    rivals_for_one_key_leave_one_winner,
);

/// Root, two children, and a grandchild under the first.
struct Tree {
    root: Request,
    left: Request,
    right: Request,
    grandchild: Request,
}

async fn child(place: &Place, of: &Request, name: &str) -> Request {
    Request::internal(place.altyn.tenant_create(of, new_tenant(name)).await.unwrap().value.id, "test")
}

async fn tree(place: &Place) -> Tree {
    let root = place.request();
    let left = child(place, &root, "Левый").await;
    let right = child(place, &root, "Правый").await;
    let grandchild = child(place, &left, "Внук").await;
    Tree { root, left, right, grandchild }
}

fn term(name: &str, key: Option<&str>, delegated: bool) -> SetServiceTerm {
    SetServiceTerm {
        name: name.into(),
        key: key.map(Into::into),
        stop_mode: TermMode::Auto,
        delete_mode: TermMode::Manual,
        grace_days: 5,
        keep_days: 30,
        payable_by_promise: false,
        billing_day: None,
        delegated,
    }
}

async fn terms(place: &Place, of: &Request) -> Vec<ServiceTermView> {
    place.altyn.service_term_list(of, &page(100, None)).await.unwrap().data
}

async fn names(place: &Place, of: &Request) -> Vec<(String, TermSource)> {
    terms(place, of).await.into_iter().map(|term| (term.name, term.source)).collect()
}

async fn only(place: &Place, of: &Request) -> ServiceTermView {
    let mut found = terms(place, of).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn code<T: std::fmt::Debug>(answer: Result<T, ServiceError>) -> &'static str {
    answer.unwrap_err().code()
}

async fn plan(place: &Place, of: &Request) -> PlanId {
    let product =
        CreateProduct { code: "net".into(), title: "Интернет".into(), tax_category: "standard".into() };
    let product = place.altyn.product_create(of, product).await.unwrap().value.id;
    let version = CreatePlanVersion {
        existing_subscribers: None,
        effective_from: Some("2026-01-01".parse().unwrap()),
        cadence: "1m".parse().unwrap(),
        currency: None,
        price_mode: PriceMode::Included,
        billing_day: None,
        stub: None,
        components: vec![CreateComponent {
            included: None,
            min_quantity: None,
            max_quantity: None,
            code: "access".into(),
            title: "Доступ".into(),
            kind: None,
            product_id: product,
            unit_price_minor: 59_000,
            prepayment_percent: None,
            metered: None,
            tax_category: None,
        }],
    };
    let command = CreatePlan {
        visibility: None,
        code: "net-1m".into(),
        title: "Интернет".into(),
        status: Some(PlanStatus::Active),
        version,
    };
    place.altyn.plan_create(of, command).await.unwrap().value.id
}

async fn attach(place: &Place, of: &Request, plan: PlanId, term: Option<ServiceTermId>) -> Result<(), ServiceError> {
    let version = place.altyn.plan_get(of, plan).await.unwrap().version;
    let command = AttachServiceTerm { service_term_id: term };
    place.altyn.plan_service_term_set(of, plan, version, command).await.map(|_| ())
}

async fn a_delegated_term_appears_on_every_level_at_once_and_only_below(place: Place) {
    let tree = tree(&place).await;
    place.altyn.service_term_create(&tree.left, term("Стандартные", Some("standard"), true)).await.unwrap();
    place.altyn.service_term_create(&tree.left, term("Свои", None, false)).await.unwrap();
    let own = |name: &str| (name.to_owned(), TermSource::Own);
    assert_eq!(names(&place, &tree.left).await, [own("Стандартные"), own("Свои")]);
    assert_eq!(names(&place, &tree.grandchild).await, [("Стандартные".to_owned(), TermSource::Inherited)]);
    assert_eq!(names(&place, &tree.right).await, []);
    assert_eq!(names(&place, &tree.root).await, []);
    let copy = only(&place, &tree.grandchild).await;
    assert_eq!((copy.key.as_deref(), copy.grace_days, copy.keep_days), (Some("standard"), 5, 30));
    assert!(terms(&place, &tree.left).await.iter().all(|term| term.id != copy.id), "each level has an id of its own");
}

async fn a_change_above_reaches_every_level_in_one_transaction(place: Place) {
    let tree = tree(&place).await;
    let made = place.altyn.service_term_create(&tree.root, term("Общие", Some("common"), true)).await.unwrap().value;
    let before: Vec<_> = [&tree.left, &tree.right, &tree.grandchild].into();
    let mut ids = Vec::new();
    for level in &before {
        ids.push(only(&place, level).await.id);
    }
    let command = SetServiceTerm {
        stop_mode: TermMode::Manual,
        billing_day: Some(10),
        payable_by_promise: true,
        ..term("Общие 2", Some("common_2"), true)
    };
    place.altyn.service_term_update(&tree.root, made.id, 1, command).await.unwrap();
    for (level, id) in before.into_iter().zip(ids) {
        let copy = only(&place, level).await;
        assert_eq!((copy.id, copy.version), (id, 2), "the copy stays the same object");
        assert_eq!((copy.name.as_str(), copy.key.as_deref()), ("Общие 2", Some("common_2")));
        assert_eq!((copy.stop_mode, copy.billing_day, copy.payable_by_promise), (TermMode::Manual, Some(10), true));
    }
    // A change that is refused reaches nobody.
    let taken = place.altyn.service_term_create(&tree.grandchild, term("Внуковы", Some("mine"), false)).await;
    taken.unwrap();
    let refused = place.altyn.service_term_update(&tree.root, made.id, 2, term("Общие 3", Some("mine"), true)).await;
    assert_eq!(code(refused), "service-term-key-taken");
    for level in [&tree.root, &tree.left, &tree.right] {
        assert_eq!(only(&place, level).await.name, "Общие 2");
    }
}

async fn a_tenant_made_later_has_what_is_delegated_to_it(place: Place) {
    let tree = tree(&place).await;
    place.altyn.service_term_create(&tree.root, term("Корневые", Some("root"), true)).await.unwrap();
    place.altyn.service_term_create(&tree.left, term("Левые", Some("left"), true)).await.unwrap();
    place.altyn.service_term_create(&tree.left, term("Свои", None, false)).await.unwrap();
    let late = child(&place, &tree.left, "Поздний").await;
    let later = child(&place, &late, "Ещё позже").await;
    for level in [&late, &later] {
        let mut found = names(&place, level).await;
        found.sort();
        let inherited = |name: &str| (name.to_owned(), TermSource::Inherited);
        assert_eq!(found, [inherited("Корневые"), inherited("Левые")]);
    }
    let own = terms(&place, &tree.left).await.into_iter().find(|term| term.name == "Левые").unwrap();
    place.altyn.service_term_delete(&tree.left, own.id, own.version).await.unwrap();
    for level in [&late, &later, &tree.grandchild] {
        assert_eq!(names(&place, level).await, [("Корневые".to_owned(), TermSource::Inherited)]);
    }
}

async fn a_copy_is_read_only(place: Place) {
    let tree = tree(&place).await;
    place.altyn.service_term_create(&tree.root, term("Общие", None, true)).await.unwrap();
    let copy = only(&place, &tree.left).await;
    let changed = place.altyn.service_term_update(&tree.left, copy.id, 1, term("Моё", None, false)).await;
    assert_eq!(code(changed), "service-term-read-only");
    assert_eq!(code(place.altyn.service_term_delete(&tree.left, copy.id, 1).await), "service-term-read-only");
    assert_eq!(only(&place, &tree.left).await.name, "Общие");
    // Whoever is above does act below, and sees the same refusal there.
    let changed = place.altyn.service_term_delete(&tree.grandchild, only(&place, &tree.grandchild).await.id, 1).await;
    assert_eq!(code(changed), "service-term-read-only");
}

async fn a_term_that_is_delegated_no_more_goes_and_one_in_use_stays_frozen(place: Place) {
    let tree = tree(&place).await;
    for taken_away in ["deleted", "kept"] {
        let name = format!("Общие {taken_away}");
        let made = place.altyn.service_term_create(&tree.root, term(&name, Some(taken_away), true)).await.unwrap();
        let id = made.value.id;
        let find = async |of: &Request| terms(&place, of).await.into_iter().find(|term| term.name == name);
        let used = find(&tree.grandchild).await.unwrap();
        let sold = if taken_away == "deleted" {
            plan(&place, &tree.grandchild).await
        } else {
            place.altyn.plan_list(&tree.grandchild, PlanFilter::default(), &page(1, None)).await.unwrap().data[0].id
        };
        attach(&place, &tree.grandchild, sold, Some(used.id)).await.unwrap();
        if taken_away == "deleted" {
            place.altyn.service_term_delete(&tree.root, id, 1).await.unwrap();
        } else {
            place.altyn.service_term_update(&tree.root, id, 1, term(&name, Some(taken_away), false)).await.unwrap();
        }
        assert!(find(&tree.left).await.is_none() && find(&tree.right).await.is_none());
        let frozen = find(&tree.grandchild).await.unwrap();
        assert_eq!((frozen.id, frozen.source, frozen.grace_days), (used.id, TermSource::Frozen, 5));
        assert_eq!(place.altyn.plan_service_term(&tree.grandchild, sold).await.unwrap().service_term_id, Some(used.id));
        // It serves whom it served, takes nobody on, is changed by nobody, and goes when nobody needs it any more.
        let change =
            place.altyn.service_term_update(&tree.grandchild, frozen.id, frozen.version, term("Моё", None, false));
        assert_eq!(code(change.await), "service-term-read-only");
        assert_eq!(code(attach(&place, &tree.grandchild, sold, Some(frozen.id)).await), "service-term-frozen");
        let gone = place.altyn.service_term_delete(&tree.grandchild, frozen.id, frozen.version).await;
        assert_eq!(code(gone), "service-term-in-use");
        // Its key is still in use below, so nobody above takes it.
        let again = place.altyn.service_term_create(&tree.left, term("Опять", Some(taken_away), false)).await;
        assert_eq!(code(again), "service-term-key-taken");
        attach(&place, &tree.grandchild, sold, None).await.unwrap();
        place.altyn.service_term_delete(&tree.grandchild, frozen.id, frozen.version).await.unwrap();
        let gone = place.altyn.service_term_get(&tree.grandchild, frozen.id).await;
        assert!(matches!(gone, Err(ServiceError::NotFound("service term"))));
        place.altyn.service_term_create(&tree.left, term("Опять", Some(taken_away), false)).await.unwrap();
        let again = terms(&place, &tree.left).await.into_iter().find(|term| term.name == "Опять").unwrap();
        place.altyn.service_term_delete(&tree.left, again.id, 1).await.unwrap();
    }
}

async fn a_term_in_use_at_home_is_not_deleted(place: Place) {
    let tree = tree(&place).await;
    let made = place.altyn.service_term_create(&tree.root, term("Общие", None, true)).await.unwrap().value;
    let sold = plan(&place, &tree.root).await;
    attach(&place, &tree.root, sold, Some(made.id)).await.unwrap();
    assert_eq!(code(place.altyn.service_term_delete(&tree.root, made.id, 1).await), "service-term-in-use");
    assert_eq!(only(&place, &tree.grandchild).await.source, TermSource::Inherited, "nothing happened below either");
}

async fn a_name_conflict_is_shown_below_and_resolved_there(place: Place) {
    let tree = tree(&place).await;
    let own = place.altyn.service_term_create(&tree.left, term("Стандартные", None, false)).await.unwrap().value;
    place.altyn.service_term_create(&tree.root, term("Стандартные", None, true)).await.unwrap();
    let conflicts = async |of: &Request| place.altyn.service_term_conflicts(of, &page(10, None)).await.unwrap().data;
    for level in [&tree.root, &tree.right, &tree.grandchild] {
        assert!(conflicts(level).await.is_empty());
    }
    let shown = conflicts(&tree.left).await;
    assert_eq!(shown.len(), 1);
    let inherited = terms(&place, &tree.left).await.into_iter().find(|t| t.source == TermSource::Inherited).unwrap();
    assert_eq!((shown[0].name.as_str(), shown[0].own_id, shown[0].inherited_id), ("Стандартные", own.id, inherited.id));
    assert_eq!(shown[0].own_href, format!("/v1/service-terms/{}", own.id));
    // The tenant above cannot know and need not care; the one below renames its own.
    place.altyn.service_term_update(&tree.left, own.id, 1, term("Стандартные (наши)", None, false)).await.unwrap();
    assert!(conflicts(&tree.left).await.is_empty());
    let again = place.altyn.service_term_create(&tree.left, term("Стандартные", None, false)).await;
    assert_eq!(code(again), "service-term-name-taken", "a conflict is never made from below");
}

async fn a_key_is_unique_here_and_free_below(place: Place) {
    let tree = tree(&place).await;
    place.altyn.service_term_create(&tree.grandchild, term("Внуковы", Some("prepaid"), false)).await.unwrap();
    let refused = place.altyn.service_term_create(&tree.root, term("Корневые", Some("prepaid"), false)).await;
    let Err(ServiceError::Conflict { code: "service-term-key-taken", details, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(details, [format!("{} Внук", tree.grandchild.tenant)]);
    // A sibling's keys are its own business.
    place.altyn.service_term_create(&tree.right, term("Правые", Some("prepaid"), false)).await.unwrap();
    place.altyn.service_term_create(&tree.root, term("Корневые", Some("postpaid"), true)).await.unwrap();
    for level in [&tree.root, &tree.left, &tree.grandchild] {
        let refused = place.altyn.service_term_create(level, term("Ещё", Some("postpaid"), false)).await;
        assert_eq!(code(refused), "service-term-key-taken");
    }
    for key in ["Prepaid", "pre-paid", "", "предоплата"] {
        let refused = place.altyn.service_term_create(&tree.root, term("Ещё", Some(key), false)).await;
        assert_eq!(code(refused), "invalid-request", "{key:?}");
    }
}

async fn a_sibling_and_a_parent_do_not_exist(place: Place) {
    let tree = tree(&place).await;
    let of_root = place.altyn.service_term_create(&tree.root, term("Корневые", None, false)).await.unwrap().value.id;
    let of_left = place.altyn.service_term_create(&tree.left, term("Левые", None, false)).await.unwrap().value.id;
    let sold = plan(&place, &tree.right).await;
    for (who, id) in [(&tree.left, of_root), (&tree.right, of_left), (&tree.grandchild, of_left), (&tree.root, of_left)]
    {
        let missing = |answer: Result<(), ServiceError>| {
            assert!(matches!(answer, Err(ServiceError::NotFound("service term"))), "{answer:?}");
        };
        missing(place.altyn.service_term_get(who, id).await.map(|_| ()));
        missing(place.altyn.service_term_update(who, id, 1, term("Моё", None, false)).await.map(|_| ()));
        missing(place.altyn.service_term_delete(who, id, 1).await.map(|_| ()));
    }
    assert_eq!(code(attach(&place, &tree.right, sold, Some(of_left)).await), "invalid-request");
    let foreign = AttachServiceTerm { service_term_id: None };
    let answer = place.altyn.plan_service_term_set(&tree.left, sold, 1, foreign).await;
    assert!(matches!(answer, Err(ServiceError::NotFound("plan"))));
    assert_eq!(names(&place, &tree.root).await, [("Корневые".to_owned(), TermSource::Own)]);
}

async fn a_change_needs_the_version_that_was_read(place: Place) {
    let tree = tree(&place).await;
    let made = place.altyn.service_term_create(&tree.root, term("Общие", None, true)).await.unwrap().value;
    place.altyn.service_term_update(&tree.root, made.id, 1, term("Новые", None, true)).await.unwrap();
    let stale = place.altyn.service_term_update(&tree.root, made.id, 1, term("Чужие", None, true)).await;
    assert!(matches!(stale, Err(ServiceError::Stale)));
    assert!(matches!(place.altyn.service_term_delete(&tree.root, made.id, 1).await, Err(ServiceError::Stale)));
    assert_eq!(only(&place, &tree.grandchild).await.name, "Новые", "what was refused reached nobody");
    let request = place.keyed("term-1", 1);
    let first = place.altyn.service_term_create(&request, term("Один раз", None, false)).await.unwrap();
    let again = place.altyn.service_term_create(&request, term("Один раз", None, false)).await.unwrap();
    assert_eq!((again.replayed, again.value.id), (true, first.value.id));
}

async fn every_wrong_field_is_named(place: Place) {
    let command = SetServiceTerm {
        grace_days: 3_661,
        keep_days: 99_999,
        billing_day: Some(29),
        ..term(" ", Some("Ключ"), false)
    };
    let Err(ServiceError::Invalid(errors)) = place.altyn.service_term_create(&place.request(), command).await else {
        panic!("must be refused")
    };
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    let expected = ["/name", "/key", "/grace_days", "/keep_days", "/billing_day"];
    assert_eq!(pointers, expected);
}

async fn rivals_for_one_key_leave_one_winner(place: Place) {
    let tree = tree(&place).await;
    let mut rivals = Vec::new();
    for (index, of) in [&tree.root, &tree.left, &tree.grandchild, &tree.root, &tree.left].into_iter().enumerate() {
        let (altyn, of) = (place.altyn.clone(), of.clone());
        rivals.push(tokio::spawn(async move {
            altyn.service_term_create(&of, term(&format!("Соперник {index}"), Some("contested"), index % 2 == 0)).await
        }));
    }
    let mut refusals = Vec::new();
    for rival in rivals {
        if let Err(error) = rival.await.unwrap() {
            refusals.push(error.code());
        }
    }
    // Above a winner nobody may take the key, below a delegated one its copy has it; a winner below leaves no other.
    for level in [&tree.root, &tree.left, &tree.right, &tree.grandchild] {
        let with_key = terms(&place, level).await.into_iter().filter(|term| term.key.is_some()).count();
        assert!(with_key <= 1, "{with_key} terms of one tenant have the key");
    }
    assert!(refusals.iter().all(|code| *code == "service-term-key-taken"), "{refusals:?}");
    assert!(refusals.len() >= 2);
}
