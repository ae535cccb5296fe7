//! What an authorizer of Envoy's answers (`envoy.service.auth.v3.CheckResponse`): a yes with fields of the request, or a no as its
//! client is told it. What could be taken for either is neither; what is not known is read over. Nothing is followed deeper than the
//! four levels that a field of an answer stands in. Read next: `protobuf.rs`; the engine's `head/envoy.rs`, which writes the question.

use crate::protobuf::{Malformed, Value, fields};

/// The most fields that one answer says, and the most that it has removed.
pub const MOST: usize = 256;

/// How a field goes beside others of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Add,
    AddIfAbsent,
    Set,
    SetIfThere,
}

/// A field of HTTP as an answer has it: nobody has looked yet whether it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    pub how: How,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<'a> {
    Passes {
        /// Of the request.
        says: Vec<Said<'a>>,
        /// Of the request too, to be taken out of it.
        removes: Vec<&'a [u8]>,
        /// It would have another query asked for.
        edits_query: bool,
        /// Of the answer to the client.
        tells: Vec<Said<'a>>,
    },
    /// `status`: of HTTP, 0 where it says none.
    Denied { status: u64, says: Vec<Said<'a>>, body: &'a [u8] },
}

/// Why it is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    Malformed,
    /// No status, no yes and no no.
    Silent,
    /// A yes and a no.
    Both,
    /// It says of itself that it failed.
    Failed,
    TooMany,
}

impl Unfit {
    pub fn words(self) -> &'static str {
        match self {
            Unfit::Malformed => "answered what is no CheckResponse",
            Unfit::Silent => "answered with neither a status nor a response",
            Unfit::Both => "answered with a yes and a no",
            Unfit::Failed => "answered with an error_response",
            Unfit::TooMany => "answered with too many fields",
        }
    }
}

impl From<Malformed> for Unfit {
    fn from(_: Malformed) -> Unfit {
        Unfit::Malformed
    }
}

/// Reads an answer. A message that stands where one is meant, and more than once, is no answer: readers put them together in more ways
/// than one.
pub fn read(message: &[u8]) -> Result<Word<'_>, Unfit> {
    let (mut status, mut denied, mut ok, mut failed) = (None, None, None, false);
    for field in fields(message) {
        match field? {
            (1, value) => once(&mut status, inner(value)?)?,
            (2, value) => once(&mut denied, inner(value)?)?,
            (3, value) => once(&mut ok, inner(value)?)?,
            (5, _) => failed = true,
            _ => {}
        }
    }
    let code = status.map(|it| last_number(it, 1)).transpose()?;
    match (code, ok, denied) {
        _ if failed => Err(Unfit::Failed),
        (_, Some(_), Some(_)) | (Some(0), _, Some(_)) => Err(Unfit::Both),
        (None, None, None) => Err(Unfit::Silent),
        (_, None, Some(denied)) => no(denied),
        (None | Some(0), ok, None) => yes(ok.unwrap_or_default()),
        (Some(_), _, None) => Ok(Word::Denied { status: 0, says: Vec::new(), body: b"" }),
    }
}

fn yes(message: &[u8]) -> Result<Word<'_>, Unfit> {
    let (mut says, mut removes, mut tells, mut edits_query) = (Vec::new(), Vec::new(), Vec::new(), false);
    for field in fields(message) {
        match field? {
            (2, value) => bounded(&mut says, said(inner(value)?)?)?,
            (5, value) => bounded(&mut removes, inner(value)?)?,
            (6, value) => bounded(&mut tells, said(inner(value)?)?)?,
            (7 | 8, _) => edits_query = true,
            _ => {}
        }
    }
    Ok(Word::Passes { says, removes, edits_query, tells })
}

fn no(message: &[u8]) -> Result<Word<'_>, Unfit> {
    let (mut status, mut says, mut body) = (None, Vec::new(), &b""[..]);
    for field in fields(message) {
        match field? {
            (1, value) => once(&mut status, inner(value)?)?,
            (2, value) => bounded(&mut says, said(inner(value)?)?)?,
            (3, value) => body = inner(value)?,
            _ => {}
        }
    }
    let status = status.map(|it| last_number(it, 1)).transpose()?.unwrap_or(0);
    Ok(Word::Denied { status, says, body })
}

/// A `HeaderValueOption`.
fn said(message: &[u8]) -> Result<Said<'_>, Unfit> {
    let (mut header, mut append, mut action) = (None, None, 0);
    for field in fields(message) {
        match field? {
            (1, value) => once(&mut header, inner(value)?)?,
            (2, value) => once(&mut append, inner(value)?)?,
            (3, Value::Number(n)) => action = n,
            (3, _) => return Err(Unfit::Malformed),
            _ => {}
        }
    }
    let (mut name, mut value, mut raw) = (&b""[..], &b""[..], &b""[..]);
    for field in fields(header.unwrap_or_default()) {
        match field? {
            (1, it) => name = inner(it)?,
            (2, it) => value = inner(it)?,
            (3, it) => raw = inner(it)?,
            _ => {}
        }
    }
    // One of the two says it.
    if !value.is_empty() && !raw.is_empty() {
        return Err(Unfit::Malformed);
    }
    // Where nothing is said the later one stands: `append` is false by default in these messages, and an `append_action` of 0 is
    // written as none.
    let how = match (append.map(|it| last_number(it, 1)).transpose()?, action) {
        (Some(0), _) | (None, 0 | 2) => How::Set,
        (Some(_), _) => How::Add,
        (None, 1) => How::AddIfAbsent,
        (None, 3) => How::SetIfThere,
        _ => return Err(Unfit::Malformed),
    };
    Ok(Said { name, value: if value.is_empty() { raw } else { value }, how })
}

fn inner(value: Value<'_>) -> Result<&[u8], Unfit> {
    match value {
        Value::Bytes(it) => Ok(it),
        Value::Number(_) | Value::Fixed => Err(Unfit::Malformed),
    }
}

fn once<'a>(slot: &mut Option<&'a [u8]>, it: &'a [u8]) -> Result<(), Unfit> {
    match slot.replace(it) {
        None => Ok(()),
        Some(_) => Err(Unfit::Malformed),
    }
}

fn bounded<T>(list: &mut Vec<T>, it: T) -> Result<(), Unfit> {
    if list.len() >= MOST {
        return Err(Unfit::TooMany);
    }
    list.push(it);
    Ok(())
}

/// The field of that number, which is one: 0 where it is left out.
fn last_number(message: &[u8], wanted: u64) -> Result<u64, Unfit> {
    let mut found = 0;
    for field in fields(message) {
        match field? {
            (number, Value::Number(n)) if number == wanted => found = n,
            (number, _) if number == wanted => return Err(Unfit::Malformed),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{bytes, fixed64, message, number};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn code(out: &mut Vec<u8>, code: u64) {
        message(out, 1, |out| {
            if code > 0 {
                number(out, 1, code);
            }
        });
    }

    fn field(out: &mut Vec<u8>, at: u32, (name, value): (&str, &str), more: impl FnOnce(&mut Vec<u8>)) {
        message(out, at, |out| {
            message(out, 1, |out| {
                bytes(out, 1, name.as_bytes());
                bytes(out, 2, value.as_bytes());
            });
            more(out);
        });
    }

    fn a_yes() -> Vec<u8> {
        written(|out| {
            code(out, 0);
            message(out, 3, |out| {
                field(out, 2, ("x-user", "kim"), |_| {});
                field(out, 2, ("x-role", "a"), |out| message(out, 2, |out| number(out, 1, 1)));
                field(out, 2, ("x-role", "b"), |out| message(out, 2, |_| {}));
                field(out, 2, ("x-once", "c"), |out| number(out, 3, 1));
                field(out, 2, ("x-then", "d"), |out| number(out, 3, 3));
                bytes(out, 5, b"x-secret");
                field(out, 6, ("set-cookie", "a=b"), |_| {});
                fixed64(out, 90, 1);
            });
            message(out, 4, |out| bytes(out, 1, b"metadata"));
            number(out, 77, 1);
        })
    }

    fn a_no() -> Vec<u8> {
        written(|out| {
            code(out, 7);
            message(out, 2, |out| {
                message(out, 1, |out| number(out, 1, 401));
                field(out, 2, ("www-authenticate", "Basic"), |_| {});
                bytes(out, 3, b"no");
            });
        })
    }

    #[test]
    fn a_yes_says_fields_and_how_they_go_beside_others() {
        let it = a_yes();
        let Ok(Word::Passes { says, removes, edits_query, tells }) = read(&it) else { panic!("a yes") };
        let hows: Vec<_> = says.iter().map(|it| it.how).collect();
        assert_eq!(hows, [How::Set, How::Add, How::Set, How::AddIfAbsent, How::SetIfThere]);
        assert_eq!((says[0].name, says[0].value), (&b"x-user"[..], &b"kim"[..]));
        assert_eq!((removes, edits_query), (vec![&b"x-secret"[..]], false));
        assert_eq!((tells[0].name, tells[0].value), (&b"set-cookie"[..], &b"a=b"[..]));
    }

    #[test]
    fn a_no_says_what_its_client_is_told() {
        let it = a_no();
        let Ok(Word::Denied { status, says, body }) = read(&it) else { panic!("a no") };
        assert_eq!((status, says.len(), body), (401, 1, &b"no"[..]));
        let plain = written(|out| code(out, 16));
        assert_eq!(read(&plain), Ok(Word::Denied { status: 0, says: vec![], body: b"" }), "a status alone");
        let odd = written(|out| {
            code(out, 7);
            message(out, 3, |_| {});
        });
        assert!(matches!(read(&odd), Ok(Word::Denied { .. })), "a no beside a response for a yes");
    }

    #[test]
    fn cut_anywhere_it_is_never_another_word() {
        for whole in [a_yes(), a_no()] {
            let word = read(&whole).expect("an answer");
            let is_yes = matches!(word, Word::Passes { .. });
            for cut in 0..whole.len() {
                match read(&whole[..cut]) {
                    Err(_) => {}
                    Ok(it) => assert_eq!(matches!(it, Word::Passes { .. }), is_yes, "cut at {cut}"),
                }
            }
        }
    }

    #[test]
    fn what_could_be_either_is_neither() {
        let both = written(|out| {
            message(out, 2, |_| {});
            message(out, 3, |_| {});
        });
        let against = written(|out| {
            code(out, 0);
            message(out, 2, |_| {});
        });
        let failed = written(|out| {
            code(out, 0);
            message(out, 5, |_| {});
        });
        let twice = written(|out| {
            code(out, 7);
            code(out, 0);
        });
        let action = written(|out| message(out, 3, |out| field(out, 2, ("x-a", "b"), |out| number(out, 3, 9))));
        let query = written(|out| message(out, 3, |out| bytes(out, 8, b"q")));
        let many = written(|out| message(out, 3, |out| (0..=MOST).for_each(|_| field(out, 2, ("x", "y"), |_| {}))));
        for (it, why) in [
            (&both[..], Unfit::Both),
            (&against, Unfit::Both),
            (&failed, Unfit::Failed),
            (b"", Unfit::Silent),
            (&twice, Unfit::Malformed),
            (&action, Unfit::Malformed),
            (&many, Unfit::TooMany),
            (b"<html>", Unfit::Malformed),
            (b"\x08\x00", Unfit::Malformed),
        ] {
            assert_eq!(read(it), Err(why), "{it:?}");
        }
        assert!(matches!(read(&query), Ok(Word::Passes { edits_query: true, .. })));
    }
}
