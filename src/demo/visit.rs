//! One visit: what somebody does with the notes app, one event after the other.

use super::chance::Chance;
use super::people::Person;
use super::releases::Release;
use super::trouble;
use super::world::Form;
use crate::model::Millis;

/// Events of an average visit, sent once.
pub(super) const USUAL: f64 = 8.2;

/// Probability of a visit in which something goes wrong, and of one that ends with a crash.
const ERROR: f64 = 0.035;
const CRASH: f64 = 0.004;
/// The same in the bad release.
const BAD_ERROR: f64 = 0.08;
const BAD_CRASH: f64 = 0.13;

/// One event, by a clock that is right.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) at: Millis,
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    /// A JSON object.
    pub(super) props: String,
}

/// A visit in the making.
struct Script<'a> {
    person: &'a mut Person,
    chance: &'a mut Chance,
    at: Millis,
    told: Vec<Told>,
}

/// What somebody does who opens the app at `at`. They may have more notes and a plan afterwards.
pub(super) fn visit(
    person: &mut Person,
    release: &Release,
    at: Millis,
    is_first: bool,
    chance: &mut Chance,
) -> Vec<Told> {
    let system = person.system;
    let mut script = Script { person, chance, at, told: Vec::with_capacity(12) };
    let stays = script.open(is_first);
    if stays {
        if system.form == Form::Terminal {
            script.commands()
        } else {
            script.work()
        };
        let rate = if release.bad { BAD_ERROR } else { ERROR };
        if script.chance.happens(rate) {
            script.error(system.name);
        }
    }
    if script.chance.happens(if release.bad { BAD_CRASH } else { CRASH }) {
        script.crash(system.name, release.bad);
    } else if system.form != Form::Terminal && script.chance.happens(0.8) {
        let seconds = script.at.since(at) / Millis::SECOND;
        script.tell("app_closed", "lifecycle", format!(r#"{{"seconds":{seconds}}}"#));
    }
    script.told
}

impl Script<'_> {
    /// An event now; then some time passes: mostly seconds, now and then minutes.
    fn tell(&mut self, name: &'static str, category: &'static str, props: String) {
        self.told.push(Told { at: self.at, name, category, props });
        let seconds = match self.chance.unit() {
            ..0.91 => self.chance.around(9.0, 0.9),
            0.91..0.99 => self.chance.around(140.0, 0.7),
            _ => self.chance.around(840.0, 0.4),
        };
        self.at = self.at.plus((seconds * 1_000.0) as i64 + 40);
    }

    /// The beginning, and whether somebody stays for more.
    fn open(&mut self, is_first: bool) -> bool {
        let chance = &mut *self.chance;
        let (cold, dark) = (chance.around(640.0, 0.5) as i64, chance.happens(0.44));
        let (notes, plan) = (self.person.notes, if self.person.pays { "pro" } else { "free" });
        let props = format!(r#"{{"cold_start_ms":{cold},"notes":{notes},"plan":"{plan}","dark_mode":{dark}}}"#);
        self.tell("app_opened", "lifecycle", props);
        if !is_first || self.person.system.form == Form::Terminal {
            return true;
        }
        let source = self.chance.pick(&[("search", 34), ("store", 26), ("friend", 22), ("press", 11), ("advert", 7)]);
        self.tell("onboarding_started", "onboarding", format!(r#"{{"source":"{source}"}}"#));
        let (completes, skips) = (self.chance.happens(0.83), self.chance.happens(0.3));
        if completes {
            let steps = if skips { self.chance.between(1, 3) } else { 5 };
            let props = format!(r#"{{"steps":{steps},"skipped":{skips}}}"#);
            self.tell("onboarding_completed", "onboarding", props);
        }
        completes || self.chance.happens(0.5)
    }

    /// Reading and writing, with the way from a note to a plan in between.
    fn work(&mut self) {
        let [creates, shares, pays] = self.person.system.funnel;
        let actions = 2 + self.chance.times(3.4);
        let (creates, shares) = (self.chance.happens(creates), self.chance.happens(shares));
        for action in 0..actions {
            self.act();
            if action == 0 && creates {
                self.create();
            }
            if action == 1 && creates && shares {
                self.share(pays);
            }
        }
    }

    fn act(&mut self) {
        let chance = &mut *self.chance;
        let (name, props) = match chance.below(100) {
            0..46 => {
                let (words, seconds) = (chance.around(60.0, 1.0) as i64, chance.around(90.0, 0.9) as i64);
                let markdown = chance.happens(0.37);
                ("note_edited", format!(r#"{{"words":{words},"seconds":{seconds},"markdown":{markdown}}}"#))
            }
            46..66 => {
                let (results, length) = (chance.around(6.0, 1.0) as i64, chance.between(2, 24));
                ("note_searched", format!(r#"{{"results":{results},"query_length":{length}}}"#))
            }
            66..84 => {
                let (took, notes) = (chance.around(420.0, 0.8) as i64, 1 + chance.around(3.0, 0.8) as i64);
                let network = chance.pick(&[("wifi", 62), ("ethernet", 24), ("mobile", 14)]);
                ("sync_finished", format!(r#"{{"duration_ms":{took},"notes":{notes},"network":"{network}"}}"#))
            }
            84..92 => {
                let tags = chance.between(1, 9);
                ("tag_added", format!(r#"{{"tags":{tags}}}"#))
            }
            92..96 => {
                let format = chance.pick(&[("pdf", 52), ("markdown", 31), ("html", 17)]);
                let pages = 1 + chance.around(2.0, 0.9) as i64;
                ("export_finished", format!(r#"{{"format":"{format}","pages":{pages}}}"#))
            }
            _ => {
                let section = chance.pick(&[("appearance", 40), ("sync", 28), ("account", 20), ("shortcuts", 12)]);
                ("settings_opened", format!(r#"{{"section":"{section}"}}"#))
            }
        };
        self.tell(name, "usage", props);
    }

    fn create(&mut self) {
        self.person.notes += 1;
        let template = self.chance.pick(&[("blank", 61), ("meeting", 17), ("journal", 13), ("checklist", 9)]);
        let words = self.chance.around(45.0, 1.1) as i64;
        self.tell("note_created", "usage", format!(r#"{{"template":"{template}","words":{words}}}"#));
    }

    fn share(&mut self, pays: f64) {
        let channel = self.chance.pick(&[("link", 55), ("email", 27), ("team", 18)]);
        let public = self.chance.happens(0.22);
        self.tell("note_shared", "usage", format!(r#"{{"channel":"{channel}","public":{public}}}"#));
        // Sharing is where the free plan ends.
        if self.person.pays || !self.chance.happens((3.0 * pays).min(1.0)) {
            return;
        }
        self.tell("plan_viewed", "purchase", r#"{"from":"share"}"#.to_owned());
        if self.chance.happens(1.0 / 3.0) {
            self.person.pays = true;
            let yearly = self.chance.happens(0.4);
            let price = if yearly { 39.0 } else { 4.5 };
            self.tell("plan_paid", "purchase", format!(r#"{{"plan":"pro","yearly":{yearly},"price":{price}}}"#));
        }
    }

    /// A visit by commands.
    fn commands(&mut self) {
        for _ in 0..2 + self.chance.times(4.0) {
            let chance = &mut *self.chance;
            let command = chance.pick(&[("list", 30), ("add", 24), ("search", 22), ("sync", 16), ("export", 8)]);
            let (success, json) = (!chance.happens(0.012), chance.happens(0.18));
            let (took, exit_code) =
                (chance.around(38.0, 1.2) as i64, if success { 0 } else { chance.pick(&[(1, 7), (2, 3)]) });
            let props = format!(
                r#"{{"command":"{command}","success":{success},"exit_code":{exit_code},"duration_ms":{took},"json":{json}}}"#
            );
            self.tell("command_execution", "command", props);
            if command == "add" && success {
                self.create();
                let [_, shares, pays] = self.person.system.funnel;
                if self.chance.happens(shares) {
                    self.share(pays);
                }
            }
        }
    }

    fn error(&mut self, system: &str) {
        let trouble = trouble::error(system, self.chance);
        for _ in 0..self.chance.pick(&[(1, 80), (2, 15), (4, 5)]) {
            let props = self.failed(trouble);
            self.tell("error", "error", props);
        }
    }

    /// Whatever was not told yet is lost.
    fn crash(&mut self, system: &str, bad: bool) {
        let reached = 1 + self.chance.below(self.told.len() as i64) as usize;
        self.at = self.told.get(reached).map_or(self.at, |next| next.at);
        self.told.truncate(reached);
        let trouble = trouble::crash(system, bad, self.chance);
        let props = self.failed(trouble);
        self.tell("crash", "crash", props);
    }

    fn failed(&mut self, trouble: &trouble::Trouble) -> String {
        let message = serde_json::Value::from(trouble.message(self.chance));
        let screen = self.chance.pick(&[("editor", 48), ("list", 27), ("share", 14), ("settings", 11)]);
        let offline = self.chance.happens(0.12);
        format!(r#"{{"kind":"{}","message":{message},"screen":"{screen}","offline":{offline}}}"#, trouble.kind)
    }
}
