//! In a steady state nothing is allocated, whichever side, and a connection that rests holds little.

use everyhop_http2::{Config, Connection, Event, Head, Ready, Request};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's; counting touches a cell without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATED.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Both sides, and what is on its way between them.
struct Pair {
    client: Connection,
    server: Connection,
    wire: Vec<u8>,
    head: Head,
    requests: u32,
}

const BODY: [u8; 3000] = [7; 3000];
const TOGETHER: u32 = 20;

impl Pair {
    fn new() -> Pair {
        let (client, server) = (Connection::client(Config::client()), Connection::server(Config::server()));
        Pair { client, server, wire: Vec::with_capacity(1 << 20), head: Head::default(), requests: 0 }
    }

    /// Some requests at once, each with a body, a path of its own and fields that come again.
    fn round(&mut self) {
        let mut path = *b"/items/0000";
        for _ in 0..TOGETHER {
            self.requests += 1;
            let digits = (0..4).map(|i| b'0' + (self.requests / 10u32.pow(3 - i) % 10) as u8);
            path.iter_mut().skip(7).zip(digits).for_each(|(it, digit)| *it = digit);
            let request =
                Request { method: b"POST", scheme: b"https", authority: b"a.test", path: &path, protocol: b"" };
            let stream = self.client.request(&request, false, |to| {
                assert!(to.put(b"User-Agent", b"someone/1.0") && to.put(b"accept", b"*/*"));
                assert!(to.put(b"x-request-id", &path) && to.put(b"content-length", b"3000"));
            });
            let _ = self.client.body(stream.expect("room"), &BODY, true);
        }
        for _ in 0..40 {
            self.up();
            self.down();
        }
        assert_eq!((self.client.open_streams(), self.server.open_streams()), (0, 0));
    }

    fn up(&mut self) {
        self.wire.extend_from_slice(self.client.output());
        self.client.sent(self.client.output().len());
        let mut at = 0;
        while let Some(event) = self.server.next(&self.wire, &mut at).expect("right") {
            match event {
                Event::Head { .. } => self.server.swap_head(&mut self.head),
                Event::Data { stream, bytes, last } => {
                    self.server.release(stream, bytes.len());
                    if last {
                        let answered = self.server.answer(stream, 200, false, |to| assert!(to.put(b"server", b"x")));
                        assert!(answered.is_ok() && self.server.body(stream, &BODY, true) == Ok(BODY.len()));
                        self.server.done(stream);
                    }
                }
                _ => {}
            }
        }
        self.wire.clear();
    }

    fn down(&mut self) {
        self.wire.extend_from_slice(self.server.output());
        self.server.sent(self.server.output().len());
        let mut at = 0;
        while let Some(event) = self.client.next(&self.wire, &mut at).expect("right") {
            if let Event::Data { stream, bytes, last } = event {
                self.client.release(stream, bytes.len());
                if last {
                    self.client.done(stream);
                }
            }
        }
        self.wire.clear();
        while let Some(Ready::Body(_)) = self.client.pop_ready() {}
    }
}

#[test]
fn once_warm_a_request_allocates_nothing_on_either_side() {
    let mut pair = Pair::new();
    // Until the tables of both are full and have been cut.
    (0..60).for_each(|_| pair.round());
    let before = ALLOCATED.get();
    (0..50).for_each(|_| pair.round());
    assert_eq!(ALLOCATED.get() - before, 0, "for {} requests", 50 * TOGETHER);
}

#[test]
fn a_connection_that_rests_holds_little() {
    let mut pair = Pair::new();
    assert!(pair.server.holds_bytes() < 256, "{}", pair.server.holds_bytes());
    (0..20).for_each(|_| pair.round());
    pair.server.shrink();
    // Tables of 4 KiB each way, whose bytes are kept up to three times over.
    assert!(pair.server.holds_bytes() < 24 * 1024, "{}", pair.server.holds_bytes());
    assert!(size_of::<Connection>() < 2048, "{}", size_of::<Connection>());
    pair.round();
}
