//! What a plugin may reach: what it asks for, what operators granted, and what follows from both.
//!
//! Owns the one function that computes authority, [`effective`], which lies below every version of the plugin contract.
//! Refuses to know how a capability is used. Invariant: the answer is never more than what was asked, never more than
//! what any operator from the root of the tenant tree down to the tenant granted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a component asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Hosts.
    pub hosts: BTreeSet<String>,
    /// Names of secrets.
    pub secrets: BTreeSet<String>,
}

/// What an operator granted to one plugin of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Hosts.
    pub hosts: BTreeSet<String>,
    /// Names of secrets.
    pub secrets: BTreeSet<String>,
    /// Limits, lower than those of the installation.
    pub limits: LoweredLimits,
}

/// What a plugin may do in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Capabilities {
    /// Hosts it may reach.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub hosts: BTreeSet<String>,
    /// Secrets that may be used for it.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub secrets: BTreeSet<String>,
    /// Limits of its calls below those of the installation.
    pub limits: LoweredLimits,
}

/// Lower limits of a plugin call; an absent one leaves what is above. Lines are questions, lines of tax documents, or drafts.
///
/// Tenants lower the limits of a world, grants those of a plugin, bindings and those who inherit them those of a binding. The
/// lowest of all counts; nobody raises one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LoweredLimits {
    /// Fuel of a call without lines; a unit is about one instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Fuel for each line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel_per_line: Option<u64>,
    /// Linear memory, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Wall time, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// Bytes of a question without lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<u64>,
    /// Bytes of a question for each line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_bytes_per_line: Option<u64>,
    /// Bytes of an answer without lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostcall_bytes: Option<u64>,
    /// Bytes of an answer for each line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostcall_bytes_per_line: Option<u64>,
    /// Bytes of notes kept of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// Notes kept of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lines: Option<u64>,
}

impl LoweredLimits {
    /// Each limit with its name.
    pub const fn named(&self) -> [(&'static str, Option<u64>); 10] {
        [
            ("fuel", self.fuel),
            ("fuel_per_line", self.fuel_per_line),
            ("memory_bytes", self.memory_bytes),
            ("wall_ms", self.wall_ms),
            ("input_bytes", self.input_bytes),
            ("input_bytes_per_line", self.input_bytes_per_line),
            ("hostcall_bytes", self.hostcall_bytes),
            ("hostcall_bytes_per_line", self.hostcall_bytes_per_line),
            ("log_bytes", self.log_bytes),
            ("log_lines", self.log_lines),
        ]
    }

    /// The lower of each limit.
    #[must_use]
    pub fn narrowed(self, other: Self) -> Self {
        let lower = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        };
        Self {
            fuel: lower(self.fuel, other.fuel),
            fuel_per_line: lower(self.fuel_per_line, other.fuel_per_line),
            memory_bytes: lower(self.memory_bytes, other.memory_bytes),
            wall_ms: lower(self.wall_ms, other.wall_ms),
            input_bytes: lower(self.input_bytes, other.input_bytes),
            input_bytes_per_line: lower(self.input_bytes_per_line, other.input_bytes_per_line),
            hostcall_bytes: lower(self.hostcall_bytes, other.hostcall_bytes),
            hostcall_bytes_per_line: lower(self.hostcall_bytes_per_line, other.hostcall_bytes_per_line),
            log_bytes: lower(self.log_bytes, other.log_bytes),
            log_lines: lower(self.log_lines, other.log_lines),
        }
    }

    /// The limits that say more than `above` allows, with what it allows; and those whose zero lets nothing run.
    pub fn beyond(&self, above: &Self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        for ((name, given), (_, bound)) in self.named().into_iter().zip(above.named()) {
            match (given, bound) {
                (Some(0), _) if matches!(name, "memory_bytes" | "wall_ms") => {
                    wrong.push((
                        name,
                        "must be above zero: without it nothing runs; end the binding instead".to_owned(),
                    ));
                }
                (Some(given), Some(bound)) if given > bound => {
                    wrong.push((name, format!("must be at most {bound}, the limit above; limits are only lowered")));
                }
                _ => {}
            }
        }
        wrong
    }
}

/// Computes what a plugin may do: what it asks for, as far as everybody from the root down to the tenant granted it.
///
/// `chain` has one place for the root of the tenant tree, each tenant below it on the way, and the tenant itself, in this
/// order. Where the root granted nothing, nothing is granted; a tenant further down that says nothing changes nothing.
/// This is the only place that decides authority.
pub fn effective(asked: &Asked, chain: &[Option<Grant>]) -> Capabilities {
    let Some(Some(_)) = chain.first() else {
        let limits = chain.iter().flatten().fold(LoweredLimits::default(), |caps, grant| caps.narrowed(grant.limits));
        return Capabilities { limits, ..Capabilities::default() };
    };
    let mut left =
        Capabilities { hosts: asked.hosts.clone(), secrets: asked.secrets.clone(), limits: LoweredLimits::default() };
    for grant in chain.iter().flatten() {
        left.hosts.retain(|host| grant.hosts.contains(host));
        left.secrets.retain(|secret| grant.secrets.contains(secret));
        left.limits = left.limits.narrowed(grant.limits);
    }
    left
}

/// What a component asks for that no operator has decided about: `host …` and `secret …`.
///
/// `answered` is what the operator saw when the nearest grant was decided, whether it was granted or not.
pub fn unanswered(asked: &Asked, answered: Option<&Asked>) -> Vec<String> {
    let none = Asked::default();
    let answered = answered.unwrap_or(&none);
    let hosts = asked.hosts.difference(&answered.hosts).map(|host| format!("host {host}"));
    let secrets = asked.secrets.difference(&answered.secrets).map(|secret| format!("secret {secret}"));
    hosts.chain(secrets).collect()
}

/// Checks the name of a host: lower-case letters, digits and hyphens between dots, with an optional `:PORT`.
///
/// Neither patterns nor addresses: what is granted is one name, and the address is checked when it is connected to.
pub fn host_name(text: &str) -> Result<(), String> {
    let shown = || crate::text::shorten(text).escape_debug().to_string();
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    if port.is_some_and(|port| port.starts_with('0') || port.parse::<u16>().is_err()) {
        return Err(format!("\"{}\" has no port between 1 and 65535 behind the colon", shown()));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels: Vec<&str> = name.split('.').collect();
    // No name ends in digits, so that no spelling of an address is one.
    let last_is_name = labels.last().is_some_and(|last| last.bytes().any(|b| b.is_ascii_lowercase()));
    let hexadecimal = labels.last().is_some_and(|last| last.starts_with("0x"));
    if name.len() > 253 || labels.len() < 2 || !labels.iter().all(|part| label(part)) || !last_is_name || hexadecimal {
        return Err(format!("\"{}\" is not a host name such as api.example.org, in lower case", shown()));
    }
    Ok(())
}

/// Checks the name of a secret: 1 to 64 characters of a-z, 0-9, - and _, the first a letter or a digit.
pub fn secret_name(text: &str) -> Result<(), String> {
    let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if first && text.len() <= 64 && text.bytes().all(plain) {
        return Ok(());
    }
    let shown = crate::text::shorten(text).escape_debug().to_string();
    Err(format!("\"{shown}\" must have 1 to 64 characters of a-z, 0-9, - and _"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(bits: u8, of: &str) -> BTreeSet<String> {
        (0..8).filter(|bit| bits & (1 << bit) != 0).map(|bit| format!("{of}{bit}")).collect()
    }

    #[test]
    fn nothing_is_granted_where_the_root_said_nothing() {
        let asked = Asked { hosts: names(0b11, "h"), secrets: names(0b1, "s") };
        let all = Grant { hosts: names(0xff, "h"), secrets: names(0xff, "s"), limits: LoweredLimits::default() };
        assert_eq!(effective(&asked, &[]), Capabilities::default());
        assert_eq!(effective(&asked, &[None]), Capabilities::default());
        assert_eq!(
            effective(&asked, &[None, Some(all.clone())]),
            Capabilities::default(),
            "a child grants itself nothing"
        );
        assert_eq!(effective(&asked, &[Some(all), None]).hosts, asked.hosts);
    }

    #[test]
    fn what_nobody_decided_about_is_named() {
        let asked = Asked { hosts: names(0b11, "h"), secrets: names(0b1, "s") };
        assert_eq!(unanswered(&asked, None), ["host h0", "host h1", "secret s0"]);
        let seen = Asked { hosts: names(0b01, "h"), secrets: names(0b1, "s") };
        assert_eq!(unanswered(&asked, Some(&seen)), ["host h1"]);
        assert!(unanswered(&Asked::default(), None).is_empty());
    }

    #[test]
    fn a_host_is_a_plain_name_and_no_address() {
        for name in ["api.example.org", "xn--e1afmkfd.xn--p1ai", "a-b.c1.example.org", "api.example.org:8443"] {
            assert_eq!(host_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "localhost",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "a.0x7f",
            "[::1]",
            "API.example.org",
            "*.example.org",
            "api.example.org.",
            "api..example.org",
            "-a.example.org",
            "user@example.org",
            "example.org/path",
            "пример.рф",
            "example.org:0",
            "example.org:",
            "example.org:99999",
            "example.org:08",
            "１２７.0.0.1",
            "a.1",
        ] {
            assert!(host_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_limit_that_says_more_than_the_one_above_is_named() {
        let above = LoweredLimits { fuel: Some(100), ..LoweredLimits::default() };
        let asked =
            LoweredLimits { fuel: Some(101), wall_ms: Some(0), memory_bytes: Some(5), ..LoweredLimits::default() };
        let names: Vec<&str> = asked.beyond(&above).into_iter().map(|wrong| wrong.0).collect();
        assert_eq!(names, ["fuel", "wall_ms"]);
        assert!(LoweredLimits { fuel: Some(100), ..LoweredLimits::default() }.beyond(&above).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// Whatever anybody grants, and wherever: asked ∩ granted, level by level.
        #[test]
        fn authority_only_narrows_on_its_way_down(
            asked in any::<(u8, u8)>(),
            chain in prop::collection::vec(prop::option::of(any::<(u8, u8, Option<u64>)>()), 0..6),
        ) {
            let asked = Asked { hosts: names(asked.0, "h"), secrets: names(asked.1, "s") };
            let chain: Vec<Option<Grant>> = chain.into_iter().map(|grant| grant.map(|(hosts, secrets, fuel)| Grant {
                hosts: names(hosts, "h"),
                secrets: names(secrets, "s"),
                limits: LoweredLimits { fuel, ..LoweredLimits::default() },
            })).collect();
            let mut above: Option<Capabilities> = None;
            for length in 1..=chain.len() {
                let now = effective(&asked, &chain[..length]);
                prop_assert!(now.hosts.is_subset(&asked.hosts) && now.secrets.is_subset(&asked.secrets));
                if let Some(above) = above {
                    prop_assert!(now.hosts.is_subset(&above.hosts) && now.secrets.is_subset(&above.secrets));
                    prop_assert!(now.limits.beyond(&above.limits).iter().all(|wrong| wrong.1.contains("zero")));
                }
                if let Some(grant) = &chain[length - 1] {
                    prop_assert!(now.hosts.is_subset(&grant.hosts) && now.secrets.is_subset(&grant.secrets));
                }
                above = Some(now);
            }
        }

        #[test]
        fn any_text_is_a_name_or_is_refused_without_a_panic(text in "\\PC{0,300}") {
            let _ = (host_name(&text), secret_name(&text));
        }
    }
}
