//! One connection from its first byte to its last word.

use std::convert::Infallible;
use std::future::poll_fn;
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
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower::Service;

use super::guard::{Bounds, Guard, InFlight, Turn};
use super::metrics::Connections;
use super::origin::{Peer, RequestIds};
use super::refuse::{self, Turned};
use super::server::ServerOptions;

/// How long, when draining, an open connection may still bring a request.
const LAST_CALL: Duration = Duration::from_millis(250);
/// After a refusal: how long a client may go on sending in all. A socket that is closed with unread bytes would take the
/// refusal away from the client.
const LINGER: Duration = Duration::from_secs(30);
/// What it must bring in each stretch of that, so that nobody holds a place by trickling.
const LINGER_STRETCH: Duration = Duration::from_secs(1);
const LINGER_LEAST: usize = 1 << 10;
/// Bytes that are thrown away at once.
const DISCARD: usize = 16 << 10;
/// Connections over the cap that are told so at the same time; further ones are closed without a word.
const TURNED_AWAY_AT_ONCE: usize = 64;
/// Seconds after which a connection over the cap should come again.
const FULL_RETRY: u32 = 2;

/// How far the server is in stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not at all.
    Open,
    /// Idle connections close, and others after the next answer.
    Draining,
    /// Everything ends now.
    Cut,
}

/// What all connections share.
pub(crate) struct Door {
    router: Router,
    http: http1::Builder,
    bounds: Bounds,
    places: Arc<Semaphore>,
    waiting_room: Arc<Semaphore>,
    counts: Connections,
    ids: RequestIds,
}

impl Door {
    /// With room for as many as the options say.
    pub(crate) fn new(router: Router, options: &ServerOptions) -> Self {
        let head_bytes = options.max_head_bytes.max(8 << 10);
        let mut http = http1::Builder::new();
        // The guard keeps the time for heads; hyper's timer would also run between requests.
        http.header_read_timeout(None).max_buf_size(head_bytes + (64 << 10));
        let bounds = Bounds {
            header: options.header_timeout,
            // Of zero length it would be over before it is looked at.
            idle: options.idle_timeout.max(Duration::from_millis(1)),
            write_stall: options.write_stall,
            rest: options.rest_after,
            head_bytes,
        };
        Self {
            router,
            http,
            bounds,
            places: Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS))),
            waiting_room: Arc::new(Semaphore::new(TURNED_AWAY_AT_ONCE)),
            counts: options.connections.clone(),
            ids: RequestIds::new(),
        }
    }

    /// Starts the task of a connection, or the one that turns it away.
    pub(crate) fn admit(self: &Arc<Self>, (stream, peer): (TcpStream, SocketAddr), phase: watch::Receiver<Phase>) {
        let door = self.clone();
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            let open = self.counts.open();
            tokio::spawn(async move {
                // A socket that refuses this option is slower and nothing else.
                _ = stream.set_nodelay(true);
                door.converse(stream, peer.ip().to_canonical(), phase).await;
                drop((open, place));
            });
            return;
        }
        self.counts.turn_away();
        if let Ok(place) = self.waiting_room.clone().try_acquire_owned() {
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
        let mut guard = Guard::new(stream, self.bounds, in_flight.clone());
        loop {
            // Who has not brought a whole head costs little: none of hyper's buffers, and no room for an answer.
            let begun = tokio::select! {
                biased;
                begun = poll_fn(|cx| guard.poll_first(cx)) => begun,
                () = last_call(phase.clone()) => Ok(false),
            };
            match begun {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return,
            }
            let Some(left) = Box::pin(self.hold(guard, in_flight.clone(), peer, &phase)).await else { return };
            guard = left;
            if !guard.goes_on() {
                break;
            }
        }
        let (stream, turned, sending) = guard.into_end();
        cut_off(phase, self.take_leave(stream, turned.map(|turned| (turned, None)), sending)).await;
    }

    /// Answers requests until the last, or until none has come for a while: what is left then, where there may be something to
    /// say.
    async fn hold(
        &self,
        guard: Guard<TcpStream>,
        in_flight: Arc<InFlight>,
        peer: IpAddr,
        phase: &watch::Receiver<Phase>,
    ) -> Option<Guard<TcpStream>> {
        let service = service_fn(|request| self.answer(request, peer, in_flight.begin(), phase));
        let mut connection = self.http.serve_connection(TokioIo::new(guard), service);
        let ended = tokio::select! {
            biased;
            ended = &mut connection => ended,
            () = last_call(phase.clone()) => {
                Pin::new(&mut connection).graceful_shutdown();
                tokio::select! {
                    ended = &mut connection => ended,
                    () = reached(phase.clone(), Phase::Cut) => return None,
                }
            }
        };
        let guard = connection.into_parts().io.into_inner();
        // A request that is turned away may look to hyper like a client that left.
        (ended.is_ok() || guard.has_turned_away()).then_some(guard)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        turn: Turn,
        phase: &watch::Receiver<Phase>,
    ) -> Result<Response<Answer>, Infallible> {
        // The guard does not follow chunks, so it cannot tell where the next head would begin.
        let last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        // One request a turn: else a connection that brings hundreds at once goes on for as long as all others wait.
        tokio::task::yield_now().await;
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
            linger(stream).await;
        }
    }
}

/// Takes in what a client is still sending, as long as it does so at a pace.
async fn linger(stream: TcpStream) {
    let until = Instant::now() + LINGER;
    let (mut stretch, mut brought) = (Instant::now() + LINGER_STRETCH, 0);
    loop {
        if let Ok(ready) = timeout_at(stretch, stream.readable()).await {
            match ready.and_then(|()| discard(&stream)) {
                Ok(0) => return,
                Ok(count) => brought += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        let now = Instant::now();
        if now >= stretch {
            if brought < LINGER_LEAST || now >= until {
                return;
            }
            (stretch, brought) = (now + LINGER_STRETCH, 0);
        }
    }
}

/// Throws away what has come, into a buffer that no connection keeps.
fn discard(stream: &TcpStream) -> io::Result<usize> {
    stream.try_read(&mut [0; DISCARD])
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio::io::AsyncReadExt;

    use super::super::trial::*;
    use super::*;

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
    async fn whoever_asks_once_does_not_wait_for_all_that_others_ask_at_once() {
        let server = start(brisk()).await;
        let mut crowd = Vec::new();
        for _ in 0..20 {
            crowd.push(connect(&server).await);
        }
        let mut one = connect(&server).await;
        for stream in &mut crowd {
            stream.write_all(GET.repeat(100).as_bytes()).await.unwrap();
        }
        one.write_all(GET.as_bytes()).await.unwrap();
        until(&mut one, "hello").await;
        let answered = |stream: TcpStream| {
            let mut bytes = vec![0; 1 << 20];
            let read = stream.into_std().unwrap().read(&mut bytes).unwrap_or(0);
            String::from_utf8_lossy(&bytes[..read]).matches("hello").count()
        };
        let answered: usize = crowd.into_iter().map(answered).sum();
        assert!(answered < 1_000, "{answered} of 2000 came first");
    }

    /// What a slow head or an open connection without one takes, beside a few bytes of what came.
    #[tokio::test]
    async fn a_connection_without_a_head_is_small() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let peer = stream.peer_addr().unwrap().ip();
        let door = Door::new(Router::new(), &ServerOptions::default());
        let size = size_of_val(&door.converse(stream, peer, watch::Sender::new(Phase::Open).subscribe()));
        assert!(size <= 2 << 10, "{size} bytes");
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
        let release = held(&mut server).await;
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
    async fn whoever_trickles_on_after_the_refusal_is_cut_off() {
        let server = start(brisk()).await;
        let mut stream = connect(&server).await;
        let begun = Instant::now();
        while begun.elapsed() < LINGER / 2 {
            if stream.write_all(b"x: y\r\n").await.is_err() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
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
        let release = held(&mut server).await;
        quiet(&mut stream, 300).await;
        release.send(()).unwrap();
        until(&mut stream, "released").await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        until(&mut stream, "hello").await;
        assert_eq!(rest(&mut stream).await, "", "idle from here on");
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
        soon(server.ended).await.unwrap().unwrap();
    }
}
