// All policies made ready at once, with the versions of the engine and its rules.

package inspect

import (
	"runtime/debug"
	"strings"

	"everyhop.invalid/waf/frame"
)

// LoadAll makes all policies ready, or says what is wrong with each.
func LoadAll(asked []frame.Policy) ([]*Policy, frame.Ready, []frame.Wrong) {
	ready := frame.Ready{Engine: version("Coraza", "github.com/corazawaf/coraza/"), Rules: version("CRS", "github.com/corazawaf/coraza-coreruleset/")}
	var policies []*Policy
	var wrong []frame.Wrong
	for _, it := range asked {
		policy, no := Load(it)
		if no != nil {
			wrong = append(wrong, *no)
			continue
		}
		policies = append(policies, policy)
		ready.Counts = append(ready.Counts, policy.Rules)
	}
	return policies, ready, wrong
}

// version is that of a module that was built in, as go.mod pins it.
func version(name, path string) string {
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, module := range built.Deps {
			if strings.HasPrefix(module.Path, path) {
				return name + " " + strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return name
}
