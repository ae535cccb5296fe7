// What is said of a request: a verdict, or why there is none.

package frame

// Action is what a verdict says.
type Action uint8

const (
	// Allow lets it pass.
	Allow Action = 0
	// Deny refuses it, with a status.
	Deny Action = 1
	// WouldDeny lets it pass under a policy that only detects, and says that one which blocks would refuse it.
	WouldDeny Action = 2
)

// Verdict is what became of one request.
type Verdict struct {
	ID     uint64
	Action Action
	// Status is 0 where nothing is denied.
	Status uint16
	Score  uint32
	Rules  []Match
}

// Match is one rule that matched. It says where, never what: a value may be a password.
type Match struct {
	Rule uint32
	// Severity is that of syslog, 0 to 7; 255 where the rule names none.
	Severity uint8
	Phase    uint8
	Message  string
	// On is the variable, such as ARGS:q.
	On string
}

// NoSeverity is of a rule that names none.
const NoSeverity = 255

// MostMatches is how many rules are told; they all count.
const MostMatches = 200

// Frame is its bytes.
func (it Verdict) Frame() []byte {
	var w writer
	w.u64(it.ID)
	w.u8(uint8(it.Action))
	w.u16(it.Status)
	w.u32(it.Score)
	rules := it.Rules[:min(len(it.Rules), MostMatches)]
	w.u16(uint16(len(rules)))
	for _, rule := range rules {
		w.u32(rule.Rule)
		w.u8(rule.Severity)
		w.u8(rule.Phase)
		w.short(rule.Message, 300)
		w.short(rule.On, 200)
	}
	return Of(KindVerdict, w.made)
}

// Reason is why there is no verdict.
type Reason uint8

const (
	// NoPolicy is of a number that no policy has.
	NoPolicy Reason = 1
	// BodyTooLong is of more bytes than the policy inspects.
	BodyTooLong Reason = 2
	// Overloaded says that too many wait already.
	Overloaded Reason = 3
	// Internal is an error in a rule or in the engine.
	Internal Reason = 4
)

// Failed is the frame of a request without a verdict.
func Failed(id uint64, why Reason) []byte {
	var w writer
	w.u64(id)
	w.u8(uint8(why))
	return Of(KindFailed, w.made)
}
