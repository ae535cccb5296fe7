//! A PKCS#11 URI (RFC 7512): which key of which token, by which module, and where its PIN is kept. What it says and we would not look
//! at is refused, and nothing is taken for granted: a key that could be another one is none. Knows no module and no file.

/// A key of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    pub token: Selector,
    /// Its label.
    pub object: Option<String>,
    pub id: Option<Vec<u8>>,
    /// The file of the module.
    pub module: String,
    /// Where the PIN is kept, as keys are named: `file:PATH`, `env:NAME` or `cred:NAME`.
    pub pin: Option<String>,
}

/// Which token; what is not said fits any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    pub label: Option<String>,
    pub serial: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub slot: Option<u64>,
}

/// Why it names no key, and at which byte that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub at: usize,
    pub why: String,
    /// The PIN itself stands in it, which is not said again.
    pub has_pin: bool,
}

const SCHEME: &str = "pkcs11:";

impl Uri {
    pub fn read(text: &str) -> Result<Uri, Unread> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| unread(0, "it does not begin with pkcs11:"))?;
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut found = Found::default();
        for (at, name, value) in pairs(path, SCHEME.len(), ';')? {
            found.path(at, name, value)?;
        }
        if let Some(query) = query {
            for (at, name, value) in pairs(query, SCHEME.len() + path.len() + 1, '&')? {
                found.query(at, name, value)?;
            }
        }
        let end = text.len();
        if found.token == Selector::default() {
            return Err(unread(end, "it names no token: token=LABEL, serial=NUMBER or slot-id=NUMBER"));
        }
        if found.object.is_none() && found.id.is_none() {
            return Err(unread(end, "it names no key: object=LABEL or id=%01%02"));
        }
        let module = found.module.ok_or_else(|| unread(end, "it names no module: ?module-path=/path/to/module.so"))?;
        Ok(Uri { token: found.token, object: found.object, id: found.id, module, pin: found.pin })
    }
}

#[derive(Default)]
struct Found {
    token: Selector,
    object: Option<String>,
    id: Option<Vec<u8>>,
    is_private: bool,
    module: Option<String>,
    pin: Option<String>,
}

impl Found {
    fn path(&mut self, at: usize, name: &str, value: &str) -> Result<(), Unread> {
        let place = match name {
            "token" => &mut self.token.label,
            "serial" => &mut self.token.serial,
            "manufacturer" => &mut self.token.manufacturer,
            "model" => &mut self.token.model,
            "object" => &mut self.object,
            "id" => {
                let id = bytes(at, value, PATH)?;
                return once(at, name, &mut self.id, id);
            }
            "slot-id" => {
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                let number = digits.then(|| value.parse().ok()).flatten();
                return once(at, name, &mut self.token.slot, number.ok_or_else(|| unread(at, "slot-id is no number"))?);
            }
            "type" if value == "private" && !self.is_private => {
                self.is_private = true;
                return Ok(());
            }
            "type" => return Err(unread(at, "type is private, once: what signs is a private key")),
            _ => return Err(unknown(at, name)),
        };
        let value = text(at, value, PATH)?;
        once(at, name, place, value)
    }

    fn query(&mut self, at: usize, name: &str, value: &str) -> Result<(), Unread> {
        match name {
            "pin-value" => Err(Unread { has_pin: true, ..unread(at, "the PIN itself stands in it (pin-value)") }),
            "module-path" => {
                let path = text(at, value, QUERY)?;
                if !path.starts_with('/') {
                    return Err(unread(at, "module-path is no path from /"));
                }
                once(at, name, &mut self.module, path)
            }
            "module-name" => Err(unread(at, "module-name is looked up elsewhere: say which file, by module-path")),
            "pin-source" => {
                let source = text(at, value, QUERY)?;
                let source = if source.starts_with('/') { format!("file:{source}") } else { source };
                if !["file:", "env:", "cred:"].iter().any(|it| source.starts_with(it)) {
                    return Err(unread(
                        at,
                        "pin-source is file:PATH, env:NAME or cred:NAME; no program is started for it",
                    ));
                }
                once(at, name, &mut self.pin, source)
            }
            _ => Err(unknown(at, name)),
        }
    }
}

fn once<T>(at: usize, name: &str, place: &mut Option<T>, value: T) -> Result<(), Unread> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(unread(at, &format!("{name} is said twice"))),
    }
}

fn unread(at: usize, why: &str) -> Unread {
    Unread { at, why: why.to_owned(), has_pin: false }
}

fn unknown(at: usize, name: &str) -> Unread {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    // What is no name may be anything, such as a secret.
    unread(at, &if plain { format!("{name} is not looked at") } else { "an attribute has no name".to_owned() })
}

type Pair<'a> = (usize, &'a str, &'a str);

/// Each attribute, with the byte that it begins at.
fn pairs(text: &str, begin: usize, by: char) -> Result<Vec<Pair<'_>>, Unread> {
    let mut at = begin;
    let mut found = Vec::new();
    for piece in text.split(by) {
        let (name, value) = piece.split_once('=').ok_or_else(|| unread(at, "an attribute has no value"))?;
        if value.is_empty() {
            return Err(unread(at, "an attribute has no value"));
        }
        found.push((at, name, value));
        at += piece.len() + 1;
    }
    Ok(found)
}

/// What stands for itself beside letters and digits (RFC 7512 §2.3).
const PATH: &[u8] = b"-._~:[]@!$'()*+,=&";
const QUERY: &[u8] = b"-._~:[]@!$'()*+,=/?|";

fn bytes(at: usize, value: &str, itself: &[u8]) -> Result<Vec<u8>, Unread> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            if !first.is_ascii_alphanumeric() && !itself.contains(first) {
                return Err(unread(at, "a value has a sign that must be written as %XX"));
            }
            out.push(*first);
            continue;
        }
        let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|it| u8::try_from(it).ok());
        match after {
            [high, low, after @ ..] => {
                let (high, low) = digit(high).zip(digit(low)).ok_or_else(|| unread(at, HALF))?;
                out.push(high << 4 | low);
                rest = after;
            }
            _ => return Err(unread(at, HALF)),
        }
    }
    Ok(out)
}

const HALF: &str = "% is followed by no two hexadecimal digits";

fn text(at: usize, value: &str, itself: &[u8]) -> Result<String, Unread> {
    let it = String::from_utf8(bytes(at, value, itself)?).map_err(|_| unread(at, "a value is no UTF-8"))?;
    if it.chars().any(char::is_control) { Err(unread(at, "a value has a control character")) } else { Ok(it) }
}
