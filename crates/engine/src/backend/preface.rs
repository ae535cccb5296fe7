//! What goes to a backend before TLS, or before a client's first byte where there is none: a PROXY header, then the request
//! for TLS in the words of a protocol that begins in the clear. A backend that does not say yes, and nothing else, gets
//! nothing: there is no going on without. Read next: `connect.rs`.

use everyhop_hello::clear::{Answer, Asking, Protocol, Unwilling};
use everyhop_plan::StartTls;
use everyhop_transport::buf::Buf;
use everyhop_transport::sock::Sock;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::task::{Poll, ready};

/// A PROXY v2 header that speaks of nobody: the connection is the edge's own.
pub(crate) const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// What is said first on a new connection, and offered in TLS behind it.
#[derive(Clone, Copy)]
pub(crate) struct Preface<'a> {
    pub(crate) first: &'a [u8],
    pub(crate) starttls: Option<StartTls>,
    /// The one protocol that is offered by ALPN, in the place of what the hop would offer.
    pub(crate) alone: Option<&'a [u8]>,
    /// The client was greeted in these words: a greeting within the session is not for it.
    pub(crate) greeted: Option<StartTls>,
    /// The handshake is a whole one, whatever sessions there are to take up: the backend shows its certificate.
    pub(crate) whole: bool,
}

/// Why it came to nothing.
pub(crate) enum Unsaid {
    Broke,
    /// The backend did not say yes, and how.
    No(Unwilling),
}

impl From<io::Error> for Unsaid {
    fn from(_: io::Error) -> Unsaid {
        Unsaid::Broke
    }
}

impl Preface<'_> {
    /// Nothing: HTTP begins with a request.
    pub(crate) const NONE: Preface<'static> =
        Preface { first: b"", starttls: None, alone: None, greeted: None, whole: false };

    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.first.is_empty() && self.starttls.is_none()
    }

    /// The backend greets before TLS, where it is asked for that. `secures`: TLS there is.
    pub(crate) fn takes_greeting(&self, secures: bool) -> bool {
        secures && self.starttls.is_some_and(StartTls::greets)
    }

    /// Says it. `secures`: TLS comes next.
    pub(crate) async fn speak(&self, sock: &mut Sock, secures: bool) -> Result<(), Unsaid> {
        write(sock, self.first).await?;
        match self.starttls.filter(|_| secures) {
            None => Ok(()),
            Some(words) => {
                let mut asking = Asking::for_tls(protocol(words), local(sock));
                write(sock, &asking.first()).await?;
                let mut said = Buf::default();
                loop {
                    match asking.hear(said.bytes()) {
                        Answer::Begins => return Ok(()),
                        Answer::No(why) => return Err(Unsaid::No(why)),
                        Answer::Say(words) => {
                            said.consume_keep(said.len());
                            write(sock, &words).await?;
                        }
                        Answer::NeedMore => {
                            if poll_fn(|cx| sock.poll_fill(cx, &mut said, &mut false)).await? == 0 {
                                return Err(Unsaid::Broke);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The plan's word as the parser has it.
pub(crate) fn protocol(words: StartTls) -> Protocol {
    match words {
        StartTls::Postgres => Protocol::Postgres,
        StartTls::Smtp => Protocol::Smtp,
        StartTls::Imap => Protocol::Imap,
        StartTls::Ldap => Protocol::Ldap,
    }
}

/// Our address on the way to the backend, which is how the edge calls itself there.
fn local(sock: &Sock) -> IpAddr {
    match sock {
        Sock::Tcp(s) => s.local_addr().map_or(Ipv4Addr::LOCALHOST.into(), |at| at.ip()),
        Sock::Unix(_) => Ipv4Addr::LOCALHOST.into(),
    }
}

async fn write(sock: &mut Sock, mut left: &[u8]) -> io::Result<()> {
    poll_fn(|cx| {
        while !left.is_empty() {
            let n = ready!(sock.poll_write(cx, left))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            left = left.get(n..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    })
    .await
}
