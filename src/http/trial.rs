//! A server on a free port, and a client that speaks plain bytes, for the tests of this module.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::body::{self, BodyLimits};
use super::metrics::RequestMetrics;
use super::{ServerOptions, layers, serve};
use crate::clock::Clock;

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
pub(crate) const CLOSING: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) ended: JoinHandle<io::Result<()>>,
    /// One for each call of `/held`: the handler answers when it is used.
    pub(crate) held: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
}

/// Deadlines that a test can await.
pub(crate) fn brisk() -> ServerOptions {
    ServerOptions {
        header_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(1_000),
        rest_after: Duration::from_millis(50),
        write_stall: Duration::from_millis(150),
        ..ServerOptions::default()
    }
}

async fn length(headers: HeaderMap, body: Body) -> axum::response::Response {
    match body::read(&headers, body, BodyLimits::new(1 << 20, 1 << 20)).await {
        Ok(bytes) => format!("{} bytes", bytes.len()).into_response(),
        Err(error) => error.status().into_response(),
    }
}

pub(crate) async fn start(options: ServerOptions) -> Running {
    let (calls, held) = mpsc::unbounded_channel();
    let hold = move || async move {
        let (release, released) = oneshot::channel();
        calls.send(release).unwrap();
        released.await.unwrap();
        "released"
    };
    let flood = || async { Body::from(vec![b'x'; 64 << 20]) };
    let router = Router::new().route("/", get(|| async { "hello" })).route("/length", post(length));
    let router = router.route("/held", get(hold)).route("/flood", get(flood));
    let router = layers(router, Clock::system(), &options, RequestMetrics::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { _ = stopped.await };
    Running { address, stop, ended: tokio::spawn(serve(listener, router, options, shutdown)), held }
}

pub(crate) async fn connect(server: &Running) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

/// Waits, but not for ever: a test that would hang fails.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("this comes soon or never")
}

/// The next call of `/held`.
pub(crate) async fn held(server: &mut Running) -> oneshot::Sender<()> {
    soon(server.held.recv()).await.unwrap()
}

/// What the server says until it closes.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What the server says up to and with `end`.
pub(crate) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = soon(stream.read_u8()).await.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&bytes)));
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) async fn answer(server: &Running, request: &str) -> String {
    let mut stream = connect(server).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

/// Nothing comes and the connection stays open for so long.
pub(crate) async fn quiet(stream: &mut TcpStream, ms: u64) {
    let read = timeout(Duration::from_millis(ms), stream.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}

pub(crate) fn assert_refusal(text: &str, status: u16) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert!(head.to_lowercase().contains("\r\nx-clacks-overhead: gnu terry pratchett"), "{head}");
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{text:?}"));
    assert!(json["error"].is_string() && json["message"].is_string(), "{body}");
}
