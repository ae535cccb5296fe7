//! Methods that may be sent again where nothing was answered (RFC 9110 §9.2.2): those that IANA's registry of HTTP methods
//! has as idempotent. One that stands in no registry may do anything twice.

/// In the registry's order, without PRI, which no request has.
const IDEMPOTENT: &[&str] = &[
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// Methods are compared as they are: `get` is another, and unknown.
#[cold]
pub(crate) fn is_idempotent(method: &str) -> bool {
    IDEMPOTENT.contains(&method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_has_as_idempotent_may_go_again_and_nothing_else() {
        let safe = ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"];
        assert!(safe.into_iter().chain(["PUT", "DELETE", "MKCOL", "UNLOCK"]).all(is_idempotent));
        for other in ["POST", "PATCH", "LOCK", "CONNECT", "PRI", "get", "GETS", "", "*", "PURGE", "MKSOMETHING"] {
            assert!(!is_idempotent(other), "{other}");
        }
        assert!(IDEMPOTENT.is_sorted() && IDEMPOTENT.len() == 35);
    }
}
