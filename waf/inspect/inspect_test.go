// What is asked of rules, and what they say, by requests of each kind.

package inspect

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"everyhop.invalid/waf/frame"
)

func policy() frame.Policy {
	return frame.Policy{Name: "crs", Paranoia: 1, Blocks: true, BodyBytes: 128 << 10}
}

var usual = sync.OnceValue(func() *Policy {
	made, wrong := Load(policy())
	if wrong != nil {
		panic(fmt.Sprint(wrong))
	}
	return made
})

func loaded(t *testing.T, with func(*frame.Policy)) *Policy {
	t.Helper()
	p := policy()
	with(&p)
	made, wrong := Load(p)
	if wrong != nil {
		t.Fatalf("%+v", wrong)
	}
	return made
}

func refused(t *testing.T, with func(*frame.Policy)) frame.Wrong {
	t.Helper()
	p := policy()
	with(&p)
	_, wrong := Load(p)
	if wrong == nil {
		t.Fatal("it is taken")
	}
	if wrong.Policy != p.Name {
		t.Errorf("of policy %q", wrong.Policy)
	}
	return *wrong
}

func get(target string) *frame.Request {
	return &frame.Request{
		ID: 1, Method: "GET", Target: target, Version: 11, Host: "shop.test", Whole: true,
		Client: netip.MustParseAddrPort("192.0.2.1:4711"),
		Fields: []frame.Field{{Name: "Host", Value: "shop.test"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"}},
	}
}

func post(kind, body string) *frame.Request {
	q := get("/post")
	q.Method, q.Body = "POST", []byte(body)
	q.Fields = append(q.Fields, frame.Field{Name: "Content-Type", Value: kind},
		frame.Field{Name: "Content-Length", Value: fmt.Sprint(len(body))})
	return q
}

func asked(t *testing.T, p *Policy, q *frame.Request) *frame.Verdict {
	t.Helper()
	kind, payload, err := frame.Read(bytes.NewReader(Ask([]*Policy{p}, q)))
	if err != nil || kind != frame.KindVerdict {
		t.Fatal(kind, payload, err)
	}
	verdict, err := frame.ReadVerdict(payload)
	if err != nil || verdict.ID != q.ID {
		t.Fatal(verdict, err)
	}
	return verdict
}

func has(v *frame.Verdict, rule uint32) bool {
	return slices.ContainsFunc(v.Rules, func(m frame.Match) bool { return m.Rule == rule })
}

const injection = "1' OR '1'='1' UNION SELECT password FROM users--"

var inQuery = "/?q=1%27%20OR%20%271%27%3D%271%27%20UNION%20SELECT%20password%20FROM%20users--"

func TestTheEnginesSettingsAreThoseOfItsOwnModule(t *testing.T) {
	where, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/corazawaf/coraza/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(where)), "coraza.conf-recommended"))
	if err != nil {
		t.Fatal(err)
	}
	if ours, _ := own.ReadFile("rules/coraza.conf-recommended"); !bytes.Equal(ours, theirs) {
		t.Error("copy it anew from the module that go.mod names")
	}
}

func TestAPlainRequestPassesAndAnInjectionIsDeniedWithItsRulesAndWhereTheyMatched(t *testing.T) {
	if v := asked(t, usual(), get("/articles?page=2")); v.Action != frame.Allow || len(v.Rules) != 0 || v.Score != 0 || v.Status != 0 {
		t.Errorf("%+v", v)
	}
	v := asked(t, usual(), get(inQuery))
	if v.Action != frame.Deny || v.Status != 403 || v.Score < 5 || !has(v, 942100) || !has(v, 949110) {
		t.Fatalf("%+v", v)
	}
	at := slices.IndexFunc(v.Rules, func(m frame.Match) bool { return m.Rule == 942100 })
	if it := v.Rules[at]; it.On != "ARGS:q" || it.Severity != 2 || it.Phase != 2 || !strings.Contains(it.Message, "SQL Injection") {
		t.Errorf("%+v", it)
	}
	for _, it := range v.Rules {
		if strings.Contains(it.Message+it.On, "password") {
			t.Errorf("a value is told: %+v", it)
		}
	}
}

func TestAPolicyThatDetectsSaysWhatOneThatBlocksWouldDo(t *testing.T) {
	detects := loaded(t, func(p *frame.Policy) { p.Blocks = false })
	blocked, told := asked(t, usual(), get(inQuery)), asked(t, detects, get(inQuery))
	if told.Action != frame.WouldDeny || told.Status != blocked.Status || told.Score != blocked.Score || len(told.Rules) != len(blocked.Rules) {
		t.Errorf("%+v\n%+v", blocked, told)
	}
	if v := asked(t, detects, get("/")); v.Action != frame.Allow {
		t.Errorf("%+v", v)
	}
}

func TestParanoiaBringsRulesThatTheLevelBelowHasNot(t *testing.T) {
	q := get("/?q=a%2Cb%3Bc%2A%2A%7B%7D%7C%7C%21%21")
	low, high := asked(t, usual(), q), asked(t, loaded(t, func(p *frame.Policy) { p.Paranoia = 4 }), q)
	if low.Action != frame.Allow || high.Action != frame.Deny {
		t.Errorf("%+v\n%+v", low, high)
	}
}

func TestAnInjectionBehindTheLastArgumentThatIsReadIsRefusedByARule(t *testing.T) {
	values := strings.Repeat("1,", 1500) + `"` + injection + `"`
	form := strings.Repeat("a=1&", 1500) + "a=" + strings.ReplaceAll(injection, " ", "+")
	for name, it := range map[string]struct {
		q    *frame.Request
		rule uint32
	}{
		"JSON":    {post("application/json", "["+values+"]"), 200005},
		"a form":  {post("application/x-www-form-urlencoded", form), 200005},
		"a query": {get("/?" + form), 200004},
	} {
		if v := asked(t, usual(), it.q); v.Action != frame.Deny || v.Status != 400 || !has(v, it.rule) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func parts(count int, more string) *frame.Request {
	part := "--x\r\nContent-Disposition: form-data; name=\"a\"" + more + "\r\n\r\nb\r\n"
	return post("multipart/form-data; boundary=x", strings.Repeat(part, count)+"--x--\r\n")
}

func TestWhatIsTooDeepOrTooManyIsRefusedByARule(t *testing.T) {
	xml := func(inner string) *frame.Request { return post("text/xml", `<?xml version="1.0"?><r>`+inner+"</r>") }
	cookies := get("/")
	cookies.Fields = append(cookies.Fields, frame.Field{Name: "Cookie", Value: strings.Repeat("a=b; ", 1001) + "c=d"})
	for name, it := range map[string]struct {
		q    *frame.Request
		rule uint32
	}{
		"JSON of depth 33":             {post("application/json", strings.Repeat("[", 33)+strings.Repeat("]", 33)), 200002},
		"JSON of depth 30,000":         {post("application/json", strings.Repeat("[", 30_000)+strings.Repeat("]", 30_000)), 200002},
		"JSON that is none":            {post("application/json", `{"a":`), 200002},
		"XML of 1,001 texts":           {xml(strings.Repeat("<a>x</a>", 1001)), ownRules + 3},
		"XML of 1,001 attributes":      {xml("<a " + strings.Repeat("b='c' ", 1001) + "/>"), ownRules + 3},
		"XML that is none":             {xml("<a <b"), 200002},
		"a form of 1,001 parts":        {parts(1001, ""), ownRules + 5},
		"a form of 1,001 files":        {parts(1001, `; filename="f"`), ownRules + 5},
		"1,002 cookies":                {cookies, ownRules + 2},
		"a multipart body without end": {post("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb"), 200003},
	} {
		if v := asked(t, usual(), it.q); v.Action != frame.Deny || v.Status != 400 || !has(v, it.rule) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	for name, q := range map[string]*frame.Request{
		"JSON of depth 31":      post("application/json", strings.Repeat("[", 31)+"1"+strings.Repeat("]", 31)),
		"XML of 1,000 texts":    xml(strings.Repeat("<a>x</a>", 1000)),
		"a form of 1,000 parts": parts(1000, ""),
		"XML of 10,000 depths":  xml(strings.Repeat("<a>", 10_000) + "x" + strings.Repeat("</a>", 10_000)),
	} {
		if v := asked(t, usual(), q); v.Action != frame.Allow {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestInjectionsAreFoundInEveryKindOfBody(t *testing.T) {
	for kind, body := range map[string]string{
		"application/json":                  `{"a":[{"q":"` + injection + `"}]}`,
		"application/vnd.api+json":          `{"q":"` + injection + `"}`,
		"application/x-www-form-urlencoded": "q=" + strings.ReplaceAll(injection, " ", "+"),
		"text/xml":                          "<r><q>" + injection + "</q></r>",
		"application/soap+xml":              "<r>" + injection + "</r>",
		"multipart/form-data; boundary=x":   "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n" + injection + "\r\n--x--\r\n",
	} {
		if v := asked(t, usual(), post(kind, body)); v.Action != frame.Deny || v.Score < 5 {
			t.Errorf("%s: %+v", kind, v)
		}
	}
}

func TestThePrefixOfABodyIsInspectedAsFarAsItGoesAndNotRefusedForItsEnd(t *testing.T) {
	for kind, bodies := range map[string][2]string{
		"application/json":                  {`{"a":"fine","b":[1,2,"thr`, `{"a":"` + injection + `","b":[1,2,"thr`},
		"application/x-www-form-urlencoded": {"a=fine&b=th", "a=" + strings.ReplaceAll(injection, " ", "+") + "&b=th"},
		"text/xml":                          {"<r><a>fine</a><b>th", "<r><a>" + injection + "</a><b>th"},
		"multipart/form-data; boundary=x": {
			"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nfine\r\n--x\r\nContent-Disp",
			"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + injection + "\r\n--x\r\nContent-Disp",
		},
	} {
		for at, body := range bodies {
			q := post(kind, body)
			q.Whole = false
			if v := asked(t, usual(), q); (v.Action == frame.Deny) != (at == 1) {
				t.Errorf("%s, %s: %+v", kind, body, v)
			}
		}
	}
}

func TestABodyBeyondThePolicysBytesAndAnUnknownPolicyGetNoVerdict(t *testing.T) {
	small := loaded(t, func(p *frame.Policy) { p.BodyBytes = 10 })
	if v := asked(t, small, post("application/x-www-form-urlencoded", "a=23456789")); v.Action != frame.Allow {
		t.Errorf("%+v", v)
	}
	other := get("/")
	other.Policy = 1
	for q, why := range map[*frame.Request]frame.Reason{post("application/x-www-form-urlencoded", "a=23456789a"): frame.BodyTooLong, other: frame.NoPolicy} {
		_, payload, _ := frame.Read(bytes.NewReader(Ask([]*Policy{small}, q)))
		if _, told, err := frame.ReadFailed(payload); told != why || err != nil {
			t.Errorf("%v instead of %v, %v", told, why, err)
		}
	}
}

func TestARuleThatPanicsIsARequestWithoutAVerdict(t *testing.T) {
	_, payload, _ := frame.Read(bytes.NewReader(Ask([]*Policy{{bodyBytes: 10}}, get("/"))))
	if id, why, err := frame.ReadFailed(payload); id != 1 || why != frame.Internal || err != nil {
		t.Error(id, why, err)
	}
}

// Whatever a request says, there is one answer to it, and it is in the form of an answer.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/a?b=c", "Content-Type", "application/json", []byte(`{"a":[1,"x"]}`), true)
	f.Add("POST", "/", "Content-Type", "text/xml", []byte("<a b='c'>d<!--e--></a>"), false)
	f.Add("POST", "/", "Content-Type", "multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--"), true)
	f.Add("PUT", "http://a/%zz?%zz=%", "Cookie", "a=b; c; =d", []byte("a=%zz&b"), false)
	f.Fuzz(func(t *testing.T, method, target, name, value string, body []byte, whole bool) {
		q := get(target)
		q.Method, q.Body, q.Whole = method, body, whole
		q.Fields = append(q.Fields, frame.Field{Name: name, Value: value})
		if v, err := usual().inspect(q); err != nil || v.Action > frame.WouldDeny || (v.Action == frame.Deny) != (v.Status >= 400) {
			t.Errorf("%v %+v", err, v)
		}
	})
}
