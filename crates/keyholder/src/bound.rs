//! How often a key signs: whoever has taken an engine has handshakes signed for as long as that is so, and no more of them than
//! clients could bring about.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// More than two cores sign by ECDSA P-256, which is the quickest.
const A_SECOND: f64 = 100_000.0;

/// Of one key: what is left of a second's.
#[derive(Default)]
pub(crate) struct Bound(Mutex<Option<(f64, Instant)>>);

impl Bound {
    pub(crate) fn takes(&self, now: Instant) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (had, at) = left.unwrap_or((A_SECOND, now));
        let has = (had + now.saturating_duration_since(at).as_secs_f64() * A_SECOND).min(A_SECOND);
        let takes = has >= 1.0;
        *left = Some((if takes { has - 1.0 } else { has }, now));
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_key_signs_so_often_and_again_a_while_later() {
        let (it, now) = (Bound::default(), Instant::now());
        assert_eq!((0..250_000).filter(|_| it.takes(now)).count(), 100_000);
        let later = now + Duration::from_millis(100);
        assert_eq!((0..250_000).filter(|_| it.takes(later)).count(), 10_000);
        let much_later = later + Duration::from_secs(3600);
        assert_eq!((0..250_000).filter(|_| it.takes(much_later)).count(), 100_000);
    }
}
