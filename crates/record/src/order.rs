//! The checks that a request passes, in the order in which it meets them: one list. `everyhop explain checks` prints it, and a
//! request that fails several of them is refused by the first on the wire. Nothing is checked here. Read next: `refusal.rs`.

use crate::refusal::Refusal::{self, *};
use everyhop_http1 as http1;

/// One check: what it asks of a request, and by which reasons it refuses.
#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    /// Of a request that passes, as a sentence without its end.
    pub asks: &'static str,
    why: &'static [Refusal],
}

impl Check {
    /// The slugs by which it refuses.
    pub fn slugs(&self) -> Vec<&'static str> {
        let codec = if self.name == "head" { OF_HEADS } else { &[] };
        self.why.iter().map(|it| it.slug()).chain(codec.iter().map(|it| it.slug())).collect()
    }
}

/// Those of the codec that are of a head; its others are of a body, or of an answer.
const OF_HEADS: &[http1::Refused] = {
    use http1::Refused::*;
    &[
        BareLf,
        BareCr,
        RequestLine,
        Method,
        Target,
        TargetTooLong,
        Version,
        HeadTooLong,
        TooManyFields,
        Fold,
        FieldName,
        FieldValue,
        NoHost,
        TwoHosts,
        TwoAuthorizations,
        ContentLength,
        TwoContentLengths,
        ConflictingFraming,
        TransferEncoding,
        TransferEncodingIn10,
        Expectation,
        ConnectionField,
    ]
};

const fn check(name: &'static str, asks: &'static str, why: &'static [Refusal]) -> Check {
    Check { name, asks, why }
}

/// Behind the handshake. Where a route does not want a check, it is not there.
pub const ORDER: &[Check] = &[
    check(
        "head",
        "its head came in time, is within its limits and can be read in one way",
        &[
            RequestTooSlow,
            TooManyFields,
            BadTarget,
            BadHost,
            BadFields,
            ConnectMethod,
            UpgradeRefused,
            HostContradicted,
        ],
    ),
    check("log", "the edge's access log has room for its line", &[LogFull]),
    check(
        "session",
        "what its connection was opened by still stands: the site, its certificate and the client's",
        &[Misdirected, ClientExpired, SiteExpired, PlainExpired, PlainUnknown],
    ),
    check("route", "a route of that site takes its host, path, method and fields", &[NotFound, Misdirected, BadTarget]),
    check("networks", "its client's address is in a network that the route allows", &[AddressNotAllowed]),
    check("clients", "its client is one that the route allows", &[ClientNotAllowed]),
    check("path", "its path reads in one way, also once it is moved or rewritten", &[BadTarget]),
    check("upgrade", "the route takes the protocol to which it wants to switch", &[UpgradeRefused]),
    check(
        "address-limits",
        "its client's address is within the limits that ask for nothing else: before passwords and tokens can be tried",
        &[RateLimited, TooManyOfKey, LimitUnknown],
    ),
    check(
        "password",
        "it shows one name and password, and the route's file of users has them",
        &[PasswordMissing, PasswordSeveral, PasswordMalformed, PasswordWrong, PasswordBusy],
    ),
    check(
        "token",
        "it has one token, and that is whole, signed, in force, for us, and has the claims that the route wants",
        &[
            TokenMissing,
            TokenSeveral,
            TokenTooLong,
            TokenMalformed,
            TokenCritical,
            TokenType,
            TokenAlgorithm,
            TokenKey,
            TokenSignature,
            TokenIssuer,
            TokenAudience,
            TokenNoEnd,
            TokenExpired,
            TokenNotYet,
            TokenUntellable,
            TokenKeysUnavailable,
            TokenClaims,
        ],
    ),
    check("own-log", "the route's own log has room for its line", &[LogFull]),
    check(
        "body",
        "the body is declared to be no longer than the route takes; one that says no length is counted",
        &[BodyTooLong],
    ),
    check(
        "preflight",
        "a browser's question about another origin is answered here, before it is refused for a client or a token that it cannot have",
        &[OriginNotAllowed],
    ),
    check("limits", "it is within the route's other limits", &[RateLimited, TooManyOfKey, LimitUnknown]),
    check(
        "ask",
        "whoever is asked about the route's requests lets it pass",
        &[AskDenied, AskUnreached, AskLate, AskUnfit, AskBusy],
    ),
    check(
        "waf",
        "the rules of the route's waf let it pass, its body too",
        &[WafDenied, WafDown, WafLate, WafBusy, WafFailed, WafBodyTooLong],
    ),
    check("turn", "the route has room for it, or has within its time of waiting", &[TooManyAtOnce]),
    check("acceptance", "somebody's word for plaintext to its backend is still in force", &[AcceptanceExpired]),
];
