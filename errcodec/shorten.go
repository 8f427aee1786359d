package errcodec

import "strings"

// shorten returns the texts of all nodes, shorter: of each node's own words
// about most bytes are left. What it repeats of its causes stays in
// place, shortened in the same way.
func (e *encoding) shorten(most int) []string {
	short := make([]string, len(e.nodes))
	for i := len(e.nodes) - 1; i >= 0; i-- {
		short[i] = clip(e.shortText(i, most, short), e.codec.limits.Bytes/2)
	}
	return short
}

func (e *encoding) shortText(i, most int, short []string) string {
	n := &e.nodes[i]
	if len(n.text) <= most {
		return n.text
	}
	if i+1 < n.end && e.nodes[i+1].end == n.end && e.nodes[i+1].text != "" {
		if own, ok := strings.CutSuffix(n.text, e.nodes[i+1].text); ok {
			return clip(own, most) + short[i+1]
		}
	}
	return clip(n.text, most)
}
