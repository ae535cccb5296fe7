//! Files of users and what Authorization shows: who is read is who stands in a line of the text, and what is shown reads back as the
//! same. Nothing is verified here: that is made to be slow.

use crate::shown as readable;
use everyhop_password::{MOST_USERS, NotShown, Users, shown};

/// A file of users.
pub fn users(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    match Users::read(text) {
        Ok(users) => {
            assert!(users.len() <= MOST_USERS);
            for it in users.each() {
                let line = lines[it.line - 1];
                assert!(line.starts_with(&format!("{}:{}", it.name, it.hash.text())), "{}", readable(data));
                assert!(!it.name.is_empty() && !it.name.contains(|c: char| c == ':' || c.is_control()));
                assert!(it.hash.text().starts_with("$argon2id$v=19$") || it.hash.text().starts_with("$2"));
                assert!(users.get(&it.name).is_some_and(|found| found.line == it.line));
            }
            let said =
                lines.iter().filter(|it| !it.trim_end_matches([' ', '\t', '\r']).is_empty() && !it.starts_with('#'));
            assert_eq!(said.count(), users.len(), "nobody is passed over: {}", readable(data));
        }
        Err(wrong) => {
            assert!(!wrong.is_empty());
            for it in wrong {
                let line = lines[it.line - 1];
                let end = it.column - 1 + it.width;
                assert!(it.column >= 1 && end <= line.chars().count().max(it.column), "{it:?} {}", readable(data));
                assert!(it.name.is_empty() || line.starts_with(&it.name));
            }
        }
    }
}

/// A value of Authorization; where it begins with a colon, what stands behind that in base64.
pub fn authorization(data: &[u8]) {
    let built = data.strip_prefix(b":").map(|text| format!("basic {}", base64(text)).into_bytes());
    match (shown(built.as_deref().unwrap_or(data)), built.is_some()) {
        (Ok(it), _) => {
            let (name, password) = (it.name(), std::str::from_utf8(it.password()).expect("text"));
            assert!(!name.contains(':') && !name.chars().chain(password.chars()).any(char::is_control));
            if let Some(text) = data.strip_prefix(b":") {
                assert_eq!(format!("{name}:{password}").as_bytes(), text);
            }
            let again = shown(format!("Basic {}", base64(format!("{name}:{password}").as_bytes())).as_bytes());
            assert!(again.is_ok_and(|it| it.name() == name && it.password() == password.as_bytes()));
        }
        (Err(NotShown::Otherwise), true) => assert_eq!(data, b":", "{}", readable(data)),
        (Err(_), _) => {}
    }
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |sum, at| sum << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            out.push(if at <= chunk.len() { char::from(SIGNS[(bits >> (18 - 6 * at) & 63) as usize]) } else { '=' });
        }
    }
    out
}
