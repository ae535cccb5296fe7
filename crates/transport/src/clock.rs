//! What time it is: the clock that nobody sets, for what lasts a while; the day's, for dates; and a thread's own, which
//! moves at its ticks so that a deadline costs no look at a clock. It wakes nobody. Read next: `deadlines.rs`, which does.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// By how much the wall clock may stray between two ticks without having been set: dates have whole seconds.
const SET_MICROS: u64 = 1_000_000;

/// Microseconds since 1970, as the system's clock has them now.
pub fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds of a clock that nobody sets: what lasts a while ends after it, whatever day it has become meanwhile.
/// All threads count from the same moment; it is never 0.
pub fn steady_ms() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let passed = BEGAN.get_or_init(Instant::now).elapsed();
    let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    #[cfg(feature = "fuzzing")]
    let passed_ms = passed_ms.saturating_add(PUT_FORWARD_MS.get());
    passed_ms
}

#[cfg(feature = "fuzzing")]
thread_local! {
    static PUT_FORWARD_MS: Cell<u64> = const { Cell::new(0) };
}

/// Puts [`steady_ms`] forward, as this thread sees it.
#[cfg(feature = "fuzzing")]
pub fn put_forward(ms: u64) {
    PUT_FORWARD_MS.set(PUT_FORWARD_MS.get() + ms);
}

/// A thread's coarse clock: what it says was true at the last tick.
#[derive(Debug, Default)]
pub struct Clock {
    pub now_ms: Cell<u64>,
    /// Unix seconds, for dates.
    pub unix_s: Cell<i64>,
    /// The last tick by both clocks, so that a moment of the one is known by the other without asking again.
    ticked: Cell<Option<(Instant, u64)>>,
}

impl Clock {
    /// A tick, `began` after which the thread's milliseconds count. True if somebody set the wall clock since the last
    /// one: then whoever waits for a date must look again.
    pub fn tick(&self, began: Instant) -> bool {
        let (now, micros) = (Instant::now(), unix_micros());
        let is_set = self.ticked.get().is_some_and(|(at, before)| {
            let passed = u64::try_from((now - at).as_micros()).unwrap_or(u64::MAX);
            before.saturating_add(passed).abs_diff(micros) > SET_MICROS
        });
        self.now_ms.set(u64::try_from((now - began).as_millis()).unwrap_or(u64::MAX));
        self.unix_s.set(i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX));
        self.ticked.set(Some((now, micros)));
        is_set
    }

    /// Now in microseconds since 1970, and how many have passed since `began`. It asks one clock, once.
    #[inline]
    pub fn unix_micros(&self, began: Instant) -> (u64, u64) {
        let now = Instant::now();
        // In 64 bits, which is enough for half a million years.
        let since = |from: Instant| {
            let passed = now - from;
            passed.as_secs().wrapping_mul(1_000_000).wrapping_add(u64::from(passed.subsec_micros()))
        };
        let unix = match self.ticked.get() {
            Some((at, micros)) => micros.saturating_add(since(at)),
            None => unix_micros(),
        };
        (unix, since(began))
    }
}
