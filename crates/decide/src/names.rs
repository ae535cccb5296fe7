//! A table by host name: exact names first, then the longest wildcard, last `*`. `*.a.b` covers one or more labels before `a.b`,
//! `*` whatever nobody else has, and what has no name. Lookups allocate nothing. Read next: `table.rs`.

/// Keys come from the plan, so that nobody outside can make them collide; looking up is what must be quick.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// The weakest pattern: every name that nobody else has.
pub(crate) const ANY: &str = "*";

/// The pattern is empty, or has a `*` that is no whole first label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPattern;

#[derive(Debug)]
pub struct Names<T> {
    exact: Map<Box<str>, T>,
    /// Keyed by what follows `*.`; by nothing, of `*`.
    wild: Map<Box<str>, T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Names { exact: Map::default(), wild: Map::default() }
    }
}

impl<T> Names<T> {
    /// Gives what was there before.
    pub fn put(&mut self, pattern: &str, value: T) -> Result<Option<T>, NoPattern> {
        let (table, key) = self.side(pattern)?;
        Ok(table.insert(key.into(), value))
    }

    pub fn entry(&mut self, pattern: &str) -> Option<&mut T>
    where
        T: Default,
    {
        let (table, key) = self.side(pattern).ok()?;
        Some(table.entry(key.into()).or_default())
    }

    fn side<'p>(&mut self, pattern: &'p str) -> Result<(&mut Map<Box<str>, T>, &'p str), NoPattern> {
        match pattern.strip_prefix("*.") {
            None if pattern == ANY => Ok((&mut self.wild, "")),
            Some("") => Err(NoPattern),
            Some(suffix) => Ok((&mut self.wild, suffix)),
            None if pattern.is_empty() || pattern.contains('*') => Err(NoPattern),
            None => Ok((&mut self.exact, pattern)),
        }
    }

    pub fn get(&self, name: &str) -> Option<&T> {
        self.exact(name).or_else(|| self.widely(name))
    }

    /// What was put in by this name itself.
    #[inline]
    pub fn exact(&self, name: &str) -> Option<&T> {
        self.exact.get(name)
    }

    /// What was put in by the longest wildcard that covers this name, which is empty where nothing was named.
    pub fn widely(&self, name: &str) -> Option<&T> {
        if self.wild.is_empty() {
            return None;
        }
        let mut rest = name;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(found) = self.wild.get(suffix) {
                return Some(found);
            }
            rest = suffix;
        }
        self.wild.get("")
    }

    /// Every pattern as it was put in.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.iter().map(|(pattern, _)| pattern)
    }

    /// Every pattern with what stands behind it.
    pub fn iter(&self) -> impl Iterator<Item = (String, &T)> {
        let exact = self.exact.iter().map(|(name, it)| (name.to_string(), it));
        exact.chain(self.wild.iter().map(|(suffix, it)| (written(suffix), it)))
    }

    /// Those without a wildcard.
    pub fn each_exact(&mut self, mut f: impl FnMut(&str, &mut T)) {
        self.exact.iter_mut().for_each(|(name, it)| f(name, it));
    }

    pub fn each(&mut self, mut f: impl FnMut(&mut T)) {
        self.exact.values_mut().for_each(&mut f);
        self.wild.values_mut().for_each(&mut f);
    }
}

/// A wildcard as it was put in.
fn written(suffix: &str) -> String {
    if suffix.is_empty() { ANY.to_owned() } else { format!("*.{suffix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_wins_over_every_wildcard_and_the_longest_wildcard_over_shorter_ones() {
        let mut names = Names::default();
        for (pattern, v) in [("*.example.com", 1), ("*.api.example.com", 2), ("v1.api.example.com", 3)] {
            assert_eq!(names.put(pattern, v), Ok(None));
        }
        assert_eq!(names.get("v1.api.example.com"), Some(&3));
        assert_eq!(names.get("v2.api.example.com"), Some(&2));
        assert_eq!(names.get("a.v2.api.example.com"), Some(&2));
        assert_eq!(names.get("shop.example.com"), Some(&1));
        assert_eq!(names.get("api.example.com"), Some(&1));
        assert_eq!(names.get("example.com"), None);
        assert_eq!(names.get("example.com.evil"), None);
    }

    #[test]
    fn a_bare_star_takes_what_nobody_else_has_and_what_has_no_name() {
        let mut names = Names::default();
        for (pattern, v) in [("*", 1), ("*.test", 2), ("a.test", 3)] {
            assert_eq!(names.put(pattern, v), Ok(None));
        }
        for (name, v) in [("a.test", 3), ("b.test", 2), ("test", 1), ("a.example", 1), ("127.0.0.1", 1), ("[::1]", 1)] {
            assert_eq!(names.get(name), Some(&v), "{name}");
        }
        assert_eq!(names.get(""), Some(&1));
        assert_eq!(names.exact("*"), None);
        assert_eq!(names.put("*", 4), Ok(Some(1)), "there is one");
        assert!(names.patterns().any(|it| it == "*"));
    }

    #[test]
    fn a_star_elsewhere_owns_nothing() {
        let mut names: Names<u8> = Names::default();
        assert_eq!(names.put("*.", 1), Err(NoPattern));
        assert_eq!(names.put("a.*.b", 1), Err(NoPattern));
    }
}
