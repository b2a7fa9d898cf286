//! Components inside components: what the tools of interpreted languages make, and what an attacker may make.

use altyn_runtime::{InstallError, Runtime, RuntimeConfig, Unsound};

use crate::common::RUNTIME;

/// Two components inside, each with a memory of its own, and a text that passes from one to the other.
const TWO_MEMORIES: &str = r#"(component
  (component $inner
    (core module $m
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
      (func (export "f") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "f") (param "s" string)
      (canon lift (core func $i "f") (memory $i "memory") (realloc (func $i "realloc")))))
  (component $caller
    (import "f" (func $f (param "s" string)))
    (core module $libc
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0))
    (core instance $libc (instantiate $libc))
    (core func $lowered
      (canon lower (func $f) (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core module $m
      (import "x" "f" (func (param i32 i32)))
      (func (export "go") i32.const 0 i32.const 0 call 0))
    (core instance $x (instantiate $m (with "x" (instance (export "f" (func $lowered))))))
    (func (export "go") (canon lift (core func $x "go"))))
  (instance $a (instantiate $inner))
  (instance $b (instantiate $caller (with "f" (func $a "f"))))
  (export "go" (func $b "go")))"#;

#[test]
fn texts_that_pass_between_two_memories_do_not_crash_the_host() {
    let refused = RUNTIME.inspect(&wat::parse_str(TWO_MEMORIES).unwrap()).unwrap_err();
    assert_eq!(refused, InstallError::NoWorld);
}

#[test]
fn a_component_of_very_many_parts_is_refused_before_a_compiler_sees_it() {
    let parts = "(core module)".repeat(200);
    let refused = RUNTIME.inspect(&wat::parse_str(format!("(component {parts})")).unwrap()).unwrap_err();
    assert_eq!(refused, InstallError::Unsound(Unsound::Parts));
}

#[test]
fn a_plain_component_keeps_the_limits_of_its_world() {
    let wasm = crate::common::component("ru-vat");
    let mut config = RuntimeConfig::default();
    config.limits.tax_rule.component_functions = 1;
    config.limits.proration_strategy.component_functions = 1;
    config.limits.numbering_scheme.component_functions = 1;
    config.limits.payment_gateway.component_functions = 1;
    let refused = Runtime::new(&config).unwrap().inspect(&wasm).unwrap_err();
    assert_eq!(refused, InstallError::Unsound(Unsound::Functions { limit: 1 }));
}
