// A request, as far as rules are asked about it.

package frame

import "net/netip"

// Request is one request to inspect. Its slices are of the frame's memory.
type Request struct {
	ID     uint64
	Policy uint16
	Method string
	// Target is as it was received.
	Target  string
	Version HTTPVersion
	Host    string
	Client  netip.AddrPort
	Fields  []Field
	// Body is the whole of it, or what it begins with.
	Body  []byte
	Whole bool
}

// Field is one of a request's head, as it came.
type Field struct{ Name, Value string }

// HTTPVersion is ten times the version: 10, 11, 20, 30.
type HTTPVersion uint8

func (v HTTPVersion) String() string {
	switch v {
	case 10:
		return "HTTP/1.0"
	case 11:
		return "HTTP/1.1"
	case 20:
		return "HTTP/2.0"
	case 30:
		return "HTTP/3.0"
	}
	return ""
}

// What a request's head may come to. The edge's own limits are lower.
const (
	MostFields = 1000
	MostTarget = 256 << 10
	MostValue  = 256 << 10
)

// ReadRequest reads a request's payload.
func ReadRequest(payload []byte) (*Request, error) {
	r := reader{left: payload}
	q := &Request{
		ID:      r.u64("the id"),
		Policy:  r.u16("the policy"),
		Method:  r.short("the method", MostName),
		Target:  string(r.long("the target", MostTarget)),
		Version: HTTPVersion(r.u8("the version")),
		Host:    r.short("the host", MostPath),
	}
	switch kind := r.u8("the client's kind"); kind {
	case 4:
		if b := r.take(4, "the client"); b != nil {
			q.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), r.u16("the client's port"))
		}
	case 6:
		if b := r.take(16, "the client"); b != nil {
			q.Client = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)), r.u16("the client's port"))
		}
	default:
		r.fail("client of kind %d", kind)
	}
	if fields := r.list("the fields", MostFields, 6); fields > 0 {
		q.Fields = make([]Field, 0, fields)
		for range fields {
			q.Fields = append(q.Fields, Field{r.short("a field's name", 64<<10), string(r.long("a field's value", MostValue))})
		}
	}
	q.Whole = r.flag("whether the body is whole")
	q.Body = r.long("the body", MaxBody)
	switch {
	case r.err != nil:
	case q.Version.String() == "":
		r.fail("HTTP of version %d", q.Version)
	case q.Method == "" || q.Target == "":
		r.fail("a request without method or target")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return q, nil
}
