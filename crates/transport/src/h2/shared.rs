//! What the task of a connection and those of its streams share: the codec, what came for whom, and who is woken. Nothing here
//! waits. Read next: `mover.rs`.

use crate::h2::inbox::{Inbox, Lost, Trailers};
use crate::h2::mover::{Came, Incoming, Untaken};
use crate::h2::stream::Stream;
use crate::h2::talk::{Ended, Talk};
use everyhop_http2::{Code, Connection, Event, Head, Ready};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::task::{Context, Waker};

/// Heads that a connection keeps for its next streams.
const SPARE: usize = 32;
/// Interim answers that wait for somebody to look at them. One at a time does, so these are of a task that does not run.
const INTERIM: usize = 64;
/// Of what waits for its next request an idle one keeps so many of each kind.
const FEW: usize = 8;
const KEPT_BYTES: usize = 2048;

pub(super) struct Inner {
    pub(super) codec: Connection,
    inboxes: HashMap<u32, Inbox, BuildHasherDefault<Number>>,
    /// The task that moves the bytes, unless it was woken since it last looked.
    mover: Option<Waker>,
    /// Who waits to be able to ask.
    pub(super) asks: Vec<Waker>,
    spare: Vec<Head>,
    /// An answer to our PING came, and what came until then.
    pub(super) pong: Option<u64>,
    /// The peer takes no more requests, by its last word.
    pub(super) away: Option<Code>,
    /// Whoever got something has a look at it before more is read: it may be one too many.
    pub(super) yields: bool,
    pub(super) ended: Option<Ended>,
    /// The last request of which anything came.
    newest: u32,
}

/// Streams have numbers that are spread well enough as they are.
#[derive(Default)]
struct Number(u64);

impl Hasher for Number {
    #[inline]
    fn finish(&self) -> u64 {
        // The upper bits choose, too.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never asked for a text; right all the same.
        self.0 = bytes.iter().fold(self.0, |h, b| h.rotate_left(8) ^ u64::from(*b));
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.0 = u64::from(n);
    }
}

impl Inner {
    pub(super) fn new(codec: Connection) -> Inner {
        Inner {
            codec,
            inboxes: HashMap::default(),
            mover: None,
            asks: Vec::new(),
            spare: Vec::new(),
            pong: None,
            away: None,
            yields: false,
            ended: None,
            newest: 0,
        }
    }

    #[inline]
    pub(super) fn listen(&mut self, cx: &Context<'_>) {
        match &mut self.mover {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// There is something to be sent, or to be looked at.
    #[inline]
    pub(super) fn tell(&mut self) {
        if let Some(mover) = self.mover.take() {
            mover.wake();
        }
    }

    /// A request of ours began.
    pub(super) fn opens(&mut self, stream: u32) {
        self.inboxes.insert(stream, Inbox::default());
        self.tell();
    }

    #[inline]
    pub(super) fn inbox(&mut self, stream: u32) -> Option<&mut Inbox> {
        self.inboxes.get_mut(&stream)
    }

    /// Whoever had to do with it has done.
    pub(super) fn done(&mut self, stream: u32) {
        if self.inboxes.remove(&stream).is_some() {
            self.codec.done(stream);
            self.wake_ready();
            self.tell();
        }
    }

    pub(super) fn keep(&mut self, mut head: Head) {
        if self.spare.len() < SPARE {
            head.clear();
            self.spare.push(head);
        }
    }

    /// Nothing is asked: gives back what it took for much at once.
    #[inline]
    pub(super) fn rest(&mut self) {
        if self.inboxes.is_empty() && self.codec.output().is_empty() {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.codec.shrink();
        if self.inboxes.capacity() > FEW {
            self.inboxes = HashMap::default();
        }
        self.spare.retain(|it| it.holds_bytes() < KEPT_BYTES);
        self.spare.truncate(1);
        if self.spare.capacity() > FEW {
            self.spare = Vec::new();
        }
        if self.asks.is_empty() && self.asks.capacity() > FEW {
            self.asks = Vec::new();
        }
    }

    fn take_head(&mut self) -> Head {
        let mut head = self.spare.pop().unwrap_or_default();
        self.codec.swap_head(&mut head);
        head
    }

    #[inline]
    pub(super) fn wake_ready(&mut self) {
        while let Some(ready) = self.codec.pop_ready() {
            match ready {
                Ready::Body(stream) => {
                    if let Some(it) = self.inboxes.get_mut(&stream) {
                        it.wake();
                    }
                }
                Ready::Request => self.asks.drain(..).for_each(Waker::wake),
            }
        }
    }

    /// Nothing more comes, of any stream.
    pub(super) fn end(&mut self, ended: Ended) {
        let ended = *self.ended.get_or_insert(ended);
        for it in self.inboxes.values_mut() {
            it.lose(Lost::Connection(ended));
        }
        self.asks.drain(..).for_each(Waker::wake);
    }

    /// What came goes to whom it is for. Gives: a request that began, or could not.
    #[inline]
    pub(super) fn came(&mut self, talk: &Rc<Talk>, event: Event<'_>, serves: bool) -> Option<Came> {
        match event {
            Event::Head { stream, last } if serves => {
                let head = self.take_head();
                self.inboxes.insert(stream, Inbox { ended: last, ..Inbox::default() });
                self.newest = stream;
                let request = Incoming { stream: Stream::new(talk.clone(), stream), head, last };
                return Some(Came::Request(Box::new(request)));
            }
            Event::Head { stream, last } => {
                let head = self.take_head();
                if let Some(it) = self.inboxes.get_mut(&stream) {
                    it.ended = last;
                    it.head = Some((head, last));
                    it.wake();
                }
            }
            Event::Informational { stream } => {
                let head = self.take_head();
                self.yields = true;
                let it = self.inboxes.get_mut(&stream)?;
                if it.informational.len() < INTERIM {
                    it.informational.push_back(head);
                    it.wake();
                } else {
                    it.lose(Lost::Reset(Code::ENHANCE_YOUR_CALM));
                    let _ = self.codec.reset(stream, Code::ENHANCE_YOUR_CALM);
                }
            }
            Event::TooLong { stream, .. } => {
                // RFC 6585 §5. Nobody is told whom it was for, since that may be in what was left out.
                let _ = self.codec.answer(stream, 431, true, |_| {});
                self.codec.done(stream);
                self.newest = stream;
                return Some(Came::Untaken(Untaken::TooLong));
            }
            Event::Data { stream, bytes, last } => {
                if let Some(it) = self.inboxes.get_mut(&stream) {
                    it.body.push(bytes);
                    it.ended = last;
                    it.wake();
                }
            }
            Event::Trailers { stream } => {
                let head = self.take_head();
                if let Some(it) = self.inboxes.get_mut(&stream) {
                    it.trailers = Some(Trailers::Are(head));
                    it.ended = true;
                    it.wake();
                }
            }
            Event::TrailersTooLong { stream } => {
                if let Some(it) = self.inboxes.get_mut(&stream) {
                    it.trailers = Some(Trailers::TooLong);
                    it.ended = true;
                    it.wake();
                }
            }
            Event::Reset { stream, code } => self.lose(stream, Lost::Reset(code)),
            Event::Broken { stream, fault } if serves && stream > self.newest => {
                self.newest = stream;
                return Some(Came::Untaken(Untaken::Broken(fault)));
            }
            Event::Broken { stream, fault } => self.lose(stream, Lost::Broken(fault)),
            Event::Unprocessed { stream } => self.lose(stream, Lost::Unprocessed),
            Event::Pong { came } => self.pong = Some(came),
            Event::GoAway { code, .. } => {
                self.away = Some(code);
                self.asks.drain(..).for_each(Waker::wake);
            }
            Event::Settings | Event::Settled | Event::Left => {}
        }
        None
    }

    fn lose(&mut self, stream: u32, why: Lost) {
        if let Some(it) = self.inboxes.get_mut(&stream) {
            it.lose(why);
        }
    }
}
