//! Whether a request is within the limits of its route, however its path was written: who may not come to that route counts
//! for nothing. Where the route wants a token or a password, limits by address are asked before that is looked at, since whoever tries
//! them is to have only so many tries, and all others behind it. The admission is pure, and `where` asks it too: here each
//! question counts. Read next: `../exchange/limited.rs`, `limiter/mod.rs` of `everyhop-running`.

use crate::client::conn::Conn;
use crate::client::key::cookie;
use crate::exchange::asked::Asked;
use crate::exchange::cors::Granted;
use crate::exchange::limited::{Waits, Within, bit, exceeded, tell};
use crate::exchange::words::Fields;
use everyhop_plan::KeyPart;
use everyhop_record::refusal::Refusal;
use everyhop_running::limiter::{Leased, LimiterRun, LimitsRun, Over};
use everyhop_running::running::RouteRun;
use everyhop_running::token::Verified;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// Those that are asked before the token of a route that wants one. A preflight has none, and is answered here.
#[inline(never)]
pub(crate) fn first<V: Fields>(
    conn: &Conn,
    asked: &Asked,
    view: &V,
    route: &RouteRun,
    now: Instant,
    within: &mut Option<Box<Within>>,
) -> Result<(), Refusal> {
    let Some(by) = route.limited.as_deref() else { return Ok(()) };
    if route.cors().is_some_and(|cors| Granted::of(cors, &asked.method, view).is_preflight) {
        return Ok(());
    }
    let within = within.get_or_insert_default();
    within.had_first = true;
    if asked.again {
        return Ok(());
    }
    each(conn, asked, view, (&route.name, by), now, (within, LimiterRun::is_by_address))
}

/// Those that were not asked yet.
#[inline(never)]
pub(crate) fn rest(
    conn: &Conn,
    asked: &mut Asked,
    view: &impl Fields,
    (route, by): (&str, &LimitsRun),
    now: Instant,
    within: &mut Option<Box<Within>>,
) -> Result<(), Refusal> {
    let within = within.get_or_insert_default();
    let had_first = within.had_first;
    let is_left = |run: &LimiterRun| !(had_first && run.is_by_address());
    let passes = each(conn, asked, view, (route, by), now, (within, is_left));
    asked.limited = within.told.take();
    passes
}

/// Asks those of them in their order. The first that refuses ends it, and those before it count nothing.
fn each(
    conn: &Conn,
    asked: &Asked,
    view: &impl Fields,
    (route, by): (&str, &LimitsRun),
    now: Instant,
    (within, is_asked): (&mut Within, impl Fn(&LimiterRun) -> bool),
) -> Result<(), Refusal> {
    for (i, limit) in by.each.iter().enumerate().filter(|(_, limit)| is_asked(&limit.by)) {
        let run = &*limit.by;
        let key_of = |run: &LimiterRun| {
            let mut hasher = run.hasher();
            key(conn, asked, view, (run, route), &mut hasher);
            hasher.finish()
        };
        let key = key_of(run);
        let (mut taken, mut over) = run.take(key, now);
        let mut question = None;
        if over.is_none() && run.is_shared() {
            let named = || named(conn, asked, view, (run, route));
            match run.lease(key, named, now) {
                Leased::Yes => within.leased |= bit(i),
                Leased::No { wait_ns, by } => {
                    run.give_back(key);
                    over = Some(Over::Rate { wait_ns, by });
                    taken.held.take_if(|_| !run.observes());
                }
                Leased::Wait(it) => question = Some((named(), it)),
                Leased::Down if run.passes_alone() => {}
                Leased::Down => {
                    run.give_back(key);
                    over = Some(Over::Unknown);
                }
            }
        }
        let Some(over) = over else {
            within.counted |= bit(i);
            if by.shares {
                within.keys.push((i, key));
            }
            within.held.extend(taken.held.take());
            if let Some((named, question)) = question {
                within.waits.push(Waits { limit: i, key, named, taken, question });
            } else if run.tells() {
                tell(&mut within.told, run, &taken);
            }
            continue;
        };
        limit.exceeded();
        exceeded(&mut within.told, run, key, over);
        if run.observes() {
            within.held.extend(taken.held);
            continue;
        }
        for (i, before) in by.each.iter().enumerate().filter(|(i, _)| within.counted & bit(*i) != 0) {
            let key = key_of(&before.by);
            before.by.give_back(key);
            if within.leased & bit(i) != 0 {
                before.by.give_lease_back(key);
            }
        }
        return Err(over.into_refusal());
    }
    Ok(())
}

/// What makes the key, as all edges write it.
fn named(conn: &Conn, asked: &Asked, view: &impl Fields, by: (&LimiterRun, &str)) -> Vec<u8> {
    let mut all = Written(Vec::new());
    key(conn, asked, view, by, &mut all);
    all.0
}

/// What is hashed, as it is, and on every machine the same.
struct Written(Vec<u8>);

impl Hasher for Written {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn write_u64(&mut self, n: u64) {
        self.write(&n.to_be_bytes());
    }
    fn write_u128(&mut self, n: u128) {
        self.write(&n.to_be_bytes());
    }
    fn write_usize(&mut self, n: usize) {
        self.write(&u64::try_from(n).unwrap_or(u64::MAX).to_be_bytes());
    }
}

/// What of a request is not there is a key of its own: all that lack it share one, so that nobody passes by leaving it out.
const ABSENT: u8 = 0;
const THERE: u8 = 1;

/// Each part with its length, so that no two of different parts are the same.
fn put(hasher: &mut impl Hasher, part: &[u8]) {
    hasher.write_u8(THERE);
    hasher.write_usize(part.len());
    hasher.write(part);
}

fn key(
    conn: &Conn,
    asked: &Asked,
    view: &impl Fields,
    (run, route): (&LimiterRun, &str),
    mut hasher: &mut impl Hasher,
) {
    for part in &run.plan.by {
        match part {
            KeyPart::ClientAddress {} => address(&mut hasher, asked.client(conn.client_ip()), run.plan.ipv6_prefix),
            KeyPart::ClientName {} => match conn.opened.facts.peer.as_ref() {
                // A certificate without a name is known by its fingerprint.
                Some(peer) => put(&mut hasher, peer.names().first().map_or(peer.sha256(), String::as_str).as_bytes()),
                None => hasher.write_u8(ABSENT),
            },
            KeyPart::Route {} => put(&mut hasher, route.as_bytes()),
            KeyPart::Host {} => put(&mut hasher, asked.host.as_bytes()),
            KeyPart::Header { name } => values(&mut hasher, view, name, |value| Some(value)),
            KeyPart::Cookie { name } => values(&mut hasher, view, "cookie", |value| cookie(value, name)),
            KeyPart::Claim { path } => claim(&mut hasher, asked.token.as_deref(), path),
            KeyPart::User {} => match &asked.user {
                Some(user) => put(&mut hasher, user.name.as_bytes()),
                None => hasher.write_u8(ABSENT),
            },
        }
    }
}

/// However the kernel writes it; of an IPv6 address the first bits, since whoever has one of a network has all.
fn address(hasher: &mut impl Hasher, ip: IpAddr, bits: u32) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => hasher.write_u64(u64::from(v4.to_bits())),
        IpAddr::V6(v6) => hasher.write_u128(network(v6, bits)),
    }
}

fn network(v6: Ipv6Addr, bits: u32) -> u128 {
    v6.to_bits() & u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0)
}

/// A claim means something by its issuer alone: of two the same subject is two.
fn claim(hasher: &mut impl Hasher, token: Option<&Verified>, path: &[String]) {
    match token.and_then(|it| Some((it, it.claims.text(path).ok()??))) {
        Some((it, text)) => {
            put(hasher, it.issuer.rules.issuer.as_bytes());
            put(hasher, text.as_bytes());
        }
        None => hasher.write_u8(ABSENT),
    }
}

/// What counts in all fields of that name, one after the other.
fn values(
    hasher: &mut impl Hasher,
    view: &impl Fields,
    name: &str,
    part: impl for<'a> Fn(&'a [u8]) -> Option<&'a [u8]>,
) {
    let mut found = false;
    view.each(|_, field, value| {
        if field.eq_ignore_ascii_case(name.as_bytes())
            && let Some(part) = part(value)
        {
            found = true;
            put(hasher, part);
        }
    });
    if !found {
        hasher.write_u8(ABSENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_and_a_mapped_one_is_that_of_ipv4() {
        let net = |text: &str, bits| network(text.parse().expect("an address"), bits);
        assert_eq!(net("2001:db8:0:1::1", 64), net("2001:db8:0:1:ffff:ffff:ffff:ffff", 64));
        assert_ne!(net("2001:db8:0:1::1", 64), net("2001:db8:0:2::1", 64));
        assert_eq!(net("2001:db8:0:1::1", 56), net("2001:db8:0:ff::1", 56));
        assert_ne!(net("2001:db8::1", 128), net("2001:db8::2", 128));
        let of = |text: &str| {
            let mut hasher = std::hash::DefaultHasher::new();
            address(&mut hasher, text.parse().expect("an address"), 64);
            hasher.finish()
        };
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn no_two_of_different_parts_are_one_key() {
        let of = |parts: &[&str]| {
            let mut hasher = std::hash::DefaultHasher::new();
            parts.iter().for_each(|part| put(&mut hasher, part.as_bytes()));
            hasher.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["", "a"]), of(&["a", ""]));
        assert_ne!(of(&[""]), of(&[]));
    }
}
