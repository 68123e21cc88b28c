package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/idp/devidp"
)

const image = "Sec-Fetch-Dest: image"

// A film is longer than a token lives, and the pictures of a page that was left open are private.
func TestThePartsOfAPageShareOneRefresh(t *testing.T) {
	t.Parallel()
	s, _, b := newApplication(t, func(o *options) {
		o.app = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // answers a stranger as private pictures are
			if r.Header.Get("Authorization") == "" || r.Header.Get("X-Auth-Request-User") == "" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		})
	})
	s.clock.advance(2 * time.Hour)
	cookies := b.cookies()
	var all sync.WaitGroup
	for _, part := range []string{"style", "script", "image", "font", "video", "audio", "track", "worker"} {
		all.Go(func() {
			a, err := s.stranger(t).try(context.Background(), http.MethodGet, "/private", "", cookies, "Sec-Fetch-Dest: "+part)
			if err != nil || a.status != http.StatusOK || a.sets(s.cookie) == nil || a.header.Get("Cache-Control") != "private, no-store" {
				t.Errorf("%s: got %d, %q, %v; want 200 and the newer session, kept from caches", part, a.status, a.header, err)
			}
		})
	}
	all.Wait()
	if got := s.provider.Stats().Refresh.OK; got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
}

// Sec-Fetch-Dest is the client's own word: it must not spare anybody the question whether the session still stands.
func TestAPartOfAPageCarriesNoIdentityBeyondItsSession(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "POST"} {
		s, app, b := newApplication(t, nil)
		s.clock.advance(2 * time.Hour)
		s.faults(t, devidp.Faults{Token: devidp.Fault{OAuthError: "invalid_grant"}})
		if a := b.send(method, "/any/path", "", image); a.status != http.StatusOK || !a.cleared(s.cookie) {
			t.Errorf("%s: got %d, %q; want the application's answer to nobody, and the cookie cleared", method, a.status, a.set)
		}
		for name := range app.heard(t).Header {
			if strings.HasPrefix(name, "X-Auth") || name == "Authorization" {
				t.Errorf("%s: the application was told %s", method, name)
			}
		}
		if got := s.provider.Stats().Refresh.Asked; got != 1 {
			t.Errorf("%s: %d refreshes, want 1", method, got)
		}
	}
}

// A page has dozens of parts, which would wait for a provider that does not answer one after the other.
func TestAPartDoesNotWaitForTheProviderAsAPageDoes(t *testing.T) {
	t.Parallel()
	g := newGate()
	s, app, b := newApplication(t, func(o *options) {
		o.idp.Transport = g
		o.session.Timing.WaitLiving, o.session.Timing.WaitDead = 20*time.Millisecond, time.Hour
	})
	open := g.close()
	defer open()
	s.clock.advance(2 * time.Hour)
	for range 2 {
		app.forget()
		if a := b.get("/picture", image); a.status != http.StatusOK || len(a.set) != 0 || app.bearer(t) != "" {
			t.Errorf("got %d, %q and a bearer of %d bytes; want the application's answer to nobody, no cookie touched", a.status, a.set, len(app.bearer(t)))
		}
	}
	for _, method := range []string{"X-Original-Method: GET", "X-Forwarded-Method: HEAD"} {
		if a := b.get(verifyPath, image, method); a.status != http.StatusServiceUnavailable || len(a.set) != 0 {
			t.Errorf("verify, %s: got %d, %q; want 503, no cookie touched", method, a.status, a.set)
		}
	}
	open()
	must(t, s.sessions.Drain(context.Background()))
	if a := b.get("/picture", image); a.sets(s.cookie) == nil || app.bearer(t) == "" {
		t.Error("the refresh that parts did not wait for was lost")
	}
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want one flight for all of them", got.Refresh, got.Reuses)
	}
}

// Who watches a film is there.
func TestThePartsOfAPageKeepAnIdleSessionAlive(t *testing.T) {
	t.Parallel()
	s, app, b := newApplication(t, func(o *options) { o.session.IdleTimeout = 30 * time.Minute })
	for range 5 {
		s.clock.advance(20 * time.Minute)
		app.forget()
		if b.get("/film", "Sec-Fetch-Dest: video", "Range: bytes=0-"); app.bearer(t) == "" {
			t.Fatal("the session was idle")
		}
	}
}
