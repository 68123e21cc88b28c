package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

const listed = "https://app.example"

func withListed(o *options) {
	o.handlers.RedirectOrigins = []string{listed, "https://xn--bcher-kva.example:8443"}
}

// What a browser says of where a request comes from, in two headers that scripts cannot set.
func TestWhoMayAskByFetchMetadataAndOrigin(t *testing.T) {
	t.Parallel()
	s := newServer(t, withListed)
	b := s.browser(t)
	b.signIn()
	const foreign = "https://evil.example"
	ours := s.origin
	const yes, no = http.StatusOK, http.StatusForbidden
	origins := []string{"absent", ours, listed, "null", foreign}
	for site, want := range map[string][]int{ // in the order of origins
		"absent":      {yes, yes, yes, no, no},
		"same-origin": {yes, yes, yes, yes, no}, // "null": a page with Referrer-Policy: no-referrer
		"none":        {yes, yes, yes, yes, no},
		"same-site":   {no, yes, yes, no, no},
		"cross-site":  {no, yes, yes, no, no},
		"SAME-ORIGIN": {no, yes, yes, no, no}, // no browser writes it so
		"":            {no, yes, yes, no, no},
	} {
		for i, origin := range origins {
			var headers []string
			if site != "absent" {
				headers = append(headers, "Sec-Fetch-Site: "+site)
			}
			if origin != "absent" {
				headers = append(headers, "Origin: "+origin)
			}
			for _, path := range []string{tokenPath, "/api/auth/session", "/.well-known/bff-token", "/.well-known/bff-sessioninfo"} {
				a := b.get(path, headers...)
				if a.status != want[i] {
					t.Errorf("%s, Sec-Fetch-Site %q, Origin %q: got %d, want %d", path, site, origin, a.status, want[i])
				}
				if a.status == no {
					a.wants(t, no, forbidden)
					private(t, a)
				}
			}
		}
	}
}

func TestOriginsAreComparedAsBrowsersSpellThem(t *testing.T) {
	t.Parallel()
	s := newServer(t, withListed)
	b := s.browser(t)
	b.signIn()
	for _, row := range []struct {
		origin string
		want   int
	}{
		{listed, 200},
		{"HTTPS://APP.EXAMPLE", 200},
		{listed + ":443", 200},
		{"https://xn--bcher-kva.example:8443", 200},
		{listed + ":8443", 403},
		{"http://app.example", 403},
		{"https://app.example.evil.example", 403},
		{"https://evil.example/app.example", 403},
		{"https://app.example@evil.example", 403},
		{"https://evil.example#https://app.example", 403},
		{"https://evil.example\\.app.example", 403},
		{"https://sub.app.example", 403},
		{"https://app.example.", 403},
		{"app.example", 403},
		{"file://", 403},
		{"javascript:alert(1)", 403},
		{"https://[::1]", 403},
		{"https://app.example https://app.example", 403},
		{"", 403},
		{"null", 403},
	} {
		if got := b.get(tokenPath, "Origin: "+row.origin).status; got != row.want {
			t.Errorf("Origin %q: got %d, want %d", row.origin, got, row.want)
		}
	}
	for name, headers := range map[string][]string{
		"two origins, ours first":     {"Origin: " + s.origin, "Origin: https://evil.example"},
		"two origins, both ours":      {"Origin: " + s.origin, "Origin: " + s.origin},
		"two sites":                   {"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"},
		"two sites, both same-origin": {"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin"},
	} {
		if got := b.get(tokenPath, headers...).status; got != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403: no browser sends that", name, got)
		}
	}
}

// A refusal must not depend on there being a session: it would tell another site who is signed in.
func TestARefusedSiteLearnsNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	in, out := b.get(tokenPath, "Sec-Fetch-Site: cross-site"), s.stranger(t).get(tokenPath, "Sec-Fetch-Site: cross-site")
	if in.status != out.status || in.body != out.body || len(in.set)+len(out.set) != 0 {
		t.Errorf("signed in %d %s, signed out %d %s: want the same", in.status, in.body, out.status, out.body)
	}
}

func FuzzGuard(f *testing.F) {
	s := newServer(f, func(o *options) { withListed(o); quiet(o) })
	handler := s.web.Handler()
	for _, seed := range [][2]string{
		{"same-origin", ""}, {"cross-site", s.origin}, {"none", "null"}, {"", "https://app.example:443"}, {"", "https://app.example@evil.example"},
		{"same-site", "HTTPS://APP.EXAMPLE"}, {"x", "https://[::1]:80"}, {"", "https://app.example\x00"}, {"", "https://\uff41pp.example"},
		{"cross-site", "https://app%2eexample"}, {"", "//app.example"}, {"", "https:app.example"}, {"", "https://app.example/?"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, site, origin string) {
		r := httptest.NewRequest(http.MethodGet, tokenPath, nil)
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		friendly := site == "same-origin" || site == "none"
		may := (origin == "" && (site == "" || friendly)) || (origin == "null" && friendly) || looksLikeOurs(s, origin)
		switch {
		case w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden:
			t.Fatalf("got %d, want 401 or 403", w.Code)
		case w.Code == http.StatusUnauthorized && !may:
			t.Fatalf("Sec-Fetch-Site %q, Origin %q passed the guard", site, origin)
		}
	})
}

// looksLikeOurs is a second opinion, more generous in spelling than the guard is.
func looksLikeOurs(s *server, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.User != nil {
		return false
	}
	if strings.ContainsFunc(u.Hostname(), func(r rune) bool { return r >= 0x80 }) {
		return true // spelt in Unicode, which no browser does here: IDNA decides
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	switch scheme + "://" + host {
	case listed:
		return port == "" || port == "443"
	case "https://xn--bcher-kva.example":
		return port == "8443"
	}
	return scheme+"://"+host+":"+port == s.origin
}
