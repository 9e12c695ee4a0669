//! Destinations that others write to: that have taken events of their own, or that another move is at work in.

use std::io::Read;
use std::process::{Child, ChildStderr};
use std::sync::Barrier;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

on_both_backends! {
    a_destination_that_has_taken_events_of_its_own_is_refused,
    a_destination_that_has_taken_the_first_events_is_refused,
    a_second_move_into_the_same_destination_is_refused,
    of_two_sources_that_move_to_one_place_at_once_only_one_does,
}

/// What the second of two moves is told.
const IN_USE: [&str; 2] = ["another move writes to it", "let another move come to its end"];

/// Events of the last hour.
fn recent(seed: u64, count: u64) -> Vec<Value> {
    let mut random = Random::seeded(seed);
    let event = |_| kit::event_of(random.uuid(), Timestamp::now() - SignedDuration::from_mins(30), "own");
    (0..count).map(event).collect()
}

fn a_destination_that_has_taken_events_of_its_own_is_refused(backend: Backend) {
    let (mut server, first) = furnished(backend);
    let copy = copied_and_served(&mut server, other(backend), |copy| copy.accept(&first, &recent(9, 10)));
    assert_refused_for_its_events(&server, &copy, "it has taken events that the source does not have");
    // By counts alone this looks like a copy that is merely old.
    server.restart();
    server.accept(&first, &recent(10, 500));
    server.stop();
    assert_refused_for_its_events(&server, &copy, "it has taken events that the source does not have");
    let output = try_move(&server, server.database(), &copy, &["--overwrite"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    look::same(server.database(), &copy);
}

fn a_destination_that_has_taken_the_first_events_is_refused(backend: Backend) {
    let mut server = launch(backend).start();
    let app = server.app("First");
    let copy = copied_and_served(&mut server, other(backend), |copy| copy.accept(&app, &recent(11, 1)));
    assert_refused_for_its_events(&server, &copy, "it has taken events, and the source has taken none");
}

/// Stops a box, and lets a copy of it do something as a server; the copy, stopped as well.
fn copied_and_served(from: &mut Server, kind: Backend, serving: impl FnOnce(&Server)) -> Database {
    from.stop();
    let copy = new_place(from, kind, "copy");
    moved(from, from.database(), &copy);
    let same = match &copy {
        Database::Sqlite(path) => Database::Sqlite(path.clone()),
        Database::Postgres(database) => Database::Postgres(database.at(database.port())),
    };
    let mut served = serve(same);
    serving(&served);
    served.stop();
    copy
}

#[track_caller]
fn assert_refused_for_its_events(server: &Server, there: &Database, why: &str) {
    let before = look::all(there);
    let output = try_move(server, server.database(), there, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{why}. Nothing was changed.")), "{said}");
    assert_eq!(look::all(there), before, "a destination was written that was refused");
}

fn a_second_move_into_the_same_destination_is_refused(backend: Backend) {
    let (mut server, _) = furnished(backend);
    server.stop();
    let there = new_place(&server, other(backend), "there");
    let first = Halted::at(&server, &there, "copied sessions");
    // From the same source, which is no stranger to the destination.
    let output = try_move(&server, server.database(), &there, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(IN_USE.iter().any(|why| said.contains(why)) && !said.contains("copied"), "{said}");
    first.finish();
    look::same(server.database(), &there);
    assert_eq!(copied(&moved(&server, server.database(), &there)), 0, "a second move later had something to copy");
}

fn of_two_sources_that_move_to_one_place_at_once_only_one_does(backend: Backend) {
    let sources = [furnished(backend), furnished(backend)].map(|(mut server, _)| {
        server.stop();
        server
    });
    for round in 0..2 {
        let there = new_place(&sources[0], other(backend), &format!("there {round}"));
        let start = Barrier::new(2);
        let outputs = thread::scope(|scope| {
            let moves = sources.each_ref().map(|server| {
                let (start, there) = (&start, &there);
                scope.spawn(move || {
                    start.wait();
                    try_move(server, server.database(), there, &[])
                })
            });
            moves.map(|one| one.join().unwrap())
        });
        let said = outputs.each_ref().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
        let won = outputs.iter().position(|output| output.status.success());
        let won = won.unwrap_or_else(|| panic!("neither came to its end: {said:#?}"));
        let lost = &said[1 - won];
        assert!(!outputs[1 - won].status.success(), "both came to their end");
        // It may also have come too late, and found what is no copy of its own.
        assert!(lost.contains("is no copy of") || IN_USE.iter().any(|why| lost.contains(why)), "{lost}");
        look::same(sources[won].database(), &there);
    }
}

/// A move in a process of its own that was stopped half-way, with all that it holds.
struct Halted {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Halted {
    #[track_caller]
    fn at(server: &Server, to: &Database, line: &str) -> Self {
        let (from, to) = (url(server.database()), url(to));
        let mut command = server.command(&arguments(&from, &to, &[]));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.starts_with(line) {
            said.clear();
            assert!(lines.read_line(&mut said).unwrap() > 0, "it never said {line}");
        }
        let halted = Self { child, lines };
        halted.signal(Signal::STOP);
        halted
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Lets it go on to its end, which must be a good one.
    #[track_caller]
    fn finish(mut self) {
        self.signal(Signal::CONT);
        let mut said = String::new();
        self.lines.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
    }
}
