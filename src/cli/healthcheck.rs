//! The verb `healthcheck`: for containers, which have no other program to ask with.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::config::Config;

/// For connecting, for writing and for each read.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the server that this configuration describes for `/health`; an error unless it answers 200.
pub fn run(config: &Config) -> anyhow::Result<()> {
    if config.port == 0 {
        bail!("port 0 means a free one, which cannot be known here: give the server a fixed port");
    }
    let address = SocketAddr::new(reachable(config.host), config.port);
    match ask(address, &config.base_path).with_context(|| format!("the server at {address} does not answer"))? {
        200 => Ok(()),
        status => bail!("the server at {address} is not well: it answered with status {status}"),
    }
}

/// Where a server that listens everywhere can be asked.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

fn ask(address: SocketAddr, base_path: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: a server that answers early and closes must not find half a request unread.
    let request = format!("GET {base_path}/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // `HTTP/1.1 200`: the first twelve bytes say everything.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let status = std::str::from_utf8(&head).ok().and_then(|head| head.strip_prefix("HTTP/1.1 "));
    status.and_then(|status| status.parse().ok()).context("that is no HTTP server")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config::Sources;

    fn check(answer: &'static [u8]) -> (anyhow::Result<()>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer).unwrap();
            String::from_utf8(request).unwrap()
        });
        let flags = [("port", port.to_string()), ("host", "0.0.0.0".to_owned()), ("base_path", "/stats".to_owned())];
        let flags = flags.map(|(key, text)| (key.to_owned(), text)).to_vec();
        let sources = Sources { variables: vec![("HOME".into(), "/h".into())], ..Sources::of_process(flags, None) };
        (run(&Config::load(&sources).unwrap()), server.join().unwrap())
    }

    #[test]
    fn only_status_200_is_well() {
        let (result, request) = check(b"HTTP/1.1 200 OK\r\n\r\nok");
        result.unwrap();
        assert!(request.starts_with("GET /stats/health HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        for answer in [
            &b"HTTP/1.1 503 Service Unavailable\r\n\r\n"[..],
            b"HTTP/1.1 301 Moved\r\n\r\n",
            b"SSH-2.0-OpenSSH",
            b"HTTP/1.1",
        ] {
            assert!(check(answer).0.is_err());
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_not_well() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(free, "").is_err());
    }
}
