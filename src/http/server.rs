//! The listener: one task a connection, with limits on their number, their time and their manners.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tower::Service;

use super::address::IpNet;
use super::guard::{Bounds, Guard, InFlight, Turn};
use super::origin::{Peer, RequestIds};
use super::refuse::{self, Turned};

/// How long, when draining, an open connection may still bring a request.
const LAST_CALL: Duration = Duration::from_millis(250);
/// After a refusal: how long a client may go on sending in all, and how long it may be silent. A socket that is
/// closed with unread bytes would take the refusal away from the client.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_IDLE: Duration = Duration::from_secs(2);
/// Connections over the cap that are told so at the same time; further ones are closed without a word.
const TURNED_AWAY_AT_ONCE: usize = 64;
/// Seconds after which a connection over the cap should come again.
const FULL_RETRY: u32 = 2;
/// Shortest time between two log lines about the same trouble of the listener.
const QUIET: Duration = Duration::from_secs(60);

/// What the listener allows.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Connections open at once; one more is answered 503.
    pub max_connections: usize,
    /// For the first byte after connecting, and for a head from its first byte to its last.
    pub header_timeout: Duration,
    /// For a connection between two requests.
    pub idle_timeout: Duration,
    /// For a response of which the client takes nothing.
    pub write_stall: Duration,
    /// For requests in flight after shutdown was asked for; then they are cut off.
    pub drain_timeout: Duration,
    /// Longest head of a request in bytes; at least 8 KiB are always taken.
    pub max_head_bytes: usize,
    /// Peers whose word about the client is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Path under which everything lies: `/`, or for example `/box`. Routers and handlers do not see it.
    pub base_path: String,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_stall: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            max_head_bytes: 64 << 10,
            trusted_proxies: Vec::new(),
            base_path: "/".to_owned(),
        }
    }
}

/// Serves HTTP/1.1 until `shutdown` resolves. Then no connection is taken any more, requests that came are answered,
/// and it returns when the last connection has ended or was cut off after `drain_timeout`. Troubles of single
/// connections are not errors; trouble with accepting is logged and waited out. Every head is judged before it is
/// parsed: what could be read in two ways (both `Content-Length` and `Transfer-Encoding`, no or two `Host`, bare line
/// feeds) gets 400.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServerOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let door = Arc::new(Door::new(router, &options));
    let phase = watch::Sender::new(Phase::Open);
    let mut trouble = Trouble::default();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(connection) => door.admit(connection, phase.subscribe()),
                Err(error) => trouble.wait_out(&error).await,
            },
        }
    }
    // Whoever has connected already must not see a reset.
    while let Some(Ok(connection)) = now(listener.accept()).await {
        door.admit(connection, phase.subscribe());
    }
    drop(listener);
    phase.send_replace(Phase::Draining);
    if timeout(options.drain_timeout, phase.closed()).await.is_err() {
        tracing::warn!(connections = phase.receiver_count(), "cutting off connections that did not end in time");
        phase.send_replace(Phase::Cut);
        // Only a handler that blocks its thread can outlast this.
        _ = timeout(Duration::from_secs(1), phase.closed()).await;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Cut,
}

/// What all connections share.
struct Door {
    router: Router,
    http: http1::Builder,
    bounds: Bounds,
    places: Arc<Semaphore>,
    waiting_room: Arc<Semaphore>,
    ids: RequestIds,
}

impl Door {
    fn new(router: Router, options: &ServerOptions) -> Self {
        let head_bytes = options.max_head_bytes.max(8 << 10);
        let mut http = http1::Builder::new();
        // The guard keeps the time for heads; hyper's timer would also run between requests.
        http.header_read_timeout(None).max_buf_size(head_bytes + (64 << 10));
        let bounds = Bounds {
            header: options.header_timeout,
            idle: options.idle_timeout,
            write_stall: options.write_stall,
            head_bytes,
        };
        Self {
            router,
            http,
            bounds,
            places: Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS))),
            waiting_room: Arc::new(Semaphore::new(TURNED_AWAY_AT_ONCE)),
            ids: RequestIds::new(),
        }
    }

    /// Starts the task of a connection, or the one that turns it away.
    fn admit(self: &Arc<Self>, (stream, peer): (TcpStream, SocketAddr), phase: watch::Receiver<Phase>) {
        let door = self.clone();
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            tokio::spawn(async move {
                // A socket that refuses this option is slower and nothing else.
                _ = stream.set_nodelay(true);
                door.converse(stream, peer.ip().to_canonical(), phase).await;
                drop(place);
            });
        } else if let Ok(place) = self.waiting_room.clone().try_acquire_owned() {
            tokio::spawn(async move {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let full = Turned { status, code: "busy", message: "Too many connections; try again shortly." };
                cut_off(phase, door.take_leave(stream, Some((full, Some(FULL_RETRY))), true)).await;
                drop(place);
            });
        }
    }

    /// Serves one connection to its end.
    async fn converse(&self, stream: TcpStream, peer: IpAddr, phase: watch::Receiver<Phase>) {
        let in_flight = Arc::new(InFlight::default());
        let guard = Guard::new(stream, self.bounds, in_flight.clone());
        let service = service_fn(|request| self.answer(request, peer, in_flight.begin(), phase.clone()));
        let mut connection = self.http.serve_connection(TokioIo::new(guard), service);
        let ended = tokio::select! {
            biased;
            ended = &mut connection => ended,
            () = last_call(phase.clone()) => {
                Pin::new(&mut connection).graceful_shutdown();
                tokio::select! {
                    ended = &mut connection => ended,
                    () = reached(phase.clone(), Phase::Cut) => return,
                }
            }
        };
        let (stream, turned, sending) = connection.into_parts().io.into_inner().into_end();
        // A first request that is turned away looks to hyper like a client that left.
        if ended.is_ok() || turned.is_some() {
            cut_off(phase, self.take_leave(stream, turned.map(|turned| (turned, None)), sending)).await;
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        turn: Turn,
        phase: watch::Receiver<Phase>,
    ) -> Result<Response<Answer>, std::convert::Infallible> {
        // The guard does not follow chunks, so it cannot tell where the next head would begin.
        let last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let mut response = self.router.clone().call(request).await?;
        if last || *phase.borrow() != Phase::Open {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Answer { body, _turn: turn }))
    }

    /// Says the last word, if there is one, and closes so that the client can read it.
    async fn take_leave(&self, mut stream: TcpStream, word: Option<(Turned, Option<u32>)>, sending: bool) {
        if let Some((turned, retry_after)) = word {
            let id = self.ids.next();
            let (status, code) = (turned.status.as_u16(), turned.code);
            tracing::info!(request_id = %id, status, code, "turned away before routing");
            let text = refuse::raw(turned, retry_after, id);
            if !matches!(timeout(self.bounds.write_stall, stream.write_all(&text)).await, Ok(Ok(()))) {
                return;
            }
        }
        if stream.shutdown().await.is_ok() && sending {
            let mut scratch = vec![0; 16 << 10];
            let until = Instant::now() + LINGER;
            while Instant::now() < until {
                match timeout(LINGER_IDLE, stream.read(&mut scratch)).await {
                    Ok(Ok(count)) if count > 0 => {}
                    Ok(Ok(_) | Err(_)) | Err(_) => break,
                }
            }
        }
    }
}

/// A response body that keeps its request in flight.
struct Answer {
    body: Body,
    _turn: Turn,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Accepting fails when file descriptors run out, and goes on when some are free again.
#[derive(Default)]
struct Trouble {
    logged: Option<Instant>,
    pause: Duration,
}

impl Trouble {
    async fn wait_out(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            return;
        }
        if self.logged.is_none_or(|at| at.elapsed() >= QUIET) {
            tracing::error!(%error, "cannot accept connections");
            self.logged = Some(Instant::now());
            self.pause = Duration::from_millis(10);
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(1));
    }
}

async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    // The sender lives as long as any connection.
    _ = phase.wait_for(|phase| *phase == wanted || *phase == Phase::Cut).await;
}

async fn last_call(phase: watch::Receiver<Phase>) {
    reached(phase, Phase::Draining).await;
    sleep(LAST_CALL).await;
}

async fn cut_off(phase: watch::Receiver<Phase>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = reached(phase, Phase::Cut) => {}
    }
}

/// What the future gives at once, if anything.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = std::future::ready(()) => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::response::IntoResponse;
    use axum::routing::{get, post};
    use tokio::sync::{mpsc, oneshot};
    use tokio::task::JoinHandle;

    use super::super::body::{self, BodyLimits};
    use super::super::layers;
    use super::*;
    use crate::clock::Clock;

    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const CLOSING: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<io::Result<()>>,
        /// One for each call of `/held`: the handler answers when it is used.
        held: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    }

    /// Deadlines that a test can await.
    fn brisk() -> ServerOptions {
        ServerOptions {
            header_timeout: Duration::from_millis(150),
            idle_timeout: Duration::from_millis(600),
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

    async fn start(options: ServerOptions) -> Running {
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
        let router = layers(router, Clock::system(), &options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { _ = stopped.await };
        Running { address, stop, ended: tokio::spawn(serve(listener, router, options, shutdown)), held }
    }

    async fn connect(server: &Running) -> TcpStream {
        TcpStream::connect(server.address).await.unwrap()
    }

    /// What the server says until it closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// What the server says up to and with `end`.
    async fn until(stream: &mut TcpStream, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            let byte = stream.read_u8().await.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&bytes)));
            bytes.push(byte);
        }
        String::from_utf8(bytes).unwrap()
    }

    async fn answer(server: &Running, request: &str) -> String {
        let mut stream = connect(server).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    /// Nothing comes and the connection stays open for so long.
    async fn quiet(stream: &mut TcpStream, ms: u64) {
        let read = timeout(Duration::from_millis(ms), stream.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
    }

    fn assert_refusal(text: &str, status: u16) {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.to_lowercase().contains("\r\nx-clacks-overhead: gnu terry pratchett"), "{head}");
        let json: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{text:?}"));
        assert!(json["error"].is_string() && json["message"].is_string(), "{body}");
    }

    #[tokio::test]
    async fn requests_arrive_whole_in_pieces_and_pipelined() {
        let server = start(brisk()).await;
        let post = "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345";
        let mut stream = connect(&server).await;
        for byte in format!("{GET}{post}\r\n{GET}").bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        for end in ["hello", "5 bytes", "hello"] {
            until(&mut stream, end).await;
        }
        let at_once = format!("{GET}{post}{post}\r\n{GET}{post}{CLOSING}");
        stream.write_all(at_once.as_bytes()).await.unwrap();
        for end in ["hello", "5 bytes", "5 bytes", "hello", "5 bytes", "hello"] {
            until(&mut stream, end).await;
        }
        assert_eq!(rest(&mut stream).await, "");
    }

    #[tokio::test]
    async fn doubtful_requests_get_their_refusal_and_are_closed() {
        let server = start(brisk()).await;
        let wide = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(64 << 10));
        let endless = format!("GET /{}", "y".repeat(70 << 10));
        for (status, request) in [
            (400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
            (400, "GET / HTTP/1.1\nhost: a\n\n"),
            (400, "\u{16}\u{3}\u{1}\u{2}\r\n\r\n"),
            (405, "TRACE / HTTP/1.1\r\nhost: a\r\n\r\n"),
            (405, "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"),
            (408, "GET / HTTP/1.1\r\nhost:"),
            (431, &wide),
            (431, &endless),
            (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ] {
            assert_refusal(&answer(&server, request).await, status);
        }
        assert!(answer(&server, CLOSING).await.ends_with("hello"));
        assert!(answer(&server, "GET / HTTP/1.0\r\n\r\n").await.ends_with("hello"));
        let absolute = "GET http://b/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        assert!(answer(&server, absolute).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn refusal_waits_for_the_answers_before_it() {
        let mut server = start(brisk()).await;
        let mut stream = connect(&server).await;
        let good = "GET /held HTTP/1.1\r\nhost: a\r\n\r\n";
        stream.write_all(format!("{good}GET / HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let release = server.held.recv().await.unwrap();
        quiet(&mut stream, 20).await;
        release.send(()).unwrap();
        until(&mut stream, "released").await;
        assert_refusal(&rest(&mut stream).await, 400);
    }

    #[tokio::test]
    async fn silent_connection_is_closed_without_a_word() {
        let server = start(brisk()).await;
        let mut stream = connect(&server).await;
        assert_eq!(rest(&mut stream).await, "");
    }

    #[tokio::test]
    async fn trickling_head_is_cut_off_at_its_deadline() {
        let server = start(brisk()).await;
        let mut stream = connect(&server).await;
        for _ in 0..20 {
            if stream.write_all(b"x: y\r\n").await.is_err() {
                break;
            }
            if let Ok(Ok(byte)) = timeout(Duration::from_millis(40), stream.read_u8()).await {
                return assert_refusal(&format!("{}{}", char::from(byte), rest(&mut stream).await), 408);
            }
        }
        panic!("still open");
    }

    #[tokio::test]
    async fn kept_alive_connection_outlives_the_header_timeout_but_not_the_idle_timeout() {
        let server = start(brisk()).await;
        let mut stream = connect(&server).await;
        for _ in 0..2 {
            stream.write_all(GET.as_bytes()).await.unwrap();
            until(&mut stream, "hello").await;
            quiet(&mut stream, 300).await;
        }
        assert_eq!(rest(&mut stream).await, "");
    }

    #[tokio::test]
    async fn slow_handler_is_not_an_idle_connection() {
        let mut server = start(ServerOptions { idle_timeout: Duration::from_millis(100), ..brisk() }).await;
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let release = server.held.recv().await.unwrap();
        quiet(&mut stream, 300).await;
        release.send(()).unwrap();
        until(&mut stream, "released").await;
    }

    #[tokio::test]
    async fn chunked_body_is_read_and_ends_its_connection() {
        let server = start(brisk()).await;
        let request = "POST /length HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let text = answer(&server, &format!("{request}{GET}")).await;
        assert!(text.to_lowercase().contains("connection: close") && text.ends_with("3 bytes"), "{text}");
    }

    #[tokio::test]
    async fn refused_body_leaves_its_answer_readable() {
        let server = start(brisk()).await;
        let head = format!("POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 8 << 20);
        let (mut read, mut write) = connect(&server).await.into_split();
        let sent = tokio::spawn(async move {
            write.write_all(head.as_bytes()).await.unwrap();
            write.write_all(&vec![b'x'; 8 << 20]).await.unwrap();
            write
        });
        let mut text = String::new();
        drop(sent.await.unwrap());
        read.read_to_string(&mut text).await.unwrap();
        assert_refusal(&text, 413);
        let chunked = format!("{:x}\r\n{}\r\n0\r\n\r\n", 2 << 20, "x".repeat(2 << 20));
        let head = "POST /length HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_refusal(&answer(&server, &format!("{head}{chunked}")).await, 413);
    }

    #[tokio::test]
    async fn body_is_asked_for_only_when_it_is_wanted() {
        let server = start(brisk()).await;
        let head = "POST /length HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nconnection: close\r\n";
        let mut stream = connect(&server).await;
        stream.write_all(format!("{head}content-length: 5\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"12345").await.unwrap();
        assert!(rest(&mut stream).await.ends_with("5 bytes"));
        assert_refusal(&answer(&server, &format!("{head}content-length: 99999999\r\n\r\n")).await, 413);
    }

    #[tokio::test]
    async fn response_that_nobody_takes_is_given_up() {
        let server = start(brisk()).await;
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        until(&mut stream, "\r\n\r\n").await;
        server.stop.send(()).unwrap();
        // With the connection still open it would last until the drain timeout of 30 s.
        timeout(Duration::from_secs(5), server.ended).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn connection_over_the_cap_is_told_to_come_again() {
        let server = start(ServerOptions { max_connections: 1, ..ServerOptions::default() }).await;
        let mut first = connect(&server).await;
        first.write_all(GET.as_bytes()).await.unwrap();
        until(&mut first, "hello").await;
        let text = answer(&server, GET).await;
        assert!(text.contains("\r\nretry-after: 2\r\n"), "{text}");
        assert_refusal(&text, 503);
        first.write_all(CLOSING.as_bytes()).await.unwrap();
        rest(&mut first).await;
        let mut text = String::new();
        while !text.ends_with("hello") {
            text = answer(&server, CLOSING).await;
        }
    }

    #[tokio::test]
    async fn draining_answers_what_came_and_closes_what_is_idle() {
        let mut server = start(ServerOptions::default()).await;
        let (mut busy, mut idle, mut late) = (connect(&server).await, connect(&server).await, connect(&server).await);
        busy.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let release = server.held.recv().await.unwrap();
        for stream in [&mut idle, &mut late] {
            stream.write_all(GET.as_bytes()).await.unwrap();
            until(stream, "hello").await;
        }
        server.stop.send(()).unwrap();
        late.write_all(GET.as_bytes()).await.unwrap();
        assert!(rest(&mut late).await.ends_with("hello"));
        assert_eq!(rest(&mut idle).await, "");
        assert!(TcpStream::connect(server.address).await.is_err());
        assert!(!server.ended.is_finished());
        release.send(()).unwrap();
        let text = rest(&mut busy).await;
        assert!(text.contains("connection: close") && text.ends_with("released"), "{text}");
        server.ended.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn draining_ends_at_its_timeout() {
        let options = ServerOptions { drain_timeout: Duration::from_millis(50), ..ServerOptions::default() };
        let mut server = start(options).await;
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let _release = server.held.recv().await.unwrap();
        server.stop.send(()).unwrap();
        timeout(Duration::from_secs(5), server.ended).await.unwrap().unwrap().unwrap();
    }
}
