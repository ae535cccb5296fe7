//! The values that a route's edits may name, of a request and the connection that it came by: what the edge knows itself,
//! never what the client said of itself. Read next: `../exchange/edits.rs`.

use crate::client::conn::Conn;
use crate::exchange::asked::Asked;
use crate::exchange::edits::Knows;
use everyhop_plan::Variable;
use std::io::Write;

impl Knows for Conn {
    fn tell(&self, of: Variable, asked: &Asked, into: &mut Vec<u8>) {
        let facts = &self.opened.facts;
        let text = match of {
            Variable::ClientAddress => {
                if let Some(first) = asked.chain.first() {
                    let _ = write!(into, "{first}");
                    return;
                }
                into.extend_from_slice(&self.said.address);
                return;
            }
            Variable::RequestId => return asked.shown_id().write(into),
            Variable::ClientName => facts.peer.as_ref().and_then(|p| p.names().first()).map_or("", String::as_str),
            Variable::TlsVersion => facts.version.unwrap_or_default(),
            Variable::Host => &asked.host,
            Variable::Path => asked.sent(),
            Variable::Query => asked.query(),
            Variable::Method => &asked.method,
        };
        into.extend_from_slice(text.as_bytes());
    }
}
