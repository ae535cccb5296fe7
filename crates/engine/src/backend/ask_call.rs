//! A question by gRPC to whoever decides about requests in the words of Envoy's authorizers, over HTTP/2: what comes of it is an
//! answer as one by HTTP would have it, so that it is judged by the same rules. Whatever is no answer says why. Read next: `ask.rs`.

use crate::backend::h2::H2Up;
use crate::backend::heard::{ANSWER_BYTES, Heard, INTERIM};
use crate::exchange::words::Got;
use everyhop_canon::check_response::{How, Said, Word, read};
use everyhop_canon::protobuf::{NoMessage, unframed};
use everyhop_plan::Limits;
use everyhop_record::grpc;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::h2::Asking;
use http::{HeaderName, HeaderValue};
use std::future::poll_fn;

/// Asks, and reads what comes to its end. `takes`: fields of its answer that are told, in the place of the client's.
pub(super) async fn call(
    up: &mut H2Up,
    question: (&Asking, &[u8]),
    limits: &Limits,
    takes: &[String],
) -> Result<Heard, Refusal> {
    Ok(match unary(up, question, limits, ANSWER_BYTES).await? {
        Ok(came) => match unframed(came.bytes(), ANSWER_BYTES) {
            Ok(Some((message, _))) => heard(message, takes).unwrap_or_else(|why| unfit(0, why)),
            Ok(None) => unfit(0, NOTHING),
            Err(why) => unfit(0, no_message(why)),
        },
        Err((status, why)) => unfit(status, why),
    })
}

const NOTHING: &str = "answered without a message";

/// One question, and its one answer as gRPC frames it, which is `most` bytes long at most; or which status of HTTP came in its place, where
/// one did, and why it is none.
pub(crate) async fn unary(
    up: &mut H2Up,
    (head, message): (&Asking, &[u8]),
    limits: &Limits,
    most: usize,
) -> Result<Result<Buf, (u16, String)>, Refusal> {
    let unfit = |why: &str| Ok(Err((0, why.to_owned())));
    up.ask(head.clone(), false);
    let mut body = Buf::default();
    body.push(message);
    while !body.bytes().is_empty() {
        poll_fn(|cx| up.poll_send(cx, &mut body)).await?;
    }
    up.finish(None);
    let mut status = 0;
    for _ in 0..=INTERIM {
        status = poll_fn(|cx| up.poll_head(cx, limits)).await?.status;
        if status >= 200 {
            break;
        }
    }
    if status < 200 {
        return Err(Refusal::BackendInformational);
    }
    if status != 200 || !up.field("content-type").is_some_and(|it| it.starts_with(b"application/grpc")) {
        return Ok(Err((status, format!("answered {status}, which is no answer of gRPC"))));
    }
    let mut code = up.field("grpc-status").map(grpc::read);
    let mut came = Buf::default();
    while poll_fn(|cx| up.poll_data(cx, &mut came, limits)).await? == Got::Some {
        match unframed(came.bytes(), most) {
            Err(why) => return unfit(no_message(why)),
            Ok(Some((_, len))) if came.len() > len => return unfit("answered more than one message"),
            Ok(_) => {}
        }
    }
    if let Some(trailers) = up.trailers() {
        code = trailers.get("grpc-status").map(|it| grpc::read(it.as_bytes())).or(code);
    }
    match code {
        Some(0) => {}
        Some(code) => return unfit(&format!("answered gRPC status {code}")),
        None => return unfit("answered without a status of gRPC"),
    }
    match unframed(came.bytes(), most) {
        Ok(Some(_)) => Ok(Ok(came)),
        Ok(None) => unfit(NOTHING),
        Err(why) => unfit(no_message(why)),
    }
}

fn no_message(why: NoMessage) -> &'static str {
    match why {
        NoMessage::Compressed => "answered a compressed message",
        NoMessage::TooLong => "answered too long a message",
        NoMessage::Malformed => "answered what is no message of gRPC",
    }
}

fn unfit(status: u16, why: impl Into<String>) -> Heard {
    Heard { status, fields: Vec::new(), body: Buf::default(), is_whole: true, unfit: Some(why.into()), up: None }
}

/// A message, as an answer by HTTP would say it.
fn heard(message: &[u8], takes: &[String]) -> Result<Heard, String> {
    let mut said = Buf::default();
    let (status, fields) = match read(message).map_err(|why| why.words().to_owned())? {
        Word::Passes { says, removes, edits_query, tells } => {
            // What it would not have the backend see, the backend does not see: or nobody passes.
            if let Some(name) = removes.into_iter().find(|name| !is_taken(name, takes)) {
                return Err(format!("would have {} removed, which takes does not name", name.escape_ascii()));
            }
            if edits_query {
                return Err("would have another query asked for".to_owned());
            }
            let mut fields = placed(&says)?;
            fields.retain(|(name, _)| name != "set-cookie");
            fields.extend(all(&tells)?.into_iter().filter(|(name, _)| name == "set-cookie"));
            (200, fields)
        }
        Word::Denied { status, says, body } => {
            let status = match u16::try_from(status) {
                Ok(0) => 403,
                Ok(status @ 300..=599) => status,
                _ => return Err(format!("answered a no with status {status}")),
            };
            said.push(body);
            let mut fields = all(&says)?;
            // Nobody guesses what a body is of which nothing is said.
            if !body.is_empty() && fields.iter().all(|(name, _)| name != "content-type") {
                fields.push(("content-type".to_owned(), b"text/plain".to_vec()));
            }
            (status, fields)
        }
    };
    Ok(Heard { status, fields, body: said, is_whole: true, unfit: None, up: None })
}

/// What a client says in a field of such a name goes no further.
fn is_taken(name: &[u8], takes: &[String]) -> bool {
    let same = |a: &u8, b: &u8| {
        let plain = |it: &u8| if matches!(it, b'_' | b'.') { b'-' } else { it.to_ascii_lowercase() };
        plain(a) == plain(b)
    };
    takes.iter().any(|it| it.len() == name.len() && it.bytes().zip(name).all(|(a, b)| same(&a, b)))
}

type Pairs = Vec<(String, Vec<u8>)>;

/// Each as it is.
fn all(says: &[Said<'_>]) -> Result<Pairs, String> {
    says.iter().map(field).collect()
}

/// Each beside those before it, as it asks for: there is nothing of the client's any more.
fn placed(says: &[Said<'_>]) -> Result<Pairs, String> {
    let mut out: Pairs = Vec::new();
    for it in says {
        let (name, value) = field(it)?;
        let is_there = out.iter().any(|(known, _)| *known == name);
        match it.how {
            How::AddIfAbsent if is_there => continue,
            How::SetIfThere if !is_there => continue,
            How::Set | How::SetIfThere => out.retain(|(known, _)| *known != name),
            How::Add | How::AddIfAbsent => {}
        }
        out.push((name, value));
    }
    Ok(out)
}

fn field(it: &Said<'_>) -> Result<(String, Vec<u8>), String> {
    let name = HeaderName::from_bytes(it.name).ok();
    let value = HeaderValue::from_bytes(it.value.trim_ascii()).ok();
    match (name, value) {
        (Some(name), Some(value)) => Ok((name.as_str().to_owned(), value.as_bytes().to_vec())),
        _ => Err(format!("answered {}, which is no field with a value", it.name.escape_ascii())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &'static str, value: &'static str, how: How) -> Said<'static> {
        Said { name: name.as_bytes(), value: value.as_bytes(), how }
    }

    #[test]
    fn fields_go_beside_each_other_as_they_ask_for() {
        let says = [
            said("X-A", "1", How::Add),
            said("x-a", "2", How::Add),
            said("x-a", "3", How::AddIfAbsent),
            said("x-b", "1", How::SetIfThere),
            said("x-c", "1", How::AddIfAbsent),
            said("x-c", " 2 ", How::Set),
        ];
        let pairs = placed(&says).expect("fields");
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), std::str::from_utf8(v).expect("text"))).collect();
        assert_eq!(pairs, [("x-a", "1"), ("x-a", "2"), ("x-c", "2")]);
    }

    #[test]
    fn what_is_no_field_is_said_by_nobody() {
        for (name, value) in [(":path", "/x"), ("x a", "1"), ("", "1"), ("x-a", "1\r\nx-b: 2"), ("x-a", "\0")] {
            assert!(all(&[said(name, value, How::Set)]).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn what_is_taken_is_removed_however_it_is_written() {
        let takes = ["x-user".to_owned()];
        assert!(is_taken(b"X_User", &takes) && is_taken(b"x.user", &takes));
        assert!(!is_taken(b"x-users", &takes) && !is_taken(b"authorization", &takes));
    }
}
