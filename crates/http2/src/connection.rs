//! One connection, either side. What each part of it keeps stands here; what is done with it, in a file a word.
//! Read next: `read.rs`, how a frame is taken; then `write.rs`.

use crate::budget::Budget;
use crate::config::Config;
use crate::event::Event;
use crate::fault::Fault;
use crate::frame::{self, FIRST_WINDOW, FRAME, PREFACE, SETTINGS, UPDATE};
use crate::goodbye::Goodbye;
use crate::head::Head;
use crate::hpack::{Decoder, Encoder, TABLE};
use crate::output::Output;
use crate::settings::{
    ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE, Ours,
    Theirs,
};
use crate::streams::{Remembered, Streams};
use crate::turns::Turns;

/// Whose side it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// A head that goes on in CONTINUATION.
#[derive(Default)]
pub(crate) struct Block {
    /// 0 where none does.
    pub(crate) stream: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) last: bool,
    pub(crate) wrong: Option<Fault>,
    pub(crate) frames: u32,
}

/// Of a frame of DATA, still to come.
#[derive(Default)]
pub(crate) struct Piece {
    /// 0 where it is thrown away.
    pub(crate) stream: u32,
    pub(crate) left: usize,
    pub(crate) pad: usize,
    pub(crate) last: bool,
}

/// What the connection's windows take: theirs of us, ours of them. Of ours: what was released and not said, which is less
/// than nothing where the window was made narrower.
pub(crate) struct Windows {
    pub(crate) send: i64,
    pub(crate) recv: i64,
    pub(crate) unsaid: i64,
    pub(crate) target: u32,
}

/// A connection of HTTP/2 without I/O: see the crate's own page.
pub struct Connection {
    pub(crate) role: Role,
    pub(crate) config: Config,
    pub(crate) streams: Streams,
    /// Of them those that count towards what may be open.
    pub(crate) counted: u32,
    /// The peer's last stream, and our next.
    pub(crate) last: u32,
    pub(crate) next: u32,
    pub(crate) remembered: Remembered,
    pub(crate) turns: Turns,
    pub(crate) windows: Windows,
    pub(crate) output: Output,
    pub(crate) decoder: Decoder,
    pub(crate) encoder: Encoder,
    pub(crate) head: Head,
    pub(crate) block: Block,
    pub(crate) piece: Piece,
    pub(crate) lower: Vec<u8>,
    /// Of the client's preface, still to come.
    pub(crate) preface: usize,
    pub(crate) theirs: Theirs,
    pub(crate) ours: Ours,
    pub(crate) budget: Budget,
    pub(crate) goodbye: Goodbye,
    /// Bytes that came, and how many had when our PING went.
    pub(crate) came: u64,
    pub(crate) pinged: Option<u64>,
    /// Told with the next look.
    pub(crate) pending: Option<Event<'static>>,
    /// It ended by this.
    pub(crate) fault: Option<Fault>,
}

impl Connection {
    /// The side of a client's connection that serves.
    pub fn server(config: Config) -> Connection {
        let config = config.bounded();
        let connects = config.extended_connect.then_some((ENABLE_CONNECT_PROTOCOL, 1));
        let settings = [
            Some((MAX_CONCURRENT_STREAMS, config.streams)),
            Some((INITIAL_WINDOW_SIZE, config.window_bytes)),
            Some((MAX_HEADER_LIST_SIZE, config.head_bytes)),
            connects,
        ];
        Connection::new(Role::Server, config, &settings)
    }

    /// The side that asks.
    pub fn client(config: Config) -> Connection {
        let config = config.bounded();
        let settings = [
            Some((ENABLE_PUSH, 0)),
            Some((INITIAL_WINDOW_SIZE, config.window_bytes)),
            Some((MAX_HEADER_LIST_SIZE, config.head_bytes)),
        ];
        Connection::new(Role::Client, config, &settings)
    }

    fn new(role: Role, config: Config, settings: &[Option<(u16, u32)>]) -> Connection {
        let mut output = Output::new(config.output_bytes.max(FRAME));
        if role == Role::Client {
            output.bytes.extend_from_slice(PREFACE);
        }
        frame::put(&mut output.bytes, settings.iter().flatten().count() * 6, SETTINGS, 0, 0);
        for (name, value) in settings.iter().flatten() {
            output.bytes.extend_from_slice(&name.to_be_bytes());
            output.bytes.extend_from_slice(&value.to_be_bytes());
        }
        let target = config.connection_window_bytes;
        if target > FIRST_WINDOW {
            frame::put_number(&mut output.bytes, UPDATE, 0, target - FIRST_WINDOW);
        }
        Connection {
            role,
            streams: Streams::default(),
            counted: 0,
            last: 0,
            next: 1,
            remembered: Remembered::default(),
            turns: Turns::default(),
            windows: Windows { send: i64::from(FIRST_WINDOW), recv: i64::from(target), unsaid: 0, target },
            output,
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            head: Head::default(),
            block: Block::default(),
            piece: Piece::default(),
            lower: Vec::new(),
            preface: if role == Role::Server { PREFACE.len() } else { 0 },
            theirs: Theirs::default(),
            ours: Ours::new(config.window_bytes),
            budget: Budget::new(&config),
            goodbye: Goodbye::default(),
            came: 0,
            pinged: None,
            pending: None,
            fault: None,
            config,
        }
    }

    /// What is to be sent; [`Connection::sent`] says how much of it went.
    #[inline]
    pub fn output(&self) -> &[u8] {
        self.output.waiting()
    }

    /// So many bytes of [`Connection::output`] went to the peer. Bodies that waited for that may go on: see
    /// [`Connection::pop_ready`].
    #[inline]
    pub fn sent(&mut self, bytes: usize) {
        self.output.sent(bytes);
        self.budget.sent(bytes);
        self.take_turns();
    }

    /// The time, in milliseconds since any moment that stays the same: floods are forgiven by it.
    pub fn at_ms(&mut self, now_ms: u64) {
        self.budget.now_ms = now_ms;
    }

    /// The head, interim answer or trailers of the event before.
    #[inline]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// As [`Connection::head`], to be kept: `head` gets it, and what it had before is filled by the next one.
    pub fn swap_head(&mut self, head: &mut Head) {
        std::mem::swap(&mut self.head, head);
    }

    /// Streams that are open, or were reset by the peer and are not done with.
    pub fn open_streams(&self) -> u32 {
        self.counted
    }

    /// Nothing more will be said or heard but what is still to be sent.
    pub fn is_over(&self) -> bool {
        self.fault.is_some() || self.goodbye.is_final() && self.counted == 0
    }

    /// An idle connection gives back what it took for much at once. What a request of the common size needs it keeps, so that
    /// one after the other allocates nothing.
    pub fn shrink(&mut self) {
        self.streams.shrink();
        let mut spare = [&mut self.block.bytes, &mut self.lower, &mut self.output.bytes];
        spare.iter_mut().filter(|it| it.is_empty() && it.capacity() > KEPT).for_each(|it| **it = Vec::new());
        if self.head.holds_bytes() > KEPT {
            self.head = Head::default();
        }
        self.turns.shrink();
    }

    /// Bytes of memory that it holds, itself left out.
    pub fn holds_bytes(&self) -> usize {
        self.streams.holds()
            + self.remembered.holds()
            + self.turns.holds()
            + self.output.holds()
            + self.decoder.holds()
            + self.encoder.holds()
            + self.head.holds_bytes()
            + self.block.bytes.capacity()
            + self.lower.capacity()
    }

    /// It serves, and does not ask.
    #[inline]
    pub(crate) fn serves(&self) -> bool {
        self.role == Role::Server
    }
}

/// Memory of an idle connection that its next request takes: so much of each kind.
const KEPT: usize = 2048;

/// A block is bounded by the heads that are taken, or what a table of strings makes of them.
pub(crate) const MOST_BLOCK: usize = 2 * FRAME;
const _: () = assert!(MOST_BLOCK > TABLE);
