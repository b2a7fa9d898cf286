//! Altyn.
