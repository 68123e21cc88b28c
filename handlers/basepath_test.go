package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Below a path of the public URL, the host's own root is somebody else's page.
func TestBelowABasePathTheRootIsOurs(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.base = "/app" })
	for returnTo, want := range map[string]string{
		"": "/app/", "//evil.example": "/app/", "https://evil.example/": "/app/", "/app/api/auth/sign-out": "/app/",
		"/%zz": "/app/", "evil.example": "/app/", "/" + strings.Repeat("\u00e9", 500): "/app/",
		"/app/": "/app/", "/app/orders": "/app/orders", "/": "/", "/elsewhere": "/elsewhere", s.origin: s.origin + "/",
	} {
		b := s.browser(t)
		query := "?returnTo=" + url.QueryEscape(returnTo)
		if a := b.get(b.atProvider(b.begin("/api/auth/sign-in" + query))); a.status != http.StatusSeeOther || a.location() != want {
			t.Errorf("a sign-in with %q leads to %q (%d), want %q", returnTo, a.location(), a.status, want)
		}
		if page := b.get("/login" + query).body; !strings.Contains(page, `href="`+want+`"`) {
			t.Errorf("the sign-in page with %q does not lead on to %q", returnTo, want)
		}
		page := s.stranger(t).get("/login" + query).body
		if carried := strings.Contains(page, "returnTo="); carried != (want != "/app/") {
			t.Errorf("the sign-in page with %q carries a returnTo on: %t", returnTo, carried)
		}
		page = b.get(signOutPath+query, "Sec-Fetch-Site: cross-site").body
		if carried := strings.Contains(page, `name="returnTo"`); carried != (want != "/app/") {
			t.Errorf("the page that asks, with %q, carries a returnTo on: %t", returnTo, carried)
		}
		b.post(signOutPath+query, nil)
		back := b.get(signOutPath + "-callback")
		switch {
		case want == "/app/" && back.status != http.StatusOK:
			t.Errorf("a sign-out with %q: got %d to %q, want the signed-out page", returnTo, back.status, back.location())
		case want != "/app/" && back.location() != want:
			t.Errorf("a sign-out with %q leads to %q, want %q", returnTo, back.location(), want)
		}
	}
}

// Where nothing but us lives below the path, a plain sign-in must not end at a page that is not there.
func TestBelowABasePathTheBareRootLeadsToTheHosts(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.base = "/app" })
	b := s.browser(t)
	led := b.get(b.atProvider(b.begin("/api/auth/sign-in"))).location()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, path := range []string{led, "/app", "/app/", "/app/?a=b"} {
			a := b.send(method, s.origin+path, "")
			if a.status != http.StatusSeeOther || a.location() != "/" || len(a.set) != 0 || a.body != "" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: got %d to %q, %d cookies, Cache-Control %q; want 303 to /, none and no-store", method, path, a.status, a.location(), len(a.set), a.header.Get("Cache-Control"))
			}
		}
	}
	if a := b.send(http.MethodPost, s.origin+"/app", ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST /app: got %d, want 405", a.status)
	}
	for _, path := range []string{"/", "/app//", "/app/x", "/apps", "/ap%70/", "/ap%70"} {
		if a := b.get(s.origin + path); a.status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, a.status)
		}
	}
}

func TestBelowABasePathAnApplicationKeepsItsRoot(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("theirs " + r.URL.Path)) })
	s := newServer(t, func(o *options) { o.base, o.app = "/app", page })
	for _, path := range []string{"/app", "/app/"} {
		if a := s.browser(t).get(s.origin + path); a.status != http.StatusOK || a.body != "theirs "+path {
			t.Errorf("%s: got %d %q, want the application's page", path, a.status, a.body)
		}
	}
}
