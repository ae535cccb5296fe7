// A rule file read into its directives, each with its line, before the engine sees it.

package inspect

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"everyhop.invalid/waf/frame"
)

// directive is one of a rule file: a logical line, or a chain of them, with where it began.
type directive struct {
	file string
	line uint32
	name string
	text string
	// after says that it changes rules which must be there already.
	after bool
	// chains says that the next one belongs to it.
	chains bool
}

// Directives that a rule file may hold. The others are the configuration's to say (limits, mode), would open files or
// connections, or are not there to be believed (SecIgnoreRuleCompilationErrors).
var allowed = map[string]bool{
	"secrule": false, "secaction": false, "secmarker": false, "secdataset": false, "seccomponentsignature": false,
	"secruleremovebyid": true, "secruleremovebytag": true, "secruleremovebymsg": true,
	"secruleupdatetargetbyid": true, "secruleupdatetargetbytag": true, "secruleupdateactionbyid": true,
}

// Operators and actions that would open a file, ask a network or start a program, by how they are written.
var closed = []string{
	"@pmfromfile", "@pmf ", "@ipmatchfromfile", "@ipmatchf ", "@inspectfile", "@rbl", "@geolookup", "@validateschema",
}

// longestLine is what the engine's reader takes; it stops silently at a longer one, and would leave out every rule behind it.
const longestLine = 64<<10 - 1

// read takes a file apart as the engine's own reader does, and refuses what that one would lose or leave out in silence.
func read(file frame.RuleFile) ([]directive, *frame.Wrong) {
	wrong := func(line int, format string, what ...any) ([]directive, *frame.Wrong) {
		return nil, &frame.Wrong{File: file.Name, Line: uint32(line), What: fmt.Sprintf(format, what...)}
	}
	var found []directive
	var text strings.Builder
	began, quoted, open := 0, false, false
	for at, line := range strings.Split(file.Text, "\n") {
		at++
		if len(line) > longestLine {
			return wrong(at, "the line has %d bytes, and at most %d are read", len(line), longestLine)
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if !open {
			began, open = at, true
		}
		if !quoted && strings.HasSuffix(line, "`") {
			quoted = true
		} else if quoted && line[0] == '`' {
			quoted = false
		}
		if quoted {
			text.WriteString(line + "\n")
			continue
		}
		if rest, more := strings.CutSuffix(line, "\\"); more {
			text.WriteString(rest)
			continue
		}
		text.WriteString(line)
		one := directive{file: file.Name, line: uint32(began), text: text.String()}
		name, _, _ := strings.Cut(one.text, " ")
		one.name = strings.ToLower(name)
		after, known := allowed[one.name]
		if !known {
			return wrong(began, "%s is not for a rule file: it may hold SecRule, SecAction, SecMarker, SecDataset, "+
				"SecRuleRemoveBy... and SecRuleUpdate...", name)
		}
		if why := opens(one.text); why != "" {
			return wrong(began, "%s would open a file, ask a network or start a program, which the inspector cannot", why)
		}
		if id := number(one.text); id >= ownRules {
			return wrong(began, "rule %d: numbers from %d on are the inspector's own", id, ownRules)
		}
		one.after, one.chains = after, slices.Contains(actions(lastPart(one.text)), "chain")
		text.Reset()
		open = false
		if last := len(found) - 1; last >= 0 && found[last].chains {
			if one.name != "secrule" && one.name != "secaction" {
				return wrong(began, "%s stands within a chain, where a SecRule must follow", name)
			}
			found[last].text += "\n" + one.text
			found[last].chains = one.chains
			continue
		}
		if (one.name == "secrule" || one.name == "secaction") && number(one.text) == 0 {
			return wrong(began, "the rule has no number (id:), by which a verdict and an exclusion would name it")
		}
		found = append(found, one)
	}
	switch {
	case quoted:
		return wrong(began, "the text between backticks has no end")
	case open:
		return wrong(began, "the last line ends in a backslash, and nothing follows")
	}
	if last := len(found) - 1; last >= 0 && found[last].chains {
		// The first rule of the next file would become a part of it.
		return wrong(int(found[last].line), "the chain has no end: its last rule says chain, and nothing follows")
	}
	return found, nil
}

var idAction = regexp.MustCompile(`(?i)[\s",]id:'?(\d{1,18})`)

// number is a directive's rule; 0 where it has none.
func number(text string) int {
	found := idAction.FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	id, _ := strconv.Atoi(found[1])
	return id
}

// lastPart is what a directive ends with: between quotes, or a word.
func lastPart(text string) string {
	if inner, quoted := strings.CutSuffix(text, `"`); quoted {
		for at := len(inner) - 1; at >= 0; at-- {
			if inner[at] == '"' && (at == 0 || inner[at-1] != '\\') {
				return inner[at+1:]
			}
		}
	}
	return text[strings.LastIndex(text, " ")+1:]
}

func opens(text string) string {
	low := strings.ToLower(text)
	for _, word := range closed {
		if strings.Contains(low, word) {
			return strings.TrimSpace(word)
		}
	}
	for _, action := range actions(low) {
		if strings.HasPrefix(action, "exec:") || strings.HasPrefix(action, "setenv:") {
			name, _, _ := strings.Cut(action, ":")
			return name
		}
	}
	return ""
}

// actions are what the last part of a directive lists, roughly: what stands between commas, quotes and spaces.
func actions(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '"' || r == ' ' || r == '\'' })
}
