//! The routes of one host by path: exact, then the longest prefix on segment boundaries, then any.
//! Among equals: a named method, more headers, the higher priority. Cost depends on the path's depth, not on the routes.
//! Read next: `lost.rs`.

use crate::Ask;
use crate::names::Map;
use everyhop_canon::path::{loosest_into, reads_one_way};
use everyhop_plan::{HeaderMatch, PathMatch};
use std::cell::RefCell;

thread_local! {
    /// The loosest reading of a path, while it is compared.
    static LOOSEST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

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

    /// Name and value of each field that it demands, sorted.
    pub(crate) fn demands(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self.headers.iter().map(|h| (h.name.clone(), h.equals.clone())).collect();
        all.sort();
        all
    }

    fn fits(&self, ask: &Ask<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|m| m == ask.method))
            && self.headers.iter().all(|h| ask.headers.all_equal(&h.name, &h.equals))
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
            || self.headers.iter().any(|a| other.headers.iter().any(|b| a.name == b.name && a.equals != b.equals))
    }

    /// Larger is more specific. The index keeps the order total and stable.
    fn rank(&self) -> (bool, usize, i32, std::cmp::Reverse<usize>) {
        (!self.methods.is_empty(), self.headers.len(), self.priority, std::cmp::Reverse(self.route))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    exact: Map<Box<str>, Vec<Candidate>>,
    /// Keyed without the trailing slash; the empty key is `/`, which every path is under.
    prefix: Map<Box<str>, Vec<Candidate>>,
    /// Of the keys of `prefix`: what a client makes longer is not looked up, or a path of thousands of segments would be
    /// looked up thousands of times.
    longest: usize,
    /// The same keys as a lenient backend might read them, each with those that it stands for.
    loose: Loose,
}

#[derive(Debug, Default)]
struct Loose {
    exact: Map<Box<[u8]>, Vec<Box<str>>>,
    prefix: Map<Box<[u8]>, Vec<Box<str>>>,
    longest: usize,
}

/// What a path leads to under one host.
pub(crate) enum Found {
    Route(usize),
    Nothing,
    /// Read loosely, it would lead to another route.
    Ambiguous,
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
        let list = map.entry(key.into()).or_default();
        if list.is_empty() {
            self.loose.add(key, path);
        }
        list.push(candidate);
    }

    pub(crate) fn sort(&mut self) {
        for list in self.exact.values_mut().chain(self.prefix.values_mut()) {
            list.sort_by_key(|c| std::cmp::Reverse(c.rank()));
        }
    }

    /// What is matched must be what the backend reads, and backends differ: a path whose loosest reading lies under
    /// another route than the path itself is taken for neither (R01). A host without paths has nothing to confuse.
    pub(crate) fn find(&self, ask: &Ask<'_>) -> Found {
        match self.strictly(ask) {
            None => Found::Nothing,
            Some(route) if self.loose.longest == 0 || reads_one_way(ask.path) || self.loosely(ask, route) => {
                Found::Route(route)
            }
            Some(_) => Found::Ambiguous,
        }
    }

    /// True if `route` is what the loosest reading of the path leads to as well. Capitals that the configuration tells
    /// apart are told apart.
    fn loosely(&self, ask: &Ask<'_>, route: usize) -> bool {
        LOOSEST.with_borrow_mut(|reading| {
            loosest_into(ask.path, reading);
            let whole = reading.strip_suffix(b"/").unwrap_or_default();
            // Whether `route` fits best under one of the keys; `None` where nothing fits.
            let among = |keys: &Vec<Box<str>>, map: &Map<Box<str>, Vec<Candidate>>| {
                let mut fits = keys.iter().filter_map(|k| fit(map.get(k)?, ask)).peekable();
                fits.peek().is_some().then(|| fits.any(|r| r == route))
            };
            if let Some(same) = self.loose.exact.get(whole).and_then(|keys| among(keys, &self.exact)) {
                return same;
            }
            let mut prefix = whole;
            loop {
                if prefix.len() <= self.loose.longest
                    && let Some(same) = self.loose.prefix.get(prefix).and_then(|keys| among(keys, &self.prefix))
                {
                    return same;
                }
                let Some(cut) = prefix.iter().rposition(|b| *b == b'/') else { return false };
                prefix = prefix.get(..cut).unwrap_or_default();
            }
        })
    }

    fn strictly(&self, ask: &Ask<'_>) -> Option<usize> {
        self.along(ask.path, |list| fit(list, ask))
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

fn fit(list: &[Candidate], ask: &Ask<'_>) -> Option<usize> {
    list.iter().find(|c| c.fits(ask)).map(|c| c.route)
}

impl Loose {
    fn add(&mut self, key: &str, path: &PathMatch) {
        let mut reading = Vec::new();
        loosest_into(key, &mut reading);
        let map = if let PathMatch::Exact { .. } = path { &mut self.exact } else { &mut self.prefix };
        let loose = reading.strip_suffix(b"/").unwrap_or_default();
        // Of exact keys too: it also says whether there is anything to confuse.
        self.longest = self.longest.max(loose.len());
        map.entry(loose.into()).or_default().push(key.into());
    }
}
