package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

const verifyPath = "/api/auth/verify"

func TestVerifySaysWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	user := s.provider.Users()[0]
	a := b.get(verifyPath)
	private(t, a)
	token := b.token("").AccessToken
	for name, want := range map[string]string{
		"X-Auth-Request-User": user.Sub, "X-Auth-Request-Email": "alice@example.com", "X-Auth-Request-Groups": "admins",
		"Authorization": "Bearer " + token, "Content-Length": "0",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if a.status != http.StatusOK || a.body != "" {
		t.Errorf("got %d %q, want 200 and no body", a.status, a.body)
	}
}

func TestVerifyRefusesWhoIsNotSignedIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	forged := []string{"X-Auth-Request-User: admin", "X-Auth-Request-Email: admin@example.com", "X-Forwarded-User: admin", "Authorization: Bearer x"}
	for _, path := range []string{verifyPath, verifyPath + "?redirect=false", verifyPath + "/dashboard?redirect="} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			a := s.stranger(t).send(method, path, "", forged...)
			if a.status != http.StatusUnauthorized {
				t.Errorf("%s %s: got %d, want 401", method, path, a.status)
			}
			for name := range a.header {
				if strings.HasPrefix(name, "X-Auth") || name == "Authorization" {
					t.Errorf("%s %s: the answer has %s", method, path, name)
				}
			}
		}
	}
}

// nginx, Traefik and Caddy hand on the headers of the request they ask about: another site's link is no reason to refuse.
func TestVerifyAnswersAboutNavigationsFromOtherSites(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	if a := b.get(verifyPath, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: https://elsewhere.example"); a.status != http.StatusOK {
		t.Errorf("got %d, want 200", a.status)
	}
}

func TestVerifyIgnoresIdentityFromOutside(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	user := s.provider.Users()[0]
	a := b.get(verifyPath, "X-Auth-Request-User: admin", "X-Auth-Request-Groups: root", "Authorization: Bearer forged")
	if got := a.header.Values("X-Auth-Request-User"); len(got) != 1 || got[0] != user.Sub {
		t.Errorf("got %q, want the subject alone", got)
	}
	if got := a.header.Get("Authorization"); strings.Contains(got, "forged") {
		t.Error("the token from outside came back")
	}
}

func TestIdentityHeadersAreSafeToPassOn(t *testing.T) {
	t.Parallel()
	user := devidp.User{
		Email: "zoë@example.com", Password: "password", Groups: []string{"a,b", "c\r\nX-Evil: 1", "ñ", "50%"},
		Attributes: map[string]string{"preferred_username": "Zoë Ω"},
	}
	s := newServer(t, func(o *options) {
		o.dev.Users = []devidp.User{user}
		o.idp.Claims = []string{"email", "preferred_username", "cognito:groups"}
	})
	b := s.browser(t)
	b.signIn()
	a := b.get(verifyPath)
	for name, want := range map[string]string{"Email": "zoë@example.com", "Preferred-Username": "Zoë Ω", "Groups": "a,b|c\r\nX-Evil: 1|ñ|50%"} {
		raw := a.header.Get("X-Auth-Request-" + name)
		if strings.ContainsFunc(raw, func(r rune) bool { return r <= 0x20 || r >= 0x7f }) {
			t.Errorf("%s: %q is not visible ASCII", name, raw)
		}
		got, err := url.PathUnescape(strings.ReplaceAll(raw, ",", "|"))
		if err != nil || got != want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
		}
	}
	if a.header.Get("X-Evil") != "" {
		t.Error("a group made a header of its own")
	}
}

func TestVerifyLeavesOutAnAddressThatIsNotVerified(t *testing.T) {
	t.Parallel()
	user := devidp.User{Email: "mallory@example.com", EmailUnverified: true, Password: "password"}
	s := newServer(t, func(o *options) { o.dev.Users = []devidp.User{user} })
	b := s.browser(t)
	b.signIn()
	a := b.get(verifyPath)
	if a.status != http.StatusOK || a.header.Get("X-Auth-Request-User") == "" || a.header.Get("X-Auth-Request-Email") != "" {
		t.Errorf("got %d, user %q, e-mail %q; want 200, the subject, no address", a.status, a.header.Get("X-Auth-Request-User"), a.header.Get("X-Auth-Request-Email"))
	}
}

// What a session keeps is the operator's choice; what an address is worth is not.
func TestAnAddressIsNeverKeptWithoutWhetherItIsVerified(t *testing.T) {
	t.Parallel()
	user := devidp.User{Email: "mallory@example.com", EmailUnverified: true, Password: "password"}
	s := newServer(t, func(o *options) {
		o.dev.Users = []devidp.User{user}
		o.idp.Claims = []string{"sub", "email"}
	})
	b := s.browser(t)
	b.signIn()
	if a := b.get(verifyPath); a.status != http.StatusOK || a.header.Get("X-Auth-Request-Email") != "" {
		t.Errorf("got %d and e-mail %q, want 200 and none", a.status, a.header.Get("X-Auth-Request-Email"))
	}
}

func TestVerifyRefreshesAndHandsOverTheCookie(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	s.clock.advance(58 * time.Minute)
	a := b.get(verifyPath)
	if a.status != http.StatusOK || len(a.set) != 1 {
		t.Fatalf("got %d and %d cookies, want 200 and the newer session", a.status, len(a.set))
	}
	if got, want := a.header.Get("Authorization"), "Bearer "+b.token("").AccessToken; got != want {
		t.Error("the token is not the one that the browser holds now")
	}
	if got := s.provider.Stats().Refresh.OK; got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
}

// nginx passes on the first Set-Cookie of an auth_request and no other.
func TestVerifyNeverHandsOverHalfOfASession(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.dev.ExtraAccessClaims = map[string]any{"padding": noise(3000)} })
	b := s.browser(t)
	b.signIn()
	s.clock.advance(58 * time.Minute)
	if a := b.get(verifyPath); a.status != http.StatusOK || len(a.set) != 0 {
		t.Errorf("got %d and %d cookies, want 200 and none", a.status, len(a.set))
	}
	if a := b.get(verifyPath + "?cookies=all"); a.status != http.StatusOK || len(a.set) < 2 {
		t.Errorf("asked for all: got %d and %d cookies, want 200 and every chunk", a.status, len(a.set))
	}
	if got := s.provider.Stats().Refresh.OK; got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
}

func TestVerifySendsPeopleToTheSignInPageWhenAsked(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.handlers.RedirectOrigins = []string{"https://app.example"} })
	own := strings.TrimPrefix(s.origin, "http://")
	for name, c := range map[string]struct {
		query   string
		headers []string
		want    string // returnTo; "": none
	}{
		"nothing is known":         {"?redirect=true", nil, ""},
		"Traefik and Caddy":        {"?redirect=true", []string{"X-Forwarded-Proto: http", "X-Forwarded-Host: " + own, "X-Forwarded-Uri: /a/b?c=d"}, "/a/b?c=d"},
		"another host of ours":     {"?redirect=true", []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: app.example", "X-Forwarded-Uri: /a"}, "https://app.example/a"},
		"a host of nobody's":       {"?redirect=true", []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Uri: /a"}, ""},
		"the path alone":           {"?redirect=true", []string{"X-Original-URI: /a"}, "/a"},
		"a path to another host":   {"?redirect=true", []string{"X-Forwarded-Uri: //evil.example"}, ""},
		"an ingress controller":    {"?redirect=true", []string{"X-Original-URL: " + s.origin + "/a?b=c"}, "/a?b=c"},
		"in the query":             {"?redirect=1&returnTo=/q", []string{"X-Forwarded-Uri: /a"}, "/q"},
		"two of them":              {"?redirect=true", []string{"X-Forwarded-Uri: /a", "X-Forwarded-Uri: /b"}, ""},
		"a sign-out as the target": {"?redirect=true", []string{"X-Forwarded-Uri: /api/auth/sign-out"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.stranger(t).get(verifyPath+c.query, c.headers...)
			want := s.origin + "/login"
			if c.want != "" {
				want += "?returnTo=" + strings.ReplaceAll(url.QueryEscape(c.want), "+", "%20")
			}
			if a.status != http.StatusFound || a.location() != want {
				t.Errorf("got %d %q, want 302 %q", a.status, a.location(), want)
			}
		})
	}
}

func TestVerifyRedirectsNobodyButPeopleWhoNavigate(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, header := range []string{
		"Sec-Fetch-Mode: cors", "RSC: 1", "X-Requested-With: XMLHttpRequest", "Next-Router-Prefetch: 1", "Sec-Purpose: prefetch",
		"X-Forwarded-Method: POST", "X-Original-Method: PUT",
	} {
		if a := s.stranger(t).get(verifyPath+"?redirect=true", header, "X-Forwarded-Uri: /a"); a.status != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", header, a.status)
		}
	}
}

func TestVerifyKeepsTheSessionWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	s.faults(t, devidp.Faults{Token: devidp.Fault{Status: 503}})
	s.clock.advance(58 * time.Minute)
	if a := b.get(verifyPath); a.status != http.StatusOK {
		t.Errorf("with a living token: got %d, want 200", a.status)
	}
	s.clock.advance(5 * time.Minute)
	a := b.get(verifyPath + "?redirect=true")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || len(a.set) != 0 {
		t.Errorf("without one: got %d, Retry-After %q, %d cookies; want 503, some, none", a.status, a.header.Get("Retry-After"), len(a.set))
	}
}

func TestVerifyClearsASessionThatIsOver(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.MaxAge = time.Hour })
	b := s.browser(t)
	b.signIn()
	s.clock.advance(time.Hour)
	for _, want := range []int{1, 0} {
		a := b.get(verifyPath + "?redirect=true")
		if a.status != http.StatusFound || len(a.set) != want {
			t.Errorf("got %d and %d cookies, want 302 and %d", a.status, len(a.set), want)
		}
	}
}

// Envoy appends the path that it asks about, with the visitor's method: what stands at the root is asked about as "/".
func TestVerifyAnswersForEveryPathAndMethodBelowIt(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	for _, path := range []string{"/", "/?a=b", "/orders", "/orders/", "/orders/7?redirect=true", "//"} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PROPFIND", "LOCK", "REPORT", "TRACE", "FOO"} {
			a := b.send(method, verifyPath+path, "")
			if a.status != http.StatusOK || a.header.Get("X-Auth-Request-User") == "" || a.header.Get("Location") != "" {
				t.Errorf("%s %s of somebody signed in: got %d, want 200 and the subject", method, path, a.status)
			}
			if a := s.stranger(t).send(method, verifyPath+path, ""); a.status != http.StatusUnauthorized || a.header.Get("X-Auth-Request-User") != "" {
				t.Errorf("%s %s of a stranger: got %d, want 401", method, path, a.status)
			}
		}
	}
}

// Below verify the query is the visitor's own, which must not tell us what the proxy can do with the answer.
func TestVerifyTakesNothingFromTheQueryOfWhatItIsAskedAbout(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.dev.ExtraAccessClaims = map[string]any{"padding": noise(3000)} })
	if a := s.stranger(t).get(verifyPath + "/orders?redirect=true&returnTo=/x"); a.status != http.StatusUnauthorized || a.location() != "" {
		t.Errorf("redirect in the visitor's query: got %d %q, want 401", a.status, a.location())
	}
	b := s.browser(t)
	b.signIn()
	s.clock.advance(58 * time.Minute)
	if a := b.get(verifyPath + "/orders?cookies=all"); a.status != http.StatusOK || len(a.set) != 0 {
		t.Errorf("cookies in the visitor's query: got %d and %d cookies, want 200 and none", a.status, len(a.set))
	}
}
