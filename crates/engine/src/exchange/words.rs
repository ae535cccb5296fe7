//! The words in which a client's side and a backend's side speak to each other of one request and its answer, whichever
//! protocol each of them has on the wire. Nothing is read or written here. Read next: `asked.rs`, then `sides.rs`.

use everyhop_http1::FieldId;
use everyhop_transport::h2::Asking;

/// A step of reading a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    Some,
    End,
}

/// What a head says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLen {
    None,
    Known(u64),
    Unknown,
}

/// The fields of a head or trailer, from either protocol.
pub(crate) trait Fields {
    /// The words behind a status, where the protocol has them and they are to be passed on.
    fn reason(&self) -> &[u8] {
        b""
    }

    /// Some of them nobody is to keep, on no hop (RFC 7541 §7.1.3). HTTP/1 cannot say so.
    fn has_secrets(&self) -> bool;

    /// What may go on.
    fn each(&self, f: impl FnMut(FieldId, &[u8], &[u8]));

    /// All of them as they came, also what concerns one connection alone.
    fn each_as_sent(&self, f: impl FnMut(FieldId, &[u8], &[u8])) {
        self.each(f);
    }
}

impl<F: Fields> Fields for &F {
    fn reason(&self) -> &[u8] {
        (**self).reason()
    }

    fn has_secrets(&self) -> bool {
        (**self).has_secrets()
    }

    fn each(&self, f: impl FnMut(FieldId, &[u8], &[u8])) {
        (**self).each(f);
    }

    fn each_as_sent(&self, f: impl FnMut(FieldId, &[u8], &[u8])) {
        (**self).each_as_sent(f);
    }
}

/// A final response head, without its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    pub(crate) status: u16,
    /// `None` where the status or the method allows no body.
    pub(crate) body: BodyLen,
    pub(crate) behind: Behind,
}

/// What may follow a body's last byte: a length that is declared says nothing of trailers in HTTP/2 (RFC 9113 §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    Nothing,
    PerhapsTrailers,
}

/// The client left: its side takes no more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone;

/// What a request needs of the protocol of its hop, where the backend may choose that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Either,
    /// What opens a tunnel: HTTP/1.1, or HTTP/2 whose server said that it takes such streams (RFC 8441).
    Tunnel,
    Http2,
}

/// A question to whoever decides about a request.
pub(crate) enum Question {
    /// By HTTP/1.1.
    Get {
        head: Vec<u8>,
        /// A field of it proves who the connection is: that is nobody else's.
        binds: bool,
    },
    /// By gRPC.
    Call { head: Asking, message: Vec<u8> },
}

/// A head for the backend, ready to be sent, once or again.
pub(crate) enum Built {
    H1(Vec<u8>),
    H2(Asking),
    /// In both, where the backend chooses on each connection.
    Either(Vec<u8>, Box<Asking>),
}

impl Built {
    /// How it is asked over HTTP/2, where it may be.
    pub(crate) fn over_h2(&self) -> Option<&Asking> {
        match self {
            Built::H1(_) => None,
            Built::H2(it) => Some(it),
            Built::Either(_, it) => Some(it),
        }
    }

    /// The backend's protocol may be HTTP/2.
    pub(crate) fn may_be_h2(&self) -> bool {
        !matches!(self, Built::H1(_))
    }

    /// Memory to use again.
    pub(crate) fn scratch(self) -> Option<Vec<u8>> {
        match self {
            Built::H1(used) | Built::Either(used, _) => Some(used),
            Built::H2(asking) => Some(asking.into_memory()),
        }
    }
}
