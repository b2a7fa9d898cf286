//! Robokassa's signatures: fields joined by colons, a password among them, one hash.

use altyn_plugin::vault::{DigestOrder, template};

use crate::Config;

/// `H(before:PASSWORD[:after…])`, where `before` and `after` are joined by colons.
pub fn order(config: &Config, before: &[&str], password: &str, after: &[String]) -> DigestOrder {
    let signed = template().text(&before.join(":")).text(":").secret(password);
    let signed = after.iter().fold(signed, |signed, field| signed.text(":").text(field));
    signed.hex(config.algorithm())
}

/// The user's fields of a request or a notification, as they are signed: `Shp_a=1`, sorted.
pub fn user_fields<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut own: Vec<String> = fields
        .filter(|(name, _)| name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("shp_")))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    own.sort_unstable();
    own
}
