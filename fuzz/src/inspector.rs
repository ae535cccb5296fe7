//! What the inspector says of a request: read whole or not at all, by lengths that a second reader counts in another way.

use everyhop_engine::inspect::frames::{Said, answer};

const VERDICT: u8 = 5;
const FAILED: u8 = 6;

pub fn inspector(data: &[u8]) {
    let read = answer(VERDICT, data);
    assert_eq!(read.is_ok(), counted(data) == Some(data.len()), "{}", crate::shown(data));
    if let Ok(it) = &read {
        assert_eq!(it.id.to_be_bytes(), data[..8]);
        let Said::Verdict(verdict) = &it.said else { panic!("a verdict is one") };
        assert_eq!((verdict.denies, verdict.rules.len()), (data[8] != 0, rules(data)));
    }
    for cut in crate::cuts(data.len()) {
        if read.is_ok() && cut < data.len() {
            assert!(answer(VERDICT, &data[..cut]).is_err(), "cut at {cut}");
        }
    }
    let failed = answer(FAILED, data);
    assert_eq!(failed.is_ok(), data.len() == 9 && (1..=4).contains(&data[8]));
    assert!(failed.is_err() || !matches!(failed.expect("read").said, Said::Verdict(_)), "no verdict comes of none");
}

fn rules(data: &[u8]) -> usize {
    data.get(15..17).map_or(0, |it| usize::from(it[0]) << 8 | usize::from(it[1]))
}

/// How long a verdict is that begins so, by its own lengths; nothing where it is none.
fn counted(data: &[u8]) -> Option<usize> {
    if *data.get(8)? > 2 || data.len() < 17 || rules(data) > 200 {
        return None;
    }
    let mut at = 17;
    for _ in 0..rules(data) {
        at += 6;
        for _ in 0..2 {
            let length = data.get(at..at + 2)?;
            at += 2 + (usize::from(length[0]) << 8 | usize::from(length[1]));
        }
    }
    (at <= data.len()).then_some(at)
}
