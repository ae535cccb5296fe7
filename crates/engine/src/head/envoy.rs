//! The same question in the words of Envoy's authorizers (`envoy.service.auth.v3.CheckRequest`): what is asked for, as it was judged
//! here, who asks for it, and of the request's fields those that are named. No body, and nothing of the backend. Read next:
//! `question.rs`, which says it in those of HTTP; `../backend/ask_call.rs`, which reads the answer.

use crate::exchange::asked::Asked;
use crate::exchange::words::{Fields, Question};
use crate::head::shown::{Asks, From, named};
use everyhop_canon::protobuf::{bytes, framed, message, number, string};
use everyhop_record::facts::Peer;
use everyhop_transport::h2::Asking;

const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

pub(super) fn call(asked: &Asked, fields: &impl Fields, it: &Asks<'_>) -> Option<Question> {
    let mut head = Asking::new(Vec::new(), "POST", it.host, PATH)
        .with("te", "trailers")
        .with("grpc-timeout", &format!("{}m", it.within_ms.max(1)))
        .with("content-type", "application/grpc")
        .with("user-agent", "everyhop");
    if !head.is_sayable() {
        return None;
    }
    if let (Some(trace), Some(span)) = (&asked.trace, it.span) {
        trace.tell_as(span, |name, value| head.put(name.as_bytes(), value));
    }
    // AttributeContext: source, request.
    let message = framed(|out| {
        message(out, 1, |out| {
            message(out, 1, |out| source(out, asked, &it.from));
            message(out, 4, |out| message(out, 2, |out| request(out, asked, fields, it)));
        });
    });
    Some(Question::Call { head, message })
}

/// `AttributeContext.Peer`: the address that backends are told, and by what it proved to be known.
fn source(out: &mut Vec<u8>, asked: &Asked, from: &From<'_>) {
    let ip = asked.client(from.peer.ip());
    message(out, 1, |out| {
        message(out, 1, |out| {
            bytes(out, 2, ip.to_string().as_bytes());
            // Nobody says by which port it came to a proxy before us.
            if asked.chain.is_empty() {
                number(out, 3, u64::from(from.peer.port()));
            }
        });
    });
    if let Some(name) = from.proved.and_then(principal) {
        string(out, 4, name.as_bytes());
    }
}

/// A URI before a DNS name, as Envoy has it; without either its e-mail address, and of one without names its certificate.
fn principal(peer: &Peer) -> Option<&str> {
    let names = peer.names();
    let uri = names.iter().find(|it| it.contains(':'));
    let dns = names.iter().find(|it| !it.contains('@'));
    uri.or(dns).or(names.first()).or(peer.known_by().first()).map(String::as_str)
}

/// `AttributeContext.HttpRequest`.
fn request(out: &mut Vec<u8>, asked: &Asked, fields: &impl Fields, it: &Asks<'_>) {
    let mut id = Vec::new();
    asked.shown_id().write(&mut id);
    string(out, 1, &id);
    bytes(out, 2, asked.method.as_bytes());
    // A map has a name once.
    let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    named(it.by, fields, |_, name, value| {
        let name = name.to_ascii_lowercase();
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, before)) => before.extend([b",", value].concat()),
            None => all.push((name, value.to_vec())),
        }
    });
    for (name, value) in &all {
        message(out, 3, |out| {
            string(out, 1, name);
            string(out, 2, value);
        });
    }
    string(out, 4, &[asked.path().as_bytes(), asked.query().as_bytes()].concat());
    let (scheme, authority) = match &asked.told {
        None => ("https", asked.authority.as_str()),
        Some(told) => (told.scheme.name(), told.authority.as_str()),
    };
    string(out, 5, authority.as_bytes());
    bytes(out, 6, scheme.as_bytes());
    bytes(out, 10, if asked.protocol == "h2" { b"HTTP/2" } else { b"HTTP/1.1" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_called_as_envoy_calls_it_and_by_its_certificate_where_it_has_no_name() {
        let called = |names: &[&str]| {
            let peer = Peer::new(names.iter().map(ToString::to_string), "ab", String::new(), 0);
            principal(&peer).expect("a name").to_owned()
        };
        assert_eq!(called(&["a.test", "spiffe://td/a", "a@b.test"]), "spiffe://td/a");
        assert_eq!(called(&["a.test", "a@b.test"]), "a.test");
        assert_eq!(called(&["a@b.test"]), "a@b.test");
        assert_eq!(called(&[]), "sha256:ab");
    }
}
