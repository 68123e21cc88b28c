package upstream

import (
	"net/http"
	"slices"
	"strings"
)

// sharedCaches says to caches in front of us what the application cannot know. It told people apart by headers that are added here, and
// a cache sees only the cookie that they are made of; nor does a cache see an Authorization that would have kept it from storing (RFC 9111,
// section 3.5). known says that the request had such headers.
func sharedCaches(h http.Header, known bool) {
	if variesByIdentity(h["Vary"]) {
		h["Vary"] = append(h["Vary"], "Cookie")
	}
	if known && !settlesSharing(h["Cache-Control"]) {
		// In front: behind a quotation mark that is never closed it would not be read.
		h["Cache-Control"] = []string{strings.Join(append([]string{"private"}, h["Cache-Control"]...), ", ")}
	}
}

// variesByIdentity says whether an answer depends on who asks, without saying so to those who see the cookie alone.
func variesByIdentity(vary []string) bool {
	varies := false
	for _, line := range vary {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			switch {
			case name == "*", strings.EqualFold(name, "Cookie"):
				return false
			case strings.EqualFold(name, "Authorization"), GuardsIdentity(name):
				varies = true
			}
		}
	}
	return varies
}

// settlesSharing says whether the application has decided whether shared caches may store an answer to somebody with credentials. A private
// that names headers (RFC 9111, section 5.2.2.7) lets them store the rest, and is no such decision.
func settlesSharing(control []string) bool {
	return slices.ContainsFunc(directives(strings.Join(control, ",")), func(directive string) bool {
		name, _, valued := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "public", "s-maxage", "must-revalidate", "no-store":
			return true
		case "private":
			return !valued
		}
		return false
	})
}

// directives splits at commas that are not within a quoted string (RFC 9110, section 5.6.4).
func directives(list string) []string {
	quoted, escaped := false, false
	return strings.FieldsFunc(list, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		return r == ',' && !quoted
	})
}

// forNobodyElse keeps every cache from storing an answer that carries a session: the headers that caches in front of us obey over
// Cache-Control go.
func forNobodyElse(h http.Header) {
	for name := range h {
		if name == "Expires" || name == "Pragma" || name == "Surrogate-Control" || name == "X-Accel-Expires" || name == "Edge-Control" ||
			strings.HasSuffix(name, "-Cache-Control") { // RFC 9213: CDN-Cache-Control, and each cache's own
			delete(h, name)
		}
	}
	h["Cache-Control"] = []string{"private, no-store"}
	h["Vary"] = append(h["Vary"], "Cookie")
}
