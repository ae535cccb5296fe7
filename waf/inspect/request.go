// One request before the rules, phase by phase. Read next: policy.go.

package inspect

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"strings"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/corazawaf/coraza/v3/types"

	"everyhop.invalid/waf/frame"
)

// Ask inspects one request. Its answer is a frame, whatever happens: a rule that panics is a request without a verdict.
func Ask(policies []*Policy, q *frame.Request) (answer []byte) {
	if int(q.Policy) >= len(policies) {
		return frame.Failed(q.ID, frame.NoPolicy)
	}
	p := policies[q.Policy]
	if len(q.Body) > int(p.bodyBytes) {
		return frame.Failed(q.ID, frame.BodyTooLong)
	}
	defer func() {
		if recover() != nil {
			answer = frame.Failed(q.ID, frame.Internal)
		}
	}()
	verdict, err := p.inspect(q)
	if err != nil {
		return frame.Failed(q.ID, frame.Internal)
	}
	return verdict.Frame()
}

func (p *Policy) inspect(q *frame.Request) (*frame.Verdict, error) {
	tx := p.waf.NewTransaction()
	defer tx.Close()
	state, ours := tx.(plugintypes.TransactionState)
	if !ours {
		panic("a transaction shows its variables")
	}
	stopped, err := phases(tx, state.Variables(), q)
	if err != nil {
		return nil, err
	}
	verdict := &frame.Verdict{ID: q.ID, Score: score(state.Variables())}
	if stopped != nil {
		verdict.Action, verdict.Status = frame.Deny, status(stopped)
		if !p.blocks {
			verdict.Action = frame.WouldDeny
		}
	}
	for _, rule := range tx.MatchedRules() {
		// What logs nothing sets variables or takes rules back: it says nothing of the request.
		if logs, known := rule.(interface{ Log() bool }); known && !logs.Log() {
			continue
		}
		verdict.Rules = append(verdict.Rules, matched(rule))
	}
	return verdict, nil
}

// phases goes the way of a request up to the first rule that ends it.
func phases(tx types.Transaction, seen plugintypes.TransactionVariables, q *frame.Request) (*types.Interruption, error) {
	if !q.Whole {
		seen.TX().Set("everyhop_prefix", []string{"1"})
	}
	tx.ProcessConnection(q.Client.Addr().Unmap().String(), int(q.Client.Port()), "", 0)
	tx.ProcessURI(q.Target, q.Method, q.Version.String())
	host := false
	for _, field := range q.Fields {
		tx.AddRequestHeader(field.Name, field.Value)
		host = host || strings.EqualFold(field.Name, "host")
	}
	if !host && q.Host != "" {
		tx.AddRequestHeader("Host", q.Host)
	}
	tx.SetServerName(q.Host)
	if stopped := tx.ProcessRequestHeaders(); stopped != nil {
		return stopped, nil
	}
	if len(q.Body) > 0 {
		if seen.RequestBodyProcessor().Get() == "XML" {
			seen.TX().Set("everyhop_xml_values", []string{strconv.Itoa(xmlValues(q.Body))})
		}
		if stopped, _, err := tx.WriteRequestBody(q.Body); stopped != nil || err != nil {
			return stopped, err
		}
	}
	return tx.ProcessRequestBody()
}

// xmlValues counts texts and attributes, up to one more than are allowed: each is asked of every rule, and the engine's own
// limit is of arguments, which these are not.
func xmlValues(body []byte) int {
	reading := xml.NewDecoder(bytes.NewReader(body))
	reading.Strict = false
	count := 0
	for count <= MostValues {
		token, err := reading.RawToken()
		if err != nil {
			break
		}
		switch it := token.(type) {
		case xml.StartElement:
			count += len(it.Attr)
		case xml.CharData:
			if len(bytes.TrimSpace(it)) > 0 {
				count++
			}
		}
	}
	return count
}

func status(stopped *types.Interruption) uint16 {
	if stopped.Status < 400 || stopped.Status > 599 {
		return 403
	}
	return uint16(stopped.Status)
}

// score is what the rule set added up; 0 where it came to no sum, since something else ended the request.
func score(seen plugintypes.TransactionVariables) uint32 {
	for _, name := range []string{"blocking_inbound_anomaly_score", "detection_inbound_anomaly_score"} {
		for _, text := range seen.TX().Get(name) {
			if n, err := strconv.ParseUint(text, 10, 32); err == nil && n > 0 {
				return uint32(n)
			}
		}
	}
	return 0
}

func matched(rule types.MatchedRule) frame.Match {
	meta := rule.Rule()
	it := frame.Match{Rule: uint32(meta.ID()), Severity: frame.NoSeverity, Phase: uint8(meta.Phase()), Message: rule.Message()}
	if severity := meta.Severity(); severity >= 0 && severity <= 7 {
		it.Severity = uint8(severity)
	}
	for _, data := range rule.MatchedDatas() {
		if it.On = data.Variable().Name(); data.Key() != "" {
			it.On += ":" + data.Key()
		}
		break
	}
	return it
}
