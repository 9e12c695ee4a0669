//! Connections that do nothing but take the places of others.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{Cluster, Database, ROLE};
use crate::harness::poll;

/// What its connections call themselves.
const NAME: &str = "crowd";

/// All the connections that a cluster grants to [`ROLE`]. Dropping it gives them back.
pub struct Crowd {
    connections: Vec<TcpStream>,
}

impl Crowd {
    /// Takes every place, also those that others hold now.
    #[track_caller]
    pub fn fill(cluster: &Cluster, database: &Database) -> Self {
        let mut crowd = Self { connections: Vec::new() };
        // One that ends by itself between the look and the signal is warned of, which is no failure.
        let evict = "SET client_min_messages = error; SELECT count(pg_terminate_backend(pid))";
        let others = "SELECT count(*)";
        let of_others = format!("FROM pg_stat_activity WHERE usename = '{ROLE}' AND application_name <> '{NAME}'");
        // One that is about to be let in holds a place and is in no list yet.
        let places =
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int";
        let places: usize = cluster.psql(places).trim().parse().unwrap();
        poll::until(Duration::from_secs(20), "full house", || {
            cluster.psql(&format!("{evict} {of_others}"));
            while let Ok(connection) = connect(database, NAME) {
                crowd.connections.push(connection);
            }
            let alone = cluster.psql(&format!("{others} {of_others}")).trim() == "0";
            (alone && crowd.connections.len() >= places).then_some(())
        });
        crowd
    }

    /// How many places it took.
    pub fn size(&self) -> usize {
        self.connections.len()
    }
}

/// Says hello as PostgreSQL's protocol has it (version 3.0), and nothing after it.
pub(super) fn connect(database: &Database, name: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", database.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let pairs = ["user", ROLE, "database", database.name(), "application_name", name];
    let mut hello = 196_608_u32.to_be_bytes().to_vec();
    hello.extend(pairs.iter().flat_map(|text| text.bytes().chain([0])).chain([0]));
    let length = u32::try_from(hello.len() + 4).expect("a short greeting");
    stream.write_all(&[&length.to_be_bytes()[..], &hello].concat())?;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) - 4;
        io::copy(&mut (&stream).take(length.into()), &mut io::sink())?;
        match head[0] {
            b'Z' => return Ok(stream), // ready for a query
            b'E' => return Err(ErrorKind::ConnectionRefused.into()),
            _ => {}
        }
    }
}
