//! Moving house: copies everything from one database to another while the source goes on, and proves it.

mod account;
mod accounts;
mod devices;
mod guard;
mod house;
mod limits;
mod pass;
mod print;
mod sign_in;
mod tables;

use std::path::PathBuf;

use super::StoreError;
use super::postgres::{PostgresHouse, PostgresOptions};
use super::sqlite::SqliteHouse;
use crate::clock::{Clock, Stopwatch};
use pass::{Pass, Sides};

pub use account::{Account, TableAccount};
pub(in crate::store) use house::{CHUNK, House, Purpose};
pub(in crate::store) use tables::{Kind, Table, all};

/// What the destination makes by itself of all others: not moved, and taken out where a move writes.
const DERIVED: [&str; 9] = [
    "settled_days",
    "settled_events",
    "settled_columns",
    "settled_late",
    "settled_counts",
    "settled_sets",
    "settled_sessions",
    "settled_lengths",
    "settled_changes",
];

/// Where a database is.
#[derive(Clone, Debug)]
pub enum Place {
    /// This file.
    Sqlite(PathBuf),
    /// There.
    Postgres(Box<PostgresOptions>),
}

/// What becomes of a destination that is no copy of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The move is refused, and nothing is changed.
    Refuse,
    /// All that it holds is thrown away first.
    Overwrite,
}

/// What a move tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// About how many rows will be read in all.
    Begin {
        /// In both passes.
        rows: u64,
    },
    /// So many more rows of the source were read.
    Rows(u64),
    /// A table is done in a pass.
    Table {
        /// Which pass: copying, or comparing with one moment.
        pass: Stage,
        /// Its name.
        name: &'static str,
        /// How many rows the source has of it.
        rows: u64,
        /// How many of them were written.
        copied: u64,
    },
}

/// The two passes over all tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Each stretch as it is when it is come to.
    Copy,
    /// Everything as it was at one moment.
    Compare,
}

/// Why a move did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The destination may not be written; why, in a sentence. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The source could not be read.
    #[error("the source: {0}")]
    Source(StoreError),
    /// The destination could not be written or read.
    #[error("the destination: {0}")]
    Destination(StoreError),
}

/// Short for a result of a move.
pub type Result<T> = std::result::Result<T, MoveError>;

/// Copies all rows with their ids, so that the destination is what the source was at the moment that the account
/// tells. What a killed or failed move has done is kept: the next one compares, and copies the rest.
///
/// The source is never written, and may be served meanwhile; the destination may not. Blocks until it is done.
pub fn run(from: &Place, to: &Place, foreign: Foreign, watch: &mut dyn FnMut(Progress)) -> Result<Account> {
    let started = Stopwatch::start();
    let mut source = open_source(from).map_err(MoveError::Source)?;
    if let (Place::Sqlite(from), Place::Sqlite(to)) = (from, to)
        && to.canonicalize().is_ok_and(|to| from.canonicalize().is_ok_and(|from| from == to))
    {
        return Err(MoveError::Refused("the source and the destination are the same file".to_owned()));
    }
    let mut destination = open_destination(to).map_err(MoveError::Destination)?;
    if source.identity().map_err(MoveError::Source)? == destination.identity().map_err(MoveError::Destination)? {
        return Err(MoveError::Refused("the source and the destination are the same database".to_owned()));
    }
    match (guard::check(&*source, &*destination), foreign) {
        (Err(MoveError::Refused(_)), Foreign::Overwrite) => destination.empty().map_err(MoveError::Destination)?,
        (checked, _) => checked?,
    }

    unsettle(&*destination).map_err(MoveError::Destination)?;
    let mut account = Account::new(source.engine(), destination.engine());
    // For a bar alone: where counting takes too long for the server's taste, there is none.
    watch(Progress::Begin { rows: 2 * pass::count(&*source).unwrap_or(0) });
    let sides = Sides { source: &mut *source, destination: &mut *destination };
    Pass::new(Stage::Copy, sides, watch).run(&mut account)?;
    destination.settle().map_err(MoveError::Destination)?;

    source.begin(Purpose::Read).map_err(MoveError::Source)?;
    account.moment = Clock::system().now();
    let sides = Sides { source: &mut *source, destination: &mut *destination };
    let compared = Pass::new(Stage::Compare, sides, watch).run(&mut account);
    source.rollback();
    compared?;
    unsettle(&*destination).map_err(MoveError::Destination)?;
    destination.settle().map_err(MoveError::Destination)?;
    account.took = started.elapsed();
    Ok(account)
}

/// Takes out what a destination has made of its rows, which change. Before, since it would be wrong from the first row that
/// is written on; and behind, should somebody have served it all the same.
fn unsettle(destination: &dyn House) -> super::Result<()> {
    destination.begin(Purpose::Write)?;
    for table in DERIVED {
        destination.run(&["DELETE FROM ", table].concat(), &[])?;
    }
    destination.commit()
}

fn open_source(place: &Place) -> super::Result<Box<dyn House>> {
    Ok(match place {
        Place::Sqlite(path) => Box::new(SqliteHouse::source(path)?),
        Place::Postgres(options) => Box::new(PostgresHouse::source(options)?),
    })
}

fn open_destination(place: &Place) -> super::Result<Box<dyn House>> {
    Ok(match place {
        Place::Sqlite(path) => Box::new(SqliteHouse::destination(path)?),
        Place::Postgres(options) => Box::new(PostgresHouse::destination(options)?),
    })
}
