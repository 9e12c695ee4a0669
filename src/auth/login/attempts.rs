//! How often somebody may try to sign in: pure arithmetic over bounded tables.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use crate::model::Millis;

/// Failures of one account before it must wait.
const FREE_FAILURES: u32 = 5;
/// First wait of an account, doubled with each further failure.
const FIRST_WAIT: i64 = 15 * Millis::SECOND;
/// Longest wait of an account.
const LONGEST_WAIT: i64 = 15 * Millis::MINUTE;
/// Failures in a row after which an account waits for a quiet day (NIST SP 800-63B-4 allows no more).
const MOST_FAILURES: u32 = 100;
/// After this long without a failure an account starts afresh.
const FORGET: i64 = Millis::DAY;
/// Failures of one address within [`WINDOW`].
const PER_ADDRESS: usize = 20;
const WINDOW: i64 = 10 * Millis::MINUTE;
/// Most accounts and most addresses that are remembered.
const TABLE: usize = 10_000;

/// Failed attempts by account and by address.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    accounts: HashMap<[u8; 32], Account>,
    addresses: HashMap<IpAddr, VecDeque<Millis>>,
}

/// An attempt that was let through. It counts as a failure until [`Attempts::forgive`] takes it back, so that a
/// thousand guesses at once find the same limit as a thousand in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    account: [u8; 32],
    address: IpAddr,
    at: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    failures: u32,
    last: Millis,
}

impl Attempts {
    /// Lets an attempt through, or says after how many seconds to come back.
    pub(super) fn begin(&mut self, account: [u8; 32], address: IpAddr, now: Millis) -> Result<Attempt, u32> {
        let address = network(address);
        self.settle(&account, address, now);
        let account_wait = self.accounts.get(&account).map_or(0, |entry| entry.wait(now));
        let address_wait = self.addresses.get(&address).map_or(0, |failures| wait_of_address(failures, now));
        let wait = account_wait.max(address_wait);
        if wait > 0 {
            return Err(u32::try_from(wait.div_euclid(Millis::SECOND) + 1).unwrap_or(u32::MAX));
        }
        make_room(&mut self.accounts, &account, |entry| entry.last);
        let entry = self.accounts.entry(account).or_insert(Account { failures: 0, last: now });
        *entry = Account { failures: entry.failures.saturating_add(1), last: now };
        make_room(&mut self.addresses, &address, |failures| failures.back().copied().unwrap_or_default());
        self.addresses.entry(address).or_default().push_back(now);
        Ok(Attempt { account, address, at: now })
    }

    /// The password was right: the account starts afresh, and the address is not charged.
    pub(super) fn succeed(&mut self, attempt: Attempt) {
        self.accounts.remove(&attempt.account);
        self.refund_address(attempt);
    }

    /// Nothing was tried after all: takes the attempt back.
    pub(super) fn forgive(&mut self, attempt: Attempt) {
        if let Some(entry) = self.accounts.get_mut(&attempt.account) {
            entry.failures = entry.failures.saturating_sub(1);
        }
        self.refund_address(attempt);
    }

    fn refund_address(&mut self, attempt: Attempt) {
        if let Some(failures) = self.addresses.get_mut(&attempt.address) {
            if let Some(at) = failures.iter().rposition(|&at| at == attempt.at) {
                failures.remove(at);
            }
            if failures.is_empty() {
                self.addresses.remove(&attempt.address);
            }
        }
    }

    /// Drops what is too old to count. A clock that was set back must not lengthen a wait, so nothing stays in
    /// the future.
    fn settle(&mut self, account: &[u8; 32], address: IpAddr, now: Millis) {
        if let Some(entry) = self.accounts.get_mut(account) {
            entry.last = entry.last.min(now);
            if now.since(entry.last) >= FORGET {
                self.accounts.remove(account);
            }
        }
        if let Some(failures) = self.addresses.get_mut(&address) {
            failures.iter_mut().for_each(|at| *at = (*at).min(now));
            failures.retain(|&at| now.since(at) < WINDOW);
        }
    }
}

impl Account {
    /// Milliseconds until the next attempt.
    fn wait(&self, now: Millis) -> i64 {
        if self.failures < FREE_FAILURES {
            return 0;
        }
        if self.failures >= MOST_FAILURES {
            return (FORGET - now.since(self.last)).max(0);
        }
        let doublings = (self.failures - FREE_FAILURES).min(16);
        let wait = (FIRST_WAIT << doublings).min(LONGEST_WAIT);
        (wait - now.since(self.last)).max(0)
    }
}

fn wait_of_address(failures: &VecDeque<Millis>, now: Millis) -> i64 {
    // Once the oldest of the last PER_ADDRESS leaves the window there is room for one more.
    let oldest = failures.len().checked_sub(PER_ADDRESS).and_then(|at| failures.get(at));
    oldest.map_or(0, |&at| (WINDOW - now.since(at)).max(0))
}

/// Whoever gets one IPv6 address gets a whole /64 with it; an IPv4 address written as IPv6 is that IPv4 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// In a full table the entry that was touched longest ago makes room.
fn make_room<K: Copy + Eq + Hash, V>(table: &mut HashMap<K, V>, key: &K, last: impl Fn(&V) -> Millis) {
    if table.len() >= TABLE && !table.contains_key(key) {
        let oldest = table.iter().min_by_key(|(_, value)| last(value)).map(|(key, _)| *key);
        oldest.and_then(|key| table.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis(1_800_000_000_000);

    fn account(n: u32) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        bytes
    }

    fn address(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn an_account_waits_ever_longer_after_five_failures() {
        let mut attempts = Attempts::default();
        for n in 0..5 {
            assert!(attempts.begin(account(1), address(n), START).is_ok());
        }
        let mut now = START;
        for (n, wait) in [(5, 15), (6, 30), (7, 60), (8, 120), (9, 240), (10, 480), (11, 900), (12, 900)] {
            let told = attempts.begin(account(1), address(n), now).unwrap_err();
            assert!((wait..=wait + 1).contains(&told), "{told} for {wait}");
            now = now.plus(i64::from(wait) * 1_000 - 1);
            assert!(attempts.begin(account(1), address(n), now).is_err(), "a moment too early");
            now = now.plus(1);
            assert!(attempts.begin(account(1), address(n), now).is_ok());
        }
    }

    #[test]
    fn after_a_hundred_failures_an_account_waits_for_a_quiet_day() {
        let mut attempts = Attempts::default();
        let mut now = START;
        for n in 0..100 {
            now = now.plus(LONGEST_WAIT);
            attempts.begin(account(1), address(n), now).unwrap();
        }
        assert_eq!(attempts.begin(account(1), address(200), now.plus(LONGEST_WAIT)).unwrap_err(), 85_501);
        assert!(attempts.begin(account(1), address(200), now.plus(Millis::DAY)).is_ok());
    }

    #[test]
    fn refused_attempts_do_not_lengthen_the_wait() {
        let mut attempts = Attempts::default();
        for n in 0..5 {
            attempts.begin(account(1), address(n), START).unwrap();
        }
        for n in 0..1_000 {
            assert!(attempts.begin(account(1), address(n), START.plus(14_000)).is_err());
        }
        assert!(attempts.begin(account(1), address(9), START.plus(15_000)).is_ok());
    }

    #[test]
    fn an_address_has_twenty_failures_in_ten_minutes() {
        let mut attempts = Attempts::default();
        for n in 0..20 {
            attempts.begin(account(n), address(1), START.plus(i64::from(n) * 1_000)).unwrap();
        }
        let told = attempts.begin(account(99), address(1), START.plus(20_000)).unwrap_err();
        assert_eq!(told, 581, "the first failure leaves the window ten minutes after it happened");
        assert!(attempts.begin(account(99), address(2), START.plus(20_000)).is_ok(), "others are not held back");
        assert!(attempts.begin(account(98), address(1), START.plus(600_000)).is_ok());
        assert!(attempts.begin(account(97), address(1), START.plus(600_000)).is_err(), "one left, one came");
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let mut attempts = Attempts::default();
        for n in 0..20u32 {
            let address = format!("2001:db8:0:1::{n:x}").parse().unwrap();
            attempts.begin(account(n), address, START).unwrap();
        }
        assert!(attempts.begin(account(20), "2001:db8:0:1:ffff::1".parse().unwrap(), START).is_err());
        assert!(attempts.begin(account(20), "2001:db8:0:2::1".parse().unwrap(), START).is_ok());
        assert_eq!(network("::ffff:203.0.113.7".parse().unwrap()), network("203.0.113.7".parse().unwrap()));
    }

    #[test]
    fn success_starts_afresh_and_forgiveness_takes_back() {
        let mut attempts = Attempts::default();
        for _ in 0..30 {
            let attempt = attempts.begin(account(1), address(1), START).unwrap();
            attempts.succeed(attempt);
            let attempt = attempts.begin(account(1), address(1), START).unwrap();
            attempts.forgive(attempt);
        }
        assert!(attempts.addresses.is_empty());
    }

    #[test]
    fn an_account_is_forgotten_after_a_quiet_day() {
        let mut attempts = Attempts::default();
        for n in 0..5 {
            attempts.begin(account(1), address(n), START).unwrap();
        }
        let attempt = attempts.begin(account(1), address(6), START.plus(Millis::DAY)).unwrap();
        assert_eq!(attempts.accounts[&attempt.account].failures, 1);
    }

    #[test]
    fn a_clock_set_back_never_lengthens_a_wait() {
        let mut attempts = Attempts::default();
        for n in 0..5 {
            attempts.begin(account(1), address(1), START.plus(i64::from(n))).unwrap();
        }
        let back = START.plus(-Millis::DAY);
        assert!(attempts.begin(account(1), address(2), back).unwrap_err() <= 16);
        assert!(attempts.begin(account(1), address(2), back.plus(15_000)).is_ok());
    }

    #[test]
    fn tables_stay_bounded_and_keep_the_newest() {
        let mut attempts = Attempts::default();
        let many = u32::try_from(TABLE).unwrap() + 50;
        for n in 0..many {
            attempts.begin(account(n), address(n), START.plus(i64::from(n))).unwrap();
        }
        assert_eq!((attempts.accounts.len(), attempts.addresses.len()), (TABLE, TABLE));
        assert!(attempts.accounts.contains_key(&account(many - 1)) && !attempts.accounts.contains_key(&account(0)));
    }
}
