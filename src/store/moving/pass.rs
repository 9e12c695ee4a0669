//! One pass over all tables: stretch by stretch, what differs is written anew.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;

use super::account::{Account, Checksum, is_summary};
use super::house::{House, Purpose};
use super::print::{self, Print, Tally};
use super::tables::{self, DIRECTORY, Stretch, Table};
use super::{MoveError, Progress, Result, Stage};
use crate::clock::Clock;
use crate::model::Millis;
use crate::store::sql::Row;
use crate::store::{self, StoreError};

/// About how many rows are written in a transaction; a unit that has more is written in one all the same.
const STRETCH: u64 = 50_000;

/// Events claimed to be older than this, or newer than [`AHEAD`], get no partitions of their own.
const BEHIND: i64 = 10 * 366 * Millis::DAY;
/// See [`BEHIND`].
const AHEAD: i64 = 92 * Millis::DAY;

/// Chunks that wait for the destination, at the most.
const WAITING: usize = 2;

/// The two databases.
pub(super) struct Sides<'m> {
    pub(super) source: &'m mut dyn House,
    pub(super) destination: &'m mut dyn House,
}

pub(super) struct Pass<'m> {
    stage: Stage,
    sides: Sides<'m>,
    watch: &'m mut dyn FnMut(Progress),
}

/// What is known of a table so far.
#[derive(Default)]
struct Sum {
    rows: u64,
    copied: u64,
    bytes: u64,
    checksum: Checksum,
    found: Checksum,
    differing: Vec<String>,
    days: BTreeSet<(i64, i64)>,
}

/// Rows of all tables, for a bar.
pub(super) fn count(source: &dyn House) -> store::Result<u64> {
    let mut rows = 0;
    for table in tables::bulk() {
        let count = source.value(&format!("SELECT count(*) FROM {}", table.name), &[])?;
        rows += u64::try_from(count.int()).unwrap_or(0);
    }
    Ok(rows)
}

impl<'m> Pass<'m> {
    pub(super) fn new(stage: Stage, sides: Sides<'m>, watch: &'m mut dyn FnMut(Progress)) -> Self {
        Self { stage, sides, watch }
    }

    /// Goes over all tables. In the comparing stage the source is in a transaction already.
    pub(super) fn run(mut self, account: &mut Account) -> Result<()> {
        self.directory(account)?;
        for table in tables::bulk() {
            if table.name == "events" && self.stage == Stage::Copy {
                self.begin_source()?;
                let months = self.months(table)?;
                self.end_source();
                self.sides.destination.prepare_months(&months).map_err(MoveError::Destination)?;
            }
            let sum = self.table(table)?;
            self.close(table, sum, account);
        }
        Ok(())
    }

    /// The small tables that refer to each other: where one differs, all are written anew.
    fn directory(&mut self, account: &mut Account) -> Result<()> {
        self.begin_source()?;
        let mut prints = Vec::new();
        for table in &DIRECTORY {
            prints.push(self.prints(table, &table.whole())?);
        }
        let differs = prints.iter().any(|(mine, theirs)| mine != theirs);
        let mut sums: Vec<Sum> = DIRECTORY.iter().map(|_| Sum::default()).collect();
        if differs {
            let destination = &*self.sides.destination;
            destination.begin(Purpose::Write).map_err(MoveError::Destination)?;
            for table in DIRECTORY.iter().rev() {
                let sql = format!("DELETE FROM {}", table.name);
                destination.run(&sql, &[]).map_err(MoveError::Destination)?;
            }
            for (table, sum) in DIRECTORY.iter().zip(&mut sums) {
                self.transfer(table, &table.whole(), sum)?;
            }
            self.sides.destination.commit().map_err(MoveError::Destination)?;
        }
        self.end_source();
        for ((table, mut sum), (mine, theirs)) in DIRECTORY.iter().zip(sums).zip(prints) {
            let theirs = if differs { self.read_back(table, &table.whole())? } else { theirs };
            sum.note(table, &table.whole(), (&mine, &theirs));
            self.close(table, sum, account);
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<Sum> {
        let mut sum = Sum::default();
        let empty = format!("SELECT 1 FROM {} LIMIT 1", table.name);
        let empty = self.sides.destination.row(&empty, &[]).map_err(MoveError::Destination)?.is_none();
        // Where there is nothing to compare with, the comparing pass will do it.
        let fresh = empty && self.stage == Stage::Copy;
        let mut at = Some(vec![i64::MIN; table.prefix + 1]);
        while let Some(place) = at {
            self.begin_source()?;
            let next = self.next(table, &place, fresh)?;
            if let Some((stretch, vacant)) = &next {
                self.stretch(table, stretch, *vacant, &mut sum)?;
            }
            self.end_source();
            at = next.and_then(|(stretch, _)| behind(&stretch));
        }
        Ok(sum)
    }

    /// The next stretch in which either side has rows, and whether only the source has.
    fn next(&self, table: &Table, at: &[i64], fresh: bool) -> Result<Option<(Stretch, Vacant)>> {
        let mine = place(self.sides.source, table, at).map_err(MoveError::Source)?;
        let theirs = if fresh { None } else { self.place_there(table, at)? };
        let Some(start) = mine.iter().chain(&theirs).min() else { return Ok(None) };
        let (prefix, value) = (start[..table.prefix].to_vec(), start[table.prefix]);
        let unit = table.unit(value);
        let mut stretch = Stretch { prefix, from: table.first(unit), to: i64::MAX };
        let (sql, params) = table.ahead(&stretch, STRETCH);
        if let Some(row) = self.sides.source.row(&sql, &params).map_err(MoveError::Source)? {
            let far = table.unit(row.int(0));
            stretch.to = table.last(if far > unit { far - 1 } else { far });
        }
        let end = [&stretch.prefix[..], &[stretch.to]].concat();
        let vacant = if theirs.is_none_or(|theirs| theirs > end) { Vacant::Yes } else { Vacant::No };
        Ok(Some((stretch, vacant)))
    }

    fn place_there(&self, table: &Table, at: &[i64]) -> Result<Option<Vec<i64>>> {
        let destination = &*self.sides.destination;
        let found = (|| {
            destination.begin(Purpose::Read)?;
            let found = place(destination, table, at)?;
            destination.commit()?;
            Ok(found)
        })();
        found.map_err(MoveError::Destination)
    }

    fn stretch(&mut self, table: &Table, stretch: &Stretch, vacant: Vacant, sum: &mut Sum) -> Result<()> {
        if self.stage == Stage::Copy && vacant == Vacant::Yes {
            self.sides.destination.begin(Purpose::Write).map_err(MoveError::Destination)?;
            let mine = self.transfer(table, stretch, sum)?;
            self.sides.destination.commit().map_err(MoveError::Destination)?;
            sum.rows += rows(&mine);
            return Ok(());
        }
        let (mine, mut theirs) = self.prints(table, stretch)?;
        let runs = print::differing(&mine, &theirs);
        if !runs.is_empty() {
            self.sides.destination.begin(Purpose::Write).map_err(MoveError::Destination)?;
            for (first, last) in runs {
                let part = Stretch { prefix: stretch.prefix.clone(), from: table.first(first), to: table.last(last) };
                let (sql, params) = table.delete(&part);
                self.sides.destination.run(&sql, &params).map_err(MoveError::Destination)?;
                self.transfer(table, &part, sum)?;
            }
            self.sides.destination.commit().map_err(MoveError::Destination)?;
            if self.stage == Stage::Compare {
                theirs = self.read_back(table, stretch)?;
            }
        }
        sum.note(table, stretch, (&mine, &theirs));
        Ok(())
    }

    /// The fingerprints on both sides, read at the same time.
    fn prints(&mut self, table: &Table, stretch: &Stretch) -> Result<(Vec<Print>, Vec<Print>)> {
        let (Sides { source, destination }, watch) = (&mut self.sides, &mut *self.watch);
        thread::scope(|scope| {
            let theirs = scope.spawn(|| read_prints(&mut **destination, table, stretch));
            let mine = print::of(&**source, table, stretch, &mut |rows| watch(Progress::Rows(rows)));
            let theirs = theirs.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((mine.map_err(MoveError::Source)?, theirs.map_err(MoveError::Destination)?))
        })
    }

    fn read_back(&mut self, table: &Table, stretch: &Stretch) -> Result<Vec<Print>> {
        read_prints(self.sides.destination, table, stretch).map_err(MoveError::Destination)
    }

    /// Writes a stretch of the source, in a transaction of the destination, while the next rows are read.
    fn transfer(&mut self, table: &Table, stretch: &Stretch, sum: &mut Sum) -> Result<Vec<Print>> {
        let mut tally = Tally::new(table);
        let (Sides { source, destination }, watch) = (&mut self.sides, &mut *self.watch);
        let (send, receive) = mpsc::sync_channel::<Vec<Row>>(WAITING);
        let (read, written) = thread::scope(|scope| {
            let writer = scope.spawn(|| write(&mut **destination, table, receive));
            let read = source.scan(&table.select(stretch), &mut |rows| {
                tally.add(&rows);
                watch(Progress::Rows(rows.len() as u64));
                sum.copied += rows.len() as u64;
                // Its own error says why it has gone.
                send.send(rows).map_err(|_| StoreError::Unavailable("the destination has gone".to_owned()))
            });
            drop(send);
            (read, writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        if let Err(error) = written.map_err(MoveError::Destination).and(read.map_err(MoveError::Source)) {
            self.sides.destination.rollback();
            return Err(error);
        }
        let bytes = tally.bytes;
        let prints = tally.finish();
        sum.bytes += bytes;
        Ok(prints)
    }

    /// A moment of each day from which the source has events, within reason.
    fn months(&self, table: &Table) -> Result<Vec<i64>> {
        let (source, now) = (&*self.sides.source, Clock::system().now());
        let mut days = BTreeSet::new();
        let mut at = vec![i64::MIN; table.prefix + 1];
        while let Some(mut found) = place(source, table, &at).map_err(MoveError::Source)? {
            let value = found[table.prefix];
            days.insert(value);
            let next = table.last(table.unit(value));
            found[table.prefix] = next.saturating_add(1);
            if next == i64::MAX {
                let Some(behind) = behind(&Stretch { prefix: found[..table.prefix].to_vec(), from: 0, to: next })
                else {
                    break;
                };
                found = behind;
            }
            at = found;
        }
        Ok(days.into_iter().filter(|at| (now.0 - BEHIND..now.0 + AHEAD).contains(at)).collect())
    }

    /// While it copies, each stretch is read in a transaction of its own, so that the source is not held up.
    fn begin_source(&self) -> Result<()> {
        match self.stage {
            Stage::Copy => self.sides.source.begin(Purpose::Read).map_err(MoveError::Source),
            Stage::Compare => Ok(()),
        }
    }

    fn end_source(&self) {
        if self.stage == Stage::Copy {
            self.sides.source.rollback();
        }
    }

    fn close(&mut self, table: &Table, sum: Sum, account: &mut Account) {
        (self.watch)(Progress::Table { pass: self.stage, name: table.name, rows: sum.rows, copied: sum.copied });
        account.bytes += sum.bytes;
        let told = account.table(table.name);
        told.copied += sum.copied;
        if self.stage == Stage::Compare {
            told.rows = sum.rows;
            told.checksum = sum.checksum.finish();
            told.found = sum.found.finish();
            told.differing = sum.differing;
            account.days.extend(sum.days);
        }
    }
}

/// Whether the destination has no rows in a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vacant {
    Yes,
    No,
}

impl Sum {
    fn note(&mut self, table: &Table, stretch: &Stretch, (mine, theirs): (&[Print], &[Print])) {
        self.rows += rows(mine);
        self.checksum.add(&stretch.prefix, mine);
        self.found.add(&stretch.prefix, theirs);
        for (first, last) in print::differing(mine, theirs) {
            self.differing.push(table.told(&stretch.prefix, first));
            if last > first {
                self.differing.push(format!("up to {}", table.told(&stretch.prefix, last)));
            }
        }
        if is_summary(table) {
            let environment = stretch.prefix.first().copied().unwrap_or_default();
            self.days.extend(mine.iter().map(|print| (environment, print.unit)));
        }
    }
}

fn rows(prints: &[Print]) -> u64 {
    prints.iter().map(|print| print.rows).sum()
}

fn read_prints(house: &mut dyn House, table: &Table, stretch: &Stretch) -> store::Result<Vec<Print>> {
    house.begin(Purpose::Read)?;
    let prints = print::of(house, table, stretch, &mut |_| ())?;
    house.commit()?;
    Ok(prints)
}

fn write(house: &mut dyn House, table: &Table, chunks: mpsc::Receiver<Vec<Row>>) -> store::Result<()> {
    chunks.into_iter().try_for_each(|rows| house.insert(table, rows))
}

/// Where the first row at or behind a place is.
fn place(house: &dyn House, table: &Table, at: &[i64]) -> store::Result<Option<Vec<i64>>> {
    let (sql, params) = table.next(at);
    Ok(house.row(&sql, &params)?.map(|row| (0..at.len()).map(|column| row.int(column)).collect()))
}

/// The first place behind a stretch; none where nothing can be there.
fn behind(stretch: &Stretch) -> Option<Vec<i64>> {
    if let Some(next) = stretch.to.checked_add(1) {
        return Some([&stretch.prefix[..], &[next]].concat());
    }
    let (last, rest) = stretch.prefix.split_last()?;
    Some([rest, &[last.checked_add(1)?, i64::MIN]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_behind_a_stretch_is_the_next_one_that_can_hold_a_row() {
        let behind = |prefix: &[i64], to| behind(&Stretch { prefix: prefix.to_vec(), from: 0, to });
        assert_eq!(behind(&[], 9), Some(vec![10]));
        assert_eq!(behind(&[], i64::MAX), None);
        assert_eq!(behind(&[1, 2], 9), Some(vec![1, 2, 10]));
        assert_eq!(behind(&[1, 2], i64::MAX), Some(vec![1, 3, i64::MIN]));
    }
}
