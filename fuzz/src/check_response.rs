//! What an authorizer answers by gRPC: which message it is does not depend on where the bytes were cut, nothing behind it is of it, a
//! second reader of protobuf sees the same fields, and no answer that a no can be read in is a yes.

use everyhop_canon::check_response::{MOST, Word, read};
use everyhop_canon::protobuf::{Value, fields, framed, unframed};

const MOST_BYTES: usize = 64 * 1024;

pub fn check_response(data: &[u8]) {
    let whole = unframed(data, MOST_BYTES);
    for cut in crate::cuts(data.len()) {
        match (unframed(&data[..cut], MOST_BYTES), whole) {
            (Ok(None), _) => {}
            (so_far, whole) => assert_eq!(so_far, whole, "cut at {cut}"),
        }
    }
    // What is no message of gRPC is read as what stands in one.
    let message = match whole {
        Ok(Some((message, len))) => {
            assert_eq!(unframed(&data[..len], MOST_BYTES), whole, "what follows is not of it");
            message
        }
        _ => data,
    };
    if message.len() <= MOST_BYTES {
        let again = framed(|out| out.extend_from_slice(message));
        assert_eq!(unframed(&again, MOST_BYTES), Ok(Some((message, message.len() + 5))));
    }
    let mine = top(message);
    let seen: Option<Vec<Field<'_>>> = fields(message)
        .map(|it| it.ok().map(|(number, value)| (number, if let Value::Bytes(it) = value { Some(it) } else { None })))
        .collect();
    assert_eq!(mine, seen, "{}", crate::shown(message));
    let word = read(message);
    let Some(mine) = mine else {
        assert!(word.is_err());
        return;
    };
    let has = |wanted: u64| mine.iter().any(|(number, _)| *number == wanted);
    match word {
        Err(_) => {}
        Ok(Word::Passes { says, removes, tells, .. }) => {
            assert!(!has(2) && !has(5) && (has(1) || has(3)));
            assert!(says.len() <= MOST && removes.len() <= MOST && tells.len() <= MOST);
        }
        Ok(Word::Denied { says, body, .. }) => {
            assert!(!has(5) && (has(1) || has(2)));
            assert!(says.len() <= MOST && body.len() <= message.len());
        }
    }
}

/// A field's number, and what it holds if those are bytes.
type Field<'a> = (u64, Option<&'a [u8]>);

/// The fields of a message by a reader that knows nothing of the other: bit by bit, and from a cursor.
fn top(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let (mut at, mut out) = (0, Vec::new());
    while at < message.len() {
        let key = number(message, &mut at)?;
        if key >> 32 != 0 || key < 8 {
            return None;
        }
        let length = match key % 8 {
            0 => {
                number(message, &mut at)?;
                out.push((key / 8, None));
                continue;
            }
            1 => 8,
            2 => number(message, &mut at)?,
            5 => 4,
            _ => return None,
        };
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        let bytes = message.get(at..end)?;
        out.push((key / 8, (key % 8 == 2).then_some(bytes)));
        at = end;
    }
    Some(out)
}

fn number(message: &[u8], at: &mut usize) -> Option<u64> {
    let (mut n, mut bit) = (0u128, 0);
    loop {
        let byte = *message.get(*at)?;
        *at += 1;
        n |= u128::from(byte & 0x7f) << bit;
        bit += 7;
        if byte < 0x80 {
            break;
        }
        if bit >= 70 {
            return None;
        }
    }
    u64::try_from(n).ok()
}
