//! Counters: one set a thread, written by that thread alone and read by whoever asks. They outlive plans by route name.
//! Text is made on read. Read next: `line.rs`, the observations beside them.

use crate::grpc::{self, CODES};
use crate::line::Line;
use crate::log::ThreadLog;
use crate::refusal::Refusal;
use crate::times::{ByClass, CLASSES, Times};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A counter that one thread writes: a load and a store, no locked instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    #[inline]
    fn take_back(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long an observation stands as the last one before the next of its kind takes its place.
const KEEP_US: u64 = 1_000;

/// What one thread counted of one route.
#[derive(Debug, Default)]
pub struct PerThread {
    pub connections: Count,
    /// Of clients, that went well; what reached no route counts them, since none is known yet.
    pub handshakes: Count,
    /// Connections that ended without a byte, which what reached no route counts.
    pub probes: Count,
    pub bytes_in: Count,
    pub bytes_out: Count,
    /// Requests that are carried now, and tunnels.
    pub under_way: Count,
    /// What calls of gRPC took from their class and added to another, which times know nothing of; it wraps.
    moved: [Count; CLASSES],
    /// Calls of gRPC by the status that they ended with.
    pub calls: [Count; CODES],
    /// From a request's head to the end of its answer, where a backend had it at once and answered it in one piece: it is
    /// how long the backend took as well, so that one count does for both.
    whole: ByClass,
    /// The same of all others.
    others: ByClass,
    /// Of the others: from the head being sent to the backend to the head of its answer, of each that was answered.
    pub first_bytes: ByClass,
    /// How often, and the microseconds since 1970 of the last time.
    refused: Mutex<HashMap<&'static str, (u64, u64)>>,
    /// The last observation, as its line, with the moment, so that the newest of all threads can be told.
    last: Mutex<(u64, Vec<u8>)>,
}

/// All threads' counts of one route, or of what reached no route.
#[derive(Debug)]
pub struct Stats {
    threads: Vec<PerThread>,
}

impl Stats {
    pub fn new(threads: usize) -> Stats {
        Stats { threads: (0..threads.max(1)).map(|_| PerThread::default()).collect() }
    }

    #[inline]
    pub fn of(&self, thread: usize) -> &PerThread {
        // There is always one; a thread beyond the list would be a bug and shares the first.
        self.threads.get(thread).unwrap_or_else(|| &self.threads[0])
    }

    pub fn sum(&self, f: impl Fn(&PerThread) -> u64) -> u64 {
        self.threads.iter().map(f).sum()
    }

    pub fn refused(&self) -> HashMap<&'static str, u64> {
        self.refused_last().into_iter().map(|(slug, (n, _))| (slug, n)).collect()
    }

    /// By slug: how often, and the microseconds since 1970 of the last time.
    pub fn refused_last(&self) -> HashMap<&'static str, (u64, u64)> {
        let mut all: HashMap<&'static str, (u64, u64)> = HashMap::new();
        for thread in &self.threads {
            for (slug, (n, last)) in thread.refused.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                let it = all.entry(*slug).or_default();
                *it = (it.0 + n, it.1.max(*last));
            }
        }
        all
    }

    pub fn last(&self) -> Option<Vec<u8>> {
        let lines = self.threads.iter().map(|t| t.last.lock().unwrap_or_else(PoisonError::into_inner));
        lines.max_by_key(|l| l.0).filter(|l| l.0 > 0).map(|l| l.1.clone())
    }
}

/// A request that is under way as long as this lives.
#[derive(Debug)]
pub struct Going<'a>(&'a Count);

impl Drop for Going<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.take_back();
    }
}

impl PerThread {
    /// By the thread that counts here.
    #[inline]
    #[must_use]
    pub fn going(&self) -> Going<'_> {
        self.under_way.add(1);
        Going(&self.under_way)
    }

    pub fn refuse(&self, why: Refusal) {
        // Who is sent on to https was not refused; its listener counts it.
        if why == Refusal::PlainRedirected {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let it = refused.entry(why.slug()).or_default();
        *it = (it.0 + 1, u64::try_from(now).unwrap_or(u64::MAX));
    }

    /// Writes an observation to the log, if there is one, and keeps it as the last of its kind; of a thousand like it in a
    /// millisecond one is kept, since nobody looks that often.
    pub fn saw(&self, micros: u64, line: &Line<'_>, log: &mut ThreadLog) {
        let is_ordinary = line.is_ordinary();
        let logged = line.lines.write(line, is_ordinary, micros, log);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if is_ordinary && micros.wrapping_sub(last.0) < KEEP_US {
            return;
        }
        last.0 = micros;
        last.1.clear();
        match logged {
            Some(written) => last.1.extend_from_slice(written),
            None => line.write(&mut last.1, micros),
        }
    }

    /// After [`PerThread::took`], of a call of gRPC: where it failed it is no success, whatever HTTP says of it. An answer
    /// without a status of its own is UNKNOWN to its client.
    #[cold]
    pub fn called(&self, status: u16, code: Option<u8>) {
        let code = match code {
            None if status / 100 != 2 => return,
            code => code.unwrap_or(grpc::UNKNOWN),
        };
        if let Some(count) = self.calls.get(usize::from(code)) {
            count.add(1);
        }
        let class = |of: u16| self.moved.get(usize::from(of));
        let (said, is) = (status / 100, grpc::class(code));
        if said == 2
            && is != said
            && let (Some(said), Some(is)) = (class(said), class(is))
        {
            said.take_back();
            is.add(1);
        }
    }

    /// `whole`: the backend took as long, as far as can be told.
    pub fn took(&self, status: u16, us: u64, whole: bool) {
        let times = if whole { &self.whole } else { &self.others };
        times.add(status, us);
    }

    /// Answers of a status class, 1 to 5.
    pub fn answers(&self, class: usize) -> u64 {
        let timed =
            [&self.whole, &self.others].into_iter().filter_map(|it| it.of(class)).map(Times::count).sum::<u64>();
        timed.wrapping_add(self.moved.get(class).map_or(0, Count::get))
    }

    pub fn requests(&self) -> u64 {
        self.durations(Times::count)
    }

    /// Of requests, from the head to the end of the answer.
    pub fn durations(&self, f: impl Fn(&Times) -> u64) -> u64 {
        self.whole.sum(&f) + self.others.sum(&f)
    }

    /// Of backends' answers of a class (1 to 5), from the head being sent to the head of the answer.
    pub fn first_bytes(&self, class: usize, f: impl Fn(&Times) -> u64) -> u64 {
        [&self.whole, &self.first_bytes].into_iter().filter_map(|it| it.of(class)).map(f).sum()
    }
}
