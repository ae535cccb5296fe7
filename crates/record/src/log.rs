//! The access log: a buffer a thread, one writer for all. A full log drops and counts, or refuses, by `log.on_full`;
//! it never blocks the path of a byte. The supervisor opens the file; this thread is handed the descriptor.

use everyhop_plan::OnFull;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that may wait for the writer: some seconds of a slow disk at full load.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// A thread hands over when it has this much, or at the next tick.
const BATCH_BYTES: usize = 64 * 1024;

const ON: u8 = 1;
const REFUSE: u8 = 2;

/// Where the threads hand their batches to.
#[derive(Default)]
pub struct Writer {
    state: AtomicU8,
    queued: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    pub dropped: Arc<AtomicU64>,
    to: Mutex<Option<Sender<Job>>>,
}

enum Job {
    Lines(Vec<u8>),
    Reopen(OwnedFd),
}

impl Writer {
    pub fn configure(&self, on: bool, on_full: OnFull) {
        let refuse = if on_full == OnFull::Refuse { REFUSE } else { 0 };
        self.state.store(if on { ON | refuse } else { 0 }, Ordering::Release);
    }

    #[inline]
    pub fn is_on(&self) -> bool {
        self.state.load(Ordering::Acquire) & ON != 0
    }

    /// True while `on_full = "refuse"` and there is no room.
    #[inline]
    pub fn must_refuse(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ON | REFUSE
            && (self.queued.load(Ordering::Relaxed) >= QUEUE_BYTES || self.broken.load(Ordering::Relaxed))
    }

    /// True while lines are lost: the last of them could not be written.
    pub fn is_broken(&self) -> bool {
        self.is_on() && self.broken.load(Ordering::Relaxed)
    }

    /// Writes to `fd` from now on; the one before is closed after what was queued for it.
    pub fn open(&self, fd: OwnedFd) {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = to.get_or_insert_with(|| {
            let (sender, jobs) = channel();
            let to = To {
                file: None,
                torn: false,
                queued: self.queued.clone(),
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
        if let Some(sender) = self.to.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            self.queued.fetch_add(n, Ordering::Relaxed);
            if let Err(e) = sender.send(Job::Lines(lines)) {
                self.queued.fetch_sub(n, Ordering::Relaxed);
                if let Job::Lines(lines) = e.0 {
                    self.count_dropped(&lines);
                }
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

/// A thread's lines on their way.
pub struct ThreadLog {
    writer: Arc<Writer>,
    lines: Vec<u8>,
}

impl ThreadLog {
    pub fn new(writer: Arc<Writer>) -> ThreadLog {
        ThreadLog { writer, lines: Vec::new() }
    }

    /// Has a line written to the log; gives what was written, or nothing where there is no log.
    pub fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Option<&[u8]> {
        if !self.writer.is_on() {
            return None;
        }
        if self.lines.len() >= BATCH_BYTES {
            self.flush();
        }
        let start = self.lines.len();
        write(&mut self.lines);
        let end = self.lines.len();
        self.lines.push(b'\n');
        self.lines.get(start..end)
    }

    pub fn flush(&mut self) {
        if !self.lines.is_empty() {
            let room = self.lines.capacity();
            let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(room));
            self.writer.put(lines);
        }
    }
}
