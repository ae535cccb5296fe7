// Rules that look through a text first find what those find that do not.

package inspect

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/corazawaf/coraza-coreruleset/v4/tests"

	"everyhop.invalid/waf/frame"
)

// slow is the usual policy at the level where all rules are, without looking first; quick the same with it.
var slow, quick = sync.OnceValue(func() *Policy { return strict("Off") }), sync.OnceValue(func() *Policy { return strict("On") })

func strict(first string) *Policy {
	before := looksFirst
	defer func() { looksFirst = before }()
	looksFirst = first
	p := policy()
	p.Paranoia = 4
	made, wrong := Load(p)
	if wrong != nil {
		panic(fmt.Sprint(wrong))
	}
	return made
}

var written = regexp.MustCompile(`(?m)^\s*(?:uri|data): (".*"|'.*')$`)

// attacks are what the rule set's own cases send, in a query or a body.
var attacks = sync.OnceValue(func() []string {
	var found []string
	err := fs.WalkDir(tests.FS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := tests.FS.ReadFile(path)
		for _, it := range written.FindAllStringSubmatch(string(text), -1) {
			value := strings.Trim(it[1], "'")
			if plain, err := strconv.Unquote(it[1]); err == nil {
				value = plain
			}
			_, value, isQuery := strings.Cut(value, "?")
			if plain, err := url.QueryUnescape(value); isQuery && err == nil {
				value = plain
			}
			if value != "" {
				found = append(found, value)
			}
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	return found
})

// same asks both of a text in every place that rules read.
func same(t *testing.T, text string) {
	t.Helper()
	agent := get("/" + url.PathEscape(text))
	agent.Fields[1].Value = text
	places := []*frame.Request{get("/?a=" + url.QueryEscape(text)), agent, post("application/json", `{"a":`+strconv.QuoteToASCII(text)+`}`), post("text/xml", text)}
	for _, name := range []string{"Cookie", "X-Other"} {
		it := get("/")
		it.Fields = append(it.Fields, frame.Field{Name: name, Value: "a=" + text})
		places = append(places, it)
	}
	for n, it := range places {
		if a, b := found(t, slow(), it), found(t, quick(), it); a != b {
			t.Errorf("place %d of %q: %s, and looked through first %s", n, text, a, b)
		}
	}
}

// found is the sum and the rules. Where several values match, which one is told first is the order of a map.
func found(t *testing.T, p *Policy, q *frame.Request) string {
	t.Helper()
	verdict := asked(t, p, q)
	rules := make([]uint32, len(verdict.Rules))
	for n, it := range verdict.Rules {
		rules[n] = it.Rule
	}
	slices.Sort(rules)
	return fmt.Sprint(verdict.Action, verdict.Score, rules)
}

// changed is an attack as somebody would write it who knows what is looked for.
func changed(of *rand.Rand) string {
	all := attacks()
	text := []rune(all[of.IntN(len(all))])
	text = text[:min(len(text), 300)]
	for range of.IntN(4) {
		at := of.IntN(len(text) + 1)
		switch of.IntN(5) {
		case 0: // letters that fold to others, blanks of other kinds, ends of lines
			odd := []rune("\u017f\u212a\u0130\u0131\u00a0\u2028\n\r\x00\x0b/*'\"`\\")
			text = append(text[:at:at], append([]rune{odd[of.IntN(len(odd))]}, text[at:]...)...)
		case 1:
			text = append(text[:at:at], text[min(len(text), at+1+of.IntN(3)):]...)
		case 2:
			text = []rune(strings.ToUpper(string(text)))
		case 3:
			text = append(text[:at:at], []rune(all[of.IntN(len(all))])...)
			text = text[:min(len(text), 300)]
		case 4: // an s or a k by what folds to it
			text = []rune(strings.NewReplacer("s", "\u017f", "k", "\u212a").Replace(string(text)))
		}
	}
	return string(text)
}

func TestLookingFirstFindsTheSameInTheRuleSetsOwnCases(t *testing.T) {
	if all := attacks(); len(all) < 1000 {
		t.Fatal("of the cases", len(all))
	}
	of := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		same(t, attacks()[of.IntN(len(attacks()))])
	}
}

func TestLookingFirstFindsTheSameInWhatWasChanged(t *testing.T) {
	of := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		same(t, changed(of))
	}
}

func FuzzLookingFirst(f *testing.F) {
	for n := range uint64(20) {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { same(t, changed(rand.New(rand.NewPCG(seed, 5)))) })
}
