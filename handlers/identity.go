package handlers

import (
	"cmp"
	"net/http"
	"strings"

	"vestibule/session"
)

// identityPrefix begins the headers by which what is behind us learns who asks. The names are those that reverse proxies and
// applications know from forward-auth servers; whatever comes from outside under them is taken away (upstream).
const identityPrefix = "X-Auth-Request-"

var identityNames = []string{"User", "Email", "Preferred-Username", "Groups"}

// remembered is how many introductions are kept. Reading the claims costs more than all the rest of an answer to a proxy.
const remembered = 256

// introduction is what is said of a session to what is behind us. It is shared: nobody changes it.
type introduction struct {
	identity http.Header // for the application behind us
	answer   http.Header // for a proxy that asks: every header is there, or a proxy might leave what came from outside in its place
}

// introduce gives the introduction of a session, made once for each form of it that comes again as the same value.
func (h *Handlers) introduce(s *session.Session) introduction {
	if known, ok := h.introduced.Get(s); ok {
		return known
	}
	made := introduction{identity: identity(s), answer: http.Header{"Authorization": {"Bearer " + s.Tokens.AccessToken}}}
	for _, name := range identityNames {
		made.answer[identityPrefix+name] = []string{made.identity.Get(identityPrefix + name)}
	}
	h.introduced.Add(s, made)
	return made
}

// identity says who is signed in, in headers: -User is the subject, the rest is what the ID token said. An address that the provider
// says is not verified is left out, since applications take it for the person. Values are percent-encoded where they
// are not visible ASCII, and at each "%" and ",", so that decodeURIComponent gives the claim back and a comma parts groups.
func identity(s *session.Session) http.Header {
	h := http.Header{}
	add := func(name, value string) {
		if value != "" {
			h[identityPrefix+name] = []string{value}
		}
	}
	claims := readClaims(s)
	text := func(name string) string {
		v, _ := claims[name].(string)
		return headerValue(v)
	}
	add("User", headerValue(s.Tokens.Subject))
	if claim, said := claims["email_verified"]; !said || claim == true || claim == "true" { // Cognito writes it as text for some users
		add("Email", text("email"))
	}
	add("Preferred-Username", cmp.Or(text("preferred_username"), text("cognito:username")))
	add("Groups", cmp.Or(list(claims["groups"]), list(claims["cognito:groups"])))
	return h
}

func list(claim any) string {
	items, _ := claim.([]any)
	var out []string
	for _, item := range items {
		if s, ok := item.(string); ok && s != "" {
			out = append(out, headerValue(s))
		}
	}
	return strings.Join(out, ",")
}

func headerValue(s string) string {
	plain := func(c byte) bool { return c > 0x20 && c < 0x7f && c != '%' && c != ',' }
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
