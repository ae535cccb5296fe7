//! The routes of one host by path: exact, then the longest prefix on segment boundaries, then any.
//! Among equals: a named method, more headers, the higher priority. Cost depends on the path's depth, not on the routes.
//! Read next: `readings.rs`.

use crate::Ask;
use crate::names::Map;
use crate::readings::{Alike, Reading};
use everyhop_canon::path::reads_one_way;
use everyhop_plan::{HeaderMatch, MatchOf, PathMatch};

/// A field or a cookie, by its name.
pub(crate) type Demanded = (MatchOf, String);
/// What a route demands of one of them, with the value.
pub type Demand = (Demanded, String);

#[derive(Debug)]
pub(crate) struct Candidate {
    route: usize,
    priority: i32,
    methods: Vec<String>,
    headers: Vec<HeaderMatch>,
}

impl Candidate {
    pub(crate) fn new(route: usize, priority: i32, methods: &[String], headers: &[HeaderMatch]) -> Candidate {
        Candidate { route, priority, methods: methods.to_vec(), headers: headers.to_vec() }
    }

    pub(crate) fn methods(&self) -> &[String] {
        &self.methods
    }

    /// What it demands, each of another name, with its value, sorted.
    pub(crate) fn demands(&self) -> Vec<Demand> {
        let mut all: Vec<_> = self.headers.iter().map(|h| ((h.of, h.name.clone()), h.equals.clone())).collect();
        all.sort();
        all
    }

    fn takes(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|m| m == method)
    }

    fn fits(&self, ask: &Ask<'_>) -> bool {
        self.takes(ask.method) && self.headers.iter().all(|h| ask.headers.fit(h))
    }

    /// Whether nothing tells the two apart but the order in which they stand, though some request fits both.
    fn ties(&self, other: &Candidate) -> bool {
        let rank = |c: &Candidate| (!c.methods.is_empty(), c.headers.len(), c.priority);
        rank(self) == rank(other) && !self.disjoint(other)
    }

    /// No request fits both.
    fn disjoint(&self, other: &Candidate) -> bool {
        let apart = !self.methods.is_empty() && !other.methods.is_empty();
        (apart && !self.methods.iter().any(|m| other.methods.contains(m)))
            || self.headers.iter().any(|a| other.headers.iter().any(|b| clash(a, b)))
    }

    /// Larger is more specific. The index keeps the order total and stable.
    fn rank(&self) -> (bool, usize, i32, std::cmp::Reverse<usize>) {
        (!self.methods.is_empty(), self.headers.len(), self.priority, std::cmp::Reverse(self.route))
    }
}

/// Both cannot be met at once.
fn clash(a: &HeaderMatch, b: &HeaderMatch) -> bool {
    (a.of, &a.name) == (b.of, &b.name) && a.equals != b.equals
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) exact: Map<Box<str>, Vec<Candidate>>,
    /// Keyed without the trailing slash; the empty key is `/`, which every path is under.
    pub(crate) prefix: Map<Box<str>, Vec<Candidate>>,
    /// Of the keys of `prefix`: what a client makes longer is not looked up, or a path of thousands of segments would be
    /// looked up thousands of times.
    pub(crate) longest: usize,
    /// The same keys as a lenient backend might read them.
    alike: Alike,
    /// Of a host without a wildcard: the site that owns it, so that one look finds both.
    pub(crate) site: Option<usize>,
}

/// What a path leads to under one host.
pub(crate) enum Found {
    Route(usize),
    Nothing,
    /// Some backend reads it as a path of another route, or of none.
    Ambiguous {
        route: usize,
        other: Option<usize>,
    },
}

impl Table {
    pub(crate) fn add(&mut self, candidate: Candidate, path: &PathMatch) {
        let (map, key) = match path {
            PathMatch::Any {} => (&mut self.prefix, ""),
            PathMatch::Prefix { path } => (&mut self.prefix, path.trim_end_matches('/')),
            PathMatch::Exact { path } => (&mut self.exact, path.as_str()),
        };
        if let PathMatch::Prefix { .. } = path {
            self.longest = self.longest.max(key.len());
        }
        self.alike.add(key, path);
        map.entry(key.into()).or_default().push(candidate);
    }

    pub(crate) fn sort(&mut self) {
        for list in self.exact.values_mut().chain(self.prefix.values_mut()) {
            list.sort_by_key(|c| std::cmp::Reverse(c.rank()));
        }
    }

    /// What is matched must be what the backend reads, and backends differ: a path that one of them reads as a path of
    /// another route is taken for neither (R01). A host whose routes take any path has nothing to confuse.
    pub(crate) fn find(&self, ask: &Ask<'_>) -> Found {
        let Some(route) = self.strictly(ask) else { return Found::Nothing };
        let is_plain = reads_one_way(ask.path) && ask.sent.len() == ask.path.len();
        if self.alike.leads_one_way() || (is_plain && !self.alike.takes_for_another(ask.path)) {
            return Found::Route(route);
        }
        match self.alike.other(self, ask, route) {
            None => Found::Route(route),
            Some(reading) => Found::Ambiguous { route, other: reading.route },
        }
    }

    /// The reading that leads elsewhere than to `route`, if there is one: for `where`.
    pub(crate) fn other(&self, ask: &Ask<'_>, route: usize) -> Option<Reading> {
        self.alike.other(self, ask, route)
    }

    fn strictly(&self, ask: &Ask<'_>) -> Option<usize> {
        self.along(ask.path, |list| fit(list, ask))
    }

    /// The route that has the whole host: of those without a path, the first.
    pub(crate) fn first(&self) -> Option<usize> {
        self.prefix.get("").and_then(|list| list.first()).map(|c| c.route)
    }

    /// Each exact and prefix key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.exact.keys().chain(self.prefix.keys()).map(AsRef::as_ref)
    }

    /// Under each key the routes that tie with one before them, with that one.
    pub(crate) fn ties(&self) -> Vec<(&str, usize, usize)> {
        let mut out = Vec::new();
        for (key, list) in self.exact.iter().chain(&self.prefix) {
            for (at, late) in list.iter().enumerate() {
                if let Some(first) = list.iter().take(at).find(|first| first.ties(late)) {
                    out.push((key.as_ref(), first.route, late.route));
                }
            }
        }
        out
    }

    /// What is demanded of the fields of a request with this path and method by `route` (last), and by those that would have
    /// taken it before; `None` where it does not come to `route`, whatever its fields are.
    pub(crate) fn demanded(&self, ask: &Ask<'_>, route: usize) -> Option<Vec<Vec<Demand>>> {
        let mut all = Vec::new();
        for candidate in self.on(ask.path).into_iter().filter(|c| c.takes(ask.method)) {
            all.push(candidate.demands());
            if candidate.route == route {
                return Some(all);
            }
            if candidate.headers.is_empty() {
                return None;
            }
        }
        None
    }

    /// All candidates whose path fits, whatever else they demand, in the order in which they are looked at.
    pub(crate) fn on(&self, path: &str) -> Vec<&Candidate> {
        let mut all = Vec::new();
        self.along(path, |list| {
            all.extend(list);
            None::<()>
        });
        all
    }

    /// The first answer of the lists on the way of a path: the exact one, then each prefix, the longest first.
    #[inline]
    fn along<'t, T>(&'t self, path: &str, mut look: impl FnMut(&'t [Candidate]) -> Option<T>) -> Option<T> {
        if let Some(found) = self.exact.get(path).and_then(|list| look(list)) {
            return Some(found);
        }
        let mut prefix = path.trim_end_matches('/');
        if prefix.len() > self.longest {
            let reach = prefix.get(..=self.longest)?;
            prefix = reach.get(..reach.rfind('/')?)?;
        }
        loop {
            if let Some(found) = self.prefix.get(prefix).and_then(|list| look(list)) {
                return Some(found);
            }
            let cut = prefix.rfind('/')?;
            prefix = prefix.get(..cut)?;
        }
    }
}

pub(crate) fn fit(list: &[Candidate], ask: &Ask<'_>) -> Option<usize> {
    list.iter().find(|c| c.fits(ask)).map(|c| c.route)
}
