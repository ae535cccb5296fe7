//! Every reason for which a connection or a request does not pass: a closed list. Each has a slug that never changes its
//! meaning, the HTTP status that goes with it (0 where no HTTP was spoken) and one plain sentence.
//! Answers, logs, metrics, `where` and the reference manual all read this table. Nothing is decided here. Read next: `reason.rs`.

use everyhop_http1 as http1;

macro_rules! refusals {
    ($($variant:ident $slug:literal $status:literal $sentence:literal;)*) => {
        /// Why something was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($variant,)*
            /// The HTTP/1 codec's own list, for requests.
            Http1(http1::Refused),
        }

        /// Slug, status, sentence; without the codec's own.
        pub const REFUSALS: &[(&str, u16, &str)] = &[$(($slug, $status, $sentence),)*];

        impl Refusal {
            pub fn slug(self) -> &'static str {
                match self {
                    $(Refusal::$variant => $slug,)*
                    Refusal::Http1(r) => r.slug(),
                }
            }

            pub fn status(self) -> u16 {
                match self {
                    $(Refusal::$variant => $status,)*
                    Refusal::Http1(r) => r.status(),
                }
            }

            pub fn sentence(self) -> &'static str {
                match self {
                    $(Refusal::$variant => $sentence,)*
                    Refusal::Http1(r) => r.sentence(),
                }
            }
        }
    };
}

refusals! {
    // Before any certificate is shown.
    NotTls "hello/not-tls" 0 "the first bytes are not a TLS ClientHello";
    HelloIncomplete "hello/incomplete" 0 "the connection ended before the ClientHello was complete";
    HelloTooLong "hello/too-long" 0 "the ClientHello is longer than limits.hello_bytes";
    HelloTooSlow "hello/too-slow" 0 "the ClientHello was not complete within limits.handshake_s";
    HelloMalformed "hello/malformed" 0 "the ClientHello cannot be read";
    HelloInvalidName "hello/invalid-name" 0 "the ClientHello's server name is not a host name";
    TlsNotAsked "hello/tls-not-asked" 0 "the client began without asking for TLS, and this listener serves nothing in the clear";
    EarlyBytes "hello/early-bytes" 0 "the client sent more in the clear than its request for TLS";
    OtherProtocol "hello/other-protocol" 0 "the client asked for TLS in the words of another protocol than that of the route's backends";
    ChallengeShown "hello/challenge-answered" 0 "a certificate authority asked for the certificate of a challenge, and got it";
    SiteUncertified "hello/no-certificate-yet" 0 "what the site shows, or the revocation list that it knows its clients by, has not come yet: it was asked for, or is about to be";
    NoSni "hello/no-sni" 0 "the ClientHello names no host and the listener has no answer for that";
    UnknownSni "hello/unknown-sni" 0 "the ClientHello names a host that is not served here";
    ProxyMalformed "proxy/malformed" 0 "this peer must send a PROXY header and what it sent is none";
    ProxyUnexpected "proxy/unexpected" 0 "the client began with a PROXY header, which this listener does not take from it (accept_proxy)";
    ConnectionLimit "connection/limit" 0 "the listener already has as many connections as it may";
    DescriptorLimit "connection/descriptors" 0 "the process holds as many connections as its descriptors allow";
    SourceConnections "connection/source-limit" 0 "the source already has limits.connections_per_source connections";
    SourceHandshakes "connection/source-rate" 0 "the source began limits.handshakes_per_source handshakes this second";
    // The client's handshake.
    HandshakeTooSlow "handshake/too-slow" 0 "the TLS handshake was not complete within limits.handshake_s";
    HandshakeClosed "handshake/closed" 0 "the client left during the TLS handshake";
    HandshakeNoVersion "handshake/no-common-version" 0 "the client offers no TLS version that the site allows";
    HandshakeNoSuite "handshake/no-common-suite" 0 "the client and the site share no cipher suite, group or signature scheme";
    HandshakeNoPostQuantum "handshake/no-post-quantum" 0 "the site takes post-quantum key exchange alone, and the client offers none that it has";
    HandshakeNoProtocol "handshake/no-common-protocol" 0 "the client's ALPN names no protocol of the site";
    HandshakeNoClientCertificate "handshake/no-client-certificate" 0 "the site demands a client certificate and none was shown";
    HandshakeClientCertificate "handshake/client-certificate-refused" 0 "the client's certificate does not verify";
    HandshakeClientExpired "handshake/client-certificate-expired" 0 "the client's certificate is not valid now";
    HandshakeClientUntrusted "handshake/client-certificate-untrusted" 0 "the client's certificate does not chain to the site's roots for clients";
    HandshakeClientRevoked "handshake/client-certificate-revoked" 0 "a certificate of the client's chain was revoked";
    HandshakeClientWrongUse "handshake/client-certificate-wrong-use" 0 "the client's certificate is not for clients";
    HandshakeClientWeakKey "handshake/client-certificate-weak-key" 0 "a key of the client's chain is too short to be believed, or too long to be verified by";
    HandshakeClientOldForm "handshake/client-certificate-old-form" 0 "the client's certificate is in a form older than X.509 v3";
    HandshakeListOverdue "handshake/revocation-list-overdue" 0 "a revocation list of the site is overdue, so no client certificate passes";
    HandshakeRevocationUnknown "handshake/revocation-unknown" 0 "no usable revocation list of the site speaks of the client's chain";
    HandshakeAlert "handshake/client-alert" 0 "the client ended the handshake with an alert";
    HandshakeUnsigned "handshake/unsigned" 0 "the site's key is in another process or in a token, and no signature by it came in time";
    HandshakeFailed "handshake/failed" 0 "the TLS handshake broke the protocol";
    // The request.
    RequestTooSlow "request/head-too-slow" 408 "the request head was not complete within limits.head_s";
    BodyTooSlow "request/body-too-slow" 408 "the request body stood still for limits.body_progress_s";
    BodyTooLong "request/body-too-long" 413 "the request body is longer than limits.body_bytes";
    BodyTruncated "request/body-truncated" 400 "the client left before its request was complete";
    BodyMalformed "request/body-malformed" 400 "the request body's framing is not valid";
    TrailersTooLong "request/trailers-too-long" 431 "the request's trailers are longer than limits.head_bytes, or more than a head may have fields";
    BadTarget "request/bad-target" 400 "the request target is not in one unambiguous form";
    BadHost "request/bad-host" 400 "the request's host is not a host name";
    BadFields "request/bad-fields" 400 "the request has a field that must not be there or occurs twice";
    TooManyFields "request/too-many-fields" 431 "the request has more fields than the limit, or a longer head";
    ConnectMethod "request/connect" 405 "CONNECT is not served here";
    Misdirected "request/misdirected" 421 "this connection's TLS session is not for that host";
    NotFound "request/not-found" 404 "no route matches this request";
    ClientExpired "request/client-certificate-expired" 421 "the client's certificate has ended since the connection was opened";
    AddressNotAllowed "request/address-not-allowed" 403 "the client's address is in none of the networks that the route allows";
    ClientNotAllowed "request/client-not-allowed" 403 "the route does not allow this client certificate";
    PasswordMissing "password/missing" 401 "the route asks for a name and a password (Basic), and the request shows none";
    PasswordSeveral "password/several" 400 "the request has more than one Authorization";
    PasswordMalformed "password/malformed" 401 "what the request shows by the Basic scheme is no name and password in UTF-8, in base64 and within 8 KiB";
    PasswordWrong "password/wrong" 401 "nobody of that name may sign in with that password";
    PasswordBusy "password/too-many-at-once" 503 "so many passwords wait to be verified that this one had no turn";
    TokenMissing "token/missing" 401 "the route asks for a token, and the request has none where the route looks for it";
    TokenSeveral "token/several" 400 "the request has more than one token, or more than one Authorization";
    TokenTooLong "token/too-long" 401 "the token is longer than 16 KiB";
    TokenMalformed "token/malformed" 401 "the token is no signed JWT in its compact form, or says something twice";
    TokenCritical "token/critical" 401 "the token has an extension that must be understood (crit), and none is";
    TokenType "token/type" 401 "the token is of another type (typ) than its issuer's tokens are";
    TokenAlgorithm "token/algorithm" 401 "the token is signed by an algorithm (alg) that its issuer does not use here, or by none";
    TokenKey "token/unknown-key" 401 "none of its issuer's keys is the one by which the token says to be signed";
    TokenSignature "token/signature" 401 "the token's signature is not its issuer's";
    TokenIssuer "token/issuer" 401 "nobody whom the route believes has issued the token (iss)";
    TokenAudience "token/audience" 401 "the token is for somebody else (aud)";
    TokenNoEnd "token/no-end" 401 "the token does not say until when it is valid (exp)";
    TokenExpired "token/expired" 401 "the token has expired (exp)";
    TokenNotYet "token/not-yet-valid" 401 "the token is not valid yet (nbf, iat)";
    TokenUntellable "token/untellable" 401 "a claim of the token that goes to the backend cannot stand in a field";
    TokenKeysUnavailable "token/keys-unavailable" 503 "the keys of the token's issuer could not be fetched, so that nobody can say whether it is good";
    TokenClaims "token/claims" 403 "the token does not have the claims that the route wants";
    AskDenied "ask/denied" 403 "whoever is asked about the route's requests did not let this one pass";
    AskUnreached "ask/unreached" 503 "nobody is reached who is asked about the route's requests";
    AskLate "ask/late" 503 "whoever is asked about the route's requests said nothing in time";
    AskUnfit "ask/unfit-answer" 503 "whoever is asked about the route's requests answered with what lets nobody pass and refuses nobody";
    AskBusy "ask/too-many-at-once" 503 "as many requests are being asked about as the route's authorizer takes at once";
    WafDenied "waf/denied" 403 "a rule of the route's waf refuses the request";
    WafDown "waf/down" 503 "nobody is there who inspects the route's requests";
    WafLate "waf/late" 503 "the inspector said nothing about the request in time";
    WafBusy "waf/too-many-at-once" 503 "as many requests are held and inspected as the route's waf takes at once";
    WafFailed "waf/failed" 503 "the inspector could not inspect the request";
    WafBodyTooLong "waf/body-too-long" 413 "the request body is longer than the route's waf inspects";
    OriginNotAllowed "request/origin-not-allowed" 403 "the route's cors lets no page of the origin read answers for which this preflight asks";
    UpgradeRefused "request/upgrade-refused" 400 "this upgrade is not allowed here";
    ClientGone "request/client-gone" 499 "the client left before the answer was complete";
    Http2Flood "request/http2-flood" 0 "the client sent HTTP/2 frames without end that ask for work and carry nothing";
    Http2Broken "request/http2-broken" 0 "the client broke the protocol of HTTP/2";
    NoRequest "connection/no-request" 0 "the connection was opened, and ended before any request";
    TooManyAtOnce "request/too-many-at-once" 503 "the route takes no more requests at once (most.requests), and none had its turn before most.waiting and most.wait_s were over";
    RateLimited "request/rate-limited" 429 "more requests come than a limit of the route lets pass in that time (limited_by, rate)";
    LimitUnknown "request/limit-unknown" 503 "a limit of the route is counted in a store that does not answer, and refuses then (when_store_down)";
    TooManyOfKey "request/too-many-of-key" 429 "as many requests are under way as a limit of the route lets be at once (limited_by, at_once)";
    LogFull "log/full" 503 "the access log cannot keep up and log.on_full is refuse";
    // In the clear, at a listener that speaks plain HTTP.
    PlainRedirected "plain/redirected" 308 "nothing is served here in the clear: the same request with https is";
    PlainChallenged "plain/challenge-answered" 200 "a certificate authority asked for the answer to a challenge, and got it";
    PlainChallenge "plain/no-challenge" 404 "nobody here has the answer to that ACME challenge";
    PlainUnknown "plain/unknown-host" 421 "the request names a host that this listener neither serves nor redirects";
    PlainHttps "plain/https-already" 421 "the request is one with https already, and came in the clear: sent to https it would come back";
    PlainTls "plain/tls" 400 "the client began TLS at a port that speaks plain HTTP";
    PlainExpired "plain/acceptance-expired" 503 "the acceptance of the listener, which serves requests in the clear, has expired";
    HostContradicted "plain/host-contradicted" 400 "the request's target names one host, and its Host another";
    // The way to the backend.
    AcceptanceExpired "hop/acceptance-expired" 503 "the acceptance of this plaintext hop has expired";
    HopNoIdentity "hop/no-identity-yet" 503 "what the edge shows there, or knows the backend by, such as a revocation list, has not come from its authority yet";
    SiteExpired "site/certificate-expired" 503 "the site's certificate has expired";
    Drained "hop/drained" 503 "every backend of the route is drained, or has weight 0: none takes anything new";
    Unresolved "hop/unresolved" 503 "the backend's name does not resolve";
    ConnectFailed "hop/connect-failed" 502 "the backend does not take connections";
    HopDescriptors "hop/descriptors" 503 "the process has no descriptor left for a connection to the backend";
    HopFull "hop/too-many-connections" 503 "as many connections are open to each backend as the route lets there be (most.connections)";
    ConnectTimeout "hop/connect-timeout" 504 "the backend did not take the connection within limits.connect_s";
    HopNotTls "hop/not-tls" 502 "the backend does not speak TLS";
    HopNotReady "hop/not-ready" 502 "the backend greeted with a refusal, or not in its protocol's words: it takes no session now";
    HopUntrusted "hop/untrusted" 502 "the backend's certificate does not chain to the route's roots";
    HopNameMismatch "hop/name-mismatch" 502 "the backend's certificate does not carry the expected name";
    HopExpired "hop/certificate-expired" 502 "the backend's certificate is not valid now";
    HopBadCertificate "hop/bad-certificate" 502 "the backend's certificate is not acceptable";
    HopPinMismatch "hop/pin-mismatch" 502 "neither the backend's certificate nor its key is one that the route pins";
    HopRevoked "hop/revoked" 502 "a certificate of the backend's chain was revoked";
    HopListOverdue "hop/revocation-list-overdue" 502 "a revocation list of the route is overdue, so no certificate of the backend passes";
    HopRevocationUnknown "hop/revocation-unknown" 502 "no usable revocation list of the route speaks of the backend's chain";
    HopWrongUse "hop/certificate-wrong-use" 502 "the backend's certificate is not for servers";
    HopWeakKey "hop/weak-key" 502 "a key of the backend's chain is too short to be believed, or too long to be verified by";
    HopOldForm "hop/certificate-old-form" 502 "the backend's certificate is in a form older than X.509 v3";
    HopIdentityNotDemanded "hop/identity-not-demanded" 502 "the backend did not ask for our certificate, and the route demands that it does";
    HopIdentityRefused "hop/identity-refused" 502 "the backend refused our certificate or demands one that we do not present";
    HopUnsigned "hop/unsigned" 503 "the key of the hop's identity is in another process or in a token, and no signature by it came in time";
    HopHandshake "hop/handshake-failed" 502 "the TLS handshake with the backend failed";
    HopNoPostQuantum "hop/no-post-quantum" 502 "the backend took no handshake that offers post-quantum key exchange alone, as the hop demands";
    HopNoHttp2 "hop/h2-not-offered" 502 "the backend does not speak HTTP/2, and the route or a call of gRPC asks for it";
    HopNoHttp1 "hop/http1-not-offered" 502 "the backend does not speak HTTP/1.1, and the route or a WebSocket asks for it";
    HopNoProtocol "hop/no-common-protocol" 502 "the backend does not take the protocol that the client agreed on by ALPN";
    HopNoTunnel "hop/websocket-not-offered" 502 "the backend speaks HTTP/2 and takes no WebSocket over it (RFC 8441); upstream_protocol = http/1.1 or auto opens it over HTTP/1.1";
    BackendTls "hop/tls-broken" 502 "the TLS session with the backend broke after its handshake";
    HopRenegotiation "hop/renegotiation" 502 "the backend asked to negotiate TLS anew after the handshake, which is not done";
    BackendClosed "hop/closed" 502 "the backend closed before it answered";
    BackendMalformed "hop/bad-response" 502 "the backend's answer is not valid HTTP";
    BackendInformational "hop/too-many-informational" 502 "the backend sent more informational responses than the limit";
    BackendFirstByte "hop/first-byte-timeout" 504 "the backend did not answer within limits.first_byte_s";
    AnswerTooLong "hop/total-timeout" 504 "the answer was not complete within limits.total_s";
    BackendUnwell "hop/status-retried" 502 "the backend answered with a status after which the route asks another one (retries)";
    BackendTooSlow "hop/body-too-slow" 504 "the backend stood still within a body: in its answer for limits.answer_silence_s, or in taking the request's for limits.body_progress_s";
    BackendTruncated "hop/truncated" 502 "the backend's answer ended before it was complete";
    BackendReset "hop/reset" 502 "the backend reset the stream";
    SpliceNotTls "splice/backend-not-tls" 0 "the backend answered the ClientHello with something that is not TLS";
    TunnelIdle "tunnel/idle" 0 "no byte moved for limits.tunnel_idle_s";
    TunnelAge "tunnel/max-age" 0 "the connection reached limits.max_age_s";
    RouteGone "tunnel/route-gone" 0 "the route is gone or stricter in the new plan";
    Draining "connection/draining" 503 "the engine is draining";
    ConnectionBroken "connection/broken" 0 "the connection broke";
}

/// Slug, status and sentence of every reason, the codec's own included.
pub fn all_refusals() -> Vec<(&'static str, u16, &'static str)> {
    let codec = http1::Refused::ALL.iter().map(|r| (r.slug(), r.status(), r.sentence()));
    REFUSALS.iter().copied().chain(codec).collect()
}

impl Refusal {
    /// Why no connection to a backend came about is ours to answer for, and says nothing of the backend.
    pub fn is_our_own(self) -> bool {
        matches!(self, Refusal::HopDescriptors | Refusal::HopUnsigned | Refusal::HopNoIdentity)
    }

    /// It is the request's token that was refused, or that it has none.
    pub fn is_of_token(self) -> bool {
        self.slug().starts_with("token/")
    }

    /// Another token might pass.
    pub fn asks_for_token(self) -> bool {
        self.is_of_token() && self != Refusal::TokenKeysUnavailable
    }

    /// It is the request's name and password that were refused, or that it has none.
    pub fn is_of_password(self) -> bool {
        self.slug().starts_with("password/")
    }

    /// Another name or password might pass.
    pub fn asks_for_password(self) -> bool {
        self.is_of_password() && self.status() == 401
    }

    /// A client's handshake came to nothing for this: it began and did not end.
    pub fn is_of_handshake(slug: &str) -> bool {
        slug.starts_with("handshake/")
    }
}
