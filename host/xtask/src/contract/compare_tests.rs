//! The verdict on each kind of change, planted into a small contract.

use super::{super::surface::Contract, *};

const CONTRACT: &str = "package a:b@0.1.0;
interface types {
    type decimal = string;
    record money { minor: s64, currency: string }
    variant fault { invalid(string), other(string) }
    enum mode { included, on-top }
}
interface log { emit: func(message: string); }
interface tax {
    use types.{money, fault, mode, decimal};
    assess: func(amount: money, mode: mode, rate: decimal) -> result<money, fault>;
}
world tax-rule { import log; export tax; }";

/// What is said when `from` stands as `to`.
fn said(from: &str, to: &str) -> Vec<String> {
    assert!(CONTRACT.contains(from), "the contract has no {from}");
    let changed = Contract::parse(&CONTRACT.replace(from, to)).surface();
    compare(&Contract::parse(CONTRACT).surface(), &changed).iter().map(ToString::to_string).collect()
}

fn breaks(from: &str, to: &str, expected: &str) {
    let said = said(from, to);
    assert!(said.iter().any(|line| line.starts_with("BREAKS") && line.contains(expected)), "{from} → {to}: {said:#?}");
}

fn adds(from: &str, to: &str, expected: &str) {
    let said = said(from, to);
    assert!(said.iter().all(|line| line.starts_with("adds")), "{from} → {to}: {said:#?}");
    assert!(said.iter().any(|line| line.contains(expected)), "{from} → {to}: {said:#?}");
}

#[test]
fn nothing_is_said_when_components_see_nothing_new() {
    assert_eq!(said("interface log", "/// Notes.\ninterface log"), [""; 0]);
    assert_eq!(said("@0.1.0", "@0.1.1"), [""; 0]);
    // A name for a type that stays what it was.
    assert_eq!(said("rate: decimal", "rate: string"), [""; 0]);
}

#[test]
fn a_removed_function_breaks() {
    breaks("assess: func", "judge: func", "tax.assess: the function is gone");
    breaks("emit: func(message: string);", "", "log.emit: the function is gone");
}

#[test]
fn a_changed_function_breaks() {
    breaks(
        "emit: func(message: string)",
        "emit: func(message: string, level: u8)",
        "log.emit: was func(message: string)",
    );
    breaks("emit: func(message", "emit: func(text", "is func(text: string)");
    breaks("-> result<money, fault>", "-> result<money>", "is func(amount: types.money");
    breaks("emit: func(message: string);", "emit: func(message: string) -> bool;", "-> bool");
}

#[test]
fn a_changed_type_breaks() {
    breaks("minor: s64", "minor: u64", "types.money: `minor` was s64, is u64");
    breaks("type decimal = string", "type decimal = f64", "types.decimal: was string, is f64");
    breaks("invalid(string)", "invalid", "`invalid` was string, is nothing");
    breaks("enum mode", "flags mode", "was enum, is flags");
}

#[test]
fn a_record_a_variant_and_an_enum_neither_grow_nor_shrink() {
    breaks("currency: string }", "currency: string, exponent: u8 }", "types.money: `exponent` is new");
    breaks("minor: s64, ", "", "`minor` is gone");
    breaks("invalid(string), other(string)", "invalid(string), lost, other(string)", "types.fault: `lost` is new");
    breaks("included, on-top", "included, on-top, none", "types.mode: `none` is new");
    breaks("minor: s64, currency: string", "currency: string, minor: s64", "the order of its parts");
}

#[test]
fn a_new_function_is_an_addition_where_the_host_provides_it_and_a_break_where_plugins_do() {
    adds("emit: func(message: string);", "emit: func(message: string); flush: func();", "log.flush: a new function");
    breaks(
        "assess: func",
        "explain: func() -> string; assess: func",
        "tax.explain: a new function that plugins provide",
    );
}

#[test]
fn new_interfaces_worlds_types_and_imports_are_additions() {
    adds("interface log", "interface explain { why: func() -> string; } interface log", "explain: a new interface");
    adds("world tax-rule", "world second { export log; } world tax-rule", "world second: a new world");
    adds("enum mode", "record rate { percent: decimal } enum mode", "types.rate: a new type");
    let clock = "interface clock { now: func() -> s64; } world tax-rule { import clock;";
    adds("world tax-rule {", clock, "world tax-rule, clock: a new import");
}

#[test]
fn a_new_export_breaks_and_so_does_whatever_a_world_loses() {
    let more = "interface explain { why: func() -> string; } world tax-rule { export explain;";
    breaks("world tax-rule {", more, "world tax-rule, explain: a new export");
    breaks("import log; ", "", "world tax-rule, log: the import is gone");
    breaks("export tax; ", "", "world tax-rule, tax: the export is gone");
    breaks("world tax-rule", "world other", "world tax-rule: the world is gone");
}
