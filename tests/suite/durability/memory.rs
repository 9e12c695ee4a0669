//! Goal R6: the server may have 256 MiB and no more, while it is overloaded, held up and sent bombs.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::load::{Load, Shape};
use super::{flood, oracle};
use crate::harness::http::{Connection, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{PROGRAM, Server, alone, poll, size};

const CEILING: u64 = 256 << 20;
/// How many times as much is sent as the server can take.
const OVERLOAD: f64 = 10.0;
/// Requests of the flood that wait at once.
const CROWD: usize = 3_000;
/// Clients that send nothing but bombs.
const BOMBERS: usize = 16;

/// A limit of memory for one process: of the kernel's making, or watched by the drill.
enum Cage {
    /// A control group, of the first kind or the second.
    Group { folder: PathBuf, kind: Kind },
    /// Where this machine lets us make none.
    Watched,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    First,
    Second,
}

impl Cage {
    fn make() -> Self {
        let name = format!("tallybox-drill-{}", std::process::id());
        let places = [
            (Path::new("/sys/fs/cgroup/memory"), Kind::First, "memory.limit_in_bytes"),
            (Path::new("/sys/fs/cgroup"), Kind::Second, "memory.max"),
        ];
        for (mount, kind, limit) in places {
            let folder = mount.join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let cage = Self::Group { folder: folder.clone(), kind };
            if fs::write(folder.join(limit), CEILING.to_string()).is_ok() {
                // Nor may it lie down elsewhere what it does not need; not every kernel knows these.
                _ = fs::write(folder.join("memory.swap.max"), "0");
                _ = fs::write(folder.join("memory.memsw.limit_in_bytes"), CEILING.to_string());
                return cage;
            }
        }
        println!("NOTE: no control group can be made here: the resident memory is watched instead");
        Self::Watched
    }

    /// The command, to be run inside.
    fn around(&self, plain: &Command, home: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        let enter = match self {
            Self::Group { folder, .. } => format!("echo $$ >{}/cgroup.procs && ", folder.display()),
            Self::Watched => String::new(),
        };
        command.args(["-c", &format!(r#"{enter}exec "$0" "$@""#), PROGRAM]).args(plain.get_args());
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(home).stdin(Stdio::null());
        command
    }

    /// How many processes the kernel has killed in it, and the most memory that was ever held.
    fn verdict(&self, watched: u64) -> (u64, u64) {
        let Self::Group { folder, kind } = self else { return (u64::from(watched > CEILING), watched) };
        let (events, peak) = match kind {
            Kind::First => ("memory.oom_control", "memory.max_usage_in_bytes"),
            Kind::Second => ("memory.events", "memory.peak"),
        };
        let events = fs::read_to_string(folder.join(events)).unwrap();
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill ")).expect("it counts kills");
        let peak = fs::read_to_string(folder.join(peak)).unwrap_or_default();
        (killed.trim().parse().unwrap(), peak.trim().parse().unwrap_or_default())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        if let Self::Group { folder, .. } = self {
            // Its last process has just ended.
            for _ in 0..100 {
                if fs::remove_dir(&*folder).is_ok() {
                    break;
                }
                poll::pause();
            }
        }
    }
}

#[test]
fn a_server_with_256_mib_is_never_killed() {
    let _alone = alone();
    let cage = Cage::make();
    let mut server = Server::with().prepare();
    server.launch_as(cage.around(&server.command(&["serve"]), server.home()));
    server.await_status("/health/ready", 200);
    let app = server.app("Caged");
    let mut load = Load::new(0x7a11_0006, server.home(), &app, Shape { events: 200, padding: 1_000 });
    let (address, stop) = (server.address(), AtomicBool::new(false));
    let (bombs, peak) = (AtomicU64::new(0), AtomicU64::new(0));
    let crowd = unusable(&app).bytes("127.0.0.1");
    let capacity = flood::capacity(address, &crowd);
    let held: Vec<_> = (0..size(500, 5_000)).map(|_| slow(address, &app)).collect();
    let bomb = bomb();
    thread::scope(|scope| {
        for _ in 0..BOMBERS {
            scope.spawn(|| bombard(address, &app, &bomb, &stop, &bombs));
        }
        let flood = scope.spawn(|| flood::flood(address, &crowd, (OVERLOAD * capacity, CROWD), &stop));
        let tally = load.insist(address, |progress| {
            let _stop = Stop(&stop);
            poll::throughout(Duration::from_secs(size(5, 600)), || {
                peak.fetch_max(server.resident_kib() << 10, Ordering::Relaxed);
            });
            progress.await_success(Duration::from_secs(20));
        });
        println!("{} events acknowledged, {} requests refused", tally.acked, tally.refusals.len());
        let washed = flood.join().unwrap();
        println!("{capacity:.0} requests of 100 events a second alone, {OVERLOAD} times that sent: {washed:?}");
        let allowed = |status: &u16| [200, 429, 503].contains(status);
        assert!(washed.answers.keys().all(allowed) && washed.due > 0, "{washed:?}");
    });
    drop(held);
    let (killed, most) = cage.verdict(peak.load(Ordering::Relaxed));
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{killed} kills; {} bombs; {} MiB resident at the most, {} MiB with the kernel's own",
        bombs.load(Ordering::Relaxed),
        mib(peak.load(Ordering::Relaxed)),
        mib(most)
    );
    assert_eq!(killed, 0, "{}", server.log());
    assert!(bombs.load(Ordering::Relaxed) > 0);
    server.await_status("/health/ready", 200);
    load.settle(server.address());
    assert!(server.stop().success());
    oracle::examine(server.database(), &load.ledger).assert_sound();
}

/// Ends the others even when the test fails meanwhile.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection whose body does not come to its end.
fn slow(address: SocketAddr, app: &Credentials) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = app.sdk(b"").header("content-length", "1000000").bytes("127.0.0.1");
    // A server that has enough of them may close it at once.
    _ = stream.write_all(&head).and_then(|()| stream.write_all(&[b' '; 10_000]));
    stream
}

/// A hundred events that are read, set aside and counted, and are none.
fn unusable(app: &Credentials) -> Request {
    let event = || {
        let mut event = kit::event("flood");
        event["schema_version"] = "99.0.0".into();
        event
    };
    let events: Vec<_> = (0..100).map(|_| event()).collect();
    // Good for all of a drill of ten minutes.
    app.guide_form(&kit::batch(&events), kit::now() + 240).header("connection", "close")
}

/// Three hundred megabytes of nothing.
fn bomb() -> Vec<u8> {
    let mut squeezed = GzEncoder::new(Vec::new(), Compression::best());
    let nothing = vec![b' '; 1 << 20];
    for _ in 0..300 {
        squeezed.write_all(&nothing).unwrap();
    }
    squeezed.finish().unwrap()
}

fn bombard(address: SocketAddr, app: &Credentials, bomb: &[u8], stop: &AtomicBool, bombs: &AtomicU64) {
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(700) {
        let request = app.sdk(bomb).header("content-encoding", "gzip");
        let Ok(reply) = Connection::open(address).and_then(|mut connection| connection.send(&request)) else {
            poll::pause();
            continue;
        };
        assert!([413, 429, 503].contains(&reply.status), "{} {}", reply.status, reply.text());
        bombs.fetch_add(1, Ordering::Relaxed);
    }
}
