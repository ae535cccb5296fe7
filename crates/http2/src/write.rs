//! Heads, bodies and trailers out (RFC 9113 §8.1). What a peer that reads strictly would refuse is not written. Read next:
//! `turns.rs`, who may send.

use crate::connection::Connection;
use crate::event::{NoStream, NotSent};
use crate::fault::Code;
use crate::fields::Fields;
use crate::frame::{CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME, HEADER, HEADERS, MOST_STREAM, put};
use crate::hpack::statics::at;
use crate::message;
use crate::rules;
use crate::streams::{ANY, CONNECT, HEAD_SENT, SEND_OVER, TO_HEAD};

/// What is asked for. What has no value is empty: of CONNECT scheme and path (RFC 9113 §8.5), of all but extended CONNECT
/// the protocol (RFC 8441 §4).
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    pub method: &'a [u8],
    pub scheme: &'a [u8],
    pub authority: &'a [u8],
    pub path: &'a [u8],
    pub protocol: &'a [u8],
}

/// In the order that others write them in.
const PSEUDO: [u8; 5] = [at::METHOD, at::SCHEME, at::AUTHORITY, at::PATH, 0];

impl Request<'_> {
    fn parts(&self) -> [&[u8]; 5] {
        [self.method, self.scheme, self.authority, self.path, self.protocol]
    }

    /// Whether it can be said: each part is one, and those are there that its method needs, and no others. What is not is
    /// [`NoStream::Malformed`] to [`Connection::request`].
    pub fn is_whole(&self) -> bool {
        let [method, scheme, authority, path, protocol] = self.parts().map(|it| !it.is_empty());
        let connects = self.method == b"CONNECT";
        let is_tunnel = connects && !protocol;
        let has = method && if is_tunnel { authority } else { scheme && path };
        let has_not = if is_tunnel { !scheme && !path } else { connects || !protocol };
        let is_right = |(place, it): (u8, &[u8])| {
            let name = if place == 0 { rules::PROTOCOL } else { b"" };
            it.is_empty() || rules::wrong(place, name, it).is_none()
        };
        has && has_not && PSEUDO.into_iter().zip(self.parts()).all(is_right)
    }
}

impl Connection {
    pub(crate) fn most_streams(&self) -> u32 {
        self.theirs.streams.min(self.config.streams)
    }

    /// Whether a request would find a stream now.
    pub fn has_room(&self) -> bool {
        self.fault.is_none()
            && !self.goodbye.is_begun()
            && self.next <= MOST_STREAM
            && self.counted < self.most_streams()
    }

    /// Begins a request; `last`: it has no body. Gives: its stream, which is the caller's until [`Connection::done`].
    pub fn request(
        &mut self,
        request: &Request<'_>,
        last: bool,
        write: impl FnOnce(&mut Fields<'_>),
    ) -> Result<u32, NoStream> {
        if self.serves() || self.fault.is_some() || self.goodbye.is_begun() || self.next > MOST_STREAM {
            return Err(NoStream::Away);
        }
        if self.counted >= self.most_streams() {
            self.turns.asks = true;
            return Err(NoStream::Full);
        }
        if !request.is_whole() {
            return Err(NoStream::Malformed);
        }
        let stream = self.next;
        self.next += 2;
        let flags = match request.method {
            b"HEAD" => TO_HEAD,
            b"CONNECT" => CONNECT,
            _ => 0,
        };
        let at = self.begin(stream, flags | HEAD_SENT, ANY);
        let (begun, declared) = self.write_head(stream, false, |fields| {
            for (place, value) in PSEUDO.into_iter().zip(request.parts()) {
                if !value.is_empty() {
                    fields.pseudo(place, value);
                }
            }
            write(fields);
        });
        if self.owe(at, begun, declared, last).is_err() {
            self.done(stream);
            return Err(NoStream::Malformed);
        }
        Ok(stream)
    }

    /// Answers a request; `last`: there is no body. Refuses: what was answered, reset or ended before.
    pub fn answer(
        &mut self,
        stream: u32,
        status: u16,
        last: bool,
        write: impl FnOnce(&mut Fields<'_>),
    ) -> Result<(), NotSent> {
        let at = self.sends(stream)?;
        let it = self.streams.at(at);
        if it.has(HEAD_SENT) || !self.serves() || !(200..600).contains(&status) {
            return Err(NotSent::Order);
        }
        let flags = it.flags;
        let (begun, declared) = self.write_head(stream, false, |fields| {
            fields.status(status);
            write(fields);
        });
        self.streams.at_mut(at).flags |= HEAD_SENT;
        self.output.answered();
        // A tunnel has no length (RFC 9110 §9.3.6).
        let is_tunnel = flags & CONNECT != 0 && status < 300;
        let owed = if is_tunnel { None } else { message::body(status, flags, declared) };
        self.owe(at, begun, owed, last)
    }

    /// An interim answer (RFC 9110 §15.2), before the final one.
    pub fn informational(
        &mut self,
        stream: u32,
        status: u16,
        write: impl FnOnce(&mut Fields<'_>),
    ) -> Result<(), NotSent> {
        let at = self.sends(stream)?;
        let switches = status == 101;
        if self.streams.at(at).has(HEAD_SENT) || !self.serves() || !(100..200).contains(&status) || switches {
            return Err(NotSent::Order);
        }
        let (begun, _) = self.write_head(stream, false, |fields| {
            fields.status(status);
            write(fields);
        });
        self.end_head(begun, false);
        Ok(())
    }

    /// Ends a stream with trailers, behind all of its body.
    pub fn trailers(&mut self, stream: u32, write: impl FnOnce(&mut Fields<'_>)) -> Result<(), NotSent> {
        let at = self.sends_body(stream)?;
        if !matches!(self.streams.at(at).owes, 0 | ANY) {
            return Err(self.falls_short(stream));
        }
        let (begun, _) = self.write_head(stream, true, write);
        self.end_head(begun, true);
        self.over(at, SEND_OVER);
        Ok(())
    }

    /// Sends as much of `bytes` as the windows and the output take now, all of it in one turn or the rest in others;
    /// `last`: behind it the stream ends, for which nothing has to be there.
    ///
    /// Gives: how much went. Where that is less than there is, [`Ready::Body`](crate::Ready::Body) says when to come again
    /// with the rest. Refuses: what is closed or has ended; a body that is not as long as its head said, of which the peer is
    /// told by RST_STREAM.
    pub fn body(&mut self, stream: u32, bytes: &[u8], last: bool) -> Result<usize, NotSent> {
        let at = self.sends_body(stream)?;
        let owes = self.streams.at(at).owes;
        if owes != ANY && (bytes.len() as u64 > owes || last && (bytes.len() as u64) < owes) {
            return Err(self.falls_short(stream));
        }
        let n = bytes.len().min(self.may_send(at));
        self.end_turn(at);
        let it = self.streams.at_mut(at);
        it.wants = 0;
        it.send -= n as i64;
        if it.owes != ANY {
            it.owes -= n as u64;
        }
        self.windows.send -= n as i64;
        let ends = last && n == bytes.len();
        if n > 0 || ends {
            self.write_body(stream, bytes.get(..n).unwrap_or_default(), ends);
        }
        if n < bytes.len() {
            self.wait(at, bytes.len() - n);
        } else if ends {
            self.over(at, SEND_OVER);
        }
        self.take_turns();
        Ok(n)
    }

    fn write_body(&mut self, stream: u32, bytes: &[u8], ends: bool) {
        let mut rest = bytes;
        loop {
            let (now, later) = rest.split_at(rest.len().min(FRAME));
            let flags = if ends && later.is_empty() { END_STREAM } else { 0 };
            put(&mut self.output.bytes, now.len(), DATA, flags, stream);
            self.output.bytes.extend_from_slice(now);
            rest = later;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Nobody may take a body for a whole one that is not.
    #[cold]
    fn falls_short(&mut self, stream: u32) -> NotSent {
        let _ = self.reset(stream, Code::INTERNAL_ERROR);
        NotSent::Length
    }

    fn sends_body(&self, stream: u32) -> Result<usize, NotSent> {
        let at = self.sends(stream)?;
        match self.streams.at(at) {
            it if it.has(SEND_OVER) => Err(NotSent::Gone),
            it if !it.has(HEAD_SENT) => Err(NotSent::Order),
            _ => Ok(at),
        }
    }

    /// What was declared has to be sent. A head that would end its stream and declares a body ends nothing.
    fn owe(&mut self, at: usize, begun: usize, declared: Option<u64>, last: bool) -> Result<(), NotSent> {
        let it = self.streams.at_mut(at);
        it.owes = declared.unwrap_or(ANY);
        let (stream, is_short) = (it.id, last && !matches!(it.owes, 0 | ANY));
        self.end_head(begun, last && !is_short);
        if is_short {
            return Err(self.falls_short(stream));
        }
        if last {
            self.over(at, SEND_OVER);
        }
        Ok(())
    }

    /// Gives where it begins, and the length that was declared.
    fn write_head(
        &mut self,
        stream: u32,
        is_trailers: bool,
        write: impl FnOnce(&mut Fields<'_>),
    ) -> (usize, Option<u64>) {
        let out = &mut self.output.bytes;
        let begun = out.len();
        put(out, 0, HEADERS, END_HEADERS, stream);
        self.encoder.begin(out);
        let mut fields = Fields::new((&mut self.encoder, out, &mut self.lower), is_trailers);
        write(&mut fields);
        (begun, fields.length())
    }

    /// The head that begins there is whole.
    fn end_head(&mut self, begun: usize, last: bool) {
        let out = &mut self.output.bytes;
        let len = out.len() - begun - HEADER;
        let [.., a, b, c] = len.to_be_bytes();
        if let Some([x, y, z, _, flags, ..]) = out.get_mut(begun..) {
            (*x, *y, *z) = (a, b, c);
            *flags |= if last { END_STREAM } else { 0 };
        }
        if len > FRAME {
            split(out, begun);
        }
    }
}

/// A block that needs several frames (RFC 9113 §4.3), whose header stands at `begun`.
#[cold]
fn split(out: &mut Vec<u8>, begun: usize) {
    let whole = out.split_off(begun);
    let Some((header, block)) = whole.split_first_chunk::<HEADER>() else { return };
    let [.., flags, i, j, k, l] = *header;
    let stream = u32::from_be_bytes([i, j, k, l]);
    let mut rest = block;
    let mut kind = HEADERS;
    loop {
        let (now, later) = rest.split_at(rest.len().min(FRAME));
        let begins = if kind == HEADERS { flags & END_STREAM } else { 0 };
        let ends = if later.is_empty() { END_HEADERS } else { 0 };
        put(out, now.len(), kind, begins | ends, stream);
        out.extend_from_slice(now);
        (rest, kind) = (later, CONTINUATION);
        if rest.is_empty() {
            return;
        }
    }
}
