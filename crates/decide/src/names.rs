//! A table by host name: exact names first, then the longest wildcard. `*.a.b` covers one or more labels before `a.b`.
//! Lookups allocate nothing. Read next: `table.rs`.

/// Keys come from the plan, so that nobody outside can make them collide; looking up is what must be quick.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// The pattern is empty, or has a `*` that is no whole first label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPattern;

#[derive(Debug)]
pub struct Names<T> {
    exact: Map<Box<str>, T>,
    /// Keyed by what follows `*.`.
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

    /// What was put in by the longest wildcard that covers this name.
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
        None
    }

    /// Every pattern as it was put in.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.iter().map(|(pattern, _)| pattern)
    }

    /// Every pattern with what stands behind it.
    pub fn iter(&self) -> impl Iterator<Item = (String, &T)> {
        let exact = self.exact.iter().map(|(name, it)| (name.to_string(), it));
        exact.chain(self.wild.iter().map(|(suffix, it)| (format!("*.{suffix}"), it)))
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
    fn a_bare_star_owns_nothing() {
        let mut names: Names<u8> = Names::default();
        assert_eq!(names.put("*", 1), Err(NoPattern));
        assert_eq!(names.put("*.", 1), Err(NoPattern));
        assert_eq!(names.put("a.*.b", 1), Err(NoPattern));
    }
}
