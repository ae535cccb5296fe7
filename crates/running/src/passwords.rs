//! Passwords are verified here, on threads of their own: each takes tens of milliseconds and megabytes, which no connection of a
//! thread may wait for. A bounded number waits, of one address no more than a part of them; whoever finds no room is told so, and
//! passes by nothing. What was right is remembered for a while by a keyed digest of the user's hash and what was shown, so that
//! another hash is another question; what was wrong never is. Read next: `basic.rs`.

use crate::basic::BasicRun;
use crate::fair::{Fair, Whose};
use everyhop_password::{Hash, Shown, User};
use everyhop_token::Remembered;
use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// How long what was right is believed without verifying it again.
const REMEMBERED_S: i64 = 900;
/// Waiting for their turn, each for one password.
const MOST_WAITING: usize = 64;
/// Of threads: each may take as much memory as a hash may cost.
const MOST_THREADS: usize = 4;
const SHARDS: usize = 16;

/// What was asked of a password: its own digest under a key of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; 32]);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
    /// Nobody could say: too many were asking, or it took too long.
    Busy,
}

/// A password that has to be verified.
pub struct Try {
    pub mark: Mark,
    /// Whose hash it is compared with.
    user: Arc<User>,
    /// It is that of the name that was shown, and not one that stands in for somebody who is not there.
    is_there: bool,
    password: Zeroizing<Vec<u8>>,
    from: Whose,
}

impl Try {
    /// Of one that was right.
    pub fn into_user(self) -> Arc<User> {
        self.user
    }
}

/// What somebody shows, compared with whom there is.
pub enum Compared {
    /// It was right a while ago.
    Known(Arc<User>),
    Asks(Box<Try>),
    /// There is nobody at all.
    Nobody,
}

/// All that is verified, for all threads.
pub struct Passwords {
    key: aws_lc_rs::hmac::Key,
    known: [Mutex<Remembered<i64>>; SHARDS],
    waiting: Mutex<Waiting>,
    some: Condvar,
    pub counts: Counts,
}

/// How often, since the process began.
#[derive(Debug, Default)]
pub struct Counts {
    pub right: AtomicU64,
    pub wrong: AtomicU64,
    pub busy: AtomicU64,
    /// Passed without verifying anything again.
    pub remembered: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    tries: HashMap<Mark, Waits>,
    /// Those that no thread is at.
    line: Fair<Mark>,
}

/// One try; whoever asks the same meanwhile waits for the same answer.
struct Waits {
    it: Box<Try>,
    told: Vec<oneshot::Sender<bool>>,
}

impl Default for Passwords {
    fn default() -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        // Without anything at random there is no TLS either: nothing gets here.
        let _ = aws_lc_rs::rand::fill(&mut *secret);
        Passwords {
            key: aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &*secret),
            known: std::array::from_fn(|_| Mutex::default()),
            waiting: Mutex::default(),
            some: Condvar::new(),
            counts: Counts::default(),
        }
    }
}

impl Passwords {
    /// How many threads verify where so many carry traffic.
    pub fn threads(workers: usize) -> usize {
        (workers / 2).clamp(1, MOST_THREADS)
    }

    /// Compares what a request of that address shows with the users of its route. `tried`: what was verified for it just now.
    pub fn compare(&self, by: &BasicRun, shown: &Shown, (from, now_s): (IpAddr, i64), tried: Option<Mark>) -> Compared {
        let users = &by.users.users;
        let (user, is_there) = match users.get(shown.name()) {
            Some(user) => (user, true),
            None => match users.stand_in(self.draw(shown.name())) {
                Some(user) => (user, false),
                None => return Compared::Nobody,
            },
        };
        let mark = self.mark(&user.hash, shown, is_there);
        if is_there && tried != Some(mark) && self.knows(mark, now_s) {
            self.counts.remembered.fetch_add(1, Ordering::Relaxed);
            return Compared::Known(user.clone());
        }
        let password = Zeroizing::new(shown.password().to_vec());
        Compared::Asks(Box::new(Try { mark, user: user.clone(), is_there, password, from: from.into() }))
    }

    /// Always the same for a name, and nothing that anybody could reckon.
    fn draw(&self, name: &str) -> u64 {
        let tag = aws_lc_rs::hmac::sign(&self.key, name.as_bytes());
        tag.as_ref().first_chunk().map_or(0, |it| u64::from_le_bytes(*it))
    }

    fn mark(&self, hash: &Hash, shown: &Shown, is_there: bool) -> Mark {
        let mut by = aws_lc_rs::hmac::Context::with_key(&self.key);
        by.update(&[u8::from(is_there)]);
        for part in [hash.text().as_bytes(), shown.name().as_bytes(), shown.password()] {
            by.update(&(part.len() as u64).to_be_bytes());
            by.update(part);
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(by.sign().as_ref());
        Mark(mark)
    }

    fn shard(&self, mark: Mark) -> MutexGuard<'_, Remembered<i64>> {
        let at = usize::from(mark.0[0]) % SHARDS;
        self.known[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, mark: Mark, now_s: i64) -> bool {
        // A clock that was set back makes nothing last longer than it was meant to.
        self.shard(mark).get(&mark.0).is_some_and(|until_s| (until_s - REMEMBERED_S..until_s).contains(&now_s))
    }

    /// What was right at that time.
    pub fn remember(&self, mark: Mark, now_s: i64) {
        self.shard(mark).put(&mark.0, now_s.saturating_add(REMEMBERED_S));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts it among those that wait. `None` where there is no room.
    pub fn ask(&self, it: Box<Try>) -> Option<oneshot::Receiver<bool>> {
        let (tell, told) = oneshot::channel();
        let mut all = self.waiting();
        if let Some(same) = all.tries.get_mut(&it.mark) {
            same.told.push(tell);
            return Some(told);
        }
        if all.line.put(it.from, it.mark, MOST_WAITING).is_err() {
            drop(all);
            self.counts.busy.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        all.tries.insert(it.mark, Waits { it, told: vec![tell] });
        drop(all);
        self.some.notify_one();
        Some(told)
    }

    /// Verifies one after the other, until the process ends.
    pub fn work(&self) {
        loop {
            self.next();
        }
    }

    /// Verifies the next, once there is one.
    fn next(&self) {
        let (mark, user, is_there, password) = self.turn();
        // Compared all the same where nobody is there, so that it takes as long.
        let is_one = catch_unwind(AssertUnwindSafe(|| user.hash.is_of(&password))).unwrap_or(false);
        let is_right = is_one && is_there;
        let counted = if is_right { &self.counts.right } else { &self.counts.wrong };
        counted.fetch_add(1, Ordering::Relaxed);
        let told = self.waiting().tries.remove(&mark).map(|it| it.told).unwrap_or_default();
        for tell in told {
            let _ = tell.send(is_right);
        }
    }

    /// The next for whom somebody still waits.
    fn turn(&self) -> (Mark, Arc<User>, bool, Zeroizing<Vec<u8>>) {
        let mut all = self.waiting();
        loop {
            while let Some(mark) = all.line.take() {
                let Some(waits) = all.tries.get_mut(&mark) else { continue };
                waits.told.retain(|it| !it.is_closed());
                if waits.told.is_empty() {
                    all.tries.remove(&mark);
                    continue;
                }
                let it = &mut waits.it;
                return (mark, it.user.clone(), it.is_there, std::mem::take(&mut it.password));
            }
            all = self.some.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Somebody waits, or is being verified.
    pub fn under_way(&self) -> usize {
        self.waiting().tries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::basic::UsersRun;
    use everyhop_password::{Users, shown};
    use std::net::Ipv4Addr;

    /// By htpasswd, of `correct horse`, at its least cost.
    const HASH: &str = "$2b$04$n4774HHL8WsI0JTO8zrC/eujrwfDJSRA0mUdeduwFt7akPEbhwtk2";
    const OTHER: &str = "$2y$05$lg8qSlOvxAc.m1rEr6u.reiy5X5vx/z90mSWSl4cM1NBVLH730972";

    fn route(text: &str) -> BasicRun {
        let users = Users::read(text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        BasicRun { users: Arc::new(UsersRun::of(users)), realm: None }
    }

    fn basic(name: &str, password: &str) -> Shown {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        shown(format!("Basic {text}").as_bytes()).unwrap_or_else(|_| panic!("shown"))
    }

    fn from(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, n).into()
    }

    fn asks(all: &Passwords, by: &BasicRun, shown: &Shown, at: u8) -> Box<Try> {
        match all.compare(by, shown, (from(at), 1000), None) {
            Compared::Asks(it) => it,
            Compared::Known(_) | Compared::Nobody => panic!("it is known"),
        }
    }

    fn verdict(all: &Passwords, by: &BasicRun, name: &str, password: &str) -> bool {
        let it = asks(all, by, &basic(name, password), 1);
        let mut told = all.ask(it).expect("room");
        all.next();
        told.try_recv().expect("an answer")
    }

    fn knows(all: &Passwords, by: &BasicRun, name: &str, password: &str, now_s: i64) -> bool {
        matches!(all.compare(by, &basic(name, password), (from(1), now_s), None), Compared::Known(_))
    }

    #[test]
    fn only_the_right_password_of_somebody_who_is_there_is_right_and_all_are_compared() {
        let (all, by) = (Passwords::default(), route(&format!("alice:{HASH}\nbob:{OTHER}\n")));
        assert!(verdict(&all, &by, "alice", "correct horse"));
        for (name, password) in
            [("alice", "correct"), ("alice", ""), ("Alice", "correct horse"), ("mallory", "correct horse")]
        {
            assert!(!verdict(&all, &by, name, password), "{name} {password}");
        }
        let counts = (&all.counts.right, &all.counts.wrong);
        assert_eq!((counts.0.load(Ordering::Relaxed), counts.1.load(Ordering::Relaxed)), (1, 4));
        assert_eq!(all.under_way(), 0);
    }

    #[test]
    fn what_was_right_is_remembered_for_a_while_and_of_another_hash_it_is_asked_anew() {
        let (all, by) = (Passwords::default(), route(&format!("alice:{HASH}\n")));
        let mark = asks(&all, &by, &basic("alice", "correct horse"), 1).mark;
        assert!(!knows(&all, &by, "alice", "correct horse", 1000));
        all.remember(mark, 1000);
        for (now_s, known) in
            [(999, false), (1000, true), (1000 + REMEMBERED_S - 1, true), (1000 + REMEMBERED_S, false)]
        {
            assert_eq!(knows(&all, &by, "alice", "correct horse", now_s), known, "{now_s}");
        }
        assert!(!knows(&all, &by, "alice", "correct hors", 1000));
        assert!(knows(&all, &route(&format!("alice:{HASH}\nbob:{OTHER}\n")), "alice", "correct horse", 1000));
        assert!(!knows(&all, &route(&format!("alice:{OTHER}\n")), "alice", "correct horse", 1000));
        assert!(!knows(&all, &route(&format!("bob:{HASH}\n")), "bob", "correct horse", 1000));
        assert!(!knows(&all, &route(&format!("bob:{HASH}\n")), "alice", "correct horse", 1000), "she is gone");
    }

    #[test]
    fn nobody_who_is_not_there_is_ever_known() {
        let (all, by) = (Passwords::default(), route(&format!("alice:{HASH}\n")));
        let mark = asks(&all, &by, &basic("mallory", "correct horse"), 1).mark;
        all.remember(mark, 1000);
        assert!(!knows(&all, &by, "mallory", "correct horse", 1000));
    }

    #[test]
    fn the_same_asked_at_once_is_verified_once() {
        let (all, by) = (Passwords::default(), route(&format!("alice:{HASH}\n")));
        let ask = || all.ask(asks(&all, &by, &basic("alice", "correct horse"), 1)).expect("room");
        let mut told = [ask(), ask(), ask()];
        assert_eq!(all.under_way(), 1);
        all.next();
        assert!(told.iter_mut().all(|it| it.try_recv() == Ok(true)));
        assert_eq!(all.counts.right.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn so_many_wait_and_of_one_address_a_part_of_them() {
        const MOST_OF_ONE: usize = MOST_WAITING / 4;
        let (all, by) = (Passwords::default(), route(&format!("alice:{HASH}\n")));
        let ask = |n: usize, at: u8| all.ask(asks(&all, &by, &basic("alice", &n.to_string()), at));
        let mut waiting: Vec<_> = (0..MOST_OF_ONE).map(|n| ask(n, 1).expect("room")).collect();
        assert!(ask(1000, 1).is_none(), "that address has its part");
        for at in 2..=4 {
            waiting.extend((0..MOST_OF_ONE).map(|n| ask(n + usize::from(at) * 100, at).expect("room")));
        }
        assert!(ask(1000, 9).is_none(), "there is no room at all");
        assert_eq!(all.counts.busy.load(Ordering::Relaxed), 2);
        // Whoever left is not verified, and leaves room.
        drop(waiting);
        let mut told = None;
        for _ in 0..2 {
            told = told.or_else(|| ask(1000, 9));
            all.waiting().line.take();
        }
        assert!(told.is_some());
    }

    #[test]
    fn addresses_take_turns() {
        let (all, by) = (Passwords::default(), route(&format!("alice:{HASH}\n")));
        let ask = |n: usize, at: u8| all.ask(asks(&all, &by, &basic("alice", &n.to_string()), at)).expect("room");
        let mut many: Vec<_> = (0..3).map(|n| ask(n, 1)).collect();
        let mut one = ask(100, 2);
        all.next();
        all.next();
        assert_eq!((many[0].try_recv(), one.try_recv()), (Ok(false), Ok(false)));
        assert!(many[1].try_recv().is_err());
        // Those who left meanwhile are passed over.
        let last = many.pop().expect("the third");
        drop(many);
        let mut last = last;
        all.next();
        assert_eq!(last.try_recv(), Ok(false));
        assert_eq!(all.under_way(), 0);
    }

    #[test]
    fn half_as_many_threads_verify_as_carry_traffic_and_at_the_least_one_and_no_more_than_may_take_memory() {
        for (workers, threads) in [(0, 1), (1, 1), (2, 1), (4, 2), (5, 2), (6, 3), (8, 4), (9, 4), (1000, MOST_THREADS)]
        {
            assert_eq!(Passwords::threads(workers), threads, "{workers}");
        }
    }

    /// Else whoever asks for the same name twice, or reckons, could tell by the time who is not there.
    #[test]
    fn who_stands_in_for_a_name_that_is_not_there_is_always_the_same_and_any_of_all_by_a_draw_of_this_process() {
        let by = route(&format!("alice:{HASH}\nbob:{OTHER}\n"));
        let drawn = |all: &Passwords| -> Vec<bool> {
            let is_alice = |n: usize| &*asks(all, &by, &basic(&format!("nobody-{n}"), "p"), 1).user.name == "alice";
            (0..64).map(is_alice).collect()
        };
        let (one, other) = (Passwords::default(), Passwords::default());
        assert_eq!(drawn(&one), drawn(&one));
        assert!(drawn(&one).contains(&true) && drawn(&one).contains(&false));
        assert_ne!(drawn(&one), drawn(&other));
    }

    #[test]
    fn a_thread_that_verifies_goes_on_with_the_next() {
        let (all, by) = (Passwords::default(), route(&format!("alice:{HASH}\n")));
        let ask = |password| all.ask(asks(&all, &by, &basic("alice", password), 1)).expect("room");
        let told = ["correct horse", "wrong", "battery"].map(ask);
        // If it ended before all were answered, it would drop what waits.
        std::thread::spawn(move || all.work());
        assert_eq!(told.map(|it| it.blocking_recv()), [Ok(true), Ok(false), Ok(false)]);
    }
}
