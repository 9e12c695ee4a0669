//! A small client, for verbs that ask a running server over HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::Remote;

/// For one question, all together.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is read, in bytes.
const LONGEST: usize = 64 << 20;

/// Which server is asked, and as whom.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// Address of the box with its base path [variable: TALLYBOX_URL] [default: http://127.0.0.1:3000].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with a token of the read API [variable: TALLYBOX_TOKEN or TALLYBOX_TOKEN_FILE].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Short name or UUID of the app [default: the only one that the token may read].
    #[arg(long)]
    app: Option<String>,
    /// Environment of the app [default: the app's first, production].
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The server cannot be reached or cannot answer now: another time it may.
    #[error("{0}")]
    Away(String),
    /// The server has refused: asking again is of no use.
    #[error("{0}")]
    Refused(String),
}

/// The way to a server.
pub struct Way {
    runtime: tokio::runtime::Runtime,
    host: String,
    port: u16,
    authority: String,
    base: String,
    tls: Option<TlsConnector>,
}

/// What a server answered.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Way {
    /// The way that an address such as `https://stats.example.org/base` tells; nothing is connected to yet.
    pub fn parse(address: &str) -> anyhow::Result<Self> {
        let url: Uri = address.parse().with_context(|| format!("{address} is no address"))?;
        let authority = url.authority().context("the address has no host; it begins with http:// or https://")?;
        let (tls, usual) = match url.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(connector()?), 443),
            _ => bail!("the address begins with http:// or https://"),
        };
        if authority.as_str().contains('@') || url.query().is_some() {
            bail!("the address has no user and no query in it");
        }
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(usual),
            authority: authority.to_string(),
            base: url.path().trim_end_matches('/').to_owned(),
            tls,
        })
    }

    /// What is answered to a GET, within a limited time.
    pub fn get(&self, target: &str, authorization: Option<&HeaderValue>) -> anyhow::Result<Answer> {
        let asked = self.exchange(target, authorization);
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, asked).await })
            .unwrap_or_else(|_| bail!("there was no answer in time"))
    }

    async fn exchange(&self, target: &str, authorization: Option<&HeaderValue>) -> anyhow::Result<Answer> {
        let mut request = Request::get(format!("{}{target}", self.base))
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("tallybox/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new())?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => converse(stream, request).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                converse(tls.connect(name, stream).await?, request).await
            }
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> anyhow::Result<Answer> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, LONGEST).collect().await.map_err(anyhow::Error::from_boxed)?;
    driver.abort();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
}

/// Asks one app of one server.
pub struct Client {
    way: Way,
    authorization: HeaderValue,
    app: String,
    environment: Option<String>,
}

impl Client {
    /// Reads the address and the token, and finds the app.
    pub fn new(server: &Server) -> anyhow::Result<Self> {
        let remote = Remote::of_process(server.url.as_deref(), server.token_file.as_deref());
        let remote = remote.map_err(anyhow::Error::msg)?;
        let way = Way::parse(&remote.url)?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", remote.token.expose_secret()))
            .map_err(|_| anyhow::anyhow!("the token is none: it has characters that no header can hold"))?;
        authorization.set_sensitive(true);
        if way.tls.is_none() && !is_loopback(&way.host) {
            eprintln!("warning: the token and all answers travel readable over the network; https would hide them");
        }
        let mut client = Self { way, authorization, app: String::new(), environment: server.env.clone() };
        client.app = match &server.app {
            Some(app) => app.clone(),
            None => client.only_app()?,
        };
        Ok(client)
    }

    /// What a resource of the app answers to these parameters.
    pub fn ask(&self, resource: &str, pairs: &[(String, String)]) -> Result<Value, Problem> {
        let app: String = form_urlencoded::byte_serialize(self.app.as_bytes()).collect();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        query.extend_pairs(self.environment.iter().map(|environment| ("environment", environment)));
        self.get(&format!("/api/v1/apps/{app}/{resource}?{}", query.finish()))
    }

    fn only_app(&self) -> anyhow::Result<String> {
        let answer = self.get("/api/v1/apps")?;
        let names = answer["apps"].as_array().into_iter().flatten().filter_map(|app| app["app"].as_str());
        match names.collect::<Vec<_>>()[..] {
            [only] => Ok(only.to_owned()),
            [] => bail!("the token may read no app"),
            ref several => bail!("say which app with --app: {}", several.join(", ")),
        }
    }

    fn get(&self, target: &str) -> Result<Value, Problem> {
        let place = &self.way.authority;
        let (status, body) = match self.way.get(target, Some(&self.authorization)) {
            Ok(answer) => (answer.status, answer.body),
            Err(error) => return Err(Problem::Away(format!("the server at {place} does not answer: {error:#}"))),
        };
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        if let (200, Some(answer)) = (status, &answer) {
            return Ok(answer.clone());
        }
        let said = answer.as_ref().and_then(|answer| answer["error"]["message"].as_str());
        let parameter = answer.as_ref().and_then(|answer| answer["error"]["parameter"].as_str());
        let said = match (said, parameter) {
            (Some(said), Some(parameter)) => format!("{parameter}: {said}"),
            (Some(said), None) => said.to_owned(),
            (None, _) => format!("the server at {place} answered with status {status}; is the address right?"),
        };
        Err(if status == 429 || status >= 500 { Problem::Away(said) } else { Problem::Refused(said) })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Trusts whom the operating system trusts.
fn connector() -> anyhow::Result<TlsConnector> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        bail!("this system has no certificates to trust, which https needs");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A condition `NAME=VALUE` or `NAME!=VALUE`, as a parameter of an address.
pub fn condition(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a condition is written like version=1.2.0 or version!=1.2.0")?;
    match name {
        "" | "!" => Err("a condition begins with the name of a dimension".to_owned()),
        name => Ok((name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_readably_without_a_warning() {
        for (host, loopback) in
            [("localhost", true), ("127.0.0.1", true), ("::1", true), ("10.0.0.1", false), ("box.example.org", false)]
        {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
    }

    #[test]
    fn conditions_are_parameters() {
        for (text, name, value) in [
            ("version=1.2", "version", "1.2"),
            ("version!=1.2", "version!", "1.2"),
            ("country=", "country", ""),
            ("prop:a=b=c", "prop:a", "b=c"),
        ] {
            assert_eq!(condition(text), Ok((name.to_owned(), value.to_owned())), "{text}");
        }
        for text in ["", "version", "=1", "!=1"] {
            assert!(condition(text).is_err(), "{text}");
        }
    }
}
