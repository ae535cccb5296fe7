//! The access log: for each place a buffer a thread and one writer for all. A full log drops and counts, or refuses, by
//! `log.on_full`; it never blocks the path of a byte, and a place that is slow costs the others nothing. The supervisor opens
//! the files; a writer is handed its descriptor. Read next: `lines.rs`, which says what goes where.

use everyhop_plan::OnFull;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes that may wait for a writer: some seconds of a slow disk at full load.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// From here on requests are refused, where they are: what is under way by then, and in the threads' hands, has room.
const REFUSE_BYTES: usize = QUEUE_BYTES / 4 * 3;
/// A thread hands over when it has this much, or at the next tick.
const BATCH_BYTES: usize = 64 * 1024;

/// The writers that there are, each for as long as somebody may still write to it: a plan that names its place, or what is
/// open since a plan that did.
#[derive(Default)]
pub struct Logs {
    writers: Mutex<Vec<Weak<Writer>>>,
    pub dropped: Arc<AtomicU64>,
    /// Bytes in the hands of all writers, also of those that nothing names any more.
    waiting: Arc<AtomicUsize>,
}

impl Logs {
    /// The one writer of a place, whoever asks.
    pub fn writer(&self, place: &str) -> Arc<Writer> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.retain(|it| it.strong_count() > 0);
        if let Some(known) = writers.iter().filter_map(Weak::upgrade).find(|it| &*it.place == place) {
            return known;
        }
        let it = Arc::new(Writer::new(place, self.dropped.clone(), self.waiting.clone()));
        writers.push(Arc::downgrade(&it));
        it
    }

    pub fn all(&self) -> Vec<Arc<Writer>> {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether a writer still has something to write.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    pub fn configure(&self, on_full: OnFull) {
        for it in self.all() {
            it.refuse.store(on_full == OnFull::Refuse, Ordering::Release);
        }
    }

    /// Lines of `place` go to `fd` from now on; where nobody writes there it is closed.
    pub fn open(&self, place: &str, fd: OwnedFd) {
        if let Some(it) = self.all().into_iter().find(|it| &*it.place == place) {
            it.open(fd);
        }
    }
}

/// Where the threads hand their batches to.
pub struct Writer {
    /// What the supervisor calls it: a path, or `stdout`.
    pub place: Box<str>,
    refuse: AtomicBool,
    queued: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    to: Mutex<Option<Sender<Job>>>,
}

enum Job {
    Lines(Vec<u8>),
    Reopen(OwnedFd),
}

impl Writer {
    fn new(place: &str, dropped: Arc<AtomicU64>, waiting: Arc<AtomicUsize>) -> Writer {
        Writer {
            place: place.into(),
            refuse: AtomicBool::default(),
            queued: Arc::default(),
            waiting,
            broken: Arc::default(),
            dropped,
            to: Mutex::default(),
        }
    }

    /// True while `on_full = "refuse"` and there is no room.
    #[inline]
    pub fn must_refuse(&self) -> bool {
        self.refuse.load(Ordering::Relaxed)
            && (self.queued.load(Ordering::Relaxed) >= REFUSE_BYTES || self.broken.load(Ordering::Relaxed))
    }

    /// True while lines are lost: the last of them could not be written.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Writes to `fd` from now on; the one before is closed after what was queued for it.
    fn open(&self, fd: OwnedFd) {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = to.get_or_insert_with(|| {
            let (sender, jobs) = channel();
            let to = To {
                file: None,
                torn: false,
                queued: self.queued.clone(),
                waiting: self.waiting.clone(),
                broken: self.broken.clone(),
                dropped: self.dropped.clone(),
            };
            // Without its thread the log is broken, and on_full decides what that means.
            let named = std::thread::Builder::new().name("log".into());
            if named.spawn(move || to.write(&jobs)).is_err() {
                self.broken.store(true, Ordering::Relaxed);
            }
            sender
        });
        let _ = sender.send(Job::Reopen(fd));
    }

    fn put(&self, lines: Vec<u8>) {
        let n = lines.len();
        if self.queued.load(Ordering::Relaxed) + n > QUEUE_BYTES {
            self.count_dropped(&lines);
            return;
        }
        match self.to.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(sender) => {
                self.queued.fetch_add(n, Ordering::Relaxed);
                self.waiting.fetch_add(n, Ordering::Release);
                if let Err(e) = sender.send(Job::Lines(lines)) {
                    self.queued.fetch_sub(n, Ordering::Relaxed);
                    self.waiting.fetch_sub(n, Ordering::Release);
                    if let Job::Lines(lines) = e.0 {
                        self.count_dropped(&lines);
                    }
                }
            }
            // It could never be opened.
            None => {
                self.broken.store(true, Ordering::Relaxed);
                self.count_dropped(&lines);
            }
        }
    }

    fn count_dropped(&self, lines: &[u8]) {
        self.dropped.fetch_add(count(lines), Ordering::Relaxed);
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Where the lines go, and how that went.
struct To {
    file: Option<File>,
    /// What was written last ends within a line.
    torn: bool,
    queued: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
}

impl To {
    fn write(mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            match job {
                Job::Reopen(fd) => {
                    (self.file, self.torn) = (Some(File::from(fd)), false);
                    self.broken.store(false, Ordering::Relaxed);
                }
                Job::Lines(lines) => {
                    let written = self.lines(&lines);
                    // Nothing can be read of a line that was cut off.
                    let lost = lines.get(written..).map_or(0, count);
                    self.dropped.fetch_add(lost, Ordering::Relaxed);
                    self.broken.store(lost > 0, Ordering::Relaxed);
                    self.queued.fetch_sub(lines.len(), Ordering::Relaxed);
                    self.waiting.fetch_sub(lines.len(), Ordering::Release);
                }
            }
        }
    }

    /// Writes as much of `lines` as goes; gives how much. A full disk may have room again: what follows a line that was
    /// cut off begins on a line of its own.
    fn lines(&mut self, lines: &[u8]) -> usize {
        let Some(file) = &mut self.file else { return lines.len() };
        if self.torn && file.write_all(b"\n").is_err() {
            return 0;
        }
        self.torn = false;
        let mut written = 0;
        while let Some(left) = lines.get(written..).filter(|l| !l.is_empty()) {
            match file.write(left) {
                Ok(n) if n > 0 => written += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        self.torn = written > 0 && lines.get(written - 1) != Some(&b'\n');
        written
    }
}

/// A thread's lines on their way, by where they go.
#[derive(Default)]
pub struct ThreadLog {
    piles: Vec<Pile>,
}

struct Pile {
    to: Arc<Writer>,
    lines: Vec<u8>,
}

impl ThreadLog {
    /// Has a line written for `to`; gives what was written.
    pub fn line(&mut self, to: &Arc<Writer>, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        // Nearly always there is one, and it is the first.
        let at = self.piles.iter().position(|it| Arc::ptr_eq(&it.to, to)).unwrap_or_else(|| self.begin(to));
        let Some(pile) = self.piles.get_mut(at) else { return b"" };
        if pile.lines.len() >= BATCH_BYTES {
            pile.hand_over();
        }
        let start = pile.lines.len();
        write(&mut pile.lines);
        let end = pile.lines.len();
        pile.lines.push(b'\n');
        pile.lines.get(start..end).unwrap_or_default()
    }

    #[cold]
    fn begin(&mut self, to: &Arc<Writer>) -> usize {
        self.piles.push(Pile { to: to.clone(), lines: Vec::new() });
        self.piles.len() - 1
    }

    pub fn flush(&mut self) {
        self.piles.iter_mut().for_each(Pile::hand_over);
        // A writer whom no plan and nothing open names ends once it is let go.
        self.piles.retain(|it| Arc::strong_count(&it.to) > 1);
    }
}

impl Pile {
    fn hand_over(&mut self) {
        if !self.lines.is_empty() {
            let room = self.lines.capacity();
            let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(room));
            self.to.put(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// More than a pipe takes while nobody reads.
    const LINES: usize = 20_000;

    #[test]
    fn lines_wait_until_they_are_written_even_where_nothing_names_their_writer_any_more() {
        let (mut read, write) = std::io::pipe().expect("a pipe");
        let logs = Logs::default();
        let writer = logs.writer("slow");
        writer.open(write.into());
        let mut own = ThreadLog::default();
        for _ in 0..LINES {
            own.line(&writer, |out| out.extend_from_slice(b"a line of some bytes"));
        }
        drop(writer);
        own.flush();
        own.flush();
        assert!(logs.all().is_empty(), "somebody still names it");
        assert!(logs.is_waiting(), "a pipe that nobody reads took everything");
        let mut got = String::new();
        read.read_to_string(&mut got).expect("lines");
        assert_eq!(got.lines().filter(|it| *it == "a line of some bytes").count(), LINES);
        assert_eq!(logs.dropped.load(Ordering::Relaxed), 0);
        while logs.is_waiting() {
            std::thread::yield_now();
        }
    }
}
