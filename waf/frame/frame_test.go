// Frames are read as they were written, however they arrive, and whatever else is none.

package frame

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"testing"
	"testing/iotest"
)

func policies() []Policy {
	return []Policy{{
		Name: "shop", Paranoia: 2, Blocks: true, BodyBytes: 128 << 10,
		Extra:      []RuleFile{{"own.conf", "SecAction \"id:1,phase:1,pass\"\n"}},
		Exclusions: []Exclusion{{942100, "/search", "q"}, {920350, "", ""}},
	}, {Name: "all", Paranoia: 1}}
}

func request() *Request {
	return &Request{
		ID: 7, Policy: 1, Method: "POST", Target: "/a?b=c", Version: 11, Host: "a.test",
		Client: netip.MustParseAddrPort("192.0.2.1:4711"), Fields: []Field{{"Host", "a.test"}, {"X", "\xff"}},
		Body: []byte("a=b"), Whole: true,
	}
}

func payload(t *testing.T, frame []byte) []byte {
	t.Helper()
	_, payload, err := Read(bytes.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestWhatIsWrittenIsReadAsItWas(t *testing.T) {
	read, err := ReadPolicies(payload(t, PoliciesFrame(policies())))
	if err != nil || !reflect.DeepEqual(read, policies()) {
		t.Fatalf("%v\n%+v", err, read)
	}
	asked, err := ReadRequest(payload(t, request().Frame()))
	if err != nil || !reflect.DeepEqual(asked, request()) {
		t.Fatalf("%v\n%+v", err, asked)
	}
	verdict := Verdict{3, Deny, 403, 5, []Match{{942100, 2, 2, "an injection", "ARGS:q"}}}
	answered, err := ReadVerdict(payload(t, verdict.Frame()))
	if err != nil || !reflect.DeepEqual(*answered, verdict) {
		t.Fatalf("%v\n%+v", err, answered)
	}
	wrong := []Wrong{{"shop", "own.conf", 3, "no such operator"}}
	if read, err := ReadRefused(payload(t, Refused(wrong))); err != nil || !reflect.DeepEqual(read, wrong) {
		t.Fatalf("%v\n%+v", err, read)
	}
	if id, why, err := ReadFailed(payload(t, Failed(9, Overloaded))); id != 9 || why != Overloaded || err != nil {
		t.Fatal(id, why, err)
	}
}

func TestAFrameIsReadTheSameHoweverItsBytesArrive(t *testing.T) {
	whole := append(PoliciesFrame(policies()), request().Frame()...)
	for cut := range len(whole) + 1 {
		from := io.MultiReader(bytes.NewReader(whole[:cut]), bytes.NewReader(whole[cut:]))
		first, _, err := Read(from)
		second, _, err2 := Read(from)
		if first != KindPolicies || second != KindRequest || err != nil || err2 != nil {
			t.Fatalf("cut at %d: %v %v %v %v", cut, first, second, err, err2)
		}
	}
	if kind, _, err := Read(iotest.OneByteReader(bytes.NewReader(whole))); kind != KindPolicies || err != nil {
		t.Fatal(kind, err)
	}
}

func TestAFrameThatEndsAnywhereIsBrokenAndBetweenTwoItIsTheEnd(t *testing.T) {
	whole := request().Frame()
	for cut := range whole {
		_, _, err := Read(bytes.NewReader(whole[:cut]))
		if cut == 0 && err != io.EOF || cut > 0 && !errors.Is(err, ErrBroken) {
			t.Fatalf("ends after %d: %v", cut, err)
		}
	}
}

func TestAPayloadThatIsCutOrHasABytesTooManyIsRefusedAtEveryLength(t *testing.T) {
	for name, it := range map[string]struct {
		payload []byte
		read    func([]byte) error
	}{
		"policies": {payload(t, PoliciesFrame(policies())), func(b []byte) error { _, err := ReadPolicies(b); return err }},
		"request":  {payload(t, request().Frame()), func(b []byte) error { _, err := ReadRequest(b); return err }},
	} {
		if err := it.read(it.payload); err != nil {
			t.Fatal(name, err)
		}
		for cut := range it.payload {
			if err := it.read(it.payload[:cut]); !errors.Is(err, ErrBroken) {
				t.Fatalf("%s cut at %d: %v", name, cut, err)
			}
		}
		if err := it.read(append(bytes.Clone(it.payload), 0)); !errors.Is(err, ErrBroken) {
			t.Fatalf("%s with one byte more: %v", name, err)
		}
	}
}

func TestWhatMayNotBeSaidIsRefused(t *testing.T) {
	change := func(with func(*Request)) []byte { q := request(); with(q); return q.Frame() }
	for name, frame := range map[string][]byte{
		"a version of HTTP that is none": change(func(q *Request) { q.Version = 12 }),
		"no method":                      change(func(q *Request) { q.Method = "" }),
		"no target":                      change(func(q *Request) { q.Target = "" }),
	} {
		if _, err := ReadRequest(payload(t, frame)); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, with := range map[string]func(*Policy){
		"no name":             func(p *Policy) { p.Name = "" },
		"paranoia 0":          func(p *Policy) { p.Paranoia = 0 },
		"paranoia 5":          func(p *Policy) { p.Paranoia = 5 },
		"too much of bodies":  func(p *Policy) { p.BodyBytes = MaxBody + 1 },
		"a path without root": func(p *Policy) { p.Exclusions = []Exclusion{{1, "search", ""}} },
	} {
		list := policies()
		with(&list[0])
		if _, err := ReadPolicies(payload(t, PoliciesFrame(list))); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadPolicies(payload(t, PoliciesFrame(nil))); !errors.Is(err, ErrBroken) {
		t.Error("no policy at all:", err)
	}
	other := payload(t, PoliciesFrame(policies()))
	other[0] = Version + 1
	if _, err := ReadPolicies(other); !errors.Is(err, ErrBroken) {
		t.Error("another version:", err)
	}
}

func TestALengthBeyondItsBoundTakesNoMemory(t *testing.T) {
	for name, head := range map[string][]byte{
		"of a request":  {0xff, 0xff, 0xff, 0xff, byte(KindRequest)},
		"of no kind":    {0, 0, 0, 1, 99},
		"of nothing":    {0, 0, 0, 0, byte(KindRequest)},
		"of a kind < 1": {0, 0, 0, 1, 0},
	} {
		took := testing.AllocsPerRun(1, func() {
			if _, _, err := Read(bytes.NewReader(head)); !errors.Is(err, ErrBroken) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if took > 20 {
			t.Errorf("%s: %v allocations", name, took)
		}
	}
	// A list that says it has 65,535 entries, in a payload of a few bytes.
	if _, err := ReadPolicies([]byte{Version, 0xff, 0xff}); !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
}

// What is read at all is written again as the same bytes: there is one way to say a thing.
func FuzzRequest(f *testing.F) {
	_, seed, _ := Read(bytes.NewReader(request().Frame()))
	f.Add(seed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := ReadRequest(data)
		if err != nil {
			return
		}
		if _, again, err := Read(bytes.NewReader(q.Frame())); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%v\n%x\n%x", err, data, again)
		}
	})
}

func FuzzPolicies(f *testing.F) {
	_, seed, _ := Read(bytes.NewReader(PoliciesFrame(policies())))
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := ReadPolicies(data)
		if err != nil {
			return
		}
		if _, again, err := Read(bytes.NewReader(PoliciesFrame(read))); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%v\n%x\n%x", err, data, again)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add(append(PoliciesFrame(policies()), request().Frame()...), uint16(9))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		at := min(int(cut), len(data))
		whole, pieces := bytes.NewReader(data), io.MultiReader(bytes.NewReader(data[:at]), bytes.NewReader(data[at:]))
		for {
			kind, payload, err := Read(whole)
			other, same, err2 := Read(pieces)
			if kind != other || !bytes.Equal(payload, same) || (err == nil) != (err2 == nil) {
				t.Fatalf("%v %v, %v %v", kind, err, other, err2)
			}
			if err != nil {
				return
			}
		}
	})
}
