//! The questions by which two plans can be told apart, and what each plan answers: one request for every kind of request
//! that either of them could treat in a way of its own. `diff` compares these, and `explain` learns from them by which
//! sites a route can be reached; never on the path of a byte.
//!
//! Why they are enough. A name's answer hangs on the longest pattern of either plan that covers it, so one name a pattern
//! stands for all. A path's hangs on which exact keys equal it and which prefixes it lies under: one path a key and one
//! below each prefix stand for all. A method matters where it is named, and all others are alike. A route wins where it
//! fits and nothing above it does; fields can only be demanded, so that taking away what neither winner demands leaves
//! both winners: the union of what two routes demand stands for every request that those two win.

use crate::admit::{Outcome, Who};
use crate::names::{ANY as EVERY, Map};
use crate::table::{Candidate, Demand, Demanded, Table};
use crate::view::{View, pairs};
use crate::{Ask, Matcher, Owner, REFUSED, Verdict};
use everyhop_canon::cookie;
use everyhop_plan::MatchOf;
use std::collections::HashSet;

/// A request that stands for all that are treated alike, and what becomes of it under each plan. Who asks is left open:
/// each allow-list is taken as passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Canonical; the hello names the same.
    pub host: String,
    /// The pattern that the host stands for.
    pub pattern: String,
    /// The listener where it comes; empty for those that nobody names.
    pub listener: String,
    pub path: String,
    pub method: String,
    /// In lower case.
    pub headers: Vec<(String, String)>,
    pub old: Outcome,
    pub new: Outcome,
}

/// A pattern of either plan, and what becomes of a hello that names what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub pattern: String,
    pub old: Verdict,
    pub new: Verdict,
    /// There is no hello in one of them: it is asked of requests in the clear.
    pub is_plain: bool,
}

/// What two plans make of each name that either of them has.
pub fn named(old: &Matcher, new: &Matcher) -> Vec<Named> {
    let mut out = Vec::new();
    for (_, was, now) in pairs(old, new) {
        let is_plain = was.is_plain || now.is_plain;
        for (pattern, host) in hosts(was, now) {
            let [old, new] = [(old, was), (new, now)].map(|(m, view)| m.hello_in(view, Some(&host), || REFUSED));
            let it = Named { pattern, old, new, is_plain };
            if !out.contains(&it) {
                out.push(it);
            }
        }
    }
    out
}

/// A name or segment that nobody configured.
const ANY: &str = "any";

/// The request without a method that a route names.
const USUAL: &str = "GET";

/// What two plans answer, each pair of answers once a listener that is named, with the first request that gets it.
pub fn apart(old: &Matcher, new: &Matcher) -> Vec<Asked> {
    let mut out = Vec::new();
    for (listener, was, now) in pairs(old, new) {
        // Each pair of answers once, and once by each listener that is named.
        let (mut seen, mut asked_alike) = (HashSet::new(), HashSet::new());
        for (pattern, host) in hosts(was, now) {
            let sides = [Side::of(was, &host), Side::of(now, &host)];
            // Hosts that nothing tells apart are asked once.
            if !asked_alike.insert(sides.map(|s| s.mark())) {
                continue;
            }
            let hellos = [(old, was), (new, now)].map(|(m, view)| m.hello_in(view, Some(&host), || REFUSED));
            each(&sides, |path, method, headers| {
                let ask = Ask { host: &host, path, sent: path, method, headers };
                let sni = Some(host.as_str());
                let was = old.outcome(was, hellos[0], sni, Who::ANYBODY, &ask, None);
                let now = new.outcome(now, hellos[1], sni, Who::ANYBODY, &ask, None);
                if seen.insert((was, now)) {
                    out.push(Asked {
                        host: host.clone(),
                        pattern: pattern.clone(),
                        listener: listener.to_owned(),
                        path: path.to_owned(),
                        method: method.to_owned(),
                        headers: headers.clone(),
                        old: was,
                        new: now,
                    });
                }
            });
        }
    }
    out
}

/// Every kind of request that either side could treat in a way of its own: path, method, fields.
fn each(sides: &[Side<'_>; 2], mut ask: impl FnMut(&str, &str, &Vec<(String, String)>)) {
    for path in paths(sides) {
        let chains = sides.map(|s| s.table.map_or_else(Vec::new, |t| t.on(&path)));
        let methods = if unread(sides) { vec![String::new()] } else { methods(&chains) };
        for headers in headers(&chains) {
            for method in &methods {
                ask(&path, method, &headers);
            }
        }
    }
}

/// What one plan has for one host.
#[derive(Clone, Copy)]
struct Side<'m> {
    owner: Option<Owner>,
    table: Option<&'m Table>,
}

impl<'m> Side<'m> {
    fn of(view: &'m View, host: &str) -> Side<'m> {
        let owner = view.owners.get(host).copied();
        let tables = if let Some(Owner::Streams(_)) = owner { &view.streams } else { &view.hosts };
        Side { owner, table: tables.get(host) }
    }

    fn mark(self) -> (Option<Owner>, usize) {
        (self.owner, self.table.map_or(0, |t| std::ptr::from_ref(t).addr()))
    }
}

/// Neither plan reads what comes by that name, and one of them ends its TLS: there is no request with a method.
fn unread(sides: &[Side<'_>; 2]) -> bool {
    let has = |fits: fn(&Owner) -> bool| sides.iter().any(|s| s.owner.as_ref().is_some_and(fits));
    has(|o| matches!(o, Owner::Streams(_))) && !has(|o| matches!(o, Owner::Site(_)))
}

/// Each pattern of either plan with a name that it stands for, in a stable order: exact ones first.
fn hosts(old: &View, new: &View) -> Vec<(String, String)> {
    let mut patterns: Vec<String> = Vec::new();
    for view in [old, new] {
        patterns.extend(view.owners.patterns());
        patterns.extend(view.hosts.patterns());
        patterns.extend(view.streams.patterns());
    }
    patterns.sort_by_key(|p| (p.starts_with('*'), p.clone()));
    patterns.dedup();
    let exact: HashSet<&str> = patterns.iter().map(String::as_str).filter(|p| !p.starts_with('*')).collect();
    let name = |pattern: &String| match pattern.strip_prefix("*.") {
        None if pattern == EVERY => fresh(str::to_owned, |name| exact.contains(name)),
        None => pattern.clone(),
        Some(suffix) => fresh(|label| format!("{label}.{suffix}"), |name| exact.contains(name)),
    };
    patterns.iter().map(|p| (p.clone(), name(p))).collect()
}

/// A path at and below each key of either plan, the shortest first.
fn paths(sides: &[Side<'_>; 2]) -> Vec<String> {
    let keys = || sides.iter().filter_map(|s| s.table).flat_map(Table::keys);
    let taken: HashSet<&str> = keys().collect();
    let mut out = vec!["/".to_owned()];
    for key in keys().chain([""]) {
        if !key.is_empty() {
            out.push(key.to_owned());
        }
        let below = key.trim_end_matches('/');
        out.push(fresh(|s| format!("{below}/{s}"), |p| taken.iter().any(|t| t.starts_with(p))));
    }
    out.sort_by_key(|p| (p.len(), p.clone()));
    out.dedup();
    out
}

/// The first of `any`, `any1`, `any2`... that is not taken.
fn fresh(made: impl Fn(&str) -> String, taken: impl Fn(&str) -> bool) -> String {
    let mut name = made(ANY);
    let mut n = 0u32;
    while taken(&name) {
        n += 1;
        name = made(&format!("{ANY}{n}"));
    }
    name
}

/// Each method that is named, and one that is not.
fn methods(chains: &[Vec<&Candidate>; 2]) -> Vec<String> {
    let mut named: Vec<String> = chains.iter().flatten().flat_map(|c| c.methods()).cloned().collect();
    named.sort();
    named.dedup();
    let taken = |m: &str| named.iter().any(|n| n == m);
    let other = if taken(USUAL) { fresh(|m| m.to_uppercase(), taken) } else { USUAL.to_owned() };
    named.insert(0, other);
    named
}

/// What a route of each plan demand together, where both can be met.
fn headers(chains: &[Vec<&Candidate>; 2]) -> Vec<Vec<(String, String)>> {
    let demanded = |chain: &[&Candidate]| {
        let mut sets = vec![Vec::new()];
        sets.extend(chain.iter().map(|c| c.demands()));
        sets.sort();
        sets.dedup();
        sets
    };
    let [old, new] = chains.each_ref().map(|c| demanded(c));
    let mut out: Vec<Vec<(String, String)>> =
        old.iter().flat_map(|a| new.iter().filter_map(|b| together(a, b))).collect();
    out.sort_by_key(|set| (set.len(), set.clone()));
    out.dedup();
    out
}

/// The fields of a request that has all that is demanded, and nothing else; `None` where none can.
pub fn meeting(demands: &[Demand]) -> Option<Vec<(String, String)>> {
    together(demands, &[])
}

/// The fields that meet both; all cookies are in one, which cannot be demanded to be another whole.
fn together(a: &[Demand], b: &[Demand]) -> Option<Vec<(String, String)>> {
    let mut all: Map<&Demanded, &str> = Map::default();
    for (what, value) in a.iter().chain(b) {
        if *all.entry(what).or_insert(value) != value {
            return None;
        }
    }
    let of = |kind| all.iter().filter(move |((of, _), _)| *of == kind);
    let mut cookies: Vec<_> = of(MatchOf::Cookie).map(|((_, name), value)| (name, *value)).collect();
    let mut out: Vec<_> = of(MatchOf::Field).map(|((_, n), v)| (n.clone(), (*v).to_owned())).collect();
    if let Some((_, whole)) = out.iter().find(|(name, _)| name == COOKIE) {
        let there = |(name, value): &(&String, &str)| cookie::all_equal([whole.as_bytes()].into_iter(), name, value);
        if !cookies.iter().all(there) {
            return None;
        }
    } else if !cookies.is_empty() {
        cookies.sort_unstable();
        let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        out.push((COOKIE.to_owned(), pairs.join("; ")));
    }
    out.sort();
    Some(out)
}

const COOKIE: &str = "cookie";
