//! Handshakes that went well, by whether a quantum computer could open later what was recorded of them. Shared by all threads:
//! handshakes are few beside requests. It decides nothing. Read next: `facts.rs`, which says what a handshake came to.

use crate::facts::TlsFacts;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of one site, or of one backend.
#[derive(Debug, Default)]
pub struct Exchanges {
    post_quantum: AtomicU64,
    others: AtomicU64,
}

impl Exchanges {
    /// A session that was taken up counts by the group that it agreed on anew; one that agreed on none, as all the others.
    pub fn count(&self, facts: &TlsFacts) {
        let it = if facts.group.is_some_and(is_post_quantum) { &self.post_quantum } else { &self.others };
        it.fetch_add(1, Ordering::Relaxed);
    }

    /// By post-quantum key exchange, and by any other.
    pub fn counts(&self) -> (u64, u64) {
        (self.post_quantum.load(Ordering::Relaxed), self.others.load(Ordering::Relaxed))
    }
}

/// By the name of a group: the hybrids of ML-KEM have it in theirs.
pub fn is_post_quantum(group: &str) -> bool {
    group.contains("MLKEM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_counts_by_its_group_and_one_without_a_group_is_none_of_post_quantum() {
        let it = Exchanges::default();
        for group in [Some("X25519MLKEM768"), Some("X25519"), None, Some("secp256r1")] {
            it.count(&TlsFacts { group, ..TlsFacts::default() });
        }
        assert_eq!(it.counts(), (1, 3));
    }
}
