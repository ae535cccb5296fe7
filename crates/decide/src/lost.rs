//! Why a route did not get a request, in a sentence: for `where`. Never on the path of a request.

use crate::names::ANY;
use crate::{Ask, under};
use everyhop_plan::{Asks, HeaderMatch, MatchOf, PathMatch, Plan, Route};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Index into `plan.routes`.
    pub route: usize,
    pub why: String,
}

/// At most this many losers are told: the nearest few explain, a list of hundreds does not.
const TOLD: usize = 5;

pub(crate) fn explain(plan: &Plan, listener: &str, ask: &Ask<'_>, winner: Option<usize>) -> Vec<Lost> {
    let mut lost: Vec<(u8, Lost)> = Vec::new();
    for (i, route) in plan.routes.iter().enumerate() {
        if Some(i) != winner
            && route.hosts.iter().any(|h| covers(h, ask.host))
            && let Some((far, why)) = reason(plan, route, (listener, ask), winner)
        {
            lost.push((far, Lost { route: i, why }));
        }
    }
    lost.sort_by_key(|(far, _)| *far);
    lost.into_iter().take(TOLD).map(|(_, l)| l).collect()
}

fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|h| h.len() > 1 && h.ends_with('.')),
        None => pattern == ANY || pattern == host,
    }
}

fn reason(
    plan: &Plan,
    route: &Route,
    (listener, ask): (&str, &Ask<'_>),
    winner: Option<usize>,
) -> Option<(u8, String)> {
    let Some(Asks { path, methods, headers }) = route.asks() else {
        return Some((3, "it passes TLS through and cannot see requests".to_owned()));
    };
    let won_by = winner.and_then(|w| plan.routes.get(w));
    if route.is_stream() && !won_by.is_some_and(Route::is_stream) {
        return Some((3, "it carries what is not read, and sees no requests".to_owned()));
    }
    let on_path = match path {
        PathMatch::Any {} => true,
        PathMatch::Exact { path } => path == ask.path,
        PathMatch::Prefix { path } => under(ask.path, path),
    };
    if !on_path {
        let wants = match path {
            PathMatch::Exact { path } => format!("exactly {path}"),
            PathMatch::Prefix { path } => format!("a path under {path}"),
            PathMatch::Any {} => "any path".to_owned(),
        };
        return Some((4, format!("it wants {wants}")));
    }
    if let Some(named) = route.listeners.as_ref().filter(|all| !all.iter().any(|name| name == listener)) {
        return Some((1, format!("it is reached by {} alone", named.join(" and "))));
    }
    if !methods.is_empty() && !methods.iter().any(|m| m == ask.method) {
        return Some((1, format!("it wants {}", methods.join(" or "))));
    }
    if let Some(h) = headers.iter().find(|h| !ask.headers.fit(h)) {
        let HeaderMatch { name, equals, .. } = h;
        return Some(match h.of {
            MatchOf::Field => (1, format!("it wants the header {name}: {equals}")),
            MatchOf::Cookie => (1, format!("it wants the cookie {name}={equals}")),
        });
    }
    let won = won_by.map_or("another", |r| r.name.as_str());
    let exact_host = route.hosts.iter().any(|h| h == ask.host);
    let why = if exact_host { "is more specific" } else { "names the host more exactly" };
    Some((0, format!("it fits too, but {won} {why}")))
}
