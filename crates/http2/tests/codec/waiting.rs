//! A model of waiting: random windows, settings, resets and ends, and tasks that sleep from where a body was not taken whole
//! until they are told. No stream stands still that may send; nobody is told in vain, or twice; and what goes never exceeds
//! a window, by the books of a peer that counts for itself.

use crate::kit::*;
use everyhop_http2::{Code, Config, NoStream, Ready, Request};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a task has still to send on its stream, and where it stands.
struct Task {
    left: usize,
    /// Sleeps until it is told.
    sleeps: bool,
    /// Was told, and has not come yet.
    told: bool,
    /// Its own window was narrowed since it was told.
    narrowed: bool,
}

/// A server of ours with its tasks, and the books of its client.
struct World {
    peer: Peer,
    random: Random,
    tasks: BTreeMap<u32, Task>,
    /// What each stream's window and the connection's take, by the client.
    windows: BTreeMap<u32, i64>,
    window: i64,
    first: i64,
    next: u32,
    ended: BTreeSet<u32>,
}

const STREAMS: u32 = 8;
const OUTPUT: usize = 20_000;

impl World {
    fn new(seed: u64) -> World {
        let config = Config {
            streams: STREAMS,
            output_bytes: OUTPUT,
            idle_frames: u32::MAX,
            resets: u32::MAX,
            ..Config::server()
        };
        World {
            peer: Peer::server_of(config),
            random: Random::new(seed),
            tasks: BTreeMap::new(),
            windows: BTreeMap::new(),
            window: 65_535,
            first: 65_535,
            next: 1,
            ended: BTreeSet::new(),
        }
    }

    fn some(&mut self) -> Option<u32> {
        let all: Vec<u32> = self.tasks.keys().copied().collect();
        if all.is_empty() { None } else { Some(*self.random.of(&all)) }
    }

    fn asks(&mut self) {
        if self.tasks.len() >= STREAMS as usize {
            return;
        }
        let stream = self.next;
        self.next += 2;
        self.peer.hear(&frame(HEADERS, ALL, stream, &get(&[])));
        self.peer.conn.answer(stream, 200, false, |_| ()).expect("open");
        let left = 1 + self.random.below(60_000);
        self.windows.insert(stream, self.first);
        self.tasks.insert(stream, Task { left, sleeps: false, told: false, narrowed: false });
    }

    /// The client reads so much of what was said.
    fn drains(&mut self, bytes: usize) {
        self.peer.conn.sent(bytes);
    }

    /// A task goes on, and sleeps where not all is taken.
    fn goes_on(&mut self, stream: u32) {
        let Some(task) = self.tasks.get_mut(&stream) else { return };
        let bytes = vec![0; task.left];
        let told = std::mem::take(&mut task.told);
        let n = self.peer.conn.body(stream, &bytes, true).expect("open");
        assert!(n > 0 || !told || task.narrowed, "{stream} was told in vain");
        (task.sleeps, task.narrowed) = (n < task.left, false);
        task.left -= n;
        self.window -= n as i64;
        *self.windows.get_mut(&stream).expect("a window") -= n as i64;
        if n > 0 {
            assert!(self.window >= 0 && self.windows[&stream] >= 0, "{stream} sent more than it may");
        }
        if task.left == 0 {
            self.is_over(stream);
            self.peer.conn.done(stream);
            self.ended.insert(stream);
        }
    }

    fn is_over(&mut self, stream: u32) {
        self.tasks.remove(&stream);
        self.windows.remove(&stream);
    }

    fn told(&mut self) {
        for ready in self.peer.ready() {
            let Ready::Body(stream) = ready else { panic!("{ready:?}") };
            let task = self.tasks.get_mut(&stream).expect("nobody is told who is gone");
            assert!(task.sleeps && !task.told, "{stream} is told twice, or does not wait");
            (task.sleeps, task.told, task.narrowed) = (false, true, false);
        }
    }

    fn settings(&mut self, first: i64) {
        let by = first - self.first;
        let fits = |it: &i64| it + by < 1 << 31;
        if !self.windows.values().all(fits) {
            return;
        }
        self.first = first;
        for (stream, it) in &mut self.windows {
            *it += by;
            if by < 0 {
                self.tasks.get_mut(stream).expect("a task").narrowed = true;
            }
        }
        self.peer.hear(&settings(&[(4, first as u32)]));
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..3 => self.asks(),
            3..6 => {
                let most = *self.random.of(&[3, 300, 30_000]);
                let by = 1 + self.random.below(most);
                self.window += by as i64;
                self.peer.hear(&update(0, by as u32));
            }
            6..9 => {
                let Some(stream) = self.some() else { return };
                let by = 1 + self.random.below(30_000);
                *self.windows.get_mut(&stream).expect("a window") += by as i64;
                self.peer.hear(&update(stream, by as u32));
            }
            9..11 => {
                let first = *self.random.of(&[0, 1, 10, 1000, 65_535, 100_000]);
                self.settings(first);
            }
            11 => {
                let Some(stream) = self.some() else { return };
                self.peer.hear(&reset(stream, 8));
                self.is_over(stream);
                self.peer.conn.done(stream);
            }
            12 => {
                let Some(stream) = self.some() else { return };
                match self.random.below(3) {
                    0 => self.peer.conn.done(stream),
                    1 => {
                        self.peer.conn.reset(stream, Code::CANCEL).expect("open");
                        self.peer.conn.done(stream);
                    }
                    _ => {
                        self.peer.conn.trailers(stream, |_| ()).expect("open");
                        self.peer.conn.done(stream);
                    }
                }
                self.is_over(stream);
            }
            13 => {
                // It waits for something else first, and comes again by itself.
                let Some(stream) = self.some() else { return };
                self.peer.conn.rest(stream);
                let task = self.tasks.get_mut(&stream).expect("a task");
                (task.sleeps, task.told) = (false, false);
            }
            14..16 => {
                let waits = self.peer.conn.output().len();
                let some = self.random.below(waits + 1);
                self.drains(some);
            }
            _ => {
                // Somebody who is awake goes on; whoever was told comes when it likes.
                let awake: Vec<u32> = self.tasks.iter().filter(|(_, it)| !it.sleeps).map(|(id, _)| *id).collect();
                if !awake.is_empty() {
                    let stream = *self.random.of(&awake);
                    self.goes_on(stream);
                }
            }
        }
    }

    /// Everybody who is awake goes on until nobody is, and the client reads all.
    fn settles(&mut self) {
        loop {
            self.drains(self.peer.conn.output().len());
            self.told();
            let awake: Vec<u32> = self.tasks.iter().filter(|(_, it)| !it.sleeps).map(|(id, _)| *id).collect();
            if awake.is_empty() {
                break;
            }
            for stream in awake {
                self.goes_on(stream);
                self.told();
            }
        }
        for (stream, task) in &self.tasks {
            let (own, all) = (self.windows[stream], self.window);
            assert!(
                own <= 0 || all <= 0,
                "{stream} stands still with {} bytes, by {own} of its own and {all}",
                task.left
            );
        }
    }
}

#[test]
fn no_stream_stands_still_that_may_send_and_nobody_is_told_in_vain_or_twice() {
    for seed in 0..400 {
        let mut world = World::new(seed);
        for i in 0..300 {
            world.step();
            world.told();
            if i % 10 == 9 {
                world.settles();
            }
        }
        world.settings(1 << 30);
        world.window += 1 << 20;
        world.peer.hear(&update(0, 1 << 20));
        world.settles();
        assert!(world.tasks.is_empty(), "seed {seed}: all of what was left fits");
    }
}

/// A client of ours whose body comes from a server that keeps to its books.
#[test]
fn a_sender_may_go_on_whenever_what_it_sent_was_released_and_sends_never_more_than_is_allowed() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let config =
            Config { window_bytes: 20_000, connection_window_bytes: 70_000, idle_frames: u32::MAX, ..Config::client() };
        let mut it = Peer::client_of(config);
        let (mut target, mut window, mut asked) = (70_000i64, 20_000i64, 20_000i64);
        // By the server: what it may send, on each stream and in all.
        let (mut all, mut own) = (70_000i64, BTreeMap::new());
        let mut held = BTreeMap::<u32, usize>::new();
        let (mut before, mut to_come) = (all, VecDeque::new());
        for _ in 0..4 {
            let stream = it.ask("GET", true);
            it.hear(&frame(HEADERS, OPEN, stream, &ok(&[])));
            own.insert(stream, window);
            held.insert(stream, 0);
        }
        for _ in 0..600 {
            let stream = *random.of(&[1, 3, 5, 7]);
            match random.below(10) {
                0..5 => {
                    let may = all.min(own[&stream]).clamp(0, 16_384) as usize;
                    let n = random.below(may + 1);
                    let heard = it.hear(&frame(DATA, 0, stream, &vec![0; n]));
                    assert!(n == 0 || matches!(heard[..], [Said::Data { .. }]), "seed {seed}: {heard:?}");
                    all -= n as i64;
                    *own.get_mut(&stream).expect("a window") -= n as i64;
                    *held.get_mut(&stream).expect("a stream") += n;
                }
                5..8 => {
                    let n = random.below(held[&stream] + 1);
                    it.conn.release(stream, n);
                    *held.get_mut(&stream).expect("a stream") -= n;
                }
                8 => {
                    let wanted = *random.of(&[5_000, 20_000, 50_000]);
                    if it.conn.set_window(wanted as u32) {
                        asked = wanted;
                    }
                }
                _ => {
                    let wanted = *random.of(&[65_535, 70_000, 200_000]);
                    it.conn.set_connection_window(wanted as u32);
                    target = wanted;
                }
            }
            // What it says to an acknowledgement too.
            while let Some(said) = to_come.pop_front().or_else(|| {
                to_come.extend(it.says());
                to_come.pop_front()
            }) {
                match said.kind {
                    UPDATE if said.stream == 0 => all += i64::from(said.number()),
                    UPDATE => *own.get_mut(&said.stream).expect("a stream") += i64::from(said.number()),
                    SETTINGS if said.flags == 0 => {
                        // Read at once, and acknowledged.
                        own.values_mut().for_each(|it| *it += asked - window);
                        window = asked;
                        it.hear(&frame(SETTINGS, ACK, 0, &[]));
                    }
                    _ => {}
                }
            }
            let unread: i64 = held.values().map(|n| *n as i64).sum();
            // What was offered is not taken back, and not offered again.
            assert!(
                all + unread <= target.max(before),
                "seed {seed}: more may come than was allowed: {all} and {unread} of {target}, {before} before"
            );
            before = all + unread;
            for (stream, may) in &own {
                let unread = held[stream] as i64;
                assert!(may + unread <= window, "seed {seed}");
                assert!(
                    *may > 0 || unread >= window,
                    "seed {seed}: {stream} stands still, and {unread} of it are held"
                );
            }
            assert!(all > 0 || unread >= target, "seed {seed}: all stand still, and {unread} are held");
        }
    }
}

#[test]
fn a_request_that_found_no_room_is_told_when_there_is_some_and_not_before() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut it = Peer::client();
        let (mut most, mut open, mut waits) = (100, BTreeSet::new(), false);
        let get = Request { method: b"GET", scheme: b"https", authority: b"a.test", path: b"/", protocol: b"" };
        for _ in 0..400 {
            match random.below(6) {
                0..3 => match it.conn.request(&get, true, |_| ()) {
                    Ok(stream) => {
                        assert!(open.len() < most, "seed {seed}");
                        open.insert(stream);
                    }
                    Err(NoStream::Full) => {
                        assert!(open.len() >= most, "seed {seed}");
                        waits = true;
                    }
                    Err(why) => panic!("{why:?}"),
                },
                3..5 => {
                    let Some(stream) = open.iter().copied().nth(random.below(open.len())) else { continue };
                    match random.below(3) {
                        0 => drop(it.hear(&frame(HEADERS, ALL, stream, &ok(&[])))),
                        1 => drop(it.hear(&reset(stream, 8))),
                        _ => {}
                    }
                    it.conn.done(stream);
                    open.remove(&stream);
                }
                _ => {
                    most = *random.of(&[0, 1, 2, 5]);
                    it.hear(&settings(&[(3, most as u32)]));
                }
            }
            let told = it.ready();
            let wanted: &[Ready] = if waits && open.len() < most { &[Ready::Request] } else { &[] };
            assert_eq!(told, wanted, "seed {seed}");
            waits &= told.is_empty();
            it.says();
        }
    }
}
