//! Which backend a client comes back to, by a cookie of the edge's own. Its value is a MAC of the route and the backend's place
//! under a key that the supervisor keeps: nobody else can make one, and it shows neither a name nor an address. Each value is
//! made once, when the plan is made ready; a request costs comparisons alone. Read next: the engine's `backend/spread.rs`.

use crate::material::Unusable;
use crate::secret::Seal;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everyhop_plan::{Place, Sticky};

/// Of a MAC's 32 bytes: as many as nobody guesses, and a short cookie.
const TOLD_BYTES: usize = 16;

/// A route's sticky cookie.
pub struct StickyRun {
    /// As clients are told it.
    pub cookie: String,
    /// One for each backend of the route, in their order.
    each: Vec<Told>,
}

/// What leads to one backend.
struct Told {
    value: String,
    /// What is said to a client that is to come back.
    sets: String,
}

impl StickyRun {
    pub fn new(by: &Sticky, seal: Option<&Seal>, route: &str, places: &[&Place]) -> Result<StickyRun, Unusable> {
        let seal = seal.ok_or_else(|| Unusable(format!("no key came for the sticky cookie of route {route:?}")))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, seal.bytes());
        let told = |place: &&Place| {
            let mut mac = hmac::Context::with_key(&key);
            // A name holds no control character: whose place follows cannot be mistaken.
            for part in ["sticky", "\0", route, "\0", &place.to_string()] {
                mac.update(part.as_bytes());
            }
            let value = URL_SAFE_NO_PAD.encode(mac.sign().as_ref().get(..TOLD_BYTES).unwrap_or_default());
            let sets = format!("{}={value}; Path=/; Secure; HttpOnly; SameSite=Lax", by.cookie);
            Told { value, sets }
        };
        Ok(StickyRun { cookie: by.cookie.clone(), each: places.iter().map(told).collect() })
    }

    /// The backend, by its index, that a `Cookie` field leads to; none for a value that is not ours.
    pub fn leads_to(&self, field: &[u8]) -> Option<usize> {
        let mut values = field.split(|b| *b == b';').filter_map(|pair| self.value(pair));
        values.find_map(|value| self.each.iter().position(|it| is_same(it.value.as_bytes(), value)))
    }

    /// What of a `Cookie` field is not ours; `None` where all of it is. The backend learns nothing of the edge's own.
    pub fn without(&self, field: &[u8]) -> Option<Vec<u8>> {
        let others = field.split(|b| *b == b';').map(<[u8]>::trim_ascii).filter(|pair| self.value(pair).is_none());
        let left: Vec<&[u8]> = others.filter(|pair| !pair.is_empty()).collect();
        (!left.is_empty()).then(|| left.join(&b"; "[..]))
    }

    /// It is our cookie that a `Set-Cookie` field or a pair of a `Cookie` field names.
    pub fn is_ours(&self, pair: &[u8]) -> bool {
        self.value(pair).is_some()
    }

    /// What a client is told that is to come back to that backend.
    pub fn sets(&self, index: usize) -> Option<&str> {
        self.each.get(index).map(|it| it.sets.as_str())
    }

    fn value<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let (name, value) = pair.split_at(pair.iter().position(|b| *b == b'=')?);
        // Browsers and servers alike take white space around a name away (RFC 6265 §5.2).
        (name.trim_ascii() == self.cookie.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    }
}

fn is_same(own: &[u8], told: &[u8]) -> bool {
    verify_slices_are_equal(own, told).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(port: u16) -> Place {
        Place::Ip { ip: [10, 0, 0, 1].into(), port }
    }

    fn run(key: &str, route: &str) -> StickyRun {
        let (one, two) = (place(1), place(2));
        let seal: Seal = serde_json::from_str(key).expect("a key");
        let by = Sticky { cookie: "__Host-edge".into() };
        StickyRun::new(&by, Some(&seal), route, &[&one, &two]).expect("a key is there")
    }

    const KEY: &str = "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";
    const OTHER: &str = "\"/////wQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";

    fn pair(it: &StickyRun, index: usize) -> String {
        it.sets(index).and_then(|s| s.split(';').next()).expect("a pair").to_owned()
    }

    #[test]
    fn a_value_leads_to_its_backend_and_one_of_another_key_route_or_hand_leads_nowhere() {
        let it = run(KEY, "r");
        for index in [0, 1] {
            let pair = pair(&it, index);
            for field in
                [pair.clone(), format!("a=b; {pair};c=d"), format!(" {pair} "), format!("__Host-edge=x; {pair}")]
            {
                assert_eq!(it.leads_to(field.as_bytes()), Some(index), "{field}");
            }
            for foreign in [run(OTHER, "r"), run(KEY, "s")] {
                assert_eq!(foreign.leads_to(pair.as_bytes()), None);
            }
            for cut in 0..pair.len() {
                assert_eq!(it.leads_to(&pair.as_bytes()[..cut]), None, "{cut}");
            }
            assert_eq!(it.leads_to(format!("{pair}A").as_bytes()), None);
            assert_eq!(it.leads_to(pair.to_lowercase().as_bytes()), None, "names of cookies have case");
            assert!(!pair.contains("10.0.0.1") && pair.len() == "__Host-edge=".len() + 22, "{pair}");
        }
        assert_ne!(pair(&it, 0), pair(&it, 1));
        assert_eq!(pair(&it, 1), pair(&run(KEY, "r"), 1), "the same after every reload");
    }

    #[test]
    fn a_client_is_told_that_no_script_and_no_other_site_or_host_has_it() {
        let it = run(KEY, "r");
        let (_, attributes) = it.sets(0).and_then(|s| s.split_once("; ")).expect("attributes");
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(it.sets(2), None);
    }

    #[test]
    fn what_goes_on_is_all_but_ours() {
        let it = run(KEY, "r");
        for (field, left) in [
            (&b"a=1; __Host-edge=x; b=2"[..], Some(&b"a=1; b=2"[..])),
            (b"__Host-edge=x", None),
            (b"__Host-edge =x;  __Host-edge=y; ", None),
            (b"__Host-edgy=x;a", Some(b"__Host-edgy=x; a")),
            (b"a=\"__Host-edge=x\"", Some(b"a=\"__Host-edge=x\"")),
        ] {
            assert_eq!(it.without(field).as_deref(), left, "{field:?}");
        }
    }

    /// A backend that sets a cookie of that name would lead the edge's clients.
    #[test]
    fn a_cookie_of_that_name_is_the_edges_own_whoever_sets_it_and_no_other_is() {
        let it = run(KEY, "r");
        for ours in [&b"__Host-edge=x; Path=/"[..], b" __Host-edge =x", b"__Host-edge="] {
            assert!(it.is_ours(ours), "{ours:?}");
        }
        for other in [&b"__Host-edgy=x"[..], b"__host-edge=x", b"a=__Host-edge=x", b"__Host-edge", b""] {
            assert!(!it.is_ours(other), "{other:?}");
        }
    }

    #[test]
    fn without_a_key_there_is_no_route() {
        let by = Sticky { cookie: "__Host-edge".into() };
        assert!(StickyRun::new(&by, None, "r", &[&place(1)]).is_err_and(|e| e.0.contains("no key")));
        for wrong in ["\"\"", "\"AAEC\"", "1", "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"", "\"****\""] {
            assert!(serde_json::from_str::<Seal>(wrong).is_err(), "{wrong}");
        }
    }
}
