//! In which words a client wants to be told of a refusal: by its Accept (RFC 9110 §12.5.1). Looked for only once there is
//! something to tell. Who asks for nothing particular is told in plain text. Read next: `answer.rs`.

use crate::exchange::coding::weight;
use crate::exchange::words::{Built, Fields};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Plain,
    Html,
    /// `application/problem+json` (RFC 9457), also for who asks for JSON.
    Problem,
}

/// Of a longer list the rest says nothing.
const RANGES: usize = 32;

/// How well a range names what is offered, the best last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    ByAnything,
    ByKind,
    Itself,
}

impl Wants {
    #[cold]
    pub(crate) fn of_fields(fields: &impl Fields) -> Wants {
        let mut all = Vec::new();
        fields.each(|_, name, value| {
            if name.eq_ignore_ascii_case(b"accept") {
                all.extend_from_slice(value);
                all.push(b',');
            }
        });
        Wants::of(&all)
    }

    /// Of the head that a backend was sent: what the client asked for went on with it.
    #[cold]
    pub(crate) fn of_built(built: &Built) -> Wants {
        let mut all = Vec::new();
        let mut add = |value: &[u8]| {
            all.extend_from_slice(value);
            all.push(b',');
        };
        match built {
            Built::H1(head) => {
                for line in head.split(|b| *b == b'\n') {
                    if let Some((name, value)) = line.split_at_checked(7)
                        && name.eq_ignore_ascii_case(b"accept:")
                    {
                        add(value);
                    }
                }
            }
            Built::H2(_) | Built::Either(..) => {
                built.over_h2().into_iter().for_each(|it| {
                    it.each(|name, value| {
                        if name.eq_ignore_ascii_case(b"accept") {
                            add(value);
                        }
                    });
                });
            }
        }
        Wants::of(&all)
    }

    /// Of a list of media ranges: what is wanted most; of several that are wanted alike what is named best, then first.
    pub(crate) fn of(accept: &[u8]) -> Wants {
        const OFFERED: [(Wants, &[&[u8]]); 3] = [
            (Wants::Plain, &[b"text/plain"]),
            (Wants::Html, &[b"text/html"]),
            (Wants::Problem, &[b"application/problem+json", b"application/json"]),
        ];
        let ranges = || accept.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|r| !r.is_empty()).take(RANGES);
        let mut best = ((0, Named::ByAnything, std::cmp::Reverse(usize::MAX)), Wants::Plain);
        for (wants, names) in OFFERED {
            // What names it best says how much it is wanted.
            let said = ranges().enumerate().filter_map(|(at, range)| {
                let mut parts = range.split(|b| *b == b';').map(<[u8]>::trim_ascii);
                let named = named(parts.next()?, names)?;
                Some((named, weight(parts), at))
            });
            let Some((named, weight, at)) =
                said.max_by_key(|(named, weight, at)| (*named, *weight, std::cmp::Reverse(*at)))
            else {
                continue;
            };
            let rank = (weight, named, std::cmp::Reverse(at));
            if weight > 0 && rank > best.0 {
                best = (rank, wants);
            }
        }
        best.1
    }
}

fn named(range: &[u8], names: &[&[u8]]) -> Option<Named> {
    if range == b"*/*" {
        return Some(Named::ByAnything);
    }
    let kind = |name: &&[u8]| {
        range
            .strip_suffix(b"*")
            .is_some_and(|kind| kind.len() > 1 && kind.ends_with(b"/") && name.starts_with(&kind.to_ascii_lowercase()))
    };
    if names.iter().any(|name| range.eq_ignore_ascii_case(name)) {
        Some(Named::Itself)
    } else if names.iter().any(kind) {
        Some(Named::ByKind)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_most_is_told_and_who_asks_for_nothing_particular_gets_plain_text() {
        for (accept, wants) in [
            ("", Wants::Plain),
            ("*/*", Wants::Plain),
            ("image/avif,image/webp,*/*;q=0.8", Wants::Plain),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Wants::Html),
            ("TEXT/HTML", Wants::Html),
            ("application/json, text/plain, */*", Wants::Problem),
            ("text/plain, application/json", Wants::Plain),
            ("application/problem+json", Wants::Problem),
            ("application/*", Wants::Problem),
            ("text/*", Wants::Plain),
            ("text/html;q=0.5, application/json;q=0.6", Wants::Problem),
            ("text/html;q=0, */*", Wants::Plain),
            ("text/html;level=1;q=0.9", Wants::Html),
            ("*/*, text/plain;q=0.1, text/html;q=0.2", Wants::Problem),
            ("text/html;q=2", Wants::Plain),
            ("text/html;q=x,application/json;q=0.001", Wants::Problem),
            ("image/png", Wants::Plain),
            (",;=,/,*,text/", Wants::Plain),
        ] {
            assert_eq!(Wants::of(accept.as_bytes()), wants, "{accept:?}");
        }
    }

    #[test]
    fn a_list_without_end_is_read_to_its_bound() {
        let long = "a/b,".repeat(100_000) + "text/html";
        assert_eq!(Wants::of(long.as_bytes()), Wants::Plain);
    }

    #[test]
    fn what_a_backend_was_sent_tells_what_the_client_asked_for() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\nx-accept: text/plain\r\nAccept: text/html;q=0.1\r\naccept: application/json\r\n\r\n";
        assert_eq!(Wants::of_built(&Built::H1(head.to_vec())), Wants::Problem);
    }
}
