//! Holders that are gone, and those that come in their place.

use super::{Holder, LONGEST, PATIENT, counted, ended, lines, ms, open, signed, signing, timed};
use everyhop_record::reason::UNSIGNED;
use everyhop_running::apart::{AWAY, Lines, Patience};
use std::time::{Duration, Instant};

#[test]
fn lines_are_wanted_as_soon_as_there_was_a_holder() {
    let lines = Lines::new(PATIENT);
    assert!(!lines.are_wanted());
    for _ in 0..2 {
        let [holder] = open(&lines);
        assert!(lines.are_wanted());
        drop(holder);
        assert!(lines.are_wanted());
    }
}

#[test]
fn before_the_first_holder_it_is_waited_for_and_may_come_yet() {
    let lines = lines(Patience { back: ms(100), ..PATIENT });
    let (found, took) = timed(lines);
    assert_eq!(found, Err(AWAY.into()));
    assert!(took >= ms(100) && took < LONGEST, "{took:?}");
    assert_eq!(counted(lines), [0, 0, 1]);
}

#[test]
fn whoever_asks_before_there_is_a_holder_is_served_by_the_first() {
    let lines = lines(PATIENT);
    let asker = signing(lines);
    let [holder] = open(lines);
    holder.answers(Ok(vec![1]));
    assert_eq!(ended(asker), Ok(vec![1]));
}

#[test]
fn a_holder_that_is_gone_with_all_its_lines_is_waited_for_and_another_may_come_yet() {
    let lines = lines(Patience { back: ms(100), ..PATIENT });
    for n in 1..=2 {
        let holders = open::<3>(lines);
        drop(holders);
        let (found, took) = timed(lines);
        assert_eq!(found, Err(AWAY.into()));
        assert!(took >= ms(100) && took < LONGEST, "{took:?}");
        assert_eq!(counted(lines), [0, 0, n]);
    }
}

#[test]
fn whoever_asked_a_holder_that_is_gone_is_served_by_the_next() {
    let lines = lines(PATIENT);
    let [first] = open(lines);
    let asker = signing(lines);
    let asked = first.asked();
    drop(first);
    let [second] = open(lines);
    let again = second.asked();
    assert_ne!(asked.number, again.number);
    assert_eq!((asked.key, asked.scheme, asked.role), (again.key, again.scheme, again.role));
    assert_eq!(asked.message, again.message);
    second.says(again.number, Ok(vec![2]));
    assert_eq!(ended(asker), Ok(vec![2]));
    assert_eq!(counted(lines), [1, 0, 0]);
}

#[test]
fn a_line_whose_other_end_says_what_is_no_answer_is_left_as_one_that_is_gone() {
    let lines = lines(PATIENT);
    let [first] = open(lines);
    let asker = signing(lines);
    first.asked();
    first.0.say(b"none", Instant::now() + LONGEST).expect("said");
    assert!(first.is_left());
    let [second] = open(lines);
    second.answers(Ok(vec![2]));
    assert_eq!(ended(asker), Ok(vec![2]));
}

#[test]
fn where_one_line_is_gone_the_others_are_asked() {
    let lines = lines(PATIENT);
    let [a, b, c] = open(lines);
    // Which is asked first is nobody's business: one of them is there.
    drop((a, c));
    let asker = signing(lines);
    b.answers(Ok(vec![1]));
    assert_eq!(ended(asker), Ok(vec![1]));
    assert_eq!(counted(lines), [1, 0, 0]);
}

#[test]
fn a_line_of_the_holder_before_serves_who_has_it_and_nobody_after_that() {
    let lines = lines(PATIENT);
    let [first] = open(lines);
    let asker = signing(lines);
    let number = first.asked().number;
    let [second] = open(lines);
    first.says(number, Ok(vec![1]));
    assert_eq!(ended(asker), Ok(vec![1]));
    assert!(first.is_left());
    for _ in 0..2 {
        let asker = signing(lines);
        second.answers(Ok(vec![2]));
        assert_eq!(ended(asker), Ok(vec![2]));
    }
}

#[test]
fn whoever_has_a_line_of_the_holder_before_when_that_ends_asks_the_next_one() {
    let lines = lines(PATIENT);
    let [first] = open(lines);
    let asker = signing(lines);
    let number = first.asked().number;
    let [second] = open(lines);
    drop(first);
    assert_ne!(second.answers(Ok(vec![2])), number);
    assert_eq!(ended(asker), Ok(vec![2]));
}

#[test]
fn a_holder_that_is_gone_for_too_long_is_waited_for_no_longer_than_a_moment() {
    let lines = lines(Patience { little: ms(30), gone: Duration::ZERO, ..PATIENT });
    let [holder] = open(lines);
    drop(holder);
    for n in 1..=3 {
        let (found, took) = timed(lines);
        assert_eq!(found, Err(UNSIGNED.into()), "nobody says that another may come");
        assert!(took >= ms(30) && took < LONGEST, "{took:?}");
        assert_eq!(counted(lines), [0, 0, n]);
    }
    let [next] = open(lines);
    let asker = signing(lines);
    next.answers(Ok(vec![1]));
    assert_eq!(ended(asker), Ok(vec![1]), "it came after all");
}

#[test]
fn until_then_another_one_may_come() {
    let gone = ms(300);
    let lines = lines(Patience { little: ms(10), back: ms(10), gone, ..PATIENT });
    let began = Instant::now();
    let [holder] = open(lines);
    drop::<Holder>(holder);
    while signed(lines) != Err(UNSIGNED.into()) {
        assert!(began.elapsed() < LONGEST);
    }
    assert!(began.elapsed() >= gone, "{:?}", began.elapsed());
}
