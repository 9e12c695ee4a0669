//! How a visit's events travel: in batches, some of them late, some twice, some with a clock that is wrong.

use super::chance::Chance;
use super::people::Person;
use super::releases::Release;
use super::visit::Told;
use super::world::{FAMILY, Form, GIVEN};
use crate::model::{Country, EventId, Fact, Millis, Platform, RawFacts, Reason};

/// Events of a batch.
const BATCH: usize = 25;

/// Shares of batches: those of people without a connection, and those that are sent again because the answer was lost.
const LATE: f64 = 0.03;
const AGAIN: f64 = 0.012;
/// Longest that a batch waits for a connection, in days.
const LATEST: i64 = 6;
/// Share of the events that cannot be used.
const UNUSABLE: f64 = 0.000_4;

/// One request to the box.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// When it arrives.
    pub received_at: Millis,
    /// The client's own time when it sends, if it says so.
    pub sent_at: Option<Millis>,
    /// The country that it comes from.
    pub country: Option<Country>,
    /// Who sends it.
    pub sender: Sender,
    /// What it says.
    pub events: Vec<Said>,
}

/// Who sends a parcel.
#[derive(Clone, Debug)]
pub enum Sender {
    /// A program that names user and session itself.
    Program {
        /// Its identifier of the user.
        user: String,
        /// Its identifier of the session.
        session: String,
        /// What it tells of itself.
        facts: RawFacts<'static>,
    },
    /// A telephone or tablet, which says who it is before it sends events.
    Phone(Phone),
}

/// What a telephone or tablet says of itself.
#[derive(Clone, Debug)]
pub struct Phone {
    /// When it says so.
    pub at: Millis,
    /// What the installation calls itself.
    pub install_id: String,
    /// What it runs on.
    pub platform: Platform,
    /// The operating system.
    pub system_name: &'static str,
    /// Its version.
    pub system_version: &'static str,
    /// The app's version.
    pub version: String,
    /// The app's build.
    pub build: i64,
    /// What its owner calls it.
    pub device_name: String,
    /// Who made it.
    pub brand: &'static str,
    /// `phone` or `tablet`.
    pub kind: &'static str,
    /// Name and e-mail address of its user, where the app knows them.
    pub owner: Option<(String, String)>,
}

/// One event of a parcel.
#[derive(Clone, Debug)]
pub enum Said {
    /// Such as the box reads.
    Event {
        /// The same whenever it is sent.
        id: EventId,
        /// By the client's clock.
        claimed_at: Millis,
        /// What happened; empty in one that cannot be used.
        name: &'static str,
        /// A coarse class.
        category: &'static str,
        /// A JSON object.
        props: String,
    },
    /// Such as an adapter cannot read.
    Unusable {
        /// The same whenever it is sent.
        id: EventId,
        /// Why.
        reason: Reason,
        /// What exactly.
        detail: &'static str,
        /// Its text.
        body: String,
    },
}

/// One visit on its way.
pub(super) struct Trip<'a> {
    pub(super) person: &'a Person,
    pub(super) release: &'a Release,
    pub(super) seed: u64,
    /// Which of the person's visits it is.
    pub(super) key: u64,
    /// Nothing arrives later.
    pub(super) until: Millis,
}

impl Trip<'_> {
    /// The parcels of what was told, which is not empty.
    pub(super) fn parcels(&self, told: Vec<Told>, chance: &mut Chance) -> Vec<Parcel> {
        let form = self.person.system.form;
        let wait = if chance.happens(LATE) { self.late(chance) } else { 0 };
        let size = if form == Form::Phone { told.len() } else { BATCH };
        let sender = self.sender(told[0].at, wait, chance);
        let country = self.person.locale.country();
        let mut ids = Chance::of(&[self.seed, 5, self.person.number, self.key]);
        let mut parcels = Vec::with_capacity(2);
        let mut told = told.into_iter().peekable();
        while told.peek().is_some() {
            let batch: Vec<Told> = told.by_ref().take(size).collect();
            let sent = batch.last().map_or(self.until, |last| last.at).plus(chance.between(400, 9_000));
            let received_at = sent.plus(wait).min(self.until);
            let events = batch.into_iter().map(|told| self.say(told, &mut ids, chance)).collect();
            let parcel = Parcel {
                received_at,
                sent_at: self.sent(received_at, chance),
                country,
                sender: sender.clone(),
                events,
            };
            let again = (form != Form::Phone && chance.happens(AGAIN)).then(|| {
                let received_at = received_at.plus(chance.between(20_000, 300_000)).min(self.until);
                Parcel { received_at, sent_at: self.sent(received_at, chance), ..parcel.clone() }
            });
            parcels.push(parcel);
            parcels.extend(again);
        }
        parcels
    }

    fn late(&self, chance: &mut Chance) -> i64 {
        let hours = chance.around(7.0, 1.3) * Millis::HOUR as f64;
        (hours as i64).min(LATEST * Millis::DAY)
    }

    /// A telephone's clock is right, and its protocol does not tell it.
    fn sent(&self, received_at: Millis, chance: &mut Chance) -> Option<Millis> {
        let tells = self.person.watch.told && self.person.system.form != Form::Phone;
        tells.then(|| received_at.plus(self.person.watch.ahead - chance.between(30, 900)))
    }

    fn say(&self, told: Told, ids: &mut Chance, chance: &mut Chance) -> Said {
        let Told { at, name, category, props } = told;
        let id = EventId::from(uuid(ids));
        let form = self.person.system.form;
        let ahead = if form == Form::Phone { 0 } else { self.person.watch.ahead };
        let claimed_at = at.plus(ahead);
        if form == Form::Phone || !chance.happens(UNUSABLE) {
            return Said::Event { id, claimed_at, name, category, props };
        }
        match chance.below(3) {
            0 => Said::Unusable {
                id,
                reason: Reason::UnsupportedSchema,
                detail: "`schema_version` does not begin with `1.`",
                body: format!(r#"{{"schema_version":"2.0.0-beta.1","event":{{"type":"{name}","data":{props}}}}}"#),
            },
            1 => Said::Event { id, claimed_at, name: "", category, props },
            _ => {
                let props = format!(r#"{{"outline":{}{}}}"#, "[".repeat(40), "]".repeat(40));
                Said::Event { id, claimed_at, name, category, props }
            }
        }
    }

    fn sender(&self, opened_at: Millis, wait: i64, chance: &mut Chance) -> Sender {
        let mut known = Chance::of(&[self.seed, 4, self.person.number]);
        if self.person.system.form == Form::Phone {
            let at = opened_at.plus(wait).min(self.until);
            return Sender::Phone(self.phone(at, &mut known));
        }
        let user = format!("client_{}", [(); 4].map(|()| format!("{:016x}", known.next())).concat());
        let session = format!("sess_{:016x}{:016x}", known.next() ^ self.key, chance.next());
        let facts = self.facts(&mut known);
        Sender::Program { user, session, facts }
    }

    fn facts(&self, known: &mut Chance) -> RawFacts<'static> {
        let Self { person, release, .. } = self;
        let terminal = person.system.form == Form::Terminal;
        let shell = known.pick(&[("zsh", 48), ("bash", 37), ("fish", 15)]);
        let mut facts = RawFacts::default();
        facts.set(Fact::Version, Some(release.version.clone()));
        facts.set(Fact::Build, Some(release.build.to_string()));
        facts.set(Fact::System, Some(person.system.name));
        facts.set(Fact::SystemVersion, Some(person.system_version));
        facts.set(Fact::Arch, person.arch);
        facts.set(Fact::Device, Some(person.device));
        facts.set(Fact::Locale, Some(person.locale.name));
        facts.set(Fact::Sdk, Some("telemetry-kit-rust/0.3.0"));
        facts.set(Fact::Service, Some(if terminal { "quill-cli" } else { "quill" }));
        facts.set(Fact::Language, Some("rust 1.90.0"));
        facts.set(Fact::Shell, terminal.then_some(shell));
        facts.set(Fact::Ci, terminal.then_some("false"));
        facts
    }

    fn phone(&self, at: Millis, known: &mut Chance) -> Phone {
        let Self { person, release, .. } = self;
        let install_id = uuid(known).to_string();
        let (given, family) = (*known.one(&GIVEN), *known.one(&FAMILY));
        let (brand, kind) = person.device.split_once(' ').unwrap_or((person.device, "phone"));
        let address = format!("{given}.{family}{}@example.org", person.number).to_lowercase();
        Phone {
            at,
            install_id,
            platform: person.system.platform,
            system_name: person.system.name,
            system_version: person.system_version,
            version: release.version.clone(),
            build: release.build,
            device_name: format!("{given}'s {brand} {kind}"),
            brand,
            kind,
            owner: known.happens(0.6).then(|| (format!("{given} {family}"), address)),
        }
    }
}

fn uuid(chance: &mut Chance) -> uuid::Uuid {
    let (high, low) = (chance.next(), chance.next());
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
