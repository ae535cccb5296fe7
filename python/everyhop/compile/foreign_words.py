"""The words of nginx, Caddy, Traefik, HAProxy and Envoy, and where what they mean is said here.

A table, and nothing that looks anything up. A row never names a key that means something else: where there is none, it
says so, and where to do it instead. Tests hold every example to the model, and every `Unbuilt` to the capability matrix.
Read next: `hints.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.trust import CAPABILITIES

ANYWHERE = ("*",)


@dataclass(frozen=True)
class Lives:
    """A key of ours means that. `table` is where it stands, `""` for the top of the file; `example` is TOML for there."""

    table: str
    example: str
    note: str = ""

    def told(self, table: str) -> str:
        """To someone who wrote the word in `table`."""
        where = "here it is" if table == self.table else f"it is said in {bracketed(self.table)}"
        return f"{where}: {self.example}" + (f"; {self.note}" if self.note else "")


@dataclass(frozen=True)
class Unbuilt:
    """A row of the capability matrix that Everyhop does not have yet."""

    capability: str

    def told(self, table: str) -> str:
        return f"{CAPABILITIES[self.capability].title}: not built; {CAPABILITIES[self.capability].instead}"


@dataclass(frozen=True)
class Absent:
    """Nothing here does it; `instead` says who does."""

    instead: str

    def told(self, table: str) -> str:
        return f"not built; {self.instead}"


Answer = Lives | Unbuilt | Absent


@dataclass(frozen=True)
class Row:
    """`words` as their proxies spell them, with `_` for blanks. `at`: tables in which they mean that (`*`: in all that no other row of the word names)."""

    words: str
    answer: Answer
    at: tuple[str, ...] = ANYWHERE

    @property
    def spellings(self) -> list[str]:
        return self.words.split()


TABLES = ("listener", "site", "identity", "collector", "issuer", "store", "limit", "authorizer", "waf", "route")
"""Those of which a file has several."""


def bracketed(table: str) -> str:
    """As a person writes a table's head."""
    if not table:
        return "the top of the file"
    return f"[[{table}]]" if table in TABLES else f"[{table}]"


TO = 'to = ["10.0.0.5:8443"]'
CERTS = 'certs = [{ chain = "site.pem", key = "file:site.key" }]'
CLIENTS = 'clients = { ca = "clients-ca.pem", mode = "require" }'
VERIFY = 'verify = { ca = "internal-ca.pem", name = "app.internal" }'
BIND = 'bind = ["[::]:443"]'
WHERE_TLS_ENDS = 'tls = "reencrypt"'
WAYS = 'or "passthrough", "mutual", "plaintext": where TLS ends'
RESPONSES = "what a backend answers passes as it is: {} there"

OTHER_FIELDS = "who the client is the edge says by itself in X-Forwarded-*"

ROWS = (
    # The words of an acceptance that a person might choose.
    Row("expires expiry end ends valid_until not_after", Lives("route.acceptance", "until = 2027-01-31"), ("route.acceptance",)),
    Row("reason because comment justification", Lives("route.acceptance", 'why = "the appliance speaks no TLS"'), ("route.acceptance",)),
    Row("by who accepted_by approver approved_by", Lives("route.acceptance", 'owner = "team-net"'), ("route.acceptance",)),
    Row("from start begins accepted_on date", Lives("route.acceptance", "since = 2026-11-01"), ("route.acceptance",)),
    # Who listens, for which names.
    Row("port ports address addr addresses default_bind socket_address", Lives("listener", BIND)),
    Row("listen listeners entryPoints entryPoint frontend frontends http_port https_port",
        Lives("listener", BIND, 'with name = "public"')),
    Row("listener_name listener entryPoints entryPoint", Lives("route", 'listeners = ["internal"]', "by default every listener reaches every route"), ("route",)),
    Row("server_name server_names serverAlias domain domains sni hdr_host rule match matcher matchers virtual_hosts hostname hostnames hosts",
        Lives("route", 'host = "shop.example.com"')),
    Row("server_name server_names serverAlias domain domains sni host hostname hostnames",
        Lives("site", 'hosts = ["shop.example.com"]', "by default those of its certificate"), ("site",)),
    Row("default_server strict_sni sni_strict default_sni fallback_sni",
        Lives("listener", 'unknown_sni = "refuse"', "nobody is guessed")),
    Row("accept_proxy_protocol proxy_protocol accept_proxy listener_wrappers",
        Lives("listener", 'accept_proxy = ["10.0.0.0/24"]')),
    Row("proxy_protocol send_proxy_v2 send_proxy_protocol",
        Lives("route", 'send_proxy = "v2"', 'where TLS passes through, or protocol = "tcp"'), ("route", "route.to")),
    Row("set_real_ip_from real_ip_header trustedIPs trusted_proxies client_ip_headers forwardedHeaders forwardfor xff_num_trusted_hops use_remote_address",
        Lives("listener", 'trusted_proxies = ["10.0.0.0/24"]')),
    Row("maxconn worker_connections max_connections", Lives("listener", "connections = 20000")),
    Row("maxconn max_connections", Lives("route", "most = { connections = 500 }", "or requests under way, with those that wait"), ("route", "route.to")),
    # Where requests go.
    Row("server servers service services http virtual_host ingress", Lives("route", TO, "a [[route]] each"), ("listener", "site", "")),
    Row("server servers service services", Lives("route", TO), ("route",)),
    Row("proxy_pass upstream upstreams backend backends default_backend use_backend reverse_proxy loadBalancer cluster clusters target targets origin forward forward_to url urls endpoints",
        Lives("route", TO)),
    Row("location path_prefix path_beg prefix handle handle_path route_prefix",
        Lives("route", 'path = "/v2"', "or path_exact; a [[route]] each")),
    Row("routers router", Lives("route", TO, "a [[route]] each")),
    Row("methods", Lives("route", 'method = ["GET", "HEAD"]')),
    Row("header header_match headers_match", Lives("route", 'headers = { X-Version = "2" }', "which requests it takes; none is set"), ("route",)),
    Row("websockets upgrade upgrade_configs proxy_set_header_upgrade", Lives("route", "websocket = true")),
    Row("grpc_pass grpc h2c proxy_http_version http2_protocol_options", Lives("route", 'upstream_protocol = "h2"')),
    Row("auto_config auto_http_config", Lives("route", 'upstream_protocol = "auto"')),
    Row("http2 alpn_protocols protocols alpn", Lives("site", 'alpn = ["h2", "http/1.1"]')),
    # Certificates, and what clients must show.
    Row("ssl_certificate ssl_certificate_key ssl_cert ssl_key ssl_cert_key certificate certificates certFile keyFile cert crt tls_certificates tls_cert tls_key fullchain privkey crt_list ssl_crt",
        Lives("site", CERTS)),
    Row("chain key", Lives("site", CERTS), ("site",)),
    Row("cert crt certificate", Lives("route", 'present = "edge"', "the name of an [[identity]]"), ("route.to",)),
    Row("ssl_certificate certificate certFile cert crt fullchain certs", Lives("identity", 'chain = "edge.pem"'), ("identity",)),
    Row("ssl_certificate_key keyFile privkey", Lives("identity", 'key = "file:edge.key"'), ("identity",)),
    Row("ssl_verify_client ssl_client_certificate client_auth client_ca client_cas client_certificate mtls caFiles verify_required require_client_certificate",
        Lives("site", CLIENTS)),
    Row("verify ca ca_file", Lives("site", CLIENTS), ("site", "listener")),
    Row("verify_none verify_off", Lives("site", CLIENTS, "left out, no client is asked"), ("site", "listener")),
    Row("mtls", Lives("route", 'tls = "mutual"', "with present; of clients it is demanded by clients of a site"), ("route", "route.to")),
    Row("ssl_crl crl crl_file", Lives("site", 'clients = { ca = "clients-ca.pem", crl = "clients.crl" }')),
    Row("tls_min_version ssl_protocols minVersion maxVersion ssl_min_ver ssl_max_ver min_tls tls_version tls_versions tls_protocols tls_minimum_protocol_version tls_max_version protocol_version "
        "ciphers ssl_ciphers cipher_suites curves curvePreferences ssl_ecdh_curve ssl_prefer_server_ciphers tls_params",
        Lives("site", 'policy = "intermediate"', '"modern" is TLS 1.3 alone')),
    Row("acme_ca letsencrypt certResolver certificatesResolvers auto_https automatic_https on_demand lego",
        Lives("site", 'certs = "acme"', "who is asked, and by whom, stands in [acme]")),
    Row("email tls_email acme_email", Lives("acme", 'contact = ["mailto:ops@example.com"]')),
    Row("ssl_stapling ocsp ocsp_stapling must_staple", Absent("shorten the certificate's life instead; clients' revocation lists are clients.crl of a site")),
    Row("ssl_session_cache ssl_session_tickets session_tickets", Absent("nothing is to be set: leave it out; where several edges are to take up each other's sessions, that is said in [tickets]")),
    Row("ssl_session_timeout ssl_session_ticket_key session_ticket_keys session_timeout tls_ticket_keys_file",
        Lives("tickets", 'key = "file:tickets.secret"', 'and rotate = "12h", for as long as a ticket lasts')),
    # Where TLS ends, and the hop behind.
    Row("tls ssl ssl_on tls_mode tls_context transport_socket termination tls_termination ssl_preread passthrough tls_passthrough proxy_ssl backend_protocol",
        Lives("route", WHERE_TLS_ENDS, WAYS)),
    Row("tcp mode scheme", Lives("route", WHERE_TLS_ENDS, WAYS), ("route", "listener")),
    Row("ca_file ca verify_host ssl_verify", Lives("route", VERIFY), ("route", "route.to")),
    Row("sni", Lives("route", VERIFY), ("route.to",)),
    Row("proxy_ssl_verify proxy_ssl_trusted_certificate proxy_ssl_name proxy_ssl_verify_depth proxy_ssl_server_name rootCAs trusted_ca tls_trust_pool tls_trusted_ca_certs tls_server_name serversTransport serversTransports validation_context verifyhost",
        Lives("route", VERIFY)),
    Row("ca_file roots root rootCAs trusted_ca trusted_certificate", Lives("route.verify", 'ca = "internal-ca.pem"'), ("route.verify", "route.to.verify")),
    Row("proxy_ssl_crl ssl_crl crl_file crls", Lives("route.verify", 'crl = "internal.crl.pem"'), ("route", "route.to", "route.verify", "route.to.verify")),
    Row("pins pinned fingerprint sha256 spki verify_certificate_hash verify_certificate_spki pinned_public_key certificate_hash",
        Lives("route.verify", 'pin = "sha256:..."', "of the certificate or its key"), ("route", "route.to", "route.verify", "route.to.verify")),
    Row("server_name sni host hostname san subject_alt_name verifyhost", Lives("route.verify", 'name = "app.internal"'), ("route.verify", "route.to.verify")),
    Row("insecureSkipVerify tls_insecure_skip_verify skip_verify insecure verify_none verify_off verify_false proxy_ssl_verify_off trust_chain_verification",
        Lives("route", VERIFY, "nothing switches verification off")),
    Row("proxy_ssl_certificate proxy_ssl_certificate_key tls_client_auth identity",
        Lives("route", 'present = "edge"', "the name of an [[identity]]")),
    Row("client_cert client_key", Lives("route", 'present = "edge"', "the name of an [[identity]]"), ("route", "route.to")),
    # Times and sizes.
    Row("timeout timeouts", Lives("limits", "first_byte_s = 60", "or connect_s, body_progress_s, idle_s, head_s, tunnel_idle_s")),
    Row("proxy_connect_timeout timeout_connect connect_timeout dial_timeout", Lives("limits", "connect_s = 5")),
    Row("proxy_read_timeout timeout_server read_timeout response_timeout response_header_timeout request_timeout",
        Lives("limits", "first_byte_s = 60", "silence within a body is body_progress_s")),
    Row("proxy_send_timeout send_timeout client_body_timeout timeout_client write_timeout read_body stream_idle_timeout", Lives("limits", "body_progress_s = 30", "of silence: any byte starts it again")),
    Row("keepalive_timeout timeout_http_keep_alive idle_timeout", Lives("limits", "idle_s = 60")),
    Row("client_header_timeout timeout_http_request read_header read_header_timeout request_headers_timeout", Lives("limits", "head_s = 15")),
    Row("ssl_handshake_timeout handshake_timeout", Lives("limits", "handshake_s = 10")),
    Row("timeout_tunnel proxy_timeout tunnel_timeout", Lives("limits", "tunnel_idle_s = 600")),
    Row("large_client_header_buffers client_header_buffer_size max_header_size max_header_bytes max_request_headers_kb", Lives("limits", "head_bytes = 32768")),
    Row("client_max_body_size max_size request_body max_body_size maxRequestBodyBytes buffering max_request_bytes", Lives("limits", "body_bytes = 10485760", "or in limits of a route")),
    Row("http2_max_concurrent_streams max_concurrent_streams", Lives("limits", "h2_streams = 100")),
    Row("max_fails outlier_detection passive_health_check unhealthy_request_count", Lives("limits", "eject_after = 3", "connects or handshakes that fail in a row")),
    Row("fail_timeout fail_duration ejection_time base_ejection_time", Lives("limits", "eject_s = 10")),
    Row("circuit_breaker circuit_breakers", Lives("route", "most = { connections = 500, requests = 1000, waiting = 100 }", "a backend that fails is left alone by itself")),
    Row("keepalive max_idle_conns_per_host keepalive_idle_conns_per_host", Lives("limits", "upstream_idle_connections = 1024")),
    Row("max_connections_per_ip limit_conn_per_ip", Lives("limits", "connections_per_source = 10000")),
    Row("limit_conn limit_conn_zone in_flight_req", Lives("limit", "at_once = 20", "requests of one client, which a route names by limited_by; connections of one address are connections_per_source in [limits]")),
    Row("grace_timeout grace_period shutdown_timeout hard_stop_after worker_shutdown_timeout drain_timeout drain_time", Lives("engine", "drain_s = 30")),
    Row("worker_processes nbthread nbproc concurrency workers threads_count", Lives("engine", "threads = 4")),
    Row("uid", Lives("engine", 'user = "everyhop"')),
    # What is seen.
    Row("access_log access_logs httplog logger logging", Lives("log", 'access = "/var/log/everyhop/access.log"')),
    Row("log_format json_format", Lives("log", 'format = "combined"', "or json, with the fields that you pick")),
    Row("error_log log_level", Absent("the supervisor says what happens on stderr, for the journal")),
    Row("metrics prometheus stats stats_uri stub_status status_page ping healthz livez readyz", Lives("status", 'bind = "127.0.0.1:9180"')),
    Row("admin stats_socket", Lives("admin", 'socket = "/run/everyhop/everyhop.sock"')),
    Row("api dashboard", Absent("everyhop status and everyhop explain --html show what runs")),
    # What is done by itself.
    Row("retries", Lives("route", "retries = { on = [502, 503, 504] }"), ("", "listener", "site", "limits")),
    Row("retry retry_on num_retries proxy_next_upstream max_retries lb_retries lb_try_duration redispatch",
        Lives("route", "retries = { on = [502, 503, 504] }", "with two or more in to, what cannot have happened is sent again by itself")),
    # What a control point does, and what of it is not built.
    Row("slow_start", Lives("route", "slow_start_s = 30")),
    Row("weights max_conns_weight server_weight", Lives("route", 'to = [{ at = "10.0.0.5:8443", weight = 9 }, { at = "10.0.0.6:8443", weight = 1 }]')),
    Row("lb_policy lb_algorithm load_balancing least_conn round_robin random strategy load_balancing_policy ip_hash hash hash_policy uri_hash",
        Lives("route", 'balance = "least-requests"', "or round-robin, hash:client-address, hash:header:NAME, hash:cookie:NAME, hash:path")),
    Row("backup_servers fallback_servers failover", Lives("route", 'to = ["10.0.0.5:8443", { at = "10.0.0.6:8443", backup = true }]')),
    Row("sticky", Lives("route", 'sticky = { cookie = "edge" }'), ("", "listener", "site", "limits")),
    Row("stickiness session_affinity affinity stick_table stick cookie", Lives("route", 'sticky = { cookie = "edge" }')),
    Row("health_check health_checks health_uri check httpchk active_health_check health_path", Lives("route", 'health = { path = "/healthz" }')),
    Row("rate_limit rate_limits limit_req limit_req_zone rate_limiting throttle local_rate_limit", Lives("route", 'limited_by = ["per-client"]', 'a [[limit]] with name and rate = "100/s"')),
    Row("redis valkey", Lives("store", 'to = ["valkey.internal:6379"]', "a [[limit]] that names it is counted there, by all edges together")),
    Row("rate_limit_service global_rate_limit", Lives("store", 'speaks = "envoy"', "a [[limit]] that names it is asked about there")),
    Row("jwt_authn auth_jwt jwt_verify", Lives("route", 'jwt = { issuer = "corp", claims = { scope = "api.read" } }', "the issuer and its keys are an [[issuer]]")),
    Row("jwt", Lives("route", 'jwt = { issuer = "corp" }', "the issuer and its keys are an [[issuer]]"), ("", "listener", "site", "issuer")),
    Row("jwks jwks_uri remote_jwks local_jwks auth_jwt_key_file", Lives("issuer", 'keys = { file = "corp.jwks.json" }')),
    Row("oidc oauth2 openid", Absent("the edge checks tokens and signs nobody in: let a service do that, and name it as an [[authorizer]], or its issuer as an [[issuer]]")),
    Row("modsecurity coraza owasp crs sec_rule_engine", Lives("route", 'waf = "crs"', "its rules are a [[waf]]")),
    Row("modsecurity_rules modsecurity_rules_file security_rules", Lives("waf", 'extra = ["rules.conf"]')),
    Row("cache proxy_cache proxy_cache_path caching cache_control", Unbuilt("caching")),
    Row("http3 quic h3 enable_http3 experimental_http3 alt_svc", Unbuilt("http3")),
    Row("basic_auth auth_basic auth_basic_user_file userlist http_auth htpasswd", Lives("route", 'basic = { file = "users" }', "a line of the file is made by everyhop password NAME, or htpasswd -B")),
    Row("forward_auth auth_request external_auth", Lives("route", 'ask = "sso"', "who is asked is an [[authorizer]]")),
    Row("opa open_policy_agent", Lives("route", 'ask = "policy"', "who is asked is an [[authorizer]]")),
    Row("ext_authz", Lives("route", 'ask = "sso"', 'who is asked is an [[authorizer]] with speaks = "envoy"')),
    Row("ip_allowlist ipWhiteList allowlist whitelist blacklist denylist deny acl remote_ip rbac tcp_request",
        Lives("route", 'allow = { networks = ["10.0.0.0/8"] }', "clients with certificates are its clients; whom it does not name gets in nowhere, so there is no deny")),
    Row("redirects redirectScheme redirectRegex redir return https_redirect force_https ssl_redirect",
        Lives("route", 'redirect = { to = "https://shop.example.com{path}{query}" }', "a [[route]] of its own; port 80 is a [[listener]] with speaks")),
    Row("redirect", Lives("route", 'redirect = { to = "https://shop.example.com{path}{query}" }', "a [[route]] of its own"), ("", "listener", "site")),
    Row("respond direct_response", Lives("route", 'answer = { status = 404, text = "nothing here" }', "a [[route]] of its own")),
    Row("error_page error_pages errorfile", Lives("", 'pages = { 404 = "pages/404.html", 5xx = "pages/down.html" }', "for errors of the edge's own; what a backend answers passes as it is, and for a service that is down see everyhop maintenance")),
    Row("proxy_redirect ProxyPassReverse rewrite_location location_rewrite", Lives("route", 'locations = "rewrite"')),
    Row("proxy_cookie_flags proxy_cookie_path proxy_cookie_domain samesite_secure same_site",
        Lives("route", 'cookies = { secure = true, http_only = true, same_site = "lax" }', "paths and domains go back with locations")),
    Row("strip_prefix", Lives("route", 'strip = "/v1"')),
    Row("rewrite rewrites replacePath prefix_rewrite addPrefix uri path_rewrite set_path", Lives("route", 'rewrite = "/internal{path}"')),
    Row("replacePathRegex regex_rewrite", Lives("route", 'rewrite = { regex = "/users/(?<id>[0-9]+)", to = "/people/{id}" }')),
    Row("add_header more_set_headers customResponseHeaders header_down response_header response_headers response_headers_to_add",
        Lives("route", 'response = { set = { cache-control = "no-store" } }', "or add, remove")),
    Row("set_header proxy_set_header customRequestHeaders header_up request_header request_headers request_headers_to_add remove_header proxy_hide_header",
        Lives("route", 'request = { set = { x-api = "1" } }', "or add, remove; response for answers; " + OTHER_FIELDS)),
    Row("headers", Lives("route", 'request = { set = { x-api = "1" } }', "response for answers"), ("", "listener", "site")),
    Row("stsSeconds strict_transport_security", Lives("site", "hsts = { max_age_s = 31536000 }")),
    Row("hsts", Lives("site", "hsts = { max_age_s = 31536000 }"), ("", "listener", "route")),
    Row("access_control_allow_origin_list access_control_allow_origin", Lives("route", 'cors = { origins = ["https://app.example.com"] }')),
    Row("cors", Lives("route", 'cors = { origins = ["https://app.example.com"] }'), ("", "listener", "site")),
    Row("gzip compression encode brotli zstd compressor gzip_types", Lives("route", 'compress = ["zstd", "br", "gzip"]')),
    Row("compress", Lives("route", 'compress = ["zstd", "br", "gzip"]'), ("", "listener", "site")),
    Row("sub_filter replace_response", Absent(RESPONSES.format("change it"))),
    Row("root file_server try_files index autoindex static files browse php_fastcgi fastcgi_pass uwsgi_pass scgi_pass", Absent("files and programs are served by a server behind the edge: name it in the to of a route")),
    Row("http_request http_response middlewares middleware plugins plugin filters http_filters filter_chains lua lua_load wasm njs js_content", Absent("nothing is plugged into the edge: do it in the service")),
    Row("shadow shadows traffic_mirror request_mirror request_mirror_policies mirroring",
        Lives("route", 'mirror = { to = ["10.0.9.9:8443"], share = 0.1 }')),
    Row("locality locality_lb availability_zone az", Lives("engine", 'zone = "eu-west-1a"', "and zone beside each backend's at")),
    Row("locality availability_zone az", Lives("route", 'to = [{ at = "10.0.0.5:8443", zone = "eu-west-1a" }]'), ("route", "route.to")),
    Row("tracing trace opentelemetry otel otlp otel_exporter otel_trace otel_service_name opentracing zipkin jaeger",
        Lives("traces", 'collector = "otel"', "with a [[collector]] that says how it is reached")),
    Row("sampling sampler sample_rate random_sampling overall_sampling client_sampling", Lives("traces", "ratio = 0.01")),
    Row("udp udp_listener", Absent("only TCP is served")),
    Row("resolver resolvers dns nameserver", Lives("dns", 'servers = ["10.0.0.53"]')),
    Row("includes import providers file_provider conf_d", Lives("", 'include = ["routes/*.toml"]', "it stands in the main file alone")),
    Row("regex path_regex path_regexp header_regexp location_regex", Absent("paths and names are matched by whole segments: write a [[route]] for each")),
)  # fmt: skip
