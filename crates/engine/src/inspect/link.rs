//! The conversation with one inspector, on the thread of all of them: questions of all data threads go out as they come, answers
//! go to whoever waits, in no order. Read next: `../client/inspected.rs`, where a request waits.

use crate::inspect::frames::{Answer, Broken, Said, answer, head, numbered};
use everyhop_running::fair::{Fair, Whose};
use everyhop_transport::clock::steady_ms;
use everyhop_transport::thread;
use everyhop_transport::ticker::Ticker;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream as Std;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};

/// Questions that wait to be sent.
const WAITING: usize = 256;
/// Whoever has said nothing about a request for so long never will: a rule that does not end cannot be stopped from within.
const STUCK_MS: u64 = 10_000;
/// One that no plan names any more is spoken with for so long yet: requests that came before are inspected there.
const LEAVES_MS: u64 = 180_000;
/// Of those so many: each is a process, and rules that are written are read again at each change.
const LEFT: usize = 2;

/// A request that is asked about.
struct Job {
    whose: Whose,
    frame: Vec<u8>,
    reply: oneshot::Sender<Said>,
}

/// One inspector, known by the policies that it was given.
pub struct Link {
    id: Box<str>,
    jobs: mpsc::Sender<Job>,
    is_up: AtomicBool,
    /// Questions that it has before it at once: what it cannot begin with waits here, where it can still be given up.
    at_once: usize,
    /// When it is left; `u64::MAX` while a plan names it.
    leaves_ms: AtomicU64,
}

/// What is said of a request, once that is there; nothing where the inspector is gone by then.
pub(crate) type Answered = oneshot::Receiver<Said>;

/// Why a request was not asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unasked {
    Down,
    Busy,
}

impl Link {
    /// Puts the question; the answer is awaited.
    pub(crate) fn ask(&self, whose: Whose, frame: Vec<u8>) -> Result<Answered, Unasked> {
        if !self.is_up.load(Ordering::Acquire) {
            return Err(Unasked::Down);
        }
        let (reply, answered) = oneshot::channel();
        match self.jobs.try_send(Job { whose, frame, reply }) {
            Ok(()) => Ok(answered),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Unasked::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Unasked::Down),
        }
    }
}

/// A conversation that begins.
struct Begun {
    socket: Std,
    jobs: mpsc::Receiver<Job>,
    link: Arc<Link>,
}

/// All inspectors that are spoken with.
#[derive(Default)]
pub struct Inspectors {
    links: Mutex<Vec<Arc<Link>>>,
    thread: Mutex<Option<mpsc::UnboundedSender<Begun>>>,
}

impl Inspectors {
    /// The one that has those policies, if it is there.
    pub(crate) fn of(&self, id: &str) -> Option<Arc<Link>> {
        self.all().iter().find(|it| *it.id == *id).cloned()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An inspector that is ready, in the place of one that had the same policies.
    pub fn hand(&self, id: &str, at_once: usize, socket: Std) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let (jobs, asked) = mpsc::channel(WAITING);
        let (is_up, leaves_ms) = (AtomicBool::new(true), AtomicU64::new(u64::MAX));
        let link = Arc::new(Link { id: id.into(), jobs, is_up, at_once: at_once.max(1), leaves_ms });
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let (begin, begun) = mpsc::unbounded_channel();
            std::thread::Builder::new().name("inspector".into()).spawn(move || drop(run(begun)))?;
            *thread = Some(begin);
        }
        let begun = Begun { socket, jobs: asked, link: link.clone() };
        let sent = thread.as_ref().is_some_and(|it| it.send(begun).is_ok());
        if !sent {
            *thread = None;
            return Err(io::Error::other("the thread of inspectors ended"));
        }
        let mut all = self.all();
        all.retain(|it| {
            let stays = *it.id != *id;
            if !stays {
                // Nobody asks it any more; whoever did is answered.
                it.leaves_ms.store(0, Ordering::Relaxed);
            }
            stays
        });
        all.push(link);
        Ok(())
    }

    /// A plan names this one alone; others are left in a while, and at once where many were named since.
    pub fn keep(&self, id: Option<&str>) {
        let mut all = self.all();
        all.retain(|it| it.is_up.load(Ordering::Acquire) || Some(&*it.id) == id);
        let soon_ms = steady_ms() + LEAVES_MS;
        let mut left = 0;
        for it in all.iter().rev() {
            if Some(&*it.id) == id {
                it.leaves_ms.store(u64::MAX, Ordering::Relaxed);
                continue;
            }
            left += 1;
            let most_ms = if left <= LEFT { soon_ms } else { 0 };
            it.leaves_ms.fetch_min(most_ms, Ordering::Relaxed);
        }
    }

    /// Somebody has those policies, and answers.
    pub fn is_up(&self, id: &str) -> bool {
        self.of(id).is_some_and(|it| it.is_up.load(Ordering::Acquire))
    }
}

fn run(mut begun: mpsc::UnboundedReceiver<Begun>) -> io::Result<()> {
    thread::run(Box::pin(async move {
        while let Some(it) = begun.recv().await {
            tokio::task::spawn_local(converse(it));
        }
        Ok(())
    }))
}

/// Who waits for what is said of a request, and since when.
type Waiting = Rc<RefCell<HashMap<u64, (oneshot::Sender<Said>, u64)>>>;

/// Until its socket ends, nobody can ask any more, or it is stuck. Who waits is told by a channel that closes.
async fn converse(Begun { socket, jobs, link }: Begun) {
    let _ = conversed(socket, jobs, &link).await;
    link.is_up.store(false, Ordering::Release);
}

async fn conversed(socket: Std, mut jobs: mpsc::Receiver<Job>, link: &Link) -> io::Result<()> {
    let (waiting, is_left, freed) = (Waiting::default(), Cell::new(false), Notify::new());
    let in_line = Cell::new(false);
    let ends = socket.try_clone()?;
    let socket = UnixStream::from_std(socket)?;
    let ticker = Ticker::new()?;
    let sends = async {
        let (mut next, mut line) = (0, Fair::default());
        loop {
            while let Ok(it) = jobs.try_recv() {
                in_line.set(true);
                stands(&mut line, it);
            }
            if waiting.borrow().len() >= link.at_once {
                tokio::select! {
                    () = freed.notified() => {}
                    // Nobody else can ask any more; who stands in line is asked about yet.
                    Some(it) = jobs.recv() => stands(&mut line, it),
                }
                continue;
            }
            let Some(Job { mut frame, reply, .. }) = line.take() else {
                in_line.set(false);
                let Some(it) = jobs.recv().await else { break };
                in_line.set(true);
                stands(&mut line, it);
                continue;
            };
            // Whoever gave up meanwhile is not asked about.
            if reply.is_closed() {
                continue;
            }
            next += 1;
            numbered(&mut frame, next);
            waiting.borrow_mut().insert(next, (reply, steady_ms()));
            write_all(&socket, &frame).await?;
        }
        // Nobody can ask any more; whoever did is answered.
        is_left.set(true);
        std::future::pending().await
    };
    let hears = async {
        let mut heard = Heard::default();
        loop {
            let it = heard.answer(&socket).await?;
            let asked = waiting.borrow_mut().remove(&it.id);
            let Some((reply, _)) = asked else { return Err(io::ErrorKind::InvalidData.into()) };
            let _ = reply.send(it.said);
            freed.notify_one();
        }
    };
    let looks = async {
        loop {
            ticker.tick().await?;
            let now = steady_ms();
            let leaves = is_left.get() || link.leaves_ms.load(Ordering::Relaxed) < now;
            let is_coming = in_line.get() || link.jobs.capacity() < link.jobs.max_capacity();
            if leaves && waiting.borrow().is_empty() && !is_coming {
                return Ok(());
            }
            if waiting.borrow().values().any(|(_, since)| now.saturating_sub(*since) > STUCK_MS) {
                return Ok(());
            }
        }
    };
    let done: io::Result<()> = tokio::select! {
        it = sends => it,
        it = hears => it,
        it = looks => it,
    };
    let _ = ends.shutdown(Shutdown::Both);
    done
}

/// Addresses take turns, so that nobody waits for all that another one sends.
fn stands(line: &mut Fair<Job>, it: Job) {
    if let Err(it) = line.put(it.whose, it, WAITING) {
        let _ = it.reply.send(Said::Overloaded);
    }
}

/// What came of answers and was not read yet: one call to the system takes what is there, which is often a whole answer or more.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    read: usize,
}

/// What is asked of the socket for at once.
const AT_ONCE: usize = 4096;

impl Heard {
    async fn answer(&mut self, socket: &UnixStream) -> io::Result<Answer> {
        let broken = |Broken| io::Error::from(io::ErrorKind::InvalidData);
        let mut five = [0; 5];
        five.copy_from_slice(self.take(socket, 5).await?);
        let (length, kind) = head(five).map_err(broken)?;
        answer(kind, self.take(socket, length).await?).map_err(broken)
    }

    /// The next of them.
    async fn take(&mut self, socket: &UnixStream, n: usize) -> io::Result<&[u8]> {
        while self.bytes.len() - self.read < n {
            self.bytes.drain(..self.read);
            self.read = 0;
            socket.readable().await?;
            self.bytes.reserve(AT_ONCE);
            match socket.try_read_buf(&mut self.bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        let from = self.read;
        self.read += n;
        self.bytes.get(from..self.read).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

async fn write_all(socket: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn of_those_that_no_plan_names_any_more_the_last_are_kept_a_while_and_the_others_leave() {
        let all = Inspectors::default();
        let mut theirs = Vec::new();
        for id in ["a", "b", "c", "d"] {
            let (ours, its) = Std::pair().expect("a pair of sockets");
            all.hand(id, 1, ours).expect("a thread");
            all.keep(Some(id));
            theirs.push(its);
        }
        let leaves = |id: &str| all.of(id).map(|it| it.leaves_ms.load(Ordering::Relaxed));
        assert_eq!((leaves("a"), leaves("d")), (Some(0), Some(u64::MAX)));
        let soon = leaves("b").zip(leaves("c")).expect("both");
        assert!(soon.0 > steady_ms() && soon.1 >= soon.0 && soon.1 <= steady_ms() + LEAVES_MS, "{soon:?}");
        all.keep(Some("b"));
        assert_eq!(leaves("b"), Some(u64::MAX), "it is named again");
    }

    /// As of a supervisor that follows another: it begins an inspector of its own for the same policies.
    #[test]
    fn one_that_another_takes_the_place_of_is_left_by_both() {
        let all = Inspectors::default();
        let handed = || {
            let (ours, its) = Std::pair().expect("a pair of sockets");
            its.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a timeout");
            all.hand("a", 1, ours).expect("a thread");
            all.keep(Some("a"));
            its
        };
        let (mut before, mut now) = (handed(), handed());
        assert_eq!(before.read(&mut [0]).expect("its end"), 0);
        now.set_nonblocking(true).expect("a socket");
        assert_eq!(now.read(&mut [0]).expect_err("nothing was said").kind(), io::ErrorKind::WouldBlock);
        assert!(all.is_up("a"));
    }
}
