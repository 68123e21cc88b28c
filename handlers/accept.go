package handlers

import (
	"strconv"
	"strings"
)

// prefersHTML reads Accept header lines (RFC 9110, section 12.5.1) and says whether a page is liked better than JSON. Who likes both alike
// is no person, for no browser that goes to a page says so: JSON, unless HTML alone is named.
func prefersHTML(accept []string) bool {
	html, htmlNamed := liking(accept, "text", "html")
	json, jsonNamed := liking(accept, "application", "json")
	return html > json || html == json && html > 0 && htmlNamed && !jsonNamed
}

// takesNoPage says that what Accept header lines name leaves no room for a page. "*/*" does: curl and old browsers send it, and HTTP
// clients add it to what they like better.
func takesNoPage(accept []string) bool {
	html, _ := liking(accept, "text", "html")
	xhtml, _ := liking(accept, "application", "xhtml+xml")
	return html == 0 && xhtml == 0 && strings.Trim(strings.Join(accept, ""), " ,") != ""
}

// liking is the weight of a media type, which the range decides that fits it most closely, and whether it is named in full.
func liking(accept []string, kind, sub string) (weight float64, named bool) {
	best := 0
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			media, parameters, _ := strings.Cut(item, ";")
			fit := fits(strings.ToLower(strings.TrimSpace(media)), kind, sub)
			if fit <= best {
				continue
			}
			if q, ok := quality(parameters); ok {
				best, weight = fit, q
			}
		}
	}
	return weight, best == fitExactly
}

const (
	fitAnything = 1 + iota
	fitKind
	fitExactly
)

// fits says how closely a media range fits a type; 0: not at all.
func fits(media, kind, sub string) int {
	switch media {
	case kind + "/" + sub:
		return fitExactly
	case kind + "/*":
		return fitKind
	case "*/*":
		return fitAnything
	}
	return 0
}

// quality is the weight among the parameters of a range, 1 where there is none. It says no to one that cannot be read.
func quality(parameters string) (float64, bool) {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, found := strings.Cut(strings.TrimSpace(p), "=")
		if !found || !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		return q, err == nil && q >= 0 && q <= 1
	}
	return 1, true
}
