//! The verbs `query` and `tail`, run as programs against a server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::harness::poll;

/// For a line of a program that looks once a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// A verb that asks the server.
fn verb(server: &Server, token: &str, arguments: &[&str]) -> Command {
    let mut command = server.command(arguments);
    command.env("TALLYBOX_URL", server.url()).env("TALLYBOX_TOKEN", token).stdin(Stdio::null());
    command
}

#[track_caller]
fn told(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn query_prints_rows_for_programs() {
    let server = Server::start();
    let app = server.app("Asked");
    let token = server.token(&[&app.slug]);
    server.accept(&app, &[("1.0", "ana"), ("2.0", "ben"), ("2.0", "ana")].map(|(v, u)| of_version(v, u, "saved")));
    let ask = |arguments: &[&str]| told(verb(&server, &token, &[&["query"], arguments].concat()).output().unwrap());
    assert_eq!(
        ask(&["events", "error_rate", "--by", "version", "--range", "7d"]),
        "version\tevents\terror_rate\n2.0\t2\t0.0\n1.0\t1\t0.0\n"
    );
    assert_eq!(ask(&["events", "--by=version", "--where", "version!=1.0"]), "version\tevents\n2.0\t2\n");
    assert_eq!(
        ask(&["events", "--by=version", "--where=version=1.0", "--where=version=2.0", "--limit=1"]),
        "version\tevents\n2.0\t2\n"
    );
    let days = ask(&["events", "users", "--range", "28d", "--every", "week"]);
    let events: Vec<i64> = days.lines().skip(1).map(|line| line.split('\t').nth(1).unwrap().parse().unwrap()).collect();
    assert!(days.starts_with("from\tevents\tusers\n") && (4..=5).contains(&events.len()), "{days}");
    assert_eq!(events.iter().sum::<i64>(), 3, "{days}");
    assert_eq!(ask(&["events", "--by=event", "--env", "staging"]), "event\tevents\n");
    let whole: Value = serde_json::from_str(&ask(&["events", "--from", "2026-01-01", "--to", "2026-01-02", "--json"]))
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((&whole["range"], &whole["by"]), (&"custom".into(), &"hour".into()), "{whole}");

    // A token for one app names it; one for several does not.
    server.app("Second");
    let all = server.token(&["--all-apps"]);
    let output = verb(&server, &all, &["query", "events"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--app: asked, second"), "{said}");
    told(verb(&server, &all, &["query", "events", "--app", "asked"]).output().unwrap());
}

#[test]
fn what_is_wrong_is_said_and_the_verb_fails() {
    let server = Server::start();
    let app = server.app("Wrong");
    let token = server.token(&[&app.slug]);
    let file = server.home().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let file = file.to_str().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = format!("http://{free}");
    let other = format!("{}/other", server.url());
    for (token, arguments, expected) in [
        (token.as_str(), &["query", "happiness"][..], "metric: A metric is one of events"),
        (&token, &["query", "events", "--by", "colour"], "dimension: A dimension is one of event"),
        (&token, &["query", "events", "--where", "colour=red"], "colour: There is no such parameter."),
        (&token, &["query", "events", "--where", "colour"], "a condition is written like"),
        (&token, &["query", "events", "--app", "else"], "The token is not for this app."),
        (&token, &["tail", "--where", "colour=red"], "colour: There is no such parameter."),
        (&token, &["query", "events", "--url", &nowhere], "does not answer"),
        (&token, &["tail", "--url", &nowhere], "does not answer"),
        (&token, &["query", "events", "--url", &other], "status 404; is the address right?"),
        (&token, &["query", "events", "--url", "ftp://x"], "begins with http:// or https://"),
        (&token, &["query", "events", "--url", "http://me@x"], "has no user"),
        ("tb_wrong", &["query", "events"], "The token is unknown"),
        ("a\nb", &["query", "events"], "the token is none"),
        ("", &["query", "events"], "tallybox token create"),
        ("", &["query", "events", "--token-file", "/nowhere"], "cannot be read"),
    ] {
        let output = verb(&server, token, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && (token.len() < 60 || !said.contains(token)), "{arguments:?}: {said}");
    }
    told(verb(&server, "", &["query", "events", "--token-file", file]).output().unwrap());
    let url = format!("{}/", server.url());
    told(verb(&server, &token, &["query", "events", "--url", &url]).output().unwrap());
}

/// A program whose lines are read as they come.
struct Follower {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Follower {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn tail_shows_each_event_as_it_comes() {
    let mut server = Server::start();
    let app = server.app("Followed");
    let token = server.token(&[&app.slug]);
    server.accept(&app, &[of_version("1.0", "ana", "before"), of_version("1.0", "ana", "other")]);
    let all = Follower::start(verb(&server, &token, &["tail", "--lines", "1"]));
    let json = Follower::start(verb(&server, &token, &["tail", "--json", "--where=event=saved", "--where=version!=9"]));
    let newest = all.line();
    assert!(newest.contains("\tbefore\t") || newest.contains("\tother\t"), "{newest}");
    for n in 0..3 {
        server.accept(&app, &[of_version("1.0", "ana", "saved"), of_version("9", "ana", "saved")]);
        let [one, two] = [all.line(), all.line()];
        assert!(one.contains("\tsaved\t") && two.contains("\tsaved\t"), "{n}: {one}\n{two}");
        let event: Value = serde_json::from_str(&json.line()).unwrap();
        assert_eq!((&event["name"], &event["version"]), (&"saved".into(), &"1.0".into()), "{event}");
    }
    // A server that comes again is followed again.
    server.stop();
    server.restart();
    server.accept(&app, &[of_version("2.0", "ben", "after")]);
    let line = all.line();
    let cells: Vec<&str> = line.split('\t').collect();
    assert_eq!((cells.len(), cells[1], cells[3], cells[4]), (6, "after", "2.0", "linux"), "{line}");
    assert!(cells[5].starts_with('{') && cells[0].parse::<jiff::Timestamp>().is_ok(), "{line}");
    assert!(all.lines.try_recv().is_err(), "something is shown twice");
    // A token that is taken back ends it.
    server.run(&["token", "revoke", "1"]);
    let mut json = json;
    let status = poll::until(PATIENCE, "end of tail", || json.child.try_wait().unwrap());
    let mut said = String::new();
    json.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!status.success() && said.contains("The token is unknown"), "{said}");
}

#[test]
fn tail_ends_in_good_order_when_nobody_reads() {
    let server = Server::start();
    let app = server.app("Unread");
    let token = server.token(&[&app.slug]);
    server.accept(&app, &[kit::event("one")]);
    let mut child = verb(&server, &token, &["tail"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    server.accept(&app, &[kit::event("two")]);
    assert!(poll::until(PATIENCE, "end of tail", || child.try_wait().unwrap()).success());
}

/// A certificate for `localhost`, and its key.
fn certificate(server: &Server, name: &str) -> [String; 2] {
    let path = |kind: &str| server.home().join(format!("{name}.{kind}")).to_str().unwrap().to_owned();
    let [certificate, key] = ["crt", "key"].map(path);
    let options = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let names = ["-subj", "/CN=box", "-addext", "subjectAltName=DNS:localhost"];
    let mut openssl = Command::new("openssl");
    openssl.args(options).args(names).args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    let output = openssl.args(["-out", &certificate, "-keyout", &key]).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    [certificate, key]
}

#[test]
fn https_is_spoken_to_a_server_that_is_trusted_and_to_no_other() {
    let server = Server::start();
    let app = server.app("Encrypted");
    let token = server.token(&[&app.slug]);
    let [[certificate, key], [other, _]] = ["box", "other"].map(|name| certificate(&server, name));
    let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(&key).unwrap());
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let address = server.address();
    // A proxy that does TLS, one request at a time.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut session = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::Stream::new(&mut session, &mut stream);
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && tls.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let Ok(mut inside) = std::net::TcpStream::connect(address) else { return };
            let head = String::from_utf8(head).unwrap().replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
            let mut answer = Vec::new();
            if !head.is_empty() && inside.write_all(head.as_bytes()).is_ok() {
                _ = inside.read_to_end(&mut answer);
                _ = tls.write_all(&answer);
            }
            tls.conn.send_close_notify();
            _ = tls.flush();
        }
    });
    let ask = |trusted: &str, url: &str| {
        let mut command = verb(&server, &token, &["query", "events", "--by", "event", "--url", url]);
        command.env("SSL_CERT_FILE", trusted).output().unwrap()
    };
    assert_eq!(told(ask(&certificate, &url)), "event\tevents\n");
    for (trusted, url) in [(&other, &url), (&certificate, &url.replace("localhost", "127.0.0.1"))] {
        let output = ask(trusted, url);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("certificate"), "{said}");
    }
}

#[test]
fn a_terminal_gets_aligned_columns() {
    let server = Server::start();
    let app = server.app("Looked at");
    let token = server.token(&[&app.slug]);
    server.accept(&app, &[of_version("1.0", "ana", "a\u{1b}[2Jb"), of_version("1.0", "ana", "longer_name")]);
    let shown =
        crate::harness::terminal::shown(verb(&server, &token, &["query", "events", "error_rate", "--by=event"]));
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "event        events  error_rate", "{shown}");
    assert!(lines[1..].iter().all(|line| line.ends_with("     1       0.00%")), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
