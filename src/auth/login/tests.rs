//! Facts about logins, over a real store and a clock that moves when told.

use std::collections::HashSet;

use super::*;
use crate::store::sqlite::{Options, SqliteStore};

const START: Millis = Millis(1_800_000_000_000);
const PASSWORD: &str = "plover zinc fathom";

struct Rig {
    _dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    clock: Clock,
    logins: Logins,
}

fn new_box() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap());
    let clock = Clock::manual(START);
    let logins = Logins::new(store.clone(), clock.clone());
    Rig { _dir: dir, store, clock, logins }
}

async fn with_ada() -> Rig {
    let new = new_box();
    let token = new.logins.issue_setup_token(None).await.unwrap().unwrap();
    new.logins.complete_setup(&token, ("ada@example.org", PASSWORD), "here").await.unwrap();
    new
}

fn from(n: u8) -> IpAddr {
    [203, 0, 113, n].into()
}

#[test]
fn names_are_trimmed_and_bounded() {
    let long = "ä".repeat(254);
    let rows = [
        (" ada@example.org ", Some("ada@example.org")),
        (&long, Some(&*long)),
        ("", None),
        ("  ", None),
        ("a\nb", None),
        (&"a".repeat(255), None),
    ];
    for (given, name) in rows {
        assert_eq!(check_name(given).as_deref(), name, "{given}");
    }
}

#[tokio::test]
async fn a_setup_token_makes_one_owner_and_dies() {
    let Rig { logins, clock, store, .. } = new_box();
    assert!(!logins.set_up().await.unwrap());
    let token = logins.issue_setup_token(None).await.unwrap().unwrap();
    assert!(logins.setup_token_valid(&token).await.unwrap() && !logins.setup_token_valid("guess").await.unwrap());
    let refused = logins.complete_setup("guess", ("eve", PASSWORD), "here").await.unwrap_err();
    assert!(matches!(refused, SetupError::Spent));
    let refused = logins.complete_setup(&token, ("ada", "short"), "here").await.unwrap_err();
    assert!(matches!(refused, SetupError::Password(PasswordProblem::TooShort)));
    assert!(matches!(logins.complete_setup(&token, (" ", PASSWORD), "here").await.unwrap_err(), SetupError::Name));
    let ada = logins.complete_setup(&token, ("ada", PASSWORD), "here").await.unwrap();
    assert!(ada.member.owns_box);
    assert_eq!(ada.member.memberships[0].role, Role::Owner);
    assert!(logins.find(&ada.token).await.unwrap().is_some());
    assert!(matches!(logins.complete_setup(&token, ("eve", PASSWORD), "here").await.unwrap_err(), SetupError::Spent));
    assert!(logins.issue_setup_token(Some("fixed")).await.unwrap().is_none());
    assert!(Logins::new(store, clock).set_up().await.unwrap());
}

#[tokio::test]
async fn a_setup_token_dies_after_an_hour_or_when_another_is_issued() {
    let Rig { logins, clock, .. } = new_box();
    let fixed = "a-token-from-the-configuration";
    assert_eq!(logins.issue_setup_token(Some(fixed)).await.unwrap().as_deref(), Some(fixed));
    clock.set(START.plus(Millis::HOUR - 1));
    assert!(logins.setup_token_valid(fixed).await.unwrap());
    clock.set(START.plus(Millis::HOUR));
    assert!(matches!(logins.complete_setup(fixed, ("ada", PASSWORD), "here").await.unwrap_err(), SetupError::Spent));
    let first = logins.issue_setup_token(None).await.unwrap().unwrap();
    let second = logins.issue_setup_token(None).await.unwrap().unwrap();
    assert!(!logins.setup_token_valid(&first).await.unwrap() && logins.setup_token_valid(&second).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_setups_at_once_yield_one_member() {
    let Rig { logins, store, .. } = new_box();
    let token = logins.issue_setup_token(None).await.unwrap().unwrap();
    let one = |n: u32| {
        let (logins, token) = (logins.clone(), token.clone());
        tokio::spawn(async move { logins.complete_setup(&token, (&format!("member {n}"), PASSWORD), "here").await })
    };
    let tries: Vec<_> = (0..100).map(one).collect();
    let mut winners = 0;
    for tried in tries {
        match tried.await.unwrap() {
            Ok(_) => winners += 1,
            Err(error) => assert!(matches!(error, SetupError::Spent | SetupError::TooBusy { .. }), "{error:?}"),
        }
    }
    assert_eq!((winners, store.members(None).unwrap().len()), (1, 1));
}

#[tokio::test]
async fn name_and_password_give_a_login_that_ends_when_told() {
    let Rig { logins, store, .. } = with_ada().await;
    let ada = logins.sign_in(" ADA@example.org ", PASSWORD, from(1)).await.unwrap();
    let login = logins.find(&ada.token).await.unwrap().unwrap();
    assert_eq!((login.member.name.as_str(), login.created_at), ("ada@example.org", START));
    assert!(logins.find("guess").await.unwrap().is_none());
    let again = logins.sign_in("ada@example.org", PASSWORD, from(1)).await.unwrap();
    assert_ne!(again.token, ada.token);
    logins.sign_out(&ada.token).await.unwrap();
    assert!(logins.find(&ada.token).await.unwrap().is_none() && logins.find(&again.token).await.unwrap().is_some());
    store.set_password(ada.member.id, &password::hash("another long secret"), None).unwrap();
    assert!(logins.find(&again.token).await.unwrap().is_none());
    assert!(matches!(logins.sign_in("ada@example.org", PASSWORD, from(1)).await, Err(SignInError::Wrong)));
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_get_the_same_answer() {
    let Rig { logins, .. } = with_ada().await;
    let long = "x".repeat(100_000);
    let rows =
        [("ada@example.org", "wrong"), ("eve", PASSWORD), ("", ""), (&long, PASSWORD), ("ada@example.org", &long)];
    for (name, password) in rows {
        assert!(matches!(logins.sign_in(name, password, from(1)).await, Err(SignInError::Wrong)));
    }
}

#[tokio::test]
async fn logins_die_of_idleness_and_of_age() {
    let Rig { logins, clock, .. } = with_ada().await;
    let ada = logins.sign_in("ada@example.org", PASSWORD, from(1)).await.unwrap();
    let mut now = START;
    while now < START.plus(7 * Millis::DAY) {
        clock.set(now);
        assert!(logins.find(&ada.token).await.unwrap().is_some(), "at {now:?}");
        now = now.plus(11 * Millis::HOUR);
    }
    clock.set(START.plus(7 * Millis::DAY));
    assert!(logins.find(&ada.token).await.unwrap().is_none());
    let idle = logins.sign_in("ada@example.org", PASSWORD, from(1)).await.unwrap();
    clock.set(clock.now().plus(12 * Millis::HOUR));
    assert!(logins.find(&idle.token).await.unwrap().is_none());
    clock.set(clock.now().plus(-Millis::HOUR));
    assert!(logins.find(&idle.token).await.unwrap().is_none(), "a dead login stays dead when the clock is set back");
}

#[tokio::test]
async fn an_account_waits_after_five_failures_whoever_asks() {
    let Rig { logins, clock, .. } = with_ada().await;
    for n in 0..5 {
        assert!(matches!(logins.sign_in("ada@example.org", "wrong", from(n)).await, Err(SignInError::Wrong)));
    }
    let refused = logins.sign_in("ada@example.org", PASSWORD, from(9)).await.unwrap_err();
    assert!(matches!(refused, SignInError::TooMany { retry_after: 15 | 16 }), "{refused:?}");
    clock.set(START.plus(16 * Millis::SECOND));
    assert!(logins.sign_in("ada@example.org", PASSWORD, from(9)).await.is_ok());
    assert!(matches!(logins.sign_in("ada@example.org", "wrong", from(9)).await, Err(SignInError::Wrong)));
}

#[tokio::test]
async fn a_weak_hash_is_made_anew_at_sign_in() {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let Rig { logins, store, .. } = with_ada().await;
    let ada = store.find_member("ada@example.org").unwrap().unwrap();
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(1_024, 1, 1, None).unwrap());
    let weak = weak.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
    store.set_password(ada.id, &weak, None).unwrap();
    let signed_in = logins.sign_in("ada@example.org", PASSWORD, from(1)).await.unwrap();
    assert!(logins.find(&signed_in.token).await.unwrap().is_some());
    let hash = store.find_member("ada@example.org").unwrap().unwrap().password_hash;
    assert_eq!((hash == weak, password::verify(PASSWORD, &hash)), (false, Verdict::Right));
}

#[tokio::test]
async fn form_tokens_belong_to_one_login() {
    let Rig { logins, .. } = new_box();
    let tokens: HashSet<_> = ["a", "b", ""].map(|login| logins.csrf(login)).into();
    assert_eq!(tokens.len(), 3);
    assert!(logins.csrf_matches("a", &logins.csrf("a")) && !logins.csrf_matches("a", &logins.csrf("b")));
    for given in ["", "a", &logins.csrf("a")[1..]] {
        assert!(!logins.csrf_matches("a", given));
    }
}

#[tokio::test]
async fn debug_output_shows_no_token() {
    let Rig { logins, .. } = with_ada().await;
    let ada = logins.sign_in("ada@example.org", PASSWORD, from(1)).await.unwrap();
    let printed = format!("{ada:?}");
    assert!(!printed.contains(&ada.token) && !printed.contains("argon2"), "{printed}");
}
