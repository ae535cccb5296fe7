//! The routes of one host by path: exact, then the longest prefix on segment boundaries, then any.
//! Among equals: a named method, more headers, the higher priority. Cost depends on the path's depth, not on the routes.
//! Read next: `lost.rs`.

use crate::Ask;
use crate::names::Map;
use everyhop_plan::{HeaderMatch, PathMatch};

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

    fn fits(&self, ask: &Ask<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|m| m == ask.method))
            && self.headers.iter().all(|h| ask.headers.all_equal(&h.name, &h.equals))
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
        map.entry(key.into()).or_default().push(candidate);
    }

    pub(crate) fn sort(&mut self) {
        for list in self.exact.values_mut().chain(self.prefix.values_mut()) {
            list.sort_by_key(|c| std::cmp::Reverse(c.rank()));
        }
    }

    pub(crate) fn find(&self, ask: &Ask<'_>) -> Option<usize> {
        let fit = |list: &Vec<Candidate>| list.iter().find(|c| c.fits(ask)).map(|c| c.route);
        if let Some(route) = self.exact.get(ask.path).and_then(fit) {
            return Some(route);
        }
        let mut prefix = ask.path.trim_end_matches('/');
        if prefix.len() > self.longest {
            let reach = prefix.get(..=self.longest)?;
            prefix = reach.get(..reach.rfind('/')?)?;
        }
        loop {
            if let Some(route) = self.prefix.get(prefix).and_then(fit) {
                return Some(route);
            }
            let cut = prefix.rfind('/')?;
            prefix = prefix.get(..cut)?;
        }
    }
}
