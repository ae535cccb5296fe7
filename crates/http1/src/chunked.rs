//! The chunked coding (RFC 9112 §7.1), read incrementally. Extensions are dropped, sizes are plain hexadecimal, line
//! ends are CRLF, trailers obey the rules of fields and lose what would frame the message anew. For a backend that is read
//! leniently a size may have zeros before it and white space behind it, and LF alone ends a line.

use crate::Refused;
use crate::line::{Limits, field};

/// Extensions of one message in all.
const EXTENSION_BYTES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// Nothing more to be had: `consumed` bytes are done with, the next needs more.
    NeedMore {
        consumed: usize,
    },
    /// `len` bytes of the body, after `skip` bytes of framing. Both count as consumed.
    Data {
        skip: usize,
        len: usize,
    },
    End {
        consumed: usize,
    },
    Refused(Refused),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Size,
    /// White space behind a size, where it is read leniently.
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    End,
}

#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    lenient: bool,
    left: u64,
    digits: u8,
    extensions: usize,
    trailer: Vec<u8>,
    trailer_bytes: usize,
    /// What the trailers may come to: as much as a head.
    most_bytes: usize,
    most_fields: usize,
    /// Name and value, in order; names as they came.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Chunked {
    pub fn within(limits: &Limits) -> Chunked {
        Chunked { most_bytes: limits.head_bytes, most_fields: limits.fields, ..Chunked::default() }
    }

    pub fn lenient(lenient: bool, limits: &Limits) -> Chunked {
        Chunked { lenient, ..Chunked::within(limits) }
    }

    /// Forgets the last message; keeps the memory.
    pub fn reset(&mut self, limits: &Limits) {
        let (mut trailer, mut trailers) = (std::mem::take(&mut self.trailer), std::mem::take(&mut self.trailers));
        trailer.clear();
        trailers.clear();
        *self = Chunked { trailer, trailers, ..Chunked::lenient(self.lenient, limits) };
    }

    /// Reads the next piece of `buf`. After [`Chunk::Data`], call again with what follows it.
    pub fn next(&mut self, buf: &[u8]) -> Chunk {
        let mut at = 0;
        loop {
            if self.state == State::End {
                return Chunk::End { consumed: at };
            }
            if self.state == State::Data {
                let here = u64::try_from(buf.len() - at).unwrap_or(u64::MAX).min(self.left);
                if here == 0 {
                    return Chunk::NeedMore { consumed: at };
                }
                self.left -= here;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Chunk::Data { skip: at, len: usize::try_from(here).unwrap_or(0) };
            }
            let Some(&b) = buf.get(at) else { return Chunk::NeedMore { consumed: at } };
            at += 1;
            if let Err(why) = self.step(b) {
                return Chunk::Refused(why);
            }
        }
    }

    fn step(&mut self, b: u8) -> Result<(), Refused> {
        self.state = match (self.state, b) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.lenient && self.left == 0 && self.digits == 1 {
                    // One more zero, or the first digit behind them.
                    self.pad()?;
                    self.digits = 0;
                }
                // 15 digits are a petabyte and more; one more could overflow what is summed up.
                if self.digits == 15 {
                    return Err(Refused::ChunkSize);
                }
                self.digits += 1;
                self.left = self.left << 4 | u64::from(char::from(b).to_digit(16).unwrap_or(0));
                State::Size
            }
            (State::Size | State::Padding, b';') if self.digits > 0 => State::Extension,
            (State::Size | State::Extension | State::Padding, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size | State::Padding, b' ' | b'\t') if self.lenient && self.digits > 0 => {
                self.pad()?;
                State::Padding
            }
            (State::Size | State::Padding | State::Extension, b'\n') if self.lenient && self.digits > 0 => self.sized(),
            (State::Padding, _) => return Err(Refused::ChunkSize),
            (State::Size, _) => return Err(Refused::ChunkSize),
            (State::Extension, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.extensions += 1;
                if self.extensions > EXTENSION_BYTES {
                    return Err(Refused::ChunkExtension);
                }
                State::Extension
            }
            (State::Extension, _) => return Err(Refused::ChunkExtension),
            (State::SizeLf, b'\n') => self.sized(),
            (State::SizeLf, _) => return Err(Refused::ChunkSize),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::DataCr, b'\n') if self.lenient => State::Size,
            (State::DataCr | State::DataLf, _) => return Err(Refused::ChunkEnd),
            (State::Trailer, _) => return self.trailer(b),
            (State::Data | State::End, _) => self.state,
        };
        Ok(())
    }

    fn sized(&mut self) -> State {
        self.digits = 0;
        if self.left == 0 { State::Trailer } else { State::Data }
    }

    /// What is around a size is bounded with the extensions.
    #[cold]
    fn pad(&mut self) -> Result<(), Refused> {
        self.extensions += 1;
        if self.extensions > EXTENSION_BYTES { Err(Refused::ChunkExtension) } else { Ok(()) }
    }

    fn trailer(&mut self, b: u8) -> Result<(), Refused> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > self.most_bytes {
            return Err(Refused::TrailerTooLong);
        }
        if b != b'\n' {
            self.trailer.push(b);
            return Ok(());
        }
        let line = match self.trailer.strip_suffix(b"\r") {
            Some(line) => line,
            None if self.lenient => &self.trailer,
            None => return Err(Refused::BareLf),
        };
        if line.is_empty() {
            self.state = State::End;
            return Ok(());
        }
        let it = field(line, 0, line.len())?;
        if self.trailers.len() >= self.most_fields {
            return Err(Refused::TrailerTooLong);
        }
        if !it.id.is_framing() {
            self.trailers.push((it.name.of(line).to_vec(), it.value.of(line).to_vec()));
        }
        self.trailer.clear();
        Ok(())
    }
}
