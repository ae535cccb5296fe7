//! One message to a collector, by HTTP/1.1 over its hop: to each of its addresses in turn until one takes it. A connection is
//! kept for the next message while all that it was opened by holds. What a collector answers costs no more than its time and the
//! bounds of a head. Read next: `../backend/connect.rs`, which opens it.

use crate::backend::connect;
use crate::backend::h1::H1Up;
use crate::backend::preface::Preface;
use crate::exchange::words::Got;
use everyhop_record::failure::Failure;
use everyhop_record::otlp;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::Address;
use everyhop_running::backend::BackendRun;
use everyhop_running::traces::TracesRun;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Watches, in_time};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// For one try: as OpenTelemetry's exporters have it.
const TIMEOUT_S: u32 = 10;
/// What is read of an answer, which is a few bytes where all went well.
const ANSWER_BYTES: usize = 64 * 1024;
const INTERIM: u32 = 16;
/// How long a connection waits for its next message.
const KEPT_S: u32 = 60;

/// What came of a message.
pub(crate) enum Answer {
    Taken {
        /// So many spans of it not.
        rejected: u64,
    },
    /// And it never would be.
    Refused(String),
    Later {
        why: String,
        /// So long the collector asked to be left alone.
        after_ms: Option<u64>,
    },
}

/// The way to the collector, with its open connection.
pub(crate) struct Line {
    watches: Rc<Watches>,
    open: Option<Open>,
    /// Where the next message goes first.
    turn: usize,
}

struct Open {
    up: Box<H1Up>,
    hop_id: u64,
    until_ms: u64,
}

/// What one exchange came to.
struct Heard {
    status: u16,
    after_s: Option<u64>,
    body: Buf,
}

impl Line {
    pub(crate) fn new(watches: Rc<Watches>) -> Line {
        Line { watches, open: None, turn: 0 }
    }

    pub(crate) fn watches(&self) -> &Rc<Watches> {
        &self.watches
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.watches.clock.now_ms.get()
    }

    /// Sends it, within [`TIMEOUT_S`] for all that is tried.
    pub(crate) async fn post(&mut self, traces: &TracesRun, body: &[u8]) -> Answer {
        let until_ms = self.now_ms() + u64::from(TIMEOUT_S) * 1000;
        if let Some(open) = self.open.take().filter(|it| self.holds(it, traces)) {
            let kept = open.up.link.backend.clone();
            // One that the collector had closed by then says nothing: it is asked over a new one.
            match self.ask(open.up, traces, &kept, body, until_ms).await {
                Ok(heard) => return said(&heard),
                Err(it) if it.why == Refusal::BackendClosed || it.why == Refusal::BackendReset => {}
                Err(it) => return self.failed(&kept, None, *it),
            }
        }
        let all = traces.backends.iter().flat_map(|b| {
            let addresses = b.addresses.load_full();
            (0..addresses.len()).map(|i| (b, addresses.get(i).cloned())).collect::<Vec<_>>()
        });
        let mut all: Vec<(&Arc<BackendRun>, Address)> = all.filter_map(|(b, a)| Some((b, a?))).collect();
        if let Some(turns) = self.turn.checked_rem(all.len()) {
            all.rotate_left(turns);
        }
        let mut why = None;
        let count = all.len() as u64;
        for (i, (backend, address)) in all.into_iter().enumerate() {
            if let Some(closed) = backend.closed(self.watches.clock.unix_s.get()) {
                why = Some(Answer::Later { why: closed.slug().to_owned(), after_ms: None });
                continue;
            }
            let share_ms = until_ms.saturating_sub(self.now_ms()) / (count - i as u64).max(1);
            let share_until_ms = self.now_ms() + share_ms;
            let preface = Preface::NONE;
            let opened = connect::open(&self.watches, 0, backend, &address, share_until_ms, &preface, &mut None).await;
            let heard = match opened {
                Ok(opened) => {
                    opened.link.is_our_own();
                    let up = Box::new(H1Up::new(opened, &traces.limits));
                    self.ask(up, traces, backend, body, until_ms).await
                }
                Err(it) => Err(it),
            };
            match heard {
                Ok(heard) => {
                    self.turn = self.turn.wrapping_add(i);
                    return said(&heard);
                }
                Err(it) => why = Some(self.failed(backend, Some(&address), *it)),
            }
        }
        why.unwrap_or_else(|| Answer::Later { why: Refusal::Unresolved.slug().to_owned(), after_ms: None })
    }

    /// It may take one more message.
    fn holds(&self, it: &Open, traces: &TracesRun) -> bool {
        let (clock, link) = (&self.watches.clock, &it.up.link);
        let is_named = traces.backends.iter().any(|b| b.hop_id == it.hop_id && b.is_at(link.address.at));
        let is_over = clock.now_ms.get() >= it.until_ms || clock.unix_s.get() >= link.ends().0;
        let closed = link.backend.closed(clock.unix_s.get()).is_some();
        is_named && !is_over && !closed && it.up.is_reusable() && it.up.is_quiet()
    }

    /// Asks over a connection, and keeps that for the next message where it can be.
    async fn ask(
        &mut self,
        mut up: Box<H1Up>,
        traces: &TracesRun,
        backend: &Arc<BackendRun>,
        body: &[u8],
        until_ms: u64,
    ) -> Result<Heard, Box<Failure>> {
        let watch = self.watches.watch();
        watch.at_ms(until_ms);
        let host = backend.host();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {host}\r\nuser-agent: everyhop/{}\r\ncontent-type: application/x-protobuf\r\n\
             content-length: {}\r\n\r\n",
            traces.path,
            env!("CARGO_PKG_VERSION"),
            body.len()
        );
        let heard = match in_time(&watch, exchange(&mut up, traces, head.as_bytes(), body)).await {
            Ok(Ok(heard)) => heard,
            Ok(Err(why)) => return Err(Box::new(up.link.failure(why, up.rule(), 0))),
            Err(_) => return Err(Box::new(up.link.failure(Refusal::BackendFirstByte, None, 0))),
        };
        if up.is_reusable() {
            let until_ms = self.now_ms() + up.idle_ms(KEPT_S);
            self.open = Some(Open { up, hop_id: backend.hop_id, until_ms });
        }
        Ok(heard)
    }

    /// A try that failed is kept for `status`, as that of a backend is.
    fn failed(&self, backend: &BackendRun, address: Option<&Address>, it: Failure) -> Answer {
        let (micros, _) = self.watches.clock.unix_micros(Instant::now());
        backend.health.count(it.why.slug());
        if let Some(address) = address {
            address.fares.failures.fetch_add(1, Ordering::Relaxed);
            address.fares.note(&it, micros);
        }
        let more = it.detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default();
        Answer::Later { why: format!("{} at {}{more}", it.why.slug(), backend.at), after_ms: None }
    }
}

async fn exchange(up: &mut H1Up, traces: &TracesRun, head: &[u8], body: &[u8]) -> Result<Heard, Refusal> {
    up.ask(head);
    let mut out = Buf::default();
    out.push(body);
    poll_fn(|cx| up.poll_send(cx, &mut out)).await?;
    poll_fn(|cx| up.poll_flush(cx)).await?;
    let mut status = 0;
    for _ in 0..=INTERIM {
        status = poll_fn(|cx| up.poll_head(cx, &traces.limits)).await?.status;
        if status >= 200 {
            break;
        }
        up.pass_over();
    }
    if status < 200 {
        return Err(Refusal::BackendInformational);
    }
    let after_s = up.retry_after_s();
    up.pass_over();
    let mut body = Buf::default();
    while poll_fn(|cx| up.poll_data(cx, &mut body)).await? == Got::Some {
        if body.len() > ANSWER_BYTES {
            return Err(Refusal::BackendMalformed);
        }
    }
    Ok(Heard { status, after_s, body })
}

/// What an answer means (OTLP, "OTLP/HTTP Response").
fn said(it: &Heard) -> Answer {
    let why = format!("answered {}", it.status);
    match it.status {
        200..=299 => Answer::Taken { rejected: otlp::rejected(it.body.bytes()) },
        429 | 502 | 503 | 504 => Answer::Later { why, after_ms: it.after_s.map(|s| s.saturating_mul(1000)) },
        _ => Answer::Refused(why),
    }
}
