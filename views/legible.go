package views

import "strings"

// legible is a claim as the pages show it. The bdi element around it keeps a name from turning its neighbours around, but not itself: with
// an override in it, "moc.elgoog@ana" reads as another's address. So embeddings, overrides and isolates are left out (UAX #9 section 2).
// The marks U+200E and U+200F stay: they set no direction but their own, and names in two scripts need them.
func legible(claim string) string {
	return strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return -1
		}
		return r
	}, claim)
}
