//! Every page as it was last looked at: before the first event, and with a small history. What a page shows is compared
//! with its file in `tests/snapshots/`; `SNAPSHOTS=write` writes the files anew, for a look at what has changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Value, json};
use tallybox::http::Access;
use tallybox::model::{Limits, Millis};
use uuid::Uuid;

use super::still::Still;
use super::year::links;
use crate::harness::Backend;
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};

/// A Wednesday noon.
const NOW: Millis = Millis(1_803_211_200_000);

/// Pages that tell of the machine they run on, of which no two are alike.
const OF_THE_MACHINE: [&str; 2] = ["/box", "/box/settings"];

/// Parts of paths that are left out: the same pages of another environment, files, what is found behind links, and
/// what has no end.
const LEFT_OUT: [&str; 6] = ["{env}", "{user}", ".csv", ".json", ".ndjson", "/stream"];

#[test]
fn pages_look_as_they_were_last_seen() {
    let still = Still::over(Backend::Sqlite, Limits::default(), NOW);
    let (empty, seeded) = (still.app("Empty", "UTC"), still.app("Seeded", "Europe/Berlin"));
    seed(&still, &still.key(&seeded, 0));
    let cookie = still.sign_in("a login");
    let mut connection = still.connect();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut compare = |path: String, name: String| {
        let reply = connection.send(&Request::get(&path).header("cookie", &cookie)).unwrap();
        let text = still_part(&reply.text(), &still.organization());
        let text = format!("{} {path}\n{text}", reply.status).replace(&still.organization(), "ORGANIZATION");
        let file = folder().join(&name);
        if std::env::var("SNAPSHOTS").is_ok_and(|mode| mode == "write") {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let before = fs::read_to_string(&file).unwrap_or_default();
        if before != text {
            wrong.push(format!("{name}: {}", difference(&before, &text)));
        }
        seen.insert(name);
        reply.text()
    };
    for path in paths() {
        for app in [&empty, &seeded] {
            let page = path.replace("/apps/{app}", "app").replace("/{organization}", "/one").replace('/', "-");
            let name = format!("{}-{}.html", app.slug, page.trim_matches('-'));
            let path = path.replace("{app}", app.slug.as_str()).replace("{organization}", "default");
            let text = compare(path.clone(), name.clone());
            for (number, behind) in links(&path, &text).into_iter().take(1).enumerate() {
                compare(behind, name.replace(".html", &format!("-behind-{number}.html")));
            }
            if !page.starts_with("app-") && page != "app" {
                break; // it is about no app
            }
        }
    }
    assert!(seen.len() > 50, "only {} pages", seen.len());
    let kept = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    wrong
        .extend(kept.filter(|name| !seen.contains(name)).map(|name| format!("{name}: there is no such page any more")));
    assert!(wrong.is_empty(), "look, and write them anew with SNAPSHOTS=write:\n{}", wrong.join("\n"));
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

/// Paths of pages that members can look at, in the router's own words.
fn paths() -> Vec<String> {
    let routes = tallybox::web::routes();
    let pages = routes.list().iter().filter(|route| {
        route.method == "GET"
            && matches!(route.access, Access::Member | Access::Admin | Access::Owner | Access::Box)
            && !OF_THE_MACHINE.contains(&route.path.as_str())
            && !LEFT_OUT.iter().any(|part| route.path.contains(part))
    });
    pages.map(|route| route.path.clone()).collect()
}

/// The page's own part, without what is drawn and what differs from run to run.
fn still_part(page: &str, organization: &str) -> String {
    let begin = page.find("<main").unwrap_or(0);
    let end = page.find("</main>").map_or(page.len(), |end| end + "</main>".len());
    let mut text = page[begin..end].replace(organization, "ORGANIZATION");
    text = without(&text, "name=\"csrf\" value=\"", "\"");
    text = without(&text, "Request <code>", "</code>");
    text = without(&text, "data-mark=\"", "\"");
    without(&text, "<svg ", "</svg>")
}

/// The text with all that stands between two marks taken out.
fn without(text: &str, begin: &str, end: &str) -> String {
    let mut parts = text.split(begin);
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        left.push_str(begin);
        left.push_str(part.split_once(end).map_or("", |(_, rest)| rest));
    }
    left
}

/// The first line that is another one.
fn difference(before: &str, now: &str) -> String {
    let (mut old, mut new) = (before.lines(), now.lines());
    for number in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old != new => return format!("line {number} was {old:?}, is {new:?}"),
            _ => {}
        }
    }
    "its ends of lines".to_owned()
}

/// Three weeks of a few people: two versions, an error, properties, one event that cannot be used.
fn seed(still: &Still, key: &Credentials) {
    let mut events = Vec::new();
    for day in 0..21_i64 {
        for person in 0..4_i64 {
            if (day + person) % 3 == 0 {
                continue;
            }
            let at = NOW.plus(-day * Millis::DAY - person * 7 * Millis::MINUTE);
            for (step, name) in ["opened", "saved", "shared"].into_iter().enumerate().take((person + 1).min(3) as usize)
            {
                let step = i64::try_from(step).unwrap();
                events.push(event(at.plus(step * Millis::MINUTE), (day, person, step), name));
            }
        }
    }
    let mut broken = event(NOW.plus(-Millis::MINUTE), (0, 9, 0), "opened");
    broken["event"]["type"] = Value::Null;
    events.push(broken);
    let body = kit::batch(&events);
    let request = key.nonce_form(&body, NOW.seconds(), &Uuid::from_u128(1).to_string());
    assert_eq!(still.connect().send(&request).unwrap().status, 200);
}

fn event(at: Millis, (day, person, step): (i64, i64, i64), name: &str) -> Value {
    let id = Uuid::from_u128(u128::try_from(day * 1_000 + person * 10 + step + 7).unwrap());
    let at = Timestamp::from_millisecond(at.0).unwrap();
    let mut event = kit::event_of(id, at, if step == 1 && person == 3 { "error" } else { name });
    event["service"]["version"] = json!(if day < 7 { "1.1.0" } else { "1.0.0" });
    event["user_id"] = json!(format!("person {person}"));
    event["session_id"] = json!(format!("session {day} {person}"));
    event["environment"]["os"] = json!(["linux", "macos", "windows"][usize::try_from(person % 3).unwrap()]);
    if step == 1 && person == 3 {
        event["event"]["data"] = json!({ "type": "TornError", "message": "torn apart", "fatal": day % 2 == 0 });
    } else {
        event["event"]["data"] =
            json!({ "size": person * 10 + day, "format": if day % 2 == 0 { "html" } else { "pdf" } });
    }
    event
}
