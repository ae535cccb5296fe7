//! One HTTP/1.1 request of which all bytes are there, for tools that look at requests: it is read and refused by what reads and
//! refuses on the wire, so that neither sees a request that the other would not. Never on the path of a byte.

use crate::exchange::asked::Asked;
use everyhop_http1::{Chunk, Chunked, Framing, Limits, Parsed, RequestHead};

/// A request as it came; its body without the chunks' framing.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    pub method: String,
    pub target: Vec<u8>,
    pub version_10: bool,
    /// Canonical, with the port if one was named.
    pub host: String,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// How many bytes it took; what follows is another.
    pub len: usize,
}

/// Why bytes are no whole request.
#[derive(Debug, PartialEq, Eq)]
pub enum NoWhole {
    /// They end within it, in its head or its body.
    Ends(&'static str),
    /// An edge refuses it: slug, status, sentence.
    Refused(&'static str, u16, &'static str),
}

impl From<everyhop_http1::Refused> for NoWhole {
    fn from(why: everyhop_http1::Refused) -> NoWhole {
        NoWhole::Refused(why.slug(), why.status(), why.sentence())
    }
}

/// Reads the first request of `bytes`.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Whole, NoWhole> {
    let mut head = RequestHead::default();
    let at = match head.parse(bytes, limits) {
        Parsed::Head { len } => len,
        Parsed::NeedMore => return Err(NoWhole::Ends("head")),
        Parsed::Refused(why) => return Err(why.into()),
    };
    let mut asked = Asked::default();
    asked.of_h1(&head, bytes, None).map_err(|why| NoWhole::Refused(why.slug(), why.status(), why.sentence()))?;
    let rest = bytes.get(at..).unwrap_or_default();
    let (body, took) = match head.framing {
        Framing::None | Framing::UntilClose => (Vec::new(), 0),
        Framing::Length(n) => {
            let whole = usize::try_from(n).ok().and_then(|n| rest.get(..n)).ok_or(NoWhole::Ends("body"))?;
            (whole.to_vec(), whole.len())
        }
        Framing::Chunked => unchunked(rest, limits)?,
    };
    let fields = head.fields.iter().map(|f| (f.name.of(bytes).to_vec(), f.value.of(bytes).to_vec())).collect();
    Ok(Whole {
        method: asked.method,
        target: head.target.of(bytes).to_vec(),
        version_10: head.version_10,
        host: asked.authority,
        fields,
        body,
        len: at + took,
    })
}

fn unchunked(bytes: &[u8], limits: &Limits) -> Result<(Vec<u8>, usize), NoWhole> {
    let (mut reading, mut body, mut at) = (Chunked::within(limits), Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match reading.next(rest) {
            Chunk::Data { skip, len } => {
                body.extend_from_slice(rest.get(skip..skip + len).unwrap_or_default());
                at += skip + len;
            }
            Chunk::End { consumed } => return Ok((body, at + consumed)),
            Chunk::NeedMore { .. } => return Err(NoWhole::Ends("body")),
            Chunk::Refused(why) => return Err(why.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head_bytes: 4096, fields: 20, target_bytes: 200 };

    fn refused(bytes: &[u8]) -> &'static str {
        match read(bytes, &LIMITS) {
            Err(NoWhole::Refused(slug, ..)) => slug,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_as_it_came_and_what_follows_is_another() {
        let bytes = b"POST /a%2Fb?c=d HTTP/1.1\r\nHost: Shop.Test:81\r\nX-A:  b \r\ncontent-length: 3\r\n\r\nabcGET ";
        let it = read(bytes, &LIMITS).expect("a request");
        assert_eq!((it.method.as_str(), it.target.as_slice()), ("POST", b"/a%2Fb?c=d".as_slice()));
        assert_eq!((it.host.as_str(), it.body.as_slice(), it.version_10), ("shop.test:81", b"abc".as_slice(), false));
        assert_eq!(it.fields.get(1), Some(&(b"X-A".to_vec(), b"b".to_vec())));
        assert_eq!(bytes.get(it.len..), Some(b"GET ".as_slice()));
    }

    #[test]
    fn chunks_are_put_together_and_their_trailers_are_a_part_of_it() {
        let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nT: v\r\n\r\nGET";
        let it = read(bytes, &LIMITS).expect("a request");
        assert_eq!((it.body.as_slice(), bytes.get(it.len..)), (b"abc".as_slice(), Some(b"GET".as_slice())));
    }

    #[test]
    fn what_ends_early_says_where_at_every_byte() {
        let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
        let head = bytes.len() - 2;
        for cut in 0..bytes.len() {
            let wanted = NoWhole::Ends(if cut < head { "head" } else { "body" });
            assert_eq!(read(bytes.get(..cut).unwrap_or_default(), &LIMITS), Err(wanted), "cut at {cut}");
        }
    }

    #[test]
    fn what_an_edge_refuses_is_refused_by_its_slug() {
        assert_eq!(refused(b"GET / HTTP/1.1\nHost: a\r\n\r\n"), "http1/bare-lf");
        assert_eq!(refused(b"GET / HTTP/1.1\r\n\r\n"), "http1/no-host");
        assert_eq!(refused(b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"), "request/bad-target");
        assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), "request/bad-host");
        assert_eq!(refused(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), "request/connect");
        assert_eq!(
            refused(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
            "http1/chunk-size"
        );
    }
}
