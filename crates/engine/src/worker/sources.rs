//! What one source may hold and begin, over all threads and listeners: an address, or the network that an IPv6 host can
//! pick its addresses from. Looked at once a connection, before anything is spent on it, never on the path of a byte.

use everyhop_plan::Limits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// So that threads rarely meet at one lock.
const SHARDS: usize = 64;
/// Sources of a shard above which those that hold nothing are looked for and forgotten.
const SWEEP: usize = 1024;

pub(crate) struct Sources {
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for Sources {
    fn default() -> Self {
        Sources { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

#[derive(Default)]
struct Shard {
    of: HashMap<IpAddr, Source>,
    sweep_at: usize,
}

struct Source {
    connections: u32,
    /// Handshakes that may begin now, in millionths, as of `at`.
    credit: u64,
    at: Instant,
}

const ONE: u64 = 1_000_000;

/// A connection of a source, for as long as it lives.
pub(crate) struct Held {
    all: Arc<Sources>,
    key: IpAddr,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shard = self.all.shard(self.key);
        if let Some(source) = shard.of.get_mut(&self.key) {
            source.connections = source.connections.saturating_sub(1);
        }
    }
}

/// The address that limits count: of IPv6 the first bits, since whoever has one address of a network has all.
fn key(ip: IpAddr, limits: &Limits) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => {
            let bits = limits.source_ipv6_prefix.min(128);
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl Sources {
    fn shard(&self, key: IpAddr) -> std::sync::MutexGuard<'_, Shard> {
        let bits = match key {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        // Any spread will do: within a shard the map has its own secret hash.
        let mixed = (bits ^ (bits >> 64)) as u64;
        let at = (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize;
        let shard = self.shards.get(at).unwrap_or(&self.shards[0]);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection; `None` if the source has as many as it may.
    pub(crate) fn hold(self: &Arc<Self>, ip: IpAddr, limits: &Limits) -> Option<Held> {
        let key = key(ip, limits);
        let mut shard = self.shard(key);
        let source = shard.source(key, limits);
        if limits.connections_per_source > 0 && source.connections >= limits.connections_per_source {
            return None;
        }
        source.connections += 1;
        Some(Held { all: self.clone(), key })
    }

    /// Takes one handshake from what the source may begin this second; false if none is left.
    pub(crate) fn may_shake(&self, ip: IpAddr, limits: &Limits) -> bool {
        if limits.handshakes_per_source == 0 {
            return true;
        }
        let key = key(ip, limits);
        let mut shard = self.shard(key);
        let source = shard.source(key, limits);
        let now = Instant::now();
        let (rate, passed) = (u64::from(limits.handshakes_per_source), now.duration_since(source.at));
        let earned = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_mul(rate);
        (source.credit, source.at) = (source.credit.saturating_add(earned).min(rate * ONE), now);
        if source.credit < ONE {
            return false;
        }
        source.credit -= ONE;
        true
    }
}

impl Shard {
    fn source(&mut self, key: IpAddr, limits: &Limits) -> &mut Source {
        let now = Instant::now();
        if self.of.len() >= self.sweep_at.max(SWEEP) && !self.of.contains_key(&key) {
            // A second earns all credit back: who holds nothing and began nothing since is as good as new.
            self.of.retain(|_, s| s.connections > 0 || now.duration_since(s.at).as_secs() < 1);
            self.sweep_at = self.of.len() * 2;
        }
        let credit = u64::from(limits.handshakes_per_source) * ONE;
        self.of.entry(key).or_insert(Source { connections: 0, credit, at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: u32, handshakes: u32) -> Limits {
        let text = include_str!("../../../../schema/golden/everything.json");
        let plan = everyhop_plan::read(text.trim_end()).expect("the golden plan");
        Limits {
            connections_per_source: connections,
            handshakes_per_source: handshakes,
            source_ipv6_prefix: 64,
            ..plan.limits
        }
    }

    #[test]
    fn a_source_holds_as_many_connections_as_it_may_and_another_is_not_concerned() {
        let (all, limits) = (Arc::new(Sources::default()), limits(2, 0));
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let held: Vec<_> = (0..2).map(|_| all.hold(one, &limits).expect("room")).collect();
        assert!(all.hold(one, &limits).is_none());
        assert!(all.hold(other, &limits).is_some());
        drop(held);
        assert!(all.hold(one, &limits).is_some());
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_source() {
        let (all, limits) = (Arc::new(Sources::default()), limits(1, 0));
        let at = |text: &str| text.parse::<IpAddr>().expect("an address");
        let _held = all.hold(at("2001:db8:0:1::1"), &limits).expect("room");
        assert!(all.hold(at("2001:db8:0:1:ffff:ffff:ffff:ffff"), &limits).is_none());
        assert!(all.hold(at("2001:db8:0:2::1"), &limits).is_some());
    }

    #[test]
    fn handshakes_are_as_many_as_the_rate_and_no_more_at_once() {
        let (all, limits) = (Sources::default(), limits(0, 5));
        let ip = IpAddr::from([192, 0, 2, 1]);
        let began = Instant::now();
        let allowed = (0..50).filter(|_| all.may_shake(ip, &limits)).count();
        // As many as the bucket holds, and those that the time of this loop earned.
        let earned = began.elapsed().as_millis() as usize * 5 / 1000;
        assert!((5..=6 + earned).contains(&allowed), "{allowed}");
    }

    #[test]
    fn sources_that_hold_nothing_are_forgotten_once_their_second_is_over() {
        let (mut shard, limits) = (Shard::default(), limits(1, 0));
        for i in 0..5000u32 {
            let source = shard.source(IpAddr::from(i.to_be_bytes()), &limits);
            if let Some(before) = source.at.checked_sub(std::time::Duration::from_secs(2)) {
                source.at = before;
            }
        }
        assert!(shard.of.len() <= SWEEP * 2, "{}", shard.of.len());
    }
}
