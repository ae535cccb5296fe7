// Package inspect is the rule engine behind the frames: policies made ready, and requests asked of them.
//
// It reads no file and no socket: rules come with the program or as text. Read next: text.go for rule files of the user's,
// exclude.go for what is taken back, request.go for one request.
package inspect

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental"
	"github.com/corazawaf/coraza/v3/types"

	"everyhop.invalid/waf/frame"
)

// Of the engine's own module, letter by letter (a test compares them): the copy that comes with the rules is of an older
// engine, and lets an injection in argument 1,501 pass.
//
//go:embed rules/coraza.conf-recommended
var own embed.FS

// Policy is one made ready.
type Policy struct {
	waf       coraza.WAF
	blocks    bool
	bodyBytes uint32
	// Rules is how many it has.
	Rules uint32
}

// MostValues is how many arguments a request may have, and how many texts and attributes one of XML.
const MostValues = 1000

// jsonDepth is far more than an interface has, and far less than it takes to exhaust a stack.
const jsonDepth = 32

// Load makes a policy ready, or says what is wrong with it.
func Load(p frame.Policy) (*Policy, *frame.Wrong) {
	wrong := func(it *frame.Wrong) (*Policy, *frame.Wrong) {
		it.Policy = p.Name
		return nil, it
	}
	var written []directive
	for _, file := range p.Extra {
		found, no := read(file)
		if no != nil {
			return wrong(no)
		}
		written = append(written, found...)
	}
	early, late, no := exclusions(p.Exclusions)
	if no != nil {
		return wrong(no)
	}
	waf, has, err := build(p, early, written, late)
	if err != nil {
		return wrong(whichIsWrong(p, written, err))
	}
	for _, it := range p.Exclusions {
		if !has[int(it.Rule)] {
			return wrong(&frame.Wrong{What: fmt.Sprintf("an exclusion takes back rule %d, and there is none", it.Rule)})
		}
	}
	for _, it := range written {
		if id, single := removes(it); single && !has[id] {
			return wrong(&frame.Wrong{File: it.file, Line: it.line, What: fmt.Sprintf("it removes rule %d, and there is none", id)})
		}
	}
	return &Policy{waf: waf, blocks: p.Blocks, bodyBytes: p.BodyBytes, Rules: uint32(len(has))}, nil
}

// build is everything in its order: the engine's settings, what a request may cost, the rules that take others back below a
// path, the rule set's beginning, the user's rules, the rule set, and what changes rules that are there.
func build(p frame.Policy, early string, written []directive, late string) (coraza.WAF, map[int]bool, error) {
	base, err := own.ReadFile("rules/coraza.conf-recommended")
	if err != nil {
		return nil, nil, err
	}
	files, err := fs.Glob(coreruleset.FS, "@owasp_crs/REQUEST-*.conf")
	if err != nil || len(files) == 0 {
		return nil, nil, fmt.Errorf("no rule set within the program: %w", err)
	}
	slices.Sort(files)
	has := map[int]bool{}
	config := coraza.NewWAFConfig().WithRootFS(coreruleset.FS).
		WithDirectives(string(base)).
		WithDirectives(settings(p)).
		WithDirectivesFromFile("@crs-setup.conf.example")
	if early != "" {
		config = config.WithDirectives(early)
	}
	for _, file := range files {
		config = config.WithDirectivesFromFile(file)
		if strings.HasPrefix(path.Base(file), "REQUEST-901-") {
			config = of(config, written, false)
		}
	}
	config = of(config, written, true)
	if late != "" {
		config = config.WithDirectives(late)
	}
	config = experimental.WAFConfigWithRuleObserver(config, func(rule types.RuleMetadata) { has[rule.ID()] = true })
	waf, err := coraza.NewWAF(config)
	return waf, has, err
}

func of(config coraza.WAFConfig, written []directive, after bool) coraza.WAFConfig {
	for _, it := range written {
		if it.after == after {
			config = config.WithDirectives(it.text)
		}
	}
	return config
}

// settings are the engine's, with our own rules. SecRxPreFilter stays off: with it this version of the engine finds less (942220 misses
// 2.2250738585072011e-308 in a query). It always decides as if it blocked: what a policy that only detects says
// that it would do is then what one that blocks does.
func settings(p frame.Policy) string {
	body := int(p.BodyBytes) + 1 // its own limit is reached at that many
	return fmt.Sprintf(`
SecRuleEngine On
SecAuditEngine Off
SecResponseBodyAccess Off
SecRequestBodyLimit %[2]d
SecRequestBodyInMemoryLimit %[2]d
SecArgumentsLimit %[3]d
SecRequestBodyJsonDepthLimit %[4]d
SecAction "id:%[5]d,phase:1,pass,nolog,t:none,setvar:tx.blocking_paranoia_level=%[1]d"
SecRule &REQUEST_COOKIES "@gt %[3]d" "id:%[6]d,phase:1,t:none,log,deny,status:400,severity:2,msg:'More than %[3]d cookies'"
SecRule TX:everyhop_xml_values "@gt %[3]d" "id:%[7]d,phase:2,t:none,log,deny,status:400,severity:2,msg:'More than %[3]d texts and attributes of XML'"
SecRule &ARGS_POST|&FILES "@gt %[3]d" "id:%[9]d,phase:2,t:none,log,deny,status:400,severity:2,msg:'More than %[3]d parts of a form'"
SecRule TX:everyhop_prefix "@eq 1" "id:%[8]d,phase:1,pass,nolog,t:none,chain"
SecRule REQBODY_PROCESSOR "!@streq XML" "t:none,ctl:ruleRemoveById=200002,ctl:ruleRemoveById=200003"
`, p.Paranoia, body, MostValues, jsonDepth, ownRules+1, ownRules+2, ownRules+3, ownRules+4, ownRules+5)
}

// whichIsWrong finds the first directive of the user's with which loading fails: with fewer it does not, with more it does.
func whichIsWrong(p frame.Policy, written []directive, err error) *frame.Wrong {
	ordered := slices.Clone(written)
	sort.SliceStable(ordered, func(a, b int) bool { return !ordered[a].after && ordered[b].after })
	at := sort.Search(len(ordered), func(n int) bool {
		if _, _, with := build(p, "", ordered[:n+1], ""); with != nil {
			err = with
			return true
		}
		return false
	})
	if at == len(ordered) {
		return &frame.Wrong{What: plain(err)}
	}
	return &frame.Wrong{File: ordered[at].file, Line: ordered[at].line, What: plain(err)}
}

// plain is the engine's message without where it believes to have read it.
func plain(err error) string {
	text := err.Error()
	for _, begins := range []string{"invalid WAF config from string: ", "invalid WAF config from file: "} {
		text = strings.TrimPrefix(text, begins)
	}
	return text
}

var oneRule = regexp.MustCompile(`(?i)^secruleremovebyid\s+"?(\d{1,18})"?$`)

// removes says which one rule a directive takes away.
func removes(it directive) (int, bool) {
	found := oneRule.FindStringSubmatch(it.text)
	if found == nil {
		return 0, false
	}
	id, err := strconv.Atoi(found[1])
	return id, err == nil
}
