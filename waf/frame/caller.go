// The caller's side of the frames: what the tests, the fuzzers and the measurement ask with. The product's own callers are
// not in Go.

package frame

import "encoding/binary"

// PoliciesFrame is the first frame.
func PoliciesFrame(policies []Policy) []byte {
	var w writer
	w.u8(Version)
	w.u16(uint16(len(policies)))
	for _, p := range policies {
		w.short(p.Name, MostName)
		w.u8(p.Paranoia)
		w.flag(p.Blocks)
		w.u32(p.BodyBytes)
		w.u16(uint16(len(p.Extra)))
		for _, file := range p.Extra {
			w.short(file.Name, MostName)
			w.long([]byte(file.Text))
		}
		w.u16(uint16(len(p.Exclusions)))
		for _, it := range p.Exclusions {
			w.u32(it.Rule)
			w.short(it.Path, MostPath)
			w.short(it.Argument, MostArgument)
		}
	}
	return Of(KindPolicies, w.made)
}

// Frame is a request's bytes.
func (q *Request) Frame() []byte {
	var w writer
	w.u64(q.ID)
	w.u16(q.Policy)
	w.short(q.Method, MostName)
	w.long([]byte(q.Target))
	w.u8(uint8(q.Version))
	w.short(q.Host, MostPath)
	if addr := q.Client.Addr(); addr.Is4() {
		w.u8(4)
		w.made = append(w.made, addr.AsSlice()...)
	} else {
		w.u8(6)
		b := addr.As16()
		w.made = append(w.made, b[:]...)
	}
	w.u16(q.Client.Port())
	w.u16(uint16(len(q.Fields)))
	for _, field := range q.Fields {
		w.short(field.Name, 64<<10-1)
		w.long([]byte(field.Value))
	}
	w.flag(q.Whole)
	w.long(q.Body)
	return Of(KindRequest, w.made)
}

// ReadVerdict reads a verdict's payload.
func ReadVerdict(payload []byte) (*Verdict, error) {
	r := reader{left: payload}
	it := &Verdict{ID: r.u64("the id"), Action: Action(r.u8("the action")), Status: r.u16("the status"), Score: r.u32("the score")}
	for range r.list("the rules", MostMatches, 10) {
		it.Rules = append(it.Rules, Match{
			r.u32("a rule"), r.u8("its severity"), r.u8("its phase"), r.short("its message", 300), r.short("its variable", 200),
		})
	}
	if it.Action > WouldDeny {
		r.fail("action %d", it.Action)
	}
	return it, r.end()
}

// ReadFailed reads why there is no verdict.
func ReadFailed(payload []byte) (id uint64, why Reason, err error) {
	r := reader{left: payload}
	id, why = r.u64("the id"), Reason(r.u8("the reason"))
	return id, why, r.end()
}

// ReadRefused reads what is wrong.
func ReadRefused(payload []byte) ([]Wrong, error) {
	r := reader{left: payload}
	r.u8("the version")
	var wrong []Wrong
	for range r.list("what is wrong", MostWrong, 10) {
		wrong = append(wrong, Wrong{r.short("a policy", MostName), r.short("a file", MostName), r.u32("a line"), r.short("what", 2000)})
	}
	return wrong, r.end()
}

func (w *writer) flag(is bool) {
	if is {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

func (w *writer) long(text []byte) {
	w.made = binary.BigEndian.AppendUint32(w.made, uint32(len(text)))
	w.made = append(w.made, text...)
}
