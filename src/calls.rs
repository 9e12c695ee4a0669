//! A small HTTP client for servers that the box asks by itself: TLS, or plain HTTP where that may be; nothing is followed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

/// For one exchange, all together.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;
/// Addresses of a name that are tried.
const TRIES: usize = 4;

/// Why there is no answer; in words for the log.
pub type Fault = String;

/// With whom plain HTTP may be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    ThisMachine,
    Anybody,
}

/// What is sent.
#[derive(Debug)]
pub struct Call {
    url: String,
    method: Method,
    headers: Vec<(HeaderName, HeaderValue)>,
    plain: Plain,
    body: Bytes,
}

impl Call {
    /// A `GET`. Without TLS it goes to this machine alone.
    pub fn get(url: &str) -> Self {
        let headers = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
        Self { url: url.to_owned(), method: Method::GET, headers, plain: Plain::ThisMachine, body: Bytes::new() }
    }

    /// A body of that type that is posted.
    pub fn post(url: &str, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut call = Self { method: Method::POST, body: body.into(), ..Self::get(url) };
        call.headers.push((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        call
    }

    /// A form that is posted.
    pub fn form(url: &str, body: String) -> Self {
        Self::post(url, "application/x-www-form-urlencoded", body)
    }

    /// Where it goes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Holds nothing that others may not read: it may go to any machine without TLS.
    #[must_use]
    pub fn in_the_open(self) -> Self {
        Self { plain: Plain::Anybody, ..self }
    }

    /// With credentials; `None` where no header can hold them.
    #[must_use]
    pub fn authorized(self, value: &str) -> Option<Self> {
        self.with_secret(AUTHORIZATION.as_str(), value)
    }

    /// With a header whose value nobody may see; `None` where no header can hold it.
    #[must_use]
    pub fn with_secret(mut self, name: &str, value: &str) -> Option<Self> {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        self.headers.push((HeaderName::try_from(name).ok()?, value));
        Some(self)
    }
}

/// Status and body of the answer to a call.
pub async fn send(call: &Call) -> Result<(u16, Bytes), Fault> {
    let exchanged = tokio::time::timeout(PATIENCE, exchange(call)).await;
    let answer = exchanged.unwrap_or_else(|_| Err(format!("no answer within {} seconds", PATIENCE.as_secs())));
    answer.map_err(|fault| format!("{}: {fault}", call.url))
}

async fn exchange(call: &Call) -> Result<(u16, Bytes), Fault> {
    let target = Target::read(&call.url)?;
    let stream = target.connect(call.plain).await?;
    if target.encrypted {
        let name = ServerName::try_from(target.host.clone()).map_err(|_| "the host is no name".to_owned())?;
        let stream = connector()?.connect(name, stream).await.map_err(|error| format!("TLS failed: {error}"))?;
        converse(call, &target, stream).await
    } else {
        converse(call, &target, stream).await
    }
}

async fn converse(
    call: &Call,
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<(u16, Bytes), Fault> {
    let said = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(&target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, concat!("tallybox/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(call.body.clone())).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(said)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|error| error.to_string());
    driver.abort();
    Ok((status, body?.to_bytes()))
}

/// Where a call goes.
struct Target {
    host: String,
    port: u16,
    authority: String,
    path: String,
    encrypted: bool,
}

impl Target {
    fn read(url: &str) -> Result<Self, Fault> {
        let uri: Uri = url.parse().map_err(|_| "is no address".to_owned())?;
        let authority = uri.authority().ok_or("has no host")?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("begins with neither https:// nor http://".to_owned()),
        };
        if authority.as_str().contains('@') {
            return Err("has a user in it".to_owned());
        }
        Ok(Self {
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            encrypted,
        })
    }

    /// Without TLS only those are spoken to who may be, whatever the name resolves to.
    async fn connect(&self, plain: Plain) -> Result<TcpStream, Fault> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| format!("the host is not found: {error}"))?;
        let usable = |address: &SocketAddr| {
            self.encrypted || plain == Plain::Anybody || address.ip().to_canonical().is_loopback()
        };
        let mut fault = "plain HTTP is spoken with this machine alone here; use https".to_owned();
        for address in found.filter(usable).take(TRIES) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => fault = format!("no connection: {error}"),
            }
        }
        Err(fault)
    }
}

/// TLS that trusts whom the operating system trusts.
///
/// # Errors
/// In words, where that is nobody.
pub fn connector() -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if usable == 0 {
        return Err("this system has no certificates to trust: install ca-certificates".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers the first connection with these bytes.
    async fn answering(bytes: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1_024];
            _ = stream.read(&mut head).await;
            _ = stream.write_all(&bytes).await;
        });
        format!("http://{address}/x?y=z")
    }

    #[tokio::test]
    async fn answers_are_bounded_and_redirects_are_answers() {
        let url =
            answering(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nhi".into())
                .await;
        assert_eq!(send(&Call::get(&url)).await, Ok((302, Bytes::from("hi"))));
        let long = [&b"HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n"[..], &vec![b'x'; LONGEST + 1]].concat();
        let url = answering(long).await;
        assert!(send(&Call::get(&url)).await.is_err());
    }

    #[tokio::test]
    async fn only_this_machine_is_spoken_to_without_tls() {
        for (url, said) in [
            ("http://192.0.2.1/", "alone"),
            ("ftp://127.0.0.1/", "neither"),
            ("http://me@127.0.0.1/", "user"),
            ("/path", "no host"),
        ] {
            let fault = send(&Call::get(url)).await.unwrap_err();
            assert!(fault.contains(said), "{url}: {fault}");
        }
    }
}
