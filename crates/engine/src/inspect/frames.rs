//! What is said to the inspector of a request, and what it says: frames of a length, a kind and a payload. Numbers are
//! big-endian; a text is a length and its bytes, of two bytes where it is short and of four where it may be long. Everything is
//! bounded, and what is too short, too long or says what it may not is refused as a whole. The other side: `waf/frame`.

use http::HeaderMap;
use std::net::SocketAddr;

const KIND_REQUEST: u8 = 4;
const KIND_VERDICT: u8 = 5;
const KIND_FAILED: u8 = 6;

const MOST_ANSWER: usize = 1 << 20;
const MOST_RULES: usize = 200;
const MOST_FIELDS: usize = 1000;
const MOST_METHOD: usize = 100;
const MOST_HOST: usize = 1000;
const MOST_LONG: usize = 256 << 10;
/// Of a whole frame, without its head.
const MOST_REQUEST: usize = 5 << 20;

/// What is asked about.
pub(crate) struct Subject<'a> {
    /// The number of the policy.
    pub(crate) policy: u16,
    pub(crate) method: &'a [u8],
    /// As it was received.
    pub(crate) target: &'a [u8],
    /// Ten times the version.
    pub(crate) version: u8,
    pub(crate) host: &'a [u8],
    pub(crate) client: SocketAddr,
}

/// The frame of a request. Its number is put in as it is sent.
pub(crate) struct Request {
    bytes: Vec<u8>,
    fields_at: usize,
    fields: u16,
    fits: bool,
}

impl Request {
    pub(crate) fn begin(it: &Subject<'_>) -> Request {
        let mut made = Request { bytes: Vec::with_capacity(1024), fields_at: 0, fields: 0, fits: true };
        made.bytes.extend_from_slice(&[0, 0, 0, 0, KIND_REQUEST]);
        made.bytes.extend_from_slice(&[0; 8]);
        made.bytes.extend_from_slice(&it.policy.to_be_bytes());
        made.short(it.method, MOST_METHOD);
        made.long(it.target, MOST_LONG);
        made.bytes.push(it.version);
        made.short(it.host, MOST_HOST);
        match it.client.ip().to_canonical() {
            std::net::IpAddr::V4(v4) => {
                made.bytes.push(4);
                made.bytes.extend_from_slice(&v4.octets());
            }
            std::net::IpAddr::V6(v6) => {
                made.bytes.push(6);
                made.bytes.extend_from_slice(&v6.octets());
            }
        }
        made.bytes.extend_from_slice(&it.client.port().to_be_bytes());
        made.fields_at = made.bytes.len();
        made.bytes.extend_from_slice(&[0; 2]);
        made
    }

    /// One of its fields, as it came.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) {
        self.fields = self.fields.saturating_add(1);
        self.short(name, usize::from(u16::MAX));
        self.long(value, MOST_LONG);
    }

    /// Those behind its body: a backend may take them for fields like any other.
    pub(crate) fn trailers(&mut self, trailers: Option<&HeaderMap>) {
        for (name, value) in trailers.into_iter().flatten() {
            self.field(name.as_str().as_bytes(), value.as_bytes());
        }
    }

    /// The whole of its body, or what that begins with. `None`: it is more than can be asked about.
    pub(crate) fn end(mut self, body: &[u8], whole: bool) -> Option<Vec<u8>> {
        self.fits &= usize::from(self.fields) <= MOST_FIELDS;
        let fields = self.fields.to_be_bytes();
        if let Some(at) = self.bytes.get_mut(self.fields_at..self.fields_at + 2) {
            at.copy_from_slice(&fields);
        }
        self.bytes.push(u8::from(whole));
        self.long(body, 4 << 20);
        self.fits &= self.bytes.len() - 5 <= MOST_REQUEST;
        let length = u32::try_from(self.bytes.len() - 4).ok()?.to_be_bytes();
        self.bytes.get_mut(..4)?.copy_from_slice(&length);
        self.fits.then_some(self.bytes)
    }

    fn short(&mut self, text: &[u8], most: usize) {
        self.fits &= text.len() <= most;
        self.bytes.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes.extend_from_slice(text);
    }

    fn long(&mut self, text: &[u8], most: usize) {
        self.fits &= text.len() <= most;
        self.bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.bytes.extend_from_slice(text);
    }
}

/// Gives a request's frame its number.
pub(crate) fn numbered(frame: &mut [u8], id: u64) {
    if let Some(at) = frame.get_mut(5..13) {
        at.copy_from_slice(&id.to_be_bytes());
    }
}

/// What the inspector says of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub id: u64,
    pub said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Verdict(Verdict),
    /// It waits for too many already.
    Overloaded,
    /// There is no verdict, and the word for why.
    Failed(&'static str),
}

/// What came of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub denies: bool,
    pub score: u32,
    /// Numbers of rules that matched, each with the variable it matched in, such as `ARGS:q`.
    pub rules: Vec<(u32, Vec<u8>)>,
}

/// A frame is broken: both sides are ours, so it is a fault and no weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// The length of the payload of a frame with that head, and its kind.
pub(crate) fn head(bytes: [u8; 5]) -> Result<(usize, u8), Broken> {
    let [a, b, c, d, kind] = bytes;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| Broken)?;
    let payload = length.checked_sub(1).filter(|n| *n <= MOST_ANSWER).ok_or(Broken)?;
    matches!(kind, KIND_VERDICT | KIND_FAILED).then_some((payload, kind)).ok_or(Broken)
}

/// A payload of that kind.
pub fn answer(kind: u8, payload: &[u8]) -> Result<Answer, Broken> {
    let mut it = Reader(payload);
    let id = it.u64()?;
    let said = if kind == KIND_FAILED {
        match it.u8()? {
            1 => Said::Failed("no such policy"),
            2 => Said::Failed("the body is longer than the policy inspects"),
            3 => Said::Overloaded,
            4 => Said::Failed("a rule or the inspector failed"),
            _ => return Err(Broken),
        }
    } else {
        let denies = match it.u8()? {
            0 => false,
            // The second of a policy that only detects: what becomes of the request is decided here.
            1 | 2 => true,
            _ => return Err(Broken),
        };
        let (_status, score, count) = (it.u16()?, it.u32()?, usize::from(it.u16()?));
        if count > MOST_RULES {
            return Err(Broken);
        }
        let mut rules = Vec::with_capacity(count);
        for _ in 0..count {
            let rule = it.u32()?;
            it.take(2)?;
            it.short()?;
            rules.push((rule, it.short()?.to_vec()));
        }
        Said::Verdict(Verdict { denies, score, rules })
    };
    it.0.is_empty().then_some(Answer { id, said }).ok_or(Broken)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        self.take(N)?.try_into().map_err(|_| Broken)
    }

    fn u8(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[b]| b)
    }

    fn u16(&mut self) -> Result<u16, Broken> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_be_bytes)
    }

    fn short(&mut self) -> Result<&'a [u8], Broken> {
        let n = usize::from(self.u16()?);
        self.take(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(client: &str) -> Subject<'static> {
        let client = client.parse().expect("an address");
        Subject { policy: 3, method: b"POST", target: b"/a?b=c", version: 11, host: b"a.test", client }
    }

    /// The bytes of `waf/frame` for the same request.
    fn whole(client: &[u8], fields: u16, rest: &[u8]) -> Vec<u8> {
        let mut out = vec![KIND_REQUEST, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 0, 4];
        out.extend_from_slice(b"POST\0\0\0\x06/a?b=c\x0b\0\x06a.test");
        out.extend_from_slice(client);
        out.extend_from_slice(&fields.to_be_bytes());
        out.extend_from_slice(rest);
        let mut framed = u32::try_from(out.len()).expect("short").to_be_bytes().to_vec();
        framed.append(&mut out);
        framed
    }

    #[test]
    fn a_request_is_framed_to_the_letter_and_its_number_is_put_in_when_it_goes() {
        let mut it = Request::begin(&subject("192.0.2.7:258"));
        it.field(b"X-A", b"1");
        it.field(b"Cookie", b"");
        let mut frame = it.end(b"body", true).expect("it fits");
        numbered(&mut frame, 9);
        let rest = b"\0\x03X-A\0\0\0\x011\0\x06Cookie\0\0\0\0\x01\0\0\0\x04body";
        assert_eq!(frame, whole(&[4, 192, 0, 2, 7, 1, 2], 2, rest));
    }

    #[test]
    fn an_address_of_four_in_the_form_of_six_is_told_as_of_four() {
        let mapped = Request::begin(&subject("[::ffff:192.0.2.7]:1")).end(b"", true);
        assert_eq!(mapped, Request::begin(&subject("192.0.2.7:1")).end(b"", true));
        let mut six = Request::begin(&subject("[2001:db8::1]:1")).end(b"x", false).expect("it fits");
        numbered(&mut six, 9);
        let address = [6, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        assert_eq!(six, whole(&address, 0, b"\0\0\0\0\x01x"));
    }

    #[test]
    fn what_the_inspector_would_not_take_is_not_asked_about() {
        let begin = || Request::begin(&subject("192.0.2.7:1"));
        let fields = |n: usize| {
            let mut it = begin();
            (0..n).for_each(|_| it.field(b"a", b"b"));
            it.end(b"", true)
        };
        assert!(fields(MOST_FIELDS).is_some() && fields(MOST_FIELDS + 1).is_none());
        let field = |n: usize| {
            let mut it = begin();
            it.field(b"a", &vec![b'x'; n]);
            it.end(b"", true)
        };
        assert!(field(MOST_LONG).is_some() && field(MOST_LONG + 1).is_none());
        let long = vec![b'x'; MOST_METHOD + 1];
        let method = Subject { method: &long, ..subject("192.0.2.7:1") };
        assert!(Request::begin(&method).end(b"", true).is_none());
    }

    #[test]
    fn a_head_announces_no_more_than_is_taken_and_nothing_but_answers() {
        let of = |length: u32, kind: u8| {
            let [a, b, c, d] = length.to_be_bytes();
            head([a, b, c, d, kind])
        };
        assert_eq!(of(1, KIND_VERDICT), Ok((0, KIND_VERDICT)));
        assert_eq!(of((1 << 20) + 1, KIND_FAILED), Ok((1 << 20, KIND_FAILED)));
        for (length, kind) in [(0, KIND_VERDICT), ((1 << 20) + 2, KIND_VERDICT), (1, KIND_REQUEST), (1, 0), (1, 7)] {
            assert_eq!(of(length, kind), Err(Broken), "{length} {kind}");
        }
    }

    #[test]
    fn a_verdict_is_read_whole_or_not_at_all() {
        let payload = b"\0\0\0\0\0\0\0\x07\x01\x01\x93\0\0\0\x05\0\x02\0\x0e\x60\x54\x02\x02\0\x02no\0\x06ARGS:q\0\0\0\x01\xff\x01\0\0\0\0";
        let rules = vec![(942_164, b"ARGS:q".to_vec()), (1, Vec::new())];
        let said = Said::Verdict(Verdict { denies: true, score: 5, rules });
        assert_eq!(answer(KIND_VERDICT, payload), Ok(Answer { id: 7, said }));
        for cut in 0..payload.len() {
            assert_eq!(answer(KIND_VERDICT, &payload[..cut]), Err(Broken), "cut at {cut}");
        }
        assert_eq!(answer(KIND_VERDICT, &[&payload[..], b"x"].concat()), Err(Broken), "nothing may follow");
        let mut other = payload.to_vec();
        for (action, denies) in [(0, Some(false)), (1, Some(true)), (2, Some(true)), (3, None)] {
            other[8] = action;
            let read = answer(KIND_VERDICT, &other).ok().map(|it| matches!(it.said, Said::Verdict(it) if it.denies));
            assert_eq!(read, denies, "{action}");
        }
    }

    #[test]
    fn why_there_is_no_verdict_is_one_of_few_words() {
        let failed = |why: u8| answer(KIND_FAILED, &[0, 0, 0, 0, 0, 0, 0, 1, why]).map(|it| it.said);
        assert_eq!(failed(3), Ok(Said::Overloaded));
        for why in [1, 2, 4] {
            assert!(matches!(failed(why), Ok(Said::Failed(text)) if !text.is_empty()), "{why}");
        }
        assert_eq!((failed(0), failed(5)), (Err(Broken), Err(Broken)));
        assert_eq!(answer(KIND_FAILED, &[0; 8]), Err(Broken));
    }
}
