//! The stream behind the live page, over real connections.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, PASSWORD, Server, poll};
use crate::pages::hidden;

on_both_backends! {
    an_event_is_told_of_within_a_second,
    a_reader_who_comes_again_hears_only_what_is_new,
    filters_keep_other_events_quiet,
    a_stop_ends_streams_at_once,
}

/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open stream, read line by line.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(server: &Server, path: &str, cookie: &str, heard: Option<&str>) -> Self {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        let heard = heard.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        let host = server.address();
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n{heard}\r\n").unwrap();
        let mut stream = Self(BufReader::new(socket));
        let status = stream.line(PATIENCE).unwrap();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        stream
    }

    /// The next line; `None` at the end of the stream, or where none came within the limit.
    fn line(&mut self, limit: Duration) -> Option<String> {
        self.0.get_ref().set_read_timeout(Some(limit)).unwrap();
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionReset) => {
                None
            }
            Err(e) => panic!("{e}"),
        }
    }

    /// The mark of the next news that comes within the limit.
    fn news(&mut self, limit: Duration) -> Option<String> {
        let begun = Instant::now();
        while let Some(left) = limit.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            if let Some(mark) = self.line(left)?.strip_prefix("data: ") {
                return Some(mark.trim().to_owned());
            }
        }
        None
    }

    /// Waits for the end.
    fn ends_within(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            // A connection that is kept for more says so with an empty piece.
            if self.line(limit).is_none_or(|line| line.trim() == "0") {
                return begun.elapsed() < limit;
            }
        }
        false
    }
}

fn path(app: &Credentials) -> String {
    format!("/apps/{}/live/stream", app.slug)
}

/// Streams that the box counts.
fn counted(server: &Server) -> usize {
    let text = server.get("/metrics").expect(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix("tallybox_live_streams "));
    line.unwrap_or_else(|| panic!("no figure in {text}")).parse().unwrap()
}

fn await_count(server: &Server, count: usize) {
    poll::until(PATIENCE, &format!("{count} streams"), || (counted(server) == count).then_some(()));
}

fn an_event_is_told_of_within_a_second(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Lively");
    server.accept(&app, &[kit::event("first")]);
    let cookie = server.sign_in();
    let mut stream = Stream::open(&server, &path(&app), &cookie, None);
    let mut last = stream.news(PATIENCE).expect("how it is now");
    assert_eq!(counted(&server), 1);
    let mut fastest = Duration::MAX;
    for number in 0..5 {
        server.accept(&app, &[kit::event(&format!("news {number}"))]);
        let sent = Instant::now();
        let mark = stream.news(PATIENCE).expect("news");
        assert_ne!(mark, last);
        fastest = fastest.min(sent.elapsed());
        last = mark;
        let page = server.page(&format!("/apps/{}/live", app.slug), &cookie).expect(200).text();
        assert!(page.contains(&format!("news {number}")), "{page}");
    }
    // The machine may be busy with other tests; once in five times it is not.
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    drop(stream);
    await_count(&server, 0);
}

fn a_reader_who_comes_again_hears_only_what_is_new(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Again");
    server.accept(&app, &[kit::event("first")]);
    let cookie = server.sign_in();
    let now = |heard: Option<&str>| Stream::open(&server, &path(&app), &cookie, heard);
    let mark = now(None).news(PATIENCE).unwrap();
    let page = server.page(&format!("/apps/{}/live", app.slug), &cookie).expect(200).text();
    if page.contains(&format!("data-mark=\"{mark}\"")) {
        // Unless a minute ends meanwhile, which is news.
        let heard = now(Some(&mark)).news(Duration::from_millis(1_500));
        assert!(heard.is_none() || seconds_of_the_minute() < 4, "{heard:?}");
    } else {
        assert!(seconds_of_the_minute() < 4, "the page shows something else than {mark}: {page}");
    }
    server.accept(&app, &[kit::event("meanwhile")]);
    assert_ne!(now(Some(&mark)).news(PATIENCE), Some(mark));
}

fn seconds_of_the_minute() -> i64 {
    kit::now() % 60
}

fn filters_keep_other_events_quiet(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Picky");
    server.accept(&app, &[kit::event("first")]);
    let cookie = server.sign_in();
    // It begins where no minute ends soon, since that is news for everybody.
    poll::until(Duration::from_secs(40), "the middle of a minute", || (seconds_of_the_minute() < 45).then_some(()));
    let mut stream = Stream::open(&server, &format!("{}?event=wanted", path(&app)), &cookie, None);
    stream.news(PATIENCE).unwrap();
    server.accept(&app, &[kit::event("other")]);
    assert_eq!(stream.news(Duration::from_millis(1_500)), None);
    server.accept(&app, &[kit::event("wanted")]);
    assert!(stream.news(PATIENCE).is_some());
}

fn a_stop_ends_streams_at_once(backend: Backend) {
    let mut server = Server::over(backend);
    let app = server.app("Stopping");
    server.accept(&app, &[kit::event("first")]);
    let cookie = server.sign_in();
    let mut streams: Vec<_> = (0..5).map(|_| Stream::open(&server, &path(&app), &cookie, None)).collect();
    for stream in &mut streams {
        stream.news(PATIENCE).unwrap();
    }
    let begun = Instant::now();
    assert!(server.stop().success());
    let took = begun.elapsed();
    println!("stopped after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(streams.iter_mut().all(|stream| stream.ends_within(PATIENCE)));
}

#[test]
fn a_login_has_eight_streams_at_the_most_and_they_end_with_it() {
    let server = Server::start();
    let app = server.app("Crowded");
    server.accept(&app, &[kit::event("first")]);
    let cookie = server.sign_in();
    let streams: Vec<_> = (0..8).map(|_| Stream::open(&server, &path(&app), &cookie, None)).collect();
    assert_eq!(counted(&server), 8);
    let refused = server.page(&path(&app), &cookie).expect(503);
    assert!(refused.header("retry-after").is_some() && refused.text().starts_with("Too many pages"), "{refused:?}");
    // Another login has its own, and so does the page itself.
    server.run_with(&["member", "create", "viewer@example.org", "--role", "viewer"], &format!("{PASSWORD}\n"));
    let form = Request::form("/login", &[("name", "viewer@example.org"), ("password", PASSWORD)]);
    let viewer = server.send(&form).expect(303).cookie().unwrap();
    let mut other = Stream::open(&server, &path(&app), &viewer, None);
    server.page(&format!("/apps/{}/live", app.slug), &cookie).expect(200);
    drop(streams);
    await_count(&server, 1);
    let csrf = hidden(&server.page("/apps", &viewer).expect(200).text(), "csrf");
    let form = Request::form("/logout", &[("csrf", &csrf)]);
    server.send(&form.header("cookie", &viewer)).expect(303);
    assert!(other.ends_within(Duration::from_secs(30)), "it goes on without its login");
    await_count(&server, 0);
}
