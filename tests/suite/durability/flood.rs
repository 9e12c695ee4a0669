//! Requests that come at a fixed rate, whatever becomes of those before: what a crowd of apps does to a box.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// After which a client gives up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the rate is that a box can do is looked for.
const TRIAL: Duration = Duration::from_secs(1);

/// What became of a flood.
#[derive(Debug, Default)]
pub struct Washed {
    /// Requests that were due.
    pub due: usize,
    /// Answers, by status.
    pub answers: BTreeMap<u16, usize>,
    /// Connections that were closed or refused, or gave up.
    pub without: usize,
    /// What did not come, since too many waited.
    pub withheld: usize,
}

struct Client {
    stream: TcpStream,
    written: usize,
    begun: Instant,
}

enum Fate {
    Waits,
    Answered(u16),
    Gone,
}

impl Client {
    fn step(&mut self, request: &[u8]) -> Fate {
        while self.written < request.len() {
            match self.stream.write(&request[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break, // an answer may have come before
            }
        }
        let mut head = [0; 64];
        match self.stream.read(&mut head) {
            Ok(read) => {
                let status = std::str::from_utf8(&head[..read]).ok().and_then(|head| head.get(9..12)?.parse().ok());
                status.map_or(Fate::Gone, Fate::Answered)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.begun.elapsed() < PATIENCE => Fate::Waits,
            Err(_) => Fate::Gone,
        }
    }
}

/// Requests a second that a box answers with 200 while four clients send it nothing else.
pub fn capacity(address: SocketAddr, request: &[u8]) -> f64 {
    let until = Instant::now() + TRIAL;
    let one = || {
        let mut answered = 0;
        while Instant::now() < until {
            let mut client = open(address).expect("a box that nobody else asks is reached");
            let fate = loop {
                match client.step(request) {
                    Fate::Waits => thread::sleep(Duration::from_micros(200)),
                    fate => break fate,
                }
            };
            answered += usize::from(matches!(fate, Fate::Answered(200)));
        }
        answered
    };
    let answered: usize = thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|client| client.join().unwrap()).sum()
    });
    answered as f64 / TRIAL.as_secs_f64()
}

/// Sends the same request `rate` times a second until it is stopped, each on a connection of its own.
/// No more than `most` wait at once: what would come beyond them is withheld, and counted.
pub fn flood(address: SocketAddr, request: &[u8], (rate, most): (f64, usize), stop: &AtomicBool) -> Washed {
    let (mut washed, mut waiting, begun) = (Washed::default(), Vec::new(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let due = (begun.elapsed().as_secs_f64() * rate) as usize;
        while washed.due < due {
            washed.due += 1;
            match waiting.len() < most {
                false => washed.withheld += 1,
                true => match open(address) {
                    Some(client) => waiting.push(client),
                    None => washed.without += 1,
                },
            }
        }
        waiting.retain_mut(|client| match client.step(request) {
            Fate::Waits => true,
            Fate::Answered(status) => {
                *washed.answers.entry(status).or_default() += 1;
                false
            }
            Fate::Gone => {
                washed.without += 1;
                false
            }
        });
        thread::sleep(Duration::from_millis(2));
    }
    washed
}

fn open(address: SocketAddr) -> Option<Client> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(Client { stream, written: 0, begun: Instant::now() })
}
