//! Point 7: first identifies at once agree, on one server and on two nodes over one database.

use std::collections::BTreeSet;
use std::sync::Barrier;

use super::{Client, Identity, server_with_client};
use crate::harness::backend::{on_both_backends, on_postgres_alone};
use crate::harness::{Backend, Database, Server};

on_both_backends! { first_identifies_at_once_agree }

mod nodes {
    super::on_postgres_alone! { two_nodes_agree }

    fn two_nodes_agree() {
        super::two_nodes_agree();
    }
}

fn first_identifies_at_once_agree(backend: Backend) {
    let (server, _, client) = server_with_client(backend);
    agree(&server, &[&client]);
}

fn two_nodes_agree() {
    let (server, _, client) = server_with_client(Backend::Postgres);
    let second = beside(&server);
    agree(&server, &[&client, &client.on(&second)]);
}

/// Another node over the same database.
fn beside(server: &Server) -> Server {
    let Database::Postgres(database) = server.database() else { panic!("a file has one server") };
    Server::with().database(database.at(database.port())).start_fresh()
}

fn agree(server: &Server, nodes: &[&Client]) {
    for round in 0..3 {
        let (version, build) = (format!("9.{round}.0"), 900 + round);
        let strangers: Vec<_> =
            (0..20).map(|n| nodes[n % nodes.len()].reinstalled().version(&version, build)).collect();
        let greeted = at_once(strangers);
        assert_eq!(distinct(&greeted, |identity| &identity.device), 20);
        assert_eq!(server.count(&format!("SELECT count(*) FROM versions WHERE name = '{version}'")), 1);
        assert_eq!(server.count(&format!("SELECT count(*) FROM builds WHERE number = {build}")), 1);

        let install = nodes[0].reinstalled();
        let same = (0..8).map(|n| nodes[n % nodes.len()].installed_as(&install.device_id));
        let greeted = at_once(same.collect());
        assert_eq!(distinct(&greeted, |identity| &identity.device), 1);
        assert_eq!(distinct(&greeted, |identity| &identity.user), 1);
    }
    assert_eq!(server.count("SELECT count(*) FROM devices"), 3 * 21);
    assert_eq!(server.count("SELECT count(*) FROM profiles"), 3 * 21, "no user was made in vain");
}

/// Each identifies at the same moment.
fn at_once(clients: Vec<Client>) -> Vec<Identity> {
    let start = Barrier::new(clients.len());
    std::thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                scope.spawn(move || {
                    start.wait();
                    client.refresh()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn distinct(greeted: &[Identity], of: impl Fn(&Identity) -> &String) -> usize {
    greeted.iter().map(of).collect::<BTreeSet<_>>().len()
}
