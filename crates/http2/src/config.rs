//! What a connection says of itself to its peer, and what the peer may make it do and hold.

use crate::frame::{FIRST_WINDOW, MOST_WINDOW};

/// How one side of a connection is set. The two constructors say what is usual; each field may be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Streams that may be open at once: of a server those that it serves, of a client those that it opens, where the peer
    /// does not say fewer.
    pub streams: u32,
    /// What may come on each stream before it was made room for (RFC 9113 §6.9), in bytes up to 2³¹-1.
    pub window_bytes: u32,
    /// What may come on all of them together, at least 65,535 bytes.
    pub connection_window_bytes: u32,
    /// The longest head, as RFC 9113 §6.5.2 counts it.
    pub head_bytes: u32,
    /// Fields that one may have, without pseudo-fields.
    pub head_fields: u32,
    /// Resets that nothing paid for, the peer's and those that it makes us send together (CVE-2023-44487, CVE-2025-8671).
    pub resets: u32,
    /// Streams that we reset of which it is remembered for a while, since frames of them may be on their way.
    pub remembered: u32,
    /// Bytes of bodies that wait to be sent; when there are so many, whoever sends more waits.
    pub output_bytes: usize,
    /// Whether a server takes extended CONNECT (RFC 8441).
    pub extended_connect: bool,
    /// Frames that ask for work and carry nothing, at once.
    pub idle_frames: u32,
    /// How many of them are forgiven each second.
    pub forgiven_per_s: u32,
}

impl Config {
    /// Of a server whose clients are strangers.
    pub fn server() -> Config {
        Config {
            streams: 100,
            window_bytes: 65_536,
            connection_window_bytes: 1 << 20,
            head_bytes: 65_536,
            head_fields: 128,
            resets: 100,
            remembered: 128,
            output_bytes: 64 * 1024,
            extended_connect: true,
            // A lively client of gRPC sends some ten such frames a second.
            idle_frames: 2_000,
            forgiven_per_s: 200,
        }
    }

    /// Of a client: servers ask back with each answer whether it is there.
    pub fn client() -> Config {
        Config { idle_frames: 20_000, forgiven_per_s: 10_000, ..Config::server() }
    }

    /// As far as the protocol can say it.
    pub(crate) fn bounded(mut self) -> Config {
        let most = u32::try_from(MOST_WINDOW).unwrap_or(u32::MAX);
        self.window_bytes = self.window_bytes.min(most);
        self.connection_window_bytes = self.connection_window_bytes.clamp(FIRST_WINDOW, most);
        self.streams = self.streams.clamp(1, 1 << 20);
        self
    }
}
