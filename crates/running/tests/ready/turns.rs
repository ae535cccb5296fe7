//! How many requests of a route are under way, and who waits for a turn.

use everyhop_plan::Most;
use everyhop_running::turns::Turns;

fn turns(requests: u32, waiting: u32) -> Turns {
    Turns::of(Most { connections: None, requests: Some(requests), waiting, wait_s: 5 }).expect("a bound")
}

#[test]
fn as_many_as_may_be_are_under_way_and_the_next_when_one_of_them_is_done() {
    let it = turns(2, 0);
    assert_eq!(it.counts(), (0, 0));
    let first = it.take().expect("a turn");
    let _second = it.take().expect("another");
    assert!(it.take().is_none() && it.queue().is_none());
    assert_eq!(it.counts(), (2, 0));
    drop(first);
    assert_eq!(it.counts(), (1, 0));
    assert!(it.take().is_some());
}

#[test]
fn whoever_finds_no_place_to_wait_at_leaves_none_taken() {
    let it = turns(1, 2);
    let places = [it.queue().expect("a place"), it.queue().expect("another")];
    assert!(it.queue().is_none() && it.queue().is_none());
    assert_eq!(it.counts(), (0, 2));
    drop(places);
    assert_eq!(it.counts(), (0, 0));
    assert!(it.queue().is_some());
}
