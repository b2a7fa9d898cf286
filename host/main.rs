//! The `altyn` binary.
fn main() {}
