//! What reading a request takes: kept by the thread, lent to a request, so that nothing is allocated for one and an idle
//! connection holds none of it.

use crate::exchange::asked::Asked;
use bumpalo::Bump;
use everyhop_http1::RequestHead;
use everyhop_transport::buf::ROOM;
use std::cell::RefCell;

#[derive(Default)]
pub(crate) struct Work {
    pub(crate) head: RequestHead,
    pub(crate) asked: Asked,
    /// Memory for the head to the backend.
    pub(crate) scratch: Vec<u8>,
    /// Room for what becomes of it, which is large, so that no idle connection has it.
    pub(crate) room: Bump,
}

thread_local! {
    // Boxed, so that lending moves a pointer.
    #[allow(clippy::vec_box)]
    static SPARE: RefCell<Vec<Box<Work>>> = const { RefCell::new(Vec::new()) };
}

/// As many requests as a thread is likely to have under way.
const SPARE_WORK: usize = 256;

impl Work {
    pub(crate) fn take() -> Box<Work> {
        let mut work = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        work.head.reset();
        work.asked.clear();
        work.room.reset();
        work
    }

    pub(crate) fn give(work: Option<Box<Work>>) {
        SPARE.with_borrow_mut(|spare| {
            let room = spare.len() < SPARE_WORK;
            // One large head does not stay paid for.
            spare.extend(work.filter(|w| room && w.scratch.capacity() <= ROOM));
        });
    }
}
