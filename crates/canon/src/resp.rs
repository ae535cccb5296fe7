//! What is spoken with Valkey and Redis (RESP2): commands as they are written, and answers as far as they came. Whoever answers is
//! believed in nothing that it does not say within these bounds. Read next: the engine's `store`, which speaks it.

/// The longest line, such as an error.
const LINE: usize = 4 * 1024;
/// The longest text.
const TEXT: usize = 64 * 1024;
/// The most parts of a list, and how deep lists may stand in lists.
const PARTS: usize = 64;
const DEPTH: u32 = 4;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `OK`, `PONG`.
    Simple(Vec<u8>),
    /// Its first word says of which kind it is.
    Error(Vec<u8>),
    Whole(i64),
    /// `None` is null.
    Text(Option<Vec<u8>>),
    List(Option<Vec<Reply>>),
}

/// What came is no answer, or a longer one than anybody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Reply {
    /// The numbers of a list that holds nothing else.
    pub fn numbers(&self) -> Option<Vec<i64>> {
        let Reply::List(Some(parts)) = self else { return None };
        parts.iter().map(|it| if let Reply::Whole(n) = it { Some(*n) } else { None }).collect()
    }
}

/// The first answer in `bytes`, with how long it is. `None`: it is not there yet.
pub fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    let mut at = 0;
    match part(bytes, &mut at, 0) {
        Ok(reply) => Ok(Some((reply, at))),
        Err(Stop::More) => Ok(None),
        Err(Stop::Malformed) => Err(Malformed),
    }
}

enum Stop {
    More,
    Malformed,
}

fn part(bytes: &[u8], at: &mut usize, depth: u32) -> Result<Reply, Stop> {
    let kind = *bytes.get(*at).ok_or(Stop::More)?;
    if !b"+-:$*".contains(&kind) {
        return Err(Stop::Malformed);
    }
    *at += 1;
    let line = line(bytes, at)?;
    match kind {
        b'+' => Ok(Reply::Simple(line.to_vec())),
        b'-' => Ok(Reply::Error(line.to_vec())),
        b':' => number(line).map(Reply::Whole),
        b'$' => match length(line, TEXT)? {
            None => Ok(Reply::Text(None)),
            Some(len) => text(bytes, at, len).map(|it| Reply::Text(Some(it))),
        },
        _ => match length(line, PARTS)? {
            None => Ok(Reply::List(None)),
            Some(_) if depth == DEPTH => Err(Stop::Malformed),
            Some(len) => {
                let parts = (0..len).map(|_| part(bytes, at, depth + 1)).collect::<Result<_, _>>()?;
                Ok(Reply::List(Some(parts)))
            }
        },
    }
}

/// Up to the end of the line, which is behind it then.
fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], Stop> {
    let rest = bytes.get(*at..).unwrap_or_default();
    let Some(len) = rest.iter().take(LINE + 2).position(|b| *b == b'\n') else {
        return Err(if rest.len() > LINE { Stop::Malformed } else { Stop::More });
    };
    let line = rest.get(..len).and_then(|it| it.strip_suffix(b"\r")).ok_or(Stop::Malformed)?;
    if line.contains(&b'\r') {
        return Err(Stop::Malformed);
    }
    *at += len + 1;
    Ok(line)
}

fn text(bytes: &[u8], at: &mut usize, len: usize) -> Result<Vec<u8>, Stop> {
    let rest = bytes.get(*at..).unwrap_or_default();
    let end = rest.get(len..).unwrap_or_default();
    if !b"\r\n".starts_with(end.get(..2).unwrap_or(end)) {
        return Err(Stop::Malformed);
    }
    if end.len() < 2 {
        return Err(Stop::More);
    }
    *at += len + 2;
    Ok(rest.get(..len).unwrap_or_default().to_vec())
}

fn number(line: &[u8]) -> Result<i64, Stop> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Stop::Malformed);
    }
    std::str::from_utf8(line).ok().and_then(|it| it.parse().ok()).ok_or(Stop::Malformed)
}

/// -1 is null.
fn length(line: &[u8], most: usize) -> Result<Option<usize>, Stop> {
    match number(line)? {
        -1 => Ok(None),
        n => usize::try_from(n).ok().filter(|n| *n <= most).map(Some).ok_or(Stop::Malformed),
    }
}

/// A command: a list of texts.
pub fn write(out: &mut Vec<u8>, words: &[&[u8]]) {
    let head = |out: &mut Vec<u8>, kind: char, n: usize| out.extend_from_slice(format!("{kind}{n}\r\n").as_bytes());
    head(out, '*', words.len());
    for word in words {
        head(out, '$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"+OK\r\n-NOSCRIPT No matching script.\r\n:-42\r\n$5\r\na\r\nbc\r\n$-1\r\n*-1\r\n*0\r\n*3\r\n:1\r\n$0\r\n\r\n*1\r\n:7\r\n";

    fn all(mut bytes: &[u8]) -> (Vec<Reply>, usize) {
        let mut found = Vec::new();
        while let Some((reply, len)) = read(bytes).expect("answers") {
            found.push(reply);
            bytes = &bytes[len..];
        }
        (found, bytes.len())
    }

    #[test]
    fn answers_are_what_they_say_wherever_they_are_cut() {
        let (whole, rest) = all(WHOLE);
        assert_eq!((whole.len(), rest), (8, 0));
        assert_eq!(whole[3], Reply::Text(Some(b"a\r\nbc".to_vec())));
        assert_eq!(whole[2], Reply::Whole(-42));
        assert_eq!((&whole[4], &whole[5]), (&Reply::Text(None), &Reply::List(None)));
        for cut in 0..WHOLE.len() {
            let (first, left) = all(&WHOLE[..cut]);
            assert_eq!(first[..], whole[..first.len()], "cut at {cut}");
            let (second, end) = all(&WHOLE[cut - left..]);
            assert_eq!((&second[..], end), (&whole[first.len()..], 0), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_and_so_is_one_that_is_too_long() {
        let long = [b"+".as_slice(), &vec![b'x'; LINE + 2]].concat();
        let deep = b"*1\r\n".repeat(6);
        for bytes in [
            b"HTTP/1.1 400\r\n".as_slice(),
            b"?\r\n",
            b":\r\n",
            b":-\r\n",
            b":1x\r\n",
            b":99999999999999999999\r\n",
            b"+a\n",
            b"+a\rb\r\n",
            b"$-2\r\n",
            b"$65537\r\n",
            b"*65\r\n",
            b"$1\r\nab\r\n",
            &long,
            &deep,
        ] {
            assert_eq!(read(bytes), Err(Malformed), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_command_is_a_list_of_its_words() {
        let mut out = Vec::new();
        write(&mut out, &[b"GET", b"a\r\nb", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
        let words = [b"GET".as_slice(), b"a\r\nb", b""].map(|it| Reply::Text(Some(it.to_vec())));
        assert_eq!(read(&out), Ok(Some((Reply::List(Some(words.to_vec())), out.len()))));
    }

    #[test]
    fn numbers_are_those_of_a_list_of_nothing_else() {
        let of = |bytes: &[u8]| read(bytes).expect("an answer").expect("whole").0.numbers();
        assert_eq!(of(b"*2\r\n:1\r\n:2\r\n"), Some(vec![1, 2]));
        assert_eq!((of(b"*1\r\n$1\r\n1\r\n"), of(b":1\r\n")), (None, None));
    }
}
