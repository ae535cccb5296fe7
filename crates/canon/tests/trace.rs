//! Which traceparent and tracestate are read, and which are none: by the recommendation's own rules.

use everyhop_canon::trace::{Parent, traceparent, tracestate, write_traceparent};

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn read(text: &str) -> Option<Parent> {
    traceparent(text.as_bytes())
}

fn list(values: &[&str]) -> Option<String> {
    let mut out = "left over".to_owned();
    tracestate(values.iter().map(|v| v.as_bytes()), &mut out).then_some(out)
}

#[test]
fn what_is_read_is_written_as_it_was() {
    let found = read(GOOD).expect("a traceparent");
    assert!(found.sampled && found.trace[0] == 0x4b && found.span[7] == 0xb7);
    let mut out = Vec::new();
    write_traceparent(&mut out, &found);
    assert_eq!(out, GOOD.as_bytes());
    let unsampled = read(&GOOD.replace("-01", "-00")).expect("a traceparent");
    assert_eq!(unsampled, Parent { sampled: false, ..found });
}

#[test]
fn flags_that_are_not_known_are_let_be_and_do_not_go_on() {
    for (flags, sampled) in [("ff", true), ("fe", false), ("03", true), ("02", false)] {
        assert_eq!(read(&GOOD.replace("-01", &format!("-{flags}"))).map(|it| it.sampled), Some(sampled), "{flags}");
    }
}

#[test]
fn a_later_version_is_read_as_far_as_ours_goes_and_ff_never() {
    assert_eq!(read(&GOOD.replacen("00", "01", 1)), read(GOOD));
    assert_eq!(read(&(GOOD.replacen("00", "cc", 1) + "-what-the-future-will-be")), read(GOOD));
    for wrong in [
        GOOD.replacen("00", "ff", 1),
        GOOD.replacen("00", "cc", 1) + ".what",
        GOOD.replacen("00", "cc", 1) + "0",
        GOOD.to_owned() + "-more",
    ] {
        assert_eq!(read(&wrong), None, "{wrong}");
    }
}

#[test]
fn whatever_else_is_none() {
    let zeros = [
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    ];
    for wrong in ["", "00", " ", zeros[0], zeros[1]] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
    for at in 0..GOOD.len() {
        assert_eq!(traceparent(&GOOD.as_bytes()[..at]), None, "cut at {at}");
        for b in (0..=255).filter(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            let mut other = GOOD.as_bytes().to_vec();
            let before = std::mem::replace(&mut other[at], b);
            assert_eq!(traceparent(&other).is_some(), b == before, "{b:#x} at {at}");
        }
    }
    assert_eq!(read(&GOOD.to_uppercase()), None);
}

#[test]
fn a_list_goes_on_in_its_order_whichever_fields_it_stood_in() {
    for (values, goes_on) in [
        (&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"][..], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (&["rojo=1", "congo=2"], "rojo=1,congo=2"),
        (&[" rojo=1\t, ,congo=2,"], "rojo=1,congo=2"),
        (&["fw529a3039@dt=FfAAAA", "0t@s=a b"], "fw529a3039@dt=FfAAAA,0t@s=a b"),
        (&["a=!\"#$%&'()*+-./:;<>?@[]^_`{|}~"], "a=!\"#$%&'()*+-./:;<>?@[]^_`{|}~"),
        (&[""], ""),
        (&[], ""),
    ] {
        assert_eq!(list(values).as_deref(), Some(goes_on), "{values:?}");
    }
}

#[test]
fn a_list_is_as_long_as_it_may_be_and_no_longer() {
    // Fifteen members of 256 bytes with their commas, and one that fills up.
    let begins = (0..15).map(|n| format!("k{n:02}={}", "v".repeat(251))).collect::<Vec<_>>().join(",");
    let whole = |len: usize| format!("{begins},k={}", "v".repeat(len - begins.len() - 3));
    assert_eq!(list(&[&whole(4096)]), Some(whole(4096)));
    assert_eq!(list(&[&whole(4097)]), None);
}

#[test]
fn what_is_no_list_goes_on_in_no_part() {
    let many = (0..33).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    let (long_key, long_value) = (format!("{}=v", "k".repeat(257)), format!("k={}", "v".repeat(257)));
    let bulky = (0..17).map(|n| format!("k{n}={}", "v".repeat(250))).collect::<Vec<_>>().join(",");
    for wrong in [
        "a",
        "=v",
        "a=",
        "A=v",
        "0a=v",
        "a b=v",
        "a=v=w",
        "a=v,a=w",
        "a=é",
        "@a=v",
        "a@=v",
        "a@0=v",
        "a@b@c=v",
        &many,
        &long_key,
        &long_value,
        &bulky,
    ] {
        assert_eq!(list(&["fine=1", wrong]), None, "{wrong}");
    }
    let mut left = "left over".to_owned();
    assert!(!tracestate([&b"a"[..]], &mut left) && left.is_empty());
}
