//! Whether a request is within the limits of its route, however its path was written: who may not come to that route counts
//! for nothing. Where the route wants a token, limits by address are asked before the token is looked at, since whoever tries
//! tokens is to have only so many tries, and all others behind it. The admission is pure, and `where` asks it too: here each
//! question counts. Read next: `../exchange/limited.rs`, `limiter/mod.rs` of `everyhop-running`.

use crate::client::conn::Conn;
use crate::client::key::cookie;
use crate::exchange::asked::Asked;
use crate::exchange::cors::Granted;
use crate::exchange::limited::{Left, Limited, Within};
use crate::exchange::words::Fields;
use everyhop_plan::{KeyPart, Limiter};
use everyhop_record::refusal::Refusal;
use everyhop_running::limiter::{LimiterRun, LimitsRun, Over, Taken, sign};
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
        let key = key(conn, asked, view, run, route);
        let (taken, over) = run.take(key, now);
        let Some(over) = over else {
            within.counted |= 1 << (i % 64);
            if run.tells() {
                tell(&mut within.told, run, &taken);
            }
            within.held.extend(taken.held);
            continue;
        };
        limit.exceeded();
        exceeded(&mut within.told, run, key, over);
        if run.observes() {
            within.held.extend(taken.held);
            continue;
        }
        for (_, before) in by.each.iter().enumerate().filter(|(i, _)| within.counted & (1 << (i % 64)) != 0) {
            before.by.give_back(self::key(conn, asked, view, &before.by, route));
        }
        return Err(match over {
            Over::Rate { .. } => Refusal::RateLimited,
            Over::AtOnce => Refusal::TooManyOfKey,
        });
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn tell(told: &mut Option<Box<Limited>>, run: &LimiterRun, taken: &Taken) {
    let Some((burst, window_s)) = run.policy() else { return };
    let after_s = taken.earned_ns.div_ceil(1_000_000_000);
    let left = Left { burst, window_s, left: taken.left, after_s };
    told.get_or_insert_default().tell(&run.plan.name, left, run.plan.x_ratelimit);
}

/// It goes on all the same where the limit only observes; then its line alone tells.
#[cold]
#[inline(never)]
fn exceeded(told: &mut Option<Box<Limited>>, run: &LimiterRun, key: u64, over: Over) {
    let it = told.get_or_insert_default();
    let retry_ms = match over {
        Over::Rate { wait_ns } => wait_ns.div_ceil(1_000_000),
        // When one ends nobody knows.
        Over::AtOnce => 1000,
    };
    let says = format!("limit {}: {}, key {}", run.plan.name, said(&run.plan, over), sign(key));
    if run.observes() {
        let before = it.detail.take().map(|d| format!("{d}; ")).unwrap_or_default();
        it.detail = Some(format!("{before}{says}; observed alone, it would be refused").into());
        return;
    }
    it.detail = Some(says.into());
    it.refuse(retry_ms);
    if let (Over::Rate { .. }, Some((burst, window_s))) = (over, run.policy()) {
        let left = Left { burst, window_s, left: 0, after_s: retry_ms.div_ceil(1000).max(1) };
        it.tell(&run.plan.name, left, run.plan.x_ratelimit);
    }
}

fn said(plan: &Limiter, over: Over) -> String {
    match (over, plan.rate, plan.at_once) {
        (Over::Rate { .. }, Some(rate), _) => {
            let per = match rate.per_s {
                1 => "s".to_owned(),
                60 => "m".to_owned(),
                3600 => "h".to_owned(),
                86_400 => "d".to_owned(),
                s => format!("{s}s"),
            };
            format!("{}/{per}, burst {}", rate.count, rate.burst)
        }
        (_, _, most) => format!("{} at once", most.unwrap_or_default()),
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

fn key(conn: &Conn, asked: &Asked, view: &impl Fields, run: &LimiterRun, route: &str) -> u64 {
    let mut hasher = run.hasher();
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
        }
    }
    hasher.finish()
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
