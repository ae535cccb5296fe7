//! What a holder is asked, and what is made of its answers.

use super::{
    Holder, LONG, OF_CLIENT, OF_SERVER, PATIENT, counted, ended, lines, ms, open, public, signed_of, signer, signing,
    timed,
};
use aws_lc_rs::digest::{SHA256, digest};
use everyhop_record::reason::UNSIGNED;
use everyhop_running::apart::{Patience, id_of};
use everyhop_signing::{Content, No, Role};
use std::collections::HashSet;

#[test]
fn what_is_signed_is_what_the_holder_answers_for_that_key_side_scheme_and_content() {
    let lines = lines(PATIENT);
    let [holder] = open(lines);
    for (n, content) in [(1, OF_SERVER), (2, OF_CLIENT), (3, Content::Tls13(Role::Server, &[6; 48]))] {
        let asker = std::thread::spawn(move || signed_of(&*signer(lines, content.role()), &content.signed()));
        let asked = holder.asked();
        assert_eq!(asked.key, id_of(&public()));
        assert_eq!(asked.key, digest(&SHA256, &public()).as_ref());
        assert_eq!((asked.scheme, asked.role), (0x0403, content.role()));
        assert_eq!(asked.message, &*content.signed());
        holder.says(asked.number, Ok(vec![n; 70]));
        assert_eq!(ended(asker), Ok(vec![n; 70]));
        assert_eq!(counted(lines), [n.into(), 0, 0]);
    }
}

#[test]
fn each_question_has_a_number_of_its_own() {
    let lines = lines(PATIENT);
    let [holder] = open(lines);
    let mut numbers = HashSet::new();
    for n in 1..=4 {
        let asker = signing(lines);
        assert!(numbers.insert(holder.answers(Ok(vec![n]))));
        assert_eq!(ended(asker), Ok(vec![n]));
    }
    let [next] = open(lines);
    let asker = signing(lines);
    assert!(numbers.insert(next.answers(Ok(vec![5]))), "another holder, and no number of the one before");
    assert_eq!(ended(asker), Ok(vec![5]));
}

#[test]
fn the_answer_to_another_question_is_passed_over() {
    let lines = lines(PATIENT);
    let [holder] = open(lines);
    let asker = signing(lines);
    let number = holder.asked().number;
    holder.says(number.wrapping_sub(1), Ok(vec![1]));
    holder.says(number.wrapping_sub(1), Err(No::Key));
    holder.says(number + 1, Ok(vec![2]));
    holder.says(number, Ok(vec![3]));
    assert_eq!(ended(asker), Ok(vec![3]));
    assert_eq!(counted(lines), [1, 0, 0]);
}

#[test]
fn an_answer_of_the_longest_form_is_taken_whole() {
    let lines = lines(PATIENT);
    let [holder] = open(lines);
    let asker = signing(lines);
    let signature: Vec<u8> = (0..2048).map(|n: u32| n.to_be_bytes()[3]).collect();
    holder.answers(Ok(signature.clone()));
    assert_eq!(ended(asker), Ok(signature));
}

#[test]
fn what_the_holder_refuses_is_unsigned_and_counted_as_refused() {
    let lines = lines(PATIENT);
    let [holder] = open(lines);
    let mut refused = 0;
    for no in No::ALL.into_iter().filter(|it| *it != No::Away) {
        let asker = signing(lines);
        holder.answers(Err(no));
        assert_eq!(ended(asker), Err(UNSIGNED.into()));
        refused += 1;
        assert_eq!(counted(lines), [0, refused, 0]);
    }
    // It was asked of each once, and is there for the next.
    let asker = signing(lines);
    holder.answers(Ok(vec![9]));
    assert_eq!(ended(asker), Ok(vec![9]));
}

#[test]
fn what_is_no_handshake_of_its_side_is_asked_of_nobody() {
    let lines = lines(PATIENT);
    for (role, message) in [(Role::Server, OF_CLIENT.signed()), (Role::Client, OF_SERVER.signed())] {
        assert_eq!(signed_of(&*signer(lines, role), &message), Err(UNSIGNED.into()));
    }
    assert_eq!(signed_of(&*signer(lines, Role::Server), b"a token"), Err(UNSIGNED.into()));
    assert_eq!(counted(lines), [0, 0, 0]);
}

#[test]
fn a_holder_whose_token_may_sign_in_a_moment_is_asked_again() {
    let lines = lines(PATIENT);
    let [holder] = open(lines);
    let asker = signing(lines);
    let first = holder.answers(Err(No::Away));
    let second = holder.answers(Err(No::Away));
    let third = holder.answers(Ok(vec![1]));
    assert!(first != second && second != third && first != third);
    assert_eq!(ended(asker), Ok(vec![1]));
    assert_eq!(counted(lines), [1, 0, 0], "the handshake is counted, by how it ended");
}

/// Says of each ask that the token is away, until its line is left.
fn away(holder: &Holder) {
    while let Ok(it) = holder.heard(LONG) {
        holder.says(it.number, Err(No::Away));
    }
}

#[test]
fn a_token_that_is_away_for_longer_than_another_holder_is_waited_for_is_told_as_unsigned() {
    let lines = lines(Patience { back: ms(100), ..PATIENT });
    let [holder] = open(lines);
    std::thread::scope(|scope| {
        scope.spawn(move || away(&holder));
        let (found, took) = timed(lines);
        assert_eq!(found, Err(UNSIGNED.into()));
        assert!(took >= ms(100), "{took:?}");
        assert_eq!(counted(lines), [0, 1, 0], "it did answer");
        open::<0>(lines);
    });
}
