//! A small client of the read API, for verbs that ask a running server over HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
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

/// Asks one app of one server.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    host: String,
    port: u16,
    authority: String,
    base: String,
    authorization: HeaderValue,
    tls: Option<TlsConnector>,
    app: String,
    environment: Option<String>,
}

impl Client {
    /// Reads the address and the token, and finds the app.
    pub fn new(server: &Server) -> anyhow::Result<Self> {
        let remote = Remote::of_process(server.url.as_deref(), server.token_file.as_deref());
        let remote = remote.map_err(anyhow::Error::msg)?;
        let url: Uri = remote.url.parse().with_context(|| format!("{} is no address", remote.url))?;
        let authority = url.authority().context("the address has no host; it begins with http:// or https://")?;
        let (tls, usual) = match url.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(connector()?), 443),
            _ => bail!("the address begins with http:// or https://"),
        };
        if authority.as_str().contains('@') || url.query().is_some() {
            bail!("the address has no user and no query in it");
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", remote.token.expose_secret()))
            .map_err(|_| anyhow::anyhow!("the token is none: it has characters that no header can hold"))?;
        authorization.set_sensitive(true);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut client = Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            port: authority.port_u16().unwrap_or(usual),
            authority: authority.to_string(),
            base: url.path().trim_end_matches('/').to_owned(),
            authorization,
            tls,
            host,
            app: String::new(),
            environment: server.env.clone(),
        };
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
        let asked = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.exchange(target)).await });
        let place = &self.authority;
        let (status, body) = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Problem::Away(format!("the server at {place} does not answer: {error:#}"))),
            Err(_) => return Err(Problem::Away(format!("the server at {place} did not answer in time"))),
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

    async fn exchange(&self, target: &str) -> anyhow::Result<(u16, Bytes)> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.converse(stream, target).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                self.converse(tls.connect(name, stream).await?, target).await
            }
        }
    }

    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        target: &str,
    ) -> anyhow::Result<(u16, Bytes)> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = Request::get(format!("{}{target}", self.base))
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("tallybox/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, &self.authorization)
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(anyhow::Error::from_boxed)?;
        driver.abort();
        Ok((status, body.to_bytes()))
    }
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
