//! How many requests of a route are under way, and who waits for a turn.

use everyhop_plan::Most;
use everyhop_running::turns::Turns;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

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

/// What it comes to, if it is ready now.
fn now<T>(it: &mut Pin<Box<impl Future<Output = T>>>) -> Option<T> {
    match it.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(it) => Some(it),
        Poll::Pending => None,
    }
}

#[test]
fn who_came_first_has_the_next_turn_nobody_overtakes_and_who_leaves_passes_it_on() {
    let it = turns(1, 3);
    let held = it.take().expect("a turn");
    let places = [(); 3].map(|()| it.queue().expect("a place"));
    let [mut first, mut second, mut third] = places.each_ref().map(|place| Box::pin(place.turn()));
    assert!([&mut first, &mut second, &mut third].into_iter().all(|it| now(it).is_none()), "no turn is free");
    drop(held);
    assert!(now(&mut second).is_none() && now(&mut third).is_none() && it.take().is_none());
    let turn = now(&mut first).flatten().expect("the first one's turn");
    drop(second);
    assert!(now(&mut third).is_none());
    drop(turn);
    let turn = now(&mut third).flatten().expect("the second left");
    assert_eq!(it.counts().0, 1);
    drop(turn);
    assert_eq!(it.counts().0, 0);
    assert!(it.take().is_some());
}
