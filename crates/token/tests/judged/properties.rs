//! What must hold of whatever comes: nothing that was not signed passes, and reading never fails but by saying so.

use crate::kit::{ED, P256, fine, judged, rules, set, token};
use everyhop_token::{KeySet, read};
use serde_json::json;

/// A generator of numbers that says the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % below.max(1)
    }
}

#[test]
fn a_token_in_which_any_one_byte_is_another_does_not_pass() {
    let keys = set(&[ED.jwk(Some("ed"), json!({})), P256.jwk(Some("p"), json!({}))]);
    let it = token(&ED, json!({"alg": "EdDSA", "kid": "ed"}), fine());
    assert!(judged(&it, &rules(), &keys).is_ok());
    for at in 0..it.len() {
        for by in [1, 2, 32, 64, 127] {
            let mut other = it.clone().into_bytes();
            other[at] ^= by;
            let passes = read(&other).and_then(|t| t.judged(&rules(), &keys, crate::kit::NOW)).is_ok();
            assert!(!passes, "byte {at}");
        }
        for cut in [&it[..at], &it[at + 1..]] {
            assert!(judged(cut, &rules(), &keys).is_err(), "cut at {at}");
        }
    }
}

#[test]
fn whatever_is_read_as_a_token_or_as_keys_is_read_or_refused() {
    let keys = set(&[ED.jwk(Some("ed"), json!({}))]);
    let mut dice = Dice(7);
    let it = token(&ED, json!({"alg": "EdDSA", "kid": "ed"}), fine());
    let jwks = json!({"keys": [ED.jwk(Some("ed"), json!({})), P256.jwk(None, json!({}))]}).to_string();
    for _ in 0..20_000 {
        let (mut token, mut set) = (it.clone().into_bytes(), jwks.clone().into_bytes());
        for _ in 0..=dice.next(4) {
            for text in [&mut token, &mut set] {
                let at = dice.next(text.len());
                match dice.next(4) {
                    0 => text[at] = u8::try_from(dice.next(256)).unwrap_or(0),
                    1 => drop(text.remove(at)),
                    2 => text.insert(at, b"{}[],:.\"\\u0e-_"[dice.next(14)]),
                    _ => {
                        let piece = text[at..text.len().min(at + dice.next(40))].to_vec();
                        let to = dice.next(text.len());
                        text.splice(to..to, piece);
                    }
                }
            }
        }
        if token != it.as_bytes() {
            assert!(read(&token).and_then(|t| t.judged(&rules(), &keys, crate::kit::NOW)).is_err());
        }
        let _ = KeySet::read(&set);
    }
}
