//! What proves that a member is one, asked for by many at once.

use std::sync::Barrier;

use super::*;

on_both_backends! {
    a_step_and_a_recovery_code_are_spent_once,
    a_person_of_a_provider_becomes_one_member,
    roles_follow_groups_where_the_groups_rule,
    a_member_is_signed_in_on_a_hundred_browsers_at_most,
    what_proves_a_member_goes_with_the_member,
}

const AT_ONCE: usize = 8;

fn by() -> By {
    By { at: NOW, member: "ada".to_owned(), place: "Firefox on Linux".to_owned() }
}

fn member(bench: &Bench, name: &str) -> Member {
    let new =
        NewMember { name: name.to_owned(), password_hash: "x".to_owned(), organization: None, role: Role::Viewer };
    bench.store.create_member(&new, &by()).unwrap()
}

/// What all answer who do the same at the same moment, each over a store of its own.
fn together<T: Send>(bench: &Bench, work: impl Fn(&dyn Store) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(AT_ONCE);
    std::thread::scope(|scope| {
        let one = || {
            // Two processes may share a SQLite file, as a verb and a server do.
            let store = open(&bench.database).unwrap();
            start.wait();
            work(&*store)
        };
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn turn_on(bench: &Bench, member: &Member, codes: &[[u8; 32]]) {
    bench.store.begin_two_factor(member.id, b"sealed").unwrap();
    let confirmed = Confirmed { member: member.id, step: 10, recovery_codes: codes.to_vec(), keep: [0; 32] };
    bench.store.confirm_two_factor(&confirmed, &by()).unwrap();
}

fn login(bench: &Bench, member: &Member, number: u8, at: Millis) -> [u8; 32] {
    let (token_hash, by) = ([number; 32], By { at, ..by() });
    let new = NewLogin { token_hash, member: member.id, way: Way::Code, proved_at: at, by };
    bench.store.create_login(&new).unwrap();
    token_hash
}

fn a_step_and_a_recovery_code_are_spent_once(backend: Backend) {
    let bench = Bench::new(backend);
    let (ada, eve) = (member(&bench, "ada"), member(&bench, "eve"));
    bench.store.begin_two_factor(ada.id, b"first").unwrap();
    assert!(!bench.store.spend_step(ada.id, 99).unwrap(), "it is not confirmed");
    turn_on(&bench, &ada, &[[1; 32], [2; 32]]);
    assert!(matches!(bench.store.begin_two_factor(ada.id, b"other"), Err(StoreError::Exists(_))));
    let confirmed = Confirmed { member: ada.id, step: 0, recovery_codes: Vec::new(), keep: [0; 32] };
    assert!(matches!(bench.store.confirm_two_factor(&confirmed, &by()), Err(StoreError::NotFound(_))));
    for step in [9, 10] {
        assert!(!bench.store.spend_step(ada.id, step).unwrap(), "{step}");
    }
    let spent = together(&bench, |store| store.spend_step(ada.id, 11).unwrap());
    assert_eq!(spent.iter().filter(|spent| **spent).count(), 1);
    assert!(!bench.store.spend_recovery_code(eve.id, &[1; 32], &by()).unwrap(), "it is somebody else's");
    let spent = together(&bench, |store| store.spend_recovery_code(ada.id, &[1; 32], &by()).unwrap());
    assert_eq!(spent.iter().filter(|spent| **spent).count(), 1);
    let known = bench.store.two_factor(ada.id).unwrap().unwrap();
    assert_eq!((known.last_step, known.recovery_codes, known.confirmed_at), (11, 1, Some(NOW)));
    bench.store.renew_recovery_codes(ada.id, &[[3; 32]], &by()).unwrap();
    assert!(!bench.store.spend_recovery_code(ada.id, &[2; 32], &by()).unwrap());
    assert!(
        bench.store.drop_two_factor(ada.id, &by()).unwrap() && !bench.store.drop_two_factor(ada.id, &by()).unwrap()
    );
    assert!(!bench.store.spend_recovery_code(ada.id, &[3; 32], &by()).unwrap());
    assert!(matches!(bench.store.renew_recovery_codes(ada.id, &[], &by()), Err(StoreError::NotFound(_))));
}

fn vouched(subject: &str, name: &str, roles: &[(Option<&str>, Role)]) -> Vouched {
    let organization = |slug: Option<&str>| slug.map(str::to_owned);
    Vouched {
        identity: Identity { issuer: "https://id.example.org".to_owned(), subject: subject.to_owned() },
        name: name.to_owned(),
        roles: roles
            .iter()
            .map(|(slug, role)| OrganizationRole { organization: organization(*slug), role: *role })
            .collect(),
        ruled: vec![None, organization(Some("lab")), organization(Some("gone"))],
    }
}

fn a_person_of_a_provider_becomes_one_member(backend: Backend) {
    let bench = Bench::new(backend);
    let viewer = [(None, Role::Viewer)];
    let nobody = bench.store.admit(&vouched("7", "grace", &viewer), &by());
    assert!(matches!(nobody, Err(StoreError::NotFound(_))), "the first member owns the box, and none comes so");
    member(&bench, "ada");
    let admitted = together(&bench, |store| store.admit(&vouched("7", "grace", &viewer), &by()).unwrap());
    for one in &admitted {
        assert!(matches!(one, Admission::In(member) if member.name == "grace" && member.password_hash.is_empty()));
    }
    assert_eq!(bench.store.members(None).unwrap().len(), 2);
    // Another subject of the same name, another issuer of the same subject: neither is she.
    assert!(matches!(bench.store.admit(&vouched("8", "GRACE", &viewer), &by()), Err(StoreError::Exists(_))));
    assert!(matches!(bench.store.admit(&vouched("8", "ada", &viewer), &by()), Err(StoreError::Exists(_))));
    let mut other = vouched("7", "hedy", &viewer);
    other.identity.issuer.push('/');
    assert!(matches!(bench.store.admit(&other, &by()).unwrap(), Admission::In(member) if member.name == "hedy"));
    assert!(matches!(bench.store.admit(&vouched("9", "eve", &[]), &by()).unwrap(), Admission::NoRole));
    let gone = [(Some("gone"), Role::Owner)];
    assert!(matches!(bench.store.admit(&vouched("9", "eve", &gone), &by()).unwrap(), Admission::NoRole));
    assert_eq!(bench.store.members(None).unwrap().len(), 3);
}

fn roles_follow_groups_where_the_groups_rule(backend: Backend) {
    let bench = Bench::new(backend);
    let owner = member(&bench, "ada");
    let make = |slug: &str| {
        let new = NewOrganization { slug: Slug::from_name(slug), name: slug.to_owned() };
        bench.store.create_organization(&new, &by()).unwrap().id
    };
    let (lab, other) = (make("lab"), make("other"));
    let first = owner.memberships[0].organization;
    let admit = |roles: &[(Option<&str>, Role)]| bench.store.admit(&vouched("7", "grace", roles), &by()).unwrap();
    let Admission::In(grace) = admit(&[(None, Role::Admin), (Some("lab"), Role::Viewer)]) else { panic!("she is out") };
    assert_eq!((grace.role_in(first), grace.role_in(lab)), (Some(Role::Admin), Some(Role::Viewer)));
    // What somebody gave her where the groups do not rule stays.
    bench.store.set_role(grace.id, other, Some(Role::Viewer), &by()).unwrap();
    let Admission::In(grace) = admit(&[(None, Role::Viewer)]) else { panic!("she is out") };
    assert_eq!((grace.role_in(first), grace.role_in(lab)), (Some(Role::Viewer), None));
    assert_eq!(grace.role_in(other), Some(Role::Viewer));
    let cookie = login(&bench, &grace, 1, NOW);
    assert!(bench.store.find_login(&cookie, NOW).unwrap().is_some());
    assert!(matches!(admit(&[]), Admission::NoRole));
    assert!(bench.store.find_login(&cookie, NOW).unwrap().is_none(), "she is signed out");
    assert_eq!(bench.store.member(grace.id).unwrap().unwrap().role_in(first), None);
    bench.store.disable_member(grace.id, &by()).unwrap();
    assert!(matches!(admit(&[(None, Role::Admin)]), Admission::Disabled));
}

fn a_member_is_signed_in_on_a_hundred_browsers_at_most(backend: Backend) {
    let bench = Bench::new(backend);
    let (ada, eve) = (member(&bench, "ada"), member(&bench, "eve"));
    login(&bench, &eve, 255, NOW);
    for number in 0..105 {
        login(&bench, &ada, number, NOW.plus(i64::from(number)));
    }
    let all = bench.store.logins(ada.id).unwrap();
    assert_eq!((all.len(), all[0].token_hash, all[99].token_hash), (100, [104; 32], [5; 32]));
    assert_eq!((all[0].way, all[0].place.as_str(), all[0].proved_at), (Way::Code, "Firefox on Linux", NOW.plus(104)));
    bench.store.renew_login(&[104; 32], &[200; 32]).unwrap();
    assert!(matches!(bench.store.renew_login(&[104; 32], &[201; 32]), Err(StoreError::NotFound(_))));
    assert_eq!(bench.store.end_logins(ada.id, &Ending::One([255; 32]), &by()).unwrap(), 0, "it is somebody else's");
    assert_eq!(bench.store.end_logins(ada.id, &Ending::Others([200; 32]), &by()).unwrap(), 99);
    assert_eq!(bench.store.end_logins(ada.id, &Ending::All, &by()).unwrap(), 1);
    assert_eq!(bench.store.logins(eve.id).unwrap().len(), 1);
    bench.store.rehash(ada.id, "another", "y").unwrap();
    assert_eq!(bench.store.member(ada.id).unwrap().unwrap().password_hash, "x");
    bench.store.rehash(ada.id, "x", "y").unwrap();
    assert_eq!(bench.store.member(ada.id).unwrap().unwrap().password_hash, "y");
}

fn what_proves_a_member_goes_with_the_member(backend: Backend) {
    let bench = Bench::new(backend);
    member(&bench, "ada");
    let Admission::In(grace) = bench.store.admit(&vouched("7", "grace", &[(None, Role::Viewer)]), &by()).unwrap()
    else {
        panic!("she is out");
    };
    turn_on(&bench, &grace, &[[1; 32]]);
    login(&bench, &grace, 1, NOW);
    bench.store.delete_member(grace.id, &by()).unwrap();
    assert!(bench.store.member(grace.id).unwrap().is_none());
    for table in ["logins", "two_factor", "recovery_codes", "identities"] {
        assert_eq!(bench.database.count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}
