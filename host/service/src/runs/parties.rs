//! Who sells and who buys, as tax rules are told it.

use altyn_domain::{
    id::{CustomerId, SellerId},
    tax::Party,
};
use altyn_store::runs as rows;
use uuid::Uuid;

/// The taxpayer numbers of a party by their names.
pub(crate) fn tax_ids(inn: Option<&String>, kpp: Option<&String>) -> Vec<(String, String)> {
    let named = |name: &str, value: Option<&String>| value.map(|value| (name.to_owned(), value.clone()));
    named("inn", inn).into_iter().chain(named("kpp", kpp)).collect()
}

/// A seller as a tax rule sees it.
pub(crate) fn seller_party(seller: &rows::SellerRow) -> Party {
    Party {
        id: SellerId(seller.id).to_string(),
        kind: seller.kind.clone(),
        country: seller.country.clone(),
        tax_ids: tax_ids(seller.inn.as_ref(), seller.kpp.as_ref()),
        attributes: vec![("vat-regime".to_owned(), seller.vat_regime.clone())],
    }
}

/// Who buys a subscription that is due.
pub(super) fn buyer_party(row: &rows::DueRow) -> Party {
    party(
        (row.customer_id, &row.customer_kind, &row.customer_country),
        (row.customer_inn.as_ref(), row.customer_kpp.as_ref()),
    )
}

/// A customer with its kind, country and taxpayer numbers.
pub(super) fn party((id, kind, country): (Uuid, &str, &str), (inn, kpp): (Option<&String>, Option<&String>)) -> Party {
    Party {
        id: CustomerId(id).to_string(),
        kind: kind.to_owned(),
        country: country.to_owned(),
        tax_ids: tax_ids(inn, kpp),
        attributes: Vec::new(),
    }
}
