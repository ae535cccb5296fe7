//! What a client of HTTP/2 may send ahead (F10). A connection has its own, `limits.h2_connection_window_bytes`. The body of
//! a request from afar is lent as much more as it declares, so that it needs one round trip and not one a window. What is
//! lent comes from a share that all connections of the thread have together: its connection keeps it for the next body while
//! half of the share is free, else it goes back as the body arrives. A connection whose own is held by bodies that nobody
//! takes gets more of the share while others of its requests wait to send theirs, and keeps it in the same way. So what
//! clients can make a thread hold stays below what their connections have and this share. Read next: `h2.rs`.

use crate::exchange::words::BodyLen;
use everyhop_transport::h2::Stream;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

/// A client whose handshake waited so long for it has a way that is long enough to matter.
const FAR: Duration = Duration::from_millis(10);
/// One request may be lent so many times what a connection has.
const WIDE: u32 = 8;
/// And all of a thread's together so many times.
const SHARE: u64 = 64;
/// RFC 9113 §6.9.1.
const MOST: u32 = (1 << 31) - 1;

/// Of one connection.
pub(super) struct Windows {
    /// What the thread lends now.
    lent: Rc<Cell<u64>>,
    /// Its own.
    own: u32,
    /// Beyond its own, and of that what no request holds now: kept for the next, or offered and not used, which cannot be
    /// taken back.
    more: Cell<u32>,
    idle: Cell<u32>,
    /// Bodies of requests that ended, with what came of them and was not made room for again.
    over: RefCell<Vec<(Stream, u32)>>,
    waker: RefCell<Option<Waker>>,
    far: bool,
}

impl Drop for Windows {
    fn drop(&mut self) {
        self.lent.set(self.lent.get() - u64::from(self.more.get()));
    }
}

impl Windows {
    /// `way`: how long the client's answer to a handshake took.
    pub(super) fn new(lent: Rc<Cell<u64>>, own: u32, way: Duration) -> Rc<Windows> {
        let far = way >= FAR;
        let (more, idle) = (Cell::new(0), Cell::new(0));
        Rc::new(Windows { lent, own, more, idle, over: RefCell::default(), waker: RefCell::default(), far })
    }

    /// Of each stream to begin with, where `near` is that of a client that is not far. What all streams may send is the
    /// connection's to say.
    pub(super) fn of_streams(&self, near: u32) -> u32 {
        if self.far { near.max(self.widest()) } else { near }
    }

    fn widest(&self) -> u32 {
        self.own.saturating_mul(WIDE).min(MOST)
    }

    fn share(&self) -> u64 {
        SHARE * u64::from(self.own)
    }

    /// Of the connection.
    pub(super) fn target(&self) -> u32 {
        self.own.saturating_add(self.more.get()).min(MOST)
    }

    /// Lends to a request whose body is so long; whoever asked offers the new [`Windows::target`].
    pub(super) fn lend(self: &Rc<Windows>, body: BodyLen) -> Option<Loan> {
        let BodyLen::Known(length) = body else { return None };
        // Offers below half of what is open wait until it is used up.
        let least = self.own / 2;
        if !self.far || length <= u64::from(least) {
            return None;
        }
        let wanted = self.widest().min(u32::try_from(length).unwrap_or(MOST));
        let idle = self.idle.get().min(wanted);
        let left = self.share().saturating_sub(self.lent.get());
        let room = MOST.saturating_sub(self.target());
        let fresh = (wanted - idle).min(room).min(u32::try_from(left).unwrap_or(MOST));
        if idle + fresh <= least {
            return None;
        }
        self.idle.set(self.idle.get() - idle);
        self.more.set(self.more.get() + fresh);
        self.lent.set(self.lent.get() + u64::from(fresh));
        Some(Loan { windows: self.clone(), bytes: idle + fresh, left: length, kept: 0 })
    }

    /// Less is left to send where bodies that nobody takes hold the others up: [`Windows::widen`].
    pub(super) fn least(&self) -> u32 {
        self.own / 4
    }

    /// As much again as it has of its own, and no more than a request may be lent; whoever asked offers the new
    /// [`Windows::target`]. False where there is nothing left.
    pub(super) fn widen(&self) -> bool {
        let left = u32::try_from(self.share().saturating_sub(self.lent.get())).unwrap_or(MOST);
        let room = self.widest().saturating_sub(self.more.get()).min(MOST.saturating_sub(self.target()));
        let fresh = self.own.min(room).min(left);
        self.more.set(self.more.get() + fresh);
        self.idle.set(self.idle.get() + fresh);
        self.lent.set(self.lent.get() + u64::from(fresh));
        fresh > 0
    }

    /// Something can be taken back; else whoever asks is woken when it can.
    pub(super) fn has_over(&self, cx: &Context<'_>) -> bool {
        if self.more.get() == 0 {
            return false;
        }
        let has = !self.over.borrow().is_empty();
        if !has {
            self.waker.replace(Some(cx.waker().clone()));
        }
        has
    }

    /// Takes back what was lent to requests that ended, of what was used: `narrow` sets the connection's window before
    /// their bytes would make room again.
    pub(super) fn settle(&self, mut narrow: impl FnMut(u32)) {
        for (body, used) in self.over.take() {
            self.returned(used);
            narrow(self.target());
            drop(body);
        }
    }

    fn returned(&self, used: u32) {
        if self.lent.get() <= self.share() / 2 {
            return self.idle.set(self.idle.get() + used);
        }
        self.more.set(self.more.get() - used);
        self.lent.set(self.lent.get() - u64::from(used));
    }
}

/// What was lent to one request.
pub(super) struct Loan {
    windows: Rc<Windows>,
    bytes: u32,
    /// Of the body, still to come.
    left: u64,
    /// Came, and is not made room for again: the last so many bytes of the body are what the loan was for.
    kept: u32,
}

impl Loan {
    /// Of so many bytes that came, how many to make room for again.
    pub(super) fn came(&mut self, n: usize) -> usize {
        let before = self.left;
        self.left = before.saturating_sub(n as u64);
        let again = usize::try_from(before.saturating_sub(u64::from(self.bytes))).unwrap_or(usize::MAX).min(n);
        let kept = u32::try_from(n - again).unwrap_or(u32::MAX);
        // More than was declared is an error of the stream.
        let kept = kept.min(self.bytes - self.kept);
        self.kept += kept;
        n - usize::try_from(kept).unwrap_or(0)
    }

    /// The request is over; its body is kept until the connection has a narrower window.
    pub(super) fn end(self, body: Stream) {
        self.repaid();
        self.windows.over.borrow_mut().push((body, self.kept));
        if let Some(waker) = self.windows.waker.take() {
            waker.wake();
        }
    }

    fn repaid(&self) {
        self.windows.idle.set(self.windows.idle.get() + self.bytes - self.kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lent = Rc<Cell<u64>>;

    const OWN: u32 = 1 << 20;

    fn of(lent: &Lent, far: bool) -> Rc<Windows> {
        Windows::new(lent.clone(), OWN, if far { FAR } else { FAR / 2 })
    }

    /// A request that ended after so much of its body had come.
    fn ended(windows: &Windows, mut loan: Loan, came: usize) {
        let mut made_room = 0;
        for _ in 0..came / 1000 {
            made_room += loan.came(1000);
        }
        made_room += loan.came(came % 1000);
        assert_eq!(made_room, came - loan.kept as usize);
        loan.repaid();
        windows.returned(loan.kept);
    }

    #[test]
    fn a_body_is_lent_what_it_declares_and_gives_it_back_as_it_comes_where_half_of_the_share_is_not_free() {
        let lent = Lent::default();
        let others: Vec<_> = (0..5).map(|_| of(&lent, true)).collect();
        let loans: Vec<_> = others.iter().map(|it| it.lend(BodyLen::Known(1 << 40)).expect("lent")).collect();
        let theirs = lent.get();
        let windows = of(&lent, true);
        for length in [600_000, 5_000_000, 8 << 20, 100 << 20] {
            let loan = windows.lend(BodyLen::Known(length)).expect("lent");
            let more = u32::try_from(length).expect("small").min(8 * OWN);
            assert_eq!((windows.target(), lent.get() - theirs), (OWN + more, u64::from(more)));
            ended(&windows, loan, usize::try_from(length).expect("small"));
            assert_eq!((windows.target(), lent.get()), (OWN, theirs));
        }
        drop(loans);
    }

    #[test]
    fn a_connection_keeps_what_it_was_lent_for_its_next_body_where_half_of_the_share_is_free() {
        let lent = Lent::default();
        let windows = of(&lent, true);
        for length in [2_000_000, 5_000_000, 1_000_000] {
            let loan = windows.lend(BodyLen::Known(length)).expect("lent");
            ended(&windows, loan, usize::try_from(length).expect("small"));
        }
        assert_eq!((windows.target(), windows.idle.get(), lent.get()), (OWN + 5_000_000, 5_000_000, 5_000_000));
        drop(windows);
        assert_eq!(lent.get(), 0);
    }

    #[test]
    fn nothing_is_lent_to_who_is_near_or_says_no_length_or_a_short_one() {
        let lent = Lent::default();
        assert!(of(&lent, false).lend(BodyLen::Known(1 << 30)).is_none());
        for body in [BodyLen::None, BodyLen::Unknown, BodyLen::Known(0), BodyLen::Known(u64::from(OWN) / 2)] {
            assert!(of(&lent, true).lend(body).is_none());
        }
        assert_eq!((of(&lent, false).of_streams(65_536), of(&lent, true).of_streams(65_536)), (65_536, 8 * OWN));
    }

    #[test]
    fn what_was_offered_and_not_used_stays_lent_until_it_is_or_the_connection_ends() {
        let lent = Lent::default();
        let other = of(&lent, true);
        lent.set(5 * 8 * u64::from(OWN));
        other.more.set(5 * 8 * OWN);
        let (windows, theirs) = (of(&lent, true), lent.get());
        for _ in 0..3 {
            let loan = windows.lend(BodyLen::Known(5_000_000)).expect("lent");
            ended(&windows, loan, 0);
            let more = u64::from(windows.idle.get());
            assert_eq!((windows.target(), lent.get() - theirs, more), (OWN + 5_000_000, 5_000_000, 5_000_000));
        }
        let loan = windows.lend(BodyLen::Known(5_000_000)).expect("lent");
        ended(&windows, loan, 2_000_000);
        let more = u64::from(windows.idle.get());
        assert_eq!((windows.target(), lent.get() - theirs, more), (OWN + 3_000_000, 3_000_000, 3_000_000));
        drop(windows);
        assert_eq!(lent.get(), theirs);
    }

    #[test]
    fn a_connection_that_is_held_up_gets_its_own_again_until_it_has_what_a_request_may_be_lent() {
        for far in [false, true] {
            let lent = Lent::default();
            let windows = of(&lent, far);
            for times in 1..=8 {
                assert!(windows.widen());
                assert_eq!((windows.target(), lent.get()), (OWN + times * OWN, u64::from(times * OWN)));
            }
            assert!(!windows.widen());
            assert_eq!((windows.target(), windows.idle.get()), (9 * OWN, 8 * OWN));
            drop(windows);
            assert_eq!(lent.get(), 0);
        }
    }

    #[test]
    fn what_a_connection_got_while_it_was_held_up_is_lent_to_its_next_body() {
        let lent = Lent::default();
        let windows = of(&lent, true);
        assert!(windows.widen());
        let loan = windows.lend(BodyLen::Known(u64::from(OWN))).expect("lent");
        assert_eq!((windows.target(), windows.idle.get(), lent.get()), (2 * OWN, 0, u64::from(OWN)));
        ended(&windows, loan, OWN as usize);
        assert_eq!((windows.target(), windows.idle.get(), lent.get()), (2 * OWN, OWN, u64::from(OWN)));
    }

    #[test]
    fn connections_that_are_held_up_get_no_more_than_the_share_together() {
        let lent = Lent::default();
        let all: Vec<_> = (0..100).map(|_| of(&lent, false)).collect();
        while all.iter().filter(|it| it.widen()).count() > 0 {}
        assert_eq!(lent.get(), SHARE * u64::from(OWN));
        drop(all);
        assert_eq!(lent.get(), 0);
    }

    #[test]
    fn a_threads_connections_are_lent_no_more_than_their_share() {
        let lent = Lent::default();
        let all: Vec<_> = (0..100).map(|_| of(&lent, true)).collect();
        let loans: Vec<_> = all.iter().filter_map(|it| it.lend(BodyLen::Known(1 << 40))).collect();
        assert_eq!((loans.len(), lent.get()), (8, SHARE * u64::from(OWN)));
        assert!(all.iter().skip(8).all(|it| it.target() == OWN));
        drop((loans, all));
        assert_eq!(lent.get(), 0);
    }
}
