//! What a move shows on a terminal while it goes on.

use std::fs::File;
use std::io::Read;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::*;

/// Takes the cursor's line away.
const CLEAR: &str = "\u{1b}[2K";

#[test]
fn a_terminal_shows_a_bar_that_is_gone_at_the_end() {
    let (mut server, first) = furnished(Backend::Sqlite);
    for seed in 0..5 {
        server.accept(&first, &events(200 + seed, 1_000));
    }
    server.stop();
    let (shown, told) = on_a_terminal(&server, "xterm-256color", "there");
    let drawn: Vec<_> = shown.split(CLEAR).filter(|part| part.contains(" rows, ")).collect();
    let places: Vec<_> = drawn.iter().map(|part| place(part)).collect();
    assert!(places.is_sorted() && places.len() > 3, "{places:?}");
    let all = server.count("SELECT count(*) FROM events");
    let half_way = |part: &&&str| part.contains("=>") && part.contains(" ] ");
    assert!(drawn.iter().any(|part| half_way(&part)), "no bar was ever half full: {drawn:#?}");
    assert!(drawn.iter().any(|part| part.starts_with("copied ")), "it names no table: {drawn:#?}");
    assert!(places.last().is_some_and(|last| *last > all), "it stopped at {places:?}, of more than {all}");
    let left = shown.rsplit(CLEAR).next().unwrap();
    assert!(left.chars().all(|c| !c.is_alphanumeric() || "\u{1b}[1A".contains(c)), "it leaves {left:?} behind");
    assert!(!shown.contains("copied events:"), "it tells lines beside the bar: {shown}");
    assert!(told.contains("holds exactly what the source held") && !told.contains('\u{1b}'), "{told}");
}

#[test]
fn a_terminal_that_can_draw_nothing_is_told_lines() {
    let mut server = launch(Backend::Sqlite).start();
    server.stop();
    let (shown, told) = on_a_terminal(&server, "dumb", "there");
    assert!(shown.contains("copied events: 0 rows, 0 written") && !shown.contains('\u{1b}'), "{shown:?}");
    assert!(told.contains("holds exactly what the source held"), "{told}");
}

/// How many rows a drawing says were read.
#[track_caller]
fn place(drawing: &str) -> i64 {
    let (_, behind) = drawing.split_once("] ").unwrap_or_else(|| panic!("no bar in {drawing:?}"));
    behind.split('/').next().unwrap().replace(',', "").parse().unwrap_or_else(|_| panic!("no place in {drawing:?}"))
}

/// Moves with standard error on a terminal of that kind; all that the terminal got, and standard output.
#[track_caller]
fn on_a_terminal(server: &Server, kind: &str, name: &str) -> (String, String) {
    let there = new_place(server, Backend::Sqlite, name);
    let mut command = server.command(&arguments(&url(server.database()), &url(&there), &[]));
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    tcsetwinsize(&screen, Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let line = ioctl_tiocgptpeer(&screen, flags).unwrap();
    command.env("TERM", kind).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(line);
    let child = command.spawn().unwrap();
    drop(command); // and with it our own hold of the line
    let mut shown = Vec::new();
    // An error is its end: nobody is on the line any more.
    _ = File::from(screen).read_to_end(&mut shown);
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(output.status.success(), "{shown}");
    look::same(server.database(), &there);
    (shown, String::from_utf8(output.stdout).unwrap())
}
