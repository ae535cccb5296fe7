//! A service of Envoy's rate limits (`envoy.service.ratelimit.v3.RateLimitService`), asked by gRPC over one connection of HTTP/2: each
//! question is a call of its own, so that none waits for another. What is not answered within [`ANSWERS_WITHIN`] is answered here with
//! nothing, and nobody is asked more before all that is under way was answered. Read next: `rate_limit_response.rs` of
//! `everyhop-canon`; `line.rs`, which does the same by the words of Valkey and Redis.

use crate::backend::ask_call::unary;
use crate::backend::connect::Opened;
use crate::backend::h2::{self, H2Conn, H2Up};
use crate::store::line::SILENT;
use everyhop_canon::protobuf::{bytes, framed, message, number, unframed};
use everyhop_canon::rate_limit_response::{Word, read};
use everyhop_plan::StoreSpeaks;
use everyhop_record::refusal::Refusal;
use everyhop_running::store::{ANSWERS_WITHIN, Answer, Question, StoreRun};
use everyhop_transport::alarm::Alarm;
use everyhop_transport::deadlines::{Watched, Watches};
use everyhop_transport::h2::Asking;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// An answer of one descriptor is some dozens of bytes, beside what it would have a client told.
const ANSWER_BYTES: usize = 64 * 1024;
/// For one that is refused and is not told until when.
const AGAIN_US: u64 = 1_000_000;

type Answered = Pin<Box<dyn Future<Output = Result<Answer, String>>>>;

/// A question that waits for its answer.
struct Call {
    question: Arc<Question>,
    at: Instant,
    answer: Answered,
}

pub(crate) struct Service {
    store: Arc<StoreRun>,
    conn: Rc<H2Conn>,
    /// What each is asked by.
    head: Asking,
    watch: Watched,
    unix_s: Box<dyn Fn() -> i64>,
    alarm: Alarm,
    calls: Vec<Call>,
    /// For which it has no room yet.
    waiting: VecDeque<(Arc<Question>, Instant)>,
    /// Some were not answered in time.
    is_slow: bool,
}

impl Drop for Service {
    /// Nobody waits for what does not come.
    fn drop(&mut self) {
        let under_way = self.calls.drain(..).map(|it| it.question);
        under_way.chain(self.waiting.drain(..).map(|(it, _)| it)).for_each(|it| it.answer(Answer::Unknown));
    }
}

impl Service {
    /// On a hop that is open.
    pub(crate) async fn on(watches: &Rc<Watches>, store: &Arc<StoreRun>, opened: Opened) -> Result<Service, String> {
        let clock = watches.clock.clone();
        let authority = opened.link.backend.at.to_string();
        let conn = h2::open(watches, opened, &store.limits).await.map_err(|it| it.why.slug().to_owned())?;
        Ok(Service {
            store: store.clone(),
            conn,
            head: head(&authority).ok_or("its address is no authority of HTTP")?,
            watch: watches.watch(),
            unix_s: Box::new(move || clock.unix_s.get()),
            alarm: Alarm::new().map_err(|e| e.to_string())?,
            calls: Vec::new(),
            waiting: VecDeque::new(),
            is_slow: false,
        })
    }

    /// Asks and hears until it ends: with why, or with nothing where `goes_on` says that it is another one now.
    pub(crate) async fn talk(&mut self, goes_on: impl Fn() -> bool) -> Option<String> {
        self.store.questions.proved(self.conn.link.facts.told());
        self.store.questions.now_up();
        self.beats();
        poll_fn(|cx| self.poll_talk(cx, &goes_on)).await
    }

    fn poll_talk(&mut self, cx: &mut Context<'_>, goes_on: &impl Fn() -> bool) -> Poll<Option<String>> {
        let questions = self.store.questions.clone();
        let now = Instant::now();
        self.waiting.extend(questions.take(cx).into_iter().map(|it| (it, now)));
        if let Some(why) = self.poll_answers(cx) {
            return Poll::Ready(Some(why));
        }
        // Each that begins is looked at once, so that it is sent.
        while self.conn.has_room()
            && let Some((question, at)) = self.waiting.pop_front()
        {
            // Whoever asked waits no more.
            if question.answered().is_some() {
                continue;
            }
            let answer = self.ask(&question);
            self.calls.push(Call { question, at, answer });
            if let Some(why) = self.poll_answers(cx) {
                return Poll::Ready(Some(why));
            }
        }
        let now = Instant::now();
        let oldest = self.calls.iter().map(|it| it.at).chain(self.waiting.iter().map(|(_, at)| *at)).min();
        if self.alarm.poll(cx).is_ready() || oldest.is_some_and(|at| now - at >= ANSWERS_WITHIN) {
            self.late(now);
        }
        if let Some(at) = oldest {
            if now.saturating_duration_since(at) > SILENT {
                return Poll::Ready(Some("it does not answer".to_owned()));
            }
            let _ = self.alarm.set(ANSWERS_WITHIN / 4);
            let _ = self.alarm.poll(cx);
        }
        if self.watch.poll_late(cx).is_ready() {
            let unix_s = (self.unix_s)();
            let (ends_s, over) = self.conn.link.ends();
            let over = if unix_s >= ends_s { Some(over) } else { self.conn.link.backend.closed(unix_s) };
            let over = over.or((!self.conn.is_open()).then_some(Refusal::BackendClosed));
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

    /// Hears what has come. A service that fails one fails all: it is the one that counts.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Option<String> {
        let mut failed = None;
        self.calls.retain_mut(|it| match it.answer.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(answer) => {
                it.question.answer(*answer.as_ref().unwrap_or(&Answer::Unknown));
                failed = failed.take().or(answer.err());
                false
            }
        });
        if self.is_slow && self.calls.is_empty() && failed.is_none() {
            self.is_slow = false;
            self.store.questions.now_up();
        }
        failed
    }

    /// Those who wait longer are told so, and nobody waits any more until all was answered.
    fn late(&mut self, now: Instant) {
        let is_late = |at: Instant| now.saturating_duration_since(at) >= ANSWERS_WITHIN;
        let under_way = self.calls.iter().map(|it| (&it.question, it.at));
        for (question, at) in under_way.chain(self.waiting.iter().map(|(it, at)| (it, *at))) {
            if is_late(at) && question.answered().is_none() {
                question.answer(Answer::Unknown);
                self.store.questions.late.fetch_add(1, Ordering::Relaxed);
                self.is_slow = true;
            }
        }
        self.waiting.retain(|(_, at)| !is_late(*at));
        if self.is_slow {
            self.store.questions.now_down("it does not answer in time");
        }
    }

    fn ask(&self, question: &Question) -> Answered {
        let (conn, limits, head) = (self.conn.clone(), self.store.limits.clone(), self.head.clone());
        let message = written(&self.store, question);
        Box::pin(async move {
            let mut up = H2Up::on(conn);
            let came = unary(&mut up, (&head, &message), &limits, ANSWER_BYTES).await;
            let came = came.map_err(|why| why.slug().to_owned())?.map_err(|(_, why)| format!("it {why}"))?;
            match unframed(came.bytes(), ANSWER_BYTES) {
                Ok(Some((message, _))) => answer(message),
                Ok(None) | Err(_) => Err("it answers no message".to_owned()),
            }
        })
    }
}

/// One request of one descriptor: the limit's name, and the digest of its key.
fn written(store: &StoreRun, question: &Question) -> Vec<u8> {
    let StoreSpeaks::Envoy { domain } = &store.plan.speaks else { return Vec::new() };
    let mut parts = question.asked.key.splitn(3, ':').skip(1);
    let (name, digest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    framed(|out| {
        bytes(out, 1, domain.as_bytes());
        message(out, 2, |out| {
            message(out, 1, |out| {
                bytes(out, 1, name.as_bytes());
                bytes(out, 2, digest.as_bytes());
            });
        });
        number(out, 3, u64::from(question.asked.want));
    })
}

fn answer(message: &[u8]) -> Result<Answer, String> {
    match read(message).map_err(|why| why.words().to_owned())? {
        Word::Passes { left } => Ok(Answer::Given { n: 1, left: left.unwrap_or_default() }),
        Word::Over { after_us, limit } => Ok(Answer::Over { wait_us: after_us.unwrap_or(AGAIN_US).max(1), limit }),
    }
}

fn head(authority: &str) -> Option<Asking> {
    // As long as an answer is waited for: one that is late is still a sign that it answers.
    let within = format!("{}m", SILENT.as_millis());
    let head = Asking::new(Vec::new(), "POST", authority, PATH).with("te", "trailers").with("grpc-timeout", &within);
    head.is_sayable().then(|| head.with("content-type", "application/grpc").with("user-agent", "everyhop"))
}
