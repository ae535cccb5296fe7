//! Answers that the edge makes itself, and as which of them a refusal is told: one plain sentence, the slug, the request's
//! id, in the words that the client wants, and `Proxy-Status` (RFC 9209). Also the clock's Date, written once a second and thread. Read next: `given.rs`.

use crate::client::wants::Wants;
use crate::exchange::told::Id;
use crate::exchange::words::{Behind, BodyLen, Fields, Meta};
use bytes::Bytes;
use everyhop_http1::{FieldId, write};
use everyhop_record::grpc;
use everyhop_record::json;
use everyhop_record::refusal::Refusal;
use http::{HeaderMap, HeaderValue};
use std::borrow::Cow;
use std::cell::RefCell;

/// RFC 6797. Never in the clear (§7.2).
pub(crate) const HSTS: &str = "strict-transport-security";

/// A whole response of the edge's own.
pub(crate) struct Answer {
    pub(crate) meta: Meta,
    /// Without the length, which its writer adds.
    pub(crate) fields: Vec<(Cow<'static, str>, Vec<u8>)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// As the answer to HEAD: the length stays told (RFC 9110 §9.3.2).
    pub(crate) fn without_body(&mut self) {
        let mut length = Vec::new();
        write::number(&mut length, self.body.len() as u64);
        self.fields.push(("content-length".into(), length));
        (self.meta.body, self.body) = (BodyLen::None, Bytes::new());
    }
}

/// Makes the answer. 499 and 0 are for logs; a client that could still read would get 502. `page` has an operator's own for a
/// status, and is asked for who wants HTML alone; it goes out as it is.
pub(crate) fn answer(
    why: Refusal,
    id: Id<'_>,
    to_head: bool,
    wants: Wants,
    page: impl FnOnce(u16) -> Option<Bytes>,
) -> Answer {
    let status = match why.status() {
        s @ 400..=599 if s != 499 => s,
        _ => 502,
    };
    let (kind_of_body, body) = match wants {
        Wants::Plain => ("text/plain; charset=utf-8", plain(why, status, id).into()),
        Wants::Html => ("text/html; charset=utf-8", page(status).unwrap_or_else(|| html(why, status, id).into())),
        Wants::Problem => ("application/problem+json", problem(why, status, id).into()),
    };
    let mut fields = vec![
        ("content-type".into(), kind_of_body.as_bytes().to_vec()),
        ("cache-control".into(), b"no-store".to_vec()),
        ("proxy-status".into(), format!("everyhop; error={}; details=\"{}\"", kind(why), why.slug()).into_bytes()),
        ("x-request-id".into(), id.to_string().into_bytes()),
    ];
    if wants != Wants::Plain {
        fields.push(("vary".into(), b"accept".to_vec()));
    }
    if status == 405 {
        fields.push(("allow".into(), b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH".to_vec()));
    }
    if matches!(why, Refusal::TooManyAtOnce | Refusal::HopFull | Refusal::AskBusy | Refusal::PasswordBusy) {
        fields.push(("retry-after".into(), b"1".to_vec()));
    }
    let body_len = BodyLen::Known(body.len() as u64);
    let mut it = Answer { meta: Meta { status, body: body_len, behind: Behind::Nothing }, fields, body };
    if to_head {
        it.without_body();
    }
    it
}

fn plain(why: Refusal, status: u16, id: Id<'_>) -> String {
    let (phrase, sentence, slug) = (write::reason(status), why.sentence(), why.slug());
    format!("{status} {phrase}\n\n{sentence}.\n\nreason: {slug}\nrequest: {id}\n")
}

/// Nothing that a client sent stands in it, and an id that a proxy told has no sign that means something here; sentences are
/// escaped all the same.
fn html(why: Refusal, status: u16, id: Id<'_>) -> String {
    let (phrase, slug) = (write::reason(status), why.slug());
    let sentence = why.sentence().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{status} {phrase}</title></head>\n<body><h1>{status} {phrase}</h1>\n\
         <p>{sentence}.</p>\n<p>reason: <code>{slug}</code><br>request: <code>{id}</code></p></body></html>\n"
    )
}

/// RFC 9457; the type is left to the status, so that the title is its phrase (§4.2.1).
fn problem(why: Refusal, status: u16, id: Id<'_>) -> String {
    let mut detail = Vec::new();
    json::text(&mut detail, why.sentence().as_bytes());
    let (phrase, slug, detail) = (write::reason(status), why.slug(), String::from_utf8_lossy(&detail));
    format!(
        "{{\"type\":\"about:blank\",\"title\":\"{phrase}\",\"status\":{status},\"detail\":{detail},\
         \"reason\":\"{slug}\",\"request\":\"{id}\"}}\n"
    )
}

/// A refusal in the words of gRPC: trailers alone, with the status that HTTP's stands for there. The sentence is ASCII, which
/// is how `grpc-message` has it.
pub(crate) fn call(why: Refusal, id: Id<'_>) -> Answer {
    Answer {
        meta: Meta { status: 200, body: BodyLen::None, behind: Behind::Nothing },
        fields: vec![
            ("content-type".into(), b"application/grpc".to_vec()),
            ("grpc-status".into(), grpc::code(why).to_string().into_bytes()),
            ("grpc-message".into(), format!("{} ({})", why.sentence(), why.slug()).into_bytes()),
            ("proxy-status".into(), format!("everyhop; error={}; details=\"{}\"", kind(why), why.slug()).into_bytes()),
            ("x-request-id".into(), id.to_string().into_bytes()),
        ],
        body: Bytes::new(),
    }
}

/// The trailers of a call whose answer cannot be completed.
pub(crate) fn unavailable() -> HeaderMap {
    let mut map = HeaderMap::with_capacity(2);
    map.insert("grpc-status", HeaderValue::from(u16::from(grpc::UNAVAILABLE)));
    map.insert("grpc-message", HeaderValue::from_static("the answer ended before it was complete"));
    map
}

/// RFC 9209 §2.3: the registered error type that is nearest.
fn kind(why: Refusal) -> &'static str {
    match why {
        Refusal::ConnectFailed => "connection_refused",
        Refusal::ConnectTimeout => "connection_timeout",
        Refusal::HopUntrusted
        | Refusal::HopNameMismatch
        | Refusal::HopExpired
        | Refusal::HopBadCertificate
        | Refusal::HopPinMismatch
        | Refusal::HopRevoked
        | Refusal::HopListOverdue
        | Refusal::HopRevocationUnknown
        | Refusal::HopWrongUse
        | Refusal::HopWeakKey
        | Refusal::HopOldForm => "tls_certificate_error",
        Refusal::HopNotTls
        | Refusal::HopHandshake
        | Refusal::HopNoPostQuantum
        | Refusal::HopNoHttp2
        | Refusal::HopNoHttp1
        | Refusal::HopNoProtocol
        | Refusal::HopRenegotiation
        | Refusal::HopIdentityNotDemanded => "tls_protocol_error",
        Refusal::HopIdentityRefused => "tls_alert_received",
        Refusal::Unresolved => "dns_error",
        Refusal::BackendFirstByte | Refusal::BackendTooSlow | Refusal::AnswerTooLong => "http_response_timeout",
        Refusal::BackendClosed | Refusal::BackendTruncated | Refusal::BackendReset => "http_response_incomplete",
        Refusal::HopNoTunnel => "http_upgrade_failed",
        Refusal::BackendMalformed | Refusal::BackendInformational => "http_protocol_error",
        Refusal::AcceptanceExpired
        | Refusal::PlainExpired
        | Refusal::SiteExpired
        | Refusal::LogFull
        | Refusal::HopNoIdentity
        | Refusal::Drained => "destination_unavailable",
        Refusal::HopUnsigned => "proxy_internal_error",
        Refusal::AddressNotAllowed | Refusal::ClientNotAllowed | Refusal::ClientExpired => "http_request_denied",
        Refusal::AskDenied => "http_request_denied",
        Refusal::TokenKeysUnavailable
        | Refusal::AskUnreached
        | Refusal::AskLate
        | Refusal::AskUnfit
        | Refusal::PasswordBusy => "destination_unavailable",
        _ if why.is_of_token() || why.is_of_password() => "http_request_denied",
        _ => "http_request_error",
    }
}

impl Fields for Answer {
    fn has_secrets(&self) -> bool {
        false
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        for (name, value) in &self.fields {
            f(everyhop_http1::field_id(name.as_bytes()), name.as_bytes(), value);
        }
    }
}

thread_local! {
    static DATE: RefCell<(i64, [u8; 29])> = const { RefCell::new((i64::MIN, [b' '; 29])) };
}

/// Hands the current IMF-fixdate (RFC 9110 §5.6.7) to `f`.
pub(crate) fn with_date<T>(unix_s: i64, f: impl FnOnce(&[u8]) -> T) -> T {
    DATE.with_borrow_mut(|(at, text)| {
        if *at != unix_s {
            *at = unix_s;
            *text = imf_fixdate(u64::try_from(unix_s).unwrap_or(0));
        }
        f(&text[..])
    })
}

fn imf_fixdate(unix_s: u64) -> [u8; 29] {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, rest) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = everyhop_record::json::civil(days);
    let name =
        |all: &[&'static str], at: u64| usize::try_from(at).ok().and_then(|at| all.get(at).copied()).unwrap_or("???");
    let text = format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days % 7),
        name(&MONTHS, month - 1),
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    );
    text.as_bytes().try_into().unwrap_or([b' '; 29])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_an_imf_fixdate() {
        assert_eq!(&imf_fixdate(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn an_answer_names_its_reason_and_the_request() {
        let it = answer(Refusal::NotFound, Id::Own(0xabc), false, Wants::Plain, |_| None);
        let text = String::from_utf8_lossy(&it.body).into_owned();
        assert_eq!(it.meta.status, 404);
        assert!(text.contains("request/not-found") && text.contains("0000000000000abc"), "{text}");
        assert!(answer(Refusal::NotFound, Id::Own(1), true, Wants::Html, |_| None).body.is_empty());
    }

    #[test]
    fn an_operators_page_is_for_who_wants_html_alone_and_leaves_the_status() {
        let page = |status| (status == 404).then(|| Bytes::from_static(b"<h1>gone</h1>"));
        let told = |why, wants| answer(why, Id::Own(1), false, wants, page);
        let it = told(Refusal::NotFound, Wants::Html);
        assert_eq!((it.meta.status, &it.body[..]), (404, &b"<h1>gone</h1>"[..]));
        for (why, wants) in [
            (Refusal::NotFound, Wants::Plain),
            (Refusal::NotFound, Wants::Problem),
            (Refusal::ConnectFailed, Wants::Html),
        ] {
            let it = told(why, wants);
            assert!(String::from_utf8_lossy(&it.body).contains(why.slug()), "{:?}", it.body);
        }
    }
}
