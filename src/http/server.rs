//! The listener: takes connections, up to a cap, until it is told to stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderName;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::connection::{Door, Phase};
use super::metrics::Connections;
use crate::model::IpNet;

/// Most bytes of answers that the kernel keeps for a client that does not take them, for each connection. By itself it
/// would keep four megabytes.
const SEND_BUFFER: usize = 256 << 10;
/// Most bytes of those that the kernel takes on before they can be sent: whoever takes nothing is owed little.
const UNSENT: u32 = 64 << 10;

/// Shortest time between two log lines about the same trouble of the listener.
const QUIET: Duration = Duration::from_secs(60);

/// Whose the listening socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// This process's alone: it ends with the server.
    Own,
    /// A supervisor's, which lends it to one process after the other: whoever waits at it when this one stops is
    /// served by the next.
    Lent,
}

/// What the listener allows.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Whose the listening socket is.
    pub socket: Socket,
    /// Connections open at once; one more is answered 503.
    pub max_connections: usize,
    /// For the first byte after connecting, and for a head from its first byte to its last.
    pub header_timeout: Duration,
    /// For a connection between two requests.
    pub idle_timeout: Duration,
    /// For a connection without a request to be silent until it gives back its buffers.
    pub rest_after: Duration,
    /// For a response of which the client takes nothing.
    pub write_stall: Duration,
    /// For requests in flight after shutdown was asked for; then they are cut off.
    pub drain_timeout: Duration,
    /// Longest head of a request in bytes; at least 8 KiB are always taken.
    pub max_head_bytes: usize,
    /// Peers whose word about the client is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Header in which they name the member who is signed in with them.
    pub user_header: Option<HeaderName>,
    /// Path under which everything lies: `/`, or for example `/box`. Routers and handlers do not see it.
    pub base_path: String,
    /// Requests that take this long are told in the log with their cause.
    pub slow_request: Duration,
    /// Where connections are counted.
    pub connections: Connections,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            socket: Socket::Own,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            rest_after: Duration::from_secs(2),
            write_stall: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            max_head_bytes: 64 << 10,
            trusted_proxies: Vec::new(),
            user_header: None,
            base_path: "/".to_owned(),
            slow_request: Duration::from_secs(1),
            connections: Connections::default(),
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
    // Connections take it over from their listener. Where it is not to be had, they need more memory and nothing else.
    _ = rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER);
    _ = socket2::SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT);
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
    while options.socket == Socket::Own
        && let Some(Ok(connection)) = now(listener.accept()).await
    {
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
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;

    use super::super::trial::*;
    use super::*;

    #[tokio::test]
    async fn connection_over_the_cap_is_told_to_come_again() {
        let counts = Connections::default();
        let connections = counts.clone();
        let server = start(ServerOptions { max_connections: 1, connections, ..ServerOptions::default() }).await;
        let mut first = connect(&server).await;
        first.write_all(GET.as_bytes()).await.unwrap();
        until(&mut first, "hello").await;
        let text = answer(&server, GET).await;
        assert_eq!((counts.count(), counts.turned_away()), (1, 1));
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
        let release = held(&mut server).await;
        for stream in [&mut idle, &mut late] {
            stream.write_all(GET.as_bytes()).await.unwrap();
            until(stream, "hello").await;
        }
        server.stop.send(()).unwrap();
        while TcpStream::connect(server.address).await.is_ok() {}
        late.write_all(GET.as_bytes()).await.unwrap();
        assert!(rest(&mut late).await.ends_with("hello"));
        assert_eq!(rest(&mut idle).await, "");
        assert!(!server.ended.is_finished());
        release.send(()).unwrap();
        let text = rest(&mut busy).await;
        assert!(text.contains("connection: close") && text.ends_with("released"), "{text}");
        soon(server.ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn draining_ends_at_its_timeout() {
        let options = ServerOptions { drain_timeout: Duration::from_millis(50), ..ServerOptions::default() };
        let mut server = start(options).await;
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let _release = held(&mut server).await;
        server.stop.send(()).unwrap();
        soon(server.ended).await.unwrap().unwrap();
    }
}
