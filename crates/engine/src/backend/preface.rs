//! What goes to a backend before TLS, or before a client's first byte where there is none: a PROXY header, then the request
//! for TLS in the words of a protocol that begins in the clear. A backend that does not say yes, and nothing else, gets
//! nothing: there is no going on without. Read next: `connect.rs`.

use everyhop_plan::StartTls;
use everyhop_transport::buf::Buf;
use everyhop_transport::sock::Sock;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};

/// As a client of PostgreSQL sends it.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

/// What is said first on a new connection, and offered in TLS behind it.
#[derive(Clone, Copy)]
pub(crate) struct Preface<'a> {
    pub(crate) first: &'a [u8],
    pub(crate) starttls: Option<StartTls>,
    /// It is for HTTP/1.1, where the backend may choose.
    pub(crate) http1_alone: bool,
}

/// Why it came to nothing.
pub(crate) enum Unsaid {
    Broke,
    /// The backend did not say yes.
    NoTls(&'static str),
}

impl From<io::Error> for Unsaid {
    fn from(_: io::Error) -> Unsaid {
        Unsaid::Broke
    }
}

impl Preface<'_> {
    /// Nothing: HTTP begins with a request.
    pub(crate) const NONE: Preface<'static> = Preface { first: b"", starttls: None, http1_alone: false };

    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.first.is_empty() && self.starttls.is_none()
    }

    /// Says it. `secures`: TLS comes next.
    pub(crate) async fn speak(&self, sock: &mut Sock, secures: bool) -> Result<(), Unsaid> {
        write(sock, self.first).await?;
        match self.starttls.filter(|_| secures) {
            None => Ok(()),
            Some(StartTls::Postgres) => {
                write(sock, SSL_REQUEST).await?;
                let mut said = Buf::default();
                let n = poll_fn(|cx| sock.poll_fill(cx, &mut said, &mut false)).await?;
                match said.bytes() {
                    _ if n == 0 => Err(Unsaid::Broke),
                    b"S" => Ok(()),
                    b"N" => Err(Unsaid::NoTls("it answered the request for TLS with no")),
                    // Whoever stands in between could have added it to what the session says (CVE-2021-23222).
                    [b'S', ..] => Err(Unsaid::NoTls("it said more than yes to the request for TLS")),
                    _ => Err(Unsaid::NoTls("it answered the request for TLS with neither yes nor no")),
                }
            }
        }
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
