//! The forms of the control protocol's messages: one JSON object each, every key known, none missing, none twice. Nothing
//! is done here. `schema/control.json` has the same forms, from Python, and a contract test holds the two together.
//! Read next: `serve.rs`, which does what they ask.

use everyhop_plan::present;
use everyhop_running::address::Found;
use everyhop_running::challenges;
use everyhop_running::material::Listed;
use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The protocol's number, in every message of either side.
pub(crate) const PROTOCOL: u32 = 1;

/// Why a message is no question: a refusal's slug, and what is wrong.
#[derive(Debug)]
pub(crate) struct Unread(pub(crate) &'static str, pub(crate) String);

impl Ask {
    /// The protocol's number stands beside the question's keys and is looked at first: another one may have others.
    ///
    /// Refuses: `control/protocol`; `control/malformed` for a key that the question does not have, one that is missing, and
    /// one that stands twice.
    pub(crate) fn read(message: &[u8]) -> Result<Ask, Unread> {
        let malformed = |e: serde_json::Error| Unread("control/malformed", e.to_string());
        let Keys(mut keys) = serde_json::from_slice(message).map_err(malformed)?;
        let at = keys.iter().position(|(key, _)| key == "protocol");
        match at.map(|at| keys.remove(at).1) {
            Some(it) if it == PROTOCOL => Ask::deserialize(MapDeserializer::new(keys.into_iter())).map_err(malformed),
            Some(it) => Err(Unread("control/protocol", format!("protocol {it} is not {PROTOCOL}"))),
            None => Err(Unread("control/malformed", "missing field `protocol`".to_owned())),
        }
    }
}

/// An object as it is written: a key that stands twice is there twice.
struct Keys(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Keys;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    keys.push(entry);
                }
                Ok(Keys(keys))
            }
        }
        from.deserialize_map(Entries)
    }
}

/// A listening socket: whose it is and which thread accepts from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Socket {
    pub(crate) listener: String,
    pub(crate) bind: String,
    pub(crate) thread: usize,
}

/// What the supervisor says is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    pub(crate) kind: String,
    pub(crate) about: String,
    pub(crate) why: String,
}

/// What came of asking for the keys of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) issuer: String,
    /// It was asked for all questions of the engine's up to that number.
    pub(crate) question: u64,
    pub(crate) failed: bool,
    #[serde(deserialize_with = "present")]
    pub(crate) fetched_s: Option<i64>,
}

/// What the supervisor asks or orders.
#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    Hello {},
    Listen {
        threads: usize,
        sockets: Vec<Socket>,
        #[serde(deserialize_with = "present")]
        status: Option<String>,
    },
    Apply {
        plan: String,
        plan_digest: String,
        material: Vec<Listed>,
        material_digest: String,
        names: HashMap<String, Vec<Found>>,
        logs: Vec<String>,
        #[serde(deserialize_with = "present")]
        zone: Option<String>,
        #[serde(deserialize_with = "present")]
        inspector: Option<String>,
    },
    Names {
        names: HashMap<String, Vec<Found>>,
    },
    Log {
        logs: Vec<String>,
    },
    Adopt {},
    Reach {},
    Status {},
    Troubles {
        troubles: Vec<Told>,
    },
    Plan {},
    Wanted {
        wait_ms: u64,
    },
    /// An inspector is ready; its socket comes with this.
    Inspector {
        id: String,
        /// Questions that it has before it at once.
        at_once: usize,
    },
    Keys {
        issuers: Vec<Asked>,
    },
    /// What authorities are answered: those and no others.
    Challenges {
        challenges: Vec<challenges::Given>,
    },
    /// Sign by these lines, and by no others.
    Signers {},
    Where(Where),
    Drain {
        drain_s: u64,
    },
    Retire {
        retire_s: u64,
    },
    Stop {},
}

/// A question to the matcher.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Where {
    #[serde(deserialize_with = "present")]
    pub(crate) listener: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(crate) sni: Option<String>,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    #[serde(deserialize_with = "present")]
    pub(crate) client: Option<Vec<String>>,
    #[serde(deserialize_with = "present")]
    pub(crate) token: Option<String>,
    /// Where it is asked from; `null` for where every list of networks would take it.
    #[serde(deserialize_with = "present")]
    pub(crate) address: Option<std::net::IpAddr>,
}

/// An answer that says no more than its kind.
pub(crate) fn answer(kind: &str) -> Value {
    json!({"protocol": PROTOCOL, "answer": kind})
}

/// A question that was not answered, or an order that was not obeyed, and why.
pub(crate) fn refused(slug: &str, why: &str) -> Value {
    json!({"protocol": PROTOCOL, "answer": "refused", "slug": slug, "why": why})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(), String> {
        Ask::read(text.as_bytes()).map(drop).map_err(|Unread(slug, why)| format!("{slug} {why}"))
    }

    #[test]
    fn a_message_with_a_key_that_its_question_does_not_have_is_refused() {
        let fine = [
            r#"{"protocol": 1, "ask": "status"}"#,
            r#"{"ask": "drain", "drain_s": 3, "protocol": 1}"#,
            r#"{"protocol": 1, "ask": "listen", "threads": 1, "sockets": [], "status": null}"#,
            r#"{"protocol": 1, "ask": "where", "listener": null, "sni": null, "host": "a", "path": "/", "method": "GET", "headers": [], "client": null, "address": null, "token": null}"#,
        ];
        for text in fine {
            assert_eq!(read(text), Ok(()), "{text}");
            let more = text.replacen('{', r#"{"bogus": 1, "#, 1);
            assert!(read(&more).is_err_and(|e| e.contains("bogus")), "{more}");
        }
    }

    #[test]
    fn a_message_with_a_key_twice_or_without_its_protocol_is_refused() {
        for (text, says) in [
            (r#"{"protocol": 1, "ask": "drain", "drain_s": 3, "drain_s": 4}"#, "duplicate field `drain_s`"),
            (r#"{"protocol": 1, "ask": "status", "protocol": 1}"#, "protocol"),
            (r#"{"protocol": 1, "ask": "status", "ask": "stop"}"#, "duplicate field `ask`"),
            (r#"{"ask": "status"}"#, "missing field `protocol`"),
            (r#"{"protocol": 1, "ask": "drain"}"#, "missing field `drain_s`"),
        ] {
            assert!(read(text).is_err_and(|e| e.contains(says)), "{text}: {:?}", read(text));
        }
    }
}
