//! The way of a connection on one page: arrived, greeted, decided; then spliced, or terminated and served as
//! requests or as a stream, or answered as a challenge, or refused. Where a listener speaks plain HTTP: arrived, and served in the clear.
//! Each step is one function of the stage's own file, and gives what the next one takes. Read next, in this order:
//! `peek.rs`, `splice.rs`, `terminate.rs`, then `client/request.rs`, the way of a request.

use crate::arrived::{Arrived, Clear};
use crate::peek::Greeting;
use crate::refuse::{self, DECODE_ERROR, PLAIN_HTTP, UNRECOGNIZED_NAME};
use crate::{challenged, client, peek, plain, splice, stream, terminate};
use everyhop_decide::{HelloRefusal, Verdict};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::Running;
use rustls::ServerConfig;
use std::borrow::Cow;
use std::sync::Arc;

/// Serves one connection to its end.
pub(crate) async fn serve(mut arrived: Arrived) {
    if arrived.listening.speaks.is_plain() {
        // Boxed, so that whoever speaks TLS does not carry the room for it.
        return Box::pin(in_the_clear(arrived)).await;
    }
    arrived.watch.within_s(arrived.running.limits().handshake_s);
    let hello = match peek::peek(&mut arrived).await {
        Ok(hello) => hello,
        Err(why) if peek::is_probe(&arrived, why) => return refuse::probed(&arrived),
        Err(why) => {
            let answer = answer_to(why, &mut arrived);
            return refuse::refuse(arrived, None, why, &answer);
        }
    };
    match decide(&arrived, &hello) {
        Ok(Way::Answer(config)) => challenged::answer(arrived, &hello, config).await,
        Ok(Way::Splice(route)) => splice::splice(arrived, hello, route).await,
        Ok(Way::Terminate(site)) => {
            let streams = arrived.running.matcher.is_streaming(site);
            if let Some((opened, wire)) = terminate::terminate(arrived, &hello, site).await {
                // In a task of its own: what the handshake needed is not held for the life of the connection.
                match streams {
                    false => client::serve(opened, wire),
                    true => stream::serve(opened, wire, hello.host),
                }
            }
        }
        Err(why) => {
            let answer = answer_to(why, &mut arrived);
            refuse::refuse(arrived, hello.host.as_deref(), why, &answer);
        }
    }
}

/// Serves one connection of a listener that speaks plain HTTP. Where that serves, its requests go on.
async fn in_the_clear(mut arrived: Arrived) {
    match plain::peek(&mut arrived).await {
        Ok(spoken) => {
            if let Some((opened, wire, first)) = plain::open(arrived) {
                client::serve_plain(opened, wire, first, spoken);
            }
        }
        Err(why) if peek::is_probe(&arrived, why) => refuse::probed(&arrived),
        Err(why) => {
            let answer = if why == Refusal::PlainTls { plain::TLS_HERE } else { b"" };
            refuse::refuse(arrived, None, why, answer);
        }
    }
}

/// Where a connection goes on.
enum Way {
    /// Past us, by the passthrough route of this index.
    Splice(usize),
    /// To the site of this index, where TLS ends.
    Terminate(usize),
    /// To a handshake that shows the certificate of a challenge, and ends.
    Answer(Arc<ServerConfig>),
}

/// By the server's name alone, before a key is used or a backend is asked.
fn decide(arrived: &Arrived, hello: &Greeting) -> Result<Way, Refusal> {
    let running = &arrived.running;
    let verdict = running.matcher.hello(&arrived.listening.name, hello.host.as_deref());
    if arrived.held.is_some() && !arrived.core.shared.sources.may_shake(arrived.client.ip(), running.limits()) {
        return Err(Refusal::SourceHandshakes);
    }
    if let Some(config) = arrived.core.shared.challenges.tls(hello.host.as_deref(), &hello.alpn) {
        return Ok(Way::Answer(config));
    }
    match verdict {
        // Nothing passes unrecorded where that was asked for. Inside a session that ends here each request is told so.
        Verdict::Splice(route) if is_log_full(&arrived.running, route) => Err(Refusal::LogFull),
        Verdict::Splice(route) => Ok(Way::Splice(route)),
        Verdict::Terminate(site) if is_uncertified(running, site) => Err(Refusal::SiteUncertified),
        Verdict::Terminate(site) => Ok(Way::Terminate(site)),
        Verdict::Refuse(HelloRefusal::NoSni) => Err(Refusal::NoSni),
        Verdict::Refuse(HelloRefusal::UnknownSni) => Err(Refusal::UnknownSni),
    }
}

/// Its authority was not asked yet, or has not answered.
fn is_uncertified(running: &Running, site: usize) -> bool {
    running.sites.get(site).is_some_and(|it| it.is_uncertified)
}

/// Of what is refused the line goes where those of no route go.
fn is_log_full(running: &Running, route: usize) -> bool {
    let own = running.route(route).map(|r| &r.lines).filter(|it| it.is_own);
    running.lines.must_refuse() || own.is_some_and(|it| it.must_refuse())
}

/// What a client reads that is refused before TLS: a word of its protocol, an alert, a word of plain HTTP, or nothing.
fn answer_to(why: Refusal, arrived: &mut Arrived) -> Cow<'static, [u8]> {
    if let Clear::Refused(words) = &mut arrived.clear {
        return Cow::Owned(std::mem::take(words));
    }
    Cow::Borrowed(match why {
        Refusal::NotTls if peek::is_http(arrived) => PLAIN_HTTP,
        Refusal::HelloMalformed | Refusal::HelloTooLong | Refusal::HelloInvalidName => DECODE_ERROR,
        Refusal::NoSni | Refusal::UnknownSni => UNRECOGNIZED_NAME,
        _ => b"",
    })
}
