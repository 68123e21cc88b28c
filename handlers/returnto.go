package handlers

import (
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"vestibule/session"
)

// returnTo judges where a sign-in or sign-out may lead: a path of ours, or a URL whose origin is ours or listed. Anything else
// becomes our root, which lies below the path of the public URL. It is judged as browsers read URLs (WHATWG URL, section 4.4):
// they drop tabs and newlines, take a backslash for a slash, and unfold dot segments. What is given back is written anew from
// the parts that were judged, in ASCII.
func (h *Handlers) returnTo(raw string) string {
	if raw == "" || len(raw) > session.MaxReturnTo || !utf8.ValidString(raw) || strings.ContainsFunc(raw, forbidden) {
		return h.Path("/")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil {
		return h.Path("/")
	}
	if !plainPath(u) || h.isOwnAuth(u.Path) {
		return h.Path("/")
	}
	rest := url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: asciiQuery(u.RawQuery), Fragment: u.Fragment, RawFragment: u.RawFragment}
	if rest.Path == "" {
		rest.Path = "/"
	}
	safe := rest.String()
	if u.Scheme != "" || u.Host != "" {
		origin, ok := originOf(u)
		if !ok || !h.origins[origin] {
			return h.Path("/")
		}
		safe = origin + safe
	} else if raw[0] != '/' || strings.HasPrefix(raw, "//") {
		return h.Path("/")
	}
	if len(safe) > session.MaxReturnTo { // escaping makes it longer
		return h.Path("/")
	}
	return safe
}

// forbidden are the characters that no URL of good faith contains and that browsers read in their own way.
func forbidden(r rune) bool {
	switch {
	case r < 0x20, r == 0x7f, r == '\\':
		return true
	case r >= 0x80 && r <= 0x9f, r == 0x2028, r == 0x2029, r == 0xfeff:
		return true
	}
	return r == 0x3000 || r == 0xff0f || r == 0xff3c || r == 0xff0e // full-width space, slash, backslash, dot: IDNA folds them
}

// plainPath refuses a path that could become another host's on the way: one that begins with two slashes, in any
// encoding and after its dot segments are unfolded, or that hides a backslash or a control character.
func plainPath(u *url.URL) bool {
	p := u.EscapedPath()
	for range 4 { // as many layers of encoding as any chain of proxies takes off
		if strings.HasPrefix(p, "//") || strings.ContainsFunc(p, forbidden) {
			return false
		}
		if p != "" && p[0] == '/' && strings.HasPrefix(unfold(p), "//") {
			return false
		}
		next, err := url.PathUnescape(p)
		if err != nil || next == p {
			return true
		}
		p = next
	}
	return !strings.Contains(p, "%")
}

// unfold takes dot segments out as browsers do: empty segments stay, so "/.//host" becomes "//host".
func unfold(p string) string {
	var out []string
	for _, segment := range strings.Split(p, "/") {
		switch segment {
		case ".":
		case "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, segment)
		}
	}
	return strings.Join(out, "/")
}

// isOwnAuth keeps a sign-in from leading to a sign-out or to another sign-in. The list of one's sessions is a page as any other.
func (h *Handlers) isOwnAuth(p string) bool {
	own := h.Path(h.c.AuthPath)
	p = path.Clean("/" + p)
	if h.ListsSessions() && p == h.AuthPath(sessionsAt) {
		return false
	}
	return p == own || strings.HasPrefix(p, own+"/")
}

// asciiQuery escapes what is not ASCII and leaves the rest as it was written.
func asciiQuery(q string) string {
	var b strings.Builder
	for i := range len(q) {
		if c := q[i]; c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
