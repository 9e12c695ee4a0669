//! Goal R7: clients that send their heads or bodies byte by byte, or read nothing, beside one that is in good health.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::http::{Connection, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{Server, alone, poll, size};

/// How often a slow client sends a byte.
const TRICKLE: Duration = Duration::from_millis(700);

/// Which deadline a slow client runs into, and how long that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sloth {
    Head,
    Body,
    Reader,
}

/// A slow client's socket.
struct Slow {
    sloth: Sloth,
    stream: TcpStream,
    begun: Instant,
    /// When it last sent a byte.
    sent: Instant,
    /// When the server was done with it.
    ended: Option<Duration>,
}

impl Sloth {
    fn limit(self) -> Duration {
        match self {
            Self::Head | Self::Body => Duration::from_secs(10),
            Self::Reader => Duration::from_secs(30),
        }
    }
}

impl Slow {
    fn open(sloth: Sloth, address: SocketAddr, app: &Credentials, cookie: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let body = app.sdk(b"").header("content-length", "100000").bytes("127.0.0.1");
        // Answers that nobody reads, until the socket can hold no more.
        let page = Request::get("/assets/style.css").header("cookie", cookie).bytes("127.0.0.1");
        let begin = match sloth {
            Sloth::Head => b"POST /v1/ingest HTTP/1.1\r\nhost: a\r\nx-slow: ".to_vec(),
            Sloth::Body => body,
            Sloth::Reader => page.repeat(400),
        };
        stream.set_nonblocking(sloth == Sloth::Reader).unwrap();
        _ = stream.write(&begin);
        stream.set_nonblocking(true).unwrap();
        let now = Instant::now();
        Self { sloth, stream, begun: now, sent: now, ended: None }
    }

    /// Sends one more byte, where it is a sender, and looks whether the server is done.
    fn step(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let more = self.sent.elapsed() >= TRICKLE;
        let sends = self.sloth != Sloth::Reader;
        // A reader that read would be none: that its socket is closed shows where it sends.
        let done = match if sends { self.stream.read(&mut [0; 4096]) } else { Err(ErrorKind::WouldBlock.into()) } {
            Err(e) if e.kind() == ErrorKind::WouldBlock => more && self.is_gone(),
            Ok(_) | Err(_) => true,
        };
        self.ended = done.then(|| self.begun.elapsed());
    }

    /// Sends one byte more, if there is room for it.
    fn is_gone(&mut self) -> bool {
        self.sent = Instant::now();
        matches!(self.stream.write(b"x"), Err(e) if e.kind() != ErrorKind::WouldBlock)
    }
}

#[test]
fn slow_clients_are_closed_and_hurt_nobody() {
    let _alone = alone();
    let server = Server::start();
    let app = server.app("Patient");
    let cookie = server.sign_in();
    let counts = [(Sloth::Head, size(400, 5_000)), (Sloth::Body, size(100, 1_000)), (Sloth::Reader, size(50, 1_000))];
    let (address, stop) = (server.address(), AtomicBool::new(false));
    let (mut slow, mut healthy) = (Vec::new(), (0, Duration::ZERO));
    thread::scope(|scope| {
        let client = scope.spawn(|| well(address, &app, &stop));
        let stopper = Stop(&stop);
        for (sloth, count) in counts {
            slow.extend((0..count).map(|_| Slow::open(sloth, address, &app, &cookie)));
        }
        // That readers are closed is seen in the whole drill alone: it takes half a minute.
        let awaited = |one: &Slow| one.sloth != Sloth::Reader || size(false, true);
        poll::until(Duration::from_secs(size(25, 60)), "end of every slow client", || {
            poll::pause();
            slow.iter_mut().for_each(Slow::step);
            slow.iter().filter(|one| awaited(one)).all(|one| one.ended.is_some()).then_some(())
        });
        drop(stopper);
        healthy = client.join().unwrap();
    });
    println!("{} requests of the healthy client, 0 errors, the slowest {:?}", healthy.0, healthy.1);
    for (sloth, count) in counts {
        let ended: Vec<_> = slow.iter().filter(|one| one.sloth == sloth).filter_map(|one| one.ended).collect();
        let (first, last) = (ended.iter().min(), ended.iter().max());
        println!("{sloth:?}: {} of {count} closed, after {first:?} to {last:?}", ended.len());
        // A machine that is busy with other tests looks a little late.
        let limit = sloth.limit() + Duration::from_secs(2) + Duration::from_secs(3);
        assert!(last.is_none_or(|last| *last <= limit), "{sloth:?}: only after {last:?}");
        // Nobody is closed who was not slow yet.
        assert!(sloth == Sloth::Reader || first.is_none_or(|first| *first >= Duration::from_secs(9)), "{first:?}");
    }
    assert!(healthy.0 > 20, "{} requests are no load", healthy.0);
    server.get("/health/ready").expect(200);
}

/// Ends the healthy client even when the test fails meanwhile.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Events and pages in turn, each of which must be answered well: how many there were, and the longest wait.
fn well(address: SocketAddr, app: &Credentials, stop: &AtomicBool) -> (usize, Duration) {
    let (mut count, mut slowest) = (0, Duration::ZERO);
    let mut connection = Connection::open(address).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let request = match count % 3 {
            0 => app.sdk(&kit::batch(&[kit::event("healthy")])),
            1 => Request::get("/health/live"),
            _ => Request::get("/login"),
        };
        let begun = Instant::now();
        connection.send(&request).unwrap().expect(200);
        slowest = slowest.max(begun.elapsed());
        count += 1;
        if count % 10 == 0 {
            connection = Connection::open(address).unwrap();
        }
        poll::pause();
    }
    (count, slowest)
}
