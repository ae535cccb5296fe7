//! Every way in which a backend reads a path is there, alone and one after the other, and no other way (R01).

use everyhop_canon::path::{BadPath, NotStrict, path};
use everyhop_canon::readings::{each, folded};

/// All readings of `path` and of a key beside it, in order of their bytes.
fn beside(path: &[u8], key: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut out = Vec::new();
    let whole = each(path, &[key], |path, keys| {
        out.push((path.to_vec(), keys.concat()));
        true
    });
    assert!(whole, "no reading is left out");
    out.sort();
    out
}

fn of(path: &[u8]) -> Vec<Vec<u8>> {
    beside(path, "").into_iter().map(|(path, _)| path).collect()
}

#[test]
fn a_path_has_the_readings_of_each_kind_of_reader_and_of_those_that_do_several_of_it() {
    let table: &[(&[u8], &[&[u8]])] = &[
        (b"/a", &[b"/a"]),
        (b"/a%2fb", &[b"/a%2Fb", b"/a/b"]),
        (b"/a%252Fb", &[b"/a%252Fb", b"/a%2Fb", b"/a/b"]),
        ("/\u{e9}".as_bytes(), &[b"/%C3%A9", "/\u{e9}".as_bytes()]),
        (b"/a%C1%81", &[b"/a%C1%81", b"/a\xc1\x81", b"/aA"]),
        (b"/a%E0%81%81", &[b"/a%E0%81%81", b"/a\xe0\x81\x81", b"/aA"]),
        (b"/a%F0%80%81%81", &[b"/a%F0%80%81%81", b"/a\xf0\x80\x81\x81", b"/aA"]),
        (b"/a%C0%AFb", &[b"/a%C0%AFb", b"/a\xc0\xafb", b"/a/b"]),
        (b"/a%E0%82%80", &[b"/a%E0%82%80", b"/a\xe0\x82\x80"]),
        (b"/a\\b", &[b"/a\\b", b"/a/b"]),
        (b"//a//b", &[b"//a//b", b"/a/b"]),
        (b"/a/../b", &[b"/a/../b", b"/b"]),
        (b"/a/./b", &[b"/a/./b", b"/a/b"]),
        (b"/a/b/..", &[b"/a/b/..", b"/a/"]),
        (b"/a/.", &[b"/a/.", b"/a/"]),
        (b"/a/...", &[b"/a/..."]),
        (b"/a;x=1/b;y", &[b"/a;x=1/b;y", b"/a/b"]),
        (b"/a%3Fb", &[b"/a%3Fb", b"/a?b", b"/a"]),
        (b"/a%23b", &[b"/a%23b", b"/a#b", b"/a"]),
        (b"/a%00b", &[b"/a%00b", b"/a\0b", b"/a"]),
        (b"/a./b", &[b"/a./b", b"/a/b"]),
        (b"/a%20/b", &[b"/a%20/b", b"/a /b", b"/a/b"]),
        (b"/a/..;x/b", &[b"/a/..;x/b", b"/a/../b", b"/b"]),
    ];
    for (path, readings) in table {
        let mut expected: Vec<Vec<u8>> = readings.iter().map(|it| it.to_vec()).collect();
        expected.sort();
        assert_eq!(of(path), expected, "{}", String::from_utf8_lossy(path));
    }
}

#[test]
fn a_key_is_read_as_the_path_is_also_where_only_the_key_changes() {
    let both = [("/%61", "/%62"), ("/a", "/b")].map(|(p, k)| (p.as_bytes().to_vec(), k.as_bytes().to_vec()));
    assert_eq!(beside(b"/%61", "/%62"), both);
    let alone = [("/a", "/%62"), ("/a", "/b")].map(|(p, k)| (p.as_bytes().to_vec(), k.as_bytes().to_vec()));
    assert_eq!(beside(b"/a", "/%62"), alone);
}

#[test]
fn what_has_too_many_readings_or_too_long_ones_is_not_read_to_the_end() {
    let told = |path: &[u8], key: &str| each(path, &[key], |_, _| true);
    // Encoded `n` times it has `n + 1` readings.
    let encoded = |times: usize| format!("/%{}41", "25".repeat(times - 1));
    assert!(told(encoded(63).as_bytes(), ""), "64 of them, each shorter than the one before");
    assert!(!told(encoded(64).as_bytes(), ""));
    let (path, key) = (format!("/{}", "a".repeat(65_000)), "b".repeat(535));
    assert!(told(path.as_bytes(), &key), "64 KiB, the key counted");
    assert!(!told(path.as_bytes(), &format!("{key}b")));
    let twice = format!("/%61{}", "a".repeat(32_765));
    assert!(told(twice.as_bytes(), "") && !told(format!("{twice}a").as_bytes(), ""), "all of them together");
}

#[test]
fn whoever_looks_may_stop() {
    let mut seen = 0;
    let stopped = each(b"/a%2Fb", &[], |_, _| {
        seen += 1;
        false
    });
    assert!(!stopped && seen == 1);
}

#[test]
fn a_dot_segment_that_is_none_takes_nobody_deeper() {
    for (raw, leaves) in [("/./..", true), ("/a/..", false), ("/a/./../..", true), ("/a/b/../..", false)] {
        let bad = path(raw.as_bytes()) == Err(NotStrict::Bad(BadPath::LeavesRoot));
        assert_eq!(bad, leaves, "{raw}");
    }
}

#[test]
fn letters_that_fold_to_one_of_ascii_are_told_from_it_by_nobody() {
    for (path, alike) in
        [("/Ab-Z9", "/ab-z9"), ("/\u{212a}x", "/kx"), ("/\u{17f}X", "/sx"), ("/\u{c9}", "/\u{c9}"), ("", "")]
    {
        assert_eq!(folded(path.as_bytes()), alike.as_bytes(), "{path}");
    }
    assert_eq!(folded(b"/\xe2\x84"), b"/\xe2\x84");
}
