//! Facts about logins, over a real store and a clock that moves when told.

use std::collections::HashSet;

use super::*;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Accounts, SignIns};

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
    let logins = Logins::new(store.clone(), MasterKey::generate(), clock.clone(), LoginTimes::default());
    Rig { _dir: dir, store, clock, logins }
}

async fn with_ada() -> Rig {
    let new = new_box();
    let token = new.logins.issue_setup_token(None).await.unwrap().unwrap();
    new.logins.complete_setup(&token, ("ada@example.org", PASSWORD), "here").await.unwrap();
    new
}

/// As the engine does it, where no code is asked for.
async fn sign_in(logins: &Logins, name: &str, password: &str, address: IpAddr) -> Result<SignedIn, SignInError> {
    match logins.sign_in(name, password, &Caller { address, place: "curl" }).await? {
        Entrance::In(signed_in) => Ok(signed_in),
        Entrance::Code(_) => panic!("a code is asked for"),
    }
}

fn by() -> By {
    By::command_line(START)
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
    assert!(Logins::new(store, MasterKey::generate(), clock, LoginTimes::default()).set_up().await.unwrap());
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
    let ada = sign_in(&logins, " ADA@example.org ", PASSWORD, from(1)).await.unwrap();
    let login = logins.find(&ada.token).await.unwrap().unwrap();
    assert_eq!((login.member.name.as_str(), login.created_at), ("ada@example.org", START));
    assert!(logins.find("guess").await.unwrap().is_none());
    let again = sign_in(&logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    assert_ne!(again.token, ada.token);
    logins.sign_out(&ada.token).await.unwrap();
    assert!(logins.find(&ada.token).await.unwrap().is_none() && logins.find(&again.token).await.unwrap().is_some());
    store.set_password(ada.member.id, &password::hash("another long secret"), None, &by()).unwrap();
    assert!(logins.find(&again.token).await.unwrap().is_none());
    assert!(matches!(sign_in(&logins, "ada@example.org", PASSWORD, from(1)).await, Err(SignInError::Wrong)));
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_get_the_same_answer() {
    let Rig { logins, .. } = with_ada().await;
    let long = "x".repeat(100_000);
    let rows =
        [("ada@example.org", "wrong"), ("eve", PASSWORD), ("", ""), (&long, PASSWORD), ("ada@example.org", &long)];
    for (name, password) in rows {
        assert!(matches!(sign_in(&logins, name, password, from(1)).await, Err(SignInError::Wrong)));
    }
}

#[tokio::test]
async fn logins_die_of_idleness_and_of_age() {
    let Rig { logins, clock, .. } = with_ada().await;
    let ada = sign_in(&logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    let mut now = START;
    while now < START.plus(7 * Millis::DAY) {
        clock.set(now);
        assert!(logins.find(&ada.token).await.unwrap().is_some(), "at {now:?}");
        now = now.plus(11 * Millis::HOUR);
    }
    clock.set(START.plus(7 * Millis::DAY));
    assert!(logins.find(&ada.token).await.unwrap().is_none());
    let idle = sign_in(&logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    clock.set(clock.now().plus(12 * Millis::HOUR));
    assert!(logins.find(&idle.token).await.unwrap().is_none());
    clock.set(clock.now().plus(-Millis::HOUR));
    assert!(logins.find(&idle.token).await.unwrap().is_none(), "a dead login stays dead when the clock is set back");
}

#[tokio::test]
async fn logins_last_as_long_as_is_set() {
    let Rig { store, clock, _dir, .. } = with_ada().await;
    let times = LoginTimes { idle: Millis::HOUR, whole: 2 * Millis::HOUR };
    let logins = Logins::new(store, MasterKey::generate(), clock.clone(), times);
    let idle = sign_in(&logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    let used = sign_in(&logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    for (minutes, idle_lives, used_lives) in [(50, true, true), (105, false, true), (121, false, false)] {
        clock.set(START.plus(minutes * Millis::MINUTE));
        assert_eq!(logins.find(&used.token).await.unwrap().is_some(), used_lives, "after {minutes} minutes");
        if minutes > 100 {
            assert_eq!(logins.find(&idle.token).await.unwrap().is_some(), idle_lives, "after {minutes} minutes");
        }
    }
}

#[tokio::test]
async fn an_account_waits_after_five_failures_whoever_asks() {
    let Rig { logins, clock, .. } = with_ada().await;
    for n in 0..5 {
        assert!(matches!(sign_in(&logins, "ada@example.org", "wrong", from(n)).await, Err(SignInError::Wrong)));
    }
    let refused = sign_in(&logins, "ada@example.org", PASSWORD, from(9)).await.unwrap_err();
    assert!(matches!(refused, SignInError::TooMany { retry_after: 15 | 16 }), "{refused:?}");
    clock.set(START.plus(16 * Millis::SECOND));
    assert!(sign_in(&logins, "ada@example.org", PASSWORD, from(9)).await.is_ok());
    assert!(matches!(sign_in(&logins, "ada@example.org", "wrong", from(9)).await, Err(SignInError::Wrong)));
}

#[tokio::test]
async fn a_weak_hash_is_made_anew_at_sign_in() {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let Rig { logins, store, .. } = with_ada().await;
    let ada = store.find_member("ada@example.org").unwrap().unwrap();
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(1_024, 1, 1, None).unwrap());
    let weak = weak.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
    store.set_password(ada.id, &weak, None, &by()).unwrap();
    let signed_in = sign_in(&logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
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
    let ada = sign_in(&logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    let printed = format!("{ada:?}");
    assert!(!printed.contains(&ada.token) && !printed.contains("argon2"), "{printed}");
}

/// What an authenticator app shows at a moment; the arithmetic is held against RFC 6238 where it stands.
fn code_at(rig: &Rig, member: &Member, at: Millis) -> String {
    let sealed = rig.store.two_factor(member.id).unwrap().unwrap().sealed_secret;
    let secret = rig.logins.unsealed(member.id, &sealed).unwrap();
    secret.code(at.seconds().div_euclid(30))
}

async fn with_two_factor() -> (Rig, SignedIn, Vec<String>) {
    let rig = with_ada().await;
    let ada = sign_in(&rig.logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    let own = Own { member: &ada.member, token: &ada.token, by: by(), address: from(1) };
    rig.logins.begin_two_factor(ada.member.id).await.unwrap();
    let code = code_at(&rig, &ada.member, START);
    let codes = rig.logins.confirm_two_factor(&own, &code).await.unwrap();
    (rig, ada, codes)
}

/// The first step, which must ask for a code.
async fn first_step(logins: &Logins) -> String {
    let entrance = logins.sign_in("ada@example.org", PASSWORD, &Caller { address: from(2), place: "curl" }).await;
    match entrance.unwrap() {
        Entrance::Code(sealed) => sealed,
        Entrance::In(_) => panic!("no code is asked for"),
    }
}

#[tokio::test]
async fn a_secret_counts_only_once_a_code_has_confirmed_it() {
    let rig = with_ada().await;
    let ada = sign_in(&rig.logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    let other = sign_in(&rig.logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    let own = Own { member: &ada.member, token: &ada.token, by: by(), address: from(1) };
    assert!(matches!(rig.logins.confirm_two_factor(&own, "000000").await, Err(SignInError::Wrong)), "none is there");
    rig.logins.begin_two_factor(ada.member.id).await.unwrap();
    assert!(matches!(rig.logins.confirm_two_factor(&own, "no code").await, Err(SignInError::Wrong)));
    assert!(sign_in(&rig.logins, "ada@example.org", PASSWORD, from(1)).await.is_ok(), "it does not count yet");
    let code = code_at(&rig, &ada.member, START);
    assert_eq!(rig.logins.confirm_two_factor(&own, &code).await.unwrap().len(), 10);
    first_step(&rig.logins).await;
    assert!(rig.logins.find(&ada.token).await.unwrap().is_some());
    assert!(rig.logins.find(&other.token).await.unwrap().is_none(), "other browsers are signed out");
    assert!(matches!(rig.logins.begin_two_factor(ada.member.id).await, Err(StoreError::Exists(_))));
}

#[tokio::test]
async fn each_code_signs_in_once() {
    let (rig, ada, codes) = with_two_factor().await;
    let caller = Caller { address: from(2), place: "curl" };
    let try_with = async |code: &str| rig.logins.second_step(&first_step(&rig.logins).await, code, &caller).await;
    let confirming = code_at(&rig, &ada.member, START);
    assert!(try_with(&confirming).await.is_err(), "the code that confirmed it is used up");
    let later = START.plus(30 * Millis::SECOND);
    let code = code_at(&rig, &ada.member, later);
    assert!(try_with(&code).await.is_ok(), "a phone may be a step ahead");
    assert!(try_with(&code).await.is_err(), "used");
    for _ in 0..2 {
        let first = try_with(&codes[0]).await.is_ok();
        assert_eq!(first, rig.store.two_factor(ada.member.id).unwrap().unwrap().recovery_codes == 9 && first);
    }
    assert_eq!(rig.store.two_factor(ada.member.id).unwrap().unwrap().recovery_codes, 9);
    assert!(try_with("0").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_who_try_one_code_at_once_let_one_in() {
    let (rig, ada, codes) = with_two_factor().await;
    let code = code_at(&rig, &ada.member, START.plus(30 * Millis::SECOND));
    for code in [&code, &codes[1]] {
        let sealed = first_step(&rig.logins).await;
        let one = |n: u8| {
            let (logins, sealed, code) = (rig.logins.clone(), sealed.clone(), code.clone());
            tokio::spawn(async move {
                let caller = Caller { address: from(n), place: "curl" };
                logins.second_step(&sealed, &code, &caller).await.is_ok()
            })
        };
        let mut inside = 0;
        for tried in (0..20).map(one).collect::<Vec<_>>() {
            inside += i32::from(tried.await.unwrap());
        }
        assert_eq!(inside, 1);
        rig.clock.set(rig.clock.now().plus(Millis::DAY));
    }
}

#[tokio::test]
async fn wrong_codes_make_the_account_wait_and_leave_password_and_proof_alone() {
    let (rig, ada, codes) = with_two_factor().await;
    let sealed = first_step(&rig.logins).await;
    for n in 0..5 {
        let tried = rig.logins.second_step(&sealed, "000000", &Caller { address: from(n), place: "curl" }).await;
        assert!(matches!(tried, Err(SecondStepError::SignIn(SignInError::Wrong))));
    }
    let caller = Caller { address: from(9), place: "curl" };
    let waits = rig.logins.second_step(&sealed, &codes[0], &caller).await;
    assert!(matches!(waits, Err(SecondStepError::SignIn(SignInError::TooMany { .. }))), "even a right one");
    first_step(&rig.logins).await;
    let own = Own { member: &ada.member, token: &ada.token, by: by(), address: from(1) };
    assert!(rig.logins.prove(&own, Proof::Code(&codes[0])).await.is_ok());
    rig.clock.set(START.plus(15 * Millis::SECOND));
    assert!(rig.logins.second_step(&sealed, &codes[1], &caller).await.is_ok());
}

#[tokio::test]
async fn a_first_step_is_over_when_the_password_changes_or_the_member_goes() {
    let (rig, ada, codes) = with_two_factor().await;
    let caller = Caller { address: from(9), place: "curl" };
    let sealed = first_step(&rig.logins).await;
    assert!(rig.logins.find(&sealed).await.unwrap().is_none(), "it is no login");
    rig.store.set_password(ada.member.id, &password::hash("another long secret"), None, &by()).unwrap();
    assert!(matches!(rig.logins.second_step(&sealed, &codes[0], &caller).await, Err(SecondStepError::Stale)));
    assert!(matches!(rig.logins.second_step("", &codes[0], &caller).await, Err(SecondStepError::Stale)));
    let other = Logins::new(rig.store.clone(), MasterKey::generate(), rig.clock.clone(), LoginTimes::default());
    assert!(!other.awaits_code(&sealed), "it was sealed under another key");
}

#[tokio::test]
async fn a_proof_counts_for_ten_minutes() {
    let rig = with_ada().await;
    let ada = sign_in(&rig.logins, "ada@example.org", PASSWORD, from(1)).await.unwrap();
    let own = Own { member: &ada.member, token: &ada.token, by: by(), address: from(1) };
    let is_proved = async || {
        let login = rig.logins.find(&ada.token).await.unwrap().unwrap();
        rig.logins.is_proved(login.proved_at)
    };
    assert!(is_proved().await, "signing in is one");
    rig.clock.set(START.plus(10 * Millis::MINUTE));
    assert!(!is_proved().await);
    assert!(matches!(rig.logins.prove(&own, Proof::Password("wrong")).await, Err(SignInError::Wrong)));
    assert!(matches!(rig.logins.prove(&own, Proof::Code("000000")).await, Err(SignInError::Wrong)));
    assert!(!is_proved().await);
    let own = Own { by: By { at: rig.clock.now(), ..by() }, ..own };
    rig.logins.prove(&own, Proof::Password(PASSWORD)).await.unwrap();
    assert!(is_proved().await);
    rig.clock.set(START.plus(-Millis::DAY));
    assert!(!is_proved().await, "a clock that was set back proves nothing");
}

#[tokio::test]
async fn where_codes_are_asked_for_a_password_is_no_proof() {
    let (rig, ada, codes) = with_two_factor().await;
    let own = Own { member: &ada.member, token: &ada.token, by: by(), address: from(1) };
    assert!(matches!(rig.logins.prove(&own, Proof::Password(PASSWORD)).await, Err(SignInError::Wrong)));
    rig.logins.prove(&own, Proof::Code(&codes[3])).await.unwrap();
    assert!(rig.logins.drop_two_factor(&own).await.unwrap() && !rig.logins.drop_two_factor(&own).await.unwrap());
    rig.logins.prove(&own, Proof::Password(PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn who_has_no_password_cannot_sign_in_with_an_empty_one() {
    let rig = with_ada().await;
    let new =
        NewMember { name: "eve".to_owned(), password_hash: String::new(), role: Role::Viewer, organization: None };
    rig.store.create_member(&new, &by()).unwrap();
    for given in ["", "x", PASSWORD] {
        assert!(matches!(sign_in(&rig.logins, "eve", given, from(3)).await, Err(SignInError::Wrong)), "{given}");
    }
}
