//! Use cases: load, decide, save everything decided in one transaction.
