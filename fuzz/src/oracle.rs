//! The same grammars, read a second time: naive, whole inputs only, and written without a look at the codecs. Where the
//! two disagree, one of them is wrong.

/// What a ClientHello's first server_name extension holds, if there is one: its first name, or nothing where the list is
/// not well formed. Asked only of what was accepted as a hello.
pub fn server_name(data: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut rest = data;
    while let [22, 3, _, a, b, tail @ ..] = rest {
        let n = usize::from(*a) * 256 + usize::from(*b);
        message.extend_from_slice(&tail[..n.min(tail.len())]);
        rest = tail.get(n..).unwrap_or_default();
        if message.len() >= 4 && message.len() - 4 >= number(&message[1..4]) {
            break;
        }
    }
    let mut at = 4 + 2 + 32;
    for width in [1, 2, 1] {
        at += width + number(&message[at..at + width]);
    }
    let mut extensions = message.get(at + 2..)?;
    while let [a, b, c, d, tail @ ..] = extensions {
        let (content, after) = tail.split_at(number(&[*c, *d]));
        if (*a, *b) == (0, 0) {
            let length = content.get(3..5).map(number).unwrap_or_default();
            return Some(content.get(5..5 + length).unwrap_or_default().to_vec());
        }
        extensions = after;
    }
    None
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |n, b| n * 256 + usize::from(*b))
}

/// How a body ends, by RFC 9112 §6.3 and our own refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Nowhere,
    After(u64),
    WithLastChunk,
    WithTheConnection,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its bytes, with the empty line.
    pub len: usize,
    /// Method, target, version; or version, status, reason.
    pub first: [Vec<u8>; 3],
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub ends: Ends,
}

/// A head that is not there yet, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHead {
    Incomplete,
    Wrong,
}

fn tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

fn token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| tchar(*b))
}

/// Lines up to the empty one, each ended by CRLF and nothing else; `skip` leading empty lines.
fn lines(data: &[u8], skip: usize) -> Result<(Vec<&[u8]>, usize), NoHead> {
    let (mut found, mut at, mut empty) = (Vec::new(), 0, 0);
    while let Some(n) = data[at..].iter().position(|b| *b == b'\n') {
        let line = data[at..at + n].strip_suffix(b"\r").ok_or(NoHead::Wrong)?;
        at += n + 1;
        match line.is_empty() {
            true if found.is_empty() && empty < skip => empty += 1,
            true => return Ok((found, at)),
            false => found.push(line),
        }
    }
    // Lines that are there already may be wrong; whether they are is judged once all are.
    Err(NoHead::Incomplete)
}

fn field(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), NoHead> {
    let colon = line.iter().position(|b| *b == b':').ok_or(NoHead::Wrong)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let text: Vec<u8> = value.to_vec();
    if !token(name) || text.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
        return Err(NoHead::Wrong);
    }
    let blank = |b: &u8| *b == b' ' || *b == b'\t';
    let from = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let to = text.iter().rposition(|b| !blank(b)).map_or(from, |n| n + 1);
    Ok((name.to_vec(), text[from..to].to_vec()))
}

fn all<'h>(fields: &'h [(Vec<u8>, Vec<u8>)], name: &[u8]) -> Vec<&'h [u8]> {
    fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice()).collect()
}

fn declared(fields: &[(Vec<u8>, Vec<u8>)], old: bool) -> Result<Ends, NoHead> {
    let (codings, lengths) = (all(fields, b"transfer-encoding"), all(fields, b"content-length"));
    let options = all(fields, b"connection");
    if options.iter().any(|v| v.split(|b| *b == b',').any(|o| !o.trim_ascii().is_empty() && !token(o.trim_ascii()))) {
        return Err(NoHead::Wrong);
    }
    let number = |v: &[u8]| {
        let plain = !v.is_empty() && v.len() <= 18 && v.iter().all(u8::is_ascii_digit);
        if plain { String::from_utf8_lossy(v).parse().map_err(|_| NoHead::Wrong) } else { Err(NoHead::Wrong) }
    };
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Ends::Nowhere),
        ([], [length]) => number(length).map(Ends::After),
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && !old => Ok(Ends::WithLastChunk),
        _ => Err(NoHead::Wrong),
    }
}

/// A request's head, in order by RFC 9112 §3 and §5 and one Host.
pub fn request(data: &[u8]) -> Result<Head, NoHead> {
    let (found, len) = lines(data, 1)?;
    let Some((first, rest)) = found.split_first() else { return Err(NoHead::Wrong) };
    let parts: Vec<&[u8]> = first.split(|b| *b == b' ').collect();
    let [method, target, version] = parts.as_slice() else { return Err(NoHead::Wrong) };
    let old = *version == b"HTTP/1.0";
    if !token(method)
        || target.is_empty()
        || !target.iter().all(|b| b.is_ascii_graphic() || !b.is_ascii())
        || std::str::from_utf8(target).is_err()
        || !(old || *version == b"HTTP/1.1")
    {
        return Err(NoHead::Wrong);
    }
    let fields = rest.iter().map(|l| field(l)).collect::<Result<Vec<_>, _>>()?;
    let hosts = all(&fields, b"host").len();
    let expectations = all(&fields, b"expect");
    if hosts > 1 || (hosts == 0 && !old) || all(&fields, b"authorization").len() > 1 || expectations.len() > 1 {
        return Err(NoHead::Wrong);
    }
    if expectations.iter().any(|e| !e.eq_ignore_ascii_case(b"100-continue")) {
        return Err(NoHead::Wrong);
    }
    let ends = declared(&fields, old)?;
    Ok(Head { len, first: [method.to_vec(), target.to_vec(), version.to_vec()], fields, ends })
}

/// A response's head, by RFC 9112 §4 and §6.3.
pub fn response(data: &[u8], to_head: bool) -> Result<Head, NoHead> {
    let (found, len) = lines(data, 0)?;
    let Some((first, rest)) = found.split_first() else { return Err(NoHead::Wrong) };
    let mut parts = first.splitn(3, |b| *b == b' ');
    let (version, status) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let reason = parts.next().unwrap_or_default();
    let fine = matches!(version, b"HTTP/1.1" | b"HTTP/1.0")
        && status.len() == 3
        && (b'1'..=b'5').contains(&status[0])
        && status.iter().all(u8::is_ascii_digit)
        && reason.iter().all(|b| *b >= 0x20 && *b != 0x7f || *b == b'\t');
    if !fine {
        return Err(NoHead::Wrong);
    }
    let fields = rest.iter().map(|l| field(l)).collect::<Result<Vec<_>, _>>()?;
    let said = declared(&fields, version == b"HTTP/1.0")?;
    let ends = match status {
        [b'1', ..] | b"204" | b"304" => Ends::Nowhere,
        _ if to_head => Ends::Nowhere,
        _ if said == Ends::Nowhere => Ends::WithTheConnection,
        _ => said,
    };
    Ok(Head { len, first: [version.to_vec(), status.to_vec(), reason.to_vec()], fields, ends })
}

/// A chunked body: what it holds, its trailers, and where it ends.
pub type Dechunked = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, usize);

/// `None` for one that is incomplete or wrong. Without our limits, which only the codec has.
pub fn dechunk(data: &[u8]) -> Option<Dechunked> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let n = data[at..].iter().position(|b| *b == b'\n')?;
        let line = data[at..at + n].strip_suffix(b"\r")?;
        at += n + 1;
        let (digits, extension) = match line.iter().position(|b| *b == b';') {
            Some(semicolon) => line.split_at(semicolon),
            None => (line, &[][..]),
        };
        if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        if extension.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            return None;
        }
        let size = usize::from_str_radix(&String::from_utf8_lossy(digits), 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(data.get(at..at.checked_add(size)?)?);
        at += size;
        if data.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    let mut trailers = Vec::new();
    loop {
        let n = data[at..].iter().position(|b| *b == b'\n')?;
        let line = data[at..at + n].strip_suffix(b"\r")?;
        at += n + 1;
        if line.is_empty() {
            return Some((body, trailers, at));
        }
        trailers.push(field(line).ok()?);
    }
}
