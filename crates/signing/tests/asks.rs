//! What may be signed, and that nothing else can be had: neither by another kind nor by bytes that end early or late.

use everyhop_signing::{Answer, Ask, Content, LONGEST_BYTES, No, Role};

fn ask(content: Content<'_>) -> Ask<'_> {
    Ask { number: 7, key: [3; 32], scheme: 0x0403, content }
}

fn message(kind: u8, len: usize) -> Vec<u8> {
    let len = u32::try_from(len).expect("a length").to_be_bytes();
    let body = vec![kind; usize::try_from(u32::from_be_bytes(len)).expect("a length")];
    [&[kind], &len[1..], &body].concat()
}

fn transcript(kinds: &[u8]) -> Vec<u8> {
    kinds.iter().flat_map(|kind| message(*kind, usize::from(*kind) * 3)).collect()
}

fn exchange(group: u16, point: usize) -> Vec<u8> {
    let head = [&[3u8][..], &group.to_be_bytes(), &[u8::try_from(point).expect("a length")]].concat();
    [&[9u8; 64][..], &head, &vec![4; point]].concat()
}

const WHOLE: [&[u8]; 2] = [&[1, 2, 11, 12, 13, 14, 11, 16], &[1, 2, 11, 22, 12, 13, 14, 11, 16]];

/// One of each kind.
fn all() -> Vec<(Role, Vec<u8>)> {
    let mut found = Vec::new();
    for len in [32, 48] {
        for (role, word) in [(Role::Server, "server"), (Role::Client, "client")] {
            let words = format!("{}TLS 1.3, {word} CertificateVerify\0", " ".repeat(64));
            found.push((role, [words.as_bytes(), &vec![5; len]].concat()));
        }
    }
    found.extend([(23, 65), (24, 97), (25, 133), (29, 32), (30, 56)].map(|(g, p)| (Role::Server, exchange(g, p))));
    found.extend(WHOLE.map(|kinds| (Role::Client, transcript(kinds))));
    found
}

#[test]
fn what_is_signed_is_what_the_handshake_has() {
    for (role, signed) in all() {
        let content = Content::of_message(role, &signed).expect("a handshake");
        let asked = ask(content).write();
        let read = Ask::read(&asked).expect("an ask");
        assert_eq!(read, ask(content));
        assert_eq!((read.content.role(), &*read.content.signed()), (role, &*signed));
    }
}

#[test]
fn what_one_side_signs_the_other_does_not() {
    for (role, signed) in all() {
        let other = if role == Role::Server { Role::Client } else { Role::Server };
        assert_eq!(Content::of_message(other, &signed), None, "{signed:?}");
    }
}

#[test]
fn no_handshake_can_be_asked_for_as_one_of_another_kind() {
    for (role, signed) in all() {
        let mut asked = ask(Content::of_message(role, &signed).expect("a handshake")).write();
        for kind in 0..=u8::MAX {
            asked[42] = kind;
            if let Ok(it) = Ask::read(&asked) {
                // The sides of TLS 1.3 differ by their words alone, which the holder of the keys writes itself.
                let same = *it.content.signed() == *signed;
                assert!(same || matches!(it.content, Content::Tls13(..)), "kind {kind} of {signed:?}");
            }
        }
    }
}

#[test]
fn a_handshake_that_ends_early_or_late_is_none() {
    for (role, signed) in all() {
        for len in 0..signed.len() {
            let cut = Content::of_message(role, &signed[..len]);
            // Of SHA-384 the first 32 bytes are as long as one of SHA-256: the words before them say who signs.
            assert!(cut.is_none() || matches!(cut, Some(Content::Tls13(..))), "{len} bytes of {signed:?}");
        }
        let longer = [&signed[..], b"x"].concat();
        assert_eq!(Content::of_message(role, &longer), None, "{signed:?}");
    }
}

#[test]
fn an_ask_that_is_cut_anywhere_is_refused_with_its_number() {
    let asked = ask(Content::Tls13(Role::Server, &[1; 32])).write();
    for len in 0..asked.len() {
        let number = if len < 8 { 0 } else { 7 };
        assert!(Ask::read(&asked[..len]).is_err_and(|(n, _)| n == number), "{len} bytes");
    }
    let long = ask(Content::KeyExchange(&vec![0; LONGEST_BYTES])).write();
    assert_eq!(Ask::read(&long), Err((7, No::Malformed)));
}

#[test]
fn a_transcript_with_long_chains_is_asked_for_up_to_the_longest_ask_and_no_further() {
    assert_eq!(LONGEST_BYTES, 98_304);
    let head = ask(Content::Transcript(&[])).write().len();
    for (over, is_read) in [(0, true), (1, false)] {
        let others: Vec<u8> = [1, 2, 12, 13, 14, 11, 16].iter().flat_map(|kind| message(*kind, 9)).collect();
        let chain = message(11, LONGEST_BYTES - head - others.len() - 4 + over);
        let (hellos, rest) = others.split_at(2 * (4 + 9));
        let whole = [hellos, &chain, rest].concat();
        let asked = ask(Content::of_message(Role::Client, &whole).expect("a handshake")).write();
        assert_eq!((asked.len(), Ask::read(&asked).is_ok()), (LONGEST_BYTES + over, is_read));
    }
}

/// A client chooses its random value, and a server's may be what it likes.
#[test]
fn random_values_that_look_like_the_words_of_tls_1_3_are_those_of_an_exchange() {
    let signed = [&[b' '; 64][..], &exchange(29, 32)[64..]].concat();
    assert_eq!(Content::of_message(Role::Server, &signed), Some(Content::KeyExchange(&signed)));
}

#[test]
fn what_is_no_exchange_of_a_known_group_is_not_signed() {
    for (group, point) in [(23, 64), (23, 33), (22, 65), (29, 33), (0x11ec, 32), (0, 0)] {
        assert_eq!(Content::of_message(Role::Server, &exchange(group, point)), None, "{group} {point}");
    }
    let mut explicit = exchange(23, 65);
    for kind in (0..=u8::MAX).filter(|it| *it != 3) {
        explicit[64] = kind;
        assert_eq!(Content::of_message(Role::Server, &explicit), None);
    }
    let mut lying = exchange(23, 65);
    lying[67] = 64;
    assert_eq!(Content::of_message(Role::Server, &lying), None);
}

#[test]
fn a_transcript_has_its_messages_in_their_order_and_no_others() {
    for kinds in WHOLE {
        for left_out in 0..kinds.len() {
            let mut fewer = kinds.to_vec();
            let gone = fewer.remove(left_out);
            assert_eq!(Content::of_message(Role::Client, &transcript(&fewer)).is_some(), gone == 22, "{fewer:?}");
            let mut other = kinds.to_vec();
            other[left_out] = 20;
            assert_eq!(Content::of_message(Role::Client, &transcript(&other)), None, "{other:?}");
        }
        let more = [kinds, &[15]].concat();
        assert_eq!(Content::of_message(Role::Client, &transcript(&more)), None);
    }
}

#[test]
fn an_answer_is_a_signature_or_a_reason() {
    let all = No::ALL.map(Err).into_iter().chain([Ok(vec![1, 2, 3])]);
    for signed in all {
        let it = Answer { number: 9, signed };
        let written = it.write();
        assert_eq!(Answer::read(&written), Some(it));
        for len in 0..9 {
            assert_eq!(Answer::read(&written[..len]), None);
        }
    }
    let of = |rest: &[u8]| Answer::read(&[&[0u8; 8][..], rest].concat());
    assert_eq!((of(&[0]), of(&[8]), of(&[1, 1])), (None, None, None));
    let words: std::collections::HashSet<_> = No::ALL.iter().map(|no| no.word()).collect();
    assert_eq!(words.len(), No::ALL.len());
}
