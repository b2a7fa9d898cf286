//! Products, plans and subscriptions.

use altyn_domain::{
    catalogue::{BillingDay, PlanStatus, Visibility},
    change::{ChangeKind, Timing},
    id::{ContractId, ProductId},
    party::{ContractKind, CustomerKind},
    subscription::{ShortFunds, SubscriptionStatus},
    tax::PriceMode,
};
use altyn_service::{
    ServiceError,
    changes::ChangeSubscription,
    context::{Authority, Request},
    contracts::CreateContract,
    customers::CreateCustomer,
    plans::{CreateComponent, CreatePlan, CreatePlanVersion, PlanFilter, UpdatePlan},
    products::{CreateProduct, UpdateProduct},
    subscriptions::{CancelSubscription, CreateSubscription, SubscriptionFilter},
};
use chrono::NaiveDate;

use crate::support::{Place, on_both_engines, page};

on_both_engines!(
    a_new_price_is_a_new_version,
    a_plan_version_is_refused_with_every_reason,
    a_code_names_one_product_and_one_plan,
    a_private_plan_is_sold_by_managers_only,
    who_helps_himself_gives_himself_no_terms,
    only_a_plan_on_sale_is_sold,
    a_subscription_gets_the_version_of_its_first_day,
    a_subscription_is_refused_with_every_reason,
    a_cancelled_subscription_ends_on_its_day,
);

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

async fn product(place: &Place) -> ProductId {
    let command =
        CreateProduct { code: "net".into(), title: "Интернет".into(), tax_category: "standard".into() };
    place.altyn.product_create(&place.request(), command).await.unwrap().value.id
}

fn version(product: ProductId, price: i64, from: &str) -> CreatePlanVersion {
    CreatePlanVersion {
        existing_subscribers: None,
        effective_from: Some(day(from)),
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
            unit_price_minor: price,
            tax_category: None,
            prepayment_percent: None,
            metered: None,
        }],
    }
}

fn plan(product: ProductId, status: PlanStatus) -> CreatePlan {
    CreatePlan {
        visibility: None,
        code: "net-1m".into(),
        title: "Интернет".into(),
        status: Some(status),
        version: version(product, 59_000, "2026-01-01"),
    }
}

async fn contract(place: &Place, currency: &str) -> ContractId {
    let customer = CreateCustomer {
        kind: CustomerKind::Individual,
        name: "Иванов".into(),
        country: None,
        inn: None,
        kpp: None,
        ogrn: None,
        email: None,
        phone: None,
        address: None,
        external_system: None,
        external_id: None,
    };
    let customer = place.altyn.customer_create(&place.request(), customer).await.unwrap().value.id;
    let command = CreateContract {
        customer_id: customer,
        seller_id: place.seller().await,
        number: format!("Д-{currency}"),
        kind: ContractKind::Prepaid,
        currency: Some(currency.into()),
        zone: None,
        credit_limit_minor: None,
        signed_on: None,
        external_system: None,
        external_id: None,
    };
    place.altyn.contract_create(&place.request(), command).await.unwrap().value.id
}

fn subscription(contract: ContractId, starts_on: &str) -> CreateSubscription {
    CreateSubscription {
        contract_id: contract,
        plan_id: None,
        plan_code: Some("net-1m".into()),
        starts_on: day(starts_on),
        quantity: None,
        discount_percent: None,
        charges: None,
        discount_minor: None,
        discount_from: None,
        discount_until: None,
        manual: None,
        documents_on_activation: None,
        notify_on_activation: None,
        description: None,
        pending: None,
        short_funds: None,
        retry_days: None,
        external_system: None,
        external_id: None,
    }
}

async fn a_new_price_is_a_new_version(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let product = product(&place).await;
    let made = altyn.plan_create(&request, plan(product, PlanStatus::Active)).await.unwrap().value;
    assert_eq!((made.versions.len(), made.versions[0].ordinal), (1, 1));
    assert_eq!(made.versions[0].components[0].tax_category, "standard");
    let dearer = version(product, 69_000, "2027-01-01");
    let changed = altyn.plan_version_add(&request, made.id, 1, dearer.clone()).await.unwrap().value;
    let prices: Vec<i64> = changed.versions.iter().map(|version| version.components[0].unit_price_minor).collect();
    assert_eq!((prices, changed.version), (vec![59_000, 69_000], 2));
    assert!(matches!(altyn.plan_version_add(&request, made.id, 1, dearer).await, Err(ServiceError::Stale)));
    let earlier = altyn.plan_version_add(&request, made.id, 2, version(product, 1, "2027-01-01")).await;
    assert!(matches!(earlier, Err(ServiceError::Invalid(_))));
    assert_eq!(altyn.plan_get(&request, made.id).await.unwrap().versions.len(), 2);
    assert_eq!(
        altyn.plan_list(&request, PlanFilter::default(), &page(5, None)).await.unwrap().data[0].versions.len(),
        2
    );
}

async fn a_plan_version_is_refused_with_every_reason(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let nothing = ProductId(uuid::Uuid::from_u128(1));
    let mut command = plan(nothing, PlanStatus::Active);
    command.code = "net 1m".into();
    command.version.components[0].unit_price_minor = -1;
    let Err(ServiceError::Invalid(errors)) = altyn.plan_create(&request, command).await else {
        panic!("must be refused")
    };
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/code", "/version/components/0/product_id", "/version/components"]);

    let mut command = plan(product(&place).await, PlanStatus::Active);
    command.version.cadence = "30d".parse().unwrap();
    command.version.billing_day = Some(BillingDay::Fixed(1));
    assert!(matches!(altyn.plan_create(&request, command).await, Err(ServiceError::Invalid(_))));
}

async fn a_code_names_one_product_and_one_plan(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let id = product(&place).await;
    let command = CreateProduct { code: "net".into(), title: "Сеть".into(), tax_category: "standard".into() };
    assert_eq!(altyn.product_create(&request, command).await.unwrap_err().code(), "duplicate-product");
    let change = UpdateProduct { title: Some("Сеть".into()), tax_category: None };
    let changed = altyn.product_update(&request, id, 1, change).await.unwrap().value;
    assert_eq!((changed.title.as_str(), changed.tax_category.as_str(), changed.version), ("Сеть", "standard", 2));
    altyn.plan_create(&request, plan(id, PlanStatus::Draft)).await.unwrap();
    let again = altyn.plan_create(&request, plan(id, PlanStatus::Draft)).await;
    assert_eq!(again.unwrap_err().code(), "duplicate-plan");
}

/// The same request by a customer who helps himself.
fn self_service(place: &Place) -> Request {
    Request { authority: Authority::SelfService, ..place.request() }
}

async fn a_private_plan_is_sold_by_managers_only(place: Place) {
    let (altyn, request, customer) = (&place.altyn, place.request(), self_service(&place));
    let contract = contract(&place, "RUB").await;
    let product = product(&place).await;
    let private = CreatePlan { visibility: Some(Visibility::Private), ..plan(product, PlanStatus::Active) };
    let private = altyn.plan_create(&request, private).await.unwrap().value;
    let named = |code: &str, status| CreatePlan { code: code.into(), ..plan(product, status) };
    let public = altyn.plan_create(&request, named("open-1m", PlanStatus::Active)).await.unwrap().value;
    let draft = altyn.plan_create(&request, named("draft-1m", PlanStatus::Draft)).await.unwrap().value;
    assert_eq!((private.visibility, public.visibility), (Visibility::Private, Visibility::Public));

    let list = async |request: &Request, filter: PlanFilter| {
        let listed = altyn.plan_list(request, filter, &page(10, None)).await.unwrap();
        listed.data.iter().map(|plan| plan.id).collect::<Vec<_>>()
    };
    let of = |visibility| PlanFilter { status: None, visibility: Some(visibility) };
    assert_eq!(list(&request, PlanFilter::default()).await, [private.id, public.id, draft.id]);
    assert_eq!(list(&request, of(Visibility::Private)).await, [private.id]);
    let on_sale = PlanFilter { status: Some(PlanStatus::Active), visibility: Some(Visibility::Public) };
    assert_eq!(list(&request, on_sale).await, [public.id]);
    assert_eq!(list(&customer, PlanFilter::default()).await, [public.id]);
    assert_eq!(list(&customer, of(Visibility::Private)).await, []);
    for hidden in [private.id, draft.id] {
        assert!(matches!(altyn.plan_get(&customer, hidden).await, Err(ServiceError::NotFound(_))));
    }
    altyn.plan_get(&customer, public.id).await.unwrap();

    let sell = async |request: &Request, code: &str| {
        let command = CreateSubscription { plan_code: Some(code.into()), ..subscription(contract, "2027-06-01") };
        altyn.subscription_create(request, command).await.map(|reply| reply.value)
    };
    assert_eq!(sell(&customer, "net-1m").await.unwrap_err().code(), "plan-private");
    let bought = sell(&customer, "open-1m").await.unwrap();
    let mut wish = ChangeSubscription::of(ChangeKind::ChangePlan);
    wish.plan_id = Some(private.id);
    assert_eq!(altyn.change_preview(&customer, bought.id, wish).await.unwrap_err().code(), "plan-private");
    sell(&request, "net-1m").await.unwrap();
    // Opened up, it is sold to everybody; what was sold goes on.
    let open = UpdatePlan { visibility: Some(Visibility::Public), ..UpdatePlan::default() };
    altyn.plan_update(&request, private.id, 1, open).await.unwrap();
    sell(&customer, "net-1m").await.unwrap();
}

async fn who_helps_himself_gives_himself_no_terms(place: Place) {
    let (altyn, customer) = (&place.altyn, self_service(&place));
    let contract = contract(&place, "RUB").await;
    let product = product(&place).await;
    altyn.plan_create(&place.request(), plan(product, PlanStatus::Active)).await.unwrap();
    let plain = || subscription(contract, "2027-06-01");
    for wrong in [
        CreateSubscription { discount_percent: Some("100".into()), ..plain() },
        CreateSubscription { discount_minor: Some(1), ..plain() },
        CreateSubscription { charges: Some(1), ..plain() },
        CreateSubscription { short_funds: Some(ShortFunds::Debt), ..plain() },
        CreateSubscription { manual: Some(true), ..plain() },
        subscription(contract, "2026-01-01"),
    ] {
        let refused = altyn.subscription_create(&customer, wrong).await.unwrap_err();
        assert_eq!(refused.code(), "manager-only");
    }
    let filter = SubscriptionFilter { contract_id: Some(contract), status: None };
    assert!(altyn.subscription_list(&customer, filter, &page(10, None)).await.unwrap().data.is_empty());
    let made = altyn.subscription_create(&customer, plain()).await.unwrap().value;
    let wish = ChangeSubscription::of;
    for wrong in [
        ChangeSubscription { days: Some(30), ..wish(ChangeKind::Prolong) },
        wish(ChangeKind::Pause),
        ChangeSubscription { timing: Some(Timing::Immediate), ..wish(ChangeKind::Cancel) },
        ChangeSubscription { on: Some(day("2026-01-01")), ..wish(ChangeKind::Cancel) },
    ] {
        assert_eq!(altyn.change_preview(&customer, made.id, wrong).await.unwrap_err().code(), "manager-only");
    }
    altyn.change_preview(&customer, made.id, wish(ChangeKind::Cancel)).await.unwrap();
}

async fn only_a_plan_on_sale_is_sold(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let contract = contract(&place, "RUB").await;
    let product = product(&place).await;
    let made = altyn.plan_create(&request, plan(product, PlanStatus::Draft)).await.unwrap().value;
    let status = |status| UpdatePlan { visibility: None, title: None, status: Some(status) };
    let sell = || altyn.subscription_create(&request, subscription(contract, "2026-11-05"));
    assert_eq!(sell().await.unwrap_err().code(), "plan-not-on-sale");
    altyn.plan_update(&request, made.id, 1, status(PlanStatus::Active)).await.unwrap();
    sell().await.unwrap();
    altyn.plan_update(&request, made.id, 2, status(PlanStatus::Archived)).await.unwrap();
    assert_eq!(sell().await.unwrap_err().code(), "plan-not-on-sale");
    let draft = altyn.plan_update(&request, made.id, 3, status(PlanStatus::Draft)).await;
    assert_eq!(draft.unwrap_err().code(), "plan-was-on-sale");
}

async fn a_subscription_gets_the_version_of_its_first_day(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let contract = contract(&place, "RUB").await;
    let product = product(&place).await;
    let made = altyn.plan_create(&request, plan(product, PlanStatus::Active)).await.unwrap().value;
    let mut fixed = version(product, 69_000, "2027-01-01");
    fixed.billing_day = Some(BillingDay::Fixed(1));
    let made = altyn.plan_version_add(&request, made.id, 1, fixed).await.unwrap().value;

    let old = altyn.subscription_create(&request, subscription(contract, "2026-12-31")).await.unwrap().value;
    assert_eq!((old.plan_version_id, old.plan_code.as_str()), (made.versions[0].id, "net-1m"));
    assert_eq!((old.anchor_on, old.next_charge_on), (day("2026-12-31"), day("2026-12-31")));
    let new = altyn.subscription_create(&request, subscription(contract, "2027-01-20")).await.unwrap().value;
    assert_eq!(new.plan_version_id, made.versions[1].id);
    let next = new.next_period.unwrap();
    assert_eq!((next.start, next.end, new.next_charge_on), (day("2027-01-01"), day("2027-02-01"), day("2027-01-20")));
    let early = altyn.subscription_create(&request, subscription(contract, "2025-12-31")).await;
    assert_eq!(early.unwrap_err().code(), "plan-not-in-effect");

    let filter = SubscriptionFilter { contract_id: Some(contract), status: None };
    let listed = altyn.subscription_list(&request, filter, &page(10, None)).await.unwrap();
    assert_eq!(listed.data.iter().map(|view| view.id).collect::<Vec<_>>(), [old.id, new.id]);
}

async fn a_subscription_is_refused_with_every_reason(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let product = product(&place).await;
    altyn.plan_create(&request, plan(product, PlanStatus::Active)).await.unwrap();
    let mut command = subscription(ContractId(uuid::Uuid::from_u128(1)), "2026-11-05");
    command.plan_code = Some("tv".into());
    command.quantity = Some("1000000.1".into());
    command.discount_percent = Some("-1".into());
    command.charges = Some(0);
    let Err(ServiceError::Invalid(errors)) = altyn.subscription_create(&request, command).await else {
        panic!("must be refused")
    };
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/quantity", "/discount_percent", "/charges", "/plan_code", "/contract_id"]);

    let in_tenge = contract(&place, "KZT").await;
    let error = altyn.subscription_create(&request, subscription(in_tenge, "2026-11-05")).await.unwrap_err();
    assert_eq!(error.code(), "currency-mismatch");
    for quantity in ["0", "1e3", "1.0000001", "", "+1", "１"] {
        let command = CreateSubscription { quantity: Some(quantity.into()), ..subscription(in_tenge, "2026-11-05") };
        let refused = altyn.subscription_create(&request, command).await;
        assert!(matches!(refused, Err(ServiceError::Invalid(_))), "{quantity}");
    }
}

async fn a_cancelled_subscription_ends_on_its_day(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let contract = contract(&place, "RUB").await;
    let product = product(&place).await;
    altyn.plan_create(&request, plan(product, PlanStatus::Active)).await.unwrap();
    let command = CreateSubscription {
        quantity: Some("2.500".into()),
        discount_percent: Some("10.0".into()),
        charges: Some(3),
        ..subscription(contract, "2026-11-10")
    };
    let made = altyn.subscription_create(&request, command).await.unwrap().value;
    assert_eq!((made.quantity.as_str(), made.discount_percent.as_str()), ("2.5", "10"));
    assert_eq!((made.charges_left, made.status), (Some(3), SubscriptionStatus::Active));

    let cancel = |on: &str| CancelSubscription { on: day(on), keep_charged: Some(true) };
    let early = altyn.subscription_cancel(&request, made.id, 1, cancel("2026-11-09")).await;
    assert!(matches!(early, Err(ServiceError::Invalid(_))));
    let ended = altyn.subscription_cancel(&request, made.id, 1, cancel("2026-12-01")).await.unwrap().value;
    assert_eq!((ended.ends_on, ended.next_charge_on), (Some(day("2026-12-01")), day("2026-11-10")));
    // Another wish replaces the first; an end on the first day charges nothing.
    let never = altyn.subscription_cancel(&request, made.id, 2, cancel("2026-11-10")).await.unwrap().value;
    assert_eq!((never.next_charge_on, never.next_period), (day("2026-11-10"), None));
    let stale = altyn.subscription_cancel(&request, made.id, 2, cancel("2026-12-01")).await;
    assert!(matches!(stale, Err(ServiceError::Stale)));
}
