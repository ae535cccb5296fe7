//! A line in JSON of the fields that somebody picked, in their order, and of request fields by name. All of them in the order of
//! a whole line are that line. What a plan fixes is written once. Read next: `kept.rs`.

use crate::failure::write_all;
use crate::inspected::inspected_by;
use crate::json::{hex16, stamp, text};
use crate::line::{Line, OfConn, asked_by, token, trace_id};
use crate::lines::Labels;
use everyhop_http1::write::number;

/// What a line says beside what a plan fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Time,
    Conn(OfConn),
    Id,
    BackendHop,
    Protocol,
    Method,
    Host,
    Path,
    Status,
    GrpcStatus,
    BytesIn,
    BytesOut,
    DurationUs,
    End,
    Detail,
    ToldId,
    TraceId,
    Token,
    User,
    Ask,
    Waf,
    FailedHops,
    Alarms,
    /// A field of the request, by the index of its name.
    Header(usize),
}

const OF: &[(&str, Of)] = &[
    ("time", Of::Time),
    ("conn", Of::Conn(OfConn::Conn)),
    ("listener", Of::Conn(OfConn::Listener)),
    ("peer", Of::Conn(OfConn::Peer)),
    ("client", Of::Conn(OfConn::Client)),
    ("sni", Of::Conn(OfConn::Sni)),
    ("client_hop", Of::Conn(OfConn::ClientHop)),
    ("id", Of::Id),
    ("backend_hop", Of::BackendHop),
    ("protocol", Of::Protocol),
    ("method", Of::Method),
    ("host", Of::Host),
    ("path", Of::Path),
    ("status", Of::Status),
    ("grpc_status", Of::GrpcStatus),
    ("bytes_in", Of::BytesIn),
    ("bytes_out", Of::BytesOut),
    ("duration_us", Of::DurationUs),
    ("end", Of::End),
    ("detail", Of::Detail),
    ("told_id", Of::ToldId),
    ("trace_id", Of::TraceId),
    ("token", Of::Token),
    ("user", Of::User),
    ("ask", Of::Ask),
    ("waf", Of::Waf),
    ("failed_hops", Of::FailedHops),
    ("alarms", Of::Alarms),
];

/// By which a field of the request is named.
const HEADER: &str = "header:";

pub(crate) struct Picked {
    /// What is written before each of what differs from line to line.
    pieces: Vec<(Vec<u8>, Of)>,
    after: Vec<u8>,
    pub(crate) headers: Vec<Box<str>>,
}

impl Picked {
    /// Refuses: a name that no line has.
    pub(crate) fn of(names: &[String], labels: &Labels<'_>) -> Result<Picked, String> {
        let mut it = Picked { pieces: Vec::new(), after: Vec::new(), headers: Vec::new() };
        let mut fixed = vec![b'{'];
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                fixed.push(b',');
            }
            text(&mut fixed, name.as_bytes());
            fixed.push(b':');
            let of = match name.as_str() {
                "route" => Err(labels.route),
                "pattern" => Err(labels.pattern),
                "plan" => Err(Some(labels.plan)),
                "material" => Err(Some(labels.material)),
                _ => match (name.strip_prefix(HEADER), OF.iter().find(|(known, _)| known == name)) {
                    (Some(header), _) => {
                        it.headers.push(header.into());
                        Ok(Of::Header(it.headers.len() - 1))
                    }
                    (None, Some((_, of))) => Ok(*of),
                    (None, None) => return Err(format!("a line has no field {name:?}")),
                },
            };
            match of {
                Ok(of) => it.pieces.push((std::mem::take(&mut fixed), of)),
                Err(value) => maybe(&mut fixed, value.map(str::as_bytes)),
            }
        }
        fixed.push(b'}');
        it.after = fixed;
        Ok(it)
    }

    pub(crate) fn write(&self, line: &Line<'_>, out: &mut Vec<u8>, micros: u64) {
        for (before, of) in &self.pieces {
            out.extend_from_slice(before);
            value(*of, line, out, micros);
        }
        out.extend_from_slice(&self.after);
    }
}

fn value(of: Of, line: &Line<'_>, out: &mut Vec<u8>, micros: u64) {
    match of {
        Of::Time => {
            out.push(b'"');
            stamp(out, micros);
            out.push(b'"');
        }
        Of::Conn(of) => out.extend_from_slice(line.conn.written().value(of)),
        Of::Id => match line.id {
            Some(id) => {
                out.push(b'"');
                hex16(out, id);
                out.push(b'"');
            }
            None => maybe(out, None),
        },
        Of::BackendHop => match line.hop {
            Some((hop, reused)) => hop.write(out, reused),
            None => maybe(out, None),
        },
        Of::Protocol => maybe(out, line.protocol.map(str::as_bytes)),
        Of::Method => maybe(out, line.method),
        Of::Host => maybe(out, line.host),
        Of::Path => maybe(out, line.path),
        Of::Status if line.status == 0 => maybe(out, None),
        Of::Status => number(out, u64::from(line.status)),
        Of::GrpcStatus => match line.grpc {
            Some(code) => number(out, u64::from(code)),
            None => maybe(out, None),
        },
        Of::BytesIn => number(out, line.bytes_in),
        Of::BytesOut => number(out, line.bytes_out),
        Of::DurationUs => number(out, line.duration_us),
        Of::End => text(out, line.end.as_bytes()),
        Of::Detail => maybe(out, line.detail.map(str::as_bytes)),
        Of::ToldId => maybe(out, line.told_id.map(str::as_bytes)),
        Of::TraceId => trace_id(out, line.trace),
        Of::Token => token(out, line.token),
        Of::User => maybe(out, line.user.map(str::as_bytes)),
        Of::Ask => asked_by(out, line.ask()),
        Of::Waf => inspected_by(out, line.waf()),
        Of::FailedHops => {
            out.push(b'[');
            write_all(out, line.failed);
            out.push(b']');
        }
        Of::Alarms => {
            out.push(b'[');
            line.write_alarms(out);
            out.push(b']');
        }
        Of::Header(index) => maybe(out, line.kept.and_then(|kept| kept.get(index))),
    }
}

/// Text, or null.
fn maybe(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}
