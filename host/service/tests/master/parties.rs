//! Sellers, customers and contracts.

use altyn_domain::{
    id::SellerId,
    party::{ContractKind, CustomerKind},
};
use altyn_service::{
    ServiceError,
    context::Request,
    contracts::{ContractFilter, CreateContract, UpdateContract},
    customers::{CreateCustomer, CustomerFilter, CustomerView},
    sellers::CreateSeller,
};

use crate::support::{Place, new_seller, new_tenant, on_both_engines, page};

on_both_engines!(
    requisites_must_fit_the_kind_of_the_party,
    a_seller_is_replaced_under_its_version,
    an_external_id_names_one_customer,
    another_tenants_objects_do_not_exist,
    a_list_is_paged_without_gaps_or_repetitions,
    a_contract_is_born_with_its_account,
    a_contract_is_refused_with_every_reason,
    a_credit_limit_changes_what_is_available,
);

pub fn individual(name: &str) -> CreateCustomer {
    CreateCustomer {
        kind: CustomerKind::Individual,
        name: name.into(),
        country: None,
        inn: None,
        kpp: None,
        ogrn: None,
        email: None,
        phone: None,
        address: None,
        external_system: None,
        external_id: None,
    }
}

fn external(name: &str, id: &str) -> CreateCustomer {
    CreateCustomer { external_system: Some("crm".into()), external_id: Some(id.into()), ..individual(name) }
}

pub fn refused<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> Vec<String> {
    match result {
        Err(ServiceError::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
        other => panic!("expected refused fields, got {other:?}"),
    }
}

async fn requisites_must_fit_the_kind_of_the_party(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let entity = CreateCustomer {
        kind: CustomerKind::LegalEntity,
        inn: Some("7707083894".into()),
        kpp: Some("77360100".into()),
        ogrn: Some("304500116000157".into()),
        email: Some("nowhere".into()),
        external_id: Some("1".into()),
        ..individual("ООО «Ель»")
    };
    assert_eq!(
        refused(altyn.customer_create(&request, entity).await),
        ["/inn", "/kpp", "/ogrn", "/email", "/external_system"]
    );
    let proprietor = CreateCustomer {
        kind: CustomerKind::SoleProprietor,
        inn: Some("500100732259".into()),
        ogrn: Some("304500116000157".into()),
        ..individual("ИП Иванов")
    };
    assert!(altyn.customer_create(&request, proprietor).await.is_ok());
    let bank = CreateSeller { bank_account: Some("40702810938120061992".into()), ..new_seller() };
    assert_eq!(refused(altyn.seller_create(&request, bank).await), ["/bank_account"]);
}

async fn a_seller_is_replaced_under_its_version(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let id = place.seller().await;
    let command = CreateSeller { name: "ООО «Меридиан-2»".into(), kpp: None, ..new_seller() };
    let changed = altyn.seller_update(&request, id, 1, command.clone()).await.unwrap().value;
    assert_eq!((changed.version, changed.name.as_str(), changed.kpp.as_deref()), (2, "ООО «Меридиан-2»", None));
    assert!(matches!(altyn.seller_update(&request, id, 1, command).await, Err(ServiceError::Stale)));
    assert_eq!(altyn.seller_get(&request, id).await.unwrap().version, 2);
}

async fn an_external_id_names_one_customer(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let first = altyn.customer_create(&request, external("Первый", "7")).await.unwrap().value;
    let error = altyn.customer_create(&request, external("Второй", "7")).await.unwrap_err();
    assert_eq!(error.code(), "duplicate-external-id");
    let other = altyn.customer_create(&request, external("Второй", "8")).await.unwrap().value;
    let error = altyn.customer_update(&request, other.id, 1, external("Второй", "7")).await.unwrap_err();
    assert_eq!(error.code(), "duplicate-external-id");
    // Customers without an external id do not collide.
    altyn.customer_create(&request, individual("Третий")).await.unwrap();
    altyn.customer_create(&request, individual("Четвёртый")).await.unwrap();

    let by_key = CustomerFilter {
        external_system: Some("crm".into()),
        external_id: Some("7".into()),
        ..CustomerFilter::default()
    };
    let found = altyn.customer_list(&request, by_key, &page(10, None)).await.unwrap();
    assert_eq!(found.data.iter().map(|customer| customer.id).collect::<Vec<_>>(), [first.id]);
    let by_system = CustomerFilter { external_system: Some("crm".into()), ..CustomerFilter::default() };
    assert_eq!(altyn.customer_list(&request, by_system, &page(10, None)).await.unwrap().data.len(), 2);
}

async fn another_tenants_objects_do_not_exist(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let child = altyn.tenant_create(&request, new_tenant("Филиал")).await.unwrap().value.id;
    let child = Request::internal(child, "test");
    let customer = altyn.customer_create(&request, external("Наш", "1")).await.unwrap().value.id;
    let seller = place.seller().await;
    let signed = altyn.contract_create(&request, contract(customer, seller, "1")).await.unwrap().value.id;
    assert!(matches!(altyn.customer_get(&child, customer).await, Err(ServiceError::NotFound("customer"))));
    assert!(matches!(altyn.contract_get(&child, signed).await, Err(ServiceError::NotFound("contract"))));
    let update = altyn.customer_update(&child, customer, 1, individual("Чужой")).await;
    assert!(matches!(update, Err(ServiceError::NotFound("customer"))));
    assert_eq!(altyn.customer_list(&child, CustomerFilter::default(), &page(10, None)).await.unwrap().data.len(), 0);
    // An external id is unique within a tenant, not beyond it.
    altyn.customer_create(&child, external("Их", "1")).await.unwrap();
    let of_child = altyn.contract_create(&child, contract(customer, seller, "Ч-1")).await;
    assert_eq!(refused(of_child), ["/customer_id", "/seller_id"]);
}

async fn a_list_is_paged_without_gaps_or_repetitions(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(altyn.customer_create(&request, individual(&format!("{number}"))).await.unwrap().value.id);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let listed = altyn.customer_list(&request, CustomerFilter::default(), &page(3, cursor)).await.unwrap();
        seen.extend(listed.data.iter().map(|customer: &CustomerView| customer.id));
        assert_eq!(listed.has_more, listed.next_cursor.is_some());
        cursor = listed.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
    for bad in [page(0, None), page(101, None), page(5, Some("ctr_0".into()))] {
        assert!(altyn.customer_list(&request, CustomerFilter::default(), &bad).await.is_err());
    }
}

pub fn contract(customer: altyn_domain::id::CustomerId, seller: SellerId, number: &str) -> CreateContract {
    CreateContract {
        customer_id: customer,
        seller_id: seller,
        number: number.into(),
        kind: ContractKind::Postpaid,
        currency: None,
        zone: None,
        credit_limit_minor: Some(50_000),
        signed_on: None,
        external_system: None,
        external_id: None,
    }
}

async fn a_contract_is_born_with_its_account(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let customer = altyn.customer_create(&request, individual("Иванов")).await.unwrap().value.id;
    let seller = place.seller().await;
    let made = altyn.contract_create(&request, contract(customer, seller, "Д-1")).await.unwrap().value;
    assert_eq!((made.balance_minor, made.available_minor), (0, 50_000));
    assert_eq!((made.currency.as_str(), made.zone.as_str()), ("RUB", "Europe/Moscow"));
    assert_eq!(made.signed_on.to_string(), "2026-11-01");
    let accounts = altyn.account_list(&request, &page(10, None)).await.unwrap();
    assert_eq!(accounts.data.len(), 1);
    assert_eq!(accounts.data[0].code, format!("contract/{}/funds", made.id));

    let error = altyn.contract_create(&request, contract(customer, seller, "Д-1")).await.unwrap_err();
    assert_eq!(error.code(), "duplicate-contract");
    assert_eq!(altyn.account_list(&request, &page(10, None)).await.unwrap().data.len(), 1, "nothing of it stays");

    let number = ContractFilter { number: Some("Д-1".into()), ..ContractFilter::default() };
    assert_eq!(altyn.contract_list(&request, number, &page(10, None)).await.unwrap().data.len(), 1);
    let of_customer = ContractFilter { customer_id: Some(customer), ..ContractFilter::default() };
    assert_eq!(altyn.contract_list(&request, of_customer, &page(10, None)).await.unwrap().data.len(), 1);
}

async fn a_contract_is_refused_with_every_reason(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let nobody = altyn_domain::id::CustomerId(uuid::Uuid::from_u128(1));
    let command = CreateContract {
        currency: Some("RUR".into()),
        zone: Some("Moscow".into()),
        credit_limit_minor: Some(-1),
        ..contract(nobody, SellerId(uuid::Uuid::from_u128(1)), "")
    };
    assert_eq!(
        refused(altyn.contract_create(&request, command).await),
        ["/number", "/credit_limit_minor", "/currency", "/zone", "/customer_id", "/seller_id"]
    );
}

async fn a_credit_limit_changes_what_is_available(place: Place) {
    let (altyn, request) = (&place.altyn, place.request());
    let customer = altyn.customer_create(&request, individual("Иванов")).await.unwrap().value.id;
    let seller = place.seller().await;
    let made = altyn.contract_create(&request, contract(customer, seller, "Д-1")).await.unwrap().value;
    let change = UpdateContract { credit_limit_minor: Some(0), ..UpdateContract::default() };
    let changed = altyn.contract_update(&request, made.id, made.version, change).await.unwrap().value;
    assert_eq!((changed.available_minor, changed.version, changed.kind), (0, 2, ContractKind::Postpaid));
    let again = UpdateContract { kind: Some(ContractKind::Prepaid), ..UpdateContract::default() };
    assert!(matches!(altyn.contract_update(&request, made.id, 1, again).await, Err(ServiceError::Stale)));
}
