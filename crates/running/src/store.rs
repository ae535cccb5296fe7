//! A store in which edges count together, and what is asked of it. Whoever asks waits no longer than [`ANSWERS_WITHIN`], and not
//! at all while the store does not answer. Nothing is sent here. Read next: `limiter/leases.rs`; the engine's `store`, which sends.

use crate::backend::BackendRun;
use crate::secret::SecretText;
use everyhop_plan::{Limits, Store, StoreSpeaks};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The longest time for which a request waits for a store.
pub const ANSWERS_WITHIN: Duration = Duration::from_millis(20);
/// Questions that wait to be sent; more are not asked.
const WAITING: usize = 10_000;

/// A store of a plan.
pub struct StoreRun {
    pub plan: Store,
    pub backends: Vec<Arc<BackendRun>>,
    pub password: Option<SecretText>,
    /// It outlives plans as long as the store keeps its name.
    pub questions: Arc<Questions>,
    pub limits: Arc<Limits>,
}

impl StoreRun {
    /// It is asked of each request, and leases nothing: a service that counts by its own limits counts what nobody used too, and says
    /// yes or no to all that it is asked of at once.
    pub fn is_asked_of_each(&self) -> bool {
        matches!(self.plan.speaks, StoreSpeaks::Envoy { .. })
    }

    /// What is asked of the one may be asked of the other, over the same connection.
    pub fn is_the_same(&self, other: &StoreRun) -> bool {
        let hops = |it: &StoreRun| it.backends.iter().map(|b| b.hop_id).collect::<Vec<_>>();
        let words = |it: &StoreRun| it.password.as_ref().map(|p| p.bytes().to_vec());
        let said = |it: &StoreRun| (it.plan.speaks.clone(), it.plan.user.clone(), it.plan.database);
        said(self) == said(other) && hops(self) == hops(other) && words(self) == words(other)
    }
}

/// What is asked of a store, by all threads, and how that goes.
#[derive(Default)]
pub struct Questions {
    waiting: Mutex<VecDeque<Arc<Question>>>,
    /// Who sends them, where it waits for some.
    sender: Mutex<Option<Waker>>,
    up: AtomicBool,
    /// Why it does not answer; empty before it was asked for the first time.
    why: Mutex<String>,
    pub asked: AtomicU64,
    /// Not answered in time.
    pub late: AtomicU64,
    /// How often it stopped answering.
    pub downs: AtomicU64,
    /// Requests that this edge let pass by its own count alone.
    pub alone: AtomicU64,
    /// What the last connection there came to, as JSON; empty before the first.
    hop: Mutex<String>,
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Questions {
    /// It answers.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// A connection there came to this.
    pub fn proved(&self, hop: String) {
        *locked(&self.hop) = hop;
    }

    pub fn hop(&self) -> Option<String> {
        Some(locked(&self.hop).clone()).filter(|it| !it.is_empty())
    }

    pub fn now_up(&self) {
        self.up.store(true, Ordering::Release);
    }

    /// Whoever waits is told so.
    pub fn now_down(&self, why: &str) {
        if self.up.swap(false, Ordering::AcqRel) {
            self.downs.fetch_add(1, Ordering::Relaxed);
        }
        why.clone_into(&mut locked(&self.why));
        for it in std::mem::take(&mut *locked(&self.waiting)) {
            it.answer(Answer::Unknown);
        }
    }

    /// Why it does not answer, where it does not.
    pub fn trouble(&self) -> Option<String> {
        (!self.is_up()).then(|| locked(&self.why).clone()).filter(|it| !it.is_empty())
    }

    /// `None` where nobody would answer.
    pub fn ask(&self, asked: Asks) -> Option<Arc<Question>> {
        let mut waiting = locked(&self.waiting);
        if !self.is_up() || waiting.len() >= WAITING {
            return None;
        }
        let it = Arc::new(Question { asked, at: Instant::now(), state: Mutex::default() });
        waiting.push_back(it.clone());
        drop(waiting);
        self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(sender) = locked(&self.sender).take() {
            sender.wake();
        }
        Some(it)
    }

    /// Those that were not sent yet; whoever asks is woken when there are more.
    pub fn take(&self, cx: &Context<'_>) -> VecDeque<Arc<Question>> {
        *locked(&self.sender) = Some(cx.waker().clone());
        std::mem::take(&mut *locked(&self.waiting))
    }
}

/// What is asked: some of a key's requests, to be let pass here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// By what all edges know the key.
    pub key: String,
    pub step_us: u64,
    pub span_us: u64,
    pub want: u32,
}

/// What a store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// So many may pass here; so many more are left.
    Given { n: u32, left: u64 },
    /// None now; one after so long. `limit`: so many in so many seconds, where it says by what.
    Over { wait_us: u64, limit: Option<(u32, u64)> },
    /// It said nothing in time.
    Unknown,
}

pub struct Question {
    pub asked: Asks,
    pub at: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answer: Option<Answer>,
    wakers: Vec<Waker>,
}

impl Question {
    /// The first answer counts.
    pub fn answer(&self, answer: Answer) {
        let mut state = locked(&self.state);
        if state.answer.is_none() {
            state.answer = Some(answer);
            let wakers = std::mem::take(&mut state.wakers);
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    pub fn answered(&self) -> Option<Answer> {
        locked(&self.state).answer
    }

    pub fn poll(&self, cx: &Context<'_>) -> Poll<Answer> {
        let mut state = locked(&self.state);
        match state.answer {
            Some(it) => Poll::Ready(it),
            None => {
                if !state.wakers.iter().any(|w| w.will_wake(cx.waker())) {
                    state.wakers.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks() -> Asks {
        Asks { key: "k".into(), step_us: 1, span_us: 10, want: 1 }
    }

    #[test]
    fn nobody_waits_for_a_store_that_does_not_answer() {
        let it = Questions::default();
        assert!(it.ask(asks()).is_none() && it.trouble().is_none());
        it.now_up();
        let one = it.ask(asks()).expect("it is up");
        it.now_down("gone");
        assert_eq!((one.answered(), it.trouble().as_deref()), (Some(Answer::Unknown), Some("gone")));
        assert!(it.ask(asks()).is_none());
        it.now_down("still gone");
        assert_eq!(it.downs.load(Ordering::Relaxed), 1);
        it.now_up();
        assert_eq!(it.trouble(), None);
    }

    #[test]
    fn so_many_wait_and_no_more_and_the_first_answer_counts() {
        let it = Questions::default();
        it.now_up();
        let first = it.ask(asks()).expect("room");
        for _ in 1..WAITING {
            it.ask(asks()).expect("room");
        }
        assert!(it.ask(asks()).is_none());
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(it.take(&cx).len(), WAITING);
        assert!(it.ask(asks()).is_some());
        assert!(first.poll(&cx).is_pending());
        first.answer(Answer::Given { n: 1, left: 2 });
        first.answer(Answer::Unknown);
        assert_eq!(first.poll(&cx), Poll::Ready(Answer::Given { n: 1, left: 2 }));
    }
}
