//! Where a path leads by the other readings that backends have of it (R01). Only a path that not all of them read alike is
//! looked at, and only on a host that has more than one route for its paths. Read next: `lost.rs`.

use crate::Ask;
use crate::admit::stripped;
use crate::names::Map;
use crate::table::{Table, fit};
use everyhop_canon::onward::without;
use everyhop_canon::path::reads_one_way;
use everyhop_canon::readings;
use everyhop_canon::rewrite::Rewrite;
use everyhop_plan::{PathMatch, Paths, Plan, Target, Way};

/// A reading of a path that leads elsewhere than the path itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// As that backend has it; bytes that are no text are replaced. Empty where there are too many readings to look at.
    pub path: String,
    /// Where it leads; `None` for nowhere.
    pub route: Option<usize>,
}

/// Why a path that fits `route` is not taken for one of it.
pub(crate) fn told(plan: &Plan, ask: &Ask<'_>, route: usize, reading: Option<&Reading>) -> String {
    let name = |route: usize| plan.routes.get(route).map_or("", |r| r.name.as_str());
    let own = name(route);
    let is_strict = matches!(plan.routes.get(route).map(|r| &r.way), Some(Way::AtEdge { paths: Paths::Strict, .. }));
    let Some(Reading { path, route: other }) = reading else {
        let target = plan.routes.get(route).and_then(|r| match &r.way {
            Way::AtEdge { target, .. } => stripped(target),
            _ => None,
        });
        if let Some((prefix, alone)) = target
            && without(ask.sent, prefix, alone).is_none()
        {
            let so = "is read by some backends as the name of a server, or as a way out of their root";
            return format!(
                "it fits route {own:?}, but what is left of it without {prefix:?} {so}; ask for it plainly"
            );
        }
        if let Some(Way::AtEdge { target, .. }) = plan.routes.get(route).map(|r| &r.way)
            && let Target::Rewritten { regex, to } = &**target
            && Rewrite::of(regex, to).is_ok_and(|by| by.apply(ask.path, is_strict, &mut String::new()).is_err())
        {
            let so = "leaves the root, names a server to some backends, or is not read alike by all";
            return format!("it fits route {own:?}, but what its rewrite makes of it {so}; ask for it plainly");
        }
        if !is_strict {
            // By its fields, which are not at hand; or HTTP/2 to the backend has no such query.
            let why = "not every backend can be told its path or query, or takes it for the same";
            return format!("it fits route {own:?}, but {why}; ask for it plainly, with all else percent-encoded");
        }
        return format!(
            "route {own:?} takes only paths that every backend reads alike (paths = \"strict\"); ask for it plainly"
        );
    };
    if path.is_empty() {
        return format!("it fits route {own:?}, and can be read in more ways than are looked at; ask for it plainly");
    }
    let elsewhere = other.map_or("no route".to_owned(), |r| format!("route {:?}", name(r)));
    let mend = "ask for it plainly, or let one route take both";
    format!("it fits route {own:?}, but some backends read it as {path:?}, which fits {elsewhere}; {mend}")
}

/// The keys of a table, as lenient backends compare them.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    /// Some route is told from others by its path.
    by_path: bool,
    /// Keys by their lower case; capitals that the configuration tells apart are told apart.
    folded_exact: Map<Box<str>, Vec<Box<str>>>,
    folded_prefix: Map<Box<str>, Vec<Box<str>>>,
    /// Keys that have more than one reading themselves: they are read as the path is. Exact or not, then the key.
    odd: Vec<(bool, Box<str>)>,
    /// Some key is read in more ways than one, by its case too: then a plain path may be another reading of it.
    oddly: bool,
    /// Each exact key with its other end: `/x/` for `/x`, and the other way round.
    ends: Map<Box<str>, ()>,
}

impl Alike {
    pub(crate) fn add(&mut self, key: &str, path: &PathMatch) {
        self.by_path |= !key.is_empty();
        let exact = matches!(path, PathMatch::Exact { .. });
        if exact {
            let end = key.strip_suffix('/').map_or_else(|| format!("{key}/"), str::to_owned);
            self.ends.insert(end.into(), ());
        }
        let map = if exact { &mut self.folded_exact } else { &mut self.folded_prefix };
        let keys = map.entry(key.to_ascii_lowercase().into()).or_default();
        if keys.iter().any(|k| **k == *key) {
            return;
        }
        keys.push(key.into());
        self.oddly |= !reads_one_way(key);
        if key.contains(['%', ';']) || key.split('/').any(|s| s.ends_with('.')) {
            self.odd.push((exact, key.into()));
        }
    }

    /// Whatever the path, a request leads to the same route.
    pub(crate) fn leads_one_way(&self) -> bool {
        !self.by_path
    }

    /// A path in which nothing can be read twice may still be what some backend takes a key for: by the key's other readings,
    /// or because it does not tell `/x` from `/x/`.
    pub(crate) fn takes_for_another(&self, path: &str) -> bool {
        self.oddly || self.ends.contains_key(path)
    }

    /// The first reading of the path by which it leads elsewhere than to `route`.
    pub(crate) fn other(&self, table: &Table, ask: &Ask<'_>, route: usize) -> Option<Reading> {
        let keys: Vec<&str> = self.odd.iter().map(|(_, key)| &**key).collect();
        let mut other = None;
        let all_same = readings::each(ask.sent.as_bytes(), &keys, |path, read| {
            let folded = readings::folded(path);
            let led =
                [self.along(table, ask, path, read, false, route), self.along(table, ask, &folded, read, true, route)];
            let elsewhere = led.into_iter().find(|r| *r != Some(route));
            other = elsewhere.map(|r| Reading { path: String::from_utf8_lossy(path).into_owned(), route: r });
            other.is_none()
        });
        match other {
            None if !all_same => Some(Reading { path: String::new(), route: None }),
            other => other,
        }
    }

    /// What `path` leads to among keys that were read as `read`; `route` where it is one of several that they cannot tell
    /// apart.
    fn along(
        &self,
        table: &Table,
        ask: &Ask<'_>,
        path: &[u8],
        read: &[Vec<u8>],
        fold: bool,
        route: usize,
    ) -> Option<usize> {
        let at = |path: &[u8], exact: bool| {
            let map = if exact { &table.exact } else { &table.prefix };
            let folds = if exact { &self.folded_exact } else { &self.folded_prefix };
            let text = std::str::from_utf8(path).ok();
            let is_odd = |key: &str| self.odd.iter().any(|(e, k)| *e == exact && **k == *key);
            let plain: Vec<&str> = match text {
                Some(text) if fold => folds.get(text).into_iter().flatten().map(|k| &**k).collect(),
                Some(text) => map.get_key_value(text).map(|(k, _)| &**k).into_iter().collect(),
                None => Vec::new(),
            };
            let odd = self.odd.iter().zip(read).filter(|((e, _), read)| {
                *e == exact && if fold { read.eq_ignore_ascii_case(path) } else { *read == path }
            });
            let keys = plain.into_iter().filter(|k| !is_odd(k)).chain(odd.map(|((_, k), _)| &**k));
            let fits: Vec<usize> = keys.filter_map(|k| fit(map.get(k)?, ask)).collect();
            fits.iter().find(|r| **r == route).or(fits.first()).copied()
        };
        if let Some(found) = at(path, true) {
            return Some(found);
        }
        let mut prefix = path;
        while let Some(rest) = prefix.strip_suffix(b"/") {
            prefix = rest;
        }
        // Where the configuration has a rule for this very prefix, it tells `/x` from `/x/`; else not every backend does.
        let slash = [prefix, b"/"].concat();
        if let Some(found) = at(prefix, false).or_else(|| at(prefix, true)).or_else(|| at(&slash, true)) {
            return Some(found);
        }
        // What a client makes longer than any key is not looked up, as in the table.
        let of_read = self.odd.iter().zip(read).filter(|((exact, _), _)| !exact).map(|(_, key)| key.len());
        let longest = of_read.fold(table.longest, usize::max);
        if let Some(reach) = prefix.get(..=longest) {
            prefix = reach.get(..reach.iter().rposition(|b| *b == b'/')?)?;
        }
        loop {
            if let Some(found) = at(prefix, false) {
                return Some(found);
            }
            let cut = prefix.iter().rposition(|b| *b == b'/')?;
            prefix = prefix.get(..cut)?;
        }
    }
}
