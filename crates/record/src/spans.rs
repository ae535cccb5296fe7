//! Spans on their way to a collector: a bounded queue that all threads put into and one takes from. Who puts never waits: what
//! finds no room is dropped and counted. It outlives plans, and knows nothing of a collector. Read next: `span.rs`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes that may wait: some seconds of a collector that is away, at full load.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// Spans of one message at most: what OpenTelemetry's own exporters send.
const BATCH_SPANS: usize = 512;

/// Why spans came to no collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// There was no room for them.
    Full,
    /// No try to send them got through in time.
    Undelivered,
    /// The collector took nothing of that message, and never would.
    Refused,
    /// It took the message, and not them.
    Rejected,
    /// Nobody is told any more: the plan has no collector now.
    Untold,
}

impl Lost {
    pub const ALL: [Lost; 5] = [Lost::Full, Lost::Undelivered, Lost::Refused, Lost::Rejected, Lost::Untold];

    pub fn word(self) -> &'static str {
        match self {
            Lost::Full => "queue-full",
            Lost::Undelivered => "undelivered",
            Lost::Refused => "refused",
            Lost::Rejected => "rejected",
            Lost::Untold => "no-collector",
        }
    }
}

/// The spans of one request, each written as a field of `ScopeSpans`.
#[derive(Debug, Default)]
pub struct Written {
    pub bytes: Vec<u8>,
    pub spans: usize,
}

#[derive(Debug, Default)]
pub struct Spans {
    waiting: Mutex<VecDeque<Written>>,
    bytes: AtomicUsize,
    /// Waiting or being sent.
    count: AtomicUsize,
    pub sent: AtomicU64,
    /// Messages that did not get through at a try.
    pub failed: AtomicU64,
    lost: [AtomicU64; Lost::ALL.len()],
    /// The edge leaves: what is here goes now, or not at all.
    leaving: AtomicBool,
    /// Why the last try failed, where it did.
    trouble: Mutex<Option<String>>,
}

impl Spans {
    /// False where nothing can be taken: then nothing need be written, and it is counted.
    pub fn has_room(&self, spans: usize) -> bool {
        let has = self.bytes.load(Ordering::Relaxed) < QUEUE_BYTES;
        if !has {
            self.lose(Lost::Full, spans);
        }
        has
    }

    pub fn put(&self, it: Written) {
        self.bytes.fetch_add(it.bytes.len(), Ordering::Relaxed);
        self.count.fetch_add(it.spans, Ordering::Relaxed);
        self.queue().push_back(it);
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Written>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A whole batch is there.
    pub fn is_batch(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= BATCH_SPANS
    }

    /// How many wait or are being sent.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// As many as go into one message. They count until [`Spans::done`].
    pub fn take(&self) -> Vec<Written> {
        let mut queue = self.queue();
        let (mut spans, mut batch) = (0, Vec::new());
        while spans < BATCH_SPANS
            && let Some(it) = queue.pop_front()
        {
            self.bytes.fetch_sub(it.bytes.len(), Ordering::Relaxed);
            spans += it.spans;
            batch.push(it);
        }
        batch
    }

    /// Of a batch that was taken: so many came to nothing, and the others to the collector.
    pub fn done(&self, spans: usize, lost: Option<(Lost, usize)>) {
        let (why, n) = lost.unwrap_or((Lost::Rejected, 0));
        self.lose(why, n.min(spans));
        self.sent.fetch_add(spans.saturating_sub(n) as u64, Ordering::Relaxed);
        self.count.fetch_sub(spans, Ordering::Relaxed);
    }

    fn lose(&self, why: Lost, spans: usize) {
        if let Some(count) = self.lost.get(why as usize) {
            count.fetch_add(spans as u64, Ordering::Relaxed);
        }
    }

    pub fn lost(&self, why: Lost) -> u64 {
        self.lost.get(why as usize).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// What a try to send came to: `Some` tells why it failed.
    pub fn told(&self, failed: Option<String>) {
        self.failed.fetch_add(u64::from(failed.is_some()), Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// Why the last try failed, where it did.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: usize, spans: usize) -> Written {
        Written { bytes: vec![0; bytes], spans }
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_there_is_room_again_once_some_are_gone() {
        let all = Spans::default();
        assert!(all.has_room(2));
        all.put(written(QUEUE_BYTES, 2));
        assert!(!all.has_room(3) && !all.has_room(1));
        assert_eq!((all.lost(Lost::Full), all.count()), (4, 2));
        assert_eq!(all.take().len(), 1);
        assert!(all.has_room(1));
        assert_eq!(all.count(), 2, "they are being sent");
        all.done(2, None);
        assert_eq!((all.count(), all.sent.load(Ordering::Relaxed)), (0, 2));
    }

    #[test]
    fn a_batch_is_of_whole_requests_and_no_more_than_a_message_takes() {
        let all = Spans::default();
        (0..300).for_each(|_| all.put(written(1, 2)));
        assert!(all.is_batch());
        let batch = all.take();
        assert_eq!(batch.iter().map(|it| it.spans).sum::<usize>(), BATCH_SPANS);
        assert_eq!(all.take().len(), 300 - batch.len());
        assert!(all.take().is_empty());
    }

    #[test]
    fn what_is_lost_is_told_by_its_reason_and_the_rest_was_sent() {
        let all = Spans::default();
        all.put(written(1, 10));
        all.done(10, Some((Lost::Rejected, 3)));
        assert_eq!((all.lost(Lost::Rejected), all.sent.load(Ordering::Relaxed)), (3, 7));
        all.told(Some("answered 503".to_owned()));
        assert_eq!(all.trouble().as_deref(), Some("answered 503"));
        all.told(None);
        assert_eq!((all.trouble(), all.failed.load(Ordering::Relaxed)), (None, 1));
    }
}
