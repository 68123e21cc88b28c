package session

import "strings"

// Owns says whether a cookie is the session's: itself, its chunks, pending sign-ins, the note of a sign-out. What is behind us
// neither gets such a cookie nor may set one.
func (m *Manager) Owns(name string) bool {
	rest, ok := strings.CutPrefix(name, m.c.CookieName)
	return ok && (rest == "" || rest[0] == '.')
}

// Strip gives Cookie header lines without the cookies that Owns names; see Without.
func (m *Manager) Strip(lines []string) []string { return Without(lines, m.Owns) }

// Without gives Cookie header lines without the cookies that drop names; a line of which nothing is left is left out, one that
// loses nothing is given as it was. What stays is given byte for byte, but for the blanks around it. The lines themselves are not
// changed.
func Without(lines []string, drop func(name string) bool) []string {
	var out []string
	for _, line := range lines {
		var kept []string
		dropped := false
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			switch {
			case drop(strings.TrimRight(name, " \t")):
				dropped = true
			case pair != "":
				kept = append(kept, pair)
			}
		}
		switch {
		case !dropped:
			out = append(out, line)
		case len(kept) > 0:
			out = append(out, strings.Join(kept, "; "))
		}
	}
	return out
}
