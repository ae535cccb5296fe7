// Package frame is what is said over the socket: frames of a length, a kind and a payload, which name no engine.
//
// A frame is four bytes of length (of all that follows them), one byte of kind, and the payload; numbers are big-endian.
// A text is a length and its bytes: of two bytes where it is short, of four where it may be long; a list is its number of
// entries in two bytes. Everything is bounded, nothing is optional, and a payload that is too short, too long or says what
// it may not is refused as a whole: both sides are ours, so it is a bug and no weather.
//
// It never looks at a socket, a rule or a clock. Read next: policies.go, request.go, verdict.go.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kind is what a frame is.
type Kind uint8

const (
	// KindPolicies comes first, once: what is to be inspected by.
	KindPolicies Kind = 1
	// KindReady answers it: the rules are loaded, the process is closed, requests may come.
	KindReady Kind = 2
	// KindRefused answers it otherwise: the rules are wrong, and where.
	KindRefused Kind = 3
	// KindRequest asks about one request.
	KindRequest Kind = 4
	// KindVerdict answers it.
	KindVerdict Kind = 5
	// KindFailed answers it otherwise: there is no verdict.
	KindFailed Kind = 6
)

// Version of all of this; both sides must have the same.
const Version = 1

// What frames may come to. A request's fields and body are the rest of its bound.
const (
	MaxPolicies = 16 << 20
	MaxRequest  = MaxBody + 1<<20
	MaxBody     = 4 << 20
	MaxAnswer   = 1 << 20
)

// ErrBroken is what every error about a frame's form is.
var ErrBroken = errors.New("the frame is broken")

func broken(format string, what ...any) error {
	return fmt.Errorf("%w: %s", ErrBroken, fmt.Sprintf(format, what...))
}

func (k Kind) bound() uint32 {
	switch k {
	case KindPolicies:
		return MaxPolicies
	case KindRequest:
		return MaxRequest
	case KindReady, KindRefused, KindVerdict, KindFailed:
		return MaxAnswer
	}
	return 0
}

// Read takes one whole frame. io.EOF means that the other side ended between two frames; within one it is broken. No
// memory is taken for a length before it was found to be allowed.
func Read(from io.Reader) (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, broken("it ends in its head")
		}
		return 0, nil, err
	}
	length, kind := binary.BigEndian.Uint32(head[:4]), Kind(head[4])
	if bound := kind.bound(); bound == 0 {
		return 0, nil, broken("kind %d is none", kind)
	} else if length < 1 || length-1 > bound {
		return 0, nil, broken("%d bytes are no length for kind %d", length, kind)
	}
	payload := make([]byte, length-1)
	if _, err := io.ReadFull(from, payload); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, broken("it ends before its length")
		}
		return 0, nil, err
	}
	return kind, payload, nil
}

// Of makes a frame's bytes.
func Of(kind Kind, payload []byte) []byte {
	made := make([]byte, 0, 5+len(payload))
	made = binary.BigEndian.AppendUint32(made, uint32(1+len(payload)))
	return append(append(made, byte(kind)), payload...)
}

// reader takes a payload apart. After the first thing that is wrong, everything it gives is empty and err says what it was.
type reader struct {
	left []byte
	err  error
}

func (r *reader) fail(format string, what ...any) {
	if r.err == nil {
		r.err = broken(format, what...)
	}
	r.left = nil
}

func (r *reader) take(n int, of string) []byte {
	if r.err != nil || n > len(r.left) {
		r.fail("%s ends early", of)
		return nil
	}
	taken := r.left[:n:n]
	r.left = r.left[n:]
	return taken
}

func (r *reader) u8(of string) uint8 {
	if b := r.take(1, of); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16(of string) uint16 {
	if b := r.take(2, of); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32(of string) uint32 {
	if b := r.take(4, of); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64(of string) uint64 {
	if b := r.take(8, of); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) flag(of string) bool {
	switch r.u8(of) {
	case 0:
		return false
	case 1:
		return true
	}
	r.fail("%s is neither 0 nor 1", of)
	return false
}

func (r *reader) short(of string, most int) string {
	n := int(r.u16(of))
	if n > most {
		r.fail("%s has %d bytes, which is more than %d", of, n, most)
		return ""
	}
	return string(r.take(n, of))
}

func (r *reader) long(of string, most int) []byte {
	n := r.u32(of)
	if uint64(n) > uint64(most) {
		r.fail("%s has %d bytes, which is more than %d", of, n, most)
		return nil
	}
	return r.take(int(n), of)
}

// list says how many entries follow; each takes at least `least` bytes, so that a number alone takes no memory.
func (r *reader) list(of string, most, least int) int {
	n := int(r.u16(of))
	if n > most || n*least > len(r.left) {
		r.fail("%s has %d entries, which is too many", of, n)
		return 0
	}
	return n
}

func (r *reader) end() error {
	if r.err == nil && len(r.left) != 0 {
		r.fail("%d bytes are left over", len(r.left))
	}
	return r.err
}

// writer puts a payload together; what is too long for its length is cut, since only messages for people are of no set length.
type writer struct{ made []byte }

func (w *writer) u8(n uint8)   { w.made = append(w.made, n) }
func (w *writer) u16(n uint16) { w.made = binary.BigEndian.AppendUint16(w.made, n) }
func (w *writer) u32(n uint32) { w.made = binary.BigEndian.AppendUint32(w.made, n) }
func (w *writer) u64(n uint64) { w.made = binary.BigEndian.AppendUint64(w.made, n) }

func (w *writer) short(text string, most int) {
	if len(text) > most {
		text = text[:most]
	}
	w.u16(uint16(len(text)))
	w.made = append(w.made, text...)
}
