//! PostgreSQL: killed during a statement that changes the schema, which an event trigger holds for as long as it takes.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::{Steps, spread};
use crate::harness::random::Random;
use crate::harness::{Backend, Database, Server, poll, postgres};

const POINTS: u64 = 8;
/// At how many of the steps between a migration's last statement and its commit it is killed, beside the first and the last.
const NOTES: u64 = 4;
const SEED: u64 = 0x7a11_0122;
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts the statements that change the schema, each note that one is done, and the commit of each note; holds the one
/// whose number stands in `gate.held`. What they are stands in `gate.seen`, where they come to their end.
const GATE: &str = "
    CREATE SCHEMA gate;
    CREATE TABLE gate.held (number bigint);
    INSERT INTO gate.held VALUES (0);
    CREATE TABLE gate.seen (number bigint, what text);
    CREATE SEQUENCE gate.numbers;
    CREATE FUNCTION gate.pass(what text) RETURNS void SECURITY DEFINER LANGUAGE plpgsql AS $$
    DECLARE mine bigint := nextval('gate.numbers');
    BEGIN
        INSERT INTO gate.seen VALUES (mine, what);
        WHILE mine = (SELECT number FROM gate.held) LOOP PERFORM pg_sleep(0.005); END LOOP;
    END $$;
    CREATE FUNCTION gate.statement() RETURNS event_trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
    BEGIN PERFORM gate.pass(tg_tag); END $$;
    CREATE FUNCTION gate.note() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
    BEGIN PERFORM gate.pass(tg_name); RETURN NEW; END $$;
    CREATE FUNCTION gate.watch_notes() RETURNS event_trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('public.migrations')) THEN
            CREATE TRIGGER note BEFORE INSERT ON migrations FOR EACH ROW EXECUTE FUNCTION gate.note();
            CREATE CONSTRAINT TRIGGER commit AFTER INSERT ON migrations DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION gate.note();
        END IF;
    END $$;
    CREATE EVENT TRIGGER statement ON ddl_command_start EXECUTE FUNCTION gate.statement();
    CREATE EVENT TRIGGER watch_notes ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
        EXECUTE FUNCTION gate.watch_notes()";

/// Connections of the box.
const OTHERS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND usename = 'tallybox'";

#[test]
fn a_start_killed_while_it_migrates_leaves_the_old_schema_or_the_new_one() {
    let home = tempfile::tempdir().unwrap();
    let steps = Steps::to_newest(Backend::Postgres, home.path());
    let (mut random, mut old) = (Random::seeded(SEED), 0);
    let points = points(&mut random);
    println!("seed {SEED}: killed at {points:?}");
    for (number, point) in points.iter().enumerate() {
        let (mut server, gate) = gated();
        gate.hold(*point);
        kill_at(&server, &gate, *point);
        if number % 2 == 0 {
            // Its server does not know yet that nobody listens, and goes on to the end of what it was sent.
            gate.hold(0);
            poll::until(PATIENCE, "end of the orphan", || (gate.connections("") == 0).then_some(()));
            old += usize::from(steps.assert_one_of_them(server.database()) < steps.0.len() - 1);
            steps.assert_start_completes(&mut server);
        } else {
            // The next start comes while the orphan is still at it.
            thread::scope(|scope| {
                scope.spawn(|| {
                    let waits = || (gate.connections("AND wait_event_type = 'Lock'") == 1).then_some(());
                    poll::until(PATIENCE, "start that waits for the orphan", waits);
                    gate.hold(0);
                });
                steps.assert_start_completes(&mut server);
            });
        }
        assert_eq!(server.database().damage(), "", "killed at {point}");
    }
    println!("{old} kills left the old schema");
    assert!(old > 0, "no kill came before the end of a migration");
}

/// Where it is killed: here and there, and at some of the steps between a migration's last statement and its commit.
fn points(random: &mut Random) -> Vec<u64> {
    let (server, gate) = gated();
    server.run(&["app", "list"]);
    let mut points = spread(gate.reached(), POINTS, random);
    let notes = gate.0.sql("SELECT number FROM gate.seen WHERE what IN ('note', 'commit') ORDER BY number");
    let notes: Vec<u64> = notes.lines().map(|number| number.parse().unwrap()).collect();
    assert!(notes.len() >= 2, "the notes went past the gate");
    points.extend(spread(notes.len() as u64, NOTES, random).into_iter().map(|nth| notes[nth as usize - 1]));
    points.sort_unstable();
    points.dedup();
    points
}

/// A box that was never started, and the gate of its database.
fn gated() -> (Server, Gate) {
    let server = Server::with().backend(Backend::Postgres).prepare();
    server.database().alter(GATE);
    let Database::Postgres(database) = server.database() else { panic!("it was given one") };
    let gate = Gate(database.at(database.port()));
    (server, gate)
}

/// What holds statements, as the superuser sees it.
struct Gate(postgres::Database);

impl Gate {
    /// Holds what has that number when it comes; 0 holds nothing, and lets go of what is held.
    fn hold(&self, number: u64) {
        self.0.try_psql(&format!("UPDATE gate.held SET number = {number}")).unwrap();
    }

    /// How many have come so far.
    fn reached(&self) -> u64 {
        self.0.sql("SELECT last_value FROM gate.numbers").trim().parse().unwrap()
    }

    /// How many connections of the box there are that fulfil a condition.
    fn connections(&self, condition: &str) -> u64 {
        self.0.sql(&format!("SELECT count(*) {OTHERS} {condition}")).trim().parse().unwrap()
    }
}

/// Lets a verb migrate until the gate holds what has that number, and kills it there.
#[track_caller]
fn kill_at(server: &Server, gate: &Gate, number: u64) {
    let mut command = server.command(&["app", "list"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let held = "AND wait_event = 'PgSleep'";
    poll::until(PATIENCE, &format!("statement {number} that is held"), || {
        (gate.reached() == number && gate.connections(held) == 1).then_some(())
    });
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended before it was killed at {number}");
}
