//! A plan reads back as itself, its tables name only what it has, and a naive search over its routes finds the same.

use everyhop_canon::path::reads_one_way;
use everyhop_decide::{Answer, Ask, Matcher, Verdict};
use everyhop_plan::{Asks, PathMatch, Plan, Route, Way};
use std::cmp::Reverse;

/// The first line asks: server name, method, host, path, perhaps a header's name and value. The plan follows.
pub fn plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (question, json) = text.split_once('\n').unwrap_or(("", text));
    let Ok(plan) = everyhop_plan::read(json) else { return };
    let written = serde_json::to_string(&plan).expect("a plan can be written");
    assert_eq!(everyhop_plan::read(&written).as_ref(), Ok(&plan), "a plan reads back as itself");
    let Ok(matcher) = Matcher::build(&plan) else { return };

    let mut words = question.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (sni, method, host, path) = (word(), word(), word(), word());
    let headers: Vec<(String, String)> = match (word(), word()) {
        ("", _) => Vec::new(),
        (name, value) => vec![(name.to_owned(), value.to_owned())],
    };
    let (site_hosts, way) = (&plan.sites, |i: usize| plan.routes.get(i).map(|r| &r.way));
    for listener in plan.listeners.iter().map(|l| l.name.as_str()).chain(["no such listener"]) {
        for name in [Some(sni), None] {
            match matcher.hello(listener, name) {
                Verdict::Splice(i) => assert!(matches!(way(i), Some(Way::AtBackend { .. })), "spliced to {i}"),
                Verdict::Terminate(i) => assert!(i < site_hosts.len(), "ended at site {i}"),
                Verdict::Refuse(_) => {}
            }
        }
    }
    // A canonical path is ASCII.
    if !path.is_ascii() {
        return;
    }
    let ask = Ask { host, path, sent: path, method, headers: &headers };
    let listeners = || plan.listeners.iter().map(|l| l.name.as_str()).chain(["no such listener"]);
    for (listener, site) in listeners().flat_map(|l| (0..=plan.sites.len()).map(move |site| (l, site))) {
        let naive = |ask: &Ask<'_>| naive(&plan, listener, site, ask);
        let found = matcher.ask(listener, site, &ask);
        if let Answer::Route(i) = found {
            assert!(matches!(way(i), Some(Way::AtEdge { .. } | Way::Here { .. })), "a request reached route {i}");
        }
        let plainly = naive(&ask);
        match found {
            Answer::Ambiguous { route, other } => {
                assert_eq!(plainly, Answer::Route(route), "{question:?}");
                assert!(other != Some(route) && !reads_one_way(path), "{question:?}");
            }
            _ => assert_eq!(found, plainly, "{question:?}"),
        }
        if let Answer::Route(_) = found {
            for reading in readings(path) {
                let read = naive(&Ask { path: &reading, sent: &reading, ..ask });
                assert!(read == found || has_odd_keys(&plan), "{question:?} is read as {reading:?}");
            }
        }
    }
    let winner = match naive(&plan, "", 0, &ask) {
        Answer::Route(i) => Some(i),
        _ => None,
    };
    for lost in matcher.lost(&plan, "", &ask, winner) {
        assert!(lost.route < plan.routes.len() && Some(lost.route) != winner && !lost.why.is_empty());
    }
}

/// The path as some backends read it, each in an order of its own.
fn readings(path: &str) -> Vec<String> {
    let decoded = |text: &str| String::from_utf8_lossy(&crate::canon::decoded(text.as_bytes())).into_owned();
    let bare =
        |text: &str| text.split('/').map(|s| s.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/");
    let merged = |text: &str| {
        let mut out = text.to_owned();
        while out.contains("//") {
            out = out.replace("//", "/");
        }
        out
    };
    let once = decoded(path);
    vec![decoded(&once), bare(path), decoded(&bare(path)), bare(&once), merged(path), merged(&once), once]
}

/// A key that has more than one reading itself; those are compared as they are read too.
fn has_odd_keys(plan: &Plan) -> bool {
    plan.routes.iter().any(|r| match r.asks().map(|asks| asks.path) {
        Some(PathMatch::Exact { path } | PathMatch::Prefix { path }) => !reads_one_way(path),
        _ => false,
    })
}

/// How closely `pattern` names `host`: larger is closer, 0 is not at all.
fn closeness(pattern: &str, host: &str) -> usize {
    match pattern.strip_prefix("*.") {
        // One or more labels before it; a host that is not canonical may have an empty one.
        Some(suffix) if host.strip_suffix(suffix).is_some_and(|h| h.ends_with('.')) => 1 + suffix.len(),
        None if pattern == host => usize::MAX,
        _ => 0,
    }
}

fn closest<'p>(patterns: impl Iterator<Item = &'p str>, host: &str) -> Option<&'p str> {
    patterns.filter(|p| closeness(p, host) > 0).max_by_key(|p| closeness(p, host))
}

fn hosts(route: &Route) -> impl Iterator<Item = &str> {
    route.hosts.iter().map(String::as_str)
}

/// The whole search, written down as the documentation says it, without a table.
fn naive(plan: &Plan, listener: &str, site: usize, ask: &Ask<'_>) -> Answer {
    let there = |named: &Option<Vec<String>>| named.as_ref().is_none_or(|all| all.iter().any(|l| l == listener));
    let passed = |r: &&Route| matches!(r.way, Way::AtBackend { .. });
    let owners = plan.sites.iter().filter(|s| there(&s.listeners)).flat_map(|s| s.hosts.iter().map(String::as_str));
    let owned = owners.chain(plan.routes.iter().filter(|r| there(&r.listeners)).filter(passed).flat_map(hosts));
    let owner = closest(owned, ask.host);
    let ours =
        |name: &str| plan.sites.get(site).is_some_and(|s| there(&s.listeners) && s.hosts.iter().any(|h| h == name));
    if !owner.is_some_and(ours) {
        return Answer::Misdirected;
    }
    let at_edge = || plan.routes.iter().enumerate().filter(|(_, r)| !passed(r) && there(&r.listeners));
    let Some(pattern) = closest(at_edge().flat_map(|(_, r)| hosts(r)), ask.host) else { return Answer::NotFound };
    let fitting = at_edge().filter(|(_, r)| hosts(r).any(|h| h == pattern)).filter_map(|(i, r)| {
        let Asks { path, methods, headers } = r.asks()?;
        let exact = match path {
            PathMatch::Exact { path } if path == ask.path => usize::MAX,
            PathMatch::Prefix { path } if under(ask.path, path) => path.trim_end_matches('/').len(),
            PathMatch::Any {} if under(ask.path, "/") => 0,
            _ => return None,
        };
        let fits = (methods.is_empty() || methods.iter().any(|m| m == ask.method))
            && headers.iter().all(|it| ask.headers.fit(it));
        fits.then_some(((exact, !methods.is_empty(), headers.len(), r.priority, Reverse(i)), i))
    });
    fitting.max().map_or(Answer::NotFound, |(_, i)| Answer::Route(i))
}

/// On segment boundaries; slashes at the end say nothing. `*` is under nothing.
fn under(path: &str, prefix: &str) -> bool {
    let (path, prefix) = (path.trim_end_matches('/'), prefix.trim_end_matches('/'));
    path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}
