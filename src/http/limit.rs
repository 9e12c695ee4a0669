//! How often one address may try something.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::model::{ClientNetwork as Network, Millis};

/// Most addresses that are remembered.
const MAX_ENTRIES: usize = 100_000;
/// Longest wait that is asked for, in seconds: clients are known to sleep whatever they are told.
const LONGEST_WAIT: i64 = 60;

/// Whole seconds after which to try again: 1 to 60.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfterSeconds(pub u32);

/// How many, in which time.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// So many at once; zero counts as one.
    pub burst: u32,
    /// Time in which the whole burst is earned anew, in milliseconds.
    pub per: i64,
}

/// An allowance for each address; those of one IPv6 /64 share theirs. It remembers at most 100,000 addresses and
/// forgets those that were quiet the longest.
pub struct AddressLimiter {
    clock: Clock,
    /// Milliseconds that one attempt costs.
    cost: i64,
    /// Milliseconds of attempts that may lie ahead of the clock.
    depth: i64,
    capacity: usize,
    table: Mutex<Table>,
}

/// For each address, the instant at which its whole allowance is earned anew (the generic cell rate algorithm).
/// When `young` has filled half of the capacity it becomes `old`, and what was old is forgotten.
#[derive(Default)]
struct Table {
    young: HashMap<Network, Millis>,
    old: HashMap<Network, Millis>,
}

impl AddressLimiter {
    /// Nothing is used up at the start.
    pub fn new(clock: Clock, allowance: Allowance) -> Self {
        Self::with_capacity(clock, allowance, MAX_ENTRIES)
    }

    /// Counts one attempt; an attempt that is refused costs nothing.
    pub fn check(&self, address: IpAddr) -> Result<(), RetryAfterSeconds> {
        let network = Network::of(address);
        let now = self.clock.now();
        let mut table = self.table.lock();
        let verdict = self.spent_until(&table, network, now);
        match verdict {
            Ok(until) => table.put(network, until.plus(self.cost), self.capacity / 2),
            Err(_) => table.refresh(network, self.capacity / 2),
        }
        verdict.map(|_| ())
    }

    /// Whether an attempt would pass, without counting it. With [`check`](Self::check) on failures only, successes
    /// stay free.
    pub fn peek(&self, address: IpAddr) -> Result<(), RetryAfterSeconds> {
        let network = Network::of(address);
        let now = self.clock.now();
        self.spent_until(&self.table.lock(), network, now).map(|_| ())
    }

    /// Forgets what an address has used up, as after a success.
    pub fn forgive(&self, address: IpAddr) {
        let network = Network::of(address);
        let mut table = self.table.lock();
        table.young.remove(&network);
        table.old.remove(&network);
    }

    fn with_capacity(clock: Clock, allowance: Allowance, capacity: usize) -> Self {
        let per = allowance.per.max(1);
        let cost = (per / i64::from(allowance.burst.max(1))).max(1);
        Self { clock, cost, depth: per.max(cost), capacity: capacity.max(2), table: Mutex::default() }
    }

    fn spent_until(&self, table: &Table, network: Network, now: Millis) -> Result<Millis, RetryAfterSeconds> {
        let stored = table.young.get(&network).or_else(|| table.old.get(&network));
        // A clock that was set back must not lock anybody out for longer than the allowance lasts.
        let until = stored.copied().unwrap_or(now).max(now).min(now.plus(self.depth));
        let excess = until.plus(self.cost).since(now) - self.depth;
        if excess <= 0 {
            return Ok(until);
        }
        let seconds = (excess + Millis::SECOND - 1) / Millis::SECOND;
        Err(RetryAfterSeconds(u32::try_from(seconds.clamp(1, LONGEST_WAIT)).unwrap_or(1)))
    }
}

impl Table {
    fn put(&mut self, network: Network, until: Millis, half: usize) {
        if self.young.len() >= half && !self.young.contains_key(&network) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(network, until);
    }

    /// Keeps whoever goes on trying from being forgotten.
    fn refresh(&mut self, network: Network, half: usize) {
        if let Some(until) = self.old.remove(&network) {
            self.put(network, until, half);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const START: Millis = Millis(1_700_000_000_000);
    const MINUTE_OF_SIX: Allowance = Allowance { burst: 6, per: Millis::MINUTE };

    fn spend(limiter: &AddressLimiter, address: &str) -> usize {
        (0..100).take_while(|_| limiter.check(address.parse().unwrap()).is_ok()).count()
    }

    #[test]
    fn burst_passes_and_is_earned_back_with_time() {
        let clock = Clock::manual(START);
        let limiter = AddressLimiter::new(clock.clone(), MINUTE_OF_SIX);
        assert_eq!(spend(&limiter, "192.0.2.1"), 6);
        assert_eq!(limiter.check("192.0.2.1".parse().unwrap()), Err(RetryAfterSeconds(10)));
        for (after, earned) in [(9_999, 0), (10_000, 1), (40_000, 3), (30 * Millis::MINUTE, 6)] {
            clock.set(START.plus(after));
            assert_eq!(spend(&limiter, "192.0.2.1"), earned, "after {after} ms");
        }
    }

    #[test]
    fn wait_is_whole_seconds_from_one_to_sixty() {
        for (per, wait) in [(50, 1), (30 * Millis::SECOND, 30), (30 * Millis::HOUR, 60)] {
            let limiter = AddressLimiter::new(Clock::manual(START), Allowance { burst: 1, per });
            assert_eq!(spend(&limiter, "192.0.2.1"), 1);
            assert_eq!(limiter.peek("192.0.2.1".parse().unwrap()), Err(RetryAfterSeconds(wait)), "{per}");
        }
    }

    #[test]
    fn allowance_is_for_an_ipv4_address_or_an_ipv6_64() {
        for (first, second, shared) in [
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let limiter = AddressLimiter::new(Clock::manual(START), MINUTE_OF_SIX);
            spend(&limiter, first);
            assert_eq!(limiter.peek(second.parse().unwrap()).is_err(), shared, "{first} {second}");
        }
    }

    #[test]
    fn peeking_costs_nothing_and_forgiving_restores_all() {
        let limiter = AddressLimiter::new(Clock::manual(START), MINUTE_OF_SIX);
        let address = "192.0.2.1".parse().unwrap();
        (0..50).for_each(|_| assert_eq!(limiter.peek(address), Ok(())));
        assert_eq!(spend(&limiter, "192.0.2.1"), 6);
        limiter.forgive(address);
        assert_eq!(spend(&limiter, "192.0.2.1"), 6);
    }

    #[test]
    fn clock_set_back_locks_nobody_out() {
        let clock = Clock::manual(START);
        let limiter = AddressLimiter::new(clock.clone(), MINUTE_OF_SIX);
        spend(&limiter, "192.0.2.1");
        clock.set(START.plus(-Millis::DAY));
        assert_eq!(limiter.peek("192.0.2.1".parse().unwrap()), Err(RetryAfterSeconds(10)));
    }

    #[test]
    fn memory_is_bounded_and_the_recent_are_kept() {
        let limiter = AddressLimiter::with_capacity(Clock::manual(START), MINUTE_OF_SIX, 1_000);
        spend(&limiter, "192.0.2.1");
        for n in 0..20_000_u32 {
            if n % 100 == 0 {
                assert!(limiter.check("192.0.2.1".parse().unwrap()).is_err(), "forgotten after {n}");
            }
            limiter.check(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))).unwrap();
            let table = limiter.table.lock();
            assert!(table.young.len() + table.old.len() <= 1_000);
        }
    }
}
