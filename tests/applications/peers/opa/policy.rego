# What may be asked of a shop. Of the edge's question OPA's own authorization is decided: `input` is that question, and what a
# client asks of the shop stands in its fields.
package system.authz

# Who is refused is told all that was seen, so that a test can tell what was shown.
allow := {"allowed": passes, "reason": json.marshal(input)}

default passes := false

method := input.headers["X-Forwarded-Method"][0]

path := split(trim_prefix(split(input.headers["X-Forwarded-Uri"][0], "?")[0], "/"), "/")

asked if {
	input.method == "GET"
	input.path == ["health"]
	from_edge
}

# Where TLS proves who asks, it is the edge or nobody.
from_edge if not data.shop.mutual

from_edge if input.identity == "CN=edge.internal"

passes if {
	asked
	method in {"GET", "HEAD"}
	path[0] == "goods"
	not withdrawn
}

withdrawn if path[1] in data.shop.withdrawn

passes if {
	asked
	method == "POST"
	path[0] == "orders"
	input.headers["X-Team"] == ["sales"]
}

# By the certificate that the edge says a client has proved.
passes if {
	asked
	path[0] == "accounts"
	some certificate in crypto.x509.parse_certificates(trim(input.headers["Client-Cert"][0], ":"))
	path[1] in certificate.DNSNames
}

# OPA's own interface is for one who proves another name.
passes if {
	input.path[0] == "v1"
	input.identity == "CN=other.internal"
}
