//! Greetings of protocols in which the server speaks first, once. A client that asked the edge for TLS was greeted before
//! that, and hears no second one within TLS (RFC 3207 §4.2, RFC 9051 §6.2.1): where the backend's comes inside the session,
//! it is read and taken away. Read next: `streams.rs`.

use crate::backend::connect::Opened;
use crate::backend::preface::protocol;
use everyhop_hello::clear::{Answer, Asking, Unwilling};
use everyhop_plan::StartTls;
use everyhop_record::failure::Failure;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Watch, in_time};
use std::future::poll_fn;

/// Takes the greeting off an open session by the watch's deadline: all of it, and nothing may come behind it.
pub(crate) async fn take(mut it: Opened, words: StartTls, watch: &Watch) -> Result<Opened, Box<Failure>> {
    let taken = in_time(watch, greeted(&mut it, words)).await;
    let (why, detail) = match taken.unwrap_or(Err((Refusal::ConnectTimeout, Some("it did not greet")))) {
        Ok(()) => return Ok(it),
        Err(why) => why,
    };
    Err(Box::new(it.link.failure(why, detail, 0)))
}

async fn greeted(it: &mut Opened, words: StartTls) -> Result<(), (Refusal, Option<&'static str>)> {
    let mut asking = Asking::for_greeting(protocol(words));
    let mut said = Buf::default();
    loop {
        match asking.hear(said.bytes()) {
            Answer::NeedMore => match poll_fn(|cx| it.wire.poll_read(cx, &mut said)).await {
                Ok(0) => return Err((Refusal::BackendClosed, None)),
                Ok(_) => {}
                Err(e) => return Err((it.link.broken(&e), None)),
            },
            Answer::Begins | Answer::Say(_) => return Ok(()),
            Answer::No(Unwilling::NoTls(detail) | Unwilling::NotReady(detail)) => {
                return Err((Refusal::HopNotReady, Some(detail)));
            }
        }
    }
}
