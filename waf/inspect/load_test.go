// Rule files and exclusions: what is loaded works, and what is wrong is told with its place.

package inspect

import (
	"strings"
	"testing"

	"everyhop.invalid/waf/frame"
)

func file(text string) func(*frame.Policy) {
	return func(p *frame.Policy) {
		p.Extra = []frame.RuleFile{{Name: "first.conf", Text: "# nothing\nSecAction \"id:100,phase:1,pass,nolog\"\n"}, {Name: "own.conf", Text: text}}
	}
}

func TestARuleOfTheUsersIsAskedAndScoresBesideTheOthers(t *testing.T) {
	p := loaded(t, file(`
# who asks for this has no business here
SecRule REQUEST_URI "@beginsWith /old" \
    "id:101,phase:1,t:none,log,deny,status:410,severity:4,msg:'gone'"
SecRule ARGS:q "@streq five" "id:102,phase:1,pass,log,msg:'scores',setvar:tx.inbound_anomaly_score_pl1=+5"
SecRuleRemoveById 920350
SecRuleUpdateTargetById 942100 "!ARGS:sql"
`))
	if v := asked(t, p, get("/old/page")); v.Action != frame.Deny || v.Status != 410 || !has(v, 101) || v.Rules[0].Severity != 4 {
		t.Errorf("%+v", v)
	}
	if v := asked(t, p, get("/?q=five")); v.Action != frame.Deny || v.Score != 5 || !has(v, 102) {
		t.Errorf("%+v", v)
	}
	numeric := get("/")
	numeric.Host, numeric.Fields[0].Value = "192.0.2.7", "192.0.2.7"
	if v := asked(t, p, numeric); has(v, 920350) || !has(asked(t, usual(), numeric), 920350) {
		t.Errorf("%+v", v)
	}
	if v := asked(t, p, get(strings.Replace(inQuery, "q=", "sql=", 1))); has(v, 942100) {
		t.Errorf("%+v", v)
	}
}

func TestARuleFileThatIsWrongIsToldWithFileAndLineOfTheRule(t *testing.T) {
	for name, it := range map[string]struct {
		text string
		line uint32
		says string
	}{
		"an operator that is none":     {"\n\nSecRule ARGS \"@nosuch x\" \"id:1,phase:1\"\n", 3, "nosuch"},
		"a pattern that is none":       {"SecAction \"id:1,phase:1\"\n# x\nSecRule ARGS \\\n \"@rx (\" \\\n \"id:2,phase:1\"\n", 3, "missing closing"},
		"a rule without a number":      {"SecRule ARGS \"x\" \"phase:1\"", 1, "number"},
		"a number twice":               {"SecAction \"id:7,phase:1\"\nSecAction \"id:7,phase:1\"\n", 2, "7"},
		"a number of the set's":        {"SecAction \"id:942100,phase:1,pass\"\n", 1, "942100"},
		"a number of ours":             {"SecAction \"id:99000001,phase:1,pass\"\n", 1, "own"},
		"a variable that is none":      {"SecRule NOSUCH \"x\" \"id:1,phase:1\"\n", 1, "variable"},
		"a directive that is none":     {"\nSecNothing On\n", 2, "SecNothing"},
		"a directive of ours":          {"SecRuleEngine Off\n", 1, "SecRuleEngine"},
		"a file included":              {"Include /etc/passwd\n", 1, "Include"},
		"a file of phrases":            {"SecRule ARGS \"@pmFromFile /etc/passwd\" \"id:1,phase:1\"\n", 1, "@pmfromfile"},
		"a name asked of the network":  {"SecRule REMOTE_ADDR \"@rbl sbl.example\" \"id:1,phase:1\"\n", 1, "@rbl"},
		"a program started":            {"SecRule ARGS \"x\" \"id:1,phase:1,exec:/bin/sh\"\n", 1, "exec"},
		"an inspecting program":        {"SecRule ARGS \"@inspectFile /bin/x\" \"id:1,phase:1\"\n", 1, "@inspectfile"},
		"a chain without an end":       {"\nSecRule ARGS \"x\" \"id:1,phase:2,deny,chain\"\n", 2, "chain"},
		"a marker within a chain":      {"SecRule ARGS \"x\" \"id:1,phase:2,deny,chain\"\nSecMarker A\n", 2, "chain"},
		"a line that goes on nowhere":  {"\nSecAction \"id:1,phase:1\" \\\n", 2, "backslash"},
		"backticks without an end":     {"SecDataset a `\nb\n", 1, "backticks"},
		"a line longer than is read":   {"# " + strings.Repeat("x", 64<<10) + "\nSecAction \"id:1,phase:1\"\n", 1, "bytes"},
		"a removal of no rule":         {"SecRuleRemoveById 424242\n", 1, "424242"},
		"a target of no rule":          {"SecAction \"id:1,phase:1\"\nSecRuleUpdateTargetById 424242 \"!ARGS:a\"\n", 2, "424242"},
		"a set of words that is none":  {"SecRule ARGS \"@pmFromDataset none\" \"id:1,phase:1\"\n", 1, "none"},
		"the second of a chain":        {"SecRule ARGS \"x\" \"id:1,phase:2,deny,chain\"\nSecRule ARGS \"@nosuch\" \"t:none\"\n", 1, "nosuch"},
		"an error before a good chain": {"SecRule ARGS \"@nosuch x\" \"id:1,phase:1\"\nSecRule ARGS \"x\" \"id:3,phase:2,deny,chain\"\nSecRule ARGS \"y\"\n", 1, "nosuch"},
	} {
		p := policy()
		file(it.text)(&p)
		_, wrong := Load(p)
		if wrong == nil {
			t.Errorf("%s: it is taken", name)
		} else if wrong.File != "own.conf" || wrong.Line != it.line || !strings.Contains(wrong.What, it.says) {
			t.Errorf("%s: %+v", name, wrong)
		}
	}
}

func TestAnExclusionOfARuleThatDoesNotExistIsAnError(t *testing.T) {
	for _, it := range []frame.Exclusion{{Rule: 424242}, {Rule: 424242, Path: "/a"}, {Rule: 424242, Argument: "q"}, {Rule: 424242, Path: "/a", Argument: "q"}} {
		if wrong := refused(t, func(p *frame.Policy) { p.Exclusions = []frame.Exclusion{it} }); !strings.Contains(wrong.What, "424242") {
			t.Errorf("%+v: %+v", it, wrong)
		}
	}
	odd := frame.Exclusion{Rule: 942100, Argument: `q",deny`}
	if wrong := refused(t, func(p *frame.Policy) { p.Exclusions = []frame.Exclusion{odd} }); !strings.Contains(wrong.What, "argument") {
		t.Errorf("%+v", wrong)
	}
}

func TestAnExclusionOfAPathThatNoRequestHasIsAnError(t *testing.T) {
	for _, path := range []string{"/search?q=1", "/a#b", "/a%20b", "/a/../b", "/a/./b", "/a//b", "//a", "/.."} {
		it := frame.Exclusion{Rule: 942100, Path: path}
		if wrong := refused(t, func(p *frame.Policy) { p.Exclusions = []frame.Exclusion{it} }); !strings.Contains(wrong.What, path) {
			t.Errorf("%s: %+v", path, wrong)
		}
	}
	for _, path := range []string{"/", "/a", "/a/", "/a b/c.d", "/\u00fc"} {
		it := frame.Exclusion{Rule: 942100, Path: path}
		loaded(t, func(p *frame.Policy) { p.Exclusions = []frame.Exclusion{it} })
	}
}

func TestAnExclusionTakesBackItsRuleThereAndNowhereElse(t *testing.T) {
	at := func(path, argument string) *frame.Request {
		return get(path + strings.Replace(inQuery[1:], "q=", argument+"=", 1))
	}
	for name, it := range map[string]struct {
		exclude frame.Exclusion
		without []*frame.Request
		with    []*frame.Request
	}{
		"everywhere": {frame.Exclusion{Rule: 942100}, []*frame.Request{at("/", "q"), at("/search", "x")}, nil},
		"an argument": {
			frame.Exclusion{Rule: 942100, Argument: "q"},
			[]*frame.Request{at("/", "q"), at("/search", "q")},
			[]*frame.Request{at("/", "x")},
		},
		"a path": {
			frame.Exclusion{Rule: 942100, Path: "/search"},
			[]*frame.Request{at("/search", "q"), at("/search/deep", "x"), at("/sear%63h", "q"), at("/a/../search", "q")},
			[]*frame.Request{at("/", "q"), at("/searching", "q"), at("/search/../login", "q"), at("/search/%2e%2e/login", "q"), at("/x/search", "q")},
		},
		"a path and an argument": {
			frame.Exclusion{Rule: 942100, Path: "/search.php", Argument: "q"},
			[]*frame.Request{at("/search.php", "q")},
			[]*frame.Request{at("/search.php", "x"), at("/searchXphp", "q"), at("/", "q")},
		},
		"every path": {frame.Exclusion{Rule: 942100, Path: "/"}, []*frame.Request{at("/", "q"), at("/a/b", "q")}, nil},
	} {
		p := loaded(t, func(p *frame.Policy) { p.Exclusions = []frame.Exclusion{it.exclude} })
		for _, q := range it.without {
			if has(asked(t, p, q), 942100) {
				t.Errorf("%s: %s is matched", name, q.Target)
			}
		}
		for _, q := range it.with {
			if !has(asked(t, p, q), 942100) {
				t.Errorf("%s: %s is not matched", name, q.Target)
			}
		}
	}
}

func TestEveryPolicyThatIsWrongIsTold(t *testing.T) {
	one, two := policy(), policy()
	one.Name, one.Exclusions = "one", []frame.Exclusion{{Rule: 1}}
	two.Name = "two"
	file("SecNothing\n")(&two)
	policies, _, wrong := LoadAll([]frame.Policy{one, policy(), two})
	if len(policies) != 1 || len(wrong) != 2 || wrong[0].Policy != "one" || wrong[1].Policy != "two" || wrong[1].Line != 1 {
		t.Errorf("%+v", wrong)
	}
}
