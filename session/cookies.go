package session

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/sessions"
)

const (
	// cookieLimit is what every browser stores of one cookie, name, value and attributes together (RFC 6265, section 6.1).
	cookieLimit = 4096
	// maxChunks bounds a session to 20 kB; Node refuses more than 16 kB of headers, nginx 8 kB by default.
	maxChunks = 5
	// maxSameName is how many whole sessions of one request are tried: foreign ones may stand before ours, from the paths and parent domains
	// that a browser knows. Together they are no longer than the header.
	maxSameName = 16
	// maxJoined is the same of sessions in chunks, of which each try reads all chunks anew.
	maxJoined = 4
	// maxBrought bounds how many cookies of each kind are looked at in one request.
	maxBrought = 64
)

type brought struct{ name, value string }

// ours picks the cookies of this manager out of Cookie header lines, in the browser's order. The header is read here rather
// than by net/http because the session cookie is most of it: splitting and copying every cookie costs more than opening ours.
// Kinds are counted apart: a neighbouring host can set any number of pending sign-ins or chunks, and none may hide the session.
func (m *Manager) ours(header []string) []brought {
	var out []brought
	var seen [kinds]int
	for _, line := range header {
		for len(line) > 0 {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
			if !ok || !m.Owns(name) {
				continue
			}
			k := m.kindOf(name)
			if seen[k]++; seen[k] <= maxBrought {
				out = append(out, brought{name, value})
			}
		}
	}
	return out
}

// kind is what one of our cookies is for.
type kind int

const (
	kindSession kind = iota
	kindChunk
	kindOther // pending sign-ins, the note of a sign-out
	kinds
)

func (m *Manager) kindOf(name string) kind {
	switch {
	case name == m.c.CookieName:
		return kindSession
	case m.isChunk(name):
		return kindChunk
	}
	return kindOther
}

// sealedValues gives the sealed sessions that the browser brought: one cookie is a whole, "N." before it says that N-1
// further chunks follow. Anything that is not whole gives nothing.
func (m *Manager) sealedValues(all []brought) []string {
	var out []string
	joined := 0
	for _, b := range all {
		if b.name != m.c.CookieName {
			continue
		}
		if len(b.value) < 2 || b.value[1] != '.' {
			if len(out)-joined < maxSameName {
				out = append(out, b.value)
			}
			continue
		}
		if joined == maxJoined {
			continue
		}
		if whole, ok := m.join(b.value, all); ok {
			out = append(out, whole)
			joined++
		}
	}
	return out
}

func (m *Manager) join(first string, all []brought) (string, bool) {
	n := int(first[0] - '0')
	if n < 2 || n > maxChunks {
		return "", false
	}
	whole := strings.Builder{}
	whole.WriteString(first[2:])
	for i := 1; i < n; i++ {
		name := m.chunkName(i)
		at := slices.IndexFunc(all, func(b brought) bool { return b.name == name })
		if at < 0 {
			return "", false
		}
		whole.WriteString(all[at].value)
	}
	return whole.String(), true
}

func (m *Manager) chunkName(i int) string { return m.c.CookieName + "." + strconv.Itoa(i) }

func (m *Manager) isChunk(name string) bool {
	rest, ok := strings.CutPrefix(name, m.c.CookieName+".")
	if !ok || len(rest) == 0 || len(rest) > 2 {
		return false
	}
	return strings.Trim(rest, "0123456789") == ""
}

// Cookies seals the session and gives the cookies to set, with deletions of the chunks in header that are no longer used.
func (m *Manager) Cookies(s *Session, header []string) ([]*http.Cookie, error) {
	cookies, err := m.sealed(s)
	if err != nil {
		return nil, err
	}
	m.c.Observe(Event{Kind: EventCookie, Bytes: Weigh(s, cookies, 0).Bytes})
	return append(cookies, m.deletions(header, cookies)...), nil
}

// sealed is the session in as few cookies as it takes.
func (m *Manager) sealed(s *Session) ([]*http.Cookie, error) {
	left := int(m.Limit(s).Sub(m.c.Now()).Seconds())
	if left <= 0 {
		return nil, &Ended{Reason: ReasonExpired}
	}
	packed, err := m.packed(s)
	if err != nil {
		return nil, err
	}
	value, err := m.sealer.seal(m.c.CookieName, packed)
	if err != nil {
		return nil, err
	}
	return m.split(value, left)
}

// packed is what the cookie carries: the session, or the ticket for it.
func (m *Manager) packed(s *Session) ([]byte, error) {
	if m.c.Mode == ModeServer {
		return s.ticket.packed(), nil
	}
	return m.codec.pack(s)
}

func (m *Manager) split(sealed string, maxAge int) ([]*http.Cookie, error) {
	one := m.cookie(m.c.CookieName, sealed, maxAge)
	if len(one.String()) <= cookieLimit {
		return []*http.Cookie{one}, nil
	}
	room := cookieLimit - len(m.cookie(m.chunkName(maxChunks-1), "", maxAge).String())
	rest := sealed
	take := func(n int) (piece string) {
		n = min(n, len(rest))
		piece, rest = rest[:n], rest[n:]
		return piece
	}
	cookies := []*http.Cookie{m.cookie(m.c.CookieName, take(room-2), maxAge)}
	for rest != "" {
		cookies = append(cookies, m.cookie(m.chunkName(len(cookies)), take(room), maxAge))
	}
	if len(cookies) > maxChunks {
		return nil, ErrTooLarge
	}
	cookies[0].Value = strconv.Itoa(len(cookies)) + "." + cookies[0].Value
	return cookies, nil
}

// Chunked says whether cookies that were made here are good only all together. If not, the first is the session, and the
// deletions after it may get lost.
func Chunked(cookies []*http.Cookie) bool {
	return len(cookies) > 1 && cookies[1].MaxAge > 0
}

// Clear gives the cookies that delete whatever session the browser brought; none if it brought none.
func (m *Manager) Clear(header []string) []*http.Cookie { return m.deletions(header, nil) }

// deletions deletes the session cookies in header that kept does not set. They repeat the attributes: a browser that
// compares them (a prefix, Secure) would otherwise keep the cookie.
func (m *Manager) deletions(header []string, kept []*http.Cookie) []*http.Cookie {
	var out []*http.Cookie
	for _, b := range m.ours(header) {
		if m.kindOf(b.name) == kindOther {
			continue
		}
		same := func(c *http.Cookie) bool { return c.Name == b.name }
		if !slices.ContainsFunc(kept, same) && !slices.ContainsFunc(out, same) {
			out = append(out, m.cookie(b.name, "", -1))
		}
	}
	return out
}

// cookie makes one session cookie; maxAge in seconds, negative deletes.
func (m *Manager) cookie(name, value string, maxAge int) *http.Cookie {
	return m.cookieAs(name, value, maxAge, m.c.SameSite)
}

func (m *Manager) cookieAs(name, value string, maxAge int, sameSite http.SameSite) *http.Cookie {
	c := sessions.NewCookie(name, value, &sessions.Options{
		Path: "/", MaxAge: maxAge, Secure: m.c.Secure, HttpOnly: true, SameSite: sameSite,
	})
	if maxAge > 0 {
		c.Expires = time.Time{} // Max-Age says it; every byte counts against the limit of 4,096
	}
	return c
}
