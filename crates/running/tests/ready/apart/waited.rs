//! For how long a holder is waited for that does not answer, and a line that others have.

use super::{LONGEST, PATIENT, asked_of, counted, ended, lines, ms, open, signing, timed};
use everyhop_record::reason::UNSIGNED;
use everyhop_running::apart::Patience;
use everyhop_signing::No;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[test]
fn whoever_does_not_answer_is_waited_for_and_the_next_time_no_more_than_a_moment() {
    let (answer, little) = (ms(500), ms(10));
    let lines = lines(Patience { answer, little, ..PATIENT });
    let [_holder] = open(lines);
    let (found, took) = timed(lines);
    assert_eq!(found, Err(UNSIGNED.into()));
    assert!(took >= answer && took < LONGEST, "{took:?}");
    assert_eq!(counted(lines), [0, 0, 1]);
    let began = Instant::now();
    for n in 2..=21 {
        let (found, took) = timed(lines);
        assert_eq!(found, Err(UNSIGNED.into()));
        assert!(took >= little, "{took:?}");
        assert_eq!(counted(lines), [0, 0, n]);
    }
    assert!(began.elapsed() < 20 * answer, "each of them for a moment");
}

#[test]
fn how_long_all_of_them_took_is_counted() {
    let lines = lines(Patience { answer: ms(50), little: ms(10), ..PATIENT });
    let [_holder] = open(lines);
    let mut all = Duration::ZERO;
    for least in [ms(50), ms(60)] {
        let (found, took) = timed(lines);
        assert_eq!(found, Err(UNSIGNED.into()));
        all += took;
        let counted = Duration::from_nanos(lines.counts.nanoseconds.load(Ordering::Relaxed));
        assert!(least <= counted && counted <= all, "{counted:?}");
    }
}

#[test]
fn all_of_it_together_takes_no_longer_than_the_whole() {
    let lines = lines(Patience { whole: ms(100), ..PATIENT });
    let [holder] = open(lines);
    let (found, took) = timed(lines);
    assert_eq!(found, Err(UNSIGNED.into()));
    assert!(took >= ms(100) && took < LONGEST, "{took:?}");
    assert_eq!(counted(lines), [0, 0, 1]);
    drop(holder);
}

#[test]
fn asking_again_prolongs_it_no_further_than_the_whole() {
    let lines = lines(Patience { whole: ms(200), ..PATIENT });
    let [holder] = open(lines);
    std::thread::scope(|scope| {
        let told = scope.spawn(move || {
            // Of the next ask it says nothing.
            holder.answers(Err(No::Away));
            holder
        });
        let (found, took) = timed(lines);
        assert_eq!(found, Err(UNSIGNED.into()));
        assert!(took >= ms(200) && took < LONGEST, "{took:?}");
        drop(told.join().expect("it ended"));
    });
}

#[test]
fn a_line_is_for_one_question_at_a_time_and_then_for_the_next() {
    let lines = lines(PATIENT);
    let [holder] = open(lines);
    let askers = [(); 3].map(|()| signing(lines));
    for n in 1..=3 {
        let number = holder.asked().number;
        assert!(holder.heard(ms(20)).is_err(), "one is asked");
        holder.says(number, Ok(vec![n]));
    }
    let mut all = askers.map(|it| ended(it).expect("a signature"));
    all.sort();
    assert_eq!(all, [[1], [2], [3]]);
    assert_eq!(counted(lines), [3, 0, 0]);
}

#[test]
fn where_a_holder_is_there_and_others_have_its_lines_it_is_unsigned_and_no_other_holder_may_come() {
    let answer = ms(600);
    let lines = lines(Patience { answer, ..PATIENT });
    let mut holders = Vec::from(open::<2>(lines));
    let first = signing(lines);
    let lost = asked_of(&holders);
    let lost = holders.swap_remove(lost);
    let second = signing(lines);
    let other = &holders[0];
    // What the second may wait begins anew with each ask.
    let began = Instant::now();
    while began.elapsed() < answer / 2 {
        if let Ok(it) = other.heard(answer) {
            other.says(it.number, Err(No::Away));
        }
    }
    // It is asked once more, and says nothing.
    drop(other.heard(answer));
    drop(lost);
    assert_eq!(ended(first), Err(UNSIGNED.into()));
    assert_eq!(ended(second), Err(UNSIGNED.into()));
    assert_eq!(counted(lines), [0, 0, 2]);
}
