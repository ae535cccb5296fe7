//! What a service of Envoy's rate limits answers (`envoy.service.ratelimit.v3.RateLimitResponse`) of one descriptor: whether a request
//! passes, and if not, by which limit and until when. Its overall word counts, as in Envoy: a service that only watches says OK and tells of
//! its descriptors what it would have said. What is not known is read over. Read next: `protobuf.rs`; the engine's
//! `store/service.rs`, which writes the question.

use crate::protobuf::{Malformed, Value, fields};

/// The most descriptors that one answer speaks of.
pub const MOST: usize = 64;
/// The longest time until which somebody is refused: a leap year, the longest unit that limits have.
pub const LONGEST_US: u64 = 366 * 86_400 * 1_000_000;

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Passes {
        /// So many more would, where it says that.
        left: Option<u64>,
    },
    Over {
        /// One passes after so long, where it says that.
        after_us: Option<u64>,
        /// So many in so many seconds do, where it says that.
        limit: Option<(u32, u64)>,
    },
}

/// Why it is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    Malformed,
    /// Neither yes nor no.
    Silent,
    /// A time that nobody waits for.
    Time,
    TooMany,
}

impl Unfit {
    pub fn words(self) -> &'static str {
        match self {
            Unfit::Malformed => "it answers what is no RateLimitResponse",
            Unfit::Silent => "it answers with neither OK nor OVER_LIMIT",
            Unfit::Time => "it names a time that is none",
            Unfit::TooMany => "it answers of more descriptors than it was asked",
        }
    }
}

impl From<Malformed> for Unfit {
    fn from(_: Malformed) -> Unfit {
        Unfit::Malformed
    }
}

const OK: u64 = 1;
const OVER: u64 = 2;

/// Of a descriptor.
#[derive(Default)]
struct Status {
    code: u64,
    limit: Option<(u32, u64)>,
    left: u64,
    after_us: Option<u64>,
}

/// Reads an answer.
pub fn read(message: &[u8]) -> Result<Word, Unfit> {
    let (mut overall, mut all) = (0, Vec::new());
    for field in fields(message) {
        match field? {
            (1, value) => overall = number(value)?,
            (2, value) if all.len() < MOST => all.push(status(inner(value)?)?),
            (2, _) => return Err(Unfit::TooMany),
            _ => {}
        }
    }
    match overall {
        // Nothing is said of what is left where no limit holds.
        OK => Ok(Word::Passes { left: all.iter().filter(|it| it.limit.is_some()).map(|it| it.left).min() }),
        OVER => {
            // Of several the one that holds longest.
            let over = all.iter().filter(|it| it.code == OVER).max_by_key(|it| it.after_us);
            Ok(Word::Over { after_us: over.and_then(|it| it.after_us), limit: over.and_then(|it| it.limit) })
        }
        _ => Err(Unfit::Silent),
    }
}

fn status(message: &[u8]) -> Result<Status, Unfit> {
    let mut it = Status::default();
    for field in fields(message) {
        match field? {
            (1, value) => it.code = number(value)?,
            (2, value) => it.limit = limit(inner(value)?)?,
            (3, value) => it.left = number(value)?,
            (4, value) => it.after_us = Some(time(inner(value)?)?),
            _ => {}
        }
    }
    Ok(it)
}

/// So many, and in how many seconds; nothing where its unit is none that is known.
fn limit(message: &[u8]) -> Result<Option<(u32, u64)>, Unfit> {
    let (mut count, mut unit) = (0, 0);
    for field in fields(message) {
        match field? {
            (1, value) => count = number(value)?,
            (2, value) => unit = number(value)?,
            _ => {}
        }
    }
    // SECOND, MINUTE, HOUR, DAY, MONTH, YEAR, as the service counts them; WEEK came last.
    let seconds = match unit {
        1 => 1,
        2 => 60,
        3 => 3_600,
        4 => 86_400,
        5 => 30 * 86_400,
        6 => 365 * 86_400,
        7 => 7 * 86_400,
        _ => return Ok(None),
    };
    Ok(u32::try_from(count).ok().map(|count| (count, seconds)))
}

/// A `google.protobuf.Duration`, which is not below zero.
fn time(message: &[u8]) -> Result<u64, Unfit> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in fields(message) {
        match field? {
            (1, value) => seconds = number(value)?,
            (2, value) => nanos = number(value)?,
            _ => {}
        }
    }
    let us = seconds.checked_mul(1_000_000).and_then(|us| us.checked_add(nanos.div_ceil(1_000)));
    us.filter(|us| nanos < 1_000_000_000 && *us <= LONGEST_US).ok_or(Unfit::Time)
}

fn inner(value: Value<'_>) -> Result<&[u8], Unfit> {
    match value {
        Value::Bytes(it) => Ok(it),
        Value::Number(_) | Value::Fixed => Err(Unfit::Malformed),
    }
}

fn number(value: Value<'_>) -> Result<u64, Unfit> {
    match value {
        Value::Number(it) => Ok(it),
        Value::Bytes(_) | Value::Fixed => Err(Unfit::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{bytes, message, number};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn of(code: u64, per: Option<(u64, u64)>, left: u64, after: Option<(u64, u64)>) -> impl FnOnce(&mut Vec<u8>) {
        move |out| {
            message(out, 2, |out| {
                number(out, 1, code);
                if let Some((count, unit)) = per {
                    message(out, 2, |out| {
                        number(out, 1, count);
                        number(out, 2, unit);
                        bytes(out, 3, b"few");
                    });
                }
                number(out, 3, left);
                if let Some((s, ns)) = after {
                    message(out, 4, |out| {
                        number(out, 1, s);
                        number(out, 2, ns);
                    });
                }
            });
        }
    }

    type Writes = Box<dyn FnOnce(&mut Vec<u8>)>;

    fn answer(overall: u64, each: Vec<Writes>) -> Vec<u8> {
        written(|out| {
            number(out, 1, overall);
            each.into_iter().for_each(|it| it(out));
            bytes(out, 5, b"what is not known");
        })
    }

    #[test]
    fn a_yes_says_what_is_left_of_the_limit_that_leaves_least() {
        assert_eq!(read(&answer(1, vec![])), Ok(Word::Passes { left: None }));
        let none = answer(1, vec![Box::new(of(1, None, 0, None))]);
        assert_eq!(read(&none), Ok(Word::Passes { left: None }), "no limit holds");
        let two = answer(1, vec![Box::new(of(1, Some((9, 2)), 7, None)), Box::new(of(1, Some((5, 1)), 3, None))]);
        assert_eq!(read(&two), Ok(Word::Passes { left: Some(3) }));
        let watches = answer(1, vec![Box::new(of(2, Some((9, 2)), 0, Some((5, 0))))]);
        assert_eq!(read(&watches), Ok(Word::Passes { left: Some(0) }), "a service that only watches");
    }

    #[test]
    fn a_no_says_by_which_limit_and_until_when() {
        assert_eq!(read(&answer(2, vec![])), Ok(Word::Over { after_us: None, limit: None }));
        let two = answer(
            2,
            vec![
                Box::new(of(2, Some((9, 2)), 0, Some((5, 1)))),
                Box::new(of(2, Some((1000, 3)), 0, Some((100, 0)))),
                Box::new(of(1, Some((1, 6)), 0, Some((9_999, 0)))),
            ],
        );
        assert_eq!(read(&two), Ok(Word::Over { after_us: Some(100_000_000), limit: Some((1000, 3600)) }));
        let one = answer(2, vec![Box::new(of(2, Some((9, 99)), 0, Some((5, 1))))]);
        assert_eq!(read(&one), Ok(Word::Over { after_us: Some(5_000_001), limit: None }), "another unit");
    }

    #[test]
    fn what_is_neither_or_names_a_time_that_is_none_is_no_answer() {
        for code in [0, 3, u64::MAX] {
            assert_eq!(read(&answer(code, vec![])), Err(Unfit::Silent));
        }
        assert_eq!(read(b""), Err(Unfit::Silent));
        for after in [(u64::MAX, 0), (1, 1_000_000_000), (LONGEST_US / 1_000_000, 1)] {
            assert_eq!(read(&answer(2, vec![Box::new(of(2, None, 0, Some(after)))])), Err(Unfit::Time), "{after:?}");
        }
        assert_eq!(read(b"<html>"), Err(Unfit::Malformed));
        assert_eq!(read(b"\x0a\x01\x01"), Err(Unfit::Malformed), "a code of bytes");
        assert_eq!(read(b"\x08\x01\x10\x01"), Err(Unfit::Malformed), "a descriptor of a number");
        let many = answer(1, (0..=MOST).map(|_| Box::new(of(1, None, 0, None)) as Writes).collect());
        assert_eq!(read(&many), Err(Unfit::TooMany));
    }

    #[test]
    fn cut_anywhere_a_no_is_never_a_yes_and_a_yes_never_a_no() {
        for (code, is_over) in [(1, false), (2, true)] {
            let whole = answer(code, vec![Box::new(of(code, Some((9, 2)), 3, Some((5, 7))))]);
            for cut in 0..whole.len() {
                if let Ok(word) = read(&whole[..cut]) {
                    assert_eq!(matches!(word, Word::Over { .. }), is_over, "cut at {cut}");
                }
            }
        }
    }
}
