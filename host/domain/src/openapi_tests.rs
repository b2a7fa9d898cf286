//! The schemas of the API document say what serde does.

use utoipa::{PartialSchema, ToSchema};

use crate::catalogue::BillingDay;
use crate::id::CustomerId;
use crate::ledger::{AccountCode, Transaction};
use crate::money::{Currency, Money};
use crate::party::CustomerKind;
use crate::run::ContractPlan;

fn json<T: PartialSchema>() -> serde_json::Value {
    serde_json::to_value(T::schema()).unwrap()
}

#[test]
fn identifiers_and_codes_are_strings() {
    for schema in [json::<CustomerId>(), json::<Currency>(), json::<BillingDay>(), json::<AccountCode>()] {
        assert_eq!(schema["type"], "string");
    }
    assert_eq!(CustomerId::name(), "CustomerId");
}

#[test]
fn an_enum_lists_the_words_that_serde_reads() {
    let words: Vec<&str> = CustomerKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(json::<CustomerKind>()["enum"], serde_json::json!(words));
}

#[test]
fn money_is_minor_units_and_a_currency() {
    let schema = json::<Money>();
    assert_eq!(schema["properties"]["minor"]["type"], "integer");
    assert_eq!(schema["required"], serde_json::json!(["minor", "currency"]));
}

#[test]
fn records_name_all_schemas_that_they_use() {
    let mut schemas = Vec::new();
    ContractPlan::schemas(&mut schemas);
    Transaction::schemas(&mut schemas);
    let names: Vec<String> = schemas.into_iter().map(|(name, _)| name).collect();
    for name in ["PlanLine", "PluginPin", "Money", "Currency", "SubscriptionId", "Entry", "TransactionKind"] {
        assert!(names.iter().any(|n| n == name), "{name} is missing");
    }
}
