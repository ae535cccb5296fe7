// Exclusions, as the rules that stand before and after those that they are taken from.

package inspect

import (
	"fmt"
	"path"
	"strings"

	"everyhop.invalid/waf/frame"
)

// ownRules are the numbers of rules that are made here; a rule file may not use them.
const ownRules = 99_000_000

// exclusions makes directives of a policy's exclusions: those below a path go before the rules that they take back and decide
// with each request, the others behind them, once.
//
// A path is compared decoded and without dot segments, and covers itself and what is below it: /search/../login is not
// below /search, whatever a backend makes of it.
func exclusions(list []frame.Exclusion) (before, after string, wrong *frame.Wrong) {
	var early, late strings.Builder
	for at, it := range list {
		if it.Argument != "" && !isArgument(it.Argument) {
			return "", "", &frame.Wrong{What: fmt.Sprintf("the exclusion of rule %d names the argument %q: letters, digits, and . _ - [ ] : $ alone", it.Rule, it.Argument)}
		}
		if strings.ContainsAny(it.Path, "?#%") || it.Path != "" && path.Clean(it.Path)+"/" != strings.TrimSuffix(it.Path, "/")+"/" && it.Path != "/" {
			return "", "", &frame.Wrong{What: fmt.Sprintf("the exclusion of rule %d names the path %q, which no request has: a path is written "+
				"decoded, without dot segments, empty segments and query", it.Rule, it.Path)}
		}
		switch {
		case it.Path == "" && it.Argument == "":
			fmt.Fprintf(&late, "SecRuleRemoveById %d\n", it.Rule)
		case it.Path == "":
			fmt.Fprintf(&late, "SecRuleUpdateTargetById %d \"!ARGS:%s\"\n", it.Rule, it.Argument)
		default:
			control := fmt.Sprintf("ctl:ruleRemoveById=%d", it.Rule)
			if it.Argument != "" {
				control = fmt.Sprintf("ctl:ruleRemoveTargetById=%d;ARGS:%s", it.Rule, it.Argument)
			}
			below := hexed(strings.TrimRight(it.Path, "/"))
			fmt.Fprintf(&early, "SecRule REQUEST_FILENAME \"@rx ^%s(?:/|$)\" \"id:%d,phase:1,pass,nolog,t:none,t:urlDecodeUni,t:normalizePath,%s\"\n",
				below, ownRules+1000+at, control)
		}
	}
	return early.String(), late.String(), nil
}

func isArgument(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-[]:$") == ""
}

// hexed writes a text as a pattern that means nothing but itself, in no character that the rule language reads.
func hexed(text string) string {
	var made strings.Builder
	for _, b := range []byte(text) {
		if b == '/' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' {
			made.WriteByte(b)
		} else {
			fmt.Fprintf(&made, `\x%02x`, b)
		}
	}
	return made.String()
}
