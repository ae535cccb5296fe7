//! What rules said of a request, as its line tells it: which of them matched and in which part of it, and never what stood there.
//! Read next: `line.rs`.

use crate::json::{plain_field, text};
use everyhop_http1::write::number;

/// Rules that a line names; there may be many more.
const TOLD: usize = 16;

/// What a request was inspected by, and what came of that.
#[derive(Debug, Clone, Copy)]
pub struct InspectedBy<'a> {
    pub by: &'a str,
    pub verdict: &'static str,
    /// Of the rules; nothing where there was no verdict of theirs.
    pub score: Option<u32>,
    /// Numbers of rules that matched, each with the part of the request in which it did, such as `ARGS:q`.
    pub rules: &'a [(u32, Vec<u8>)],
    pub duration_us: u64,
    /// Nobody inspected it, and it passed.
    pub is_uninspected: bool,
}

#[cold]
pub(crate) fn inspected_by(out: &mut Vec<u8>, it: Option<&InspectedBy<'_>>) {
    let Some(it) = it else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(b"{\"by\":");
    text(out, it.by.as_bytes());
    plain_field(out, b",\"verdict\":", Some(it.verdict));
    out.extend_from_slice(b",\"score\":");
    match it.score {
        None => out.extend_from_slice(b"null"),
        Some(score) => number(out, score.into()),
    }
    out.extend_from_slice(b",\"matched\":");
    number(out, it.rules.len() as u64);
    out.extend_from_slice(b",\"rules\":[");
    for (i, (rule, on)) in it.rules.iter().take(TOLD).enumerate() {
        out.extend_from_slice(if i > 0 { b",{\"rule\":" } else { b"{\"rule\":" });
        number(out, u64::from(*rule));
        out.extend_from_slice(b",\"on\":");
        text(out, on);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"duration_us\":");
    number(out, it.duration_us);
    out.push(b'}');
}

/// The rules in words, for who has no place for a list.
pub(crate) fn rules_in_words(it: &InspectedBy<'_>) -> String {
    let named: Vec<String> =
        it.rules.iter().take(TOLD).map(|(rule, on)| format!("{rule} ({})", String::from_utf8_lossy(on))).collect();
    named.join(" ")
}
