//! The client's side of one HTTP/1.1 request: its body in, its answer out, framed as the client can read it.
//! Read next: `h1_conn.rs`, the connection.

use crate::client::answer::{HSTS, with_date};
use crate::client::h1_conn::{H1, OUT_EAGER, Sending};
use crate::exchange::body::Taken;
use crate::exchange::sides::Client;
use crate::exchange::trailers::{last_chunk, of_request};
use crate::exchange::websocket::PROTOCOL;
use crate::exchange::words::{Behind, BodyLen, Fields, Gone, Got, Meta};
use everyhop_http1::{FieldId, Refused, write};
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use http::HeaderMap;
use std::io::ErrorKind;
use std::task::{Context, Poll, ready};

impl Client for H1 {
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>> {
        if self.owes_continue {
            self.owes_continue = false;
            self.out.push(b"HTTP/1.1 100 Continue\r\n\r\n");
            let _ = self.wire.poll_write_all(cx, &mut self.out);
        }
        loop {
            match self.body.take(&mut self.inb, into) {
                Taken::Some => return Poll::Ready(Ok(Got::Some)),
                Taken::End => return Poll::Ready(Ok(Got::End)),
                Taken::Malformed(Refused::TrailerTooLong) => return Poll::Ready(Err(Refusal::TrailersTooLong)),
                Taken::Malformed(_) => return Poll::Ready(Err(Refusal::BodyMalformed)),
                Taken::NeedMore => {}
            }
            match ready!(self.wire.poll_read(cx, &mut self.inb)) {
                Ok(n) if n > 0 => {}
                _ => return Poll::Ready(Err(Refusal::BodyTruncated)),
            }
        }
    }

    fn wants_body(&mut self) {
        self.owes_continue = self.expects;
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.body.trailers.take().map(|it| of_request(*it))
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Bytes that are there already are the next request: no more are read until its turn.
        if !self.inb.is_empty() {
            return Poll::Pending;
        }
        let hung_up = match self.wire.poll_read_meanwhile(cx, &mut self.inb) {
            Poll::Ready(Ok(0)) => ready!(self.wire.poll_hung_up(cx)),
            // The request is whole, so that its end without a goodbye cuts nothing off (RFC 9112 §9.8).
            Poll::Ready(Err(e)) if e.kind() == ErrorKind::UnexpectedEof => Ok(()),
            Poll::Ready(Err(e)) => Err(e),
            Poll::Ready(Ok(_)) | Poll::Pending => return Poll::Pending,
        };
        match hung_up {
            Ok(()) => self.poll_half_closed(cx),
            Err(_) => Poll::Ready(()),
        }
    }

    fn informational(&mut self, status: u16, fields: &impl Fields) {
        // RFC 9110 §15.2: an HTTP/1.0 client knows none.
        if self.version_10 {
            return;
        }
        let out = self.out.tail();
        write::status_line(out, status, fields.reason());
        // RFC 9110 §8.6: no length there; who believed it would take the final head for a body.
        fields.each(|id, name, value| {
            if id != FieldId::ContentLength {
                write::field(out, name, value);
            }
        });
        out.extend_from_slice(b"\r\n");
    }

    fn head(&mut self, meta: &Meta, fields: &impl Fields) {
        let unread = meta.status >= 300 && self.is_far();
        let out = self.out.tail();
        write::status_line(out, meta.status, fields.reason());
        let (mut dated, mut announces, bodiless) = (false, false, meta.body == BodyLen::None);
        let may_announce = matches!((meta.body, meta.behind), (BodyLen::Known(_), Behind::PerhapsTrailers));
        let hsts = self.conn.hsts.borrow();
        fields.each(|id, name, value| match id {
            // Where there is no body it tells of another response (HEAD, 304); else it is written from what is sent.
            FieldId::ContentLength if !bodiless || matches!(meta.status, 101 | 204) => {}
            FieldId::Date => {
                dated = true;
                write::field(out, name, value);
            }
            // A backend of HTTP/2 declares a length and sends trailers behind it; here chunks alone have room for them.
            _ if may_announce && name.eq_ignore_ascii_case(b"trailer") => {
                announces = true;
                write::field(out, name, value);
            }
            // It is the edge that ends TLS, and says this of it.
            _ if hsts.is_some() && name.eq_ignore_ascii_case(HSTS.as_bytes()) => {}
            _ => write::field(out, name, value),
        });
        if let Some(hsts) = hsts.as_deref() {
            write::field(out, HSTS.as_bytes(), hsts.as_bytes());
        }
        if !dated {
            with_date(self.conn.opened.arrived.core.clock().unix_s.get(), |date| write::field(out, b"date", date));
        }
        self.sending = Sending::Plain;
        match meta.body {
            BodyLen::None => {}
            BodyLen::Known(n) if !announces || self.version_10 => {
                out.extend_from_slice(b"content-length: ");
                write::number(out, n);
                out.extend_from_slice(b"\r\n");
            }
            BodyLen::Unknown if self.version_10 => self.keep = false,
            BodyLen::Known(_) | BodyLen::Unknown => {
                self.sending = Sending::Chunks;
                out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            }
        }
        // A drain that began after the request: this answer is the last one, and says so (RFC 9112 §9.6).
        // So it is where much of the request is still to come, which nobody will read (RFC 9112 §9.3).
        self.keep &= !self.conn.opened.arrived.core.is_draining() && !unread;
        if meta.status == 101 {
            out.extend_from_slice(b"connection: Upgrade\r\n");
            write::field(out, b"upgrade", self.switches.as_deref().unwrap_or(PROTOCOL).as_bytes());
        } else if !self.keep {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.version_10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while self.out.len() >= OUT_EAGER {
            ready!(self.wire.poll_write(cx, &mut self.out)).map_err(|_| Gone)?;
        }
        if self.wire.is_full() { self.wire.poll_flush(cx).map_err(|_| Gone) } else { Poll::Ready(Ok(())) }
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Gone>> {
        let n = from.len();
        // What is queued goes first, so that a large piece is taken over and not copied.
        while !self.out.is_empty() && self.out.len() + n > OUT_EAGER {
            ready!(self.wire.poll_write(cx, &mut self.out)).map_err(|_| Gone)?;
        }
        if self.sending == Sending::Chunks {
            write::chunk_size(self.out.tail(), n);
            self.out.take_from(from, n);
            self.out.push(b"\r\n");
        } else {
            self.out.take_from(from, n);
        }
        if self.out.len() >= OUT_EAGER {
            // What does not go now waits in the buffer; the next call waits for room.
            let _ = self.wire.poll_write(cx, &mut self.out).map_err(|_| Gone)?;
        }
        Poll::Ready(Ok(()))
    }

    fn frames(&self) -> bool {
        !self.version_10
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) {
        if self.sending == Sending::Chunks {
            last_chunk(self.out.tail(), trailers.as_ref());
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.wire.poll_write_all(cx, &mut self.out).map_err(|_| Gone)
    }

    fn sent(&self) -> u64 {
        self.wire.bytes_out
    }

    fn pushes(&mut self) -> bool {
        self.wire.pushes(&mut self.out)
    }
}
