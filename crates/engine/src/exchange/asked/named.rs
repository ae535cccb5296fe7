//! What a request names: its host and its target, each in the one form in which everything else reads them; and what can be told of
//! one that names none.

use crate::exchange::asked::Asked;
use everyhop_canon::{host, path};
use everyhop_record::refusal::Refusal;

impl Asked {
    /// Method, host and target, each in its one form. An authority in the target wins over Host (RFC 9112 §3.2.2).
    pub(super) fn names(&mut self, target: &[u8], host_field: Option<&[u8]>) -> Result<(), Refusal> {
        self.target.clear();
        self.path.clear();
        self.path_len = 0;
        let named = self.parts(target, host_field);
        if named.is_err() {
            self.tells(target);
        }
        named
    }

    fn parts(&mut self, target: &[u8], host_field: Option<&[u8]>) -> Result<(), Refusal> {
        if self.method == "CONNECT" {
            return Err(Refusal::ConnectMethod);
        }
        let parts = path::target(target).map_err(|_| Refusal::BadTarget)?;
        let named = parts.authority.or(host_field).ok_or(Refusal::BadHost)?;
        // Of the two schemes in which a target names a host this is the longer one.
        self.secure = parts.authority.is_some() && target.get(4).is_some_and(|b| b.eq_ignore_ascii_case(&b's'));
        self.host_of(named)?;
        if parts.path.is_empty() {
            if self.method != "OPTIONS" {
                return Err(Refusal::BadTarget);
            }
            // It asks about the server, which is who answers for its root (RFC 9110 §9.3.7).
            self.path.push('/');
            self.target.push('*');
        } else {
            path::form_into(parts.path, &mut self.path).map_err(|_| Refusal::BadTarget)?;
            self.target.push_str(parts.path);
        }
        self.path_len = self.target.len();
        if let Some(query) = parts.query {
            self.target.push('?');
            self.target.push_str(query);
        }
        Ok(())
    }

    /// What can be told of an HTTP/1 head that is refused before it was read to its end.
    #[cold]
    pub(crate) fn of_refused(&mut self, head: &[u8]) {
        let line = head.trim_ascii_start().split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
        let mut words = line.split(|b| *b == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if everyhop_http1::is_token(method) && !target.is_empty() {
            set(&mut self.method, method.get(..32).unwrap_or(method));
            self.tells(target);
        }
    }

    /// Of a request that is refused for its target, what the log may say: the path, as far as it is one, and no more of it
    /// than tells which one it was.
    #[cold]
    pub(crate) fn tells(&mut self, target: &[u8]) {
        const TOLD_BYTES: usize = 512;
        let path = target.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
        let told = path.get(..TOLD_BYTES).unwrap_or(path);
        self.target.clear();
        self.target.push_str(&String::from_utf8_lossy(told));
        self.path_len = self.target.len();
    }

    fn host_of(&mut self, named: &[u8]) -> Result<(), Refusal> {
        let port = host::host_into(named, &mut self.host).map_err(|_| Refusal::BadHost)?;
        self.authority.clear();
        self.authority.push_str(&self.host);
        if let Some(port) = port {
            use std::fmt::Write;
            let _ = write!(self.authority, ":{port}");
        }
        Ok(())
    }
}

pub(super) fn set(text: &mut String, bytes: &[u8]) {
    text.clear();
    // Tokens are ASCII.
    text.extend(bytes.iter().map(|b| char::from(*b)));
}
