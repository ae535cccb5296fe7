//! A budget for frames that ask for work and carry nothing: PING, SETTINGS, PRIORITY, unknown types, empty DATA, endless
//! CONTINUATION (threat P02), windows opened by crumbs (threat P03). The `h2` crate bounds what each may hold, not how many there are.
//! Frame headers are looked at on the way to it, nine bytes each; no frame is changed or held back.

use crate::exchange::pulse::Heard;
use everyhop_transport::clock::Clock;
use everyhop_transport::h2_io::Tap;
use std::cell::Cell;
use std::rc::Rc;

/// RFC 9113 §4.1.
const HEADER: usize = 9;
/// A WINDOW_UPDATE with what it opens (RFC 9113 §6.9).
const UPDATE: usize = HEADER + 4;
/// A window that is opened by less each time is meant to make a frame of each crumb (CVE-2019-9511): clients open it again
/// when a good part of it is used.
const CRUMB_BYTES: u32 = 256;
/// But clients of gRPC open it by as little as they were answered, message by message: a request pays for two such.
const CRUMB_TAKES: u64 = 512;
/// A reset and an opened window have a reason as long as there are requests and answers for them: a request opens windows,
/// a client opens them again as our answers use them up, and takes back what it asked for, now and then. So both are paid
/// for, in bytes of answers: a request earns as much as this before it is answered, an answer earns its length, and each
/// such frame takes so much of what was earned. A reset takes more than its request earned.
const REQUEST_EARNS: u64 = 1024;
const UPDATE_TAKES: u64 = 256;
const RESET_TAKES: u64 = 2048;
/// A reset that nothing pays for made work that nobody wanted: it counts as so many frames, which forgives ten a second.
const RESET_WEIGHS: u64 = 20;
/// What a burst may hold, and what is forgiven each second: a lively gRPC client sends some ten such frames a second.
const BURST: u64 = 2_000;
const FORGIVEN_PER_S: u64 = 200;
/// The client's preface (RFC 9113 §3.4) comes before the first frame.
const PREFACE: usize = 24;

pub(crate) struct Budget {
    clock: Rc<Clock>,
    flooded: Rc<Cell<bool>>,
    heard: Rc<Heard>,
    /// Bytes until the next frame header.
    skip: usize,
    header: [u8; UPDATE],
    have: usize,
    want: usize,
    earned: u64,
    idle_frames: u64,
    at_ms: u64,
}

impl Budget {
    /// `flooded` becomes true when the budget is used up.
    pub(crate) fn new(clock: Rc<Clock>, flooded: Rc<Cell<bool>>, heard: Rc<Heard>) -> Budget {
        let at_ms = clock.now_ms.get();
        Budget {
            clock,
            flooded,
            heard,
            skip: PREFACE,
            header: [0; UPDATE],
            have: 0,
            want: HEADER,
            earned: 0,
            idle_frames: 0,
            at_ms,
        }
    }

    fn take(&mut self, cost: u64) -> bool {
        let left = self.earned.checked_sub(cost);
        self.earned = left.unwrap_or(self.earned);
        left.is_some()
    }

    /// A WINDOW_UPDATE in its only form; `h2` refuses any other.
    fn is_update(&self) -> bool {
        matches!(self.header, [0, 0, 4, 8, ..])
    }

    fn frame(&mut self) {
        let [a, b, c, kind, flags, .., w, x, y, z] = self.header;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.skip = if self.is_update() { 0 } else { length };
        let ends_stream = flags & 1 != 0;
        let weighs = match kind {
            // DATA, if it has some or ends a request; HEADERS.
            0 if length > 0 || ends_stream => 0,
            1 => {
                self.earned += REQUEST_EARNS;
                0
            }
            3 if self.take(RESET_TAKES) => 0,
            3 => RESET_WEIGHS,
            8 if self.take(if u32::from_be_bytes([w, x, y, z]) < CRUMB_BYTES { CRUMB_TAKES } else { UPDATE_TAKES }) => {
                0
            }
            _ => 1,
        };
        if weighs == 0 {
            return;
        }
        let now_ms = self.clock.now_ms.get();
        let forgiven = now_ms.saturating_sub(self.at_ms) * FORGIVEN_PER_S / 1000;
        if forgiven > 0 {
            self.at_ms = now_ms;
        }
        self.idle_frames = self.idle_frames.saturating_sub(forgiven) + weighs;
        if self.idle_frames > BURST {
            self.flooded.set(true);
        }
    }
}

impl Tap for Budget {
    fn saw(&mut self, mut bytes: &[u8]) {
        self.heard.saw(bytes.len());
        while !bytes.is_empty() {
            let over = self.skip.min(bytes.len());
            self.skip -= over;
            bytes = bytes.get(over..).unwrap_or_default();
            while self.have < self.want
                && let [first, rest @ ..] = bytes
            {
                if let Some(slot) = self.header.get_mut(self.have) {
                    *slot = *first;
                }
                self.have += 1;
                bytes = rest;
            }
            if self.have == HEADER && self.want == HEADER && self.is_update() {
                self.want = UPDATE;
            } else if self.have == self.want {
                (self.have, self.want) = (0, HEADER);
                self.frame();
            }
        }
    }

    fn wrote(&mut self, n: usize) {
        self.earned += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        let n = body.len();
        let mut it = vec![(n >> 16) as u8, (n >> 8) as u8, n as u8, kind, flags, 0, 0, 0, 1];
        it.extend_from_slice(body);
        it
    }

    fn flooded_by(frames: &[Vec<u8>], cut: usize) -> bool {
        let flooded = Rc::new(Cell::new(false));
        let mut budget = Budget::new(Rc::default(), flooded.clone(), Heard::new(Rc::default()));
        let mut bytes = vec![b'P'; PREFACE];
        bytes.extend(frames.iter().flatten());
        bytes.chunks(cut).for_each(|piece| budget.saw(piece));
        flooded.get()
    }

    #[test]
    fn empty_frames_without_end_use_the_budget_up_however_they_are_cut() {
        let (crumb, update) = ((8, &[0, 0, 0, 1][..]), (8, &[0, 0, 4, 0][..]));
        for (kind, body) in
            [(6, &[0u8; 8][..]), (4, &[]), (2, &[0; 5]), (0, &[]), (9, b"x"), (0xbb, b"grease"), crumb, update]
        {
            for cut in [1, 7, 9, 11, 13, 4096] {
                let many = vec![frame(kind, 0, body); BURST as usize + 1];
                assert!(flooded_by(&many, cut), "{kind} cut at {cut}");
                assert!(!flooded_by(many.get(1..).unwrap_or_default(), cut), "{kind} cut at {cut}");
            }
        }
    }

    #[test]
    fn requests_and_their_bodies_use_nothing_up() {
        for it in [frame(1, 5, b"head"), frame(0, 0, b"body"), frame(0, 1, b"")] {
            assert!(!flooded_by(&vec![it; 20_000], 4096));
        }
        let opens = frame(8, 0, &[0, 0, 1, 0]);
        let request = [frame(1, 5, b"head"), opens.clone(), opens].concat();
        assert!(!flooded_by(&vec![request; 20_000], 4096));
    }

    #[test]
    fn a_request_pays_for_the_crumbs_of_its_own_answer_and_for_no_more() {
        let crumb = frame(8, 0, &[0, 0, 0, 8]);
        let call = |crumbs: usize| [frame(1, 5, b"head"), crumb.repeat(crumbs)].concat();
        assert!(!flooded_by(&vec![call(2); 20_000], 4096));
        assert!(flooded_by(&vec![call(3); BURST as usize + 1], 4096));
        // What one answer is made of, byte by byte.
        assert!(flooded_by(&[call(BURST as usize + 3)], 4096));
    }

    #[test]
    fn a_request_does_not_pay_for_its_own_reset() {
        let reset = frame(3, 0, &[0, 0, 0, 8]);
        let burst = BURST / RESET_WEIGHS;
        assert!(!flooded_by(&vec![reset.clone(); burst as usize], 4096));
        assert!(flooded_by(&vec![reset.clone(); burst as usize + 1], 4096));
        let taken_back = [frame(1, 5, b"head"), reset].concat();
        assert!(flooded_by(&vec![taken_back.clone(); 2 * burst as usize + 2], 4096));
        assert!(!flooded_by(&vec![taken_back; burst as usize], 4096));
    }

    #[test]
    fn windows_are_opened_again_as_answers_use_them_up() {
        let flooded = Rc::new(Cell::new(false));
        let mut budget = Budget::new(Rc::default(), flooded.clone(), Heard::new(Rc::default()));
        budget.saw(&[b'P'; PREFACE]);
        for _ in 0..20_000 {
            budget.wrote(1024);
            budget.saw(&frame(8, 0, &[0, 0, 4, 0]).repeat(2));
        }
        assert!(!flooded.get());
    }
}
