//! One question to whoever decides about requests, by HTTP/1.1, or by gRPC (`ask_call.rs`), over a hop as any other: to another of its backends where one
//! cannot be reached, and once more where a kept connection had died of age. What is read of an answer is its head, and of its body no more than may go to a
//! client. Read next: `reach.rs`, `ask_call.rs`.

use crate::backend::ask_call::call;
use crate::backend::h1::H1Up;
use crate::backend::heard::{ANSWER_BYTES, Heard, INTERIM};
use crate::backend::reach::Backends;
use crate::backend::up::Up;
use crate::exchange::carry::Reached;
use crate::exchange::sides::{Backend, Client};
use crate::exchange::tries::Tries;
use crate::exchange::words::{Fields, Gone, Got, Meta, Needs, Question};
use everyhop_plan::{AuthorizerSpeaks, Limits};
use everyhop_record::refusal::Refusal;
use everyhop_running::asks::AsksRun;
use everyhop_running::backend::BackendRun;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::in_time;
use http::HeaderMap;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// No question was sent.
    Unreached,
    Late,
    /// It broke off, or what it answered is no HTTP.
    Broke,
}

impl Backends {
    /// Asks, until `until_ms` of the thread's milliseconds. `question`: as one of its backends is asked it.
    pub(crate) async fn ask(
        &self,
        (generation, by): (u64, &AsksRun),
        question: impl Fn(&BackendRun) -> Option<Question>,
        until_ms: u64,
        tries: &mut Tries,
    ) -> Result<Heard, Failed> {
        let (began, to) = (Instant::now(), &by.to);
        let needs = if matches!(by.by.speaks, AuthorizerSpeaks::Envoy {}) { Needs::Http2 } else { Needs::Either };
        let mut again = false;
        loop {
            let reached = self.reach(generation, to, needs, tries, again, &mut Nobody).await;
            let Reached { backend, mut up, reused } = reached.map_err(|why| match why {
                Refusal::ConnectTimeout => Failed::Late,
                _ => Failed::Unreached,
            })?;
            let _ = to.sends_to(&backend);
            let Some(question) = question(&backend) else { return Err(Failed::Unreached) };
            let watch = self.watches.watch();
            watch.at_ms(until_ms);
            let asking = async {
                match (&mut up, &question) {
                    (Up::H1(up), Question::Get { head, .. }) => read(up, head, &to.limits).await,
                    (Up::H2(up), Question::Call { head, message }) => {
                        call(up, (head, message), &to.limits, &by.by.takes).await
                    }
                    // Each kind has a protocol of its own, by which it is reached.
                    _ => Err(Refusal::HopNoProtocol),
                }
            };
            let heard = in_time(&watch, asking).await;
            let is_reusable = !matches!(question, Question::Get { binds: true, .. });
            let why = match heard {
                Ok(Ok(mut heard)) => {
                    self.answered(to, &up, heard.status);
                    heard.up = Some(up).filter(|_| is_reusable && heard.is_whole);
                    return Ok(heard);
                }
                Ok(Err(why)) => why,
                Err(_) => Refusal::BackendFirstByte,
            };
            let answered = up.answered();
            self.broke(to, (&up, reused), why, began, tries);
            if why == Refusal::BackendFirstByte {
                return Err(Failed::Late);
            }
            // A question does nothing, so that twice is as good as once.
            if again || answered || !(reused || to.takers() > 1) {
                return Err(Failed::Broke);
            }
            again = true;
            if to.takers() > tries.hops() + 1 {
                tries.leave_out(backend.hop_id);
            }
        }
    }
}

async fn read(up: &mut H1Up, head: &[u8], limits: &Limits) -> Result<Heard, Refusal> {
    up.ask(head);
    poll_fn(|cx| up.poll_flush(cx)).await?;
    let mut status = 0;
    for _ in 0..=INTERIM {
        status = poll_fn(|cx| up.poll_head(cx, limits)).await?.status;
        if status >= 200 {
            break;
        }
        up.pass_over();
    }
    if status < 200 {
        return Err(Refusal::BackendInformational);
    }
    let (mut fields, mut body) = (Vec::new(), Buf::default());
    up.each_field(|name, value| fields.push((String::from_utf8_lossy(name).into_owned(), value.to_vec())));
    up.pass_over();
    let mut is_whole = true;
    while poll_fn(|cx| up.poll_data(cx, &mut body)).await? == Got::Some {
        if body.len() > ANSWER_BYTES {
            is_whole = false;
            break;
        }
    }
    Ok(Heard { status, fields, body, is_whole, unfit: None, up: None })
}

/// The side of a client who is not spoken to: whether it left is looked at elsewhere.
struct Nobody;

impl Client for Nobody {
    fn poll_body(&mut self, _: &mut Context<'_>, _: &mut Buf) -> Poll<Result<Got, Refusal>> {
        Poll::Ready(Ok(Got::End))
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        None
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn informational(&mut self, _: u16, _: &impl Fields) {}

    fn head(&mut self, _: &Meta, _: &impl Fields) {}

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }

    fn poll_take(&mut self, _: &mut Context<'_>, _: &mut Buf) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self, _: Option<HeaderMap>) {}

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }
}
