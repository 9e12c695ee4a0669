//! How the box is: all its figures in one place, and the judgement whether all is well.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Shown;
use crate::ingest::RefusedFor;
use crate::model::{
    Aim, Alarm, AsideCount, BackupStanding, Budget, Held, JobStanding, LookupCounts, Millis, Node, PruneStanding,
    Traffic, Words,
};
use crate::store::{StoreError, StoreStatus};

use super::figures;
use super::format::{budget_share, grouped, size};
use super::metrics;
use super::state::WebState;

/// What the composition root tells of the box.
#[derive(Clone, Debug, Default)]
pub struct BoxParts {
    /// This process.
    pub node: Node,
    /// Where it listens.
    pub listening: String,
    /// Its settings; secrets are masked.
    pub settings: Vec<Shown>,
    /// What in them deserves a second look, one sentence each.
    pub warnings: Vec<String>,
    /// Most requests that may wait for a commit.
    pub queue_requests: usize,
    /// What it calls its build, such as a commit.
    pub build_id: Option<String>,
    /// What it calls its service, such as a region.
    pub service_id: Option<String>,
    /// What clients of each protocol hear of orders, by its name.
    pub words: Vec<(&'static str, Words)>,
}

/// All figures of the box at one moment.
#[derive(Clone, Debug)]
pub struct Condition {
    pub now: Millis,
    /// None where the database did not answer.
    pub database: Option<StoreStatus>,
    /// All that serve this database, this one among them.
    pub nodes: Vec<Node>,
    pub queue: u64,
    pub queue_max: u64,
    pub draining: bool,
    pub events: Events,
    pub commits: u64,
    pub failed_commits: u64,
    /// What is remembered, and how that does.
    pub caches: Vec<(&'static str, LookupCounts)>,
    pub streams: u64,
    pub refused: Vec<RefusedFor>,
    pub aside: Vec<AsideCount>,
    pub warnings: Vec<String>,
    /// How the backups stand that the box makes.
    pub backup: BackupStanding,
    /// How the budgets of the objectives stand.
    pub budgets: Vec<Budget>,
    /// How the deletion by age stands.
    pub pruning: PruneStanding,
    /// How jobs stand, as this node knows it.
    pub jobs: Vec<JobStanding>,
}

/// What became of events since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    pub received: u64,
    pub stored: u64,
    pub duplicate: u64,
    pub set_aside: u64,
    pub dropped: u64,
    pub refused: u64,
    pub discarded: u64,
}

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Well,
    /// Somebody should have a look.
    Look,
    /// Something does not work.
    Wrong,
}

impl Level {
    /// As programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Look => "look",
            Self::Wrong => "wrong",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// Asks everything that knows something.
pub async fn examine(state: &WebState) -> Result<Condition, StoreError> {
    let about = &state.about;
    let database = metrics::database(state).await;
    let caches = figures::caches(state, database.as_ref());
    let (nodes, aside) = state.ask(|store| Ok((store.nodes()?, store.aside_counts()?))).await?;
    let now = state.clock.now();
    let own = Node { seen_at: now, ..about.node.clone() };
    let mut all: Vec<_> = nodes.into_iter().filter(|node| node.id != own.id).collect();
    all.insert(0, own);
    let counters = state.intake.counters();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Condition {
        now,
        database,
        nodes: all,
        queue: read(&counters.queued),
        queue_max: about.queue_requests as u64,
        draining: (state.draining)(),
        events: Events {
            received: read(&counters.received),
            stored: read(&counters.stored),
            duplicate: read(&counters.duplicate),
            set_aside: read(&counters.set_aside),
            dropped: read(&counters.dropped),
            refused: read(&counters.refused),
            discarded: read(&counters.discarded),
        },
        commits: read(&counters.commits),
        failed_commits: read(&counters.failed_commits),
        caches,
        streams: state.streams.count() as u64,
        refused: counters.refusals.all(),
        aside,
        warnings: about.warnings.clone(),
        backup: state.metrics.backup.lock().clone(),
        budgets: state.metrics.requests.answering().budgets(now),
        pruning: state.metrics.pruning.lock().clone(),
        jobs: state.metrics.jobs.lock().clone(),
    })
}

impl Condition {
    /// What is not as it should be, the worst first. Nothing: all is well.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut say = |level, what: String, advice: &str| {
            found.push(Finding { level, what, advice: advice.to_owned() });
        };
        if self.draining {
            let what = "The box is stopping: it takes no new events.".to_owned();
            say(Level::Wrong, what, "Clients come back by themselves when it has started again.");
        }
        match &self.database {
            None => {
                let what = "The database did not answer in time.".to_owned();
                say(
                    Level::Wrong,
                    what,
                    "Clients are asked to come back. The log of the box says why; look whether the database server runs.",
                );
            }
            Some(database) => of_database(database, &mut say),
        }
        if self.queue_max > 0 && self.queue * 2 > self.queue_max {
            let (now, most) = (self.queue, self.queue_max);
            let what = format!("{now} of at most {most} requests wait to be written.");
            say(
                Level::Look,
                what,
                "When the queue is full, clients are asked to come back. Look for a slow disk or database.",
            );
        }
        if let Some(own) = self.nodes.first()
            && let Some(other) = self.nodes.iter().find(|node| node.version != own.version)
        {
            let what = format!("{} runs version {}, this one {}.", other.name, other.version, own.version);
            say(Level::Look, what, "That is right while you upgrade; afterwards all should be the same.");
        }
        if let Some((_, why)) = &self.backup.failed {
            let advice =
                "It is tried again every hour. Make room, or let backup_dir be a folder that the box can write to.";
            say(Level::Wrong, format!("The last backup has failed: {why}."), advice);
        }
        for budget in &self.budgets {
            of_budget(budget, &mut say);
        }
        if let Some(held) = &self.pruning.held {
            let advice = match held {
                Held::Ahead(_) => "Put the clock right, or say below that it is right.",
                Held::First(_) => {
                    "Choose how long things are to be kept, on the pages of apps or with retention_days; then confirm it below."
                }
            };
            say(Level::Wrong, sentence(&held.told()), advice);
        }
        for standing in &self.jobs {
            of_job(standing, self.now, &mut say);
        }
        for warning in &self.warnings {
            say(Level::Look, sentence(warning), "It comes from the settings.");
        }
        found.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        found
    }
}

fn of_budget(budget: &Budget, say: &mut impl FnMut(Level, String, &str)) {
    let what = match (budget.traffic, budget.aim) {
        (Traffic::Ingest, Aim::Availability) => "Requests of SDKs are answered with an error too often",
        (Traffic::Ingest, Aim::Latency) => "Requests of SDKs are answered too late too often",
        (Traffic::Pages, Aim::Availability) => "Pages are answered with an error too often",
        (Traffic::Pages, Aim::Latency) => "Pages are answered too late too often",
    };
    let left = match budget.alarm() {
        Alarm::None => return,
        Alarm::Low => format!("{} of what 30 days allow is left", budget_share(budget.left)),
        Alarm::Spent => "nothing is left of what 30 days allow".to_owned(),
    };
    let advice = "See the objectives below, what was slow in the database, and the lines \"slow request\" of the log.";
    say(Level::Look, format!("{what}: {left}."), advice);
}

/// A job that fails again and again, or that nobody does. A failed backup is told by itself.
fn of_job(standing: &JobStanding, now: Millis, say: &mut impl FnMut(Level, String, &str)) {
    let (name, Some(run)) = (standing.job.name, &standing.run) else { return };
    if run.failures > 0 && name != "backup" {
        let times = if run.failures == 1 {
            "has failed".to_owned()
        } else {
            format!("has failed {} times in a row", run.failures)
        };
        let advice = format!("It is tried again by itself. The log says more; tallybox jobs run {name} tries it now.");
        say(Level::Look, sentence(&format!("the job {name} {times}: {}", run.result)), &advice);
    } else if standing.is_overdue(now) {
        let what = format!("The job {name} is overdue: {}.", standing.job.what);
        say(Level::Look, what, &format!("tallybox jobs run {name} does it now and says what stands in its way."));
    }
}

fn of_database(database: &StoreStatus, say: &mut impl FnMut(Level, String, &str)) {
    if let Some(reason) = &database.read_only {
        let advice = "Clients are asked to come back. Make room on the disk, or repair it and restart the box.";
        say(Level::Wrong, format!("Events are not taken: {reason}."), advice);
    } else if let (Some(free), Some(floor)) = (database.free_bytes, database.floor_bytes)
        && free < floor.saturating_mul(2)
    {
        let what = format!("Only {} are free on the disk; below {} no events are taken.", size(free), size(floor));
        say(Level::Look, what, "Make room, or keep events for fewer days (retention_days).");
    }
    if database.replica == Some(false) {
        let what = "Reports are read from the primary: the replica is away or too far behind.".to_owned();
        say(Level::Look, what, "Look at the replica; the box goes back to it by itself.");
    }
    if let Some(events) = database.outside_partitions.filter(|events| *events > 0) {
        let what =
            format!("{} events lie outside of all monthly partitions.", grouped(i64::try_from(events).unwrap_or(0)));
        say(Level::Look, what, "They are counted like all others; clients sent them with times far from now.");
    }
    for note in &database.notes {
        let advice = if database.engine.starts_with("SQLite") {
            "Stop the box once and run: sqlite3 tallybox.db 'pragma auto_vacuum = 2; vacuum'"
        } else {
            "It is a setting of the database server."
        };
        say(Level::Look, sentence(note), advice);
    }
}

/// With a capital at its beginning and a full stop at its end.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Job, JobRun, JobScope};

    fn node(name: &str, version: &str) -> Node {
        let (started_at, seen_at) = (Millis(0), Millis(1));
        Node { id: name.to_owned(), name: name.to_owned(), version: version.to_owned(), started_at, seen_at }
    }

    fn well() -> Condition {
        let database = StoreStatus {
            free_bytes: Some(10 << 30),
            floor_bytes: Some(64 << 20),
            replica: Some(true),
            outside_partitions: Some(0),
            ..StoreStatus::default()
        };
        Condition {
            now: Millis(1),
            database: Some(database),
            nodes: vec![node("a", "1.0.0"), node("b", "1.0.0")],
            queue: 3,
            queue_max: 4_096,
            draining: false,
            events: Events::default(),
            commits: 1,
            failed_commits: 0,
            caches: Vec::new(),
            streams: 0,
            refused: Vec::new(),
            aside: Vec::new(),
            warnings: Vec::new(),
            backup: BackupStanding::default(),
            budgets: Vec::new(),
            pruning: PruneStanding::default(),
            jobs: Vec::new(),
        }
    }

    /// A job that is due every minute.
    fn job(name: &'static str, run: JobRun) -> JobStanding {
        let job = Job { name, what: "does it", period: Millis::MINUTE, scope: JobScope::EveryNode };
        JobStanding { job, off: None, run: Some(run) }
    }

    #[test]
    fn jobs_that_fail_or_are_late_are_found() {
        let now = Millis(Millis::HOUR);
        let run = |failures, next_at| JobRun { failures, next_at, result: "no luck".to_owned(), ..JobRun::default() };
        let off = JobStanding { off: Some("not here"), ..job("a", run(0, Millis(0))) };
        let rows = [
            (job("a", run(0, now)), None),
            (off, None),
            (job("a", run(1, now)), Some("The job a has failed: no luck.")),
            (job("a", run(3, now)), Some("The job a has failed 3 times in a row: no luck.")),
            (job("a", run(0, Millis(0))), Some("The job a is overdue: does it.")),
            (job("backup", run(1, now)), None), // told by itself
        ];
        for (standing, expected) in rows {
            let found = Condition { now, jobs: vec![standing], ..well() }.findings();
            assert_eq!(found.first().map(|one| one.what.as_str()), expected);
            assert!(found.iter().all(|one| one.level == Level::Look && one.advice.contains("tallybox jobs run a")));
        }
    }

    #[test]
    fn what_is_wrong_is_found_and_nothing_else() {
        assert_eq!(well().findings(), []);
        let failed = BackupStanding { scheduled: true, newest: None, failed: Some((Millis(0), "no room".to_owned())) };
        let found = Condition { backup: failed, ..well() }.findings();
        assert_eq!((found.len(), found[0].level), (1, Level::Wrong), "{found:?}");
        let of = |change: fn(&mut StoreStatus)| {
            let mut condition = well();
            change(condition.database.as_mut().unwrap());
            condition
        };
        for (condition, level, word) in [
            (Condition { draining: true, ..well() }, Level::Wrong, "stopping"),
            (Condition { database: None, ..well() }, Level::Wrong, "did not answer"),
            (of(|d| d.read_only = Some("no space".to_owned())), Level::Wrong, "not taken: no space"),
            (of(|d| d.free_bytes = Some(100 << 20)), Level::Look, "below 64 MiB"),
            (of(|d| d.replica = Some(false)), Level::Look, "replica"),
            (of(|d| d.outside_partitions = Some(7)), Level::Look, "7 events"),
            (of(|d| d.notes = vec!["fsync is off".to_owned()]), Level::Look, "Fsync is off."),
            (Condition { queue: 3_000, ..well() }, Level::Look, "3000 of at most 4096"),
            (Condition { nodes: vec![node("a", "1"), node("b", "2")], ..well() }, Level::Look, "b runs version 2"),
            (Condition { warnings: vec!["a warning".to_owned()], ..well() }, Level::Look, "A warning."),
        ] {
            let found = condition.findings();
            let [finding] = &found[..] else { panic!("{word}: {found:?}") };
            assert!(finding.level == level && finding.what.contains(word), "{word}: {finding:?}");
            assert!(!finding.advice.is_empty());
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let condition = Condition { warnings: vec!["a".to_owned()], draining: true, ..well() };
        let levels: Vec<_> = condition.findings().iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Wrong, Level::Look]);
    }
}
