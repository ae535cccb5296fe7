//! Whether a request goes to another backend after an answer that was none, where its route asks for that. Only GET and HEAD
//! without a body do, whose second time is as good as the first (RFC 9110 §9.2.1); only where another backend is up, and within the
//! route's budget. What no backend can have acted on goes again without: see `carry.rs`.

use crate::exchange::asked::Asked;
use crate::exchange::tries::Tries;
use crate::exchange::words::BodyLen;
use everyhop_running::retries::{GoesAgain, RetriesRun};
use everyhop_running::running::RouteRun;
use std::cell::Cell;

/// One try, after which another may follow.
pub(crate) struct Again<'a> {
    route: &'a RouteRun,
    by: &'a RetriesRun,
    tries: &'a Tries,
    here: u64,
    granted: Cell<Option<GoesAgain>>,
    /// What the backend answered; 0 where it did not.
    pub(crate) status: Cell<u16>,
    /// By this thread's clock: until then its answer has to begin.
    until_ms: Cell<u64>,
}

impl<'a> Again<'a> {
    /// The `sent`th try, which goes `here`. `None` where none may follow whatever comes.
    pub(crate) fn after(
        route: &'a RouteRun,
        asked: &Asked,
        tries: &'a Tries,
        (sent, here): (u32, u64),
        now_ms: u64,
    ) -> Option<Again<'a>> {
        let by = route.retries.as_deref()?;
        let takes = matches!(asked.method.as_str(), "GET" | "HEAD") && asked.body == BodyLen::None && !asked.opens;
        (takes && sent < by.by.attempts).then(|| Again {
            route,
            by,
            tries,
            here,
            granted: Cell::default(),
            status: Cell::new(0),
            until_ms: Cell::new(by.by.per_try_s.map_or(u64::MAX, |s| now_ms + u64::from(s) * 1000)),
        })
    }

    /// An answer of that status is not handed on: another backend is asked instead.
    #[cold]
    pub(crate) fn instead_of(&self, status: u16) -> bool {
        let goes = self.by.by.on.contains(&status) && self.goes();
        if goes {
            self.status.set(status);
        }
        goes
    }

    /// The answer did not begin in time, and another backend is asked. Where none can be, this one has all the time it has.
    pub(crate) fn instead_of_waiting(&self, now_ms: u64) -> bool {
        if now_ms < self.until_ms.get() {
            return false;
        }
        self.until_ms.set(u64::MAX);
        self.goes()
    }

    pub(crate) fn until_ms(&self) -> u64 {
        self.until_ms.get()
    }

    pub(crate) fn granted(&self) -> Option<GoesAgain> {
        self.granted.take()
    }

    fn goes(&self) -> bool {
        let is_other = |hop_id: u64| hop_id != self.here && !self.tries.has_hop(hop_id);
        if !self.route.used().any(|b| is_other(b.hop_id) && !b.health.rests()) {
            return false;
        }
        let granted = self.by.again();
        let goes = granted.is_some();
        self.granted.set(granted);
        goes
    }
}
