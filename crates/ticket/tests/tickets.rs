//! What a ticket opens by, and by nothing else: any other secret, site, rotation or byte, and it is no ticket.

use everyhop_ticket::{Keys, LEAST_BYTES, Tickets, Unfit};
use std::collections::HashSet;
use std::sync::Arc;

const SITE: &[u8] = b"a site";
/// 2027-01-01, where a rotation of an hour begins.
const NOW_S: u64 = 1_798_761_600;
const HOUR_S: u32 = 3600;
const STATE: &[u8] = b"a session";

fn secret(of: u8) -> [u8; 32] {
    std::array::from_fn(|i| of.wrapping_add(i as u8))
}

fn keys(secrets: &[&[u8]], rotate_s: u32) -> Arc<Keys> {
    Arc::new(Keys::new(secrets.iter().copied(), rotate_s).expect("keys"))
}

fn tickets(of: u8) -> Tickets {
    keys(&[&secret(of)], HOUR_S).of(SITE)
}

fn sealed(by: &Tickets, at_s: u64) -> Vec<u8> {
    by.seal(STATE, at_s).expect("randomness")
}

#[test]
fn a_ticket_is_opened_by_whoever_has_the_secret_and_is_another_each_time() {
    let (one, other) = (tickets(0), tickets(0));
    let (a, b) = (sealed(&one, NOW_S), sealed(&one, NOW_S));
    assert_ne!(a, b);
    for ticket in [a, b] {
        assert_eq!(other.open(&ticket, NOW_S).as_deref(), Some(STATE));
        assert!(!ticket.windows(STATE.len()).any(|it| it == STATE));
    }
    assert_eq!(other.open(&one.seal(b"", NOW_S).expect("randomness"), NOW_S).as_deref(), Some(&b""[..]));
}

/// Made by pyca/cryptography from what the head of `src/lib.rs` says, with a nonce of zeros.
const WRITTEN_ELSEWHERE: &str = "d6ddd120fabc73feff92768201b83be8000000000000000000000000df3d6f97e10049501b96bf9b7fd37073f57ea89514371c591e96c014f1305f796f";

#[test]
fn a_ticket_has_the_form_that_is_written_down() {
    let ticket: Vec<u8> = (0..WRITTEN_ELSEWHERE.len() / 2)
        .map(|i| u8::from_str_radix(&WRITTEN_ELSEWHERE[2 * i..2 * i + 2], 16).expect("hex"))
        .collect();
    assert_eq!(tickets(0).open(&ticket, NOW_S).as_deref(), Some(STATE));
}

#[test]
fn another_secret_site_or_length_of_rotation_opens_nothing() {
    let ticket = sealed(&tickets(0), NOW_S);
    let long = [&secret(0)[..], b"\0"].concat();
    for (what, other) in [
        ("secret", tickets(1)),
        ("a byte more", keys(&[&long], HOUR_S).of(SITE)),
        ("site", keys(&[&secret(0)], HOUR_S).of(b"another site")),
        ("no site", keys(&[&secret(0)], HOUR_S).of(b"")),
        ("rotation", keys(&[&secret(0)], 2 * HOUR_S).of(SITE)),
    ] {
        assert_eq!(other.open(&ticket, NOW_S), None, "{what}");
    }
}

#[test]
fn a_ticket_is_opened_for_one_rotation_after_it_was_sealed_and_not_a_second_longer() {
    let (it, hour_s) = (tickets(0), u64::from(HOUR_S));
    assert_eq!(it.lifetime_s(), hour_s);
    for at_s in [NOW_S, NOW_S + 1, NOW_S + hour_s / 2, NOW_S + hour_s - 1] {
        let ticket = sealed(&it, at_s);
        for after_s in [0, 1, hour_s / 2, hour_s - 1] {
            assert_eq!(it.open(&ticket, at_s + after_s).as_deref(), Some(STATE), "{at_s} + {after_s}");
        }
        for after_s in [hour_s, hour_s + 1, 2 * hour_s, 48 * hour_s] {
            assert_eq!(it.open(&ticket, at_s + after_s), None, "{at_s} + {after_s}");
        }
    }
}

#[test]
fn an_edge_whose_clock_is_behind_opens_what_another_sealed_up_to_a_rotation_and_no_further() {
    let (ahead, behind, hour_s) = (tickets(0), tickets(0), u64::from(HOUR_S));
    for at_s in [NOW_S, NOW_S + hour_s / 2, NOW_S + hour_s - 1] {
        for (by_s, opens) in [(1, true), (hour_s / 2, true), (hour_s, true), (hour_s + 1, false), (3 * hour_s, false)] {
            let opened = behind.open(&sealed(&ahead, at_s + by_s), at_s);
            assert_eq!(opened.as_deref(), opens.then_some(STATE), "{at_s}, ahead by {by_s}");
        }
    }
}

#[test]
fn the_first_secret_seals_and_all_of_them_open() {
    let (old, new) = (secret(0), secret(100));
    let (before, both, after) = (tickets(0), keys(&[&new, &old], HOUR_S).of(SITE), keys(&[&new[..]], HOUR_S).of(SITE));
    let (of_old, of_both) = (sealed(&before, NOW_S), sealed(&both, NOW_S));
    assert_eq!(both.open(&of_old, NOW_S + 10).as_deref(), Some(STATE), "the old one is opened");
    assert_eq!(after.open(&of_both, NOW_S + 10).as_deref(), Some(STATE), "the new one seals");
    assert_eq!(before.open(&of_both, NOW_S + 10), None);
    assert_eq!(after.open(&of_old, NOW_S + 10), None, "the old one is gone");
}

#[test]
fn a_ticket_that_is_cut_grown_or_changed_at_any_byte_is_none() {
    let it = tickets(0);
    let ticket = sealed(&it, NOW_S);
    for at in 0..ticket.len() {
        assert_eq!(it.open(&ticket[..at], NOW_S), None, "cut at {at}");
        assert_eq!(it.open(&ticket[at + 1..], NOW_S), None, "without {at}");
        for bit in 0..8 {
            let mut changed = ticket.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(it.open(&changed, NOW_S), None, "bit {bit} of {at}");
        }
    }
    for more in 0..=u8::MAX {
        assert_eq!(it.open(&[&ticket[..], &[more]].concat(), NOW_S), None);
    }
}

#[test]
fn no_two_keys_of_any_secret_site_and_rotation_are_one() {
    let mut ids = HashSet::new();
    let mut made = 0;
    for of in 0..8 {
        for site in [&b"a"[..], b"b", b"ab", b"a\0", b""] {
            for rotate_s in [HOUR_S, 2 * HOUR_S, 86_400] {
                let it = keys(&[&secret(of * 31)], rotate_s).of(site);
                for rotation in 0..20 {
                    let at_s = NOW_S / 86_400 * 86_400 + rotation * u64::from(rotate_s);
                    let ticket = sealed(&it, at_s);
                    assert_eq!(
                        ticket[..16],
                        sealed(&it, at_s + u64::from(rotate_s) - 1)[..16],
                        "one rotation, one key"
                    );
                    ids.insert(ticket[..16].to_vec());
                    made += 1;
                }
            }
        }
    }
    assert_eq!(ids.len(), made);
}

#[test]
fn a_clock_that_goes_back_and_forth_finds_its_keys_again() {
    let (it, hour_s) = (tickets(0), u64::from(HOUR_S));
    let ticket = sealed(&it, NOW_S);
    for at_s in [NOW_S + 10, NOW_S + 9 * hour_s, NOW_S + 20, NOW_S - 5, 0, u64::MAX, NOW_S + 30] {
        let near = at_s.abs_diff(NOW_S) < hour_s;
        assert_eq!(it.open(&ticket, at_s).is_some(), near, "{at_s}");
        assert!(it.seal(STATE, at_s).is_some());
    }
}

#[test]
fn secrets_that_are_none_make_no_keys() {
    let short = [7; LEAST_BYTES - 1];
    let refused = |secrets: &[&[u8]], rotate_s| Keys::new(secrets.iter().copied(), rotate_s).err();
    assert_eq!(refused(&[], HOUR_S), Some(Unfit::NoSecret));
    assert_eq!(refused(&[&short], HOUR_S), Some(Unfit::ShortSecret));
    assert_eq!(refused(&[&secret(0), &short], HOUR_S), Some(Unfit::ShortSecret));
    assert_eq!(refused(&[&secret(0)], 0), Some(Unfit::NoRotation));
    assert_eq!(refused(&[&secret(0)], HOUR_S), None);
}

#[test]
fn keys_are_known_by_a_mark_that_is_neither_a_secret_nor_a_key() {
    let (a, b) = (secret(0), secret(1));
    let marks: HashSet<Vec<u8>> = [
        keys(&[&a[..]], HOUR_S),
        keys(&[&b[..]], HOUR_S),
        keys(&[&a[..], &b], HOUR_S),
        keys(&[&b[..], &a], HOUR_S),
        keys(&[&a[..]], 2 * HOUR_S),
    ]
    .iter()
    .map(|it| it.mark())
    .collect();
    assert_eq!(marks.len(), 5);
    assert!(marks.contains(&keys(&[&a[..]], HOUR_S).mark()));
    assert!(marks.iter().all(|m| !m.windows(8).any(|w| w == &a[..8] || w == &b[..8])));
    let shown = format!("{:?} {:?}", keys(&[&a[..]], HOUR_S), tickets(0));
    assert_eq!(shown, "Keys Tickets");
}
