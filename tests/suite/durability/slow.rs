//! Goal R7: clients that send their heads or bodies byte by byte, or hardly read, beside one that is in good health.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::http::{Connection, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{Server, alone, poll, size};

/// How often a slow client sends or takes a byte.
const TRICKLE: Duration = Duration::from_secs(1);
/// How many slow clients come in a second.
const PACE: f64 = 2_000.0;
/// How often the healthy client asks: 200 times a second.
const BEAT: Duration = Duration::from_millis(5);
/// How often it is looked whom the server still holds.
const LOOK: Duration = Duration::from_millis(250);
/// How far the slow clients stand behind server and healthy client, as `nice` has it: in the world they have processors of
/// their own.
const NICE: i32 = 19;
/// Ticks of processor time in a second, as Linux tells it.
const TICKS: f64 = 100.0;

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
    /// By which the server knows it.
    port: u16,
    begun: Instant,
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

    /// Whether its end is waited for: that of readers in the whole drill alone, since it takes half a minute.
    fn is_awaited(self) -> bool {
        self != Self::Reader || size(false, true)
    }
}

impl Slow {
    fn open(sloth: Sloth, address: SocketAddr, app: &Credentials, large: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let begin = match sloth {
            Sloth::Head => b"POST /v1/ingest HTTP/1.1\r\nhost: a\r\nx-slow: ".to_vec(),
            Sloth::Body => app.sdk(b"").header("content-length", "100000").bytes("127.0.0.1"),
            // Answers that nobody takes: more than both ends of a socket hold, and no more than needed for that.
            Sloth::Reader => Request::get(large).bytes("127.0.0.1").repeat(60),
        };
        _ = stream.write_all(&begin);
        stream.set_nonblocking(true).unwrap();
        let port = stream.local_addr().unwrap().port();
        Self { sloth, stream, port, begun: Instant::now(), ended: None }
    }

    /// A byte more, whatever it was told.
    fn step(&mut self) {
        _ = match self.sloth {
            Sloth::Head | Sloth::Body => self.stream.write(b"x"),
            Sloth::Reader => self.stream.read(&mut [0]),
        };
    }
}

/// All slow clients, which come and trickle evenly over time.
struct Crowd {
    slow: Vec<Slow>,
    /// When each has its next byte, the soonest first.
    due: VecDeque<(Instant, usize)>,
    address: SocketAddr,
    /// When it is looked again whom the server still holds: not before the first may be closed.
    look: Instant,
}

impl Crowd {
    /// Opens them at a steady rate, all kinds mixed, and goes on until those that are awaited are closed. Tells when all are
    /// there, and when the first may be closed.
    fn torment(
        address: SocketAddr,
        counts: &[(Sloth, usize)],
        open: impl Fn(Sloth) -> Slow,
        tell: impl Fn(&'static str),
    ) -> Vec<Slow> {
        let mut kinds: Vec<_> = counts
            .iter()
            .flat_map(|&(sloth, count)| (0..count).map(move |n| ((n as f64 + 0.5) / count as f64, sloth)))
            .collect();
        kinds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let begun = Instant::now();
        let soonest = begun + Sloth::Head.limit();
        let mut crowd = Self { slow: Vec::new(), due: VecDeque::new(), address, look: soonest };
        while crowd.slow.len() < kinds.len() {
            let wanted = (begun.elapsed().as_secs_f64() * PACE) as usize;
            while crowd.slow.len() < wanted.min(kinds.len()) {
                let one = open(kinds[crowd.slow.len()].1);
                crowd.due.push_back((one.begun + TRICKLE, crowd.slow.len()));
                crowd.slow.push(one);
            }
            crowd.trickle();
        }
        tell("while they are held");
        while Instant::now() < soonest {
            crowd.trickle();
        }
        tell("while they are closed");
        poll::until(Duration::from_secs(size(25, 60)), "end of every slow client", || {
            crowd.trickle();
            let awaited = |one: &&Slow| one.sloth.is_awaited();
            crowd.slow.iter().filter(awaited).all(|one| one.ended.is_some()).then_some(())
        });
        crowd.slow
    }

    /// Bytes of those whose turn it is, and a look at who is closed.
    fn trickle(&mut self) {
        while let Some((due, one)) = self.due.pop_front_if(|(due, _)| *due <= Instant::now()) {
            self.slow[one].step();
            if self.slow[one].ended.is_none() {
                self.due.push_back((due + TRICKLE, one));
            }
        }
        if self.look <= Instant::now() {
            self.look = Instant::now() + LOOK;
            let held = held(self.address);
            // One that waits to be accepted belongs to no file either.
            let known = |one: &&mut Slow| one.ended.is_none() && one.begun.elapsed() > 2 * TRICKLE;
            let gone = self.slow.iter_mut().filter(known).filter(|one| !held.contains(&one.port));
            gone.for_each(|one| one.ended = Some(one.begun.elapsed()));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Ports of clients whose sockets are open in the process that listens there. What the kernel alone still keeps of a closed
/// one belongs to no file.
fn held(address: SocketAddr) -> HashSet<u16> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |end: &str| u16::from_str_radix(end.split_once(':')?.1, 16).ok();
    let client = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, inode) = (port(fields.next()?)?, port(fields.next()?)?, fields.nth(6)?);
        (local == address.port() && inode != "0").then_some(remote)
    };
    table.lines().filter_map(client).collect()
}

/// Seconds of processor time that the server has taken, for itself and in the kernel.
fn processor(server: &Server) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    // Behind its name, which may hold anything.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

/// A stretch of the drill: what is going on, since when, and what the server had worked until then.
struct Phase {
    what: &'static str,
    from: Instant,
    worked: f64,
}

#[test]
fn slow_clients_are_closed_and_hurt_nobody() {
    let _alone = alone();
    let server = Server::start();
    let app = server.app("Patient");
    let page = server.get("/login").expect(200).text();
    let large = page.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".css"));
    let large = large.expect("pages have a style sheet").to_owned();
    assert!(server.get(&large).expect(200).body.len() > 30_000);
    let counts = [(Sloth::Head, size(400, 5_000)), (Sloth::Body, size(100, 1_000)), (Sloth::Reader, size(50, 1_000))];
    let (address, stop, phases) = (server.address(), AtomicBool::new(false), Mutex::new(Vec::new()));
    let tell = |what| phases.lock().unwrap().push(Phase { what, from: Instant::now(), worked: processor(&server) });
    let (slow, healthy) = thread::scope(|scope| {
        let _stopper = Stop(&stop);
        let client = scope.spawn(|| well(address, &app, || stop.load(Ordering::Relaxed)));
        tell("alone");
        poll::throughout(Duration::from_secs(size(1, 10)), || ());
        tell("while they come");
        let crowd = scope.spawn(|| {
            _ = rustix::process::setpriority_process(None, NICE);
            Crowd::torment(address, &counts, |sloth| Slow::open(sloth, address, &app, &large), tell)
        });
        let slow = crowd.join().unwrap();
        tell("then");
        stop.store(true, Ordering::Relaxed);
        (slow, client.join().unwrap())
    });
    report(&phases.into_inner().unwrap(), &healthy);
    for (sloth, count) in counts {
        let ended: Vec<_> = slow.iter().filter(|one| one.sloth == sloth).filter_map(|one| one.ended).collect();
        let (first, last) = (ended.iter().min(), ended.iter().max());
        println!("{sloth:?}: {} of {count} closed, after {first:?} to {last:?}", ended.len());
        // The goal is two seconds; a machine that is busy with other tests has longer.
        let limit = sloth.limit() + Duration::from_secs(5);
        assert!(last.is_none_or(|last| *last <= limit), "{sloth:?}: only after {last:?}");
        // Nobody is closed who was not slow yet.
        assert!(first.is_none_or(|first| *first >= sloth.limit()), "{first:?}");
    }
    assert!(healthy.len() > 20, "{} requests are no load", healthy.len());
    server.get("/health/ready").expect(200);
}

/// How well the healthy client fared in each phase and beside slow clients in all, and what the server worked.
fn report(phases: &[Phase], healthy: &[(Instant, Duration)]) {
    let times = |phase: &Phase, until: Instant| {
        let within = |(due, _): &&(Instant, Duration)| (phase.from..until).contains(due);
        let mut times: Vec<_> = healthy.iter().filter(within).map(|(_, took)| *took).collect();
        times.sort();
        times
    };
    let p99 = |times: &[Duration]| times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let before = p99(&times(&phases[0], phases[1].from)).as_secs_f64();
    let whole = Phase { what: "beside them in all", ..phases[1] };
    for (phase, next) in phases.iter().zip(&phases[1..]).chain([(&whole, &phases[phases.len() - 1])]) {
        let times = times(phase, next.from);
        let (p99, seconds) = (p99(&times), (next.from - phase.from).as_secs_f64());
        println!(
            "{}, {seconds:.1} s: {} healthy requests, 0 errors, p99 {p99:?} ({:.1} times that alone); the server works {:.0} ms a second",
            phase.what,
            times.len(),
            p99.as_secs_f64() / before,
            (next.worked - phase.worked) * 1_000.0 / seconds
        );
    }
}

/// Ends the healthy client even when the test fails meanwhile.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Events and pages in turn at a fixed beat, each of which must be answered well, until it is over: how long each took from
/// when it was due.
fn well(address: SocketAddr, app: &Credentials, over: impl Fn() -> bool) -> Vec<(Instant, Duration)> {
    let mut took = Vec::new();
    let mut connection = Connection::open(address).unwrap();
    let mut due = Instant::now();
    while !over() {
        let request = match took.len() % 3 {
            0 => app.sdk(&kit::batch(&[kit::event("healthy")])),
            1 => Request::get("/health/live"),
            _ => Request::get("/login"),
        };
        thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.send(&request).unwrap().expect(200);
        took.push((due, due.elapsed()));
        due += BEAT;
        if took.len() % 100 == 0 {
            connection = Connection::open(address).unwrap();
        }
    }
    took
}
