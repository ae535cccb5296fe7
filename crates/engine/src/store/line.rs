//! One connection to a store: questions go out as they come, all that wait at once, and are answered in their order. What is
//! not answered within [`ANSWERS_WITHIN`] is answered here with nothing, and nobody is asked more before all that is under way
//! was answered. Read next: `resp.rs` of `everyhop-canon`; `lease.lua`, which does the counting.

use crate::backend::connect::Opened;
use crate::backend::link::Link;
use everyhop_canon::resp::{self, Reply};
use everyhop_record::refusal::Refusal;
use everyhop_running::store::{ANSWERS_WITHIN, Answer, Question, StoreRun};
use everyhop_transport::alarm::Alarm;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Watched, Watches};
use everyhop_transport::side::Wire;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

const SCRIPT: &str = include_str!("lease.lua");
/// After so long without an answer the connection is given up.
pub(super) const SILENT: Duration = Duration::from_secs(1);
/// How often one is asked whether it is there, where nobody asks it anything.
const PINGS: Duration = Duration::from_secs(1);

/// What was asked, in the order of its answers.
enum Asked {
    Question(Arc<Question>),
    Ping,
}

pub(crate) struct Line {
    store: Arc<StoreRun>,
    wire: Wire,
    link: Rc<Link>,
    watch: Watched,
    unix_s: Box<dyn Fn() -> i64>,
    alarm: Alarm,
    /// By what the script is known there; `None`: it is sent whole each time.
    digest: Option<String>,
    asked: VecDeque<(Asked, Instant)>,
    heard_at: Instant,
    /// Some were not answered in time.
    is_slow: bool,
    out: Buf,
    inb: Buf,
}

impl Drop for Line {
    /// Nobody waits for what does not come.
    fn drop(&mut self) {
        for (it, _) in self.asked.drain(..) {
            if let Asked::Question(it) = it {
                it.answer(Answer::Unknown);
            }
        }
    }
}

impl Line {
    /// On a hop that is open, before anything was said on it.
    pub(crate) fn on(watches: &Rc<Watches>, store: &Arc<StoreRun>, opened: Opened) -> Result<Line, String> {
        let clock = watches.clock.clone();
        Ok(Line {
            store: store.clone(),
            wire: opened.wire,
            link: opened.link,
            watch: watches.watch(),
            unix_s: Box::new(move || clock.unix_s.get()),
            alarm: Alarm::new().map_err(|e| e.to_string())?,
            digest: None,
            asked: VecDeque::new(),
            heard_at: Instant::now(),
            is_slow: false,
            out: Buf::default(),
            inb: Buf::default(),
        })
    }

    /// Who we are, and which database; then the script, which is kept there.
    pub(crate) async fn begin(&mut self) -> Result<(), String> {
        let store = self.store.clone();
        let (user, password) = (store.plan.user.as_deref(), store.password.as_ref());
        let mut first = Vec::new();
        let mut count = 0;
        let mut say = |words: &[&[u8]]| {
            resp::write(&mut first, words);
            count += 1;
        };
        match (user, password) {
            (Some(user), Some(password)) => say(&[b"AUTH", user.as_bytes(), password.bytes()]),
            (None, Some(password)) => say(&[b"AUTH", password.bytes()]),
            _ => {}
        }
        if store.plan.database != 0 {
            say(&[b"SELECT", store.plan.database.to_string().as_bytes()]);
        }
        say(&[b"PING"]);
        say(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]);
        self.out.push(&first);
        for n in 1..=count {
            match poll_fn(|cx| self.poll_reply(cx)).await? {
                // Who may run a script need not be allowed to leave one.
                Reply::Error(_) if n == count => {}
                Reply::Error(why) => return Err(said(&why)),
                Reply::Text(Some(digest)) if n == count => self.digest = String::from_utf8(digest).ok(),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends what is there, and reads until an answer came.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, String>> {
        loop {
            let broken = |e: std::io::Error, link: &Link| link.broken(&e).slug().to_owned();
            while !self.out.is_empty() {
                match self.wire.poll_write_all(cx, &mut self.out) {
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(broken(e, &self.link))),
                    Poll::Ready(Ok(())) => {}
                    Poll::Pending => break,
                }
            }
            if let Poll::Ready(Err(e)) = self.wire.poll_flush(cx) {
                return Poll::Ready(Err(broken(e, &self.link)));
            }
            match resp::read(self.inb.bytes()) {
                Err(_) => return Poll::Ready(Err("it answers in no words of Valkey's or Redis'".to_owned())),
                Ok(Some((reply, len))) => {
                    self.inb.consume(len);
                    self.link.answer_came();
                    self.heard_at = Instant::now();
                    return Poll::Ready(Ok(reply));
                }
                Ok(None) => {}
            }
            match std::task::ready!(self.wire.poll_read(cx, &mut self.inb)) {
                Ok(0) => return Poll::Ready(Err(Refusal::BackendClosed.slug().to_owned())),
                Ok(_) => {}
                Err(e) => return Poll::Ready(Err(broken(e, &self.link))),
            }
        }
    }

    /// Asks and hears until it ends: with why, or with nothing where `goes_on` says that it is another one now.
    pub(crate) async fn talk(&mut self, goes_on: impl Fn() -> bool) -> Option<String> {
        self.store.questions.proved(self.link.facts.told());
        self.store.questions.now_up();
        self.beats();
        poll_fn(|cx| self.poll_talk(cx, &goes_on)).await
    }

    fn poll_talk(&mut self, cx: &mut Context<'_>, goes_on: &impl Fn() -> bool) -> Poll<Option<String>> {
        let questions = self.store.questions.clone();
        for it in questions.take(cx) {
            self.evaluates(&it, true);
            self.asked.push_back((Asked::Question(it), Instant::now()));
        }
        loop {
            match self.poll_reply(cx) {
                Poll::Ready(Ok(reply)) => {
                    if let Err(why) = self.heard(&reply) {
                        return Poll::Ready(Some(why));
                    }
                }
                Poll::Ready(Err(why)) => return Poll::Ready(Some(why)),
                Poll::Pending => break,
            }
        }
        let now = Instant::now();
        if self.alarm.poll(cx).is_ready() || self.asked.front().is_some_and(|(_, at)| now - *at >= ANSWERS_WITHIN) {
            self.late(now);
        }
        if !self.asked.is_empty() {
            let _ = self.alarm.set(ANSWERS_WITHIN / 4);
            let _ = self.alarm.poll(cx);
        }
        let silent = self.asked.front().is_some_and(|(_, at)| now.saturating_duration_since(*at) > SILENT);
        if silent {
            return Poll::Ready(Some("it does not answer".to_owned()));
        }
        if self.watch.poll_late(cx).is_ready() {
            if self.asked.is_empty() && now.saturating_duration_since(self.heard_at) > PINGS {
                let mut ping = Vec::new();
                resp::write(&mut ping, &[b"PING"]);
                self.out.push(&ping);
                self.asked.push_back((Asked::Ping, now));
                cx.waker().wake_by_ref();
            }
            let unix_s = (self.unix_s)();
            let (ends_s, over) = self.link.ends();
            let over = if unix_s >= ends_s { Some(over) } else { self.link.backend.closed(unix_s) };
            if let Some(over) = over {
                return Poll::Ready(Some(over.slug().to_owned()));
            }
            if !goes_on() {
                return Poll::Ready(None);
            }
            self.beats();
            let _ = self.watch.poll_late(cx);
        }
        Poll::Pending
    }

    /// It looks again at the next tick.
    fn beats(&self) {
        self.watch.within_s(0);
        self.watch.at_ms(self.watch.deadline_ms() + 1);
    }

    /// Those who wait longer are told so, and nobody waits any more until all was answered.
    fn late(&mut self, now: Instant) {
        for (it, at) in &self.asked {
            if now.saturating_duration_since(*at) < ANSWERS_WITHIN {
                break;
            }
            if let Asked::Question(it) = it
                && it.answered().is_none()
            {
                it.answer(Answer::Unknown);
                self.store.questions.late.fetch_add(1, Ordering::Relaxed);
                self.is_slow = true;
            }
        }
        if self.is_slow {
            self.store.questions.now_down("it does not answer in time");
        }
    }

    /// By its digest, or whole where the store has it not.
    fn evaluates(&mut self, it: &Question, by_digest: bool) {
        let Question { asked, .. } = it;
        let [step, span, want] = [asked.step_us, asked.span_us, asked.want.into()].map(|n| n.to_string());
        let (command, script) = match self.digest.as_deref().filter(|_| by_digest) {
            Some(digest) => ("EVALSHA", digest),
            None => ("EVAL", SCRIPT),
        };
        let words = [command, script, "1", &asked.key, &step, &span, &want].map(str::as_bytes);
        let mut out = Vec::new();
        resp::write(&mut out, &words);
        self.out.push(&out);
    }

    fn heard(&mut self, reply: &Reply) -> Result<(), String> {
        let (asked, at) = self.asked.pop_front().ok_or("it answers what nobody asked")?;
        match (asked, reply) {
            (Asked::Ping, Reply::Error(why)) => return Err(said(why)),
            (Asked::Ping, _) => {}
            (Asked::Question(it), Reply::Error(why)) if why.starts_with(b"NOSCRIPT") => {
                self.evaluates(&it, false);
                self.asked.push_back((Asked::Question(it), at));
            }
            (Asked::Question(it), Reply::Error(why)) => {
                it.answer(Answer::Unknown);
                return Err(said(why));
            }
            (Asked::Question(it), reply) => it.answer(answer(reply, &it)?),
        }
        if self.is_slow && self.asked.is_empty() {
            self.is_slow = false;
            self.store.questions.now_up();
        }
        Ok(())
    }
}

/// How many pass, how many are left, and the time until one does: whoever says more than was asked for is not believed.
fn answer(reply: &Reply, to: &Question) -> Result<Answer, String> {
    let numbers = reply.numbers().unwrap_or_default();
    let said = match numbers.as_slice() {
        [n, left, wait] => (
            u32::try_from(*n).ok(),
            u64::try_from(*left).ok(),
            u64::try_from(*wait).ok().filter(|w| *w <= to.asked.span_us),
        ),
        _ => (None, None, None),
    };
    match said {
        (Some(0), Some(_), Some(wait_us)) => Ok(Answer::Over { wait_us, limit: None }),
        (Some(n), Some(left), Some(_)) if n <= to.asked.want => Ok(Answer::Given { n, left }),
        _ => Err("its answer is not what was asked for".to_owned()),
    }
}

/// An error's first words: what follows may hold a key.
fn said(why: &[u8]) -> String {
    let text = String::from_utf8_lossy(why.get(..80).unwrap_or(why)).into_owned();
    format!("it says {}", text.escape_debug())
}
