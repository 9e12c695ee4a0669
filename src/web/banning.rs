//! Banning a user or a device of an app, whichever page it is asked from.

use crate::ingest::{device_hash, identifier_hash, user_hash};
use crate::model::{Barred, EnvironmentId, NewBan, UserHash, UserSort, UsersPage};
use crate::store::StoreError;

use super::error::PageError;
use super::event::short;
use super::extract::AppVisit;
use super::person::short_id;
use super::state::WebState;

/// How many users of one search are looked at for the one whose identifier it is.
const LOOKED_AT: u32 = 50;

/// Whom to ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A user, by the id that an SDK sends.
    User(String),
    /// A user, by pseudonym.
    Pseudonym(String),
    /// A device, by what it calls itself.
    Device(String),
}

/// Bans them. What is kept of them is hashes, and for pages a beginning of what is stored anyway.
///
/// # Errors
/// [`StoreError::Exists`] where nobody is banned by it who was not before; [`StoreError::NoRoom`].
pub async fn ban(state: &WebState, on: &AppVisit, wanted: Wanted) -> Result<(), PageError> {
    let subjects = match wanted {
        Wanted::Device(id) => {
            vec![(Barred::Device(device_hash(&on.app.salt, &id)), format!("Device {}", short_id(&id)))]
        }
        Wanted::Pseudonym(text) => {
            let user = UserHash::parse(&text).ok_or(PageError::BadForm)?;
            vec![user_subject(user, identifier_of(state, on, user).await?.as_deref(), on)]
        }
        Wanted::User(id) => {
            // As whoever said so when it identified itself, and as events name them.
            let (mut users, plain) = (Vec::new(), user_hash(&on.app.salt, &id));
            let mut is_plain = false;
            for environment in &on.app.environments {
                users.extend(named(state, environment.id, &id).await?);
                let environment = environment.id;
                is_plain |= state.ask(move |store| store.person(environment, plain)).await?.is_some();
            }
            if is_plain || users.is_empty() {
                users.push(plain);
            }
            users.into_iter().map(|user| user_subject(user, Some(&id), on)).collect()
        }
    };
    let (app, by) = (on.app.id, on.visit.by(state));
    let done = state.ask(move |store| {
        let mut made = Err(StoreError::Exists("that ban"));
        for (subject, label) in subjects {
            match store.ban(&NewBan { app, subject, label }, &by) {
                Err(StoreError::Exists(_)) => {}
                done => made = done.map(Ok)?,
            }
        }
        made
    });
    Ok(done.await?)
}

fn user_subject(user: UserHash, identifier: Option<&str>, on: &AppVisit) -> (Barred, String) {
    let identifier = identifier.map(|identifier| identifier_hash(&on.app.salt, identifier));
    (Barred::User(user, identifier), format!("User {}", short(user)))
}

/// What installations call a user, in whichever environment they do.
async fn identifier_of(state: &WebState, on: &AppVisit, user: UserHash) -> Result<Option<String>, PageError> {
    let environments: Vec<EnvironmentId> = on.app.environments.iter().map(|environment| environment.id).collect();
    let found = state.ask(move |store| {
        for environment in environments {
            let person = store.person(environment, user)?;
            if let Some(identifier) = person.and_then(|person| person.profile).and_then(|told| told.identifier) {
                return Ok(Some(identifier));
            }
        }
        Ok(None)
    });
    Ok(found.await?)
}

/// Users of an environment whom installations call so.
async fn named(state: &WebState, environment: EnvironmentId, id: &str) -> Result<Vec<UserHash>, PageError> {
    let search =
        UsersPage { environment, search: id.to_owned(), sort: UserSort::default(), after: None, limit: LOOKED_AT };
    let found = state.ask(move |store| store.users(&search)).await?;
    let is_named = |told: &crate::model::Profile| told.identifier.as_deref() == Some(id);
    let rows = found.rows.into_iter().filter(|row| row.profile.as_ref().is_some_and(is_named));
    Ok(rows.map(|row| row.hash).collect())
}

/// A form that bans somebody, or that they are banned already: `parts/ban.html`.
pub struct Form {
    /// `user` or `device`.
    pub kind: &'static str,
    /// Name of the field that tells whom.
    pub field: &'static str,
    /// Its value.
    pub id: String,
    /// Whether they are.
    pub banned: bool,
    /// Where it is sent.
    pub action: String,
    /// Its proof.
    pub csrf: String,
}

/// Who is banned from an app, for pages that show some of its people.
pub struct Bans(Vec<Barred>);

impl Bans {
    /// Asks for them where the member may ban.
    pub async fn of(state: &WebState, on: &AppVisit) -> Result<Self, PageError> {
        if !on.administers() {
            return Ok(Self(Vec::new()));
        }
        let app = on.app.id;
        let bans = state.ask(move |store| store.bans(app)).await?;
        Ok(Self(bans.into_iter().map(|ban| ban.subject).collect()))
    }

    /// The form of a user; none for who may not ban.
    pub fn of_user(&self, state: &WebState, on: &AppVisit, user: UserHash) -> Option<Form> {
        let banned = self.0.iter().any(|subject| matches!(subject, Barred::User(banned, _) if *banned == user));
        form(state, on, ("user", "pseudonym", user.to_string()), banned)
    }

    /// The form of a device; none for who may not ban.
    pub fn of_device(&self, state: &WebState, on: &AppVisit, install_id: &str) -> Option<Form> {
        form(state, on, ("device", "id", install_id.to_owned()), self.hold_device(on, install_id))
    }

    /// Whether a device is banned, as far as the member may know.
    pub fn hold_device(&self, on: &AppVisit, install_id: &str) -> bool {
        let hash = (!self.0.is_empty()).then(|| device_hash(&on.app.salt, install_id));
        self.0.iter().any(|subject| matches!(subject, Barred::Device(banned) if Some(*banned) == hash))
    }
}

fn form(
    state: &WebState,
    on: &AppVisit,
    (kind, field, id): (&'static str, &'static str, String),
    banned: bool,
) -> Option<Form> {
    let action = state.site.link(&format!("/apps/{}/limits", on.app.slug));
    on.administers().then(|| Form { kind, field, id, banned, action, csrf: on.visit.csrf.clone() })
}
