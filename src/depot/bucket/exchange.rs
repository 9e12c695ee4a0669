//! One request to the storage and its answer, over TLS or plain HTTP. Nothing is followed.

use std::io::Write;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::calls::connector;

/// For a connection, TLS included.
const CONNECTING: Duration = Duration::from_secs(10);
/// For an answer once the request is sent, and between two parts of one.
const SILENCE: Duration = Duration::from_secs(60);
/// The slowest line on which a part is still sent, in bytes a second.
const SLOWEST: u64 = 32 << 10;
/// Longest answer that is kept in memory: a list of 1,000 names, or an error.
const LONGEST: usize = 4 << 20;

/// Where the storage listens.
#[derive(Clone)]
pub(super) struct Service {
    host: String,
    port: u16,
    /// As the header `host` says it.
    pub(super) authority: String,
    /// What paths begin with; empty, or with a slash at its beginning and none at its end.
    pub(super) base: String,
    tls: Option<TlsConnector>,
}

/// A request, signed.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) date: String,
    pub(super) authorization: String,
    pub(super) sha256: String,
    pub(super) body: Bytes,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    /// Empty where a good answer was written elsewhere.
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The line or the other end; in words.
    Away(String),
    /// What was read could not be written.
    Sink(std::io::Error),
}

fn away(error: impl std::fmt::Display) -> Fault {
    Fault::Away(error.to_string())
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service({})", self.authority)
    }
}

impl Service {
    /// Reads an address such as `https://s3.example.org`.
    pub(super) fn read(endpoint: &str) -> Result<Self, String> {
        let uri: Uri = endpoint.parse().map_err(|_| format!("s3_endpoint {endpoint} is no address"))?;
        let authority = uri.authority().ok_or_else(|| format!("s3_endpoint {endpoint} has no host"))?;
        let (tls, usual) = match uri.scheme_str() {
            Some("https") => (Some(connector()?), 443),
            _ => (None, 80),
        };
        // The port is a part of the header, and so of the signature, only where it is not the usual one.
        let port = authority.port_u16().unwrap_or(usual);
        let shown = if port == usual { authority.host().to_owned() } else { authority.to_string() };
        Ok(Self {
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: shown,
            base: uri.path().trim_end_matches('/').to_owned(),
            tls,
        })
    }

    /// Sends a request. A good answer to one that comes with a sink is written there, part by part.
    pub(super) fn ask(&self, call: &Call, sink: Option<&mut dyn Write>) -> Result<Answer, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(away)?;
        let asked = runtime.block_on(self.exchange(call, sink));
        // A look-up of a name may still be under way on a thread of its own: it is not waited for.
        runtime.shutdown_background();
        asked
    }

    async fn exchange(&self, call: &Call, sink: Option<&mut dyn Write>) -> Result<Answer, Fault> {
        let late = |_| Fault::Away("no connection in time".to_owned());
        let stream = timeout(CONNECTING, TcpStream::connect((self.host.as_str(), self.port))).await.map_err(late)?;
        let stream = stream.map_err(|error| Fault::Away(format!("no connection to {}: {error}", self.authority)))?;
        _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.converse(call, stream, sink).await };
        let name = ServerName::try_from(self.host.clone()).map_err(away)?;
        let stream = timeout(CONNECTING, tls.connect(name, stream)).await.map_err(late)?;
        let stream = stream.map_err(|error| Fault::Away(format!("TLS with {} failed: {error}", self.authority)))?;
        self.converse(call, stream, sink).await
    }

    async fn converse(
        &self,
        call: &Call,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        sink: Option<&mut dyn Write>,
    ) -> Result<Answer, Fault> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(away)?;
        let driver = tokio::spawn(connection);
        let patience = SILENCE + Duration::from_secs(call.body.len() as u64 / SLOWEST);
        let silent = |_| Fault::Away("no answer in time".to_owned());
        let sent = timeout(patience, sender.send_request(self.request(call)?)).await.map_err(silent)?;
        let response = sent.map_err(away)?;
        let answer = match sink {
            Some(sink) if response.status().is_success() => pour(response, sink).await,
            _ => timeout(patience, collect(response)).await.map_err(silent)?,
        };
        driver.abort();
        answer
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Fault> {
        let mut authorization = HeaderValue::try_from(&call.authorization)
            .map_err(|_| Fault::Away("s3_access_key has characters that no header can hold".to_owned()))?;
        authorization.set_sensitive(true);
        Request::builder()
            .method(call.method)
            .uri(&call.target)
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("tallybox/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_LENGTH, call.body.len())
            .header("x-amz-date", &call.date)
            .header("x-amz-content-sha256", &call.sha256)
            .header(AUTHORIZATION, authorization)
            .body(Full::new(call.body.clone()))
            .map_err(away)
    }
}

async fn collect(response: Response<Incoming>) -> Result<Answer, Fault> {
    let (status, etag) = (response.status().as_u16(), etag(&response));
    let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(away)?.to_bytes();
    Ok(Answer { status, etag, body })
}

async fn pour(response: Response<Incoming>, sink: &mut dyn Write) -> Result<Answer, Fault> {
    let (status, etag) = (response.status().as_u16(), etag(&response));
    let mut body = response.into_body();
    while let Some(frame) =
        timeout(SILENCE, body.frame()).await.map_err(|_| Fault::Away("the line has gone silent".to_owned()))?
    {
        if let Ok(part) = frame.map_err(away)?.into_data() {
            sink.write_all(&part).map_err(Fault::Sink)?;
        }
    }
    Ok(Answer { status, etag, body: Bytes::new() })
}

fn etag(response: &Response<Incoming>) -> Option<String> {
    response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned)
}
