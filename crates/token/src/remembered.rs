//! What was found out about tokens that came before, by the whole token: bounded, and forgotten in halves. What was used since
//! the last half was forgotten stays.

use std::collections::HashMap;

/// Of both halves together.
const MOST: usize = 8192;
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Remembers `V`s. It never says whether one is still true.
pub struct Remembered<V> {
    young: HashMap<Box<[u8]>, V>,
    old: HashMap<Box<[u8]>, V>,
    /// Of the young ones' tokens.
    bytes: usize,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Remembered { young: HashMap::new(), old: HashMap::new(), bytes: 0 }
    }
}

impl<V: Clone> Remembered<V> {
    pub fn get(&mut self, token: &[u8]) -> Option<V> {
        if let Some(it) = self.young.get(token) {
            return Some(it.clone());
        }
        let (token, it) = self.old.remove_entry(token)?;
        self.insert(token, it.clone());
        Some(it)
    }

    pub fn put(&mut self, token: &[u8], it: V) {
        self.old.remove(token);
        self.insert(token.into(), it);
    }

    pub fn forget(&mut self, token: &[u8]) {
        if self.young.remove(token).is_some() {
            self.bytes = self.bytes.saturating_sub(token.len());
        }
        self.old.remove(token);
    }

    fn insert(&mut self, token: Box<[u8]>, it: V) {
        if self.young.len() >= MOST / 2 || self.bytes + token.len() > MOST_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        let len = token.len();
        if self.young.insert(token, it).is_none() {
            self.bytes += len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_remembered_than_there_is_room_and_what_is_used_stays() {
        let mut it = Remembered::default();
        it.put(b"used", 0);
        for n in 0..3 * MOST {
            it.put(format!("token {n}").as_bytes(), n);
            assert_eq!(it.get(b"used"), Some(0));
            assert!(it.young.len() + it.old.len() <= MOST);
        }
        assert_eq!(it.get(b"token 0"), None);
        let last = 3 * MOST - 1;
        assert_eq!(it.get(format!("token {last}").as_bytes()), Some(last));
    }

    #[test]
    fn long_tokens_take_no_more_room_than_there_is() {
        let mut it = Remembered::default();
        for n in 0..4096_u32 {
            it.put(&[&n.to_be_bytes()[..], &[b'x'; 16_000]].concat(), ());
            let bytes: usize = it.young.keys().chain(it.old.keys()).map(|k| k.len()).sum();
            assert!(bytes <= MOST_BYTES, "{bytes}");
        }
    }

    #[test]
    fn what_is_forgotten_is_asked_anew() {
        let mut it = Remembered::default();
        it.put(b"a", 1);
        it.put(b"a", 2);
        assert_eq!((it.get(b"a"), it.bytes), (Some(2), 1));
        it.forget(b"a");
        assert_eq!((it.get(b"a"), it.bytes), (None, 0));
    }
}
