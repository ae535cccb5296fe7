"""Every finding that a configuration can have: its slug, why it matters, and a page for `everyhop explain`.

A slug never changes its meaning. A test demands a case in `tests/refusals` for each.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A slug's page: one line that says it, and the reasoning behind it."""

    title: str
    why: str
    more: str = ""


PAGES: dict[str, Page] = {
    # The file.
    "config/syntax": Page("the file cannot be read", "nothing can be decided from a text that does not parse"),
    "config/foreign": Page(
        "the file belongs to another proxy",
        "another proxy's words mean other things here; guessing would move a trust boundary by accident",
    ),
    "config/include": Page(
        "a file is included that is not there, or holds what may not stand there",
        "what is left out by a slip of a name would be missing without a word; a setting for the whole edge stands in one place",
        "An included file holds `[[listener]]`, `[[site]]`, `[[identity]]`, `[[issuer]]`, `[[limit]]` and `[[route]]`, and nothing else. A "
        "pattern that finds nothing yet is a warning.",
    ),
    "config/unknown-key": Page(
        "a key is not known",
        "a setting that is silently ignored is a setting that is believed to hold",
    ),
    "config/missing-key": Page("a key is missing", "what decides where TLS ends has no default"),
    "config/wrong-type": Page("a value is of another type", "a value that must be guessed at is not a decision"),
    "config/wrong-value": Page(
        "a value is not one of those that are known", "a value that must be guessed at is not a decision"
    ),
    "config/duplicate-name": Page("two things have one name", "references and logs could not tell them apart"),
    "config/unknown-name": Page("a name refers to nothing", "what it was meant to refer to would silently not apply"),
    "secret/inline": Page(
        "a secret stands in the file",
        "configurations are copied, diffed and shown; a key in one is a key lost",
        "Write `file:PATH`, `env:NAME` or `cred:NAME` (a systemd credential).",
    ),
    # Tickets of sessions.
    "tickets/key": Page(
        "a secret of ticket keys cannot be used",
        "whoever guesses it reads what was recorded of TLS 1.2, and comes back as any client",
        "At least 32 random bytes, in a file of their own, the same at every edge: `head -c 48 /dev/urandom`. Written as text they are 64 hexadecimal "
        "digits or 43 characters of base64. `key` names one secret, or two while one follows the other: the first one's keys seal, those of "
        "both open.",
    ),
    "tickets/key-exposed": Page(
        "others than the owner can read a secret of ticket keys",
        "whoever has it reads what was recorded of TLS 1.2, and comes back as any client",
        "The supervisor reads it, and the engine is given it sealed in memory: nobody else needs to.",
    ),
    "tickets/rotate": Page(
        "ticket keys would change too rarely, or all the time",
        "a ticket is good for as long as its key is, and each new key is one handshake more for everybody who comes back",
        "A number of hours from `1h` to `84h`: a key seals for that time and opens what it sealed for as long again, a week at most (RFC 9325 3.4).",
    ),
    "tickets/unused": Page(
        "keys of tickets are shared where nobody is given a ticket",
        "a secret that nothing needs is one more to lose",
        "Tickets are given by sites, where TLS ends here; what passes through has those of its backends.",
    ),
    # Tokens.
    "issuer/keys": Page(
        "the keys of an issuer of tokens cannot be used",
        "without a key that verifies them no token would pass, or one that nobody vouches for would",
        "They stand in a `file`, or are fetched `from` a URL: `https://`, without a user, a fragment or what must be escaped. It is a JWK Set (RFC 7517), which issuers publish at their `jwks_uri`: an object of JSON with a list `keys`, of 256 KiB "
        "and 100 keys at most. Used are public keys of RSA, P-256, P-384, P-521 and Ed25519 for signatures.",
    ),
    "issuer/keys-in-the-clear": Page(
        "the keys of an issuer are fetched in the clear",
        "whoever is on the way there can put in keys of their own, and so says who gets in",
        "There is no acceptance for it: what travels there is public, and everything depends on whose it is. `http://` may name a "
        "server on this host by its loopback address.",
    ),
    "issuer/symmetric-key": Page(
        "a secret is among the keys by which tokens are verified",
        "whoever verifies by a secret can issue by it: the edge, and whoever reads its files, could let anybody in",
        "Tokens by HS256, HS384 and HS512 are refused as well, whatever they are signed with: a public key that is taken for a secret is "
        "the oldest trick against JWT (RFC 8725 §2.1).",
    ),
    "issuer/private-key": Page(
        "a private key is among the keys by which tokens are verified",
        "whoever reads it can issue tokens in the issuer's name; it has been where it never should be",
    ),
    "issuer/weak-key": Page(
        "a key by which tokens are verified is too short",
        "who breaks it issues tokens for anybody",
        "RSA keys have 2048 bits at least (RFC 7518 §3.3).",
    ),
    "issuer/unused": Page(
        "an issuer of tokens is believed by no route",
        "a setting that is silently ignored is a setting that is believed to hold",
    ),
    "issuer/unused-key": Page(
        "a key of an issuer is not used",
        "a token that is signed by it is refused, which somebody may not expect",
        "Keys for encryption, on other curves and of other kinds stand in many sets, and harm nobody.",
    ),
    "issuer/no-key-for-algorithm": Page(
        "an issuer signs by an algorithm that none of its keys verifies",
        "a token that is signed so is refused, whoever signed it",
    ),
    "issuer/said-twice": Page(
        "two issuers of a route are one to its tokens",
        "which of the two judges a token would be chance",
    ),
    "issuer/own-claim": Page(
        "a route wants of a token what its issuer's rules judge",
        "said in two places, one would be believed and the other hold",
        "`iss`, `aud`, `exp`, `nbf` and `iat` are always looked at: the first two by the `[[issuer]]`, the others by the clock.",
    ),
    # Names and passwords.
    "users/file": Page(
        "a file of users cannot be used",
        "whoever should get in by it would not, or somebody who should not would",
        "It is text in UTF-8, `name:hash` a line as htpasswd writes it, of 1 MiB and 10,000 users at most; empty lines and those that "
        "begin with `#` are passed over, and so is what follows another colon. A file without anybody would refuse everybody.",
    ),
    "users/line": Page(
        "a line of a file of users cannot be read",
        "a user who is left out by a slip cannot sign in, and nobody says why",
        "What stands there is shown nowhere: it may be a password that somebody pasted.",
    ),
    "users/said-twice": Page(
        "a user stands twice in a file",
        "which of the two passwords holds would be chance, and one that was taken out would still be in",
    ),
    "users/other-hash": Page(
        "the hash of a password is of a kind that is not taken",
        "whoever gets a copy of the file would have the passwords: what is not made to be slow is guessed by the billion",
        "Taken are argon2id of version 1.3 (`$argon2id$v=19$...`) and bcrypt (`$2y$`, `$2b$`, `$2a$`). A hash cannot be turned into "
        "another one: its owner chooses a password again.",
    ),
    "users/costly-hash": Page(
        "the hash of a password costs too much to verify",
        "whoever asks the edge to verify many, right or wrong, takes its memory and its cores",
        "At most 64 MiB, 256 MiB times passes and 16 lanes of argon2id, and cost 14 of bcrypt: about a second.",
    ),
    "users/cheap-hash": Page(
        "the hash of a password is guessed quickly",
        "a file of users is copied sooner or later, with a backup or a disk, and then only the work of a guess protects it",
        "At least 19 MiB and two passes of argon2id or as much in another way, and cost 10 of bcrypt, as OWASP advises; `htpasswd -B` "
        "makes cost 5 where nothing is said.",
    ),
    "route/two-sign-ins": Page(
        "a route asks for a token and for a password",
        "where both are in Authorization nobody could pass; elsewhere a request would be one user's here and another's there",
    ),
    "listener/serves-passwords": Page(
        "passwords are asked for where they come in the clear",
        "whoever is on the way reads them, and a password is good for everything that its owner has it for",
        "There is no acceptance for it. A listener of this host alone is behind something that ended TLS, and may ask.",
    ),
    # Authorizers.
    "authorizer/pass-without-acceptance": Page(
        "requests are to pass unasked where an authorizer is down, and nobody answers for it",
        "whoever can make it unreachable, or slow, gets in everywhere that it guards",
        '`pass_acceptance` says whose word that is, why, and until when: `{ owner = "NAME", why = "TEXT", since = DATE, until = DATE }`. '
        "After its end requests are refused again while nobody can be asked. What passes so is told in the log (`ask`, and the alarm "
        "`passed_unasked`), in `everyhop_asks_total` and by `everyhop explain`.",
    ),
    "authorizer/field": Page(
        "an authorizer is shown a field, or says one, that is not its to see or to say",
        "what frames a message, where it goes and who its client is the edge alone says: a second word on it would be believed by somebody",
        "`sends` names fields of the request as the client wrote them; `takes` fields that the backend is told in their place.",
    ),
    "authorizer/unused": Page(
        "no route asks an authorizer",
        "a setting that is silently ignored is a setting that is believed to hold",
    ),
    "authorizer/paths": Page(
        "whoever is asked about a request may read its path otherwise than the backend does",
        "a word on `/a` that is taken for one on `/a;x/../b` lets somebody in who was not",
        "An authorizer is told the path by which routes are matched, in its canonical form; a backend gets it byte for byte as it came, unless its "
        'route says `paths = "strict"`: then it is 400 what can be read in two ways, and both get the same. Where no word hangs on the path '
        "this does no harm, and it is a warning alone. A route of one path (`path_exact`) takes nothing that could be read otherwise.",
    ),
    # Inspection.
    "waf/no-inspector": Page(
        "nobody is there who inspects requests",
        "rules that nobody asks are believed to hold",
        "Requests are inspected by a program of its own, `everyhop-waf`, built of Go 1.25 or newer: in a checkout by `make waf`. It is found "
        "beside `everyhop`, on the PATH, or where `EVERYHOP_WAF` says.",
    ),
    "waf/rules": Page(
        "rules by which requests are to be inspected cannot be used",
        "a rule that is left out in silence is believed to hold",
        "The inspector itself reads them, when the file is checked: it says which file and line. Rules that read or write files, start programs, "
        "speak with others or change what the inspector itself is set to are refused, too.",
    ),
    "waf/exclusion": Page(
        "a rule is taken back that is not there, or where no request is",
        "somebody believes that a rule is not asked, and it refuses what it should not",
        "An exclusion names a rule by its number, and may name a path below which (decoded, without dot segments) and an argument of which it is "
        'not asked: `{ rule = 942100, path = "/search", argument = "q", owner = "shop", why = "free text", since = DATE, until = DATE }`.',
    ),
    "waf/pass-without-acceptance": Page(
        "requests are to pass where nobody inspects them, and nobody answers for it",
        "whoever can keep the inspector busy, or end it, gets past its rules everywhere",
        '`pass_acceptance` says whose word that is, why, and until when: `{ owner = "NAME", why = "TEXT", since = DATE, until = DATE }`. '
        "After its end requests are refused again while nobody inspects. What passes so is told in the log (`waf`, and the alarm "
        "`passed_uninspected`), in `everyhop_waf_requests_total` and by `everyhop explain`. What the rules say nothing of in time never passes.",
    ),
    "waf/unused": Page(
        "no route is inspected by a waf",
        "a setting that is silently ignored is a setting that is believed to hold",
    ),
    "waf/unfit-route": Page(
        "what a route is for does not go with the rules that inspect it",
        "requests that were meant to pass are refused, or what was meant to be inspected is not",
        "The OWASP Core Rule Set takes `GET`, `HEAD`, `POST` and `OPTIONS`, and bodies of forms, JSON and XML: gRPC is refused, and what streams is held "
        "until its end. Of a tunnel it sees the first request. Told only where the route itself shows it (`method`, `headers`, `health.grpc`, "
        "`limits.body_bytes`, `upgrades`), and not of methods and bodies where `extra` has rules of one's own.",
    ),
    # Pages for errors.
    "pages/status": Page(
        "a page stands for what is no error",
        "it would never be told, and somebody believes that it is",
        "`[pages]` is for errors that the edge makes itself: by status (`404`) or by class (`4xx`, `5xx`). What a backend answers goes on as it "
        "is; what a route tells by `answer` has its own file.",
    ),
    "pages/file": Page(
        "a page for errors cannot be used",
        "whoever meets the error would be told by another page than somebody wrote, or by an empty one",
        "It is HTML in UTF-8 of 64 KiB at most, read when the configuration is, held in memory, and watched.",
    ),
    # The access log.
    "log/fields": Page(
        "the access log is to tell what no line of it has",
        "who reads it for evidence would look for what is not there",
        "`fields` picks from what a line has by itself, and names fields of requests as `header:NAME`. The combined format has its own, and "
        'is of requests: where TLS passes through, or `protocol = "tcp"`, none is read.',
    ),
    "log/secret": Page(
        "the access log would hold secrets",
        "logs are copied, shipped and kept, and read by more people than may use what stands in them",
        "Values of Authorization, Cookie and fields like them are never written down. Who a client is says `client_hop`.",
    ),
    "log/two-formats": Page(
        "two formats go to one file",
        "no program reads a file whose lines are of two formats, and it would lose one of them",
    ),
    "log/cannot-open": Page(
        "a file of the access log cannot be opened",
        "what happens would be written down nowhere",
        "The supervisor opens it, before it lets a plan run; a reload that names a file which cannot be opened changes nothing.",
    ),
    # Listeners.
    "listener/bind": Page("an address cannot be bound", "the listener would not be there"),
    "listener/bind-twice": Page("an address is bound twice", "which of the two a connection reaches would be chance"),
    "listener/no-one-route": Page(
        "a hello without a known name would go to a site that carries TCP for several routes",
        "only the name says which of them is meant, and nobody is guessed",
    ),
    "listener/answers-elsewhere": Page(
        "a listener answers hellos with what is not reached by it",
        "what names its listeners is reached by these alone, and nobody is let in at another door by saying no name",
    ),
    "listener/reaches-nothing": Page(
        "no route is reached by a listener",
        "every connection that comes there is refused, which nobody may have meant",
    ),
    "listener/nothing-to-do": Page(
        "a setting does nothing on a listener that speaks what it speaks",
        "a setting that is silently ignored is a setting that is believed to hold",
    ),
    "listener/https-port": Page(
        "a listener of plain HTTP does not know where to send clients",
        "a redirect to a port where nobody is, or to another service, would be believed and remembered by browsers",
        "The port is the one that clients see, which may not be the one that is bound: a container or a load balancer may map it.",
    ),
    "listener/serves-without-acceptance": Page(
        "requests in the clear are served to a network and nobody signed for it",
        "whoever is on the way reads and changes every request, its cookies and its answer, and nobody knows who asks",
        "`serve` is for an edge behind another one that ended TLS: on this host (`127.0.0.1`, `[::1]`), where nobody else is on the "
        "way, or across a network for which somebody answers until a day. Where the other one can speak TLS, let it.",
    ),
    "listener/serves-without-proof": Page(
        "what demands a client's certificate is reached in the clear",
        "where there is no handshake nobody can show a certificate: what is demanded at one door would not be at the other",
        "A proxy in front may have asked for it, and say so in a field; whoever reaches the listener can say the same.",
    ),
    "listener/serves-requests": Page(
        "what is not read names a listener that serves requests in the clear",
        "TLS that passes through is chosen by the name in its hello, and there is none; bytes that are not read name nobody either",
    ),
    "trust/too-wide": Page(
        "forwarded headers would be believed from too wide a network",
        "whoever can reach the edge from there can pretend to be any client",
        "An IPv4 prefix shorter than /8, an IPv6 prefix shorter than /16, or one that holds public and private space "
        "is nearly always a mistake.",
    ),
    "trust/unproven": Page(
        "a proxy is believed for a name that nobody can prove, or that several can",
        "a name is worth what its authority says of it: where none is asked nobody is believed, and where two are, each of them "
        "can certify the name to somebody else",
    ),
    "site/any-host": Page(
        "a site answers to any name for anybody",
        "whoever reaches the port chooses the name, and backends build links, cache and choose tenants by it",
        'With `hosts = ["*"]` a site takes every name that no other one has, and hellos without one. That is meant for clients that '
        "are known, such as an edge in front of a backend: where the site demands a certificate, nobody is told of it.",
    ),
    "site/no-certificate": Page(
        "a site has no certificate",
        "where TLS is spoken every handshake would fail; only what is reached in the clear alone does without",
    ),
    "acme/names": Page(
        "an authority cannot be asked for a name",
        "an order with one such name fails as a whole, and after some the authority answers nobody of this address for a while",
        '`certs = "acme"` has a certificate issued for the `hosts` of its site, each of which is proved by a challenge.',
    ),
    "acme/terms": Page(
        "nobody agreed to an authority's terms",
        "an authority issues to who agreed to its terms of service, and nobody can do that but you",
    ),
    "acme/authority": Page(
        "an authority is none",
        "it is asked over TLS for its directory, by a word that is known or by that directory's URL",
    ),
    "acme/challenge": Page(
        "no challenge can be answered", "the authority looks for its answer where nobody gives one, and issues nothing"
    ),
    "acme/dns": Page(
        "a zone cannot be changed like that", "names that are proved in the DNS would never be, and nothing is issued"
    ),
    "acme/unused": Page("nothing is issued", "who believes that certificates come by themselves does not renew them"),
    "acme/caa": Page(
        "the zone of a name lets others issue for it, and not the authority that is asked",
        "an authority looks at that before it issues (RFC 8659), and refuses the order as a whole",
        "Records of type CAA stand at the name, or else at the nearest name above it that has some. Of a wildcard those with `issuewild` count, "
        "where there are any. `validationmethods` (RFC 8657) narrows one down to ways of proving names, `accounturi` to an account, which must be the one that is "
        "kept in `state`. Of an authority that is asked only where those before it are down, it is a warning.",
    ),
    "identity/authority": Page(
        "an authority has no address",
        "it is asked over TLS at a host and a port, and its own certificate has that host",
    ),
    "identity/token": Page(
        "a token cannot be used",
        "without it nobody is enrolled, and what takes the identity is refused",
        "A token is what `everyhop ca token` printed, on one line. It is good once, for some minutes; it is read only where there is "
        "no certificate yet, or the last one is over.",
    ),
    "identity/no-token": Page(
        "an identity could never come",
        "what was never enrolled is known to no authority; everything that takes the identity would be refused for good",
    ),
    "identity/folder": Page(
        "a folder is no place for a key",
        "whoever can read the key can be this edge to every backend, and whoever can write there decides who it is",
    ),
    "identity/agent": Page(
        "an agent's socket cannot be trusted",
        "whoever answers there decides who this edge is and whom it believes",
    ),
    "identity/spiffe-id": Page(
        "an identity by SPIFFE is nobody",
        "an agent gives each workload the one ID that it is registered as, and the edge takes that one or none",
    ),
    "identity/needs-extra": Page(
        "what asks an agent of SPIFFE is not installed",
        "the libraries of gRPC are large, and only who takes identities from an agent needs them",
    ),
    "identity/other-domain": Page(
        "roots would vouch for workloads of another trust domain",
        "each trust domain says who its own workloads are; whoever believes it about others lets it be anybody",
    ),
    "identity/gives-nothing": Page(
        "an identity brings no roots",
        "whoever is verified would be verified by nothing; only what an authority gave comes with its roots and lists",
    ),
    "identity/hosts": Page(
        "a site would be known by what has not come yet",
        "its names are needed before its certificate is there, so that who asks for them is refused by name",
    ),
    # Certificates.
    "certificate/unreadable": Page("a certificate or key cannot be read", "without it the handshake could not happen"),
    "certificate/key-mismatch": Page("a key does not belong to its certificate", "every handshake would fail"),
    "certificate/key-exposed": Page(
        "a key can be used by others",
        "whoever can read the key can pretend to be the site, and whoever can change it decides who is believed",
        "Make it the owner's alone: chmod 600.",
    ),
    "key/uri": Page(
        "a PKCS#11 URI does not name a key",
        "what it leaves open could be another key, and what is not looked at would be believed to count",
        "It says token= (or serial=, slot-id=), object= or id=, ?module-path= and, where the token asks for a PIN, "
        "&pin-source=, each once, as RFC 7512 has them.",
    ),
    "key/pin-inline": Page(
        "a token's PIN stands in the configuration",
        "whoever reads the configuration, the plan or a review of it could have the token sign",
        "Name the file that holds it: pin-source=/etc/everyhop/pin. A PIN that stood here is known: change it.",
    ),
    "key/needs-apart": Page(
        "a key is in a token, and keys are in the engine",
        "a module is code of somebody else's; in the engine it would stand beside what strangers send",
        'Write [engine] keys = "apart": the keyholder has it asked by a process of its own.',
    ),
    "key/not-there": Page(
        "a key that is in a token is wanted where no token is asked",
        "the hop would be refused by whoever asks for a certificate",
    ),
    "key/module": Page(
        "a PKCS#11 module cannot be used, or be trusted",
        "it is code that is loaded: whoever can change it has handshakes signed, and reads the PIN",
        "The file and the folders above it belong to root and are written by nobody else.",
    ),
    "key/pin": Page(
        "a token's PIN is not there, or is not the token's",
        "few wrong PINs lock a token, so that one that was refused is not shown to it again",
        "Everyhop tries a PIN once. A running edge tries none as long as the token says that a wrong one was shown since the last "
        "that was right: everyhop check tries it once, and where it is right the next reload goes on. One that would lock the token "
        "is not tried at all.",
    ),
    "key/pin-exposed": Page(
        "a token's PIN can be read by others",
        "whoever reads it and reaches the token has it sign",
        "Make it the owner's alone: chmod 600.",
    ),
    "key/token": Page(
        "a token does not sign by a key",
        "no handshake could be made with its certificate",
        "The token is there, has one private key that fits the URI, signs by it without being asked for the PIN each time, and "
        "knows ECDSA, or RSA with PSS and PKCS#1 v1.5.",
    ),
    "certificate/unusable": Page(
        "a certificate or key is of a kind that TLS does not use here",
        "no handshake could be made with it, or none that every client takes",
        "Certificates are X.509 of version 3; keys are RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or "
        "Ed25519. The engine itself is asked, so what passes here it takes. A certificate that says must-staple (RFC 7633) is refused too: "
        "authorities have ended OCSP, no answer of it is stapled here, and clients that obey it would refuse each handshake.",
    ),
    "certificate/chain-broken": Page(
        "a chain does not lead from its certificate to its issuers",
        "whoever checks it would find no way to a root that they know, and refuse the connection",
        "Signatures decide, not names: an authority that took a new key keeps its name, and its certificate of before "
        "signed nothing that is new.",
    ),
    "certificate/chain-untidy": Page(
        "a chain holds more than the way to a root, or not in its order",
        "TLS 1.3 tolerates it (RFC 8446 4.4.2), old clients do not, and each handshake carries what is too much",
    ),
    "certificate/chain-untrusted": Page(
        "a chain holds a certificate that clients do not believe",
        "those that know no other way to a root refuse the connection",
    ),
    "certificate/chain-incomplete": Page(
        "a chain lacks an issuer",
        "browsers may fetch or remember it, programs refuse the connection, and backends are programs",
    ),
    "certificate/lasts-too-long": Page(
        "a site's certificate is valid for longer than some clients believe",
        "they refuse the connection, whoever signed it",
    ),
    "certificate/wrong-use": Page(
        "a certificate is not for what it is used for",
        "whoever looks at its extensions refuses it",
    ),
    "certificate/expired": Page(
        "a certificate is not valid now", "whoever checks it refuses it: clients, backends, and the edge itself"
    ),
    "certificate/expires-soon": Page("a certificate ends soon", "from that moment on whoever checks it refuses it"),
    "certificate/host-not-covered": Page(
        "no certificate of the site carries a host", "clients would refuse the connection"
    ),
    "ca/unusable": Page(
        "a CA file gives no roots",
        "verification against nothing verifies nobody; the system's roots are never taken instead",
    ),
    "ca/partly-unusable": Page(
        "a certificate of a CA file verifies nothing",
        "what only it vouches for is refused",
    ),
    "crl/unusable": Page(
        "a file of revocation lists cannot be used",
        "a list that cannot be used revokes nobody, and nobody would notice",
    ),
    "crl/stale": Page(
        "a revocation list is overdue",
        "who was revoked since it was made is not on it, so by default nobody passes until the new one is there",
    ),
    "crl/url": Page(
        "a revocation list is to come from a URL that cannot be asked for",
        "a list that never comes revokes nobody, so nobody would pass",
        "It is `https://` or `http://`, with a host, without a user, a fragment or what must be escaped. LDAP is not asked: have what "
        "speaks it put the list into a file.",
    ),
    "crl/unused": Page(
        "it is said how revocation lists are fetched, and none is",
        "a setting that is silently ignored is a setting that is believed to hold",
    ),
    "crl/state": Page(
        "the folder of fetched revocation lists can be written by others",
        "whoever puts back an old list there hides who was revoked since, and its signature is good",
    ),
    # Sites and routes.
    "site/clients-of-anybody": Page(
        "clients are verified by authorities that certify anybody",
        "whoever has a certificate of a public authority, which costs nothing, would pass as a verified client",
    ),
    "site/hsts": Page(
        "Strict-Transport-Security would not hold as it is written",
        "what browsers are told to remember is believed to protect, and cannot be taken back for as long as it says",
        "Lists that browsers ship take a name with a year at least and all names below it; a site that carries TCP has no "
        "answers of HTTP.",
    ),
    "site/no-hsts": Page(
        "a site says no Strict-Transport-Security",
        "a browser that was never told may be brought to the site in the clear by whoever is on the way, who then reads and changes what passes",
        "A backend that says it itself is heard by browsers as well; the edge cannot know of that beforehand.",
    ),
    "site/unresolved": Page(
        "a name of a site has no address here",
        "clients that ask the same DNS do not find the site, nor does an authority that is to prove the name",
        "The servers of `[dns]` are asked where there are some, and else the resolver of this machine, with its hosts file.",
    ),
    "site/policy-unavailable": Page(
        "a site's policy is not to be had in this build",
        "who is told that a validated module ends TLS must be able to rely on it",
    ),
    "site/policy-outdated": Page(
        "a site keeps to a policy that has aged",
        "what the newer one brings protects nobody here, such as recorded traffic against a quantum computer",
        "A policy with a version stays as it is; one without follows releases, and `diff` tells what a release changes. What each one "
        "speaks: `docs/reference/tls-policies.md`.",
    ),
    "site/host-twice": Page(
        "a host belongs to two sites", "which certificate and which demand on clients hold would be chance"
    ),
    "route/host": Page("a host is not a host name", "no request could match it, and nothing answers to it"),
    "route/no-site": Page(
        "TLS ends here for a host that no site serves",
        "without a site there is no certificate to end TLS with",
    ),
    "route/passed-and-terminated": Page(
        "a host is both passed through and terminated",
        "whether the edge reads the traffic must not depend on which rule wins",
    ),
    "route/reached-through-weaker-site": Page(
        "a route is also reached through a site that demands less of clients",
        "who comes by that name is asked for less than the route's other clients are",
        "A name belongs to the site that names it most exactly, and a route takes every name that its wildcard covers; so a "
        "site for one such name, with other demands on clients, is another way in.",
    ),
    "route/wildcard-covers-passthrough": Page(
        "a site's wildcard covers a passthrough name",
        "a browser may reuse the site's HTTP/2 connection for that name; such requests get 421",
        'Silence it with `covers = ["name"]` on the passthrough route once it is known and wanted.',
    ),
    "route/layer-7-on-passthrough": Page(
        "a passthrough route asks for what only a reader could do",
        "the edge does not see HTTP there: it has no key to that session",
    ),
    "route/http-on-tcp": Page(
        "a route that carries TCP asks for what only a reader of HTTP could do",
        "the edge reads nothing of what is inside TLS there: what it cannot see it cannot keep",
    ),
    "route/protocols-mixed": Page(
        "a site carries both HTTP and TCP",
        "a client of one could speak to the other, and what one reads as a request the other passes on unread",
        "The handshake belongs to the site: its certificate, what is asked of clients, the protocols that are offered. So all "
        "routes of a site carry the same; a second site for the other costs nothing, also with the same certificate.",
    ),
    "route/client-name": Page(
        "an allow-list names what no client can prove",
        "it would let nobody pass, or be believed to mean somebody",
        "A client is named as its certificate names it in subjectAltName: a DNS name, a URI or an e-mail address; or by "
        "`sha256:` and the SHA-256 of the certificate, as `openssl x509 -noout -fingerprint -sha256` tells it. Each name is "
        "written whole: there are no patterns. DNS names and the host of an e-mail address are compared without case.",
    ),
    "route/tie": Page("two routes match the same requests", "which of them wins would be chance"),
    "route/path": Page("a path is not in its one form", "it could never match what requests are compared as"),
    "route/edge-field": Page(
        "a route changes a field that only the edge writes",
        "what frames a message decides where the next one begins, and backends believe what the edge says of clients",
    ),
    "route/cookies": Page(
        "what a route gives cookies is what browsers do not take",
        "a cookie that no browser keeps is a login that nobody stays in",
        "`SameSite=None` counts only beside `Secure` (RFC 6265bis §5.7). A path begins with a slash, in the one form that all read alike.",
    ),
    "route/cors": Page(
        "what a route says of pages of other origins would not hold, or would hold for too many",
        "a page that may read answers with credentials reads what whoever visits it may read; a rule that browsers read "
        "otherwise than it is meant lets nobody in, or everybody",
        "Origins are exact: scheme, host and port, as browsers write them (RFC 6454 §6.2), without a path. `null` is every "
        "sandboxed frame. With credentials nothing is `*`, and no page without TLS is trusted, but one of this host. Methods "
        "are compared as they are written. A preflight is asked with `OPTIONS` and carries no field that a script sets: the "
        "route must be found without.",
    ),
    "limit/limits-nothing": Page(
        "a limit bounds nothing, or nobody",
        "who believes that a service is guarded does not look at what comes",
        "A `[[limit]]` says how many in a time (`rate`, with `burst` beside it), how many at once (`at_once`), or both, and routes name it in "
        "`limited_by`.",
    ),
    "limit/key": Page(
        "a limit counts by what nobody has, or by what a client chooses",
        "who can choose the key has a limit of its own for each; and where nobody has it, all share one",
        "A field or a cookie is whatever a client sends, so a route that is limited by such a key needs another limit beside it, by what a client "
        "cannot choose: its address, or the name in its certificate. Requests that lack a part of the key share one key. "
        "A claim is of the token that the route asks for (`jwt`), a user of its password (`basic`): where it asks for none there is none. "
        "Names of two files are one key where they are alike: a limit that routes of several files share had better count by `route`, too.",
    ),
    "route/no-retries": Page(
        "a route says of retries what never happens",
        "who believes that a request goes again does not look for why it failed",
        "Only `GET` and `HEAD` go again, after an answer of 502, 503 or 504, or none in time, and to another backend alone: "
        "what may happen once must not happen twice.",
    ),
    "route/sticky": Page(
        "clients would not come back by a route's sticky cookie, or need not",
        "who believes that a client keeps its backend keeps its session there alone",
        "A browser has one cookie of a name for a host, so each route of that host needs a name of its own. A key of `balance` "
        "says already where a client goes, and one backend needs no cookie.",
    ),
    "route/edited-twice": Page("a field is changed twice", "which of the two holds would be chance"),
    "route/listener-apart": Page(
        "a route names listeners by which nothing comes to it",
        "a route that is believed to be reached inside, and is reached nowhere, is found out when it is needed",
        "A route is reached by the listeners that it names and that the site of its names names too, where either does. A listener "
        "of plain HTTP forwards nothing.",
    ),
    "route/onward-path": Page(
        "what goes to the backend instead of the path is none, or not always there",
        "a backend that is asked for another path than was judged serves what nobody let pass",
        "`strip` is whole segments with which each path of the route begins, so the route's `path` or `path_exact` is that or "
        "below it. `rewrite` is a prefix and `{path}`, or one path for all, or `{ regex, to }`: an expression that fits whole "
        "paths and compiles, no group of which has the name of another, and a path that begins with a slash of its own, stays "
        "within the root, and names groups that are there. None of them can be read in two ways, and nothing that "
        "a client sends can make `//name` of it, which some read as the name of a server, or leave the root: such requests are "
        "refused with 400 (`request/bad-target`). What is matched, judged and logged is the path that the client sent.",
    ),
    "route/answered-here": Page(
        "a route is answered by the edge itself and speaks of backends",
        "there is nothing behind it, and one answer to each request: what is said beside it would hold nowhere",
        "A route with `redirect` or `answer` ends TLS at the edge and goes no further, so it has no `tls`, no `to` and nothing "
        "that a hop needs. What is asked of clients (`allow`, the site's `clients`) holds as on any other route.",
    ),
    "route/redirect-target": Page(
        "a redirect does not lead to one place",
        "where clients are sent must not hang on what they ask for",
        "A target is `https://` and a host, or a path that begins with a name. `{path}` alone is refused: of a request for "
        "`//other.example/` it makes a link to another server. It may name `{path}`, `{query}` (at the end) and `{host}`.",
    ),
    "route/redirect-in-the-clear": Page(
        "a redirect leads out of TLS",
        "what clients send there anybody on the way can read and change",
    ),
    "route/redirect-loop": Page(
        "a redirect leads back to itself",
        "browsers follow it some twenty times and show an error",
        "It is followed as a client would, through all routes of the file, for a request without fields of its own.",
    ),
    "route/answer-file": Page(
        "a file that the edge answers with cannot be used",
        "its clients would get an answer without what it says",
        "It is read when the configuration is, held in memory, and watched; it may have 64 KiB. What its name calls text (`.html`, `.txt`, `.css`, "
        "`.js`, `.json`) is UTF-8, as the answer says of it; `headers` may say another `content-type`.",
    ),
    "route/variable": Page(
        "a value names something that the edge does not know", "the braces would go out as they stand"
    ),
    "route/requirement-unmet": Page(
        "a route requires what its pattern cannot give",
        "the requirement and where TLS ends contradict each other",
    ),
    "route/requirement-not-built": Page(
        "a route requires what Everyhop does not have yet",
        "a promise that nothing keeps is believed all the same",
        "Where it can be had instead stands in the finding; `everyhop explain` knows every capability, built or not.",
    ),
    "route/requirement-not-configured": Page(
        "a route requires what its pattern could give, and what it needs is not configured",
        "a promise that nothing keeps is believed all the same",
        "What each capability needs stands in the reference of capabilities; `everyhop advise` writes it.",
    ),
    "route/upgrade-unjudged": Page(
        "a route lets clients switch to a protocol that carries requests past the edge",
        "behind the switch nobody would judge, log or rewrite a request: the edge reads nothing of a tunnel",
        "`h2c`, `HTTP/2.0` and `TLS/1.0` are the same requests in other bytes. A client that offers one is answered in HTTP/1.1, "
        "as the standard has it (RFC 9110 §7.8).",
    ),
    "route/nothing-to-do": Page(
        "a setting has no effect on this route", "a setting without effect is believed to hold"
    ),
    "route/starttls-apart": Page(
        "no listener's clients ask for TLS as the route's backends are asked",
        "each side would wait for a word that the other has said before TLS, or speaks another protocol",
        "Servers of SMTP and IMAP greet once: before TLS where that is asked for, else within it. Where TLS passes through, the "
        "edge can neither take a greeting away nor add one, so both sides are asked alike. Where it ends at the edge, clients "
        "may begin with TLS or ask for it in the same protocol's words.",
    ),
    "traces/nowhere": Page(
        "a route says how many of its requests become spans, and there is nowhere to send them",
        "whoever looks for its traces finds none, and the file says that there are some",
        "Spans go to the `[[collector]]` that `[traces]` names.",
    ),
    "store/password": Page(
        "a store's password cannot be used",
        "without it the store answers nobody, and no edge counts together with another",
        "Write `file:PATH`, `env:NAME` or `cred:NAME` (a systemd credential); the file holds the password alone, in one line.",
    ),
    "store/password-exposed": Page(
        "others than the owner can read a store's password",
        "whoever has it can let anybody pass, and nobody",
        "The supervisor reads it, and the engine is given it sealed in memory: nobody else needs to.",
    ),
    "store/password-readable": Page(
        "a store's password goes over a network in plaintext",
        "whoever reads it on the way can let anybody pass, and nobody",
        "An acceptance says that what is counted may be read; whoever has the password can change it as well.",
    ),
    "store/counts-nothing": Page(
        "a store counts nothing, or cannot count what it is named for",
        "who believes that edges count together does not look at what each of them lets pass",
        'A `[[limit]]` with a `rate` names it: `store = "NAME"`. What is under way at once each edge counts by itself.',
    ),
    # Hops.
    "hop/nothing-to-prove": Page(
        "a hop proves nothing, and the file says by what it would",
        "a proof that is written down is believed to be asked for",
    ),
    "hop/address": Page("a backend's address cannot be read", "nothing could be connected to"),
    "hop/nothing-negotiates": Page(
        "a backend is to choose its protocol on a hop where nothing is negotiated",
        "versions of HTTP are agreed on in TLS, by ALPN; in plaintext the edge would have to guess, and bytes of one "
        "version read as the other are other requests",
        'Say what the backend speaks: `upstream_protocol = "h2"` (with prior knowledge) or `"http/1.1"`.',
    ),
    "hop/upgrade-over-http2": Page(
        "a route lets clients switch protocols on the way to backends that are spoken to in HTTP/2",
        "HTTP/2 has no Upgrade: every such request would be refused",
        "Only a WebSocket has a way over HTTP/2 (RFC 8441).",
    ),
    "hop/service-unasked": Page(
        "a backend is a service, and no DNS server is named that is asked where it is",
        "the machine's own resolver knows addresses of names and no services (SRV), so nothing could be connected to",
    ),
    "hop/plaintext-without-acceptance": Page(
        "plaintext crosses a network and nobody signed for it",
        "anyone on the network on the way can read and change it, and forge X-Forwarded-For",
        'Encrypting the hop is as easy: `tls = "reencrypt"` needs a CA, `tls = "mutual"` also an identity. Where the '
        "backend cannot, a person accepts the risk, with a reason and an end: `everyhop accept ROUTE`.",
    ),
    "hop/major-incident-in-plaintext": Page(
        "data whose leak would be a major incident travels in plaintext",
        "if the data would be a major incident if leaked, it does not travel unencrypted, not even inside",
    ),
    "hop/no-identity": Page(
        "mutual TLS without an identity to present",
        "the backend could not know that it is us, and would have to believe the network",
        "Where there is no authority yet that both believe: `everyhop ca init DIR --domain internal`, then `everyhop ca issue DIR edge.internal`.",
    ),
    "hop/no-roots": Page(
        "verification without roots",
        "a certificate that is checked against nothing proves nothing",
        "Backends without a certificate get one of an authority of one's own: `everyhop ca init`, `everyhop ca issue`; its `roots.pem` is the `ca`.",
    ),
    "hop/no-name": Page(
        "verification without an expected name",
        "a backend that may have any name may be any service: each certificate of that CA would do",
        "A pin says itself which certificate or key it is. A backend on a socket is asked for a name all the same, as TLS has "
        "it (SNI), and a path is none.",
    ),
    "hop/pin": Page(
        "a pin cannot be used",
        "a pin that fits nothing, or beside which something else is asked too, does not say who is let through",
        "A pin is `sha256:` and the SHA-256 of the backend's certificate, or of its public key (SubjectPublicKeyInfo), in "
        "hexadecimal digits. `everyhop probe HOST:PORT` shows both for what answers there now; who that is, only whoever "
        "runs the backend can tell: compare the digits with what `openssl x509 -noout -fingerprint -sha256` says there. A "
        "pin of the key outlives a renewal with the same key, one of the certificate does not; name the next one beside it "
        "before it comes.",
    ),
    "hop/spiffe-id": Page(
        "what a backend is to be is no SPIFFE ID",
        "an ID that no certificate can carry would let nobody through, and one beside pins would not say which of them counts",
        "A SPIFFE ID is `spiffe://`, a trust domain in lower case and a path of letters, digits, dots, hyphens and underscores "
        "between slashes; neither port, query, fragment nor percent-encoding is in one. `spiffe://td/*` stands for any workload "
        "of a trust domain, and a star anywhere else for nothing. It takes the roots of that trust domain as `ca`.",
    ),
    "hop/own-certificate": Page(
        "a backend's own certificate would not be believed",
        "every handshake with that backend would fail",
        "A certificate that signs for itself is taken as what it is: it must carry the expected name in its subjectAltName, "
        "be valid now and be for servers, with a key that is long enough. A pin asks for no name.",
    ),
    "hop/asking-not-demanded": Page(
        "backends that ask nobody for a certificate are sent data whose leak would be a major incident",
        "a backend that asks nobody who they are answers whoever reaches it, and nobody would notice",
        "`demand_asks` makes the edge close a hop whose backend did not ask for its certificate, before any byte of a request.",
    ),
    "hop/weaker-than-route": Page(
        "a backend is weaker than its route", "the route would promise what one of its backends does not keep"
    ),
    "hop/twice": Page(
        "a backend is listed twice",
        "it would silently get twice its share, be its own backup, or do twice what it is asked: `weight` says the share",
    ),
    "route/nobody-takes": Page(
        "no backend of a route takes anything while all is well",
        "a weight of 0 takes nothing new, and a backup only waits for another to fail: every request would be refused",
    ),
    "route/wrong-balance": Page(
        "a route balances by what it does not count",
        "where the edge reads requests it counts those, for a connection carries many; elsewhere it sees connections alone",
    ),
    "route/wrong-health": Page(
        "a health check asks nothing, or what cannot be asked there",
        "a check that says nothing of a backend would let it stay up whatever becomes of it, or never come up",
        "One of `path`, `grpc` and `connect` is asked. `grpc` goes to backends that speak HTTP/2, `status` belongs to `path`, and "
        "a route that has wildcards alone says for which `host` it asks.",
    ),
    "acceptance/expired": Page("an acceptance has ended", "what was accepted was accepted until then"),
    "acceptance/ends-soon": Page("an acceptance ends soon", "on that day its route, or its listener, closes"),
    "acceptance/dates": Page(
        "an acceptance's dates do not make sense",
        "an acceptance holds for a time: it begins before it ends, and at most a year lies between",
    ),
    "acceptance/needless": Page(
        "an acceptance accepts nothing", "what is signed for before it is there is seen by nobody when it comes"
    ),
}

ONLINE = frozenset({"acme/caa", "site/no-hsts", "site/unresolved"})
"""Said by `everyhop check --online` alone."""
ASKED = frozenset({"key/token"})
"""Said by a token that was asked, and by no file."""
