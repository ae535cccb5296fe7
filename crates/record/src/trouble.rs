//! What can be wrong now: a closed list, the worst first. `status`, `/metrics` and `/readyz` tell the same facts by it;
//! whoever finds one is the engine or its supervisor. Nothing is decided here but whether it makes the edge unready.

/// A kind's name, whether an edge with it should get no more traffic, and what it means.
pub const TROUBLES: &[(&str, bool, &str)] = &[
    ("engine-gone", true, "no engine serves; the supervisor starts another"),
    ("engine-silent", false, "the engine does not answer its supervisor"),
    ("log-refuses", true, "the access log cannot be written and every request is refused, as log.on_full says"),
    ("nothing-served", true, "every route is closed"),
    ("impostor", false, "a backend shows a certificate that is not the expected one; no request reaches it"),
    ("certificate-over", false, "a certificate is over, and what depends on it is closed"),
    ("certificate-missing", false, "a site has no certificate yet, and every handshake for it is refused"),
    (
        "certificate-not-issued",
        false,
        "an authority issues no certificate, and says why; the one before is served for as long as it lasts",
    ),
    (
        "certificate-ends-soon",
        false,
        "a certificate, or an issuer in its chain, ends soon, and nothing has taken its place",
    ),
    ("certificate-doubted", false, "a chain is shown that those who check it will refuse, or many of them"),
    ("identity-missing", false, "an identity has no certificate yet, and what takes it is refused"),
    (
        "identity-not-renewed",
        false,
        "an identity is not renewed when it is due; the certificate before is shown for as long as it lasts",
    ),
    (
        "revocation-missing",
        false,
        "a revocation list was never fetched, and what is verified by it is refused: every handshake, every request there",
    ),
    ("route-closed", false, "a route takes nothing: none of its backends is open"),
    ("listener-closed", false, "a listener serves nothing of what comes in the clear: its acceptance is over"),
    ("reload-refused", false, "the last reload was refused; what ran before runs on"),
    ("upgrade-failed", false, "the last upgrade failed; the engine before goes on"),
    (
        "renewal-refused",
        false,
        "files of certificates, lists or pages changed and cannot be used; the last good ones are served",
    ),
    ("keys-missing", false, "there are no keys of an issuer: its tokens are refused until its server can be asked"),
    (
        "keys-stale",
        false,
        "an issuer's keys could not be fetched when they were due; the last good ones are used, for a day",
    ),
    ("revocation-stale", false, "a revocation list is older than its authority allows"),
    (
        "revocation-not-fetched",
        false,
        "a revocation list could not be fetched when it was due, or what came was refused; the one before is used",
    ),
    ("revocation-ends-soon", false, "a revocation list that is fetched ends soon, and its authority gave no newer one"),
    ("identity-refused", false, "a backend refuses our certificate"),
    ("identity-not-demanded", false, "a mutual backend does not ask for our certificate: it would take anybody for us"),
    ("route-panics", false, "fewer than half of a route's backends are up, so all are used, also those that are not"),
    ("backend-down", false, "a backend does not pass its health check and takes nothing new"),
    ("backend-ejected", false, "a backend failed too often and rests"),
    ("backend-failing", false, "the last try at a backend failed"),
    ("store-silent", false, "a store does not answer: what is counted there is counted by each edge alone, or refused"),
    (
        "inspector-down",
        false,
        "nobody inspects requests by the rules of a waf: its routes refuse them, or let them pass on somebody's word",
    ),
    ("traces-undelivered", false, "spans come to no collector: those that wait too long are dropped"),
    ("name-unresolved", false, "a backend's name no longer resolves; its last addresses are used"),
    ("log-broken", false, "the access log cannot be written and lines are lost"),
    ("log-not-opened", false, "the access log could not be opened anew; lines go to where they went, or nowhere"),
    ("other-plan", false, "the engine runs another plan than was compiled"),
    ("engine-restarted", false, "an engine died within the last hour and another took its place"),
    ("supervisor-gone", false, "no supervisor looks after the engine: no reload, no renewal, no new addresses"),
    ("supervisor-fault", false, "something that the supervisor does again and again fails"),
];

/// One thing that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// One of [`TROUBLES`], or of those that a newer supervisor knows.
    pub kind: String,
    /// Which route, backend, file or name; empty where it is the edge as a whole.
    pub about: String,
    /// What more is known of it.
    pub why: String,
}

impl Trouble {
    pub fn new(kind: &'static str, about: impl Into<String>, why: impl Into<String>) -> Trouble {
        debug_assert!(TROUBLES.iter().any(|(name, _, _)| *name == kind), "{kind} is in the list");
        Trouble { kind: kind.to_owned(), about: about.into(), why: why.into() }
    }

    /// Whether an edge with it should get no more traffic.
    pub fn is_unready(&self) -> bool {
        TROUBLES.iter().any(|(name, unready, _)| *unready && *name == self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_client_gets_an_answer_under_makes_the_edge_unready() {
        let unready: Vec<_> = TROUBLES.iter().filter(|(_, unready, _)| *unready).map(|(name, _, _)| *name).collect();
        assert_eq!(unready, ["engine-gone", "log-refuses", "nothing-served"]);
        assert!(Trouble::new("log-refuses", "", "").is_unready());
        assert!(!Trouble::new("reload-refused", "", "").is_unready());
    }
}
