//! Where a request goes: a URL that names one of the permitted hosts and nothing that could be read as another.

use url::{Host, Url};

/// Ports that servers listen on for `https`.
const PORTS: &[u16] = &[443, 8443];
/// Longest URL, bytes.
const MAX_URL: usize = 8_192;

/// A checked URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    path: String,
}

/// Why nothing is sent there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is not a plain URL.
    #[error("the URL must be printable ASCII of at most 8192 characters without spaces and backslashes")]
    Form,
    /// Another scheme.
    #[error("only https is sent")]
    Scheme,
    /// A user, a password or a fragment.
    #[error("a URL with a user, a password or a fragment is not sent")]
    Parts,
    /// An address, or a name that stands for one.
    #[error("a host must be a name, not an address")]
    Address,
    /// Another port.
    #[error("the port {0} is not one of 443 and 8443")]
    Port(u16),
    /// A host that was not granted.
    #[error("the host {0} is not among those that the plugin asks for and was granted")]
    Host(String),
}

impl Target {
    /// Reads a URL to one of the permitted hosts; one with another port than 443 is permitted with its port.
    pub fn parse<'a>(text: &str, permitted: impl IntoIterator<Item = &'a String>) -> Result<Self, TargetError> {
        if text.len() > MAX_URL || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(TargetError::Form);
        }
        let url = Url::parse(text).map_err(|_| TargetError::Form)?;
        if url.scheme() != "https" || !text.starts_with("https://") {
            return Err(TargetError::Scheme);
        }
        let authority =
            text.strip_prefix("https://").unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
        // The parser skips slashes that are too many; whoever reads the text must see the same host.
        if authority.is_empty() {
            return Err(TargetError::Form);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() || authority.contains('@')
        {
            return Err(TargetError::Parts);
        }
        let Some(Host::Domain(host)) = url.host() else { return Err(TargetError::Address) };
        let port = url.port_or_known_default().unwrap_or(443);
        let authority = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
        if !permitted.into_iter().any(|known| *known == authority) {
            return Err(TargetError::Host(authority));
        }
        if !PORTS.contains(&port) {
            return Err(TargetError::Port(port));
        }
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self { host: host.to_owned(), port, path })
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host, and the port when it is not that of `https`.
    pub fn authority(&self) -> String {
        if self.port == 443 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, TargetError> {
        Target::parse(
            url,
            &["ok.ru".to_owned(), "ok.ru:8443".to_owned(), "ok.ru:22".to_owned(), "paypal.com".to_owned()],
        )
    }

    #[test]
    fn a_permitted_host_is_reached_by_path_and_query() {
        let target = parse("https://ok.ru/a/b?c=d%20e").unwrap();
        assert_eq!((target.host(), target.port(), target.path()), ("ok.ru", 443, "/a/b?c=d%20e"));
        assert_eq!(parse("https://OK.ru/").unwrap().host(), "ok.ru");
        assert_eq!(parse("https://ok.ru:8443/").unwrap().authority(), "ok.ru:8443");
        assert_eq!(parse("https://ok.ru/../x").unwrap().path(), "/x");
    }

    /// Every spelling of an inside address, and every trick with the authority.
    #[test]
    fn no_spelling_of_another_host_passes() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0",
            "0.0.0.0",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1%25eth0]",
            "[fc00::1]",
            "[fec0::1]",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "100.64.0.1",
            "100.100.100.200",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "localhost",
            "localhost.",
            "LOCALHOST",
            "foo.localhost",
            "metadata.google.internal",
            "ok.ru.",
            "ok.ru.evil.com",
            "evil-ok.ru",
            "",
            "１２７.0.0.1",
            "①②⑦.⓪.⓪.①",
            "ok。ru",
            "оk.ru",
            "%6f%6b.ru.evil.com",
        ] {
            let url = format!("https://{host}/");
            assert!(parse(&url).is_err(), "{url}: {:?}", parse(&url));
        }
        for url in [
            "http://ok.ru/",
            "https:ok.ru/",
            "https:///ok.ru/",
            "file:///etc/passwd",
            "gopher://ok.ru/",
            "ftp://ok.ru/",
            "unix:/var/run/docker.sock",
            "//ok.ru/",
            "ok.ru",
            "",
            "https://user@ok.ru/",
            "https://user:pw@ok.ru/",
            "https://user@127.0.0.1#@ok.ru",
            "https://ok.ru\\@127.0.0.1",
            "https://@ok.ru/",
            "https://ok.ru/#x",
            "https://ok.ru:22/",
            "https://paypal.com:8443/",
            "https://ok.ru:80/",
            "https://ok.ru:0/",
            "https://ok.ru/\r\nX-A: b",
            "https://ok.ru/ x",
            "https://ok.ru\t/",
            "https://ok.ru/\0",
            "https://ok.ru/ё",
            " https://ok.ru/",
        ] {
            assert!(parse(url).is_err(), "{url:?}: {:?}", parse(url));
        }
        let long = format!("https://{}ok.ru/", "a.".repeat(10_000));
        assert_eq!(parse(&long), Err(TargetError::Form));
    }

    #[test]
    fn an_address_is_refused_even_when_it_is_on_the_list() {
        for host in ["127.0.0.1", "8.8.8.8", "[::1]"] {
            assert_eq!(Target::parse(&format!("https://{host}/"), &[host.to_owned()]), Err(TargetError::Address));
        }
    }
}
