//! The one way out: requests of plugins, sent to checked addresses only.
//!
//! Owns which hosts and addresses may be spoken to, and the bounds of size and time of one request. Refuses to know what
//! is sent and why. Invariant: a connection is made only to an address that was checked after its name was resolved, for a
//! host on the caller's list; no redirect is followed, no proxy is used, nothing is sent before the server's certificate
//! was verified.

mod address;
mod own;
mod target;

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use altyn_domain::exchange::{HttpResponse, MAX_BODY_BYTES, Method};
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

pub use address::is_global;
pub use own::{Own, OwnError};
pub use target::{Target, TargetError};

/// How long a name may take to resolve.
const RESOLVE: Duration = Duration::from_secs(3);
/// How long connecting and the handshake may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the whole request may take.
const WHOLE: Duration = Duration::from_secs(10);
/// Most headers of an answer, and the largest head in bytes.
const MAX_HEAD: (usize, usize) = (100, 64 << 10);
const AGENT: &str = concat!("Altyn/", env!("CARGO_PKG_VERSION"));

/// Resolves a name to addresses.
pub type Resolve = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The way out.
#[derive(Clone)]
pub struct Egress {
    resolve: Resolve,
    tls: Arc<ClientConfig>,
    /// Names that a test maps to its own servers; empty in every application that is composed from settings.
    tests: Arc<HashMap<String, SocketAddr>>,
    /// What is never spoken to because it is this installation.
    own: Arc<Own>,
    /// Whether nothing is sent at all.
    closed: bool,
}

/// A request that is ready to be sent: secrets are filled in.
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Where to.
    pub target: Target,
    /// The headers.
    pub headers: Vec<(String, Zeroizing<Vec<u8>>)>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing left the host: the name, the address or the request is refused, or nobody could be reached.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request may have been received.
    #[error("the answer is lost: {0}")]
    Lost(String),
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("tests", &self.tests).finish_non_exhaustive()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("host", &self.target.host())
            .finish_non_exhaustive()
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::public()
    }
}

impl Egress {
    /// To the public internet, by the machine's resolver and the public roots.
    pub fn public() -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self { resolve: Arc::new(system), tls: tls(roots), tests: Arc::default(), own: Arc::default(), closed: false }
    }

    /// The same way, closed: every request is refused as not sent.
    pub fn closed(self) -> Self {
        Self { closed: true, ..self }
    }

    /// The same, but never to what belongs to the installation itself.
    pub fn without(self, own: Own) -> Self {
        Self { own: Arc::new(own), ..self }
    }

    /// The same by another resolver: for a host with its own name servers, and to try what names may say.
    pub fn resolving_by(resolve: Resolve) -> Self {
        Self { resolve, ..Self::public() }
    }

    /// For tests, explicitly: these names, and no others, are servers of the test, whose certificates lead to `root`
    /// (DER). Everything else is checked as ever. No setting leads here.
    pub fn over_test_network(names: HashMap<String, SocketAddr>, root: &[u8]) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from(root.to_vec()))?;
        Ok(Self { tls: tls(roots), tests: Arc::new(names), ..Self::public() })
    }

    /// Sends one request and reads its answer.
    pub async fn send(&self, outgoing: Outgoing) -> Result<HttpResponse, SendError> {
        let host = outgoing.target.host().to_owned();
        if self.closed {
            return Err(SendError::NotSent(format!("the tenant is in a sandbox, and nothing leaves it for {host}")));
        }
        // Whether the server may have the request decides between the two kinds of failure.
        let mut sent = false;
        match timeout(WHOLE, self.exchange(outgoing, &mut sent)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(reason)) if sent => Err(SendError::Lost(reason)),
            Ok(Err(reason)) => Err(SendError::NotSent(reason)),
            Err(_) if sent => Err(SendError::Lost(format!("{host} did not answer within {} s", WHOLE.as_secs()))),
            Err(_) => Err(SendError::NotSent(format!("{host} was not reached within {} s", WHOLE.as_secs()))),
        }
    }

    async fn exchange(&self, outgoing: Outgoing, sent: &mut bool) -> Result<HttpResponse, String> {
        let Outgoing { method, target, headers, body } = outgoing;
        let host = target.host();
        let addresses = self.addresses(&target).await?;
        let stream = timeout(CONNECT, connected(host, &addresses, self.tests.is_empty()))
            .await
            .map_err(|_| format!("{host} does not take connections"))??;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name for TLS"))?;
        let secured = timeout(CONNECT, TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream))
            .await
            .map_err(|_| format!("{host} does not finish its handshake"))?
            .map_err(|error| format!("{host} is not trusted: {error}"))?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(MAX_HEAD.0)
            .max_buf_size(MAX_HEAD.1)
            .handshake(TokioIo::new(secured))
            .await
            .map_err(|error| format!("{host} does not speak HTTP: {error}"))?;
        let mut request = Request::builder()
            .method(method.as_str())
            .uri(target.path())
            .header(header::HOST, target.authority())
            .header(header::USER_AGENT, AGENT)
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close");
        for (name, value) in &headers {
            let mut value = header::HeaderValue::from_bytes(value)
                .map_err(|_| format!("the value of the header {name} is not printable"))?;
            value.set_sensitive(true);
            request = request.header(name.as_str(), value);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(&body)))
            .map_err(|error| format!("the request is not well-formed: {error}"))?;
        *sent = true;
        // Ends with the request, however that ends.
        let guard = Ended(tokio::spawn(connection));
        let response = sender.send_request(request).await.map_err(|error| format!("{host}: {error}"))?;
        let read = read(response, host).await;
        drop(guard);
        read
    }

    /// The addresses of the target, all of them fit to be spoken to.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, String> {
        let host = target.host();
        if self.own.has_name(host) {
            return Err(format!("{host} is this installation itself"));
        }
        if let Some(server) = self.tests.get(host) {
            return Ok(vec![*server]);
        }
        let found = self.resolved(host, target.port()).await?;
        if found.is_empty() {
            return Err(format!("{host} has no address"));
        }
        // One bad address refuses the name: who controls it chooses which of them would be taken.
        match found.iter().find(|address| !is_global(address.ip())) {
            Some(address) => {
                tracing::warn!(target: "altyn::egress", host, address = %address.ip(), "a name points inside; nothing was sent");
                Err(format!("{host} has the address {}, which is not a public one", address.ip()))
            }
            None => self
                .not_own(host, &found)
                .await
                .map(|()| found.into_iter().map(|address| SocketAddr::new(address.ip(), target.port())).collect()),
        }
    }

    async fn resolved(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        match timeout(RESOLVE, (self.resolve)(host.to_owned(), port)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(format!("{host} does not resolve: {error}")),
            Err(_) => Err(format!("{host} does not resolve in time")),
        }
    }

    /// Refuses addresses of this installation, under whatever name: those that are set, and those of its names just now.
    async fn not_own(&self, host: &str, found: &[SocketAddr]) -> Result<(), String> {
        let named = join_all(self.own.names().map(|name| self.resolved(name, 443))).await;
        // A name of ours that does not resolve leads nobody here.
        let named: Vec<IpAddr> = named.into_iter().flatten().flatten().map(|address| address.ip()).collect();
        match found.iter().map(SocketAddr::ip).find(|address| self.own.has_address(*address) || named.contains(address))
        {
            Some(address) => {
                tracing::warn!(target: "altyn::egress", host, %address, "a name points at this installation; nothing was sent");
                Err(format!("{host} has the address {address}, which is that of this installation"))
            }
            None => Ok(()),
        }
    }
}

/// Ends the task of a connection when it is dropped.
struct Ended<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn system(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
}

fn tls(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // The provider supports the default versions; nothing here depends on input.
    #[expect(clippy::expect_used, reason = "see above")]
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Connects to the first of the checked addresses that answers; `elsewhere` refuses the machine itself, which a connection
/// to any of its own addresses comes from, too.
async fn connected(host: &str, addresses: &[SocketAddr], elsewhere: bool) -> Result<TcpStream, String> {
    let mut last = String::new();
    for address in addresses {
        match TcpStream::connect(address).await {
            // The address that was connected to is the one that was checked, not another one of the same name.
            Ok(stream) if stream.peer_addr().is_ok_and(|peer| peer == *address) => {
                if elsewhere && stream.local_addr().is_ok_and(|local| local.ip() == address.ip()) {
                    return Err(format!("{host} is this machine itself"));
                }
                return Ok(stream);
            }
            Ok(_) => return Err(format!("{host} answers from another address")),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("{host} is not reachable: {last}"))
}

async fn read(response: hyper::Response<hyper::body::Incoming>, host: &str) -> Result<HttpResponse, String> {
    let (parts, mut body) = response.into_parts();
    if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(format!("{host} answers in a coding that was not asked for"));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("{host} breaks off: {error}"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY_BYTES {
            return Err(format!("{host} answers more than {} KiB", MAX_BODY_BYTES >> 10));
        }
        bytes.extend_from_slice(&data);
    }
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Ok(HttpResponse { status: parts.status.as_u16(), headers: headers.collect(), body: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_to_the_machine_itself_is_given_up_before_anything_is_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = [listener.local_addr().unwrap()];
        let refused = connected("evil.example", &address, true).await.unwrap_err();
        assert_eq!(refused, "evil.example is this machine itself");
        assert!(connected("a.test", &address, false).await.is_ok(), "servers of tests are on the machine");
    }
}
