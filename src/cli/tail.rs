//! The verb `tail`: events of a running server, as they come.

use std::collections::HashMap;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::client::{Client, Problem, Server, condition};
use super::table;
use crate::clock::Clock;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How far behind the newest event others are looked for: what comes later than that is not shown.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// How far back the first look for events goes where there are none yet, so that clocks may differ.
const FIRST_WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Events of a page.
const PAGE: usize = 200;
/// Most pages of one look: with more than so many events a minute some are not shown.
const PAGES: usize = 50;
/// How much of an event's properties people are shown, in characters.
const PROPERTIES: usize = 120;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only events that NAME=VALUE or NAME!=VALUE holds for; several of one name are alternatives.
    #[arg(long = "where", value_name = "CONDITION", value_parser = condition)]
    conditions: Vec<(String, String)>,
    /// How many of the newest events are shown at first.
    #[arg(long, value_name = "NUMBER", default_value = "10", value_parser = clap::value_parser!(u16).range(0..=200))]
    lines: u16,
    /// Each event as a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Prints events until it is interrupted, or until nobody reads any more.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let client = Client::new(&args.server)?;
    let show = match (args.json, io::stdout().is_terminal()) {
        (true, _) => Value::to_string,
        (false, true) => told,
        (false, false) => tabbed,
    };
    let ask = |pairs: &[(String, String)]| client.ask("events", pairs);
    let mut follower = Follower::new(&args.conditions, Clock::system().now().timestamp());
    let mut fresh = follower.begin(args.lines.into(), &ask)?;
    let mut last_said = None;
    loop {
        let lines: String = fresh.iter().map(|event| show(event) + "\n").collect();
        let mut out = io::stdout().lock();
        match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        drop(out);
        std::thread::sleep(PAUSE);
        fresh = match follower.look(&ask) {
            Ok(fresh) => {
                last_said = None;
                fresh
            }
            Err(Problem::Refused(said)) => bail!(said),
            Err(Problem::Away(said)) => {
                // Once for each reason; the events that come meanwhile are shown later.
                if last_said.as_ref() != Some(&said) {
                    eprintln!("{said}; trying again");
                }
                last_said = Some(said);
                Vec::new()
            }
        };
    }
}

/// Finds the events that were not there before.
struct Follower<'a> {
    conditions: &'a [(String, String)],
    /// Events that occurred earlier are not looked for.
    since: Timestamp,
    /// Events that arrived earlier are not shown: they were there at the beginning.
    began: Timestamp,
    /// When the events occurred that were found already, as far back as `since`.
    seen: HashMap<String, Timestamp>,
}

impl<'a> Follower<'a> {
    fn new(conditions: &'a [(String, String)], now: Timestamp) -> Self {
        let since = now.saturating_sub(FIRST_WINDOW).unwrap_or(now);
        Self { conditions, since, began: Timestamp::MIN, seen: HashMap::new() }
    }

    /// The newest events that are there already, oldest first.
    fn begin(&mut self, lines: usize, ask: &Ask<'_>) -> Result<Vec<Value>, Problem> {
        let mut events = list(ask(&self.pairs(&[("limit", PAGE.to_string())]))?);
        let arrived = events.iter().filter_map(|event| time(event, "received_at")).max();
        self.began = arrived.unwrap_or(self.began);
        self.note(&events);
        events.truncate(lines);
        events.reverse();
        Ok(events)
    }

    /// The events that have come since the last look, oldest first. Nothing is noted where a page fails.
    fn look(&mut self, ask: &Ask<'_>) -> Result<Vec<Value>, Problem> {
        let (mut found, mut after) = (Vec::new(), None);
        for _ in 0..PAGES {
            let mut own = vec![("limit", PAGE.to_string()), ("since", self.since.to_string())];
            own.extend(after.map(|after| ("after", after)));
            let page = ask(&self.pairs(&own))?;
            after = page["next"].as_str().map(str::to_owned);
            let page = list(page);
            let old = |event: &Value| event["id"].as_str().is_some_and(|id| self.seen.contains_key(id));
            // An empty page goes on where looking took long.
            let all_old = !page.is_empty() && page.iter().all(old);
            found.extend(page.into_iter().filter(|event| !old(event)));
            if all_old || after.is_none() {
                break;
            }
        }
        self.note(&found);
        found.retain(|event| time(event, "received_at").is_some_and(|at| at >= self.began));
        found.reverse();
        Ok(found)
    }

    fn note(&mut self, events: &[Value]) {
        for event in events {
            if let (Some(id), Some(at)) = (event["id"].as_str(), time(event, "at")) {
                self.seen.insert(id.to_owned(), at);
            }
        }
        if let Some(newest) = self.seen.values().max() {
            self.since = newest.saturating_sub(WINDOW).unwrap_or(*newest);
        }
        let since = self.since;
        self.seen.retain(|_, at| *at >= since);
    }

    fn pairs(&self, own: &[(&str, String)]) -> Vec<(String, String)> {
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        own.chain(self.conditions.iter().cloned()).collect()
    }
}

/// Asks for a page of events.
type Ask<'a> = dyn Fn(&[(String, String)]) -> Result<Value, Problem> + 'a;

fn list(mut page: Value) -> Vec<Value> {
    match page["events"].take() {
        Value::Array(events) => events,
        _ => Vec::new(),
    }
}

fn time(event: &Value, name: &str) -> Option<Timestamp> {
    event[name].as_str()?.parse().ok()
}

fn text<'e>(event: &'e Value, name: &str) -> &'e str {
    event[name].as_str().unwrap_or_default()
}

/// The properties on one line, nothing where there are none.
fn properties(event: &Value) -> String {
    let properties = &event["properties"];
    if properties.is_null() { String::new() } else { properties.to_string() }
}

/// For programs.
fn tabbed(event: &Value) -> String {
    let cells = ["at", "name", "user", "version", "system"].map(|name| text(event, name).to_owned());
    table::tabbed(&[[&cells[..], &[properties(event)]].concat()]).trim_end_matches('\n').to_owned()
}

/// For people: to the second, in universal time, and not more than a line should be.
fn told(event: &Value) -> String {
    let at = time(event, "at").map(|at| at.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default();
    let user = text(event, "user").get(..8).unwrap_or_default();
    let mut properties: String = properties(event);
    if let Some((end, _)) = properties.char_indices().nth(PROPERTIES) {
        properties.truncate(end);
        properties.push('…');
    }
    let rest = [text(event, "version"), text(event, "system"), user, &properties];
    let rest = rest.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ");
    table::printable(&format!("{at}  {:<24}  {rest}", text(event, "name"))).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(id: usize, occurred: usize, arrived: usize) -> Value {
        let at = |second| format!("2026-04-10T12:{:02}:{:02}Z", second / 60, second % 60);
        json!({ "id": id.to_string(), "at": at(occurred), "received_at": at(arrived), "name": "saved" })
    }

    /// Pages of a list that is there, newest first.
    fn pages(events: &[Value]) -> impl Fn(&[(String, String)]) -> Result<Value, Problem> {
        move |pairs| {
            let given = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
            let since: Timestamp = given("since").map_or(Timestamp::MIN, |since| since.parse().unwrap());
            let after: usize = given("after").map_or(0, |after| after.parse().unwrap());
            let mut list: Vec<_> = events.iter().filter(|event| time(event, "at").unwrap() >= since).collect();
            list.sort_by_key(|event| std::cmp::Reverse(time(event, "at")));
            let page: Vec<_> = list.iter().skip(after).take(PAGE).collect();
            let end = after + page.len();
            Ok(json!({ "events": page, "next": (end < list.len()).then(|| end.to_string()) }))
        }
    }

    fn ids(events: &[Value]) -> Vec<usize> {
        events.iter().map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn each_event_is_shown_once_in_order() {
        let now = "2026-04-10T12:00:00Z".parse().unwrap();
        let mut events: Vec<_> = (0..500).map(|n| event(n, n / 10, n / 10)).collect();
        let mut follower = Follower::new(&[], now);
        assert_eq!(ids(&follower.begin(3, &pages(&events)).unwrap()), [492, 491, 490]);
        assert_eq!(follower.look(&pages(&events)).unwrap(), Vec::<Value>::new());
        events.push(event(1_000, 45, 52)); // late
        events.push(event(1_001, 51, 51));
        assert_eq!(ids(&follower.look(&pages(&events)).unwrap()), [1_000, 1_001]);
        events.extend((2_000..2_700).map(|n| event(n, 60 + n / 100, 60 + n / 100)));
        let failing = |_: &[(String, String)]| Err(Problem::Away("away".to_owned()));
        assert!(follower.look(&failing).is_err());
        assert_eq!(follower.look(&pages(&events)).unwrap().len(), 700);
        assert_eq!(follower.look(&pages(&events)).unwrap(), Vec::<Value>::new());
        assert!(follower.seen.len() < 1_300, "{} are remembered", follower.seen.len());
    }

    #[test]
    fn the_first_event_of_all_is_shown() {
        let mut follower = Follower::new(&[], "2026-04-10T12:05:00Z".parse().unwrap());
        assert_eq!(follower.begin(10, &pages(&[])).unwrap(), Vec::<Value>::new());
        assert_eq!(ids(&follower.look(&pages(&[event(7, 1, 1)])).unwrap()), [7]);
    }

    #[test]
    fn lines_cannot_reach_for_the_terminal() {
        let mut evil = event(1, 0, 0);
        evil["name"] = "\u{1b}]0;title\u{7}\nnext".into();
        evil["properties"] = json!({ "long": "ä".repeat(500) });
        for line in [told(&evil), tabbed(&evil)] {
            assert!(!line.contains(char::is_control) || line.chars().filter(|c| c.is_control()).all(|c| c == '\t'));
        }
        assert!(told(&evil).chars().count() < 250, "{}", told(&evil));
    }
}
