// Policies, which come first, and the word whether their rules are good.

package frame

import "strings"

// Policy is what requests are inspected by.
type Policy struct {
	Name     string
	Paranoia uint8
	// Blocks says whether a denial is meant: otherwise it is only told.
	Blocks     bool
	BodyBytes  uint32
	Extra      []RuleFile
	Exclusions []Exclusion
}

// RuleFile is a file of rules of the user's own, as text.
type RuleFile struct {
	Name string
	Text string
}

// Exclusion takes one rule back: everywhere, below a path, for one argument, or both.
type Exclusion struct {
	Rule uint32
	// Path is empty for all paths, Argument for the whole rule.
	Path     string
	Argument string
}

// What a policy may come to.
const (
	MostPolicies   = 64
	MostFiles      = 64
	MostFileBytes  = 1 << 20
	MostExclusions = 1000
	MostName       = 200
	MostPath       = 1000
	MostArgument   = 200
)

// ReadPolicies reads the first frame's payload.
func ReadPolicies(payload []byte) ([]Policy, error) {
	r := reader{left: payload}
	if version := r.u8("the version"); r.err == nil && version != Version {
		r.fail("it is of version %d, and this program speaks %d", version, Version)
	}
	policies := make([]Policy, 0, r.list("the list of policies", MostPolicies, 12))
	for range cap(policies) {
		policies = append(policies, r.policy())
	}
	if r.err == nil && len(policies) == 0 {
		r.fail("there is no policy")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return policies, nil
}

func (r *reader) policy() Policy {
	p := Policy{Name: r.short("a policy's name", MostName), Paranoia: r.u8("paranoia"), Blocks: r.flag("the mode")}
	p.BodyBytes = r.u32("body_bytes")
	for range r.list("the rule files", MostFiles, 6) {
		p.Extra = append(p.Extra, RuleFile{r.short("a file's name", MostName), string(r.long("a rule file", MostFileBytes))})
	}
	for range r.list("the exclusions", MostExclusions, 8) {
		it := Exclusion{r.u32("a rule"), r.short("a path", MostPath), r.short("an argument", MostArgument)}
		if it.Path != "" && !strings.HasPrefix(it.Path, "/") {
			r.fail("an exclusion's path begins with no slash")
		}
		p.Exclusions = append(p.Exclusions, it)
	}
	switch {
	case r.err != nil:
	case p.Name == "":
		r.fail("a policy has no name")
	case p.Paranoia < 1 || p.Paranoia > 4:
		r.fail("paranoia %d is none", p.Paranoia)
	case p.BodyBytes > MaxBody:
		r.fail("body_bytes %d is more than %d", p.BodyBytes, MaxBody)
	}
	return p
}

// Ready is what was loaded.
type Ready struct {
	Engine string
	Rules  string
	// Counts are the rules of each policy.
	Counts []uint32
}

// Frame is its bytes.
func (it Ready) Frame() []byte {
	var w writer
	w.u8(Version)
	w.short(it.Engine, MostName)
	w.short(it.Rules, MostName)
	w.u16(uint16(len(it.Counts)))
	for _, count := range it.Counts {
		w.u32(count)
	}
	return Of(KindReady, w.made)
}

// Wrong is one thing that is wrong with a policy; File and Line are empty where it is not in a file.
type Wrong struct {
	Policy string
	File   string
	Line   uint32
	What   string
}

// MostWrong is how many are told.
const MostWrong = 50

// Refused is the frame of what is wrong.
func Refused(wrong []Wrong) []byte {
	var w writer
	wrong = wrong[:min(len(wrong), MostWrong)]
	w.u8(Version)
	w.u16(uint16(len(wrong)))
	for _, it := range wrong {
		w.short(it.Policy, MostName)
		w.short(it.File, MostName)
		w.u32(it.Line)
		w.short(it.What, 2000)
	}
	return Of(KindRefused, w.made)
}
