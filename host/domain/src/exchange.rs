//! Requests as values: what a gateway plugin wants sent, and what came back.
//!
//! Owns the shape of a request whose secrets are names, of its answer, and the structural bounds of both. Refuses to know
//! how anything is sent and what a secret is. Invariant: no value here holds a secret's bytes, so all of it may be
//! stored, logged and shown.

use serde::{Deserialize, Serialize};

use crate::text::text_enum;

/// Most requests of one exchange.
pub const MAX_REQUESTS: usize = 10;
/// Most headers of a request.
pub const MAX_HEADERS: usize = 32;
/// Most segments of a part of a request, and pieces of a template.
pub const MAX_SEGMENTS: usize = 64;
/// Largest request, bytes of its texts together.
pub const MAX_REQUEST_BYTES: usize = 256 << 10;
/// Largest body of a response or of a notification, bytes.
pub const MAX_BODY_BYTES: usize = 256 << 10;
/// Largest continuation, bytes.
pub const MAX_CONTINUATION_BYTES: usize = 16 << 10;
/// Largest body of a reply to a notification, bytes.
pub const MAX_REPLY_BYTES: usize = 64 << 10;
/// Longest URL, bytes of its texts together.
const MAX_URL_BYTES: usize = 8_192;
/// Most values that are taken out of one response.
const MAX_CAPTURES: usize = 4;
/// Headers that the host writes itself.
const HOST_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "accept-encoding",
    "expect",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
];

/// Why a request cannot be sent as it stands, or an answer of a plugin about requests cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// More of something than an exchange has.
    #[error("{what} exceed the bound of {bound}; send less")]
    TooMuch {
        /// Of what, such as `headers`.
        what: &'static str,
        /// The bound.
        bound: usize,
    },
    /// The URL.
    #[error("the URL must begin with text that holds https://, a host and a slash: {0}")]
    Url(&'static str),
    /// A secret in the URL.
    #[error("a URL takes text and digests only; put secrets into headers or the body")]
    SecretInUrl,
    /// A header.
    #[error("the header \"{0}\" is not one that a plugin may send")]
    Header(String),
    /// A capture.
    #[error("the capture \"{0}\" must be named by a-z, 0-9 and - and point into a JSON body")]
    Capture(String),
}

/// A piece of a template; its pieces are joined without separators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// Text that stands for itself.
    Text(String),
    /// Bytes that stand for themselves.
    Bytes(Vec<u8>),
    /// A secret by name.
    Secret(String),
    /// A value that was taken out of an earlier response of the exchange, by name.
    Captured(String),
}

text_enum! {
    /// A hash function of the contract.
    pub enum Algorithm as "hash function" {
        /// MD5.
        Md5 = "md5",
        /// SHA-1.
        Sha1 = "sha1",
        /// RIPEMD-160.
        Ripemd160 = "ripemd160",
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-384.
        Sha384 = "sha384",
        /// SHA-512.
        Sha512 = "sha512",
    }
}

text_enum! {
    /// How the bytes of a digest are written.
    pub enum Encoding as "encoding" {
        /// Lower-case hexadecimal digits.
        Hex = "hex",
        /// Base64 with padding.
        Base64 = "base64",
        /// Base64url without padding.
        Base64Url = "base64url",
    }
}

/// A digest that the host computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestOrder {
    /// The hash function.
    pub algorithm: Algorithm,
    /// The key of an HMAC; absent for a plain digest.
    pub key: Option<Vec<Piece>>,
    /// What is digested.
    pub message: Vec<Piece>,
    /// How the result is written.
    pub encoding: Encoding,
}

/// A piece of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Segment {
    /// Text that stands for itself.
    Text(String),
    /// The template, filled.
    Filled(Vec<Piece>),
    /// The filled template in base64.
    Base64(Vec<Piece>),
    /// The filled template as a value of a form.
    Percent(Vec<Piece>),
    /// A digest.
    Digest(DigestOrder),
}

text_enum! {
    /// The methods that a plugin may use.
    pub enum Method as "method" {
        /// GET.
        Get = "GET",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
        /// DELETE.
        Delete = "DELETE",
    }
}

/// A request with named secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Vec<Segment>,
    /// The headers, names as the plugin wrote them.
    pub headers: Vec<(String, Vec<Segment>)>,
    /// The body.
    pub body: Vec<Segment>,
}

/// A value to be taken out of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// How later requests name it.
    pub name: String,
    /// JSON pointer of a string.
    pub pointer: String,
}

text_enum! {
    /// Whether a request may be sent again when its answer was lost.
    pub enum Repetition as "repetition" {
        /// It changes nothing, or carries a key that makes it happen once.
        Harmless = "harmless",
        /// At most once.
        Never = "never",
    }
}

/// A request and what the plugin wants back with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCall {
    /// What is to be sent.
    pub request: HttpRequest,
    /// Whether it may be sent again.
    pub repetition: Repetition,
    /// What is kept of the response.
    pub captures: Vec<Capture>,
    /// Given back with the answer.
    pub continuation: Vec<u8>,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with captured values and secrets masked.
    pub body: Vec<u8>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The server answered.
    Response(HttpResponse),
    /// The request did not reach the server.
    NotSent(String),
    /// Nobody knows whether the server did what was asked.
    Lost(String),
}

/// A request that somebody sent to the address of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// The method in capital letters.
    pub method: String,
    /// The query as it was sent.
    pub query: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The address of the sender.
    pub source: String,
}

/// What is answered to a notification, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Piece {
    fn plain_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Secret(text) | Self::Captured(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl Segment {
    /// Every piece in it, those of a key included.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        let (left, right): (&[Piece], &[Piece]) = match self {
            Self::Text(_) => (&[], &[]),
            Self::Filled(template) | Self::Base64(template) | Self::Percent(template) => (template, &[]),
            Self::Digest(order) => (&order.message, order.key.as_deref().unwrap_or_default()),
        };
        left.iter().chain(right)
    }

    fn plain_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            other => other.pieces().map(Piece::plain_bytes).sum(),
        }
    }
}

impl HttpRequest {
    /// Every segment, in the order of URL, headers and body.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.url.iter().chain(self.headers.iter().flat_map(|(_, value)| value)).chain(&self.body)
    }

    /// The names of the secrets that are sent as they are, each once; those that only go into digests are not.
    pub fn secrets(&self) -> Vec<&str> {
        self.sent_as_they_are(|piece| if let Piece::Secret(name) = piece { Some(name) } else { None })
    }

    /// The names of the captured values that are sent as they are, each once.
    pub fn captured(&self) -> Vec<&str> {
        self.sent_as_they_are(|piece| if let Piece::Captured(name) = piece { Some(name) } else { None })
    }

    fn sent_as_they_are<'a>(&'a self, named: impl Fn(&'a Piece) -> Option<&'a String>) -> Vec<&'a str> {
        let plain = self.segments().filter(|segment| !matches!(segment, Segment::Digest(_)));
        let mut names: Vec<&str> = plain.flat_map(Segment::pieces).filter_map(named).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Checks bounds and what may stand where; who may be asked is checked by whoever sends.
    pub fn check(&self) -> Result<(), ExchangeError> {
        let bounded = |what, count: usize, bound: usize| {
            if count <= bound { Ok(()) } else { Err(ExchangeError::TooMuch { what, bound }) }
        };
        bounded("headers", self.headers.len(), MAX_HEADERS)?;
        let parts = self.headers.iter().map(|(_, value)| value).chain([&self.url, &self.body]);
        for part in parts {
            bounded("segments", part.len(), MAX_SEGMENTS)?;
        }
        for segment in self.segments() {
            bounded("pieces", segment.pieces().count(), 2 * MAX_SEGMENTS)?;
        }
        bounded("bytes of the URL", self.url.iter().map(Segment::plain_bytes).sum(), MAX_URL_BYTES)?;
        let names: usize = self.headers.iter().map(|(name, _)| name.len()).sum();
        let bytes = names + self.segments().map(Segment::plain_bytes).sum::<usize>();
        bounded("bytes of the request", bytes, MAX_REQUEST_BYTES)?;
        self.check_url()?;
        for (name, _) in &self.headers {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let lower = name.to_ascii_lowercase();
            if name.is_empty() || !name.bytes().all(token) || HOST_HEADERS.contains(&lower.as_str()) {
                return Err(ExchangeError::Header(crate::text::shorten(name).escape_debug().to_string()));
            }
        }
        Ok(())
    }

    fn check_url(&self) -> Result<(), ExchangeError> {
        let Some((Segment::Text(first), rest)) = self.url.split_first() else {
            return Err(ExchangeError::Url("its first segment is no text"));
        };
        if rest.iter().any(|segment| !matches!(segment, Segment::Text(_) | Segment::Digest(_))) {
            return Err(ExchangeError::SecretInUrl);
        }
        let after = first.strip_prefix("https://").ok_or(ExchangeError::Url("the scheme is not https"))?;
        match after.find('/') {
            None => Err(ExchangeError::Url("no slash ends the host")),
            Some(0) => Err(ExchangeError::Url("there is no host")),
            Some(_) => Ok(()),
        }
    }
}

impl HttpCall {
    /// Checks the request, the captures and the continuation.
    pub fn check(&self) -> Result<(), ExchangeError> {
        self.request.check()?;
        if self.continuation.len() > MAX_CONTINUATION_BYTES {
            return Err(ExchangeError::TooMuch { what: "bytes of the continuation", bound: MAX_CONTINUATION_BYTES });
        }
        if self.captures.len() > MAX_CAPTURES {
            return Err(ExchangeError::TooMuch { what: "captures", bound: MAX_CAPTURES });
        }
        for capture in &self.captures {
            let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
            if !(1..=64).contains(&capture.name.len())
                || !capture.name.bytes().all(plain)
                || !capture.pointer.starts_with('/')
                || capture.pointer.len() > 200
            {
                return Err(ExchangeError::Capture(crate::text::shorten(&capture.name).escape_debug().to_string()));
            }
        }
        Ok(())
    }
}

impl HttpReply {
    /// Checks that the reply is one that the host may send for a plugin, and drops headers that are not its to set.
    pub fn checked(mut self) -> Result<Self, ExchangeError> {
        if !(200..600).contains(&self.status) {
            return Err(ExchangeError::TooMuch { what: "the status of a reply", bound: 599 });
        }
        if self.body.len() > MAX_REPLY_BYTES {
            return Err(ExchangeError::TooMuch { what: "bytes of the reply", bound: MAX_REPLY_BYTES });
        }
        if self.headers.len() > MAX_HEADERS {
            return Err(ExchangeError::TooMuch { what: "headers of the reply", bound: MAX_HEADERS });
        }
        for (name, _) in &mut self.headers {
            name.make_ascii_lowercase();
        }
        let visible = |value: &str| value.len() <= 1_000 && value.bytes().all(|b| (b' '..=b'~').contains(&b));
        let token = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        self.headers.retain(|(name, value)| {
            (name == "content-type" || name.starts_with("x-")) && token(name) && visible(value)
        });
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: Vec<Segment>) -> HttpRequest {
        HttpRequest { method: Method::Post, url, headers: Vec::new(), body: Vec::new() }
    }

    fn text(text: &str) -> Segment {
        Segment::Text(text.into())
    }

    fn secret(name: &str) -> Segment {
        Segment::Filled(vec![Piece::Secret(name.into())])
    }

    #[test]
    fn a_url_begins_with_its_host_as_text() {
        assert_eq!(request(vec![text("https://a.example/x"), text("?q=1")]).check(), Ok(()));
        for url in ["http://a.example/", "https://a.example", "https:///x", "ftp://a.example/", "//a.example/", ""] {
            assert!(matches!(request(vec![text(url)]).check(), Err(ExchangeError::Url(_))), "{url}");
        }
        assert!(matches!(request(vec![]).check(), Err(ExchangeError::Url(_))));
        let digest = DigestOrder { algorithm: Algorithm::Md5, key: None, message: vec![], encoding: Encoding::Hex };
        assert!(matches!(request(vec![Segment::Digest(digest)]).check(), Err(ExchangeError::Url(_))));
    }

    #[test]
    fn a_secret_stands_in_no_url() {
        assert_eq!(request(vec![text("https://a.example/"), secret("key")]).check(), Err(ExchangeError::SecretInUrl));
    }

    #[test]
    fn headers_of_the_host_and_broken_names_are_refused() {
        let with = |name: &str| {
            let headers = vec![(name.to_owned(), vec![text("x")])];
            HttpRequest { headers, ..request(vec![text("https://a.example/")]) }.check()
        };
        assert_eq!(with("authorization"), Ok(()));
        for name in ["Host", "content-length", "Transfer-Encoding", "", "a b", "a\r\nb", "ключ"] {
            assert!(matches!(with(name), Err(ExchangeError::Header(_))), "{name:?}");
        }
    }

    #[test]
    fn bounds_are_counted_over_the_whole_request() {
        let large = "x".repeat(MAX_REQUEST_BYTES);
        let request = HttpRequest { body: vec![text(&large)], ..request(vec![text("https://a.example/")]) };
        assert!(matches!(request.check(), Err(ExchangeError::TooMuch { what: "bytes of the request", .. })));
    }

    #[test]
    fn a_reply_keeps_the_headers_that_a_plugin_may_set() {
        let reply = HttpReply {
            status: 200,
            headers: vec![
                ("Content-Type".into(), "text/plain".into()),
                ("Set-Cookie".into(), "a=b".into()),
                ("X-Shop".into(), "1\r\n".into()),
            ],
            body: b"OK42".to_vec(),
        };
        assert_eq!(reply.checked().unwrap().headers, [("content-type".to_owned(), "text/plain".to_owned())]);
        let reply = HttpReply { status: 101, headers: vec![], body: vec![] };
        assert!(reply.checked().is_err());
    }

    #[test]
    fn a_secret_that_is_sent_as_it_is_is_named_once() {
        let mut request = request(vec![text("https://a.example/")]);
        let key = Some(vec![Piece::Secret("b".into())]);
        let message = vec![Piece::Secret("a".into()), Piece::Text("x".into())];
        request.body =
            vec![Segment::Digest(DigestOrder { algorithm: Algorithm::Sha1, key, message, encoding: Encoding::Hex })];
        request.headers = vec![("x".into(), vec![secret("c"), secret("c")])];
        assert_eq!(request.secrets(), ["c"], "the others only go into a digest");
    }
}
