//! A budget for frames that ask for work and carry nothing: PING, SETTINGS, PRIORITY, unknown types, empty DATA, CONTINUATION
//! (threat P02), windows opened by crumbs (P03), resets of either side (P01). It is asked where a frame is read.

use crate::config::Config;
use crate::fault::Fault;

/// A window that is opened by less each time is meant to make a frame of each crumb (CVE-2019-9511): clients open it again
/// when a good part of it is used.
const CRUMB_BYTES: u32 = 256;
/// But clients of gRPC open it by as little as they were answered, message by message: a request pays for two such.
const CRUMB_TAKES: u64 = 512;
/// A reset and an opened window have a reason as long as there are requests and answers for them: a request opens windows,
/// a client opens them again as our answers use them up, and takes back what it asked for, now and then. So both are paid
/// for, in bytes of answers: a head earns as much as this before it is answered, what we send earns its length, and each
/// such frame takes so much of what was earned. A reset takes more than its request earned.
const HEAD_EARNS: u64 = 1024;
const UPDATE_TAKES: u64 = 256;
const RESET_TAKES: u64 = 2048;
/// A reset that nothing pays for made work that nobody wanted: it counts as so many frames.
const RESET_WEIGHS: u64 = 20;

#[derive(Debug)]
pub(crate) struct Budget {
    earned: u64,
    frames: u64,
    /// What resets weighed.
    resets: u64,
    most_frames: u64,
    most_resets: u64,
    forgiven_per_s: u64,
    at_ms: u64,
    pub(crate) now_ms: u64,
}

impl Budget {
    pub(crate) fn new(config: &Config) -> Budget {
        Budget {
            earned: 0,
            frames: 0,
            resets: 0,
            most_frames: u64::from(config.idle_frames),
            most_resets: u64::from(config.resets) * RESET_WEIGHS,
            forgiven_per_s: u64::from(config.forgiven_per_s),
            at_ms: 0,
            now_ms: 0,
        }
    }

    pub(crate) fn head(&mut self) {
        self.earned += HEAD_EARNS;
    }

    /// So many bytes went to the peer.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.earned += bytes as u64;
    }

    /// A frame that carries nothing.
    pub(crate) fn idle(&mut self) -> Result<(), Fault> {
        self.weigh(1)
    }

    pub(crate) fn update(&mut self, by: u32) -> Result<(), Fault> {
        let cost = if by < CRUMB_BYTES { CRUMB_TAKES } else { UPDATE_TAKES };
        if self.pays(cost) { Ok(()) } else { self.weigh(1) }
    }

    /// A reset, of the peer or made necessary by it.
    pub(crate) fn reset(&mut self) -> Result<(), Fault> {
        if self.pays(RESET_TAKES) {
            return Ok(());
        }
        self.weigh(RESET_WEIGHS)?;
        self.resets += RESET_WEIGHS;
        if self.resets > self.most_resets { Err(Fault::Flood) } else { Ok(()) }
    }

    fn pays(&mut self, cost: u64) -> bool {
        let left = self.earned.checked_sub(cost);
        self.earned = left.unwrap_or(self.earned);
        left.is_some()
    }

    fn weigh(&mut self, frames: u64) -> Result<(), Fault> {
        let forgiven = self.now_ms.saturating_sub(self.at_ms).saturating_mul(self.forgiven_per_s) / 1000;
        if forgiven > 0 {
            self.at_ms = self.now_ms;
        }
        self.frames = self.frames.saturating_sub(forgiven) + frames;
        self.resets = self.resets.saturating_sub(forgiven);
        if self.frames > self.most_frames { Err(Fault::Flood) } else { Ok(()) }
    }
}
