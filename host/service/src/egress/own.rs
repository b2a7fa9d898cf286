//! What belongs to this installation: a plugin that could speak to it would speak with the authority of its place.

use std::net::{IpAddr, SocketAddr};

/// Names and addresses of this installation, as the settings tell them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// Why a setting names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither a host name in lower case nor an address; write billing.example.com or 203.0.113.7")]
pub struct OwnError(String);

impl Own {
    /// Reads names and addresses; an address stands for all its ports.
    pub fn read<'a>(entries: impl IntoIterator<Item = &'a String>) -> Result<Self, OwnError> {
        let mut own = Self::default();
        for entry in entries {
            let name = |text: &str| {
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
                let edges = |edge: char| text.starts_with(edge) || text.ends_with(edge);
                (1..=253).contains(&text.len()) && text.bytes().all(plain) && !edges('.') && !edges('-')
            };
            match (entry.parse::<IpAddr>(), entry.parse::<SocketAddr>()) {
                (Ok(address), _) => own.add(address),
                (_, Ok(address)) => own.add(address.ip()),
                _ if name(entry) => own.names.push(entry.clone()),
                _ => return Err(OwnError(entry.clone())),
            }
        }
        Ok(own)
    }

    /// Adds an address; the unspecified one is none.
    pub fn add(&mut self, address: IpAddr) {
        if !address.is_unspecified() {
            self.addresses.push(address.to_canonical());
        }
    }

    pub(super) fn has_name(&self, host: &str) -> bool {
        self.names.iter().any(|name| name == host)
    }

    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address.to_canonical())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart_and_nonsense_is_refused() {
        let read = |entries: &[&str]| Own::read(&entries.iter().map(ToString::to_string).collect::<Vec<_>>());
        let own =
            read(&["billing.example.com", "203.0.113.7", "203.0.113.8:443", "2a02:5180::1", "0.0.0.0:80"]).unwrap();
        assert!(own.has_name("billing.example.com") && !own.has_name("example.com"));
        for address in ["203.0.113.7", "203.0.113.8", "2a02:5180::1", "::ffff:203.0.113.7"] {
            assert!(own.has_address(address.parse().unwrap()), "{address}");
        }
        assert!(!own.has_address("0.0.0.0".parse().unwrap()));
        for wrong in ["", "https://billing.example.com", "Billing.example.com", "*.example.com", "a b", ".example"] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
    }
}
